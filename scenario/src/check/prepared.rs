//! The response as extractors read it: text, JSON, XML and HTML are made when first asked for.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use super::page::Page;
use super::xml::Tree;
use super::{Failure, ResponseView, jsonp};

pub(super) struct Prepared<'a> {
    view: &'a dyn ResponseView,
    text: OnceCell<Cow<'a, str>>,
    json: OnceCell<Result<serde_json::Value, String>>,
    jmes: OnceCell<jmespath::Rcvar>,
    jsonp: OnceCell<Result<serde_json::Value, String>>,
    jsonp_jmes: OnceCell<jmespath::Rcvar>,
    page: OnceCell<Result<Page, String>>,
    xml: OnceCell<Result<Tree, String>>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(view: &'a dyn ResponseView) -> Self {
        Self {
            view,
            text: OnceCell::new(),
            json: OnceCell::new(),
            jmes: OnceCell::new(),
            jsonp: OnceCell::new(),
            jsonp_jmes: OnceCell::new(),
            page: OnceCell::new(),
            xml: OnceCell::new(),
        }
    }

    pub(super) fn view(&self) -> &'a dyn ResponseView {
        self.view
    }

    pub(super) fn text(&self) -> &str {
        self.text.get_or_init(|| self.view.text())
    }

    /// The body as JSON, or, of JSONP, the JSON inside it.
    pub(super) fn json(&self, within: Within) -> Result<&serde_json::Value, Failure> {
        let parsed = match within {
            Within::Json => self.json.get_or_init(|| parse(self.text())),
            Within::Jsonp => self.jsonp.get_or_init(|| parse(jsonp::inner(self.text())?)),
        };
        parsed.as_ref().map_err(|error| Failure::Preparation(error.clone()))
    }

    /// The same, as the jmesPath interpreter has it.
    pub(super) fn jmes(&self, within: Within) -> Result<&jmespath::Rcvar, Failure> {
        let json = self.json(within)?;
        let cell = match within {
            Within::Json => &self.jmes,
            Within::Jsonp => &self.jsonp_jmes,
        };
        Ok(cell.get_or_init(|| {
            let variable = jmespath::Variable::try_from(json);
            Arc::new(variable.unwrap_or(jmespath::Variable::Null))
        }))
    }

    /// The body as HTML.
    pub(super) fn page(&self) -> Result<&Page, Failure> {
        let page = self.page.get_or_init(|| Page::parse(self.text()));
        page.as_ref().map_err(|error| Failure::Preparation(error.clone()))
    }

    /// The body as XML.
    pub(super) fn xml(&self) -> Result<&Tree, Failure> {
        let tree = self.xml.get_or_init(|| Tree::parse(self.text()));
        tree.as_ref().map_err(|error| Failure::Preparation(error.clone()))
    }
}

fn parse(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("could not parse response into a JSON object: {error}"))
}

/// Where the JSON is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    Json,
    Jsonp,
}

impl Within {
    /// The check's name: `jsonPath`, `jsonpJsonPath`.
    pub(super) fn name(self, plain: &'static str, jsonp: &'static str) -> &'static str {
        match self {
            Self::Json => plain,
            Self::Jsonp => jsonp,
        }
    }
}

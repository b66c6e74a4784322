//! The response as extractors read it: text, JSON, XML and HTML are made when first asked for.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::page::Page;
use super::xml::Tree;
use super::{Failure, ResponseView, jsonp};
use crate::value::{Value, json};

pub(super) struct Prepared<'a> {
    view: &'a dyn ResponseView,
    text: OnceCell<Cow<'a, str>>,
    json: OnceCell<Result<Value, String>>,
    jsonp: OnceCell<Result<Value, String>>,
    page: OnceCell<Result<Page, String>>,
    xml: OnceCell<Result<Tree, String>>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(view: &'a dyn ResponseView) -> Self {
        Self {
            view,
            text: OnceCell::new(),
            json: OnceCell::new(),
            jsonp: OnceCell::new(),
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

    /// The body as JSON, whose bytes tell their encoding; or, of JSONP, the JSON inside it.
    pub(super) fn json(&self, within: Within) -> Result<&Value, Failure> {
        let parsed = match within {
            Within::Json => self.json.get_or_init(|| told(json::parse_bytes(self.view.body()))),
            Within::Jsonp => {
                self.jsonp.get_or_init(|| told(json::parse(jsonp::inner(self.text())?)))
            }
        };
        parsed.as_ref().map_err(|error| Failure::Preparation(error.clone()))
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

fn told(parsed: Result<Value, String>) -> Result<Value, String> {
    parsed.map_err(|error| format!("could not parse response into a JSON object: {error}"))
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

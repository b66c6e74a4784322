//! The response as extractors read it: text, JSON and HTML are made when first asked for.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use super::{Failure, ResponseView};

pub(super) struct Prepared<'a> {
    view: &'a dyn ResponseView,
    text: OnceCell<Cow<'a, str>>,
    json: OnceCell<Result<serde_json::Value, String>>,
    jmes: OnceCell<jmespath::Rcvar>,
    html: OnceCell<scraper::Html>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(view: &'a dyn ResponseView) -> Self {
        Self {
            view,
            text: OnceCell::new(),
            json: OnceCell::new(),
            jmes: OnceCell::new(),
            html: OnceCell::new(),
        }
    }

    pub(super) fn view(&self) -> &'a dyn ResponseView {
        self.view
    }

    pub(super) fn text(&self) -> &str {
        self.text.get_or_init(|| self.view.text())
    }

    pub(super) fn json(&self) -> Result<&serde_json::Value, Failure> {
        self.json
            .get_or_init(|| serde_json::from_str(self.text()).map_err(|error| error.to_string()))
            .as_ref()
            .map_err(|error| {
                Failure::Preparation(format!(
                    "could not parse response into a JSON object: {error}"
                ))
            })
    }

    /// The same, as the jmesPath interpreter has it.
    pub(super) fn jmes(&self) -> Result<&jmespath::Rcvar, Failure> {
        let json = self.json()?;
        Ok(self.jmes.get_or_init(|| {
            let variable = jmespath::Variable::try_from(json);
            Arc::new(variable.unwrap_or(jmespath::Variable::Null))
        }))
    }

    pub(super) fn html(&self) -> &scraper::Html {
        self.html.get_or_init(|| scraper::Html::parse_document(self.text()))
    }
}

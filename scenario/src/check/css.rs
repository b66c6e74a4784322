//! `css(selector [, attribute])`: the trimmed text, or an attribute, of each element.

use std::ops::ControlFlow;

use scraper::Selector;
use smallvec::{SmallVec, smallvec};

use super::pattern::Pattern;
use super::{Extractor, Failure, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Css {
    selector: Pattern<Selector>,
    attribute: Option<Box<str>>,
}

impl Css {
    pub(super) fn new(selector: &Expr, attribute: Option<&str>) -> Result<Self, String> {
        let selector = Pattern::new(selector, compile)?;
        Ok(Self { selector, attribute: attribute.map(Into::into) })
    }
}

pub(super) fn compile(selector: &str) -> Result<Selector, String> {
    Selector::parse(selector).map_err(|error| {
        let hint = if selector.contains(":contains") {
            "; :contains is not supported: select the element and check its text"
        } else {
            ""
        };
        format!("Failed to parse css selector {selector}: {error}{hint}")
    })
}

impl Extractor for Css {
    fn scope(&self) -> Scope {
        Scope::Body
    }

    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        smallvec![self.selector.source()]
    }

    fn name(&self, texts: &Texts<'_>) -> String {
        match &self.attribute {
            Some(attribute) => format!("css(({},Some({attribute})))", texts[0]),
            None => format!("css(({},None))", texts[0]),
        }
    }

    fn may_be_fatal(&self) -> bool {
        self.selector.is_dynamic()
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let selector = self.selector.get(&texts[0]).map_err(Failure::Fatal)?;
        for element in response.html().select(&selector) {
            let found = match &self.attribute {
                Some(attribute) => element.attr(attribute).map(Value::from),
                None => Some(Value::from(element.text().collect::<String>().trim())),
            };
            if let Some(found) = found
                && each(found).is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

//! `css(selector [, attribute])`: the trimmed text, or an attribute, of each element.
//!
//! ```text
//! notation   Gatling's way to write a selector → CSS      dialect   the pseudo-classes on top of CSS
//! query      a selector made ready, and what it finds     element   an element as it is matched
//! stand_ins  what can be said of a selector before its expressions have values
//! ```

mod dialect;
mod element;
mod notation;
mod query;
mod stand_ins;

use std::ops::ControlFlow;

use smallvec::{SmallVec, smallvec};

pub(super) use self::query::Query;
use super::pattern::Pattern;
use super::{Extractor, Failure, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::value::Value;

/// Nested elements share their text: all of it together is more than the page.
const TEXT_MAX: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Css {
    selector: Pattern<Query>,
    attribute: Option<Box<str>>,
}

impl Css {
    pub(super) fn new(selector: &Expr, attribute: Option<&str>) -> Result<Self, String> {
        Ok(Self { selector: pattern(selector)?, attribute: attribute.map(Into::into) })
    }
}

/// A literal selector is made ready, and of another the literal parts are looked at.
pub(super) fn pattern(selector: &Expr) -> Result<Pattern<Query>, String> {
    let pattern = Pattern::new(selector, Query::new)?;
    if let Compiled::El(template) = pattern.source() {
        stand_ins::look_at(template, &selector.to_string())?;
    }
    Ok(pattern)
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
        let query = self.selector.get(&texts[0]).map_err(Failure::Fatal)?;
        let page = response.page()?;
        let mut text_left = Some(TEXT_MAX);
        query.select(page, &mut |element| {
            let found = match &self.attribute {
                Some(attribute) => element::attribute(element, attribute).map(Value::from),
                None => {
                    let text = page.text_of(element);
                    text_left = text_left.and_then(|left| left.checked_sub(text.len()));
                    Some(Value::from(text.trim()))
                }
            };
            match found {
                _ if text_left.is_none() => ControlFlow::Break(()),
                Some(found) => each(found),
                None => ControlFlow::Continue(()),
            }
        })?;
        match text_left {
            Some(_) => Ok(()),
            None => Err(Failure::Extraction(format!(
                "the elements found have more than {} MiB of text",
                TEXT_MAX >> 20
            ))),
        }
    }
}

#[cfg(test)]
mod gatling_tests;
#[cfg(test)]
mod tests;

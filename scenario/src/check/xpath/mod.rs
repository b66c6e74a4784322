//! `xpath(path [, namespaces])` on a body that is well-formed XML: the text of each node, or each
//! value, that the path gives. XPath 3.1 as far as documents want it.
//! <https://docs.gatling.io/concepts/checks/#xpath>
//!
//! ```text
//! reader → parse (types, places) → ast    a path as it is read
//! eval (axes)  functions  texts           its value in a document, within so many steps
//! item  decimal  values                   values, and what they mean
//! ```

mod ast;
mod axes;
mod decimal;
mod eval;
mod functions;
mod item;
mod parse;
mod places;
mod reader;
mod texts;
mod types;
mod values;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use smallvec::{SmallVec, smallvec};

use self::ast::Expr as Path;
use self::eval::Evaluation;
use self::item::Item;
use super::pattern::Pattern;
use super::{Extractor, Failure, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::value::Value;

/// Nested elements share their text: all of it together is more than the document.
const TEXT_MAX: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct XPath {
    path: Pattern<Path>,
    /// Of the namespaces, for error texts.
    name: String,
}

impl XPath {
    pub(super) fn new(path: &Expr, namespaces: &BTreeMap<String, String>) -> Result<Self, String> {
        let pairs: Vec<String> =
            namespaces.iter().map(|(prefix, uri)| format!("{prefix} -> {uri}")).collect();
        let namespaces = namespaces.clone();
        let path = Pattern::new(path, move |path| parse::parse(path, &namespaces))?;
        Ok(Self { path, name: pairs.join(", ") })
    }
}

impl Extractor for XPath {
    fn scope(&self) -> Scope {
        Scope::Body
    }

    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        smallvec![self.path.source()]
    }

    fn name(&self, texts: &Texts<'_>) -> String {
        format!("xpath(({},Map({})))", texts[0], self.name)
    }

    fn may_be_fatal(&self) -> bool {
        true
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let path = self.path.get(&texts[0]).map_err(Failure::Fatal)?;
        let tree = response.xml()?;
        let mut evaluation = Evaluation::new(tree);
        let found = evaluation.run(&path).map_err(|reason| match evaluation.is_exhausted() {
            true => Failure::Extraction(reason),
            false => Failure::Fatal(format!("xpath {}: {reason}", texts[0])),
        })?;
        let mut text_left = TEXT_MAX;
        for item in found {
            let atomic;
            let text: &str = match &item {
                Item::Node(id) => tree.string(*id),
                Item::Atomic(value) => {
                    atomic = value.string();
                    &atomic
                }
            };
            let Some(left) = text_left.checked_sub(text.len()) else {
                return Err(Failure::Extraction(format!(
                    "the nodes found have more than {} MiB of text",
                    TEXT_MAX >> 20
                )));
            };
            text_left = left;
            if each(Value::from(text)).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod gatling_tests;
#[cfg(test)]
mod tests;

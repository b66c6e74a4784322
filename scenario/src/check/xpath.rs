//! `xpath(path [, namespaces])` on a body that is well-formed XML: the text of each node, or the
//! value of a path that gives a number, a text or a truth. XPath 1.0, of the `sxd` crates.
//! <https://docs.gatling.io/concepts/checks/#xpath>

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use smallvec::{SmallVec, smallvec};
use sxd_document::parser;
use sxd_xpath::{Context, Factory, Value as Found, XPath as Ready, nodeset};

use super::pattern::Pattern;
use super::{Extractor, Failure, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::value::{Value, java_double};

/// Paths that a thread keeps compiled: they cannot be shared between threads.
const PATHS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct XPath {
    /// Compiled once to see that it can be.
    path: Pattern<()>,
    namespaces: BTreeMap<String, String>,
    name: String,
}

impl XPath {
    pub(super) fn new(path: &Expr, namespaces: &BTreeMap<String, String>) -> Result<Self, String> {
        let pairs: Vec<String> =
            namespaces.iter().map(|(prefix, uri)| format!("{prefix} -> {uri}")).collect();
        let path = Pattern::new(path, |path| compile(path).map(|_| ()))?;
        Ok(Self { path, namespaces: namespaces.clone(), name: pairs.join(", ") })
    }
}

fn compile(path: &str) -> Result<Ready, String> {
    match Factory::new().build(path) {
        Ok(Some(ready)) => Ok(ready),
        Ok(None) => Err(format!("Failed to parse xpath {path}: the path is empty")),
        Err(error) => Err(format!("Failed to parse xpath {path}: {error} (XPath 1.0)")),
    }
}

thread_local! {
    static READY: RefCell<BTreeMap<String, Rc<Ready>>> = RefCell::default();
}

fn ready(path: &str) -> Result<Rc<Ready>, String> {
    READY.with_borrow_mut(|known| {
        if let Some(ready) = known.get(path) {
            return Ok(Rc::clone(ready));
        }
        let made = Rc::new(compile(path)?);
        if known.len() >= PATHS_MAX {
            known.clear();
        }
        known.insert(path.to_owned(), Rc::clone(&made));
        Ok(made)
    })
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
        let path = ready(&texts[0]).map_err(Failure::Fatal)?;
        let package =
            parser::parse(response.text().trim_start_matches('\u{feff}')).map_err(|error| {
                Failure::Preparation(format!(
                    "Could not parse response into a DOM Document: {error}"
                ))
            })?;
        let document = package.as_document();
        let mut context = Context::new();
        for (prefix, uri) in &self.namespaces {
            context.set_namespace(prefix, uri);
        }
        let found = path
            .evaluate(&context, document.root())
            .map_err(|error| Failure::Fatal(format!("xpath {}: {error}", texts[0])))?;
        match found {
            Found::Nodeset(nodes) => {
                for node in nodes.document_order() {
                    if each(Value::from(text_of(node))).is_break() {
                        break;
                    }
                }
            }
            Found::Boolean(truth) => drop(each(Value::from(truth.to_string()))),
            Found::Number(number) => drop(each(Value::from(number_text(number)))),
            Found::String(text) => drop(each(Value::from(text))),
        }
        Ok(())
    }
}

fn text_of(node: nodeset::Node<'_>) -> String {
    node.string_value()
}

/// A whole number has no fraction.
fn number_text(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    java_double(number)
}

//! `#{a.b(0).size()}`: a session attribute and the accessors applied to it, with Gatling's texts
//! where one does not fit the value.

use std::borrow::Cow;
use std::sync::Arc;

use rand::Rng;

use super::cast;
use crate::expr::EvalCtx;
use crate::session::Session;
use crate::value::{Value, write_quoted};

#[derive(Debug)]
pub(super) struct Path {
    root: Arc<str>,
    steps: Box<[Step]>,
}

#[derive(Debug)]
pub(super) struct Step {
    /// The expression before this step: the name in error texts.
    pub before: Box<str>,
    pub access: Access,
}

#[derive(Debug)]
pub(super) enum Access {
    /// From 0; negative from the end.
    Index(i64),
    /// The index is in this attribute.
    IndexBy(Box<str>),
    Key(Box<str>),
    /// `._1`: from 1.
    Tuple(usize),
    Size,
    Random,
    Exists,
    IsUndefined,
    JsonStringify,
    HtmlUnescape,
}

impl Path {
    pub(super) fn new(root: &str, steps: Vec<Step>) -> Self {
        Self { root: root.into(), steps: steps.into() }
    }

    /// The attribute's value, where the path is only its name and there is a value.
    pub(super) fn plain<'a>(&self, session: &'a Session) -> Option<&'a Value> {
        if !self.steps.is_empty() {
            return None;
        }
        session.get(&self.root).filter(|value| !value.is_null())
    }

    pub(super) fn eval(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<Value, String> {
        // The common guards, without making an error text only to drop it.
        if let [Step { access: access @ (Access::Exists | Access::IsUndefined), .. }] = &*self.steps
        {
            let exists = session.get(&self.root).is_some_and(|value| !value.is_null());
            return Ok(Value::Bool(exists == matches!(access, Access::Exists)));
        }
        let mut current = self.root(session);
        for step in &self.steps {
            current = match &step.access {
                Access::Exists => Ok(Cow::Owned(Value::Bool(current.is_ok()))),
                Access::IsUndefined => Ok(Cow::Owned(Value::Bool(current.is_err()))),
                access => current.and_then(|value| match value {
                    Cow::Borrowed(value) => apply(access, &step.before, value, session, ctx),
                    Cow::Owned(value) => apply(access, &step.before, &value, session, ctx)
                        .map(|value| Cow::Owned(value.into_owned())),
                }),
            };
        }
        current.map(Cow::into_owned)
    }

    fn root<'a>(&self, session: &'a Session) -> Result<Cow<'a, Value>, String> {
        let root = &self.root;
        let value =
            session.get(root).ok_or_else(|| format!("No attribute named '{root}' is defined"))?;
        let stringified =
            matches!(self.steps.first(), Some(Step { access: Access::JsonStringify, .. }));
        if value.is_null() && !stringified {
            return Err(format!("Attribute {root}'s value is null"));
        }
        Ok(Cow::Borrowed(value))
    }
}

fn apply<'a>(
    access: &Access,
    name: &str,
    value: &'a Value,
    session: &Session,
    ctx: &mut EvalCtx<'_>,
) -> Result<Cow<'a, Value>, String> {
    let owned = |value: Value| Ok(Cow::Owned(value));
    match access {
        Access::Index(index) => at(value, *index, name),
        Access::IndexBy(attribute) => {
            let index = session
                .get(attribute)
                .ok_or_else(|| format!("No attribute named '{attribute}' is defined"))?;
            at(value, cast::to_int(index)?, name)
        }
        Access::Key(key) => match value {
            Value::Map(entries) => entries
                .get(&**key)
                .map(Cow::Borrowed)
                .ok_or_else(|| format!("Map named '{name}' does not contain key '{key}'")),
            _ => Err(format!("{value} named '{name}' does not support access by key")),
        },
        Access::Tuple(position) => match value {
            Value::List(items) => items.get(position - 1).map(Cow::Borrowed).ok_or_else(|| {
                format!("Product {value} has {} elements, index is {position}", items.len())
            }),
            _ => Err(format!("{value} named {name} do not support tuple access")),
        },
        Access::Size => match value {
            Value::List(items) => owned(length(items.len())),
            Value::Map(entries) => owned(length(entries.len())),
            Value::Bytes(bytes) => owned(length(bytes.len())),
            _ => Err(format!("{value} named '{name}' does not support .size function")),
        },
        Access::Random => match value {
            Value::List(items) if items.is_empty() => {
                Err(format!("Seq named '{name}' is undefined for index 0"))
            }
            Value::List(items) => Ok(Cow::Borrowed(&items[ctx.rng.random_range(0..items.len())])),
            _ => Err(format!("{value} named '{name}' does not support .random function")),
        },
        // Text is a JSON text too: in quotes.
        Access::JsonStringify => match value {
            Value::Str(text) => {
                let mut quoted = String::with_capacity(text.len() + 2);
                write_quoted(&mut quoted, text);
                owned(Value::from(quoted))
            }
            _ => owned(Value::from(value.to_json())),
        },
        Access::HtmlUnescape => match value {
            Value::Str(text) => owned(Value::from(html_unescape(text))),
            _ => Err(format!("{value} named '{name}' does not support .htmlUnescape function")),
        },
        // Both look at whether there was a value, not at the value.
        Access::Exists => owned(Value::Bool(true)),
        Access::IsUndefined => owned(Value::Bool(false)),
    }
}

fn length(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

fn at<'a>(value: &'a Value, index: i64, name: &str) -> Result<Cow<'a, Value>, String> {
    let Value::List(items) = value else {
        return Err(format!("{value} named '{name}' does not support index access"));
    };
    let position = if index < 0 {
        items.len().checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX))
    } else {
        usize::try_from(index).ok()
    };
    position
        .and_then(|position| items.get(position))
        .map(Cow::Borrowed)
        .ok_or_else(|| format!("Seq named '{name}' is undefined for index {index}"))
}

/// The HTML parser knows all named entities; only they are its business here, so that tags in the
/// text are kept from it.
fn html_unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let escaped = text.replace('<', "&lt;");
    scraper::Html::parse_fragment(&escaped).root_element().text().collect()
}

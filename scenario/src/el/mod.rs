//! Gatling's expression language, `#{…}`: parsed once when a program is compiled, evaluated per
//! virtual user. Syntax errors are found by [`Template::parse`], before any load; evaluation never
//! panics and reads neither clock nor ambient randomness.
//!
//! Hot path. Semantics and texts: <https://docs.gatling.io/concepts/session/el/>.
//!
//! ```text
//! parse   text → parts           access   #{a.b(0).size()}     builtin  #{randomInt(1,9)}
//! cast    value → int, bool, …   date     #{currentDate(…)}
//! ```

mod access;
mod builtin;
pub mod cast;
mod date;
mod parse;

use std::fmt::Write as _;
use std::sync::Arc;

use access::Path;
use builtin::Builtin;

use crate::expr::EvalCtx;
use crate::session::Session;
use crate::value::Value;

/// A parsed expression-language string. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Parts,
}

#[derive(Clone, Debug)]
enum Parts {
    Literal(Arc<str>),
    /// A lone `#{…}` keeps its value's type.
    Single(Arc<Dynamic>),
    Mixed(Arc<[Part]>),
}

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Dynamic(Dynamic),
}

#[derive(Debug)]
enum Dynamic {
    Path(Path),
    Builtin(Builtin),
}

impl Dynamic {
    fn eval(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<Value, String> {
        match self {
            Self::Path(path) => path.eval(session, ctx),
            Self::Builtin(builtin) => Ok(builtin.eval(ctx)),
        }
    }

    fn eval_into(
        &self,
        out: &mut String,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<(), String> {
        // A plain attribute is written without a copy: by far the most common case.
        if let Self::Path(path) = self
            && let Some(value) = path.plain(session)
        {
            write_value(out, value);
            return Ok(());
        }
        write_value(out, &self.eval(session, ctx)?);
        Ok(())
    }
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Str(text) => out.push_str(text),
        other => {
            // Writing to a String cannot fail.
            let _ = write!(out, "{other}");
        }
    }
}

impl Template {
    /// # Errors
    /// `Failed to parse #{} with error 'attribute name is missing'` and the like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = parse::parse(text)
            .map_err(|reason| format!("Failed to parse {text} with error '{reason}'"))?;
        let parts = match (parts.len(), parts.pop()) {
            (_, None) => Parts::Literal("".into()),
            (1, Some(Part::Text(text))) => Parts::Literal(text.into()),
            (1, Some(Part::Dynamic(dynamic))) => Parts::Single(Arc::new(dynamic)),
            (_, Some(last)) => {
                parts.push(last);
                Parts::Mixed(parts.into())
            }
        };
        Ok(Self { parts })
    }

    /// The text, escapes resolved, where the template has no expression in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match &self.parts {
            Parts::Literal(text) => Some(text),
            Parts::Single(_) | Parts::Mixed(_) => None,
        }
    }

    /// How many expressions are in it.
    #[must_use]
    pub fn expressions(&self) -> usize {
        match &self.parts {
            Parts::Literal(_) => 0,
            Parts::Single(_) => 1,
            Parts::Mixed(parts) => {
                parts.iter().filter(|part| matches!(part, Part::Dynamic(_))).count()
            }
        }
    }

    /// The text with words of the caller's in the places of its expressions.
    #[must_use]
    pub fn filled<'a>(&self, mut word: impl FnMut() -> &'a str) -> String {
        match &self.parts {
            Parts::Literal(text) => (**text).to_owned(),
            Parts::Single(_) => word().to_owned(),
            Parts::Mixed(parts) => {
                let words = parts.iter().map(|part| match part {
                    Part::Text(text) => &**text,
                    Part::Dynamic(_) => word(),
                });
                words.collect()
            }
        }
    }

    /// # Errors
    /// `No attribute named 'x' is defined`, and the other texts of Gatling.
    pub fn eval(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<Value, String> {
        match &self.parts {
            Parts::Literal(text) => Ok(Value::Str(Arc::clone(text))),
            Parts::Single(dynamic) => dynamic.eval(session, ctx),
            Parts::Mixed(_) => {
                let mut out = String::new();
                self.eval_into(&mut out, session, ctx)?;
                Ok(Value::from(out))
            }
        }
    }

    /// Appends the text of the value. What was appended before an error stays.
    ///
    /// # Errors
    /// As [`Self::eval`].
    pub fn eval_into(
        &self,
        out: &mut String,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<(), String> {
        match &self.parts {
            Parts::Literal(text) => out.push_str(text),
            Parts::Single(dynamic) => dynamic.eval_into(out, session, ctx)?,
            Parts::Mixed(parts) => {
                for part in parts.iter() {
                    match part {
                        Part::Text(text) => out.push_str(text),
                        Part::Dynamic(dynamic) => dynamic.eval_into(out, session, ctx)?,
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

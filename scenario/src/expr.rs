//! Values that are worked out per virtual user: a literal, an expression-language string, or a
//! function of the script. Every place of the IR where Gatling takes "value, EL or function" is one.

use std::fmt;
use std::sync::Arc;

use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use crate::el::{Template, cast};
use crate::pebble;
use crate::session::Session;
use crate::shard::Problem;
use crate::time::Micros;
use crate::value::Value;

/// Index of a script function in the table that evaluating the script builds. Evaluation is
/// deterministic, so the same index names the same function on every engine thread and every node.
pub type FnId = u32;

/// As written in the IR: `{"lit": 3}`, `{"el": "#{name}"}`, `{"fn": 12}` or
/// `{"pebble": "{{ name }}"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    Lit(Value),
    El(String),
    Fn(FnId),
    /// A Pebble template, whatever the text: bodies only.
    Pebble(String),
}

impl Expr {
    #[must_use]
    pub fn str(text: impl Into<String>) -> Self {
        Self::Lit(Value::from(text.into()))
    }
}

/// As people read it; what a function does is in the script.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lit(value) => write!(f, "{value}"),
            Self::El(text) | Self::Pebble(text) => f.write_str(text),
            Self::Fn(_) => f.write_str("(function)"),
        }
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

    /// Whether the script has something to do at a [`Moment`].
    fn has_moments(&self) -> bool {
        false
    }

    /// # Errors
    /// What the script's function threw, with its place.
    fn moment(&mut self, _moment: Moment) -> Result<(), Problem> {
        Ok(())
    }
}

/// Of a run, when a script has its say outside of its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// All is loaded and nothing is started.
    Before,
    /// The last user has ended.
    After,
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
    Pebble(pebble::Template),
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
            Expr::Pebble(text) => Self::Pebble(pebble::Template::parse(text)?),
        })
    }

    /// # Errors
    /// What Gatling says of it: `No attribute named 'x' is defined`, or what the function threw.
    pub fn eval(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<Value, String> {
        match self {
            Self::Lit(value) => Ok(value.clone()),
            Self::El(template) => template.eval(session, ctx),
            Self::Pebble(template) => template.render(session).map(Value::from),
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

/// Typed evaluation: literals and expression-language strings are cast (`"3"` is a count), what a
/// function returns is taken at its word (`() => "3"` is not).
impl Compiled {
    fn eval_as<T>(
        &self,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
        lenient: impl FnOnce(&Value) -> Result<T, String>,
        strict: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Result<T, String> {
        match self {
            Self::Lit(value) => lenient(value),
            Self::El(template) => lenient(&template.eval(session, ctx)?),
            Self::Pebble(template) => lenient(&template.render(session)?.into()),
            Self::Fn(_) => strict(&self.eval(session, ctx)?),
        }
    }

    /// For texts (urls, headers, names): a function must give a string.
    ///
    /// # Errors
    /// As [`Self::eval`], and a value of the wrong type.
    pub fn eval_string(
        &self,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<Arc<str>, String> {
        self.eval_as(session, ctx, |value| Ok(cast::to_str(value)), cast::to_str_strict)
    }

    /// For counts.
    ///
    /// # Errors
    /// As [`Self::eval`], and a value of the wrong type.
    pub fn eval_int(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<i64, String> {
        self.eval_as(session, ctx, cast::to_int, cast::to_int_strict)
    }

    /// For conditions.
    ///
    /// # Errors
    /// As [`Self::eval`], and a value of the wrong type.
    pub fn eval_bool(&self, session: &Session, ctx: &mut EvalCtx<'_>) -> Result<bool, String> {
        self.eval_as(session, ctx, cast::to_bool, cast::to_bool_strict)
    }

    /// For durations: a number is seconds, `{amount, unit}` what it says. Microseconds.
    ///
    /// # Errors
    /// As [`Self::eval`], and a value of the wrong type.
    pub fn eval_duration_us(
        &self,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<Micros, String> {
        self.eval_as(session, ctx, cast::to_duration_us, cast::to_duration_us_strict)
    }

    /// For sequences (`foreach`).
    ///
    /// # Errors
    /// As [`Self::eval`], and a value of the wrong type.
    pub fn eval_list(
        &self,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<Arc<Vec<Value>>, String> {
        self.eval_as(session, ctx, cast::to_list, cast::to_list)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    struct Returns(Value);

    impl Hooks for Returns {
        fn call(
            &mut self,
            _function: FnId,
            _session: &Session,
            _args: HookArgs<'_>,
        ) -> Result<HookOutcome, String> {
            Ok(HookOutcome::Value(self.0.clone()))
        }
    }

    #[test]
    fn functions_are_taken_at_their_word_and_texts_are_cast() {
        let mut session = Session::new("s".into(), 0);
        session.set("n", "3".into());
        let mut hooks = Returns("3".into());
        let mut rng = SmallRng::seed_from_u64(1);
        let mut ctx = EvalCtx { hooks: &mut hooks, rng: &mut rng, unix_ms: 0 };
        let el = Compiled::new(&Expr::El("#{n}".into())).unwrap();
        let function = Compiled::new(&Expr::Fn(0)).unwrap();
        assert_eq!(el.eval_int(&session, &mut ctx), Ok(3));
        assert_eq!(el.eval_duration_us(&session, &mut ctx), Ok(3_000_000));
        assert_eq!(
            function.eval_int(&session, &mut ctx),
            Err("Can't cast value 3 of type string into integer".to_owned())
        );
        assert_eq!(function.eval_string(&session, &mut ctx).as_deref(), Ok("3"));
        let literal = Compiled::new(&Expr::Lit(Value::Int(5))).unwrap();
        assert_eq!(literal.eval_string(&session, &mut ctx).as_deref(), Ok("5"));
        assert!(literal.eval_list(&session, &mut ctx).is_err());
    }

    #[test]
    fn a_text_without_expressions_becomes_a_literal() {
        let literal = Compiled::new(&Expr::El("a \\#{b}".into())).unwrap();
        assert!(matches!(literal, Compiled::Lit(Value::Str(text)) if &*text == "a #{b}"));
        assert!(Compiled::new(&Expr::El("#{".into())).is_err());
    }
}

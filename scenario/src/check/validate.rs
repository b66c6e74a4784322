//! `is`, `not`, `in`, `exists` …: what must hold of the value, and how Gatling says that it does
//! not.

use std::cmp::Ordering;

use super::{Kind, Validator as ValidatorSpec};
use crate::el::cast;
use crate::expr::{Compiled, EvalCtx, FnId, HookArgs, HookOutcome};
use crate::session::Session;
use crate::value::Value;

#[derive(Debug)]
pub(super) enum Validator {
    Is(Compiled),
    Not(Compiled),
    In(Vec<Compiled>),
    InExpr(Compiled),
    Compare(Comparison, Compiled),
    Exists,
    NotExists,
    Optional,
    IsNull,
    NotNull,
    Custom {
        name: String,
        function: FnId,
    },
    /// Of the status check that every response gets: any 2xx, or 304.
    Success,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Lt,
    Lte,
    Gt,
    Gte,
}

impl Validator {
    pub(super) fn new(spec: &ValidatorSpec) -> Result<Self, String> {
        Ok(match spec {
            ValidatorSpec::Is(expr) => Self::Is(Compiled::new(expr)?),
            ValidatorSpec::Not(expr) => Self::Not(Compiled::new(expr)?),
            ValidatorSpec::In(exprs) => {
                Self::In(exprs.iter().map(Compiled::new).collect::<Result<_, _>>()?)
            }
            ValidatorSpec::InExpr(expr) => Self::InExpr(Compiled::new(expr)?),
            ValidatorSpec::Lt(expr) => Self::Compare(Comparison::Lt, Compiled::new(expr)?),
            ValidatorSpec::Lte(expr) => Self::Compare(Comparison::Lte, Compiled::new(expr)?),
            ValidatorSpec::Gt(expr) => Self::Compare(Comparison::Gt, Compiled::new(expr)?),
            ValidatorSpec::Gte(expr) => Self::Compare(Comparison::Gte, Compiled::new(expr)?),
            ValidatorSpec::Exists => Self::Exists,
            ValidatorSpec::NotExists => Self::NotExists,
            ValidatorSpec::Optional => Self::Optional,
            ValidatorSpec::IsNull => Self::IsNull,
            ValidatorSpec::NotNull => Self::NotNull,
            ValidatorSpec::Custom { name, function } => {
                Self::Custom { name: name.clone(), function: *function }
            }
        })
    }

    /// The name, for texts about what went wrong before the expected value was known.
    pub(super) fn bare_name(&self) -> &str {
        match self {
            Self::Is(_) => "is",
            Self::Not(_) => "not",
            Self::In(_) | Self::InExpr(_) | Self::Success => "in",
            Self::Compare(Comparison::Lt, _) => "lessThan",
            Self::Compare(Comparison::Lte, _) => "lessThanOrEqual",
            Self::Compare(Comparison::Gt, _) => "greaterThan",
            Self::Compare(Comparison::Gte, _) => "greaterThanOrEqual",
            Self::Exists => "exists",
            Self::NotExists => "notExists",
            Self::Optional => "optional",
            Self::IsNull => "isNull",
            Self::NotNull => "notNull",
            Self::Custom { name, .. } => name,
        }
    }

    /// Evaluates what is expected: once per response, before the value is looked for.
    ///
    /// # Errors
    /// The text that follows `validator resolution crashed: `.
    pub(super) fn expected(
        &self,
        kind: Kind,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<Expected, String> {
        let mut one = |expr: &Compiled| cast_to(kind, expr.eval(session, ctx)?);
        Ok(match self {
            Self::Is(expr) | Self::Not(expr) | Self::Compare(_, expr) => Expected::One(one(expr)?),
            Self::In(exprs) => Expected::Many(exprs.iter().map(one).collect::<Result<_, _>>()?),
            Self::InExpr(expr) => {
                let list = cast::to_list(&expr.eval(session, ctx)?)?;
                let items = list.iter().map(|item| cast_to(kind, item.clone()));
                Expected::Many(items.collect::<Result<_, _>>()?)
            }
            _ => Expected::Nothing,
        })
    }

    /// As it reads in error texts: `is(x)`.
    pub(super) fn name(&self, expected: &Expected) -> String {
        let name = self.bare_name();
        match expected {
            _ if matches!(self, Self::Success) => "in([200, 209], 304)".to_owned(),
            Expected::Nothing => name.to_owned(),
            Expected::One(value) => format!("{name}({value})"),
            Expected::Many(values) => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                format!("{name}({})", values.join(","))
            }
        }
    }

    /// The value to save, if there is one.
    ///
    /// # Errors
    /// What is wrong with it, as it follows the check's name.
    pub(super) fn validate(
        &self,
        actual: Option<Value>,
        expected: &Expected,
        hidden: bool,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<Option<Value>, String> {
        let found = |actual: &Option<Value>, how: &str| match actual {
            None => "found nothing".to_owned(),
            Some(_) if hidden => "failed".to_owned(),
            Some(value) => format!("{how} {value}"),
        };
        let accepted = match (self, expected) {
            (Self::Is(_), Expected::One(wanted)) => {
                actual.as_ref().is_some_and(|value| same(value, wanted))
            }
            (Self::Not(_), Expected::One(wanted)) => {
                if actual.as_ref().is_some_and(|value| same(value, wanted)) {
                    return Err(found(&actual, "unexpectedly found"));
                }
                true
            }
            (Self::In(_) | Self::InExpr(_), Expected::Many(wanted)) => {
                actual.as_ref().is_some_and(|value| wanted.iter().any(|wanted| same(value, wanted)))
            }
            (Self::Compare(comparison, _), Expected::One(wanted)) => {
                comparison.check(actual.as_ref(), wanted, hidden)?;
                true
            }
            (Self::Exists, _) => actual.is_some(),
            (Self::NotExists, _) if actual.is_some() => {
                return Err(found(&actual, "unexpectedly found"));
            }
            (Self::IsNull, _) => matches!(actual, Some(Value::Null)),
            (Self::NotNull, _) => match actual {
                Some(Value::Null) => return Err("failed".to_owned()),
                _ => actual.is_some(),
            },
            (Self::Success, _) => {
                matches!(actual, Some(Value::Int(status)) if is_success(status))
            }
            (Self::Custom { function, .. }, _) => {
                let value = actual.unwrap_or_default();
                return call_for_value(*function, session, HookArgs::ValueAndSession(&value), ctx);
            }
            _ => true,
        };
        if accepted { Ok(actual) } else { Err(found(&actual, "found")) }
    }
}

fn is_success(status: i64) -> bool {
    (200..300).contains(&status) || status == 304
}

/// What a validator compares with.
pub(super) enum Expected {
    Nothing,
    One(Value),
    Many(Vec<Value>),
}

impl Comparison {
    fn check(self, actual: Option<&Value>, wanted: &Value, hidden: bool) -> Result<(), String> {
        let Some(actual) = actual else {
            return Err(format!("can't compare nothing and {wanted}"));
        };
        let Some(ordering) = compare(actual, wanted) else {
            return Err(format!("can't compare {actual} and {wanted}"));
        };
        let (holds, words) = match self {
            Self::Lt => (ordering.is_lt(), "less than"),
            Self::Lte => (ordering.is_le(), "less than or equal to"),
            Self::Gt => (ordering.is_gt(), "greater than"),
            Self::Gte => (ordering.is_ge(), "greater than or equal to"),
        };
        match (holds, hidden) {
            (true, _) => Ok(()),
            (false, true) => Err("failed".to_owned()),
            (false, false) => Err(format!("{actual} is not {words} {wanted}")),
        }
    }
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        _ => a.cmp_numbers(b),
    }
}

/// JavaScript has one kind of number: 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a.cmp_numbers(b).map_or_else(|| a == b, Ordering::is_eq),
    }
}

/// An expected value as the type that the extractor gives.
///
/// # Errors
/// A value that is not of that type.
pub(super) fn cast_to(kind: Kind, value: Value) -> Result<Value, String> {
    Ok(match kind {
        _ if value.is_null() => value,
        Kind::Text => Value::Str(cast::to_str(&value)),
        Kind::Int => Value::Int(cast::to_int(&value)?),
        Kind::Double => Value::Double(cast::to_double(&value)?),
        Kind::Bool => Value::Bool(cast::to_bool(&value)?),
        Kind::Bytes => match value {
            Value::Str(text) => Value::Bytes(text.as_bytes().into()),
            Value::List(items) => {
                let byte = |item: &Value| match item {
                    // Java's bytes are signed.
                    Value::Int(number @ -128..=255) => Some(number.to_le_bytes()[0]),
                    _ => None,
                };
                let bytes: Option<Vec<u8>> = items.iter().map(byte).collect();
                bytes.map_or(Value::List(items), |bytes| Value::Bytes(bytes.into()))
            }
            other => other,
        },
        Kind::Any => value,
    })
}

/// Calls a function of the script; null is nothing.
///
/// # Errors
/// What it threw.
pub(super) fn call_for_value(
    function: FnId,
    session: &Session,
    args: HookArgs<'_>,
    ctx: &mut EvalCtx<'_>,
) -> Result<Option<Value>, String> {
    match ctx.hooks.call(function, session, args)? {
        HookOutcome::Value(value) => Ok((!value.is_null()).then_some(value)),
        HookOutcome::Session(_) => Err("a session is not a value here".to_owned()),
    }
}

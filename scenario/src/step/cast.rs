//! From a value to what a step needs. A function's result is taken strictly (a `"2"` is no number);
//! literals and expression-language strings are parsed where needed, as Gatling does.

use std::cmp::Ordering;
use std::fmt::Write as _;

use crate::expr::{Compiled, EvalCtx};
use crate::session::Session;
use crate::time::{MICROS_PER_SECOND, Micros};
use crate::value::Value;

/// Longest pause, pace or loop duration that is taken at its word: about 31 years.
const DURATION_MAX_SECONDS: f64 = 1e9;

fn mismatch(value: &Value, wanted: &str) -> String {
    format!("can't cast value {value} of type {} into {wanted}", value.type_name())
}

pub(crate) fn eval_bool(
    expr: &Compiled,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<bool, String> {
    let value = expr.eval(session, eval)?;
    match &value {
        Value::Bool(flag) => Ok(*flag),
        Value::Str(text) if !matches!(expr, Compiled::Fn(_)) => match text.trim() {
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(mismatch(&value, "boolean")),
        },
        _ => Err(mismatch(&value, "boolean")),
    }
}

pub(crate) fn eval_int(
    expr: &Compiled,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<i64, String> {
    let value = expr.eval(session, eval)?;
    as_int(&value, matches!(expr, Compiled::Fn(_))).ok_or_else(|| mismatch(&value, "integer"))
}

fn as_int(value: &Value, strict: bool) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        // A JavaScript 3.0 is the number 3.
        #[expect(clippy::cast_possible_truncation, reason = "an integer in the safe range")]
        Value::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Some(*number as i64)
        }
        Value::Str(text) if !strict => text.trim().parse().ok(),
        _ => None,
    }
}

pub(crate) fn eval_millis(
    expr: &Compiled,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<Micros, String> {
    let value = expr.eval(session, eval)?;
    let number = as_number(&value).ok_or_else(|| mismatch(&value, "a number of milliseconds"))?;
    to_micros(number / 1e3).ok_or_else(|| mismatch(&value, "a number of milliseconds"))
}

/// A number, or a text that is one, is seconds; `{amount, unit}` is what it says.
pub(crate) fn eval_duration(
    expr: &Compiled,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<Micros, String> {
    let value = expr.eval(session, eval)?;
    as_duration(&value).ok_or_else(|| mismatch(&value, "duration"))
}

fn as_duration(value: &Value) -> Option<Micros> {
    if let Value::Map(fields) = value {
        let seconds_per_unit = match fields.get("unit")?.as_str()? {
            "milliseconds" => 1e-3,
            "seconds" => 1.0,
            "minutes" => 60.0,
            "hours" => 3_600.0,
            "days" => 86_400.0,
            _ => return None,
        };
        return to_micros(as_number(fields.get("amount")?)? * seconds_per_unit);
    }
    to_micros(as_number(value)?)
}

pub(crate) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Str(text) => text.trim().parse().ok(),
        _ => value.as_f64(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "checked to be within 0 and 1e9 seconds"
)]
fn to_micros(seconds: f64) -> Option<Micros> {
    (0.0..=DURATION_MAX_SECONDS)
        .contains(&seconds)
        .then(|| (seconds * MICROS_PER_SECOND as f64).round() as Micros)
}

pub(crate) fn eval_text(
    expr: &Compiled,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<String, String> {
    let mut text = String::new();
    match expr {
        Compiled::Lit(value) => {
            // Writing to a String cannot fail.
            let _ = write!(text, "{value}");
        }
        _ => expr.eval_into(&mut text, session, eval)?,
    }
    Ok(text)
}

/// Equality as `doIfEquals` and `doSwitch` have it: text is never a number, but 1 is 1.0.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    left.cmp_numbers(right).map_or_else(|| left == right, Ordering::is_eq)
}

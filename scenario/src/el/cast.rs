//! From a value to what a step needs. Two measures: an expression-language string or a literal may
//! be text that is a number (`"3"`), a function of the script must return the type itself
//! (`() => "3"` is an error), as on Gatling.

use std::sync::Arc;

use crate::time::{MICROS_PER_SECOND, Micros};
use crate::value::Value;

fn mismatch(value: &Value, wanted: &str) -> String {
    format!("Can't cast value {value} of type {} into {wanted}", value.type_name())
}

fn unreadable(text: &str, wanted: &str) -> String {
    format!("Can't parse '{text}' into {wanted}: For input string: \"{text}\"")
}

/// A double without a fraction, within ± 2^53.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// # Errors
/// Anything but a whole number.
pub fn to_int_strict(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Double(number) => whole(*number),
        _ => None,
    }
    .ok_or_else(|| mismatch(value, "integer"))
}

/// # Errors
/// Anything but a whole number or the text of one.
pub fn to_int(value: &Value) -> Result<i64, String> {
    match value {
        Value::Str(text) => text.trim().parse().map_err(|_| unreadable(text, "int")),
        _ => to_int_strict(value),
    }
}

/// # Errors
/// Anything but a number or the text of one.
pub fn to_double(value: &Value) -> Result<f64, String> {
    match value {
        Value::Str(text) => text.trim().parse().ok(),
        _ => value.as_f64(),
    }
    .ok_or_else(|| mismatch(value, "double"))
}

/// # Errors
/// Anything but a boolean.
pub fn to_bool_strict(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        _ => Err(mismatch(value, "boolean")),
    }
}

/// # Errors
/// Anything but a boolean or the text of one.
pub fn to_bool(value: &Value) -> Result<bool, String> {
    match value {
        Value::Str(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::Str(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Value::Str(text) => Err(unreadable(text, "boolean")),
        _ => to_bool_strict(value),
    }
}

/// # Errors
/// Anything but text.
pub fn to_str_strict(value: &Value) -> Result<Arc<str>, String> {
    match value {
        Value::Str(text) => Ok(Arc::clone(text)),
        _ => Err(mismatch(value, "string")),
    }
}

/// The text of any value.
#[must_use]
pub fn to_str(value: &Value) -> Arc<str> {
    match value {
        Value::Str(text) => Arc::clone(text),
        _ => value.to_string().into(),
    }
}

/// # Errors
/// Anything but a list.
pub fn to_list(value: &Value) -> Result<Arc<Vec<Value>>, String> {
    match value {
        Value::List(items) => Ok(Arc::clone(items)),
        _ => Err(mismatch(value, "list")),
    }
}

/// A number is seconds; `{amount, unit}` has its own unit. Microseconds.
///
/// # Errors
/// Another type, an unknown unit, a negative or unrepresentable duration.
pub fn to_duration_us_strict(value: &Value) -> Result<Micros, String> {
    match value {
        Value::Int(_) | Value::Big(_) | Value::Double(_) => micros(value, 1.0),
        Value::Map(entries) => {
            let (Some(amount), Some(Value::Str(unit))) =
                (entries.get("amount"), entries.get("unit"))
            else {
                return Err(mismatch(value, "duration: {amount, unit} are missing"));
            };
            let seconds = match unit.to_ascii_lowercase().trim_end_matches('s') {
                "millisecond" => 0.001,
                "second" => 1.0,
                "minute" => 60.0,
                "hour" => 3_600.0,
                "day" => 86_400.0,
                _ => {
                    return Err(format!(
                        "{unit} is not a unit of time: \
                         milliseconds, seconds, minutes, hours or days"
                    ));
                }
            };
            micros(amount, seconds)
        }
        _ => Err(mismatch(value, "duration")),
    }
}

/// # Errors
/// As [`to_duration_us_strict`], except that the text of a number is seconds too.
pub fn to_duration_us(value: &Value) -> Result<Micros, String> {
    match value {
        Value::Str(_) => {
            let seconds = to_double(value).map_err(|_| mismatch(value, "duration"))?;
            micros(&Value::Double(seconds), 1.0)
        }
        _ => to_duration_us_strict(value),
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 µs are 285 years")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range is checked")]
fn micros(amount: &Value, seconds: f64) -> Result<Micros, String> {
    let number = amount.as_f64().ok_or_else(|| mismatch(amount, "duration"))?;
    let micros = (number * seconds * MICROS_PER_SECOND as f64).round();
    if !(0.0..=9_007_199_254_740_992.0).contains(&micros) {
        return Err(format!("{amount} is not a valid duration"));
    }
    Ok(micros as Micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ValueMap;

    fn duration(amount: impl Into<Value>, unit: &str) -> Value {
        let entries: ValueMap =
            [("amount".into(), amount.into()), ("unit".into(), unit.into())].into_iter().collect();
        Value::map(entries)
    }

    #[test]
    fn numbers() {
        assert_eq!(to_int(&"12".into()), Ok(12));
        assert_eq!(to_int(&Value::Double(2.0)), Ok(2));
        assert_eq!(
            to_int(&Value::Double(1.5)),
            Err("Can't cast value 1.5 of type double into integer".to_owned())
        );
        assert!(to_int_strict(&"2".into()).is_err());
        assert!(to_int(&Value::Null).is_err());
        assert_eq!(to_double(&"1.5".into()), Ok(1.5));
    }

    #[test]
    fn booleans() {
        assert_eq!(to_bool(&"true".into()), Ok(true));
        assert!(to_bool_strict(&"true".into()).is_err());
        assert!(to_bool(&Value::Int(1)).is_err());
    }

    #[test]
    fn durations() {
        for (value, micros) in [
            (Value::Int(2), 2_000_000),
            (Value::Double(0.25), 250_000),
            (Value::from("1.5"), 1_500_000),
            (duration(150, "milliseconds"), 150_000),
            (duration(0.5, "MINUTES"), 30_000_000),
            (duration(1, "hour"), 3_600_000_000),
        ] {
            assert_eq!(to_duration_us(&value), Ok(micros), "{value}");
        }
        assert!(to_duration_us_strict(&"1".into()).is_err());
        assert_eq!(to_duration_us(&Value::Int(-1)), Err("-1 is not a valid duration".to_owned()));
        assert!(to_duration_us(&Value::Double(f64::NAN)).is_err());
        assert!(to_duration_us(&duration(1, "fortnights")).is_err());
        assert!(to_duration_us(&Value::map(ValueMap::new())).is_err());
    }

    impl From<i32> for Value {
        fn from(number: i32) -> Self {
            Self::Int(number.into())
        }
    }
}

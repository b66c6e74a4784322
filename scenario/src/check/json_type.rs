//! `ofString()`, `ofInt()` …: what a JSON value is read as. A wrong type is no match.

use super::{JsonType, Kind};
use crate::value::Value;

pub(super) fn kind(of: JsonType) -> Kind {
    match of {
        JsonType::String => Kind::Text,
        JsonType::Boolean => Kind::Bool,
        JsonType::Int | JsonType::Long => Kind::Int,
        JsonType::Double => Kind::Double,
        JsonType::List | JsonType::Map | JsonType::Object => Kind::Any,
    }
}

/// Straight from the parsed JSON, without a copy of what is not asked for.
pub(super) fn read(json: &serde_json::Value, of: JsonType) -> Option<Value> {
    match (of, json) {
        (JsonType::String, serde_json::Value::String(text)) => Some(Value::from(text.as_str())),
        (JsonType::List, serde_json::Value::Object(_))
        | (JsonType::Map, serde_json::Value::Array(_)) => None,
        _ => convert(Value::from(json), of),
    }
}

/// As the JVM unboxes: null is 0 where a number is wanted, an int wraps, a fraction is cut.
#[expect(clippy::cast_possible_truncation, reason = "what Gatling does: 1.5 is 1, longs wrap")]
#[expect(clippy::cast_precision_loss, reason = "what asking for a double means")]
pub(super) fn convert(value: Value, of: JsonType) -> Option<Value> {
    Some(match (of, value) {
        (JsonType::Object, value)
        | (JsonType::List, value @ (Value::List(_) | Value::Null))
        | (JsonType::Map, value @ (Value::Map(_) | Value::Null))
        | (JsonType::String, value @ (Value::Null | Value::Str(_)))
        | (JsonType::Boolean, value @ Value::Bool(_))
        | (JsonType::Long, value @ Value::Int(_))
        | (JsonType::Double, value @ Value::Double(_)) => value,
        (JsonType::String, value) => Value::from(value.to_json()),
        (JsonType::Boolean, Value::Null) => Value::Bool(false),
        (JsonType::Int | JsonType::Long, Value::Null) => Value::Int(0),
        (JsonType::Int, Value::Int(number)) => Value::Int((number as i32).into()),
        (JsonType::Int, Value::Double(number)) => Value::Int((number as i32).into()),
        (JsonType::Long, Value::Double(number)) => Value::Int(number as i64),
        (JsonType::Double, Value::Int(number)) => Value::Double(number as f64),
        (JsonType::Double, Value::Null) => Value::Double(0.0),
        _ => return None,
    })
}

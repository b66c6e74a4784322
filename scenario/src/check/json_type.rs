//! `ofString()`, `ofInt()` …: what a JSON value is read as. A wrong type is no match.

use std::sync::Arc;

use super::{JsonType, Kind};
use crate::value::{Value, ValueMap};

pub(super) fn kind(of: JsonType) -> Kind {
    match of {
        JsonType::String => Kind::Text,
        JsonType::Boolean => Kind::Bool,
        JsonType::Int | JsonType::Long => Kind::Int,
        JsonType::Double => Kind::Double,
        JsonType::List | JsonType::Map | JsonType::Object => Kind::Any,
    }
}

/// As the JVM unboxes: null is 0 where a number is wanted, a whole number wraps, a fraction is cut.
#[expect(clippy::cast_possible_truncation, reason = "what Gatling does: 1.5 is 1, longs wrap")]
pub(super) fn read(json: &Value, of: JsonType) -> Option<Value> {
    Some(match (of, json) {
        (JsonType::Object, value)
        | (JsonType::List, value @ (Value::List(_) | Value::Null))
        | (JsonType::Map, value @ (Value::Map(_) | Value::Null)) => sorted(value),
        (JsonType::String, value @ (Value::Null | Value::Str(_)))
        | (JsonType::Boolean, value @ Value::Bool(_))
        | (JsonType::Long, value @ Value::Int(_))
        | (JsonType::Double, value @ Value::Double(_)) => value.clone(),
        (JsonType::String, value) => Value::from(value.to_json()),
        (JsonType::Boolean, Value::Null) => Value::Bool(false),
        (JsonType::Int | JsonType::Long, Value::Null) => Value::Int(0),
        (JsonType::Int, Value::Int(number)) => Value::Int((*number as i32).into()),
        (JsonType::Int, Value::Big(number)) => Value::Int((number.low_bits() as i32).into()),
        (JsonType::Int, Value::Double(number)) => Value::Int((*number as i32).into()),
        (JsonType::Long, Value::Big(number)) => Value::Int(number.low_bits()),
        (JsonType::Long, Value::Double(number)) => Value::Int(*number as i64),
        (JsonType::Double, Value::Null) => Value::Double(0.0),
        (JsonType::Double, value) => Value::Double(value.as_f64()?),
        _ => return None,
    })
}

/// Gatling hands objects over as sorted maps, by the UTF-16 of their keys. What is sorted already is
/// not copied.
fn sorted(value: &Value) -> Value {
    match value {
        Value::List(items) if !items.iter().all(is_sorted) => {
            Value::list(items.iter().map(sorted).collect())
        }
        Value::Map(fields) if !is_sorted(value) => {
            let mut fields: ValueMap =
                fields.iter().map(|(key, value)| (Arc::clone(key), sorted(value))).collect();
            fields.sort_by(|left, _, right, _| left.encode_utf16().cmp(right.encode_utf16()));
            Value::map(fields)
        }
        _ => value.clone(),
    }
}

fn is_sorted(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().all(is_sorted),
        Value::Map(fields) => {
            fields.keys().is_sorted_by(|left, right| left.encode_utf16().le(right.encode_utf16()))
                && fields.values().all(is_sorted)
        }
        _ => true,
    }
}

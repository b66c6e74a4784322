//! What a virtual user's session, a feeder record and a check's result are made of: JSON's values,
//! with integers kept apart from doubles and raw bytes added. Cheap to clone, immutable inside.
//!
//! Text forms are Java's, because simulations that concatenate a list or a map saw those on Gatling
//! (`[a, b]`, `{k=v}`, `1.2E-7`); integers always print as integers (parity table: "numbers").

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An ordered string-keyed map: JSON objects keep the order they were written in.
pub type ValueMap = IndexMap<Arc<str>, Value>;

/// One value of a session attribute, a feeder field, or an extracted check result.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Arc<Vec<Self>>),
    Map(Arc<ValueMap>),
}

impl Value {
    #[must_use]
    pub fn str(text: impl Into<Arc<str>>) -> Self {
        Self::Str(text.into())
    }

    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Arc::new(items))
    }

    #[must_use]
    pub fn map(entries: ValueMap) -> Self {
        Self::Map(Arc::new(entries))
    }

    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Gatling's JSON text of a value: a string by itself is not quoted, doubles have Java's form.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Self::Str(text) => text.as_ref().to_owned(),
            _ => {
                let mut out = String::new();
                self.write_json(&mut out);
                out
            }
        }
    }

    fn write_json(&self, out: &mut String) {
        let quoted = |out: &mut String, text: &str| {
            // Text is always JSON: there is nothing in it that could fail.
            out.push_str(&serde_json::to_string(text).unwrap_or_default());
        };
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(_) | Self::Int(_) | Self::Double(_) => out.push_str(&self.to_string()),
            Self::Str(text) => quoted(out, text),
            Self::Bytes(_) => quoted(out, &self.to_string()),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    quoted(out, key);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }

    /// The field's name of the type, for error messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Double(_) => "double",
            Self::Str(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(flag) => Self::Bool(*flag),
            serde_json::Value::Number(number) => number
                .as_i64()
                .map_or_else(|| Self::Double(number.as_f64().unwrap_or(f64::NAN)), Self::Int),
            serde_json::Value::String(text) => Self::str(text.as_str()),
            serde_json::Value::Array(items) => Self::list(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(fields) => Self::map(
                fields
                    .iter()
                    .map(|(key, value)| (key.as_str().into(), Self::from(value)))
                    .collect(),
            ),
        }
    }
}

/// Java's `Double.toString`: always a fraction, scientific below 1e-3 and from 1e7 on.
#[must_use]
pub fn java_double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let scientific = format!("{number:E}");
    match scientific.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => scientific,
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Double(number) => f.write_str(&java_double(*number)),
            Self::Str(text) => f.write_str(text),
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{key}={value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Double(number) => serializer.serialize_f64(*number),
            Self::Str(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => bytes.serialize(serializer),
            Self::List(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    sequence.serialize_element(item)?;
                }
                sequence.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries.iter() {
                    map.serialize_entry(key.as_ref(), value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "beyond i64 only a double can hold it")]
        Ok(i64::try_from(number).map_or(Value::Double(number as f64), Value::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Double(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::list(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = ValueMap::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            entries.insert(key.into(), value);
        }
        Ok(Value::map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_are_those_of_java() {
        let list = Value::list(vec!["a".into(), Value::Int(1), Value::Null]);
        assert_eq!(list.to_string(), "[a, 1, null]");
        let map: ValueMap =
            [("k".into(), Value::Double(1.0)), ("l".into(), list)].into_iter().collect();
        assert_eq!(Value::map(map).to_string(), "{k=1.0, l=[a, 1, null]}");
        for (number, text) in [
            (1000.0, "1000.0"),
            (1.2e-7, "1.2E-7"),
            (1e7, "1.0E7"),
            (0.001, "0.001"),
            (-0.5, "-0.5"),
            (12_345_678.9, "1.23456789E7"),
        ] {
            assert_eq!(java_double(number), text);
        }
    }

    #[test]
    fn json_keeps_integers_apart_from_doubles_and_the_order_of_fields() {
        let value: Value = serde_json::from_str(r#"{"b":1,"a":1.5,"c":[true,null,"x"]}"#).unwrap();
        assert_eq!(value.to_string(), "{b=1, a=1.5, c=[true, null, x]}");
        assert_eq!(
            serde_json::to_string(&value).unwrap(),
            r#"{"b":1,"a":1.5,"c":[true,null,"x"]}"#
        );
        assert_eq!(value.to_json(), r#"{"b":1,"a":1.5,"c":[true,null,"x"]}"#);
        assert_eq!(Value::from("a\"b").to_json(), "a\"b");
        assert_eq!(
            Value::list(vec![Value::Double(1000.0), "x".into()]).to_json(),
            r#"[1000.0,"x"]"#
        );
    }
}

//! What a virtual user's session, a feeder record and a check's result are made of: JSON's values,
//! with whole numbers of any size kept apart from doubles and raw bytes added. Cheap to clone,
//! immutable inside.
//!
//! Text forms are Java's, because simulations that concatenate a list or a map saw those on Gatling
//! (`[a, b]`, `{k=v}`, `1.2E-7`); integers always print as integers (parity table: "numbers").

mod big;
pub mod json;

use std::fmt::{self, Write as _};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

pub use big::Big;

/// An ordered string-keyed map: JSON objects keep the order they were written in.
pub type ValueMap = IndexMap<Arc<str>, Value>;

/// One value of a session attribute, a feeder field, or an extracted check result.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number that 64 bits cannot hold.
    Big(Big),
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
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(_) | Self::Int(_) | Self::Big(_) | Self::Double(_) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{self}");
            }
            Self::Str(text) => write_quoted(out, text),
            Self::Bytes(_) => write_quoted(out, &self.to_string()),
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
                    write_quoted(out, key);
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
            Self::Int(_) | Self::Big(_) => "integer",
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

/// A text as JSON, escaped as Gatling does.
pub(crate) fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
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
    // One digit becomes two, and of those the nearest: the smallest double is 4.9E-324.
    if scientific.contains('.') { scientific } else { format!("{number:.1E}") }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Big(number) => write!(f, "{number}"),
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
            Self::Big(number) => match number.as_str().parse() {
                Ok(number) => serializer.serialize_u64(number),
                // JSON is what values are written as: its numbers have no end.
                Err(_) => RawValue::from_string(number.to_string())
                    .map_err(<S::Error as serde::ser::Error>::custom)?
                    .serialize(serializer),
            },
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
        Ok(i64::try_from(number)
            .map_or_else(|_| Value::integer(&number.to_string()).unwrap_or_default(), Value::Int))
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
            (5e-324, "4.9E-324"),
            (2e23, "2.0E23"),
            (f64::MAX, "1.7976931348623157E308"),
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
        let huge = "[18446744073709551615,123456789012345678901234567890]";
        assert_eq!(serde_json::to_string(&json::parse(huge).unwrap()).unwrap(), huge);
        assert_eq!(
            serde_json::from_str::<Value>("18446744073709551615").unwrap().to_json(),
            "18446744073709551615"
        );
        assert_eq!(Value::from("a\"b").to_json(), "a\"b");
        let controls = Value::list(vec!["\"\\/\n\u{1}\u{1f}\u{7f}\u{9f}é".into()]);
        assert_eq!(controls.to_json(), r#"["\"\\/\n\u0001\u001F\u007F\u009Fé"]"#);
        assert_eq!(
            Value::list(vec![Value::Double(1000.0), "x".into()]).to_json(),
            r#"[1000.0,"x"]"#
        );
    }
}

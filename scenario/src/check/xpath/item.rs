//! Items of a sequence, how atomic values read as text, and how they become each other.

use std::cmp::Ordering;
use std::sync::Arc;

use super::decimal::Decimal;
use crate::check::xml::NodeId;

#[derive(Clone, Debug)]
pub(super) enum Item {
    Node(NodeId),
    Atomic(Atomic),
}

#[derive(Clone, Debug)]
pub(super) enum Atomic {
    Text(Arc<str>),
    /// What a node holds: it becomes what it is compared with.
    Untyped(Arc<str>),
    Integer(i128),
    Decimal(Decimal),
    Double(f64),
    Boolean(bool),
}

pub(super) type Sequence = Vec<Item>;

/// The atomic types that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Untyped,
    Integer,
    Decimal,
    Double,
    Boolean,
}

impl Type {
    /// By its local name in the namespace of XML Schema.
    pub(super) fn named(local: &str) -> Option<Self> {
        Some(match local {
            "string" | "anyURI" | "normalizedString" | "token" => Self::Text,
            "untypedAtomic" => Self::Untyped,
            "integer" | "int" | "long" | "short" | "nonNegativeInteger" | "positiveInteger" => {
                Self::Integer
            }
            "decimal" => Self::Decimal,
            "double" => Self::Double,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }
}

/// Of a double as XPath writes it: `1.5`, `1.0E7`, `INF`.
fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    if (1e-6..1e6).contains(&value.abs()) {
        return format!("{value}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, power)) if !digits.contains('.') => format!("{digits}.0E{power}"),
        _ => text,
    }
}

/// As XML Schema reads a double.
pub(super) fn double_of(text: &str) -> Option<f64> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    match text {
        "INF" | "+INF" => return Some(f64::INFINITY),
        "-INF" => return Some(f64::NEG_INFINITY),
        "NaN" => return Some(f64::NAN),
        _ => {}
    }
    let digits = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if text.is_empty() || !text.bytes().all(digits) {
        return None;
    }
    text.parse().ok()
}

impl Atomic {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn string(&self) -> Arc<str> {
        match self {
            Self::Text(text) | Self::Untyped(text) => Arc::clone(text),
            Self::Integer(value) => value.to_string().into(),
            Self::Decimal(value) => value.to_string().into(),
            Self::Double(value) => double_text(*value).into(),
            Self::Boolean(value) => value.to_string().into(),
        }
    }

    pub(super) fn is_numeric(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Decimal(_) | Self::Double(_))
    }

    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Text(_) => Type::Text,
            Self::Untyped(_) => Type::Untyped,
            Self::Integer(_) => Type::Integer,
            Self::Decimal(_) => Type::Decimal,
            Self::Double(_) => Type::Double,
            Self::Boolean(_) => Type::Boolean,
        }
    }

    /// `number(.)`: what is no number is NaN.
    pub(super) fn number(&self) -> f64 {
        match self {
            Self::Text(text) | Self::Untyped(text) => double_of(text).unwrap_or(f64::NAN),
            Self::Integer(value) => Decimal::whole(*value).to_double(),
            Self::Decimal(value) => value.to_double(),
            Self::Double(value) => *value,
            Self::Boolean(value) => f64::from(u8::from(*value)),
        }
    }

    /// # Errors
    /// It does not become that.
    pub(super) fn cast(&self, to: Type) -> Result<Self, String> {
        let failed = || {
            let name = match to {
                Type::Text => "string",
                Type::Untyped => "untypedAtomic",
                Type::Integer => "integer",
                Type::Decimal => "decimal",
                Type::Double => "double",
                Type::Boolean => "boolean",
            };
            format!("FORG0001: {:?} is no xs:{name}", &*self.string())
        };
        let cast = match (to, self) {
            (Type::Text, _) => Some(Self::Text(self.string())),
            (Type::Untyped, _) => Some(Self::Untyped(self.string())),
            (Type::Boolean, _) => self.as_boolean().map(Self::Boolean),
            (Type::Double, Self::Text(text) | Self::Untyped(text)) => {
                double_of(text).map(Self::Double)
            }
            (Type::Double, _) => Some(Self::Double(self.number())),
            (Type::Decimal, _) => self.as_decimal().map(Self::Decimal),
            (Type::Integer, Self::Text(text) | Self::Untyped(text)) => {
                let text = text.trim();
                let value: Option<i128> = text.strip_prefix('+').unwrap_or(text).parse().ok();
                value.filter(|value| *value != i128::MIN).map(Self::Integer)
            }
            (Type::Integer, _) => self.as_decimal().map(|value| Self::Integer(value.trunc())),
        };
        cast.ok_or_else(failed)
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            Self::Text(text) | Self::Untyped(text) => match text.trim() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            _ => Some(self.number() != 0.0 && !self.number().is_nan()),
        }
    }

    pub(super) fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Self::Integer(value) => Some(Decimal::whole(*value)),
            Self::Decimal(value) => Some(*value),
            Self::Double(value) => Decimal::of_double(*value),
            Self::Boolean(value) => Some(Decimal::whole(i128::from(*value))),
            Self::Text(text) | Self::Untyped(text) => Decimal::parse(text.trim()),
        }
    }

    /// How two values compare; nothing where one is NaN.
    ///
    /// # Errors
    /// They are not of a kind.
    pub(super) fn compare(&self, other: &Self) -> Result<Option<Ordering>, String> {
        use Atomic::{Boolean, Double, Text, Untyped};
        Ok(match (self, other) {
            (Text(left) | Untyped(left), Text(right) | Untyped(right)) => {
                // By code points, which is the order of UTF-8.
                Some(left.cmp(right))
            }
            (Boolean(left), Boolean(right)) => Some(left.cmp(right)),
            (Double(_), right) if right.is_numeric() => self.number().partial_cmp(&right.number()),
            (left, Double(_)) if left.is_numeric() => left.number().partial_cmp(&other.number()),
            (left, right) if left.is_numeric() && right.is_numeric() => {
                left.as_decimal().zip(right.as_decimal()).map(|(left, right)| left.compare(right))
            }
            _ => {
                return Err(format!(
                    "XPTY0004: {:?} and {:?} are not of a kind that compares",
                    &*self.string(),
                    &*other.string()
                ));
            }
        })
    }
}

//! What templates call: filters, tests, functions, a few methods of Java's texts and collections,
//! and arithmetic. Whole numbers stay whole, also when divided. Missing values pass through.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::render::push;
use crate::step::cast::{as_number, equal};
use crate::value::Value;

pub(super) const FILTERS: &[&str] = &[
    "abbreviate",
    "abs",
    "base64decode",
    "base64encode",
    "capitalize",
    "default",
    "escape",
    "first",
    "join",
    "last",
    "length",
    "lower",
    "raw",
    "replace",
    "reverse",
    "rsort",
    "slice",
    "sort",
    "split",
    "title",
    "trim",
    "upper",
    "urlencode",
];
pub(super) const TESTS: &[&str] = &["defined", "empty", "even", "iterable", "map", "null", "odd"];
pub(super) const FUNCTIONS: &[&str] = &["max", "min", "range"];
/// Numbers of one range.
const RANGE_MAX: i64 = 1_000_000;

fn text(value: &Value) -> String {
    let mut out = String::new();
    push(&mut out, value);
    out
}

pub(super) fn apply(name: &str, of: &Value, arguments: &[Value]) -> Result<Value, String> {
    let argument = |index: usize| arguments.get(index);
    let missing = || format!("the filter {name} needs an argument");
    if of.is_null() {
        return Ok(match name {
            "default" => argument(0).cloned().ok_or_else(missing)?,
            "length" => Value::Int(0),
            _ => Value::Null,
        });
    }
    let changed = |f: fn(&str) -> String| Value::from(f(&text(of)));
    Ok(match name {
        "raw" => of.clone(),
        "default" if test("empty", of) => argument(0).cloned().ok_or_else(missing)?,
        "default" => of.clone(),
        "upper" => changed(str::to_uppercase),
        "lower" => changed(str::to_lowercase),
        "trim" => changed(|it| it.trim().to_owned()),
        "capitalize" => changed(capitalize),
        "title" => changed(|it| it.split(' ').map(capitalize).collect::<Vec<_>>().join(" ")),
        "escape" => changed(escape),
        "base64encode" => changed(|it| STANDARD.encode(it)),
        "base64decode" => STANDARD
            .decode(text(of))
            .map(|bytes| Value::from(String::from_utf8_lossy(&bytes).into_owned()))
            .map_err(|error| format!("base64decode: {error}"))?,
        "urlencode" => Value::from(urlencode(&text(of))),
        "abbreviate" => abbreviate(&text(of), integer(argument(0).ok_or_else(missing)?)?),
        "split" => {
            let by = text(argument(0).ok_or_else(missing)?);
            Value::list(text(of).split(by.as_str()).map(Value::from).collect())
        }
        "replace" => {
            let Some(Value::Map(pairs)) = argument(0) else { return Err(missing()) };
            let mut out = text(of);
            for (from, to) in pairs.iter() {
                out = out.replace(&**from, &text(to));
            }
            out.into()
        }
        "abs" => match of {
            Value::Int(number) => Value::Int(number.wrapping_abs()),
            Value::Double(number) => Value::Double(number.abs()),
            other => return Err(format!("abs of a {}", other.type_name())),
        },
        _ => collection(name, of, arguments)?,
    })
}

/// Filters that take a list, or the characters of a text.
fn collection(name: &str, of: &Value, arguments: &[Value]) -> Result<Value, String> {
    let is_text = !matches!(of, Value::List(_) | Value::Map(_));
    let mut items: Vec<Value> = match of {
        Value::List(items) => items.to_vec(),
        Value::Map(entries) => entries.values().cloned().collect(),
        other => text(other).chars().map(|it| Value::from(it.to_string())).collect(),
    };
    Ok(match name {
        "length" => count(items.len()),
        "first" => items.first().cloned().unwrap_or_default(),
        "last" => items.last().cloned().unwrap_or_default(),
        "join" => {
            let by = arguments.first().map(text).unwrap_or_default();
            items.iter().map(text).collect::<Vec<_>>().join(&by).into()
        }
        "slice" => {
            let from = arguments.first().map_or(Ok(0), integer)?;
            let to = arguments.get(1).map_or(Ok(i64::MAX), integer)?;
            let within =
                |it: i64| usize::try_from(it.max(0)).unwrap_or(usize::MAX).min(items.len());
            let (from, to) = (within(from), within(to));
            let part = items.get(from..to.max(from)).unwrap_or_default().to_vec();
            if is_text {
                part.iter().map(text).collect::<String>().into()
            } else {
                Value::list(part)
            }
        }
        "reverse" | "sort" | "rsort" if is_text => {
            return Err(format!("{name} takes a list, found a {}", of.type_name()));
        }
        "reverse" => {
            items.reverse();
            Value::list(items)
        }
        _ => {
            items.sort_by(|left, right| match (as_number(left), as_number(right)) {
                (Some(left), Some(right)) => left.total_cmp(&right),
                _ => text(left).cmp(&text(right)),
            });
            if name == "rsort" {
                items.reverse();
            }
            Value::list(items)
        }
    })
}

fn count(len: usize) -> Value {
    Value::Int(i64::try_from(len).unwrap_or(i64::MAX))
}

fn capitalize(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |it| it.to_uppercase().chain(chars).collect())
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// `java.net.URLEncoder`'s form.
fn urlencode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            // Writing to a String cannot fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
    out
}

fn abbreviate(text: &str, max: i64) -> Value {
    let max = usize::try_from(max).unwrap_or(0);
    if text.chars().count() <= max {
        return text.into();
    }
    let kept: String = text.chars().take(max.saturating_sub(3)).collect();
    let dots: String = "...".chars().take(max).collect();
    format!("{kept}{dots}").into()
}

pub(super) fn test(name: &str, value: &Value) -> bool {
    let number = || as_number(value).filter(|_| !matches!(value, Value::Str(_)));
    match name {
        "null" => value.is_null(),
        "defined" => !value.is_null(),
        "map" => matches!(value, Value::Map(_)),
        "iterable" => matches!(value, Value::List(_)),
        "even" => number().is_some_and(|it| it.rem_euclid(2.0) == 0.0),
        "odd" => number().is_some_and(|it| (it.rem_euclid(2.0) - 1.0).abs() < f64::EPSILON),
        _ => match value {
            Value::Null => true,
            Value::Str(text) => text.trim().is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            _ => false,
        },
    }
}

pub(super) fn contains(of: &Value, item: &Value) -> bool {
    match of {
        Value::List(items) => items.iter().any(|it| equal(it, item)),
        Value::Map(entries) => entries.contains_key(text(item).as_str()),
        Value::Str(whole) => whole.contains(text(item).as_str()),
        _ => false,
    }
}

pub(super) fn function(name: &str, arguments: &[Value]) -> Result<Value, String> {
    if name == "range" {
        let [from, to] = arguments else {
            return Err("range takes a first and a last number".to_owned());
        };
        return range(from, to);
    }
    let mut best: Option<&Value> = None;
    for value in arguments {
        let number = as_number(value).ok_or_else(|| format!("{name} takes numbers"))?;
        let better = best
            .and_then(as_number)
            .is_none_or(|best| if name == "max" { number > best } else { number < best });
        if better {
            best = Some(value);
        }
    }
    best.cloned().ok_or_else(|| format!("{name} takes numbers"))
}

pub(super) fn range(from: &Value, to: &Value) -> Result<Value, String> {
    let (from, to) = (integer(from)?, integer(to)?);
    if to.saturating_sub(from) >= RANGE_MAX {
        return Err(format!("a range has at most {RANGE_MAX} numbers"));
    }
    Ok(Value::list((from..=to).map(Value::Int).collect()))
}

fn integer(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(format!("expected a whole number, found {other}")),
    }
}

pub(super) fn arithmetic(sign: &str, left: &Value, right: &Value) -> Result<Value, String> {
    if sign == "+" && [left, right].iter().any(|it| matches!(it, Value::Str(_))) {
        return Ok(format!("{}{}", text(left), text(right)).into());
    }
    let wrong = || {
        let (left, right) = (left.type_name(), right.type_name());
        format!("Could not perform {sign} on a {left} and a {right}")
    };
    if let (Value::Str(left), Value::Str(right)) = (left, right) {
        return compare(sign, left.cmp(right)).ok_or_else(wrong);
    }
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        if let Some(found) = compare(sign, left.cmp(right)) {
            return Ok(found);
        }
        let found = match sign {
            "+" => left.checked_add(*right),
            "-" => left.checked_sub(*right),
            "*" => left.checked_mul(*right),
            "/" => left.checked_div(*right),
            _ => left.checked_rem(*right),
        };
        return found.map(Value::Int).ok_or_else(|| format!("{left} {sign} {right} has no result"));
    }
    let (Some(first), Some(second)) = (left.as_f64(), right.as_f64()) else { return Err(wrong()) };
    let order = left.cmp_numbers(right).unwrap_or_else(|| first.total_cmp(&second));
    if let Some(found) = compare(sign, order) {
        return Ok(found);
    }
    if [left, right].iter().any(|it| matches!(it, Value::Big(_))) {
        return Err(format!("{left} {sign} {right} has no result"));
    }
    let (left, right) = (first, second);
    Ok(Value::Double(match sign {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        _ => left % right,
    }))
}

fn compare(sign: &str, order: std::cmp::Ordering) -> Option<Value> {
    Some(Value::Bool(match sign {
        "<" => order.is_lt(),
        ">" => order.is_gt(),
        "<=" => order.is_le(),
        ">=" => order.is_ge(),
        _ => return None,
    }))
}

/// Methods that templates call on Java's values.
pub(super) fn method(of: &Value, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let first = arguments.first();
    Ok(match (of, name) {
        (Value::Null, _) => Value::Null,
        (Value::Str(whole), "length") => count(whole.encode_utf16().count()),
        (Value::Str(whole), "toUpperCase") => whole.to_uppercase().into(),
        (Value::Str(whole), "toLowerCase") => whole.to_lowercase().into(),
        (Value::Str(whole), "trim") => whole.trim().into(),
        (Value::List(items), "size") => count(items.len()),
        (Value::Map(entries), "size") => count(entries.len()),
        (Value::Str(_) | Value::List(_) | Value::Map(_), "isEmpty") => {
            Value::Bool(test("empty", of))
        }
        (Value::Map(entries), "get") => {
            first.and_then(|key| entries.get(text(key).as_str())).cloned().unwrap_or_default()
        }
        (Value::Map(_), "containsKey") | (Value::Str(_) | Value::List(_), "contains") => {
            Value::Bool(first.is_some_and(|it| contains(of, it)))
        }
        (Value::List(items), "get") => {
            let index = first.map_or(Ok(0), integer)?;
            let found = usize::try_from(index).ok().and_then(|it| items.get(it));
            found.cloned().ok_or_else(|| format!("index {index} is out of bounds"))?
        }
        _ => return Err(format!("a {} has no method {name} in a template", of.type_name())),
    })
}

//! The functions of JMESPath, as Gatling's engine has them: mathematics are done in doubles, and a
//! value of the wrong type ends the processing of the response.

use std::cmp::Ordering;
use std::sync::Arc;

use jmespath::ast::Ast;

use super::interpret::interpret;
use crate::value::{Value, ValueMap};

/// What a function is given.
pub(super) enum Argument<'a> {
    Value(Value),
    /// `&id`
    Expression(&'a Ast),
}

/// What an argument has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    /// Of one of these types.
    One(&'static [&'static str]),
    /// All of one type, which is one of these.
    Array(&'static [&'static str]),
    Objects,
    AnyArray,
    Expression,
}

const NUMBER: &[&str] = &["number"];
const STRING: &[&str] = &["string"];
const COMPARABLE: &[&str] = &["number", "string"];

#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    name: &'static str,
    arguments: &'static [Kind],
    /// Whether the last argument may come again and again.
    variadic: bool,
}

const fn function(name: &'static str, arguments: &'static [Kind]) -> Function {
    Function { name, arguments, variadic: false }
}

static FUNCTIONS: [Function; 26] = [
    function("abs", &[Kind::One(NUMBER)]),
    function("avg", &[Kind::Array(NUMBER)]),
    function("ceil", &[Kind::One(NUMBER)]),
    function("contains", &[Kind::One(&["array", "string"]), Kind::Any]),
    function("ends_with", &[Kind::One(STRING), Kind::One(STRING)]),
    function("floor", &[Kind::One(NUMBER)]),
    function("join", &[Kind::One(STRING), Kind::Array(STRING)]),
    function("keys", &[Kind::One(&["object"])]),
    function("length", &[Kind::One(&["string", "array", "object"])]),
    function("map", &[Kind::Expression, Kind::AnyArray]),
    function("max", &[Kind::Array(COMPARABLE)]),
    function("max_by", &[Kind::Objects, Kind::Expression]),
    Function { name: "merge", arguments: &[Kind::One(&["object"])], variadic: true },
    function("min", &[Kind::Array(COMPARABLE)]),
    function("min_by", &[Kind::Objects, Kind::Expression]),
    Function { name: "not_null", arguments: &[Kind::Any], variadic: true },
    function("reverse", &[Kind::One(&["array", "string"])]),
    function("sort", &[Kind::Array(COMPARABLE)]),
    function("sort_by", &[Kind::Objects, Kind::Expression]),
    function("starts_with", &[Kind::One(STRING), Kind::One(STRING)]),
    function("sum", &[Kind::Array(NUMBER)]),
    function("to_array", &[Kind::Any]),
    function("to_number", &[Kind::Any]),
    function("to_string", &[Kind::Any]),
    function("type", &[Kind::Any]),
    function("values", &[Kind::One(&["object"])]),
];

impl Function {
    /// # Errors
    /// There is none of that name.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let found = FUNCTIONS.iter().find(|function| function.name == name);
        found.copied().ok_or_else(|| format!("unknown function \"{name}\""))
    }

    /// # Errors
    /// Too few or too many.
    pub(super) fn check_arity(self, count: usize) -> Result<(), String> {
        let (name, wanted) = (self.name, self.arguments.len());
        if count == wanted || (self.variadic && count > wanted) {
            return Ok(());
        }
        let least = if self.variadic { "at least " } else { "" };
        Err(format!("invalid arity calling \"{name}\" (expected {least}{wanted} but was {count})"))
    }

    fn wrong_type(self, expected: &str, actual: &str) -> String {
        let name = self.name;
        format!("Invalid argument type calling \"{name}\": expected {expected} but was {actual}")
    }

    fn check(self, arguments: &[Argument<'_>]) -> Result<(), String> {
        let kinds = self.arguments.iter().chain(self.arguments.last().into_iter().cycle());
        for (argument, kind) in arguments.iter().zip(kinds) {
            if let Some(actual) = kind.refuses(argument) {
                return Err(self.wrong_type(&kind.name(), &actual));
            }
        }
        Ok(())
    }
}

/// `number, string or object`
fn listed(words: &[&str], last: &str) -> String {
    match words {
        [one, end] => format!("{one} {last} {end}"),
        [before @ .., end] if !before.is_empty() => format!("{} {last} {end}", before.join(", ")),
        _ => words.concat(),
    }
}

impl Kind {
    fn name(self) -> String {
        match self {
            Self::Any => "any value".to_owned(),
            Self::One(types) => listed(types, "or"),
            Self::Array(types) => format!("array of {}", listed(types, "or")),
            Self::Objects => "array of object".to_owned(),
            Self::AnyArray => "array of any value".to_owned(),
            Self::Expression => "expression".to_owned(),
        }
    }

    /// What the argument is, where that is wrong.
    fn refuses(self, argument: &Argument<'_>) -> Option<String> {
        let value = match argument {
            Argument::Expression(_) => {
                return (self != Self::Expression).then(|| "expression".to_owned());
            }
            Argument::Value(value) => value,
        };
        let types = match self {
            Self::Any => return None,
            Self::One(types) => {
                let actual = type_of(value);
                return (!types.contains(&actual)).then(|| actual.to_owned());
            }
            Self::Expression => return Some(type_of(value).to_owned()),
            Self::Array(types) => types,
            Self::Objects => &["object"],
            Self::AnyArray => &[],
        };
        let Value::List(items) = value else { return Some(type_of(value).to_owned()) };
        let mut found: Vec<&str> = Vec::new();
        for item in items.iter().map(type_of) {
            if !found.contains(&item) {
                found.push(item);
            }
        }
        let fits = match found.as_slice() {
            [] => true,
            [one] => types.is_empty() || types.contains(one),
            _ => false,
        };
        (!fits).then(|| format!("array containing {}", listed(&found, "and")))
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) | Value::Big(_) | Value::Double(_) => "number",
        Value::Str(_) | Value::Bytes(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}

/// The order of two numbers or texts. Of others only whether they are the same.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    let same = |same: bool| same.then_some(Ordering::Equal);
    match (left, right) {
        (Value::Str(left), Value::Str(right)) => {
            Some(left.encode_utf16().cmp(right.encode_utf16()))
        }
        (Value::List(left), Value::List(right)) => same(
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(left, right)| equal(left, right)),
        ),
        (Value::Map(left), Value::Map(right)) => same(
            left.len() == right.len()
                && left.iter().all(|(key, left)| {
                    right.get(key.as_ref()).is_some_and(|right| equal(left, right))
                }),
        ),
        _ => match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => Some(left.total_cmp(&right)),
            _ => same(left == right),
        },
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    compare(left, right) == Some(Ordering::Equal)
}

/// # Errors
/// An argument of the wrong type.
pub(super) fn call(function: Function, arguments: &[Argument<'_>]) -> Result<Value, String> {
    function.check(arguments)?;
    Ok(match (function.name, arguments) {
        ("map", [Argument::Expression(expression), Argument::Value(Value::List(items))]) => {
            let items = items.iter().map(|item| interpret(item, expression));
            Value::list(items.collect::<Result<_, _>>()?)
        }
        (_, [Argument::Value(Value::List(items)), Argument::Expression(expression)]) => {
            by(function, items, expression)?
        }
        (_, [Argument::Value(first), Argument::Value(second)]) if !function.variadic => {
            of_two(function.name, first, second)
        }
        ("merge", _) => merge(arguments),
        ("not_null", _) => values(arguments).find(|it| !it.is_null()).cloned().unwrap_or_default(),
        (name, [Argument::Value(Value::List(items))]) => of_list(name, items),
        (name, [Argument::Value(value)]) => of_one(name, value),
        // The types have been checked.
        _ => Value::Null,
    })
}

fn values<'a>(arguments: &'a [Argument<'_>]) -> impl Iterator<Item = &'a Value> {
    arguments.iter().filter_map(|argument| match argument {
        Argument::Value(value) => Some(value),
        Argument::Expression(_) => None,
    })
}

fn merge(arguments: &[Argument<'_>]) -> Value {
    let mut merged = ValueMap::new();
    for value in values(arguments) {
        if let Value::Map(fields) = value {
            merged.extend(fields.iter().map(|(key, value)| (Arc::clone(key), value.clone())));
        }
    }
    Value::map(merged)
}

fn of_two(name: &str, first: &Value, second: &Value) -> Value {
    match (name, first) {
        ("contains", Value::List(items)) => Value::Bool(items.contains(second)),
        ("contains", text) => Value::Bool(text.to_json().contains(&second.to_json())),
        ("starts_with", text) => Value::Bool(text.to_json().starts_with(&second.to_json())),
        ("ends_with", text) => Value::Bool(text.to_json().ends_with(&second.to_json())),
        ("join", glue) => {
            let Value::List(items) = second else { return Value::Null };
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Value::from(texts.join(glue.as_str().unwrap_or_default()))
        }
        _ => Value::Null,
    }
}

fn of_list(name: &str, items: &Arc<Vec<Value>>) -> Value {
    let sum = || items.iter().filter_map(Value::as_f64).fold(0.0, |sum, number| sum + number);
    let order = |left: &&Value, right: &&Value| compare(left, right).unwrap_or(Ordering::Equal);
    match name {
        "sum" => Value::Double(sum()),
        "avg" if items.is_empty() => Value::Null,
        #[expect(clippy::cast_precision_loss, reason = "a list of 2^53 numbers has no place")]
        "avg" => Value::Double(sum() / items.len() as f64),
        // Of several the first one.
        "max" => items.iter().rev().max_by(order).cloned().unwrap_or_default(),
        "min" => items.iter().min_by(order).cloned().unwrap_or_default(),
        "sort" => {
            let mut sorted = items.to_vec();
            sorted.sort_by(|left, right| order(&left, &right));
            Value::list(sorted)
        }
        "reverse" => Value::list(items.iter().rev().cloned().collect()),
        "length" => length(items.len()),
        "to_array" => Value::List(Arc::clone(items)),
        _ => of_any(name, &Value::List(Arc::clone(items))),
    }
}

fn of_one(name: &str, value: &Value) -> Value {
    match (name, value) {
        ("keys", Value::Map(fields)) => {
            Value::list(fields.keys().map(|key| Value::Str(Arc::clone(key))).collect())
        }
        ("values", Value::Map(fields)) => Value::list(fields.values().cloned().collect()),
        ("length", Value::Map(fields)) => length(fields.len()),
        ("length", Value::Str(text)) => length(text.encode_utf16().count()),
        ("reverse", Value::Str(text)) => Value::from(text.chars().rev().collect::<String>()),
        ("abs" | "ceil" | "floor", number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            Value::Double(match name {
                "abs" => number.abs(),
                "ceil" => number.ceil(),
                _ => number.floor(),
            })
        }
        _ => of_any(name, value),
    }
}

fn of_any(name: &str, value: &Value) -> Value {
    match name {
        "to_array" => Value::list(vec![value.clone()]),
        "to_string" => Value::from(value.to_json()),
        "to_number" => to_number(value),
        "type" => Value::from(type_of(value)),
        _ => Value::Null,
    }
}

/// A text is read as a double, and is whole where that is.
fn to_number(value: &Value) -> Value {
    match value {
        Value::Int(_) | Value::Big(_) | Value::Double(_) => value.clone(),
        Value::Str(text) => {
            let digits = |text: &str| text.contains(|char: char| char.is_ascii_digit());
            let number = text.trim().parse::<f64>().ok().filter(|_| digits(text));
            let whole = number.filter(|number| number.fract() == 0.0 || number.is_infinite());
            #[expect(clippy::cast_possible_truncation, reason = "as Gatling casts")]
            let whole = whole.map(|number| Value::Int(number as i64));
            whole.or_else(|| number.map(Value::Double)).unwrap_or_default()
        }
        _ => Value::Null,
    }
}

fn length(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

/// `sort_by`, `max_by`, `min_by`: by what the expression has for each of the items.
fn by(function: Function, items: &[Value], expression: &Ast) -> Result<Value, String> {
    let mut wanted = None;
    let mut pairs = Vec::with_capacity(items.len());
    for item in items {
        let key = interpret(item, expression)?;
        let kind = type_of(&key);
        match wanted {
            None if COMPARABLE.contains(&kind) => wanted = Some(kind),
            None => return Err(function.wrong_type("number or string", kind)),
            Some(wanted) if wanted != kind => return Err(function.wrong_type(wanted, kind)),
            Some(_) => {}
        }
        pairs.push((key, item));
    }
    let order = |left: &(Value, &Value), right: &(Value, &Value)| {
        compare(&left.0, &right.0).unwrap_or(Ordering::Equal)
    };
    let found = match function.name {
        "max_by" => pairs.iter().rev().max_by(|left, right| order(left, right)),
        "min_by" => pairs.iter().min_by(|left, right| order(left, right)),
        _ => {
            pairs.sort_by(order);
            return Ok(Value::list(pairs.into_iter().map(|(_, item)| item.clone()).collect()));
        }
    };
    Ok(found.map_or(Value::Null, |(_, item)| (*item).clone()))
}

//! The tree of an expression over a value. What Gatling's engine does where the specification leaves
//! a choice: numbers are compared as doubles, texts only for being the same, and a slice of what is
//! no list is an empty list.

use jmespath::Variable;
use jmespath::ast::{Ast, Comparator};

use super::super::simple_path::item;
use super::functions::{Argument, Function, call, compare};
use crate::value::{Value, ValueMap};

/// # Errors
/// A function that there is not, or with too few or too many arguments.
pub(super) fn check(ast: &Ast) -> Result<(), String> {
    match ast {
        Ast::Function { name, args, .. } => {
            Function::named(name)?.check_arity(args.len())?;
            args.iter().try_for_each(check)
        }
        Ast::Comparison { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => check(lhs).and_then(|()| check(rhs)),
        Ast::Condition { predicate, then, .. } => check(predicate).and_then(|()| check(then)),
        Ast::Expref { ast, .. } => check(ast),
        Ast::Flatten { node, .. } | Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => {
            check(node)
        }
        Ast::MultiList { elements, .. } => elements.iter().try_for_each(check),
        Ast::MultiHash { elements, .. } => {
            elements.iter().try_for_each(|element| check(&element.value))
        }
        Ast::Slice { step: 0, .. } => Err("a step of 0".to_owned()),
        Ast::Identity { .. }
        | Ast::Field { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => Ok(()),
    }
}

/// # Errors
/// A function that gets a value of the wrong type.
pub(super) fn interpret(data: &Value, ast: &Ast) -> Result<Value, String> {
    Ok(match ast {
        Ast::Identity { .. } => data.clone(),
        Ast::Field { name, .. } => match data {
            Value::Map(fields) => fields.get(name.as_str()).cloned().unwrap_or_default(),
            _ => Value::Null,
        },
        Ast::Index { idx, .. } => match data {
            Value::List(items) => item(items, (*idx).into()).cloned().unwrap_or_default(),
            _ => Value::Null,
        },
        Ast::Slice { start, stop, step, .. } => slice(&items(data), *start, *stop, *step),
        Ast::Subexpr { lhs, rhs, .. } => interpret(&interpret(data, lhs)?, rhs)?,
        Ast::Literal { value, .. } => literal(value),
        Ast::Or { lhs, rhs, .. } => match interpret(data, lhs)? {
            left if is_truthy(&left) => left,
            _ => interpret(data, rhs)?,
        },
        Ast::And { lhs, rhs, .. } => match interpret(data, lhs)? {
            left if is_truthy(&left) => interpret(data, rhs)?,
            left => left,
        },
        Ast::Not { node, .. } => Value::Bool(!is_truthy(&interpret(data, node)?)),
        Ast::Condition { predicate, then, .. } => {
            if is_truthy(&interpret(data, predicate)?) {
                interpret(data, then)?
            } else {
                Value::Null
            }
        }
        Ast::Comparison { comparator, lhs, rhs, .. } => {
            compared(comparator, &interpret(data, lhs)?, &interpret(data, rhs)?)
        }
        Ast::ObjectValues { node, .. } => match interpret(data, node)? {
            Value::Map(fields) => Value::list(fields.values().cloned().collect()),
            _ => Value::Null,
        },
        Ast::Projection { lhs, rhs, .. } => project(&interpret(data, lhs)?, lhs, rhs)?,
        Ast::Flatten { node, .. } => flatten(&interpret(data, node)?),
        Ast::MultiList { .. } | Ast::MultiHash { .. } if data.is_null() => Value::Null,
        Ast::MultiList { elements, .. } => {
            let items = elements.iter().map(|element| interpret(data, element));
            Value::list(items.collect::<Result<_, _>>()?)
        }
        Ast::MultiHash { elements, .. } => {
            let mut fields = ValueMap::with_capacity(elements.len());
            for element in elements {
                fields.insert(element.key.as_str().into(), interpret(data, &element.value)?);
            }
            Value::map(fields)
        }
        Ast::Function { name, args, .. } => {
            let arguments = args.iter().map(|argument| match argument {
                Ast::Expref { ast, .. } => Ok(Argument::Expression(ast)),
                other => interpret(data, other).map(Argument::Value),
            });
            call(Function::named(name)?, &arguments.collect::<Result<Vec<_>, String>>()?)?
        }
        // Only a function's argument; elsewhere it stands for nothing.
        Ast::Expref { .. } => Value::Null,
    })
}

/// Of a list, or of an object its fields.
fn items(data: &Value) -> Vec<Value> {
    match data {
        Value::List(items) => items.to_vec(),
        Value::Map(fields) => fields.values().cloned().collect(),
        _ => Vec::new(),
    }
}

fn slice(items: &[Value], start: Option<i32>, stop: Option<i32>, step: i32) -> Value {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    // Backwards it ends before the first item, forwards behind the last one.
    let (least, most) = if step < 0 { (-1, length - 1) } else { (0, length) };
    let place = |place: i32| {
        let place = i64::from(place);
        (if place < 0 { place + length } else { place }).clamp(least, most)
    };
    let (first, end) = if step < 0 { (most, least) } else { (least, most) };
    let (mut at, end) = (start.map_or(first, place), stop.map_or(end, place));
    let mut found = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        found.extend(usize::try_from(at).ok().and_then(|at| items.get(at)).cloned());
        at += i64::from(step);
    }
    Value::list(found)
}

/// Each item of what `source` found, as the projection has it. Null is no item, unless nothing follows
/// a slice, `.*`, `[]` or a filter: those leave their items as they are.
fn project(subject: &Value, source: &Ast, projection: &Ast) -> Result<Value, String> {
    let Value::List(items) = subject else { return Ok(Value::Null) };
    let (condition, then) = match projection {
        Ast::Condition { predicate, then, .. } => (Some(predicate), &**then),
        other => (None, other),
    };
    let as_they_are = matches!(then, Ast::Identity { .. })
        && (condition.is_some()
            || matches!(
                source,
                Ast::Slice { .. } | Ast::ObjectValues { .. } | Ast::Flatten { .. }
            ));
    let mut found = Vec::new();
    for item in items.iter() {
        if let Some(condition) = condition
            && !is_truthy(&interpret(item, condition)?)
        {
            continue;
        }
        let item = interpret(item, then)?;
        if as_they_are || !item.is_null() {
            found.push(item);
        }
    }
    Ok(Value::list(found))
}

fn flatten(subject: &Value) -> Value {
    let Value::List(items) = subject else { return Value::Null };
    let mut flat = Vec::new();
    for item in items.iter() {
        match item {
            Value::List(inner) => flat.extend(inner.iter().cloned()),
            other => flat.push(other.clone()),
        }
    }
    Value::list(flat)
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Str(text) => !text.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Map(fields) => !fields.is_empty(),
        Value::Int(_) | Value::Big(_) | Value::Double(_) | Value::Bytes(_) => true,
    }
}

fn compared(comparator: &Comparator, left: &Value, right: &Value) -> Value {
    let numbers = left.as_f64().is_some() && right.as_f64().is_some();
    let order = compare(left, right);
    Value::Bool(match comparator {
        Comparator::Equal => order.is_some_and(|order| order.is_eq()),
        Comparator::NotEqual => !order.is_some_and(|order| order.is_eq()),
        _ if !numbers => return Value::Null,
        Comparator::LessThan => order.is_some_and(|order| order.is_lt()),
        Comparator::LessThanEqual => order.is_some_and(|order| order.is_le()),
        Comparator::GreaterThan => order.is_some_and(|order| order.is_gt()),
        Comparator::GreaterThanEqual => order.is_some_and(|order| order.is_ge()),
    })
}

/// As the parser holds it: whole numbers to 64 bits, keys sorted.
fn literal(variable: &Variable) -> Value {
    match variable {
        Variable::Null | Variable::Expref(_) => Value::Null,
        Variable::Bool(flag) => Value::Bool(*flag),
        Variable::String(text) => Value::from(text.as_str()),
        Variable::Number(number) => Value::integer(&number.to_string())
            .unwrap_or_else(|| Value::Double(number.as_f64().unwrap_or(f64::NAN))),
        Variable::Array(items) => Value::list(items.iter().map(|item| literal(item)).collect()),
        Variable::Object(fields) => Value::map(
            fields.iter().map(|(key, field)| (key.as_str().into(), literal(field))).collect(),
        ),
    }
}

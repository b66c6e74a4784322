//! Steps over a document, in Gatling's order. What is found is handed over one by one, and the walk
//! ends where nothing more is wanted.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::super::simple_path::item;
use super::parse::{Comparison, Filter, Operand, Step};
use crate::value::Value;

pub(super) type Each<'a, 'e> = &'e mut dyn FnMut(&'a Value) -> ControlFlow<()>;

pub(super) fn walk<'a>(
    root: &'a Value,
    node: &'a Value,
    steps: &[Step],
    each: Each<'a, '_>,
) -> ControlFlow<()> {
    let Some((step, rest)) = steps.split_first() else { return each(node) };
    let mut next = |node: &'a Value| walk(root, node, rest, &mut *each);
    match (step, node) {
        (Step::Root, _) => next(root),
        (Step::Current, _) => next(node),
        (Step::Field(name), Value::Map(fields)) => match fields.get(name.as_str()) {
            Some(field) => next(field),
            None => ControlFlow::Continue(()),
        },
        (Step::Fields(names), Value::Map(fields)) => {
            names.iter().filter_map(|name| fields.get(name.as_str())).try_for_each(next)
        }
        (Step::AnyField, Value::Map(fields)) => fields.values().try_for_each(next),
        (Step::Items(places), Value::List(items)) => {
            places.iter().filter_map(|place| item(items, (*place).into())).try_for_each(next)
        }
        (Step::Slice { start, stop, step }, Value::List(items)) => {
            slice(items, *start, *stop, *step).try_for_each(next)
        }
        (Step::Below(name), _) => below(node, name, &mut next),
        (Step::AnyBelow, _) => any_below(node, &mut next),
        (Step::Filter(filter), Value::List(items)) => {
            items.iter().filter(|item| holds(root, item, filter)).try_for_each(next)
        }
        // An object is looked at itself, not its fields.
        (Step::Filter(filter), Value::Map(_)) if holds(root, node, filter) => next(node),
        (Step::FilterBelow(filter), _) => any_below(node, &mut |node| match node {
            Value::Map(fields) if !fields.is_empty() && holds(root, node, filter) => next(node),
            _ => ControlFlow::Continue(()),
        }),
        _ => ControlFlow::Continue(()),
    }
}

/// The fields of that name, without those inside what was found.
fn below<'a>(node: &'a Value, name: &str, each: Each<'a, '_>) -> ControlFlow<()> {
    match node {
        Value::Map(fields) => fields.iter().try_for_each(|(key, field)| {
            if **key == *name { each(field) } else { below(field, name, each) }
        }),
        Value::List(items) => items.iter().try_for_each(|item| below(item, name, each)),
        _ => ControlFlow::Continue(()),
    }
}

/// The node itself and all below it, parents first.
fn any_below<'a>(node: &'a Value, each: Each<'a, '_>) -> ControlFlow<()> {
    each(node)?;
    match node {
        Value::Map(fields) => fields.values().try_for_each(|field| any_below(field, each)),
        Value::List(items) => items.iter().try_for_each(|item| any_below(item, each)),
        _ => ControlFlow::Continue(()),
    }
}

/// A step below 0 goes backwards; its places then count from the end.
fn slice(
    items: &[Value],
    start: Option<i32>,
    stop: Option<i32>,
    step: i32,
) -> impl Iterator<Item = &Value> {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let place = |place: i32| {
        let place = if step < 0 { -1 - i64::from(place) } else { place.into() };
        let place = if place < 0 { length + place } else { place };
        usize::try_from(place.max(0)).unwrap_or(usize::MAX)
    };
    let start = start.map_or(0, place);
    let stop = stop.map_or(items.len(), place);
    let backwards = step < 0;
    let at = move |place: usize| if backwards { items.len() - 1 - place } else { place };
    (start..stop.min(items.len()))
        .step_by(usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX).max(1))
        .filter_map(move |place| items.get(at(place)))
}

fn holds(root: &Value, node: &Value, filter: &Filter) -> bool {
    match filter {
        Filter::Has(path) => first(root, node, path).is_some(),
        Filter::Compare(comparison, left, right) => {
            // Nothing is not equal to anything, and not different from it either.
            let left = operand(root, node, left);
            let right = operand(root, node, right);
            left.zip(right).is_some_and(|(left, right)| compare(*comparison, left, right))
        }
        Filter::And(left, right) => holds(root, node, left) && holds(root, node, right),
        Filter::Or(left, right) => holds(root, node, left) || holds(root, node, right),
    }
}

fn operand<'a>(root: &'a Value, node: &'a Value, operand: &'a Operand) -> Option<&'a Value> {
    match operand {
        Operand::Value(value) => Some(value),
        Operand::Path(path) => first(root, node, path),
    }
}

fn first<'a>(root: &'a Value, node: &'a Value, path: &[Step]) -> Option<&'a Value> {
    let mut found = None;
    let _ended = walk(root, node, path, &mut |value| {
        found = Some(value);
        ControlFlow::Break(())
    });
    found
}

fn compare(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let order = order(left, right);
    let equal = order == Some(Ordering::Equal);
    match comparison {
        Comparison::Equal => equal || (left.is_null() && right.is_null()),
        Comparison::NotEqual => !(equal || (left.is_null() && right.is_null())),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => equal || order == Some(Ordering::Less),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => equal || order == Some(Ordering::Greater),
    }
}

/// Of two texts, booleans or numbers.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Str(left), Value::Str(right)) if left == right => Some(Ordering::Equal),
        (Value::Str(left), Value::Str(right)) => {
            Some(left.encode_utf16().cmp(right.encode_utf16()))
        }
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => left.cmp_numbers(right),
    }
}

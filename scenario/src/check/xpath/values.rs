//! What sequences and numbers mean where a path asks: truth, order, arithmetic.

use std::cmp::Ordering;

use super::ast::{Arithmetic, Comparison};
use super::decimal::Decimal;
use super::eval::Evaluated;
use super::item::{Atomic, Item, Sequence};
use crate::check::xml::NodeId;

pub(super) fn boolean(value: &[Item]) -> Evaluated<bool> {
    match value {
        [] => Ok(false),
        [Item::Node(_), ..] => Ok(true),
        [Item::Atomic(value)] => Ok(match value {
            Atomic::Boolean(value) => *value,
            Atomic::Text(text) | Atomic::Untyped(text) => !text.is_empty(),
            number => number.number() != 0.0 && !number.number().is_nan(),
        }),
        _ => Err("FORG0006: several values are neither true nor false".to_owned()),
    }
}

pub(super) fn holds(comparison: Comparison, order: Option<Ordering>) -> bool {
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// # Errors
/// One is no node.
pub(super) fn only_nodes(items: &[Item]) -> Evaluated<()> {
    match items.iter().any(|item| matches!(item, Item::Atomic(_))) {
        true => Err("XPTY0019: a step goes on from a value that is no node".to_owned()),
        false => Ok(()),
    }
}

/// The nodes that a step goes on from.
pub(super) fn nodes(items: &[Item]) -> Evaluated<impl Iterator<Item = NodeId>> {
    only_nodes(items)?;
    Ok(items.iter().filter_map(|item| match item {
        Item::Node(id) => Some(*id),
        Item::Atomic(_) => None,
    }))
}

/// Nodes each once, as they stand in the document; values as they are.
pub(super) fn in_order(mut items: Sequence) -> Evaluated {
    let id = |item: &Item| match item {
        Item::Node(id) => Some(*id),
        Item::Atomic(_) => None,
    };
    let count = items.iter().filter(|item| id(item).is_some()).count();
    if count == 0 {
        return Ok(items);
    }
    if count < items.len() {
        return Err("XPTY0018: a step finds nodes and values that are none".to_owned());
    }
    if !items.is_sorted_by(|left, right| id(left) < id(right)) {
        items.sort_unstable_by_key(id);
        items.dedup_by_key(|item| id(item));
    }
    Ok(items)
}

pub(super) fn calculate(kind: Arithmetic, left: &Atomic, right: &Atomic) -> Evaluated<Atomic> {
    let overflow = || "FOAR0002: a number is too large".to_owned();
    if let (Atomic::Integer(left), Atomic::Integer(right)) = (left, right)
        && kind != Arithmetic::Divide
    {
        let made = match kind {
            Arithmetic::Add => left.checked_add(*right),
            Arithmetic::Subtract => left.checked_sub(*right),
            Arithmetic::Multiply => left.checked_mul(*right),
            _ if *right == 0 => return Err("FOAR0001: a division by zero".to_owned()),
            Arithmetic::WholeDivide | Arithmetic::Divide => left.checked_div(*right),
            Arithmetic::Remainder => left.checked_rem(*right),
        };
        // The least of all has no negative.
        let made = made.filter(|made| *made != i128::MIN);
        return made.map(Atomic::Integer).ok_or_else(overflow);
    }
    if matches!(left, Atomic::Double(_)) || matches!(right, Atomic::Double(_)) {
        let (left, right) = (left.number(), right.number());
        return Ok(Atomic::Double(match kind {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
            Arithmetic::Divide => left / right,
            Arithmetic::Remainder => left % right,
            Arithmetic::WholeDivide => {
                let whole = Decimal::of_double((left / right).trunc()).map(Decimal::trunc);
                return whole.map(Atomic::Integer).ok_or_else(overflow);
            }
        }));
    }
    let (left, right) = left.as_decimal().zip(right.as_decimal()).ok_or_else(overflow)?;
    let divides = !matches!(kind, Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Multiply);
    if divides && right.is_zero() {
        return Err("FOAR0001: a division by zero".to_owned());
    }
    let made = match kind {
        Arithmetic::Add => left.add(right),
        Arithmetic::Subtract => left.add(right.neg()),
        Arithmetic::Multiply => left.mul(right),
        Arithmetic::Divide => left.div(right),
        Arithmetic::Remainder => left.rem(right),
        Arithmetic::WholeDivide => {
            let whole = left.div(right).map(Decimal::trunc);
            return whole.map(Atomic::Integer).ok_or_else(overflow);
        }
    };
    made.map(Atomic::Decimal).ok_or_else(overflow)
}

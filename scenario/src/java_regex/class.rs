//! `[…]`: unions, intersections, complements.

use super::escape::Escape;
use super::parse::{Parsed, Parser};
use super::set::{self, Set};

impl Parser {
    /// From the bracket that opens to the one that closes.
    pub(super) fn class(&mut self) -> Parsed<Set> {
        self.deeper()?;
        let open = self.next;
        self.next += 1;
        let negated = self.raw(0).is_some_and(|token| token.is('^'));
        self.next += usize::from(negated);
        let set = self.class_items(open)?;
        self.next += 1;
        self.shallower();
        Ok(if negated { set::negated(set) } else { set })
    }

    /// Up to the bracket that closes, which first of all is a character like others.
    fn class_items(&mut self, open: usize) -> Parsed<Set> {
        let mut items: Option<Set> = None;
        loop {
            let Some(token) = self.peek() else {
                return Err(self.fault_at(open, "unclosed character class"));
            };
            if token.is(']')
                && let Some(set) = items
            {
                return Ok(set);
            }
            if token.is('&') && self.eat_intersection() {
                let right = self.intersected(open)?;
                items = match (items, right) {
                    (None, None) => return Err(self.fault_at(open, "bad class syntax")),
                    (Some(mut left), Some(right)) => {
                        left.intersect(&right);
                        Some(left)
                    }
                    (one, None) | (None, one) => one,
                };
                continue;
            }
            let item = if token.is('[') { self.class()? } else { self.class_item()? };
            items = Some(joined(items, item));
        }
    }

    fn eat_intersection(&mut self) -> bool {
        let before = self.next;
        self.next += 1;
        if self.eat('&') {
            return true;
        }
        self.next = before;
        false
    }

    /// What stands right of `&&`: all up to the end, or classes up to the next `&&`.
    fn intersected(&mut self, open: usize) -> Parsed<Option<Set>> {
        self.deeper()?;
        let mut right: Option<Set> = None;
        while let Some(token) = self.peek().filter(|token| !token.is(']') && !token.is('&')) {
            let item = if token.is('[') { self.class()? } else { self.class_items(open)? };
            right = Some(joined(right, item));
        }
        self.shallower();
        Ok(right)
    }

    /// A character, a range, a predefined class.
    fn class_item(&mut self) -> Parsed<Set> {
        let start = self.next;
        let in_range = self.raw(2).is_some_and(|token| token.is('-'));
        let first = match self.class_char(in_range)? {
            Ok(first) => first,
            Err(set) => return Ok(set),
        };
        if !self.is('-') || self.raw(1).is_some_and(|token| token.is('[') || token.is(']')) {
            return Ok(set::folded_one(first, self.fold()));
        }
        self.next += 1;
        match self.class_char(true)? {
            Ok(last) if last >= first => Ok(set::folded_range(first, last, self.fold())),
            _ => Err(self.fault_at(start, "illegal character range")),
        }
    }

    /// One character, or else a set.
    fn class_char(&mut self, in_range: bool) -> Parsed<Result<u32, Set>> {
        let Some(token) = self.peek() else {
            return Err(self.fault("unclosed character class"));
        };
        if !token.is('\\') {
            self.next += 1;
            return Ok(Ok(token.c.into()));
        }
        let start = self.next;
        match self.escape(true, in_range)? {
            Escape::Char(c) => Ok(Ok(c)),
            Escape::Set(set) => Ok(Err(set)),
            Escape::Node(_) => Err(self.fault_at(start, "a class holds characters alone")),
        }
    }
}

fn joined(sets: Option<Set>, item: Set) -> Set {
    match sets {
        Some(mut sets) => {
            sets.union(&item);
            sets
        }
        None => item,
    }
}

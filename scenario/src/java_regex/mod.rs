//! The regular expressions of simulations mean what they mean in Java (`java.util.regex`), whose
//! engine Gatling uses. A pattern is read by Java's rules (`parse`) and written anew (`emit`) for an
//! engine that matches in linear time; only what such an engine cannot do (look-around,
//! back-references, atomic groups, possessive quantifiers, `\G`, `\X`) is for one that backtracks, in
//! so many steps and no more.
//!
//! Three assertions of Java look at more of the text than the linear engine's do. Where a pattern has
//! one, the text is looked at first; the odd text gets an engine of its own, made when it is first seen.

mod blocks;
mod class;
mod emit;
mod engine;
mod escape;
mod node;
mod parse;
mod property;
mod set;

use std::ops::{ControlFlow, Range};

pub(crate) use engine::Captures;
use engine::{Engine, Engines, Steps};
use node::Node;

/// The repetitions of a pattern written out may have so many nodes.
const WEIGHT_MAX: u64 = 200_000;

/// How a text ends, for `$`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Plain,
    CrLf,
    /// One character that ends a line.
    Terminator,
}

/// A pattern, ready to match.
#[derive(Debug)]
pub(crate) struct Regex {
    engines: Engines,
    groups: usize,
    /// A match may be empty.
    may_be_empty: bool,
    /// Every match begins a line, and none begins at the text's end.
    begins_a_line: bool,
}

impl Regex {
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        Self::of(pattern, |node| node)
    }

    /// One that has to match all of a text.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn whole(pattern: &str) -> Result<Self, String> {
        Self::of(pattern, Node::whole)
    }

    fn of(pattern: &str, form: fn(Node) -> Node) -> Result<Self, String> {
        let failed = |reason: &str| format!("Failed to parse regex {pattern}: {reason}");
        let (node, groups) = parse::parse(pattern)
            .map_err(|fault| failed(&format!("{} at index {}", fault.reason, fault.at)))?;
        let mut node = form(node);
        node.relax();
        if node.weight() > WEIGHT_MAX {
            return Err(failed("its repetitions are too large"));
        }
        Ok(Self {
            groups: groups as usize,
            may_be_empty: node.min_chars() == 0,
            begins_a_line: node.begins_a_line(),
            engines: Engines::new(pattern, node, groups).map_err(|reason| failed(&reason))?,
        })
    }

    /// How many capturing groups it has.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// # Errors
    /// It needed too many steps.
    pub(crate) fn is_match(&self, text: &str) -> Result<bool, String> {
        match self.engines.of(text)? {
            Engine::Linear(regex) if !self.may_be_empty => Ok(regex.is_match(text)),
            _ => self.find(text, |_| ControlFlow::Break(())).map(|flow| flow.is_break()),
        }
    }

    /// Hands over each match in `text`.
    ///
    /// # Errors
    /// It needed too many steps.
    pub(crate) fn find<'t>(
        &self,
        text: &'t str,
        mut each: impl FnMut(&'t str) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, String> {
        let mut steps = Steps::of(text);
        match self.engines.of(text)? {
            Engine::Linear(regex) if !self.may_be_empty => {
                Ok(regex.find_iter(text).try_for_each(|found| each(found.as_str())))
            }
            Engine::Linear(regex) => self.walk(
                text,
                |from, _| Ok(regex.find_at(text, from).map(|found| (found.range(), ()))),
                |range, ()| each(text.get(range).unwrap_or_default()),
            ),
            Engine::Ended(ended) => self.walk(
                text,
                |from, _| Ok(ended.captures(text, from).map(|(range, _)| (range, ()))),
                |range, ()| each(text.get(range).unwrap_or_default()),
            ),
            Engine::Backtracking(back) => self.walk(
                text,
                |from, fresh| {
                    Ok(back.find(text, from, fresh, &mut steps)?.map(|range| (range, ())))
                },
                |range, ()| each(text.get(range).unwrap_or_default()),
            ),
        }
    }

    /// Hands over the groups of each match in `text`.
    ///
    /// # Errors
    /// It needed too many steps.
    pub(crate) fn captures<'t>(
        &self,
        text: &'t str,
        mut each: impl FnMut(Captures<'_, 't>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, String> {
        let mut steps = Steps::of(text);
        match self.engines.of(text)? {
            Engine::Linear(regex) if !self.may_be_empty => Ok(regex
                .captures_iter(text)
                .try_for_each(|captures| each(Captures::Linear(captures)))),
            Engine::Linear(regex) => self.walk(
                text,
                |from, _| {
                    Ok(regex.captures_at(text, from).and_then(|captures| {
                        let range = captures.get(0)?.range();
                        Some((range, captures))
                    }))
                },
                |_, captures| each(Captures::Linear(captures)),
            ),
            Engine::Ended(ended) => self.walk(
                text,
                |from, _| Ok(ended.captures(text, from)),
                |_, captures| each(captures),
            ),
            Engine::Backtracking(back) => self.walk(
                text,
                |from, fresh| back.captures(text, from, fresh, &mut steps),
                |_, captures| each(Captures::Backtracking(captures)),
            ),
        }
    }

    /// From match to match as Java's `Matcher.find` goes: an empty match may touch the one before.
    /// `search` is told whether a match ended where it starts.
    fn walk<T>(
        &self,
        text: &str,
        mut search: impl FnMut(usize, bool) -> Result<Option<(Range<usize>, T)>, String>,
        mut each: impl FnMut(Range<usize>, T) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, String> {
        let (mut from, mut continues) = (0, true);
        while from <= text.len() {
            let Some((range, found)) = search(from, continues)? else { break };
            if self.begins_a_line && range.start == text.len() {
                break;
            }
            continues = !range.is_empty();
            from = range.end;
            if !continues {
                let rest = text.get(from..).unwrap_or_default();
                from += rest.chars().next().map_or(1, char::len_utf8);
            }
            if each(range, found).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests;

//! `regex(pattern)`: Java's regular expressions. Most match in linear time, whatever the text; one
//! that needs too many steps is a failed check.

use std::ops::ControlFlow;

use smallvec::{SmallVec, smallvec};

use super::pattern::Pattern;
use super::{Extractor, Failure, Groups, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::java_regex;
use crate::value::Value;

/// Of `captureGroups`, as in Gatling.
const GROUPS: std::ops::RangeInclusive<u32> = 2..=8;

#[derive(Debug)]
pub(super) struct Regex {
    pattern: Pattern<java_regex::Regex>,
    groups: Groups,
}

impl Regex {
    pub(super) fn new(pattern: &Expr, groups: Groups) -> Result<Self, String> {
        Ok(Self { pattern: self::pattern("regex", pattern, groups)?, groups })
    }
}

/// # Errors
/// A literal pattern that cannot be compiled, or a number of groups that Gatling refuses; `what` is the
/// check's name.
pub(super) fn pattern(
    what: &str,
    pattern: &Expr,
    groups: Groups,
) -> Result<Pattern<java_regex::Regex>, String> {
    if let Groups::Count(count) = groups
        && !GROUPS.contains(&count)
    {
        let (least, most) = (GROUPS.start(), GROUPS.end());
        return Err(format!("{what}: captureGroups takes {least} to {most} groups, not {count}"));
    }
    Pattern::new(pattern, java_regex::Regex::new).map_err(|reason| format!("{what}: {reason}"))
}

pub(super) fn kind(groups: Groups) -> Kind {
    match groups {
        Groups::First => Kind::Text,
        Groups::Count(_) | Groups::All => Kind::Any,
    }
}

/// Hands over each match in `text`.
pub(super) fn visit(
    regex: &java_regex::Regex,
    groups: Groups,
    text: &str,
    each: &mut dyn FnMut(Value) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Failure> {
    let visited = match groups {
        // Without groups a match needs no captures: much the cheaper search.
        Groups::First if regex.groups() == 0 => regex.find(text, |found| each(Value::from(found))),
        Groups::First => regex.captures(text, |captures| {
            let first = (1..=regex.groups()).find_map(|index| captures.get(index));
            each(Value::from(first.unwrap_or_default()))
        }),
        Groups::All => lists(regex, regex.groups(), text, each),
        Groups::Count(count) => lists(regex, count as usize, text, each),
    };
    visited.map_err(Failure::Extraction)
}

/// One list of a match; a group that took no part, or that the pattern does not have, is empty.
fn lists(
    regex: &java_regex::Regex,
    count: usize,
    text: &str,
    each: &mut dyn FnMut(Value) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, String> {
    regex.captures(text, |captures| {
        let group = |index| captures.get(index).unwrap_or_default();
        each(Value::list((1..=count).map(|index| group(index).into()).collect()))
    })
}

impl Extractor for Regex {
    fn scope(&self) -> Scope {
        Scope::Body
    }

    fn kind(&self) -> Kind {
        kind(self.groups)
    }

    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        smallvec![self.pattern.source()]
    }

    fn name(&self, texts: &Texts<'_>) -> String {
        format!("regex({})", texts[0])
    }

    fn may_be_fatal(&self) -> bool {
        self.pattern.is_dynamic()
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let pattern = self.pattern.get(&texts[0]).map_err(Failure::Fatal)?;
        visit(&pattern, self.groups, response.text(), each).map(drop)
    }
}

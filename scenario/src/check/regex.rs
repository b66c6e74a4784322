//! `regex(pattern)`: matched in linear time, whatever the pattern, at the price of look-around and
//! back-references, which are refused when the simulation is loaded.

use std::ops::ControlFlow;

use smallvec::{SmallVec, smallvec};

use super::pattern::Pattern;
use super::{Extractor, Failure, Groups, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Regex {
    pattern: Pattern<::regex::Regex>,
    groups: Groups,
}

impl Regex {
    pub(super) fn new(pattern: &Expr, groups: Groups) -> Result<Self, String> {
        Ok(Self { pattern: self::pattern("regex", pattern)?, groups })
    }
}

/// # Errors
/// A literal pattern that cannot be compiled; `what` is the check's name.
pub(super) fn pattern(what: &str, pattern: &Expr) -> Result<Pattern<::regex::Regex>, String> {
    Pattern::new(pattern, compile).map_err(|reason| format!("{what}: {reason}"))
}

fn compile(pattern: &str) -> Result<::regex::Regex, String> {
    ::regex::Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        // The last line says what it is; those before draw the pattern with a caret.
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let hint = if reason.contains("look-around") || reason.contains("backreference") {
            "; Onrush matches in linear time: capture the part you need with a group instead"
        } else {
            ""
        };
        format!("Failed to parse regex {pattern}: {reason}{hint}")
    })
}

pub(super) fn kind(groups: Groups) -> Kind {
    match groups {
        Groups::First => Kind::Text,
        Groups::Count(_) | Groups::All => Kind::Any,
    }
}

/// Hands over each match in `text`.
pub(super) fn visit(
    regex: &::regex::Regex,
    groups: Groups,
    text: &str,
    each: &mut dyn FnMut(Value) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Failure> {
    let wanted = match groups {
        Groups::First if regex.captures_len() == 1 => {
            // Without groups a match needs no captures: much the cheaper search.
            for found in regex.find_iter(text) {
                if each(Value::from(found.as_str())).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            return Ok(ControlFlow::Continue(()));
        }
        Groups::First => None,
        Groups::All => Some(regex.captures_len() - 1),
        Groups::Count(count) => Some(count as usize),
    };
    if wanted.is_some_and(|wanted| wanted >= regex.captures_len()) {
        let has = regex.captures_len() - 1;
        return Err(Failure::Extraction(format!(
            "the pattern has {has} capture groups, not {}",
            wanted.unwrap_or_default()
        )));
    }
    for captures in regex.captures_iter(text) {
        let group = |index| captures.get(index).map_or("", |group| group.as_str());
        let value = match wanted {
            None => {
                let first = captures.iter().skip(1).flatten().next();
                Value::from(first.map_or("", |group| group.as_str()))
            }
            Some(wanted) => Value::list((1..=wanted).map(|index| group(index).into()).collect()),
        };
        if each(value).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
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

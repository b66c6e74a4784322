//! The engines of one pattern, and which of them a text needs.

use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use fancy_regex::RegexInput;

use super::Ending;
use super::emit::{Emitted, Target, emit};
use super::node::{Assertion, Node};
use super::property;
use super::set::{self, Set};

/// Steps back in search of one match: some tenths of a second, in which the thread's users wait.
const STEPS_MAX: usize = 5_000_000;
/// In search of all matches of a text: so many, and some for each of its bytes.
const STEPS_ALL_MAX: usize = 4 * STEPS_MAX;
const STEPS_PER_BYTE: usize = 16;
/// A search is given few steps first, and then four times as many, until it ends: the engine does
/// not say how many it took, so those that it was given count.
const GIVEN_FIRST: usize = 64;
const TRIES: usize = 10;
/// Of brackets, once sets and assertions are written out.
const NESTING_MAX: u32 = 1_000;

static MARKS: LazyLock<Set> = LazyLock::new(property::non_spacing_mark);
/// The first byte of a non-spacing mark is at least this.
const MARK_BYTE: u8 = 0xCC;

#[derive(Debug)]
pub(super) enum Engine {
    Linear(regex::Regex),
    Ended(Box<Ended>),
    Backtracking(Box<Backtracking>),
}

/// The linear engine, where it has to take the text's last terminator into a match.
#[derive(Debug)]
pub(crate) struct Ended {
    regex: regex::Regex,
    groups: Vec<usize>,
    ends: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Backtracking {
    /// For the engine.
    text: Box<str>,
    pattern: Box<str>,
    /// By how many steps they are given; made when they are needed.
    engines: [OnceLock<Result<fancy_regex::Regex, String>>; TRIES],
}

/// The steps that are left for all matches of a text.
pub(super) struct Steps(usize);

impl Steps {
    pub(super) fn of(text: &str) -> Self {
        Self(STEPS_ALL_MAX + STEPS_PER_BYTE * text.len())
    }
}

/// How many steps a search is given at its `attempt`.
fn given(attempt: usize) -> usize {
    (GIVEN_FIRST << (2 * attempt)).min(STEPS_MAX)
}

#[derive(Debug)]
pub(super) struct Engines {
    /// Of nearly all texts.
    first: Engine,
    /// None: of all.
    rare: Option<Box<Rare>>,
}

/// What the first engine is not right for.
#[derive(Debug)]
struct Rare {
    pattern: Box<str>,
    node: Node,
    groups: u32,
    /// `$`: texts that end in a terminator.
    ends: bool,
    /// `(?m)`: texts with terminators that are neither CR nor LF.
    lines: bool,
    /// `\b`: texts with non-spacing marks.
    words: bool,
    crlf: OnceLock<Result<Engine, String>>,
    terminated: OnceLock<Result<Engine, String>>,
    exact: OnceLock<Result<Engine, String>>,
    marked: OnceLock<Result<Engine, String>>,
}

impl Engines {
    /// # Errors
    /// Why no engine takes it.
    pub(super) fn new(pattern: &str, node: Node, groups: u32) -> Result<Self, String> {
        let first = engine(pattern, &node, groups, Ending::Plain)?;
        let asserts = |wanted: fn(Assertion) -> bool| {
            node.any(&|node| matches!(node, Node::Assertion(found) if wanted(*found)))
        };
        let linear = !matches!(first, Engine::Backtracking(_));
        let ends = linear && asserts(|found| matches!(found, Assertion::TextEnd { .. }));
        let lines = linear
            && asserts(|found| {
                let (Assertion::LineStart { unix } | Assertion::LineEnd { unix }) = found else {
                    return false;
                };
                !unix
            });
        let words =
            asserts(|found| matches!(found, Assertion::WordBoundary { unicode: false, .. }));
        let rare = (ends || lines || words).then(|| {
            Box::new(Rare {
                pattern: pattern.into(),
                node,
                groups,
                ends,
                lines,
                words,
                crlf: OnceLock::new(),
                terminated: OnceLock::new(),
                exact: OnceLock::new(),
                marked: OnceLock::new(),
            })
        });
        Ok(Self { first, rare })
    }

    /// # Errors
    /// The engine of such a text cannot be made.
    pub(super) fn of(&self, text: &str) -> Result<&Engine, String> {
        match &self.rare {
            None => Ok(&self.first),
            Some(rare) => {
                rare.of(text).map_or(Ok(&self.first), |made| made.as_ref().map_err(Clone::clone))
            }
        }
    }
}

impl Rare {
    /// Nothing for a text that the first engine is right for.
    fn of(&self, text: &str) -> Option<&Result<Engine, String>> {
        let exactly = |marks| backtracking(&self.pattern, &self.node, self.groups, marks);
        if self.words && has_marks(text) {
            return Some(self.marked.get_or_init(|| exactly(true)));
        }
        if self.lines && has_rare_terminators(text) {
            return Some(self.exact.get_or_init(|| exactly(false)));
        }
        let ending = if self.ends { ending(text) } else { Ending::Plain };
        let made = match ending {
            Ending::Plain => return None,
            Ending::CrLf => &self.crlf,
            Ending::Terminator => &self.terminated,
        };
        Some(made.get_or_init(|| engine(&self.pattern, &self.node, self.groups, ending)))
    }
}

fn ending(text: &str) -> Ending {
    if text.ends_with("\r\n") {
        return Ending::CrLf;
    }
    if text.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        return Ending::Terminator;
    }
    Ending::Plain
}

fn has_rare_terminators(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr2_iter(0xC2, 0xE2, bytes).any(|at| {
        let rest = &bytes[at..];
        rest.starts_with("\u{85}".as_bytes())
            || rest.starts_with("\u{2028}".as_bytes())
            || rest.starts_with("\u{2029}".as_bytes())
    })
}

fn has_marks(text: &str) -> bool {
    !text.is_ascii()
        && text.bytes().any(|byte| byte >= MARK_BYTE)
        && text.chars().any(|c| !c.is_ascii() && set::contains(&MARKS, c))
}

fn engine(pattern: &str, node: &Node, groups: u32, ending: Ending) -> Result<Engine, String> {
    let Some(emitted) = emit(node, Target::Linear(ending), groups) else {
        return backtracking(pattern, node, groups, false);
    };
    let Emitted { text, groups, ends } = emitted;
    let regex = regex::RegexBuilder::new(&text)
        .nest_limit(NESTING_MAX)
        .build()
        .map_err(|error| last_line(&error.to_string()))?;
    Ok(if ends.is_empty() {
        Engine::Linear(regex)
    } else {
        Engine::Ended(Box::new(Ended { regex, groups, ends }))
    })
}

fn backtracking(pattern: &str, node: &Node, groups: u32, marks: bool) -> Result<Engine, String> {
    let emitted = emit(node, Target::Backtracking { marks }, groups);
    let text = emitted.map(|emitted| emitted.text).unwrap_or_default();
    let made = Backtracking {
        text: text.into(),
        pattern: pattern.into(),
        engines: [const { OnceLock::new() }; TRIES],
    };
    // What is wrong with it is wrong at once.
    made.engine(0)?;
    Ok(Engine::Backtracking(Box::new(made)))
}

/// It says what is wrong; those before draw a pattern that nobody wrote.
fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

impl Ended {
    /// The match at or after `from`, without a terminator that was taken for `$`.
    pub(super) fn captures<'t>(
        &self,
        text: &'t str,
        from: usize,
    ) -> Option<(Range<usize>, Captures<'_, 't>)> {
        let captures = self.regex.captures_at(text, from)?;
        let range = captures.get(0)?.range();
        let ends = self.ends.iter().find_map(|&group| captures.get(group));
        let end = ends.map_or(range.end, |end| end.start());
        Some((range.start..end, Captures::Ended { captures, ended: self, text, end }))
    }
}

/// A match, and its groups.
type Found<'t> = (Range<usize>, fancy_regex::Captures<'t, str>);

impl Backtracking {
    fn input<'t>(text: &'t str, from: usize, continues: bool) -> RegexInput<'t, str> {
        RegexInput::new(text).from_pos(from).continue_from_previous_match_end(continues)
    }

    fn engine(&self, attempt: usize) -> Result<&fancy_regex::Regex, String> {
        let made = self.engines[attempt].get_or_init(|| {
            fancy_regex::RegexBuilder::new(&self.text)
                .backtrack_limit(given(attempt))
                .allow_input_assertion_overrides(true)
                .build()
                .map_err(|error| last_line(&error.to_string()))
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// The next match, with as few steps as it takes.
    fn search<T>(
        &self,
        steps: &mut Steps,
        search: impl Fn(&fancy_regex::Regex) -> Result<Option<T>, fancy_regex::Error>,
    ) -> Result<Option<T>, String> {
        for attempt in 0..TRIES {
            let Some(left) = steps.0.checked_sub(given(attempt)) else { break };
            steps.0 = left;
            if let Ok(found) = search(self.engine(attempt)?) {
                return Ok(found);
            }
        }
        Err(format!("matching {} needed too many steps", self.pattern))
    }

    pub(super) fn find(
        &self,
        text: &str,
        from: usize,
        continues: bool,
        steps: &mut Steps,
    ) -> Result<Option<Range<usize>>, String> {
        self.search(steps, |regex| {
            let found = regex.find_input(Self::input(text, from, continues))?;
            Ok(found.map(|found| found.range()))
        })
    }

    pub(super) fn captures<'t>(
        &self,
        text: &'t str,
        from: usize,
        continues: bool,
        steps: &mut Steps,
    ) -> Result<Option<Found<'t>>, String> {
        self.search(steps, |regex| {
            let found = regex.captures_input(Self::input(text, from, continues))?;
            Ok(found.and_then(|captures| Some((captures.get(0)?.range(), captures))))
        })
    }
}

/// The groups of a match.
pub(crate) enum Captures<'r, 't> {
    Linear(regex::Captures<'t>),
    Ended { captures: regex::Captures<'t>, ended: &'r Ended, text: &'t str, end: usize },
    Backtracking(fancy_regex::Captures<'t, str>),
}

impl<'t> Captures<'_, 't> {
    /// Of a group that took part; group 0 is the match.
    pub(crate) fn get(&self, group: usize) -> Option<&'t str> {
        match self {
            Self::Linear(captures) => captures.get(group).map(|found| found.as_str()),
            Self::Ended { captures, ended, text, end } => {
                let found = captures.get(*ended.groups.get(group)?)?;
                text.get(found.start().min(*end)..found.end().min(*end))
            }
            Self::Backtracking(captures) => captures.get(group).map(|found| found.as_str()),
        }
    }
}

#[cfg(test)]
impl Engines {
    /// The engine that backtracks, for any text and pattern.
    pub(super) fn exact(pattern: &str, node: &Node, groups: u32) -> Result<Self, String> {
        Ok(Self { first: backtracking(pattern, node, groups, true)?, rare: None })
    }
}

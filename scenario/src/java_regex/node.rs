//! A pattern as a tree, and what can be said of it without a text.

use super::set::{self, Set};

#[derive(Clone, Debug)]
pub(super) enum Node {
    Empty,
    /// One character of the set; none where it is empty.
    Set(Set),
    Concat(Vec<Self>),
    Alternation(Vec<Self>),
    /// Numbered in the order in which they open.
    Group(Box<Self>),
    Atomic(Box<Self>),
    Repeat {
        node: Box<Self>,
        min: u32,
        /// None: any number.
        max: Option<u32>,
        mode: Mode,
    },
    Look {
        behind: bool,
        negated: bool,
        node: Box<Self>,
    },
    BackReference {
        group: u32,
        any_case: bool,
    },
    Assertion(Assertion),
    /// `\X`
    Cluster,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Greedy,
    Lazy,
    Possessive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assertion {
    /// `\A`, `^`
    Start,
    /// `\z`
    End,
    /// `$`, `\Z`: the end, or before the terminator that is the last of the text; `unix`: `\n` alone is
    /// a terminator.
    TextEnd { unix: bool },
    /// `(?m)^`
    LineStart { unix: bool },
    /// `(?m)$`
    LineEnd { unix: bool },
    /// `\b`, `\B`
    WordBoundary { negated: bool, unicode: bool },
    /// `\G`
    PreviousEnd,
}

impl Node {
    pub(super) fn concat(mut nodes: Vec<Self>) -> Self {
        nodes.retain(|node| !matches!(node, Self::Empty));
        if nodes.len() > 1 {
            return Self::Concat(nodes);
        }
        nodes.pop().unwrap_or(Self::Empty)
    }

    pub(super) fn alternation(mut branches: Vec<Self>) -> Self {
        if branches.len() > 1 {
            return Self::Alternation(branches);
        }
        branches.pop().unwrap_or(Self::Empty)
    }

    pub(super) fn repeat(node: Self, min: u32, max: Option<u32>, mode: Mode) -> Self {
        let never = max == Some(0);
        if never && !node.any(&|node| matches!(node, Self::Group(_))) {
            return Self::Empty;
        }
        if never || !node.is_zero_width() {
            return Self::Repeat { node: Box::new(node), min, max, mode };
        }
        // A second time says nothing new, and engines refuse to repeat what takes nothing.
        match (min, mode) {
            // A group then takes no part.
            (0, _) if max != Some(1) && matches!(node, Self::Group(_)) => {
                Self::Repeat { node: Box::new(node), min, max: Some(0), mode }
            }
            (0, Mode::Lazy) => Self::Alternation(vec![Self::Empty, node]),
            (0, _) => Self::Alternation(vec![node, Self::Empty]),
            _ => node,
        }
    }

    /// Whether it never takes a character.
    fn is_zero_width(&self) -> bool {
        match self {
            Self::Empty | Self::Look { .. } | Self::Assertion(_) => true,
            Self::Concat(nodes) | Self::Alternation(nodes) => nodes.iter().all(Self::is_zero_width),
            Self::Group(node) | Self::Atomic(node) => node.is_zero_width(),
            Self::Repeat { node, max, .. } => *max == Some(0) || node.is_zero_width(),
            Self::Set(_) | Self::BackReference { .. } | Self::Cluster => false,
        }
    }

    /// The characters that it takes at least.
    pub(super) fn min_chars(&self) -> usize {
        match self {
            Self::Set(_) | Self::Cluster => 1,
            Self::Concat(nodes) => nodes.iter().map(Self::min_chars).fold(0, usize::saturating_add),
            Self::Alternation(nodes) => nodes.iter().map(Self::min_chars).min().unwrap_or(0),
            Self::Group(node) | Self::Atomic(node) => node.min_chars(),
            Self::Repeat { node, min, .. } => node.min_chars().saturating_mul(*min as usize),
            Self::Empty | Self::Look { .. } | Self::BackReference { .. } | Self::Assertion(_) => 0,
        }
    }

    /// Nodes after repetitions are written out.
    pub(super) fn weight(&self) -> u64 {
        let inner = match self {
            Self::Concat(nodes) | Self::Alternation(nodes) => {
                nodes.iter().map(Self::weight).fold(0, u64::saturating_add)
            }
            Self::Group(node) | Self::Atomic(node) | Self::Look { node, .. } => node.weight(),
            Self::Repeat { node, min, max, .. } => {
                node.weight().saturating_mul(u64::from(max.unwrap_or(*min).max(1)))
            }
            _ => 0,
        };
        inner.saturating_add(1)
    }

    /// Whether `wanted` says so of any node.
    pub(super) fn any(&self, wanted: &dyn Fn(&Self) -> bool) -> bool {
        wanted(self)
            || match self {
                Self::Concat(nodes) | Self::Alternation(nodes) => {
                    nodes.iter().any(|node| node.any(wanted))
                }
                Self::Group(node)
                | Self::Atomic(node)
                | Self::Look { node, .. }
                | Self::Repeat { node, .. } => node.any(wanted),
                _ => false,
            }
    }

    /// Whether every way through it begins with `(?m)^`.
    pub(super) fn begins_a_line(&self) -> bool {
        match self {
            Self::Assertion(Assertion::LineStart { .. }) => true,
            Self::Concat(nodes) => nodes.first().is_some_and(Self::begins_a_line),
            Self::Alternation(nodes) => nodes.iter().all(Self::begins_a_line),
            Self::Group(node) | Self::Atomic(node) => node.begins_a_line(),
            Self::Repeat { node, min, .. } => *min > 0 && node.begins_a_line(),
            _ => false,
        }
    }

    /// What may come first, where something or the text's end has to.
    fn first(&self) -> Option<Set> {
        match self {
            Self::Set(set) => Some(set.clone()),
            Self::Concat(nodes) => nodes.first()?.first(),
            Self::Alternation(nodes) => {
                Some(set::union(nodes.iter().map(Self::first).collect::<Option<Vec<_>>>()?))
            }
            Self::Group(node) | Self::Atomic(node) => node.first(),
            Self::Repeat { node, min, .. } if *min > 0 => node.first(),
            Self::Assertion(Assertion::End) => Some(Set::empty()),
            Self::Assertion(Assertion::TextEnd { .. } | Assertion::LineEnd { .. }) => {
                Some(set::line_terminators())
            }
            _ => None,
        }
    }

    /// The characters that `\R` is made of, where it is one.
    fn line_break(&self) -> Option<&Set> {
        match self {
            Self::Alternation(nodes) => {
                let [Self::Concat(pair), Self::Set(set)] = &nodes[..] else { return None };
                let [Self::Set(cr), Self::Set(lf)] = &pair[..] else { return None };
                let is = |set: &Set, c| *set == set::of(&[(c, c)]);
                (is(cr, '\r') && is(lf, '\n') && *set == set::vertical()).then_some(set)
            }
            _ => None,
        }
    }

    /// Of a pattern that has to match all of a text: there `$` is the end.
    pub(super) fn whole(self) -> Self {
        let start = Self::Assertion(Assertion::Start);
        let end = Self::Assertion(Assertion::End);
        Self::concat(vec![start, self.ending(), end])
    }

    fn ending(self) -> Self {
        match self {
            Self::Assertion(Assertion::TextEnd { .. }) => Self::Assertion(Assertion::End),
            Self::Concat(mut nodes) => {
                if let Some(last) = nodes.pop() {
                    nodes.push(last.ending());
                }
                Self::Concat(nodes)
            }
            Self::Alternation(nodes) => {
                Self::Alternation(nodes.into_iter().map(Self::ending).collect())
            }
            Self::Group(node) => Self::Group(Box::new(node.ending())),
            other => other,
        }
    }

    /// Makes greedy what is possessive for speed alone: one character, repeated, where what follows
    /// cannot begin with it. The linear engine knows no other.
    pub(super) fn relax(&mut self) {
        self.relax_before(Some(&Set::empty()));
    }

    /// `next`: what may follow, where that is known.
    fn relax_before(&mut self, next: Option<&Set>) {
        match self {
            Self::Concat(nodes) => {
                let mut after = next.cloned();
                for node in nodes.iter_mut().rev() {
                    node.relax_before(after.as_ref());
                    after = node.first();
                }
            }
            Self::Alternation(nodes) => nodes.iter_mut().for_each(|node| node.relax_before(next)),
            Self::Group(node) => node.relax_before(next),
            Self::Repeat { node, min, mode, .. } => match &mut **node {
                Self::Set(set) => {
                    let apart = next.is_some_and(|next| set::is_disjoint(set, next));
                    if *mode == Mode::Possessive && apart {
                        *mode = Mode::Greedy;
                    }
                }
                Self::Atomic(inner) if *min < 2 => {
                    // A line break with nothing after it that could be the second half of one.
                    let line_break = inner.line_break();
                    let apart =
                        next.zip(line_break).is_some_and(|(next, set)| set::is_disjoint(set, next));
                    if apart && *mode != Mode::Possessive {
                        **node = std::mem::replace(&mut **inner, Self::Empty);
                    }
                }
                _ => node.relax_before(None),
            },
            Self::Atomic(node) => {
                node.relax_before(None);
                let Self::Repeat { node: inner, mode: Mode::Greedy, .. } = &**node else { return };
                if let Self::Set(set) = &**inner
                    && next.is_some_and(|next| set::is_disjoint(set, next))
                {
                    *self = std::mem::replace(&mut **node, Self::Empty);
                }
            }
            Self::Look { node, .. } => node.relax_before(None),
            _ => {}
        }
    }
}

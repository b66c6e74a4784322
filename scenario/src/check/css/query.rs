//! A selector made ready, and what it finds in a page.
//!
//! Most selectors can be asked of each element alone. Those with `:eq` and its like cannot: they
//! count what has been found so far, so they go by steps, as in Gatling: all that the first compound
//! finds, then from there to all that the second one finds, and so on.

use std::fmt;
use std::mem;
use std::ops::ControlFlow;

use cssparser::{Delimiter, ParseError};
use ego_tree::iter::Children;
use ego_tree::{NodeId, NodeRef};
use rustc_hash::FxHashSet;
use scraper::{ElementRef, Node};
use selectors::context::{
    MatchingContext, MatchingForInvalidation, MatchingMode, NeedsSelectorFlags, QuirksMode,
    SelectorCaches,
};
use selectors::matching::{
    CompoundSelectorMatchingResult, matches_compound_selector_from, matches_selector,
};
use selectors::parser::{Combinator, Component, Selector};

use super::dialect::{Dialect, Position, Pseudo, Wrong, reason};
use super::element::Asked;
use super::notation;
use crate::check::Failure;
use crate::check::page::{Effort, Page};

/// Longer texts are no selectors.
const BYTES_MAX: usize = 16 << 10;
/// Of a selector in an error.
const SHOWN_MAX: usize = 200;

pub(in crate::check) struct Query {
    list: Box<[Steps]>,
    /// Some place counts.
    by_steps: bool,
}

impl Query {
    /// # Errors
    /// What is wrong with the selector, and where.
    pub(in crate::check) fn new(selector: &str) -> Result<Self, String> {
        Self::parse(selector).map_err(|refusal| refusal.of(selector))
    }

    pub(super) fn parse(selector: &str) -> Result<Self, Refusal> {
        if selector.len() > BYTES_MAX {
            let reason = format!("it has {} bytes, more than {BYTES_MAX}", selector.len());
            return Err(Refusal { reason, read: String::new(), left: 0 });
        }
        let css = notation::css(selector).map_err(|reason| Refusal {
            reason,
            read: String::new(),
            left: 0,
        })?;
        let mut input = cssparser::Parser::new(&css);
        let start = input.position();
        let mut list = Vec::new();
        loop {
            let mut read = "";
            let one = input.parse_until_before(Delimiter::Comma, |input| {
                let parsed = Selector::parse(&Dialect, input)
                    .and_then(|one| input.expect_exhausted().map(|()| one).map_err(Into::into));
                read = input.slice_from(start);
                parsed
            });
            let one = one.map_err(|error: ParseError<Wrong>| Refusal {
                reason: reason(&error),
                read: read.trim().to_owned(),
                left: css.len() - read.len(),
            })?;
            list.push(Steps::new(&one));
            if input.next().is_err() {
                break;
            }
        }
        let by_steps = list.iter().any(Steps::count_places);
        Ok(Self { list: list.into(), by_steps })
    }

    #[cfg(test)]
    pub(super) fn by_steps_alone(selector: &str) -> Result<Self, String> {
        Ok(Self { by_steps: true, ..Self::new(selector)? })
    }

    /// Hands over each element until told to stop: in the order of the document, or, where places
    /// count, in the order in which the steps find them.
    ///
    /// # Errors
    /// The page is too much for the selector.
    pub(in crate::check) fn select<'a>(
        &self,
        page: &'a Page,
        each: &mut dyn FnMut(ElementRef<'a>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let mut caches = SelectorCaches::default();
        let mut context = MatchingContext::new(
            MatchingMode::Normal,
            None,
            &mut caches,
            QuirksMode::NoQuirks,
            NeedsSelectorFlags::No,
            MatchingForInvalidation::No,
        );
        // A break is either the receiver's wish or an effort that is spent.
        let _ = if self.by_steps {
            self.select_by_steps(page, &mut context, each)
        } else {
            self.select_one_by_one(page, &mut context, each)
        };
        page.effort().within_bounds().map_err(Failure::Extraction)
    }

    fn select_one_by_one<'a>(
        &self,
        page: &'a Page,
        context: &mut MatchingContext<'_, Dialect>,
        each: &mut dyn FnMut(ElementRef<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for node in page.nodes().filter(|node| node.parent().is_some()) {
            let Some(element) = ElementRef::wrap(node) else { continue };
            let asked = Asked::new(element, page.effort());
            let fits = |steps: &Steps| matches_selector(&steps.selector, 0, None, &asked, context);
            if self.list.iter().any(fits) {
                each(element)?;
            }
            page.effort().go_on()?;
        }
        ControlFlow::Continue(())
    }

    fn select_by_steps<'a>(
        &self,
        page: &'a Page,
        context: &mut MatchingContext<'_, Dialect>,
        each: &mut dyn FnMut(ElementRef<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut known = FxHashSet::default();
        for steps in &self.list {
            for node in steps.find(page.root(), page.effort(), context, Wanted::All) {
                if let Some(element) = ElementRef::wrap(node)
                    && known.insert(node.id())
                {
                    each(element)?;
                }
            }
            page.effort().go_on()?;
        }
        ControlFlow::Continue(())
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Query").field(&self.list).finish()
    }
}

/// Why a selector was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    reason: String,
    /// As far as it was read.
    read: String,
    /// Bytes behind that.
    pub(super) left: usize,
}

impl Refusal {
    pub(super) fn of(&self, selector: &str) -> String {
        let shown: String = selector.chars().take(SHOWN_MAX).collect();
        let more = if shown.len() < selector.len() { "…" } else { "" };
        let place = if self.read.is_empty() || self.read == selector.trim() {
            String::new()
        } else {
            format!(", in {}", self.read)
        };
        format!("Failed to parse css selector {shown}{more}: {}{place}", self.reason)
    }

    pub(super) fn map_read(self, change: impl FnOnce(&str) -> String) -> Self {
        Self { read: change(&self.read), ..self }
    }
}

/// A selector without commas, and where its compounds are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    selector: Selector<Dialect>,
    steps: Box<[Step]>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Step {
    /// None: any descendant.
    from_before: Option<Combinator>,
    /// Of the compound, in the selector.
    offset: usize,
    positions: Vec<Position>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// Only whether there is any.
    Any,
}

impl Steps {
    fn new(selector: &Selector<Dialect>) -> Self {
        let (mut steps, mut step) = (Vec::new(), Step::default());
        for (index, component) in selector.iter_raw_parse_order_from(0).enumerate() {
            match component {
                Component::Combinator(combinator) => {
                    let next = Step {
                        from_before: Some(*combinator),
                        offset: index + 1,
                        positions: Vec::new(),
                    };
                    steps.push(mem::replace(&mut step, next));
                }
                Component::NonTSPseudoClass(Pseudo::Position(place)) => step.positions.push(*place),
                _ => {}
            }
        }
        steps.push(step);
        Self { selector: selector.clone(), steps: steps.into() }
    }

    /// Of `:has`: its first compound stands for the element that is asked, and is no step.
    pub(super) fn inside(selector: &Selector<Dialect>) -> Self {
        let mut all = Self::new(selector);
        all.steps = all.steps.into_iter().skip(1).collect();
        all
    }

    fn count_places(&self) -> bool {
        self.steps.iter().any(|step| !step.positions.is_empty())
    }

    /// What is found from `start` on.
    pub(super) fn find<'a>(
        &self,
        start: NodeRef<'a, Node>,
        effort: &'a Effort,
        context: &mut MatchingContext<'_, Dialect>,
        wanted: Wanted,
    ) -> Vec<NodeRef<'a, Node>> {
        let mut nodes = vec![start];
        for (index, step) in self.steps.iter().enumerate() {
            let is_last = index + 1 == self.steps.len();
            let one_will_do = wanted == Wanted::Any && is_last && step.positions.is_empty();
            let (mut found, mut known) = (Vec::new(), FxHashSet::default());
            let mut walk = Walk { combinator: step.from_before, walked: FxHashSet::default() };
            for node in nodes {
                let ended = walk.from(node, &mut |node| {
                    effort.spend(1);
                    effort.go_on()?;
                    if let Some(element) = ElementRef::wrap(node)
                        && self.fits(step, &Asked::new(element, effort), context)
                        && known.insert(node.id())
                    {
                        found.push(node);
                        if one_will_do {
                            return ControlFlow::Break(());
                        }
                    }
                    ControlFlow::Continue(())
                });
                if ended.is_break() {
                    return found;
                }
            }
            nodes = step.kept(found);
        }
        nodes
    }

    fn fits(
        &self,
        step: &Step,
        element: &Asked<'_>,
        context: &mut MatchingContext<'_, Dialect>,
    ) -> bool {
        let result = matches_compound_selector_from(&self.selector, step.offset, context, element);
        !matches!(result, CompoundSelectorMatchingResult::NotMatched)
    }
}

impl Step {
    /// Those at the places wanted, each of which counts among all that were found.
    fn kept<'a>(&self, found: Vec<NodeRef<'a, Node>>) -> Vec<NodeRef<'a, Node>> {
        if self.positions.is_empty() {
            return found;
        }
        let count = found.len();
        let holds = |index| self.positions.iter().all(|place| place.holds(index, count));
        found.into_iter().enumerate().filter(|(index, _)| holds(*index)).map(|(_, it)| it).collect()
    }
}

/// From elements to those that a combinator leads to. No stretch is walked twice, so that a step is
/// linear in the page however its elements lie in each other.
struct Walk {
    combinator: Option<Combinator>,
    /// From here all was seen.
    walked: FxHashSet<NodeId>,
}

impl Walk {
    fn from<'a>(
        &mut self,
        node: NodeRef<'a, Node>,
        each: &mut dyn FnMut(NodeRef<'a, Node>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self.combinator {
            None | Some(Combinator::Descendant) => self.inside(node, each),
            Some(Combinator::Child) => children(node).try_for_each(each),
            Some(Combinator::LaterSibling) => self.behind(node, each),
            Some(Combinator::NextSibling) => {
                node.next_siblings().find(|it| it.value().is_element()).map_or(CONTINUE, each)
            }
            // The parser makes no others.
            Some(Combinator::PseudoElement | Combinator::SlotAssignment | Combinator::Part) => {
                CONTINUE
            }
        }
    }

    fn inside<'a>(
        &mut self,
        root: NodeRef<'a, Node>,
        each: &mut dyn FnMut(NodeRef<'a, Node>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if !self.walked.insert(root.id()) {
            return CONTINUE;
        }
        let mut next = root.first_child();
        while let Some(node) = next {
            each(node)?;
            let down = if self.walked.insert(node.id()) { node.first_child() } else { None };
            next = down.or_else(|| following(node, root));
        }
        CONTINUE
    }

    fn behind<'a>(
        &mut self,
        node: NodeRef<'a, Node>,
        each: &mut dyn FnMut(NodeRef<'a, Node>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if !self.walked.insert(node.id()) {
            return CONTINUE;
        }
        for sibling in node.next_siblings() {
            each(sibling)?;
            if !self.walked.insert(sibling.id()) {
                break;
            }
        }
        CONTINUE
    }
}

const CONTINUE: ControlFlow<()> = ControlFlow::Continue(());

/// What is inside a `<template>` has a node of its own around it.
fn children(node: NodeRef<'_, Node>) -> Children<'_, Node> {
    node.first_child().filter(|inner| inner.value().is_fragment()).unwrap_or(node).children()
}

/// The first node behind `node` and all that is inside it, within `root`.
fn following<'a>(node: NodeRef<'a, Node>, root: NodeRef<'a, Node>) -> Option<NodeRef<'a, Node>> {
    let mut at = node;
    loop {
        if let Some(sibling) = at.next_sibling() {
            return Some(sibling);
        }
        at = at.parent().filter(|parent| parent.id() != root.id())?;
    }
}

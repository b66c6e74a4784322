//! An element as selectors ask it: `scraper`'s, with names in any case and the pseudo-classes of
//! [`super::dialect`].

use html5ever::{LocalName, Namespace, QualName};
use scraper::ElementRef;
use scraper::selector::{CssLocalName, CssString, PseudoElement};
use selectors::attr::{AttrSelectorOperation, CaseSensitivity, NamespaceConstraint};
use selectors::bloom::BloomFilter;
use selectors::context::MatchingContext;
use selectors::matching::ElementSelectorFlags;
use selectors::{Element, OpaqueElement};

use super::dialect::{Dialect, Pseudo};
use super::query::Wanted;
use crate::check::page::Effort;

/// Text that costs as much to look through as going from one element to another.
const TEXT_PER_STEP: usize = 32;

/// The value of an attribute, whatever the case of its name; `xlink:href` is one name.
pub(super) fn attribute<'a>(element: ElementRef<'a>, name: &str) -> Option<&'a str> {
    let is_meant = |key: &QualName| match &key.prefix {
        None => (*key.local).eq_ignore_ascii_case(name),
        Some(prefix) => name.split_once(':').is_some_and(|(before, local)| {
            (**prefix).eq_ignore_ascii_case(before) && (*key.local).eq_ignore_ascii_case(local)
        }),
    };
    element.value().attrs.iter().find(|(key, _)| is_meant(key)).map(|(_, value)| &**value)
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    element: ElementRef<'a>,
    effort: &'a Effort,
}

impl<'a> Asked<'a> {
    pub(super) fn new(element: ElementRef<'a>, effort: &'a Effort) -> Self {
        Self { element, effort }
    }

    /// One step to another element.
    fn to(&self, element: Option<ElementRef<'a>>) -> Option<Self> {
        self.effort.spend(1);
        element.map(|element| Self { element, effort: self.effort })
    }

    /// In any case: HTML's names are all small, and some of SVG's are not.
    fn same(&self, name: &LocalName, wanted: &LocalName) -> bool {
        name == wanted
            || !self.is_html_element_in_html_document() && name.eq_ignore_ascii_case(wanted)
    }

    fn contains(&self, wanted: &str) -> bool {
        let mut text = String::new();
        for part in self.element.text() {
            self.effort.spend(1 + part.len() / TEXT_PER_STEP);
            if part.contains(wanted) {
                return true;
            }
            text.push_str(part);
        }
        text.contains(wanted)
    }
}

impl Element for Asked<'_> {
    type Impl = Dialect;

    fn match_non_ts_pseudo_class(
        &self,
        pseudo: &Pseudo,
        context: &mut MatchingContext<'_, Dialect>,
    ) -> bool {
        let element = self.element.value();
        match pseudo {
            // Places are counted when all are found; inside another pseudo-class there are none.
            Pseudo::Position(_) => true,
            Pseudo::Contains(text) => self.contains(text),
            Pseudo::Has(list) => list.iter().any(|steps| {
                context.nest(|context| {
                    !steps.find(*self.element, self.effort, context, Wanted::Any).is_empty()
                })
            }),
            Pseudo::Type(name) => element.attr("type") == Some(name),
            Pseudo::Flag(name) => element.attr(name).is_some(),
            Pseudo::Header => matches!(element.name(), "h1" | "h2" | "h3" | "h4" | "h5" | "h6"),
            Pseudo::Input => matches!(element.name(), "button" | "input" | "select" | "textarea"),
            Pseudo::Parent => !self.is_empty(),
        }
    }

    fn attr_matches(
        &self,
        namespace: &NamespaceConstraint<&Namespace>,
        name: &CssLocalName,
        operation: &AttrSelectorOperation<&CssString>,
    ) -> bool {
        self.element.value().attrs.iter().any(|(key, value)| {
            !matches!(*namespace, NamespaceConstraint::Specific(url) if *url != key.ns)
                && self.same(&key.local, &name.0)
                && operation.eval_str(value)
        })
    }

    fn has_local_name(&self, name: &CssLocalName) -> bool {
        self.same(&self.element.value().name.local, &name.0)
    }

    /// Who has tried for too long finds no more ancestors, which ends what else could go on for ever.
    fn parent_element(&self) -> Option<Self> {
        self.effort.go_on().continue_value()?;
        let parent = self.element.parent()?;
        // A `<template>` has a node of its own around what is inside it.
        let parent = if parent.value().is_fragment() { parent.parent()? } else { parent };
        self.to(ElementRef::wrap(parent))
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        self.to(self.element.prev_sibling_element())
    }

    fn next_sibling_element(&self) -> Option<Self> {
        self.to(self.element.next_sibling_element())
    }

    fn first_element_child(&self) -> Option<Self> {
        self.to(self.element.first_element_child())
    }

    fn opaque(&self) -> OpaqueElement {
        self.element.opaque()
    }

    fn parent_node_is_shadow_root(&self) -> bool {
        false
    }

    fn containing_shadow_host(&self) -> Option<Self> {
        None
    }

    fn is_pseudo_element(&self) -> bool {
        false
    }

    fn is_part(&self, _name: &CssLocalName) -> bool {
        false
    }

    fn imported_part(&self, _name: &CssLocalName) -> Option<CssLocalName> {
        None
    }

    fn is_same_type(&self, other: &Self) -> bool {
        self.element.is_same_type(&other.element)
    }

    fn is_html_element_in_html_document(&self) -> bool {
        self.element.is_html_element_in_html_document()
    }

    fn has_namespace(&self, namespace: &Namespace) -> bool {
        self.element.has_namespace(namespace)
    }

    fn match_pseudo_element(
        &self,
        pseudo: &PseudoElement,
        _context: &mut MatchingContext<'_, Dialect>,
    ) -> bool {
        match *pseudo {}
    }

    fn apply_selector_flags(&self, _flags: ElementSelectorFlags) {}

    fn is_link(&self) -> bool {
        self.element.is_link()
    }

    fn is_html_slot_element(&self) -> bool {
        false
    }

    fn has_id(&self, id: &CssLocalName, case: CaseSensitivity) -> bool {
        self.element.has_id(id, case)
    }

    fn has_class(&self, name: &CssLocalName, case: CaseSensitivity) -> bool {
        self.element.has_class(name, case)
    }

    fn has_custom_state(&self, _name: &CssLocalName) -> bool {
        false
    }

    fn is_empty(&self) -> bool {
        self.element.is_empty()
    }

    fn is_root(&self) -> bool {
        self.element.is_root()
    }

    fn add_element_unique_hashes(&self, _filter: &mut BloomFilter) -> bool {
        false
    }
}

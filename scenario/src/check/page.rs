//! A body as HTML, for selectors. The parser looks through the elements that are open at most of its
//! tags, and puts open formatting into each block anew: what a page costs in time and memory grows
//! with its depth. So the page is parsed in pieces, and given up where it gets too much.

use std::cell::Cell;
use std::ops::ControlFlow;

use ego_tree::NodeRef;
use html5ever::tendril::TendrilSink;
use scraper::{ElementRef, Html, HtmlTreeSink, Node};

/// Larger pages are not looked through.
const BYTES_MAX: usize = 16 << 20;
/// Browsers stop nesting at some hundred elements.
const DEPTH_MAX: usize = 2_000;
/// A few hundred bytes each.
const NODES_MAX: usize = 1_000_000;
/// Bytes parsed, times the depth: about a second's work.
const PARSING_MAX: usize = 1_000_000_000;
/// From element to element, for all selectors of a response: about a second's work, too.
const STEPS_MAX: u64 = 100_000_000;

/// Of a piece; less where the page is deep, so that none does much harm.
const PIECE_BYTES: usize = 4 << 10;
const PIECE_BYTES_MIN: usize = 128;
/// Of a piece, times the depth.
const PIECE_WORK: usize = 128 << 10;

pub(super) struct Page {
    html: Html,
    effort: Effort,
}

impl Page {
    /// # Errors
    /// What of it is too much, with the figure.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            let (bytes, most) = (text.len(), BYTES_MAX >> 20);
            return Err(format!("the page has {bytes} bytes, more than {most} MiB"));
        }
        let sink = HtmlTreeSink::new(Html::new_document());
        let mut parser = html5ever::parse_document(sink, html5ever::ParseOpts::default());
        let mut growth = Growth::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(growth.piece_bytes()));
            rest = after;
            parser.process(piece.into());
            let html = parser.tokenizer.sink.sink.0.borrow();
            growth.look_at(&html, piece.len())?;
        }
        Ok(Self { html: parser.finish(), effort: Effort::default() })
    }

    /// In the order in which they were made: that of the document, unless the parser moved some.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeRef<'_, Node>> {
        self.html.tree.nodes()
    }

    pub(super) fn root(&self) -> NodeRef<'_, Node> {
        self.html.tree.root()
    }

    pub(super) fn effort(&self) -> &Effort {
        &self.effort
    }

    pub(super) fn text_of(&self, element: ElementRef<'_>) -> String {
        let text: String = element.text().collect();
        self.effort.spend(text.len() / 32);
        text
    }
}

/// How a page has grown so far.
#[derive(Default)]
struct Growth {
    nodes: usize,
    /// The most that was seen: what was nested once may be nested again.
    depth: usize,
    work: usize,
}

impl Growth {
    fn piece_bytes(&self) -> usize {
        (PIECE_WORK / (self.depth + 1)).clamp(PIECE_BYTES_MIN, PIECE_BYTES)
    }

    fn look_at(&mut self, html: &Html, bytes: usize) -> Result<(), String> {
        let nodes = html.tree.nodes();
        let added = nodes.len() - self.nodes;
        self.nodes = nodes.len();
        if self.nodes > NODES_MAX {
            return Err(format!("the page has more than {NODES_MAX} elements and texts"));
        }
        // Siblings follow each other: most have the depth of the one before.
        let mut known = None;
        for node in nodes.rev().take(added) {
            let parent = node.parent().map(|parent| parent.id());
            if known != parent {
                known = parent;
                self.depth = self.depth.max(node.ancestors().take(DEPTH_MAX + 1).count());
            }
        }
        if self.depth > DEPTH_MAX {
            return Err(format!("the page has more than {DEPTH_MAX} elements in each other"));
        }
        self.work += bytes * self.depth;
        if self.work > PARSING_MAX {
            let depth = self.depth;
            return Err(format!("the page is too long for {depth} elements in each other"));
        }
        Ok(())
    }
}

/// What finding elements has cost.
#[derive(Debug, Default)]
pub(super) struct Effort(Cell<u64>);

impl Effort {
    pub(super) fn spend(&self, steps: usize) {
        self.0.set(self.0.get().saturating_add(steps as u64));
    }

    pub(super) fn go_on(&self) -> ControlFlow<()> {
        if self.0.get() > STEPS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// # Errors
    /// The page is too much for what was looked for.
    pub(super) fn within_bounds(&self) -> Result<(), String> {
        match self.go_on() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(format!("the page takes more than {STEPS_MAX} steps from element to element"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pieces_make_the_same_page(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "<div class=\"a b\">", "</div>", "<p>", "text &amp; &notin; more", "\r\n", "é", "<b>",
                    "</b>", "<!-- a comment -->", "<table><tr><td>", "</table>", "<script>let x = '</p>';",
                    "</script>", "<textarea>\n", "</textarea>", "<a href='/x?a=1&b=2'>", "</a>", "<br/>",
                ]),
                1_000..2_000,
            )
        ) {
            let text = parts.concat();
            let page = Page::parse(&text).unwrap();
            prop_assert_eq!(page.html, Html::parse_document(&text));
        }
    }
}

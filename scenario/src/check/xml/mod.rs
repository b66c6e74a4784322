//! A body as XML, for paths: one array of nodes in the order of the document, so that what is inside
//! a node, before it or after it is a range; and one text, of which each element has its part.
//!
//! `growth`: how large it is, looked at first · `doctype`: its entities, within bounds

mod doctype;
mod growth;

use std::collections::HashMap;

use roxmltree::{Document, Node as Parsed, NodeType};

/// A node's place in the document.
pub(in crate::check) type NodeId = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::check) enum Kind {
    Document,
    Element,
    Attribute,
    Text,
    Comment,
    Instruction,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    parent: NodeId,
    /// The last node inside; the node itself where there is none.
    end: NodeId,
    name: u32,
    /// Of `chars`; of `others` for attributes, comments and instructions.
    from: u32,
    to: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::check) struct Name {
    pub prefix: Box<str>,
    pub local: Box<str>,
    pub uri: Box<str>,
}

#[derive(Debug)]
pub(in crate::check) struct Tree {
    nodes: Vec<Node>,
    names: Vec<Name>,
    /// The text nodes, one after the other: that of an element is a part of it.
    chars: String,
    others: String,
}

impl Tree {
    /// # Errors
    /// What of it is too much, with the figure, or why it is no XML.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}');
        growth::size(text)?;
        let text = doctype::resolve(text)?;
        let growth = growth::look_at(&text)?;
        let document = Document::parse(&text)
            .map_err(|error| format!("Could not parse response into a DOM Document: {error}"))?;
        let mut building = Building {
            source: &text,
            tree: Self {
                nodes: Vec::with_capacity(growth.nodes),
                names: vec![Name::default()],
                chars: String::with_capacity(text.len() / 2),
                others: String::new(),
            },
            open: Vec::new(),
            names: HashMap::new(),
        };
        document.root().descendants().for_each(|node| building.add(node));
        building.close(0);
        Ok(building.tree)
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn len(&self) -> NodeId {
        place(self.nodes.len())
    }

    pub(super) fn kind(&self, id: NodeId) -> Kind {
        self.node(id).kind
    }

    /// Of all but the document.
    pub(super) fn parent(&self, id: NodeId) -> Option<NodeId> {
        (id > 0).then(|| self.node(id).parent)
    }

    /// The last node inside it, or itself.
    pub(super) fn end(&self, id: NodeId) -> NodeId {
        self.node(id).end
    }

    /// Empty for what has no name.
    pub(super) fn name(&self, id: NodeId) -> &Name {
        &self.names[self.node(id).name as usize]
    }

    pub(super) fn string(&self, id: NodeId) -> &str {
        let node = self.node(id);
        let of = match node.kind {
            Kind::Document | Kind::Element | Kind::Text => &self.chars,
            Kind::Attribute | Kind::Comment | Kind::Instruction => &self.others,
        };
        of.get(node.from as usize..node.to as usize).unwrap_or_default()
    }

    pub(super) fn attributes(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let is_own = move |at: &NodeId| self.kind(*at) == Kind::Attribute;
        (id + 1..=self.end(id)).take_while(is_own)
    }

    pub(super) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let first = self.attributes(id).last().unwrap_or(id) + 1;
        let end = self.end(id);
        let next = move |at: &NodeId| Some(self.end(*at) + 1).filter(|next| *next <= end);
        std::iter::successors(Some(first).filter(|first| *first <= end), next)
    }
}

/// A document is bounded: its places fit.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

struct Building<'d> {
    source: &'d str,
    tree: Tree,
    open: Vec<(NodeId, roxmltree::NodeId)>,
    /// By prefix, local name and URI.
    names: HashMap<(&'d str, &'d str, &'d str), u32>,
}

/// What stands before the colon of the name that `text` begins with.
fn prefix_of(text: &str) -> &str {
    let ends = |char: char| char.is_whitespace() || matches!(char, ':' | '=' | '/' | '>');
    match text.find(ends) {
        Some(end) if text[end..].starts_with(':') => &text[..end],
        _ => "",
    }
}

impl<'d> Building<'d> {
    /// Closes all but so many of the open nodes.
    fn close(&mut self, keep: usize) {
        let (end, to) = (place(self.tree.nodes.len() - 1), place(self.tree.chars.len()));
        for (id, _) in self.open.drain(keep..) {
            let node = &mut self.tree.nodes[id as usize];
            (node.end, node.to) = (end, to);
        }
    }

    fn add<'i: 'd>(&mut self, parsed: Parsed<'d, 'i>) {
        let above = parsed.parent().map(|parent| parent.id());
        let keep = self.open.iter().rposition(|(_, open)| Some(*open) == above);
        let keep = keep.map_or(0, |at| at + 1);
        if keep < self.open.len() {
            self.close(keep);
        }
        let text = parsed.text().unwrap_or_default();
        match parsed.node_type() {
            NodeType::Root => self.opens(Kind::Document, 0, parsed),
            NodeType::Element => self.element(parsed),
            NodeType::Text => self.text(text),
            NodeType::Comment => self.other(Kind::Comment, 0, text),
            NodeType::PI => {
                let (target, value) =
                    parsed.pi().map_or(("", ""), |it| (it.target, it.value.unwrap_or_default()));
                let name = self.name("", target, "");
                self.other(Kind::Instruction, name, value);
            }
        }
    }

    /// One node, with the CDATA sections that follow.
    fn text(&mut self, text: &str) {
        let from = place(self.tree.chars.len());
        self.tree.chars.push_str(text);
        let to = place(self.tree.chars.len());
        let above = self.open.last().map_or(0, |(open, _)| *open);
        match self.tree.nodes.last_mut() {
            Some(last) if last.kind == Kind::Text && last.parent == above => last.to = to,
            _ => self.push(Kind::Text, 0, from, to),
        }
    }

    fn element<'i: 'd>(&mut self, parsed: Parsed<'d, 'i>) {
        let tag = parsed.tag_name();
        let source = self.source.get(parsed.range().start + 1..).unwrap_or_default();
        let prefix = prefix_of(source);
        let name = self.name(prefix, tag.name(), tag.namespace().unwrap_or_default());
        self.opens(Kind::Element, name, parsed);
        for attribute in parsed.attributes() {
            let source = self.source.get(attribute.range().start..).unwrap_or_default();
            let prefix = prefix_of(source);
            let uri = attribute.namespace().unwrap_or_default();
            let name = self.name(prefix, attribute.name(), uri);
            self.other(Kind::Attribute, name, attribute.value());
        }
    }

    fn name(&mut self, prefix: &'d str, local: &'d str, uri: &'d str) -> u32 {
        let names = &mut self.tree.names;
        *self.names.entry((prefix, local, uri)).or_insert_with(|| {
            names.push(Name { prefix: prefix.into(), local: local.into(), uri: uri.into() });
            place(names.len() - 1)
        })
    }

    fn opens(&mut self, kind: Kind, name: u32, parsed: Parsed<'_, '_>) {
        self.open.push((place(self.tree.nodes.len()), parsed.id()));
        let from = place(self.tree.chars.len());
        // Its end comes when it is closed.
        let parent = self.open.len().checked_sub(2).map_or(0, |above| self.open[above].0);
        let id = place(self.tree.nodes.len());
        self.tree.nodes.push(Node { kind, parent, end: id, name, from, to: from });
    }

    fn other(&mut self, kind: Kind, name: u32, text: &str) {
        let from = place(self.tree.others.len());
        self.tree.others.push_str(text);
        self.push(kind, name, from, place(self.tree.others.len()));
    }

    fn push(&mut self, kind: Kind, name: u32, from: u32, to: u32) {
        let parent = self.open.last().map_or(0, |(open, _)| *open);
        let id = place(self.tree.nodes.len());
        self.tree.nodes.push(Node { kind, parent, end: id, name, from, to });
    }
}

//! A path, as it has been read: names are resolved, functions found, variables numbered.

use std::sync::Arc;

use super::functions::Function;
use super::item::{Atomic, Type};
use crate::java_regex::Regex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// `=`: any of these with any of those.
    General,
    /// `eq`: one with one.
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    WholeDivide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeOrder {
    Is,
    Before,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loop {
    For,
    Some,
    Every,
}

#[derive(Debug)]
pub(super) enum Expr {
    Literal(Atomic),
    /// By its place among those that are bound where it stands.
    Variable(usize),
    Context,
    Sequence(Vec<Self>),
    Path(Path),
    Filter(Box<Self>, Vec<Self>),
    Loop(Loop, Box<Self>, Box<Self>),
    Let(Box<Self>, Box<Self>),
    If(Box<[Self; 3]>),
    Or(Vec<Self>),
    And(Vec<Self>),
    Compare(Compared, Comparison, Box<[Self; 2]>),
    NodeOrder(NodeOrder, Box<[Self; 2]>),
    Arithmetic(Arithmetic, Box<[Self; 2]>),
    Negate(Box<Self>),
    Range(Box<[Self; 2]>),
    Concat(Vec<Self>),
    Set(Set, Box<[Self; 2]>),
    /// `a ! b`
    Each(Box<[Self; 2]>),
    Cast(Box<Self>, Type, Optional),
    Castable(Box<Self>, Type, Optional),
    InstanceOf(Box<Self>, SequenceType),
    Treat(Box<Self>, SequenceType),
    Call(Call),
}

/// `xs:integer?`: nothing at all will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Optional(pub bool);

#[derive(Debug)]
pub(super) struct Call {
    pub function: &'static Function,
    pub arguments: Vec<Expr>,
    /// Of `matches`, `replace` and `tokenize`, where it is written out.
    pub regex: Option<Arc<Regex>>,
}

#[derive(Debug)]
pub(super) struct Path {
    pub start: Start,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Start {
    Root,
    Context,
    Expr(Box<Expr>),
}

#[derive(Debug)]
pub(super) enum Step {
    Axis { axis: Axis, test: NodeTest, predicates: Vec<Expr> },
    Expr(Expr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Child,
    Descendant,
    DescendantOrSelf,
    Attribute,
    This,
    Parent,
    Ancestor,
    AncestorOrSelf,
    FollowingSibling,
    PrecedingSibling,
    Following,
    Preceding,
}

impl Axis {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "child" => Self::Child,
            "descendant" => Self::Descendant,
            "descendant-or-self" => Self::DescendantOrSelf,
            "attribute" => Self::Attribute,
            "self" => Self::This,
            "parent" => Self::Parent,
            "ancestor" => Self::Ancestor,
            "ancestor-or-self" => Self::AncestorOrSelf,
            "following-sibling" => Self::FollowingSibling,
            "preceding-sibling" => Self::PrecedingSibling,
            "following" => Self::Following,
            "preceding" => Self::Preceding,
            _ => return None,
        })
    }
}

/// None: any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NameTest {
    pub local: Option<Box<str>>,
    pub uri: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodeTest {
    /// Of what the axis is about: attributes, or elements.
    Name(NameTest),
    Any,
    Text,
    Comment,
    Document,
    Element(NameTest),
    Attribute(NameTest),
    Instruction(Option<Box<str>>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ItemType {
    Any,
    Atomic(Type),
    AnyAtomic,
    Node(NodeTest),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SequenceType {
    /// None: `empty-sequence()`.
    pub item: Option<ItemType>,
    pub least: usize,
    pub most: usize,
}

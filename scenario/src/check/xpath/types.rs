//! Node tests and types, as they are written.

use super::ast::{Axis, ItemType, NameTest, NodeTest, SequenceType};
use super::parse::Parser;

type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    /// A name, or `text()` and its like.
    pub(super) fn node_test(&mut self, axis: Axis) -> Parsed<NodeTest> {
        match self.reader.begins_kind_test() {
            true => self.kind_test(),
            false => Ok(NodeTest::Name(self.name_test(axis)?)),
        }
    }

    fn kind_test(&mut self) -> Parsed<NodeTest> {
        let (_, kind) = self.reader.qualified_name()?;
        self.reader.expect("(")?;
        let named = !self.reader.is_before(")");
        let test = match kind.as_str() {
            "element" if named => NodeTest::Element(self.name_test(Axis::Child)?),
            "element" => NodeTest::Element(NameTest::default()),
            "attribute" if named => NodeTest::Attribute(self.name_test(Axis::Attribute)?),
            "attribute" => NodeTest::Attribute(NameTest::default()),
            "processing-instruction" if named => {
                let target = match self.reader.literal()? {
                    Some(literal) => literal.string().to_string(),
                    None => self.reader.qualified_name()?.1,
                };
                NodeTest::Instruction(Some(target.into()))
            }
            "processing-instruction" => NodeTest::Instruction(None),
            "text" => NodeTest::Text,
            "comment" => NodeTest::Comment,
            "document-node" => NodeTest::Document,
            _ => NodeTest::Any,
        };
        self.reader.expect(")")?;
        Ok(test)
    }

    /// `xs:integer?`, `element()+`, `item()*`
    pub(super) fn sequence_type(&mut self) -> Parsed<SequenceType> {
        if self.is_before_call("empty-sequence") {
            self.empty_brackets()?;
            return Ok(SequenceType { item: None, least: 0, most: 0 });
        }
        let item = if self.is_before_call("item") {
            self.empty_brackets()?;
            ItemType::Any
        } else if self.reader.begins_kind_test() {
            ItemType::Node(self.kind_test()?)
        } else {
            let (prefix, local) = self.reader.qualified_name()?;
            match local.as_str() {
                "anyAtomicType" => ItemType::AnyAtomic,
                local => ItemType::Atomic(self.atomic_type(&prefix, local)?),
            }
        };
        let (least, most) = match () {
            () if self.reader.symbol("?") => (0, 1),
            () if self.reader.symbol("*") => (0, usize::MAX),
            () if self.reader.symbol("+") => (1, usize::MAX),
            () => (1, 1),
        };
        Ok(SequenceType { item: Some(item), least, most })
    }

    fn is_before_call(&self, name: &str) -> bool {
        self.reader.begins_call() && self.reader.is_before(name)
    }

    fn empty_brackets(&mut self) -> Parsed<()> {
        self.reader.qualified_name()?;
        self.reader.expect("(")?;
        self.reader.expect(")")
    }
}

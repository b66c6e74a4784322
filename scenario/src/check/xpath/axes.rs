//! What lies in the direction of an axis, and which of it a test takes.

use super::ast::{Axis, NameTest, NodeTest};
use crate::check::xml::{Kind, NodeId, Tree};

impl NameTest {
    fn takes(&self, tree: &Tree, id: NodeId) -> bool {
        let name = tree.name(id);
        self.local.as_deref().is_none_or(|local| *local == *name.local)
            && self.uri.as_deref().is_none_or(|uri| *uri == *name.uri)
    }
}

impl NodeTest {
    pub(super) fn takes(&self, tree: &Tree, id: NodeId, principal: Kind) -> bool {
        let kind = tree.kind(id);
        match self {
            Self::Any => true,
            Self::Name(name) => kind == principal && name.takes(tree, id),
            Self::Element(name) => kind == Kind::Element && name.takes(tree, id),
            Self::Attribute(name) => kind == Kind::Attribute && name.takes(tree, id),
            Self::Text => kind == Kind::Text,
            Self::Comment => kind == Kind::Comment,
            Self::Document => kind == Kind::Document,
            Self::Instruction(None) => kind == Kind::Instruction,
            Self::Instruction(Some(target)) => {
                kind == Kind::Instruction && *tree.name(id).local == **target
            }
        }
    }
}

impl Axis {
    /// What a name on it is a name of.
    pub(super) fn principal(self) -> Kind {
        match self {
            Self::Attribute => Kind::Attribute,
            _ => Kind::Element,
        }
    }

    /// Hands over what lies in its direction, nearest first, until told to stop.
    ///
    /// # Errors
    /// Those of `each`.
    pub(super) fn walk(
        self,
        tree: &Tree,
        from: NodeId,
        each: &mut dyn FnMut(NodeId) -> Result<(), String>,
    ) -> Result<(), String> {
        let is_attribute = |id: NodeId| tree.kind(id) == Kind::Attribute;
        let inside = |id: NodeId| id + 1..=tree.end(id);
        match self {
            Self::This => each(from),
            Self::Child => tree.children(from).try_for_each(each),
            Self::Attribute => tree.attributes(from).try_for_each(each),
            Self::Descendant => inside(from).filter(|id| !is_attribute(*id)).try_for_each(each),
            Self::DescendantOrSelf => {
                each(from)?;
                inside(from).filter(|id| !is_attribute(*id)).try_for_each(each)
            }
            Self::Parent => tree.parent(from).map_or(Ok(()), each),
            Self::Ancestor => {
                std::iter::successors(tree.parent(from), |id| tree.parent(*id)).try_for_each(each)
            }
            Self::AncestorOrSelf => {
                std::iter::successors(Some(from), |id| tree.parent(*id)).try_for_each(each)
            }
            Self::FollowingSibling => {
                let Some(above) = tree.parent(from).filter(|_| !is_attribute(from)) else {
                    return Ok(());
                };
                let last = tree.end(above);
                let next = |id: &NodeId| Some(tree.end(*id) + 1).filter(|next| *next <= last);
                std::iter::successors(next(&from), next).try_for_each(each)
            }
            Self::PrecedingSibling => {
                let Some(above) = tree.parent(from).filter(|_| !is_attribute(from)) else {
                    return Ok(());
                };
                let before: Vec<NodeId> =
                    tree.children(above).take_while(|id| *id < from).collect();
                before.into_iter().rev().try_for_each(each)
            }
            Self::Following => {
                (tree.end(from) + 1..tree.len()).filter(|id| !is_attribute(*id)).try_for_each(each)
            }
            Self::Preceding => (1..from)
                .rev()
                .filter(|id| !is_attribute(*id) && tree.end(*id) < from)
                .try_for_each(each),
        }
    }
}

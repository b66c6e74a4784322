//! Our own records for what Raft keeps and sends, and their conversion at the edge: no layout of
//! openraft ever reaches a disk or a wire, so that an upgrade of it changes neither.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use openraft::entry::RaftEntry;
use openraft::{EntryPayload, Membership};
use serde::{Deserialize, Serialize};

use crate::consensus::NodeInfo;
use crate::ledger::command::Proposal;
use crate::ledger::outcome::{Outcome, Rejection};
use crate::types::RaftId;

openraft::declare_raft_types!(
    /// Raft over the ledger: u64 terms and ids, several leaders per term told apart by id.
    pub(crate) TypeConfig:
        D = Proposal,
        R = Reply,
        Node = NodeInfo,
);

pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type LeaderId = openraft::type_config::alias::LeaderIdOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// What applying an entry gives to its proposer; nothing for entries without a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply(pub(crate) Option<Result<Outcome, Rejection>>);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proposal by {} at {}", self.by.name, self.at)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct VoteRec {
    pub(crate) term: u64,
    pub(crate) node: RaftId,
    pub(crate) committed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LogIdRec {
    pub(crate) term: u64,
    pub(crate) node: RaftId,
    pub(crate) index: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembershipRec {
    configs: Vec<BTreeSet<RaftId>>,
    nodes: BTreeMap<RaftId, NodeInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRec {
    pub(crate) id: LogIdRec,
    payload: PayloadRec,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum PayloadRec {
    Blank,
    Command(Box<Proposal>),
    Membership(MembershipRec),
}

/// The head of a snapshot: what it includes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetaRec {
    pub(crate) last: Option<LogIdRec>,
    membership_at: Option<LogIdRec>,
    membership: MembershipRec,
}

/// A membership that names a voter without saying who it is.
#[derive(Clone, Debug, thiserror::Error)]
#[error("malformed membership: {0}")]
pub(crate) struct BadMembership(String);

impl From<&Vote> for VoteRec {
    fn from(vote: &Vote) -> Self {
        let leader = vote.leader_id;
        Self { term: leader.term, node: leader.node_id, committed: vote.committed }
    }
}

impl From<VoteRec> for Vote {
    fn from(rec: VoteRec) -> Self {
        let leader_id = LeaderId { term: rec.term, node_id: rec.node };
        Self { leader_id, committed: rec.committed }
    }
}

impl From<&LogId> for LogIdRec {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<LogIdRec> for LogId {
    fn from(rec: LogIdRec) -> Self {
        Self { leader_id: LeaderId { term: rec.term, node_id: rec.node }, index: rec.index }
    }
}

impl fmt::Display for LogIdRec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} of term {} by node {}", self.index, self.term, self.node)
    }
}

impl From<&Membership<RaftId, NodeInfo>> for MembershipRec {
    fn from(membership: &Membership<RaftId, NodeInfo>) -> Self {
        let nodes = membership.nodes().map(|(id, node)| (*id, node.clone())).collect();
        Self { configs: membership.get_joint_config().clone(), nodes }
    }
}

impl TryFrom<MembershipRec> for Membership<RaftId, NodeInfo> {
    type Error = BadMembership;

    fn try_from(rec: MembershipRec) -> Result<Self, BadMembership> {
        Self::new(rec.configs, rec.nodes).map_err(|error| BadMembership(error.to_string()))
    }
}

impl From<&Entry> for EntryRec {
    fn from(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => PayloadRec::Blank,
            EntryPayload::Normal(proposal) => PayloadRec::Command(Box::new(proposal.clone())),
            EntryPayload::Membership(membership) => PayloadRec::Membership(membership.into()),
        };
        Self { id: (&entry.log_id).into(), payload }
    }
}

impl EntryRec {
    pub(crate) fn into_entry(self) -> Result<Entry, BadMembership> {
        let payload = match self.payload {
            PayloadRec::Blank => EntryPayload::Blank,
            PayloadRec::Command(proposal) => EntryPayload::Normal(*proposal),
            PayloadRec::Membership(membership) => EntryPayload::Membership(membership.try_into()?),
        };
        Ok(Entry::new(self.id.into(), payload))
    }
}

impl From<&SnapshotMeta> for MetaRec {
    fn from(meta: &SnapshotMeta) -> Self {
        Self {
            last: meta.last_log_id.as_ref().map(Into::into),
            membership_at: meta.last_membership.log_id().as_ref().map(Into::into),
            membership: meta.last_membership.membership().into(),
        }
    }
}

impl TryFrom<MetaRec> for SnapshotMeta {
    type Error = BadMembership;

    fn try_from(rec: MetaRec) -> Result<Self, BadMembership> {
        let at = rec.membership_at.map(Into::into);
        let membership = if rec.membership.configs.is_empty() {
            Membership::default()
        } else {
            rec.membership.try_into()?
        };
        let last_membership = StoredMembership::new(at, membership);
        Ok(Self { last_log_id: rec.last.map(Into::into), last_membership })
    }
}

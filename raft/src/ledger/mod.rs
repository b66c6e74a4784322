//! The ledger: a pure, deterministic state machine over the log.
//!
//! `apply` is a function of (state, index, proposal): no clock, no randomness, no iteration over
//! hash maps, no effects, no panic. A refused command changes nothing. It never judges whether a
//! transition is wise (the master does), only whether it follows.
//!
//! Sharing: every table is an `Arc`, every row too, so that `clone()` is a few reference counts
//! and a published ledger never changes. Applying copies the table it touches on the first write
//! after a clone; the tables written each second hold only jobs that have not ended.

pub mod command;
pub mod file;
pub mod job;
mod keys;
pub mod limits;
pub mod member;
pub mod outcome;
pub mod project;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::types::RaftId;
use command::{Command, Proposal};
use file::FileTable;
use job::JobTable;
use keys::KeyTable;
use member::{Cluster, ClusterState, Member, MemberCommand};
use outcome::{Outcome, Rejection};
use project::Project;

use crate::types::ProjectName;

/// The applied state of the cluster, at one log index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Log index of the last entry that this state includes, of whatever kind.
    applied: u64,
    /// The voter sets of the membership in force: one, or two while it changes.
    voter_sets: Vec<BTreeSet<RaftId>>,
    cluster: Cluster,
    members: Arc<BTreeMap<RaftId, Arc<Member>>>,
    projects: Arc<BTreeMap<ProjectName, Arc<Project>>>,
    files: FileTable,
    jobs: JobTable,
    keys: KeyTable,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            applied: 0,
            voter_sets: Vec::new(),
            cluster: Cluster::default(),
            members: Arc::default(),
            projects: Arc::new(project::initial()),
            files: FileTable::default(),
            jobs: JobTable::default(),
            keys: KeyTable::default(),
        }
    }
}

impl Ledger {
    /// Carries out one command, or refuses it and changes nothing.
    pub fn apply(&mut self, index: u64, proposal: &Proposal) -> Result<Outcome, Rejection> {
        self.advance(index);
        let at = At { index, at: proposal.at, by: &proposal.by.name };
        limits::text("the proposer's name", at.by, limits::NAME_BYTES_MAX)?;
        if let ClusterState::Dissolved { into } = &self.cluster.state {
            return Err(Rejection::Conflict(format!("this cluster was dissolved into {into}")));
        }
        if let Some(outcome) = self.replayed(proposal)? {
            return Ok(outcome);
        }
        let outcome = match &proposal.command {
            Command::Member(command) => self.apply_member(at, command),
            _ if self.cluster.state != ClusterState::Open => Err(Rejection::Forming),
            Command::Project(command) => self.apply_project(at, command),
            Command::File(command) => self.apply_file(at, command),
            Command::Job(command) => self.apply_job(at, command),
        }?;
        self.remember(proposal, &outcome);
        Ok(outcome)
    }

    /// An entry without a command: a leader's blank entry.
    pub fn advance(&mut self, index: u64) {
        self.applied = self.applied.max(index);
    }

    /// A membership entry: the voter sets from this index on, two while the membership changes.
    pub fn set_membership(&mut self, index: u64, voter_sets: Vec<BTreeSet<RaftId>>) {
        self.advance(index);
        self.voter_sets = voter_sets;
    }

    /// An open cluster of one node (raft id 1, the only voter): for tests and offline tools.
    #[must_use]
    pub fn open_single() -> Self {
        let mut ledger = Self::default();
        ledger.set_membership(0, vec![BTreeSet::from([1])]);
        let genesis = MemberCommand::Genesis {
            cluster: "00000000000000000000000000000001".into(),
            name: "onrush".to_owned(),
            expect: 1,
            min_open: 1,
            founder: "peer-1".into(),
            founder_name: "node-1".to_owned(),
        };
        for (index, command) in (1..).zip([genesis, MemberCommand::Open]) {
            let by = "onrush".into();
            let proposal = Proposal { at: 0, by, command: Command::Member(command) };
            ledger.apply(index, &proposal).expect("genesis and open of an empty ledger follow");
        }
        ledger
    }

    /// The canonical bytes of the state: equal states have equal bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, codec::Error> {
        codec::encode_with::<{ codec::SNAPSHOT_BYTES_MAX }, _>(codec::kind::LEDGER, self)
    }

    /// The inverse of [`Ledger::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, codec::Error> {
        codec::decode_with::<{ codec::SNAPSHOT_BYTES_MAX }, _>(codec::kind::LEDGER, bytes)
    }

    /// BLAKE3 of the canonical bytes: nodes that applied the same index have the same digest.
    pub fn digest(&self) -> Result<blake3::Hash, codec::Error> {
        Ok(blake3::hash(&self.to_bytes()?))
    }
}

/// Where and when a command stands: its log index, the proposer's time and name.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) index: u64,
    pub(crate) at: u64,
    pub(crate) by: &'a str,
}

//! Consensus: openraft behind a handle. Nothing outside this crate names openraft.
//!
//! The handle proposes, reads and reports; it decides nothing. Bytes travel over a [`RaftRpc`]
//! that the node implements; this module never opens a socket.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::ledger::Ledger;
use crate::ledger::command::Proposal;
use crate::ledger::outcome::{Outcome, Rejection};
use crate::status::RaftStatus;
use crate::types::{PeerName, RaftId};

/// What Raft's membership keeps of a node: who it is, never where (an address may change hands).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    pub peer: PeerName,
    pub name: String,
}

/// How often the leader is heard, and how long its silence is borne, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub heartbeat_ms: u64,
    pub election_min_ms: u64,
    pub election_max_ms: u64,
}

impl Timing {
    /// A new leader in 1.3 to 1.6 s.
    pub const DEFAULT: Self =
        Self { heartbeat_ms: 250, election_min_ms: 500, election_max_ms: 750 };
    /// For busy machines and spinning disks: 3 to 3.8 s.
    pub const SLOW: Self =
        Self { heartbeat_ms: 500, election_min_ms: 1_200, election_max_ms: 1_800 };
    /// For tests: under 0.8 s.
    pub const TEST: Self = Self { heartbeat_ms: 50, election_min_ms: 150, election_max_ms: 300 };
}

#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory's `raft` folder: `log.redb`, `snap/`. Created if absent; the caller
    /// holds the lock of the data directory.
    pub dir: PathBuf,
    /// This node, as `cluster.json` says.
    pub id: RaftId,
    pub timing: Timing,
}

/// One of three ways to a peer, so that a heartbeat never waits behind bulk bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Votes, log entries, leader transfer.
    Replication,
    Heartbeat,
    Snapshot,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// Not connected, unknown, or the connection was lost: backed off before the next try.
    #[error("node {target} cannot be reached: {why}")]
    Unreachable { target: RaftId, why: String },
    #[error("node {target} did not answer within {after:?}")]
    Timeout { target: RaftId, after: Duration },
    /// The other side's `handle` answered with this error.
    #[error("node {target} answered: {why}")]
    Remote { target: RaftId, why: String },
}

/// The way to the other nodes: implemented over libp2p by the node, in memory by the tests.
/// Messages have at most 8 MiB. The receiver passes the body to [`Consensus::handle`] with the
/// authenticated raft id of the sender.
#[async_trait]
pub trait RaftRpc: Send + Sync + 'static {
    async fn call(
        &self,
        target: RaftId,
        lane: Lane,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RpcError>;
}

/// Who leads, as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    pub term: u64,
    pub leader: Option<RaftId>,
    /// This node leads, has applied everything committed before its term, and heard from a quorum
    /// within its lease: it may act as the master.
    pub is_me: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not carried out by this call.
    #[error("this node is not the leader{}", .0.map(|id| format!("; node {id} is")).unwrap_or_default())]
    NotLeader(Option<RaftId>),
    /// The quorum did not answer in time: the command may or may not be carried out.
    #[error("no quorum answered in time")]
    NoQuorum,
    /// More than a log entry may have.
    #[error("the command has {size} bytes; at most {max} are allowed")]
    TooLarge { size: usize, max: usize },
    #[error("consensus on this node has stopped")]
    Shutdown,
}

/// A change of the membership, or another order to Raft, that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The membership is not the one that the change was decided on.
    #[error("the membership has changed since")]
    Precondition,
    #[error("{0}")]
    Refused(String),
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// A file of the raft folder cannot be used; says which and why.
    #[error("{path}: {why}")]
    Storage { path: PathBuf, why: String },
    #[error("{0}")]
    Raft(String),
}

/// The membership in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Log index of the entry that made it: the precondition of the next change.
    pub index: u64,
    /// One set, or two while it changes.
    pub voter_sets: Vec<BTreeSet<RaftId>>,
    pub learners: BTreeSet<RaftId>,
    /// The newest membership entry is committed: no change is under way.
    pub committed: bool,
}

/// A running Raft node; clones share it.
#[derive(Clone)]
pub struct Consensus {
    ledger: Arc<arc_swap::ArcSwap<Ledger>>,
    applied: watch::Receiver<u64>,
    leadership: watch::Receiver<Leadership>,
}

/// What applying a proposal gave, and at which log index.
pub type Applied = (u64, Result<Outcome, Rejection>);

impl Consensus {
    pub async fn open(_config: Config, _rpc: Arc<dyn RaftRpc>) -> Result<Self, OpenError> {
        Err(OpenError::Raft("not there yet".to_owned()))
    }

    /// Commits and applies one command; only on the leader. Waits at most a few election timeouts.
    pub async fn propose(&self, _proposal: Proposal) -> Result<Applied, ProposeError> {
        Err(ProposeError::Shutdown)
    }

    /// [`Consensus::propose`], appended only while this node leads `term`: nothing that a deposed
    /// master thought of reaches the log.
    pub async fn propose_as_leader(
        &self,
        _term: u64,
        _proposal: Proposal,
    ) -> Result<Applied, ProposeError> {
        Err(ProposeError::Shutdown)
    }

    /// The applied state of this node, possibly behind the leader's.
    pub fn ledger(&self) -> Arc<Ledger> {
        self.ledger.load_full()
    }

    /// The applied log index; the ledger of that index is published before it changes.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.clone()
    }

    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Leader only: asks a quorum that it still leads. Returns the index that a reader must have
    /// applied to see all that was committed before the call.
    pub async fn linearize(&self) -> Result<u64, ProposeError> {
        Err(ProposeError::Shutdown)
    }

    /// Returns once this node has applied `index`.
    pub async fn wait_applied(&self, _index: u64, _timeout: Duration) -> Result<(), ProposeError> {
        Err(ProposeError::Shutdown)
    }

    pub fn membership(&self) -> Membership {
        Membership::default()
    }

    pub fn status(&self) -> RaftStatus {
        RaftStatus::default()
    }

    /// Answers one RPC of `from`, whose id the node has authenticated.
    pub async fn handle(&self, _from: RaftId, _body: Bytes) -> Result<Bytes, String> {
        Err("not there yet".to_owned())
    }

    /// Founds a cluster with this node as its only voter. Refused on a node that has a log.
    pub async fn initialize(&self, _me: NodeInfo) -> Result<(), AdminError> {
        Err(ProposeError::Shutdown.into())
    }

    /// Adds a learner; does not wait until it has caught up. Returns the membership's index.
    pub async fn add_learner(&self, _id: RaftId, _info: NodeInfo) -> Result<u64, AdminError> {
        Err(ProposeError::Shutdown.into())
    }

    /// Replaces the voters by `voters`, all of them learners or voters already; refused unless
    /// the membership is still the one of `precondition` ([`Membership::index`]). A joint
    /// configuration left over is finished by giving the set of its newest half.
    pub async fn change_voters(
        &self,
        _voters: BTreeSet<RaftId>,
        _precondition: u64,
    ) -> Result<u64, AdminError> {
        Err(ProposeError::Shutdown.into())
    }

    /// Takes a learner out of the membership.
    pub async fn remove_node(&self, _id: RaftId) -> Result<u64, AdminError> {
        Err(ProposeError::Shutdown.into())
    }

    /// Asks voter `to` to take over; returns once it leads, or when that did not happen in time.
    pub async fn transfer_leader(&self, _to: RaftId) -> Result<(), AdminError> {
        Err(ProposeError::Shutdown.into())
    }

    pub async fn trigger_snapshot(&self) -> Result<(), AdminError> {
        Err(ProposeError::Shutdown.into())
    }

    /// Stops all tasks and closes the files; the folder may be opened again after it returns.
    pub async fn shutdown(&self) {}

    /// Resolves with the reason when this node can no longer keep its promises (a disk error, a
    /// hung disk): the process should log it and exit. Never resolves on a clean shutdown.
    pub async fn fatal(&self) -> String {
        std::future::pending().await
    }
}

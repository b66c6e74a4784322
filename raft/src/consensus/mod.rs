//! Consensus: openraft behind a handle. Nothing outside this crate names openraft.
//!
//! The handle proposes, reads and reports; it decides nothing. Bytes travel over a [`RaftRpc`]
//! that the node implements; this module never opens a socket.

mod admin;
mod gate;
mod inbound;
mod network;
mod start;
mod tasks;
#[cfg(test)]
mod tests;
mod view;
#[cfg(test)]
mod went_back_tests;
mod wire;
mod witness;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use openraft::impls::ProgressResponder;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::codec::{self, kind};
use crate::ledger::Ledger;
use crate::ledger::command::{Proposal, Weight};
use crate::ledger::outcome::{Outcome, Rejection};
use crate::log::LogStore;
use crate::records::{LeaderId, TypeConfig};
use crate::snapshot::{Machine, Published};
use crate::space::Room;
use crate::types::{PeerName, RaftId};

use gate::Gate;
use inbound::Inbound;
use network::Voters;

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
    /// There was a log of this id: one that is missing is lost, and must not begin anew.
    pub must_exist: bool,
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
    /// Certainly not carried out.
    #[error(
        "the disk of the master's log is full; what deletes is still taken, and the rest once \
         there is room"
    )]
    NoRoom,
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
    /// It was found out before that its log went back.
    #[error("{path}: {why}")]
    WentBack { path: PathBuf, why: String },
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
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    raft: Raft,
    log: LogStore,
    published: Arc<Published>,
    rpc: Arc<dyn RaftRpc>,
    gate: Arc<Gate>,
    inbound: Inbound,
    /// What the outgoing heartbeats go by.
    voters: Voters,
    /// At most as many proposals are under way at a time.
    proposals: Semaphore,
    leadership: watch::Sender<Leadership>,
    leaderless_since: Mutex<Option<Instant>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

type Raft = openraft::Raft<TypeConfig, Machine>;

/// Proposals under way at a time; others wait their turn.
const PROPOSALS_MAX: usize = 64;
/// Bytes of one encoded command.
pub const PROPOSAL_BYTES_MAX: usize = 1_024 * 1_024;
/// After this, a proposal's outcome is unknown.
const PROPOSE_TIMEOUT: Duration = Duration::from_millis(4_500);
/// How long a change of leader is waited for after it was asked for.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(5);

/// What applying a proposal gave, and at which log index.
pub type Applied = (u64, Result<Outcome, Rejection>);

impl Consensus {
    /// Commits and applies one command; only on the leader.
    pub async fn propose(&self, proposal: Proposal) -> Result<Applied, ProposeError> {
        self.write(None, proposal).await
    }

    /// [`Consensus::propose`], appended only while this node leads `term`: nothing that a deposed
    /// master thought of reaches the log.
    pub async fn propose_as_leader(
        &self,
        term: u64,
        proposal: Proposal,
    ) -> Result<Applied, ProposeError> {
        self.write(Some(term), proposal).await
    }

    async fn write(&self, term: Option<u64>, proposal: Proposal) -> Result<Applied, ProposeError> {
        let size = codec::encode(kind::PROPOSAL, &proposal).map_or(usize::MAX, |b| b.len());
        if size > PROPOSAL_BYTES_MAX {
            return Err(ProposeError::TooLarge { size, max: PROPOSAL_BYTES_MAX });
        }
        if !has_room_for(self.inner.log.room(), proposal.command.weight()) {
            return Err(ProposeError::NoRoom);
        }
        let written = tokio::time::timeout(PROPOSE_TIMEOUT, self.write_bounded(term, proposal));
        written.await.unwrap_or(Err(ProposeError::NoQuorum))
    }

    async fn write_bounded(
        &self,
        term: Option<u64>,
        proposal: Proposal,
    ) -> Result<Applied, ProposeError> {
        let turn = self.inner.proposals.acquire().await;
        let _turn = turn.map_err(|_| ProposeError::Shutdown)?;
        let (responder, answer) = ProgressResponder::complete_only();
        let mut write = self.inner.raft.write(proposal).responder(responder);
        if let Some(term) = term {
            write = write.with_leader(LeaderId { term, node_id: self.inner.config.id });
        }
        write.await.map_err(|_| ProposeError::Shutdown)?;
        let answer = answer.await.map_err(|_| ProposeError::Shutdown)?.map_err(write_error)?;
        let reply = answer.data.0.unwrap_or(Ok(Outcome::Done));
        Ok((answer.log_id.index, reply))
    }

    /// The applied state of this node, possibly behind the leader's.
    pub fn ledger(&self) -> Arc<Ledger> {
        self.inner.published.ledger.load_full()
    }

    /// The applied log index; the ledger of that index is published before it changes.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.inner.published.applied.subscribe()
    }

    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.subscribe()
    }

    /// Leader only: asks a quorum that it still leads. Returns the index that a reader must have
    /// applied to see all that was committed before the call.
    pub async fn linearize(&self) -> Result<u64, ProposeError> {
        let read = self.inner.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match tokio::time::timeout(PROPOSE_TIMEOUT, read).await {
            Err(_) => Err(ProposeError::NoQuorum),
            Ok(Ok(linearizer)) => Ok(linearizer.read_log_id().index()),
            Ok(Err(RaftError::Fatal(_))) => Err(ProposeError::Shutdown),
            Ok(Err(RaftError::APIError(error))) => Err(match error {
                LinearizableReadError::ForwardToLeader(to) => ProposeError::NotLeader(to.leader_id),
                LinearizableReadError::QuorumNotEnough(_) => ProposeError::NoQuorum,
            }),
        }
    }

    /// Returns once this node has applied `index`.
    pub async fn wait_applied(&self, index: u64, timeout: Duration) -> Result<(), ProposeError> {
        let mut applied = self.applied();
        let waited = tokio::time::timeout(timeout, applied.wait_for(|now| *now >= index)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ProposeError::Shutdown),
            Err(_) => Err(ProposeError::NoQuorum),
        }
    }

    /// Answers one RPC of `from`, whose id the node has authenticated.
    pub async fn handle(&self, from: RaftId, body: Bytes) -> Result<Bytes, String> {
        self.inner.inbound.handle(from, &body).await
    }

    /// The disk is full and the log lives on its reserve: another voter should lead.
    pub fn is_log_full(&self) -> bool {
        self.inner.log.room() != Room::Ample
    }

    /// Stops all tasks and closes the files; the folder may be opened again after it returns.
    pub async fn shutdown(&self) {
        self.inner.proposals.close();
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::error!(%error, "raft did not stop cleanly");
        }
        let tasks = std::mem::take(&mut *lock(&self.inner.tasks));
        for task in tasks {
            task.abort();
        }
        let log = self.inner.log.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || log.close()).await {
            tracing::error!(%error, "the log was not closed");
        }
    }

    /// Resolves with the reason when this node can no longer keep its promises (a disk error, a
    /// hung disk, a log that went back, Raft's own end): the process should log it and exit. Never
    /// resolves on a clean shutdown.
    pub async fn fatal(&self) -> String {
        let mut poisoned = self.inner.log.poisoned();
        let why = poisoned.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }
}

/// On a full disk, what a user adds is refused first, what the cluster itself does next, and what
/// makes room never.
fn has_room_for(room: Room, weight: Weight) -> bool {
    match weight {
        Weight::Frees => true,
        Weight::Keeps => room != Room::Out,
        Weight::Adds => room == Room::Ample,
    }
}

fn write_error(error: ClientWriteError<TypeConfig>) -> ProposeError {
    match error {
        ClientWriteError::ForwardToLeader(to) => ProposeError::NotLeader(to.leader_id),
        // It may still be committed by another leader.
        ClientWriteError::LogEntryDiscarded(_) => ProposeError::NoQuorum,
        ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_) => {
            ProposeError::NotLeader(None)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

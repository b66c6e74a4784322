//! The cluster, to the rest of the node: state, leadership, proposals, members. Implemented by
//! [`super`] over Raft and the mesh; tests implement it in memory.

use std::sync::Arc;

use async_trait::async_trait;
use onrush_api::backend::MemberView;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command};
use onrush_raft::ledger::outcome::{Outcome, Rejection};
use onrush_raft::status::RaftStatus;
use onrush_raft::types::{ClusterId, PeerName, RaftId};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::net::Mesh;

/// Why the cluster did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No master is known, or it cannot be reached: certainly not carried out.
    #[error("no leader: {0}")]
    NoLeader(String),
    /// The master could not reach a quorum in time: it may or may not have happened.
    #[error("no quorum: {0}")]
    NoQuorum(String),
    /// This node is no longer master of the term in which it spoke.
    #[error("not the master of term {term} any more")]
    Superseded { term: u64 },
    /// The master's disk is full: certainly not carried out.
    #[error("{0}")]
    NoRoom(String),
    #[error("{0}")]
    Internal(String),
}

/// Who leads, by this node's own view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    pub term: u64,
    pub leader: Option<RaftId>,
    /// The leader's peer, where the ledger knows it.
    pub peer: Option<PeerName>,
    /// This node leads, has applied all entries of earlier terms, and holds its lease.
    pub local: bool,
}

/// What applying gave, and at which log index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub index: u64,
    pub outcome: Outcome,
}

/// Shared by the master, the worker, the repository and the API.
pub type ClusterHandle = Arc<dyn Cluster>;

/// One node's access to the cluster it belongs to.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// This node.
    fn peer(&self) -> PeerName;

    /// This node's name, for people.
    fn name(&self) -> String;

    /// This node's raft id, once it belongs to a cluster.
    fn raft_id(&self) -> Option<RaftId>;

    /// The cluster this node is bound to.
    fn cluster_id(&self) -> Option<ClusterId>;

    fn clock(&self) -> Clock;

    fn mesh(&self) -> Arc<dyn Mesh>;

    /// The applied state of this node: consistent in itself, possibly behind the master's. An empty
    /// one while the node belongs to no cluster.
    fn ledger(&self) -> Arc<Ledger>;

    /// The applied log index; changes wake watchers.
    fn applied(&self) -> watch::Receiver<u64>;

    /// Changes wake watchers.
    fn leadership(&self) -> watch::Receiver<Leadership>;

    /// Through the master, whoever that is; `at` is this node's clock.
    async fn propose(&self, by: &Caller, command: Command) -> Result<Applied, ClusterError>;

    /// As master of `term` only: refused with [`ClusterError::Superseded`] where this node does not
    /// lead that term, so that nothing a deposed master thought of is ever appended.
    async fn propose_as_master(&self, term: u64, command: Command)
    -> Result<Applied, ClusterError>;

    /// Returns once this node has applied all that was committed when it was called.
    async fn read_barrier(&self) -> Result<(), ClusterError>;

    /// [`Cluster::read_barrier`] for those who would rather be stale than late: fails at once where no
    /// master is known.
    async fn catch_up(&self) -> Result<(), ClusterError> {
        self.read_barrier().await
    }

    /// Why the cluster takes no writes yet, in words; none once it is open.
    fn forming(&self) -> Option<String> {
        None
    }

    /// From the ledger's members.
    fn raft_id_of(&self, peer: &PeerName) -> Option<RaftId>;

    /// From the ledger's members.
    fn peer_of(&self, raft_id: RaftId) -> Option<PeerName>;

    /// Raft ids of the voters by the effective configuration.
    fn voters(&self) -> Vec<RaftId>;

    /// Ledger, gossip and connections, joined: this node's view of everyone.
    fn members(&self) -> Vec<MemberView>;

    /// This node's own view.
    fn raft_status(&self) -> RaftStatus;

    /// The master's view, asked over the wire.
    async fn leader_raft_status(&self) -> Result<RaftStatus, ClusterError>;
}

//! What the API needs of a node: a handful of generic operations, not one per route. `node`
//! implements it over Raft, libp2p and the repository; the tests here implement it in memory.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command};
use onrush_raft::ledger::outcome::{Outcome, Rejection};
use onrush_raft::status::RaftStatus;
use onrush_raft::types::{ContentId, JobId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

/// Why a node could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No master is known; the write was certainly not carried out.
    #[error("no leader: {0}")]
    NoLeader(String),
    /// The master could not reach a quorum in time; the write may or may not have happened.
    #[error("no quorum: {0}")]
    NoQuorum(String),
    #[error("{0} does not exist")]
    NotFound(String),
    /// The uploaded bytes are not what was announced.
    #[error("the content's digest is {actual}, not {expected}")]
    DigestMismatch { expected: ContentId, actual: ContentId },
    /// Who holds it cannot be reached now.
    #[error("{0}")]
    Unavailable(String),
    /// The disk of a node that has to keep it is full, or would be: which one, and how much is free.
    #[error("{0}")]
    NoRoom(String),
    #[error("{0}")]
    Internal(String),
}

/// A command that was applied, and at which log index.
#[derive(Clone, Debug)]
pub struct Applied {
    pub index: u64,
    pub outcome: Outcome,
}

/// A blob that a majority of the voters has on disk.
#[derive(Clone, Debug)]
pub struct StoredBlob {
    pub content: ContentId,
    pub size: u64,
    /// Raft ids of the voters that have it: what `FileCommand::Put` must name.
    pub holders: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// What the script printed.
    Stdout,
    /// `console.error`, the engine's own messages, panics.
    Stderr,
}

/// One line of a shard's log. `offset` resumes: a stream asked for from `offset` starts after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    pub shard: u32,
    pub node: String,
    pub stream: LogStream,
    pub offset: u64,
    pub unix_ms: u64,
    pub line: String,
}

#[derive(Clone, Debug)]
pub struct LogQuery {
    pub job: JobId,
    /// All shards when absent.
    pub shard: Option<u32>,
    /// Both streams when absent.
    pub stream: Option<LogStream>,
    /// Only the last n lines of each.
    pub tail: Option<u64>,
    /// Go on until the shard has ended.
    pub follow: bool,
}

/// This node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Identity {
    pub name: String,
    pub peer: String,
    pub version: String,
}

/// One node of the cluster as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    pub name: String,
    pub peer: String,
    pub raft_id: Option<u64>,
    pub addresses: Vec<String>,
    pub api: Option<String>,
    pub version: String,
    /// `leader`, `voter`, `standby`, `worker`, `joining`; `foreign`: settled in another cluster.
    pub role: String,
    /// `alive`, `suspect`, `dead`.
    pub health: String,
    pub labels: std::collections::BTreeMap<String, String>,
    pub cores: u32,
    pub running_shards: u32,
    /// It gets no new shards and hands over those it has: by an operator's word.
    pub draining: bool,
    /// The same, because it is about to stop.
    pub leaving: bool,
    /// How far its wall clock is ahead of the master's, as it measured itself; tenths of a second.
    pub clock_ahead_ms: Option<i64>,
    /// Age of the last sign of life.
    pub last_seen_ms: u64,
    pub rtt_us: Option<u64>,
}

/// A node, to the API.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    fn identity(&self) -> Identity;

    /// The applied state of this node: consistent in itself, possibly behind the master's.
    fn ledger(&self) -> Arc<Ledger>;

    /// The applied log index; changes wake watchers.
    fn applied(&self) -> watch::Receiver<u64>;

    /// Returns once this node has applied all that was committed when it was called.
    async fn read_barrier(&self) -> Result<(), BackendError>;

    /// The same for those who would rather be stale than late.
    async fn catch_up(&self) -> Result<(), BackendError> {
        self.read_barrier().await
    }

    /// Why the cluster takes no writes yet, in words; none once it is open.
    fn forming(&self) -> Option<String> {
        None
    }

    /// Returns once a quorum has answered: what is written now can be committed.
    async fn write_barrier(&self) -> Result<(), BackendError> {
        self.read_barrier().await
    }

    /// Through the master, whoever that is.
    async fn propose(&self, by: &Caller, command: Command) -> Result<Applied, BackendError>;

    /// Streams to disk, hashes, replicates to a majority of the voters.
    async fn put_blob(
        &self,
        body: ByteStream,
        announced: Option<u64>,
        expected: Option<ContentId>,
    ) -> Result<StoredBlob, BackendError>;

    /// From this node's disk, or pulled from a holder. Gives the blob's whole size, and the range.
    async fn open_blob(
        &self,
        content: &ContentId,
        range: Option<Range<u64>>,
    ) -> Result<(u64, ByteStream), BackendError>;

    /// From the nodes that own the shards.
    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogLine>, BackendError>;

    /// `onrush.summary/v1` of a job: final where it has ended, otherwise of the ticks so far.
    async fn summary(
        &self,
        job: &JobId,
    ) -> Result<Arc<onrush_scenario::stats::summary::Summary>, BackendError>;

    /// The state of a job so far, for those who watch: of the ticks that this node has applied.
    async fn live(
        &self,
        job: &JobId,
    ) -> Result<onrush_scenario::stats::live::LiveView, BackendError>;

    fn members(&self) -> Vec<MemberView>;

    /// This node's own view.
    fn raft_status(&self) -> RaftStatus;

    /// The master's view, asked over the wire; an error says who could not be reached.
    async fn leader_raft_status(&self) -> Result<RaftStatus, BackendError>;
}

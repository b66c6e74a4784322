//! The mesh of nodes: who is there, and how to talk to them. The rest of the node sees only
//! [`Mesh`]; libp2p stays inside this folder.

mod actor;
pub mod contact;
mod dialer;
mod greet;
mod hello;
mod lane;
mod libp2p_mesh;
mod limits;
mod persistent;
pub mod phi;
pub mod record;
mod shared;
mod strangers;
mod streams;
mod swarm;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use onrush_raft::types::PeerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// A node's key; the rest of the node only hands it on.
pub use libp2p::identity::Keypair;

pub use libp2p_mesh::{Libp2pMesh, NetConfig, NetError, start};
pub use phi::SUSPECT as PHI_SUSPECT;

/// How often each of so many nodes says what it is, where nothing changes, milliseconds.
pub fn record_period_ms(nodes: usize) -> u64 {
    limits::RECORD_PERIOD_MS + limits::RECORD_PERIOD_PER_NODE_MS * nodes as u64
}

/// What a call or a stream is for. Each has its own long-lived substream, so that a heartbeat never
/// waits behind bulk bytes of another service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Votes and log replication.
    Raft,
    /// Heartbeats alone.
    RaftHeartbeat,
    /// Snapshot chunks.
    RaftSnapshot,
    /// Join, bound, forward a proposal, read barrier, status: small requests to the master.
    Cluster,
    /// Master ↔ worker session (a stream).
    Control,
    /// File chunks and blob questions.
    Blob,
    /// Shard logs (a stream).
    Logs,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum MeshError {
    #[error("{0} is not connected")]
    NotConnected(PeerName),
    #[error("{peer} did not answer within {after:?}")]
    Timeout { peer: PeerName, after: Duration },
    #[error("the connection to {0} was lost")]
    Lost(PeerName),
    /// The other side answered with an error.
    #[error("{0}")]
    Remote(String),
}

/// A byte stream to a peer.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
pub type DuplexStream = Box<dyn Duplex>;

pub type CallHandler =
    Arc<dyn Fn(PeerName, Bytes) -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;
pub type StreamHandler =
    Arc<dyn Fn(PeerName, DuplexStream) -> BoxFuture<'static, ()> + Send + Sync>;

/// What a node answers: filled by the composition root before the mesh starts.
#[derive(Clone, Default)]
pub struct Services {
    pub calls: BTreeMap<Service, CallHandler>,
    pub streams: BTreeMap<Service, StreamHandler>,
}

/// A node as the mesh sees it.
#[derive(Clone, Debug, Default)]
pub struct PeerView {
    pub peer: PeerName,
    pub connected: bool,
    /// Connections to it: more than one only until both sides know which one goes.
    pub connections: usize,
    /// The last signed record gossiped or exchanged by it.
    pub record: Option<NodeRecord>,
    /// Phi-accrual suspicion: a hint and a display, never a decision.
    pub phi: f64,
    /// Connected, but not let in: another cluster, another version.
    pub refused: Option<String>,
    /// It is connected, and refused because it belongs to another cluster of the same name.
    pub foreign: bool,
    /// Age of the last sign of life, milliseconds; 0 for this node.
    pub last_seen_ms: u64,
    pub rtt_us: Option<u64>,
    /// Its process is gone, by the word of its host: the connections were closed, and where it
    /// listened nobody does any more.
    pub ended: bool,
}

/// What a node says of itself, signed, by gossip.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NodeRecord {
    pub peer: PeerName,
    pub name: String,
    /// Boot counter: a newer one replaces an older record whatever its `seq`.
    pub incarnation: u64,
    pub seq: u64,
    pub cluster: Option<onrush_raft::types::ClusterId>,
    pub raft_id: Option<u64>,
    pub expect: u32,
    /// `blank`, `forming`, `open`, `dissolved`, `detached`.
    pub cluster_state: String,
    pub addresses: Vec<String>,
    pub api: Option<String>,
    pub version: String,
    pub labels: BTreeMap<String, String>,
    pub cores: u32,
    pub running_shards: u32,
    /// How far its wall clock is ahead of the master's, milliseconds; none where it has not heard
    /// of one.
    #[serde(default)]
    pub clock_ahead_ms: Option<i64>,
    /// It has every blob that its ledger refers to, as of its last look.
    #[serde(default)]
    pub blobs_complete: bool,
    /// It is about to stop, and hands its shards over.
    #[serde(default)]
    pub leaving: bool,
    /// Its disk is full, and its log lives on the reserve.
    #[serde(default)]
    pub log_full: bool,
    /// A node that forms a cluster counts the blank peers it sees (rule R3).
    pub sees_blank: u32,
}

/// The mesh, to the rest of the node. Real: libp2p. In tests: memory.
#[async_trait]
pub trait Mesh: Send + Sync + 'static {
    fn local(&self) -> PeerName;

    /// All nodes ever heard of in this life, this one included.
    fn peers(&self) -> watch::Receiver<Arc<BTreeMap<PeerName, PeerView>>>;

    /// One request, one answer, in order of arrival on the service's substream to that peer.
    async fn call(
        &self,
        peer: &PeerName,
        service: Service,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, MeshError>;

    /// A stream of one's own. Fails within 3 s where the peer is not connected.
    async fn open(&self, peer: &PeerName, service: Service) -> Result<DuplexStream, MeshError>;
}

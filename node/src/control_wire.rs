//! What master and workers say to each other on a `Control` stream, what holders of blobs answer on
//! `Blob` calls, and what a log stream carries. One framing for all: `u32` length (little endian)
//! and postcard. Nothing here decides anything; a message that cannot be read ends the stream.

use std::collections::BTreeMap;

use bytes::Bytes;
use onrush_api::backend::{LogLine, LogStream};
use onrush_raft::types::{ContentId, JobId, PeerName};
use onrush_scenario::shard::{LoadChange, LoadHeard, Surplus, TakeOver, Yielded};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::repository::store;

/// Bumped when a message changes its layout; said in `Hello`, refused when it differs.
pub const CONTROL_VERSION: u16 = 5;
/// The largest message: a frame with thousands of request names stays far below.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the stream ended: {0}")]
    Io(#[from] std::io::Error),
    #[error("a message of {0} bytes is larger than {MESSAGE_BYTES_MAX}")]
    TooLarge(usize),
    #[error("unreadable message: {0}")]
    Malformed(#[from] postcard::Error),
}

/// One shard of one job under one assignment: the unit that is ordered, reported and counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardKey {
    pub job: JobId,
    pub shard: u32,
    pub epoch: u64,
}

impl std::fmt::Display for ShardKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}-{}", self.job, self.shard, self.epoch)
    }
}

/// All that a node needs to prepare a shard; it reads nothing of it from its own ledger, which may
/// lag behind the master's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardOrder {
    pub key: ShardKey,
    /// S: arrival k belongs to segment k mod S.
    pub segments_total: u32,
    pub segments: Vec<u32>,
    pub seed: u64,
    pub simulation: String,
    pub files: BTreeMap<String, ContentId>,
    pub parameters: BTreeMap<String, String>,
    pub environment: BTreeMap<String, String>,
    /// By the master's clock; what a script's `Date` says while it is loaded.
    pub submitted_at: u64,
    pub record_arrivals: bool,
    pub max_duration_ms: Option<u64>,
    /// It is to begin in mid-run, with segments that another shard held.
    pub takes_over: bool,
    /// That one goes on until this is ready: nothing is lost by waiting.
    pub unhurried: bool,
}

/// Master → worker. Every message stands under the term and leader of the session's `Hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// First message of a session.
    Hello {
        version: u16,
        term: u64,
        leader: u64,
    },
    /// Every 250 ms. `mono_us`: the master's monotonic clock when it was sent, so that a message
    /// that waited in a buffer does not renew the lease for longer than it says.
    Heartbeat {
        term: u64,
        leader: u64,
        mono_us: u64,
        lease_ms: u64,
    },
    /// Answer to a probe: the master's clocks when it answered.
    Probed {
        sent_us: u64,
        mono_us: u64,
        unix_us: u64,
    },
    Prepare(Box<ShardOrder>),
    /// The common start, by the master's monotonic clock, as in a heartbeat; it may lie before
    /// that clock's origin.
    Start {
        key: ShardKey,
        at_us: i64,
        /// Present: the start lies in the past, and this shard begins in mid-run.
        take_over: Option<TakeOver>,
    },
    /// Ends the load now; the last frame is still cut and delivered.
    Stop {
        key: ShardKey,
        reason: String,
    },
    /// Send the frames after `cursor`, those sent before included.
    Resume {
        key: ShardKey,
        cursor: u64,
    },
    /// All frames up to `cursor` are committed: free them.
    Ack {
        key: ShardKey,
        cursor: u64,
    },
    /// The ledger has no more use for this shard: end it, free everything but its logs.
    Release {
        key: ShardKey,
    },
    /// Give segments to another shard, which is ready; answered in a report, once.
    Yield {
        key: ShardKey,
        /// The taker's number and epoch.
        to: u32,
        epoch: u64,
        segments: Vec<u32>,
    },
    /// All changes of the job's load so far: they hold from their instants on. Comes again until a
    /// report says that the shard follows them.
    Load {
        key: ShardKey,
        changes: Vec<LoadChange>,
    },
    /// Of users of the closed model, by population, this shard is to leave so many out: its giver
    /// still has them. Comes again until a report says that the shard follows it.
    HoldBack {
        key: ShardKey,
        users: Vec<u64>,
    },
}

/// Worker → master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The worker has seen a higher term, or speaks another version; the session ends.
    Refused {
        term: u64,
        reason: String,
    },
    /// `sent_us`: the worker's monotonic clock.
    Probe {
        sent_us: u64,
    },
    /// All shards that this node knows: sent first, and whenever one changes.
    Report {
        shards: Vec<ShardReport>,
    },
    Frame {
        key: ShardKey,
        seq: u64,
        body: Bytes,
    },
}

/// One shard as its node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardReport {
    pub key: ShardKey,
    pub phase: Phase,
    /// Sequence number of the newest frame in the spool; 0 for none.
    pub newest: u64,
    /// The start that its process was given, by the monotonic clock of the master that it is
    /// reported to: whoever is master later has the job's time from its shards.
    pub start_us: Option<i64>,
    /// To whom it has given segments, and from when on.
    pub yields: Vec<Yielded>,
    /// What it follows of the job's load.
    #[serde(default)]
    pub load: LoadHeard,
    #[serde(default)]
    pub closed: ClosedUsers,
}

/// What a shard says of its users of the closed model while segments change hands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedUsers {
    /// As a giver: the latest word for each taker.
    pub surplus: Vec<Surplus>,
    /// As a taker: what it holds back, by population. None: it was not told yet.
    pub held_back: Option<Vec<u64>>,
}

/// Why a shard is gone whose node has ended since.
pub const RESTARTED: &str = "its node was restarted";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Pulling files, starting the child, compiling.
    Preparing,
    /// `plan`: JSON of `onrush_scenario::shard::Plan`.
    Ready {
        plan: String,
    },
    Running,
    /// The shard said what it did in all; `newest` is its last frame. `reason`: JSON of
    /// `onrush_scenario::shard::EndReason`.
    Ended {
        reason: String,
    },
    /// The simulation cannot run or crashed: the same on any node. `problem`: JSON of
    /// `onrush_scenario::shard::Problem`.
    Failed {
        problem: String,
    },
    /// The node could not do it for a reason of its own, before any load.
    Unable {
        reason: String,
    },
    /// The process ended without saying so; nothing follows `newest`. [`RESTARTED`]: with its node.
    Gone {
        reason: String,
    },
}

impl Phase {
    /// A process lives, or is about to.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Preparing | Self::Ready { .. } | Self::Running)
    }
}

/// A question about blobs: one call, one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobAsk {
    /// Which of these are not here?
    Missing {
        contents: Vec<ContentId>,
    },
    /// How large is it, and what are the hashes of its chunks?
    Manifest {
        content: ContentId,
    },
    Chunk {
        content: ContentId,
        offset: u64,
        len: u32,
    },
    /// Pull it from one of `from`, keep it, answer when it is durable. `owed`: it was promised
    /// already, and may take room that nothing new gets.
    Replicate {
        content: ContentId,
        from: Vec<PeerName>,
        owed: bool,
    },
    /// Would so many bytes of something new find room?
    Room {
        size: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobAnswer {
    Missing(Vec<ContentId>),
    Manifest(Manifest),
    Chunk(Bytes),
    Durable,
    NotFound,
    /// There is room.
    Room,
    /// There is none, or too little: why.
    Full(String),
    /// It is here, and on its way to as many others as this node sends it to at a time.
    Busy,
}

/// Chunk by chunk, what a blob must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub size: u64,
    /// Bytes per chunk; the last may be shorter.
    pub chunk: u32,
    /// BLAKE3 of each chunk.
    pub hashes: Vec<[u8; 32]>,
}

impl Manifest {
    /// Whether it can be one: chunks as this node cuts them, and as many as the size has.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.chunk == store::CHUNK_BYTES
            && self.size <= store::BLOB_BYTES_MAX
            && self.hashes.len() as u64 == self.size.div_ceil(u64::from(self.chunk))
    }
}

/// First message of a `Logs` stream, from who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAsk {
    pub job: JobId,
    pub shard: Option<u32>,
    pub stream: Option<LogStream>,
    pub tail: Option<u64>,
    pub follow: bool,
}

/// What follows on a `Logs` stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogPart {
    Line(LogLine),
    /// Nothing follows.
    End,
}

/// # Errors
/// Only where a value cannot be expressed in postcard, which these types can.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, Error> {
    Ok(postcard::to_allocvec(message)?)
}

/// # Errors
/// Bytes that are not a `T`, or have more behind it.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let (message, rest) = postcard::take_from_bytes(bytes)?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(Error::Malformed(postcard::Error::DeserializeBadEncoding))
    }
}

/// # Errors
/// The stream is gone, or the message too large.
pub async fn send<T, W>(to: &mut W, message: &T) -> Result<(), Error>
where
    T: Serialize + Sync,
    W: AsyncWrite + Unpin,
{
    let body = encode(message)?;
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Error::TooLarge(body.len()));
    }
    let mut whole = Vec::with_capacity(4 + body.len());
    whole.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    whole.extend_from_slice(&body);
    to.write_all(&whole).await?;
    to.flush().await?;
    Ok(())
}

/// Not cancel-safe: a reader task of its own calls it in a loop.
///
/// # Errors
/// The stream ended, or what arrived is not a `T`.
pub async fn receive<T, R>(from: &mut R) -> Result<T, Error>
where
    T: DeserializeOwned,
    R: AsyncRead + Unpin,
{
    let len = from.read_u32_le().await? as usize;
    if len > MESSAGE_BYTES_MAX {
        return Err(Error::TooLarge(len));
    }
    let mut body = vec![0; len];
    from.read_exact(&mut body).await?;
    decode(&body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ShardKey {
        ShardKey { job: JobId("job_1".into()), shard: 2, epoch: 3 }
    }

    /// Golden bytes: a change here breaks clusters of mixed versions; bump [`CONTROL_VERSION`].
    #[test]
    fn messages_keep_their_bytes() {
        let check = |bytes: Vec<u8>, golden: &[u8]| assert_eq!(bytes, golden);
        check(
            encode(&ToWorker::Hello { version: 5, term: 300, leader: 2 }).unwrap(),
            &[0, 5, 172, 2, 2],
        );
        check(
            encode(&ToWorker::Ack { key: key(), cursor: 9 }).unwrap(),
            &[7, 5, b'j', b'o', b'b', b'_', b'1', 2, 3, 9],
        );
        let changes = vec![LoadChange { at_us: 5, factor: 300 }];
        check(
            encode(&ToWorker::Load { key: key(), changes }).unwrap(),
            &[10, 5, b'j', b'o', b'b', b'_', b'1', 2, 3, 1, 5, 172, 2],
        );
        check(
            encode(&ToWorker::HoldBack { key: key(), users: vec![0, 300] }).unwrap(),
            &[11, 5, b'j', b'o', b'b', b'_', b'1', 2, 3, 2, 0, 172, 2],
        );
        let surplus = vec![Surplus { to: 4, users: vec![9] }];
        check(
            encode(&ClosedUsers { surplus, held_back: Some(vec![]) }).unwrap(),
            &[1, 4, 1, 9, 1, 0],
        );
        check(
            encode(&FromWorker::Frame { key: key(), seq: 4, body: Bytes::from_static(b"xy") })
                .unwrap(),
            &[3, 5, b'j', b'o', b'b', b'_', b'1', 2, 3, 4, 2, b'x', b'y'],
        );
        check(
            encode(&BlobAsk::Chunk { content: ContentId("ab".into()), offset: 1, len: 2 }).unwrap(),
            &[2, 2, b'a', b'b', 1, 2],
        );
        let content = ContentId("ab".into());
        check(
            encode(&BlobAsk::Replicate { content, from: Vec::new(), owed: true }).unwrap(),
            &[3, 2, b'a', b'b', 0, 1],
        );
        check(encode(&BlobAsk::Room { size: 300 }).unwrap(), &[4, 172, 2]);
        check(encode(&BlobAnswer::Full("x".into())).unwrap(), &[6, 1, b'x']);
        check(encode(&BlobAnswer::Busy).unwrap(), &[7]);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&FromWorker::Probe { sent_us: 1 }).unwrap();
        bytes.push(0);
        assert!(decode::<FromWorker>(&bytes).is_err());
    }

    #[tokio::test]
    async fn a_length_beyond_the_bound_is_refused_before_it_is_allocated() {
        let mut bytes: &[u8] = &[0xff, 0xff, 0xff, 0x7f, 0];
        let got = receive::<FromWorker, _>(&mut bytes).await;
        assert!(matches!(got, Err(Error::TooLarge(0x7fff_ffff))));
    }
}

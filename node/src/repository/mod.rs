//! The file repository of this node: takes uploads, has them on a majority of the voters before it
//! says so, pulls what is missing from whoever has it, and answers others. It knows content, never
//! names: those are in the ledger. It refuses to serve a byte that it has not verified once.

pub mod gc;
mod pull;
pub mod store;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use onrush_api::backend::{BackendError, ByteStream, StoredBlob};
use onrush_raft::types::{ContentId, PeerName, RaftId};

use crate::control_wire::{self, BlobAnswer, BlobAsk};
use crate::membership::handle::ClusterHandle;
use crate::net::{CallHandler, MeshError, Service};
use store::{CHUNK_BYTES, Draft, Store};

/// How long an upload tries to reach a majority of the voters, beyond what its size takes.
pub const REPLICATE_TIMEOUT: Duration = Duration::from_secs(30);
/// The slowest link an upload waits for.
pub const REPLICATE_BYTES_PER_SEC_MIN: u64 = 1 << 20;
/// Pause before a voter that did not take a blob is asked again.
const REPLICATE_RETRY: Duration = Duration::from_millis(500);
/// A small question about blobs.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Ids of one `Missing` question.
pub const IDS_PER_ASK_MAX: usize = 10_000;
/// Chunks read ahead for a reader.
const READ_AHEAD: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("{content} is on no node that can be reached: {why}")]
    Unreachable { content: ContentId, why: String },
    #[error("{have} of {need} voters have the content on disk")]
    NoMajority { have: usize, need: usize },
    #[error("this node belongs to no cluster yet")]
    NoCluster,
    #[error("the upload broke off: {0}")]
    Upload(std::io::Error),
    #[error("{0}")]
    Internal(String),
}

impl From<Error> for BackendError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(store::Error::DigestMismatch { expected, actual }) => {
                Self::DigestMismatch { expected, actual }
            }
            Error::Store(store::Error::DiskFull(path)) => {
                Self::DiskFull(path.display().to_string())
            }
            Error::Store(store::Error::NotFound(content)) => Self::NotFound(content.0),
            Error::Store(store::Error::NotAnId(id)) => Self::NotFound(id),
            Error::NoMajority { .. } => Self::NoQuorum(error.to_string()),
            Error::NoCluster => Self::NoLeader(error.to_string()),
            Error::Unreachable { .. } | Error::Upload(_) => Self::Unavailable(error.to_string()),
            Error::Store(_) | Error::Internal(_) => Self::Internal(error.to_string()),
        }
    }
}

/// One node's part of the repository.
pub struct Repository {
    store: Store,
    cluster: OnceLock<ClusterHandle>,
    /// One pull per blob at a time; whoever comes second finds it done.
    pulls: Mutex<BTreeMap<ContentId, Arc<tokio::sync::Mutex<()>>>>,
    /// Whether everything that the ledger refers to was here at the last look.
    complete: AtomicBool,
}

impl Repository {
    /// `root`: `<data>/blobs`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(root: PathBuf) -> Result<Arc<Self>, Error> {
        let store = Store::open(root)?;
        Ok(Arc::new(Self {
            store,
            cluster: OnceLock::new(),
            pulls: Mutex::default(),
            complete: AtomicBool::new(false),
        }))
    }

    /// Who else there is: known only after the mesh runs. Before, only local blobs are served.
    pub fn attach(&self, cluster: ClusterHandle) {
        // A second handle of the same node would be the same.
        let _ = self.cluster.set(cluster);
    }

    fn cluster(&self) -> Result<&ClusterHandle, Error> {
        self.cluster.get().ok_or(Error::NoCluster)
    }

    /// Whether everything that the ledger refers to was here when this node last looked, some
    /// seconds ago. A node that keeps no log does not look.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What is asked on `Service::Blob`.
    pub fn call_handler(self: &Arc<Self>) -> CallHandler {
        let repository = Arc::clone(self);
        Arc::new(move |peer, body| {
            let repository = Arc::clone(&repository);
            Box::pin(async move { repository.answer(peer, &body).await })
        })
    }

    async fn answer(self: Arc<Self>, peer: PeerName, body: &[u8]) -> Result<Bytes, String> {
        let ask = control_wire::decode::<BlobAsk>(body).map_err(|error| error.to_string())?;
        let answer = match ask {
            BlobAsk::Replicate { content, mut from } => {
                if from.is_empty() {
                    from.push(peer);
                }
                self.ensure(&content, &from).await.map_err(|error| error.to_string())?;
                let store = self.store.clone();
                let touched = blocking(move || store.touch(&content)).await;
                touched.map_err(|error| error.to_string())?;
                BlobAnswer::Durable
            }
            BlobAsk::Missing { contents } if contents.len() > IDS_PER_ASK_MAX => {
                return Err(format!("at most {IDS_PER_ASK_MAX} ids in one question"));
            }
            local => {
                let store = self.store.clone();
                blocking(move || answer_local(&store, local))
                    .await
                    .map_err(|error| error.to_string())?
            }
        };
        control_wire::encode(&answer).map(Bytes::from).map_err(|error| error.to_string())
    }

    async fn ask(
        &self,
        peer: &PeerName,
        ask: &BlobAsk,
        timeout: Duration,
    ) -> Result<BlobAnswer, MeshError> {
        let cluster = self.cluster().map_err(|error| MeshError::Remote(error.to_string()))?;
        let wire = |error: control_wire::Error| MeshError::Remote(error.to_string());
        let body = control_wire::encode(ask).map_err(wire)?;
        let answer = cluster.mesh().call(peer, Service::Blob, body.into(), timeout).await?;
        control_wire::decode(&answer).map_err(wire)
    }

    /// Streams to disk while hashing, then has a majority of the voters pull it. In constant memory.
    ///
    /// # Errors
    /// Not what was expected, no majority in time, or the disk's.
    pub async fn put(
        self: &Arc<Self>,
        body: ByteStream,
        expected: Option<ContentId>,
    ) -> Result<StoredBlob, Error> {
        let (content, size) = self.receive(body, expected).await?;
        let holders = self.replicate(&content, size).await?;
        Ok(StoredBlob { content, size, holders })
    }

    /// [`Repository::put`] of bytes in memory: reports and sealed ticks.
    ///
    /// # Errors
    /// As there.
    pub async fn put_bytes(self: &Arc<Self>, bytes: Bytes) -> Result<StoredBlob, Error> {
        self.put(futures::stream::once(async move { Ok(bytes) }).boxed(), None).await
    }

    async fn receive(
        &self,
        mut body: ByteStream,
        expected: Option<ContentId>,
    ) -> Result<(ContentId, u64), Error> {
        let store = self.store.clone();
        let mut draft = blocking(move || store.draft()).await?;
        let mut gathered: Vec<u8> = Vec::with_capacity(CHUNK_BYTES as usize);
        while let Some(bytes) = body.next().await {
            gathered.extend_from_slice(&bytes.map_err(Error::Upload)?);
            if gathered.len() >= CHUNK_BYTES as usize {
                (draft, gathered) = write(draft, gathered).await?;
            }
        }
        (draft, _) = write(draft, gathered).await?;
        blocking(move || draft.finish(expected.as_ref())).await
    }

    /// Until a majority of the voters, this node counted if it is one, has it; the others go on
    /// in the background by their own upkeep.
    async fn replicate(&self, content: &ContentId, size: u64) -> Result<Vec<RaftId>, Error> {
        let cluster = self.cluster()?.clone();
        let seconds = size / REPLICATE_BYTES_PER_SEC_MIN;
        let limit = REPLICATE_TIMEOUT + Duration::from_secs(seconds);
        let voters = cluster.voters();
        let need = voters.len() / 2 + 1;
        let own = cluster.raft_id();
        let mut holders: BTreeSet<RaftId> =
            own.into_iter().filter(|id| voters.contains(id)).collect();
        let ask = BlobAsk::Replicate { content: content.clone(), from: vec![cluster.peer()] };
        let ask = &ask;
        let mut others: FuturesUnordered<_> = voters
            .iter()
            .filter(|id| Some(**id) != own)
            .map(|id| {
                let peer = cluster.peer_of(*id);
                async move {
                    loop {
                        if let Some(peer) = &peer
                            && let Ok(BlobAnswer::Durable) = self.ask(peer, ask, limit).await
                        {
                            return *id;
                        }
                        tokio::time::sleep(REPLICATE_RETRY).await;
                    }
                }
            })
            .collect();
        let gathered = tokio::time::timeout(limit, async {
            while holders.len() < need {
                match others.next().await {
                    Some(id) => holders.insert(id),
                    None => break,
                };
            }
        });
        // Without a majority in time, the count below says so.
        let _ = gathered.await;
        if holders.len() < need || need == 0 {
            return Err(Error::NoMajority { have: holders.len(), need });
        }
        Ok(holders.into_iter().collect())
    }

    /// The blob on this disk: at once where it is, or pulled, `hints` first.
    ///
    /// # Errors
    /// Nobody who can be reached has it, or the disk's.
    pub async fn ensure(&self, content: &ContentId, hints: &[PeerName]) -> Result<(), Error> {
        self.store.path(content)?;
        if self.store.has(content) {
            return Ok(());
        }
        let turn = {
            let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
            pulls.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(pulls.entry(content.clone()).or_default())
        };
        let _turn = turn.lock().await;
        if self.store.has(content) {
            return Ok(());
        }
        self.pull(content, hints).await
    }

    /// The blob's size and the bytes of `range`, pulled first where it is not here.
    ///
    /// # Errors
    /// As [`Repository::ensure`].
    pub async fn open_blob(
        &self,
        content: &ContentId,
        range: Option<Range<u64>>,
    ) -> Result<(u64, ByteStream), Error> {
        self.ensure(content, &[]).await?;
        let size = self.store.size(content).unwrap_or(0);
        let range = range.unwrap_or(0..size);
        let (start, end) = (range.start.min(size), range.end.min(size));
        let offsets = (start..end).step_by(CHUNK_BYTES as usize);
        let (store, content) = (self.store.clone(), content.clone());
        let chunks = futures::stream::iter(offsets).map(move |offset| {
            let (store, content) = (store.clone(), content.clone());
            let len = usize::try_from(end - offset).unwrap_or(usize::MAX).min(CHUNK_BYTES as usize);
            async move {
                let bytes = blocking(move || store.read(&content, offset, len)).await;
                bytes.map(Bytes::from).map_err(std::io::Error::other)
            }
        });
        Ok((size, chunks.buffered(READ_AHEAD).boxed()))
    }

    /// A whole blob in memory.
    ///
    /// # Errors
    /// As [`Repository::ensure`], or it is larger than `max`.
    pub async fn read(&self, content: &ContentId, max: u64) -> Result<Vec<u8>, Error> {
        self.ensure(content, &[]).await?;
        let size = self.store.size(content).unwrap_or(0);
        if size > max {
            return Err(Error::Internal(format!("{content} has {size} bytes, more than {max}")));
        }
        let (store, content) = (self.store.clone(), content.clone());
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        blocking(move || store.read(&content, 0, len)).await
    }
}

fn answer_local(store: &Store, ask: BlobAsk) -> Result<BlobAnswer, store::Error> {
    let found = match ask {
        BlobAsk::Missing { contents } => {
            let missing = contents.into_iter().filter(|content| !store.has(content)).collect();
            return Ok(BlobAnswer::Missing(missing));
        }
        BlobAsk::Manifest { content } => store.manifest(&content).map(BlobAnswer::Manifest),
        BlobAsk::Chunk { content, offset, len } => {
            let len = len.min(CHUNK_BYTES) as usize;
            store.read(&content, offset, len).map(|bytes| BlobAnswer::Chunk(bytes.into()))
        }
        BlobAsk::Replicate { .. } => Ok(BlobAnswer::NotFound),
    };
    match found {
        Err(store::Error::NotFound(_)) => Ok(BlobAnswer::NotFound),
        other => other,
    }
}

async fn write(mut draft: Draft, bytes: Vec<u8>) -> Result<(Draft, Vec<u8>), Error> {
    blocking(move || {
        draft.write(&bytes)?;
        let mut bytes = bytes;
        bytes.clear();
        Ok((draft, bytes))
    })
    .await
}

/// Disk work, off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(Error::Internal(format!("a disk task ended: {error}"))),
    }
}

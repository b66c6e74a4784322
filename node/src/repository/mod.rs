//! The file repository of this node: takes uploads, has them on a majority of the voters before it
//! says so, pulls what is missing from whoever has it, and answers others. It knows content, never
//! names: those are in the ledger. It refuses to give out a byte that is not what was stored, and to
//! fill a disk.

mod draft;
mod fanout;
pub mod gc;
mod pull;
mod put;
mod read;
pub mod room;
mod scrub;
pub mod store;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use onrush_api::backend::BackendError;
use onrush_raft::space::Claim;
use onrush_raft::types::{ContentId, PeerName};

use crate::control_wire::{self, BlobAnswer, BlobAsk, Manifest};
use crate::membership::handle::ClusterHandle;
use crate::net::{CallHandler, MeshError, Service};
use fanout::Fanout;
use room::Room;
use store::Store;

/// How long an upload tries to reach a majority of the voters, beyond what its size takes.
pub const REPLICATE_TIMEOUT: Duration = Duration::from_secs(30);
/// The slowest link an upload waits for.
pub const REPLICATE_BYTES_PER_SEC_MIN: u64 = 1 << 20;
/// A small question about blobs.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Ids of one `Missing` question.
pub const IDS_PER_ASK_MAX: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("{content} is on no node that can be reached: {why}")]
    Unreachable { content: ContentId, why: String },
    #[error("{have} of {need} voters have the content on disk")]
    NoMajority { have: usize, need: usize },
    /// A node that has to keep it cannot: which one, and how much is free.
    #[error("node {node} has no room: {why}")]
    NoRoom { node: String, why: String },
    /// It was found damaged, and nobody who can be reached has it whole.
    #[error(
        "{content} is damaged on this node's disk and whole on no other node that can be reached \
         ({why}); upload it again"
    )]
    Lost { content: ContentId, why: String },
    /// All that have it are sending it to others; some of those will have it in a moment.
    #[error("{0} is on its way to many other nodes")]
    Busy(ContentId),
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
            Error::NoRoom { .. } => Self::NoRoom(error.to_string()),
            Error::Store(store::Error::DiskFull(why)) => Self::NoRoom(why),
            Error::Store(store::Error::Full(full)) => Self::NoRoom(full.to_string()),
            Error::Store(store::Error::NotFound(content)) => Self::NotFound(content.0),
            Error::Store(store::Error::NotAnId(id)) => Self::NotFound(id),
            Error::NoMajority { .. } => Self::NoQuorum(error.to_string()),
            Error::NoCluster => Self::NoLeader(error.to_string()),
            Error::Unreachable { .. } | Error::Lost { .. } | Error::Busy(_) | Error::Upload(_) => {
                Self::Unavailable(error.to_string())
            }
            Error::Store(_) | Error::Internal(_) => Self::Internal(error.to_string()),
        }
    }
}

/// One node's part of the repository.
pub struct Repository {
    store: Store,
    room: Room,
    cluster: OnceLock<ClusterHandle>,
    /// Contents that an upload through this node has stored and whose names are not committed yet.
    uploading: Mutex<BTreeMap<ContentId, usize>>,
    /// One pull per blob at a time; whoever comes second finds it done.
    pulls: Mutex<BTreeMap<ContentId, Arc<tokio::sync::Mutex<()>>>>,
    /// Whom this node sends what to.
    fanout: Mutex<Fanout>,
    /// Whether everything that the ledger refers to was here at the last look.
    complete: AtomicBool,
    /// Whether the disk was too full for anything new at the last look.
    full: AtomicBool,
}

impl Repository {
    /// `root`: `<data>/blobs`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(root: PathBuf) -> Result<Arc<Self>, Error> {
        let room = Room::of(&root);
        let store = Store::open(root)?;
        Ok(Arc::new(Self {
            store,
            room,
            uploading: Mutex::default(),
            cluster: OnceLock::new(),
            pulls: Mutex::default(),
            fanout: Mutex::default(),
            complete: AtomicBool::new(false),
            full: AtomicBool::new(false),
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

    #[cfg(test)]
    fn room(&self) -> &Room {
        &self.room
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
            BlobAsk::Replicate { content, mut from, owed } => {
                if from.is_empty() {
                    from.push(peer);
                }
                let claim = if owed { Claim::Owed } else { Claim::New };
                match self.keep_for_upload(&content, &from, claim).await {
                    Ok(()) => BlobAnswer::Durable,
                    Err(Error::NoRoom { why, .. }) => BlobAnswer::Full(why),
                    Err(error) => return Err(error.to_string()),
                }
            }
            BlobAsk::Room { size } => match self.claim(size, Claim::New).await {
                Ok(_) => BlobAnswer::Room,
                Err(Error::NoRoom { why, .. }) => BlobAnswer::Full(why),
                Err(error) => return Err(error.to_string()),
            },
            BlobAsk::Chunk { content, offset, len } => {
                self.answer_chunk(&peer, content, offset, len).await?
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

    /// The blob on this disk: at once where it is, or pulled, `hints` first. Whether what is here is
    /// what was stored is for whoever reads it to see.
    ///
    /// # Errors
    /// Nobody who can be reached has it, there is no room, or the disk's.
    pub async fn ensure(&self, content: &ContentId, hints: &[PeerName]) -> Result<(), Error> {
        self.ensure_as(content, hints, Claim::Owed).await
    }

    async fn ensure_as(
        &self,
        content: &ContentId,
        hints: &[PeerName],
        claim: Claim,
    ) -> Result<(), Error> {
        self.store.path(content)?;
        if self.store.has(content) {
            return Ok(());
        }
        let turn = self.turn(content).await;
        if self.store.has(content) {
            return Ok(());
        }
        self.pull(content, hints, claim, &turn).await.map_err(|error| self.lost(error))
    }

    /// Pulling and repairing a blob is done once at a time.
    async fn turn(&self, content: &ContentId) -> PullTurn {
        let turn = {
            let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
            pulls.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(pulls.entry(content.clone()).or_default())
        };
        Arc::new(turn.lock_owned().await)
    }

    /// This node, for people.
    fn name(&self) -> String {
        self.cluster().map_or_else(|_| "this".to_owned(), |cluster| cluster.name())
    }

    fn name_of(&self, peer: &PeerName) -> String {
        let known = self.cluster().ok().map(|cluster| cluster.ledger());
        let member = known.as_ref().and_then(|ledger| ledger.member_of_peer(peer));
        member.map_or_else(|| peer.0.clone(), |member| member.name.clone())
    }

    /// Room on this node's disk, held until it is written.
    async fn claim(&self, size: u64, claim: Claim) -> Result<room::Allotment, Error> {
        let room = self.room.clone();
        blocking(move || room.claim(size, claim)).await.map_err(|error| self.full(error))
    }

    /// Where there was no room: on this node.
    fn full(&self, error: Error) -> Error {
        let why = match error {
            Error::Store(store::Error::DiskFull(why)) => why,
            Error::Store(store::Error::Full(full)) => full.to_string(),
            other => return other,
        };
        Error::NoRoom { node: self.name(), why }
    }
}

fn answer_local(store: &Store, ask: BlobAsk) -> Result<BlobAnswer, store::Error> {
    let found = match ask {
        BlobAsk::Missing { contents } => {
            let missing = contents.into_iter().filter(|content| !store.has(content)).collect();
            return Ok(BlobAnswer::Missing(missing));
        }
        BlobAsk::Manifest { content } => {
            let found = store.manifest(&content);
            found.map(|manifest| BlobAnswer::Manifest(Manifest::clone(&manifest)))
        }
        BlobAsk::Chunk { .. } | BlobAsk::Replicate { .. } | BlobAsk::Room { .. } => {
            Ok(BlobAnswer::NotFound)
        }
    };
    match found {
        Err(store::Error::NotFound(_)) => Ok(BlobAnswer::NotFound),
        other => other,
    }
}

/// Disk work, off the runtime's threads.
/// Whose turn it is to write a blob: until the last that works on it is done.
type PullTurn = Arc<tokio::sync::OwnedMutexGuard<()>>;

/// [`blocking`], which goes on when nobody waits for it any more: the turn ends with it, so that
/// nobody else writes the same file meanwhile.
async fn in_turn<T: Send + 'static>(
    turn: &PullTurn,
    work: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Error> {
    let turn = Arc::clone(turn);
    blocking(move || {
        let done = work();
        drop(turn);
        done
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(Error::Internal(format!("a disk task ended: {error}"))),
    }
}

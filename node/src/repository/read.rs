//! Reading a blob: chunk by chunk, each held against its hash before it is given out. What this disk
//! has damaged is put aside and fetched again, with one line in the log; where nobody has it whole,
//! whoever asked is told so, and never gets the damaged bytes.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use onrush_api::backend::ByteStream;
use onrush_raft::space::Claim;
use onrush_raft::types::{ContentId, PeerName};

use super::store::{self, CHUNK_BYTES, COPY_BYTES_MAX};
use super::{Error, Repository, blocking, in_turn};
use crate::control_wire::{BlobAnswer, Manifest};

/// Chunks read ahead for a reader.
const READ_AHEAD: usize = 2;
/// Up to here, what a client asks for is verified before the answer begins, so that a blob that is
/// lost is an error and not an answer that breaks off.
const VERIFIED_FIRST_BYTES: u64 = 64 << 20;

impl Repository {
    /// The blob's size and the bytes of `range`, pulled first where it is not here.
    ///
    /// # Errors
    /// As [`Repository::ensure`], or it is damaged everywhere.
    pub async fn open_blob(
        self: &Arc<Self>,
        content: &ContentId,
        range: Option<Range<u64>>,
    ) -> Result<(u64, ByteStream), Error> {
        let manifest = self.whole_manifest(content).await?;
        let size = manifest.size;
        let range = range.unwrap_or(0..size);
        let (start, end) = (range.start.min(size), range.end.min(size));
        let (first, behind) = (index_of(start), index_of(end.div_ceil(CHUNK) * CHUNK));
        let indices = if start < end { first..behind } else { 0..0 };
        if end - start.min(end) <= VERIFIED_FIRST_BYTES {
            for index in indices.clone() {
                self.whole_chunk(content, &manifest, index).await?;
            }
        }
        let (repository, content) = (Arc::clone(self), content.clone());
        let chunks = futures::stream::iter(indices).map(move |index| {
            let (repository, content) = (Arc::clone(&repository), content.clone());
            let manifest = Arc::clone(&manifest);
            async move {
                let bytes = repository.whole_chunk(&content, &manifest, index).await;
                let bytes = Bytes::from(bytes.map_err(std::io::Error::other)?);
                let offset = index as u64 * CHUNK;
                let inside = |at: u64| {
                    let at = usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
                    at.min(bytes.len())
                };
                Ok::<_, std::io::Error>(bytes.slice(inside(start)..inside(end)))
            }
        });
        Ok((size, chunks.buffered(READ_AHEAD).boxed()))
    }

    /// A whole blob in memory.
    ///
    /// # Errors
    /// As [`Repository::open_blob`], or it is larger than `max`.
    pub async fn read(self: &Arc<Self>, content: &ContentId, max: u64) -> Result<Vec<u8>, Error> {
        let manifest = self.whole_manifest(content).await?;
        let size = manifest.size;
        if size > max {
            return Err(Error::Internal(format!("{content} has {size} bytes, more than {max}")));
        }
        let mut whole = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        for index in 0..manifest.hashes.len() {
            whole.extend(self.whole_chunk(content, &manifest, index).await?);
        }
        Ok(whole)
    }

    /// The blob at `to`, for a run.
    ///
    /// # Errors
    /// As [`Repository::ensure`], or it is damaged everywhere.
    pub async fn place(self: &Arc<Self>, content: &ContentId, to: &Path) -> Result<(), Error> {
        self.ensure(content, &[]).await?;
        let size = self.store.size(content).unwrap_or(0);
        let copied = if size <= COPY_BYTES_MAX { size } else { 0 };
        let _room = self.claim(copied, Claim::Owed).await?;
        let placed = self.place_once(content, to).await;
        if placed.as_ref().is_err_and(Error::is_away) {
            self.repair(content).await?;
            return self.place_once(content, to).await.map_err(|error| self.full(error));
        }
        placed.map_err(|error| self.full(error))
    }

    async fn place_once(&self, content: &ContentId, to: &Path) -> Result<(), Error> {
        let (store, content, to) = (self.store.clone(), content.clone(), to.to_owned());
        blocking(move || store.place(&content, &to)).await
    }

    /// What the chunks must be, of a blob that is here.
    async fn whole_manifest(self: &Arc<Self>, content: &ContentId) -> Result<Arc<Manifest>, Error> {
        self.ensure(content, &[]).await?;
        let manifest = self.manifest(content).await;
        if manifest.as_ref().is_err_and(Error::is_away) {
            self.repair(content).await?;
            return self.manifest(content).await;
        }
        manifest
    }

    async fn manifest(&self, content: &ContentId) -> Result<Arc<Manifest>, Error> {
        let (store, content) = (self.store.clone(), content.clone());
        blocking(move || store.manifest(&content)).await
    }

    /// A chunk as it was stored, from another node if need be.
    async fn whole_chunk(
        self: &Arc<Self>,
        content: &ContentId,
        manifest: &Arc<Manifest>,
        index: usize,
    ) -> Result<Vec<u8>, Error> {
        let read = self.chunk_here(content, manifest, index).await;
        if !read.as_ref().is_err_and(Error::is_away) {
            return read;
        }
        self.repair(content).await?;
        // The hashes themselves may have been what was damaged.
        let manifest = self.manifest(content).await?;
        self.chunk_here(content, &manifest, index).await
    }

    async fn chunk_here(
        &self,
        content: &ContentId,
        manifest: &Arc<Manifest>,
        index: usize,
    ) -> Result<Vec<u8>, Error> {
        let (store, content) = (self.store.clone(), content.clone());
        let manifest = Arc::clone(manifest);
        blocking(move || store.chunk(&content, &manifest, index)).await
    }

    /// A chunk for another node. One that is damaged is not here, and is repaired meanwhile.
    pub(super) async fn answer_chunk(
        self: &Arc<Self>,
        peer: &PeerName,
        content: ContentId,
        offset: u64,
        len: u32,
    ) -> Result<BlobAnswer, String> {
        if !offset.is_multiple_of(CHUNK) || len != CHUNK_BYTES {
            return Err(format!("chunks have {CHUNK_BYTES} bytes and begin at multiples of that"));
        }
        let read = async {
            let manifest = self.manifest(&content).await?;
            if !self.sends(peer, &content, &manifest) {
                return Ok(None);
            }
            self.chunk_here(&content, &manifest, index_of(offset)).await.map(Some)
        };
        let read = read.await;
        match read {
            Ok(Some(bytes)) => Ok(BlobAnswer::Chunk(bytes.into())),
            Ok(None) => Ok(BlobAnswer::Busy),
            Err(Error::Store(store::Error::NotFound(_))) => Ok(BlobAnswer::NotFound),
            Err(error) if error.is_away() => {
                let repository = Arc::clone(self);
                // It says itself how that went.
                tokio::spawn(async move { repository.repair(&content).await });
                Ok(BlobAnswer::NotFound)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether the node gets this chunk now: what has one alone goes to everyone.
    fn sends(&self, peer: &PeerName, content: &ContentId, manifest: &Manifest) -> bool {
        let Ok(cluster) = self.cluster() else { return true };
        let now_ms = cluster.clock().now_ms();
        let mut fanout = self.fanout.lock().unwrap_or_else(PoisonError::into_inner);
        manifest.hashes.len() <= 1 || fanout.admit(content, peer, now_ms)
    }

    /// Fetches a damaged blob again, and says so once.
    ///
    /// # Errors
    /// Nobody who can be reached has it whole, there is no room, or the disk's.
    pub(super) async fn repair(self: &Arc<Self>, content: &ContentId) -> Result<(), Error> {
        self.repair_from(content, &[]).await
    }

    /// [`Repository::repair`], `hints` first.
    pub(super) async fn repair_from(
        self: &Arc<Self>,
        content: &ContentId,
        hints: &[PeerName],
    ) -> Result<(), Error> {
        let turn = self.turn(content).await;
        let (store, id) = (self.store.clone(), content.clone());
        let found = in_turn(&turn, move || match store.check(&id) {
            Ok(_) => Ok(None),
            Err(store::Error::Damaged { what, .. }) => Ok(store.quarantine(&id)?.then_some(what)),
            Err(error) => Err(error),
        });
        let what = match found.await {
            // Somebody else repaired it; or its hashes were at fault, and are right again.
            Ok(None) => return Ok(()),
            Ok(Some(what)) => what,
            // Put aside by somebody else, who has said so; perhaps it is to be had by now.
            Err(Error::Store(store::Error::NotFound(_))) => {
                return self
                    .pull(content, hints, Claim::Owed, &turn)
                    .await
                    .map_err(|e| self.lost(e));
            }
            Err(error) => return Err(error),
        };
        let pulled = self.pull(content, hints, Claim::Owed, &turn).await;
        match &pulled {
            Ok(()) => {
                tracing::warn!(%content, %what, "a stored blob was damaged; repaired: fetched again");
            }
            Err(why) => {
                tracing::error!(%content, %what, %why, "a stored blob is damaged and stays away");
            }
        }
        pulled.map_err(|error| self.lost(error))
    }

    /// What was here, and is damaged, is more than not to be had.
    pub(super) fn lost(&self, error: Error) -> Error {
        match error {
            Error::Unreachable { content, why } if self.store.is_quarantined(&content) => {
                Error::Lost { content, why }
            }
            other => other,
        }
    }
}

const CHUNK: u64 = CHUNK_BYTES as u64;

fn index_of(offset: u64) -> usize {
    usize::try_from(offset / CHUNK).unwrap_or(usize::MAX)
}

impl Error {
    /// This disk has not kept it.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_damage())
    }

    /// This disk has not kept it, or it was put aside a moment ago; another node may have it.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Store(store::Error::NotFound(_)) => true,
            Self::Store(error) => error.is_damage(),
            _ => false,
        }
    }
}

//! Pulling a blob: chunk by chunk from any holder, each chunk verified before it is written, the
//! whole verified before it counts, resumed where an earlier pull broke off.

use futures::StreamExt;
use futures::stream;
use onrush_raft::types::{ContentId, PeerName};

use super::store::{self, CHUNK_BYTES, Draft};
use super::{ASK_TIMEOUT, Error, Repository, blocking};
use crate::control_wire::{BlobAnswer, BlobAsk, Manifest};

/// Chunks on their way at a time.
const IN_FLIGHT: usize = 4;
/// Tries of one chunk, each with the next holder.
const TRIES_PER_CHUNK: usize = 4;

impl Repository {
    pub(super) async fn pull(&self, content: &ContentId, hints: &[PeerName]) -> Result<(), Error> {
        let (holders, manifest) = self.find(content, hints).await?;
        let (store, id, expected) = (self.store.clone(), content.clone(), manifest.clone());
        let mut draft = blocking(move || Draft::resume(&store, &id, &expected)).await?;
        let first = usize::try_from(draft.written() / u64::from(CHUNK_BYTES)).unwrap_or(usize::MAX);
        let (holders, manifest) = (&holders, &manifest);
        let mut chunks = stream::iter(first..manifest.hashes.len())
            .map(|index| self.chunk(content, manifest, holders, index))
            .buffered(IN_FLIGHT);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            draft = blocking(move || draft.write(&chunk).map(|()| draft)).await?;
        }
        let id = content.clone();
        blocking(move || draft.finish(Some(&id))).await?;
        Ok(())
    }

    /// Everyone who has it, and what its chunks must be.
    async fn find(
        &self,
        content: &ContentId,
        hints: &[PeerName],
    ) -> Result<(Vec<PeerName>, Manifest), Error> {
        let candidates = self.candidates(hints)?;
        let ask = BlobAsk::Manifest { content: content.clone() };
        let ask = &ask;
        let answers: Vec<_> = stream::iter(candidates)
            .map(|peer| async move {
                let answer = self.ask(&peer, ask, ASK_TIMEOUT).await;
                (peer, answer)
            })
            .buffered(8)
            .collect()
            .await;
        let mut found: Option<(Vec<PeerName>, Manifest)> = None;
        let mut why = "nobody else is known".to_owned();
        for (peer, answer) in answers {
            match answer {
                Ok(BlobAnswer::Manifest(manifest)) if !is_sound(&manifest) => {
                    why = format!("{peer} sent a manifest that cannot be");
                }
                Ok(BlobAnswer::Manifest(manifest)) => match &mut found {
                    None => found = Some((vec![peer], manifest)),
                    Some((holders, first)) if *first == manifest => holders.push(peer),
                    Some(_) => {}
                },
                Ok(_) => why = format!("{peer} does not have it"),
                Err(error) => why = error.to_string(),
            }
        }
        found.ok_or_else(|| Error::Unreachable { content: content.clone(), why })
    }

    /// Hints first, then the voters, then everyone else who is connected.
    fn candidates(&self, hints: &[PeerName]) -> Result<Vec<PeerName>, Error> {
        let cluster = self.cluster()?;
        let mut all: Vec<PeerName> = hints.to_vec();
        all.extend(cluster.voters().into_iter().filter_map(|id| cluster.peer_of(id)));
        let peers = cluster.mesh().peers().borrow().clone();
        all.extend(peers.values().filter(|view| view.connected).map(|view| view.peer.clone()));
        let own = cluster.peer();
        let mut seen = std::collections::BTreeSet::from([own]);
        all.retain(|peer| seen.insert(peer.clone()));
        Ok(all)
    }

    async fn chunk(
        &self,
        content: &ContentId,
        manifest: &Manifest,
        holders: &[PeerName],
        index: usize,
    ) -> Result<bytes::Bytes, Error> {
        let offset = index as u64 * u64::from(CHUNK_BYTES);
        let mut why = String::new();
        for attempt in 0..TRIES_PER_CHUNK {
            let holder = &holders[(index + attempt) % holders.len()];
            let ask = BlobAsk::Chunk { content: content.clone(), offset, len: CHUNK_BYTES };
            match self.ask(holder, &ask, ASK_TIMEOUT).await {
                Ok(BlobAnswer::Chunk(bytes))
                    if blake3::hash(&bytes).as_bytes() == &manifest.hashes[index] =>
                {
                    return Ok(bytes);
                }
                Ok(BlobAnswer::Chunk(_)) => {
                    tracing::warn!(%content, %holder, index, "chunk with a wrong hash");
                    why = format!("{holder} sent a chunk with a wrong hash");
                }
                Ok(_) => why = format!("{holder} does not have it any more"),
                Err(error) => why = error.to_string(),
            }
        }
        Err(Error::Unreachable { content: content.clone(), why })
    }
}

fn is_sound(manifest: &Manifest) -> bool {
    manifest.chunk == CHUNK_BYTES
        && manifest.size <= store::BLOB_BYTES_MAX
        && manifest.hashes.len() as u64 == manifest.size.div_ceil(u64::from(CHUNK_BYTES))
}

//! Pulling a blob: chunk by chunk from any holder, each chunk verified before it is written, the
//! whole verified before it counts, resumed where an earlier pull broke off.

use futures::StreamExt;
use futures::stream;
use onrush_raft::space::Claim;
use onrush_raft::types::{ContentId, PeerName};

use super::draft::Draft;
use super::store::CHUNK_BYTES;
use super::{ASK_TIMEOUT, Error, Repository, Turn, in_turn};
use crate::control_wire::{BlobAnswer, BlobAsk, Manifest};

/// Chunks on their way at a time.
const IN_FLIGHT: usize = 4;
/// Tries of one chunk, each with the next holder.
const TRIES_PER_CHUNK: usize = 4;

impl Repository {
    /// A pull that finds no room leaves nothing; one that breaks off otherwise is resumed.
    pub(super) async fn pull(
        &self,
        content: &ContentId,
        hints: &[PeerName],
        claim: Claim,
        turn: &Turn,
    ) -> Result<(), Error> {
        let mut last = None;
        for (manifest, holders) in self.find(content, hints).await? {
            match self.pull_as(content, &manifest, &holders, claim, turn).await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        let error = last.unwrap_or_else(|| Error::Unreachable {
            content: content.clone(),
            why: "nobody has it".to_owned(),
        });
        let error = self.full(error);
        if matches!(error, Error::NoRoom { .. }) {
            let (store, id) = (self.store.clone(), content.clone());
            in_turn(turn, move || {
                store.remove_part(&id);
                Ok(())
            })
            .await?;
        }
        Err(error)
    }

    async fn pull_as(
        &self,
        content: &ContentId,
        manifest: &Manifest,
        holders: &[PeerName],
        claim: Claim,
        turn: &Turn,
    ) -> Result<(), Error> {
        let (store, id, expected) = (self.store.clone(), content.clone(), manifest.clone());
        let there = in_turn(turn, move || Ok(store.part_size(&id))).await?;
        let mut room = self.claim(manifest.size.saturating_sub(there), claim).await?;
        let (store, id) = (self.store.clone(), content.clone());
        let mut draft = in_turn(turn, move || Draft::resume(&store, &id, &expected)).await?;
        let first = usize::try_from(draft.written() / u64::from(CHUNK_BYTES)).unwrap_or(usize::MAX);
        let mut chunks = stream::iter(first..manifest.hashes.len())
            .map(|index| self.chunk(content, manifest, holders, index))
            .buffered(IN_FLIGHT);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            let size = chunk.len() as u64;
            draft = in_turn(turn, move || draft.write(&chunk).map(|()| draft)).await?;
            room.spend(size);
        }
        let id = content.clone();
        in_turn(turn, move || draft.finish(Some(&id))).await?;
        Ok(())
    }

    /// What its chunks must be, and everyone who says so; where nodes differ, most holders first: a
    /// manifest, too, may be damaged.
    async fn find(
        &self,
        content: &ContentId,
        hints: &[PeerName],
    ) -> Result<Vec<(Manifest, Vec<PeerName>)>, Error> {
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
        let mut found: Vec<(Manifest, Vec<PeerName>)> = Vec::new();
        let mut why = "nobody else is known".to_owned();
        for (peer, answer) in answers {
            match answer {
                Ok(BlobAnswer::Manifest(manifest)) if !manifest.is_sound() => {
                    why = format!("{peer} sent a manifest that cannot be");
                }
                Ok(BlobAnswer::Manifest(manifest)) => {
                    match found.iter_mut().find(|(known, _)| *known == manifest) {
                        Some((_, holders)) => holders.push(peer),
                        None => found.push((manifest, vec![peer])),
                    }
                }
                Ok(_) => why = format!("{} does not have it whole", self.name_of(&peer)),
                Err(error) => why = error.to_string(),
            }
        }
        if found.is_empty() {
            return Err(Error::Unreachable { content: content.clone(), why });
        }
        found.sort_by_key(|(_, holders)| std::cmp::Reverse(holders.len()));
        Ok(found)
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
                Ok(_) => why = format!("{} does not have it whole", self.name_of(holder)),
                Err(error) => why = error.to_string(),
            }
        }
        Err(Error::Unreachable { content: content.clone(), why })
    }
}

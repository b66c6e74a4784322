//! Pulling a blob: chunk by chunk from any holder, each chunk verified before it is written, the
//! whole verified before it counts, resumed where an earlier pull broke off. Each node begins with
//! another holder, and waits where all of them are busy with others.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use onrush_raft::space::Claim;
use onrush_raft::types::{ContentId, PeerName};
use rand::Rng as _;
use rand::seq::SliceRandom as _;

use super::draft::Draft;
use super::store::CHUNK_BYTES;
use super::{ASK_TIMEOUT, Error, PullTurn, Repository, in_turn};
use crate::control_wire::{BlobAnswer, BlobAsk, Manifest};

/// Chunks on their way at a time.
const IN_FLIGHT: usize = 4;
/// Tries of one chunk, each with the next holder; those that are busy are not counted.
const TRIES_PER_CHUNK: usize = 4;
/// Between two looks for a holder that is not busy; up to as much again is added at random.
const BUSY_PAUSE: Duration = Duration::from_millis(150);
/// Holders beyond those who must have it that are asked at first.
const OTHERS_ASKED: usize = 8;

impl Repository {
    /// A pull that finds no room leaves nothing; one that breaks off otherwise is resumed.
    pub(super) async fn pull(
        &self,
        content: &ContentId,
        hints: &[PeerName],
        claim: Claim,
        turn: &PullTurn,
    ) -> Result<(), Error> {
        let error = loop {
            match self.pull_once(content, hints, claim, turn).await {
                Ok(()) => return Ok(()),
                Err(Error::Busy(_)) => {
                    let more = rand::rng().random_range(0.0..=1.0);
                    tokio::time::sleep(BUSY_PAUSE.mul_f64(1.0 + more)).await;
                }
                Err(error) => break self.full(error),
            }
        };
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

    async fn pull_once(
        &self,
        content: &ContentId,
        hints: &[PeerName],
        claim: Claim,
        turn: &PullTurn,
    ) -> Result<(), Error> {
        let mut why = "nobody else is known".to_owned();
        let mut last = None;
        for candidates in self.candidates(hints)? {
            for (manifest, mut holders) in self.find(content, candidates, &mut why).await {
                holders.shuffle(&mut rand::rng());
                match self.pull_as(content, &manifest, &holders, claim, turn).await {
                    Ok(()) => return Ok(()),
                    Err(error @ Error::Busy(_)) => return Err(error),
                    Err(error) => last = Some(error),
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::Unreachable { content: content.clone(), why }))
    }

    async fn pull_as(
        &self,
        content: &ContentId,
        manifest: &Manifest,
        holders: &[PeerName],
        claim: Claim,
        turn: &PullTurn,
    ) -> Result<(), Error> {
        let (store, id, expected) = (self.store.clone(), content.clone(), manifest.clone());
        let there = in_turn(turn, move || Ok(store.part_size(&id))).await?;
        let mut room = self.claim(manifest.size.saturating_sub(there), claim).await?;
        let (store, id) = (self.store.clone(), content.clone());
        let mut draft = in_turn(turn, move || Draft::resume(&store, &id, &expected)).await?;
        // The last chunk is a short one: it, too, may be there.
        let there = draft.written().div_ceil(u64::from(CHUNK_BYTES));
        let first = usize::try_from(there).unwrap_or(usize::MAX);
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

    /// What its chunks must be, and everyone of the candidates who says so; where nodes differ, most
    /// holders first: a manifest, too, may be damaged. `why` some have none.
    async fn find(
        &self,
        content: &ContentId,
        candidates: Vec<PeerName>,
        why: &mut String,
    ) -> Vec<(Manifest, Vec<PeerName>)> {
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
        for (peer, answer) in answers {
            match answer {
                Ok(BlobAnswer::Manifest(manifest)) if !manifest.is_sound() => {
                    *why = format!("{peer} sent a manifest that cannot be");
                }
                Ok(BlobAnswer::Manifest(manifest)) => {
                    match found.iter_mut().find(|(known, _)| *known == manifest) {
                        Some((_, holders)) => holders.push(peer),
                        None => found.push((manifest, vec![peer])),
                    }
                }
                Ok(_) => *why = format!("{} does not have it whole", self.name_of(&peer)),
                Err(error) => *why = error.to_string(),
            }
        }
        found.sort_by_key(|(_, holders)| std::cmp::Reverse(holders.len()));
        found
    }

    /// Whom to ask at first, and whom where they do not have it. First: the hints, the voters, and a
    /// few of the others who are connected, who may have pulled it. Then: the rest of those.
    fn candidates(&self, hints: &[PeerName]) -> Result<[Vec<PeerName>; 2], Error> {
        let cluster = self.cluster()?;
        let mut first: Vec<PeerName> = hints.to_vec();
        first.extend(cluster.voters().into_iter().filter_map(|id| cluster.peer_of(id)));
        let mut seen = BTreeSet::from([cluster.peer()]);
        first.retain(|peer| seen.insert(peer.clone()));
        let peers = cluster.mesh().peers().borrow().clone();
        let connected = peers.values().filter(|view| view.connected).map(|view| view.peer.clone());
        let mut rest: Vec<PeerName> = connected.filter(|peer| !seen.contains(peer)).collect();
        rest.shuffle(&mut rand::rng());
        first.extend(rest.drain(..rest.len().min(OTHERS_ASKED)));
        Ok([first, rest])
    }

    async fn chunk(
        &self,
        content: &ContentId,
        manifest: &Manifest,
        holders: &[PeerName],
        index: usize,
    ) -> Result<bytes::Bytes, Error> {
        let offset = index as u64 * u64::from(CHUNK_BYTES);
        let (mut why, mut failed, mut busy) = (String::new(), 0, 0);
        for holder in holders.iter().cycle() {
            if failed >= TRIES_PER_CHUNK || busy >= holders.len() {
                break;
            }
            let ask = BlobAsk::Chunk { content: content.clone(), offset, len: CHUNK_BYTES };
            match self.ask(holder, &ask, ASK_TIMEOUT).await {
                Ok(BlobAnswer::Chunk(bytes))
                    if blake3::hash(&bytes).as_bytes() == &manifest.hashes[index] =>
                {
                    return Ok(bytes);
                }
                Ok(BlobAnswer::Busy) => {
                    busy += 1;
                    continue;
                }
                Ok(BlobAnswer::Chunk(_)) => {
                    tracing::warn!(%content, %holder, index, "chunk with a wrong hash");
                    why = format!("{holder} sent a chunk with a wrong hash");
                }
                Ok(_) => why = format!("{} does not have it whole", self.name_of(holder)),
                Err(error) => why = error.to_string(),
            }
            failed += 1;
        }
        if busy > 0 {
            return Err(Error::Busy(content.clone()));
        }
        Err(Error::Unreachable { content: content.clone(), why })
    }
}

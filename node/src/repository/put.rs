//! Uploads: streamed to this disk while they are hashed, then on a majority of the voters before they
//! count. A node that has no room is named at once, before bytes are taken that would have to go
//! again; what an upload that fails has written goes.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use onrush_api::backend::{ByteStream, StoredBlob};
use onrush_raft::space::Claim;
use onrush_raft::types::{ContentId, PeerName, RaftId};

use super::draft::Draft;
use super::room::Allotment;
use super::store::CHUNK_BYTES;
use super::{Error, REPLICATE_BYTES_PER_SEC_MIN, REPLICATE_TIMEOUT, Repository, blocking};
use crate::control_wire::{BlobAnswer, BlobAsk};

/// Pause before a voter that did not take a blob is asked again.
const REPLICATE_RETRY: Duration = Duration::from_millis(500);
/// A voter that does not say by then how it stands for room does not hold an upload up.
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);
/// Room is asked for in such steps where an upload does not say how large it is.
const ROOM_STEP_BYTES: u64 = 4 << 20;

/// An upload's content is in use until its name is committed, or was refused.
struct Uploading<'a> {
    repository: &'a Repository,
    content: ContentId,
}

impl<'a> Uploading<'a> {
    fn new(repository: &'a Repository, content: &ContentId) -> Self {
        let mut all = repository.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(content.clone()).or_default() += 1;
        Self { repository, content: content.clone() }
    }

    /// Nobody else uploads it at the moment.
    fn is_only(&self) -> bool {
        let all = self.repository.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&self.content).is_none_or(|count| *count <= 1)
    }
}

impl Drop for Uploading<'_> {
    fn drop(&mut self) {
        let mut all = self.repository.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.content) {
            *count -= 1;
        }
        all.retain(|_, count| *count > 0);
    }
}

impl Repository {
    /// Streams to disk while hashing, then has a majority of the voters pull it. In constant memory.
    /// `announced`: how large it will be, where that is known.
    ///
    /// # Errors
    /// Not what was expected, no room on a node that has to keep it, no majority in time, or the
    /// disk's.
    pub async fn put(
        self: &Arc<Self>,
        body: ByteStream,
        announced: Option<u64>,
        expected: Option<ContentId>,
    ) -> Result<StoredBlob, Error> {
        self.put_as(body, announced, expected, Claim::New).await
    }

    /// [`Repository::put`] of bytes in memory: reports and sealed ticks, which are owed.
    ///
    /// # Errors
    /// As there.
    pub async fn put_bytes(self: &Arc<Self>, bytes: Bytes) -> Result<StoredBlob, Error> {
        let size = bytes.len() as u64;
        let body = futures::stream::once(async move { Ok(bytes) }).boxed();
        self.put_as(body, Some(size), None, Claim::Owed).await
    }

    async fn put_as(
        self: &Arc<Self>,
        body: ByteStream,
        announced: Option<u64>,
        expected: Option<ContentId>,
        claim: Claim,
    ) -> Result<StoredBlob, Error> {
        let received = self.receive(body, announced, expected, claim).await;
        let (content, size) = received.map_err(|error| self.full(error))?;
        let uploading = Uploading::new(self, &content);
        match self.replicate(&content, size, claim).await {
            Ok(holders) => Ok(StoredBlob { content, size, holders }),
            Err(error) => {
                self.discard(&uploading).await;
                Err(error)
            }
        }
    }

    /// What a failed upload has brought goes, unless something else refers to it.
    async fn discard(&self, uploading: &Uploading<'_>) {
        let content = uploading.content.clone();
        let cluster = self.cluster().ok();
        let unknown = cluster.is_some_and(|it| !it.ledger().referenced().contains(&content));
        if !unknown || !uploading.is_only() {
            return;
        }
        let store = self.store.clone();
        if let Err(error) = blocking(move || store.remove(&content)).await {
            tracing::debug!(%error, "what a failed upload brought stays for a while");
        }
    }

    async fn receive(
        &self,
        mut body: ByteStream,
        announced: Option<u64>,
        expected: Option<ContentId>,
        claim: Claim,
    ) -> Result<(ContentId, u64), Error> {
        let mut granted = announced.unwrap_or(0);
        let mut allotment = self.grant(granted, granted, claim).await?;
        let store = self.store.clone();
        let mut draft = blocking(move || store.draft()).await?;
        let mut gathered: Vec<u8> = Vec::with_capacity(CHUNK_BYTES as usize);
        let mut received = 0;
        while let Some(bytes) = body.next().await {
            gathered.extend_from_slice(&bytes.map_err(Error::Upload)?);
            if gathered.len() < CHUNK_BYTES as usize {
                continue;
            }
            received += gathered.len() as u64;
            if received > granted {
                let more = ROOM_STEP_BYTES.max(received - granted);
                granted += more;
                allotment.join(self.grant(more, granted, claim).await?);
            }
            (draft, gathered) = write(draft, gathered, &mut allotment).await?;
        }
        let last = gathered.len() as u64;
        if received + last > granted {
            allotment.join(self.grant(last, received + last, claim).await?);
        }
        (draft, _) = write(draft, gathered, &mut allotment).await?;
        blocking(move || draft.finish(expected.as_ref())).await
    }

    /// Room for `more` bytes here, and for `whole` on every other voter that answers. What is owed
    /// is asked for here only: the others see for themselves.
    async fn grant(&self, more: u64, whole: u64, claim: Claim) -> Result<Allotment, Error> {
        let own = self.claim(more, claim).await?;
        if claim == Claim::Owed {
            return Ok(own);
        }
        let Ok(cluster) = self.cluster() else { return Ok(own) };
        let me = cluster.peer();
        let voters = cluster.voters().into_iter().filter_map(|id| cluster.peer_of(id));
        let mut asked: FuturesUnordered<_> = voters
            .filter(|peer| *peer != me)
            .map(|peer| async move {
                let answer = self.ask(&peer, &BlobAsk::Room { size: whole }, ROOM_TIMEOUT).await;
                (peer, answer)
            })
            .collect();
        while let Some((peer, answer)) = asked.next().await {
            if let Ok(BlobAnswer::Full(why)) = answer {
                return Err(Error::NoRoom { node: self.name_of(&peer), why });
            }
        }
        Ok(own)
    }

    /// Until a majority of the voters, this node counted if it is one, has it; the others go on
    /// in the background by their own upkeep.
    async fn replicate(
        &self,
        content: &ContentId,
        size: u64,
        claim: Claim,
    ) -> Result<Vec<RaftId>, Error> {
        let cluster = self.cluster()?.clone();
        let seconds = size / REPLICATE_BYTES_PER_SEC_MIN;
        let limit = REPLICATE_TIMEOUT + Duration::from_secs(seconds);
        let voters = cluster.voters();
        let need = voters.len() / 2 + 1;
        let own = cluster.raft_id();
        let mut holders: BTreeSet<RaftId> =
            own.into_iter().filter(|id| voters.contains(id)).collect();
        let owed = claim == Claim::Owed;
        let ask = BlobAsk::Replicate { content: content.clone(), from: vec![cluster.peer()], owed };
        let mut others: FuturesUnordered<_> = voters
            .iter()
            .filter(|id| Some(**id) != own)
            .map(|id| self.replicate_to(*id, cluster.peer_of(*id), &ask, limit))
            .collect();
        let mut full = None;
        let gathered = tokio::time::timeout(limit, async {
            while holders.len() < need {
                match others.next().await {
                    Some(Ok(id)) => {
                        holders.insert(id);
                    }
                    Some(Err(error)) => full = Some(error),
                    None => break,
                }
            }
        });
        // Without a majority in time, the count below says so.
        let _ = gathered.await;
        if holders.len() < need || need == 0 {
            return Err(full.unwrap_or(Error::NoMajority { have: holders.len(), need }));
        }
        Ok(holders.into_iter().collect())
    }

    /// Asks until it has it, or says that it has no room.
    async fn replicate_to(
        &self,
        id: RaftId,
        peer: Option<PeerName>,
        ask: &BlobAsk,
        limit: Duration,
    ) -> Result<RaftId, Error> {
        loop {
            if let Some(peer) = &peer {
                match self.ask(peer, ask, limit).await {
                    Ok(BlobAnswer::Durable) => return Ok(id),
                    Ok(BlobAnswer::Full(why)) => {
                        return Err(Error::NoRoom { node: self.name_of(peer), why });
                    }
                    _ => {}
                }
            }
            tokio::time::sleep(REPLICATE_RETRY).await;
        }
    }

    /// The other side of an upload: pulled, or what is here verified, and fresh.
    pub(super) async fn keep_for_upload(
        self: &Arc<Self>,
        content: &ContentId,
        from: &[PeerName],
        claim: Claim,
    ) -> Result<(), Error> {
        if self.store.has(content) {
            let (store, id) = (self.store.clone(), content.clone());
            // Whoever uploads it again may do so because it is damaged.
            if let Err(error) = blocking(move || store.check(&id)).await {
                tracing::debug!(%content, %error, "an upload brings it again");
                self.repair_from(content, from).await?;
            }
        }
        self.ensure_as(content, from, claim).await?;
        let (store, id) = (self.store.clone(), content.clone());
        blocking(move || store.touch(&id)).await
    }
}

async fn write(
    mut draft: Draft,
    bytes: Vec<u8>,
    allotment: &mut Allotment,
) -> Result<(Draft, Vec<u8>), Error> {
    let size = bytes.len() as u64;
    let written = blocking(move || {
        draft.write(&bytes)?;
        let mut bytes = bytes;
        bytes.clear();
        Ok((draft, bytes))
    })
    .await?;
    allotment.spend(size);
    Ok(written)
}

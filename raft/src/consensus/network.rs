//! openraft's outgoing RPCs over a [`RaftRpc`]: one client per target and lane. Keeps no
//! connection and retries nothing: openraft does.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use super::gate::{self, Gate};
use super::wire::{Ballot, Frame, Request, Response, TransferRefused};
use super::{Lane, NodeInfo, RaftRpc, RpcError};
use crate::records::{EntryRec, LogIdRec, TypeConfig, Vote, VoteRec};
use crate::snapshot::SnapshotFile;
use crate::types::RaftId;

type Snap = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotFile>;
type Rpc<T> = Result<T, RPCError<TypeConfig>>;

/// Bytes of one snapshot message.
const CHUNK_BYTES: usize = 1_024 * 1_024;
/// A chunk that is not acknowledged in time breaks the transfer, which resumes later.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(5);
/// Installing reads, verifies and writes the file on the other side.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Who votes, as far as known; nobody at first.
pub(super) type Voters = Arc<ArcSwap<BTreeSet<RaftId>>>;

pub(super) struct Network {
    pub(super) me: RaftId,
    pub(super) rpc: Arc<dyn RaftRpc>,
    pub(super) gate: Arc<Gate>,
    pub(super) voters: Voters,
    /// A learner hears a heartbeat only so often: it does not vote, and no lease counts its answers,
    /// so all that a heartbeat tells it is who leads. Whatever else changes it is told at once.
    pub(super) learner_heartbeat: Duration,
}

impl Network {
    fn client(&self, target: RaftId, lane: Lane) -> Client {
        let (rpc, gate) = (Arc::clone(&self.rpc), Arc::clone(&self.gate));
        let voters = Arc::clone(&self.voters);
        let learner_heartbeat = self.learner_heartbeat;
        Client { me: self.me, target, lane, rpc, gate, voters, learner_heartbeat, told: None }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: RaftId, _: &NodeInfo) -> Client {
        self.client(target, Lane::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: RaftId, _: &NodeInfo) -> Client {
        self.client(target, Lane::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: RaftId, _: &NodeInfo) -> Client {
        self.client(target, Lane::Snapshot)
    }
}

pub(super) struct Client {
    me: RaftId,
    target: RaftId,
    lane: Lane,
    rpc: Arc<dyn RaftRpc>,
    gate: Arc<Gate>,
    voters: Voters,
    learner_heartbeat: Duration,
    told: Option<Told>,
}

/// What a heartbeat told, and when.
struct Told {
    at: Instant,
    vote: VoteRec,
    commit: Option<LogIdRec>,
}

impl Client {
    /// Whether a heartbeat would tell a learner nothing that it has not heard a moment ago.
    fn has_told(&self, vote: VoteRec, commit: Option<LogIdRec>) -> bool {
        let voters = self.voters.load();
        let learner = !voters.is_empty() && !voters.contains(&self.target);
        learner
            && self.told.as_ref().is_some_and(|told| {
                let same = told.vote == vote && told.commit == commit;
                same && told.at.elapsed() < self.learner_heartbeat
            })
    }

    /// Answers of a node whose log went back never reach openraft: it would count on what is gone, or
    /// panic.
    async fn call(&self, request: Request, kind: RPCTypes, timeout: Duration) -> Rpc<Response> {
        let frame = Frame { to: self.target, request };
        let body = frame.encode().map_err(|error| unreachable(&error))?;
        match self.rpc.call(self.target, self.lane, body, timeout).await {
            Ok(_) if !self.gate.is_believed(self.target) => Err(went_back()),
            Ok(bytes) => Response::decode(&bytes).map_err(|error| unreachable(&error)),
            Err(RpcError::Timeout { after, .. }) => Err(RPCError::Timeout(Timeout {
                action: kind,
                id: self.me,
                target: self.target,
                timeout: after,
            })),
            // Everything else is backed off: a refusal does not go away by asking again at once.
            Err(error) => Err(unreachable(&error)),
        }
    }

    async fn ballot(&self, request: Request, ttl: Duration) -> Rpc<VoteResponse<TypeConfig>> {
        match self.call(request, RPCTypes::Vote, ttl).await? {
            Response::Vote { vote, granted, last } => Ok(VoteResponse {
                vote: vote.into(),
                vote_granted: granted,
                last_log_id: last.map(Into::into),
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// It does not have the entry at `prev`: one that it never had, usually.
    fn conflict(
        &self,
        vote: VoteRec,
        prev: Option<LogIdRec>,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        let index = prev.map_or(0, |prev| prev.index);
        let Some(testimony) = self.gate.conflicts(self.target, vote, index) else {
            return Ok(AppendEntriesResponse::Conflict);
        };
        let (rpc, target) = (Arc::clone(&self.rpc), self.target);
        tokio::spawn(async move { gate::tell(&rpc, target, testimony).await });
        Err(went_back())
    }

    /// The whole transfer: offer, chunks from where the other side stands, installation.
    async fn send_snapshot(&self, vote: &Vote, snapshot: &Snap) -> Rpc<Vote> {
        let kind = RPCTypes::InstallSnapshot;
        let path = snapshot.snapshot.path.clone();
        let (size, hash) = blocking(move || describe(&path)).await?;
        let begin =
            Request::SnapshotBegin { vote: vote.into(), meta: (&snapshot.meta).into(), size, hash };
        let mut answer = self.call(begin, kind, CHUNK_TIMEOUT).await?;
        loop {
            let offset = match answer {
                Response::SnapshotOffset(offset) => offset,
                Response::HigherVote(vote) => return Ok(vote.into()),
                other => return Err(unexpected(&other)),
            };
            if offset >= size {
                break;
            }
            let path = snapshot.snapshot.path.clone();
            let bytes = blocking(move || chunk(&path, offset)).await?;
            let request = Request::SnapshotChunk { hash, offset, bytes };
            answer = self.call(request, kind, CHUNK_TIMEOUT).await?;
        }
        match self.call(Request::SnapshotEnd { hash }, kind, INSTALL_TIMEOUT).await? {
            Response::SnapshotInstalled { vote } => Ok(vote.into()),
            other => Err(unexpected(&other)),
        }
    }
}

/// Size and last 32 bytes (its BLAKE3) of a snapshot file.
fn describe(path: &Path) -> std::io::Result<(u64, [u8; 32])> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = [0; 32];
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::End(-32))?;
    file.read_exact(&mut hash)?;
    Ok((size, hash))
}

fn chunk(path: &Path, offset: u64) -> std::io::Result<Bytes> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::with_capacity(CHUNK_BYTES);
    file.take(CHUNK_BYTES as u64).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Err(std::io::Error::other(format!("{} ended at {offset}", path.display())));
    }
    Ok(bytes.into())
}

/// A local read that fails breaks the transfer; the next try finds the newer snapshot, if any.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Rpc<T> {
    let result = tokio::task::spawn_blocking(read).await;
    result.map_err(|error| unreachable(&error))?.map_err(|error| unreachable(&error))
}

fn unreachable(why: &dyn std::fmt::Display) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(why))
}

fn went_back() -> RPCError<TypeConfig> {
    unreachable(&"its log went back: it must be replaced")
}

fn unexpected(response: &Response) -> RPCError<TypeConfig> {
    unreachable(&format!("unexpected answer {response:?}"))
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        let vote = VoteRec::from(&rpc.vote);
        let prev: Option<LogIdRec> = rpc.prev_log_id.as_ref().map(Into::into);
        let commit: Option<LogIdRec> = rpc.leader_commit.as_ref().map(Into::into);
        let entries: Vec<EntryRec> = rpc.entries.iter().map(Into::into).collect();
        let all = entries.last().map(|entry| entry.id).or(prev);
        let acknowledged = |last: Option<LogIdRec>| {
            if let Some(last) = last {
                self.gate.acknowledged(self.target, vote, last, commit);
            }
        };
        let is_heartbeat = self.lane == Lane::Heartbeat && entries.is_empty();
        if is_heartbeat && self.has_told(vote, commit) {
            return Ok(AppendEntriesResponse::Success);
        }
        let at = Instant::now();
        let request = Request::Append { vote, prev, entries, commit };
        match self.call(request, RPCTypes::AppendEntries, option.hard_ttl()).await? {
            Response::Appended => {
                acknowledged(all);
                self.told = is_heartbeat.then_some(Told { at, vote, commit });
                Ok(AppendEntriesResponse::Success)
            }
            Response::AppendedPart(last) => {
                acknowledged(last);
                Ok(AppendEntriesResponse::PartialSuccess(last.map(Into::into)))
            }
            Response::AppendConflict => self.conflict(vote, prev),
            Response::HigherVote(vote) => Ok(AppendEntriesResponse::HigherVote(vote.into())),
            other => Err(unexpected(&other)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let answer = self.ballot(Request::Vote((&rpc).into()), option.hard_ttl()).await?;
        self.gate.bound_by(self.target, (&answer.vote).into());
        Ok(answer)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        self.ballot(Request::PreVote((&rpc).into()), option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snap,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let sent = tokio::select! {
            sent = self.send_snapshot(&vote, &snapshot) => sent,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        match sent {
            Ok(answered) => {
                let last = snapshot.meta.last_log_id.as_ref().map(LogIdRec::from);
                if let Some(last) = last.filter(|_| answered == vote) {
                    self.gate.acknowledged(self.target, (&vote).into(), last, Some(last));
                }
                Ok(SnapshotResponse::new(answered))
            }
            // A timeout would be retried at once; a stalled transfer must be backed off.
            Err(error) => Err(StreamingError::Unreachable(Unreachable::from_string(error))),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        let request = Request::Transfer {
            vote: rpc.from_leader().into(),
            to: *rpc.to_node_id(),
            last: rpc.last_log_id().map(Into::into),
        };
        match self.call(request, RPCTypes::TransferLeader, option.hard_ttl()).await? {
            Response::Transferring => Ok(Ok(())),
            Response::TransferRefused(refused) => Ok(Err(refused.into())),
            other => Err(unexpected(&other)),
        }
    }
}

impl From<&VoteRequest<TypeConfig>> for Ballot {
    fn from(rpc: &VoteRequest<TypeConfig>) -> Self {
        Self {
            vote: (&rpc.vote).into(),
            last: rpc.last_log_id.as_ref().map(Into::into),
            transfer: rpc.leadership_transfer,
        }
    }
}

impl From<Ballot> for VoteRequest<TypeConfig> {
    fn from(ballot: Ballot) -> Self {
        let mut request = Self::new(ballot.vote.into(), ballot.last.map(Into::into));
        request.leadership_transfer = ballot.transfer;
        request
    }
}

impl From<TransferRefused> for TransferLeaderError<TypeConfig> {
    fn from(refused: TransferRefused) -> Self {
        match refused {
            TransferRefused::VoteChanged { expected, actual } => {
                Self::VoteChanged { expected: expected.into(), actual: actual.into() }
            }
            TransferRefused::LogNotFlushed { expected, actual } => Self::LogNotFlushed {
                expected: expected.map(Into::into),
                actual: actual.map(Into::into),
            },
        }
    }
}

impl From<TransferLeaderError<TypeConfig>> for TransferRefused {
    fn from(error: TransferLeaderError<TypeConfig>) -> Self {
        match error {
            TransferLeaderError::VoteChanged { expected, actual } => {
                Self::VoteChanged { expected: (&expected).into(), actual: (&actual).into() }
            }
            TransferLeaderError::LogNotFlushed { expected, actual } => Self::LogNotFlushed {
                expected: expected.as_ref().map(Into::into),
                actual: actual.as_ref().map(Into::into),
            },
        }
    }
}

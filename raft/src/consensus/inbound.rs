//! Incoming RPCs: checks who speaks, asks the local Raft, answers. Snapshots arrive in chunks and
//! are installed once whole.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::Raft;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest};
use openraft::storage::Snapshot;
use tokio::sync::Mutex;

use super::gate::Gate;
use super::lock;
use super::wire::{Frame, Request, Response};
use crate::log::LogStore;
use crate::records::{EntryRec, LogIdRec, MetaRec, TypeConfig, VoteRec};
use crate::snapshot::{Machine, SnapshotFile};
use crate::space::{self, Claim, Room, Space};
use crate::types::RaftId;

/// Synced as often, so that the log's own sync never waits behind a large unwritten file.
const SYNC_BYTES: u64 = 8 * 1_024 * 1_024;
/// No snapshot is larger (`codec::SNAPSHOT_BYTES_MAX` and its head).
const SNAPSHOT_BYTES_MAX: u64 = 1_100 * 1_024 * 1_024;

/// A snapshot that is arriving; one at a time.
#[derive(Debug)]
struct Incoming {
    vote: VoteRec,
    meta: MetaRec,
    size: u64,
    hash: [u8; 32],
    path: PathBuf,
    written: u64,
    unsynced: u64,
}

#[derive(Clone)]
pub(super) struct Inbound {
    pub(super) me: RaftId,
    pub(super) raft: Raft<TypeConfig, Machine>,
    log: LogStore,
    gate: Arc<Gate>,
    tmp: PathBuf,
    incoming: Arc<Mutex<Option<Incoming>>>,
    /// When a leader's entries or heartbeat last arrived.
    heard: Arc<std::sync::Mutex<Option<Instant>>>,
}

impl Inbound {
    pub(super) fn new(
        me: RaftId,
        raft: Raft<TypeConfig, Machine>,
        log: LogStore,
        gate: &Arc<Gate>,
        tmp: PathBuf,
    ) -> Self {
        let (gate, heard) = (Arc::clone(gate), Arc::default());
        Self { me, raft, log, gate, tmp, incoming: Arc::default(), heard }
    }

    /// How long ago a leader was last heard; none: never.
    pub(super) fn leader_silence(&self) -> Option<Duration> {
        lock(&self.heard).map(|at| at.elapsed())
    }

    /// Answers one frame of `from`.
    pub(super) async fn handle(&self, from: RaftId, body: &[u8]) -> Result<Bytes, String> {
        let frame = Frame::decode(body).map_err(|error| format!("raft request: {error}"))?;
        if frame.to != self.me {
            return Err(format!("this is node {}, not node {}", self.me, frame.to));
        }
        if frame.request.speaker().is_some_and(|speaker| speaker != from) {
            return Err(format!("node {from} speaks in the name of another"));
        }
        let response = match frame.request {
            Request::Witness(standing) => {
                Response::Testimony(self.gate.testify(from, &standing, self.membership()))
            }
            Request::WentBack(testimony) => {
                self.gate.told(from, &testimony);
                Response::Noted
            }
            _ if !self.gate.is_admitted() => {
                return Err("this node has just started and takes no part yet".to_owned());
            }
            request => self.answer(from, request).await?,
        };
        response.encode().map_err(|error| error.to_string())
    }

    async fn answer(&self, from: RaftId, request: Request) -> Result<Response, String> {
        match request {
            Request::Append { vote, prev, entries, commit } => {
                self.check_append(vote, prev, &entries)?;
                self.gate.bound_by(from, vote);
                // Heartbeats, and no election: it lags behind until there is room again, where a
                // write that fails would end the node.
                if !entries.is_empty() && self.log.room() == Room::Out {
                    return Err("the disk of this node's log is full".to_owned());
                }
                let entries: Result<Vec<_>, _> =
                    entries.into_iter().map(EntryRec::into_entry).collect();
                let rpc = AppendEntriesRequest {
                    vote: vote.into(),
                    prev_log_id: prev.map(Into::into),
                    entries: entries.map_err(|error| error.to_string())?,
                    leader_commit: commit.map(Into::into),
                };
                let appended = self.raft.append_entries(rpc).await;
                let appended = appended.map_err(|error| error.to_string())?;
                if !matches!(appended, AppendEntriesResponse::HigherVote(_)) {
                    *lock(&self.heard) = Some(Instant::now());
                }
                Ok(appended.into())
            }
            Request::Vote(ballot) => {
                let vote = self.raft.vote(ballot.into()).await;
                Ok(vote.map_err(|error| error.to_string())?.into())
            }
            Request::PreVote(ballot) => {
                let vote = self.raft.pre_vote(ballot.into()).await;
                Ok(vote.map_err(|error| error.to_string())?.into())
            }
            Request::Transfer { vote, to, last } => {
                let last = last.map(Into::into);
                let rpc = TransferLeaderRequest::new(vote.into(), to, last);
                let answer = self.raft.handle_transfer_leader(rpc).await;
                match answer.map_err(|error| error.to_string())? {
                    Ok(()) => Ok(Response::Transferring),
                    Err(refused) => Ok(Response::TransferRefused(refused.into())),
                }
            }
            Request::SnapshotBegin { vote, meta, size, hash } => {
                self.begin(vote, meta, size, hash).await
            }
            Request::SnapshotChunk { hash, offset, bytes } => self.chunk(hash, offset, bytes).await,
            Request::SnapshotEnd { hash } => self.end(hash).await,
            Request::Witness(_) | Request::WentBack(_) => Ok(Response::Noted),
        }
    }

    /// Whatever a peer says, it is no reason to panic: openraft takes for granted that entries are
    /// consecutive, of no later term than their leader's, and never contradict what is committed.
    fn check_append(
        &self,
        vote: VoteRec,
        prev: Option<LogIdRec>,
        entries: &[EntryRec],
    ) -> Result<(), String> {
        let first = prev.map_or(0, |prev| prev.index.saturating_add(1));
        for (expected, entry) in (first..).zip(entries) {
            if entry.id.index != expected || entry.id.term > vote.term {
                return Err(format!("{} cannot follow in a log of term {}", entry.id, vote.term));
            }
        }
        let committed = self.log.committed().map_or(0, |id| id.index);
        let ids = prev.into_iter().chain(entries.iter().map(|entry| entry.id));
        for theirs in ids.take_while(|id| id.index <= committed) {
            let mine = self.log.id_at(theirs.index).map_err(|error| error.to_string())?;
            if mine.is_some_and(|mine| mine != theirs) {
                let why = format!(
                    "the log of its leader went back: it has {theirs} where this node has committed \
                     another entry"
                );
                tracing::error!(leader = vote.node, index = theirs.index, "{why}");
                return Err(why);
            }
        }
        Ok(())
    }

    /// The same for a snapshot.
    fn check_snapshot(&self, vote: VoteRec, meta: &MetaRec) -> Result<(), String> {
        let (last, committed) = (meta.last, self.log.committed());
        let newer = last.is_some_and(|last| (last.term, last.node) > (vote.term, vote.node));
        let odd = last > committed && last.map(|id| id.index) <= committed.map(|id| id.index);
        if newer || odd {
            return Err(
                "the snapshot contradicts its leader's term, or what is committed".to_owned()
            );
        }
        Ok(())
    }

    fn membership(&self) -> u64 {
        use openraft::async_runtime::WatchReceiver;
        let metrics = self.raft.metrics();
        let seen = metrics.borrow_watched();
        seen.membership_config.log_id().map_or(0, |id| id.index)
    }

    async fn begin(
        &self,
        vote: VoteRec,
        meta: MetaRec,
        size: u64,
        hash: [u8; 32],
    ) -> Result<Response, String> {
        if size > SNAPSHOT_BYTES_MAX {
            return Err(format!("a snapshot of {size} bytes is too large"));
        }
        self.check_snapshot(vote, &meta)?;
        let mine = VoteRec::from(&self.vote());
        if (vote.term, vote.node) < (mine.term, mine.node) {
            return Ok(Response::HigherVote(mine));
        }
        let tmp = self.tmp.clone();
        // It is written, and then copied.
        blocking(move || {
            let admitted = space::admit(Space::of(&tmp)?, size.saturating_mul(2), 0, Claim::Owed);
            admitted.map_err(std::io::Error::other)
        })
        .await?;
        let mut incoming = self.incoming.lock().await;
        if let Some(open) = incoming.as_mut()
            && open.hash == hash
            && open.size == size
        {
            (open.vote, open.meta) = (vote, meta);
            return Ok(Response::SnapshotOffset(open.written));
        }
        let path = self.tmp.join("incoming");
        let created = path.clone();
        blocking(move || File::create(created).map(|_| ())).await?;
        *incoming = Some(Incoming { vote, meta, size, hash, path, written: 0, unsynced: 0 });
        Ok(Response::SnapshotOffset(0))
    }

    async fn chunk(&self, hash: [u8; 32], offset: u64, bytes: Bytes) -> Result<Response, String> {
        let mut incoming = self.incoming.lock().await;
        let open = incoming.as_mut().filter(|open| open.hash == hash);
        let open = open.ok_or("no such snapshot is arriving")?;
        let len = bytes.len() as u64;
        if offset != open.written {
            return Ok(Response::SnapshotOffset(open.written));
        }
        if offset + len > open.size || bytes.is_empty() {
            return Err(format!("{} bytes at {offset} do not fit {}", bytes.len(), open.size));
        }
        let sync = open.unsynced + len >= SYNC_BYTES;
        let path = open.path.clone();
        // At its place, never at the end: whoever sent it may have given up while an earlier write of
        // the same bytes was still under way.
        blocking(move || {
            let file = OpenOptions::new().write(true).open(path)?;
            file.write_all_at(&bytes, offset)?;
            if sync { file.sync_data() } else { Ok(()) }
        })
        .await?;
        open.unsynced = if sync { 0 } else { open.unsynced + len };
        open.written += len;
        Ok(Response::SnapshotOffset(open.written))
    }

    async fn end(&self, hash: [u8; 32]) -> Result<Response, String> {
        let mut incoming = self.incoming.lock().await;
        let open = incoming.take_if(|open| open.hash == hash);
        let open = open.ok_or("no such snapshot is arriving")?;
        if open.written != open.size {
            let text = format!("{} of {} bytes arrived", open.written, open.size);
            *incoming = Some(open);
            return Err(text);
        }
        let (path, meta) = (open.path.clone(), open.meta.clone());
        // Verified here, so that bytes damaged on the way never reach the state machine.
        let verified = tokio::task::spawn_blocking(move || crate::snapshot::load(&path)).await;
        let loaded = verified.map_err(|error| error.to_string())?;
        let loaded = loaded.map_err(|error| format!("the snapshot that arrived: {error}"))?;
        if MetaRec::from(&loaded.meta) != meta {
            return Err("the snapshot that arrived is not the one announced".to_owned());
        }
        let snapshot =
            Snapshot { meta: loaded.meta, snapshot: SnapshotFile { path: open.path.clone() } };
        let installed = self.raft.install_full_snapshot(open.vote.into(), snapshot).await;
        // Installed as a copy; one that stays is removed by the next opening.
        let path = open.path;
        let _ = blocking(move || std::fs::remove_file(path)).await;
        let vote = installed.map_err(|error| error.to_string())?.vote;
        Ok(Response::SnapshotInstalled { vote: (&vote).into() })
    }

    fn vote(&self) -> crate::records::Vote {
        use openraft::async_runtime::WatchReceiver;
        self.raft.metrics().borrow_watched().vote
    }
}

async fn blocking(
    write: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), String> {
    let written = tokio::task::spawn_blocking(write).await.map_err(|error| error.to_string())?;
    written.map_err(|error| format!("the arriving snapshot cannot be written: {error}"))
}

impl From<AppendEntriesResponse<TypeConfig>> for Response {
    fn from(response: AppendEntriesResponse<TypeConfig>) -> Self {
        match response {
            AppendEntriesResponse::Success => Self::Appended,
            AppendEntriesResponse::PartialSuccess(last) => {
                Self::AppendedPart(last.as_ref().map(Into::into))
            }
            AppendEntriesResponse::Conflict => Self::AppendConflict,
            AppendEntriesResponse::HigherVote(vote) => Self::HigherVote((&vote).into()),
        }
    }
}

impl From<openraft::raft::VoteResponse<TypeConfig>> for Response {
    fn from(response: openraft::raft::VoteResponse<TypeConfig>) -> Self {
        Self::Vote {
            vote: (&response.vote).into(),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(Into::into),
        }
    }
}

//! This node's membership: what it is bound to, and the [`Cluster`] handle of the rest of the node.
//! Consensus is opened when the node is bound and closed when it is released; watchers of the
//! handle do not notice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use onrush_api::backend::MemberView;
use onrush_raft::consensus::{self, Consensus, OpenError, Timing};
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command, Proposal};
use onrush_raft::status::RaftStatus;
use onrush_raft::types::{ClusterId, PeerName, RaftId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::data_dir::{self, ClusterFile, DataDir};
use super::handle::{Applied, Cluster, ClusterError, Leadership};
use super::rpc::MeshRpc;
use super::{members, pilot, service};
use crate::clock::Clock;
use crate::net::{Libp2pMesh, Mesh, MeshError, PeerView, Service};
use crate::vitals::Vitals;
use crate::wire::{ClusterReply, ClusterRequest, decode_reply, encode_request};

/// Pause before the leader's name is looked for again.
const LEADER_RETRY: Duration = Duration::from_millis(50);
/// A question to another node that needs no commit.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// Leadership is handed over within this time when the node stops, or not at all.
const HAND_OVER: Duration = Duration::from_millis(500);
/// Between two times that a refused message of Raft is logged.
const REFUSED_REPEAT_MS: u64 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    #[error("consensus cannot start: {why}; {advice}")]
    Open { why: OpenError, advice: String },
}

#[derive(Clone, Debug)]
pub struct Config {
    pub peer: PeerName,
    pub name: String,
    pub cluster_name: String,
    /// Absent: only join, never found.
    pub expect: Option<u32>,
    pub timing: Timing,
    pub clock: Clock,
    pub vitals: Vitals,
}

/// A cluster that this node belongs to.
pub(super) struct Bound {
    pub(super) cluster: ClusterId,
    pub(super) raft_id: RaftId,
    pub(super) consensus: Consensus,
    relay: CancellationToken,
}

/// See the module.
pub struct Membership {
    pub(super) config: Config,
    pub(super) dir: DataDir,
    pub(super) file: Mutex<Option<ClusterFile>>,
    pub(super) bound: ArcSwapOption<Bound>,
    mesh: OnceLock<Arc<Libp2pMesh>>,
    leadership: watch::Sender<Leadership>,
    applied: watch::Sender<u64>,
    empty: Arc<Ledger>,
    /// What the node waits for, in words: for the log and the banner.
    pub(super) waiting: ArcSwap<String>,
    /// When a refused message of Raft was last logged.
    refused_ms: AtomicU64,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Membership {
    /// `file` is what `cluster.json` said.
    pub fn new(config: Config, dir: DataDir, file: Option<ClusterFile>) -> Arc<Self> {
        Arc::new(Self {
            config,
            dir,
            file: Mutex::new(file),
            bound: ArcSwapOption::empty(),
            mesh: OnceLock::new(),
            leadership: watch::Sender::default(),
            applied: watch::Sender::default(),
            empty: Arc::new(Ledger::default()),
            waiting: ArcSwap::default(),
            refused_ms: AtomicU64::default(),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Resumes where the node is bound, and starts the drivers.
    pub async fn start(self: &Arc<Self>, mesh: Arc<Libp2pMesh>) -> Result<(), Error> {
        let _ = self.mesh.set(mesh);
        let file = self.cluster_file();
        if let Some(file @ ClusterFile { raft_id: Some(_), .. }) = file {
            self.open(file).await?;
        }
        let vitals = &self.config.vitals;
        self.tracker.spawn(vitals.guard("membership", super::driver::run(Arc::clone(self))));
        self.tracker.spawn(vitals.guard("the autopilot", pilot::run(Arc::clone(self))));
        Ok(())
    }

    /// Hands leadership over where it can, then stops all tasks and closes the log.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        if let Some(bound) = self.bound.load_full() {
            if let Some(to) = successor(&bound, self.config.timing) {
                let handed = bound.consensus.transfer_leader(to);
                let _ = tokio::time::timeout(HAND_OVER, handed).await;
            }
            bound.relay.cancel();
            // From here on the others are told so, instead of asking a Raft that is gone.
            self.bound.store(None);
            bound.consensus.shutdown().await;
        }
    }

    /// What it waits for, in words; empty for a member of an open cluster.
    pub fn waiting(&self) -> Arc<String> {
        self.waiting.load_full()
    }

    /// Whether this node's log lives on its reserve.
    pub fn log_is_full(&self) -> bool {
        self.bound.load().as_ref().is_some_and(|bound| bound.consensus.is_log_full())
    }

    pub(super) fn cluster_file(&self) -> Option<ClusterFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn net(&self) -> Option<&Arc<Libp2pMesh>> {
        self.mesh.get()
    }

    pub(super) fn views(&self) -> Vec<PeerView> {
        let Some(mesh) = self.mesh.get() else { return Vec::new() };
        mesh.peers().borrow().values().cloned().collect()
    }

    /// Who is not followed because it is not known must not be silent about it; now and then is enough.
    pub(super) fn say_refused(&self, peer: &PeerName, why: &str) {
        let now = self.config.clock.now_ms().max(1);
        let last = self.refused_ms.load(Ordering::Relaxed);
        if last == 0 || now.saturating_sub(last) >= REFUSED_REPEAT_MS {
            self.refused_ms.store(now, Ordering::Relaxed);
            tracing::info!(%peer, why, "a message of Raft is refused");
        }
    }

    /// Binds durably, then opens consensus. A node that is bound and cannot open its log is of no
    /// use to its cluster, and says so by its end.
    pub(super) async fn bind(self: &Arc<Self>, file: ClusterFile) -> Result<(), Error> {
        // Of a release that a crash cut short.
        self.dir.archive_raft(None, self.config.clock.unix_ms())?;
        self.dir.bind(&file)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file.clone());
        let opened = self.open(file).await;
        opened.inspect_err(|error| self.config.vitals.fail(error.to_string()))
    }

    async fn open(self: &Arc<Self>, file: ClusterFile) -> Result<(), Error> {
        let Some(raft_id) = file.raft_id else { return Ok(()) };
        let cluster = file.cluster.clone();
        let rpc = MeshRpc::new(self, cluster.clone(), raft_id);
        let config = consensus::Config {
            dir: self.dir.raft_dir(),
            id: raft_id,
            timing: self.config.timing,
            must_exist: file.opened,
        };
        let opened = Consensus::open(config, Arc::new(rpc)).await;
        let consensus = opened.map_err(|why| Error::Open { why, advice: self.advice() })?;
        if !file.opened {
            let file = ClusterFile { opened: true, ..file };
            self.dir.bind(&file)?;
            *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        }
        tracing::info!(raft_id, "the log is open");
        let bound = Arc::new(Bound { cluster, raft_id, consensus, relay: self.stop.child_token() });
        self.bound.store(Some(Arc::clone(&bound)));
        let relaying = relay(Arc::clone(self), bound);
        self.tracker.spawn(self.config.vitals.guard("the watch over consensus", relaying));
        Ok(())
    }

    /// What an operator can do about a log that cannot be used.
    fn advice(&self) -> String {
        let dir = self.dir.root().display();
        format!(
            "if this is an older copy, put the newest one back; else give this one up with 'onrush \
             node replace --data-dir {dir}' and start the node again: it keeps its key and its files, \
             joins as a new member and gets what was acknowledged from the others (a majority of the \
             voters must be there)"
        )
    }

    /// Leaves the cluster: Raft stops, `file` is what remains, and Raft's folder is put aside.
    pub(super) async fn release(&self, file: Option<ClusterFile>) -> Result<(), Error> {
        let left = self.bound.swap(None);
        if let Some(bound) = &left {
            bound.relay.cancel();
            bound.consensus.shutdown().await;
        }
        let settled = self.settle(file.as_ref(), left.as_deref());
        settled.inspect_err(|error| self.config.vitals.fail(error.to_string()))?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        self.leadership.send_replace(Leadership::default());
        self.applied.send_replace(0);
        Ok(())
    }

    /// `cluster.json` first: a node that is bound but has lost its log could vote twice in one term.
    fn settle(&self, file: Option<&ClusterFile>, left: Option<&Bound>) -> Result<(), Error> {
        match file {
            Some(file) => self.dir.bind(file)?,
            None => self.dir.unbind()?,
        }
        let cluster = left.map(|bound| &bound.cluster);
        Ok(self.dir.archive_raft(cluster, self.config.clock.unix_ms())?)
    }

    pub(super) fn require_bound(&self) -> Result<Arc<Bound>, ClusterError> {
        self.bound.load_full().ok_or_else(|| {
            let waiting = self.waiting();
            let why = if waiting.is_empty() { "starting" } else { waiting.as_str() };
            ClusterError::NoLeader(format!("this node belongs to no cluster yet ({why})"))
        })
    }

    /// Asks a member.
    pub(super) async fn ask(
        &self,
        peer: &PeerName,
        request: &ClusterRequest,
        timeout: Duration,
    ) -> Result<ClusterReply, MeshError> {
        let mesh = self.mesh.get().ok_or_else(|| MeshError::NotConnected(peer.clone()))?;
        let remote = |e: onrush_raft::codec::Error| MeshError::Remote(e.to_string());
        let body = encode_request(request).map_err(remote)?;
        let answer = mesh.call(peer, Service::Cluster, body, timeout).await?;
        decode_reply(&answer).map_err(remote)
    }
}

pub(super) fn unexpected(reply: &ClusterReply) -> ClusterError {
    ClusterError::Internal(format!("an answer that does not fit the question: {reply:?}"))
}

/// The voter that has most of the log, of those heard from lately, where this node leads others.
fn successor(bound: &Bound, timing: Timing) -> Option<RaftId> {
    pilot::heir(&bound.consensus.status(), bound.raft_id, timing, |_| true)
}

/// Passes consensus' changes on to the handle's watchers, until the node is released.
async fn relay(membership: Arc<Membership>, bound: Arc<Bound>) {
    let mut applied = bound.consensus.applied();
    let mut leads = bound.consensus.leadership();
    let fatal = bound.consensus.fatal();
    tokio::pin!(fatal);
    loop {
        let now = *leads.borrow_and_update();
        let peer = now.leader.and_then(|id| members::peer_of(&membership, &bound, id));
        let leadership = Leadership { term: now.term, leader: now.leader, peer, local: now.is_me };
        let index = *applied.borrow_and_update();
        membership.applied.send_if_modified(|known| std::mem::replace(known, index) != index);
        membership.leadership.send_if_modified(|known| {
            let changed = *known != leadership;
            if changed {
                tracing::info!(
                    term = leadership.term,
                    leader = leadership.leader,
                    here = leadership.local,
                    "leadership"
                );
                *known = leadership.clone();
            }
            changed
        });
        let unknown = leadership.leader.is_some() && leadership.peer.is_none();
        tokio::select! {
            () = bound.relay.cancelled() => return,
            changed = applied.changed() => if changed.is_err() { return },
            changed = leads.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LEADER_RETRY), if unknown => {}
            reason = &mut fatal => {
                let advice = membership.advice();
                membership.config.vitals.fail(format!("{reason}; {advice}"));
                return;
            }
        }
    }
}

#[async_trait]
impl Cluster for Membership {
    fn peer(&self) -> PeerName {
        self.config.peer.clone()
    }

    fn name(&self) -> String {
        self.config.name.clone()
    }

    fn raft_id(&self) -> Option<RaftId> {
        self.bound.load().as_ref().map(|bound| bound.raft_id)
    }

    fn cluster_id(&self) -> Option<ClusterId> {
        self.cluster_file().map(|file| file.cluster)
    }

    fn clock(&self) -> Clock {
        self.config.clock
    }

    fn mesh(&self) -> Arc<dyn Mesh> {
        Arc::clone(self.mesh.get().expect("the handle is given out after the start")) as _
    }

    fn ledger(&self) -> Arc<Ledger> {
        let bound = self.bound.load();
        bound.as_ref().map_or_else(|| Arc::clone(&self.empty), |bound| bound.consensus.ledger())
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    async fn propose(&self, by: &Caller, command: Command) -> Result<Applied, ClusterError> {
        self.propose_somehow(by, command).await
    }

    async fn propose_as_master(
        &self,
        term: u64,
        command: Command,
    ) -> Result<Applied, ClusterError> {
        let bound = self.require_bound()?;
        let by = format!("master@{}", self.config.name).as_str().into();
        let proposal = Proposal { at: self.config.clock.unix_ms(), by, command };
        let result = bound.consensus.propose_as_leader(term, proposal).await;
        service::outcome(result).unwrap_or(Err(ClusterError::Superseded { term }))
    }

    async fn read_barrier(&self) -> Result<(), ClusterError> {
        self.read_all().await
    }

    async fn catch_up(&self) -> Result<(), ClusterError> {
        self.read_soon().await
    }

    fn forming(&self) -> Option<String> {
        self.forming()
    }

    fn raft_id_of(&self, peer: &PeerName) -> Option<RaftId> {
        self.ledger().member_of_peer(peer).map(|member| member.raft_id)
    }

    fn peer_of(&self, raft_id: RaftId) -> Option<PeerName> {
        self.ledger().member(raft_id).map(|member| member.peer.clone())
    }

    fn voters(&self) -> Vec<RaftId> {
        self.ledger().voters().into_iter().collect()
    }

    fn members(&self) -> Vec<MemberView> {
        let leader = self.leadership.borrow().leader;
        members::join(&self.ledger(), &self.views(), leader)
    }

    fn raft_status(&self) -> RaftStatus {
        let file = self.cluster_file();
        match self.bound.load_full() {
            Some(bound) => {
                let mut status = bound.consensus.status();
                status.cluster = bound.cluster.clone();
                status.cluster_name.clone_from(&self.config.cluster_name);
                status
            }
            None => RaftStatus {
                cluster_state: members::state(file.as_ref(), None).to_owned(),
                cluster: file.map(|file| file.cluster).unwrap_or_default(),
                cluster_name: self.config.cluster_name.clone(),
                state: "shutdown".to_owned(),
                ..RaftStatus::default()
            },
        }
    }

    async fn leader_raft_status(&self) -> Result<RaftStatus, ClusterError> {
        let bound = self.require_bound()?;
        if self.leadership.borrow().leader == Some(bound.raft_id) {
            return Ok(self.raft_status());
        }
        let peer = self.leadership.borrow().peer.clone().ok_or_else(|| self.no_leader())?;
        let request = ClusterRequest::Status { cluster: bound.cluster.clone() };
        match self.ask(&peer, &request, ASK_TIMEOUT).await {
            Ok(ClusterReply::Status(status)) => Ok(*status),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(ClusterError::NoLeader(format!("the master: {error}"))),
        }
    }
}

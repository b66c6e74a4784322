//! The node, to its API: the ledger and proposals of the cluster handle, blobs of the repository,
//! logs of the workers that own the shards, and results from ticks. Decides nothing of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use onrush_api::backend::{
    Applied, Backend, BackendError, ByteStream, Identity, LogLine, LogQuery, MemberView, StoredBlob,
};
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command};
use onrush_raft::ledger::job::Job;
use onrush_raft::status::RaftStatus;
use onrush_raft::types::{ContentId, JobId, PeerName};
use onrush_scenario::stats::live::LiveView;
use onrush_scenario::stats::summary::Summary;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use crate::control_wire::{self, LogAsk, LogPart};
use crate::master::tally::{self, Tally};
use crate::membership::handle::{ClusterError, ClusterHandle};
use crate::net::{DuplexStream, Service};
use crate::repository::Repository;
use crate::worker::Worker;

/// Jobs whose ticks stay added up between two questions.
const TALLIES_MAX: usize = 32;
/// The largest `summary.json` that is read.
const SUMMARY_BYTES_MAX: u64 = 64 << 20;
/// Log lines on their way to who asked.
const LINES_AHEAD: usize = 256;
/// Tries to open a log stream to a node, for those who follow.
const LOG_TRIES: u32 = 5;
const LOG_RETRY: Duration = Duration::from_secs(1);

impl From<ClusterError> for BackendError {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Rejected(rejection) => Self::Rejected(rejection),
            ClusterError::NoLeader(why) => Self::NoLeader(why),
            ClusterError::NoQuorum(why) => Self::NoQuorum(why),
            ClusterError::Superseded { .. } => Self::NoLeader(error.to_string()),
            ClusterError::NoRoom(why) => Self::NoRoom(why),
            ClusterError::Internal(why) => Self::Internal(why),
        }
    }
}

impl From<tally::Error> for BackendError {
    fn from(error: tally::Error) -> Self {
        match error {
            tally::Error::Repository(error) => error.into(),
            other => Self::Internal(other.to_string()),
        }
    }
}

pub struct NodeBackend {
    cluster: ClusterHandle,
    repository: Arc<Repository>,
    worker: Worker,
    tallies: Mutex<BTreeMap<JobId, Arc<tokio::sync::Mutex<Tally>>>>,
}

impl NodeBackend {
    pub fn new(cluster: ClusterHandle, repository: Arc<Repository>, worker: Worker) -> Self {
        Self { cluster, repository, worker, tallies: Mutex::default() }
    }

    fn name_of(&self, peer: &PeerName) -> String {
        let ledger = self.cluster.ledger();
        ledger.member_of_peer(peer).map_or_else(|| peer.0.clone(), |member| member.name.clone())
    }

    fn tally(&self, job: &JobId) -> Arc<tokio::sync::Mutex<Tally>> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        if !tallies.contains_key(job) && tallies.len() >= TALLIES_MAX {
            // It costs whoever asks for that job again one more reading of its ticks.
            tallies.pop_first();
        }
        Arc::clone(tallies.entry(job.clone()).or_default())
    }

    async fn summary_so_far(&self, job: &Job) -> Result<Summary, BackendError> {
        let tally = self.tally(&job.id);
        let mut tally = tally.lock().await;
        if let Err(error) = tally.catch_up(job, &self.repository).await {
            *tally = Tally::default();
            return Err(error.into());
        }
        let name = |peer: &PeerName| self.name_of(peer);
        Ok(tally.summary(job, job.status, &job.verdict.reason, name))
    }
}

#[async_trait]
impl Backend for NodeBackend {
    fn identity(&self) -> Identity {
        Identity {
            name: self.cluster.name(),
            peer: self.cluster.peer().0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.cluster.ledger()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.cluster.applied()
    }

    async fn read_barrier(&self) -> Result<(), BackendError> {
        Ok(self.cluster.read_barrier().await?)
    }

    async fn catch_up(&self) -> Result<(), BackendError> {
        Ok(self.cluster.catch_up().await?)
    }

    fn forming(&self) -> Option<String> {
        self.cluster.forming()
    }

    async fn propose(&self, by: &Caller, command: Command) -> Result<Applied, BackendError> {
        let applied = self.cluster.propose(by, command).await?;
        Ok(Applied { index: applied.index, outcome: applied.outcome })
    }

    async fn put_blob(
        &self,
        body: ByteStream,
        announced: Option<u64>,
        expected: Option<ContentId>,
    ) -> Result<StoredBlob, BackendError> {
        Ok(self.repository.put(body, announced, expected).await?)
    }

    async fn open_blob(
        &self,
        content: &ContentId,
        range: Option<Range<u64>>,
    ) -> Result<(u64, ByteStream), BackendError> {
        Ok(self.repository.open_blob(content, range).await?)
    }

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogLine>, BackendError> {
        let ledger = self.cluster.ledger();
        if ledger.job(&query.job).is_none() {
            return Err(BackendError::NotFound(format!("job {}", query.job)));
        }
        let (to, lines) = mpsc::channel(LINES_AHEAD);
        tokio::spawn(gather(Arc::clone(&self.cluster), self.worker.clone(), query, to));
        Ok(ReceiverStream::new(lines).boxed())
    }

    async fn summary(&self, id: &JobId) -> Result<Arc<Summary>, BackendError> {
        let ledger = self.cluster.ledger();
        let job = ledger.job(id).ok_or_else(|| BackendError::NotFound(format!("job {id}")))?;
        if let Some(content) = job.artifacts.get("summary.json") {
            let bytes = self.repository.read(content, SUMMARY_BYTES_MAX).await?;
            let summary = serde_json::from_slice(&bytes);
            let unreadable = |error| BackendError::Internal(format!("{id}: summary.json: {error}"));
            return summary.map(Arc::new).map_err(unreadable);
        }
        self.summary_so_far(job).await.map(Arc::new)
    }

    async fn live(&self, id: &JobId) -> Result<LiveView, BackendError> {
        let ledger = self.cluster.ledger();
        let job = ledger.job(id).ok_or_else(|| BackendError::NotFound(format!("job {id}")))?;
        let tally = self.tally(id);
        let mut tally = tally.lock().await;
        if let Err(error) = tally.catch_up(job, &self.repository).await {
            *tally = Tally::default();
            return Err(error.into());
        }
        let mut view = tally.aggregate.live();
        view.load = tally::live_load(job, view.second);
        Ok(view)
    }

    fn members(&self) -> Vec<MemberView> {
        self.cluster.members()
    }

    fn raft_status(&self) -> RaftStatus {
        self.cluster.raft_status()
    }

    async fn leader_raft_status(&self) -> Result<RaftStatus, BackendError> {
        Ok(self.cluster.leader_raft_status().await?)
    }
}

/// The lines of all nodes that have or get a shard of the job. Ends when each of them has sent all
/// and, where the logs are followed, the job has ended; or when nobody listens.
async fn gather(
    cluster: ClusterHandle,
    worker: Worker,
    query: LogQuery,
    to: mpsc::Sender<LogLine>,
) {
    let mut applied = cluster.applied();
    let mut asked: BTreeSet<PeerName> = BTreeSet::new();
    loop {
        let ledger = cluster.ledger();
        let Some(job) = ledger.job(&query.job) else { return };
        let nodes = job
            .assignments
            .iter()
            .filter(|assignment| query.shard.is_none_or(|shard| shard == assignment.shard))
            .map(|assignment| &assignment.node);
        for node in nodes {
            if asked.insert(node.clone()) {
                let (cluster, worker) = (Arc::clone(&cluster), worker.clone());
                let (node, query, to) = (node.clone(), query.clone(), to.clone());
                tokio::spawn(async move { follow(cluster, worker, node, query, to).await });
            }
        }
        if !query.follow || job.status.is_terminal() {
            return;
        }
        tokio::select! {
            () = to.closed() => return,
            changed = applied.changed() => if changed.is_err() { return },
        }
    }
}

/// The lines of one node. A node that cannot be reached costs its lines, not those of the others.
async fn follow(
    cluster: ClusterHandle,
    worker: Worker,
    node: PeerName,
    query: LogQuery,
    to: mpsc::Sender<LogLine>,
) {
    let ask = LogAsk {
        job: query.job,
        shard: query.shard,
        stream: query.stream,
        tail: query.tail,
        follow: query.follow,
    };
    if node == cluster.peer() {
        return worker.logs(ask, to).await;
    }
    let tries = if ask.follow { LOG_TRIES } else { 1 };
    for left in (0..tries).rev() {
        match cluster.mesh().open(&node, Service::Logs).await {
            Ok(stream) => {
                tokio::select! {
                    () = pass_on(stream, &ask, &to) => {}
                    // A quiet job: nothing else would tell that nobody listens.
                    () = to.closed() => {}
                }
                return;
            }
            Err(error) => tracing::debug!(%node, %error, "no log stream"),
        }
        if left > 0 {
            tokio::time::sleep(LOG_RETRY).await;
        }
    }
}

/// Until the node has sent all, or either side is gone.
async fn pass_on(mut stream: DuplexStream, ask: &LogAsk, to: &mpsc::Sender<LogLine>) {
    if control_wire::send(&mut stream, ask).await.is_err() {
        return;
    }
    while let Ok(LogPart::Line(line)) = control_wire::receive(&mut stream).await {
        if to.send(line).await.is_err() {
            return;
        }
    }
}

//! One term of this node as master: carries out what the [`Coordinator`] decides, and tells it what
//! happened. A round after every change and five times a second; what many workers say within a
//! moment is one change. With the term, everything here is dropped. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::job::JobCommand;
use onrush_raft::types::PeerName;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::aggregate::Batch;
use super::coordinator::{Action, Coordinator, Ended, Heard, Sight, Task, Work};
use super::entries::{each, entries};
use super::finish;
use super::session::{self, Session};
use crate::membership::handle::ClusterHandle;
use crate::repository::Repository;

/// A round at least this often.
const ROUND: Duration = Duration::from_millis(200);
/// Between the beginnings of two rounds, at least.
const ROUND_GAP: Duration = Duration::from_millis(10);
/// Frames and reports that wait for a round.
const HEARD_MAX: usize = 4_096;

pub(super) struct Reign {
    cluster: ClusterHandle,
    repository: Arc<Repository>,
    command: session::Command,
    sessions: BTreeMap<PeerName, Session>,
    coordinator: Coordinator,
    tasks: JoinSet<Ended>,
    /// Which task is which, also where one panics.
    names: HashMap<Id, Task>,
    heard: mpsc::Sender<Heard>,
    /// Its ledger has all that was committed before its term.
    caught_up: bool,
}

impl Reign {
    /// Rules until the future is dropped or a worker knows a higher term.
    pub(super) async fn run(cluster: ClusterHandle, repository: Arc<Repository>, term: u64) {
        let Some(leader) = cluster.raft_id() else { return };
        let command = session::Command { term, leader, clock: cluster.clock() };
        let (heard, mut inbox) = mpsc::channel(HEARD_MAX);
        let mut applied = cluster.applied();
        let mut reign = Self {
            cluster,
            repository,
            command,
            sessions: BTreeMap::new(),
            coordinator: Coordinator::default(),
            tasks: JoinSet::new(),
            names: HashMap::new(),
            heard,
            caught_up: false,
        };
        let mut caught_up = std::pin::pin!(caught_up(Arc::clone(&reign.cluster)));
        tracing::info!(term, "this node is master");
        let mut round = tokio::time::interval(ROUND);
        let (mut is_due, mut next) = (true, Instant::now());
        loop {
            tokio::select! {
                _ = round.tick() => {}
                () = tokio::time::sleep_until(next), if is_due => {
                    is_due = false;
                    next = Instant::now() + ROUND_GAP;
                    reign.round();
                    continue;
                }
                () = &mut caught_up, if !reign.caught_up => reign.caught_up = true,
                changed = applied.changed() => if changed.is_err() { return },
                Some(ended) = reign.tasks.join_next_with_id() => reign.ended(ended),
                heard = inbox.recv() => match heard {
                    Some(heard) => reign.coordinator.heard(heard),
                    None => return,
                },
            }
            while let Ok(heard) = inbox.try_recv() {
                reign.coordinator.heard(heard);
            }
            if let Some(higher) = reign.coordinator.deposed() {
                tracing::info!(term, higher, "a worker follows a later master");
                return;
            }
            is_due = true;
        }
    }

    fn round(&mut self) {
        let (ledger, members) = (self.cluster.ledger(), self.cluster.members());
        let beat = |(peer, session): (&PeerName, &Session)| (peer.clone(), session.heartbeat_ms());
        let beats: BTreeMap<_, _> = self.sessions.iter().map(beat).collect();
        let peers = self.cluster.mesh().peers().borrow().clone();
        let dead: BTreeSet<PeerName> =
            peers.values().filter(|view| view.ended).map(|view| view.peer.clone()).collect();
        let sight = Sight {
            now_us: self.command.clock.now_us(),
            unix_ms: self.command.clock.unix_ms(),
            ledger: &ledger,
            caught_up: self.caught_up,
            own: &self.cluster.peer(),
            members: &members,
            dead: &dead,
            beats: &beats,
        };
        for action in self.coordinator.round(&sight) {
            self.carry_out(&ledger, action);
        }
    }

    fn carry_out(&mut self, ledger: &Ledger, action: Action) {
        match action {
            Action::Open { peer } => {
                let (mesh, heard) = (self.cluster.mesh(), self.heard.clone());
                let session = Session::start(self.command, mesh, peer.clone(), heard);
                self.sessions.insert(peer, session);
            }
            Action::Close { peer } => {
                self.sessions.remove(&peer);
            }
            Action::Order { peer, order } => {
                let left = match self.sessions.get(&peer) {
                    Some(session) => session.order(order),
                    None => Some(order),
                };
                if let Some(order) = left {
                    self.coordinator.not_queued(&peer, &order);
                }
            }
            Action::Start { task, work } => self.start(ledger, task, work),
        }
    }

    fn start(&mut self, ledger: &Ledger, task: Task, work: Work) {
        let (cluster, repository) = (Arc::clone(&self.cluster), Arc::clone(&self.repository));
        let term = self.command.term;
        let row = match &work {
            Work::Conclude { job, .. } | Work::Seal { job, .. } => ledger.job(job).cloned(),
            Work::Ticks(_) | Work::Propose(_) => None,
        };
        let name = task.clone();
        let handle = self.tasks.spawn(async move {
            let result = match (work, row) {
                (Work::Ticks(batches), _) => return propose_ticks(&cluster, term, batches).await,
                (Work::Propose(command), _) => {
                    let proposed = cluster.propose_as_master(term, Command::Job(command)).await;
                    proposed.map(|_| ()).map_err(|error| error.to_string())
                }
                (Work::Conclude { ending, .. }, Some(row)) => {
                    let ended = finish::conclude(&cluster, &repository, term, &row, &ending).await;
                    ended.map_err(|error| error.to_string())
                }
                (Work::Seal { from, to, .. }, Some(row)) => {
                    let sealed = finish::seal(&cluster, &repository, term, &row, (from, to)).await;
                    sealed.map_err(|error| error.to_string())
                }
                (Work::Conclude { .. } | Work::Seal { .. }, None) => {
                    Err("the ledger has no such job".to_owned())
                }
            };
            match result {
                Ok(()) => Ended::Done,
                Err(error) => {
                    tracing::warn!(?task, %error, "not carried out; the next round decides anew");
                    Ended::Failed
                }
            }
        });
        self.names.insert(handle.id(), name);
    }

    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, ended) = ended.unwrap_or_else(|error| {
            // A panic in a task is a bug; what it did is started again.
            tracing::error!(%error, "a task of the master ended");
            (error.id(), Ended::Failed)
        });
        if let Some(task) = self.names.remove(&id) {
            self.coordinator.ended(task, ended, self.command.clock.now_ms());
        }
    }
}

async fn caught_up(cluster: ClusterHandle) {
    while let Err(error) = cluster.read_barrier().await {
        tracing::debug!(%error, "the ledger may lack what an earlier master committed");
        tokio::time::sleep(ROUND).await;
    }
}

async fn propose_ticks(cluster: &ClusterHandle, term: u64, batches: Vec<Batch>) -> Ended {
    // A wide job's frames are some hundred milliseconds of work, which nobody should wait for.
    let merging = tokio::task::spawn_blocking(move || {
        let mut batches = batches;
        let sections: Vec<_> = batches.iter_mut().map(Batch::section).collect();
        (batches, sections)
    });
    let (batches, sections) = match merging.await {
        Ok(merged) => merged,
        Err(error) => {
            tracing::error!(%error, "merging frames ended");
            return Ended::Failed;
        }
    };
    let mut outcomes = Vec::new();
    for sections in entries(sections.into_iter()) {
        let count = sections.len();
        let command = Command::Job(JobCommand::Ticks { sections });
        let proposed = cluster.propose_as_master(term, command).await;
        outcomes.extend(each(proposed.map(|applied| applied.outcome), count));
    }
    Ended::Ticks(batches.into_iter().zip(outcomes).collect())
}

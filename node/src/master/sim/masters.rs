//! The shell around a master's coordinator: carries out its actions over the modelled network and
//! log, and tells it what happened. A master whose term is over may linger, with the ledger as it
//! was, until a worker tells it so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use onrush_api::backend::MemberView;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::job::{JobCommand, SealedTicks, Verdict};
use onrush_raft::ledger::outcome::TickOutcome;
use onrush_raft::types::{ContentId, PeerName};
use rand::Rng;

use super::network::Stream;
use super::raft::{Answer, Ticket};
use super::world::{UNIX_MS, World, index_of, peer};
use crate::control_wire::ToWorker;
use crate::master::aggregate::Batch;
use crate::master::coordinator::{Action, Coordinator, Ended, Sight, Task, Work};
use crate::master::entries::{each, entries};
use crate::master::reconcile::LEASE_MS;
use crate::membership::handle::ClusterError;
use crate::membership::members::ALIVE;

const HEARTBEAT_MS: u64 = 500;
const ROUND_MS: u64 = 200;

/// What became of the sections of one command, once there is an answer.
type Outcomes = Option<Vec<Option<TickOutcome>>>;

/// Commands of one task that wait for their answers.
struct Pending {
    task: Task,
    batches: Vec<Batch>,
    /// By ticket: how many sections each command has.
    parts: BTreeMap<u64, (usize, Outcomes)>,
    failed: bool,
}

pub(super) struct Master {
    pub(super) term: u64,
    pub(super) node: usize,
    pub(super) coordinator: Coordinator,
    /// Something happened that a round is to look at.
    pub(super) stirred: bool,
    /// Members that a session is wanted to, and when the next one may be opened.
    pub(super) dials: BTreeMap<PeerName, u64>,
    /// The ledger as it was when the term ended.
    pub(super) frozen: Option<Ledger>,
    pub(super) ends_at: u64,
    /// The ledger as its node has it, until it has applied what was committed before its term.
    pub(super) behind: Option<(u64, Ledger)>,
    beats: BTreeMap<PeerName, u64>,
    next_beat: u64,
    next_round: u64,
    pending: Vec<Pending>,
    /// Since when each task has been under way.
    pub(super) since: BTreeMap<Task, u64>,
}

impl Master {
    pub(super) fn new(term: u64, node: usize) -> Self {
        Self {
            term,
            node,
            coordinator: Coordinator::default(),
            stirred: true,
            dials: BTreeMap::new(),
            frozen: None,
            ends_at: u64::MAX,
            behind: None,
            beats: BTreeMap::new(),
            next_beat: 0,
            next_round: 0,
            pending: Vec::new(),
            since: BTreeMap::new(),
        }
    }

    /// Gives the answer to the task that waits for it; the task's end, once it has all.
    fn answered(&mut self, answer: Answer) -> Option<(Task, Ended)> {
        let number = answer.ticket.number;
        let at = self.pending.iter().position(|it| it.parts.contains_key(&number))?;
        let pending = &mut self.pending[at];
        pending.failed |= answer.outcome.is_none();
        let unknown = || ClusterError::NoQuorum("no answer".to_owned());
        if let Some((count, outcome)) = pending.parts.get_mut(&number) {
            *outcome = match pending.task {
                Task::Ticks => Some(each(answer.outcome.ok_or_else(unknown), *count)),
                _ => Some(Vec::new()),
            };
        }
        if pending.parts.values().any(|(_, outcome)| outcome.is_none()) {
            return None;
        }
        let Pending { task, batches, parts, failed } = self.pending.remove(at);
        let outcomes = parts.into_values().flat_map(|(_, outcome)| outcome.unwrap_or_default());
        let ended = match (&task, failed) {
            (Task::Ticks, _) => Ended::Ticks(batches.into_iter().zip(outcomes).collect()),
            (_, true) => Ended::Failed,
            (_, false) => Ended::Done,
        };
        Some((task, ended))
    }
}

impl World {
    pub(super) fn rule(&mut self) {
        self.answer();
        let mut masters = std::mem::take(&mut self.masters);
        for master in &mut masters {
            self.dial(master);
            self.beat(master);
            if master.stirred || self.now >= master.next_round {
                master.stirred = false;
                master.next_round = self.now + ROUND_MS;
                self.round(master);
            }
        }
        masters
            .retain(|master| master.coordinator.deposed().is_none() && self.now < master.ends_at);
        let terms: Vec<u64> = masters.iter().map(|master| master.term).collect();
        self.streams.retain(|stream| terms.contains(&stream.term));
        self.masters = masters;
    }

    fn answer(&mut self) {
        let now = self.now;
        for answer in self.raft.answers(now) {
            let term = answer.ticket.term;
            let Some(master) = self.masters.iter_mut().find(|it| it.term == term) else { continue };
            if let Some((task, ended)) = master.answered(answer) {
                master.coordinator.ended(task, ended, now);
                master.stirred = true;
            }
        }
    }

    fn dial(&mut self, master: &mut Master) {
        let due: Vec<usize> = master
            .dials
            .iter()
            .filter(|(_, at)| **at <= self.now)
            .filter_map(|(peer, _)| index_of(peer))
            .collect();
        for worker in due {
            if self.workers[worker].is_reachable(self.now)
                && self.stream_of(master.term, worker).is_none()
            {
                self.last_stream += 1;
                self.streams.push(Stream::new(self.last_stream, master.term, worker));
            }
        }
    }

    /// What is stored as sent may be lost on its way.
    fn beat(&mut self, master: &mut Master) {
        if self.now < master.next_beat {
            return;
        }
        master.next_beat = self.now + HEARTBEAT_MS;
        for worker in 0..self.workers.len() {
            if self.stream_of(master.term, worker).is_some() {
                master.beats.insert(peer(worker), self.now);
                let beat = ToWorker::Heartbeat {
                    term: master.term,
                    leader: master.term,
                    mono_us: self.now * 1_000,
                    lease_ms: LEASE_MS,
                };
                self.order(master.term, worker, beat);
            }
        }
    }

    fn round(&mut self, master: &mut Master) {
        let members: Vec<MemberView> = self
            .workers
            .iter()
            .filter(|worker| worker.joined)
            .map(|worker| {
                let health = if worker.is_reachable(self.now) { ALIVE } else { "dead" };
                let peer = peer(worker.index).0;
                MemberView {
                    name: peer.clone(),
                    peer,
                    health: health.to_owned(),
                    cores: 1,
                    ..MemberView::default()
                }
            })
            .collect();
        master.behind = master.behind.take().filter(|(until, _)| self.now < *until);
        let behind = master.behind.as_ref().map(|(_, ledger)| ledger.clone());
        let caught_up = behind.is_none();
        let ledger =
            behind.or_else(|| master.frozen.clone()).unwrap_or_else(|| self.raft.ledger.clone());
        let sight = Sight {
            now_us: self.now * 1_000,
            unix_ms: self.now + UNIX_MS,
            ledger: &ledger,
            caught_up,
            own: &peer(master.node),
            members: &members,
            dead: &BTreeSet::new(),
            beats: &master.beats,
        };
        let began = Instant::now();
        let actions = master.coordinator.round(&sight);
        self.rounds.push(began.elapsed());
        for action in actions {
            self.carry_out(master, &ledger, action);
        }
        self.watch_tasks(master);
    }

    fn carry_out(&mut self, master: &mut Master, ledger: &Ledger, action: Action) {
        match action {
            Action::Open { peer } => {
                master.dials.insert(peer, self.now);
            }
            Action::Close { peer } => {
                master.dials.remove(&peer);
            }
            Action::Order { peer, order } => {
                let queued = index_of(&peer)
                    .is_some_and(|worker| self.order(master.term, worker, order.clone()));
                if !queued {
                    master.coordinator.not_queued(&peer, &order);
                }
            }
            Action::Start { task, work } => self.start(master, ledger, task, work),
        }
    }

    fn start(&mut self, master: &mut Master, ledger: &Ledger, task: Task, work: Work) {
        let mut batches = Vec::new();
        let commands: Vec<(usize, JobCommand)> = match work {
            Work::Ticks(taken) => {
                batches = taken;
                let sections: Vec<_> = batches.iter_mut().map(Batch::section).collect();
                let entry = |sections: Vec<_>| (sections.len(), JobCommand::Ticks { sections });
                entries(sections.into_iter()).into_iter().map(entry).collect()
            }
            Work::Propose(command) => vec![(0, command)],
            Work::Conclude { job: id, ending } => {
                let (status, verdict, artifacts) =
                    (ending.status, Verdict::default(), BTreeMap::new());
                vec![(0, JobCommand::Finish { id, status, verdict, artifacts, digest: None })]
            }
            Work::Seal { job: id, from, to } => {
                let content = ContentId(format!("{:064x}", (from << 32) | to));
                let held = ledger.job(&id).map(|job| job.ticks.clone()).unwrap_or_default();
                let sealed = held.into_iter().filter(|tick| (from..=to).contains(&tick.number));
                self.record.sealed.insert((id.clone(), from, to), sealed.collect());
                vec![(0, JobCommand::Seal { id, sealed: SealedTicks { from, to, content } })]
            }
        };
        let mut pending = Pending { task, batches, parts: BTreeMap::new(), failed: false };
        for (count, command) in commands {
            self.last_ticket += 1;
            let ticket = Ticket { term: master.term, number: self.last_ticket };
            pending.parts.insert(ticket.number, (count, None));
            let command = Command::Job(command);
            self.raft.propose(self.now, ticket, command, &self.faults, &mut self.rng);
        }
        // Its commands go their way all the same.
        if self.rng.random_bool(self.faults.panic) {
            master.coordinator.ended(pending.task, Ended::Failed, self.now);
        } else {
            master.pending.push(pending);
        }
    }
}

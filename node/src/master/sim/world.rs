//! Everything that one simulation has: the log, the masters, the workers, the streams between them,
//! what goes wrong, and the record of what truly happened. Time goes on in steps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::file::{FileCommand, Precondition};
use onrush_raft::ledger::job::{AssignmentState, Job, JobCommand, JobEvent, JobSpec, OnNodeLoss};
use onrush_raft::ledger::member::MemberCommand;
use onrush_raft::ledger::outcome::Outcome;
use onrush_raft::types::{ContentId, JobId, PeerName, ProjectName};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::checks::Record;
use super::engine;
use super::faults::{self, Faults};
use super::masters::Master;
use super::network::Stream;
use super::raft::{BEHIND_MAX, Raft};
use super::workers::Worker;
use crate::control_wire::ShardKey;
use crate::worker::book::Happening;

const WORKERS: usize = 4;
pub(super) const STEP_MS: u64 = 50;
/// Beside the monotonic clock: who takes one for the other is noticed.
pub(super) const UNIX_MS: u64 = 1_700_000_000_000;

/// The first one founded the cluster.
pub(super) fn peer(index: usize) -> PeerName {
    PeerName(format!("peer-{}", index + 1))
}

pub(super) fn index_of(peer: &PeerName) -> Option<usize> {
    let number: usize = peer.0.strip_prefix("peer-")?.parse().ok()?;
    number.checked_sub(1)
}

pub(super) struct World {
    pub(super) now: u64,
    pub(super) rng: StdRng,
    pub(super) faults: Faults,
    /// A population follows on the first one, in every third simulation.
    pub(super) staged: bool,
    pub(super) raft: Raft,
    pub(super) masters: Vec<Master>,
    pub(super) workers: Vec<Worker>,
    pub(super) streams: Vec<Stream>,
    pub(super) record: Record,
    pub(super) last_stream: u64,
    pub(super) last_ticket: u64,
    terms: u64,
    next_leader_at: u64,
    /// What clients ask for, and when.
    wishes: Vec<(u64, JobCommand)>,
    /// When the last of the workers becomes a member.
    joins_at: u64,
    /// How long each round of a master took, on the machine that this runs on.
    pub(super) rounds: Vec<Duration>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let faults = Faults::drawn(&mut rng);
        let mut world = Self::empty(seed, rng, faults, WORKERS);
        world.join();
        world.plan_jobs();
        world
    }

    /// One job over so many workers, of which nothing goes wrong by itself.
    pub(super) fn wide(workers: usize) -> Self {
        let (rng, faults) = (StdRng::seed_from_u64(0), Faults::default());
        let mut world = Self::empty(0, rng, faults, workers);
        world.workers[0].joined = true;
        (1..workers).for_each(|index| world.join_one(index));
        let content = world.put_simulation();
        world.submit(1, OnNodeLoss::Rebalance, &content, world.now);
        world
    }

    fn empty(seed: u64, rng: StdRng, faults: Faults, workers: usize) -> Self {
        Self {
            now: 1_000,
            faults,
            staged: seed % 3 == 2,
            rng,
            raft: Raft::new(),
            masters: Vec::new(),
            workers: (0..workers).map(Worker::new).collect(),
            streams: Vec::new(),
            record: Record::new(seed),
            last_stream: 0,
            last_ticket: 0,
            terms: 0,
            next_leader_at: 1_100,
            wishes: Vec::new(),
            joins_at: 0,
            rounds: Vec::new(),
        }
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let outcome = self.raft.apply(self.now + UNIX_MS, command);
        outcome.expect("nothing speaks against it")
    }

    /// All of them, or all but one, which comes while a job runs.
    fn join(&mut self) {
        self.workers[0].joined = true;
        let is_late = self.rng.random_bool(0.3);
        if is_late {
            self.joins_at = self.rng.random_range(2_000..30_000);
        }
        for index in 1..self.workers.len() - usize::from(is_late) {
            self.join_one(index);
        }
    }

    fn join_one(&mut self, index: usize) {
        let (peer, name) = (peer(index), format!("n{index}"));
        let outcome = self.apply(Command::Member(MemberCommand::Allocate { peer, name }));
        let Outcome::Allocated(raft_id) = outcome else { unreachable!("{outcome:?}") };
        self.apply(Command::Member(MemberCommand::Bound { raft_ids: [raft_id].into() }));
        self.workers[index].joined = true;
    }

    fn drain(&mut self, index: usize, draining: bool) {
        let member = self.raft.ledger.member_of_peer(&peer(index));
        if let Some(raft_id) = member.map(|member| member.raft_id) {
            self.apply(Command::Member(MemberCommand::Drain { raft_id, draining }));
        }
    }

    /// One job over all nodes, now and then a second one, and now and then a wish to end.
    fn plan_jobs(&mut self) {
        let content = self.put_simulation();
        let policies = [
            OnNodeLoss::Rebalance,
            OnNodeLoss::Rebalance,
            OnNodeLoss::Rebalance,
            OnNodeLoss::Degrade,
            OnNodeLoss::Fail,
        ];
        for number in 1..=self.rng.random_range(1..=2) {
            let policy = policies[self.rng.random_range(0..policies.len())];
            let at = self.now + (number - 1) * self.rng.random_range(0..10_000);
            let id = self.submit(number, policy, &content, at);
            if self.rng.random_bool(0.08) {
                let abort = JobCommand::Abort { id, reason: "enough".into() };
                self.wishes.push((at + self.rng.random_range(500..40_000), abort));
            }
        }
    }

    fn put_simulation(&mut self) -> ContentId {
        let content = ContentId("a".repeat(64));
        self.apply(Command::File(FileCommand::Put {
            project: ProjectName("default".into()),
            path: "main.js".into(),
            content: content.clone(),
            size: 1,
            holders: vec![1],
            condition: Precondition::default(),
        }));
        content
    }

    /// The first job is over all nodes, others over two.
    fn submit(
        &mut self,
        number: u64,
        on_node_loss: OnNodeLoss,
        content: &ContentId,
        at: u64,
    ) -> JobId {
        let spec = JobSpec {
            simulation: "main.js".into(),
            files: BTreeMap::from([("main.js".to_owned(), content.clone())]),
            nodes: if number == 1 { 0 } else { 2 },
            on_node_loss,
            ..JobSpec::default()
        };
        let id = JobId(format!("job_{number}"));
        let project = ProjectName("default".into());
        self.wishes.push((at, JobCommand::Submit { id: id.clone(), project, spec }));
        id
    }

    pub(super) fn step(&mut self) {
        self.now += STEP_MS;
        self.wish();
        if self.now == faults::UNTIL_MS {
            self.faults = Faults::default();
            self.workers.iter_mut().for_each(|worker| worker.cut_until = 0);
            (0..self.workers.len()).for_each(|index| self.drain(index, false));
        }
        let last = self.workers.len() - 1;
        if self.joins_at <= self.now && !self.workers[last].joined {
            self.join_one(last);
        }
        self.go_wrong();
        self.kill_on_purpose();
        self.elect();
        self.raft.commit(self.now, self.now + UNIX_MS);
        self.deliver();
        self.work();
        self.rule();
        self.check_holders();
        self.check_users();
        self.record.leases(&self.workers, self.now);
    }

    pub(super) fn is_over(&self) -> bool {
        self.wishes.is_empty() && self.raft.ledger.live_jobs().next().is_none()
    }

    /// What happened to the jobs, by the ledger.
    pub(super) fn story(&self) -> String {
        let mut lines = vec![format!("at {}:", self.now)];
        for job in self.raft.ledger.jobs() {
            lines.push(format!("{}: {}", job.id, job.status.as_str()));
            let event = |it: &JobEvent| format!("  {:>6} {}", it.at - UNIX_MS, it.what);
            lines.extend(job.events.iter().map(event));
        }
        for worker in &self.workers {
            let up = if worker.is_up() { "up" } else { "down" };
            lines.push(format!("{}: {up}, {:?}", peer(worker.index), worker.book.reports()));
        }
        for master in &self.masters {
            let tasks: Vec<_> = master.coordinator.under_way().collect();
            lines.push(format!("term {} on {}: {tasks:?}", master.term, master.node));
        }
        lines.join("\n")
    }

    /// How the job over all nodes ended, in words.
    pub(super) fn outcome(&self) -> String {
        let job = self.raft.ledger.jobs().last();
        let lost = |job: &&Arc<Job>| {
            job.assignments.iter().any(|a| matches!(a.state, AssignmentState::Lost { .. }))
        };
        job.map_or_else(String::new, |job| {
            let missing = if lost(&job) { ", with losses" } else { "" };
            format!("{}{missing}", job.status.as_str())
        })
    }

    fn wish(&mut self) {
        let now = self.now;
        let (due, later) =
            std::mem::take(&mut self.wishes).into_iter().partition(|(at, _)| *at <= now);
        self.wishes = later;
        let due: Vec<(u64, JobCommand)> = due;
        for (_, command) in due {
            // A job may have ended by itself before somebody wants it to.
            let _ = self.raft.apply(now + UNIX_MS, Command::Job(command));
        }
    }

    fn go_wrong(&mut self) {
        let faults = self.faults.clone();
        let index = self.rng.random_range(0..self.workers.len());
        if self.rng.random_bool(faults.break_session) {
            self.break_streams(|stream| stream.worker == index);
        }
        if self.rng.random_bool(faults.cut_off) {
            self.workers[index].cut_until = self.now + self.rng.random_range(500..20_000);
            self.break_streams(|stream| stream.worker == index);
        }
        if self.rng.random_bool(faults.kill_child) {
            let shards = self.workers[index].shards();
            if let Some(key) = shards.get(self.rng.random_range(0..shards.len().max(1))) {
                self.kill_process(index, key);
            }
        }
        if self.rng.random_bool(faults.kill_worker) {
            self.kill_node(index);
        }
        if self.rng.random_bool(faults.kill_two) {
            let led = self.masters.iter().find(|it| it.frozen.is_none()).map(|it| it.node);
            let one = if self.rng.random_bool(0.5) { led } else { None };
            self.kill_node(one.unwrap_or((index + 1) % self.workers.len()));
            self.kill_node(index);
        }
        if self.rng.random_bool(faults.drain) {
            let draining = self.rng.random_bool(0.6);
            self.drain(index, draining);
        }
        if self.raft.leads.is_some() && self.rng.random_bool(faults.leader_falls) {
            let lingers = self.now + self.rng.random_range(0..6_000);
            let ledger = self.raft.ledger.clone();
            if let Some(master) = self.masters.iter_mut().find(|it| it.frozen.is_none()) {
                master.frozen = Some(ledger);
                master.ends_at = lingers;
            }
            self.lead_ends();
        }
    }

    /// Where it hurts: who is about to take over or has just begun, and the last second.
    fn kill_on_purpose(&mut self) {
        let faults = self.faults.clone();
        for index in 0..self.workers.len() {
            for key in self.workers[index].with_child() {
                let Some(job) = self.raft.ledger.job(&key.job) else { continue };
                let start_at = job.start_at.map_or(u64::MAX, |at| at - UNIX_MS);
                let held = job.shard(key.shard).filter(|a| a.epoch == key.epoch);
                let taker = held.filter(|a| a.takes_over.is_some());
                let age = self.now.saturating_sub(start_at);
                let begins = taker.and_then(|a| a.begins.as_ref()).map(|it| it.at_us / 1_000);
                let is_young = taker.is_some() && begins.is_none_or(|at| age < at + 3_000);
                let is_late = age >= engine::SECONDS * 1_000 - 1_500;
                if is_young && self.rng.random_bool(faults.kill_taker)
                    || is_late && self.rng.random_bool(faults.kill_late)
                {
                    self.kill_process(index, &key);
                }
            }
        }
    }

    fn kill_process(&mut self, index: usize, key: &ShardKey) {
        if self.kill_child(index, key) {
            self.record.cause(key, "its process was killed");
            self.happened(index, key, Happening::Exited("killed by signal 9".into()));
        }
    }

    pub(super) fn kill_node(&mut self, index: usize) {
        if !self.workers[index].is_up() {
            return;
        }
        let back_at = self.now + self.rng.random_range(200..15_000);
        let lose_spools = self.rng.random_bool(self.faults.lose_spool);
        self.kill_worker(index, back_at, lose_spools);
        let led = self.masters.iter().any(|it| it.node == index && it.frozen.is_none());
        self.masters.retain(|master| master.node != index);
        if led {
            self.lead_ends();
        }
    }

    fn lead_ends(&mut self) {
        self.raft.leader_falls(self.now, &mut self.rng);
        self.next_leader_at = self.now + self.rng.random_range(300..2_000);
    }

    fn elect(&mut self) {
        if self.raft.leads.is_some() || self.now < self.next_leader_at {
            return;
        }
        let node = self.rng.random_range(0..self.workers.len());
        if self.workers[node].joined
            && self.workers[node].is_reachable(self.now)
            && !self.masters.iter().any(|master| master.node == node)
        {
            self.terms += 1;
            self.raft.leader_rises(self.terms, self.now + UNIX_MS);
            let mut master = Master::new(self.terms, node);
            if self.rng.random_bool(self.faults.behind) {
                let until = self.now + self.rng.random_range(50..2_000);
                let entries = self.rng.random_range(1..=BEHIND_MAX);
                master.behind = Some((until, self.raft.behind(entries)));
            }
            self.masters.push(master);
        }
    }
}

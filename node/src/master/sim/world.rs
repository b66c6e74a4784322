//! Everything that one simulation has: the log, the masters, the workers, the streams between them,
//! what goes wrong, and the record of what truly happened. Time goes on in steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::file::FileCommand;
use onrush_raft::ledger::job::{AssignmentState, Job, JobCommand, JobSpec, OnNodeLoss};
use onrush_raft::ledger::member::MemberCommand;
use onrush_raft::ledger::outcome::Outcome;
use onrush_raft::types::{ContentId, JobId, PeerName, ProjectName};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::checks::Record;
use super::faults::{self, Faults};
use super::masters::Master;
use super::network::Stream;
use super::raft::Raft;
use super::workers::Worker;
use crate::worker::book::Happening;

pub(super) const WORKERS: usize = 4;
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
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let faults = Faults::drawn(&mut rng);
        let mut world = Self {
            now: 1_000,
            faults,
            rng,
            raft: Raft::new(),
            masters: Vec::new(),
            workers: (0..WORKERS).map(Worker::new).collect(),
            streams: Vec::new(),
            record: Record::new(seed),
            last_stream: 0,
            last_ticket: 0,
            terms: 0,
            next_leader_at: 1_100,
            wishes: Vec::new(),
        };
        world.join();
        world.plan_jobs();
        world
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let outcome = self.raft.apply(self.now + UNIX_MS, command);
        outcome.expect("nothing speaks against it")
    }

    fn join(&mut self) {
        for index in 1..WORKERS {
            let (peer, name) = (peer(index), format!("n{index}"));
            let outcome = self.apply(Command::Member(MemberCommand::Allocate { peer, name }));
            let Outcome::Allocated(raft_id) = outcome else { unreachable!("{outcome:?}") };
            self.apply(Command::Member(MemberCommand::Bound { raft_id }));
        }
    }

    /// One job over all nodes, now and then a second one, and now and then a wish to end.
    fn plan_jobs(&mut self) {
        let (project, content) = (ProjectName("default".into()), ContentId("a".repeat(64)));
        self.apply(Command::File(FileCommand::Put {
            project: project.clone(),
            path: "main.js".into(),
            content: content.clone(),
            size: 1,
            holders: vec![1],
        }));
        let policies = [OnNodeLoss::Degrade, OnNodeLoss::Rebalance, OnNodeLoss::Fail];
        for number in 1..=self.rng.random_range(1..=2) {
            let spec = JobSpec {
                simulation: "main.js".into(),
                files: BTreeMap::from([("main.js".to_owned(), content.clone())]),
                nodes: if number == 1 { 0 } else { 2 },
                on_node_loss: policies[self.rng.random_range(0..policies.len())],
                ..JobSpec::default()
            };
            let id = JobId(format!("job_{number}"));
            let (project, idempotency_key) = (project.clone(), None);
            let submit = JobCommand::Submit { id: id.clone(), project, spec, idempotency_key };
            let at = self.now + (number - 1) * self.rng.random_range(0..10_000);
            self.wishes.push((at, submit));
            if self.rng.random_bool(0.08) {
                let abort = JobCommand::Abort { id, reason: "enough".into() };
                self.wishes.push((at + self.rng.random_range(500..40_000), abort));
            }
        }
    }

    pub(super) fn step(&mut self) {
        self.now += STEP_MS;
        self.wish();
        if self.now == faults::UNTIL_MS {
            self.faults = Faults::default();
            self.workers.iter_mut().for_each(|worker| worker.cut_until = 0);
        }
        self.go_wrong();
        self.raft.commit(self.now, self.now + UNIX_MS);
        self.deliver();
        self.work();
        self.rule();
        self.record.leases(&self.workers, self.now);
    }

    pub(super) fn is_over(&self) -> bool {
        self.wishes.is_empty() && self.raft.ledger.live_jobs().next().is_none()
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
        let index = self.rng.random_range(0..WORKERS);
        if self.rng.random_bool(faults.break_session) {
            self.break_streams(|stream| stream.worker == index);
        }
        if self.rng.random_bool(faults.cut_off) {
            self.workers[index].cut_until = self.now + self.rng.random_range(500..20_000);
            self.break_streams(|stream| stream.worker == index);
        }
        if self.rng.random_bool(faults.kill_child) {
            let shards = self.workers[index].shards();
            if let Some(key) = shards.get(self.rng.random_range(0..shards.len().max(1)))
                && self.kill_child(index, key)
            {
                self.record.cause(key, "its process was killed");
                self.happened(index, key, Happening::Exited("killed by signal 9".into()));
            }
        }
        if self.workers[index].is_up() && self.rng.random_bool(faults.kill_worker) {
            let back_at = self.now + self.rng.random_range(200..15_000);
            let lose_spools = self.rng.random_bool(faults.lose_spool);
            self.kill_worker(index, back_at, lose_spools);
            let led = self.masters.iter().any(|it| it.node == index && it.frozen.is_none());
            self.masters.retain(|master| master.node != index);
            if led {
                self.lead_ends();
            }
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
        self.elect();
    }

    fn lead_ends(&mut self) {
        self.raft.leader_falls(self.now, &mut self.rng);
        self.next_leader_at = self.now + self.rng.random_range(300..2_000);
    }

    fn elect(&mut self) {
        if self.raft.leads.is_some() || self.now < self.next_leader_at {
            return;
        }
        let node = self.rng.random_range(0..WORKERS);
        if self.workers[node].is_reachable(self.now)
            && !self.masters.iter().any(|master| master.node == node)
        {
            self.terms += 1;
            self.raft.leader_rises(self.terms, self.now + UNIX_MS);
            self.masters.push(Master::new(self.terms, node));
        }
    }
}

//! The exact intents for each situation of a job.

use std::collections::BTreeMap;

use onrush_raft::ledger::job::{AssignmentState, Job, JobCommand, JobStatus, OnNodeLoss, Tick};
use onrush_raft::types::{JobId, PeerName, ProjectName};
use onrush_scenario::shard::{EndReason, LoadHeard, Plan, Problem, ProblemKind};

use super::fixture::{assigned, job};
use super::place::Candidate;
use super::reconcile::{Ending, Intent, LOST_MS, Node, View, reconcile};
use super::start::OwnStarts;
use crate::control_wire::{ClosedUsers, Phase, RESTARTED, ShardKey, ShardReport, ToWorker};

const NOW: u64 = 100_000;
/// The master's monotonic clock, which is younger than the job.
const NOW_US: u64 = 20_000_000;

#[derive(Default)]
pub(super) struct World {
    pub(super) nodes: BTreeMap<PeerName, Node>,
    reports: BTreeMap<PeerName, Vec<ShardReport>>,
}

pub(super) fn peer(name: &str) -> PeerName {
    PeerName(name.into())
}

fn key(shard: u32) -> ShardKey {
    key_of(1, shard)
}

pub(super) fn key_of(epoch: u64, shard: u32) -> ShardKey {
    ShardKey { job: JobId("job_1".into()), shard, epoch }
}

impl World {
    pub(super) fn new(nodes: &[&str]) -> Self {
        let mut world = Self::default();
        for name in nodes {
            let candidate = Candidate {
                peer: peer(name),
                name: format!("node-{name}"),
                cores: 1,
                present: true,
                ..Candidate::default()
            };
            let node = Node { candidate, silent_ms: 0, coming_ms: None, dead: false };
            world.nodes.insert(peer(name), node);
            world.reports.insert(peer(name), Vec::new());
        }
        world
    }

    pub(super) fn says(self, name: &str, shard: u32, phase: Phase, newest: u64) -> Self {
        self.says_in(1, name, shard, phase, newest)
    }

    pub(super) fn says_in(
        mut self,
        epoch: u64,
        name: &str,
        shard: u32,
        phase: Phase,
        newest: u64,
    ) -> Self {
        let key = key_of(epoch, shard);
        let (load, closed, yields) = Default::default();
        let report = ShardReport { key, phase, newest, start_us: None, yields, load, closed };
        self.reports.entry(peer(name)).or_default().push(report);
        self
    }

    /// A shard's node says so of what was reported first.
    pub(super) fn yields(mut self, name: &str, yielded: onrush_scenario::shard::Yielded) -> Self {
        self.reports.get_mut(&peer(name)).unwrap()[0].yields.push(yielded);
        self
    }

    /// A shard's node says so of what was reported first.
    pub(super) fn follows(mut self, name: &str, changes: u32, late_us: u64) -> Self {
        let report = &mut self.reports.get_mut(&peer(name)).unwrap()[0];
        report.load = LoadHeard { changes, late_us };
        self
    }

    /// A shard's node says so of what was reported last.
    pub(super) fn closed(mut self, name: &str, closed: ClosedUsers) -> Self {
        self.reports.get_mut(&peer(name)).unwrap().last_mut().unwrap().closed = closed;
        self
    }

    /// A shard's node says so of what was reported first: when the job started.
    pub(super) fn started(mut self, name: &str, start_us: i64) -> Self {
        self.reports.get_mut(&peer(name)).unwrap()[0].start_us = Some(start_us);
        self
    }

    pub(super) fn silent(mut self, name: &str, silent_ms: u64) -> Self {
        let node = self.nodes.get_mut(&peer(name)).unwrap();
        (node.candidate.present, node.silent_ms) = (false, silent_ms);
        self.reports.remove(&peer(name));
        self
    }

    pub(super) fn intents(&self, job: &Job) -> Vec<Intent> {
        let (live, ended) =
            if job.status.is_terminal() { (None, Some(job)) } else { (Some(job), None) };
        let live: Vec<&Job> = live.into_iter().collect();
        let unsealed: Vec<&Job> = ended.into_iter().collect();
        self.intents_of(&live, &unsealed)
    }

    fn intents_of(&self, live: &[&Job], unsealed: &[&Job]) -> Vec<Intent> {
        reconcile(&View {
            now: NOW,
            now_us: NOW_US,
            starts: &OwnStarts::new(),
            live,
            unsealed,
            nodes: &self.nodes,
            reports: &self.reports,
        })
    }
}

pub(super) fn on(nodes: &[&str], status: JobStatus) -> Job {
    let mut job = job(1, status);
    job.assignments = assigned(nodes);
    job.start_at = (status == JobStatus::Running).then_some(50_000);
    job
}

pub(super) fn ready(hash: &str) -> Phase {
    let plan = Plan {
        plan_hash: hash.into(),
        simulation: "main".into(),
        scenarios: vec![],
        injection_us: 1,
        stages: 0,
        undivided: vec![],
        max_duration_us: None,
        assertions: serde_json::Value::Null,
    };
    Phase::Ready { plan: serde_json::to_string(&plan).unwrap() }
}

pub(super) fn ended(reason: &EndReason) -> Phase {
    Phase::Ended { reason: serde_json::to_string(reason).unwrap() }
}

pub(super) fn failed(message: &str) -> Phase {
    let problem = Problem {
        kind: ProblemKind::Script,
        message: message.into(),
        file: Some("main.js".into()),
        line: Some(3),
        column: Some(7),
        excerpt: None,
    };
    Phase::Failed { problem: serde_json::to_string(&problem).unwrap() }
}

fn gone() -> Phase {
    Phase::Gone { reason: "killed".into() }
}

fn conclude(status: JobStatus, reason: &str) -> Intent {
    let ending = Ending { status, reason: reason.into(), problem: None };
    Intent::Conclude { job: JobId("job_1".into()), ending }
}

/// By what [`failed`] says.
fn conclude_failed(reason: &str) -> Intent {
    let problem = Some(ProblemKind::Script);
    let ending = Ending { status: JobStatus::Failed, reason: reason.into(), problem };
    Intent::Conclude { job: JobId("job_1".into()), ending }
}

fn requeue(reason: &str, failed: bool) -> Intent {
    let id = JobId("job_1".into());
    Intent::Propose(JobCommand::Requeue { id, reason: reason.into(), failed })
}

fn lost(shard: u32, reason: &str) -> Intent {
    let id = JobId("job_1".into());
    let reason = reason.into();
    Intent::Propose(JobCommand::ShardLost { id, shard, epoch: 1, reason })
}

fn stop(node: &str, shard: u32, reason: &str) -> Intent {
    let order = ToWorker::Stop { key: key(shard), reason: reason.into() };
    Intent::Order { peer: peer(node), order }
}

fn release(node: &str, shard: u32) -> Intent {
    Intent::Order { peer: peer(node), order: ToWorker::Release { key: key(shard) } }
}

#[test]
fn a_new_job_waits_for_a_node_that_is_coming_back_but_not_for_ever() {
    let mut world = World::new(&["a", "b"]).silent("b", 60_000);
    let mut job = job(1, JobStatus::Queued);
    job.epoch = 0;
    let nodes = |intents: Vec<Intent>| {
        let Some(first) = intents.first() else { return 0 };
        let Intent::Propose(JobCommand::Prepare { assignments, .. }) = first else {
            unreachable!("{intents:?}")
        };
        assignments.len()
    };
    assert_eq!(nodes(world.intents(&job)), 1);
    world.nodes.get_mut(&peer("b")).unwrap().coming_ms = Some(1_000);
    assert_eq!(nodes(world.intents(&job)), 0);
    world.nodes.get_mut(&peer("b")).unwrap().coming_ms = Some(LOST_MS + 1);
    assert_eq!(nodes(world.intents(&job)), 1);
    world.nodes.get_mut(&peer("b")).unwrap().candidate.present = true;
    assert_eq!(nodes(world.intents(&job)), 2);
}

#[test]
fn a_preparing_shard_that_its_node_does_not_know_is_ordered() {
    let intents = World::new(&["a"]).intents(&on(&["a"], JobStatus::Preparing));
    let [Intent::Order { peer: to, order: ToWorker::Prepare(order) }] = intents.as_slice() else {
        unreachable!("{intents:?}");
    };
    assert_eq!((to, &order.key, order.segments_total), (&peer("a"), &key(0), 720));
}

#[test]
fn nothing_is_ordered_while_a_shard_prepares() {
    let world = World::new(&["a"]).says("a", 0, Phase::Preparing, 0);
    assert_eq!(world.intents(&on(&["a"], JobStatus::Preparing)), vec![]);
}

#[test]
fn all_ready_with_the_same_plan_start_together() {
    let world = World::new(&["a", "b"]).says("a", 0, ready("h"), 0);
    let job = on(&["a", "b"], JobStatus::Preparing);
    assert_eq!(World::new(&["a", "b"]).intents(&job).len(), 2);
    let world = world.says("b", 1, ready("h"), 0);
    let Phase::Ready { plan } = ready("h") else { unreachable!() };
    let id = JobId("job_1".into());
    let start = Intent::Propose(JobCommand::Start { id, start_at: NOW + 1_500, plan });
    assert_eq!(world.intents(&job), vec![start]);
}

#[test]
fn another_plan_fails_the_job_by_name() {
    let world = World::new(&["a", "b"]).says("a", 0, ready("h1"), 0).says("b", 1, ready("h2"), 0);
    let reason = "the shards would not run the same test: shard 1 on node-b has plan h2, shard 0 \
                  on node-a has plan h1";
    let got = world.intents(&on(&["a", "b"], JobStatus::Preparing));
    assert_eq!(got, vec![conclude(JobStatus::Failed, reason)]);
}

#[test]
fn a_script_error_fails_the_job_with_its_place() {
    let world = World::new(&["a"]).says("a", 0, failed("foo is not defined"), 0);
    let got = world.intents(&on(&["a"], JobStatus::Preparing));
    assert_eq!(got, vec![conclude_failed("main.js:3:7: foo is not defined")]);
}

#[test]
fn a_node_that_cannot_prepare_sends_the_job_back() {
    let job = on(&["a"], JobStatus::Preparing);
    let unable = Phase::Unable { reason: "disk full".into() };
    let got = World::new(&["a"]).says("a", 0, unable, 0).intents(&job);
    assert_eq!(got, vec![requeue("node-a: disk full", true)]);
    assert_eq!(World::new(&["a"]).silent("a", LOST_MS).intents(&job), vec![]);
    assert_eq!(
        World::new(&["a"]).silent("a", LOST_MS + 1).intents(&job),
        vec![requeue("node-a was lost", false)]
    );
    // It came back, and says what became of what it was preparing.
    let restarted = Phase::Gone { reason: RESTARTED.into() };
    let got = World::new(&["a"]).says("a", 0, restarted, 0).intents(&job);
    assert_eq!(got, vec![requeue("node-a: its node was restarted", false)]);
}

#[test]
fn jobs_of_a_project_start_in_the_order_of_the_queue() {
    let (first, mut second) = (on(&["a"], JobStatus::Preparing), job(2, JobStatus::Preparing));
    second.assignments = assigned(&["b"]);
    let world = World::new(&["a", "b"]).says("a", 0, Phase::Preparing, 0);
    let world = world.says("b", 1, ready("h"), 0);
    let mut world = world;
    let report = &mut world.reports.get_mut(&peer("b")).unwrap()[0].key;
    (report.job, report.shard) = (JobId("job_2".into()), 0);
    let started = |first: &Job, second: &Job| {
        let intents = world.intents_of(&[first, second], &[]);
        intents.iter().any(|it| matches!(it, Intent::Propose(JobCommand::Start { .. })))
    };
    assert!(!started(&first, &second));
    // Nobody waits for one that goes back into the queue, is ended, or is another project's.
    let (mut back, mut aborted) = (first.clone(), first.clone());
    back.status = JobStatus::Queued;
    back.assignments.clear();
    aborted.abort = Some("enough".into());
    assert!(started(&back, &second) && started(&aborted, &second));
    second.project = ProjectName("other".into());
    assert!(started(&first, &second));
}

#[test]
fn a_job_that_was_prepared_too_often_fails() {
    let mut job = job(1, JobStatus::Queued);
    (job.epoch, job.failed_preparations) = (7, 5);
    let reason = "given up after 5 preparations: no node could prepare it";
    let got = World::new(&["a"]).intents(&job);
    assert_eq!(got, vec![conclude(JobStatus::Failed, reason)]);
}

#[test]
fn ready_shards_of_a_running_job_are_started_whoever_committed_it() {
    let world = World::new(&["a"]).says("a", 0, ready("h"), 0);
    let order = ToWorker::Start { key: key(0), at_us: -30_000_000, take_over: None };
    let got = world.intents(&on(&["a"], JobStatus::Running));
    assert_eq!(got, vec![Intent::Order { peer: peer("a"), order }]);
}

#[test]
fn a_shard_is_done_when_its_last_frame_is_committed() {
    let mut job = on(&["a"], JobStatus::Running);
    job.assignments[0].cursor = 4;
    let world = World::new(&["a"]).says("a", 0, ended(&EndReason::Completed), 5);
    assert_eq!(world.intents(&job), vec![]);
    job.assignments[0].cursor = 5;
    let id = JobId("job_1".into());
    let done = JobCommand::ShardDone { id, shard: 0, epoch: 1, final_seq: 5, completed: true };
    assert_eq!(world.intents(&job), vec![Intent::Propose(done)]);
    let id = JobId("job_1".into());
    let early = JobCommand::ShardDone { id, shard: 0, epoch: 1, final_seq: 5, completed: false };
    let world = World::new(&["a"]).says("a", 0, ended(&EndReason::MaxDuration), 5);
    assert_eq!(world.intents(&job), vec![Intent::Propose(early)]);
}

#[test]
fn a_shard_that_ran_out_of_its_lease_is_lost_not_done() {
    let mut job = on(&["a"], JobStatus::Running);
    job.assignments[0].cursor = 5;
    let world = World::new(&["a"]).says("a", 0, ended(&EndReason::LeaseExpired), 5);
    assert_eq!(world.intents(&job), vec![lost(0, "its node was cut off from every master")]);
}

#[test]
fn a_dead_process_delivers_its_frames_before_it_is_lost() {
    let mut job = on(&["a"], JobStatus::Running);
    let world = World::new(&["a"]).says("a", 0, gone(), 2);
    assert_eq!(world.intents(&job), vec![]);
    job.assignments[0].cursor = 2;
    assert_eq!(world.intents(&job), vec![lost(0, "killed")]);
}

#[test]
fn a_silent_node_is_lost_only_after_lease_and_margin() {
    let job = on(&["a", "b"], JobStatus::Running);
    let world =
        |silent| World::new(&["a", "b"]).says("a", 0, Phase::Running, 0).silent("b", silent);
    assert_eq!(world(LOST_MS).intents(&job), vec![]);
    assert_eq!(world(LOST_MS + 1).intents(&job), vec![lost(1, "node-b was not reached for 9 s")]);
}

#[test]
fn a_node_that_forgot_its_shard_loses_it_at_once() {
    let job = on(&["a"], JobStatus::Running);
    let got = World::new(&["a"]).intents(&job);
    assert_eq!(got, vec![lost(0, "node-a does not know it any more")]);
}

#[test]
fn a_job_goes_on_without_a_lost_shard_and_finalizes() {
    let mut job = on(&["a", "b"], JobStatus::Running);
    job.assignments[0].state = AssignmentState::Lost { reason: "killed".into() };
    let world = World::new(&["a", "b"]).says("b", 1, Phase::Running, 3);
    assert_eq!(world.intents(&job), vec![]);
    job.assignments[1].state = AssignmentState::Done { final_seq: 3, completed: true };
    let finalize = JobCommand::Finalize { id: JobId("job_1".into()) };
    assert_eq!(world.intents(&job), vec![Intent::Propose(finalize)]);
}

#[test]
fn the_fail_policy_stops_the_others_first() {
    let mut job = on(&["a", "b"], JobStatus::Running);
    job.spec.on_node_loss = OnNodeLoss::Fail;
    job.assignments[0].state = AssignmentState::Lost { reason: "killed".into() };
    let why = "shard 0 was lost: killed";
    let world = World::new(&["a", "b"]).says("b", 1, Phase::Running, 3);
    assert_eq!(world.intents(&job), vec![stop("b", 1, why)]);
    job.assignments[1].state = AssignmentState::Done { final_seq: 3, completed: true };
    assert_eq!(world.intents(&job), vec![conclude(JobStatus::Failed, why)]);
}

#[test]
fn a_job_without_any_shard_left_is_lost() {
    let mut job = on(&["a"], JobStatus::Running);
    job.assignments[0].state = AssignmentState::Lost { reason: "killed".into() };
    let got = World::new(&["a"]).intents(&job);
    assert_eq!(got, vec![conclude(JobStatus::Lost, "all shards were lost: shard 0: killed")]);
}

#[test]
fn an_abort_stops_all_then_waits_for_their_frames() {
    let mut job = on(&["a", "b"], JobStatus::Running);
    job.abort = Some("enough".into());
    let world = World::new(&["a", "b"]).says("a", 0, Phase::Running, 3).says("b", 1, gone(), 2);
    assert_eq!(world.intents(&job), vec![stop("a", 0, "enough")]);
    let stopped = EndReason::Stopped("enough".into());
    let world = World::new(&["a", "b"]).says("a", 0, ended(&stopped), 3).says("b", 1, gone(), 2);
    assert_eq!(world.intents(&job), vec![]);
    (job.assignments[0].cursor, job.assignments[1].cursor) = (3, 2);
    let got = world.intents(&job);
    assert!(got.iter().all(|it| matches!(it, Intent::Propose(_))) && got.len() == 2, "{got:?}");
    job.assignments[0].state = AssignmentState::Done { final_seq: 3, completed: true };
    job.assignments[1].state = AssignmentState::Lost { reason: "killed".into() };
    assert!(world.intents(&job).contains(&conclude(JobStatus::Aborted, "enough")));
}

/// Once such a job ended with a shard of which nobody knew what became of it: its last frames were
/// neither counted nor declared.
#[test]
fn an_aborted_job_ends_when_a_node_that_is_not_reached_is_given_up() {
    let mut job = on(&["a", "b"], JobStatus::Running);
    job.abort = Some("enough".into());
    job.assignments[0].state = AssignmentState::Done { final_seq: 3, completed: true };
    let world = World::new(&["a", "b"]).silent("b", LOST_MS);
    assert_eq!(world.intents(&job), vec![]);
    let world = world.silent("b", LOST_MS + 1);
    let ShardKey { job: id, shard, epoch } = key_of(1, 1);
    let reason = "node-b was not reached for 9 s".to_owned();
    let lost = JobCommand::ShardLost { id, shard, epoch, reason };
    assert_eq!(world.intents(&job), vec![Intent::Propose(lost)]);
}

#[test]
fn a_crash_of_one_shard_stops_the_others_and_fails_the_job() {
    let mut job = on(&["a", "b"], JobStatus::Running);
    job.assignments[0].state = AssignmentState::Lost { reason: "crash".into() };
    let world =
        World::new(&["a", "b"]).says("a", 0, failed("boom"), 1).says("b", 1, Phase::Running, 1);
    assert_eq!(world.intents(&job), vec![stop("b", 1, "main.js:3:7: boom")]);
}

#[test]
fn finalizing_jobs_are_concluded() {
    let got = World::new(&["a"]).intents(&on(&["a"], JobStatus::Finalizing));
    assert_eq!(got, vec![conclude(JobStatus::Finished, "")]);
}

#[test]
fn shards_without_use_are_released() {
    let world = World::new(&["a"]).says("a", 0, Phase::Running, 0);
    assert_eq!(world.intents(&on(&["a"], JobStatus::Finished)), vec![release("a", 0)]);
    let mut other = on(&["a"], JobStatus::Preparing);
    other.assignments[0].epoch = 2;
    let got = world.intents(&other);
    assert_eq!(got.last(), Some(&release("a", 0)));
}

#[test]
fn a_full_minute_is_sealed_and_the_newest_ticks_stay() {
    let tick = |number| Tick { number, cursors: vec![], payload: vec![], committed_at: 0 };
    let mut job = on(&["a"], JobStatus::Running);
    job.ticks = (61..150).map(|number| tick(number).into()).collect();
    let world = World::new(&["a"]).says("a", 0, Phase::Running, 0);
    assert_eq!(world.intents(&job), vec![]);
    job.ticks.push(tick(150).into());
    let seal = |from, to| Intent::Seal { job: JobId("job_1".into()), from, to };
    assert_eq!(world.intents(&job), vec![seal(61, 120)]);
    job.status = JobStatus::Finished;
    job.ended_at = Some(NOW - 59_999);
    assert_eq!(World::new(&["a"]).intents(&job), vec![]);
    job.ended_at = Some(NOW - 60_000);
    assert_eq!(World::new(&["a"]).intents(&job), vec![seal(61, 150)]);
}

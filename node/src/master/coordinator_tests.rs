//! The coordinator's rules, one by one; `sim` tries them together.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Command, Proposal};
use onrush_raft::ledger::file::{FileCommand, Precondition};
use onrush_raft::ledger::job::{CursorMove, JobCommand, JobSpec, NewAssignment, TickSection};
use onrush_raft::ledger::member::MemberCommand;
use onrush_raft::ledger::outcome::{Outcome, TickOutcome};
use onrush_raft::types::{ContentId, JobId, PeerName, ProjectName};
use onrush_scenario::shard::LoadHeard;
use onrush_scenario::stats::frame::{FRAME_VERSION, Frame};

use super::coordinator::{Action, Coordinator, Ended, Heard, RETRY_MS, Sight, Task, Work};
use super::reconcile::Ending;
use crate::control_wire::{FromWorker, Phase, ShardKey, ShardReport, ToWorker};

/// A running job with shard 0 on `peer-1`.
struct Bench {
    ledger: Ledger,
    index: u64,
    coordinator: Coordinator,
    now: u64,
    /// Whether all that an earlier master committed is in the ledger.
    caught_up: bool,
}

fn job() -> JobId {
    JobId("job_1".into())
}

fn key() -> ShardKey {
    ShardKey { job: job(), shard: 0, epoch: 1 }
}

fn peer() -> PeerName {
    PeerName("peer-1".into())
}

impl Bench {
    fn new() -> Self {
        let (ledger, coordinator) = (Ledger::open_single(), Coordinator::default());
        let mut bench = Self { ledger, index: 10, coordinator, now: 1_000, caught_up: true };
        let (project, content) = (ProjectName("default".into()), ContentId("a".repeat(64)));
        let path = "main.js".to_owned();
        bench.apply(Command::File(FileCommand::Put {
            project: project.clone(),
            path: path.clone(),
            content: content.clone(),
            size: 1,
            holders: vec![1],
            condition: Precondition::default(),
        }));
        let files = BTreeMap::from([(path.clone(), content)]);
        let spec = JobSpec { simulation: path, files, ..JobSpec::default() };
        let submit = JobCommand::Submit { id: job(), project, spec };
        bench.apply(Command::Job(submit));
        let assignments =
            vec![NewAssignment { shard: 0, node: peer(), segments: vec![0], takes_over: None }];
        bench.apply(Command::Job(JobCommand::Prepare { id: job(), assignments }));
        bench.apply(Command::Job(JobCommand::Start {
            id: job(),
            start_at: 0,
            plan: String::new(),
        }));
        bench
    }

    fn apply(&mut self, command: Command) -> Outcome {
        self.index += 1;
        let proposal = Proposal { at: 1, by: "test".into(), command };
        self.ledger.apply(self.index, &proposal).unwrap()
    }

    fn round(&mut self) -> Vec<Action> {
        self.now += 1_000;
        self.coordinator.round(&Sight {
            caught_up: self.caught_up,
            now_us: self.now * 1_000,
            unix_ms: self.now,
            ledger: &self.ledger,
            own: &peer(),
            members: &[],
            dead: &BTreeSet::new(),
            beats: &BTreeMap::from([(peer(), self.now)]),
        })
    }

    fn reported(&mut self) {
        let report = ShardReport {
            key: key(),
            phase: Phase::Running,
            newest: 9,
            start_us: None,
            yields: vec![],
            load: LoadHeard::default(),
            closed: Default::default(),
        };
        self.coordinator.heard(Heard::Report { peer: peer(), shards: vec![report] });
    }

    fn frame(&mut self, seq: u64) {
        let second = u32::try_from(seq).unwrap();
        let frame = Frame { version: FRAME_VERSION, epoch: 1, seq, second, ..Frame::default() };
        let message = FromWorker::Frame { key: key(), seq, body: Bytes::from(frame.encode()) };
        self.coordinator.heard(Heard::of(&peer(), 1, message, self.now).unwrap());
    }

    fn ended(&mut self, task: Task, ended: Ended) {
        self.coordinator.ended(task, ended, self.now);
    }
}

fn resume(cursor: u64) -> Action {
    Action::Order { peer: peer(), order: ToWorker::Resume { key: key(), cursor } }
}

fn ack(cursor: u64) -> Action {
    Action::Order { peer: peer(), order: ToWorker::Ack { key: key(), cursor } }
}

fn ticks(actions: &[Action]) -> Option<Vec<CursorMove>> {
    actions.iter().find_map(|action| match action {
        Action::Start { task: Task::Ticks, work: Work::Ticks(batches) } => {
            Some(batches[0].cursors.clone())
        }
        _ => None,
    })
}

fn step(from: u64, to: u64) -> CursorMove {
    CursorMove { shard: 0, epoch: 1, from, to }
}

#[test]
fn a_shard_is_asked_once_per_session_from_the_newest_frame_that_is_here() {
    let mut bench = Bench::new();
    assert_eq!(bench.round(), [Action::Open { peer: peer() }]);
    bench.reported();
    assert_eq!(bench.round(), [resume(0)]);
    assert_eq!(bench.round(), []);
    bench.frame(1);
    bench.round();
    bench.coordinator.heard(Heard::Down { peer: peer() });
    assert_eq!(bench.round(), []);
    bench.reported();
    assert_eq!(bench.round(), [resume(1)]);
}

#[test]
fn a_gap_and_an_order_that_was_not_queued_ask_again() {
    let mut bench = Bench::new();
    bench.round();
    bench.reported();
    assert_eq!(bench.round(), [resume(0)]);
    bench.frame(3);
    assert_eq!(bench.round(), [resume(0)]);
    bench.coordinator.not_queued(&peer(), &ToWorker::Resume { key: key(), cursor: 0 });
    assert_eq!(bench.round(), [resume(0)]);
}

/// Once a member that was removed and had come back was not asked for its frames any more.
#[test]
fn a_member_that_left_and_came_back_is_asked_again() {
    let mut bench = Bench::new();
    bench.apply(Command::Member(MemberCommand::Allocate { peer: "b".into(), name: "b".into() }));
    bench.round();
    bench.reported();
    assert_eq!(bench.round(), [resume(0)]);
    let full = bench.ledger.clone();
    bench.ledger = Ledger::open_single();
    bench.apply(Command::Member(MemberCommand::Allocate { peer: "c".into(), name: "c".into() }));
    bench.ledger.set_membership(99, vec![[2].into()]);
    bench.apply(Command::Member(MemberCommand::Remove { raft_id: 1 }));
    assert_eq!(bench.round(), [Action::Close { peer: peer() }]);
    bench.ledger = full;
    assert_eq!(bench.round(), [Action::Open { peer: peer() }]);
    bench.reported();
    assert_eq!(bench.round(), [resume(0)]);
}

#[test]
fn only_the_ledgers_cursors_are_acknowledged() {
    let mut bench = Bench::new();
    bench.round();
    bench.reported();
    bench.round();
    bench.frame(1);
    let proposed = bench.round();
    assert_eq!(ticks(&proposed), Some(vec![step(0, 1)]));
    assert_eq!(bench.round(), [], "proposed, not committed");
    let section =
        TickSection { job: job(), cursors: vec![step(0, 1)], payload: vec![1], reserved: vec![] };
    bench.apply(Command::Job(JobCommand::Ticks { sections: vec![section] }));
    // The answer was lost; the ledger tells all the same.
    bench.ended(Task::Ticks, Ended::Failed);
    assert_eq!(bench.round(), [ack(1)]);
    assert_eq!(bench.round(), []);
    bench.coordinator.not_queued(&peer(), &ToWorker::Ack { key: key(), cursor: 1 });
    assert_eq!(bench.round(), [ack(1)]);
}

#[test]
fn ticks_whose_outcome_is_not_known_go_again() {
    let mut bench = Bench::new();
    bench.round();
    bench.reported();
    bench.round();
    bench.frame(1);
    assert_eq!(ticks(&bench.round()), Some(vec![step(0, 1)]));
    bench.frame(2);
    assert_eq!(ticks(&bench.round()), None, "one section at a time");
    bench.ended(Task::Ticks, Ended::Ticks(Vec::new()));
    assert_eq!(ticks(&bench.round()), Some(vec![step(0, 2)]));
    assert_eq!(bench.coordinator.under_way().collect::<Vec<_>>(), [&Task::Ticks]);
}

/// A panic once cleared all that was under way, so that it was started a second time.
#[test]
fn what_failed_waits_a_moment_and_nothing_else_starts_again() {
    let mut bench = Bench::new();
    bench.round();
    bench.coordinator.heard(Heard::Report { peer: peer(), shards: vec![] });
    bench.apply(Command::Job(JobCommand::Abort { id: job(), reason: "enough".into() }));
    let reason = "gone".to_owned();
    let gone = JobCommand::ShardLost { id: job(), shard: 0, epoch: 1, reason };
    bench.apply(Command::Job(gone));
    let status = onrush_raft::ledger::job::JobStatus::Aborted;
    let ending = Ending { status, reason: "enough".into(), problem: None };
    let conclude =
        Action::Start { task: Task::Conclude(job()), work: Work::Conclude { job: job(), ending } };
    let first = bench.round();
    assert!(first.contains(&conclude), "{first:?}");
    assert!(!bench.round().contains(&conclude), "it is under way");
    bench.ended(Task::Ticks, Ended::Failed);
    assert!(!bench.round().contains(&conclude), "another one failed");
    bench.ended(Task::Conclude(job()), Ended::Failed);
    bench.now -= 1_000 - RETRY_MS + 1;
    assert!(!bench.round().contains(&conclude), "it failed a moment ago");
    assert!(bench.round().contains(&conclude));
}

/// Once the word of a later master was overheard when it came with other messages.
#[test]
fn a_deposed_master_does_nothing() {
    let mut bench = Bench::new();
    bench.round();
    let refused = FromWorker::Refused { term: 7, reason: "term 1 is over".into() };
    bench.coordinator.heard(Heard::of(&peer(), 1, refused, 1).unwrap());
    bench.reported();
    assert_eq!(bench.coordinator.deposed(), Some(7));
    assert_eq!(bench.round(), []);
}

#[test]
fn a_refused_section_is_taken_from_the_ledgers_cursor() {
    let mut bench = Bench::new();
    bench.round();
    bench.reported();
    bench.round();
    bench.frame(1);
    bench.frame(2);
    let Some(Action::Start { work: Work::Ticks(mut batches), .. }) = bench.round().pop() else {
        unreachable!("two frames wait");
    };
    let section =
        TickSection { job: job(), cursors: vec![step(0, 1)], payload: vec![1], reserved: vec![] };
    bench.apply(Command::Job(JobCommand::Ticks { sections: vec![section] }));
    let outcome = TickOutcome::Refused { cursors: vec![step(1, 1)] };
    bench.ended(Task::Ticks, Ended::Ticks(vec![(batches.remove(0), Some(outcome))]));
    let actions = bench.round();
    assert!(actions.contains(&ack(1)), "{actions:?}");
    assert_eq!(ticks(&actions), Some(vec![step(1, 2)]));
}

/// Once a master whose node had not applied all that was committed prepared a shard again that had
/// run already, and had another begin where it was.
#[test]
fn a_master_that_has_not_caught_up_keeps_its_sessions_and_decides_nothing() {
    let mut bench = Bench::new();
    bench.caught_up = false;
    assert_eq!(bench.round(), [Action::Open { peer: peer() }]);
    bench.reported();
    bench.frame(1);
    assert_eq!(bench.round(), []);
    bench.caught_up = true;
    assert_eq!(bench.round(), [resume(0)]);
}

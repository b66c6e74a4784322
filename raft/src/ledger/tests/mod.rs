//! Slices together: transitions and bounds; random histories in `random`.

#![expect(clippy::panic, reason = "tests fail by panicking")]

mod load;
mod member;
mod random;
mod reassign;

use std::collections::{BTreeMap, BTreeSet};

use super::command::{Caller, Command, Proposal};
use super::file::{FileCommand, FileVersion, Precondition, Tags};
use super::job::{
    AssignmentState, CursorMove, Division, JobCommand, JobSpec, JobStatus, NewAssignment,
    SealedTicks, TickSection, Verdict, VerdictValue,
};
use super::limits;
use super::member::{ClusterState, MemberCommand, Role};
use super::outcome::{Outcome, Rejection, TickOutcome};
use super::project::ProjectCommand;
use super::{Ledger, job::Job};
use crate::types::ContentId;

/// A ledger and its next index.
struct Log {
    ledger: Ledger,
    index: u64,
    at: u64,
}

impl Log {
    fn open() -> Self {
        Self { ledger: Ledger::open_single(), index: 10, at: 1_000 }
    }

    fn run(&mut self, command: Command) -> Result<Outcome, Rejection> {
        self.run_keyed(None, command)
    }

    fn run_keyed(&mut self, key: Option<&str>, command: Command) -> Result<Outcome, Rejection> {
        self.index += 1;
        let by = Caller { name: "ann".to_owned(), idempotency_key: key.map(str::to_owned) };
        self.ledger.apply(self.index, &Proposal { at: self.at, by, command })
    }

    fn job(&mut self, command: JobCommand) -> Result<Outcome, Rejection> {
        self.run(Command::Job(command))
    }

    fn put(&mut self, path: &str, n: u8) -> Result<Outcome, Rejection> {
        self.run(Command::File(put(path, n, &[1])))
    }

    fn submit(&mut self, id: &str, key: Option<&str>) -> Result<Outcome, Rejection> {
        self.submit_spec(id, key, spec())
    }

    fn submit_spec(
        &mut self,
        id: &str,
        key: Option<&str>,
        spec: JobSpec,
    ) -> Result<Outcome, Rejection> {
        let submit = JobCommand::Submit { id: id.into(), project: "default".into(), spec };
        self.run_keyed(key, Command::Job(submit))
    }

    fn tick(&mut self, id: &str, moves: &[(u32, u64, u64, u64)]) -> TickOutcome {
        let cursors = moves.iter().map(|&(shard, epoch, from, to)| step(shard, epoch, from, to));
        let section = TickSection {
            job: id.into(),
            cursors: cursors.collect(),
            payload: vec![1, 2, 3],
            reserved: vec![],
        };
        let Ok(Outcome::Ticks(mut all)) = self.job(JobCommand::Ticks { sections: vec![section] })
        else {
            panic!("ticks are never rejected as a whole");
        };
        all.remove(0)
    }

    fn get(&self, id: &str) -> &Job {
        self.ledger.job(&id.into()).unwrap()
    }

    /// A running job with shards 0 and 1 in epoch 1.
    fn running(id: &str) -> Self {
        let mut log = Self::open();
        log.put("a.js", 1).unwrap();
        log.submit(id, None).unwrap();
        log.job(prepare(id)).unwrap();
        log.job(start(id)).unwrap();
        log
    }
}

fn content(n: u8) -> ContentId {
    format!("{n:064x}").into()
}

fn put(path: &str, n: u8, holders: &[u64]) -> FileCommand {
    FileCommand::Put {
        project: "default".into(),
        path: path.to_owned(),
        content: content(n),
        size: 3,
        holders: holders.to_vec(),
        condition: Precondition::default(),
    }
}

fn version(result: Result<Outcome, Rejection>) -> Result<u64, Rejection> {
    result.map(|outcome| match outcome {
        Outcome::Stored { file: FileVersion { version, .. }, .. } => version,
        other => panic!("{other:?}"),
    })
}

fn spec() -> JobSpec {
    JobSpec {
        simulation: "a.js".to_owned(),
        files: BTreeMap::from([("a.js".to_owned(), content(1))]),
        ..JobSpec::default()
    }
}

fn step(shard: u32, epoch: u64, from: u64, to: u64) -> CursorMove {
    CursorMove { shard, epoch, from, to }
}

fn assignment(shard: u32, segments: &[u32]) -> NewAssignment {
    NewAssignment {
        shard,
        node: format!("peer-{shard}").into(),
        segments: segments.to_vec(),
        takes_over: None,
    }
}

fn prepare(id: &str) -> JobCommand {
    let assignments = vec![assignment(0, &[0, 2]), assignment(1, &[1, 3])];
    JobCommand::Prepare { id: id.into(), assignments }
}

fn start(id: &str) -> JobCommand {
    JobCommand::Start { id: id.into(), start_at: 5_000, plan: "{}".to_owned() }
}

fn finish(id: &str, status: JobStatus) -> JobCommand {
    let verdict = Verdict { value: VerdictValue::Passed, reason: String::new() };
    let artifacts = BTreeMap::from([("index.html".to_owned(), content(9))]);
    JobCommand::Finish { id: id.into(), status, verdict, artifacts, digest: None }
}

fn done(id: &str, shard: u32, final_seq: u64) -> JobCommand {
    JobCommand::ShardDone { id: id.into(), shard, epoch: 1, final_seq, completed: true }
}

fn lost(id: &str, shard: u32) -> JobCommand {
    JobCommand::ShardLost { id: id.into(), shard, epoch: 1, reason: "gone".to_owned() }
}

fn conflict(result: Result<Outcome, Rejection>) -> String {
    match result {
        Err(Rejection::Conflict(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_goes_through_its_life() {
    let mut log = Log::running("j");
    assert_eq!(log.get("j").epoch, 1);
    assert_eq!(log.tick("j", &[(0, 1, 0, 2), (1, 1, 0, 1)]), TickOutcome::Accepted { number: 1 });
    let finalize = || JobCommand::Finalize { id: "j".into() };
    let open = |shard: u32| format!("shard {shard} of j is neither done nor lost");
    assert_eq!(conflict(log.job(finalize())), open(0));
    assert_eq!(conflict(log.job(finish("j", JobStatus::Failed))), open(0));
    assert_eq!(conflict(log.job(done("j", 0, 3))), "shard 0 of j said 3 frames, 2 are committed");
    log.job(done("j", 0, 2)).unwrap();
    log.job(done("j", 0, 2)).unwrap();
    assert_eq!(conflict(log.job(finalize())), open(1));
    log.job(lost("j", 1)).unwrap();
    log.job(finalize()).unwrap();
    // What its node brings later counts.
    assert_eq!(log.tick("j", &[(1, 1, 1, 4)]), TickOutcome::Accepted { number: 2 });
    log.job(finish("j", JobStatus::Finished)).unwrap();
    let job = log.get("j");
    assert_eq!((job.status, job.verdict.value), (JobStatus::Finished, VerdictValue::Passed));
    assert_eq!(job.assignments[0].state, AssignmentState::Done { final_seq: 2, completed: true });
    let events: Vec<_> = job.events.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(
        events,
        [
            "submitted",
            "preparing as epoch 1 on peer-0, node-1",
            "running from 5000",
            "shard 0 done after frame 2",
            "shard 1 lost after frame 1: gone",
            "finalizing",
            "finished",
        ]
    );
    assert_eq!(conflict(log.job(finish("j", JobStatus::Failed))), "j is finished");
    assert_eq!(log.ledger.live_jobs().count(), 0);
}

#[test]
fn what_does_not_follow_is_refused() {
    let mut log = Log::open();
    log.put("a.js", 1).unwrap();
    log.submit("j", None).unwrap();
    assert_eq!(conflict(log.job(start("j"))), "j is queued");
    assert_eq!(conflict(log.job(JobCommand::Finalize { id: "j".into() })), "j is queued");
    assert_eq!(conflict(log.job(finish("j", JobStatus::Finished))), "j is queued");
    assert_eq!(log.tick("j", &[(0, 1, 0, 1)]), TickOutcome::Refused { cursors: vec![] });
    assert_eq!(log.tick("x", &[(0, 1, 0, 1)]), TickOutcome::Refused { cursors: vec![] });
    assert!(matches!(log.job(start("x")), Err(Rejection::NotFound { .. })));
    log.job(prepare("j")).unwrap();
    let requeue = |failed| {
        let reason = "busy".to_owned();
        JobCommand::Requeue { id: "j".into(), reason, failed }
    };
    log.job(requeue(true)).unwrap();
    assert_eq!(log.job(prepare("j")), Ok(Outcome::Epoch(2)));
    log.job(requeue(false)).unwrap();
    assert_eq!(log.job(prepare("j")), Ok(Outcome::Epoch(3)));
    assert_eq!(log.get("j").failed_preparations, 1);

    let twice = vec![assignment(0, &[1]), assignment(1, &[1])];
    log.submit("k", None).unwrap();
    let both = JobCommand::Prepare { id: "k".into(), assignments: twice.clone() };
    assert!(
        matches!(log.job(both), Err(Rejection::Invalid(text)) if text == "segment 1 is assigned twice")
    );
    let whole = JobSpec { division: Division::Copy, ..spec() };
    log.submit_spec("c", None, whole).unwrap();
    log.job(JobCommand::Prepare { id: "c".into(), assignments: twice }).unwrap();
}

#[test]
fn shares_by_zone_are_positive_and_go_to_all_nodes_of_a_divided_job() {
    let mut log = Log::open();
    log.put("a.js", 1).unwrap();
    let shares = |share| [("eu".to_owned(), share), ("us".to_owned(), 3)].into();
    let zoned = |share| JobSpec { zone_shares: shares(share), ..spec() };
    let mut refused = |spec| match log.submit_spec("j", None, spec) {
        Err(Rejection::Invalid(text)) => text,
        other => panic!("{other:?}"),
    };
    let zero = "the share of zone 'eu' is 0; it must be from 1 to 1000000";
    assert_eq!(refused(zoned(0)), zero);
    let some = refused(JobSpec { nodes: 2, ..zoned(7) });
    assert!(some.contains("2 nodes cannot be asked for as well"), "{some}");
    let copies = refused(JobSpec { division: Division::Copy, ..zoned(7) });
    assert!(copies.contains("no share by zone"), "{copies}");
    log.submit_spec("j", None, zoned(7)).unwrap();
}

#[test]
fn an_abort_is_a_wish_unless_nothing_runs() {
    let mut log = Log::open();
    log.put("a.js", 1).unwrap();
    let abort = |id: &str| JobCommand::Abort { id: id.into(), reason: "enough".to_owned() };
    log.submit("q", None).unwrap();
    log.job(abort("q")).unwrap();
    assert_eq!(log.get("q").status, JobStatus::Aborted);
    log.submit("p", None).unwrap();
    log.job(prepare("p")).unwrap();
    log.job(abort("p")).unwrap();
    log.job(abort("p")).unwrap();
    assert_eq!(log.get("p").abort.as_deref(), Some("enough"));
    assert_eq!(conflict(log.job(start("p"))), "p is being aborted");
    log.job(finish("p", JobStatus::Aborted)).unwrap();
    assert_eq!(conflict(log.job(abort("p"))), "p is aborted");
}

#[test]
fn cursors_are_compared_and_set() {
    let mut log = Log::running("j");
    let stored = |cursors: &[(u32, u64)]| TickOutcome::Refused {
        cursors: cursors.iter().map(|&(shard, at)| step(shard, 1, at, at)).collect(),
    };
    assert_eq!(log.tick("j", &[(0, 1, 0, 5)]), TickOutcome::Accepted { number: 1 });
    let bad: [&[(u32, u64, u64, u64)]; 6] = [
        &[(0, 1, 0, 5)],
        &[(0, 1, 5, 5)],
        &[(0, 2, 5, 6)],
        &[(9, 1, 0, 1)],
        &[(0, 1, 5, 6), (0, 1, 5, 7)],
        &[(0, 1, 5, 6), (1, 1, 3, 4)],
    ];
    for moves in bad {
        assert_eq!(log.tick("j", moves), stored(&[(0, 5), (1, 0)]), "{moves:?}");
    }
    assert_eq!(log.tick("j", &[]), stored(&[(0, 5), (1, 0)]));
    log.job(done("j", 0, 5)).unwrap();
    assert_eq!(log.tick("j", &[(0, 1, 5, 6)]), stored(&[(0, 5), (1, 0)]));
    assert_eq!(log.get("j").ticks.len(), 1);
}

#[test]
fn ticks_wait_to_be_sealed_within_a_bound() {
    let mut log = Log::running("j");
    for n in 0..limits::UNSEALED_TICKS_MAX as u64 {
        assert_eq!(log.tick("j", &[(0, 1, n, n + 1)]), TickOutcome::Accepted { number: n + 1 });
    }
    assert!(matches!(log.tick("j", &[(0, 1, 180, 181)]), TickOutcome::Refused { .. }));
    let seal = |from, to| JobCommand::Seal {
        id: "j".into(),
        sealed: SealedTicks { from, to, content: content(7) },
    };
    assert_eq!(
        conflict(log.job(seal(2, 60))),
        "ticks 2 to 60 cannot be sealed: 1 to 180 are not yet"
    );
    conflict(log.job(seal(1, 181)));
    log.job(seal(1, 60)).unwrap();
    log.job(seal(1, 60)).unwrap();
    assert_eq!(log.get("j").ticks.first().unwrap().number, 61);
    assert_eq!(log.tick("j", &[(0, 1, 180, 181)]), TickOutcome::Accepted { number: 181 });
    // Whatever its end is, what became of each shard that ran is known.
    assert_eq!(
        conflict(log.job(finish("j", JobStatus::Aborted))),
        "shard 0 of j is neither done nor lost"
    );
    log.job(lost("j", 0)).unwrap();
    log.job(lost("j", 1)).unwrap();
    log.job(finish("j", JobStatus::Aborted)).unwrap();
    log.job(seal(61, 181)).unwrap();
    assert!(log.get("j").ticks.is_empty());
    assert!(log.ledger.referenced().contains(&content(7)));
}

#[test]
fn the_same_key_gives_the_same_job_for_a_day() {
    let mut log = Log::open();
    log.put("a.js", 1).unwrap();
    let made = |id: &str, replayed| Ok(Outcome::Submitted { id: id.into(), replayed });
    assert_eq!(log.submit("j1", Some("k")), made("j1", false));
    let drawn = JobSpec { seed: 99, ..spec() };
    assert_eq!(log.submit_spec("j2", Some("k"), drawn), made("j1", true));
    let other = JobSpec { title: "other".to_owned(), ..spec() };
    assert_eq!(log.submit_spec("j2", Some("k"), other), Err(Rejection::IdempotencyMismatch));
    assert_eq!(log.submit("j1", None), Err(Rejection::Exists { what: "job j1".to_owned() }));
    log.at += limits::IDEMPOTENCY_MS;
    assert_eq!(log.submit("j3", Some("k")), made("j1", true));
    log.at += 1;
    assert_eq!(log.submit("j3", Some("k")), made("j3", false));
    let newest: Vec<_> = log.ledger.jobs().map(|job| job.number).collect();
    assert_eq!(newest, [2, 1]);
}

fn delete(condition: Precondition) -> Command {
    let (project, path) = ("default".into(), "a.js".to_owned());
    Command::File(FileCommand::Delete { project, path, version: None, condition })
}

/// Once the second try of a client that did not know what became of its first brought its content
/// back over what others had written meanwhile.
#[test]
fn a_write_with_a_key_is_carried_out_once() {
    let mut log = Log::open();
    let stored = |version: u64, n: u8, replayed| {
        let (project, path) = ("default".into(), "a.js".to_owned());
        let (uploaded_by, uploaded_at) = ("ann".to_owned(), 1_000);
        let content = content(n);
        let file =
            FileVersion { project, path, version, content, size: 3, uploaded_by, uploaded_at };
        Ok(Outcome::Stored { file, replayed })
    };
    let one = |holders: &[u64]| Command::File(put("a.js", 1, holders));
    assert_eq!(log.run_keyed(Some("k"), one(&[1])), stored(1, 1, false));
    assert_eq!(version(log.put("a.js", 2)), Ok(2));
    assert_eq!(log.run_keyed(Some("k"), one(&[1, 2])), stored(1, 1, true));
    let newest = |log: &Log| log.ledger.file(&"default".into(), "a.js", None).map(|f| f.version);
    assert_eq!(newest(&log), Some(2));
    let other = Command::File(put("a.js", 3, &[1]));
    assert_eq!(log.run_keyed(Some("k"), other.clone()), Err(Rejection::IdempotencyMismatch));
    // A file that came after a delete is not deleted by its second try.
    let delete = delete(Precondition::default());
    assert_eq!(log.run_keyed(Some("d"), delete.clone()), Ok(Outcome::Done));
    assert_eq!(version(log.run(other)), Ok(1));
    assert_eq!(log.run_keyed(Some("d"), delete.clone()), Ok(Outcome::Done));
    assert_eq!(newest(&log), Some(1));
    assert_eq!(log.run_keyed(Some("k"), one(&[1])), stored(1, 1, true));
    // What was refused is asked anew.
    let missing = |log: &mut Log| log.run_keyed(Some("m"), one(&[]));
    assert_eq!(missing(&mut log), Err(Rejection::NeedHolders { have: 0, need: 1 }));
    assert_eq!(log.run_keyed(Some("m"), delete), Ok(Outcome::Done));
    // A day later it is forgotten.
    log.at += limits::IDEMPOTENCY_MS + 1;
    assert_eq!(version(log.run_keyed(Some("k"), one(&[1]))), Ok(1));
    assert_eq!(newest(&log), Some(1));
}

/// Keys belong to a project, and go with it.
#[test]
fn each_project_has_its_own_keys() {
    let mut log = Log::open();
    let project = |create: bool| {
        let name = "b".into();
        Command::Project(match create {
            true => ProjectCommand::Create { name },
            false => ProjectCommand::Delete { name },
        })
    };
    log.run(project(true)).unwrap();
    let in_b = || match put("a.js", 1, &[1]) {
        FileCommand::Put { path, content, size, holders, condition, .. } => {
            let project = "b".into();
            Command::File(FileCommand::Put { project, path, content, size, holders, condition })
        }
        other => Command::File(other),
    };
    assert_eq!(version(log.run_keyed(Some("k"), Command::File(put("a.js", 2, &[1])))), Ok(1));
    assert_eq!(version(log.run_keyed(Some("k"), in_b())), Ok(1));
    let path = "a.js".to_owned();
    let condition = Precondition::default();
    let empty = FileCommand::Delete { project: "b".into(), path, version: None, condition };
    log.run(Command::File(empty)).unwrap();
    log.run(project(false)).unwrap();
    log.run(project(true)).unwrap();
    assert!(matches!(
        log.run_keyed(Some("k"), in_b()),
        Ok(Outcome::Stored { replayed: false, .. })
    ));
}

/// No more are kept than the bound says, the newest ones.
#[test]
fn the_oldest_keys_are_forgotten_first() {
    let mut log = Log::open();
    let most = limits::IDEMPOTENCY_KEYS_PER_PROJECT_MAX;
    for n in 0..=most {
        let key = format!("k{n}");
        log.run_keyed(Some(&key), Command::File(put("a.js", 1, &[1]))).unwrap();
    }
    let has = |n: usize| log.ledger.has_done(&"default".into(), &format!("k{n}"));
    assert_eq!((has(0), has(1), has(most)), (false, true, true));
}

/// Looked at where it is carried out: of two who ask at the same time one is refused.
#[test]
fn a_condition_holds_when_the_write_is_carried_out() {
    let mut log = Log::open();
    let tags = |n: u8| Some(Tags::These(vec![content(n)]));
    let mut on = |n: u8, if_match: Option<Tags>, if_none_match: Option<Tags>| {
        let mut command = put("a.js", n, &[1]);
        if let FileCommand::Put { condition, .. } = &mut command {
            *condition = Precondition { if_match, if_none_match };
        }
        version(log.run(Command::File(command)))
    };
    let refused = |text: &str| Err(Rejection::PreconditionFailed(text.to_owned()));
    assert_eq!(on(1, Some(Tags::Any), None), refused("a.js does not exist"));
    assert_eq!(on(1, None, Some(Tags::Any)), Ok(1));
    assert_eq!(on(2, None, Some(Tags::Any)), refused("a.js exists, as version 1"));
    assert_eq!(on(2, None, tags(1)), refused("a.js exists, as version 1"));
    let other = format!("a.js has the digest blake3:{}", content(1));
    assert_eq!(on(3, tags(2), None), refused(&other));
    assert_eq!(on(3, tags(1), None), Ok(2));
    assert_eq!(on(4, Some(Tags::Any), tags(1)), Ok(3));
    let gone = |if_match| delete(Precondition { if_match, if_none_match: None });
    let other = format!("a.js has the digest blake3:{}", content(4));
    assert_eq!(log.run(gone(tags(3))), Err(Rejection::PreconditionFailed(other)));
    assert_eq!(log.run(gone(tags(4))), Ok(Outcome::Done));
}

#[test]
fn files_need_a_majority_of_every_voter_set() {
    let mut log = Log::open();
    let sets = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4, 5])];
    log.ledger.set_membership(11, sets);
    let mut try_put = |holders: &[u64]| log.run(Command::File(put("a.js", 1, holders)));
    assert_eq!(try_put(&[1]), Err(Rejection::NeedHolders { have: 1, need: 2 }));
    assert_eq!(try_put(&[1, 2, 9]), Err(Rejection::NeedHolders { have: 0, need: 2 }));
    assert_eq!(version(try_put(&[2, 3, 4])), Ok(1));
}

#[test]
fn files_have_versions_and_are_pinned_by_live_jobs() {
    let mut log = Log::open();
    assert_eq!(version(log.put("a.js", 1)), Ok(1));
    assert_eq!(version(log.put("a.js", 1)), Ok(1));
    log.submit("j", None).unwrap();
    assert_eq!(version(log.put("a.js", 2)), Ok(2));
    let delete = |version| {
        let path = "a.js".to_owned();
        let condition = Precondition::default();
        Command::File(FileCommand::Delete { project: "default".into(), path, version, condition })
    };
    let pinned = "version 1 of a.js is in use by j, which has not ended";
    assert_eq!(conflict(log.run(delete(None))), pinned);
    assert_eq!(conflict(log.run(delete(Some(1)))), pinned);
    log.run(delete(Some(2))).unwrap();
    assert!(matches!(log.run(delete(Some(2))), Err(Rejection::NotFound { .. })));
    log.job(finish("j", JobStatus::Failed)).unwrap();
    log.run(delete(None)).unwrap();
    assert_eq!(log.ledger.files(&"default".into()).count(), 0);
    for path in ["", "/a", "a//b", "../a", "a/./b", "a\\b", "a\nb"] {
        assert!(matches!(log.put(path, 1), Err(Rejection::Invalid(_))), "{path:?}");
    }
    let missing = log.submit("k", None);
    assert!(matches!(missing, Err(Rejection::NotFound { what }) if what.starts_with("file a.js")));
}

#[test]
fn projects_are_created_and_deleted() {
    let mut log = Log::open();
    let create = |name: &str| Command::Project(ProjectCommand::Create { name: name.into() });
    let delete = |name: &str| Command::Project(ProjectCommand::Delete { name: name.into() });
    log.run(create("team-1")).unwrap();
    assert!(matches!(log.run(create("team-1")), Err(Rejection::Exists { .. })));
    for name in ["", "-a", "A", "a b", "ä", &"a".repeat(64)] {
        assert!(matches!(log.run(create(name)), Err(Rejection::Invalid(_))), "{name:?}");
    }
    log.run(delete("team-1")).unwrap();
    assert!(matches!(log.run(delete("team-1")), Err(Rejection::NotFound { .. })));
    assert_eq!(conflict(log.run(delete("default"))), "project default cannot be deleted");
}

#[test]
fn the_audit_trail_is_bounded_and_says_so() {
    let mut log = Log::running("j");
    for n in 0..400 {
        log.job(JobCommand::Note { id: "j".into(), what: format!("note {n}") }).unwrap();
    }
    let events = &log.get("j").events;
    assert_eq!(events.len(), limits::EVENTS_PER_JOB_MAX);
    assert_eq!(events[0].what, "submitted");
    assert_eq!(events[limits::EVENTS_HEAD].what, "148 events left out");
    assert_eq!(events.last().unwrap().what, "note 399");
}

/// The time of one tick, publication included, with thousands of jobs: a generous bound.
#[test]
fn a_tick_is_cheap_with_thousands_of_jobs() {
    let mut log = Log::running("j");
    for n in 0..5_000 {
        log.submit(&format!("e{n}"), None).unwrap();
        let id = format!("e{n}").into();
        log.job(JobCommand::Abort { id, reason: String::new() }).unwrap();
    }
    let began = std::time::Instant::now();
    let rounds = 100_u32;
    for n in 0..u64::from(rounds) {
        // As after each batch: the state is published, so the next change copies what it touches.
        let published = std::sync::Arc::new(log.ledger.clone());
        assert!(matches!(log.tick("j", &[(0, 1, n, n + 1)]), TickOutcome::Accepted { .. }));
        assert_eq!(published.applied() + 1, log.index);
    }
    let each = began.elapsed() / rounds;
    assert!(each.as_millis() < 5, "{each:?} for one tick");
}

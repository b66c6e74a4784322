//! What is to be done now: the ledger's jobs against what the workers report. Pure, idempotent and
//! without memory: carried out twice, or by another master, the result is the same, because each
//! intent is either a command that the ledger refuses when it does not follow, or an order that a
//! worker carries out once. It refuses to look at measurements; `aggregate` moves the cursors.
//!
//! ```text
//! queued ──place──▶ preparing ──all ready, same plan──▶ running ──all over──▶ finalizing ─▶ finished
//!   ▲                  │ node unable or lost               │ abort, crash, `fail` policy
//!   └──────────────────┘                                   └─▶ stop all, then aborted or failed
//! ```

use std::collections::BTreeMap;

use onrush_raft::ledger::job::{
    Assignment, AssignmentState, Job, JobCommand, JobStatus, OnNodeLoss,
};
use onrush_raft::ledger::limits;
use onrush_raft::types::{JobId, PeerName, UnixMs};
use onrush_scenario::shard::{EndReason, Plan, Problem, ProblemKind};

use super::closed;
use super::load;
use super::place::{self, Candidate};
use super::rebalance;
use super::start::{self, OwnStarts};
use crate::control_wire::{Phase, RESTARTED, ShardKey, ShardOrder, ShardReport, ToWorker};

/// How long a shard may generate load after its master's last heartbeat: a cut of five seconds, and
/// what connecting again takes on a busy machine.
pub const LEASE_MS: u64 = 7_000;
/// Beyond the lease, before the shard counts as lost: it must have stopped by any clock.
const LEASE_MARGIN_MS: u64 = 2_000;
/// A node that was not reached for longer sends no load any more.
pub const LOST_MS: u64 = LEASE_MS + LEASE_MARGIN_MS;
/// From the commit of the start to the start: orders reach all nodes, clocks are converted.
pub const START_DELAY_MS: u64 = 1_500;
/// Preparations that nodes were not able to before that is the job's failure. Those that ended with
/// a node are not counted: a cluster that is restarted node by node fails no job.
pub const PREPARATIONS_MAX: u32 = 5;
/// Ticks per sealed segment: a minute, or less where a wide job has several a second.
pub const SEAL_TICKS: u64 = 60;
/// Ticks that stay in the ledger behind a sealed minute, for those who follow a job live.
pub const HOT_TICKS: usize = 30;
/// An ended job's ticks are sealed after this time.
pub const SEAL_ENDED_AFTER_MS: u64 = 60_000;

/// A node that is or was a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub candidate: Candidate,
    /// Since the last heartbeat was sent to it, or since this master leads if none was.
    pub silent_ms: u64,
    /// For how long gossip has called it alive while it had no session: it is coming back.
    pub coming_ms: Option<u64>,
    /// Its kernel says so: the connection was closed, and nobody listens where it did. Its shards
    /// have died with it.
    pub dead: bool,
}

impl Node {
    /// New shards may go to it, now or in a moment.
    pub(super) fn is_expected(&self) -> bool {
        let coming = self.coming_ms.is_some_and(|ms| ms <= LOST_MS);
        self.candidate.present || !self.is_lost() || coming
    }

    pub(super) fn is_lost(&self) -> bool {
        !self.candidate.present && (self.dead || self.silent_ms > LOST_MS)
    }

    /// Frames of a shard that was lost on it may still come.
    fn is_coming(&self) -> bool {
        self.candidate.present || self.coming_ms.is_some_and(|ms| ms <= LOST_MS)
    }
}

/// All that the decision depends on.
pub struct View<'a> {
    /// By the wall clock: what dates are made of, never durations.
    pub now: UnixMs,
    /// By the monotonic clock.
    pub now_us: u64,
    /// What this master meant by the starts that it proposed.
    pub starts: &'a OwnStarts,
    /// Jobs that have not ended, oldest first.
    pub live: &'a [&'a Job],
    /// Ended jobs whose ticks are not all sealed.
    pub unsealed: &'a [&'a Job],
    /// By peer; those removed from the cluster are absent.
    pub nodes: &'a BTreeMap<PeerName, Node>,
    /// What the workers with an open session last said.
    pub reports: &'a BTreeMap<PeerName, Vec<ShardReport>>,
}

impl View<'_> {
    /// Since the job's common start; none: not known yet.
    pub(super) fn age_us(&self, job: &Job) -> Option<u64> {
        let now = i64::try_from(self.now_us).unwrap_or(i64::MAX);
        start::of(self, job).map(|start| u64::try_from(now.saturating_sub(start)).unwrap_or(0))
    }
}

/// How a job is to end; the verdict on a finished one is made from its measurements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub status: JobStatus,
    pub reason: String,
    /// Of what kind it is, where a shard could not do what the simulation wants.
    pub problem: Option<ProblemKind>,
}

impl Ending {
    fn new(status: JobStatus, reason: &str) -> Self {
        Self { status, reason: reason.to_owned(), problem: None }
    }

    /// By a shard's [`Problem`], as JSON.
    fn of_problem(json: &str) -> Self {
        let problem = serde_json::from_str::<Problem>(json).ok().map(|problem| problem.kind);
        Self { status: JobStatus::Failed, reason: problem_text(json), problem }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    Propose(JobCommand),
    /// Sum up, keep the report, and finish the job in one command.
    Conclude {
        job: JobId,
        ending: Ending,
    },
    /// Put ticks `from..=to` into a blob.
    Seal {
        job: JobId,
        from: u64,
        to: u64,
    },
    Order {
        peer: PeerName,
        order: ToWorker,
    },
}

#[must_use]
pub fn reconcile(view: &View<'_>) -> Vec<Intent> {
    let mut intents = Vec::new();
    for job in view.live {
        match job.status {
            JobStatus::Queued => {}
            JobStatus::Preparing => preparing(view, job, &mut intents),
            JobStatus::Running => running(view, job, &mut intents),
            JobStatus::Finalizing => {
                conclude(job, Ending::new(JobStatus::Finished, ""), &mut intents);
            }
            _ => {}
        }
        seal_live(job, &mut intents);
    }
    queue(view, &mut intents);
    for job in view.unsealed {
        seal_ended(view, job, &mut intents);
    }
    release(view, &mut intents);
    intents
}

fn queue(view: &View<'_>, intents: &mut Vec<Intent>) {
    let candidates: Vec<Candidate> = view
        .nodes
        .values()
        .filter(|n| n.is_expected() && !n.candidate.draining)
        .map(|n| n.candidate.clone())
        .collect();
    for job in view.live.iter().filter(|job| job.status == JobStatus::Queued) {
        if let Some(wish) = &job.abort {
            conclude(job, Ending::new(JobStatus::Aborted, wish), intents);
        } else if job.failed_preparations >= PREPARATIONS_MAX {
            let last = job.events.iter().rev().find_map(|e| e.what.strip_prefix("queued again: "));
            let why = last.unwrap_or("no node could prepare it");
            let tried = job.failed_preparations;
            let reason = format!("given up after {tried} preparations: {why}");
            conclude(job, Ending::new(JobStatus::Failed, &reason), intents);
        }
    }
    let placeable: Vec<&Job> = view
        .live
        .iter()
        .copied()
        .filter(|job| job.failed_preparations < PREPARATIONS_MAX || job.status != JobStatus::Queued)
        .collect();
    for placement in place::place(&placeable, &candidates) {
        let place::Placement { job: id, assignments } = placement;
        intents.push(Intent::Propose(JobCommand::Prepare { id, assignments }));
    }
}

fn preparing(view: &View<'_>, job: &Job, intents: &mut Vec<Intent>) {
    if let Some(wish) = &job.abort {
        stop(view, job, wish, intents);
        if is_put_down(view, job) {
            conclude(job, Ending::new(JobStatus::Aborted, wish), intents);
        }
        return;
    }
    let mut plans: Vec<(&Assignment, &str)> = Vec::new();
    for assignment in &job.assignments {
        let Some(node) = view.nodes.get(&assignment.node) else {
            let reason = format!("{} left the cluster", assignment.node);
            return requeue(job, reason, false, intents);
        };
        if node.is_lost() {
            return requeue(job, format!("{} was lost", node.candidate.name), false, intents);
        }
        match report(view, job, assignment).map(|report| &report.phase) {
            None if node.candidate.present => intents.push(Intent::Order {
                peer: assignment.node.clone(),
                order: ToWorker::Prepare(Box::new(order(job, assignment))),
            }),
            None | Some(Phase::Preparing) => {}
            Some(Phase::Ready { plan }) => plans.push((assignment, plan)),
            Some(Phase::Failed { problem }) => {
                return conclude(job, Ending::of_problem(problem), intents);
            }
            Some(Phase::Unable { reason } | Phase::Gone { reason }) => {
                let failed = reason != RESTARTED;
                return requeue(job, format!("{}: {reason}", node.candidate.name), failed, intents);
            }
            Some(Phase::Running | Phase::Ended { .. }) => {
                let name = &node.candidate.name;
                return requeue(job, format!("{name} ended before the start"), true, intents);
            }
        }
    }
    // In the order of the queue.
    let first = view.live.iter().all(|other| {
        other.number >= job.number
            || other.project != job.project
            || other.status != JobStatus::Preparing
            || other.abort.is_some()
    });
    if first && plans.len() == job.assignments.len() && !plans.is_empty() {
        start(view, job, &plans, intents);
    }
}

/// All shards are ready: they start together, if they are going to do the same.
fn start(view: &View<'_>, job: &Job, plans: &[(&Assignment, &str)], intents: &mut Vec<Intent>) {
    let hash = |plan: &str| serde_json::from_str::<Plan>(plan).map(|plan| plan.plan_hash);
    let name = |a: &Assignment| {
        view.nodes.get(&a.node).map_or_else(|| a.node.0.clone(), |n| n.candidate.name.clone())
    };
    let (first, plan) = plans[0];
    for (other, theirs) in plans {
        match (hash(plan), hash(theirs)) {
            (Ok(a), Ok(b)) if a == b => {}
            (Ok(a), Ok(b)) => {
                let reason = format!(
                    "the shards would not run the same test: shard {} on {} has plan {b}, \
                     shard {} on {} has plan {a}",
                    other.shard,
                    name(other),
                    first.shard,
                    name(first),
                );
                return conclude(job, Ending::new(JobStatus::Failed, &reason), intents);
            }
            _ => {
                let reason =
                    format!("shard {} on {} sent an unreadable plan", other.shard, name(other));
                return conclude(job, Ending::new(JobStatus::Failed, &reason), intents);
            }
        }
    }
    if plan.len() > limits::OPAQUE_BYTES_MAX {
        let reason = format!(
            "the plan of the simulation (scenarios and assertions) has {} bytes; at most {} are \
             allowed",
            plan.len(),
            limits::OPAQUE_BYTES_MAX
        );
        return conclude(job, Ending::new(JobStatus::Failed, &reason), intents);
    }
    intents.push(Intent::Propose(JobCommand::Start {
        id: job.id.clone(),
        start_at: view.now + START_DELAY_MS,
        plan: plan.to_owned(),
    }));
}

fn running(view: &View<'_>, job: &Job, intents: &mut Vec<Intent>) {
    let start_us = start::of(view, job);
    let early = early_end(view, job);
    rebalance::begin_given(view, job, intents);
    load::decide(view, job, intents);
    for assignment in active(job) {
        let key = key(job, assignment);
        if let Some(report) = report(view, job, assignment) {
            tell(view, job, (assignment, report), intents);
        }
        if !assignment.has_begun() {
            match early {
                None => rebalance::take_up(view, job, assignment, intents),
                Some(_) => {
                    intents.push(shard_lost(key, "the job ended before it began".to_owned()));
                }
            }
            continue;
        }
        let Some(report) = report(view, job, assignment) else {
            if let Some(reason) = loss(view, assignment, true) {
                intents.push(shard_lost(key, reason));
            }
            continue;
        };
        let delivered =
            assignment.cursor >= report.newest && !rebalance::owes(view, job, assignment);
        match &report.phase {
            Phase::Ready { .. } if job.abort.is_none() => {
                intents.extend(start_us.map(|at_us| Intent::Order {
                    peer: assignment.node.clone(),
                    order: ToWorker::Start {
                        key,
                        at_us,
                        take_over: rebalance::take_over(assignment),
                    },
                }));
            }
            Phase::Ended { reason } if delivered && was_cut_off(reason) => {
                let reason = "its node was cut off from every master".to_owned();
                intents.push(shard_lost(key, reason));
            }
            Phase::Ended { reason } if delivered => {
                intents.push(Intent::Propose(JobCommand::ShardDone {
                    id: key.job,
                    shard: key.shard,
                    epoch: key.epoch,
                    final_seq: report.newest,
                    completed: end_of(reason) == Some(EndReason::Completed),
                }));
            }
            Phase::Gone { reason } | Phase::Unable { reason } if delivered => {
                intents.push(shard_lost(key, reason.clone()));
            }
            Phase::Failed { problem } if delivered => {
                intents.push(shard_lost(key, problem_text(problem)));
            }
            _ => {}
        }
    }
    if let Some(ending) = early {
        stop(view, job, &ending.reason, intents);
        // Of each shard the ledger knows what became of it: what is missing is declared.
        if active(job).next().is_none() {
            conclude(job, ending, intents);
        }
        return;
    }
    rebalance::reassign(view, job, intents);
    rebalance::even_out(view, job, intents);
    ending(view, job, intents);
}

/// What a shard is to know ahead of its start, in the same round: orders of a session arrive in order.
fn tell(
    view: &View<'_>,
    job: &Job,
    (shard, report): (&Assignment, &ShardReport),
    intents: &mut Vec<Intent>,
) {
    load::tell(job, shard, report, intents);
    load::note_late(view, job, shard, report, intents);
    closed::tell(view, job, shard, report, intents);
}

/// Why a running job ends before all of its shards have, and as what.
fn early_end(view: &View<'_>, job: &Job) -> Option<Ending> {
    job.abort.as_ref().map(|wish| Ending::new(JobStatus::Aborted, wish)).or_else(|| {
        let begun = job.assignments.iter().filter(|a| a.has_begun());
        let crash = begun.clone().find_map(|a| match &report(view, job, a)?.phase {
            Phase::Failed { problem } => Some(Ending::of_problem(problem)),
            _ => None,
        });
        let loss = begun.clone().find_map(|a| match &a.state {
            AssignmentState::Lost { reason } if job.spec.on_node_loss == OnNodeLoss::Fail => {
                let reason = format!("shard {} was lost: {reason}", a.shard);
                Some(Ending::new(JobStatus::Failed, &reason))
            }
            _ => None,
        });
        crash.or(loss)
    })
}

/// Whether, and how, a running job comes to its end by itself.
fn ending(view: &View<'_>, job: &Job, intents: &mut Vec<Intent>) {
    let waits =
        active(job).next().is_some() || rebalance::is_under_way(view, job) || is_owed(view, job);
    if waits {
        return;
    }
    let lost = |a: &Assignment| matches!(a.state, AssignmentState::Lost { .. });
    if job.assignments.iter().all(lost) {
        let reasons: Vec<String> = job
            .assignments
            .iter()
            .filter_map(|a| match &a.state {
                AssignmentState::Lost { reason } => Some(format!("shard {}: {reason}", a.shard)),
                _ => None,
            })
            .collect();
        let reason = format!("all shards were lost: {}", reasons.join("; "));
        conclude(job, Ending::new(JobStatus::Lost, &reason), intents);
    } else {
        intents.push(Intent::Propose(JobCommand::Finalize { id: job.id.clone() }));
    }
}

/// Frames of a lost shard are about to come: its node is here again, or will be in a moment.
fn is_owed(view: &View<'_>, job: &Job) -> bool {
    job.assignments.iter().filter(|a| a.has_begun()).any(|assignment| {
        let is_lost = matches!(assignment.state, AssignmentState::Lost { .. });
        let Some(node) = view.nodes.get(&assignment.node).filter(|_| is_lost) else { return false };
        match report(view, job, assignment) {
            Some(report) => report.phase.is_live() || report.newest > assignment.cursor,
            None => !node.candidate.present && node.is_coming(),
        }
    })
}

/// Tells every living shard to stop.
fn stop(view: &View<'_>, job: &Job, reason: &str, intents: &mut Vec<Intent>) {
    for assignment in active(job) {
        if report(view, job, assignment).is_some_and(|report| report.phase.is_live()) {
            intents.push(Intent::Order {
                peer: assignment.node.clone(),
                order: ToWorker::Stop { key: key(job, assignment), reason: reason.to_owned() },
            });
        }
    }
}

/// Whether no process of a job that was being prepared can be alive any more.
fn is_put_down(view: &View<'_>, job: &Job) -> bool {
    active(job).all(|assignment| match report(view, job, assignment) {
        Some(report) => !report.phase.is_live(),
        None => loss(view, assignment, true).is_some(),
    })
}

/// Why an active shard of a running job, of which nothing is reported, is gone for good. `known`: its
/// node has had it.
pub(super) fn loss(view: &View<'_>, assignment: &Assignment, known: bool) -> Option<String> {
    let Some(node) = view.nodes.get(&assignment.node) else {
        return Some("its node left the cluster".to_owned());
    };
    if node.candidate.present {
        return known.then(|| format!("{} does not know it any more", node.candidate.name));
    }
    if node.dead {
        return Some(format!("{} has ended", node.candidate.name));
    }
    node.is_lost().then(|| {
        format!("{} was not reached for {} s", node.candidate.name, node.silent_ms / 1_000)
    })
}

fn seal_live(job: &Job, intents: &mut Vec<Intent>) {
    let Some(first) = job.ticks.first() else { return };
    if job.ticks.len() >= SEAL_TICKS as usize + HOT_TICKS {
        let (from, to) = (first.number, first.number + SEAL_TICKS - 1);
        intents.push(Intent::Seal { job: job.id.clone(), from, to });
    }
}

fn seal_ended(view: &View<'_>, job: &Job, intents: &mut Vec<Intent>) {
    let ended = job.ended_at.unwrap_or(view.now);
    if let (Some(first), Some(last)) = (job.ticks.first(), job.ticks.last())
        && view.now >= ended + SEAL_ENDED_AFTER_MS
    {
        let (from, to) = (first.number, last.number);
        intents.push(Intent::Seal { job: job.id.clone(), from, to });
    }
}

/// Shards that the ledger has no use for: of ended or unknown jobs, of earlier preparations, and
/// those declared lost, once all that they measured is committed.
fn release(view: &View<'_>, intents: &mut Vec<Intent>) {
    for (peer, reports) in view.reports {
        for report in reports {
            let job = view.live.iter().find(|job| job.id == report.key.job);
            let held = job.and_then(|job| {
                job.assignments.iter().find(|a| {
                    a.shard == report.key.shard && a.epoch == report.key.epoch && &a.node == peer
                })
            });
            let key = || report.key.clone();
            let order = match held {
                Some(a) if !matches!(a.state, AssignmentState::Lost { .. }) => continue,
                // A crash is the job's failure as long as it runs: its report is the only witness.
                Some(a) if a.has_begun() && matches!(report.phase, Phase::Failed { .. }) => {
                    continue;
                }
                Some(a) if a.has_begun() && report.phase.is_live() => {
                    ToWorker::Stop { key: key(), reason: "it was given up as lost".to_owned() }
                }
                Some(a) if a.has_begun() && report.newest > a.cursor => continue,
                _ => ToWorker::Release { key: key() },
            };
            intents.push(Intent::Order { peer: peer.clone(), order });
        }
    }
}

pub(super) fn active(job: &Job) -> impl Iterator<Item = &Assignment> {
    job.assignments.iter().filter(|a| a.state == AssignmentState::Active)
}

pub(super) fn key(job: &Job, assignment: &Assignment) -> ShardKey {
    ShardKey { job: job.id.clone(), shard: assignment.shard, epoch: assignment.epoch }
}

pub(super) fn report<'a>(
    view: &View<'a>,
    job: &Job,
    assignment: &Assignment,
) -> Option<&'a ShardReport> {
    let of_node = view.reports.get(&assignment.node)?;
    of_node.iter().find(|report| {
        report.key.job == job.id
            && report.key.shard == assignment.shard
            && report.key.epoch == assignment.epoch
    })
}

pub(super) fn order(job: &Job, assignment: &Assignment) -> ShardOrder {
    let giver = assignment.takes_over.and_then(|shard| job.shard(shard));
    ShardOrder {
        key: key(job, assignment),
        segments_total: place::segments_total(job),
        segments: assignment.segments.clone(),
        seed: job.spec.seed,
        simulation: job.spec.simulation.clone(),
        files: job.spec.files.clone(),
        parameters: job.spec.parameters.clone(),
        environment: job.spec.environment.clone(),
        submitted_at: job.submitted_at,
        record_arrivals: job.spec.record_arrivals,
        max_duration_ms: job.spec.max_duration_ms,
        takes_over: assignment.takes_over.is_some(),
        unhurried: giver.is_some_and(|giver| !giver.is_over()),
    }
}

fn conclude(job: &Job, ending: Ending, intents: &mut Vec<Intent>) {
    intents.push(Intent::Conclude { job: job.id.clone(), ending });
}

/// What the ledger takes; the shard's log has the whole.
fn clip(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(limits::REASON_BYTES_MAX));
    reason
}

fn requeue(job: &Job, reason: String, failed: bool, intents: &mut Vec<Intent>) {
    let reason = clip(reason);
    intents.push(Intent::Propose(JobCommand::Requeue { id: job.id.clone(), reason, failed }));
}

pub(super) fn shard_lost(key: ShardKey, reason: String) -> Intent {
    let ShardKey { job: id, shard, epoch } = key;
    Intent::Propose(JobCommand::ShardLost { id, shard, epoch, reason: clip(reason) })
}

/// The shard stopped because its lease ran out: what it still had to do was not done.
fn was_cut_off(reason: &str) -> bool {
    end_of(reason) == Some(EndReason::LeaseExpired)
}

fn end_of(reason: &str) -> Option<EndReason> {
    serde_json::from_str(reason).ok()
}

/// `main.js:3:7: … is not a function`, with the excerpt below.
pub(super) fn problem_text(json: &str) -> String {
    let Ok(problem) = serde_json::from_str::<Problem>(json) else { return json.to_owned() };
    let mut text = String::new();
    if let Some(file) = &problem.file {
        text.push_str(file);
        for place in [problem.line, problem.column].into_iter().flatten() {
            text.push_str(&format!(":{place}"));
        }
        text.push_str(": ");
    }
    text.push_str(&problem.message);
    if let Some(excerpt) = &problem.excerpt {
        text.push('\n');
        text.push_str(excerpt);
    }
    text
}

//! The load of a running job, changed: the instant of each change, and that all shards hear of it.
//! Pure, as [`super::reconcile`] whose part it is.
//!
//! The instant lies so far ahead that every shard that can be reached has heard of it before, and on
//! a whole second of the run, so that each second of the report is of one load. It is in the ledger
//! before anybody is told: whoever is master next tells the same.

use onrush_raft::ledger::job::{Assignment, Job, JobCommand};
use onrush_scenario::shard::{LoadChange, LoadHeard};

use super::reconcile::{Intent, View, key};
use crate::control_wire::{Phase, ShardReport, ToWorker};

/// From the decision to its instant, at least: it is committed, and orders reach all nodes.
const LOAD_DELAY_US: u64 = 1_500_000;
/// For how long after its instant a change that was heard of late is noted.
const NOTED_WITHIN_US: u64 = 60_000_000;
const SECOND_US: u64 = 1_000_000;

/// The instant of the first change that has none.
pub(super) fn decide(view: &View<'_>, job: &Job, intents: &mut Vec<Intent>) {
    let decided = job.decided_loads().count();
    if job.abort.is_some() || decided == job.loads.len() {
        return;
    }
    // A new master has it from the shards in a moment.
    let Some(age_us) = view.age_us(job) else { return };
    let last_us = job.decided_loads().last().map_or(0, |(at_us, _)| at_us);
    let at_us = age_us.saturating_add(LOAD_DELAY_US).div_ceil(SECOND_US).saturating_mul(SECOND_US);
    intents.push(Intent::Propose(JobCommand::LoadAt {
        id: job.id.clone(),
        change: u32::try_from(decided + 1).unwrap_or(u32::MAX),
        at_us: at_us.max(last_us),
    }));
}

/// Tells a shard what it does not follow yet: before its start, where it has not begun.
pub(super) fn tell(job: &Job, shard: &Assignment, report: &ShardReport, intents: &mut Vec<Intent>) {
    let listens = matches!(report.phase, Phase::Ready { .. } | Phase::Running);
    if !listens || job.abort.is_some() || follows(job, report.load) {
        return;
    }
    let changes = changes(job);
    let order = ToWorker::Load { key: key(job, shard), changes };
    intents.push(Intent::Order { peer: shard.node.clone(), order });
}

/// What the engine is told of the job's load.
fn changes(job: &Job) -> Vec<LoadChange> {
    let change = |(at_us, change): (u64, &onrush_raft::ledger::job::LoadChange)| LoadChange {
        at_us,
        factor: change.in_force(),
    };
    job.decided_loads().map(change).collect()
}

fn follows(job: &Job, heard: LoadHeard) -> bool {
    job.decided_loads().count() <= usize::try_from(heard.changes).unwrap_or(usize::MAX)
}

/// A shard that heard of a change after its instant did for a moment what it was not to do: noted
/// in the audit trail, and so in the report.
pub(super) fn note_late(
    view: &View<'_>,
    job: &Job,
    shard: &Assignment,
    report: &ShardReport,
    intents: &mut Vec<Intent>,
) {
    let LoadHeard { changes, late_us } = report.load;
    let index = usize::try_from(changes).ok().and_then(|changes| changes.checked_sub(1));
    let Some(at_us) = index.and_then(|index| job.loads.get(index)?.at_us) else { return };
    let is_new = view.age_us(job).is_some_and(|age_us| age_us < at_us + NOTED_WITHIN_US);
    if late_us == 0 || !is_new {
        return;
    }
    let (seconds, millis) = (late_us / SECOND_US, late_us / 1_000 % 1_000);
    let shard = shard.shard;
    let what = format!("shard {shard} heard of load change {changes} {seconds}.{millis:03} s late");
    if !job.events.iter().any(|event| event.what == what) {
        intents.push(Intent::Propose(JobCommand::Note { id: job.id.clone(), what }));
    }
}

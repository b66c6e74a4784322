//! A job's ticks, added up: sealed ones from their blobs, hot ones from the ledger, each once. Kept
//! between two looks, it adds only what is new; thrown away, it is built again, on any node.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use onrush_raft::ledger::job::load::FACTOR_ONE;
use onrush_raft::ledger::job::{AssignmentState, Job, JobEvent, JobStatus, LoadChange};
use onrush_raft::types::PeerName;
use onrush_scenario::shard::Plan;
use onrush_scenario::stats::aggregate::Aggregate;
use onrush_scenario::stats::assertion::AssertionSpec;
use onrush_scenario::stats::live::LiveLoad;
use onrush_scenario::stats::merge::Tick;
use onrush_scenario::stats::summarize::Context;
use onrush_scenario::stats::summary::{Event, LoadStep, RunInfo, Summary, Verdict, VerdictValue};
use onrush_scenario::stats::verdict;
use serde::{Deserialize, Serialize};

use super::losses::{self, Losses};
use crate::control_wire;
use crate::repository::{self, Repository};

/// Bumped when a segment changes its layout.
const SEGMENT_VERSION: u16 = 1;
/// The largest sealed segment that is read: a minute of the largest ticks.
const SEGMENT_BYTES_MAX: u64 = 128 << 20;
/// Marks on the report's charts.
const EVENTS_MAX: usize = 50;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Repository(#[from] repository::Error),
    #[error("ticks {from} to {to} of {job} are not readable: {why}")]
    Unreadable { job: String, from: u64, to: u64, why: String },
    #[error("tick {missing} of {job} is neither sealed nor in the ledger")]
    Missing { job: String, missing: u64 },
}

/// Ticks that left the ledger, as a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Segment {
    version: u16,
    ticks: Vec<SealedTick>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SealedTick {
    number: u64,
    payload: Bytes,
}

/// The blob of ticks `from..=to`, where the ledger has all of them.
#[must_use]
pub fn segment(job: &Job, from: u64, to: u64) -> Option<Vec<u8>> {
    let ticks: Vec<SealedTick> = job
        .ticks
        .iter()
        .filter(|tick| (from..=to).contains(&tick.number))
        .map(|tick| SealedTick { number: tick.number, payload: tick.payload.clone().into() })
        .collect();
    let whole = ticks.iter().map(|tick| tick.number).eq(from..=to);
    whole.then(|| control_wire::encode(&Segment { version: SEGMENT_VERSION, ticks }).ok())?
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub aggregate: Aggregate,
    /// Number of the last tick added.
    through: u64,
    /// By tick: how many seconds of the run the figures had reached with it.
    reached: Vec<u32>,
}

impl Tally {
    /// Adds the ticks up to the job's last. After an error it is not to be used again.
    ///
    /// # Errors
    /// A segment cannot be read from any node, or is damaged.
    pub async fn catch_up(&mut self, job: &Job, repository: &Arc<Repository>) -> Result<(), Error> {
        for sealed in &job.sealed {
            if sealed.to <= self.through {
                continue;
            }
            let bytes = repository.read(&sealed.content, SEGMENT_BYTES_MAX).await?;
            let unreadable = |why: String| Error::Unreadable {
                job: job.id.0.clone(),
                from: sealed.from,
                to: sealed.to,
                why,
            };
            let segment = control_wire::decode::<Segment>(&bytes);
            let segment = segment.map_err(|error| unreadable(error.to_string()))?;
            if segment.version != SEGMENT_VERSION {
                return Err(unreadable(format!("they have version {}", segment.version)));
            }
            for tick in &segment.ticks {
                self.add(job, tick.number, &tick.payload)?;
            }
        }
        for tick in &job.ticks {
            self.add(job, tick.number, &tick.payload)?;
        }
        // Their users are nobody's any more, whatever their last frames said.
        for (lost, _) in losses::lost(job) {
            self.aggregate.abandon(lost.shard, lost.epoch);
        }
        if self.through < job.last_tick {
            return Err(Error::Missing { job: job.id.0.clone(), missing: self.through + 1 });
        }
        Ok(())
    }

    fn add(&mut self, job: &Job, number: u64, payload: &[u8]) -> Result<(), Error> {
        if number <= self.through {
            return Ok(());
        }
        if number != self.through + 1 {
            return Err(Error::Missing { job: job.id.0.clone(), missing: self.through + 1 });
        }
        let tick = Tick::decode(payload).map_err(|error| Error::Unreadable {
            job: job.id.0.clone(),
            from: number,
            to: number,
            why: error.to_string(),
        })?;
        self.aggregate.apply(&tick);
        self.through = number;
        let seconds = tick.seconds.iter().map(|delta| delta.second.saturating_add(1)).max();
        self.reached.push(seconds.unwrap_or(0).max(self.seconds()));
        Ok(())
    }

    /// Seconds of the run that the figures reach: its time so far, by the shards' own clocks.
    #[must_use]
    pub fn seconds(&self) -> u32 {
        self.reached.last().copied().unwrap_or(0)
    }

    /// What the job's ticks so far say, under this status; `name` gives a peer's name for people.
    #[must_use]
    pub fn summary(
        &self,
        job: &Job,
        status: JobStatus,
        reason: &str,
        name: impl Fn(&PeerName) -> String,
    ) -> Summary {
        let plan = job.plan.as_deref().and_then(|plan| serde_json::from_str::<Plan>(plan).ok());
        let assertions: Vec<AssertionSpec> = plan
            .as_ref()
            .and_then(|plan| serde_json::from_value(plan.assertions.clone()).ok())
            .unwrap_or_default();
        let losses = Losses { job, plan: plan.as_ref(), aggregate: &self.aggregate };
        let (lost, coverage) = (losses.parts(&name), losses.coverage(status));
        let context = Context {
            run: run_info(job, plan.as_ref(), reason, self.seconds()),
            status: status.as_str().to_owned(),
            assertions: &assertions,
            judge: matches!(
                status,
                JobStatus::Finished | JobStatus::Running | JobStatus::Finalizing
            ),
            lost,
            coverage: Some(coverage),
            nodes: job.assignments.iter().map(|a| (a.shard, name(&a.node))).collect(),
            events: self.events(job),
            load: load_steps(job),
        };
        let mut summary = self.aggregate.summary(context);
        for row in &mut summary.scenarios {
            row.planned = losses.planned_in(&row.name).or(row.planned);
        }
        if status == JobStatus::Finished {
            doubt(job, &mut summary);
        } else if status.is_terminal() {
            summary.verdict = verdict::unjudged(reason, &summary.scenarios);
        }
        summary
    }

    /// What happened while the load ran, by second of the run. A change of the load stands where it
    /// holds, not where it was asked for.
    fn events(&self, job: &Job) -> Vec<Event> {
        let second = |tick: u64| {
            let reached = usize::try_from(tick).ok().and_then(|tick| tick.checked_sub(1));
            reached.and_then(|index| self.reached.get(index)).copied().unwrap_or(0)
        };
        let event = |event: &JobEvent| {
            event.after_tick.map(|tick| Event { second: second(tick), text: event.what.clone() })
        };
        let of_load = |event: &&JobEvent| {
            job.loads.iter().any(|it| event.what == it.asked() || event.what == it.holds())
        };
        let steps = job.decided_loads().map(|(at_us, change)| Event {
            second: u32::try_from(at_us / 1_000_000).unwrap_or(u32::MAX),
            text: format!("load {}", change.name()),
        });
        let rest = job.events.iter().filter(|event| !of_load(event)).filter_map(event);
        let mut all: Vec<Event> = steps.chain(rest).take(EVENTS_MAX).collect();
        all.sort_by_key(|event| event.second);
        all
    }
}

fn load_steps(job: &Job) -> Vec<LoadStep> {
    let step = |(at_us, change): (u64, &LoadChange)| LoadStep {
        at_us,
        factor: f64::from(change.factor) / f64::from(FACTOR_ONE),
        paused: change.paused,
        by: change.asked_by.clone(),
    };
    job.decided_loads().map(step).collect()
}

/// What the load is in this second of the run; none: as it was written.
#[must_use]
pub fn live_load(job: &Job, second: u32) -> Option<LiveLoad> {
    let in_force = |(at_us, _): &(u64, &LoadChange)| at_us / 1_000_000 <= u64::from(second);
    let (_, change) = job.decided_loads().take_while(in_force).last()?;
    let factor = f64::from(change.factor) / f64::from(FACTOR_ONE);
    Some(LiveLoad { factor, paused: change.paused })
}

fn run_info(job: &Job, plan: Option<&Plan>, reason: &str, seconds: u32) -> RunInfo {
    let started_unix_ms = job.start_at.unwrap_or(job.submitted_at);
    let simulation = plan.map_or_else(|| job.spec.simulation.clone(), |p| p.simulation.clone());
    RunInfo {
        id: job.id.0.clone(),
        simulation,
        title: job.spec.title.clone(),
        started_unix_ms,
        // Not when it was finished by some master's clock: the report's dates agree with its time.
        ended_unix_ms: started_unix_ms.saturating_add(u64::from(seconds) * 1_000),
        window_s: 0,
        seed: job.spec.seed,
        parameters: job.spec.parameters.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nodes: u32::try_from(nodes(job).len()).unwrap_or(u32::MAX),
        end_reason: reason.to_owned(),
    }
}

/// On which nodes shards ran.
fn nodes(job: &Job) -> BTreeSet<&PeerName> {
    job.assignments.iter().filter(|a| a.has_begun()).map(|a| &a.node).collect()
}

/// The proof of completeness: each shard's own totals against what was merged. A shard that was not
/// lost and does not agree puts the whole result in doubt.
fn doubt(job: &Job, summary: &mut Summary) {
    let done = |shard: u32, epoch: u64| {
        job.assignments.iter().any(|a| {
            a.shard == shard && a.epoch == epoch && matches!(a.state, AssignmentState::Done { .. })
        })
    };
    let wrong = summary
        .shards
        .iter()
        .find(|row| done(row.shard, row.epoch) && row.totals_match != Some(true));
    if let Some(row) = wrong {
        let reason = format!(
            "the merged figures of shard {} on {} are not what it says it did",
            row.shard, row.node
        );
        tracing::error!(job = %job.id, %reason, "totals differ");
        summary.verdict = Verdict { value: VerdictValue::Inconclusive, reason };
    }
}

//! Jobs: submission, assignment, life cycle, cursors and ticks, verdict.
//! `queued → preparing → running → finalizing → finished`, or `aborted`, `failed`, `lost`.
//!
//! This file has the records and commands; `table` keeps the rows, `apply` the transitions, `tick`
//! the cursors. Payloads, plans and digests are opaque here.

mod apply;
pub mod load;
mod reassign;
pub(in crate::ledger) mod spec;
mod table;
mod tick;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{ContentId, JobId, PeerName, ProjectName, UnixMs};
pub(super) use table::JobTable;

/// One execution of a simulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub project: ProjectName,
    /// Submission number in the cluster, 1, 2, 3 …: the order of the queue.
    pub number: u64,
    pub spec: JobSpec,
    pub status: JobStatus,
    pub verdict: Verdict,
    pub submitted_by: String,
    pub submitted_at: UnixMs,
    /// The common start of the load, by the clock of the master that committed it.
    pub start_at: Option<UnixMs>,
    pub ended_at: Option<UnixMs>,
    /// Why it is to end early: set by `Abort`, carried out by the master with `Finish`.
    pub abort: Option<String>,
    /// The shards' common plan (opaque JSON of the engine), once all were ready.
    pub plan: Option<String>,
    /// The highest epoch given out; the next assignment takes the one after it.
    pub epoch: u64,
    /// Preparations that ended because a node was unable, not because one was lost.
    pub failed_preparations: u32,
    pub assignments: Vec<Assignment>,
    /// Committed ticks not yet sealed into a blob, oldest first.
    pub ticks: Vec<Arc<Tick>>,
    /// Number of the last committed tick; ticks count 1, 2, 3 …
    pub last_tick: u64,
    /// Sealed ticks, as blobs of the file repository.
    pub sealed: Vec<SealedTicks>,
    /// `summary.json`, `index.html`, … → blob, once finished.
    pub artifacts: BTreeMap<String, ContentId>,
    /// Small facts for lists (requests, ko, p95 …), opaque JSON written at the end.
    pub digest: Option<String>,
    /// Everything that happened to the job: the audit trail.
    pub events: Vec<JobEvent>,
    /// What was asked of its load while it ran, in order: each holds from its instant on.
    pub loads: Vec<LoadChange>,
}

/// What the load is from an instant on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadChange {
    /// Thousandths of what the profiles say, unless it is paused.
    pub factor: u32,
    pub paused: bool,
    pub asked_at: UnixMs,
    pub asked_by: String,
    /// Microseconds since the common start; none: the master has not said yet.
    pub at_us: Option<u64>,
}

/// What was submitted; never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Path of the simulation in the project's files.
    pub simulation: String,
    /// Every file the shards get, by path, pinned to the content it had at submission.
    pub files: BTreeMap<String, ContentId>,
    pub parameters: BTreeMap<String, String>,
    pub environment: BTreeMap<String, String>,
    pub title: String,
    pub labels: BTreeMap<String, String>,
    /// Nodes wanted; 0: all that are alive.
    pub nodes: u32,
    pub division: Division,
    pub on_node_loss: OnNodeLoss,
    pub max_duration_ms: Option<u64>,
    pub seed: u64,
    /// Shards write each user's scheduled and actual start beside their logs.
    pub record_arrivals: bool,
    /// Prefer nodes other than the master for shards.
    pub avoid_master: bool,
    /// Zone → its part of the load, beside the others': only nodes with such a label `zone` take part.
    /// Empty: all nodes, by their cores.
    pub zone_shares: BTreeMap<String, u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Division {
    /// One test: the load is divided among the nodes.
    #[default]
    Split,
    /// Each node runs the whole simulation.
    Copy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNodeLoss {
    #[default]
    Rebalance,
    Degrade,
    Fail,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    #[default]
    Queued,
    Preparing,
    Running,
    Finalizing,
    Finished,
    Aborted,
    Failed,
    Lost,
}

impl JobStatus {
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Aborted | Self::Failed | Self::Lost)
    }
}

/// Apart from the status: what the test said about the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub value: VerdictValue,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictValue {
    Passed,
    Failed,
    Inconclusive,
    #[default]
    None,
}

/// The segments one node holds from one epoch on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    pub shard: u32,
    pub epoch: u64,
    pub node: PeerName,
    pub segments: Vec<u32>,
    /// Sequence number of this shard's last frame that is inside a committed tick.
    pub cursor: u64,
    pub state: AssignmentState,
    /// What it had reserved of the job's feeders and counters at the cursor (the engine's numbers).
    pub reserved: Vec<u64>,
    /// Its populations that follow on others, at the cursor.
    pub stages: Stages,
    /// The shard whose segments these were: given to this one in mid-run.
    pub takes_over: Option<u32>,
    /// Of one that takes over: from when on the segments are its own. None: not yet.
    pub begins: Option<Begins>,
}

/// Where a shard begins that takes segments over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begins {
    /// Arrivals planned then or later are its own; microseconds since the common start.
    pub at_us: u64,
    /// The first number of each feeder and counter that is its own, as far as is known.
    pub records: Vec<u64>,
    /// Holders of these segments that may have used more than is known: see `Job::begins`.
    pub unseen: u32,
    /// What is known of the populations with whoever held the segments before.
    pub stages: Stages,
}

/// Populations that follow on others (`andThen`), in the order of the simulation: when they begin is
/// known to the shard alone that runs those before them. Empty in simulations without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Since when each of them runs, microseconds since the common start; none: not yet.
    pub began_us: Vec<Option<u64>>,
    /// They were so until then.
    pub known_us: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssignmentState {
    Active,
    /// The shard said what it did in all, and the cursor reached its last frame. `completed`: it did
    /// all that was its own, and no order, script or maximum duration ended it before.
    Done {
        final_seq: u64,
        completed: bool,
    },
    /// Given up; frames after the cursor are missing and the report says so.
    Lost {
        reason: String,
    },
}

/// One second (or a late amendment of it) of one job, merged over its shards. The payload is the
/// engine's; the ledger checks the cursors and appends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    pub number: u64,
    pub cursors: Vec<CursorMove>,
    pub payload: Vec<u8>,
    pub committed_at: UnixMs,
}

/// Compare-and-set of one shard's cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorMove {
    pub shard: u32,
    pub epoch: u64,
    pub from: u64,
    pub to: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedTicks {
    pub from: u64,
    pub to: u64,
    pub content: ContentId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    /// By the wall clock of who proposed it: a date for people, which may go back.
    pub at: UnixMs,
    /// The last tick that was committed when it happened; none before the job ran. This places it
    /// in the run's own time.
    pub after_tick: Option<u64>,
    pub by: String,
    pub what: String,
}

/// The commands of this slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobCommand {
    /// → `Queued`.
    Submit {
        id: JobId,
        project: ProjectName,
        spec: JobSpec,
    },
    /// → `Preparing`. Epochs are given by the ledger, in order.
    Prepare {
        id: JobId,
        assignments: Vec<NewAssignment>,
    },
    /// `Preparing` → `Queued` again: a node could not prepare for a reason of its own (`failed`),
    /// or is not there any more. The assignments are void; their epoch is never given out again.
    Requeue {
        id: JobId,
        reason: String,
        failed: bool,
    },
    /// → `Running`.
    Start {
        id: JobId,
        start_at: UnixMs,
        plan: String,
    },
    /// Merged frames of any number of jobs; each job's section stands or falls by itself.
    Ticks {
        sections: Vec<TickSection>,
    },
    /// A shard's last frame is inside a committed tick.
    ShardDone {
        id: JobId,
        shard: u32,
        epoch: u64,
        final_seq: u64,
        completed: bool,
    },
    /// What a shard did after its cursor is declared missing.
    ShardLost {
        id: JobId,
        shard: u32,
        epoch: u64,
        reason: String,
    },
    /// `Running` → `Finalizing`, once each assignment is done or lost.
    Finalize {
        id: JobId,
    },
    /// → a terminal status, in one command; from `Running` once each assignment is done or lost.
    /// `Finished` only from `Finalizing`.
    Finish {
        id: JobId,
        status: JobStatus,
        verdict: Verdict,
        artifacts: BTreeMap<String, ContentId>,
        digest: Option<String>,
    },
    /// Wish to end; the master carries it out and finishes the job as `Aborted`. A job that is
    /// still queued is `Aborted` at once.
    Abort {
        id: JobId,
        reason: String,
    },
    /// Ticks `from..=to` are now in a blob; the oldest first, also after the job's end.
    Seal {
        id: JobId,
        sealed: SealedTicks,
    },
    Note {
        id: JobId,
        what: String,
    },
    /// Segments of lost shards, or of shards that shall give some away, to others: each as a new
    /// shard of the next epoch.
    Reassign {
        id: JobId,
        assignments: Vec<NewAssignment>,
    },
    /// A shard that takes over is ready, and the segments are its own from `begins` on: a giver
    /// that lives has agreed. Once committed, it is never prepared a second time.
    Begin {
        id: JobId,
        shard: u32,
        epoch: u64,
        begins: Begins,
    },
    /// Wish to multiply the profiles, in thousandths, or to pause or resume: what is absent stays.
    /// What is so already is no change.
    Load {
        id: JobId,
        factor: Option<u32>,
        paused: Option<bool>,
    },
    /// The instant of a change of the load (1, 2, 3 …), which lies ahead of what any shard has done.
    LoadAt {
        id: JobId,
        change: u32,
        at_us: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAssignment {
    pub shard: u32,
    pub node: PeerName,
    pub segments: Vec<u32>,
    /// In mid-run: whose segments they are until then.
    pub takes_over: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickSection {
    pub job: JobId,
    pub cursors: Vec<CursorMove>,
    pub payload: Vec<u8>,
    /// What shards among them have reserved and begun, where the job has feeders, counters or
    /// populations that follow on others.
    pub reserved: Vec<Reserved>,
}

/// What one shard has reserved and begun with the frames of a section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    pub shard: u32,
    pub epoch: u64,
    pub numbers: Vec<u64>,
    pub stages: Stages,
}

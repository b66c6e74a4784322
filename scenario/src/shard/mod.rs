//! The conversation between a node's worker and the child process that runs one shard.
//!
//! stdin of the child: [`ToShard`] messages; stdout: [`FromShard`]. Each message is a `u32` length
//! (little endian) and JSON, except that a frame's bytes follow as they are: `kind u8, len u32, body`
//! with kind 0 = JSON and 1 = an encoded [`crate::stats::frame::Frame`].
//! stderr of the child is free text (panics, the engine's own log) and becomes the job's stderr log.

pub mod pipe;
mod process;

pub use process::main;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::inject::LoadChange;

/// The hidden subcommand of every program that can run a shard: [`main`].
pub const SHARD_COMMAND: &str = "shard";

/// All a shard needs to know, sent first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardSpec {
    pub job: String,
    /// Number of the shard in its job.
    pub shard: u32,
    pub epoch: u64,
    /// S: arrival k belongs to segment k mod S.
    pub segments_total: u32,
    /// The segments this shard owns in this epoch.
    pub segments: Vec<u32>,
    /// Engine threads, of all its processes together; 0: one per core.
    pub threads: u32,
    /// Processes that the shard divides itself into; 0: as many as its users need descriptors for.
    #[serde(default)]
    pub processes: u32,
    /// Which of them this one is; absent: the shard itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// Seed of the job: randomised profiles, random feeders and switches derive from it.
    pub seed: u64,
    /// Folder with the simulation and its data files; nothing outside it is read.
    pub root: PathBuf,
    /// The simulation's path inside `root`: `.js`, `.ts`, or `.json` (exported IR).
    pub simulation: String,
    /// `key=value` parameters, for `getParameter`.
    pub parameters: BTreeMap<String, String>,
    /// For `getEnvironmentVariable`: only what the submitter passed on.
    pub environment: BTreeMap<String, String>,
    /// What `Date` says while the script is evaluated, milliseconds since 1970: one moment for all
    /// shards of a job, so that their plans agree. Absent: the shard's own present.
    #[serde(default)]
    pub unix_ms: Option<i64>,
    /// Writes `arrivals.csv` (scenario, user, scheduled and actual start) into the folder
    /// given here: how "the cluster's plan is the single node's" is proven.
    #[serde(default)]
    pub record_arrivals: Option<PathBuf>,
    /// Overrides the simulation's own maximum duration.
    #[serde(default)]
    pub max_duration_us: Option<u64>,
    /// True: load only while a lease lives (in a cluster). False: `onrush run`.
    pub leased: bool,
    /// It will begin in mid-run, with segments that another shard held.
    #[serde(default)]
    pub takes_over: bool,
    /// Nothing is lost while it loads the simulation, and load is generated meanwhile, which that
    /// would hold up: it does so on few threads at a time.
    #[serde(default)]
    pub unhurried: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToShard {
    Spec(Box<ShardSpec>),
    /// The common start, by [`crate::engine::clock::boot_us`] of this machine.
    Start {
        at_boot_us: i64,
        /// How wrong that time may be, against the clock of who fixed it.
        clock_error_us: u64,
        /// Present: the shard begins in mid-run, with segments that another one held.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        take_over: Option<TakeOver>,
    },
    /// The frames of this second, and all before it, are inside committed ticks.
    Committed {
        second: u32,
    },
    /// Load may be generated until then, by [`crate::engine::clock::boot_us`] of this machine;
    /// renews an earlier lease, but not one that has run out.
    Lease {
        until_boot_us: i64,
    },
    /// Give these segments to another shard: nothing planned from the moment on that is answered by
    /// `Yielded` is this one's any more. Users that have begun go on.
    Yield {
        /// The taker, and its epoch.
        to: u32,
        epoch: u64,
        segments: Vec<u32>,
        /// The moment, microseconds since the common start, where several processes must agree on
        /// it; later where that is too close. Absent: the shard chooses it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_us: Option<u64>,
    },
    /// All changes of the job's load so far, in order; before `Start`, those that hold from the
    /// beginning on. Answered by `Load`, where it says more than was known.
    Load {
        changes: Vec<LoadChange>,
    },
    /// For a shard that takes over: users of its part that others still have, by population. It
    /// starts nobody of the closed model before it hears of this. Answered by `HeldBack`.
    HoldBack {
        users: Vec<u64>,
        /// The segments that the shard has, for one of its processes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        of: Vec<u32>,
    },
    /// Graceful: no new users, those in flight end at their next action. Otherwise at once. In
    /// both cases the last frame is cut and `Finished` sent.
    Stop {
        graceful: bool,
        reason: String,
    },
}

/// Where a shard begins that another one's segments were given to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeOver {
    /// Its first arrivals are those planned then or later, microseconds since the common start;
    /// absent: when it is told. What was planned before and has not run is missed, not caught up.
    #[serde(default)]
    pub from_us: Option<u64>,
    /// By feeder: every record with a lower number may have been handed out already.
    #[serde(default)]
    pub feeders: Vec<RecordsFrom>,
    /// Shards that have held segments of this one since then and of which no frame is known: each
    /// may have used what a shard reserves before its first frame.
    #[serde(default)]
    pub unseen: u32,
    /// Of the populations that follow on others, in order: since when each of them ran, if it did;
    /// none where nothing is known.
    #[serde(default)]
    pub stages: Vec<Option<u64>>,
    /// They were so until then, microseconds since the common start.
    #[serde(default)]
    pub known_us: u64,
}

/// A shard has given segments away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yielded {
    pub to: u32,
    /// Arrivals planned then or later are the taker's; microseconds since the common start.
    pub at_us: u64,
    /// Where its records begin, by feeder and then by counter.
    pub records: Vec<u64>,
    /// Since when each population runs that follows on others, then as now.
    #[serde(default)]
    pub stages: Vec<Option<u64>>,
}

/// Users of the closed model that a shard still has, beyond what is left to it, of those whose
/// segments it gave away: the taker starts nobody in their place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surplus {
    pub to: u32,
    /// By population, in the order of the simulation; empty: none any more.
    pub users: Vec<u64>,
}

/// A shard follows changes of the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadHeard {
    /// How many it knows.
    pub changes: u32,
    /// How long after its instant it heard of one; 0 in time.
    pub late_us: u64,
}

/// Records of one feeder below `record` are used, as far as anybody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsFrom {
    /// Index into the simulation's feeders, and behind them its counters.
    pub feeder: u32,
    pub record: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromShard {
    Ready(Plan),
    /// One line of the script's `console.log` (stdout) or `console.error` (stderr).
    Output {
        stream: OutputStream,
        line: String,
    },
    /// What became of a `Yield`.
    Yielded(Yielded),
    /// Once the moment of a `Yield` has come, and whenever it has changed.
    Surplus(Surplus),
    /// What a `HoldBack` said is followed.
    HeldBack {
        users: Vec<u64>,
    },
    /// What a `Load` said is followed.
    Load(LoadHeard),
    /// Said once a second while the load runs: a process that says nothing at all hangs.
    Alive,
    /// All users have ended and the last frame has been sent.
    Finished {
        reason: EndReason,
    },
    /// Could not run, or ended in a crash; nothing follows.
    Failed(Problem),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    Stdout,
    Stderr,
}

/// What the shard is going to do, known before any load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Hash of graph, engine version, division-independent feeders: equal on all shards of a job.
    pub plan_hash: String,
    pub simulation: String,
    /// Scenario → users the whole job starts, where known beforehand (open model).
    pub scenarios: Vec<(String, Option<u64>)>,
    /// Scenarios that are not divided: the shard with segment 0 runs all of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undivided: Vec<String>,
    /// Of the injection profiles (not the users' own work); absent when only `maxDuration` bounds it.
    pub injection_us: u64,
    /// `andThen`: populations that follow upon others. When they begin is known to each shard alone,
    /// which tells the others with its frames.
    #[serde(default)]
    pub stages: u32,
    pub max_duration_us: Option<u64>,
    /// Assertions as JSON (`stats::assertion`), so that the master can judge without a script engine.
    pub assertions: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Everything planned was done.
    Completed,
    MaxDuration,
    /// `stopLoadGenerator`: a normal end.
    StoppedByScript(String),
    /// `Stop` was received.
    Stopped(String),
    /// The lease ran out: the node was cut off from every master.
    LeaseExpired,
}

/// Why a simulation cannot run, with the place: CLI exit code and REST problem derive from `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub kind: ProblemKind,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The source line(s) with a caret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The script does not compile, `setUp` is invalid, an API is not implemented: exit 65.
    Script,
    /// Took longer than the limit to build, or used too much memory: exit 65.
    ScriptLimit,
    /// A simulation or data file is missing: exit 66.
    FileMissing,
    /// A data file is malformed: exit 65.
    FileInvalid,
    /// The run crashed (feeder exhausted, crashLoadGenerator): exit 1.
    Crash,
    /// A bug of ours: exit 70.
    Internal,
}

//! Running a shard: threads, arrivals, stop, frames. The shell around the pure virtual users.
//! The caller's thread coordinates; each engine thread owns its users, its script and its clients.

use std::sync::mpsc::Receiver;

use crate::shard::{
    EndReason, LoadChange, LoadHeard, OutputStream, Plan, Problem, ShardSpec, Surplus, TakeOver,
    Yielded,
};
use crate::stats::frame::Frame;

mod actions;
mod arrivals;
pub mod clock;
mod coordinator;
pub mod debug;
mod frames;
mod health;
mod host;
pub mod inspect;
mod launch;
mod load;
mod pacer;
mod pacing;
mod queues;
mod reserve;
mod shared;
mod split;
pub mod stages;
mod surplus;
mod thread;
mod watchdog;

#[cfg(test)]
pub(crate) mod gatling_tests;
#[cfg(test)]
mod tests;

/// What a run tells its owner: `Ready` first, frames and output as they come.
#[derive(Debug)]
pub enum Event {
    Ready(Plan),
    Output {
        stream: OutputStream,
        line: String,
    },
    /// Segments were given away.
    Yielded(Yielded),
    /// Users of the closed model that are still here, of those whose segments were given away.
    Surplus(Surplus),
    /// So many are held back, by population.
    HeldBack(Vec<u64>),
    /// Changes of the load are followed.
    Load(LoadHeard),
    /// The run goes on: about once a second, whatever the threads do.
    Alive,
    /// One per second of the run, `seq` without gaps; the last one carries the totals.
    Frame(Box<Frame>),
}

/// What the owner may ask of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The common start, by [`clock::boot_us`]. Users due more than [`LATE_START_MAX_US`]
    /// before the start was known are counted as dropped, not started late.
    /// `clock_error_us`: how wrong that time may be, against the clock of who fixed it.
    /// `take_over`: it lies in the past on purpose; the shard begins in mid-run.
    Start { at_boot_us: i64, clock_error_us: u64, take_over: Option<TakeOver> },
    /// The frames up to this second are safe: what they reserved may be used.
    Committed { second: u32 },
    /// See [`crate::shard::ToShard::Yield`].
    Yield { to: u32, epoch: u64, segments: Vec<u32>, at_us: Option<u64> },
    /// See [`crate::shard::ToShard::Load`].
    Load { changes: Vec<LoadChange> },
    /// See [`crate::shard::ToShard::HoldBack`].
    HoldBack { users: Vec<u64>, of: Vec<u32> },
    /// Load may be generated until then, by [`clock::boot_us`]; only looked at where the spec says
    /// `leased`. A lease that has run out is not renewed.
    Lease { until_boot_us: i64 },
    /// Graceful: no new users, and those in flight end before their next action.
    Stop { graceful: bool, reason: String },
}

/// A start that lies further back makes the arrivals before the present dropped ones.
pub const LATE_START_MAX_US: u64 = 2_000_000;

/// Loads the simulation, reports `Ready`, waits for `Control::Start` and runs it to its end.
/// A disconnected `control` is a stop at once.
///
/// # Errors
/// Why it could not run, or that it crashed; the frames measured until then have been handed out.
pub fn run(
    spec: &ShardSpec,
    control: &Receiver<Control>,
    on_event: &mut dyn FnMut(Event),
) -> Result<EndReason, Problem> {
    coordinator::run(spec, control, on_event, false)
}

/// [`run`], started at once and without leases: what `onrush run` does. `control` may be dropped
/// by the caller without ending the run.
///
/// # Errors
/// As [`run`].
pub fn run_local(
    spec: &ShardSpec,
    control: &Receiver<Control>,
    on_event: &mut dyn FnMut(Event),
) -> Result<EndReason, Problem> {
    coordinator::run(spec, control, on_event, true)
}

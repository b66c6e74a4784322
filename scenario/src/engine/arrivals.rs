//! Which users this thread starts, and when. Pure: a source is asked with the time and answers with
//! the users that are due; it never waits for a response.

use std::iter::Peekable;
use std::sync::Arc;

use crate::inject::closed::Tracker;
use crate::inject::division::Segments;
use crate::inject::{Arrival, InjectionSpec, Schedule, schedule};
use crate::time::Micros;

/// One user to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Global number of the user in its scenario.
    pub user: u64,
    /// Since the common start.
    pub scheduled: Micros,
}

/// This thread among the shard's threads.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub segments: Segments,
    pub thread: u64,
    pub threads: u64,
}

impl Share {
    /// For a population that is not divided: one shard, the owner of segment 0, runs all of it.
    pub(super) fn whole(&self) -> Self {
        let segments = if self.segments.owns(0) {
            Segments::all()
        } else {
            Segments::new(self.segments.total(), &[]).expect("no segment is a valid share")
        };
        Self { segments, ..self.clone() }
    }
}

/// The arrivals of one population on one thread.
pub(super) enum Source {
    Open(Open),
    Closed(Closed),
}

pub(super) struct Open {
    plan: Peekable<Schedule>,
    share: Share,
    /// Arrivals of the shard seen so far: they go round the threads.
    seen: u64,
    start: Micros,
    end: Micros,
}

pub(super) struct Closed {
    tracker: Tracker,
    start: Micros,
    end: Micros,
}

/// Of a shard that begins in mid-run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin {
    /// Since the common start.
    pub at: Micros,
    /// Higher than that of all who held its segments before.
    pub epoch: u64,
}

/// Users of the closed model are numbered as they come, and how many a lost shard had is not known
/// to the last: each epoch has this many rounds of numbers for itself.
const ROUNDS_PER_EPOCH: u64 = 1 << 32;

impl Source {
    pub(super) fn new(spec: &InjectionSpec, share: Share, seed: u64, start: Micros) -> Self {
        let end = start.saturating_add(spec.duration_us());
        match spec {
            InjectionSpec::Open(steps) => Self::Open(Open {
                plan: schedule(steps, seed).peekable(),
                share,
                seen: 0,
                start,
                end,
            }),
            InjectionSpec::Closed(steps) => {
                let Share { segments, thread, threads } = share;
                let tracker = Tracker::new(steps, segments, thread, threads);
                Self::Closed(Closed { tracker, start, end })
            }
        }
    }

    /// Leaves what was planned before `begin` to others; gives how many arrivals that are.
    pub(super) fn begin(&mut self, begin: Begin) -> u64 {
        match self {
            Self::Open(open) => open.skip(begin.at),
            Self::Closed(closed) => {
                let rounds = begin.epoch.saturating_sub(1).saturating_mul(ROUNDS_PER_EPOCH);
                closed.tracker.begin(begin.at.saturating_sub(closed.start), rounds);
                0
            }
        }
    }

    /// When to ask again; none when the profile is over for this thread.
    pub(super) fn next_at(&mut self, now: Micros) -> Option<Micros> {
        let (next, end) = match self {
            Self::Open(open) => (open.next_at(), open.end),
            Self::Closed(closed) => (closed.next_at(), closed.end),
        };
        // A profile that ends with waiting keeps its children waiting.
        next.or_else(|| (now < end).then_some(end))
    }

    /// One user that is due by `now`, if any.
    pub(super) fn due(&mut self, now: Micros) -> Option<Due> {
        match self {
            Self::Open(open) => open.due(now),
            Self::Closed(closed) => closed.due(now),
        }
    }

    /// The user handed out last was not started after all.
    pub(super) fn dropped(&mut self) {
        if let Self::Closed(closed) = self {
            closed.tracker.dropped();
        }
    }

    /// A user of this population has ended at `now`: the closed model may start another at once.
    pub(super) fn ended(&mut self, now: Micros) -> Option<Due> {
        match self {
            Self::Open(_) => None,
            Self::Closed(closed) => closed.ended(now),
        }
    }
}

impl Open {
    /// Skips what belongs to other shards and threads.
    fn peek(&mut self) -> Option<Arrival> {
        while let Some(arrival) = self.plan.peek() {
            if self.share.segments.owns(arrival.k) {
                if self.seen % self.share.threads == self.share.thread {
                    return Some(*arrival);
                }
                self.seen += 1;
            }
            self.plan.next();
        }
        None
    }

    fn next_at(&mut self) -> Option<Micros> {
        self.peek().map(|arrival| self.start.saturating_add(arrival.at_us))
    }

    fn skip(&mut self, until: Micros) -> u64 {
        let mut skipped = 0;
        while self.next_at().is_some_and(|at| at < until) {
            self.seen += 1;
            self.plan.next();
            skipped += 1;
        }
        skipped
    }

    fn due(&mut self, now: Micros) -> Option<Due> {
        let arrival = self.peek()?;
        let scheduled = self.start.saturating_add(arrival.at_us);
        if scheduled > now {
            return None;
        }
        self.seen += 1;
        self.plan.next();
        Some(Due { user: arrival.k, scheduled })
    }
}

impl Closed {
    fn next_at(&self) -> Option<Micros> {
        self.tracker.next_at().map(|at_us| self.start.saturating_add(at_us))
    }

    fn due(&mut self, now: Micros) -> Option<Due> {
        let arrival = self.tracker.due(now.checked_sub(self.start)?)?;
        Some(self.global(arrival))
    }

    fn ended(&mut self, now: Micros) -> Option<Due> {
        let arrival = self.tracker.user_ended(now.saturating_sub(self.start))?;
        Some(self.global(arrival))
    }

    fn global(&self, arrival: Arrival) -> Due {
        Due { user: arrival.k, scheduled: self.start.saturating_add(arrival.at_us) }
    }
}

/// Everything of a job that is drawn per scenario derives from this.
pub(super) fn scenario_seed(job_seed: u64, scenario: &Arc<str>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&job_seed.to_le_bytes());
    hasher.update(scenario.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
#[path = "arrivals_tests.rs"]
mod tests;

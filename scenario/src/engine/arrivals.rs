//! Which users this thread starts, and when. Pure: a source is asked with the time and answers with
//! the users that are due; it never waits for a response.

use std::iter::Peekable;
use std::sync::Arc;

use super::pacing::Spread;
use crate::inject::closed::Profile;
use crate::inject::division::Segments;
use crate::inject::{Arrival, InjectionSpec, Schedule, schedule};
use crate::time::{MICROS_PER_SECOND, Micros};

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

    /// This thread's part of the shard's part of `count`.
    fn of(&self, count: u64) -> u64 {
        let shard = self.segments.closed_share(count);
        (shard + self.threads - 1 - self.thread) / self.threads
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
    profile: Profile,
    share: Share,
    start: Micros,
    end: Micros,
    /// Ticks gone by.
    tick: u64,
    target: u64,
    running: u64,
    started: u64,
    /// Starts of the second in hand.
    planned: Spread,
}

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
            InjectionSpec::Closed(steps) => Self::Closed(Closed {
                profile: Profile::new(steps),
                share,
                start,
                end,
                tick: 0,
                target: 0,
                running: 0,
                started: 0,
                planned: Spread::default(),
            }),
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
            closed.running = closed.running.saturating_sub(1);
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
    fn tick_at(&self) -> Micros {
        self.start.saturating_add(self.tick * MICROS_PER_SECOND)
    }

    fn next_at(&self) -> Option<Micros> {
        let tick = self.tick_at();
        self.planned.next_at().or_else(|| (tick < self.end).then_some(tick))
    }

    fn due(&mut self, now: Micros) -> Option<Due> {
        loop {
            if let Some(scheduled) = self.planned.take(now) {
                return Some(self.start_one(scheduled));
            }
            let tick = self.tick_at();
            if tick > now || tick >= self.end {
                return None;
            }
            self.target = self.share.of(self.profile.target(self.tick).unwrap_or(0));
            self.tick += 1;
            self.planned = Spread::over(tick, self.target.saturating_sub(self.running));
        }
    }

    fn start_one(&mut self, scheduled: Micros) -> Due {
        let own = self.started * self.share.threads + self.share.thread;
        self.started += 1;
        self.running += 1;
        Due { user: self.share.segments.nth(own).unwrap_or(own), scheduled }
    }

    fn ended(&mut self, now: Micros) -> Option<Due> {
        self.running = self.running.saturating_sub(1);
        let wanted = self.running + self.planned.left() < self.target;
        (wanted && now < self.end).then(|| self.start_one(now))
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

//! Which users this thread starts, and when. Pure: a source is asked with the time and answers with
//! the users that are due; it never waits for a response.

use std::sync::Arc;

use crate::inject::closed::{HoldBack, Tracker};
use crate::inject::division::Segments;
use crate::inject::load::Arrivals;
use crate::inject::{Arrival, InjectionSpec, Load, OpenStep};
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
        Self { segments: whole(&self.segments), ..self.clone() }
    }
}

/// What the owner of these segments has of a population that is not divided.
pub(super) fn whole(segments: &Segments) -> Segments {
    if segments.owns(0) {
        return Segments::all();
    }
    Segments::new(segments.total(), &[]).expect("no segment is a valid share")
}

/// The arrivals of one population on one thread.
pub(super) enum Source {
    Open(Open),
    Closed(Closed),
}

/// What the arrivals of a population are made of.
#[derive(Clone, Copy)]
pub(super) struct Profile<'a> {
    pub inject: &'a InjectionSpec,
    /// Of the scenario.
    pub seed: u64,
    /// Since the common start, as far as it is known.
    pub load: &'a Load,
}

pub(super) struct Open {
    leg: Leg,
    start: Micros,
    /// What was planned before is nobody's here.
    begin: Micros,
    end: Micros,
    /// Behind the last number that was handed out: whatever becomes of the load, nobody comes twice.
    next_number: u64,
}

/// A stretch of the plan under one share and one idea of the load.
struct Leg {
    plan: Arrivals,
    share: Share,
    /// Arrivals of the shard seen so far: they go round the threads.
    seen: u64,
    start: Micros,
    /// From then on it is what follows that starts users: the shard has given segments away, or the
    /// load is another.
    until: Micros,
    then: Option<Box<Self>>,
    /// It is what was left after segments were given away.
    is_rest: bool,
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
    pub(super) fn new(profile: Profile<'_>, share: Share, start: Micros) -> Self {
        let end = start.saturating_add(profile.inject.duration_us());
        match profile.inject {
            InjectionSpec::Open(_) => {
                let leg = Leg::new(profile, share, start, start);
                Self::Open(Open { leg, start, begin: start, end, next_number: 0 })
            }
            InjectionSpec::Closed(steps) => {
                let Share { segments, thread, threads } = share;
                let mut tracker = Tracker::new(steps, segments, thread, threads);
                tracker.load(profile.load.since(start));
                Self::Closed(Closed { tracker, start, end })
            }
        }
    }

    /// Leaves what was planned before `begin` to others; gives how many arrivals that are.
    pub(super) fn begin(&mut self, profile: Profile<'_>, begin: Begin) -> u64 {
        match self {
            Self::Open(open) => {
                open.leg = Leg::new(profile, open.leg.share.clone(), open.start, begin.at);
                open.begin = begin.at;
                open.leg.own_before()
            }
            Self::Closed(closed) => {
                let rounds = begin.epoch.saturating_sub(1).saturating_mul(ROUNDS_PER_EPOCH);
                closed.tracker.begin(begin.at.saturating_sub(closed.start), rounds);
                0
            }
        }
    }

    /// From `at` on, which lies ahead, this thread has a part of fewer segments.
    pub(super) fn keep(&mut self, profile: Profile<'_>, share: Share, change: Begin) {
        match self {
            Self::Open(open) => {
                let mut then = Leg::new(profile, share, open.start, change.at);
                then.is_rest = true;
                let leg = open.leg.at(change.at);
                leg.until = change.at;
                leg.then = Some(Box::new(then));
            }
            Self::Closed(closed) => {
                let rounds = change.epoch.saturating_sub(1).saturating_mul(ROUNDS_PER_EPOCH);
                let at = change.at.saturating_sub(closed.start);
                closed.tracker.keep(share.segments, at, rounds);
            }
        }
    }

    /// The load is another from `at` on: that of the profile. What was handed out stays so, should
    /// `at` lie in the past.
    pub(super) fn load(&mut self, profile: Profile<'_>, at: Micros) {
        match self {
            Self::Open(open) => {
                let (start, number) = (open.start, open.next_number);
                let at = at.max(open.begin);
                let leg = open.leg.at(at);
                let mut then = Leg::new(profile, leg.share.clone(), start, at);
                then.skip_below(number);
                (then.until, then.is_rest) = (leg.until, leg.is_rest);
                then.then = leg.then.take();
                let (mut later, mut from) = (then.then.as_deref_mut(), then.until);
                while let Some(leg) = later {
                    let mut anew = Leg::new(profile, leg.share.clone(), start, from);
                    anew.skip_below(number);
                    (leg.plan, leg.seen, from) = (anew.plan, anew.seen, leg.until);
                    later = leg.then.as_deref_mut();
                }
                leg.until = at;
                leg.then = Some(Box::new(then));
            }
            Self::Closed(closed) => closed.tracker.load(profile.load.since(closed.start)),
        }
    }

    /// From `now` on it starts nobody in the place of users that others still have.
    pub(super) fn hold_back(&mut self, hold_back: HoldBack, now: Micros) {
        if let Self::Closed(closed) = self {
            closed.tracker.hold_back(hold_back, now.saturating_sub(closed.start));
        }
    }

    /// See [`Tracker::given`].
    pub(super) fn given(&self) -> &[u64] {
        match self {
            Self::Open(_) => &[],
            Self::Closed(closed) => closed.tracker.given(),
        }
    }

    /// When to ask again; none when the profile is over for this thread.
    pub(super) fn next_at(&mut self, now: Micros) -> Option<Micros> {
        if self.has_given_all_away(now) {
            return None;
        }
        let (next, end) = match self {
            Self::Open(open) => (open.leg.next_at(), open.end),
            Self::Closed(closed) => (closed.next_at(), closed.end),
        };
        // A profile that ends with waiting keeps its children waiting.
        next.or_else(|| (now < end).then_some(end))
    }

    /// Nothing is left to it: it need not wait for the profile's end.
    fn has_given_all_away(&mut self, now: Micros) -> bool {
        match self {
            Self::Open(open) => open.leg.has_given_all_away(now),
            Self::Closed(closed) => {
                closed.tracker.has_given_all_away(now.saturating_sub(closed.start))
            }
        }
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
    fn due(&mut self, now: Micros) -> Option<Due> {
        // What is over is not asked again.
        while self.leg.until <= now && self.leg.own_next_at().is_none() {
            let Some(then) = self.leg.then.take() else { break };
            self.leg = *then;
        }
        let due = self.leg.due(now)?;
        self.next_number = due.user.saturating_add(1);
        Some(due)
    }
}

impl Leg {
    /// From a moment since the common start on.
    fn new(profile: Profile<'_>, share: Share, start: Micros, from: Micros) -> Self {
        let steps: &[OpenStep] = match profile.inject {
            InjectionSpec::Open(steps) => steps,
            InjectionSpec::Closed(_) => &[],
        };
        let load = profile.load.since(start);
        let plan = Arrivals::new(steps, profile.seed, &load, from.saturating_sub(start));
        let seen = share.segments.closed_share(plan.number());
        let until = Micros::MAX;
        Self { plan, share, seen, start, until, then: None, is_rest: false }
    }

    /// This thread's arrivals before the next one of the plan.
    fn own_before(&self) -> u64 {
        let Share { thread, threads, .. } = self.share;
        (self.seen + threads - 1 - thread) / threads
    }

    fn skip_below(&mut self, number: u64) {
        while self.plan.peek().is_some_and(|arrival| arrival.k < number) {
            self.plan.next();
        }
        self.seen = self.share.segments.closed_share(self.plan.number());
    }

    /// The one that a moment falls into.
    fn at(&mut self, at: Micros) -> &mut Self {
        let mut leg = self;
        while leg.until <= at && leg.then.is_some() {
            leg = leg.then.as_mut().expect("it is there");
        }
        leg
    }

    /// Skips what belongs to other shards and threads.
    fn peek(&mut self) -> Option<Arrival> {
        while let Some(arrival) = self.plan.peek() {
            if self.share.segments.owns(arrival.k) {
                if self.seen % self.share.threads == self.share.thread {
                    return Some(arrival);
                }
                self.seen += 1;
            }
            self.plan.next();
        }
        None
    }

    fn next_at(&mut self) -> Option<Micros> {
        let own = self.own_next_at();
        own.or_else(|| self.then.as_mut().and_then(|then| then.next_at()))
    }

    fn own_next_at(&mut self) -> Option<Micros> {
        let next = self.peek().map(|arrival| self.start.saturating_add(arrival.at_us));
        next.filter(|at| *at < self.until)
    }

    fn has_given_all_away(&mut self, now: Micros) -> bool {
        let own = self.own_next_at().is_some();
        match &mut self.then {
            Some(then) => !own && now >= self.until && then.has_given_all_away(now),
            None => self.is_rest && self.share.segments.owned().is_empty(),
        }
    }

    fn due(&mut self, now: Micros) -> Option<Due> {
        if self.own_next_at().is_none() {
            return self.then.as_mut()?.due(now);
        }
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

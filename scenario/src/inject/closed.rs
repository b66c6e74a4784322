//! The closed model: a number of users that are alive at once. Ticks of one second; the target of
//! a tick is the profile's value one second later, at most to the end of the step it falls in. What
//! is missing is spread evenly over the second; a user that ends below the target is replaced at
//! once; ramping down only stops replacing. After the last step nothing new starts.
//!
//! Segments that change hands do not take their users along: those run on where they are, beyond
//! what is left to their shard, and the taker starts nobody in their place ([`HoldBack`]). What a
//! shard holds back counts as its own when it gives segments away itself, so that each taker need
//! hear of its own giver only.
//!
//! Source: Gatling's `closed/*`, `Injector.scala`, and the engine itself.

use std::collections::VecDeque;

use super::division::Segments;
use super::open::{Arrival, LEVELS_MAX};
use super::{ClosedStep, DURATION_US_MAX, Load, USERS_MAX};
use crate::time::{MICROS_PER_MILLI, MICROS_PER_SECOND, Micros};

/// From one level to another; a constant one is a ramp that does not rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leg {
    starts_us: Micros,
    duration_us: Micros,
    from: u64,
    to: u64,
}

impl Leg {
    fn value_at(&self, offset_us: Micros) -> u64 {
        if offset_us >= self.duration_us {
            return self.to;
        }
        let rise = i128::from(self.to) - i128::from(self.from);
        let risen = rise * i128::from(offset_us) / i128::from(self.duration_us);
        u64::try_from(i128::from(self.from) + risen).unwrap_or_default()
    }
}

/// A closed profile, laid out in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    legs: Vec<Leg>,
    duration_us: Micros,
}

impl Profile {
    /// The steps must be [valid](super::InjectionSpec::validate).
    #[must_use]
    pub fn new(steps: &[ClosedStep]) -> Self {
        let mut profile = Self { legs: Vec::new(), duration_us: 0 };
        for step in steps {
            match *step {
                ClosedStep::ConstantConcurrentUsers { users, duration_us } => {
                    profile.push(users, users, duration_us);
                }
                ClosedStep::RampConcurrentUsers { from, to, duration_us } => {
                    profile.push(from, to, duration_us);
                }
                ClosedStep::IncrementConcurrentUsers {
                    increment,
                    times,
                    level_us,
                    ramp_us,
                    start,
                } => profile.push_increments(increment, times, level_us, ramp_us, start),
            }
        }
        profile
    }

    /// The shape of `incrementUsersPerSec`: see `increment_rate`.
    fn push_increments(
        &mut self,
        increment: u64,
        times: u32,
        level_us: Micros,
        ramp_us: Micros,
        start: u64,
    ) {
        let level = |i: u32| start.saturating_add(increment.saturating_mul(i.into()));
        for i in 0..times {
            if ramp_us > 0 && start == 0 {
                self.push(level(i), level(i + 1), ramp_us);
                self.push(level(i + 1), level(i + 1), level_us);
                continue;
            }
            self.push(level(i), level(i), level_us);
            if ramp_us > 0 && i + 1 < times {
                self.push(level(i), level(i + 1), ramp_us);
            }
        }
    }

    fn push(&mut self, from: u64, to: u64, duration_us: Micros) {
        self.legs.push(Leg { starts_us: self.duration_us, duration_us, from, to });
        self.duration_us = self.duration_us.saturating_add(duration_us);
    }

    #[must_use]
    pub fn duration_us(&self) -> Micros {
        self.duration_us
    }

    /// The most users that shall be alive at once.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.legs.iter().map(|leg| leg.from.max(leg.to)).max().unwrap_or(0)
    }

    /// The profile's value at a time of the population; none from its end on.
    #[must_use]
    pub fn concurrency_at(&self, at_us: Micros) -> Option<u64> {
        let leg = self.leg(at_us)?;
        Some(leg.value_at(at_us - leg.starts_us))
    }

    /// How many users of the whole job shall be alive from the tick at `second` on; none when the
    /// profile is over.
    #[must_use]
    pub fn target(&self, second: u64) -> Option<u64> {
        let at_us = second.saturating_mul(MICROS_PER_SECOND);
        let leg = self.leg(at_us)?;
        Some(leg.value_at(at_us - leg.starts_us + MICROS_PER_SECOND))
    }

    fn leg(&self, at_us: Micros) -> Option<&Leg> {
        if at_us >= self.duration_us {
            return None;
        }
        // Legs of no duration never hold a time: the last one that has begun is the right one.
        let begun = self.legs.partition_point(|leg| leg.starts_us <= at_us);
        self.legs.get(begun.checked_sub(1)?)
    }
}

/// What users that are released are spread over is this part of a second.
const RELEASE_PARTS: u64 = 5;

/// Users of a shard's part that others still have, from whom it took its segments over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldBack {
    /// Of the whole shard.
    pub users: u64,
    /// The shard's segments, where the tracker's are only those of one of its processes. Fewer than
    /// the shard has hold back no less.
    pub of: Option<Segments>,
}

impl HoldBack {
    /// Before anything is known: it starts nobody.
    pub const EVERYTHING: u64 = u64::MAX;
}

/// One engine thread's part of a closed profile. Times are the population's.
#[derive(Clone, Debug)]
pub struct Tracker {
    profile: Profile,
    part: Part,
    /// The next whole second.
    tick: u64,
    /// Of the whole, at the last tick.
    whole: u64,
    /// Of its part, without what is held back.
    target: u64,
    alive: u64,
    hold_back: HoldBack,
    /// Of each time that it has given segments away: users beyond its part that are still the
    /// taker's. They only become fewer.
    given: Vec<u64>,
    /// Ever handed out.
    started: u64,
    /// Added to the users' numbers.
    numbers_from: u64,
    /// What of the whole is this one's from a later moment on.
    next_parts: VecDeque<(Micros, Part, u64)>,
    /// It has given segments away.
    is_rest: bool,
    load: Load,
    /// Starts of the second in hand.
    planned: Spread,
}

/// What of the whole is this one's: segments of the job, and one thread of the shard's.
#[derive(Clone, Debug)]
struct Part {
    segments: Segments,
    thread: u64,
    threads: u64,
}

impl Part {
    /// The number, in the whole, of this one's own item `own` (from 0).
    fn nth(&self, own: u64) -> u64 {
        let of_shard = own * self.threads + self.thread;
        self.segments.nth(of_shard).unwrap_or(of_shard)
    }

    /// Of `count` of the whole, without the highest numbers, which are held back: all threads and
    /// processes of a shard together leave out exactly as many as they are to.
    fn of(&self, count: u64, hold_back: &HoldBack) -> u64 {
        let shard = match hold_back {
            HoldBack { users: 0, .. } => self.segments.closed_share(count),
            HoldBack { users, of: None } => {
                self.segments.closed_share(count).saturating_sub(*users)
            }
            HoldBack { users, of: Some(of) } => {
                let left = of.closed_share(count).saturating_sub(*users);
                let first = if left > 0 { of.nth(left).unwrap_or(0) } else { 0 };
                self.segments.closed_share(first.min(count))
            }
        };
        (shard + self.threads - 1 - self.thread) / self.threads
    }

    /// What is to be held back beyond all that the shard has of `count`. One thread counts it.
    fn beyond(&self, count: u64, hold_back: &HoldBack) -> u64 {
        if self.thread > 0 {
            return 0;
        }
        let segments = hold_back.of.as_ref().unwrap_or(&self.segments);
        hold_back.users.saturating_sub(segments.closed_share(count))
    }
}

/// The places that this one fills within one second. All threads and shards count places alike, so
/// that their starts together are spread evenly over the second.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    begin: Micros,
    /// This one's own numbers of the places: `next..end`.
    next: u64,
    end: u64,
    /// The first place of the whole that is filled in this second, and how many are.
    base: u64,
    total: u64,
}

impl Spread {
    fn next_at(&self, part: &Part) -> Option<Micros> {
        let place = (self.next < self.end).then(|| part.nth(self.next))?;
        // Gatling plans in whole milliseconds.
        let ms = place.saturating_sub(self.base) * 1_000 / self.total.max(1);
        Some(self.begin + ms * MICROS_PER_MILLI)
    }

    fn take(&mut self, now: Micros, part: &Part) -> Option<Micros> {
        let at = self.next_at(part).filter(|at| *at <= now)?;
        self.next += 1;
        Some(at)
    }
}

impl Tracker {
    /// `thread` of `threads` that share the shard's part, from 0.
    #[must_use]
    pub fn new(steps: &[ClosedStep], segments: Segments, thread: u64, threads: u64) -> Self {
        Self {
            profile: Profile::new(steps),
            part: Part { segments, thread, threads: threads.max(1) },
            tick: 0,
            whole: 0,
            target: 0,
            alive: 0,
            hold_back: HoldBack::default(),
            given: Vec::new(),
            started: 0,
            numbers_from: 0,
            next_parts: VecDeque::new(),
            is_rest: false,
            load: Load::default(),
            planned: Spread::default(),
        }
    }

    /// What the profile is multiplied by; instants are the population's. A change holds from the
    /// first whole second at or after its instant on.
    pub fn load(&mut self, load: Load) {
        self.load = load;
    }

    /// Begins in mid-run, at a time of the population: with the second it falls in, whose missing
    /// users are started at once. `rounds` of numbers of the segments are left to those before.
    pub fn begin(&mut self, at_us: Micros, rounds: u64) {
        self.tick = at_us / MICROS_PER_SECOND;
        self.numbers_from = rounds.saturating_mul(self.part.segments.total().into());
    }

    /// From `at_us` on it has only these segments: users beyond its new part are not replaced.
    pub fn keep(&mut self, segments: Segments, at_us: Micros, rounds: u64) {
        let total = u64::from(segments.total());
        let part = Part { segments, ..self.part.clone() };
        self.next_parts.push_back((at_us, part, rounds.saturating_mul(total)));
    }

    /// Whether nothing is left to it at `now`.
    pub fn has_given_all_away(&mut self, now: Micros) -> bool {
        self.change(now);
        self.is_rest && self.next_parts.is_empty() && self.part.segments.owned().is_empty()
    }

    /// Takes over the part that holds at `now`.
    fn change(&mut self, now: Micros) {
        while self.next_parts.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, part, numbers_from)) = self.next_parts.pop_front() else { return };
            (self.part, self.numbers_from, self.is_rest) = (part, numbers_from, true);
            self.target = self.part.of(self.whole, &self.hold_back);
            // Places of this second that are not filled yet are those of the new part.
            self.planned = Spread::default();
            let before = self.given.iter().fold(0, |sum: u64, it| sum.saturating_add(*it));
            self.given.push(self.surplus().saturating_sub(before));
        }
    }

    /// From `now` on it leaves so many of its users out, beyond whom none is replaced.
    pub fn hold_back(&mut self, hold_back: HoldBack, now: Micros) {
        self.change(now);
        self.hold_back = hold_back;
        let target = self.part.of(self.whole, &self.hold_back);
        if std::mem::replace(&mut self.target, target) != target {
            self.planned = self.released(now);
        }
        self.settle();
    }

    /// The places that are not taken, as soon as they may be: who was there before has just ended.
    fn released(&self, now: Micros) -> Spread {
        let (next, end) = (self.alive.min(self.target), self.target);
        if next == end || now >= self.profile.duration_us() {
            return Spread::default();
        }
        let (base, last) = (self.part.nth(next), self.part.nth(end - 1));
        let total = (last - base).saturating_add(1).saturating_mul(RELEASE_PARTS);
        Spread { begin: now, next, end, base, total }
    }

    /// Users beyond its part; those that it holds back for others are among them.
    fn surplus(&self) -> u64 {
        let beyond = self.part.beyond(self.whole, &self.hold_back);
        self.alive.saturating_add(beyond).saturating_sub(self.target)
    }

    /// Users of the surplus have ended, or its part has grown: to the good of the first taker first.
    fn settle(&mut self) {
        if self.given.iter().all(|users| *users == 0) {
            return;
        }
        let mut left = self.surplus();
        for users in self.given.iter_mut().rev() {
            *users = left.min(*users);
            left -= *users;
        }
    }

    /// Of each time that it has given segments away, in order: how many users it still has that the
    /// taker must hold back. None before the moment has come.
    #[must_use]
    pub fn given(&self) -> &[u64] {
        &self.given
    }

    fn tick_at(&self) -> Option<Micros> {
        let at = self.tick.saturating_mul(MICROS_PER_SECOND);
        (at < self.profile.duration_us()).then_some(at)
    }

    /// When to ask again; none when the profile starts nobody any more.
    #[must_use]
    pub fn next_at(&self) -> Option<Micros> {
        let next = self.planned.next_at(&self.part).or_else(|| self.tick_at());
        let change = self.next_parts.front().map(|(at, ..)| *at);
        [next, change].into_iter().flatten().min()
    }

    /// One user that is due by `now`, if any. Who asks late gets the users of the ticks gone by.
    pub fn due(&mut self, now: Micros) -> Option<Arrival> {
        self.change(now);
        loop {
            if let Some(at_us) = self.planned.take(now, &self.part) {
                return Some(self.start_one(at_us));
            }
            let begin = self.tick_at().filter(|at| *at <= now)?;
            let whole = self.load.of(self.profile.target(self.tick).unwrap_or(0), begin);
            let before = std::mem::replace(&mut self.whole, whole);
            self.target = self.part.of(whole, &self.hold_back);
            self.tick += 1;
            self.planned = self.places(begin, before);
            self.settle();
        }
    }

    /// The places that are not taken, the highest: with nobody gone, those that the whole has gained
    /// since `before`.
    fn places(&self, begin: Micros, before: u64) -> Spread {
        let next = self.alive.min(self.target);
        let base = if self.part.nth(next) >= before { before } else { 0 };
        let total = self.whole.saturating_sub(base);
        Spread { begin, next, end: self.target, base, total }
    }

    /// A user has ended at `now`: who replaces it at once, if anybody does.
    pub fn user_ended(&mut self, now: Micros) -> Option<Arrival> {
        self.change(now);
        self.alive = self.alive.saturating_sub(1);
        self.settle();
        if self.changes_by(now) {
            return None;
        }
        let planned = self.planned.end - self.planned.next;
        let wanted = self.alive + planned < self.target && now < self.profile.duration_us();
        wanted.then(|| self.start_one(now))
    }

    /// A tick is due that brings another load: until it was, nobody knows whom to replace.
    fn changes_by(&self, now: Micros) -> bool {
        let due = self.tick_at().filter(|at| *at <= now && !self.load.is_as_written());
        due.is_some_and(|at| {
            self.load.factor_at(at) != self.load.factor_at(at.saturating_sub(MICROS_PER_SECOND))
        })
    }

    /// The user handed out last was not started after all.
    pub fn dropped(&mut self) {
        self.alive = self.alive.saturating_sub(1);
        self.settle();
    }

    /// Users of a closed model are numbered by the segments that own them, in order, round the
    /// threads: no two give the same number.
    fn start_one(&mut self, at_us: Micros) -> Arrival {
        let k = self.part.nth(self.started).saturating_add(self.numbers_from);
        self.started += 1;
        self.alive += 1;
        Arrival { k, at_us }
    }

    /// This thread's part of the current target, without what is held back.
    #[must_use]
    pub fn target(&self) -> u64 {
        self.target
    }
}

pub(super) fn validate(steps: &[ClosedStep]) -> Result<(), String> {
    let mut total_us: Micros = 0;
    for step in steps {
        let (most, duration_us) = match *step {
            ClosedStep::ConstantConcurrentUsers { users, duration_us } => (users, duration_us),
            ClosedStep::RampConcurrentUsers { from, to, duration_us } => {
                (from.max(to), duration_us)
            }
            ClosedStep::IncrementConcurrentUsers { increment, times, level_us, ramp_us, start } => {
                if times > LEVELS_MAX {
                    return Err(format!(
                        "incrementConcurrentUsers: {times} levels; up to {LEVELS_MAX} work"
                    ));
                }
                let most = start.saturating_add(increment.saturating_mul(times.into()));
                (most, level_us.saturating_add(ramp_us).saturating_mul(times.into()))
            }
        };
        if most > USERS_MAX {
            return Err(format!("can't inject more than {USERS_MAX} users"));
        }
        total_us = total_us.saturating_add(duration_us);
    }
    if total_us > DURATION_US_MAX {
        return Err("an injection profile can't last longer than ten years".to_owned());
    }
    Ok(())
}

#[cfg(test)]
#[path = "closed_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "closed_handover_tests.rs"]
mod handover_tests;

//! The load of a run, changed while it goes on: from an instant on, a factor on what the profiles
//! say. Pure: every shard computes the same from the same changes, so that nobody need be asked.
//!
//! With N(t) the plan's arrivals until t, as it was written, a factor f from T on makes it
//! N(T) + f·(N(t) − N(T)): shapes and durations stay. Between two arrivals N rises evenly, so the
//! step is at T and not at the next arrival; users of one moment (`atOnceUsers`) are one step of N.
//! An arrival is due where that sum reaches the next whole number. Arithmetic in integers: the same
//! on every machine, and a factor of one is the plan itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::open::{Arrival, Schedule, schedule};
use super::{InjectionSpec, OpenStep};
use crate::time::Micros;

/// A factor of one, in thousandths.
pub const FACTOR_ONE: u32 = 1_000;
/// The lowest and the highest that may be asked for, in thousandths; 0 is a pause.
pub const FACTOR_MIN: u32 = 100;
pub const FACTOR_MAX: u32 = 10_000;
/// An arrival of the plan is so many parts: where a change falls between two of them.
const PARTS: u64 = 1 << 20;
/// What makes a user: an arrival of the plan at a factor of one.
const USER: u64 = PARTS * FACTOR_ONE as u64;

/// From an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadChange {
    /// Since the common start.
    pub at_us: Micros,
    /// In thousandths; 0: nobody new.
    pub factor: u32,
}

/// All changes of a run's load, by time. None: as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    changes: Arc<[LoadChange]>,
}

impl Load {
    /// In the order in which they were made, which is that of their instants: of two that hold from
    /// one instant on, the later counts. A factor that is in force already is no change.
    #[must_use]
    pub fn new(changes: &[LoadChange]) -> Self {
        let mut all: Vec<LoadChange> = Vec::with_capacity(changes.len());
        for change in changes {
            if all.last().is_some_and(|last| last.at_us >= change.at_us) {
                all.pop();
            }
            if all.last().map_or(FACTOR_ONE, |last| last.factor) != change.factor {
                all.push(*change);
            }
        }
        Self { changes: all.into() }
    }

    #[must_use]
    pub fn is_as_written(&self) -> bool {
        self.changes.is_empty()
    }

    /// As a population sees it that begins at `start_us`.
    #[must_use]
    pub fn since(&self, start_us: Micros) -> Self {
        if start_us == 0 || self.is_as_written() {
            return self.clone();
        }
        let moved = |change: &LoadChange| LoadChange {
            at_us: change.at_us.saturating_sub(start_us),
            ..*change
        };
        Self::new(&self.changes.iter().map(moved).collect::<Vec<_>>())
    }

    /// In thousandths.
    #[must_use]
    pub fn factor_at(&self, at_us: Micros) -> u32 {
        let begun = self.changes.partition_point(|change| change.at_us <= at_us);
        begun.checked_sub(1).map_or(FACTOR_ONE, |last| self.changes[last].factor)
    }

    /// Of a number that the profile gives for `at_us`: rounded up, so that only a pause makes none
    /// of some.
    #[must_use]
    pub fn of(&self, count: u64, at_us: Micros) -> u64 {
        let scaled = u128::from(count) * u128::from(self.factor_at(at_us));
        u64::try_from(scaled.div_ceil(FACTOR_ONE.into())).unwrap_or(u64::MAX)
    }
}

/// Users that the whole job starts under this load, from the population's start on; none for the
/// closed model. Without walking through them, but for randomised and stress-peak steps.
#[must_use]
pub fn planned_users(spec: &InjectionSpec, load: &Load, seed: u64) -> Option<u64> {
    let all = spec.planned_users()?;
    let InjectionSpec::Open(steps) = spec else { return None };
    if load.is_as_written() {
        return Some(all);
    }
    let end = u128::from(all) * u128::from(PARTS);
    let made = made_until(steps, seed, &load.changes, end);
    Some(u64::try_from(made.div_ceil(USER.into())).unwrap_or(u64::MAX))
}

/// What the plan's parts until `end` make, where these changes have all begun by then.
fn made_until(steps: &[OpenStep], seed: u64, changes: &[LoadChange], end: u128) -> u128 {
    let (mut made, mut from, mut factor) = (0, 0, FACTOR_ONE);
    for change in changes {
        let to = position(steps, seed, change.at_us).min(end);
        made += (to - from) * u128::from(factor);
        (from, factor) = (to, change.factor);
    }
    made + (end - from) * u128::from(factor)
}

/// N(t) in parts.
fn position(steps: &[OpenStep], seed: u64, at_us: Micros) -> u128 {
    let mut beats = Beats::around(steps, seed, at_us);
    let number = u128::from(beats.number()) * u128::from(PARTS);
    number + beats.next().map_or(0, |beat| u128::from(beat.parts_until(at_us)))
}

/// An arrival of the plan as it was written, and until when N rises by it.
#[derive(Clone, Copy, Debug)]
struct Beat {
    from_us: Micros,
    until_us: Micros,
}

impl Beat {
    fn parts_until(&self, at_us: Micros) -> u64 {
        if at_us <= self.from_us {
            return 0;
        }
        if at_us >= self.until_us {
            return PARTS;
        }
        let part = u128::from(at_us - self.from_us) * u128::from(PARTS);
        u64::try_from(part / u128::from(self.until_us - self.from_us)).unwrap_or(PARTS)
    }
}

/// The plan as it was written, arrival by arrival: each until the next, or until its step ends.
struct Beats {
    plan: Schedule,
    /// Each with the end of its step.
    next: Option<(Arrival, Micros)>,
    after: Option<(Arrival, Micros)>,
}

impl Beats {
    /// How far back the first try looks for an arrival.
    const BACK_US: Micros = 1_000_000;

    /// The first is the last one before `at_us`, where there is one.
    fn around(steps: &[OpenStep], seed: u64, at_us: Micros) -> Self {
        let mut back_us = Self::BACK_US;
        loop {
            let from_us = at_us.saturating_sub(back_us);
            let mut plan = schedule(steps, seed);
            plan.skip_to(from_us);
            let mut beats = Self { plan, next: None, after: None };
            beats.pull();
            beats.pull();
            let is_before = |it: Option<(Arrival, Micros)>| {
                it.is_some_and(|(arrival, _)| arrival.at_us < at_us)
            };
            if from_us > 0 && !is_before(beats.next) {
                back_us = back_us.saturating_mul(8);
                continue;
            }
            while is_before(beats.after) {
                beats.pull();
            }
            return beats;
        }
    }

    fn pull(&mut self) {
        self.next = self.after.take();
        self.after = self.plan.next().map(|arrival| (arrival, self.plan.step_end_us()));
    }

    /// Of the next one, or of all.
    fn number(&self) -> u64 {
        self.next.map_or_else(|| self.plan.number(), |(arrival, _)| arrival.k)
    }
}

impl Iterator for Beats {
    type Item = Beat;

    fn next(&mut self) -> Option<Beat> {
        let (arrival, end_us) = self.next?;
        let next_us = self.after.map_or(end_us, |(after, _)| after.at_us);
        let until_us = next_us.min(end_us).max(arrival.at_us);
        self.pull();
        Some(Beat { from_us: arrival.at_us, until_us })
    }
}

/// A stretch of a beat under one factor, and what it makes.
#[derive(Clone, Copy, Debug)]
struct Piece {
    beat: Beat,
    from_us: Micros,
    /// The beat's parts that are gone where it begins.
    gone: u64,
    factor: u32,
    makes: u64,
}

impl Piece {
    /// When so much is made. Measured along the whole beat: a change that cuts it later moves nobody
    /// who is due before.
    fn at_us(&self, made: u64) -> Micros {
        let factor = u128::from(self.factor);
        let part = u128::from(self.gone) * factor + u128::from(made);
        let length_us = u128::from(self.beat.until_us - self.beat.from_us);
        let after_us = part * length_us / (factor * u128::from(PARTS)).max(1);
        let at_us = self.beat.from_us.saturating_add(u64::try_from(after_us).unwrap_or(u64::MAX));
        at_us.max(self.from_us)
    }
}

/// The plan under changes. See the module.
struct Changed {
    beats: Beats,
    load: Load,
    /// Changes that have begun.
    begun: usize,
    factor: u32,
    /// In hand: the beat, and how many of its parts are gone, until when.
    beat: Option<Beat>,
    gone: u64,
    gone_us: Micros,
    piece: Option<Piece>,
    /// What is still to be made until the next arrival is due.
    wanted: u64,
    number: u64,
}

impl Changed {
    /// Its first arrivals may be due before `from_us`, all others are there.
    fn new(steps: &[OpenStep], seed: u64, load: &Load, from_us: Micros) -> Self {
        let beats = Beats::around(steps, seed, from_us);
        let start_us = beats.next.map_or(Micros::MAX, |(arrival, _)| arrival.at_us);
        let begun = load.changes.partition_point(|change| change.at_us <= start_us);
        let until = u128::from(beats.number()) * u128::from(PARTS);
        let made = made_until(steps, seed, &load.changes[..begun], until);
        let number = made.div_ceil(USER.into());
        let wanted = number * u128::from(USER) - made;
        Self {
            beats,
            load: load.clone(),
            begun,
            factor: load.factor_at(start_us),
            beat: None,
            gone: 0,
            gone_us: 0,
            piece: None,
            wanted: u64::try_from(wanted).unwrap_or(0),
            number: u64::try_from(number).unwrap_or(u64::MAX),
        }
    }

    fn next_piece(&mut self) -> Option<Piece> {
        if self.factor == 0 && self.begun == self.load.changes.len() {
            // Paused for good, as far as is known: what the plan still has need not be walked through.
            return None;
        }
        let beat = match self.beat.filter(|_| self.gone < PARTS) {
            Some(beat) => beat,
            None => {
                let beat = self.beats.next()?;
                (self.beat, self.gone, self.gone_us) = (Some(beat), 0, beat.from_us);
                beat
            }
        };
        let (from_us, gone) = (self.gone_us, self.gone);
        while let Some(change) = self.load.changes.get(self.begun).filter(|it| it.at_us <= from_us)
        {
            (self.factor, self.begun) = (change.factor, self.begun + 1);
        }
        let next_us = self.load.changes.get(self.begun).map_or(Micros::MAX, |it| it.at_us);
        let until_us = next_us.min(beat.until_us);
        let until = if next_us < beat.until_us { beat.parts_until(next_us) } else { PARTS };
        let factor = self.factor;
        let makes = (until - gone) * u64::from(factor);
        (self.gone, self.gone_us) = (until, until_us);
        Some(Piece { beat, from_us, gone, factor, makes })
    }
}

impl Iterator for Changed {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let piece = match self.piece {
                Some(piece) => piece,
                None => self.next_piece()?,
            };
            if self.wanted >= piece.makes {
                self.wanted -= piece.makes;
                self.piece = None;
                continue;
            }
            let (k, at_us) = (self.number, piece.at_us(self.wanted));
            self.number += 1;
            self.wanted += USER;
            self.piece = Some(piece);
            return Some(Arrival { k, at_us });
        }
    }
}

enum Plan {
    Written(Schedule),
    Changed(Box<Changed>),
}

/// The arrivals of an open profile under a load, in order, from some moment on.
pub struct Arrivals {
    plan: Plan,
    next: Option<Arrival>,
}

impl Arrivals {
    /// Those that are due from `from_us` on. The profile must be valid, and `seed` as in
    /// [`schedule`]; instants count from the population's start.
    #[must_use]
    pub fn new(steps: &[OpenStep], seed: u64, load: &Load, from_us: Micros) -> Self {
        let plan = if load.is_as_written() {
            let mut plan = schedule(steps, seed);
            plan.skip_to(from_us);
            Plan::Written(plan)
        } else {
            Plan::Changed(Box::new(Changed::new(steps, seed, load, from_us)))
        };
        let mut arrivals = Self { plan, next: None };
        arrivals.pull();
        while arrivals.next.is_some_and(|arrival| arrival.at_us < from_us) {
            arrivals.pull();
        }
        arrivals
    }

    /// The next one.
    #[must_use]
    pub fn peek(&self) -> Option<Arrival> {
        self.next
    }

    /// How many come before the next one in the whole plan; behind the last one, all.
    #[must_use]
    pub fn number(&self) -> u64 {
        match (&self.next, &self.plan) {
            (Some(arrival), _) => arrival.k,
            (None, Plan::Written(plan)) => plan.number(),
            (None, Plan::Changed(plan)) => plan.number,
        }
    }

    fn pull(&mut self) {
        self.next = match &mut self.plan {
            Plan::Written(plan) => plan.next(),
            Plan::Changed(plan) => plan.next(),
        };
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let next = self.next;
        self.pull();
        next
    }
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;

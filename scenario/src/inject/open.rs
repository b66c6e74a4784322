//! The open model: arrivals at times of the plan, whatever the users before do. This file strings
//! the steps together; each step's arithmetic is in its own file.
//!
//! Source: Gatling's `OpenInjectionStep.scala`, and the engine itself where asked.

use std::fmt;

use super::{
    DURATION_US_MAX, OpenStep, USERS_MAX, at_once, constant_rate, increment_rate, ramp_rate,
    ramp_users, spread, stress_peak,
};
use crate::time::{MICROS_PER_SECOND, Micros};
use crate::value::java_double;

/// Most levels of an `incrementUsersPerSec`.
pub(super) const LEVELS_MAX: u32 = 100_000;

/// One start of a user, planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Global number of the arrival in its scenario, from 0.
    pub k: u64,
    /// Since the start of the population.
    pub at_us: Micros,
}

pub(super) type Starts = Box<dyn Iterator<Item = Micros> + Send>;
/// By seed and offset: how many starts are left out, and those that follow.
type MakeStarts = Box<dyn Fn(u64, Micros) -> (u64, Starts) + Send>;

/// What one step contributes: known without walking through its arrivals.
pub(super) struct StepPlan {
    pub users: u64,
    pub duration_us: Micros,
    pub(super) starts: MakeStarts,
}

impl StepPlan {
    pub(super) fn new(
        users: u64,
        duration_us: Micros,
        starts: impl Fn() -> Starts + Send + 'static,
    ) -> Self {
        Self::seeded(users, duration_us, move |_| starts())
    }

    pub(super) fn seeded(
        users: u64,
        duration_us: Micros,
        starts: impl Fn(u64) -> Starts + Send + 'static,
    ) -> Self {
        Self { users, duration_us, starts: Box::new(move |seed, _| (0, starts(seed))) }
    }

    /// Of counts by second, each spread inside its own: later seconds are found without walking
    /// through the users of those before.
    pub(super) fn by_second<I>(
        users: u64,
        duration_us: Micros,
        counts: impl Fn() -> I + Send + 'static,
    ) -> Self
    where
        I: Iterator<Item = u64> + Send + 'static,
    {
        let starts = move |_, from_us: Micros| -> (u64, Starts) {
            let first = from_us / MICROS_PER_SECOND;
            let mut counts = counts();
            let before = usize::try_from(first).unwrap_or(usize::MAX);
            let skipped = counts.by_ref().take(before).sum();
            (skipped, Box::new(spread::by_second(counts, first)))
        };
        Self { users, duration_us, starts: Box::new(starts) }
    }

    /// Offsets from the start of the step, ascending; as many as `users`.
    #[cfg(test)]
    pub(super) fn starts(&self, seed: u64) -> Starts {
        self.starts_from(seed, 0).1
    }

    /// Without some or all of those before `from_us`: how many these are, and all that follow.
    pub(super) fn starts_from(&self, seed: u64, from_us: Micros) -> (u64, Starts) {
        (self.starts)(seed, from_us)
    }
}

/// The steps' plans, compound ones expanded.
pub(super) fn plan(steps: &[OpenStep]) -> Vec<StepPlan> {
    let mut plans = Vec::with_capacity(steps.len());
    for step in steps {
        plans.push(match *step {
            OpenStep::AtOnceUsers { users } => at_once::plan(users),
            OpenStep::NothingFor { duration_us } => nothing_for(duration_us),
            OpenStep::RampUsers { users: 0, duration_us } => nothing_for(duration_us),
            OpenStep::RampUsers { users, duration_us } => ramp_users::plan(users, duration_us),
            OpenStep::ConstantUsersPerSec { rate, duration_us, randomized } => {
                constant_rate::plan(rate, duration_us, randomized)
            }
            OpenStep::RampUsersPerSec { from, to, duration_us, randomized } => {
                ramp_rate::plan(from, to, duration_us, randomized)
            }
            OpenStep::StressPeakUsers { users, duration_us } => {
                stress_peak::plan(users, duration_us)
            }
            OpenStep::IncrementUsersPerSec { increment, times, level_us, ramp_us, start } => {
                let expanded = increment_rate::expand(increment, times, level_us, ramp_us, start);
                plans.extend(plan(&expanded));
                continue;
            }
        });
    }
    plans
}

fn nothing_for(duration_us: Micros) -> StepPlan {
    StepPlan::new(0, duration_us, || Box::new(std::iter::empty()))
}

pub(super) fn validate(steps: &[OpenStep]) -> Result<(), String> {
    let mut total_us: Micros = 0;
    let mut total_users: f64 = 0.0;
    for step in steps {
        let (low, high, duration_us) = bounds(step)?;
        if !low.is_finite() || !high.is_finite() || low < 0.0 {
            let wrong = if low.is_finite() { low } else { high };
            return Err(format!("can't inject a rate of {}", java_double(wrong)));
        }
        if high > 0.0 && duration_us == 0 {
            return Err(format!(
                "can't inject a non 0 rate ({}) for a 0 duration",
                java_double(high)
            ));
        }
        total_us = total_us.saturating_add(duration_us);
        #[expect(clippy::cast_precision_loss, reason = "only compared with a round limit")]
        let users = match *step {
            OpenStep::AtOnceUsers { users }
            | OpenStep::RampUsers { users, .. }
            | OpenStep::StressPeakUsers { users, .. } => users as f64,
            _ => high * (duration_us as f64 / 1e6 + 1.0),
        };
        total_users += users;
    }
    #[expect(clippy::cast_precision_loss, reason = "1e12 is exact")]
    if total_users > USERS_MAX as f64 {
        return Err(format!("can't inject more than {USERS_MAX} users"));
    }
    if total_us > DURATION_US_MAX {
        return Err("an injection profile can't last longer than ten years".to_owned());
    }
    Ok(())
}

/// Lowest and highest rate, and the duration that they last (with no rate: the step's).
fn bounds(step: &OpenStep) -> Result<(f64, f64, Micros), String> {
    Ok(match *step {
        OpenStep::AtOnceUsers { .. } => (0.0, 0.0, 0),
        OpenStep::NothingFor { duration_us }
        | OpenStep::RampUsers { duration_us, .. }
        | OpenStep::StressPeakUsers { duration_us, .. } => (0.0, 0.0, duration_us),
        OpenStep::ConstantUsersPerSec { rate, duration_us, .. } => (rate, rate, duration_us),
        OpenStep::RampUsersPerSec { from, to, duration_us, .. } => {
            // `max` and `min` drop a NaN: let the sum keep it.
            let either = from + to;
            if either.is_nan() {
                return Err("can't inject a rate of NaN".to_owned());
            }
            (from.min(to), from.max(to), duration_us)
        }
        OpenStep::IncrementUsersPerSec { increment, times, level_us, ramp_us, start } => {
            if times > LEVELS_MAX {
                return Err(format!(
                    "incrementUsersPerSec: {times} levels; up to {LEVELS_MAX} work"
                ));
            }
            // The first level is `start`, unless a ramp leads to it.
            let ramped = ramp_us > 0 && start == 0.0;
            let rises = if ramped { times } else { times.saturating_sub(1) };
            let last = if times == 0 { 0.0 } else { f64::from(rises).mul_add(increment, start) };
            if last.is_nan() {
                return Err("can't inject a rate of NaN".to_owned());
            }
            let duration_us = level_us.saturating_add(ramp_us).saturating_mul(times.into());
            let lasts = if level_us == 0 { 0 } else { duration_us };
            (start.min(last), if times == 0 { 0.0 } else { start.max(last) }, lasts)
        }
    })
}

/// The plan of an open profile, lazily: arrivals in order of time. `seed` is the job's, mixed with
/// the scenario's name by the caller; only randomised steps draw from it. The profile must be
/// [valid](super::InjectionSpec::validate).
#[must_use]
pub fn schedule(steps: &[OpenStep], seed: u64) -> Schedule {
    let mut plans = plan(steps);
    plans.reverse();
    Schedule { plans, current: None, offset_us: 0, k: 0, seed }
}

/// See [`schedule`].
pub struct Schedule {
    /// In reverse: the next step is the last.
    plans: Vec<StepPlan>,
    /// Of the running step, and its duration.
    current: Option<(Starts, Micros)>,
    /// Where the running step begins.
    offset_us: Micros,
    k: u64,
    seed: u64,
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            if let Some((starts, duration_us)) = &mut self.current {
                if let Some(at) = starts.next() {
                    let k = self.k;
                    self.k += 1;
                    return Some(Arrival { k, at_us: self.offset_us.saturating_add(at) });
                }
                // Later steps shift by the full duration, also where rates used whole seconds only.
                self.offset_us = self.offset_us.saturating_add(*duration_us);
            }
            let step = self.plans.pop()?;
            self.enter(&step, 0);
        }
    }
}

impl Schedule {
    /// Of one that has given nobody yet: leaves out arrivals before `at_us`, not necessarily all,
    /// without walking through them where their number is known.
    pub(super) fn skip_to(&mut self, at_us: Micros) {
        while let Some(step) = self.plans.pop() {
            let end_us = self.offset_us.saturating_add(step.duration_us);
            if end_us >= at_us {
                return self.enter(&step, at_us.saturating_sub(self.offset_us));
            }
            (self.k, self.offset_us) = (self.k + step.users, end_us);
        }
    }

    fn enter(&mut self, step: &StepPlan, from_us: Micros) {
        // Steps of one profile draw differently; the number of steps left is a fine salt.
        let salt = (self.plans.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (skipped, starts) = step.starts_from(self.seed ^ salt, from_us);
        self.k += skipped;
        self.current = Some((starts, step.duration_us));
    }

    /// Where the step ends from which the last arrival came.
    pub(super) fn step_end_us(&self) -> Micros {
        let duration_us = self.current.as_ref().map_or(0, |(_, duration_us)| *duration_us);
        self.offset_us.saturating_add(duration_us)
    }

    /// The number of the next arrival, or of all.
    pub(super) fn number(&self) -> u64 {
        self.k
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("k", &self.k)
            .field("offset_us", &self.offset_us)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;

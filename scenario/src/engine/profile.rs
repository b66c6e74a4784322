//! Closed-model targets and throttle limits as functions of time, and the spreading of starts over
//! a second. Pure.

use crate::inject::{ClosedStep, ThrottleStep};
use crate::time::{MICROS_PER_SECOND, Micros};

/// How many users a closed profile wants at a time: a list of ramps (a level is a flat ramp).
#[derive(Clone, Debug, Default)]
pub(super) struct Concurrency {
    ramps: Vec<(u64, u64, Micros)>,
}

impl Concurrency {
    pub(super) fn new(steps: &[ClosedStep]) -> Self {
        let mut ramps = Vec::new();
        for step in steps {
            match *step {
                ClosedStep::ConstantConcurrentUsers { users, duration_us } => {
                    ramps.push((users, users, duration_us));
                }
                ClosedStep::RampConcurrentUsers { from, to, duration_us } => {
                    ramps.push((from, to, duration_us));
                }
                ClosedStep::IncrementConcurrentUsers {
                    increment,
                    times,
                    level_us,
                    ramp_us,
                    start,
                } => push_levels(&mut ramps, increment, times, level_us, ramp_us, start),
            }
        }
        Self { ramps }
    }

    /// What a tick at `at` aims for: the value one second later, within the step it is in.
    pub(super) fn target(&self, at: Micros) -> u64 {
        let mut begin = 0;
        for &(from, to, duration) in &self.ramps {
            if at < begin + duration {
                let inside = (at - begin + MICROS_PER_SECOND).min(duration);
                let moved = |low: u64, high: u64| {
                    let part = u128::from(high - low) * u128::from(inside) / u128::from(duration);
                    u64::try_from(part).unwrap_or(u64::MAX)
                };
                return if to >= from { from + moved(from, to) } else { from - moved(to, from) };
            }
            begin += duration;
        }
        0
    }
}

fn push_levels(
    ramps: &mut Vec<(u64, u64, Micros)>,
    increment: u64,
    times: u32,
    level_us: Micros,
    ramp_us: Micros,
    start: u64,
) {
    for number in 0..u64::from(times) {
        let level = start + number * increment;
        if ramp_us == 0 {
            ramps.push((level, level, level_us));
        } else if start == 0 {
            ramps.push((level, level + increment, ramp_us));
            ramps.push((level + increment, level + increment, level_us));
        } else {
            ramps.push((level, level, level_us));
            if number + 1 < u64::from(times) {
                ramps.push((level, level + increment, ramp_us));
            }
        }
    }
}

/// Starts spread evenly over one second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    begin: Micros,
    count: u64,
    taken: u64,
}

impl Spread {
    pub(super) fn over(begin: Micros, count: u64) -> Self {
        Self { begin, count, taken: 0 }
    }

    pub(super) fn next_at(&self) -> Option<Micros> {
        (self.taken < self.count)
            .then(|| self.begin + self.taken * MICROS_PER_SECOND / self.count.max(1))
    }

    pub(super) fn take(&mut self, now: Micros) -> Option<Micros> {
        let at = self.next_at().filter(|at| *at <= now)?;
        self.taken += 1;
        Some(at)
    }

    pub(super) fn left(&self) -> u64 {
        self.count - self.taken
    }
}

/// Requests per whole second that a throttle lets pass; 0 after its last step.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    per_second: Vec<u64>,
}

/// Longest throttle that is unfolded, in seconds: 30 days.
const THROTTLE_SECONDS_MAX: u64 = 30 * 86_400;

impl Limits {
    pub(super) fn new(steps: &[ThrottleStep]) -> Self {
        let mut per_second: Vec<u64> = Vec::new();
        let mut level = 0;
        for step in steps {
            let room = THROTTLE_SECONDS_MAX.saturating_sub(per_second.len() as u64);
            match *step {
                ThrottleStep::Jump { rps } => level = rps,
                ThrottleStep::Hold { duration_us } => {
                    let seconds = (duration_us / MICROS_PER_SECOND).min(room);
                    per_second.extend((0..seconds).map(|_| level));
                }
                ThrottleStep::Reach { rps, duration_us } => {
                    let seconds = (duration_us / MICROS_PER_SECOND).min(room);
                    per_second.extend((0..seconds).map(|t| reached(level, rps, t + 1, seconds)));
                    level = rps;
                }
            }
        }
        Self { per_second }
    }

    pub(super) fn at(&self, second: u64) -> u64 {
        usize::try_from(second).ok().and_then(|at| self.per_second.get(at)).copied().unwrap_or(0)
    }

    pub(super) fn duration(&self) -> Micros {
        self.per_second.len() as u64 * MICROS_PER_SECOND
    }
}

fn reached(from: u64, to: u64, part: u64, of: u64) -> u64 {
    let moved = |distance: u64| {
        u64::try_from(u128::from(distance) * u128::from(part) / u128::from(of)).unwrap_or(u64::MAX)
    };
    if to >= from { from + moved(to - from) } else { from - moved(from - to) }
}

/// A throttle in use: hands out the moments at which requests may leave, first come first served.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    /// This shard's part of `limits.at(second)` is asked of the caller: see [`Gate::slot`].
    second: u64,
    used: u64,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, second: 0, used: 0 }
    }

    /// When the next request may leave, not before `now`; none when the throttle is over. `share`
    /// gives the shard's part of a limit. Within a second the k-th allowed one leaves at
    /// k/limit of the second.
    pub(super) fn slot(&mut self, now: Micros, share: impl Fn(u64) -> u64) -> Option<Micros> {
        let present = now / MICROS_PER_SECOND;
        if present > self.second {
            (self.second, self.used) = (present, 0);
        }
        while self.second * MICROS_PER_SECOND < self.limits.duration() {
            let limit = share(self.limits.at(self.second));
            if self.used < limit {
                let at = self.second * MICROS_PER_SECOND + self.used * MICROS_PER_SECOND / limit;
                self.used += 1;
                return Some(at.max(now));
            }
            (self.second, self.used) = (self.second + 1, 0);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Micros = MICROS_PER_SECOND;

    #[test]
    fn a_tick_aims_one_second_ahead() {
        let ramp = ClosedStep::RampConcurrentUsers { from: 0, to: 5, duration_us: 5 * S };
        let hold = ClosedStep::ConstantConcurrentUsers { users: 5, duration_us: 2 * S };
        let down = ClosedStep::RampConcurrentUsers { from: 5, to: 0, duration_us: 5 * S };
        let profile = Concurrency::new(&[ramp, hold, down]);
        let targets: Vec<u64> = (0..13).map(|second| profile.target(second * S)).collect();
        assert_eq!(targets, [1, 2, 3, 4, 5, 5, 5, 4, 3, 2, 1, 0, 0]);
    }

    #[test]
    fn levels_with_and_without_ramps() {
        let step = |ramp_us, start| ClosedStep::IncrementConcurrentUsers {
            increment: 10,
            times: 2,
            level_us: 2 * S,
            ramp_us,
            start,
        };
        let targets = |step| {
            let profile = Concurrency::new(&[step]);
            (0..7).map(|second| profile.target(second * S)).collect::<Vec<u64>>()
        };
        assert_eq!(targets(step(0, 5)), [5, 5, 15, 15, 0, 0, 0]);
        assert_eq!(targets(step(S, 0)), [10, 10, 10, 20, 20, 20, 0]);
        assert_eq!(targets(step(S, 5)), [5, 5, 15, 15, 15, 0, 0]);
    }

    #[test]
    fn a_gate_spaces_requests_and_closes_at_the_end() {
        let steps = [ThrottleStep::Jump { rps: 2 }, ThrottleStep::Hold { duration_us: 2 * S }];
        let mut gate = Gate::new(Limits::new(&steps));
        let slots: Vec<_> = (0..5).map(|_| gate.slot(0, |limit| limit)).collect();
        assert_eq!(slots, [Some(0), Some(S / 2), Some(S), Some(S * 3 / 2), None]);
        let reach = [ThrottleStep::Reach { rps: 4, duration_us: 4 * S }];
        let limits = Limits::new(&reach);
        assert_eq!((0..6).map(|second| limits.at(second)).collect::<Vec<_>>(), [1, 2, 3, 4, 0, 0]);
    }
}

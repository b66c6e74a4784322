//! `throttle(…)`: the limit of requests in each whole second. Reach in D: at its second t,
//! `previous + (target - previous) * (t+1) / D` in integers; hold: the previous; jump: at once.
//! After the last step the limit is 0.
//!
//! A shard may send [`Segments::closed_share`](super::division::Segments::closed_share) of it.
//! Counting requests and delaying them is the engine's.

use super::{DURATION_US_MAX, ThrottleStep};
use crate::time::{MICROS_PER_SECOND, Micros};

#[derive(Clone, Copy, Debug)]
struct Leg {
    starts: u64,
    seconds: u64,
    from: u64,
    to: u64,
}

/// A throttle, laid out in whole seconds.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    legs: Vec<Leg>,
    seconds: u64,
}

impl Limits {
    /// # Errors
    /// A throttle that lasts too long, or not at all.
    pub fn new(steps: &[ThrottleStep]) -> Result<Self, String> {
        let mut limits = Self::default();
        let mut level = 0;
        for step in steps {
            match *step {
                ThrottleStep::Reach { rps, duration_us } => {
                    limits.push(level, rps, duration_us)?;
                    level = rps;
                }
                ThrottleStep::Hold { duration_us } => limits.push(level, level, duration_us)?,
                ThrottleStep::Jump { rps } => level = rps,
            }
        }
        if !steps.is_empty() && limits.seconds == 0 {
            return Err("a throttle must last: add holdFor(duration) or reachRps(n).in(duration)"
                .to_owned());
        }
        Ok(limits)
    }

    fn push(&mut self, from: u64, to: u64, duration_us: Micros) -> Result<(), String> {
        // A part of a second is a second: limits are those of whole seconds.
        let seconds = duration_us.div_ceil(MICROS_PER_SECOND);
        self.legs.push(Leg { starts: self.seconds, seconds, from, to });
        self.seconds = self.seconds.saturating_add(seconds);
        if self.seconds > DURATION_US_MAX / MICROS_PER_SECOND {
            return Err("a throttle can't last longer than ten years".to_owned());
        }
        Ok(())
    }

    /// Requests allowed to the whole job in a second of the population; 0 after the last step.
    #[must_use]
    pub fn limit_at(&self, second: u64) -> u64 {
        if second >= self.seconds {
            return 0;
        }
        let begun = self.legs.partition_point(|leg| leg.starts <= second);
        let Some(leg) = begun.checked_sub(1).and_then(|index| self.legs.get(index)) else {
            return 0;
        };
        let rise = i128::from(leg.to) - i128::from(leg.from);
        let risen = rise * i128::from(second - leg.starts + 1) / i128::from(leg.seconds.max(1));
        u64::try_from(i128::from(leg.from) + risen).unwrap_or_default()
    }

    /// A throttled population ends with its throttle, at the latest.
    #[must_use]
    pub fn duration_us(&self) -> Micros {
        self.seconds * MICROS_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Micros = 1_000_000;

    fn limits(steps: &[ThrottleStep]) -> Vec<u64> {
        let limits = Limits::new(steps).unwrap();
        (0..=limits.duration_us() / S).map(|second| limits.limit_at(second)).collect()
    }

    #[test]
    fn by_hand() {
        assert_eq!(
            limits(&[
                ThrottleStep::Reach { rps: 10, duration_us: 4 * S },
                ThrottleStep::Hold { duration_us: 2 * S },
                ThrottleStep::Jump { rps: 3 },
                ThrottleStep::Hold { duration_us: S },
                ThrottleStep::Reach { rps: 0, duration_us: 2 * S },
            ]),
            [2, 5, 7, 10, 10, 10, 3, 2, 0, 0]
        );
        assert_eq!(limits(&[]), [0]);
        assert!(Limits::new(&[ThrottleStep::Jump { rps: 3 }]).is_err());
        assert!(Limits::new(&[ThrottleStep::Hold { duration_us: u64::MAX }]).is_err());
    }
}

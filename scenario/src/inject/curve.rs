//! The users of a profile over time, in a few equal stretches: for people who want to see a plan
//! before they run it. Refuses to walk through plans that are too long to be drawn.

use super::{InjectionSpec, closed, schedule};
use crate::time::{MICROS_PER_SECOND, Micros};

/// Arrivals that are walked through; a longer plan has no curve.
pub const ARRIVALS_MAX: u64 = 5_000_000;

/// Lengths that read well, in microseconds.
const LENGTHS_US: [Micros; 18] = [
    100_000,
    200_000,
    500_000,
    MICROS_PER_SECOND,
    2 * MICROS_PER_SECOND,
    5 * MICROS_PER_SECOND,
    10 * MICROS_PER_SECOND,
    15 * MICROS_PER_SECOND,
    30 * MICROS_PER_SECOND,
    60 * MICROS_PER_SECOND,
    120 * MICROS_PER_SECOND,
    300 * MICROS_PER_SECOND,
    600 * MICROS_PER_SECOND,
    900 * MICROS_PER_SECOND,
    1_800 * MICROS_PER_SECOND,
    3_600 * MICROS_PER_SECOND,
    7_200 * MICROS_PER_SECOND,
    21_600 * MICROS_PER_SECOND,
];

/// A stretch of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub from_us: Micros,
    pub to_us: Micros,
    /// Open model: users that start in it. Closed: the most that are alive together.
    pub users: u64,
}

/// At most `stretches_max` of them, the last one perhaps shorter; none for a plan of more than
/// [`ARRIVALS_MAX`] users. Randomised steps are drawn from `seed`.
#[must_use]
pub fn curve(spec: &InjectionSpec, stretches_max: u64, seed: u64) -> Option<Vec<Stretch>> {
    let duration_us = spec.duration_us();
    let mut stretches = stretches(duration_us, stretches_max.max(1));
    match spec {
        InjectionSpec::Open(steps) => {
            if spec.planned_users().is_none_or(|users| users > ARRIVALS_MAX) {
                return None;
            }
            let mut at = 0;
            for arrival in schedule(steps, seed) {
                // What is due at the very end belongs to the last stretch.
                while at + 1 < stretches.len() && arrival.at_us >= stretches[at].to_us {
                    at += 1;
                }
                stretches[at].users += 1;
            }
        }
        InjectionSpec::Closed(steps) => {
            let profile = closed::Profile::new(steps);
            for stretch in &mut stretches {
                let ends = [stretch.from_us, stretch.to_us.saturating_sub(1)];
                let alive = ends.into_iter().filter_map(|at| profile.concurrency_at(at));
                stretch.users = alive.max().unwrap_or(0);
            }
        }
    }
    Some(stretches)
}

fn stretches(duration_us: Micros, most: u64) -> Vec<Stretch> {
    let length_us = LENGTHS_US
        .into_iter()
        .find(|length_us| duration_us.div_ceil(*length_us) <= most)
        .unwrap_or_else(|| duration_us.div_ceil(most));
    let count = duration_us.div_ceil(length_us).max(1);
    let stretch = |index: u64| Stretch {
        from_us: index * length_us,
        to_us: ((index + 1) * length_us).min(duration_us),
        users: 0,
    };
    (0..count).map(stretch).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ClosedStep, OpenStep};
    use super::*;

    fn users(spec: &InjectionSpec) -> Vec<u64> {
        curve(spec, 10, 0).unwrap().iter().map(|it| it.users).collect()
    }

    #[test]
    fn stretches_read_well_and_cover_the_profile() {
        let lengths = |seconds: u64| {
            let all = stretches(seconds * MICROS_PER_SECOND, 12);
            assert_eq!(all.last().unwrap().to_us, seconds * MICROS_PER_SECOND);
            (all.len(), all[0].to_us / MICROS_PER_SECOND)
        };
        assert_eq!(lengths(10), (10, 1));
        assert_eq!(lengths(13), (7, 2));
        assert_eq!(lengths(3_600), (12, 300));
        assert_eq!(lengths(400 * 86_400).0, 12);
        assert_eq!(stretches(0, 12).len(), 1);
    }

    #[test]
    fn every_arrival_is_in_one_stretch() {
        let at_once = OpenStep::AtOnceUsers { users: 7 };
        assert_eq!(users(&InjectionSpec::Open(vec![at_once.clone()])), [7]);
        let rate = OpenStep::ConstantUsersPerSec {
            rate: 3.0,
            duration_us: 4 * MICROS_PER_SECOND,
            randomized: false,
        };
        let nothing = OpenStep::NothingFor { duration_us: 2 * MICROS_PER_SECOND };
        let spec = InjectionSpec::Open(vec![rate, nothing, at_once]);
        assert_eq!(users(&spec), [3, 3, 3, 3, 0, 7]);
        let many = InjectionSpec::Open(vec![OpenStep::AtOnceUsers { users: ARRIVALS_MAX + 1 }]);
        assert_eq!(curve(&many, 10, 0), None);
    }

    #[test]
    fn the_closed_model_shows_the_most_alive() {
        let spec = InjectionSpec::Closed(vec![
            ClosedStep::RampConcurrentUsers { from: 0, to: 4, duration_us: 2 * MICROS_PER_SECOND },
            ClosedStep::ConstantConcurrentUsers { users: 4, duration_us: 2 * MICROS_PER_SECOND },
        ]);
        let seen = users(&spec);
        assert_eq!((seen.len(), seen[7]), (8, 4));
        assert!(seen.is_sorted(), "{seen:?}");
    }
}

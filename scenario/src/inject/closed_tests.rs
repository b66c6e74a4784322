//! Tests of `inject/closed`.

use proptest::prelude::*;

use super::*;
use crate::inject::InjectionSpec;
use crate::inject::division::{SEGMENTS, split};

const S: Micros = 1_000_000;

fn ramp(from: u64, to: u64, seconds: u64) -> ClosedStep {
    ClosedStep::RampConcurrentUsers { from, to, duration_us: seconds * S }
}

fn constant(users: u64, seconds: u64) -> ClosedStep {
    ClosedStep::ConstantConcurrentUsers { users, duration_us: seconds * S }
}

fn targets(steps: &[ClosedStep]) -> Vec<u64> {
    let profile = Profile::new(steps);
    (0..).map_while(|second| profile.target(second)).collect()
}

#[test]
fn the_target_of_a_tick_is_the_value_one_second_later() {
    assert_eq!(targets(&[ramp(0, 5, 5)]), [1, 2, 3, 4, 5]);
    assert_eq!(targets(&[constant(3, 2), ramp(3, 0, 3), constant(1, 1)]), [3, 3, 2, 1, 0, 1]);
    assert_eq!(targets(&[ramp(0, 10, 3)]), [3, 6, 10]);
    let profile = Profile::new(&[ramp(0, 5, 5)]);
    assert_eq!(profile.concurrency_at(0), Some(0));
    assert_eq!(profile.concurrency_at(2_999_999), Some(2));
    assert_eq!(profile.concurrency_at(5 * S), None);
}

#[test]
fn threads_and_shards_together_start_as_one_would() {
    let starts = |nodes: usize, threads: u64| {
        let mut all = Vec::new();
        for owned in split(&vec![1; nodes]) {
            let segments = Segments::new(SEGMENTS, &owned).unwrap();
            for thread in 0..threads {
                let mut tracker = Tracker::new(&[ramp(5, 7, 2)], segments.clone(), thread, threads);
                all.extend(std::iter::from_fn(|| tracker.due(2 * S)).map(|arrival| arrival.at_us));
            }
        }
        all.sort_unstable();
        all
    };
    // Six in the first second, and the one that the next one asks for.
    let one = [0, 166_000, 333_000, 500_000, 666_000, 833_000, 1_000_000];
    for (nodes, threads) in [(1, 1), (1, 2), (1, 5), (3, 1), (2, 3)] {
        assert_eq!(starts(nodes, threads), one, "{nodes} nodes of {threads} threads");
    }
}

#[test]
fn increments() {
    let increment = |ramp_us, start| {
        let (increment, times, level_us) = (2, 2, 2 * S);
        ClosedStep::IncrementConcurrentUsers { increment, times, level_us, ramp_us, start }
    };
    assert_eq!(targets(&[increment(0, 0)]), [0, 0, 2, 2]);
    assert_eq!(targets(&[increment(0, 5)]), [5, 5, 7, 7]);
    assert_eq!(targets(&[increment(2 * S, 0)]), [1, 2, 2, 2, 3, 4, 4, 4]);
    assert_eq!(targets(&[increment(2 * S, 5)]), [5, 5, 6, 7, 7, 7]);
}

/// The users due by `now`, as (number, milliseconds).
fn due(tracker: &mut Tracker, now: Micros) -> Vec<(u64, u64)> {
    std::iter::from_fn(|| tracker.due(now)).map(|it| (it.k, it.at_us / 1_000)).collect()
}

#[test]
fn missing_users_are_spread_and_ended_ones_replaced() {
    let mut tracker = Tracker::new(&[constant(4, 2), constant(1, 1)], Segments::all(), 0, 1);
    assert_eq!(due(&mut tracker, 250_000), [(0, 0), (1, 250)]);
    assert_eq!(tracker.next_at(), Some(500_000));
    // One of two has ended; two more are planned for this second, so one is missing.
    assert_eq!(tracker.user_ended(300_000).map(|it| (it.k, it.at_us)), Some((2, 300_000)));
    assert_eq!(due(&mut tracker, 999_999), [(3, 500), (4, 750)]);
    assert_eq!(due(&mut tracker, 2 * S), []);
    assert_eq!((tracker.target(), tracker.next_at()), (1, None));
    // Ramping down kills nobody, it stops replacing: four are alive.
    for _ in 0..3 {
        assert_eq!(tracker.user_ended(2 * S), None);
    }
    assert_eq!(tracker.user_ended(2 * S + 1).map(|it| it.k), Some(5));
    assert_eq!(tracker.user_ended(3 * S), None, "the profile is over");
}

#[test]
fn a_ramp_starts_one_user_a_second() {
    let mut tracker = Tracker::new(&[ramp(0, 5, 5)], Segments::all(), 0, 1);
    let expected = [(0, 0), (1, 1_000), (2, 2_000), (3, 3_000), (4, 4_000)];
    assert_eq!(due(&mut tracker, 9 * S), expected);
}

#[test]
fn a_dropped_user_is_missing_at_the_next_tick() {
    let mut tracker = Tracker::new(&[constant(1, 3)], Segments::all(), 0, 1);
    assert_eq!(due(&mut tracker, 0), [(0, 0)]);
    tracker.dropped();
    assert_eq!(due(&mut tracker, S), [(1, 1_000)]);
}

#[test]
fn bad_profiles_are_refused() {
    let refused = |step: ClosedStep| InjectionSpec::Closed(vec![step]).validate().unwrap_err();
    assert!(refused(constant(u64::MAX, 1)).contains("more than"));
    assert!(refused(ramp(0, 1, u64::MAX / S)).contains("ten years"));
}

/// As on Gatling 3.16.0, which hangs where nothing else is left.
#[test]
fn steps_over_no_time_are_no_steps() {
    let stairs = |times, level_us| ClosedStep::IncrementConcurrentUsers {
        increment: 2,
        times,
        level_us,
        ramp_us: 0,
        start: 1,
    };
    for (steps, expected) in [
        (vec![], vec![]),
        (vec![constant(5, 0)], vec![]),
        (vec![ramp(1, 9, 0), constant(1, 2)], vec![1, 1]),
        (vec![constant(1, 1), ramp(1, 9, 0), constant(2, 1), constant(9, 0)], vec![1, 2]),
        (vec![stairs(3, 0)], vec![]),
        (vec![stairs(0, S), constant(1, 1)], vec![1]),
    ] {
        assert_eq!(InjectionSpec::Closed(steps.clone()).validate(), Ok(()));
        assert_eq!(targets(&steps), expected, "{steps:?}");
        let mut tracker = Tracker::new(&steps, Segments::all(), 0, 1);
        let started = due(&mut tracker, 0).len() as u64;
        assert_eq!(started, expected.first().copied().unwrap_or(0), "{steps:?}");
    }
}

proptest! {
    #[test]
    fn shards_and_threads_sum_to_the_target_and_number_users_apart(
        levels in prop::collection::vec((0_u64..3000, 0_u64..3000, 0_u64..5), 1..4),
        nodes in 1_usize..9,
        threads in 1_u64..4,
    ) {
        let steps: Vec<ClosedStep> =
            levels.iter().map(|&(from, to, seconds)| ramp(from, to, seconds)).collect();
        let profile = Profile::new(&steps);
        let mut trackers = Vec::new();
        for owned in split(&vec![1; nodes]) {
            let segments = Segments::new(SEGMENTS, &owned).unwrap();
            let tracker = |thread| Tracker::new(&steps, segments.clone(), thread, threads);
            trackers.extend((0..threads).map(tracker));
        }
        let mut numbers = std::collections::HashSet::new();
        for second in 0..20 {
            for tracker in &mut trackers {
                while let Some(arrival) = tracker.due(second * S) {
                    prop_assert!(numbers.insert(arrival.k));
                }
            }
            if let Some(target) = profile.target(second) {
                prop_assert_eq!(trackers.iter().map(Tracker::target).sum::<u64>(), target);
            }
        }
    }
}

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

#[test]
fn missing_users_are_spread_and_ended_ones_replaced() {
    let mut tracker = Tracker::new(&[constant(4, 2), constant(1, 1)], Segments::all());
    let at: Vec<u64> = tracker.tick(0).iter().map(|arrival| arrival.at_us / 1000).collect();
    assert_eq!(at, [0, 250, 500, 750]);
    assert_eq!(tracker.user_ended(), Some(4), "replaced at once");
    assert!(tracker.tick(1).is_empty());
    assert!(tracker.tick(2).is_empty());
    assert_eq!(tracker.target(), 1);
    // Ramping down kills nobody, it stops replacing: four are alive.
    assert_eq!(tracker.user_ended(), None);
    assert_eq!(tracker.user_ended(), None);
    assert_eq!(tracker.user_ended(), None);
    assert_eq!(tracker.user_ended(), Some(5));
    assert!(tracker.tick(3).is_empty());
    assert!(tracker.is_over());
    assert_eq!(tracker.user_ended(), None);
}

#[test]
fn a_ramp_starts_one_user_a_second() {
    let mut tracker = Tracker::new(&[ramp(0, 5, 5)], Segments::all());
    let at: Vec<u64> =
        (0..6).flat_map(|second| tracker.tick(second)).map(|arrival| arrival.at_us / S).collect();
    assert_eq!(at, [0, 1, 2, 3, 4]);
}

#[test]
fn bad_profiles_are_refused() {
    let refused = |step: ClosedStep| InjectionSpec::Closed(vec![step]).validate().unwrap_err();
    assert_eq!(refused(constant(5, 0)), "can't inject non 0 concurrent users (5) for a 0 duration");
    assert!(refused(constant(u64::MAX, 1)).contains("more than"));
    assert!(refused(ramp(0, 1, u64::MAX / S)).contains("ten years"));
    assert!(InjectionSpec::Closed(vec![constant(0, 0)]).validate().is_ok());
}

proptest! {
    #[test]
    fn shards_sum_to_the_target_and_number_users_apart(
        levels in prop::collection::vec((0_u64..3000, 0_u64..3000, 0_u64..5), 1..4),
        nodes in 1_usize..9,
    ) {
        let steps: Vec<ClosedStep> =
            levels.iter().map(|&(from, to, seconds)| ramp(from, to, seconds)).collect();
        let profile = Profile::new(&steps);
        let mut shards: Vec<Tracker> = split(&vec![1; nodes])
            .iter()
            .map(|owned| Tracker::new(&steps, Segments::new(SEGMENTS, owned).unwrap()))
            .collect();
        let mut numbers = std::collections::HashSet::new();
        for second in 0..20 {
            for shard in &mut shards {
                for arrival in shard.tick(second) {
                    prop_assert!(numbers.insert(arrival.k));
                }
            }
            let sum: u64 = shards.iter().map(Tracker::target).sum();
            prop_assert_eq!(sum, profile.target(second).unwrap_or(0));
        }
    }
}

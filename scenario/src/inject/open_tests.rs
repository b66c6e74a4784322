//! Tests of `inject/open`.

use proptest::prelude::*;

use super::*;
use crate::inject::InjectionSpec;
use crate::inject::division::{SEGMENTS, Segments, split};

const S: Micros = 1_000_000;

fn millis(steps: &[OpenStep]) -> Vec<u64> {
    schedule(steps, 1).map(|arrival| arrival.at_us / 1000).collect()
}

fn constant(rate: f64, duration_us: Micros) -> OpenStep {
    OpenStep::ConstantUsersPerSec { rate, duration_us, randomized: false }
}

fn ramp(from: f64, to: f64, duration_us: Micros) -> OpenStep {
    OpenStep::RampUsersPerSec { from, to, duration_us, randomized: false }
}

fn users(users: u64, duration_us: Micros) -> OpenStep {
    OpenStep::RampUsers { users, duration_us }
}

#[test]
fn ramp_users_by_hand() {
    // Seconds get 4, 3, 3; inside, ceil(4/1000 * b): 0, 250, 500, 750 and ceil(3/1000 * b).
    assert_eq!(millis(&[users(10, 3 * S)]), [0, 250, 500, 750, 1000, 1333, 1666, 2000, 2333, 2666]);
    // Two seconds and a half: whole seconds take all, the next step waits for the full duration.
    assert_eq!(millis(&[users(2, 2_500_000), OpenStep::AtOnceUsers { users: 1 }]), [0, 1000, 2500]);
    assert_eq!(millis(&[users(3, 0)]), [0, 0, 0]);
    assert_eq!(millis(&[users(2, 500_000)]), [0, 250]);
    assert_eq!(millis(&[users(0, 5 * S)]), [0_u64; 0]);
    assert_eq!(millis(&[users(3, 6 * S)]), [0, 2000, 4000]);
}

#[test]
fn rates_by_hand() {
    assert_eq!(millis(&[constant(2.0, 2 * S)]), [0, 500, 1000, 1500]);
    // round(1.25 * 2) = 3 (half up) over two seconds: 2 and 1.
    assert_eq!(millis(&[constant(1.25, 2 * S)]), [0, 500, 1000]);
    assert_eq!(millis(&[constant(0.0, 2 * S), constant(1.0, S)]), [2000]);
    // Whole seconds only: 2 users, not 3.
    assert_eq!(millis(&[constant(1.0, 2_900_000)]), [0, 1000]);
    assert_eq!(millis(&[ramp(1.0, 5.0, 4 * S)]).len(), 12);
    assert_eq!(millis(&[ramp(0.0, 3.0, 3 * S)]), [1000, 1500, 2000, 2500]);
}

#[test]
fn stress_peak_is_symmetric_around_the_middle() {
    let at = millis(&[OpenStep::StressPeakUsers { users: 5, duration_us: 10 * S }]);
    // erfinv(-5/7) = -0.754839, erfinv(-3/7) = -0.400132, erfinv(-1/7) = -0.127301;
    // k = 10000 / (2 * 0.754839).
    assert_eq!(at, [0, 2349, 4156, 5843, 7650]);
    assert_eq!(millis(&[OpenStep::StressPeakUsers { users: 2, duration_us: 0 }]), [0, 0]);
    let one = millis(&[OpenStep::StressPeakUsers { users: 1, duration_us: 10 * S }]);
    assert_eq!(one, [0]);
}

#[test]
fn increments() {
    let increment = |ramp_us, start| {
        let (increment, times, level_us) = (1.0, 3, S);
        OpenStep::IncrementUsersPerSec { increment, times, level_us, ramp_us, start }
    };
    // Levels 0, 1, 2.
    assert_eq!(millis(&[increment(0, 0.0)]), [1000, 2000, 2500]);
    // Levels 2, 3, 4.
    assert_eq!(millis(&[increment(0, 2.0)]).len(), 9);
    // From 0 with ramps: 0→1 (0.5: nobody), 1, 1→2 (1.5: one), 2, 2→3 (2.5: two), 3.
    let spec = InjectionSpec::Open(vec![increment(S, 0.0)]);
    assert_eq!((spec.planned_users(), spec.duration_us()), (Some(1 + 1 + 2 + 2 + 3), 6 * S));
    // From 2: 2, 2→3 (2), 3, 3→4 (3), 4; no ramp after the last level.
    let spec = InjectionSpec::Open(vec![increment(S, 2.0)]);
    assert_eq!((spec.planned_users(), spec.duration_us()), (Some(2 + 2 + 3 + 3 + 4), 5 * S));
}

#[test]
fn steps_follow_one_another() {
    let steps = [
        OpenStep::NothingFor { duration_us: 4 * S },
        OpenStep::AtOnceUsers { users: 2 },
        users(2, 2 * S),
        constant(1.0, S),
    ];
    assert_eq!(millis(&steps), [4000, 4000, 4000, 5000, 6000]);
    let numbers: Vec<u64> = schedule(&steps, 1).map(|arrival| arrival.k).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
}

#[test]
fn what_cannot_be_injected_is_refused_in_gatlings_words() {
    let refused = |step: OpenStep| InjectionSpec::Open(vec![step]).validate().unwrap_err();
    assert_eq!(refused(constant(1.0, 0)), "can't inject a non 0 rate (1.0) for a 0 duration");
    assert_eq!(refused(ramp(0.0, 2.5, 0)), "can't inject a non 0 rate (2.5) for a 0 duration");
    assert_eq!(refused(constant(-1.0, S)), "can't inject a rate of -1.0");
    assert_eq!(refused(constant(f64::INFINITY, S)), "can't inject a rate of Infinity");
    assert_eq!(refused(ramp(f64::NAN, 1.0, S)), "can't inject a rate of NaN");
    assert_eq!(refused(constant(1e12, 2 * S)), "can't inject more than 1000000000000 users");
    assert!(refused(users(1, u64::MAX)).contains("ten years"));
    let stairs = |times, ramp_us, start| OpenStep::IncrementUsersPerSec {
        increment: 2.0,
        times,
        level_us: 0,
        ramp_us,
        start,
    };
    assert_eq!(refused(stairs(2, 0, 0.0)), "can't inject a non 0 rate (2.0) for a 0 duration");
    assert_eq!(refused(stairs(1, S, 0.0)), "can't inject a non 0 rate (2.0) for a 0 duration");
    assert_eq!(refused(stairs(1, 0, 1.0)), "can't inject a non 0 rate (1.0) for a 0 duration");
    // As on Gatling 3.16.0.
    let steps = vec![constant(0.0, 0), users(3, 0), stairs(1, 0, 0.0), stairs(0, S, 9.0)];
    assert_eq!(InjectionSpec::Open(steps.clone()).validate(), Ok(()));
    assert_eq!(millis(&steps), [0, 0, 0]);
    assert_eq!(InjectionSpec::Open(Vec::new()).validate(), Ok(()));
    assert_eq!(millis(&[]), Vec::<u64>::new());
}

#[test]
fn a_million_users_take_no_memory_and_end_in_time() {
    let steps = [users(1_000_000, 3_600 * S)];
    let last = schedule(&steps, 1).last().unwrap();
    assert_eq!(last.k, 999_999);
    assert!(last.at_us < 3_600 * S);
}

fn any_step() -> impl Strategy<Value = OpenStep> {
    let duration = 0_u64..20_000_000;
    prop_oneof![
        (0_u64..50).prop_map(|users| OpenStep::AtOnceUsers { users }),
        duration.clone().prop_map(|duration_us| OpenStep::NothingFor { duration_us }),
        (0_u64..500, duration.clone()).prop_map(|(n, duration_us)| users(n, duration_us)),
        (0.0..50.0, duration.clone(), any::<bool>()).prop_map(|(rate, duration_us, randomized)| {
            OpenStep::ConstantUsersPerSec { rate, duration_us, randomized }
        }),
        (0.0..50.0, 0.0..50.0, duration.clone(), any::<bool>()).prop_map(
            |(from, to, duration_us, randomized)| OpenStep::RampUsersPerSec {
                from,
                to,
                duration_us,
                randomized
            }
        ),
        (0_u64..500, duration)
            .prop_map(|(users, duration_us)| OpenStep::StressPeakUsers { users, duration_us }),
        (0.0..9.0, 1_u32..4, 0_u64..3_000_000, 0_u64..2_000_000, 0.0..9.0).prop_map(
            |(increment, times, level_us, ramp_us, start)| OpenStep::IncrementUsersPerSec {
                increment,
                times,
                level_us,
                ramp_us,
                start
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_plan_keeps_its_promises(steps in prop::collection::vec(any_step(), 0..5)) {
        let spec = InjectionSpec::Open(steps.clone());
        let arrivals: Vec<Arrival> = schedule(&steps, 9).collect();
        prop_assert_eq!(spec.planned_users(), Some(arrivals.len() as u64));
        prop_assert!(arrivals.is_sorted_by_key(|arrival| arrival.at_us));
        prop_assert!(arrivals.iter().all(|arrival| arrival.at_us <= spec.duration_us()));
    }

    #[test]
    fn shards_together_are_the_single_node(steps in prop::collection::vec(any_step(), 1..4)) {
        let single: Vec<Arrival> = schedule(&steps, 5).collect();
        for nodes in [1, 2, 3, 5, 8] {
            let mut union: Vec<Arrival> = split(&vec![1; nodes])
                .iter()
                .map(|owned| Segments::new(SEGMENTS, owned).unwrap())
                .flat_map(|own| schedule(&steps, 5).filter(move |arrival| own.owns(arrival.k)))
                .collect();
            union.sort_by_key(|arrival| arrival.k);
            prop_assert_eq!(&union, &single);
        }
    }
}

//! Tests of `inject/load`.

use proptest::prelude::*;

use super::super::ClosedStep;
use super::*;
use crate::inject::division::{SEGMENTS, Segments, split};

const S: Micros = 1_000_000;

fn constant(rate: f64, seconds: u64) -> OpenStep {
    OpenStep::ConstantUsersPerSec { rate, duration_us: seconds * S, randomized: false }
}

fn load(changes: &[(Micros, u32)]) -> Load {
    let change = |&(at_us, factor): &(Micros, u32)| LoadChange { at_us, factor };
    Load::new(&changes.iter().map(change).collect::<Vec<_>>())
}

fn all(steps: &[OpenStep], changes: &[(Micros, u32)]) -> Vec<Arrival> {
    Arrivals::new(steps, 7, &load(changes), 0).collect()
}

fn millis(steps: &[OpenStep], changes: &[(Micros, u32)]) -> Vec<u64> {
    all(steps, changes).iter().map(|arrival| arrival.at_us / 1_000).collect()
}

fn between(arrivals: &[Arrival], from_us: Micros, to_us: Micros) -> usize {
    arrivals.iter().filter(|arrival| (from_us..to_us).contains(&arrival.at_us)).count()
}

#[test]
fn a_factor_by_hand() {
    let ten = [constant(10.0, 1)];
    let twice = [0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 550, 600, 650, 700, 750];
    assert_eq!(millis(&ten, &[(0, 2_000)])[..16], twice);
    // From the middle between two arrivals on: a quarter of one is left at 450 ms, for 25 ms.
    let step = [0, 100, 200, 300, 400, 475, 525, 575, 625, 675, 725, 775, 825, 875, 925, 975];
    assert_eq!(millis(&ten, &[(450_000, 2_000)]), step);
    assert_eq!(millis(&ten, &[(500_000, 500)]), [0, 100, 200, 300, 400, 500, 700, 900]);
    // Nobody from 300 ms on, and the plan's clock goes on.
    assert_eq!(millis(&ten, &[(300_000, 0), (700_000, 1_000)]), [0, 100, 200, 700, 800, 900]);
    assert_eq!(millis(&ten, &[(300_000, 0)]), [0, 100, 200]);
    assert_eq!(all(&ten, &[(300_000, 0), (300_000, 1_000)]), all(&ten, &[]));
}

#[test]
fn users_of_one_moment_are_scaled_too_and_stay_at_it() {
    let at_once = |users| OpenStep::AtOnceUsers { users };
    let bursts = [at_once(4), OpenStep::NothingFor { duration_us: 10 * S }, at_once(10)];
    let seen = millis(&bursts, &[(5 * S, 1_500)]);
    assert_eq!((seen.len(), &seen[..5]), (4 + 15, &[0, 0, 0, 0, 10_000][..]));
    assert!(seen[4..].iter().all(|at| *at == 10_000));
    // At its own instant it is ahead of the change; of one user the tenth part is one or none.
    assert_eq!(millis(&bursts, &[(10 * S, 100)]), [0, 0, 0, 0, 10_000]);
    assert_eq!(millis(&bursts, &[(0, 100)]), [0, 10_000]);
    // One user every ten seconds: no second one in the pause behind a burst.
    let slow = [constant(0.1, 20), at_once(1)];
    assert_eq!(millis(&slow, &[(0, 2_000)]), [0, 5_000, 10_000, 15_000, 20_000, 20_000]);
}

/// What people will compare: rates and seconds.
#[test]
fn counts_are_rates_times_seconds() {
    let steps = [constant(100.0, 60)];
    let changes = [(20 * S, 2_000), (30 * S, 0), (40 * S, 2_000), (50 * S, 500)];
    let arrivals = all(&steps, &changes);
    assert_eq!(arrivals.len(), 20 * 100 + 10 * 200 + 10 * 200 + 10 * 50);
    for (from, to, each) in [(0, 20, 100), (20, 30, 200), (30, 40, 0), (40, 50, 200), (50, 60, 50)]
    {
        for second in from..to {
            assert_eq!(between(&arrivals, second * S, (second + 1) * S), each, "second {second}");
        }
    }
    // The step is within a millisecond of its instant.
    let last = arrivals.iter().rfind(|arrival| arrival.at_us < 20 * S).unwrap();
    assert_eq!(
        (last.at_us, arrivals[2_000].at_us, arrivals[2_001].at_us),
        (19_990_000, 20 * S, 20_005_000)
    );
}

#[test]
fn a_load_is_what_its_last_change_says() {
    let some = load(&[(5 * S, 2_000), (7 * S, 0), (7 * S, 500), (9 * S, 500)]);
    let seen: Vec<u32> = (4..10).map(|second| some.factor_at(second * S)).collect();
    assert_eq!(seen, [1_000, 2_000, 2_000, 500, 500, 500]);
    assert_eq!(some.since(6 * S), load(&[(0, 2_000), (S, 500)]));
    assert_eq!(some.since(20 * S), load(&[(0, 500)]));
    assert!(load(&[(3, 1_000)]).is_as_written());
    assert_eq!((some.of(3, 0), some.of(3, 6 * S), some.of(3, 7 * S)), (3, 6, 2));
    assert_eq!(load(&[(0, 100)]).of(1, 0), 1);
    assert_eq!(load(&[(0, 0)]).of(u64::MAX, 0), 0);
}

#[test]
fn the_closed_model_plans_no_number() {
    let steps = vec![ClosedStep::ConstantConcurrentUsers { users: 5, duration_us: S }];
    assert_eq!(planned_users(&InjectionSpec::Closed(steps), &load(&[(0, 2_000)]), 1), None);
}

/// A day of 10,000 users a second: changed, and looked at late, without walking through it.
#[test]
fn a_long_plan_is_not_walked_through() {
    let steps = vec![constant(10_000.0, 86_400), OpenStep::AtOnceUsers { users: 3 }];
    let changes = load(&[(80_000 * S, 3_000)]);
    let planned = planned_users(&InjectionSpec::Open(steps.clone()), &changes, 0);
    assert_eq!(planned, Some(80_000 * 10_000 + 6_400 * 30_000 + 9));
    let mut late = Arrivals::new(&steps, 0, &changes, 86_000 * S);
    assert_eq!(late.number(), 80_000 * 10_000 + 6_000 * 30_000);
    assert_eq!(late.next().unwrap().at_us, 86_000 * S);
}

fn any_step() -> impl Strategy<Value = OpenStep> {
    let users = prop_oneof![Just(0_u64), 1_u64..40];
    let duration = prop_oneof![Just(0_u64), 1_u64..3 * S, (1_u64..5).prop_map(|s| s * S)];
    (0_u8..7, users, duration, 0.0..20.0_f64, 0.0..20.0_f64, any::<bool>()).prop_map(
        |(kind, users, duration_us, from, to, randomized)| match kind {
            0 => OpenStep::AtOnceUsers { users },
            1 => OpenStep::NothingFor { duration_us },
            2 => OpenStep::RampUsers { users, duration_us },
            3 => OpenStep::StressPeakUsers { users, duration_us },
            4 => OpenStep::IncrementUsersPerSec {
                increment: from,
                times: 3,
                level_us: duration_us + 1,
                ramp_us: users * 1_000,
                start: to,
            },
            5 => OpenStep::RampUsersPerSec { from, to, duration_us: duration_us + 1, randomized },
            _ => {
                OpenStep::ConstantUsersPerSec { rate: to, duration_us: duration_us + 1, randomized }
            }
        },
    )
}

fn any_changes() -> impl Strategy<Value = Vec<(Micros, u32)>> {
    let at = prop_oneof![0..12 * S, (0_u64..12).prop_map(|s| s * S)];
    let factor = prop_oneof![Just(0_u32), Just(1_000), Just(2_000), 100_u32..=10_000];
    prop::collection::vec((at, factor), 0..6).prop_map(|mut changes| {
        changes.sort_by_key(|(at, _)| *at);
        changes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn without_a_change_it_is_the_plan(
        steps in prop::collection::vec(any_step(), 1..5), at in 0..12 * S,
    ) {
        let written: Vec<_> = schedule(&steps, 7).collect();
        prop_assert_eq!(&all(&steps, &[]), &written);
        prop_assert_eq!(&all(&steps, &[(at, 1_000)]), &written);
        // Under the other arithmetic, too: a change that lies behind everything.
        let far = load(&[(Micros::MAX, 2_000)]);
        prop_assert_eq!(&Arrivals::new(&steps, 7, &far, 0).collect::<Vec<_>>(), &written);
    }

    /// In order and without gaps; nothing before the first change is touched; as many as the plan's
    /// stretches times their factors, and as were said before.
    #[test]
    fn arrivals_are_the_plans_times_the_factors(
        steps in prop::collection::vec(any_step(), 1..5), changes in any_changes(),
    ) {
        let written: Vec<_> = schedule(&steps, 7).collect();
        let arrivals = all(&steps, &changes);
        prop_assert!(arrivals.iter().zip(0..).all(|(arrival, k)| arrival.k == k));
        prop_assert!(arrivals.is_sorted_by_key(|arrival| arrival.at_us));
        let load = load(&changes);
        let spec = InjectionSpec::Open(steps);
        prop_assert_eq!(planned_users(&spec, &load, 7), Some(arrivals.len() as u64));
        let first = load.changes.first().map_or(Micros::MAX, |change| change.at_us);
        let before = |all: &[Arrival]| all.iter().copied().filter(|it| it.at_us < first).collect::<Vec<_>>();
        prop_assert_eq!(before(&arrivals), before(&written));
        // To one user for each time that a change cuts the plan between two of them.
        let cuts = load.changes.len() as u64 + 1;
        let made: u64 = written.iter().map(|it| u64::from(load.factor_at(it.at_us))).sum();
        let slack = cuts * 10 * 1_000;
        let all = arrivals.len() as u64 * 1_000;
        prop_assert!(all.abs_diff(made) <= slack, "{all} of {made}");
        // In a pause there is nobody.
        for arrival in &arrivals {
            prop_assert!(load.factor_at(arrival.at_us) > 0, "{arrival:?}");
        }
        let end = spec.duration_us();
        prop_assert!(arrivals.iter().all(|it| it.at_us <= end.max(written.last().map_or(0, |it| it.at_us))));
    }

    /// Whoever begins later, knowing all changes, has the same arrivals and their numbers.
    #[test]
    fn from_any_moment_on_it_is_the_same(
        steps in prop::collection::vec(any_step(), 1..5), changes in any_changes(), from in 0..14 * S,
    ) {
        let arrivals = all(&steps, &changes);
        let late = Arrivals::new(&steps, 7, &load(&changes), from);
        let number = late.number();
        let rest: Vec<_> = arrivals.iter().copied().filter(|it| it.at_us >= from).collect();
        prop_assert_eq!(number, (arrivals.len() - rest.len()) as u64);
        prop_assert_eq!(late.collect::<Vec<_>>(), rest);
    }

    /// A change that becomes known leaves alone what was due before it.
    #[test]
    fn what_was_due_before_a_change_does_not_depend_on_it(
        steps in prop::collection::vec(any_step(), 1..5), changes in any_changes(), factor in 0_u32..5_000,
    ) {
        let last = changes.last().map_or(3 * S, |(at, _)| *at);
        let mut more = changes.clone();
        more.push((last + S / 3, factor));
        let before = |all: Vec<Arrival>| {
            all.into_iter().filter(|it| it.at_us < last + S / 3).collect::<Vec<_>>()
        };
        prop_assert_eq!(before(all(&steps, &more)), before(all(&steps, &changes)));
    }

    #[test]
    fn shards_start_the_whole_and_nobody_twice(
        steps in prop::collection::vec(any_step(), 1..4), changes in any_changes(),
    ) {
        let whole = all(&steps, &changes);
        for shards in [1, 2, 3, 5, 8] {
            let mut union: Vec<Arrival> = Vec::new();
            for owned in split(&vec![1; shards]) {
                let segments = Segments::new(SEGMENTS, &owned).unwrap();
                let own: Vec<_> = all(&steps, &changes).into_iter().filter(|it| segments.owns(it.k)).collect();
                prop_assert_eq!(own.len() as u64, segments.closed_share(whole.len() as u64));
                union.extend(own);
            }
            union.sort_by_key(|arrival| arrival.k);
            prop_assert_eq!(&union, &whole);
        }
    }
}

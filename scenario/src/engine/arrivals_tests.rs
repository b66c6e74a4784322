//! The same simulation gives the same plan on 1, 2, 3, 5 and 8 shards of 1 to 3 threads: the users
//! that all of them start, merged, are those of a single thread, arrival by arrival.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{Begin, Due, Profile, Share, Source};
use crate::inject::division::{SEGMENTS, Segments, split};
use crate::inject::load::planned_users;
use crate::inject::{ClosedStep, InjectionSpec, Load, LoadChange, OpenStep};
use crate::time::{MICROS_PER_SECOND, Micros};

const SHARDS: [usize; 5] = [1, 2, 3, 5, 8];
const SECOND: Micros = MICROS_PER_SECOND;

fn written(inject: &InjectionSpec, seed: u64) -> Profile<'_> {
    static AS_WRITTEN: LazyLock<Load> = LazyLock::new(Load::default);
    Profile { inject, seed, load: &AS_WRITTEN }
}

/// The sources of a job on so many equal nodes.
fn sources(spec: &InjectionSpec, shards: usize, threads: u64, seed: u64) -> Vec<Source> {
    let mut all = Vec::new();
    for owned in split(&vec![1; shards]) {
        let segments = Segments::new(SEGMENTS, &owned).unwrap();
        for thread in 0..threads {
            let share = Share { segments: segments.clone(), thread, threads };
            all.push(Source::new(written(spec, seed), share, 7 * SECOND));
        }
    }
    all
}

/// Everything the sources start when they are asked at every tenth of a second, in order.
fn started(spec: &InjectionSpec, shards: usize, threads: u64, seed: u64) -> Vec<(Micros, u64)> {
    let mut sources = sources(spec, shards, threads, seed);
    let end = 7 * SECOND + spec.duration_us() + SECOND;
    let mut all = Vec::new();
    for now in (0..=end).step_by(100_000) {
        for source in &mut sources {
            while let Some(Due { user, scheduled }) = source.due(now) {
                assert!(scheduled <= now);
                all.push((scheduled, user));
            }
        }
    }
    assert!(sources.iter_mut().all(|source| source.next_at(end).is_none()), "all is started");
    all.sort_unstable();
    all
}

fn is_the_same_everywhere(spec: &InjectionSpec, seed: u64) -> Vec<(Micros, u64)> {
    let single = started(spec, 1, 1, seed);
    assert_eq!(Some(single.len() as u64), spec.planned_users());
    for shards in SHARDS {
        for threads in 1..=3 {
            let merged = started(spec, shards, threads, seed);
            assert_eq!(merged, single, "{shards} shards of {threads} threads: {spec:?}");
        }
    }
    single
}

fn steps() -> Vec<OpenStep> {
    let duration_us = 3 * SECOND;
    vec![
        OpenStep::AtOnceUsers { users: 11 },
        OpenStep::NothingFor { duration_us },
        OpenStep::RampUsers { users: 17, duration_us },
        OpenStep::ConstantUsersPerSec { rate: 7.5, duration_us, randomized: false },
        OpenStep::ConstantUsersPerSec { rate: 7.5, duration_us, randomized: true },
        OpenStep::RampUsersPerSec { from: 1.0, to: 12.0, duration_us, randomized: false },
        OpenStep::RampUsersPerSec { from: 12.0, to: 1.0, duration_us, randomized: true },
        OpenStep::StressPeakUsers { users: 40, duration_us },
        OpenStep::IncrementUsersPerSec {
            increment: 3.0,
            times: 3,
            level_us: SECOND,
            ramp_us: SECOND,
            start: 2.0,
        },
    ]
}

#[test]
fn every_open_step_is_the_same_on_any_number_of_shards() {
    for step in steps() {
        is_the_same_everywhere(&InjectionSpec::Open(vec![step]), 42);
    }
    let all = is_the_same_everywhere(&InjectionSpec::Open(steps()), 42);
    let other = started(&InjectionSpec::Open(steps()), 3, 2, 43);
    assert_eq!(all.len(), other.len());
    assert_ne!(all, other, "randomised steps draw by the seed");
}

#[test]
fn every_closed_step_starts_the_same_users_in_each_second() {
    let duration_us = 4 * SECOND;
    let steps = [
        ClosedStep::ConstantConcurrentUsers { users: 13, duration_us },
        ClosedStep::RampConcurrentUsers { from: 2, to: 30, duration_us },
        ClosedStep::IncrementConcurrentUsers {
            increment: 5,
            times: 3,
            level_us: SECOND,
            ramp_us: SECOND,
            start: 4,
        },
    ];
    // Within its second a shard spreads its own starts; which users they are, and in which second,
    // does not depend on the division.
    let by_second = |spec: &InjectionSpec, shards, threads| {
        let all = started(spec, shards, threads, 1);
        let mut all: Vec<_> = all.into_iter().map(|(at, user)| (at / SECOND, user)).collect();
        all.sort_unstable();
        all
    };
    for step in steps {
        let spec = InjectionSpec::Closed(vec![step]);
        let single = by_second(&spec, 1, 1);
        let mut users: Vec<u64> = single.iter().map(|(_, user)| *user).collect();
        users.sort_unstable();
        assert_eq!(users, (0..users.len() as u64).collect::<Vec<_>>());
        for shards in SHARDS {
            for threads in 1..=3 {
                assert_eq!(by_second(&spec, shards, threads), single, "{shards} × {threads}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_open_profile_is_the_same_on_any_number_of_shards(
        chosen in prop::collection::vec(0_usize..9, 1..5), seed in any::<u64>(),
    ) {
        let all = steps();
        let profile = chosen.into_iter().map(|index| all[index].clone()).collect();
        is_the_same_everywhere(&InjectionSpec::Open(profile), seed);
    }
}

/// What a part of the job starts until `until`, asked every tenth of a second from `from` on.
fn started_between(sources: &mut [Source], from: Micros, until: Micros) -> Vec<(Micros, u64)> {
    let mut all = Vec::new();
    for now in (from..until).step_by(100_000) {
        for source in &mut *sources {
            while let Some(Due { user, scheduled }) = source.due(now) {
                all.push((scheduled, user));
            }
        }
    }
    all
}

fn part(spec: &InjectionSpec, owned: &[u32], threads: u64) -> Vec<Source> {
    let segments = Segments::new(SEGMENTS, owned).unwrap();
    let share = |thread| Share { segments: segments.clone(), thread, threads };
    (0..threads).map(|thread| Source::new(written(spec, 5), share(thread), 0)).collect()
}

proptest! {
    /// A shard is lost at some moment, and two others take its segments over at a later one: the
    /// three start the plan, less what was planned in between, and say how much that is.
    #[test]
    fn who_takes_over_starts_the_rest_of_the_plan_and_counts_what_is_missed(
        lost_at in 0_u64..9_000_000, gap in 0_u64..3_000_000, threads in 1_u64..4,
    ) {
        let spec = InjectionSpec::Open(steps());
        let end = spec.duration_us() + SECOND;
        let [survivor, lost] = <[Vec<u32>; 2]>::try_from(split(&[1, 1])).unwrap();
        let mut all = started_between(&mut part(&spec, &survivor, threads), 0, end);
        let dead = started_between(&mut part(&spec, &lost, threads), 0, lost_at);
        let seen = dead.len() as u64;
        all.extend(dead);
        let from = lost_at + gap;
        let mut before = 0;
        for owned in crate::inject::division::share_out(&lost, &[1, 1]) {
            let mut sources = part(&spec, &owned, threads);
            let begin = Begin { at: from, epoch: 2 };
            before += sources.iter_mut().map(|source| source.begin(written(&spec, 5), begin)).sum::<u64>();
            let theirs = started_between(&mut sources, from, end);
            prop_assert!(theirs.iter().all(|(at, _)| *at >= from));
            all.extend(theirs);
        }
        all.sort_unstable();
        prop_assert!(all.windows(2).all(|pair| pair[0].1 != pair[1].1), "nobody comes twice");
        let planned = spec.planned_users().unwrap();
        prop_assert_eq!(all.len() as u64 + before - seen, planned);
    }
}

/// The closed model: the survivors' concurrency rises to the whole, with users of new numbers.
#[test]
fn who_takes_over_fills_up_to_the_concurrency_of_the_profile() {
    let steps = vec![ClosedStep::ConstantConcurrentUsers { users: 101, duration_us: 9 * SECOND }];
    let spec = InjectionSpec::Closed(steps);
    let [survivor, lost] = <[Vec<u32>; 2]>::try_from(split(&[1, 1])).unwrap();
    let mut all = started_between(&mut part(&spec, &survivor, 2), 0, 9 * SECOND);
    let dead = started_between(&mut part(&spec, &lost, 2), 0, 3 * SECOND);
    assert_eq!(all.len() + dead.len(), 101);
    let mut sources = part(&spec, &lost, 2);
    for source in &mut sources {
        assert_eq!(source.begin(written(&spec, 5), Begin { at: 5_300_000, epoch: 3 }), 0);
    }
    let taken = started_between(&mut sources, 5_300_000, 9 * SECOND);
    assert_eq!(taken.len(), dead.len());
    assert!(taken.iter().all(|(at, _)| (5 * SECOND..6 * SECOND).contains(at)), "{taken:?}");
    all.extend(dead.into_iter().chain(taken));
    let mut users: Vec<u64> = all.iter().map(|(_, user)| *user).collect();
    users.sort_unstable();
    users.dedup();
    assert_eq!(users.len(), all.len());
}

proptest! {
    /// A shard that lives gives segments away, twice: nothing is missed and nobody comes twice,
    /// whatever its threads have looked at ahead.
    #[test]
    fn segments_given_away_change_hands_at_one_moment(
        first in 0_u64..9_000_000, later in 0_u64..3_000_000, threads in 1_u64..4,
    ) {
        let spec = InjectionSpec::Open(steps());
        let end = spec.duration_us() + SECOND;
        let [kept, given] = <[Vec<u32>; 2]>::try_from(split(&[1, 1])).unwrap();
        let mut all = Vec::new();
        let mut giver = part(&spec, &(0..SEGMENTS).collect::<Vec<_>>(), threads);
        for (owned, taken, at, epoch) in
            [(kept.clone(), given, first, 2), (vec![], kept, first + later, 3)]
        {
            let segments = Segments::new(SEGMENTS, &owned).unwrap();
            for (thread, source) in (0..).zip(&mut giver) {
                // Each has looked ahead, to its own next arrival.
                source.next_at(at.saturating_sub(200_000));
                let share = Share { segments: segments.clone(), thread, threads };
                source.keep(written(&spec, 5), share, Begin { at, epoch });
            }
            let mut taker = part(&spec, &taken, threads);
            for source in &mut taker {
                source.begin(written(&spec, 5), Begin { at, epoch });
            }
            all.extend(started_between(&mut taker, at, end));
        }
        all.extend(started_between(&mut giver, 0, end));
        all.sort_unstable();
        let single: Vec<_> = started_between(&mut part(&spec, &(0..SEGMENTS).collect::<Vec<_>>(), 1), 0, end);
        let mut single = single;
        single.sort_unstable();
        prop_assert_eq!(all, single);
        let over = first + later + 100_000;
        prop_assert!(giver.iter_mut().all(|source| source.next_at(over.max(end)).is_none()));
    }
}

/// Who has given all away starts nobody any more and does not wait for the profile's end; the users
/// of the whole that are alive are the taker's from then on.
#[test]
fn a_closed_share_is_given_away_at_one_moment() {
    let steps = vec![ClosedStep::ConstantConcurrentUsers { users: 100, duration_us: 9 * SECOND }];
    let spec = InjectionSpec::Closed(steps);
    let everything: Vec<u32> = (0..SEGMENTS).collect();
    let mut giver = part(&spec, &everything, 1);
    assert_eq!(started_between(&mut giver, 0, 2 * SECOND).len(), 100);
    let share = Share { segments: Segments::new(SEGMENTS, &[]).unwrap(), thread: 0, threads: 1 };
    giver[0].keep(written(&spec, 5), share, Begin { at: 3 * SECOND, epoch: 2 });
    assert!(giver[0].ended(3 * SECOND - 1).is_some());
    assert!(giver[0].next_at(3 * SECOND - 1).is_some());
    assert!(giver[0].ended(3 * SECOND).is_none());
    assert_eq!(giver[0].next_at(3 * SECOND), None);
    let mut taker = part(&spec, &everything, 1);
    taker[0].begin(written(&spec, 5), Begin { at: 3 * SECOND, epoch: 2 });
    assert_eq!(started_between(&mut taker, 3 * SECOND, 5 * SECOND).len(), 100);
}

fn whole(spec: &InjectionSpec, load: &Load) -> Vec<(Micros, u64)> {
    let share = Share { segments: Segments::all(), thread: 0, threads: 1 };
    let profile = Profile { inject: spec, seed: 5, load };
    let mut sources = [Source::new(profile, share, 0)];
    started_between(&mut sources, 0, spec.duration_us() + SECOND)
}

fn changes() -> impl Strategy<Value = Vec<LoadChange>> {
    let factor = prop_oneof![Just(0_u32), Just(1_000), Just(2_000), 100_u32..5_000];
    prop::collection::vec((0_u64..30, factor), 1..5).prop_map(|mut all| {
        all.sort_by_key(|(at, _)| *at);
        all.iter().map(|&(at, factor)| LoadChange { at_us: at * SECOND, factor }).collect()
    })
}

proptest! {
    /// Changes become known one after the other, ahead of their instants and while segments change
    /// hands in between: all shards and threads together start the plan under that load.
    #[test]
    fn a_load_that_changes_is_the_same_on_any_number_of_shards(
        changes in changes(), ahead in 1_u64..2_500_000, given_at in 0_u64..20_000_000,
        threads in 1_u64..4, shards in prop::sample::select(&SHARDS[..]),
    ) {
        let spec = InjectionSpec::Open(steps());
        let end = spec.duration_us() + SECOND;
        let parts = split(&vec![1; shards]);
        let mut all = Vec::new();
        for (index, owned) in parts.iter().enumerate() {
            let mut sources = part(&spec, owned, threads);
            let mut taker: Vec<Source> = Vec::new();
            let (mut known, mut load, mut kept) = (0, Load::default(), false);
            for now in (0..end).step_by(50_000) {
                while changes.get(known).is_some_and(|it| it.at_us <= now + ahead) {
                    known += 1;
                    load = Load::new(&changes[..known]);
                    let profile = Profile { inject: &spec, seed: 5, load: &load };
                    for source in sources.iter_mut().chain(&mut taker) {
                        source.load(profile, changes[known - 1].at_us);
                    }
                }
                // The first shard gives all that it has to another, which it says a second before.
                if index == 0 && !kept && now + SECOND >= given_at {
                    kept = true;
                    let begin = Begin { at: now + SECOND, epoch: 2 };
                    let profile = Profile { inject: &spec, seed: 5, load: &load };
                    for (thread, source) in (0..).zip(&mut sources) {
                        let segments = Segments::new(SEGMENTS, &[]).unwrap();
                        source.keep(profile, Share { segments, thread, threads }, begin);
                    }
                    taker = part(&spec, owned, threads);
                    for source in &mut taker {
                        source.begin(profile, begin);
                    }
                }
                for source in sources.iter_mut().chain(&mut taker) {
                    while let Some(Due { user, scheduled }) = source.due(now) {
                        all.push((scheduled, user));
                    }
                }
            }
        }
        all.sort_unstable();
        let load = Load::new(&changes);
        prop_assert_eq!(Some(all.len() as u64), planned_users(&spec, &load, 5));
        prop_assert_eq!(all, whole(&spec, &load));
    }

    /// Who hears of a change after its instant has started what was not to be started, or not what
    /// was: from then on it follows, nobody comes twice, and what is owed is due at once.
    #[test]
    fn a_change_heard_late_starts_nobody_twice(
        at in 0_u64..20, late in 0_u64..4_000_000, factor in prop_oneof![Just(0_u32), 100_u32..5_000],
        again in 0_u64..9, threads in 1_u64..4,
    ) {
        let spec = InjectionSpec::Open(steps());
        let end = spec.duration_us() + SECOND;
        let back = LoadChange { at_us: (at + again) * SECOND + 4_000_000, factor: 1_000 };
        let changes = [LoadChange { at_us: at * SECOND, factor }, back];
        let mut all = Vec::new();
        for owned in split(&[1, 1]) {
            let mut sources = part(&spec, &owned, threads);
            all.extend(started_between(&mut sources, 0, changes[0].at_us + late));
            for known in 1..=2 {
                let load = Load::new(&changes[..known]);
                let profile = Profile { inject: &spec, seed: 5, load: &load };
                sources.iter_mut().for_each(|it| it.load(profile, changes[known - 1].at_us));
            }
            all.extend(started_between(&mut sources, changes[0].at_us + late, end));
        }
        let mut users: Vec<u64> = all.iter().map(|(_, user)| *user).collect();
        users.sort_unstable();
        let planned = planned_users(&spec, &Load::new(&changes), 5).unwrap();
        let twice = users.windows(2).any(|pair| pair[0] == pair[1]);
        prop_assert!(!twice, "nobody comes twice");
        prop_assert!((0..planned).all(|k| users.binary_search(&k).is_ok()), "everybody came");
    }
}

/// Concurrency times the factor, from the second on in which the change holds, on all shards
/// together; in a pause nobody takes the place of who ends.
#[test]
fn a_closed_profile_follows_the_load() {
    let steps = vec![ClosedStep::ConstantConcurrentUsers { users: 31, duration_us: 12 * SECOND }];
    let spec = InjectionSpec::Closed(steps);
    let change = |second: u64, factor| LoadChange { at_us: second * SECOND, factor };
    let load = Load::new(&[change(3, 2_000), change(5, 0), change(8, 500), change(10, 1_000)]);
    for shards in SHARDS {
        let parts = split(&vec![1; shards]);
        let mut sources: Vec<Source> =
            parts.iter().flat_map(|owned| part(&spec, owned, 2)).collect();
        let profile = Profile { inject: &spec, seed: 5, load: &load };
        sources.iter_mut().for_each(|source| source.load(profile, 3 * SECOND));
        let mut new =
            |from: u64, to: u64| started_between(&mut sources, from * SECOND, to * SECOND).len();
        assert_eq!((new(0, 3), new(3, 5)), (31, 31), "{shards} shards");
        for source in &mut sources {
            // At the very instant of the pause, before anybody was asked for new users.
            assert!(source.ended(5 * SECOND).is_none());
        }
        let mut new =
            |from: u64, to: u64| started_between(&mut sources, from * SECOND, to * SECOND).len();
        assert_eq!(new(5, 8), 0);
        // Half of 31 is 16, of which there are more.
        assert_eq!(new(8, 10), 0);
    }
}

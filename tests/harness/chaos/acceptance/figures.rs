//! What the target's counts say of a load: its rate over time, what is missing of the plan, who sent
//! what. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use onrush_scenario::inject::{OpenStep, schedule};

use crate::target::{BUCKET_MS, Ids, Sources};

/// Buckets of a second.
const SECOND: usize = 10;
const _: () = assert!(BUCKET_MS == 100, "ten buckets are a second");
/// Of the planned rate: the rate is as planned as long as it differs by no more.
const TOLERANCE: f64 = 0.01;
/// A machine that is not overloaded holds nothing up for longer.
const HELD_UP_MS: f64 = 100.0;
/// The rate is back when it stays as planned for so many seconds.
const STEADY_SECONDS: usize = 3;

/// A load of constantly so many users a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) rate: u32,
    pub(super) seconds: u32,
}

impl Load {
    #[must_use]
    pub(super) fn users(self) -> u64 {
        u64::from(self.rate) * u64::from(self.seconds)
    }

    /// The planned start of each arrival.
    fn plan(self) -> impl Iterator<Item = (u64, u64)> {
        let step = OpenStep::ConstantUsersPerSec {
            rate: f64::from(self.rate),
            duration_us: u64::from(self.seconds) * 1_000_000,
            randomized: false,
        };
        schedule(&[step], 0)
            .map(|arrival| (arrival.k, arrival.at_us))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Arrivals that did not come, by the second for which they were planned.
    #[must_use]
    pub(super) fn missing(self, ids: &Ids) -> BTreeMap<u32, u64> {
        let mut missing = BTreeMap::new();
        for (_, at_us) in self.plan().filter(|(k, _)| !has(ids, *k)) {
            *missing.entry(u32::try_from(at_us / 1_000_000).unwrap_or(u32::MAX)).or_default() += 1;
        }
        missing
    }

    /// When the last arrival that did not come was planned, in microseconds from the start.
    #[must_use]
    pub(super) fn last_missing_us(self, ids: &Ids) -> Option<u64> {
        self.plan().filter(|(k, _)| !has(ids, *k)).map(|(_, at_us)| at_us).max()
    }
}

fn has(ids: &Ids, id: u64) -> bool {
    let after = ids.seen.partition_point(|(first, _)| *first <= id);
    after.checked_sub(1).is_some_and(|at| ids.seen[at].1 >= id)
}

/// Whether a count of a second is the planned one.
#[must_use]
pub(super) fn as_planned(count: u64, rate: f64) -> bool {
    (count as f64 - rate).abs() <= rate * TOLERANCE
}

/// Requests of a name in each bucket, from all addresses or from one.
#[must_use]
pub(super) fn buckets(sources: &Sources, name: &str, from: Option<IpAddr>) -> Vec<u64> {
    let mut sum = Vec::new();
    let wanted = sources.by_source.iter().filter(|(it, _)| from.is_none_or(|from| from == **it));
    for counts in wanted.filter_map(|(_, names)| names.get(name)) {
        if sum.len() < counts.len() {
            sum.resize(counts.len(), 0);
        }
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    sum
}

/// Arrivals that came, by when they were planned and when they came, both in milliseconds from the
/// first request: as the most punctual one says.
#[must_use]
pub(super) fn planned_and_came(load: Load, times: &[Option<u32>]) -> Vec<(f64, f64)> {
    let came = |(k, at_us): (u64, u64)| {
        let came_ms = times.get(usize::try_from(k).ok()?)?.as_ref()?;
        Some((at_us as f64 / 1_000.0, f64::from(*came_ms)))
    };
    let mut all: Vec<(f64, f64)> = load.plan().filter_map(came).collect();
    let start = all.iter().map(|(planned, came)| came - planned).fold(f64::INFINITY, f64::min);
    all.iter_mut().for_each(|(planned, _)| *planned += start);
    all
}

/// How many of them came within the second from a bucket on, and were planned before it: a busy
/// machine held them up, for so many milliseconds at most. The rest of that second is its own, and
/// what is there twice is not among them.
#[must_use]
pub(super) fn held_up(arrivals: &[(f64, f64)], bucket: usize) -> f64 {
    let (from, to) =
        ((bucket as u64 * BUCKET_MS) as f64, ((bucket + SECOND) as u64 * BUCKET_MS) as f64);
    let late = |(planned, came): &&(f64, f64)| {
        (from..to).contains(came) && *planned < from && came - planned <= HELD_UP_MS
    };
    arrivals.iter().filter(late).count() as f64
}

/// Counts of whole seconds, from a bucket on.
#[must_use]
pub(super) fn seconds(buckets: &[u64], from: usize) -> Vec<u64> {
    buckets.get(from..).unwrap_or_default().chunks(SECOND).map(|it| it.iter().sum()).collect()
}

/// From which bucket on the rate is as planned, and stays so for some seconds.
#[must_use]
pub(super) fn back(buckets: &[u64], rate: f64, from: usize) -> Option<usize> {
    let steady = |at: &usize| {
        let next = seconds(buckets, *at);
        next.len() >= STEADY_SECONDS
            && next[..STEADY_SECONDS].iter().all(|it| as_planned(*it, rate))
    };
    (from..buckets.len()).find(steady)
}

/// Where the most came within any second, by its first bucket, and how much; `moved` is what came over
/// the beginning of a bucket because it was late, and does not count.
#[must_use]
pub(super) fn most(buckets: &[u64], moved: impl Fn(usize) -> f64) -> (usize, f64) {
    let second =
        |(at, window): (usize, &[u64])| (at, window.iter().sum::<u64>() as f64 - moved(at));
    buckets
        .windows(SECOND)
        .enumerate()
        .map(second)
        .fold((0, 0.0), |most, next| if next.1 > most.1 { next } else { most })
}

/// Whether counts of so many seconds in a row, from a bucket on, are the planned ones, but for what
/// pauses of the machine may have moved over their beginnings and ends. Those that are not.
#[must_use]
pub(super) fn unplanned(
    seconds: &[u64],
    from: usize,
    rate: f64,
    moved: impl Fn(usize) -> f64,
) -> Vec<(usize, u64)> {
    let differs = |(number, count): &(usize, u64)| {
        let begin = from + number * SECOND;
        let excused = moved(begin).max(moved(begin + SECOND));
        (*count as f64 - rate).abs() > rate * TOLERANCE + excused
    };
    seconds.iter().copied().enumerate().filter(differs).collect()
}

/// The last bucket before `to` in which something came.
#[must_use]
pub(super) fn last_before(buckets: &[u64], to: usize) -> Option<usize> {
    buckets.iter().take(to).rposition(|count| *count > 0)
}

/// The bucket of a time.
#[must_use]
pub(super) fn bucket_of(sources: &Sources, unix_ms: u64) -> usize {
    let since = unix_ms.saturating_sub(sources.start_unix_ms.unwrap_or(unix_ms));
    usize::try_from(since / BUCKET_MS).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Counts;

    #[test]
    fn what_did_not_come_is_missing_in_the_second_of_its_plan() {
        let counts = Counts::default();
        (0..40).filter(|id| ![12, 13, 25].contains(id)).for_each(|id| counts.arrival("first", id));
        let load = Load { rate: 10, seconds: 4 };
        let ids = &counts.ids()["first"];
        assert_eq!(load.missing(ids), BTreeMap::from([(1, 2), (2, 1)]));
        let last = load.last_missing_us(ids).unwrap();
        assert!((2_500_000..2_600_000).contains(&last), "{last}");
        let none = Load { rate: 1, seconds: 1 };
        assert_eq!(none.missing(ids), BTreeMap::new());
    }

    #[test]
    fn the_rate_is_back_when_it_stays_as_planned() {
        // A fifth is gone for 1.5 s, and once more for a moment.
        let mut all = vec![100; 100];
        all[20..35].fill(80);
        all[50] = 60;
        assert_eq!(back(&all, 1_000.0, 20), Some(51));
        all[50] = 95;
        assert_eq!(back(&all, 1_000.0, 20), Some(35));
        assert_eq!(back(&all, 1_250.0, 20), None);
        assert_eq!(seconds(&all, 15)[..2], [900, 800]);
        assert_eq!(
            (most(&all, |_| 0.0), last_before(&[1, 2, 0, 0, 5], 4)),
            ((0, 1_000.0), Some(1))
        );
    }

    #[test]
    fn what_a_pause_moved_is_not_too_much_and_all_else_is() {
        // Behind a pause of 19 ms at the beginning of bucket 30.
        let mut all = vec![100; 60];
        (all[29], all[30]) = (81, 119);
        let pause = |at| if at == 30 { 19.0 } else { 0.0 };
        assert_eq!(most(&all, |_| 0.0), (30, 1_019.0));
        assert_eq!(most(&all, pause).1, 1_000.0);
        all[35] = 120;
        assert_eq!(most(&all, pause), (26, 1_020.0), "a pause elsewhere excuses nothing");
        // A quarter twice for two seconds.
        all[20..40].fill(125);
        assert_eq!(most(&all, pause), (20, 1_250.0));
    }

    #[test]
    fn what_was_held_up_is_told_from_what_is_there_twice() {
        let load = Load { rate: 100, seconds: 6 };
        // 7 ms from the first request to the first arrival; the processor away from 2,960 to 3,010.
        let mut times: Vec<Option<u32>> = (0..600).map(|k| Some(7 + k * 10)).collect();
        times[296..301].fill(Some(3_010));
        times[10] = None;
        let all = planned_and_came(load, &times);
        assert_eq!((all.len(), all[0], all[295]), (599, (7.0, 7.0), (2_967.0, 3_010.0)));
        assert_eq!(held_up(&all, 30), 4.0);
        assert_eq!([29, 20, 31].map(|at| held_up(&all, at)), [0.0; 3]);
        // What comes later than any pause lasts is no excuse.
        times[280] = Some(3_020);
        assert_eq!(held_up(&planned_and_came(load, &times), 30), 4.0);
    }

    #[test]
    fn seconds_are_as_planned_but_for_what_a_pause_moved_over_their_ends() {
        let counts = [1_000, 981, 1_019, 1_010, 989];
        let pause = |at| if at == 50 { 9.0 } else { 0.0 };
        assert_eq!(unplanned(&counts, 30, 1_000.0, |_| 0.0), [(1, 981), (2, 1_019), (4, 989)]);
        assert_eq!(unplanned(&counts, 30, 1_000.0, pause), [(4, 989)]);
        assert_eq!(unplanned(&counts[..1], 50, 990.0, pause), []);
    }

    #[test]
    fn counts_are_told_apart_by_who_sent_them() {
        let from = |last: u8| IpAddr::from([10, 77, 0, last]);
        let names = |counts: &[u64]| BTreeMap::from([("first".to_owned(), counts.to_vec())]);
        let by_source = BTreeMap::from([(from(1), names(&[1, 2])), (from(2), names(&[4]))]);
        let sources = Sources { start_unix_ms: Some(5_000), by_source, ..Sources::default() };
        assert_eq!(buckets(&sources, "first", None), [5, 2]);
        assert_eq!(buckets(&sources, "first", Some(from(2))), [4]);
        assert_eq!(buckets(&sources, "second", None), [0; 0]);
        assert_eq!((bucket_of(&sources, 7_150), bucket_of(&sources, 4_000)), (21, 0));
    }
}

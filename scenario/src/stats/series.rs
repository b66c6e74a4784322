//! The run over time: one bucket per second, merged exactly into wider ones when a run grows long,
//! so that memory does not grow with its length. Refuses to interpolate: what was not measured
//! stays a gap.

use std::collections::BTreeMap;

use super::frame::Times;
use super::merge::SecondDelta;
use super::summary::{ScenarioSeries, Series};

/// Points of a rendered series, at most.
pub const POINTS_MAX: u32 = 1_000;
/// Buckets that are kept, at most.
const BUCKETS_MAX: usize = 2_000;
/// Widths of kept buckets, each a multiple of the one before.
const KEPT_WIDTHS: [u32; 5] = [1, 10, 60, 600, 3_600];
/// Widths of rendered buckets.
const WIDTHS: [u32; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 86_400];
/// For so many seconds, users of late frames are still added to those of their second.
const LATE_SECONDS: u32 = 300;

#[derive(Clone, Debug, Default)]
struct Bucket {
    ok: Times,
    ko: u64,
    sent: u64,
    errors: u64,
    bytes_sent: u64,
    bytes_received: u64,
    opened: u64,
    ended: u64,
    users: u64,
    /// By scenario: the most users at once, and users started.
    scenarios: BTreeMap<String, (u64, u64)>,
}

impl Bucket {
    fn add(&mut self, other: &Self) {
        self.ok.merge(&other.ok);
        self.ko += other.ko;
        self.sent += other.sent;
        self.errors += other.errors;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.opened += other.opened;
        self.ended += other.ended;
        self.users = self.users.max(other.users);
        for (name, (users, started)) in &other.scenarios {
            let sum = self.scenarios.entry(name.clone()).or_default();
            sum.0 = sum.0.max(*users);
            sum.1 += started;
        }
    }
}

/// Grows with ticks; see the module.
#[derive(Clone, Debug)]
pub struct Recent {
    width: u32,
    buckets: BTreeMap<u32, Bucket>,
    /// Users of the last seconds by scenario, summed over the shards.
    users: BTreeMap<u32, BTreeMap<String, u64>>,
    peak: u64,
}

impl Default for Recent {
    fn default() -> Self {
        let (buckets, users) = Default::default();
        Self { width: 1, buckets, users, peak: 0 }
    }
}

impl Recent {
    /// Adds one second of a tick.
    pub fn add(&mut self, delta: &SecondDelta) {
        let mut bucket = Bucket::default();
        for request in &delta.requests {
            bucket.ok.merge(&request.ok);
            bucket.ko += request.ko.count;
            bucket.sent += request.sent;
            bucket.bytes_sent += request.bytes_sent;
            bucket.bytes_received += request.bytes_received;
        }
        bucket.errors = delta.errors.iter().map(|error| error.count).sum();
        bucket.opened = delta.connections.opened;
        let users = self.users.entry(delta.second).or_default();
        for scenario in delta.shards.iter().flat_map(|shard| &shard.scenarios) {
            bucket.ended += scenario.ended;
            *users.entry(scenario.name.clone()).or_default() += scenario.active_max;
            bucket.scenarios.entry(scenario.name.clone()).or_default().1 += scenario.started;
        }
        for (name, count) in users.iter() {
            bucket.scenarios.entry(name.clone()).or_default().0 = *count;
        }
        bucket.users = users.values().sum();
        self.peak = self.peak.max(bucket.users);
        let newest = self.users.last_key_value().map_or(0, |(second, _)| *second);
        self.users = self.users.split_off(&newest.saturating_sub(LATE_SECONDS));
        self.buckets.entry(delta.second / self.width).or_default().add(&bucket);
        self.widen();
    }

    /// The most users at once.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak
    }

    fn widen(&mut self) {
        while self.buckets.len() > BUCKETS_MAX {
            let Some(&next) = KEPT_WIDTHS.iter().find(|width| **width > self.width) else { return };
            let factor = next / self.width;
            let mut wide: BTreeMap<u32, Bucket> = BTreeMap::new();
            for (at, bucket) in &self.buckets {
                wide.entry(at / factor).or_default().add(bucket);
            }
            self.buckets = wide;
            self.width = next;
        }
    }

    /// The columns, at most [`POINTS_MAX`] points, and whether the last seconds may still grow.
    #[must_use]
    pub fn render(&self) -> Series {
        let Some((&last, _)) = self.buckets.last_key_value() else { return Series::default() };
        let seconds = (last + 1).saturating_mul(self.width);
        let fits = |width: &&u32| {
            width.is_multiple_of(self.width) && seconds.div_ceil(**width) <= POINTS_MAX
        };
        let width = WIDTHS.iter().find(fits).copied().unwrap_or(WIDTHS[WIDTHS.len() - 1]);
        let factor = width / self.width;
        let mut points = vec![None; (last / factor) as usize + 1];
        for (at, bucket) in &self.buckets {
            let point: &mut Option<Bucket> = &mut points[(at / factor) as usize];
            point.get_or_insert_default().add(bucket);
        }
        columns(width, &points)
    }
}

fn columns(width_s: u32, points: &[Option<Bucket>]) -> Series {
    let mut series = Series { width_s, ..Series::default() };
    let names = points.iter().flatten().flat_map(|bucket| bucket.scenarios.keys());
    let mut scenarios: BTreeMap<String, ScenarioSeries> = names
        .map(|name| (name.clone(), ScenarioSeries { name: name.clone(), ..Default::default() }))
        .collect();
    for point in points {
        let get = |read: fn(&Bucket) -> u64| point.as_ref().map(read);
        series.users.push(get(|b| b.users));
        series.started.push(get(|b| b.scenarios.values().map(|(_, started)| started).sum()));
        series.ended.push(get(|b| b.ended));
        series.sent.push(get(|b| b.sent));
        series.ok.push(get(|b| b.ok.count));
        series.ko.push(get(|b| b.ko));
        series.errors.push(get(|b| b.errors));
        series.bytes_sent.push(get(|b| b.bytes_sent));
        series.bytes_received.push(get(|b| b.bytes_received));
        series.connections_opened.push(get(|b| b.opened));
        let times = point.as_ref().map(|bucket| &bucket.ok).filter(|ok| !ok.is_empty());
        let percentile = |percent| times.map(|ok| round(ok.percentile_us(percent)));
        series.min_us.push(times.map(|ok| ok.min_us));
        series.p50_us.push(percentile(50.0));
        series.p75_us.push(percentile(75.0));
        series.p95_us.push(percentile(95.0));
        series.p99_us.push(percentile(99.0));
        series.max_us.push(times.map(|ok| ok.max_us));
        for (name, scenario) in &mut scenarios {
            let entry = point.as_ref().map(|b| b.scenarios.get(name).copied().unwrap_or_default());
            scenario.users.push(entry.map(|(users, _)| users));
            scenario.started.push(entry.map(|(_, started)| started));
        }
    }
    series.scenarios = scenarios.into_values().collect();
    series
}

/// Microseconds to the nearest whole one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are positive and at most 24 h"
)]
pub(super) fn round(us: f64) -> u64 {
    us.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::frame::{RequestDelta, ScenarioDelta};
    use crate::stats::merge::ShardDelta;

    fn delta(second: u32, shard: u32, active: u64) -> SecondDelta {
        let scenario = ScenarioDelta {
            name: "s".into(),
            started: 1,
            active,
            active_max: active,
            ..ScenarioDelta::default()
        };
        SecondDelta {
            second,
            requests: vec![RequestDelta {
                path: vec!["r".into()],
                sent: 1,
                ok: Times::of([u64::from(second) * 1_000 + 1_000]),
                ..RequestDelta::default()
            }],
            shards: vec![ShardDelta { shard, scenarios: vec![scenario], ..ShardDelta::default() }],
            ..SecondDelta::default()
        }
    }

    #[test]
    fn gaps_stay_gaps_and_late_frames_add_to_their_second() {
        let mut recent = Recent::default();
        for (second, shard, active) in [(3, 0, 5), (0, 0, 2), (3, 1, 4)] {
            recent.add(&delta(second, shard, active));
        }
        let series = recent.render();
        assert_eq!(series.width_s, 1);
        assert_eq!(series.users, [Some(2), None, None, Some(9)]);
        assert_eq!(series.ok, [Some(1), None, None, Some(2)]);
        assert_eq!(series.max_us, [Some(1_000), None, None, Some(4_000)]);
        assert_eq!(series.scenarios[0].started, [Some(1), None, None, Some(2)]);
        assert_eq!(recent.peak(), 9);
    }

    #[test]
    fn a_long_run_is_merged_exactly_into_a_bounded_number_of_points() {
        let mut recent = Recent::default();
        let seconds = 40_000u32;
        for second in 0..seconds {
            recent.add(&delta(second, 0, u64::from(second)));
        }
        assert!(recent.buckets.len() <= BUCKETS_MAX && recent.users.len() <= 301);
        let series = recent.render();
        assert_eq!(series.width_s, 60);
        assert_eq!(series.ok.len(), 667);
        assert_eq!(series.ok.iter().flatten().sum::<u64>(), u64::from(seconds));
        assert_eq!(series.users[0], Some(59));
        assert_eq!(series.users[666], Some(u64::from(seconds) - 1));
        assert_eq!(series.max_us[1], Some(120_000));
    }
}

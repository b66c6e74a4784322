//! The state of a run while it goes on: what the terminal and the live stream show. Taken from the
//! aggregate once a second; never from the hot path.

use serde::{Deserialize, Serialize};

use super::aggregate::Aggregate;
use super::frame::Times;
use super::merge::SecondDelta;
use super::series::round;

/// Rows and errors of a view, at most; the rest is said in `rows_more`, `errors_more`.
pub const LIVE_ROWS_MAX: usize = 100;
const LIVE_ERRORS_MAX: usize = 10;

/// Times are microseconds, rates per second, shares percent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveView {
    /// The newest second that was measured.
    pub second: u32,
    pub users_active: u64,
    pub users_started: u64,
    pub users_ended: u64,
    pub users_dropped: u64,
    /// Absent in the closed model, or when a scenario's number is not known beforehand.
    pub users_planned: Option<u64>,
    pub scenarios: Vec<LiveScenario>,
    /// Responses, and those KO, since the start.
    pub count: u64,
    pub ko: u64,
    pub ko_percent: f64,
    /// Responses of the last second.
    pub rps: u64,
    pub rps_ko: u64,
    pub bytes_sent_ps: u64,
    pub bytes_received_ps: u64,
    /// Of the last second, OK and KO.
    pub last: LiveTimes,
    /// Since the start, OK and KO.
    pub total: LiveTimes,
    /// Busiest first.
    pub rows: Vec<LiveRow>,
    pub rows_more: u64,
    /// Most frequent first.
    pub errors: Vec<LiveError>,
    pub errors_total: u64,
    pub errors_more: u64,
    /// The busiest shard's CPU in the last second, in percent of one core.
    pub cpu_percent: f32,
    pub lateness_p99_us: u64,
    /// Seconds in which the generator set the pace.
    pub flagged_seconds: u64,
    pub connections_opened: u64,
    pub shards: u32,
    /// Absent: as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LiveLoad>,
}

/// What the load is in the newest second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveLoad {
    pub factor: f64,
    pub paused: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveScenario {
    pub name: String,
    pub planned: Option<u64>,
    pub started: u64,
    pub active: u64,
    pub ended: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveTimes {
    pub count: u64,
    pub p50_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveRow {
    pub path: Vec<String>,
    pub count: u64,
    pub ko: u64,
    pub rps: u64,
    pub p50_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveError {
    pub message: String,
    pub path: Vec<String>,
    pub count: u64,
}

impl LiveTimes {
    fn of(times: &Times) -> Self {
        let percentile = |percent| round(times.percentile_us(percent));
        Self {
            count: times.count,
            p50_us: percentile(50.0),
            p95_us: percentile(95.0),
            p99_us: percentile(99.0),
            max_us: times.max_us,
        }
    }
}

impl Aggregate {
    /// The present state.
    #[must_use]
    pub fn live(&self) -> LiveView {
        let empty = SecondDelta::default();
        let last = self.live.last_key_value().and_then(|(_, tick)| tick.seconds.first());
        let last = last.unwrap_or(&empty);
        let mut times = Times::default();
        for request in &last.requests {
            times.merge(&request.ok);
            times.merge(&request.ko);
        }
        let all = self.ok.merged(&self.ko);
        let sum =
            |read: fn(&super::frame::RequestDelta) -> u64| last.requests.iter().map(read).sum();
        let mut view = LiveView {
            second: last.second,
            count: all.count,
            ko: self.ko.count,
            ko_percent: super::summarize::percent(self.ko.count, all.count),
            rps: times.count,
            rps_ko: sum(|r| r.ko.count),
            bytes_sent_ps: sum(|r| r.bytes_sent),
            bytes_received_ps: sum(|r| r.bytes_received),
            last: LiveTimes::of(&times),
            total: LiveTimes::of(&all),
            errors_total: self.errors_total,
            users_dropped: self.health().dropped,
            flagged_seconds: self.flagged.len() as u64,
            connections_opened: self.connections.opened,
            shards: u32::try_from(last.shards.len()).unwrap_or(u32::MAX),
            ..LiveView::default()
        };
        for shard in &last.shards {
            view.cpu_percent = view.cpu_percent.max(shard.generator.cpu_percent);
            view.lateness_p99_us = view.lateness_p99_us.max(shard.generator.lateness_p99_us);
        }
        self.live_users(&mut view);
        self.live_rows(&mut view, last);
        self.live_errors(&mut view);
        view
    }

    fn live_users(&self, view: &mut LiveView) {
        view.users_planned = Some(0);
        for (name, total) in &self.scenarios {
            view.users_active += total.active();
            view.users_started += total.started;
            view.users_ended += total.ended;
            view.users_planned = view.users_planned.zip(total.planned.1).map(|(a, b)| a + b);
            view.scenarios.push(LiveScenario {
                name: name.clone(),
                planned: total.planned.1,
                started: total.started,
                active: total.active(),
                ended: total.ended,
            });
        }
        view.users_planned = view.users_planned.filter(|planned| *planned > 0);
    }

    fn live_rows(&self, view: &mut LiveView, last: &SecondDelta) {
        let mut busiest: Vec<_> = self.requests.iter().collect();
        let count =
            |total: &super::aggregate::RequestTotal| total.sum.ok.count + total.sum.ko.count;
        busiest.sort_by_key(|(_, total)| std::cmp::Reverse(count(total)));
        view.rows_more = busiest.len().saturating_sub(LIVE_ROWS_MAX) as u64;
        for (path, total) in busiest.into_iter().take(LIVE_ROWS_MAX) {
            let times = LiveTimes::of(&total.sum.ok.merged(&total.sum.ko));
            let now = last.requests.iter().find(|request| request.path == *path);
            view.rows.push(LiveRow {
                path: path.clone(),
                count: times.count,
                ko: total.sum.ko.count,
                rps: now.map_or(0, |request| request.ok.count + request.ko.count),
                p50_us: times.p50_us,
                p95_us: times.p95_us,
                p99_us: times.p99_us,
            });
        }
    }

    fn live_errors(&self, view: &mut LiveView) {
        let mut kinds: Vec<_> = self.errors.iter().collect();
        kinds.sort_by_key(|(_, total)| std::cmp::Reverse(total.count));
        view.errors_more = kinds.len().saturating_sub(LIVE_ERRORS_MAX) as u64;
        for ((path, message, _), total) in kinds.into_iter().take(LIVE_ERRORS_MAX) {
            let (path, message) = (path.clone(), message.clone());
            view.errors.push(LiveError { message, path, count: total.count });
        }
    }
}

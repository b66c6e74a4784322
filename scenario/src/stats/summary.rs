//! `onrush.summary/v1`: the machine-readable result of a run, and what the report is drawn from.
//! Additions keep the version; times are integer microseconds (`…_us`), rates are per second,
//! shares are percent (0 to 100). A value that does not exist (a percentile of nothing) is `null`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::sample::{Excerpt, Sample};

/// [`Summary::schema`].
pub const SCHEMA: &str = "onrush.summary/v1";

/// The whole result of a run or job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Always `onrush.summary/v1`.
    pub schema: String,
    pub run: RunInfo,
    /// `running`, `finished`, `aborted`, `failed`, `lost`.
    pub status: String,
    pub verdict: Verdict,
    pub assertions: Vec<AssertionResult>,
    /// The first row is `Global`; then groups and requests, each group before what is in it.
    pub rows: Vec<Row>,
    pub errors: Vec<ErrorRow>,
    /// All errors: what the shares of `errors` refer to, also those beyond its cap.
    pub errors_total: u64,
    pub scenarios: Vec<ScenarioRow>,
    /// Most users alive at once.
    pub users_peak: u64,
    /// Code (0: no response) and count, ascending.
    pub codes: Vec<CodeRow>,
    pub connections: ConnectionTotals,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub ranges: Ranges,
    pub distribution: Distribution,
    pub series: Series,
    pub generator: Generator,
    pub shards: Vec<ShardRow>,
    /// Share of the planned load that was measured: 1 when nothing was lost.
    pub coverage: f64,
    pub lost: Vec<LostPart>,
    /// The most that can lie between the first and the last shard's start, as far as their clocks
    /// tell; absent for a single shard.
    pub start_spread_us: Option<u64>,
    /// What happened, for markers on the time charts.
    pub events: Vec<Event>,
    /// Changes of the load while it ran, in order; none: all of it was as written.
    pub load: Vec<LoadStep>,
    /// Bounds that were hit while measuring, in words.
    pub notices: Vec<String>,
}

/// What the load was from an instant on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadStep {
    /// Since the common start.
    pub at_us: u64,
    /// Of the rates and the concurrency that the simulation says.
    pub factor: f64,
    /// Nobody new was started.
    pub paused: bool,
    /// Who asked for it.
    pub by: String,
}

impl LoadStep {
    /// `×2`, `paused`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.paused { "paused".to_owned() } else { format!("×{}", self.factor) }
    }
}

/// What was run, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    /// The job's id; empty for a run on one machine.
    pub id: String,
    pub simulation: String,
    pub title: String,
    pub started_unix_ms: u64,
    pub ended_unix_ms: u64,
    /// Whole seconds from the first start to the last event: what rates are divided by.
    pub window_s: u64,
    pub seed: u64,
    pub parameters: BTreeMap<String, String>,
    /// Of Onrush.
    pub version: String,
    pub nodes: u32,
    /// Why the run ended, where not by itself.
    pub end_reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub value: VerdictValue,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictValue {
    Passed,
    Failed,
    Inconclusive,
    #[default]
    None,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AssertionResult {
    /// `Global`, or the path's parts joined by ` / `.
    pub path: String,
    /// `95th percentile of response time`.
    pub target: String,
    /// `is less than 500.0`.
    pub condition: String,
    pub passed: bool,
    /// Milliseconds, a count, percent, or per second; absent when nothing has that path.
    pub actual: Option<f64>,
    /// Gatling's line for it.
    pub text: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    #[default]
    Global,
    Group,
    Request,
}

/// A line of the statistics table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub kind: RowKind,
    /// Groups, outermost first, and the request; empty for `Global`.
    pub path: Vec<String>,
    /// Response times; of a group, the sum of those inside, pauses excluded.
    pub stats: Stats,
    /// Groups only: from entering to leaving.
    pub duration: Option<Stats>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub all: Numbers,
    pub ok: Numbers,
    pub ko: Numbers,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    pub count: u64,
    /// Of the row's count; 0 when that is 0.
    pub percent: f64,
    pub per_second: f64,
    pub min_us: Option<u64>,
    pub p50_us: Option<u64>,
    pub p75_us: Option<u64>,
    pub p95_us: Option<u64>,
    pub p99_us: Option<u64>,
    pub p999_us: Option<u64>,
    pub max_us: Option<u64>,
    pub mean_us: Option<u64>,
    pub std_dev_us: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorRow {
    pub message: String,
    pub count: u64,
    /// Of all errors, in percent.
    pub share: f64,
    /// True for a request that could not be built: no request was counted.
    pub crash: bool,
    pub first_second: u32,
    pub last_second: u32,
    /// The requests it came from, most often first; at most 10. The count is `all_requests`.
    pub requests: Vec<ErrorRequest>,
    pub all_requests: u64,
    /// The first request that failed so, secrets masked; absent where none was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorRequest {
    pub path: Vec<String>,
    pub count: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRow {
    pub name: String,
    pub planned: Option<u64>,
    pub started: u64,
    pub ended: u64,
    pub peak: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CodeRow {
    pub code: u16,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionTotals {
    pub opened: u64,
    pub closed: u64,
    pub failed: u64,
}

/// How many responses were how fast; the bounds are those of Gatling's report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranges {
    pub lower_us: u64,
    pub higher_us: u64,
    pub ok_below_lower: u64,
    pub ok_between: u64,
    pub ok_from_higher: u64,
    pub ko: u64,
}

/// Response times of all requests: at most 100 bins of equal ratio, and the percentile curve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    pub bins: Vec<Bin>,
    pub curve: Vec<CurvePoint>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bin {
    pub from_us: u64,
    /// Exclusive, but for the last bin.
    pub to_us: u64,
    pub ok: u64,
    pub ko: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    pub percent: f64,
    pub us: u64,
}

/// The run over time, in columns of equal length: one entry per `width_s` seconds from second 0.
/// Counts are of the whole bucket, users are the most at once, percentiles those of the OK
/// responses, from exactly merged histograms. `null`: nothing was measured there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Series {
    pub width_s: u32,
    pub users: Vec<Option<u64>>,
    pub started: Vec<Option<u64>>,
    pub ended: Vec<Option<u64>>,
    pub sent: Vec<Option<u64>>,
    pub ok: Vec<Option<u64>>,
    pub ko: Vec<Option<u64>>,
    pub min_us: Vec<Option<u64>>,
    pub p50_us: Vec<Option<u64>>,
    pub p75_us: Vec<Option<u64>>,
    pub p95_us: Vec<Option<u64>>,
    pub p99_us: Vec<Option<u64>>,
    pub max_us: Vec<Option<u64>>,
    pub errors: Vec<Option<u64>>,
    pub bytes_sent: Vec<Option<u64>>,
    pub bytes_received: Vec<Option<u64>>,
    pub connections_opened: Vec<Option<u64>>,
    /// Users by scenario: the most at once.
    pub scenarios: Vec<ScenarioSeries>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenarioSeries {
    pub name: String,
    pub users: Vec<Option<u64>>,
    pub started: Vec<Option<u64>>,
}

/// Can the figures be trusted? The worst of all shards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    pub health: Health,
    /// Seconds in which the generator and not the target set the pace.
    pub flagged_seconds: u64,
    pub measured_seconds: u64,
    pub saturated: bool,
    /// Why seconds were flagged: reason → seconds.
    pub reasons: BTreeMap<String, u64>,
    /// Whose: node → flagged seconds of its shards, those with none left out. Empty without nodes.
    #[serde(default)]
    pub nodes: BTreeMap<String, u64>,
}

impl Generator {
    /// The node with the most flagged seconds, the first by name among equals.
    #[must_use]
    pub fn worst_node(&self) -> Option<&str> {
        let worst = self.nodes.iter().max_by_key(|(name, seconds)| (**seconds, Reverse(*name)));
        worst.map(|(name, _)| name.as_str())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// In percent of one core.
    pub cpu_percent_max: f32,
    pub steal_percent_max: f32,
    pub loop_lag_max_us: u64,
    /// The worst second's 99th percentile of scheduled to actual start.
    pub lateness_p99_us: u64,
    pub lateness_max_us: u64,
    pub dropped: u64,
    pub local_errors: u64,
    pub open_files_max: u32,
    pub rss_bytes_max: u64,
    /// From the common start, by the shard's own clock, to its engine's first turn.
    pub start_late_us: u64,
    /// How far its idea of the common start may be from the master's: half a round trip.
    pub clock_error_us: u64,
}

/// One shard: what one node did, in one epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardRow {
    pub shard: u32,
    pub epoch: u64,
    pub node: String,
    pub frames: u64,
    pub first_second: u32,
    pub last_second: u32,
    pub requests_ok: u64,
    pub requests_ko: u64,
    pub users_started: u64,
    pub users_ended: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub health: Health,
    pub flagged_seconds: u64,
    /// True when the shard's own totals were received and equal what was merged.
    pub totals_match: Option<bool>,
}

/// A part of the load that is missing from the figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LostPart {
    pub shard: u32,
    pub node: String,
    pub reason: String,
    /// Started, and not ended as far as is known.
    pub users_in_flight: u64,
    /// Planned in the open model and not started, as far as is known: before others took over, or
    /// until the end where nobody did. Not caught up.
    pub arrivals_missed: u64,
    /// Records of feeders, and numbers of counters, that were left out so that none is used twice.
    pub records_skipped: u64,
    /// Seconds of that shard without figures.
    pub seconds: u64,
    /// The first and the last second of the run in which its share was not what was planned.
    pub disturbed: Option<(u32, u32)>,
    /// Survivors took over its share of the load, or nothing of it was to come, or is missing.
    pub made_up: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub second: u32,
    pub text: String,
}

//! From an aggregate to its [`Summary`]: a pure function of ticks and of what is known of the run,
//! so any node builds the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::aggregate::{Aggregate, ERRORS_MAX, FoldedTotal, PATHS_MAX, RequestTotal};
use super::assertion::{AssertionSpec, MeasuredRow};
use super::frame::{FRAME_BYTES_MAX, GeneratorHealth, Times};
use super::sample::earlier;
use super::series::round;
use super::summary::{
    Bin, CodeRow, ConnectionTotals, CurvePoint, Distribution, ErrorRequest, ErrorRow, Event,
    Generator, Health, LoadStep, LostPart, Numbers, Ranges, Row, RowKind, RunInfo, SCHEMA,
    ScenarioRow, ShardRow, Stats, Summary,
};
use super::verdict;

/// Bins of the distribution, at most.
const BINS_MAX: u32 = 60;
/// Rows of the errors table, at most.
const ERROR_ROWS_MAX: usize = 200;
const ERROR_REQUESTS_MAX: usize = 10;
/// Bounds of Gatling's response time ranges.
const LOWER_US: u64 = 800_000;
const HIGHER_US: u64 = 1_200_000;

/// What the measurements do not say.
#[derive(Clone, Debug, Default)]
pub struct Context<'a> {
    pub run: RunInfo,
    pub status: String,
    pub assertions: &'a [AssertionSpec],
    /// False: the run crashed or was not carried through, and its assertions are not judged.
    pub judge: bool,
    pub lost: Vec<LostPart>,
    /// Share of the planned load that was measured; absent: all of it.
    pub coverage: Option<f64>,
    /// Shard → name of its node.
    pub nodes: BTreeMap<u32, String>,
    pub events: Vec<Event>,
    /// Changes of the load.
    pub load: Vec<LoadStep>,
}

impl Aggregate {
    /// The result so far.
    #[must_use]
    pub fn summary(&self, context: Context<'_>) -> Summary {
        let window_s = self.window_s();
        let measured = self.measured_rows();
        let rows = self.rows(&measured, window_s);
        let judged = if context.judge { context.assertions } else { &[] };
        let assertions: Vec<_> =
            judged.iter().flat_map(|spec| spec.judge(&measured, window_s)).collect();
        let generator = self.generator(&context.nodes);
        let sent: u64 = self.requests.values().map(|total| total.sum.sent).sum();
        let answered = self.ok.count + self.ko.count;
        let scenarios = self.scenario_rows();
        let verdict = if context.judge {
            verdict::judge(sent.max(answered), &generator, &context.lost, &assertions)
        } else {
            verdict::unjudged(&context.run.end_reason, &scenarios)
        };
        let sums = self.requests.values().map(|total| &total.sum);
        Summary {
            schema: SCHEMA.to_owned(),
            run: RunInfo { window_s, ..context.run },
            status: context.status,
            verdict,
            assertions,
            rows,
            errors: self.error_rows(),
            errors_total: self.errors_total,
            scenarios,
            users_peak: self.series.peak(),
            codes: self.codes(),
            connections: ConnectionTotals {
                opened: self.connections.opened,
                closed: self.connections.closed,
                failed: self.connections.failed,
            },
            bytes_sent: sums.clone().map(|sum| sum.bytes_sent).sum(),
            bytes_received: sums.map(|sum| sum.bytes_received).sum(),
            ranges: self.ranges(),
            distribution: distribution(&self.ok, &self.ko),
            series: self.series.render(),
            generator,
            shards: self.shard_rows(&context.nodes),
            coverage: context.coverage.unwrap_or(1.0),
            lost: context.lost,
            start_spread_us: self.start_spread_us(),
            events: context.events,
            load: context.load,
            notices: self.notices(),
        }
    }

    /// `Global`, the groups, and the requests in the order of their first response.
    fn measured_rows(&self) -> Vec<MeasuredRow> {
        let mut rows =
            vec![MeasuredRow { ok: self.ok.clone(), ko: self.ko.clone(), ..Default::default() }];
        rows.extend(self.groups.iter().map(|(path, sum)| MeasuredRow {
            kind: RowKind::Group,
            path: path.clone(),
            ok: sum.cumulated_ok.clone(),
            ko: sum.cumulated_ko.clone(),
        }));
        let mut requests: Vec<_> = self.requests.iter().collect();
        requests.sort_by_key(|(_, total)| total.first_second);
        rows.extend(requests.into_iter().map(|(path, total)| MeasuredRow {
            kind: RowKind::Request,
            path: path.clone(),
            ok: total.sum.ok.clone(),
            ko: total.sum.ko.clone(),
        }));
        rows
    }

    /// The tree in pre-order: in each group, what came first is first.
    fn rows(&self, measured: &[MeasuredRow], window_s: u64) -> Vec<Row> {
        let mut first: BTreeMap<&[String], u32> = BTreeMap::new();
        for (path, RequestTotal { first_second, .. }) in &self.requests {
            for depth in 1..=path.len() {
                let seen = first.entry(&path[..depth]).or_insert(*first_second);
                *seen = (*seen).min(*first_second);
            }
        }
        let order = |row: &MeasuredRow| -> Vec<(u32, String)> {
            let at = |depth| first.get(&row.path[..depth]).copied().unwrap_or(u32::MAX);
            (1..=row.path.len()).map(|depth| (at(depth), row.path[depth - 1].clone())).collect()
        };
        let mut sorted: Vec<&MeasuredRow> = measured.iter().collect();
        sorted.sort_by_cached_key(|row| (order(row), row.kind == RowKind::Request));
        let duration = |row: &MeasuredRow| {
            let group = self.groups.get(&row.path).filter(|_| row.kind == RowKind::Group)?;
            Some(stats(&group.duration_ok, &group.duration_ko, window_s))
        };
        sorted
            .into_iter()
            .map(|row| Row {
                kind: row.kind,
                path: row.path.clone(),
                stats: stats(&row.ok, &row.ko, window_s),
                duration: duration(row),
            })
            .collect()
    }

    fn error_rows(&self) -> Vec<ErrorRow> {
        let mut rows: BTreeMap<(&str, bool), ErrorRow> = BTreeMap::new();
        for ((path, message, crash), total) in &self.errors {
            let row = rows.entry((message, *crash)).or_insert_with(|| ErrorRow {
                message: message.clone(),
                crash: *crash,
                first_second: total.first_second,
                ..ErrorRow::default()
            });
            row.count += total.count;
            row.first_second = row.first_second.min(total.first_second);
            row.last_second = row.last_second.max(total.last_second);
            row.sample = earlier(row.sample.as_ref(), total.sample.as_deref()).cloned();
            if !path.is_empty() {
                row.all_requests += 1;
                row.requests.push(ErrorRequest { path: path.clone(), count: total.count });
            }
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        for row in &mut rows {
            row.share = percent(row.count, self.errors_total);
            row.requests.sort_by_key(|request| std::cmp::Reverse(request.count));
            row.requests.truncate(ERROR_REQUESTS_MAX);
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        rows.truncate(ERROR_ROWS_MAX);
        rows
    }

    fn scenario_rows(&self) -> Vec<ScenarioRow> {
        let series = self.series.render();
        let peak = |name: &str| {
            let found = series.scenarios.iter().find(|scenario| scenario.name == name);
            found.and_then(|s| s.users.iter().flatten().max().copied()).unwrap_or(0)
        };
        let row = |(name, total): (&String, &super::aggregate::ScenarioTotal)| ScenarioRow {
            name: name.clone(),
            planned: total.planned.1,
            started: total.started,
            ended: total.ended,
            peak: peak(name),
        };
        self.scenarios.iter().map(row).collect()
    }

    fn codes(&self) -> Vec<CodeRow> {
        let mut codes: BTreeMap<u16, u64> = BTreeMap::new();
        for (code, count) in self.requests.values().flat_map(|total| &total.sum.codes) {
            *codes.entry(*code).or_default() += count;
        }
        codes.into_iter().map(|(code, count)| CodeRow { code, count }).collect()
    }

    fn ranges(&self) -> Ranges {
        let (lower, higher) = (self.ok.count_below(LOWER_US), self.ok.count_below(HIGHER_US));
        Ranges {
            lower_us: LOWER_US,
            higher_us: HIGHER_US,
            ok_below_lower: lower,
            ok_between: higher - lower,
            ok_from_higher: self.ok.count - higher,
            ko: self.ko.count,
        }
    }

    fn generator(&self, names: &BTreeMap<u32, String>) -> Generator {
        let flagged_seconds = self.flagged.len() as u64;
        let measured_seconds = self.measured.map_or(0, |(first, last)| u64::from(last - first) + 1);
        let seconds = |set: &BTreeSet<u32>| set.len() as u64;
        let mut nodes = BTreeMap::new();
        for ((shard, _), total) in self.shards.iter().filter(|(_, total)| total.flagged > 0) {
            if let Some(name) = names.get(shard) {
                *nodes.entry(name.clone()).or_default() += total.flagged;
            }
        }
        Generator {
            health: health(&self.health()),
            flagged_seconds,
            measured_seconds,
            saturated: verdict::saturated(flagged_seconds, measured_seconds),
            reasons: self.reasons.iter().map(|(why, s)| ((*why).to_owned(), seconds(s))).collect(),
            nodes,
        }
    }

    fn shard_rows(&self, nodes: &BTreeMap<u32, String>) -> Vec<ShardRow> {
        let mut rows = Vec::with_capacity(self.shards.len());
        for ((shard, epoch), total) in &self.shards {
            let seen = &total.seen;
            rows.push(ShardRow {
                shard: *shard,
                epoch: *epoch,
                node: nodes.get(shard).cloned().unwrap_or_default(),
                frames: seen.frames,
                first_second: total.first_second,
                last_second: total.last_second,
                requests_ok: seen.requests_ok,
                requests_ko: seen.requests_ko,
                users_started: seen.users_started,
                users_ended: seen.users_ended,
                bytes_sent: total.sum.bytes_sent,
                bytes_received: total.sum.bytes_received,
                health: health(&total.sum.generator),
                flagged_seconds: total.flagged,
                totals_match: total.sum.totals.map(|totals| totals == *seen),
            });
        }
        rows
    }

    /// From the earliest to the latest start that the shards' clocks allow; none of a single shard.
    fn start_spread_us(&self) -> Option<u64> {
        if self.shards.len() < 2 {
            return None;
        }
        let starts = self.shards.values().map(|shard| {
            let GeneratorHealth { start_late_us: late, clock_error_us: error, .. } =
                shard.sum.generator;
            (i128::from(late) - i128::from(error), i128::from(late) + i128::from(error))
        });
        let (earliest, latest) =
            starts.reduce(|(low, high), (early, late)| (low.min(early), high.max(late)))?;
        u64::try_from(latest - earliest).ok()
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        let other = |path: &Vec<String>| path.last().is_some_and(|n| n == super::record::OTHER);
        if self.folded.seconds > 0 {
            let FoldedTotal { seconds, rows_max, examples } = self.folded;
            notices.push(format!(
                "in {seconds} seconds a node measured more than a frame of {} KiB holds: up to \
                 {rows_max} of the rarest requests, groups and kinds of errors are counted under \
                 (other), {examples} examples are left out; all totals are exact",
                FRAME_BYTES_MAX >> 10
            ));
        }
        if self.requests.keys().any(other) && self.requests.len() >= PATHS_MAX {
            notices.push(format!(
                "{PATHS_MAX} request names were kept, the rest is counted under (other): \
                 give requests a fixed name"
            ));
        }
        if self.errors.len() > ERRORS_MAX || self.errors.keys().any(|(_, m, _)| m == "(other)") {
            notices.push("some kinds of errors are counted under (other)".to_owned());
        }
        notices
    }
}

/// `part` of `whole` in percent; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn stats(ok: &Times, ko: &Times, window_s: u64) -> Stats {
    let all = ok.merged(ko);
    let of = |times: &Times| numbers(times, all.count, window_s);
    Stats { all: of(&all), ok: of(ok), ko: of(ko) }
}

#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn numbers(times: &Times, of: u64, window_s: u64) -> Numbers {
    let some = |us: f64| (!times.is_empty()).then(|| round(us));
    let percentile = |percent| some(times.percentile_us(percent));
    Numbers {
        count: times.count,
        percent: percent(times.count, of),
        per_second: times.count as f64 / window_s.max(1) as f64,
        min_us: some(times.min_us as f64),
        p50_us: percentile(50.0),
        p75_us: percentile(75.0),
        p95_us: percentile(95.0),
        p99_us: percentile(99.0),
        p999_us: percentile(99.9),
        max_us: some(times.max_us as f64),
        mean_us: some(times.mean_us()),
        std_dev_us: some(times.std_dev_us()),
    }
}

fn health(worst: &GeneratorHealth) -> Health {
    Health {
        cpu_percent_max: worst.cpu_percent,
        steal_percent_max: worst.steal_percent,
        loop_lag_max_us: worst.loop_lag_max_us,
        lateness_p99_us: worst.lateness_p99_us,
        lateness_max_us: worst.lateness_max_us,
        dropped: worst.dropped,
        local_errors: worst.local_errors,
        open_files_max: worst.open_files,
        rss_bytes_max: worst.rss_bytes,
        start_late_us: worst.start_late_us,
        clock_error_us: worst.clock_error_us,
    }
}

#[expect(clippy::cast_precision_loss, reason = "bounds of bins, not counts")]
fn distribution(ok: &Times, ko: &Times) -> Distribution {
    let all = ok.merged(ko);
    if all.is_empty() {
        return Distribution::default();
    }
    let (low, high) = (all.min_us.max(1), all.max_us.max(2).max(all.min_us + 1));
    let ratio = (high as f64 / low as f64).powf(1.0 / f64::from(BINS_MAX));
    let mut edges: Vec<u64> =
        (0..=BINS_MAX).map(|i| round(low as f64 * ratio.powf(f64::from(i)))).collect();
    edges.dedup();
    let below = |times: &Times, i: usize| match i {
        0 => 0,
        i if i + 1 == edges.len() => times.count,
        i => times.count_below(edges[i]),
    };
    let bins = (0..edges.len() - 1).map(|i| Bin {
        from_us: edges[i],
        to_us: edges[i + 1],
        ok: below(ok, i + 1) - below(ok, i),
        ko: below(ko, i + 1) - below(ko, i),
    });
    let curve = CURVE.iter().map(|&percent| {
        let us = round(all.percentile_us(percent));
        CurvePoint { percent, us }
    });
    Distribution { bins: bins.collect(), curve: curve.collect() }
}

/// Percents of the percentile curve, denser towards the slow end.
const CURVE: [f64; 24] = [
    0.0, 5.0, 10.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 92.5, 95.0,
    97.5, 98.0, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::assertion::{Condition, Scope, Target};
    use crate::stats::frame::{
        ErrorDelta, FRAME_VERSION, Frame, GroupDelta, RequestDelta, ScenarioDelta, Totals,
    };
    use crate::stats::sample::Sample;
    use crate::stats::summary::VerdictValue;

    fn path(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|&part| part.to_owned()).collect()
    }

    fn request(parts: &[&str], ok: &[u64], ko: &[u64]) -> RequestDelta {
        let ms = |samples: &[u64]| Times::of(samples.iter().map(|ms| ms * 1_000));
        RequestDelta {
            path: path(parts),
            sent: (ok.len() + ko.len()) as u64,
            ok: ms(ok),
            ko: ms(ko),
            codes: vec![(200, ok.len() as u64), (503, ko.len() as u64)],
            bytes_sent: 10,
            bytes_received: 100,
        }
    }

    fn frame(shard: u32, second: u32, requests: Vec<RequestDelta>) -> Frame {
        let message = "status.find.is(200), found 503".to_owned();
        let ko: u64 = requests.iter().map(|r| r.ko.count).sum();
        let at_us = u64::from(second) * 1_000_000 + u64::from(shard);
        let sample = Some(Box::new(Sample { at_us, ..Sample::default() }));
        let error =
            ErrorDelta { path: path(&["S"]), message, count: ko, sample, ..ErrorDelta::default() };
        Frame {
            version: FRAME_VERSION,
            shard,
            epoch: 1,
            seq: u64::from(second) + 1,
            second,
            requests,
            errors: if ko > 0 { vec![error] } else { vec![] },
            scenarios: vec![ScenarioDelta {
                name: "buy".into(),
                started: 2,
                ended: 2,
                active_max: 2,
                planned: Some(8),
                ..ScenarioDelta::default()
            }],
            ..Frame::default()
        }
    }

    #[test]
    fn the_start_spread_is_what_clocks_and_lateness_allow() {
        let spread = |shards: &[(u64, u64)]| {
            let frames = shards.iter().zip(0..).map(|(&(late, error), shard)| {
                let mut frame = frame(shard, 0, vec![]);
                frame.generator.start_late_us = late;
                frame.generator.clock_error_us = error;
                frame
            });
            let mut aggregate = Aggregate::default();
            aggregate.apply(&crate::stats::merge::merge(frames));
            aggregate.summary(Context::default()).start_spread_us
        };
        assert_eq!(spread(&[(70, 300)]), None);
        assert_eq!(spread(&[(70, 0), (100, 0), (90, 0)]), Some(30));
        // One started between 230 µs early and 370 late, the other 200 to 400 late.
        assert_eq!(spread(&[(70, 300), (300, 100)]), Some(630));
    }

    fn frames() -> Vec<Frame> {
        let mut last = frame(1, 3, vec![request(&["S"], &[], &[1_300])]);
        last.totals = Some(Totals {
            frames: 2,
            requests_ko: 2,
            users_started: 4,
            users_ended: 4,
            errors: 2,
            ..Totals::default()
        });
        let mut grouped = frame(0, 2, vec![request(&["G", "R"], &[10, 20], &[])]);
        grouped.groups = vec![GroupDelta {
            path: path(&["G"]),
            duration_ok: Times::of([50_000]),
            cumulated_ok: Times::of([30_000]),
            ..GroupDelta::default()
        }];
        vec![
            frame(0, 1, vec![request(&["S"], &[800, 1_200], &[])]),
            frame(1, 1, vec![request(&["S"], &[], &[500])]),
            grouped,
            last,
        ]
    }

    fn context(assertions: &[AssertionSpec]) -> Context<'_> {
        Context { assertions, judge: true, status: "finished".into(), ..Context::default() }
    }

    #[test]
    fn exact_figures() {
        let mut aggregate = Aggregate::new();
        aggregate.apply_frames(frames());
        let spec = |condition| AssertionSpec {
            scope: Scope::Details(path(&["S"])),
            target: Target::FailedPercent,
            condition,
        };
        let specs = [spec(Condition::Lt(60.0)), spec(Condition::Lt(1.0))];
        let summary = aggregate.summary(context(&specs));
        let paths: Vec<_> = summary.rows.iter().map(|row| row.path.join("/")).collect();
        assert_eq!(paths, ["", "S", "G", "G/R"]);
        let all = &summary.rows[0].stats.all;
        // 10, 20, 500, 800, 1200, 1300 ms in seconds 1 to 3.
        assert_eq!((all.count, summary.run.window_s, all.per_second), (6, 3, 2.0));
        assert_eq!((all.min_us, all.max_us), (Some(10_000), Some(1_300_000)));
        assert_eq!(all.mean_us, Some(638_333));
        assert_eq!(all.std_dev_us, Some(512_459));
        // Rank 2.5 of 6: half way from 500 to 800 ms, each to its bucket (3 digits).
        assert!(all.p50_us.unwrap().abs_diff(650_000) < 500, "{:?}", all.p50_us);
        assert_eq!(summary.rows[0].stats.ko.count, 2);
        assert_eq!(summary.rows[0].stats.ko.p999_us, Some(1_300_000));
        assert_eq!(summary.rows[2].stats.all.max_us, Some(30_000));
        assert_eq!(summary.rows[2].duration.as_ref().unwrap().all.max_us, Some(50_000));
        assert_eq!(summary.rows[3].stats.ko.p50_us, None);
        let ranges = summary.ranges;
        assert_eq!((ranges.ok_below_lower, ranges.ok_between, ranges.ok_from_higher), (2, 1, 1));
        assert_eq!(summary.verdict.value, VerdictValue::Failed);
        assert_eq!(summary.verdict.reason, "1 of 2 assertions failed");
        assert_eq!(summary.errors[0].share, 100.0);
        assert_eq!(summary.errors[0].requests[0].count, 2);
        assert_eq!(summary.errors[0].sample.as_ref().unwrap().at_us, 1_000_001);
        assert_eq!((summary.errors[0].first_second, summary.errors[0].last_second), (1, 3));
        assert_eq!(
            summary.codes,
            [CodeRow { code: 200, count: 4 }, CodeRow { code: 503, count: 2 }]
        );
        assert_eq!(summary.scenarios[0].peak, 4);
        assert_eq!(summary.series.ok, [None, Some(2), Some(2), Some(0)]);
        let bins = &summary.distribution.bins;
        assert_eq!(bins.iter().map(|b| b.ok + b.ko).sum::<u64>(), 6);
        assert_eq!(summary.shards[1].totals_match, Some(true));
        assert_eq!(summary.shards[0].totals_match, None);
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);
    }

    #[test]
    fn ticks_in_any_order_give_the_same_summary() {
        let mut whole = Aggregate::new();
        whole.apply_frames(frames());
        let mut parts = Aggregate::new();
        for frame in frames().into_iter().rev() {
            parts.apply_frames([frame]);
        }
        assert_eq!(parts.summary(context(&[])), whole.summary(context(&[])));
        assert_eq!(parts.totals(), whole.totals());
        assert_eq!(parts.live(), whole.live());
        assert_eq!(whole.totals().requests_ok, 4);
        assert_eq!(whole.live().users_planned, Some(8));
    }

    #[test]
    fn nothing_at_all_is_a_summary_too() {
        let summary = Aggregate::new().summary(context(&[]));
        assert_eq!(summary.rows.len(), 1);
        assert_eq!(summary.verdict.reason, "no request was sent");
        assert_eq!(summary.series.width_s, 0);
    }

    #[test]
    fn names_beyond_the_cap_are_counted_and_said() {
        let mut aggregate = Aggregate::new();
        for i in 0..PATHS_MAX + 5 {
            let name = format!("/{i:05}");
            aggregate.apply_frames([frame(0, 0, vec![request(&[&name], &[1], &[])])]);
        }
        let summary = aggregate.summary(context(&[]));
        assert_eq!(summary.rows.len(), PATHS_MAX + 2);
        let other = summary.rows.iter().find(|row| row.path == ["(other)"]).unwrap();
        assert_eq!(other.stats.all.count, 5);
        assert_eq!(summary.rows[0].stats.all.count, (PATHS_MAX + 5) as u64);
        assert_eq!(summary.notices.len(), 1);
    }
}

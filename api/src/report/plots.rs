//! Which charts the report has, and what each says in words.

use maud::{Markup, html};
use onrush_scenario::stats::summary::{Series, Summary};

use super::chart::{Bar, Line, TimeChart, curve, histogram};
use super::format;

/// Scenarios that get a line of their own.
const SCENARIO_LINES_MAX: usize = 6;

type Column = [Option<u64>];

#[expect(clippy::cast_precision_loss, reason = "drawn, not counted")]
fn scaled(column: &Column, factor: f64) -> Vec<Option<f64>> {
    column.iter().map(|value| value.map(|value| value as f64 * factor)).collect()
}

fn line(name: &str, hue: usize, column: &Column, factor: f64) -> Line {
    Line { name: name.to_owned(), hue, values: scaled(column, factor) }
}

/// Index and value of the greatest entry.
fn peak(column: &Column) -> Option<(u64, u64)> {
    let known = column.iter().enumerate().filter_map(|(i, value)| Some((i as u64, (*value)?)));
    known.max_by_key(|(i, value)| (*value, std::cmp::Reverse(*i)))
}

fn at(series: &Series, index: u64) -> String {
    format::clock(index * u64::from(series.width_s))
}

/// All charts of the report; nothing when nothing was measured.
pub(super) fn plots(summary: &Summary) -> Markup {
    let series = &summary.series;
    if series.width_s == 0 {
        return html! { p class="empty" { "Nothing was measured, so there is nothing to draw." } };
    }
    let events: Vec<_> =
        summary.events.iter().map(|e| (e.second, format::one_line(&e.text, 200))).collect();
    html! {
        div class="charts" {
            (users(series, &events))
            (throughput(series, &events))
            (percentiles(series, &events))
            (errors(series, &events))
            (distribution(summary))
            (percentile_curve(summary))
        }
    }
}

fn users(series: &Series, events: &[(u32, String)]) -> Markup {
    let summary = match peak(&series.users) {
        Some((i, most)) if most > 0 => {
            format!("At most {} users at once, at {}.", format::count(most), at(series, i))
        }
        _ => "No user was started.".to_owned(),
    };
    let mut lines = vec![line("all users", 2, &series.users, 1.0)];
    if series.scenarios.len() > 1 {
        let shown = series.scenarios.iter().take(SCENARIO_LINES_MAX).enumerate();
        lines.extend(shown.map(|(i, s)| line(&s.name, 3 + i, &s.users, 1.0)));
    }
    TimeChart {
        id: "users",
        title: "Concurrent users",
        unit: "users",
        summary,
        lines,
        width_s: series.width_s,
        events,
    }
    .render()
}

fn throughput(series: &Series, events: &[(u32, String)]) -> Markup {
    let per_second = 1.0 / f64::from(series.width_s);
    let summary = match peak(&series.ok) {
        Some((i, most)) => {
            let rate = most / u64::from(series.width_s);
            format!("At most {} OK responses a second, at {}.", format::count(rate), at(series, i))
        }
        None => "No response was received.".to_owned(),
    };
    TimeChart {
        id: "throughput",
        title: "Responses per second",
        unit: "per second",
        summary,
        lines: vec![line("OK", 0, &series.ok, per_second), line("KO", 1, &series.ko, per_second)],
        width_s: series.width_s,
        events,
    }
    .render()
}

fn percentiles(series: &Series, events: &[(u32, String)]) -> Markup {
    let summary = match (peak(&series.p95_us), peak(&series.max_us)) {
        (Some((i, p95)), Some((j, max))) => format!(
            "The 95th percentile was worst at {}, with {}; the slowest response took {}, at {}.",
            at(series, i),
            format::time(p95),
            format::time(max),
            at(series, j)
        ),
        _ => "No OK response was received.".to_owned(),
    };
    let columns = [
        ("p50", 3, &series.p50_us),
        ("p75", 0, &series.p75_us),
        ("p95", 4, &series.p95_us),
        ("p99", 1, &series.p99_us),
    ];
    TimeChart {
        id: "percentiles",
        title: "Response time percentiles (OK)",
        unit: "ms",
        summary,
        lines: columns.map(|(name, hue, column)| line(name, hue, column, 1e-3)).into(),
        width_s: series.width_s,
        events,
    }
    .render()
}

fn errors(series: &Series, events: &[(u32, String)]) -> Markup {
    let summary = match peak(&series.errors) {
        Some((i, most)) if most > 0 => {
            format!("Most errors came at {}: {}.", at(series, i), format::count(most))
        }
        _ => "There were no errors.".to_owned(),
    };
    TimeChart {
        id: "errors-over-time",
        title: "Errors per second",
        unit: "per second",
        summary,
        lines: vec![line("errors", 1, &series.errors, 1.0 / f64::from(series.width_s))],
        width_s: series.width_s,
        events,
    }
    .render()
}

#[expect(clippy::cast_precision_loss, reason = "drawn, not counted")]
fn distribution(summary: &Summary) -> Markup {
    let bins = &summary.distribution.bins;
    let all: u64 = bins.iter().map(|bin| bin.ok + bin.ko).sum();
    let share = |count: u64| count as f64 * 100.0 / all.max(1) as f64;
    let bars: Vec<_> = bins
        .iter()
        .map(|bin| Bar {
            from_us: bin.from_us,
            to_us: bin.to_us,
            ok: share(bin.ok),
            ko: share(bin.ko),
        })
        .collect();
    let mode = bins.iter().max_by_key(|bin| bin.ok + bin.ko);
    let text = mode.map_or_else(
        || "No response was received.".to_owned(),
        |bin| {
            format!(
                "Most frequent: {} to {}, {} of all responses.",
                format::time(bin.from_us),
                format::time(bin.to_us),
                format::percent(share(bin.ok + bin.ko))
            )
        },
    );
    histogram("distribution", "Response time distribution", &text, &bars)
}

fn percentile_curve(summary: &Summary) -> Markup {
    let points: Vec<_> = summary.distribution.curve.iter().map(|p| (p.percent, p.us)).collect();
    let find = |percent: f64| points.iter().find(|(p, _)| (p - percent).abs() < 1e-9);
    let text = match (find(50.0), find(99.0), find(99.9)) {
        (Some((_, half)), Some((_, p99)), Some((_, p999))) => format!(
            "Half of all responses took at most {}, 99 % at most {}, 99.9 % at most {}.",
            format::time(*half),
            format::time(*p99),
            format::time(*p999)
        ),
        _ => "No response was received.".to_owned(),
    };
    curve("curve", "Response time by percentile", &text, &points)
}

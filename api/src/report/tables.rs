//! The tables of the report: assertions, statistics, errors, nodes, setup.

use maud::{Markup, html};
use onrush_scenario::stats::summary::{Excerpt, Numbers, Row, RowKind, Sample, Stats, Summary};

use super::format::{self, count, lines, ms, number, one_line, percent, time};

/// Longer names and messages are cut on screen; `summary.json` has more of them.
const TEXT_MAX: usize = 300;

pub(super) fn assertions(summary: &Summary) -> Markup {
    html! {
        @if !summary.assertions.is_empty() {
            div class="scroll" tabindex="0" role="region" aria-labelledby="assertions" {
                table {
                    caption id="assertions" { "Assertions" }
                    thead { tr {
                        th scope="col" { "Result" }
                        th scope="col" { "Assertion" }
                        th scope="col" class="n" { "Observed" }
                    } }
                    tbody { @for result in &summary.assertions {
                        tr {
                            td class=(if result.passed { "good" } else { "bad" }) {
                                (if result.passed { "✓ passed" } else { "✗ failed" })
                            }
                            th scope="row" {
                                bdi { (one_line(&result.path, TEXT_MAX)) } ": "
                                (result.target) " " (one_line(&result.condition, TEXT_MAX))
                            }
                            td class="n" { (result.actual.map_or_else(
                                || "no such path".to_owned(), number)) }
                        }
                    } }
                }
            }
        }
    }
}

const COLUMNS: [&str; 13] =
    ["Total", "OK", "KO", "KO %", "/s", "Min", "p50", "p75", "p95", "p99", "p99.9", "Max", "Mean"];

pub(super) fn statistics(summary: &Summary) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-labelledby="stats-caption" {
            table class="stats" {
                caption id="stats-caption" {
                    "Response times in milliseconds, of OK and KO together. A group's time is the \
                     sum of the response times inside it, pauses excluded."
                }
                thead { tr {
                    th scope="col" { "Request" }
                    @for column in COLUMNS { th scope="col" class="n" { (column) } }
                    th scope="col" class="n" { "Std dev" }
                } }
                tbody { @for row in &summary.rows { (statistics_row(row)) } }
            }
        }
        @if summary.rows.iter().any(|row| row.duration.is_some()) {
            (durations(summary))
        }
    }
}

fn name_cell(row: &Row) -> Markup {
    let depth = row.path.len().saturating_sub(1).min(12);
    html! {
        th scope="row" style={ "--depth:" (depth) } {
            @match row.kind {
                RowKind::Global => "All requests",
                RowKind::Group => { span class="kind" title="group" { "▸ " } },
                RowKind::Request => {},
            }
            @if let Some(name) = row.path.last() { bdi { (one_line(name, TEXT_MAX)) } }
        }
    }
}

fn statistics_row(row: &Row) -> Markup {
    html! {
        tr class=(match row.kind {
            RowKind::Global => "global",
            RowKind::Group => "group",
            RowKind::Request => "request",
        }) {
            (name_cell(row))
            (stats_cells(&row.stats))
        }
    }
}

fn stats_cells(stats: &Stats) -> Markup {
    let (all, ko) = (&stats.all, &stats.ko);
    html! {
        td class="n" { (count(all.count)) }
        td class="n" { (count(stats.ok.count)) }
        td class=(if ko.count > 0 { "n bad" } else { "n" }) { (count(ko.count)) }
        td class=(if ko.count > 0 { "n bad" } else { "n" }) { (percent(ko.percent)) }
        td class="n" { (number(all.per_second)) }
        (time_cells(all))
    }
}

fn time_cells(n: &Numbers) -> Markup {
    let times = [
        n.min_us,
        n.p50_us,
        n.p75_us,
        n.p95_us,
        n.p99_us,
        n.p999_us,
        n.max_us,
        n.mean_us,
        n.std_dev_us,
    ];
    html! { @for time in times { td class="n" { (ms(time)) } } }
}

fn durations(summary: &Summary) -> Markup {
    html! {
        details {
            summary { "Groups from entering to leaving, pauses included" }
            div class="scroll" tabindex="0" role="region" aria-label="Group durations" {
                table class="stats" {
                    thead { tr {
                        th scope="col" { "Group" }
                        @for column in COLUMNS { th scope="col" class="n" { (column) } }
                        th scope="col" class="n" { "Std dev" }
                    } }
                    tbody { @for row in &summary.rows {
                        @if let Some(duration) = &row.duration {
                            tr class="group" { (name_cell(row)) (stats_cells(duration)) }
                        }
                    } }
                }
            }
        }
    }
}

pub(super) fn errors(summary: &Summary) -> Markup {
    if summary.errors.is_empty() {
        return html! { p class="empty" { "There were no errors." } };
    }
    let shown: u64 = summary.errors.iter().map(|row| row.count).sum();
    html! {
        div class="scroll" tabindex="0" role="region" aria-labelledby="errors-caption" {
            table {
                caption id="errors-caption" { (count(summary.errors_total)) " errors" }
                thead { tr {
                    th scope="col" { "Error" }
                    th scope="col" { "Request" }
                    th scope="col" class="n" { "Count" }
                    th scope="col" class="n" { "Share" }
                    th scope="col" class="n" { "First" }
                    th scope="col" class="n" { "Last" }
                } }
                tbody { @for row in &summary.errors {
                    tr {
                        th scope="row" {
                            bdi class="message" { (one_line(&row.message, TEXT_MAX)) }
                            @if row.crash { " " span class="tag" { "not sent" } }
                        }
                        td {
                            @for request in row.requests.iter().take(3) {
                                div { bdi { (one_line(&super::path_label(&request.path), 80)) } }
                            }
                            @if row.all_requests > 3 {
                                div class="note" { "and " (count(row.all_requests - 3)) " more" }
                            }
                        }
                        td class="n" { (count(row.count)) }
                        td class="n" { (percent(row.share)) }
                        td class="n" { (format::clock(row.first_second.into())) }
                        td class="n" { (format::clock(row.last_second.into())) }
                    }
                    @if let Some(sample) = &row.sample {
                        tr class="example" { td colspan="6" { (example(sample)) } }
                    }
                } }
            }
        }
        @if shown < summary.errors_total {
            p class="note" {
                (count(summary.errors_total - shown)) " further errors of rarer kinds are not listed."
            }
        }
    }
}

/// The first request that failed so.
fn example(sample: &Sample) -> Markup {
    html! {
        details {
            summary { "The first one, at " (format::clock(sample.at_us / 1_000_000)) }
            div class="pair" {
                (excerpt("Request", &sample.sent))
                @match &sample.received {
                    Some(received) => (excerpt("Response", received)),
                    None => div { h3 { "Response" } p class="note" { "There was none." } },
                }
            }
        }
    }
}

fn excerpt(title: &str, excerpt: &Excerpt) -> Markup {
    html! {
        div {
            h3 { (title) }
            pre tabindex="0" aria-label=(title) {
                b { (lines(&excerpt.head)) } "\n"
                @for (name, value) in &excerpt.headers {
                    (lines(name)) ": " (lines(value)) "\n"
                }
                @if !excerpt.body.is_empty() { "\n" (lines(&excerpt.body)) }
                @if excerpt.cut { "…" }
            }
        }
    }
}

pub(super) fn shards(summary: &Summary) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-labelledby="nodes-caption" {
            table {
                caption id="nodes-caption" { "What each node did" }
                thead { tr {
                    @for (i, column) in ["Node", "Shard", "Epoch", "Seconds", "Users", "Requests",
                        "KO", "Received", "CPU max", "Late p99", "Dropped", "Flagged", "Totals"]
                        .into_iter().enumerate() {
                        th scope="col" class=(if i == 0 { "" } else { "n" }) { (column) }
                    }
                } }
                tbody { @for shard in &summary.shards {
                    tr {
                        th scope="row" { bdi {
                            @if shard.node.is_empty() { "this machine" }
                            @else { (one_line(&shard.node, 60)) }
                        } }
                        td class="n" { (shard.shard) }
                        td class="n" { (shard.epoch) }
                        td class="n" {
                            (format::clock(shard.first_second.into())) "–"
                            (format::clock(u64::from(shard.last_second) + 1))
                        }
                        td class="n" { (count(shard.users_started)) }
                        td class="n" { (count(shard.requests_ok + shard.requests_ko)) }
                        td class="n" { (count(shard.requests_ko)) }
                        td class="n" { (format::bytes(shard.bytes_received)) }
                        td class="n" { (percent(f64::from(shard.health.cpu_percent_max))) }
                        td class="n" { (time(shard.health.lateness_p99_us)) }
                        td class="n" { (count(shard.health.dropped)) }
                        td class=(if shard.flagged_seconds > 0 { "n bad" } else { "n" }) {
                            (count(shard.flagged_seconds)) " s"
                        }
                        td class="n" { (match shard.totals_match {
                            Some(true) => "✓ equal",
                            Some(false) => "✗ differ",
                            None => "–",
                        }) }
                    }
                } }
            }
        }
    }
}

/// A list of facts: name and value.
pub(super) fn facts(facts: &[(&str, String)]) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in facts {
                @if !value.is_empty() {
                    div { dt { (name) } dd { bdi { (one_line(value, TEXT_MAX)) } } }
                }
            }
        }
    }
}

/// Users by scenario and responses by code.
pub(super) fn scenarios_and_codes(summary: &Summary) -> Markup {
    html! {
        div class="pair" {
            table {
                caption { "Users by scenario" }
                thead { tr {
                    th scope="col" { "Scenario" }
                    @for column in ["Planned", "Started", "Ended", "At once"] {
                        th scope="col" class="n" { (column) }
                    }
                } }
                tbody { @for row in &summary.scenarios {
                    tr {
                        th scope="row" { bdi { (one_line(&row.name, TEXT_MAX)) } }
                        td class="n" { (row.planned.map_or_else(|| "–".to_owned(), count)) }
                        td class="n" { (count(row.started)) }
                        td class="n" { (count(row.ended)) }
                        td class="n" { (count(row.peak)) }
                    }
                } }
            }
            table {
                caption { "Responses by status" }
                thead { tr {
                    th scope="col" { "Status" }
                    th scope="col" class="n" { "Count" }
                    th scope="col" class="n" { "Share" }
                } }
                @let all: u64 = summary.codes.iter().map(|row| row.count).sum();
                tbody { @for row in summary.codes.iter().filter(|row| row.count > 0) {
                    tr {
                        th scope="row" {
                            @if row.code == 0 { "no response" } @else { (row.code) }
                        }
                        td class="n" { (count(row.count)) }
                        td class="n" { (percent(share(row.count, all))) }
                    }
                } }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

//! The end block on a terminal: assertions first, then figures, errors, generator. Plain text;
//! not an interface for machines, that is `summary.json`.

use std::fmt::Write as _;

use onrush_scenario::stats::summary::{Row, RowKind, Summary};

use super::format::{count, number, one_line, percent, time, time_or_dash};
use super::{load_label, outcome, path_label};

/// Rows of the results table.
const ROWS_MAX: usize = 40;
const ERRORS_MAX: usize = 5;
const NAME_WIDTH: usize = 34;

/// The block, ending in a newline.
#[must_use]
pub fn text(summary: &Summary) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = assertions(&mut out, summary);
    let _ = results(&mut out, summary);
    let _ = errors(&mut out, summary);
    let _ = generator(&mut out, summary);
    out
}

fn assertions(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let (outcome, reason) = (outcome(summary), one_line(&summary.verdict.reason, 160));
    let word = outcome.word.to_uppercase();
    match (outcome.unfinished, outcome.class) {
        (true, _) => writeln!(out, " {word} – {reason}; no verdict")?,
        (false, "none") => writeln!(out, " {word} – {reason}")?,
        (false, _) => writeln!(out, " VERDICT {word} – {reason}")?,
    }
    if summary.assertions.is_empty() {
        return Ok(());
    }
    writeln!(out, " ASSERTIONS")?;
    for result in &summary.assertions {
        let mark = if result.passed { '✓' } else { '✗' };
        writeln!(out, "   {mark} {}", one_line(&result.text, 200))?;
    }
    Ok(())
}

fn results(out: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(
        out,
        " {:<NAME_WIDTH$} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "RESULTS", "total", "OK", "KO", "KO %", "/s", "p50", "p75", "p95", "p99", "max"
    )?;
    for row in summary.rows.iter().take(ROWS_MAX) {
        result_row(out, row)?;
    }
    if summary.rows.len() > ROWS_MAX {
        writeln!(out, "   … and {} more", summary.rows.len() - ROWS_MAX)?;
    }
    Ok(())
}

fn result_row(out: &mut String, row: &Row) -> std::fmt::Result {
    let indent = "  ".repeat(row.path.len().min(8) + 1);
    let name = row.path.last().map_or("Global", String::as_str);
    let sign = if row.kind == RowKind::Group { "▸ " } else { "" };
    let name = one_line(&format!("{indent}{sign}{name}"), NAME_WIDTH);
    let (all, ko) = (&row.stats.all, &row.stats.ko);
    let t = |us| time_or_dash(us).replace(' ', "");
    writeln!(
        out,
        " {:<NAME_WIDTH$} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        name,
        count(all.count),
        count(row.stats.ok.count),
        count(ko.count),
        percent(ko.percent).replace(' ', ""),
        number(all.per_second),
        t(all.p50_us),
        t(all.p75_us),
        t(all.p95_us),
        t(all.p99_us),
        t(all.max_us)
    )
}

fn errors(out: &mut String, summary: &Summary) -> std::fmt::Result {
    if summary.errors.is_empty() {
        return Ok(());
    }
    let kinds = summary.errors.len();
    let shown = kinds.min(ERRORS_MAX);
    writeln!(out, " ERRORS {} (top {shown} of {kinds} kinds)", count(summary.errors_total))?;
    for row in summary.errors.iter().take(ERRORS_MAX) {
        let from = match (row.requests.first(), row.all_requests) {
            (Some(first), 1) => format!(" ({})", one_line(&path_label(&first.path), 60)),
            (_, 0) => String::new(),
            (_, n) => format!(" ({n} requests)"),
        };
        // Gatling cuts a text at 200 characters, too.
        let message = one_line(&row.message, 200);
        let (n, share) = (count(row.count), percent(row.share));
        writeln!(out, "   {n:>8}  {share:>8}  {message}{from}")?;
    }
    Ok(())
}

fn generator(out: &mut String, summary: &Summary) -> std::fmt::Result {
    if !summary.load.is_empty() {
        writeln!(out, " LOAD       {}", one_line(&load_label(summary), 200))?;
    }
    let (g, h) = (&summary.generator, &summary.generator.health);
    let on = g.worst_node().map(|node| format!(" (most of all {})", one_line(node, 60)));
    let on = on.unwrap_or_default();
    let state = match (g.saturated, g.flagged_seconds) {
        (true, _) => format!("SATURATED{on}"),
        (false, 0) => "OK".to_owned(),
        (false, seconds) => format!("OK but for {seconds} s{on}"),
    };
    writeln!(
        out,
        " GENERATOR  {state} · cpu max {} · started late p99 {} · dropped {} · connections {} \
         opened, {} failed{}",
        percent(f64::from(h.cpu_percent_max)),
        time(h.lateness_p99_us),
        count(h.dropped),
        count(summary.connections.opened),
        count(summary.connections.failed),
        summary
            .start_spread_us
            .map(|us| format!(" · start spread at most {}", time(us)))
            .unwrap_or_default()
    )?;
    for notice in &summary.notices {
        writeln!(out, " notice: {}", one_line(notice, 200))?;
    }
    for part in &summary.lost {
        let (node, reason) = (one_line(&part.node, 40), one_line(&part.reason, 120));
        let made_up = if part.made_up { "made up for" } else { "not made up for" };
        writeln!(out, " lost: shard {} on {node}: {reason}", part.shard)?;
        writeln!(
            out,
            "       {made_up}: {} users in flight, {} arrivals missed, {} seconds without figures",
            count(part.users_in_flight),
            count(part.arrivals_missed),
            count(part.seconds)
        )?;
    }
    Ok(())
}

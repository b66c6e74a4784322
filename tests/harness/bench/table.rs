//! The results as a page: one table per case, medians of the rounds. Pure.

use std::fmt::Write as _;

use super::cases::{CASES, Case};
use super::{Failure, Results, Sample};

/// Markdown, for people and for `docs/performance.md`.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut page = format!(
        "Machine: {}; the generator on one core, the target on another.\n\n",
        results.machine
    );
    for (tool, version) in &results.versions {
        let _ = writeln!(page, "- {tool}: {version}");
    }
    for case in CASES {
        push_case(&mut page, case, results);
    }
    if !results.failures.is_empty() {
        page.push_str("\n## Failed\n\n");
    }
    for failure in &results.failures {
        let Failure { case, tool, round, why } = failure;
        let why = why.lines().next().unwrap_or_default();
        let _ = writeln!(page, "- {case}, {tool}, round {round}: {why}");
    }
    if !results.figures.is_empty() {
        page.push_str("\n## Onrush alone\n\n| figure | |\n|---|---|\n");
    }
    for figure in &results.figures {
        let _ = writeln!(page, "| {} | {} {} |", figure.name, rounded(figure.value), figure.unit);
    }
    page
}

fn push_case(page: &mut String, case: &Case, results: &Results) {
    let of_case: Vec<&Sample> = results.samples.iter().filter(|it| it.case == case.id).collect();
    if of_case.is_empty() {
        return;
    }
    let (base, own) = (case.base(), case.own());
    let _ = write!(
        page,
        "\n## {}: {}\n\n| tool | rounds | CPU µs a request | to {base} | {own} to it | \
         requests/s | connections | memory MiB |\n|---|---|---|---|---|---|---|---|\n",
        case.id, case.title
    );
    for tool in case.tools {
        let runs: Vec<&Sample> = of_case.iter().copied().filter(|it| it.tool == *tool).collect();
        if runs.is_empty() {
            let _ = writeln!(page, "| {tool} | 0 | not measured | | | | | |");
            continue;
        }
        let of = |value: fn(&Sample) -> f64| median(runs.iter().map(|it| value(it)).collect());
        let to_base = runs.iter().filter_map(|it| ratio(it, base, &of_case)).collect();
        let own_to_it = runs.iter().filter_map(|it| ratio(it, own, &of_case)).map(|it| 1.0 / it);
        let _ = writeln!(
            page,
            "| {tool} | {} | {} | {} | {} | {} | {} | {} |",
            runs.len(),
            rounded(of(|it| it.run.cpu_us_per_request())),
            rounded(median(to_base)),
            rounded(median(own_to_it.collect())),
            rounded(of(|it| it.run.requests_per_second().round())),
            rounded(of(|it| count(it.run.connections))),
            rounded(of(|it| count(it.run.memory_kib) / 1_024.0)),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn count(value: u64) -> f64 {
    value as f64
}

/// To the base's run of the same round.
fn ratio(sample: &Sample, base: &str, all: &[&Sample]) -> Option<f64> {
    let of = all.iter().find(|it| it.tool == base && it.round == sample.round)?;
    Some(sample.run.cpu_us_per_request() / of.run.cpu_us_per_request())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

fn rounded(value: f64) -> String {
    match value {
        none if none.is_nan() => "–".to_owned(),
        large if large.abs() >= 100.0 => format!("{large:.0}"),
        middle if middle.abs() >= 10.0 => format!("{middle:.1}"),
        small => format!("{small:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::Run;
    use super::*;

    fn sample(tool: &str, round: u32, cpu_us: u64) -> Sample {
        let run = Run { cpu_us, requests: 100, spread_us: 1_000_000, ..Run::default() };
        Sample { case: "trivial".to_owned(), tool: tool.to_owned(), round, run }
    }

    #[test]
    fn ratios_are_of_the_same_round_and_medians_of_all() {
        let samples = vec![
            sample("wrk", 0, 1_000),
            sample("onrush", 0, 1_100),
            sample("wrk", 1, 2_000),
            sample("onrush", 1, 2_400),
            sample("wrk", 2, 1_000),
            sample("onrush", 2, 1_300),
        ];
        let page = markdown(&Results { samples, ..Results::default() });
        assert!(page.contains("| wrk | 3 | 10.0 | 1.00 | 1.20 | 100 | 0.00 | 0.00 |"), "{page}");
        assert!(page.contains("| onrush | 3 | 13.0 | 1.20 | 1.00 | 100 | 0.00 | 0.00 |"), "{page}");
        assert!(page.contains("| k6 | 0 | not measured |"), "{page}");
    }

    #[test]
    fn a_failed_run_is_told_and_leaves_no_figure() {
        let failures = vec![Failure {
            case: "trivial".to_owned(),
            tool: "ab".to_owned(),
            round: 1,
            why: "exit 22\nmore".to_owned(),
        }];
        let samples = vec![sample("wrk", 1, 1_000)];
        let page = markdown(&Results { samples, failures, ..Results::default() });
        assert!(page.contains("## Failed\n\n- trivial, ab, round 1: exit 22\n"), "{page}");
        assert!(page.contains("| ab | 0 | not measured |"), "{page}");
    }

    #[test]
    fn figures_are_rounded_to_what_they_can_bear() {
        assert_eq!(rounded(8.547), "8.55");
        assert_eq!(rounded(85.47), "85.5");
        assert_eq!(rounded(854.7), "855");
        assert_eq!(rounded(f64::NAN), "–");
    }
}

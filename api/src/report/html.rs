//! The report: one file, no script, no network.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use onrush_scenario::stats::summary::Summary;

use super::format::{self, count, number, one_line, percent, time};
use super::{Outcome, outcome, plots, tables};

const STYLE: &str = include_str!("style.css");
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                   base-uri 'none'; form-action 'none'";

/// A self-contained page: opens from a file, prints, follows the reader's light or dark setting.
#[must_use]
pub fn html(summary: &Summary) -> String {
    let name = title(summary);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CSP);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "onrush " (summary.run.version) };
                title { (name) " – Onrush report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { "Skip to the results" }
                (header(summary, &name))
                main id="main" { (sections(summary)) }
                footer {
                    "Made by Onrush " (summary.run.version) ". The same figures for machines: "
                    code { "summary.json" } " (" (summary.schema) ")."
                }
            }
        }
    };
    page.into_string()
}

fn title(summary: &Summary) -> String {
    let run = &summary.run;
    let name = if run.title.is_empty() { &run.simulation } else { &run.title };
    one_line(if name.is_empty() { "Run" } else { name }, 200)
}

fn header(summary: &Summary, name: &str) -> Markup {
    let run = &summary.run;
    html! {
        header {
            div class="brand" {
                svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true" {
                    path class="mark" d="M3 22 11 10l6 7 5-9 7 14" {}
                }
                span { "Onrush" }
            }
            h1 { bdi { (name) } }
            p class="when" {
                @if name != run.simulation && !run.simulation.is_empty() {
                    bdi { (one_line(&run.simulation, 120)) } " · "
                }
                (format::utc(run.started_unix_ms))
                " · " (format::clock(run.window_s))
                @if run.nodes > 1 { " · " (run.nodes) " nodes" }
                @if !summary.status.is_empty() { " · " (one_line(&summary.status, 40)) }
            }
            nav aria-label="Sections" {
                a href="#charts" { "Charts" }
                a href="#requests" { "Requests" }
                a href="#errors" { "Errors" }
                a href="#users-and-status" { "Users and status" }
                a href="#generator" { "Generator" }
                a href="#setup" { "Setup" }
            }
        }
    }
}

fn sections(summary: &Summary) -> Markup {
    html! {
        (verdict(summary))
        (key_figures(summary))
        (ranges(summary))
        section aria-labelledby="charts" { h2 id="charts" { "Over time" } (plots::plots(summary)) }
        section aria-labelledby="requests" {
            h2 id="requests" { "Requests" } (tables::statistics(summary))
        }
        section aria-labelledby="errors" { h2 id="errors" { "Errors" } (tables::errors(summary)) }
        section aria-labelledby="users-and-status" {
            h2 id="users-and-status" { "Users and status" }
            (tables::scenarios_and_codes(summary))
        }
        section aria-labelledby="generator" {
            h2 id="generator" { "Load generator" } (generator(summary))
        }
        section aria-labelledby="setup" { h2 id="setup" { "Setup" } (setup(summary)) }
    }
}

fn verdict(summary: &Summary) -> Markup {
    let Outcome { class, icon, word, unfinished } = outcome(summary);
    html! {
        section class={ "verdict " (class) } aria-label="Verdict" {
            p class="word" { span aria-hidden="true" { (icon) } " " (word) }
            p class="reason" {
                (one_line(&summary.verdict.reason, 300))
                @if !unfinished && !summary.run.end_reason.is_empty() {
                    " · ended: " (one_line(&summary.run.end_reason, 200))
                }
            }
        }
        @for notice in &summary.notices { p class="notice" { "⚠ " (one_line(notice, 300)) } }
        @for part in &summary.lost {
            p class="notice" {
                "⚠ load of shard " (part.shard) " on " bdi { (one_line(&part.node, 60)) } " was lost: "
                (one_line(&part.reason, 200)) ". "
                (count(part.users_in_flight)) " users in flight, "
                (count(part.arrivals_missed)) " arrivals missed, "
                (count(part.seconds)) " seconds without figures"
                @if part.records_skipped > 0 {
                    ", " (count(part.records_skipped)) " records left out"
                }
                @if let Some((from, to)) = part.disturbed {
                    "; disturbed from second " (from) " to " (to)
                }
                @if part.made_up && part.users_in_flight + part.arrivals_missed + part.seconds == 0 {
                    "; nothing of it is missing."
                } @else if part.made_up {
                    "; what was to come of its share was taken over."
                } @else { "." }
            }
        }
        (tables::assertions(summary))
    }
}

fn card(label: &str, value: &str, note: &str, bad: bool) -> Markup {
    html! {
        div class=(if bad { "card alarm" } else { "card" }) {
            dt { (label) }
            dd { (value) span class="note" { (note) } }
        }
    }
}

fn key_figures(summary: &Summary) -> Markup {
    let Some(global) = summary.rows.first() else { return html! {} };
    let (all, ko) = (&global.stats.all, &global.stats.ko);
    let t = format::time_or_dash;
    html! {
        section aria-label="Key figures" {
            dl class="cards" {
                (card("Requests", &count(all.count), &format!("{}/s", number(all.per_second)), false))
                (card("Failed", &percent(ko.percent), &format!("{} KO", count(ko.count)),
                    ko.count > 0))
                (card("Median", &t(all.p50_us), &format!("mean {}", t(all.mean_us)), false))
                (card("95th percentile", &t(all.p95_us), &format!("p99 {}", t(all.p99_us)), false))
                (card("Slowest", &t(all.max_us), &format!("fastest {}", t(all.min_us)), false))
                (card("Users at once", &count(summary.users_peak),
                    &format!("{} started",
                        count(summary.scenarios.iter().map(|s| s.started).sum())), false))
            }
        }
    }
}

fn ranges(summary: &Summary) -> Markup {
    let r = &summary.ranges;
    let all = r.ok_below_lower + r.ok_between + r.ok_from_higher + r.ko;
    if all == 0 {
        return html! {};
    }
    let (lower, higher) = (time(r.lower_us), time(r.higher_us));
    let parts = [
        ("r0", format!("OK, under {lower}"), r.ok_below_lower),
        ("r1", format!("OK, {lower} to {higher}"), r.ok_between),
        ("r2", format!("OK, {higher} or more"), r.ok_from_higher),
        ("r3", "KO".to_owned(), r.ko),
    ];
    html! {
        section aria-label="Response time ranges" class="ranges" {
            div class="bar" aria-hidden="true" {
                @for (class, _, part) in &parts {
                    @if *part > 0 {
                        span class=(class) style=(format!("flex-grow:{part}")) {}
                    }
                }
            }
            ul {
                @for (class, label, part) in &parts {
                    li {
                        span class={ "key " (class) } aria-hidden="true" {}
                        (label) " " b { (percent(tables::share(*part, all))) }
                        span class="note" { " " (count(*part)) }
                    }
                }
            }
        }
    }
}

fn generator(summary: &Summary) -> Markup {
    let (g, h) = (&summary.generator, &summary.generator.health);
    let facts = [
        ("CPU, busiest second", percent(f64::from(h.cpu_percent_max)) + " of one core"),
        ("Taken by the hypervisor", percent(f64::from(h.steal_percent_max))),
        ("Users started late, p99", time(h.lateness_p99_us)),
        ("Latest start", time(h.lateness_max_us)),
        ("Longest hold-up of a thread", time(h.loop_lag_max_us)),
        ("Arrivals dropped", count(h.dropped)),
        ("Socket errors of its own", count(h.local_errors)),
        ("Open files, most", count(h.open_files_max.into())),
        ("Memory, most", format::bytes(h.rss_bytes_max)),
        (
            "Connections",
            format!(
                "{} opened, {} closed, {} failed",
                count(summary.connections.opened),
                count(summary.connections.closed),
                count(summary.connections.failed)
            ),
        ),
        ("Sent", format::bytes(summary.bytes_sent)),
        ("Received", format::bytes(summary.bytes_received)),
        (
            "Start spread of the nodes, at most",
            summary.start_spread_us.map(time).unwrap_or_default(),
        ),
        ("Coverage of the planned load", percent(summary.coverage * 100.0)),
    ];
    html! {
        p class=(if g.saturated { "health bad" } else { "health good" }) {
            @if g.saturated { "✗ Saturated: the figures tell about the generator, not the target. " }
            @else if g.flagged_seconds > 0 { "✓ Healthy, but for some seconds. " }
            @else { "✓ Healthy: the target set the pace, not the generator. " }
            (count(g.flagged_seconds)) " of " (count(g.measured_seconds)) " seconds are flagged."
        }
        @if !g.nodes.is_empty() {
            ul class="reasons" {
                @for (node, seconds) in &g.nodes {
                    li { "On " (one_line(node, 60)) ": " (count(*seconds)) " s" }
                }
            }
        }
        @if !g.reasons.is_empty() {
            ul class="reasons" {
                @for (why, seconds) in &g.reasons {
                    li { (one_line(why, 200)) ": " (count(*seconds)) " s" }
                }
            }
        }
        (tables::facts(&facts))
        (tables::shards(summary))
    }
}

fn setup(summary: &Summary) -> Markup {
    let run = &summary.run;
    let mut facts = vec![
        ("Simulation", run.simulation.clone()),
        ("Title", run.title.clone()),
        ("Job", run.id.clone()),
        ("Started", format::utc(run.started_unix_ms)),
        ("Ended", format::utc(run.ended_unix_ms)),
        ("Load, of what was written", super::load_label(summary)),
        ("Seed", run.seed.to_string()),
        ("Onrush", run.version.clone()),
    ];
    let parameters = run.parameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let parameters: Vec<_> = parameters.collect();
    facts.retain(|(_, value)| !value.is_empty());
    html! {
        (tables::facts(&facts))
        @if !parameters.is_empty() { h3 { "Parameters" } (tables::facts(&parameters)) }
        @if !summary.events.is_empty() {
            h3 { "What happened" }
            ol class="events" {
                @for event in &summary.events {
                    li { (format::clock(event.second.into())) " " (one_line(&event.text, 200)) }
                }
            }
        }
    }
}

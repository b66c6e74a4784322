//! What is said of Onrush alone: memory per idle user, exactness of the open model, instructions
//! and system calls per request, the load of a master. Memory and counts are differences of two
//! runs, so that the program itself is not in them.

use std::process::Command;

use serde_json::Value;

use super::measure::Bench;
use super::{Figure, master};

/// Seconds that idle users stay.
const IDLE_SECONDS: u32 = 4;
const OPEN_SECONDS: u32 = 10;

type Measure = fn(&Bench) -> anyhow::Result<Vec<Figure>>;

/// By the name that `--figure` takes, in the order of the table.
pub static FIGURES: &[(&str, Measure)] = &[
    ("idle", idle),
    ("open", |bench| Ok([open_model(bench, 5_000)?, open_model(bench, 20_000)?].concat())),
    ("names", names),
    ("counted", counted),
    ("master", master::figures),
];

fn idle(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let idle = memory_per_user(bench, "idle", [10_000, 210_000])?;
    let connected = memory_per_user(bench, "connected", [1_000, 9_000])?;
    Ok(vec![
        figure("idle user, without a connection", idle, "B"),
        figure("idle user, with an open connection", connected, "B"),
    ])
}

pub(super) fn figure(name: impl Into<String>, value: f64, unit: &str) -> Figure {
    let figure = Figure { name: name.into(), value, unit: unit.to_owned() };
    super::say(&format!("{}: {:.2} {unit}", figure.name, figure.value));
    figure
}

fn missing(tool: &str, name: &str) -> Figure {
    figure(format!("{name} ({tool} is missing: not measured)"), f64::NAN, "")
}

#[expect(clippy::cast_precision_loss, reason = "bytes a user")]
fn memory_per_user(bench: &Bench, kind: &str, users: [u64; 2]) -> anyhow::Result<f64> {
    let mut memory = [0; 2];
    for (users, memory) in users.iter().zip(&mut memory) {
        let parameters = [format!("users={users}"), format!("seconds={IDLE_SECONDS}")];
        *memory = bench.measure(bench.onrush_run(kind, &parameters))?.memory_kib;
    }
    Ok((memory[1].saturating_sub(memory[0]) << 10) as f64 / (users[1] - users[0]) as f64)
}

/// How far the arrivals at the target are from the schedule that fits them best, and what Onrush
/// itself says of its lateness.
#[expect(clippy::cast_precision_loss, reason = "microseconds")]
fn open_model(bench: &Bench, rate: u32) -> anyhow::Result<Vec<Figure>> {
    let parameters = [format!("users={rate}"), format!("seconds={OPEN_SECONDS}")];
    let run = bench.measure(bench.onrush_run("open", &parameters))?;
    let text = bench.ask("/__stamps")?;
    let stamps: Vec<f64> = text.lines().filter_map(|it| it.parse().ok()).collect();
    let ideal_ns = 1e9 / f64::from(rate);
    let mut offsets: Vec<f64> =
        stamps.iter().zip(0u32..).map(|(at, k)| at - f64::from(k) * ideal_ns).collect();
    let middle = percentile(&mut offsets, 0.5);
    let mut errors: Vec<f64> = offsets.iter().map(|it| (it - middle).abs() / 1e3).collect();
    let asked = f64::from(rate) * f64::from(OPEN_SECONDS);
    let health = |name: &str| {
        let file = std::fs::read(bench.results().join("summary.json")).ok()?;
        let summary: Value = serde_json::from_slice(&file).ok()?;
        summary["generator"]["health"][name].as_f64()
    };
    let of = format!("open model {rate}/s");
    Ok(vec![
        figure(format!("{of}: requests missing"), asked - run.requests as f64, ""),
        figure(format!("{of}: arrival error p50"), percentile(&mut errors, 0.5), "µs"),
        figure(format!("{of}: arrival error p99"), percentile(&mut errors, 0.99), "µs"),
        figure(
            format!("{of}: own lateness p99, worst second"),
            health("lateness_p99_us").unwrap_or(f64::NAN),
            "µs",
        ),
        figure(format!("{of}: dropped"), health("dropped").unwrap_or(f64::NAN), ""),
        figure(format!("{of}: CPU per request"), run.cpu_us_per_request(), "µs"),
    ])
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index"
)]
pub(super) fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * part) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// 500 request names against 10, in turn.
fn names(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let mut us = [0.0; 2];
        for (us, names) in us.iter_mut().zip([10, 500]) {
            let parameters =
                ["users=64".to_owned(), "seconds=3".to_owned(), format!("names={names}")];
            *us = bench.measure(bench.onrush_run("names", &parameters))?.cpu_us_per_request();
        }
        ratios.push(us[1] / us[0]);
    }
    Ok(vec![figure("CPU of 500 request names to that of 10", percentile(&mut ratios, 0.5), "")])
}

/// Counts that do not depend on the machine's mood.
fn counted(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for kind in ["trivial", "scenario"] {
        figures.push(match difference(bench, kind, [20, 120], instructions)? {
            Some(count) => figure(format!("{kind}: instructions a request (callgrind)"), count, ""),
            None => missing("valgrind", &format!("{kind}: instructions a request")),
        });
        figures.push(match difference(bench, kind, [50, 550], system_calls)? {
            Some(count) => figure(format!("{kind}: system calls a request (strace)"), count, ""),
            None => missing("strace", &format!("{kind}: system calls a request")),
        });
    }
    Ok(figures)
}

type Counter = fn(&Bench, &Command) -> anyhow::Result<Option<f64>>;

/// Per request, of two runs with that many requests a user.
fn difference(
    bench: &Bench,
    kind: &str,
    counts: [u32; 2],
    counter: Counter,
) -> anyhow::Result<Option<f64>> {
    const USERS: u32 = 64;
    let mut found = [0.0; 2];
    for (found, count) in found.iter_mut().zip(counts) {
        let parameters = [format!("users={USERS}"), format!("count={count}")];
        let Some(counted) = counter(bench, &bench.onrush_run(kind, &parameters))? else {
            return Ok(None);
        };
        *found = counted;
    }
    Ok(Some((found[1] - found[0]) / f64::from(USERS * (counts[1] - counts[0]))))
}

/// The command under another program, and where that one wrote.
fn under(bench: &Bench, tool: &str, options: &[&str], command: &Command) -> anyhow::Result<String> {
    let log = bench.scratch.join("counted.log");
    let mut outer = Command::new(tool);
    for option in options {
        outer.arg(option.replace("LOG", &log.to_string_lossy()));
    }
    outer.arg(command.get_program()).args(command.get_args());
    bench.measure(outer)?;
    Ok(std::fs::read_to_string(log)?)
}

fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok()
}

fn instructions(bench: &Bench, command: &Command) -> anyhow::Result<Option<f64>> {
    if !is_there("valgrind") {
        return Ok(None);
    }
    let options = ["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=LOG"];
    let text = under(bench, "valgrind", &options, command)?;
    let line = text.lines().find_map(|line| line.split_once("Collected :"));
    Ok(line.and_then(|(_, count)| count.trim().parse().ok()))
}

fn system_calls(bench: &Bench, command: &Command) -> anyhow::Result<Option<f64>> {
    if !is_there("strace") {
        return Ok(None);
    }
    let text = under(bench, "strace", &["-f", "-c", "-U", "calls,name", "-o", "LOG"], command)?;
    let line = text.lines().rev().find(|line| line.contains("total"));
    Ok(line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()))
}

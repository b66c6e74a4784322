//! What Onrush does with a case: `onrush run`, its summary, and the plan of its graph.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context as _;
use onrush_scenario::inject::{InjectionSpec, schedule};
use onrush_scenario::ir::Population;
use onrush_scenario::script::{DirSources, LoadOptions, SilentConsole, Sources, load};
use serde_json::Value;

use super::case::Case;
use super::form::{Outcome, Tally};
use super::target::Target;
use crate::process::binary;

/// Randomness is drawn from it: cases may not depend on which.
const SEED: u64 = 1;

/// Runs the case against the target.
///
/// # Errors
/// When `onrush` cannot be started, or its summary cannot be read.
pub fn run(case: &Case, target: &Target) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let results = folder.path().join("results");
    let output = Command::new(binary("onrush"))
        .args(["run", "--progress", "none", "--threads", "2", "--seed-rng", &SEED.to_string()])
        .arg("--results")
        .arg(&results)
        .arg(&case.file)
        .args(target.parameters())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .context("onrush starts")?;
    let code = output.status.code().context("onrush was killed")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let error = complaint.lines().find_map(|line| line.split_once("error: "));
    let message = error.map(|(_, text)| text.to_owned());
    let path = results.join("summary.json");
    if !path.is_file() {
        return Ok(Outcome { exit: "refused".to_owned(), message, ..Outcome::default() });
    }
    let summary: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let mut outcome = read(&summary)?;
    outcome.offsets = offsets(case, target)?;
    (outcome.exit, outcome.message) = match code {
        1 => ("crashed".to_owned(), message),
        code => (code.to_string(), None),
    };
    Ok(outcome)
}

fn read(summary: &Value) -> anyhow::Result<Outcome> {
    let list = |name: &str| summary[name].as_array().with_context(|| format!("no {name}"));
    let mut outcome = Outcome::default();
    for row in list("scenarios")? {
        let started = row["started"].as_u64().unwrap_or_default();
        if started > 0 {
            outcome.users.insert(row["name"].as_str().unwrap_or_default().to_owned(), started);
        }
    }
    for row in list("rows")? {
        let into = match row["kind"].as_str() {
            Some("request") => &mut outcome.requests,
            Some("group") => &mut outcome.groups,
            _ => continue,
        };
        let tally = tally(row);
        // A row of what was sent and not answered before the run was stopped.
        if tally.ok + tally.ko > 0 {
            // Two paths may read alike.
            let sum = into.entry(path(&row["path"])).or_default();
            sum.ok += tally.ok;
            sum.ko += tally.ko;
            sum.cumulated_ms += tally.cumulated_ms;
            sum.duration_ms += tally.duration_ms;
        }
    }
    for row in list("errors")? {
        let count = row["count"].as_u64().unwrap_or_default();
        outcome.errors.insert(row["message"].as_str().unwrap_or_default().to_owned(), count);
    }
    for row in list("assertions")? {
        outcome.assertions.push(row["text"].as_str().unwrap_or_default().to_owned());
    }
    Ok(outcome)
}

fn path(parts: &Value) -> String {
    let parts = parts.as_array().into_iter().flatten().filter_map(Value::as_str);
    parts.collect::<Vec<_>>().join(" / ")
}

fn tally(row: &Value) -> Tally {
    let count = |which: &str| row["stats"][which]["count"].as_u64().unwrap_or_default();
    let sum_ms = |stats: &Value| {
        let number = |name: &str| stats["all"][name].as_u64().unwrap_or_default();
        number("count") * number("mean_us") / 1_000
    };
    Tally {
        ok: count("ok"),
        ko: count("ko"),
        cumulated_ms: sum_ms(&row["stats"]),
        duration_ms: sum_ms(&row["duration"]),
    }
}

/// The planned starts, from the graph.
fn offsets(case: &Case, target: &Target) -> anyhow::Result<Vec<Vec<u64>>> {
    let parameters: BTreeMap<String, String> = target
        .parameters()
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let options = LoadOptions { parameters, seed: SEED, ..LoadOptions::default() };
    let root = case.file.parent().context("a case has a folder")?;
    let sources: Arc<dyn Sources> = Arc::new(DirSources::new(root));
    let entry = case.file.file_name().and_then(|name| name.to_str()).context("a name")?;
    let loaded = load(&sources, entry, &options, Rc::new(SilentConsole))
        .map_err(|problem| anyhow::anyhow!("{}", problem.message))?;
    let mut all = Vec::new();
    let mut open: Vec<&Population> = loaded.simulation.populations.iter().collect();
    while let Some(population) = open.pop() {
        open.extend(&population.children);
        if let InjectionSpec::Open(steps) = &population.inject {
            all.push(schedule(steps, SEED).map(|arrival| arrival.at_us / 1_000).collect());
        }
    }
    Ok(all)
}

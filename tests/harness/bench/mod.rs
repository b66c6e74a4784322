//! The benchmark (`scripts/bench.sh`): each tool in turn against one target, on a core of its own,
//! several rounds; every figure is held against wrk's of the same round, because machines change
//! their speed from minute to minute.
//!
//! Reading order: `cases` (what is measured), `tools` (with what), `measure` (one run), `figures`
//! (memory, pacing and counts of Onrush alone; `master`), `table`, this file (the rounds).
//! Nothing here passes or fails: it reports.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub mod cases;
pub mod figures;
pub mod http2;
mod master;
pub mod measure;
pub mod table;
pub mod target;
pub mod tools;

use cases::Case;
use measure::{Bench, Run};
use tools::Tool;

/// What is to be measured.
#[derive(Debug)]
pub struct Order {
    pub cases: Vec<&'static Case>,
    pub tools: Vec<&'static Tool>,
    pub rounds: u32,
    pub seconds: u32,
    /// Memory, pacing, counts, the master: names of [`figures::FIGURES`].
    pub figures: Vec<&'static str>,
}

/// One run of one tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub case: String,
    pub tool: String,
    /// Rounds are numbered through all invocations that a file was made of.
    pub round: u32,
    pub run: Run,
}

/// A run of which there is no sample.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub case: String,
    pub tool: String,
    pub round: u32,
    pub why: String,
}

/// A figure that is not held against another tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
}

/// What the JSON file holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    pub machine: String,
    /// By tool; a tool that is not there says so.
    pub versions: Vec<(String, String)>,
    pub samples: Vec<Sample>,
    /// Runs that failed, and why; the others went on.
    #[serde(default)]
    pub failures: Vec<Failure>,
    pub figures: Vec<Figure>,
}

/// Measures, and adds to `results`. A tool that fails is noted there, and the next has its turn.
///
/// # Errors
/// When the machine cannot be described, or the figures cannot be had.
pub fn run(bench: &Bench, order: &Order, results: &mut Results) -> anyhow::Result<()> {
    results.machine = measure::machine()?;
    let mut present = Vec::new();
    for tool in &order.tools {
        let version = (tool.version)(bench);
        let shown = version.clone().unwrap_or_else(|| "missing: not measured".to_owned());
        say(&format!("{}: {shown}", tool.name));
        results.versions.retain(|(name, _)| name != tool.name);
        results.versions.push((tool.name.to_owned(), shown));
        if version.is_some() {
            present.push(*tool);
        }
    }
    let first = results.samples.iter().map(|it| it.round + 1).max().unwrap_or(0);
    for round in first..first + order.rounds {
        for case in &order.cases {
            for tool in present.iter().filter(|tool| case.tools.contains(&tool.name)) {
                let name = tool.name;
                let outcome = tool.run(bench, case, order.seconds);
                let (case, tool) = (case.id.to_owned(), name.to_owned());
                match outcome {
                    Ok(run) => {
                        let us = run.cpu_us_per_request();
                        say(&format!("round {round} {case:9} {name:14} {us:8.2} µs/request"));
                        results.samples.push(Sample { case, tool, round, run });
                    }
                    Err(error) => {
                        let why = format!("{error:#}");
                        say(&format!("round {round} {case:9} {name:14} failed: {why}"));
                        results.failures.push(Failure { case, tool, round, why });
                    }
                }
            }
        }
    }
    for (name, measure) in figures::FIGURES.iter().filter(|it| order.figures.contains(&it.0)) {
        say(name);
        let measured = measure(bench)?;
        results.figures.retain(|old| measured.iter().all(|new| new.name != old.name));
        results.figures.extend(measured);
    }
    Ok(())
}

fn say(line: &str) {
    use std::io::Write as _;
    // A terminal that is gone is no reason to stop measuring.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Where the simulations of the tools are.
#[must_use]
pub fn files() -> PathBuf {
    crate::cluster::repository().join("tests/bench")
}

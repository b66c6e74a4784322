//! A simulation as a program of its own: `run` and `export`. Reports are `onrush run`'s; this one
//! prints what passed and what failed, and ends with the same codes.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;

use crate::engine::{self, Event};
use crate::inject::division::SEGMENTS;
use crate::ir::Simulation;
use crate::shard::{SHARD_COMMAND, ShardSpec};
use crate::stats::aggregate::Aggregate;
use crate::stats::summarize::Context;
use crate::stats::summary::{RowKind, RunInfo, Summary, VerdictValue};

const USAGE: &str = "\
usage: PROGRAM run [key=value …]          run it on this machine
       PROGRAM export FILE [key=value …]  write it as JSON, for onrush run and onrush job submit";

/// As `onrush` ends, too.
const ASSERTIONS_FAILED: u8 = 2;
const USAGE_WRONG: u8 = 64;
const BAD_SIMULATION: u8 = 65;

/// The `key=value` arguments.
#[derive(Clone, Debug, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    #[must_use]
    pub fn text(&self, name: &str, default: &str) -> String {
        self.0.get(name).map_or(default, String::as_str).to_owned()
    }

    /// # Errors
    /// When it is given and is no number.
    pub fn number(&self, name: &str, default: f64) -> Result<f64, String> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        text.parse().map_err(|_| format!("{name}={text} is no number"))
    }
}

/// The whole of a simulation's `main`: reads the arguments, builds the simulation, and runs or
/// exports it.
pub fn main(simulation: impl FnOnce(&Parameters) -> Result<Simulation, String>) -> ExitCode {
    // A run that divides itself into processes starts this program again.
    if std::env::args().nth(1).as_deref() == Some(SHARD_COMMAND) {
        return crate::shard::main();
    }
    match command(std::env::args().skip(1), simulation) {
        Ok(code) => ExitCode::from(code),
        Err((code, message)) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(code)
        }
    }
}

type Failure = (u8, String);

fn command(
    arguments: impl Iterator<Item = String>,
    simulation: impl FnOnce(&Parameters) -> Result<Simulation, String>,
) -> Result<u8, Failure> {
    let usage = |message: &str| (USAGE_WRONG, format!("{message}\n{USAGE}"));
    let mut plain = Vec::new();
    let mut parameters = Parameters::default();
    for argument in arguments {
        match argument.split_once('=') {
            Some((key, value)) => drop(parameters.0.insert(key.to_owned(), value.to_owned())),
            None => plain.push(argument),
        }
    }
    let words: Vec<&str> = plain.iter().map(String::as_str).collect();
    let build = || simulation(&parameters).map_err(|message| (BAD_SIMULATION, message));
    match *words {
        ["run"] => run(&build()?),
        ["export", file] => {
            let graph = build()?;
            write(Path::new(file), &graph)?;
            let _ = writeln!(std::io::stdout(), "{file}: the simulation {}", graph.name);
            Ok(0)
        }
        [] => Err(usage("no command")),
        _ => Err(usage(&format!("not a command: {}", words.join(" ")))),
    }
}

fn write(path: &Path, graph: &Simulation) -> Result<(), Failure> {
    if graph.functions > 0 {
        let message = "the graph has session functions: they live in a script and cannot be \
                       exported; write the simulation as a script";
        return Err((BAD_SIMULATION, message.to_owned()));
    }
    let failed = |error: String| (1, format!("{}: {error}", path.display()));
    let json = serde_json::to_vec_pretty(graph).map_err(|error| failed(error.to_string()))?;
    std::fs::write(path, json).map_err(|error| failed(error.to_string()))
}

/// The graph for as long as the engine reads it: data files are found beside it.
struct Exported(PathBuf);

impl Drop for Exported {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn run(graph: &Simulation) -> Result<u8, Failure> {
    let root = std::env::current_dir().map_err(|error| (1, error.to_string()))?;
    let name = format!(".onrush-{}.json", std::process::id());
    let exported = Exported(root.join(&name));
    write(&exported.0, graph)?;
    let spec = ShardSpec {
        job: "local".to_owned(),
        shard: 0,
        epoch: 1,
        segments_total: SEGMENTS,
        segments: (0..SEGMENTS).collect(),
        seed: engine::clock::unix_us(),
        root,
        simulation: name,
        ..ShardSpec::default()
    };
    // Nobody asks for a stop: the sender only has to live.
    let (_control, orders) = mpsc::channel();
    let mut aggregate = Aggregate::new();
    let ended = engine::run_local(&spec, &orders, &mut |event| match event {
        Event::Alive | Event::Yielded(_) | Event::Load(_) => {}
        Event::Surplus(_) | Event::HeldBack(_) => {}
        Event::Frame(frame) => aggregate.apply_frames([*frame]),
        Event::Output { line, .. } => drop(writeln!(std::io::stderr(), "{line}")),
        Event::Ready(_) => {}
    });
    ended.map_err(|problem| (1, problem.message))?;
    let summary = aggregate.summary(Context {
        run: RunInfo { simulation: graph.name.clone(), ..RunInfo::default() },
        status: "finished".to_owned(),
        assertions: &graph.assertions,
        judge: true,
        ..Context::default()
    });
    let _ = std::io::stdout().write_all(text(&summary).as_bytes());
    let failed = summary.verdict.value == VerdictValue::Failed;
    Ok(if failed { ASSERTIONS_FAILED } else { 0 })
}

fn text(summary: &Summary) -> String {
    let mut out = String::new();
    for row in summary.rows.iter().filter(|row| row.kind != RowKind::Group) {
        let name = if row.path.is_empty() { "Global".to_owned() } else { row.path.join(" / ") };
        let (all, ko) = (&row.stats.all, row.stats.ko.count);
        let p95_ms = all.p95_us.unwrap_or(0) / 1_000;
        let count = all.count;
        out.push_str(&format!("{name}: {count} requests, {ko} failed, p95 {p95_ms} ms\n"));
    }
    for error in &summary.errors {
        out.push_str(&format!("error: {} ({} times)\n", error.message, error.count));
    }
    for assertion in &summary.assertions {
        out.push_str(&assertion.text);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &[&str]) -> Result<u8, Failure> {
        let arguments = arguments.iter().map(|&it| it.to_owned());
        command(arguments, |parameters| {
            parameters.number("rate", 1.0)?;
            Err("no simulation".to_owned())
        })
    }

    #[test]
    fn commands_are_checked() {
        assert!(call(&[]).unwrap_err().1.starts_with("no command\nusage: PROGRAM run"));
        assert!(call(&["walk"]).unwrap_err().1.starts_with("not a command: walk\n"));
        assert_eq!(call(&["run", "rate=x"]), Err((65, "rate=x is no number".to_owned())));
        assert_eq!(call(&["export", "f"]), Err((65, "no simulation".to_owned())));
    }
}

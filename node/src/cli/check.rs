//! `onrush check FILE [key=value …]`: what a simulation is, without sending anything: the tree of
//! its scenarios, the plan of users over time, the files it reads, its assertions, its problems.

use std::fmt::Write as _;
use std::process::ExitCode;

use onrush_scenario::engine::inspect::{Inspection, inspect};
use onrush_scenario::inject::InjectionSpec;
use onrush_scenario::inject::curve::{Stretch, curve};
use onrush_scenario::ir::Population;
use onrush_scenario::shard::{Problem, ShardSpec};
use onrush_scenario::stats::assertion::AssertionSpec;
use onrush_scenario::tree::{self, Node, time};
use serde_json::{Value, json};

use super::exit::Exit;
use super::local::{self, exit_of, print_problem};
use super::output::{bytes, thousands};
use super::progress::colour;
use super::{Global, output, say, tell};

/// Rows of the plan of one scenario.
const ROWS_MAX: u64 = 12;
/// Columns of its longest bar.
const BAR_MAX: u64 = 40;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    simulation: local::Simulation,
}

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let spec = args.simulation.spec()?;
    let found = match inspect(&spec) {
        Ok(found) => found,
        Err(problem) => {
            if global.is_json() {
                output::json(&json!({"file": spec.simulation, "problems": [problem]}))?;
            } else {
                print_problem(&problem);
            }
            return Ok(exit_of(problem.kind).into());
        }
    };
    if global.is_json() {
        output::json(&as_json(&found, &spec))?;
    } else {
        for (_, line) in &found.output {
            tell(line);
        }
        let paint = colour(&std::io::stdout());
        for line in as_text(&found, &spec).lines() {
            let heading = paint && line.starts_with(|first: char| first.is_ascii_uppercase());
            if heading { say(format!("\x1b[1m{line}\x1b[0m"))? } else { say(line)? }
        }
        found.problems.iter().for_each(print_problem);
    }
    Ok(found.problems.first().map_or(Exit::Ok, |problem| exit_of(problem.kind)).into())
}

/// Populations with the one they follow, in the order of the script.
fn populations(found: &Inspection) -> Vec<(&Population, Option<&str>)> {
    fn add<'a>(
        all: &mut Vec<(&'a Population, Option<&'a str>)>,
        population: &'a Population,
        after: Option<&'a str>,
    ) {
        all.push((population, after));
        for child in &population.children {
            add(all, child, Some(&population.scenario.name));
        }
    }
    let mut all = Vec::new();
    for population in &found.simulation.populations {
        add(&mut all, population, None);
    }
    all
}

fn stretches(population: &Population, spec: &ShardSpec) -> Option<Vec<Stretch>> {
    curve(&population.inject, ROWS_MAX, spec.seed)
}

fn as_text(found: &Inspection, spec: &ShardSpec) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "Simulation {} ({})", found.plan.simulation, spec.simulation);
    if let Some(limit) = found.plan.max_duration_us {
        let _ = writeln!(out, "  ends after {} at the latest", time(limit));
    }
    for (population, after) in populations(found) {
        let name = &population.scenario.name;
        let after = after.map(|it| format!(", after {it}")).unwrap_or_default();
        let _ = writeln!(out, "\nScenario {name}{after}");
        draw(&tree::of(&found.simulation, &population.scenario), 1, &mut out);
        let _ = writeln!(out, "\nUsers of {name}");
        plan(population, stretches(population, spec), &mut out);
    }
    if !found.files.is_empty() {
        out.push_str("\nFiles\n");
    }
    for file in &found.files {
        let records = file.records.map(|count| format!(", {} records", thousands(count)));
        let (path, size) = (&file.path, bytes(file.bytes));
        let _ = writeln!(out, "  {}  {path}, {size}{}", file.name, records.unwrap_or_default());
    }
    if !found.simulation.assertions.is_empty() {
        out.push_str("\nAssertions\n");
    }
    for assertion in &found.simulation.assertions {
        let _ = writeln!(out, "  {}", words(assertion));
    }
    let problems = found.problems.len();
    let verdict = if problems == 0 { "none".to_owned() } else { problems.to_string() };
    let _ = writeln!(out, "\nProblems: {verdict}");
    out
}

fn draw(nodes: &[Node], depth: usize, out: &mut String) {
    for node in nodes {
        let _ = writeln!(out, "{}{}", "  ".repeat(depth), node.text);
        draw(&node.children, depth + 1, out);
    }
}

fn plan(population: &Population, stretches: Option<Vec<Stretch>>, out: &mut String) {
    for line in tree::profile(&population.inject) {
        let _ = writeln!(out, "  {line}");
    }
    let open = matches!(population.inject, InjectionSpec::Open(_));
    let all = match population.inject.planned_users() {
        Some(1) => "1 user starts".to_owned(),
        Some(users) => format!("{} users start", thousands(users)),
        None => "closed model".to_owned(),
    };
    let _ = writeln!(out, "  {all} in {}", time(population.inject.duration_us()));
    let Some(stretches) = stretches else {
        out.push_str("  too many users to draw\n");
        return;
    };
    let most = stretches.iter().map(|it| it.users).max().unwrap_or(0).max(1);
    for stretch in stretches {
        let (from, to) = (time(stretch.from_us), time(stretch.to_us));
        let length = (stretch.users * BAR_MAX).div_ceil(most);
        let bar = "█".repeat(usize::try_from(length).unwrap_or_default());
        let users = thousands(stretch.users);
        let what = if open { "start" } else { "at once" };
        let line = format!("  {from:>7} to {to:>7}  {users:>9} {what}  {bar}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// `Global: percentage of failed events is less than 1.0`
fn words(assertion: &AssertionSpec) -> String {
    use onrush_scenario::stats::assertion::Scope;

    let scope = match &assertion.scope {
        Scope::Global => "Global".to_owned(),
        Scope::ForAll => "For all requests".to_owned(),
        Scope::Details(path) => path.join(" / "),
    };
    format!("{scope}: {} {}", assertion.target, assertion.condition)
}

fn as_json(found: &Inspection, spec: &ShardSpec) -> Value {
    let scenario = |(population, after): (&Population, Option<&str>)| {
        let curve = stretches(population, spec).unwrap_or_default();
        let curve: Vec<Value> = curve
            .iter()
            .map(|it| json!({"from_us": it.from_us, "to_us": it.to_us, "users": it.users}))
            .collect();
        json!({
            "name": population.scenario.name,
            "after": after,
            "tree": tree::of(&found.simulation, &population.scenario),
            "injection": {
                "model": match population.inject {
                    InjectionSpec::Open(_) => "open",
                    InjectionSpec::Closed(_) => "closed",
                },
                "steps": tree::profile(&population.inject),
                "users": population.inject.planned_users(),
                "duration_us": population.inject.duration_us(),
                "curve": curve,
            },
        })
    };
    let files = found.files.iter().map(|file| {
        json!({"name": file.name, "path": file.path, "bytes": file.bytes, "records": file.records})
    });
    let problems: &[Problem] = &found.problems;
    json!({
        "simulation": found.plan.simulation,
        "file": spec.simulation,
        "plan_hash": found.plan.plan_hash,
        "max_duration_us": found.plan.max_duration_us,
        "scenarios": populations(found).into_iter().map(scenario).collect::<Vec<_>>(),
        "files": files.collect::<Vec<_>>(),
        "assertions": found.simulation.assertions.iter().map(words).collect::<Vec<_>>(),
        "problems": problems,
    })
}

//! `onrush-oracle`: records cases on Gatling, or shows where Onrush differs from a recording.
//! `scripts/oracle.sh` installs Gatling and calls this.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail, ensure};
use harness::oracle::case::cases;
use harness::oracle::form::form;
use harness::oracle::gatling;
use harness::oracle::suite::{self, Report};
use harness::oracle::target::Target;
use serde_json::{Value, json};

const USAGE: &str = "\
usage: onrush-oracle check [CASE…]                          compare Onrush with the recordings
       onrush-oracle record BUNDLES [CASE…] -- COMMAND…     record; COMMAND is given the jobs' file";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("onrush-oracle: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((word, names)) if word == "check" => check(names),
        Some((word, rest)) if word == "record" => record(rest),
        _ => bail!("{USAGE}"),
    }
}

fn check(names: &[String]) -> anyhow::Result<ExitCode> {
    let report = suite::run(&cases(names)?)?;
    println!("{report}");
    Ok(if Report::agrees(&report) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn record(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let end = arguments.iter().position(|word| word == "--").context(USAGE)?;
    let (Some((bundles, names)), [program, options @ ..]) =
        (arguments[..end].split_first(), &arguments[end + 1..])
    else {
        bail!("{USAGE}");
    };
    let bundles = Path::new(bundles);
    let cases = cases(names)?;
    let mut jobs = String::new();
    let mut runs = Vec::new();
    for case in cases {
        let (bundle, facts) = (
            bundles.join(format!("{}.js", case.name)),
            bundles.join(format!("{}.facts", case.name)),
        );
        ensure!(bundle.is_file(), "{} is missing", bundle.display());
        let target = Target::start(case.pages.clone())?;
        let words = [bundle.display().to_string(), facts.display().to_string()];
        jobs.push_str(&[&words[..], &target.parameters()].concat().join("\t"));
        jobs.push('\n');
        runs.push((case, target, facts));
    }
    let file = bundles.join("jobs");
    std::fs::write(&file, jobs)?;
    let status =
        Command::new(program).args(options).arg(&file).status().context(program.clone())?;
    for (case, target, facts) in runs {
        let Ok(text) = std::fs::read_to_string(&facts) else {
            eprintln!("{}: not run", case.name);
            continue;
        };
        let facts: Value = serde_json::from_str(&text)?;
        let mut recording = json!({"gatling": gatling::VERSION});
        let outcome = gatling::outcome(&facts).with_context(|| case.name.clone())?;
        for (name, value) in form(&case, outcome, &target).as_object().into_iter().flatten() {
            recording[name] = value.clone();
        }
        std::fs::write(case.recording(), serde_json::to_string_pretty(&recording)? + "\n")?;
    }
    ensure!(status.success(), "{program} ended with {status}");
    Ok(ExitCode::SUCCESS)
}

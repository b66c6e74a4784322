//! `onrush-bench`: what `scripts/bench.sh` runs. `run` measures, `serve` is the target.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use harness::bench::cases::{CASES, Case};
use harness::bench::figures::FIGURES;
use harness::bench::measure::Bench;
use harness::bench::tools::{TOOLS, Tool};
use harness::bench::{Order, Results, http2, run, table, target};
use harness::process::binary;

const USAGE: &str = "\
usage: onrush-bench run [--case NAME]… [--tool NAME]… [--rounds 3] [--seconds 5]
                        [--figures | --figure NAME…] [--json FILE] [--add] [--markdown FILE]
                        [--cores 0,1]
       onrush-bench serve --listen ADDRESS:PORT
--figures: what is said of Onrush alone: idle, open, names, counted, master
--add: the FILE's samples and figures stay, and the new ones come to them";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let outcome = match args.next().as_deref() {
        Some("serve") => serve(args),
        Some("run") => measure(args),
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("onrush-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mut args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let (Some("--listen"), Some(address)) = (args.next().as_deref(), args.next()) else {
        bail!("{USAGE}");
    };
    let address: SocketAddr =
        address.parse().with_context(|| format!("{address} is no address:port"))?;
    let counts = Arc::new(http2::Counts::default());
    let second = http2::start(Arc::clone(&counts))?;
    target::serve(address, counts, |at| println!("{at} {second}"))?;
    Ok(())
}

struct Wanted {
    order: Order,
    json: Option<PathBuf>,
    add: bool,
    markdown: Option<PathBuf>,
    cores: (u32, u32),
}

fn parse(mut args: impl Iterator<Item = String>) -> anyhow::Result<Wanted> {
    let order =
        Order { cases: Vec::new(), tools: Vec::new(), rounds: 3, seconds: 5, figures: Vec::new() };
    let mut wanted = Wanted { order, json: None, add: false, markdown: None, cores: (0, 1) };
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--add" => wanted.add = true,
            "--figures" => wanted.order.figures = FIGURES.iter().map(|it| it.0).collect(),
            _ => {
                let value =
                    args.next().with_context(|| format!("{flag} needs a value\n{USAGE}"))?;
                set(&mut wanted, &flag, &value)?;
            }
        }
    }
    let Order { cases, tools, figures, .. } = &mut wanted.order;
    if tools.is_empty() {
        tools.extend(TOOLS);
    }
    // Figures alone are asked for as such.
    if cases.is_empty() && figures.is_empty() {
        cases.extend(CASES);
    }
    Ok(wanted)
}

fn set(wanted: &mut Wanted, flag: &str, value: &str) -> anyhow::Result<()> {
    let number = || value.parse::<u32>().with_context(|| format!("{flag} {value}: no number"));
    match flag {
        "--case" => {
            let case = Case::of(value).with_context(|| format!("there is no case {value}"))?;
            wanted.order.cases.push(case);
        }
        "--tool" => {
            let tool = Tool::of(value).with_context(|| format!("there is no tool {value}"))?;
            wanted.order.tools.push(tool);
        }
        "--figure" => {
            let figure = FIGURES.iter().find(|it| it.0 == value);
            wanted.order.figures.push(figure.with_context(|| format!("no figure {value}"))?.0);
        }
        "--rounds" => wanted.order.rounds = number()?,
        "--seconds" => wanted.order.seconds = number()?,
        "--json" => wanted.json = Some(value.into()),
        "--markdown" => wanted.markdown = Some(value.into()),
        "--cores" => {
            let pair = value.split_once(',').and_then(|(generator, target)| {
                Some((generator.parse().ok()?, target.parse().ok()?))
            });
            wanted.cores = pair.with_context(|| format!("--cores {value}: two numbers, 0,1"))?;
        }
        _ => bail!("unknown option {flag}\n{USAGE}"),
    }
    Ok(())
}

fn measure(args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let wanted = parse(args)?;
    let mut results = match &wanted.json {
        Some(file) if wanted.add && file.exists() => serde_json::from_slice(&std::fs::read(file)?)
            .with_context(|| format!("{} is not of this program", file.display()))?,
        _ => Results::default(),
    };
    let scratch = tempfile::tempdir()?;
    let bench = Bench::start(binary("onrush"), scratch.path().to_owned(), wanted.cores)?;
    let outcome = run(&bench, &wanted.order, &mut results);
    // What was measured before a failure is worth keeping.
    if let Some(file) = &wanted.json {
        std::fs::write(file, serde_json::to_vec_pretty(&results)?)?;
    }
    let page = table::markdown(&results);
    match &wanted.markdown {
        Some(file) => std::fs::write(file, &page)?,
        None => print!("{page}"),
    }
    outcome
}

//! `onrush-chaos --seed N [--minutes N | --runs N] [--fault NAME]…`: faults strike a cluster by a
//! schedule that the seed decides, and all that it promises is checked. Runs itself again inside of
//! network namespaces where they can be had.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail, ensure};
use harness::chaos::campaign::{Options, default_out, list, run_all};
use harness::chaos::net::Inside;
use harness::chaos::{Load, acceptance};

const USAGE: &str = "\
usage: onrush-chaos [--seed N] [--minutes N | --runs N] [--fault NAME]… [--nodes 3]
       [--rate USERS_PER_SEC] [--seconds N] [--clocks] [--network root|user|loopback]
       [--out DIR] [--verbose]
       onrush-chaos --acceptance NAME|all [--runs N] [--seed N] [--out DIR] [--verbose]
       onrush-chaos --list";
/// Set for the program inside of the namespaces: which kind they are.
const INSIDE: &str = "--inside";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("onrush-chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &[String]) -> anyhow::Result<(Options, Option<Inside>)> {
    let mut options = Options {
        seed: 1,
        nodes: 3,
        faults: Vec::new(),
        runs: None,
        minutes: None,
        // Long enough that most losses can be made up for.
        load: Load { users_per_sec: 60, seconds: 30 },
        clocks: false,
        network: None,
        out: default_out(),
        verbose: false,
        acceptance: Vec::new(),
    };
    let mut inside = None;
    let mut arguments = arguments.iter();
    while let Some(flag) = arguments.next() {
        match flag.as_str() {
            "--verbose" => {
                options.verbose = true;
                continue;
            }
            "--clocks" => {
                options.clocks = true;
                continue;
            }
            _ => {}
        }
        let value = arguments.next().with_context(|| format!("{flag} needs a value\n{USAGE}"))?;
        let number =
            || value.parse::<u64>().with_context(|| format!("{flag} {value}: not a number"));
        let network =
            || Inside::of(value).with_context(|| format!("{flag} {value}: root, user or loopback"));
        match flag.as_str() {
            "--seed" => options.seed = number()?,
            "--nodes" => options.nodes = usize::try_from(number()?)?,
            "--runs" => options.runs = Some(number()?),
            "--minutes" => options.minutes = Some(number()?),
            "--rate" => options.load.users_per_sec = u32::try_from(number()?)?,
            "--seconds" => options.load.seconds = u32::try_from(number()?)?,
            "--fault" => options.faults.extend(value.split(',').map(str::to_owned)),
            "--acceptance" => options.acceptance.extend(value.split(',').map(str::to_owned)),
            "--network" => options.network = Some(network()?),
            "--out" => options.out = PathBuf::from(value),
            INSIDE => inside = Some(network()?),
            _ => bail!("{flag} is not known\n{USAGE}"),
        }
    }
    ensure!((1..=9).contains(&options.nodes), "--nodes {}: 1 to 9", options.nodes);
    if options.runs.is_none() && options.minutes.is_none() {
        options.runs = Some(1);
    }
    Ok((options, inside))
}

fn run() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("-h" | "--help") => {
            println!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        Some("--list") => {
            print!("{}\nwith --acceptance:\n{}", list(), acceptance::list());
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let (options, inside) = options(&arguments)?;
    let code = |well| if well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if let Some(inside) = inside {
        if !options.acceptance.is_empty() {
            let well = acceptance::run_all(&options, inside, &mut |line| println!("{line}"))?;
            return Ok(code(well));
        }
        let totals = run_all(&options, inside, &mut |line| println!("{line}"))?;
        print!("{}", totals.text());
        return Ok(code(totals.is_clean()));
    }
    let inside = options.network.unwrap_or_else(Inside::best);
    println!("network: {}", inside.what());
    let program = std::env::current_exe()?;
    let mut command = match inside.wrapper().split_first() {
        None => Command::new(program),
        Some((wrapper, rest)) => {
            let mut command = Command::new(wrapper);
            command.args(rest).arg(program);
            command
        }
    };
    let status = command.args(&arguments).args([INSIDE, inside.name()]).status()?;
    Ok(code(status.success()))
}

//! `onrush-target`: the shop of the quickstart, and the counter that reports are held against.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use harness::target::{Options, Target};

const USAGE: &str = "\
usage: onrush-target [--listen 127.0.0.1:8080] [--name-header x-request-name] [--latency-ms 0]
GET /__counts, GET /__arrivals, GET /__ids, GET /__times, GET /__sources, POST /__reset";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("onrush-target: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 8080));
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        if matches!(flag.as_str(), "-h" | "--help") {
            println!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        let value = args.next().with_context(|| format!("{flag} needs a value\n{USAGE}"))?;
        match flag.as_str() {
            "--listen" => {
                listen = value.parse().with_context(|| format!("{value} is no address:port"))?;
            }
            "--name-header" => options.name_marker = value.to_ascii_lowercase(),
            "--latency-ms" => {
                let ms = value.parse().with_context(|| format!("{value} is no number"))?;
                options.latency = Duration::from_millis(ms);
            }
            _ => bail!("unknown option {flag}\n{USAGE}"),
        }
    }
    // One thread: there is no work to divide, and waking others costs more than it gains.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let target = Target::bind(listen, options)?;
        println!("listening on http://{}", target.address()?);
        tokio::select! {
            ended = target.run() => ended?,
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

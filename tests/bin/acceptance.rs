//! `onrush-acceptance exactness | master-loss | restart`: the promises at full size, with figures.
//! Everything runs on loopback, in processes of its own.

use std::time::Duration;

use anyhow::{Context as _, bail};
use harness::acceptance::{Load, Target, exactness, master_loss, restart_of_all};
use harness::cluster::Cluster;
use harness::random::Random;

const USAGE: &str = "usage: onrush-acceptance exactness|restart|master-loss \
                     [--rate USERS_PER_SEC] [--seconds N] [--runs N] [--seed N]";

struct Options {
    load: Load,
    runs: u32,
    seed: u64,
}

fn options(arguments: &[String]) -> anyhow::Result<Options> {
    let mut options = Options { load: Load { users_per_sec: 500, seconds: 60 }, runs: 10, seed: 1 };
    for pair in arguments.chunks(2) {
        let [flag, value] = pair else { bail!("{} needs a value\n{USAGE}", pair[0]) };
        let number: u32 = value.parse().with_context(|| format!("{flag} {value}: not a number"))?;
        match flag.as_str() {
            "--rate" => options.load.users_per_sec = number,
            "--seconds" => options.load.seconds = number,
            "--runs" => options.runs = number,
            "--seed" => options.seed = u64::from(number),
            _ => bail!("{flag} is not known\n{USAGE}"),
        }
    }
    Ok(options)
}

#[expect(clippy::print_stdout, reason = "its figures are its output")]
fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (what, rest) = arguments.split_first().context(USAGE)?;
    let Options { load, runs, seed } = options(rest)?;
    println!("{what}: {} users/s for {} s", load.users_per_sec, load.seconds);
    match what.as_str() {
        "exactness" => print!("{}", exactness(load)?),
        "restart" => print!("{}", restart_of_all(load)?),
        "master-loss" => {
            println!("seed {seed}: --seed {seed} repeats the moments of the kills");
            let mut random = Random::new(seed);
            let mut cluster = Cluster::start(5);
            let target = Target::start(&cluster.dir);
            println!("run  killed at  first tick  requests  seconds  least in 100 ms");
            for run in 1..=runs {
                // At any moment but the last seconds, when the users only finish.
                let span = u64::from(load.seconds.saturating_sub(10).max(1)) * 1_000;
                let kill_after = Duration::from_millis(1_000 + random.below(span));
                let loss = master_loss(&mut cluster, &target, load, kill_after)?;
                println!(
                    "{run:>3}  {:>7.1} s  {:>8.2} s  {:>8}  {:>7}  {:>15}",
                    loss.killed_after.as_secs_f64(),
                    loss.first_tick.as_secs_f64(),
                    loss.outcome.requests,
                    loss.outcome.seconds,
                    loss.outcome.slowest_bucket,
                );
            }
            println!(
                "{runs} of {runs} runs: passed, counts equal the target's, no second missing or doubled"
            );
        }
        _ => bail!("{what} is not known\n{USAGE}"),
    }
    Ok(())
}

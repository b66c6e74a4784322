//! `onrush-scale NODES…`: clusters of so many nodes on this machine, with figures. It fails where an
//! idle cluster writes to its log.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::acceptance::Load;
use harness::cluster::Cluster;
use harness::scale::{
    Forming, await_alike, formed, idle, job, job_without_its_master, log_index, roles, used,
};

const USAGE: &str = "usage: onrush-scale [--form together|one-by-one|restarted|joining|killed-all|all] \
                     [--idle SECONDS] [--job] NODES…";
/// After the last change, until a cluster is looked at as an idle one.
const SETTLE: Duration = Duration::from_secs(15);
const LOAD: Load = Load { users_per_sec: 100, seconds: 20 };
/// Into the load.
const KILL_AFTER: Duration = Duration::from_secs(6);

struct Wanted {
    sizes: Vec<usize>,
    formings: Vec<Forming>,
    idle: Duration,
    with_job: bool,
}

fn main() -> anyhow::Result<()> {
    let wanted = wanted(std::env::args().skip(1))?;
    for &size in &wanted.sizes {
        let mut last = None;
        for &forming in &wanted.formings {
            // One at a time: what is measured is alone on the machine.
            drop(last.take());
            last = Some(form(size, forming)?);
        }
        let mut cluster = last.context(USAGE)?;
        if !wanted.idle.is_zero() {
            look_at_idle(&cluster, wanted.idle)?;
        }
        if wanted.with_job {
            jobs(&mut cluster)?;
        }
    }
    Ok(())
}

fn wanted(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted {
        sizes: Vec::new(),
        formings: Vec::new(),
        idle: Duration::from_secs(60),
        with_job: false,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--form" => match arguments.next().context(USAGE)?.as_str() {
                "all" => wanted.formings.extend(Forming::ALL),
                name => {
                    let forming = name.parse::<Forming>().map_err(anyhow::Error::msg)?;
                    wanted.formings.push(forming);
                }
            },
            "--idle" => {
                wanted.idle = Duration::from_secs(number(&arguments.next().context(USAGE)?)?);
            }
            "--job" => wanted.with_job = true,
            size => wanted.sizes.push(usize::try_from(number(size)?)?),
        }
    }
    anyhow::ensure!(!wanted.sizes.is_empty(), USAGE);
    if wanted.formings.is_empty() {
        wanted.formings.push(Forming::Together);
    }
    Ok(wanted)
}

fn number(text: &str) -> anyhow::Result<u64> {
    text.parse().with_context(|| format!("{text} is no number\n{USAGE}"))
}

#[expect(clippy::print_stdout, reason = "its figures are its output")]
fn form(size: usize, forming: Forming) -> anyhow::Result<Cluster> {
    let (cluster, took) = formed(size, forming);
    let cpu: f64 = used(&cluster)?.values().map(|used| used.cpu_s).sum();
    println!(
        "{size} nodes, {}: every node answers alike after {:.1} s; {cpu:.1} s of CPU so far",
        forming.name(),
        took.as_secs_f64()
    );
    println!("  roles {:?}, log index {}", roles(&cluster)?, log_index(&cluster)?);
    Ok(cluster)
}

#[expect(clippy::print_stdout, reason = "its figures are its output")]
fn look_at_idle(cluster: &Cluster, lasts: Duration) -> anyhow::Result<()> {
    // What is idle is a matter of time.
    std::thread::sleep(SETTLE);
    let found = idle(cluster, lasts)?;
    println!(
        "  idle for {:.0} s: {} log entries; CPU of a core: leader {:.2} %, others {:.2} % \
         (most {:.2} %); memory at most {:.0} MiB",
        found.seconds,
        found.log_entries,
        found.leader_percent,
        found.others_percent,
        found.most_percent,
        found.rss_mib_max,
    );
    println!(
        "  sent a second: leader {:.0} messages {:.0} bytes, others {:.0} messages {:.0} bytes",
        found.leader_messages, found.leader_bytes, found.messages, found.bytes
    );
    anyhow::ensure!(found.log_entries == 0, "an idle cluster writes to its log{}", cluster.logs());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its figures are its output")]
fn jobs(cluster: &mut Cluster) -> anyhow::Result<()> {
    let began = Instant::now();
    let requests = job(cluster, LOAD)?;
    let took = began.elapsed().as_secs_f64();
    println!("  a job of {} s: {requests} requests, all counted; {took:.1} s", LOAD.seconds);
    let words = job_without_its_master(cluster, LOAD, KILL_AFTER)?;
    println!("  the same, the master killed: {words}");
    await_alike(cluster);
    Ok(())
}

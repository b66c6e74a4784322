//! `onrush-scale NODES…`: clusters of so many nodes on this machine, with figures.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::acceptance::Load;
use harness::cluster::Cluster;
use harness::scale::{await_alike, idle, job, log_index, roles, used};

const USAGE: &str = "usage: onrush-scale [--idle SECONDS] [--job] NODES…";
/// After the last change, until a cluster is looked at as an idle one.
const SETTLE: Duration = Duration::from_secs(15);
const LOAD: Load = Load { users_per_sec: 100, seconds: 20 };

#[expect(clippy::print_stdout, reason = "its figures are its output")]
fn main() -> anyhow::Result<()> {
    let (mut sizes, mut seconds, mut with_job) = (Vec::new(), 60, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--idle" => seconds = number(&arguments.next().context(USAGE)?)?,
            "--job" => with_job = true,
            size => sizes.push(number(size)?),
        }
    }
    anyhow::ensure!(!sizes.is_empty(), USAGE);
    for size in sizes {
        let began = Instant::now();
        let mut cluster = Cluster::started(usize::try_from(size)?);
        await_alike(&cluster);
        let wall = began.elapsed().as_secs_f64();
        let cpu: f64 = used(&cluster)?.values().map(|used| used.cpu_s).sum();
        println!("{size} nodes: every node answers alike after {wall:.1} s, {cpu:.1} s of CPU");
        println!("  roles {:?}, log index {}", roles(&cluster)?, log_index(&cluster)?);
        // What is idle is a matter of time.
        std::thread::sleep(SETTLE);
        let found = idle(&cluster, Duration::from_secs(seconds))?;
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
        if with_job {
            let began = Instant::now();
            let requests = job(&mut cluster, LOAD, None)?;
            let took = began.elapsed().as_secs_f64();
            println!(
                "  a job of {} s: {requests} requests, all counted; {took:.1} s",
                LOAD.seconds
            );
            let requests = job(&mut cluster, LOAD, Some(Duration::from_secs(6)))?;
            println!("  the same, the master killed: {requests} requests, all counted");
            await_alike(&cluster);
        }
    }
    Ok(())
}

fn number(text: &str) -> anyhow::Result<u64> {
    text.parse().with_context(|| format!("{text} is no number\n{USAGE}"))
}

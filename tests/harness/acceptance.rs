//! The promises, measured: exact counts, loss of the master, restart of everything. The same
//! functions run small in the integration tests and large in `onrush-acceptance`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use onrush_scenario::inject::{OpenStep, schedule};
use serde_json::Value;

use crate::cluster::{Cluster, await_status, repository};
use crate::machine::Probe;
use crate::process::{Process, binary, signal};
use crate::rest::Rest;
use crate::target::{Ids, Sources};
use crate::wait::until;

/// Requests that each user of `exact.gatling.js` sends.
const REQUESTS_PER_USER: u64 = 4;
/// A new master's first tick must be committed within this time of the kill.
pub const TICK_AFTER_KILL_MAX: Duration = Duration::from_secs(5);

/// The load of `exact.gatling.js`.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub users_per_sec: u32,
    pub seconds: u32,
}

impl Load {
    #[must_use]
    pub fn users(self) -> u64 {
        u64::from(self.users_per_sec) * u64::from(self.seconds)
    }

    fn limit(self) -> Duration {
        Duration::from_secs(u64::from(self.seconds) + 60)
    }
}

/// The target server, in a process of its own.
#[derive(Debug)]
pub struct Target {
    _process: Process,
    address: String,
    /// Looks at the machine since the target is there.
    pub machine: Probe,
}

impl Target {
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        Self::start_at("127.0.0.1", folder)
    }

    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_at(host: &str, folder: &Path) -> Self {
        let address = format!("{host}:{}", crate::cluster::free_ports(1)[0]);
        let mut command = punctual(&binary("onrush-target"));
        command.args(["--listen", &address]);
        let process = Process::start(&mut command, &folder.join("target.log"));
        let target = Self { _process: process, address, machine: Probe::start() };
        until("the target", Duration::from_secs(10), || target.rest().get("/__counts"));
        target
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[must_use]
    pub fn rest(&self) -> Rest {
        Rest::at(&self.url(), None)
    }

    /// # Panics
    /// When it does not answer.
    pub fn reset(&self) {
        let (status, body) = self.rest().post("/__reset", "").expect("the target answers");
        assert_eq!(status, 200, "{body}");
    }

    /// # Errors
    /// When it does not answer.
    pub fn counts(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        Ok(serde_json::from_value(self.rest().get("/__counts")?["by_name"].clone())?)
    }

    /// When the first request came.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn first_unix_ms(&self) -> anyhow::Result<Option<u64>> {
        Ok(self.rest().get("/__counts")?["first_unix_ms"].as_u64())
    }

    /// By name: which arrivals' requests came.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ids(&self) -> anyhow::Result<BTreeMap<String, Ids>> {
        Ok(serde_json::from_value(self.rest().get("/__ids")?)?)
    }

    /// By name: when the first request of each arrival came, in milliseconds from the very first one.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn times(&self) -> anyhow::Result<BTreeMap<String, Vec<Option<u32>>>> {
        Ok(serde_json::from_value(self.rest().get("/__times")?)?)
    }

    /// Requests by time and by who sent them.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn sources(&self) -> anyhow::Result<Sources> {
        Ok(serde_json::from_value(self.rest().get("/__sources")?)?)
    }

    /// Requests in each 100 ms from the first to the last.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn buckets(&self) -> anyhow::Result<Vec<u64>> {
        Ok(serde_json::from_value(self.rest().get("/__arrivals")?["counts"].clone())?)
    }
}

/// A program that runs before all others, where that may be had: the target says when a request
/// came, and would say when it got round to it where many nodes share few processors with it.
fn punctual(program: &Path) -> Command {
    const FIRST: [&str; 2] = ["--rr", "10"];
    let may = Command::new("chrt").args(FIRST).arg("true").output();
    if !may.is_ok_and(|it| it.status.success()) {
        return Command::new(program);
    }
    let mut command = Command::new("chrt");
    command.args(FIRST).arg(program);
    command
}

/// Submits `exact.gatling.js` and gives the job's id.
///
/// # Errors
/// What the command said.
pub fn submit(address: &str, target: &Target, load: Load, more: &[&str]) -> anyhow::Result<String> {
    let own = [
        format!("target={}", target.url()),
        format!("rate={}", load.users_per_sec),
        format!("duration={}", load.seconds),
    ];
    let all: Vec<&str> = more.iter().copied().chain(own.iter().map(String::as_str)).collect();
    submit_file(address, &repository().join("tests/simulations/exact.gatling.js"), &all)
}

/// Submits a simulation, with options and parameters, and gives the job's id.
///
/// # Errors
/// What the command said.
pub fn submit_file(address: &str, simulation: &Path, more: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(binary("onrush"))
        .args(["--address", address, "job", "submit", "--json", "--detach"])
        .arg(simulation)
        .args(more)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}{text}", String::from_utf8_lossy(&output.stderr));
    let job: Value = serde_json::from_str(&text).with_context(|| text.to_string())?;
    Ok(job["id"].as_str().context("the job has an id")?.to_owned())
}

/// What a finished job was found to be.
#[derive(Debug)]
pub struct Outcome {
    pub job: String,
    pub requests: u64,
    pub seconds: usize,
    pub slowest_bucket: u64,
    /// Of the 100 ms buckets between the first and the last request.
    pub empty_buckets: usize,
    pub start_spread_us: Option<u64>,
}

/// Compares a finished job's report with what the target counted.
///
/// # Errors
/// Which figure differs, with both.
pub fn verify(rest: &Rest, target: &Target, load: Load, job: &str) -> anyhow::Result<Outcome> {
    let found = rest.get(&format!("/api/v1/jobs/{job}"))?;
    ensure!(found["status"] == "finished", "status {}", found["status"]);
    let summary = rest.get(&format!("/api/v1/jobs/{job}/summary"))?;
    target.machine.passed(&found["verdict"], &summary)?;
    let reported = counts_by_name(&summary)?;
    let seen = target.counts()?;
    ensure!(reported == seen, "the report counts {reported:?}, the target {seen:?}");
    ensure!(seen.len() as u64 == REQUESTS_PER_USER, "names: {seen:?}");
    ensure!(
        seen.values().all(|&count| count == load.users()),
        "each of {} users sends each request once: {seen:?}",
        load.users()
    );
    let seconds = verify_series(&summary, load, target.machine.stalls().held_up())?;
    ensure!(summary["coverage"].as_f64() == Some(1.0), "coverage {}", summary["coverage"]);
    let buckets = target.buckets()?;
    // From the first to the last second of the schedule; the tail is users that finish.
    let scheduled = &buckets[..buckets.len().min(load.seconds as usize * 10)];
    Ok(Outcome {
        job: job.to_owned(),
        requests: seen.values().sum(),
        seconds,
        slowest_bucket: scheduled.iter().min().copied().unwrap_or_default(),
        empty_buckets: scheduled.iter().filter(|&&count| count == 0).count(),
        start_spread_us: summary["start_spread_us"].as_u64(),
    })
}

/// Requests of a report by name.
///
/// # Errors
/// When the summary has not the form of one.
pub fn counts_by_name(summary: &Value) -> anyhow::Result<BTreeMap<String, u64>> {
    let rows = summary["rows"].as_array().context("rows")?;
    let mut counts = BTreeMap::new();
    for row in rows.iter().filter(|row| row["kind"] == "request") {
        let name = row["path"].as_array().and_then(|path| path.last()).and_then(Value::as_str);
        let count = row["stats"]["all"]["count"].as_u64().context("count")?;
        *counts.entry(name.context("a request has a name")?.to_owned()).or_insert(0) += count;
    }
    Ok(counts)
}

/// No second is missing or doubled: every second of the schedule starts exactly its users. When each
/// starts is not asked of a machine that was held up; how many start is.
fn verify_series(summary: &Value, load: Load, held_up: bool) -> anyhow::Result<usize> {
    let series = &summary["series"];
    ensure!(series["width_s"] == 1, "one bucket a second: {}", series["width_s"]);
    let column = |name: &str| -> anyhow::Result<Vec<u64>> {
        serde_json::from_value(series[name].clone()).with_context(|| format!("series {name}"))
    };
    let (started, ok, ko) = (column("started")?, column("ok")?, column("ko")?);
    let due = vec![u64::from(load.users_per_sec); load.seconds as usize];
    let planned = &started[..due.len().min(started.len())];
    // A user due at the very end of a second may start at the beginning of the next.
    let moved: u64 = planned.iter().zip(&due).map(|(&a, &b)| a.abs_diff(b)).sum();
    ensure!(started.iter().sum::<u64>() == load.users(), "users started: {started:?}");
    ensure!(
        planned.len() == due.len() && (held_up || moved <= load.users() / 50),
        "users started by second: {started:?}"
    );
    ensure!(started.len() == ok.len() && ok.len() == ko.len(), "columns of one length");
    let empty = ok[..due.len()].iter().position(|&count| count == 0);
    ensure!(held_up || empty.is_none(), "second {empty:?} has no response: {ok:?}");
    let responses: u64 = ok.iter().chain(&ko).sum();
    ensure!(
        responses == load.users() * REQUESTS_PER_USER,
        "the series holds {responses} responses"
    );
    Ok(ok.len())
}

/// A job on three nodes: counts equal the target's, starts equal the single node's plan.
///
/// # Errors
/// Which figure differs.
pub fn exactness(load: Load) -> anyhow::Result<String> {
    let cluster = Cluster::start(3);
    let target = Target::start(&cluster.dir);
    let node = &cluster.nodes[cluster.follower()];
    let job = submit(&node.address(), &target, load, &["--record-arrivals"])?;
    let rest = node.rest();
    let _ = await_status(
        &|| rest.clone(),
        &job,
        &["finished", "failed", "aborted", "lost"],
        load.limit(),
    );
    let outcome = verify(&rest, &target, load, &job).with_context(|| cluster.logs())?;
    let arrivals = recorded_arrivals(&cluster, &job)?;
    let plan = OpenStep::ConstantUsersPerSec {
        rate: f64::from(load.users_per_sec),
        duration_us: u64::from(load.seconds) * 1_000_000,
        randomized: false,
    };
    let planned: Vec<(u64, u64)> =
        schedule(&[plan], 0).map(|arrival| (arrival.k, arrival.at_us)).collect();
    let mut scheduled: Vec<(u64, u64)> =
        arrivals.iter().map(|row| (row.user, row.scheduled_us)).collect();
    scheduled.sort_unstable();
    ensure!(
        scheduled == planned,
        "{} arrivals of {} in the plan differ",
        scheduled.len(),
        planned.len()
    );
    let mut late: Vec<u64> =
        arrivals.iter().map(|row| row.started_us.saturating_sub(row.scheduled_us)).collect();
    late.sort_unstable();
    let mut text = String::new();
    writeln!(text, "target and report agree by name: {:?}", target.counts()?)?;
    writeln!(text, "requests {} · seconds in the series {}", outcome.requests, outcome.seconds)?;
    writeln!(
        text,
        "start times: {} users on 3 nodes = the single node's plan · late p50 {} µs p99 {} µs max {} µs",
        scheduled.len(),
        late[late.len() / 2],
        late[late.len() * 99 / 100],
        late[late.len() - 1],
    )?;
    let spread = outcome.start_spread_us.context("the start spread is not measured")?;
    writeln!(text, "start spread of the nodes at most {spread} µs")?;
    Ok(text)
}

/// A line of an `arrivals.csv`.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Index of the node.
    pub node: usize,
    pub user: u64,
    pub scheduled_us: u64,
    pub started_us: u64,
}

/// Every node's `arrivals.csv` of the job: scenario, user, scheduled and actual start.
///
/// # Errors
/// A file that is missing or not one.
pub fn recorded_arrivals(cluster: &Cluster, job: &str) -> anyhow::Result<Vec<Arrival>> {
    let mut rows = Vec::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let runs = node.data_dir.join("runs").join(job);
        for folder in std::fs::read_dir(&runs).with_context(|| runs.display().to_string())? {
            let path: PathBuf = folder?.path().join("arrivals.csv");
            let text =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            for line in text.lines().skip(1) {
                let fields: Vec<&str> = line.rsplitn(4, ',').collect();
                let [started, scheduled, user, _scenario] = fields[..] else {
                    anyhow::bail!("{}: {line}", path.display());
                };
                rows.push(Arrival {
                    node: index,
                    user: user.parse()?,
                    scheduled_us: scheduled.parse()?,
                    started_us: started.parse()?,
                });
            }
        }
    }
    Ok(rows)
}

/// Waits for the end of a job whose load must have gone on all the time.
fn ended_without_a_pause(
    cluster: &Cluster,
    rest: &Rest,
    target: &Target,
    load: Load,
    job: &str,
) -> anyhow::Result<Outcome> {
    let ended = ["finished", "failed", "aborted", "lost"];
    let _ = await_status(&|| rest.clone(), job, &ended, load.limit());
    let outcome = verify(rest, target, load, job).with_context(|| cluster.logs())?;
    let (empty, stalls) = (outcome.empty_buckets, target.machine.stalls());
    ensure!(
        empty == 0 || stalls.held_up(),
        "the load paused: {empty} empty 100 ms; {}",
        stalls.text()
    );
    Ok(outcome)
}

/// One run of [`master_loss`].
#[derive(Debug)]
pub struct MasterLoss {
    pub outcome: Outcome,
    pub killed_after: Duration,
    /// From the kill to a survivor knowing the first tick that the new master committed.
    pub first_tick: Duration,
}

/// Submits a job that is to leave the master alone, and makes sure that it does.
fn submit_beside_the_master(
    cluster: &Cluster,
    target: &Target,
    load: Load,
    master: usize,
    survivor: usize,
) -> anyhow::Result<String> {
    let rest = cluster.nodes[survivor].rest();
    let nodes = (cluster.nodes.len() - 1).to_string();
    target.reset();
    let more = ["--avoid-master", "--nodes", &nodes];
    let job = submit(&cluster.nodes[survivor].address(), target, load, &more)?;
    let _ = await_status(&|| rest.clone(), &job, &["running"], Duration::from_secs(60));
    let shards = rest.text(&format!("/api/v1/jobs/{job}/shards"))?;
    let name = format!("\"{}\"", cluster.nodes[master].name);
    ensure!(!shards.contains(&name), "the master {name} was given a shard: {shards}");
    Ok(job)
}

/// A job on the four others; the master is killed `kill_after` into the load.
///
/// # Errors
/// Which promise was broken, with the nodes' last log lines.
pub fn master_loss(
    cluster: &mut Cluster,
    target: &Target,
    load: Load,
    kill_after: Duration,
) -> anyhow::Result<MasterLoss> {
    let master = cluster.leader();
    let survivor = (master + 1) % cluster.nodes.len();
    let rest = cluster.nodes[survivor].rest();
    let job = submit_beside_the_master(cluster, target, load, master, survivor)?;
    let running = Instant::now();
    // The kill is meant to come at a given moment of the load: this wait is the experiment itself.
    std::thread::sleep(kill_after);
    let path = format!("/api/v1/jobs/{job}");
    let before = rest.get(&path)?["ticks"].as_u64().context("ticks")?;
    let killed = cluster.nodes[master].kill();
    let killed_after = running.elapsed();
    // A tick that was on its way may still count as the old master's; the one after it cannot.
    let first_tick = until("the new master's first tick", Duration::from_secs(30), || {
        let found = rest.get(&path)?;
        let ticks = found["ticks"].as_u64().context("ticks")?;
        ensure!(
            ticks > before + 1 || found["status"] != "running",
            "{ticks} ticks, {before} before the kill"
        );
        Ok(killed.elapsed())
    });
    let outcome = ended_without_a_pause(cluster, &rest, target, load, &job)?;
    let in_time = first_tick <= TICK_AFTER_KILL_MAX || target.machine.stalls().held_up();
    ensure!(in_time, "the first tick came {first_tick:?} after the kill");
    cluster.start_node(master);
    cluster.await_formed();
    Ok(MasterLoss { outcome, killed_after, first_tick })
}

/// A job on the others; the master is stopped (SIGSTOP) in the middle of the load, so that another
/// takes over, and goes on later as if nothing had happened, still believing that it leads.
///
/// # Errors
/// Which promise was broken, with the nodes' last log lines.
pub fn master_pause(
    cluster: &mut Cluster,
    target: &Target,
    load: Load,
    pause_after: Duration,
    pause: Duration,
) -> anyhow::Result<String> {
    let master = cluster.leader();
    let survivor = (master + 1) % cluster.nodes.len();
    let rest = cluster.nodes[survivor].rest();
    let job = submit_beside_the_master(cluster, target, load, master, survivor)?;
    // When it is stopped, and for how long, is the experiment itself.
    std::thread::sleep(pause_after);
    let pid = cluster.nodes[master].pid();
    signal(pid, "STOP");
    std::thread::sleep(pause);
    let during = rest.get("/api/v1/raft/status?stale=true")?;
    signal(pid, "CONT");
    ensure!(during["leader"].is_u64(), "nobody took over: {during}{}", cluster.logs());
    let outcome = ended_without_a_pause(cluster, &rest, target, load, &job)?;
    let masters = masters_of(&rest, &job)?;
    let old = format!("master@{}", cluster.nodes[master].name);
    ensure!(masters.first() == Some(&old), "it was begun by {masters:?}, not by {old}");
    ensure!(masters.len() == 2, "driven by {masters:?}: one after the other, none again");
    cluster.await_formed();
    Ok(format!("{} requests, driven by {}", outcome.requests, masters.join(", then ")))
}

/// Who drove the job, in the order of its events; one that comes back is listed again.
fn masters_of(rest: &Rest, job: &str) -> anyhow::Result<Vec<String>> {
    let events = rest.get(&format!("/api/v1/jobs/{job}/events?limit=200"))?;
    let all = events["items"].as_array().context("items")?;
    let by = all.iter().filter_map(|event| event["by"].as_str());
    let mut masters: Vec<String> =
        by.filter(|by| by.starts_with("master@")).map(str::to_owned).collect();
    masters.dedup();
    Ok(masters)
}

/// Jobs, files, reports and history survive `kill -9` of every node at once.
///
/// # Errors
/// What is missing or has changed.
pub fn restart_of_all(load: Load) -> anyhow::Result<String> {
    let mut cluster = Cluster::start(3);
    let target = Target::start(&cluster.dir);
    let job = submit(&cluster.nodes[0].address(), &target, load, &[])?;
    let rest = cluster.nodes[0].rest();
    let _ = await_status(
        &|| rest.clone(),
        &job,
        &["finished", "failed", "aborted", "lost"],
        load.limit(),
    );
    let paths = [
        format!("/api/v1/jobs/{job}"),
        format!("/api/v1/jobs/{job}/summary"),
        format!("/api/v1/jobs/{job}/report.html"),
        format!("/api/v1/jobs/{job}/events"),
        "/api/v1/projects/default/files".to_owned(),
        "/api/v1/projects/default/files/exact.gatling.js".to_owned(),
        "/api/v1/jobs".to_owned(),
    ];
    let read =
        |rest: &Rest| paths.iter().map(|path| rest.text(path)).collect::<Result<Vec<_>, _>>();
    let before = read(&rest)?;
    for node in &mut cluster.nodes {
        node.kill();
    }
    for index in 0..cluster.nodes.len() {
        cluster.start_node(index);
    }
    cluster.await_formed();
    let mut text = String::new();
    for node in &cluster.nodes {
        let after = until("the node to have caught up", Duration::from_secs(20), || {
            let after = read(&node.rest())?;
            for ((path, old), new) in paths.iter().zip(&before).zip(&after) {
                ensure!(old == new, "{}: {path} has changed:\n{old}\n{new}", node.name);
            }
            Ok(after)
        });
        let bytes: usize = after.iter().map(String::len).sum();
        writeln!(text, "{}: {} documents, {bytes} bytes, all as before", node.name, after.len())?;
    }
    Ok(text)
}

//! Clusters of many nodes on one machine, measured: how long until every node answers alike, what an
//! idle one costs, and a job over all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::acceptance::{Load, Target, submit, verify};
use crate::cluster::{Cluster, await_status};
use crate::wait::until;

/// Long enough for fifty nodes on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(300);
/// What the kernel counts processor time in, on every Linux we run on.
const TICKS_PER_SEC: f64 = 100.0;

/// That every running node answers as every other one: one master, an open cluster, all nodes alive
/// with a part in it, and the same list of jobs.
///
/// # Errors
/// Which node does not, and how.
pub fn answers_alike(cluster: &Cluster) -> anyhow::Result<()> {
    let running = cluster.running().count();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for node in cluster.running() {
        let rest = node.rest();
        let status = rest.get("/api/v1/raft/status?stale=true")?;
        ensure!(status["health"] == "healthy", "{}: {}", node.name, status["health_detail"]);
        let members = rest.get("/api/v1/cluster/members")?;
        let members = members["items"].as_array().context("members")?;
        let settled = |member: &&Value| {
            let role = member["role"].as_str().unwrap_or_default();
            member["health"] == "alive" && role != "joining" && role != "foreign"
        };
        let there = members.iter().filter(settled).count();
        ensure!(there == running, "{} sees {there} of {running} nodes", node.name);
        let roles: BTreeMap<&str, &str> = members
            .iter()
            .filter_map(|member| Some((member["name"].as_str()?, member["role"].as_str()?)))
            .collect();
        let jobs = rest.get("/api/v1/jobs?limit=200")?;
        let jobs = jobs["items"].as_array().context("jobs")?;
        let ids: Vec<&str> = jobs.iter().filter_map(|job| job["id"].as_str()).collect();
        seen.insert(format!("led by {}, {roles:?}, {ids:?}", status["leader"]));
    }
    ensure!(seen.len() == 1, "the nodes differ: {seen:#?}");
    Ok(())
}

/// How many nodes have which part.
///
/// # Errors
/// The node does not answer.
pub fn roles(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, usize>> {
    let node = cluster.running().next().context("a running node")?;
    let members = node.rest().get("/api/v1/cluster/members")?;
    let mut roles = BTreeMap::new();
    for member in members["items"].as_array().context("members")? {
        *roles.entry(member["role"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    Ok(roles)
}

/// The last index of the cluster's log.
///
/// # Errors
/// The node does not answer.
pub fn log_index(cluster: &Cluster) -> anyhow::Result<u64> {
    let status = cluster.nodes[cluster.leader()].rest().get("/api/v1/raft/status")?;
    status["last_log_index"].as_u64().context("last_log_index")
}

/// What a node has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub cpu_s: f64,
    pub rss_mib: f64,
    /// Of its connections to other nodes: bytes, and segments with data.
    pub sent: u64,
    pub messages: u64,
}

/// By name.
///
/// # Errors
/// `/proc` or `ss` cannot be read.
pub fn used(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, Used>> {
    let sockets = Command::new("ss").args(["-tinpOH", "state", "established"]).output();
    let sockets = sockets.context("ss: install the package iproute2")?;
    let sockets = String::from_utf8_lossy(&sockets.stdout).into_owned();
    let mut all = BTreeMap::new();
    for node in cluster.running() {
        let pid = node.pid();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after = stat.rsplit_once(')').context("stat")?.1;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
        let cpu = ticks(11).context("utime")? + ticks(12).context("stime")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
        let own = format!("pid={pid},");
        let lines = sockets.lines().filter(|line| line.contains(&own));
        let sum = |name: &str| -> u64 {
            let field = |line: &str| {
                let found = line.split_ascii_whitespace().find_map(|it| it.strip_prefix(name));
                found.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
            };
            lines.clone().map(field).sum()
        };
        let used = Used {
            cpu_s: cpu / TICKS_PER_SEC,
            rss_mib: rss.context("VmRSS")? / 1_024.0,
            sent: sum("bytes_sent:"),
            messages: sum("data_segs_out:"),
        };
        all.insert(node.name.clone(), used);
    }
    Ok(all)
}

/// What the cluster costs while nothing happens.
#[derive(Clone, Debug)]
pub struct Idle {
    pub seconds: f64,
    pub log_entries: u64,
    /// Percent of a core: the leader, the mean and the most of the others.
    pub leader_percent: f64,
    pub others_percent: f64,
    pub most_percent: f64,
    pub rss_mib_max: f64,
    /// A second and node, the leader's apart.
    pub messages: f64,
    pub bytes: f64,
    pub leader_messages: f64,
    pub leader_bytes: f64,
}

/// Looks at an idle cluster for a while.
///
/// # Errors
/// A node does not answer.
pub fn idle(cluster: &Cluster, lasts: Duration) -> anyhow::Result<Idle> {
    let leader = cluster.nodes[cluster.leader()].name.clone();
    let (first, before, began) = (log_index(cluster)?, used(cluster)?, Instant::now());
    // How long it is looked at is the experiment itself.
    std::thread::sleep(lasts);
    let (after, seconds) = (used(cluster)?, began.elapsed().as_secs_f64());
    let last = log_index(cluster)?;
    let (mut percents, mut rss_mib_max) = (BTreeMap::new(), 0.0_f64);
    let (mut messages, mut bytes) = (BTreeMap::new(), BTreeMap::new());
    for (name, now) in &after {
        let then = before.get(name).copied().unwrap_or_default();
        percents.insert(name.clone(), (now.cpu_s - then.cpu_s) / seconds * 100.0);
        messages.insert(name.clone(), rate(now.messages, then.messages, seconds));
        bytes.insert(name.clone(), rate(now.sent, then.sent, seconds));
        rss_mib_max = rss_mib_max.max(now.rss_mib);
    }
    let of = |all: &mut BTreeMap<String, f64>| all.remove(&leader).unwrap_or_default();
    let (leader_percent, leader_messages, leader_bytes) =
        (of(&mut percents), of(&mut messages), of(&mut bytes));
    let most = percents.values().copied().fold(0.0, f64::max);
    Ok(Idle {
        seconds,
        log_entries: last.saturating_sub(first),
        leader_percent,
        others_percent: mean(&percents),
        most_percent: most,
        rss_mib_max,
        messages: mean(&messages),
        bytes: mean(&bytes),
        leader_messages,
        leader_bytes,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
fn rate(now: u64, then: u64, seconds: f64) -> f64 {
    now.saturating_sub(then) as f64 / seconds
}

#[expect(clippy::cast_precision_loss, reason = "a number of nodes")]
fn mean(all: &BTreeMap<String, f64>) -> f64 {
    all.values().sum::<f64>() / all.len().max(1) as f64
}

/// Waits until every node answers alike.
///
/// # Panics
/// When they do not.
pub fn await_alike(cluster: &Cluster) {
    until("every node to answer alike", LIMIT, || {
        answers_alike(cluster).with_context(|| cluster.logs())
    });
}

/// A job over all nodes, submitted through the last one; with `kill`, the master is killed so long
/// after it began to run. Gives the requests, which are those that the target counted.
///
/// # Errors
/// Which figure differs.
pub fn job(cluster: &mut Cluster, load: Load, kill: Option<Duration>) -> anyhow::Result<u64> {
    let target = Target::start(&cluster.dir);
    let master = cluster.leader();
    let last = cluster.nodes.len() - 1;
    let through = if last == master { 0 } else { last };
    let (rest, address) = (cluster.nodes[through].rest(), cluster.nodes[through].address());
    let avoid: &[&str] = if kill.is_some() { &["--avoid-master"] } else { &[] };
    let id = submit(&address, &target, load, avoid)?;
    if let Some(after) = kill {
        let _ = await_status(&|| rest.clone(), &id, &["running"], LIMIT);
        // The moment of the kill is the experiment itself.
        std::thread::sleep(after);
        cluster.nodes[master].kill();
    }
    let ended = ["finished", "failed", "aborted", "lost"];
    let _ = await_status(&|| rest.clone(), &id, &ended, LIMIT);
    let outcome = verify(&rest, &target, load, &id).with_context(|| cluster.logs())?;
    if kill.is_some() {
        cluster.start_node(master);
    }
    Ok(outcome.requests)
}

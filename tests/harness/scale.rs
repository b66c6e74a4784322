//! Clusters of many nodes on one machine, measured: how long until every node answers alike, however
//! they came together, what an idle one costs, and a job over all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::acceptance::{Load, Target, submit, verify};
use crate::chaos::account::{self, Holds, Planned, Seen};
use crate::cluster::{Cluster, await_status};
use crate::wait::until;

/// Long enough for fifty nodes on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(300);
/// What the kernel counts processor time in, on every Linux we run on.
const TICKS_PER_SEC: f64 = 100.0;

/// The requests of `exact.gatling.js`, in the order in which each user sends them.
const REQUESTS: [&str; 4] = ["home", "search", "product", "basket"];
/// The first of those that join a cluster later.
const FOUNDERS: usize = 3;

/// How the nodes of a cluster come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forming {
    /// All are started at once.
    Together,
    /// The first is a cluster by itself; each is started when the one before it is a member.
    OneByOne,
    /// All are started at once; when half of them answer, every second one is killed, and started
    /// again.
    Restarted,
    /// All but three are started at once when those are a cluster.
    Joining,
    /// All are killed at once when they are a cluster, and started again at once.
    KilledAll,
}

impl Forming {
    pub const ALL: [Self; 5] =
        [Self::Together, Self::OneByOne, Self::Restarted, Self::Joining, Self::KilledAll];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Together => "together",
            Self::OneByOne => "one-by-one",
            Self::Restarted => "restarted",
            Self::Joining => "joining",
            Self::KilledAll => "killed-all",
        }
    }
}

impl FromStr for Forming {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| format!("{text} is no way to form a cluster: {}", names()))
    }
}

/// A cluster that has come to be in this way, and how long the last part of it took: until every node
/// answered as every other one.
///
/// # Panics
/// When it does not come to be.
#[must_use]
pub fn formed(size: usize, forming: Forming) -> (Cluster, Duration) {
    let mut cluster = Cluster::planned(size);
    cluster.founders = match forming {
        Forming::OneByOne => 1,
        Forming::Joining => FOUNDERS.min(size),
        Forming::Together | Forming::Restarted | Forming::KilledAll => size,
    };
    let founders = cluster.founders;
    (0..founders).for_each(|index| cluster.start_node(index));
    let mut began = Instant::now();
    match forming {
        Forming::Together => {}
        Forming::OneByOne => {
            await_member(&cluster, 0);
            for index in 1..size {
                cluster.start_node(index);
                await_member(&cluster, index);
            }
        }
        Forming::Restarted => {
            until("half of the nodes to answer", LIMIT, || {
                let answering = cluster.running().filter(|it| it.rest().get("/healthz").is_ok());
                let count = answering.count();
                ensure!(2 * count >= size, "{count} of {size}");
                Ok(())
            });
            let every_second = || (0..size).step_by(2);
            for index in every_second() {
                cluster.nodes[index].kill();
            }
            every_second().for_each(|index| cluster.start_node(index));
        }
        Forming::Joining => {
            await_alike(&cluster);
            began = Instant::now();
            (founders..size).for_each(|index| cluster.start_node(index));
        }
        Forming::KilledAll => {
            await_alike(&cluster);
            for node in &mut cluster.nodes {
                node.kill();
            }
            began = Instant::now();
            (0..size).for_each(|index| cluster.start_node(index));
        }
    }
    await_alike(&cluster);
    (cluster, began.elapsed())
}

/// Waits until a node says that it has a part in the cluster.
fn await_member(cluster: &Cluster, index: usize) {
    let node = &cluster.nodes[index];
    until(&format!("{} to be a member", node.name), LIMIT, || {
        let role = node.rest().get("/api/v1/raft/status?stale=true")?["role"].clone();
        let known = ["leader", "voter", "standby", "worker"];
        ensure!(known.iter().any(|it| role == *it), "{role}{}", cluster.logs());
        Ok(())
    });
}

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

/// A job over all nodes, submitted through the last one. Gives the requests, which are those that the
/// target counted.
///
/// # Errors
/// Which figure differs.
pub fn job(cluster: &Cluster, load: Load) -> anyhow::Result<u64> {
    let target = Target::start(&cluster.dir);
    let node = cluster.nodes.last().context("a node")?;
    let id = submit(&node.address(), &target, load, &[])?;
    let ended = ["finished", "failed", "aborted", "lost"];
    let _ = await_status(&|| node.rest(), &id, &ended, LIMIT);
    let outcome = verify(&node.rest(), &target, load, &id).with_context(|| cluster.logs())?;
    Ok(outcome.requests)
}

/// A job over all nodes but the master, who is killed so long after it began to run. Who led when it
/// was submitted may not lead any more by then: the one who is killed may have a shard, whose loss
/// must then be made up for and declared. Gives in words what became of it.
///
/// # Errors
/// Which figure differs.
pub fn job_without_its_master(
    cluster: &mut Cluster,
    load: Load,
    after: Duration,
) -> anyhow::Result<String> {
    let target = Target::start(&cluster.dir);
    let address = cluster.nodes[cluster.follower()].address();
    let id = submit(&address, &target, load, &["--avoid-master"])?;
    let any = |cluster: &Cluster| cluster.nodes[cluster.follower()].rest();
    let _ = await_status(&|| any(cluster), &id, &["running"], LIMIT);
    // The moment of the kill is the experiment itself.
    std::thread::sleep(after);
    let master = cluster.leader();
    let shards = any(cluster).text(&format!("/api/v1/jobs/{id}/shards"))?;
    let had_a_shard = shards.contains(&format!("\"{}\"", cluster.nodes[master].name));
    cluster.nodes[master].kill();
    let rest = any(cluster);
    let ended = ["finished", "failed", "aborted", "lost"];
    let job = await_status(&|| rest.clone(), &id, &ended, LIMIT);
    let summary = rest.get(&format!("/api/v1/jobs/{id}/summary"))?;
    let seen = Seen { by_name: target.counts()?, ids: target.ids()? };
    let planned = Planned { users: load.users(), names: &REQUESTS };
    let holds = if had_a_shard { Holds::MadeUp } else { Holds::Untouched };
    let findings = account::check(planned, &job, &summary, &seen, holds);
    ensure!(findings.is_empty(), "{findings:#?}{}", cluster.logs());
    cluster.start_node(master);
    let requests: u64 = seen.by_name.values().sum();
    Ok(if had_a_shard {
        format!("{requests} requests; it had a shard: {}", summary["lost"])
    } else {
        format!("{requests} requests, all counted")
    })
}

//! What faults act on: a cluster, its network, and the job that runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::net::{Inside, Net};
use super::timeline::Timeline;
use super::{Finding, Harm, baseline};
use crate::acceptance::Target;
use crate::cluster::{Cluster, Node, Place};
use crate::process::{binary, signal};
use crate::wait::within;

/// A new master is there after this.
const MASTER_LIMIT: Duration = Duration::from_secs(20);
/// The library that changes what a node takes for the time.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// See the module.
#[derive(Debug)]
pub struct World {
    pub cluster: Cluster,
    pub net: Net,
    pub target: Target,
    pub timeline: Timeline,
    /// Nodes that a fault has its hands on.
    pub struck: BTreeSet<usize>,
    /// Nodes that are to end by themselves.
    pub refusing: BTreeSet<usize>,
    /// What the faults themselves found.
    pub findings: Vec<Finding>,
    /// The job that runs.
    pub job: Option<String>,
    /// The cluster is not to be used for another run.
    pub spent: bool,
    /// Wall clocks can be changed.
    pub clocks: bool,
    /// Descriptors of each node at the beginning.
    pub descriptors: usize,
    /// What `onrush cluster` can do.
    pub cluster_help: String,
}

impl World {
    /// A cluster of `nodes`, formed.
    ///
    /// # Errors
    /// It does not form.
    pub fn start(net: &Net, nodes: usize, clocks: bool, dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let target = Target::start_at(&net.own_host(), dir);
        let mut all = Vec::new();
        for index in 0..nodes {
            let data_dir = dir.join(format!("n{}", index + 1));
            net.disk(&data_dir)?;
            all.push(net.node(index, place(net, index, clocks, dir)?, data_dir)?);
        }
        let cluster = Cluster::started_with(all, dir);
        let help =
            std::process::Command::new(binary("onrush")).args(["cluster", "--help"]).output()?;
        let mut world = Self {
            cluster,
            net: net.clone(),
            target,
            timeline: Timeline::default(),
            struck: BTreeSet::new(),
            refusing: BTreeSet::new(),
            findings: Vec::new(),
            job: None,
            spent: false,
            clocks,
            descriptors: 0,
            cluster_help: String::from_utf8_lossy(&help.stdout).into_owned(),
        };
        within("the cluster to form", crate::cluster::FORMING_LIMIT, || world.cluster.formed())
            .with_context(|| world.cluster.logs())?;
        for index in world.running() {
            let open = baseline::descriptors(world.cluster.nodes[index].pid())?;
            world.descriptors = world.descriptors.max(open);
        }
        Ok(world)
    }

    #[must_use]
    pub fn name(&self, index: usize) -> &str {
        &self.cluster.nodes[index].name
    }

    #[must_use]
    pub fn names(&self, indices: &[usize]) -> String {
        let names: Vec<&str> = indices.iter().map(|&index| self.name(index)).collect();
        names.join(" ")
    }

    /// Indices of the nodes that run.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        (0..self.cluster.nodes.len()).filter(|&at| self.cluster.nodes[at].is_running()).collect()
    }

    /// Indices of the nodes that run and that no fault has its hands on.
    #[must_use]
    pub fn free(&self) -> Vec<usize> {
        self.running().into_iter().filter(|at| !self.struck.contains(at)).collect()
    }

    /// A node to ask.
    ///
    /// # Errors
    /// There is none.
    pub fn any(&self) -> anyhow::Result<&Node> {
        let at = *self.free().first().context("no node is free of faults")?;
        Ok(&self.cluster.nodes[at])
    }

    /// Index of the master, among the nodes that no fault has its hands on.
    ///
    /// # Errors
    /// None of them leads within a limit.
    pub fn master(&self) -> anyhow::Result<usize> {
        within("a master", MASTER_LIMIT, || {
            let leads = |at: &usize| self.cluster.nodes[*at].leads().unwrap_or(false);
            self.free().into_iter().find(leads).context("no node says that it leads")
        })
    }

    /// Index of one that does not lead.
    ///
    /// # Errors
    /// There is none.
    pub fn worker(&self, pick: u64) -> anyhow::Result<usize> {
        let master = self.master().ok();
        let workers: Vec<usize> =
            self.free().into_iter().filter(|at| Some(*at) != master).collect();
        choose(&workers, pick).context("no worker is free of faults")
    }

    /// Index of one that votes and does not lead.
    ///
    /// # Errors
    /// There is none, or nobody says who votes.
    pub fn follower(&self, pick: u64) -> anyhow::Result<usize> {
        let (master, voters) = (self.master()?, self.voters()?);
        let followers: Vec<usize> = self
            .free()
            .into_iter()
            .filter(|at| *at != master && voters.contains(self.name(*at)))
            .collect();
        choose(&followers, pick).context("no follower that votes is free of faults")
    }

    /// Names of the nodes that vote, as one says that no fault has its hands on.
    ///
    /// # Errors
    /// None of them says so.
    pub fn voters(&self) -> anyhow::Result<BTreeSet<String>> {
        let status = self.any()?.rest().get("/api/v1/raft/status")?;
        let peers = status["peers"].as_array().context("peers")?;
        let votes = peers.iter().filter(|peer| peer["voter"] == true);
        Ok(votes.filter_map(|peer| peer["name"].as_str()).map(str::to_owned).collect())
    }

    /// `kill -9`; it counts as struck until it is started again.
    pub fn kill(&mut self, index: usize) {
        let name = self.name(index).to_owned();
        self.timeline.note(format!("SIGKILL of {name}"));
        self.struck.insert(index);
        self.cluster.nodes[index].kill();
    }

    pub fn start_again(&mut self, index: usize) {
        let name = self.name(index).to_owned();
        self.timeline.note(format!("{name} is started"));
        self.cluster.start_node(index);
        self.struck.remove(&index);
    }

    pub fn signal(&mut self, pid: u32, name: &str, whom: &str) {
        self.timeline.note(format!("SIG{name} to {whom}, pid {pid}"));
        signal(pid, name);
    }

    /// The shard processes of a node.
    #[must_use]
    pub fn shards(&self, index: usize) -> Vec<u32> {
        baseline::children(self.cluster.nodes[index].pid())
    }

    /// Nodes whose process has ended though nobody ended it: each is a finding, and is started again.
    pub fn find_the_dead(&mut self) {
        for index in self.running() {
            if self.refusing.contains(&index) {
                continue;
            }
            let Some(status) = self.cluster.nodes[index].ended() else { continue };
            let name = self.name(index).to_owned();
            self.timeline.note(format!("{name} has ended by itself: {status}"));
            let text = format!("{name} ended by itself: {status}");
            self.findings.push(Finding::new(Harm::Broken, text));
            self.cluster.nodes[index].kill();
            if !self.struck.contains(&index) {
                self.start_again(index);
            }
        }
    }

    /// Runs `onrush` against the nodes that no fault has its hands on.
    ///
    /// # Errors
    /// It cannot be run, or says so.
    pub fn onrush(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let addresses: Vec<String> =
            self.free().into_iter().map(|at| self.cluster.nodes[at].address()).collect();
        let mut command = std::process::Command::new(binary("onrush"));
        if let Some(token) = &self.cluster.nodes[0].place.token {
            command.env("ONRUSH_TOKEN", token);
        }
        let output = command
            .args(["--address", &addresses.join(",")])
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "onrush {}: {complaint}{said}", arguments.join(" "));
        Ok(said)
    }

    /// A node more, in a place that was kept for it.
    ///
    /// # Errors
    /// Its disk cannot be made.
    pub fn add_node(&mut self) -> anyhow::Result<usize> {
        let index = self.cluster.nodes.len();
        let dir = self.cluster.dir.clone();
        let data_dir = dir.join(format!("n{}-{}", index + 1, self.timeline.len()));
        self.net.disk(&data_dir)?;
        let place = place(&self.net, index, self.clocks, &dir)?;
        self.cluster.nodes.push(self.net.node(index, place, data_dir)?);
        let name = self.name(index).to_owned();
        self.timeline.note(format!("{name} joins"));
        self.cluster.start_node(index);
        Ok(index)
    }

    /// The nodes' logs.
    #[must_use]
    pub fn logs(&self) -> Vec<(String, PathBuf)> {
        let log =
            |node: &Node| (node.name.clone(), self.cluster.dir.join(format!("{}.log", node.name)));
        self.cluster.nodes.iter().map(log).collect()
    }

    /// The file that says by how much a node's clock is off.
    #[must_use]
    pub fn clock_file(&self, index: usize) -> PathBuf {
        clock_file(&self.cluster.dir, index)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for node in &mut self.cluster.nodes {
            node.kill();
            self.net.release(&node.data_dir);
        }
    }
}

/// One of them by a number that was drawn before they were known.
#[must_use]
pub fn choose(from: &[usize], pick: u64) -> Option<usize> {
    let at = usize::try_from(pick % (from.len().max(1) as u64)).ok()?;
    from.get(at).copied()
}

/// Whether this machine can change what a process takes for the time.
#[must_use]
pub fn can_change_clocks() -> bool {
    Path::new(FAKETIME).is_file()
}

fn clock_file(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("n{}.clock", index + 1))
}

fn place(net: &Net, index: usize, clocks: bool, dir: &Path) -> anyhow::Result<Place> {
    let mut place = net.place(index);
    if clocks {
        let file = clock_file(dir, index);
        std::fs::write(&file, "+0\n")?;
        let set = [
            ("LD_PRELOAD", FAKETIME.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        place.environment.extend(set.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(place)
}

/// Without namespaces there is one place for all.
#[must_use]
pub fn hosts_needed(inside: Inside, nodes: usize) -> usize {
    match inside {
        Inside::Loopback => 0,
        // One more joins.
        _ => nodes + 1,
    }
}

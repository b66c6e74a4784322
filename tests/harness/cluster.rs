//! Clusters of real nodes on loopback: started through `scripts/node.sh`, each with its own ports
//! and data directory; killed, restarted, asked over REST.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::process::{Process, binary, signal};
use crate::rest::Rest;
use crate::wait::until;

/// Long enough for a busy two-core machine; nothing waits this long when all is well.
pub const FORMING_LIMIT: Duration = Duration::from_secs(60);

/// Where a node runs, and how it is started there.
#[derive(Clone, Debug)]
pub struct Place {
    pub host: String,
    /// What its command line begins with: `ip netns exec NAME`, or nothing.
    pub before: Vec<String>,
    /// What its process finds in its environment, beside what the tests themselves have.
    pub environment: Vec<(String, String)>,
    /// What its API asks for; without one it must be on loopback.
    pub token: Option<String>,
    /// What other nodes dial, where it is not the address that it listens on.
    pub announce: Option<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            before: Vec::new(),
            environment: Vec::new(),
            token: None,
            announce: None,
        }
    }
}

/// One node: its place and, while it runs, its process.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub place: Place,
    pub p2p_port: u16,
    pub api_port: u16,
    pub data_dir: PathBuf,
    process: Option<Process>,
}

impl Node {
    #[must_use]
    pub fn rest(&self) -> Rest {
        Rest::at(&self.address(), self.place.token.as_deref())
    }

    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}:{}", self.place.host, self.api_port)
    }

    /// What other nodes dial.
    #[must_use]
    pub fn contact(&self) -> String {
        let own = || format!("{}:{}", self.place.host, self.p2p_port);
        self.place.announce.clone().unwrap_or_else(own)
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// A node with free ports that nothing has been started for.
    #[must_use]
    pub fn new(name: &str, data_dir: PathBuf) -> Self {
        Self::at(name, data_dir, Place::default())
    }

    /// A node at a place, with ports that are free on this machine.
    #[must_use]
    pub fn at(name: &str, data_dir: PathBuf, place: Place) -> Self {
        let ports = free_ports(2);
        Self {
            name: name.to_owned(),
            place,
            p2p_port: ports[0],
            api_port: ports[1],
            data_dir,
            process: None,
        }
    }

    /// # Panics
    /// When the node does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the node runs").pid()
    }

    /// Whether it says that it is the master.
    ///
    /// # Errors
    /// It does not answer.
    pub fn leads(&self) -> anyhow::Result<bool> {
        Ok(self.rest().get("/api/v1/raft/status?stale=true")?["state"] == "leader")
    }

    /// How its process ended, where it did so by itself.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.process.as_mut()?.ended()
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Instant {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        Instant::now()
    }
}

/// A cluster and the folder it lives in.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub dir: PathBuf,
    pub secret: PathBuf,
    /// So many nodes, the first of them, are told to expect each other; the others only join.
    pub founders: usize,
    _cleanup: Option<tempfile::TempDir>,
}

impl Cluster {
    /// Starts `size` nodes and waits until each sees a master and every voter.
    ///
    /// # Panics
    /// When they do not form a cluster; the logs' last lines are in the message.
    #[must_use]
    pub fn start(size: usize) -> Self {
        let cluster = Self::started(size);
        cluster.await_formed();
        cluster
    }

    /// Starts `size` nodes and does not wait.
    ///
    /// # Panics
    /// When a process cannot be started.
    #[must_use]
    pub fn started(size: usize) -> Self {
        let mut cluster = Self::planned(size);
        for index in 0..size {
            cluster.start_node(index);
        }
        cluster
    }

    /// `size` nodes with their places; none of them runs.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn planned(size: usize) -> Self {
        let cleanup = tempfile::tempdir().expect("a temporary folder");
        let dir = cleanup.path().to_owned();
        let secret = dir.join("secret");
        write_secret(&secret);
        let nodes = (1..=size)
            .map(|number| Node::new(&format!("n{number}"), dir.join(format!("n{number}"))))
            .collect();
        Self { nodes, dir, secret, founders: size, _cleanup: Some(cleanup) }
    }

    /// Starts the nodes in a folder that stays, and does not wait.
    ///
    /// # Panics
    /// When a process cannot be started.
    #[must_use]
    pub fn started_with(nodes: Vec<Node>, dir: &Path) -> Self {
        let secret = dir.join("secret");
        write_secret(&secret);
        let size = nodes.len();
        let mut cluster =
            Self { nodes, dir: dir.to_owned(), secret, founders: size, _cleanup: None };
        for index in 0..size {
            cluster.start_node(index);
        }
        cluster
    }

    /// The command line of a node, as a user would type it.
    #[must_use]
    pub fn command(&self, index: usize) -> Command {
        self.command_of(&self.nodes[index], &self.secret)
    }

    /// The command line of any node that shares the contact points: one that is not of the cluster
    /// yet, or should not be.
    #[must_use]
    pub fn command_of(&self, node: &Node, secret: &Path) -> Command {
        let contacts: Vec<String> = self.nodes.iter().map(Node::contact).collect();
        let script = repository().join("scripts/node.sh");
        let mut command = match node.place.before.split_first() {
            None => Command::new(script),
            Some((program, before)) => {
                let mut command = Command::new(program);
                command.args(before).arg(script);
                command
            }
        };
        if let Some(token) = &node.place.token {
            let path = self.dir.join(format!("{}.token", node.name));
            // A node that is started again has it already.
            if !path.exists() {
                write_private(&path, token.as_bytes());
            }
            command.arg("--api-token-file").arg(path);
        }
        if let Some(announce) = &node.place.announce {
            command.args(["--announce", announce]);
        }
        if !self.nodes[self.founders..].iter().any(|other| other.name == node.name) {
            command.args(["--expect", &self.founders.to_string()]);
        }
        command
            .envs(node.place.environment.iter().map(|(name, value)| (name, value)))
            .env("ONRUSH_BIN", binary("onrush"))
            .args(["--name", &node.name])
            .args(["--contact-points", &contacts.join(",")])
            .arg("--data-dir")
            .arg(&node.data_dir)
            .args(["--listen", &format!("{}:{}", node.place.host, node.p2p_port)])
            .args(["--api", &format!("{}:{}", node.place.host, node.api_port)])
            .arg("--cluster-secret-file")
            .arg(secret);
        command
    }

    /// # Panics
    /// When the process cannot be started.
    pub fn start_node(&mut self, index: usize) {
        let log = self.dir.join(format!("{}.log", self.nodes[index].name));
        let process = Process::start(&mut self.command(index), &log);
        self.nodes[index].process = Some(process);
    }

    /// SIGTERM, and a successor at once, while the old process may still be on its way out. Gives
    /// how long that took.
    ///
    /// # Panics
    /// When the node does not run, or does not end.
    pub fn replace_nodes(&mut self, indices: &[usize]) -> Vec<Duration> {
        let terminate = |index: &usize| {
            let process = self.nodes[*index].process.take().expect("the node runs");
            signal(process.pid(), "TERM");
            (Instant::now(), process)
        };
        let old: Vec<(Instant, Process)> = indices.iter().map(terminate).collect();
        indices.iter().for_each(|&index| self.start_node(index));
        let ended = |(at, mut process): (Instant, Process)| {
            until("a node to end", FORMING_LIMIT, || {
                process.ended().context("it still runs").map(|_| at.elapsed())
            })
        };
        old.into_iter().map(ended).collect()
    }

    /// Waits until every running node knows the same master, and the voters are as many as they
    /// should be (1, 3 or 5).
    ///
    /// # Panics
    /// After [`FORMING_LIMIT`].
    pub fn await_formed(&self) {
        until("the cluster to form", FORMING_LIMIT, || self.formed().with_context(|| self.logs()));
    }

    /// # Errors
    /// Which running node does not know what all should.
    pub fn formed(&self) -> anyhow::Result<()> {
        let voters = match self.nodes.len() {
            0..3 => 1,
            3..5 => 3,
            _ => 5,
        };
        for node in self.running() {
            let status = node.rest().get("/api/v1/raft/status?stale=true")?;
            ensure!(status["leader"].is_u64(), "{} knows no leader", node.name);
            let peers = status["peers"].as_array().context("peers")?;
            let seen = peers.iter().filter(|peer| peer["voter"] == true).count();
            ensure!(seen == voters, "{} sees {seen} of {voters} voters", node.name);
            let state = &status["cluster_state"];
            ensure!(state == "open", "{}: {state}", node.name);
        }
        Ok(())
    }

    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// Index of the node that says it leads.
    ///
    /// # Panics
    /// When none does within the limit.
    #[must_use]
    pub fn leader(&self) -> usize {
        until("a leader", FORMING_LIMIT, || {
            for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running())
            {
                if node.leads()? {
                    return Ok(index);
                }
            }
            bail!("no node says that it leads")
        })
    }

    /// Index of some running node that does not lead.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        let found =
            (0..self.nodes.len()).find(|&index| index != leader && self.nodes[index].is_running());
        found.expect("a running node besides the leader")
    }

    /// All that a node has logged, in all its lives.
    #[must_use]
    pub fn log_of(&self, index: usize) -> String {
        let path = self.dir.join(format!("{}.log", self.nodes[index].name));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// The last lines of every node's log.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            if let Some(process) = &node.process {
                text.push_str(&format!("\n--- {}\n{}", node.name, process.tail(8)));
            }
        }
        text
    }

    /// Keeps the folder for a look after the test.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        if let Some(folder) = self._cleanup.take() {
            return folder.keep();
        }
        self.dir.clone()
    }
}

/// The repository's root: the folder above this crate's.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is inside the repository")
}

/// Below the range that the kernel gives outgoing connections: under load, one of those could take
/// a port between its choice here and the node's bind.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// Ports that were free a moment ago, never the same twice in this process.
///
/// # Panics
/// When the machine has none.
#[must_use]
pub fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let span = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(131);
    let candidates = (0..span).map(|_| {
        let step = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        PORTS.start + u16::try_from(step % span).expect("inside the range")
    });
    let free: Vec<u16> = candidates
        .filter(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .take(count)
        .collect();
    assert_eq!(free.len(), count, "no free ports in {PORTS:?}");
    free
}

/// A port that was free a moment ago, as are those at `offsets` above it.
///
/// # Panics
/// When the machine has none.
#[must_use]
pub fn free_base(offsets: &[u16]) -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    std::iter::from_fn(|| free_ports(1).first().copied())
        .take(1_000)
        .find(|base| offsets.iter().all(|offset| free(base + offset)))
        .expect("a free range of ports")
}

fn write_secret(path: &Path) {
    write_private(path, &crate::process::onrush(["secret", "new"]).stdout);
}

fn write_private(path: &Path, content: &[u8]) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .expect("a new file");
    file.write_all(content).expect("the secret is written");
}

/// Waits until the job has one of the statuses, and gives it.
///
/// # Panics
/// After `limit`.
#[must_use]
pub fn await_status(rest: &dyn Fn() -> Rest, job: &str, wanted: &[&str], limit: Duration) -> Value {
    until(&format!("{job} to be {wanted:?}"), limit, || {
        let found = rest().get(&format!("/api/v1/jobs/{job}"))?;
        let status = found["status"].as_str().unwrap_or_default().to_owned();
        ensure!(wanted.contains(&status.as_str()), "it is {status}: {}", found["verdict"]);
        Ok(found)
    })
}

//! One run: the generator on one core, the target on another; what the kernel says the generator
//! used, and what the target says it got.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Serialize};

/// How often a running tool's memory is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Kernel ticks per second, as `/proc` counts processor time.
const TICK_US: u64 = 10_000;

/// The target, and where the tools run.
#[derive(Debug)]
pub struct Bench {
    target: Child,
    address: String,
    http2_address: String,
    generator_core: String,
    pub onrush: PathBuf,
    /// For what the tools write.
    pub scratch: PathBuf,
    agent: ureq::Agent,
}

/// What one run used and did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// User and system time of the tool, from its start to its end.
    pub cpu_us: u64,
    /// Counted by the target.
    pub requests: u64,
    pub connections: u64,
    /// From the first request at the target to the last.
    pub spread_us: u64,
    pub memory_kib: u64,
}

/// What the target counted.
#[derive(Debug, Deserialize)]
pub struct Seen {
    pub requests: u64,
    pub connections: u64,
    pub spread_us: u64,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
impl Run {
    #[must_use]
    pub fn cpu_us_per_request(&self) -> f64 {
        self.cpu_us as f64 / self.requests.max(1) as f64
    }

    #[must_use]
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 * 1e6 / self.spread_us.max(1) as f64
    }

    /// This run and the next one, as one.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self {
            cpu_us: self.cpu_us + next.cpu_us,
            requests: self.requests + next.requests,
            connections: self.connections + next.connections,
            spread_us: self.spread_us + next.spread_us,
            memory_kib: self.memory_kib.max(next.memory_kib),
        }
    }

    /// This longer run without what a shorter one had as well: start-up, and most of the warming.
    #[must_use]
    pub fn warm_after(&self, shorter: &Self) -> Self {
        Self {
            cpu_us: self.cpu_us.saturating_sub(shorter.cpu_us),
            requests: self.requests.saturating_sub(shorter.requests),
            connections: self.connections,
            spread_us: self.spread_us.saturating_sub(shorter.spread_us),
            memory_kib: self.memory_kib,
        }
    }
}

impl Bench {
    /// Starts the target, the running program itself, on its core.
    ///
    /// # Errors
    /// When it does not say where it listens.
    pub fn start(onrush: PathBuf, scratch: PathBuf, cores: (u32, u32)) -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let mut target = Command::new("taskset")
            .args(["-c", &cores.1.to_string()])
            .arg(own)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("taskset (package util-linux) does not start")?;
        let mut line = String::new();
        let stdout = target.stdout.take().context("the target has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let Some((address, http2_address)) = line.trim().split_once(' ') else {
            bail!("the target does not start");
        };
        let (address, http2_address) = (address.to_owned(), http2_address.to_owned());
        let agent = ureq::Agent::new_with_defaults();
        let generator_core = cores.0.to_string();
        Ok(Self { target, address, http2_address, generator_core, onrush, scratch, agent })
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The target, or the second one, which speaks HTTP/2 over TLS.
    #[must_use]
    pub fn url_of(&self, http2: bool) -> String {
        if http2 { format!("https://{}", self.http2_address) } else { self.url() }
    }

    /// # Errors
    /// When the target does not answer.
    pub fn ask(&self, path: &str) -> anyhow::Result<String> {
        let mut answer = self.agent.get(format!("{}{path}", self.url())).call()?;
        Ok(answer.body_mut().with_config().limit(1 << 30).read_to_string()?)
    }

    /// # Errors
    /// When the target does not answer.
    pub fn seen(&self) -> anyhow::Result<Seen> {
        Ok(serde_json::from_str(&self.ask("/__seen")?)?)
    }

    /// `onrush run` of the benchmark's simulation.
    #[must_use]
    pub fn onrush_run(&self, kind: &str, parameters: &[String]) -> Command {
        let mut command = Command::new(&self.onrush);
        command.arg("run").arg(super::files().join("bench.gatling.js"));
        command.arg(format!("case={kind}")).arg(format!("target={}", self.url_of(kind == "http2")));
        command.args(parameters).args(["--threads", "1", "--progress", "none", "--exit-zero"]);
        command.arg("--results").arg(self.results());
        command
    }

    /// Where `onrush` left the results of its last run.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        self.scratch.join("results")
    }

    /// Runs a tool on its core, to its end.
    ///
    /// # Errors
    /// When it cannot be started, or the target got nothing.
    pub fn measure(&self, command: Command) -> anyhow::Result<Run> {
        self.ask("/__reset")?;
        if self.results().exists() {
            std::fs::remove_dir_all(self.results())?;
        }
        let (cpu_us, memory_kib) = self.used_by(command)?;
        let Seen { requests, connections, spread_us } = self.seen()?;
        Ok(Run { cpu_us, requests, connections, spread_us, memory_kib })
    }

    /// Processor time in microseconds, and the most memory in KiB.
    fn used_by(&self, command: Command) -> anyhow::Result<(u64, u64)> {
        let log = self.scratch.join("tool.log");
        let out = std::fs::File::create(&log)?;
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", &self.generator_core]).arg(command.get_program());
        pinned.args(command.get_args()).current_dir(&self.scratch);
        for (key, value) in command.get_envs() {
            pinned.env(key, value.unwrap_or_default());
        }
        pinned.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        let mut child = pinned.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("a process has a number")?;
        let mut memory = 0;
        // Left unreaped until its times have been read.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(pid), options)?.is_none() {
            memory = memory.max(memory_of(child.id()).unwrap_or(0));
            std::thread::sleep(LOOK);
        }
        let cpu_us = cpu_of(child.id()).context("no processor times in /proc")?;
        let status = child.wait()?;
        if !status.success() {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(8).collect();
            let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            bail!("{command:?}: {status}\n{tail}");
        }
        Ok((cpu_us, memory))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.target.kill();
        let _ = self.target.wait();
    }
}

/// Its own and its reaped children's user and system time: fields 14 to 17.
fn cpu_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.rsplit_once(')')?.1;
    let ticks: u64 = after
        .split_ascii_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|it| it.parse::<u64>().ok())
        .sum();
    Some(ticks * TICK_US)
}

fn memory_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The machine in a line.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn machine() -> anyhow::Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let kib: u64 = memory
        .lines()
        .next()
        .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0);
    Ok(format!("{model}, {cores} cores, {} GiB, Linux {}", kib >> 20, kernel.trim()))
}

//! Clients that write and read through random nodes while faults strike, what each saw and when, and
//! what must be true of it: acknowledged writes stay, what goes through the leader is linearizable,
//! and one client's reads never go back.
//!
//! A register is a file; its value is its size, which no two writes share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use onrush_api::client::{Client, Error};
use onrush_api::error::Kind;
use serde_json::Value;

use super::linear::{self, Action, Operation, Verdict};
use super::{Finding, Harm};
use crate::random::Random;

pub const PROJECT: &str = "chaos";
const CLIENTS: usize = 3;
const REGISTERS: u64 = 2;
/// A client thinks so long between two operations, in milliseconds.
const THINKS_MS: (u64, u64) = (40, 160);
/// Fewer answers than this in a run prove nothing.
const ANSWERS_MIN: usize = 20;

/// What one file was found to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    number: u64,
    size: u64,
}

/// What clients saw.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// By register.
    operations: BTreeMap<u64, Vec<Operation>>,
    /// Writes that were acknowledged, by register.
    acknowledged: BTreeMap<u64, Vec<Version>>,
    projects: Vec<String>,
    answers: usize,
    refused: BTreeMap<String, usize>,
    findings: Vec<Finding>,
}

impl Record {
    fn join(&mut self, other: Self) {
        for (key, operations) in other.operations {
            self.operations.entry(key).or_default().extend(operations);
        }
        for (key, versions) in other.acknowledged {
            self.acknowledged.entry(key).or_default().extend(versions);
        }
        self.projects.extend(other.projects);
        self.answers += other.answers;
        for (what, times) in other.refused {
            *self.refused.entry(what).or_default() += times;
        }
        self.findings.extend(other.findings);
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut all: Vec<(u64, Operation)> = Vec::new();
        for (key, operations) in &self.operations {
            all.extend(operations.iter().map(|operation| (*key, *operation)));
        }
        all.sort_by_key(|(_, operation)| operation.began);
        let line = |(key, it): &(u64, Operation)| {
            let ended = it
                .ended
                .map_or_else(|| "unknown".to_owned(), |at| format!("{:.3}", at as f64 / 1e6));
            let began = it.began as f64 / 1e6;
            format!(
                "{began:>8.3} – {ended:>8} s  client {} register {key} {:?}\n",
                it.client, it.action
            )
        };
        let operations: String = all.iter().map(line).collect();
        format!("{} answers, errors: {:#?}\n{operations}", self.answers, self.refused)
    }

    /// What the histories alone show.
    #[must_use]
    pub fn judge(&self) -> Vec<Finding> {
        let mut findings = self.told_once();
        for (key, operations) in &self.operations {
            if let Verdict::Violation(operation) = linear::check(operations) {
                let text = format!(
                    "register {key}: no order of its {} operations explains client {}'s {:?}, {:.3} s \
                     after the clients began",
                    operations.len(),
                    operation.client,
                    operation.action,
                    operation.began as f64 / 1e6
                );
                findings.push(Finding::new(Harm::Broken, text));
            }
        }
        if self.answers < ANSWERS_MIN {
            let text = format!("the clients had {} answers only: {:?}", self.answers, self.refused);
            findings.push(Finding::new(Harm::Stuck, text));
        }
        findings
    }

    /// What happened again and again is told once: findings of one beginning are one.
    fn told_once(&self) -> Vec<Finding> {
        let mut kinds: BTreeMap<&str, (Finding, usize)> = BTreeMap::new();
        for finding in &self.findings {
            let kind = finding.text.split(':').next().unwrap_or_default();
            kinds.entry(kind).or_insert_with(|| (finding.clone(), 0)).1 += 1;
        }
        let told = |(finding, times): (Finding, usize)| {
            let more = if times > 1 { format!(" ({times} times)") } else { String::new() };
            Finding::new(finding.harm, finding.text + &more)
        };
        kinds.into_values().map(told).collect()
    }

    /// What was acknowledged is there: `files` and `projects` are a node's lists, in the end.
    #[must_use]
    pub fn kept(&self, run: u64, node: &str, files: &Value, projects: &Value) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut there: BTreeMap<u64, Vec<Version>> = BTreeMap::new();
        for (key, version) in versions(run, files) {
            there.entry(key).or_default().push(version);
        }
        for (key, acknowledged) in &self.acknowledged {
            let of_key = there.get(key).cloned().unwrap_or_default();
            let gone: Vec<&Version> =
                acknowledged.iter().filter(|write| !of_key.contains(write)).collect();
            if !gone.is_empty() {
                let text = format!(
                    "{node} does not have {} writes to register {key} that were acknowledged: {gone:?}",
                    gone.len()
                );
                findings.push(Finding::new(Harm::Lost, text));
            }
        }
        let names: Vec<&str> = items(projects).filter_map(|item| item["name"].as_str()).collect();
        for project in self.projects.iter().filter(|project| !names.contains(&project.as_str())) {
            let text =
                format!("{node} does not have the project {project}, which was acknowledged");
            findings.push(Finding::new(Harm::Lost, text));
        }
        findings
    }
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page["items"].as_array().into_iter().flatten()
}

fn file_name(run: u64, key: u64) -> String {
    format!("run-{run}/register-{key}")
}

/// The registers of a run in a list of files.
fn versions(run: u64, files: &Value) -> Vec<(u64, Version)> {
    let prefix = format!("run-{run}/register-");
    let of = |item: &Value| {
        let key = item["path"].as_str()?.strip_prefix(&prefix)?.parse().ok()?;
        let version = Version { number: item["version"].as_u64()?, size: item["size"].as_u64()? };
        Some((key, version))
    };
    items(files).filter_map(of).collect()
}

/// Where a run's registers are listed.
#[must_use]
pub fn list_path(run: u64, more: &str) -> String {
    format!("/api/v1/projects/{PROJECT}/files?prefix=run-{run}/&limit=500{more}")
}

/// The clients of one run.
#[derive(Debug)]
pub struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<anyhow::Result<Record>>>,
}

struct One {
    number: usize,
    run: u64,
    client: Client,
    random: Random,
    start: Instant,
    next_size: Arc<AtomicU64>,
    folder: std::path::PathBuf,
    record: Record,
    /// The newest version of each register that this client knows of.
    newest: BTreeMap<u64, Version>,
}

impl Clients {
    /// # Errors
    /// An address that cannot be used.
    pub fn start(
        addresses: &[String],
        token: Option<&str>,
        run: u64,
        seed: u64,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let next_size = Arc::new(AtomicU64::new(1));
        let start = Instant::now();
        let mut threads = Vec::new();
        for number in 0..CLIENTS {
            let mut one = One {
                number,
                run,
                client: Client::new(
                    addresses,
                    token.map(str::to_owned),
                    &format!("client-{number}"),
                )?,
                random: Random::new(seed.wrapping_add(number as u64)),
                start,
                next_size: Arc::clone(&next_size),
                folder: folder.to_owned(),
                record: Record::default(),
                newest: BTreeMap::new(),
            };
            let stop = Arc::clone(&stop);
            threads.push(std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    while !stop.load(Ordering::Relaxed) {
                        one.step().await?;
                    }
                    Ok(one.record)
                })
            }));
        }
        Ok(Self { stop, threads })
    }

    /// # Errors
    /// A client could not go on.
    pub fn stop(self) -> anyhow::Result<Record> {
        self.stop.store(true, Ordering::Relaxed);
        let mut record = Record::default();
        for thread in self.threads {
            let one = thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
            record.join(one.context("a client")?);
        }
        Ok(record)
    }
}

impl One {
    async fn step(&mut self) -> anyhow::Result<()> {
        let thinks = self.random.between(THINKS_MS.0, THINKS_MS.1);
        tokio::time::sleep(Duration::from_millis(thinks)).await;
        for _ in 0..self.random.below(3) {
            self.client.turn();
        }
        match self.random.below(20) {
            0..7 => self.write().await?,
            7..13 => self.read_through_the_leader().await,
            13..19 => self.read_anywhere().await,
            _ => self.create_project().await,
        }
        Ok(())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn note(&mut self, key: u64, action: Action, began: u64, ended: Option<u64>) {
        let operation = Operation { client: self.number, action, began, ended };
        self.record.operations.entry(key).or_default().push(operation);
    }

    fn answered<T>(&mut self, what: &str, answer: &Result<T, Error>) {
        let Err(error) = answer else {
            self.record.answers += 1;
            return;
        };
        let kind = error.problem().map_or_else(
            || error.to_string().chars().take(60).collect(),
            |problem| problem.code.clone(),
        );
        *self.record.refused.entry(format!("{what}: {kind}")).or_default() += 1;
        // Known conditions have names of their own.
        if error.kind() == Some(Kind::Internal) {
            let text =
                format!("{what} was answered with 500 by {}: {error}", self.client.address());
            self.record.findings.push(Finding::new(Harm::Broken, text));
        }
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        let key = self.random.below(REGISTERS);
        let size = self.next_size.fetch_add(1, Ordering::Relaxed);
        let local = self.folder.join(format!("client-{}.txt", self.number));
        std::fs::write(&local, "x".repeat(usize::try_from(size)?))?;
        let began = self.now();
        let path = file_name(self.run, key);
        let answer = self.client.put_file(PROJECT, &path, &local, None).await;
        let ended = self.now();
        self.answered("write", &answer);
        self.note(key, Action::Write(size), began, answer.is_ok().then_some(ended));
        if let Ok(file) = answer {
            let version = Version { number: file.version, size };
            self.record.acknowledged.entry(key).or_default().push(version);
            self.saw(key, version, "write");
        }
        Ok(())
    }

    async fn list(&mut self, what: &str, more: &str) -> Option<BTreeMap<u64, Version>> {
        let answer = self.client.raw::<Value>(&list_path(self.run, more)).await;
        self.answered(what, &answer);
        Some(versions(self.run, &answer.ok()?).into_iter().collect())
    }

    async fn read_through_the_leader(&mut self) {
        let began = self.now();
        let Some(found) = self.list("read through the leader", "&consistency=leader").await else {
            return;
        };
        let ended = self.now();
        for key in 0..REGISTERS {
            let version = found.get(&key).copied().unwrap_or_default();
            self.note(key, Action::Read(version.size), began, Some(ended));
            self.saw(key, version, "read through the leader");
        }
    }

    async fn read_anywhere(&mut self) {
        let Some(found) = self.list("read", "").await else { return };
        for key in 0..REGISTERS {
            self.saw(key, found.get(&key).copied().unwrap_or_default(), "read");
        }
    }

    /// One client never sees an older version than it has seen.
    fn saw(&mut self, key: u64, version: Version, how: &str) {
        let newest = self.newest.entry(key).or_default();
        if version.number < newest.number {
            let text = format!(
                "client {} went back: register {key} was at version {} by a {how} of {}, {} before",
                self.number,
                version.number,
                self.client.address(),
                newest.number
            );
            self.record.findings.push(Finding::new(Harm::Broken, text));
        }
        *newest = version.max(*newest);
    }

    async fn create_project(&mut self) {
        let name = format!("run-{}-{}-{}", self.run, self.number, self.record.answers);
        let answer = self.client.create_project(&name).await;
        self.answered("project", &answer);
        if answer.is_ok() {
            self.record.projects.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_acknowledged_write_that_is_gone_is_found() {
        let mut record = Record { projects: vec!["p1".to_owned()], ..Record::default() };
        let write = Version { number: 2, size: 70 };
        record.acknowledged.insert(1, vec![write]);
        let item = |version: u64, size: u64| json!({"path": "run-4/register-1", "version": version, "size": size});
        let projects = json!({"items": [{"name": "p1"}]});
        let there = json!({"items": [item(1, 60), item(2, 70)]});
        assert_eq!(record.kept(4, "n1", &there, &projects), []);
        for gone in [json!({"items": [item(1, 60)]}), json!({"items": [item(2, 71)]})] {
            let harms: Vec<Harm> =
                record.kept(4, "n1", &gone, &projects).iter().map(|it| it.harm).collect();
            assert_eq!(harms, [Harm::Lost]);
        }
        let none = json!({"items": []});
        assert_eq!(record.kept(4, "n1", &there, &none)[0].harm, Harm::Lost);
    }

    #[test]
    fn what_happens_again_and_again_is_told_once() {
        let text = |n: u64| format!("a write was answered with 500: {n}");
        let findings = (1..=3).map(|n| Finding::new(Harm::Broken, text(n))).collect();
        let record = Record { findings, answers: ANSWERS_MIN, ..Record::default() };
        assert_eq!(
            record.judge(),
            [Finding::new(Harm::Broken, "a write was answered with 500: 1 (3 times)")]
        );
    }

    #[test]
    fn a_quiet_run_proves_nothing() {
        assert_eq!(Record::default().judge()[0].harm, Harm::Stuck);
        let busy = Record { answers: ANSWERS_MIN, ..Record::default() };
        assert_eq!(busy.judge(), []);
    }
}

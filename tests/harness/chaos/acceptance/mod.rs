//! Losses at full size, with figures: what of the load is missing when a node goes in mid-run, for how
//! long, and whether the report says so to the request. Each case is one fault at a moment that the
//! seed decides; the target's own counts, by arrival, by time and by sender, are the referee.
//!
//! Reading order: this file (one job, what is held against it; many runs), `figures` (the arithmetic),
//! `loss`, `lease`, `feeder`, `elastic` (the cases).

mod elastic;
mod feeder;
mod figures;
mod lease;
mod loss;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::account::{self, Holds, Planned, Seen};
use super::campaign::Options;
use super::net::{Inside, Net};
use super::schedule::seed_of_run;
use super::world::{World, hosts_needed};
use super::{ENDED, Finding, Harm, RUNNING_LIMIT, await_job, failure_folder};
use crate::cluster::repository;
use crate::machine::{Pause, Pauses, longest_at};
use crate::random::Random;
use crate::target::{BUCKET_MS, Sources};
use crate::wait::within;
use figures::{Load, buckets};

/// Runs on one cluster before a new one is made.
const RUNS_PER_CLUSTER: u64 = 10;
/// From the planned end of the load to the end of the job.
const ENDING_LIMIT: Duration = Duration::from_secs(60);
/// After the run the cluster is whole again within this.
const HEALING_LIMIT: Duration = Duration::from_secs(60);
/// From the status *running* to the first request.
const FIRST_LIMIT: Duration = Duration::from_secs(15);
/// What a fault does to the rate, it does within so many seconds of its beginning.
const NEAR_S: usize = 15;
/// What each user of the open load sends.
const NAMES: [&str; 2] = ["first", "second"];

/// One fault, and what must hold.
struct Case {
    name: &'static str,
    what: &'static str,
    nodes: usize,
    /// Another run may follow on the same cluster.
    again: bool,
    run: fn(&mut World, &mut Random) -> anyhow::Result<Run>,
}

fn registry() -> impl Iterator<Item = &'static Case> {
    let all: [&'static [Case]; 4] = [&loss::CASES, &lease::CASES, &feeder::CASES, &elastic::CASES];
    all.into_iter().flatten()
}

/// The cases, for people.
#[must_use]
pub fn list() -> String {
    registry().map(|it| format!("{:<17} {} ({} nodes)\n", it.name, it.what, it.nodes)).collect()
}

/// What came of one run.
#[derive(Default)]
struct Run {
    findings: Vec<Finding>,
    figures: Vec<(&'static str, f64)>,
    /// What no figure says.
    remarks: Vec<String>,
    verdict: String,
    documents: Vec<(&'static str, String)>,
}

impl Run {
    fn figure(&mut self, what: &'static str, value: f64) {
        self.figures.push((what, value));
    }

    fn must(&mut self, holds: bool, harm: Harm, text: impl FnOnce() -> String) {
        if !holds {
            self.findings.push(Finding::new(harm, text()));
        }
    }

    /// A promise by the target's clock. Where the machine was late at other times as well, a breach
    /// is said, and is no finding.
    fn by_the_clock(&mut self, late: usize, holds: bool, text: impl FnOnce() -> String) {
        match (holds, late) {
            (true, _) => {}
            (false, 0) => self.findings.push(Finding::new(Harm::Broken, text())),
            (false, _) => self.remarks.push(format!("LATE MACHINE: {}", text())),
        }
    }

    fn line(&self) -> String {
        let figures = self.figures.iter().map(|(what, value)| format!("{what} {}", shown(*value)));
        figures.chain(self.remarks.iter().cloned()).collect::<Vec<_>>().join(" · ")
    }
}

fn shown(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A job whose load has begun.
struct Job {
    id: String,
    load: Load,
    /// Of its first request.
    start_ms: u64,
    pauses: Pauses,
}

impl Job {
    /// Submits the acceptance runs' simulation; `more` are options and parameters.
    fn begin(world: &mut World, load: Load, more: &[&str]) -> anyhow::Result<Self> {
        let simulation = repository().join("tests/simulations/acceptance.gatling.js");
        Self::begin_with(world, &simulation, load, more)
    }

    fn begin_with(
        world: &mut World,
        simulation: &Path,
        load: Load,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        world.target.reset();
        let pauses = Pauses::watch();
        let (file, target) = (simulation.display().to_string(), world.target.url());
        let parameters = [
            format!("target={target}"),
            format!("rate={}", load.rate),
            format!("duration={}", load.seconds),
        ];
        let mut all = vec!["job", "submit", "--json", "--detach"];
        all.extend(more.iter().filter(|it| it.starts_with("--")));
        all.push(&file);
        all.extend(parameters.iter().map(String::as_str));
        all.extend(more.iter().filter(|it| !it.starts_with("--")));
        let said = world.onrush(&all)?;
        let job: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
        let id = job["id"].as_str().context("the job has an id")?.to_owned();
        world.timeline.note(format!("{id} is submitted"));
        world.job = Some(id.clone());
        let running = await_job(world, &id, &["running"], RUNNING_LIMIT)?;
        ensure!(running["status"] == "running", "{id} is {}", running["status"]);
        let start_ms = within("the first request", FIRST_LIMIT, || {
            world.target.sources()?.start_unix_ms.context("none came")
        })?;
        world.timeline.note("the load has begun");
        Ok(Self { id, load, start_ms, pauses })
    }

    /// Waits for a moment of the load: it is the experiment itself.
    fn at(&self, ms: u64) {
        let left = (self.start_ms + ms).saturating_sub(unix_ms());
        std::thread::sleep(Duration::from_millis(left));
    }

    /// Seconds of the load at a time.
    fn since(&self, unix_ms: u64) -> f64 {
        (unix_ms as f64 - self.start_ms as f64) / 1_000.0
    }

    /// Waits for its end, and gathers what is known of it.
    fn end(self, world: &mut World, run: &mut Run) -> anyhow::Result<Evidence> {
        // Nobody asks before: the nodes have enough to do.
        self.at(u64::from(self.load.seconds) * 1_000);
        let job = await_job(world, &self.id, &ENDED, ENDING_LIMIT)?;
        world.timeline.note(format!("{} is {}, {}", self.id, job["status"], job["verdict"]));
        run.verdict = match job["status"] == "finished" {
            true => job["verdict"]["value"].as_str().unwrap_or_default().to_owned(),
            false => job["status"].as_str().unwrap_or_default().to_owned(),
        };
        run.documents.push(("job.json", format!("{job:#}")));
        let sources = world.target.sources()?;
        let seen = Seen { by_name: world.target.counts()?, ids: world.target.ids()? };
        run.documents.push(("target.txt", format!("{seen:#?}")));
        run.documents.push(("sources.json", serde_json::to_string(&sources)?));
        let times = world.target.times()?;
        run.documents.push(("times.json", serde_json::to_string(&times)?));
        let pauses = self.pauses.seen();
        run.documents.push(("pauses.json", serde_json::to_string(&pauses)?));
        let rest = world.any()?.rest();
        let path = format!("/api/v1/jobs/{}", self.id);
        // A job that ended badly may have none.
        let summary = rest.get(&format!("{path}/summary")).unwrap_or_default();
        run.documents.push(("summary.json", format!("{summary:#}")));
        let events = rest.get(&format!("{path}/events?limit=200")).unwrap_or_default();
        run.documents.push(("events.json", format!("{events:#}")));
        Ok(Evidence { load: self.load, job, summary, seen, sources, times, pauses })
    }
}

/// What is known of a job that has ended, from both sides.
struct Evidence {
    load: Load,
    job: Value,
    summary: Value,
    seen: Seen,
    sources: Sources,
    /// By name: when each arrival came, in milliseconds from the first request.
    times: BTreeMap<String, Vec<Option<u32>>>,
    /// Of the machine that all of them ran on.
    pauses: Vec<Pause>,
}

impl Evidence {
    fn rate(&self) -> f64 {
        f64::from(self.load.rate)
    }

    fn sum_lost(&self, field: &str) -> u64 {
        let parts = self.summary["lost"].as_array().into_iter().flatten();
        parts.filter_map(|part| part[field].as_u64()).sum()
    }

    /// The seconds that the report calls disturbed: first and last.
    fn disturbed(&self) -> Vec<(u64, u64)> {
        let parts = self.summary["lost"].as_array().into_iter().flatten();
        let window =
            |part: &Value| Some((part["disturbed"][0].as_u64()?, part["disturbed"][1].as_u64()?));
        parts.filter_map(window).collect()
    }

    /// By node: a figure of all rows of a table.
    fn by_node(&self, table: &str, figure: impl Fn(&Value) -> u64) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for shard in self.summary[table].as_array().into_iter().flatten() {
            let name = shard["node"].as_str().unwrap_or_default().to_owned();
            *sums.entry(name).or_default() += figure(shard);
        }
        sums
    }

    /// Shards that were lost or took over, beyond one for each node.
    fn reassigned(&self) -> bool {
        let shards = self.summary["shards"].as_array().map_or(0, Vec::len);
        shards != self.by_node("shards", |_| 0).len() || !self.disturbed().is_empty()
    }

    /// Requests of a name per second of the load.
    fn per_second(&self, name: &str) -> Vec<u64> {
        let mut all = figures::seconds(&buckets(&self.sources, name, None), 0);
        all.resize(self.load.seconds as usize, 0);
        all
    }

    /// The report against the target, to the request: what it says of each node that lived is what
    /// the target saw of it, and of those in `gone` no more than the target saw. Gives how many
    /// first requests of theirs came and are in no report, less those of users that are reported as
    /// begun and of which nothing came.
    fn to_the_request(&self, world: &World, gone: &[usize], holds: Holds, run: &mut Run) -> i64 {
        let planned = Planned { users: self.load.users(), names: &NAMES };
        run.findings.extend(account::check(planned, &self.job, &self.summary, &self.seen, holds));
        let field = |row: &Value, name: &str| row[name].as_u64().unwrap_or(0);
        let started = self.by_node("shards", |it| field(it, "users_started"));
        let answered =
            self.by_node("shards", |it| field(it, "requests_ok") + field(it, "requests_ko"));
        let in_flight = self.by_node("lost", |it| field(it, "users_in_flight"));
        let mut unreported = 0;
        for (index, node) in world.cluster.nodes.iter().enumerate() {
            let saw = |name: &str| total(&self.sources, name, &node.place.host);
            let (firsts, all) = (saw("first"), saw("first") + saw("second"));
            let said = |of: &BTreeMap<String, u64>| of.get(&node.name).copied().unwrap_or(0);
            let (users, requests) = (said(&started), said(&answered));
            let text = || {
                format!(
                    "{}: {users} users and {requests} requests are reported, {} users lost in \
                     flight; the target saw {firsts} first and {all} requests",
                    node.name,
                    said(&in_flight)
                )
            };
            if gone.contains(&index) {
                unreported += signed(firsts) - signed(users);
                let right = users <= firsts + said(&in_flight) && requests <= all;
                run.must(right, Harm::Doubled, text);
            } else {
                run.must(users == firsts && requests == all, Harm::Lost, text);
            }
        }
        unreported
    }

    /// How many arrivals of a rate a pause of the machine may have moved over the beginning of a bucket.
    fn moved(&self, bucket: usize, rate: f64) -> f64 {
        let start_ms = self.sources.start_unix_ms.unwrap_or(0);
        rate * longest_at(&self.pauses, start_ms + bucket as u64 * BUCKET_MS)
    }

    /// Seconds of the load that are not as planned, but for what pauses of the machine moved.
    fn unplanned(&self, name: &str, rate: f64) -> Vec<(usize, u64)> {
        figures::unplanned(&self.per_second(name), 0, rate, |at| self.moved(at, rate))
    }

    /// Seconds far from an event in which the arrivals were not the planned ones: the machine's own
    /// doing. Near it is what the event may have done.
    fn late(&self, unix_ms: u64, run: &mut Run) -> usize {
        let far = |(at, count): &(usize, u64)| {
            !self.is_near(*at, unix_ms) && !figures::as_planned(*count, self.rate())
        };
        let late = self.per_second("first").into_iter().enumerate().filter(far).count();
        run.figure("late seconds elsewhere", late as f64);
        late
    }

    /// Whether a second of the load is that of an event, or soon after it.
    fn is_near(&self, second: usize, unix_ms: u64) -> bool {
        let event = figures::bucket_of(&self.sources, unix_ms) / 10;
        (event..event + NEAR_S).contains(&second)
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Requests of a name from one address.
fn total(sources: &Sources, name: &str, host: &str) -> u64 {
    buckets(sources, name, host.parse::<IpAddr>().ok()).iter().sum()
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(f64::NAN)
}

/// Runs the cases that are asked for, each so many times; true when all held. `say` gets one line at
/// a time.
///
/// # Errors
/// A run could not be made.
pub fn run_all(
    options: &Options,
    inside: Inside,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<bool> {
    ensure!(
        inside != Inside::Loopback,
        "the target must tell the nodes apart: network namespaces are needed"
    );
    let all: Vec<&Case> = registry().collect();
    let mut cases = Vec::new();
    for name in &options.acceptance {
        let named: Vec<&Case> =
            all.iter().filter(|it| name == "all" || it.name == name).copied().collect();
        ensure!(!named.is_empty(), "there is no case {name}\n{}", list());
        cases.extend(named);
    }
    let most = cases.iter().map(|it| it.nodes).max().unwrap_or(0);
    let net = Net::open(inside, hosts_needed(inside, most))?;
    let mut well = true;
    for case in cases {
        well &= run_case(options, &net, case, say)?;
    }
    Ok(well)
}

/// All runs of one case.
fn run_case(
    options: &Options,
    net: &Net,
    case: &Case,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let runs = options.runs.unwrap_or(1);
    say(&format!("{}: {} ({} nodes, {runs} runs)", case.name, case.what, case.nodes));
    let mut cluster: Option<(World, u64)> = None;
    let mut done: Vec<Run> = Vec::new();
    for number in 0..runs {
        let spent =
            |(world, runs): &(World, u64)| world.spent || !case.again || *runs >= RUNS_PER_CLUSTER;
        if cluster.as_ref().is_none_or(spent) {
            // The old one's processes end first.
            drop(cluster.take());
            let dir = folder.path().join(format!("cluster-{number}"));
            let mut world = World::start(net, case.nodes, false, &dir)?;
            world.timeline.aloud = options.verbose;
            cluster = Some((world, 0));
        }
        let Some((world, runs)) = cluster.as_mut() else { bail!("there is no cluster") };
        *runs += 1;
        let seed = seed_of_run(options.seed, number);
        let run = one(world, case, seed);
        say(&format!(
            "{:>4}  seed {seed}  {}  {}  load average {}  {}",
            number + 1,
            if run.findings.is_empty() { "ok    " } else { "FAILED" },
            run.verdict,
            load_average(),
            run.line()
        ));
        if !run.findings.is_empty() {
            for finding in &run.findings {
                say(&format!("    {:?}: {}", finding.harm, finding.text));
            }
            let folder = failure_folder(&options.out.join(case.name), seed);
            keep(world, &run, &folder);
            say(&format!(
                "    again: tests/chaos.sh --acceptance {} --runs 1 --seed {seed}",
                case.name
            ));
            say(&format!("    {}", folder.display()));
            world.spent = true;
        }
        done.push(run);
    }
    say(&totals(case, &done));
    Ok(done.iter().all(|run| run.findings.is_empty()))
}

/// One run, from a cluster that is whole to one that is whole again.
fn one(world: &mut World, case: &Case, seed: u64) -> Run {
    world.timeline.clear();
    let mut run = (case.run)(world, &mut Random::new(seed)).unwrap_or_else(|error| {
        let text = format!("{error:#}");
        Run { findings: vec![Finding::new(Harm::Stuck, text)], ..Run::default() }
    });
    let healed = world.net.heal_all().and_then(|()| {
        let down =
            (0..world.cluster.nodes.len()).filter(|at| !world.cluster.nodes[*at].is_running());
        down.collect::<Vec<_>>().into_iter().for_each(|at| world.start_again(at));
        within("the cluster to be whole again", HEALING_LIMIT, || world.cluster.formed())
    });
    if let Err(error) = healed {
        run.findings.push(Finding::new(Harm::Stuck, format!("{error:#}")));
    }
    world.find_the_dead();
    run.findings.append(&mut world.findings);
    world.timeline.note("the end");
    run
}

/// What a folder cannot hold is not worth another failure.
fn keep(world: &World, run: &Run, folder: &Path) {
    let _ = world.timeline.write(folder, &world.logs());
    for (name, text) in &run.documents {
        let _ = std::fs::write(folder.join(name), text);
    }
    // A target that ended says why.
    let _ = std::fs::copy(world.cluster.dir.join("target.log"), folder.join("target.log"));
    let findings = run.findings.iter().map(|it| format!("{:?}: {}\n", it.harm, it.text));
    let _ = std::fs::write(folder.join("findings.txt"), findings.collect::<String>());
}

/// Of each figure: least, median, most.
fn totals(case: &Case, runs: &[Run]) -> String {
    let mut verdicts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut figures: Vec<(&'static str, Vec<f64>)> = Vec::new();
    for run in runs {
        *verdicts.entry(&run.verdict).or_default() += 1;
        for (what, value) in &run.figures {
            match figures.iter_mut().find(|(it, _)| it == what) {
                Some((_, values)) => values.push(*value),
                None => figures.push((what, vec![*value])),
            }
        }
    }
    let well = runs.iter().filter(|run| run.findings.is_empty()).count();
    let mut text = format!("{}: {well} of {} runs as promised; verdicts:", case.name, runs.len());
    verdicts.iter().for_each(|(verdict, times)| text.push_str(&format!(" {verdict} {times}")));
    for (what, mut values) in figures {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        text.push_str(&format!(
            "\n    {what}: {} / {} / {}",
            shown(least),
            shown(values[values.len() / 2]),
            shown(most)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = registry().map(|case| case.name).collect();
        assert_eq!(names.len(), registry().count());
    }

    #[test]
    fn figures_of_all_runs_are_put_together() {
        let run = |verdict: &str, back: f64| Run {
            verdict: verdict.to_owned(),
            figures: vec![("back s", back)],
            ..Run::default()
        };
        let case = registry().next().unwrap();
        let text = totals(case, &[run("passed", 1.5), run("failed", 1.0), run("passed", 9.25)]);
        let rest =
            "3 of 3 runs as promised; verdicts: failed 1 passed 2\n    back s: 1 / 1.50 / 9.25";
        assert_eq!(text, format!("{}: {rest}", case.name));
    }
}

//! Many runs, one after the other, and what came of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::faults::{self, Fault};
use super::net::{Inside, Net};
use super::schedule::{self, Kind, Schedule, Strike, Takes};
use super::world::{self, World};
use super::{Harm, Load, Outcome, failure_folder, run};

/// Runs on one cluster before a new one is made.
const RUNS_PER_CLUSTER: u64 = 10;
/// Every so many clusters have wall clocks that can be changed: it makes a node slower.
const CLOCKS_EVERY: u64 = 3;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    pub nodes: usize,
    /// Only these; all that can be made where there is none.
    pub faults: Vec<String>,
    pub runs: Option<u64>,
    pub minutes: Option<u64>,
    pub load: Load,
    /// Wall clocks can be changed in each cluster, not in every third one only: which faults can be
    /// drawn depends on it.
    pub clocks: bool,
    pub network: Option<Inside>,
    /// Where runs that failed are written.
    pub out: PathBuf,
    /// Everything that is done is shown at once.
    pub verbose: bool,
    /// The cases of [`super::acceptance`] that are run instead of faults; none otherwise.
    pub acceptance: Vec<String>,
}

impl Options {
    fn is_over(&self, runs: u64, begun: Instant) -> bool {
        let minutes = self.minutes.map(|minutes| Duration::from_secs(minutes * 60));
        self.runs.is_some_and(|most| runs >= most)
            || minutes.is_some_and(|limit| begun.elapsed() >= limit)
    }

    /// The command line that repeats one run, in a cluster whose clocks could be changed, or not.
    #[must_use]
    pub fn again(&self, seed: u64, clocks: bool) -> String {
        let mut text = format!("tests/chaos.sh --runs 1 --seed {seed} --nodes {}", self.nodes);
        for fault in &self.faults {
            text.push_str(&format!(" --fault {fault}"));
        }
        text.push_str(&format!(
            " --rate {} --seconds {}",
            self.load.users_per_sec, self.load.seconds
        ));
        if clocks && self.faults.is_empty() {
            text.push_str(" --clocks");
        }
        text
    }
}

/// What came of all runs.
#[derive(Debug, Default)]
pub struct Totals {
    pub runs: u64,
    pub failed: u64,
    /// Runs that the machine held up.
    pub held_up: u64,
    pub requests: u64,
    pub struck: BTreeMap<&'static str, u64>,
    pub harms: BTreeMap<Harm, u64>,
    /// The commands that repeat the runs that failed.
    pub again: Vec<String>,
}

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.failed += u64::from(!outcome.findings.is_empty());
        self.held_up += u64::from(outcome.held_up.is_some());
        self.requests += outcome.requests;
        for fault in &outcome.struck {
            *self.struck.entry(fault).or_default() += 1;
        }
        for finding in &outcome.findings {
            *self.harms.entry(finding.harm).or_default() += 1;
        }
    }

    fn of(&self, harm: Harm) -> u64 {
        self.harms.get(&harm).copied().unwrap_or(0)
    }

    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.runs > 0 && self.harms.is_empty()
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let struck: Vec<String> =
            self.struck.iter().map(|(name, times)| format!("{name} {times}")).collect();
        let mut text = format!(
            "{} runs, {} failed · {} faults: {} · {} requests\nlost {} · doubled {} · stuck {} · \
             broken {}\n",
            self.runs,
            self.failed,
            self.struck.values().sum::<u64>(),
            struck.join(", "),
            self.requests,
            self.of(Harm::Lost),
            self.of(Harm::Doubled),
            self.of(Harm::Stuck),
            self.of(Harm::Broken)
        );
        if self.held_up > 0 {
            text.push_str(&format!(
                "{} runs on a machine that was busy with something else: of those only what does not \
                 depend on time was judged\n",
                self.held_up
            ));
        }
        for again in &self.again {
            text.push_str(&format!("again: {again}\n"));
        }
        text
    }
}

/// Runs inside of the network that was chosen. `say` gets one line at a time.
///
/// # Errors
/// A run could not be made.
pub fn run_all(
    options: &Options,
    inside: Inside,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<Totals> {
    let net = Net::open(inside, world::hosts_needed(inside, options.nodes))?;
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let mut totals = Totals::default();
    let mut cluster: Option<(World, u64)> = None;
    let mut clusters = 0;
    while !options.is_over(totals.runs, begun) {
        let spent = |(world, runs): &(World, u64)| world.spent || *runs >= RUNS_PER_CLUSTER;
        if cluster.as_ref().is_none_or(spent) {
            // The old one's processes end first.
            drop(cluster.take());
            let dir = folder.path().join(format!("cluster-{clusters}"));
            cluster =
                Some((World::start(&net, options.nodes, clocks(options, clusters), &dir)?, 0));
            clusters += 1;
        }
        let Some((world, runs)) = cluster.as_mut() else { bail!("there is no cluster") };
        let seed = schedule::seed_of_run(options.seed, totals.runs);
        let schedule = schedule_of(options, world, seed)?;
        let outcome = run(world, &schedule, *runs, options.load)
            .inspect_err(|_| write_failure(options, world, &schedule, &Outcome::default()))?;
        *runs += 1;
        say(&line(&schedule, &outcome, totals.runs + 1));
        totals.add(&outcome);
        if !outcome.findings.is_empty() {
            for finding in &outcome.findings {
                say(&format!("    {:?}: {}", finding.harm, finding.text));
            }
            write_failure(options, world, &schedule, &outcome);
            let again = options.again(seed, world.clocks);
            say(&format!("    again: {again}"));
            say(&format!("    {}", failure_folder(&options.out, seed).display()));
            totals.again.push(again);
            // A cluster that did wrong once proves nothing more.
            world.spent = true;
        }
    }
    Ok(totals)
}

/// A fault that is asked for by name gets the clocks that it needs.
fn clocks(options: &Options, cluster: u64) -> bool {
    let asked = options.faults.iter().filter_map(|name| faults::named(name));
    let asked = asked.into_iter().any(|fault| fault.needs == faults::Needs::Clocks);
    let turn = options.faults.is_empty() && cluster % CLOCKS_EVERY == CLOCKS_EVERY - 1;
    world::can_change_clocks() && (asked || turn || options.clocks)
}

fn schedule_of(options: &Options, world: &World, seed: u64) -> anyhow::Result<Schedule> {
    let can = |fault: &&'static Fault| fault.can_be_made(world);
    let load_ms = options.load.millis();
    if options.faults.is_empty() {
        let kinds: Vec<Kind> = faults::registry().filter(can).map(Fault::kind).collect();
        return Ok(schedule::draw(seed, &kinds, options.nodes, load_ms));
    }
    let mut kinds = Vec::new();
    for name in &options.faults {
        let fault = faults::named(name).with_context(|| format!("there is no fault {name}"))?;
        ensure!(can(&fault), "{name} cannot be made here: it needs {:?}", fault.needs);
        kinds.push(fault.kind());
    }
    Ok(schedule::draw(seed, &kinds, options.nodes, load_ms))
}

fn line(schedule: &Schedule, outcome: &Outcome, number: u64) -> String {
    let when = if schedule.from_submission { " from the submission" } else { "" };
    let show = |strike: &Strike| {
        let seconds = |ms: u64| ms as f64 / 1_000.0;
        format!(
            "{} at {:.1} s for {:.1} s",
            strike.fault,
            seconds(strike.at_ms),
            seconds(strike.lasts_ms())
        )
    };
    let strikes: Vec<String> = schedule.strikes.iter().map(show).collect();
    let well = match (&outcome.held_up, outcome.findings.is_empty()) {
        (_, false) => "FAILED",
        (Some(_), true) => "ok, as far as it can be said of a busy machine",
        (None, true) => "ok",
    };
    format!(
        "{number:>4}  seed {}  {}{when}  {} requests, {}  {well}",
        schedule.seed,
        strikes.join(", "),
        outcome.requests,
        outcome.status
    )
}

/// What a folder cannot hold is not worth another failure.
fn write_failure(options: &Options, world: &World, schedule: &Schedule, outcome: &Outcome) {
    let folder = failure_folder(&options.out, schedule.seed);
    let mut findings = format!("{}\n{schedule:#?}\n", options.again(schedule.seed, world.clocks));
    for finding in &outcome.findings {
        findings.push_str(&format!("{:?}: {}\n", finding.harm, finding.text));
    }
    findings.extend(outcome.held_up.iter().map(|why| format!("{why}\n")));
    let _ = world.timeline.write(&folder, &world.logs());
    for (name, text) in outcome.documents.iter().map(|(name, text)| (*name, text.as_str())) {
        let _ = std::fs::write(folder.join(name), text);
    }
    let _ = std::fs::write(folder.join("findings.txt"), findings);
}

/// The faults, for people.
#[must_use]
pub fn list() -> String {
    let takes = |fault: &Fault| match fault.takes {
        Takes::Alone => ", nothing else meanwhile",
        _ => "",
    };
    let line = |fault: &'static Fault| {
        let lasts: Vec<String> =
            fault.lasts_ms.iter().map(|ms| format!("{}", *ms as f64 / 1_000.0)).collect();
        format!(
            "{:<17} {} ({} s{}; needs {:?})\n",
            fault.name,
            fault.what,
            lasts.join(", "),
            takes(fault),
            fault.needs
        )
    };
    faults::registry().map(line).collect()
}

/// A folder for runs that failed, beside what other programs leave for a while.
#[must_use]
pub fn default_out() -> PathBuf {
    Path::new(&std::env::temp_dir()).join("onrush-chaos")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(faults: &[&str]) -> Options {
        Options {
            seed: 1,
            nodes: 3,
            faults: faults.iter().map(|&name| name.to_owned()).collect(),
            runs: Some(1),
            minutes: None,
            load: Load { users_per_sec: 60, seconds: 30 },
            clocks: false,
            network: None,
            out: default_out(),
            verbose: false,
            acceptance: Vec::new(),
        }
    }

    /// Which faults could be drawn depends on it: without it the seed was another schedule.
    #[test]
    fn a_run_is_repeated_with_the_clocks_that_it_had() {
        let load = "--rate 60 --seconds 30";
        let again = |clocks| options(&[]).again(7, clocks);
        assert_eq!(again(false), format!("tests/chaos.sh --runs 1 --seed 7 --nodes 3 {load}"));
        assert_eq!(again(true), again(false) + " --clocks");
        // A fault that is named brings what it needs.
        let named = options(&["clock-step"]).again(7, true);
        assert_eq!(
            named,
            format!("tests/chaos.sh --runs 1 --seed 7 --nodes 3 --fault clock-step {load}")
        );
    }
}

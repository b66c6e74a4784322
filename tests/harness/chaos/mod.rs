//! Chaos: faults strike a cluster of real processes by a schedule that a seed decides, while it runs a
//! job and serves clients; afterwards all that it promised is checked. `docs/TRACK-RECORD.md` has what
//! this ever found.
//!
//! Reading order: `schedule` (what strikes when), `faults` (one entry each), `world` (what they act on),
//! `net` and `gates` (where the nodes are), this file (one run), `checks` (what must be true after it) with `account`
//! (the report), `history` and `linear` (the clients), `baseline` (what a node holds), `machine` (what
//! cannot be asked of a run that it held up), `timeline` (what is shown where something is not),
//! `campaign` (many runs); `acceptance` (losses at full size).

pub mod acceptance;
pub mod account;
pub mod baseline;
pub mod campaign;
mod checks;
pub mod faults;
pub mod gates;
pub mod history;
pub mod linear;
pub mod net;
pub mod schedule;
pub mod timeline;
pub mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::Value;

use crate::cluster::repository;
use crate::machine::Probe;
use crate::wait::within;
use account::Holds;
use faults::{Fault, Heal};
use history::Clients;
use schedule::{Schedule, Strike, Takes};
use world::World;

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// Something is missing, and nobody says so.
    Lost,
    /// Something was done or counted twice.
    Doubled,
    /// Something does not end.
    Stuck,
    /// Another promise was broken.
    Broken,
}

/// Something that should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub harm: Harm,
    pub text: String,
}

impl Finding {
    fn new(harm: Harm, text: impl Into<String>) -> Self {
        Self { harm, text: text.into() }
    }
}

/// The load of each run.
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

    #[must_use]
    pub fn millis(self) -> u64 {
        u64::from(self.seconds) * 1_000
    }
}

/// The requests of a user of `chaos.gatling.js`.
const NAMES: [&str; 3] = ["first", "second", "third"];
/// A job that is submitted runs after this.
const RUNNING_LIMIT: Duration = Duration::from_secs(60);
/// After the last fault was healed, the cluster is whole again within this.
const HEALING_LIMIT: Duration = Duration::from_secs(60);
/// After its load has ended and the cluster is whole, a job ends within this.
const ENDING_LIMIT: Duration = Duration::from_secs(60);
const ENDED: [&str; 4] = ["finished", "failed", "aborted", "lost"];

/// What came of one run.
#[derive(Debug, Default)]
pub struct Outcome {
    pub findings: Vec<Finding>,
    /// Whom and when, as it was.
    pub struck: Vec<&'static str>,
    pub requests: u64,
    pub status: String,
    /// The machine was busy with something else: only what does not depend on time was judged.
    pub held_up: Option<String>,
    /// For the folder of a run that failed: what is in which file.
    pub documents: Vec<(&'static str, String)>,
}

/// What a fault that struck does to the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Effect {
    holds: Holds,
    struck_at_ms: u64,
    /// Orders to nodes come late while it lasts.
    takes_nodes: bool,
    /// Whatever it took is made up for by then, in milliseconds since 1970 by this program's clock.
    made_up_by_ms: u64,
}

/// What must hold of a job whose load was to last from `load_ms.0` to `load_ms.1` after all that
/// struck.
fn must_hold(effects: &[Effect], load_ms: (u64, u64), held_up: bool) -> Holds {
    if held_up {
        return Holds::Accounted;
    }
    let of = |effect: &Effect| match effect.holds {
        Holds::MadeUp if effect.made_up_by_ms > load_ms.1 => Holds::Late,
        // A shard that hears late of its start begins late.
        Holds::Untouched | Holds::Exact
            if effect.takes_nodes && effect.struck_at_ms < load_ms.0 =>
        {
            Holds::MadeUp
        }
        holds => holds,
    };
    effects.iter().map(of).max().unwrap_or(Holds::Untouched)
}

/// By this program's clock, which no fault touches.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Something that happens at a time of the run.
enum Turn {
    Strike(Strike),
    Heal(&'static str, Heal),
}

/// One run on a cluster that is whole: the load, the clients, the faults, and what must be true after.
///
/// # Errors
/// The run could not be made; what the cluster did wrong is in the outcome.
pub fn run(
    world: &mut World,
    schedule: &Schedule,
    number: u64,
    load: Load,
) -> anyhow::Result<Outcome> {
    world.timeline.clear();
    world.findings.clear();
    world.target.reset();
    let mut outcome = Outcome::default();
    let machine = Probe::start();
    let clients = start_clients(world, schedule, number)?;
    let key = format!("run-{number}-{}", schedule.seed);
    let job = submit(world, load, &key)?;
    world.timeline.note(format!("{job} is submitted"));
    world.job = Some(job.clone());
    if !schedule.from_submission {
        let running = await_job(world, &job, &["running"], RUNNING_LIMIT);
        outcome
            .findings
            .extend(running.err().map(|error| Finding::new(Harm::Stuck, format!("{error:#}"))));
    }
    let begun = Instant::now();
    let effects = play(world, schedule, &mut outcome)?;
    let formed = within("the cluster to be whole again", HEALING_LIMIT, || world.cluster.formed());
    if let Err(error) = formed {
        outcome.findings.push(Finding::new(Harm::Stuck, format!("{error:#}")));
        world.spent = true;
    }
    let left = Duration::from_secs(u64::from(load.seconds)).saturating_sub(begun.elapsed());
    let ended = await_job(world, &job, &ENDED, left + RUNNING_LIMIT + ENDING_LIMIT);
    world.timeline.note("the clients stop");
    let record = clients.stop()?;
    let stalls = machine.stalls();
    if stalls.held_up() {
        world.timeline.note(stalls.text());
        outcome.held_up = Some(stalls.text());
    }
    outcome.documents.push(("clients.txt", record.text()));
    match ended {
        Ok(found) => {
            world.timeline.note(format!("{job} is {}, {}", found["status"], found["verdict"]));
            checks::job(world, &found, load, &effects, &mut outcome)?;
            checks::submitted_once(world, load, &key, &job, &mut outcome);
        }
        Err(error) => {
            outcome.findings.push(Finding::new(Harm::Stuck, format!("{error:#}")));
            // Nothing can be learned from this cluster any more.
            world.spent = true;
        }
    }
    outcome.findings.append(&mut world.findings);
    outcome.findings.extend(record.judge());
    checks::cluster(world, &record, number, schedule.seed, &mut outcome);
    world.timeline.note("the end");
    Ok(outcome)
}

fn start_clients(world: &World, schedule: &Schedule, number: u64) -> anyhow::Result<Clients> {
    let name = serde_json::json!({"name": history::PROJECT}).to_string();
    let (status, body) = world.any()?.rest().post("/api/v1/projects", &name)?;
    anyhow::ensure!(status == 201 || status == 409, "the clients' project: {status} {body}");
    let nodes = &world.cluster.nodes;
    // A project of which a node does not know yet would not be the fault that is looked for.
    within("the project on all nodes", HEALING_LIMIT, || {
        nodes.iter().try_for_each(|node| {
            node.rest().get(&format!("/api/v1/projects/{}", history::PROJECT)).map(drop)
        })
    })?;
    let addresses: Vec<String> = nodes.iter().map(crate::cluster::Node::address).collect();
    let token = nodes[0].place.token.as_deref();
    Clients::start(&addresses, token, number, schedule.seed, &world.cluster.dir)
}

/// Gives the job's id; the same key gives the same job.
fn submit(world: &World, load: Load, key: &str) -> anyhow::Result<String> {
    let simulation = repository().join("tests/simulations/chaos.gatling.js");
    let said = world.onrush(&[
        "job",
        "submit",
        "--json",
        "--detach",
        "--idempotency-key",
        key,
        &simulation.display().to_string(),
        &format!("target={}", world.target.url()),
        &format!("rate={}", load.users_per_sec),
        &format!("duration={}", load.seconds),
    ])?;
    let job: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    Ok(job["id"].as_str().context("the job has an id")?.to_owned())
}

/// Waits for one of the statuses, by any node that no fault has its hands on.
fn await_job(world: &World, job: &str, wanted: &[&str], limit: Duration) -> anyhow::Result<Value> {
    within(&format!("{job} to be {wanted:?}"), limit, || {
        let found = world.any()?.rest().get(&format!("/api/v1/jobs/{job}"))?;
        let status = found["status"].as_str().unwrap_or_default().to_owned();
        let over = ENDED.contains(&status.as_str());
        anyhow::ensure!(wanted.contains(&status.as_str()) || over, "it is {status}");
        Ok(found)
    })
}

/// Lets the faults strike and heals them, each at its time. Gives what they do to the job.
fn play(
    world: &mut World,
    schedule: &Schedule,
    outcome: &mut Outcome,
) -> anyhow::Result<Vec<Effect>> {
    let start = Instant::now();
    let mut effects = Vec::new();
    let strikes = schedule.strikes.iter().cloned();
    let mut turns: Vec<(u64, Turn)> =
        strikes.map(|strike| (strike.at_ms, Turn::Strike(strike))).collect();
    while let Some(next) = (0..turns.len()).min_by_key(|&at| turns[at].0) {
        let (at_ms, turn) = turns.swap_remove(next);
        // When a fault strikes is the experiment itself.
        std::thread::sleep(Duration::from_millis(at_ms).saturating_sub(start.elapsed()));
        world.find_the_dead();
        match turn {
            Turn::Strike(strike) => {
                let fault = faults::named(strike.fault).context("a fault of the registry")?;
                let struck_at = unix_ms();
                if let Some(heal) = strike_one(world, fault, &strike, outcome) {
                    effects.push(Effect {
                        holds: (fault.holds)(strike.lasts_ms()),
                        struck_at_ms: struck_at,
                        takes_nodes: fault.takes != Takes::Nothing,
                        made_up_by_ms: unix_ms() + fault.made_up_within_ms,
                    });
                    turns.push((strike.heals_at_ms, Turn::Heal(fault.name, heal)));
                }
            }
            Turn::Heal(name, heal) => {
                if let Err(error) = heal(world) {
                    let text = format!("{name} does not heal: {error:#}");
                    outcome.findings.push(Finding::new(Harm::Stuck, text));
                    world.spent = true;
                }
            }
        }
    }
    world.find_the_dead();
    world.net.heal_all()?;
    Ok(effects)
}

/// A fault that finds nobody to strike is noted, and no finding.
fn strike_one(
    world: &mut World,
    fault: &'static Fault,
    strike: &Strike,
    outcome: &mut Outcome,
) -> Option<Heal> {
    match (fault.strike)(world, strike) {
        Ok(heal) => {
            outcome.struck.push(fault.name);
            Some(heal)
        }
        Err(error) => {
            world.timeline.note(format!("{} does not strike: {error:#}", fault.name));
            world.spent = true;
            None
        }
    }
}

/// Where a run that failed is written.
#[must_use]
pub fn failure_folder(out: &std::path::Path, seed: u64) -> PathBuf {
    out.join(format!("seed-{seed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(holds: Holds, made_up_by_ms: u64) -> Effect {
        Effect { holds, struck_at_ms: 5_000, takes_nodes: true, made_up_by_ms }
    }

    #[test]
    fn what_is_certain_before_the_load_ends_must_be_made_up_for() {
        let cut = effect(Holds::MadeUp, 20_000);
        assert_eq!(must_hold(&[], (0, 20_000), false), Holds::Untouched);
        assert_eq!(must_hold(&[cut], (0, 20_000), false), Holds::MadeUp);
        assert_eq!(must_hold(&[cut], (0, 19_999), false), Holds::Late);
        let short = effect(Holds::Untouched, 30_000);
        assert_eq!(must_hold(&[short], (0, 20_000), false), Holds::Untouched);
        assert_eq!(must_hold(&[short, cut], (0, 19_999), false), Holds::Late);
        assert_eq!(
            must_hold(&[cut, effect(Holds::Accounted, 0)], (0, 19_999), false),
            Holds::Accounted
        );
    }

    #[test]
    fn what_holds_a_start_up_may_make_it_late() {
        let short = effect(Holds::Untouched, 9_000);
        assert_eq!(must_hold(&[short], (5_000, 20_000), false), Holds::Untouched);
        assert_eq!(must_hold(&[short], (5_001, 20_000), false), Holds::MadeUp);
        assert_eq!(must_hold(&[short], (5_000, 20_000), true), Holds::Accounted);
        let upload = Effect { takes_nodes: false, ..short };
        assert_eq!(must_hold(&[upload], (5_001, 20_000), false), Holds::Untouched);
    }
}

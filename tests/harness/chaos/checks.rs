//! What must be true after a run: of the job, of the clients' histories, of each node.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;

use super::account::{self, Holds, Planned, Seen};
use super::history::{Record, list_path};
use super::world::{World, choose};
use super::{Effect, Finding, Harm, Load, NAMES, Outcome, baseline, must_hold, submit};
use crate::wait::within;

/// All nodes have the same state after this.
const EQUAL_LIMIT: Duration = Duration::from_secs(20);
/// What was under way is cleared away after this.
const BASELINE_LIMIT: Duration = Duration::from_secs(30);

/// The job's report against the target.
pub(super) fn job(
    world: &World,
    job: &Value,
    load: Load,
    effects: &[Effect],
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    // A load that never began was held up by all that struck.
    let begun = world.target.first_unix_ms()?;
    let load_ms = begun.map_or((u64::MAX, 0), |at| (at, at + load.millis()));
    let holds = must_hold(effects, load_ms, outcome.held_up.is_some());
    outcome.status = job["status"].as_str().unwrap_or_default().to_owned();
    outcome.documents.push(("job.json", format!("{job:#}")));
    let seen = Seen { by_name: world.target.counts()?, ids: world.target.ids()? };
    outcome.requests = seen.by_name.values().sum();
    outcome.documents.push(("target.txt", format!("{seen:#?}")));
    let id = job["id"].as_str().unwrap_or_default();
    let rest = world.any()?.rest();
    if outcome.status != "finished" {
        // All nodes may have been dead for too long: then it may be lost, and must say so.
        if holds < Holds::Accounted {
            let text = format!("{id} is {}, not finished: {}", job["status"], job["verdict"]);
            outcome.findings.push(Finding::new(Harm::Lost, text));
        }
        return Ok(());
    }
    let summary = rest.get(&format!("/api/v1/jobs/{id}/summary"))?;
    outcome.documents.push(("summary.json", format!("{summary:#}")));
    let planned = Planned { users: load.users(), names: &NAMES };
    outcome.findings.extend(account::check(planned, job, &summary, &seen, holds));
    Ok(())
}

/// The same idempotency key, again and elsewhere, is the same job.
pub(super) fn submitted_once(
    world: &World,
    load: Load,
    key: &str,
    job: &str,
    outcome: &mut Outcome,
) {
    match submit(world, load, key) {
        Ok(again) if again == job => {}
        Ok(again) => {
            let text = format!("the same submission, with the same key, is {job} and {again}");
            outcome.findings.push(Finding::new(Harm::Doubled, text));
        }
        Err(error) => {
            let text = format!("a submission after all was healed: {error:#}");
            outcome.findings.push(Finding::new(Harm::Broken, text));
        }
    }
}

/// The nodes: equal states, what clients were promised, nothing left over, and a log that says what
/// the state is.
pub(super) fn cluster(
    world: &mut World,
    record: &Record,
    number: u64,
    seed: u64,
    outcome: &mut Outcome,
) {
    if world.spent {
        return;
    }
    let mut found = Vec::new();
    found.extend(states_are_equal(world).err().map(|error| (Harm::Broken, error)));
    for at in world.running() {
        let node = &world.cluster.nodes[at];
        let read = || {
            let rest = node.rest();
            let files = rest.get(&list_path(number, "&versions=true"))?;
            anyhow::Ok((files, all_projects(&rest)?))
        };
        match read() {
            Ok((files, projects)) => {
                outcome.findings.extend(record.kept(number, &node.name, &files, &projects));
            }
            Err(error) => found.push((Harm::Broken, error)),
        }
        let back = within(&format!("{} to be at rest", node.name), BASELINE_LIMIT, || {
            baseline::is_back(node.pid(), &node.data_dir, world.descriptors)
        });
        found.extend(back.err().map(|error| (Harm::Broken, error)));
    }
    found.extend(log_is_state(world, seed).err().map(|error| (Harm::Broken, error)));
    for (harm, error) in found {
        outcome.findings.push(Finding::new(harm, format!("{error:#}")));
    }
}

fn all_projects(rest: &crate::rest::Rest) -> anyhow::Result<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = rest.get(&format!("/api/v1/projects?limit=100{cursor}"))?;
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(serde_json::json!({"items": items})),
        }
    }
}

/// The digest of every running node's state, at one index.
fn states_are_equal(world: &World) -> anyhow::Result<()> {
    within("all nodes to have one state", EQUAL_LIMIT, || {
        let mut states = BTreeSet::new();
        for at in world.running() {
            let state = world.cluster.nodes[at].rest().get("/api/v1/raft/digest")?;
            states.insert((state["applied_index"].to_string(), state["digest"].to_string()));
        }
        ensure!(states.len() == 1, "they have {states:?}");
        Ok(())
    })
}

/// A node that is killed and started reads its log, and has the others' state again.
fn log_is_state(world: &mut World, seed: u64) -> anyhow::Result<()> {
    let Some(at) = choose(&world.running(), seed) else { return Ok(()) };
    world.kill(at);
    world.start_again(at);
    within("the cluster after a restart", EQUAL_LIMIT, || world.cluster.formed())?;
    states_are_equal(world)
}

//! Nodes come and go in mid-run, as planned.

use std::time::Duration;

use super::figures::{as_planned, bucket_of, buckets, last_before};
use super::{Case, Evidence, Job, Load, Run, loss, unix_ms};
use crate::chaos::Harm;
use crate::chaos::account::Holds;
use crate::chaos::world::World;
use crate::random::Random;
use crate::wait::within;

const LOAD: Load = Load { rate: 1_000, seconds: 60 };
const AT_MS: u64 = 20_000;
const BACK_AT_MS: u64 = 40_000;
const JOINING_LIMIT: Duration = Duration::from_secs(30);
/// From joining to a share.
const SHARE_S: f64 = 5.0;
/// Of a node's share, in parts of the whole load.
const SHARE_TOLERANCE: f64 = 0.02;

pub(super) static CASES: [Case; 2] = [
    Case {
        name: "join",
        what: "a fourth node joins at 20 of 60 s, and takes a quarter",
        nodes: 3,
        again: false,
        run: join,
    },
    Case {
        name: "drain",
        what: "one of four nodes is drained at 20 of 60 s, and undrained at 40",
        nodes: 4,
        again: true,
        run: drain,
    },
];

fn join(world: &mut World, _: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let job = Job::begin(world, LOAD, &[])?;
    job.at(AT_MS);
    let started_ms = unix_ms();
    let added = world.add_node()?;
    let name = world.name(added).to_owned();
    let master = world.master()?;
    within("the new node to be a member", JOINING_LIMIT, || {
        let members = world.cluster.nodes[master].rest().text("/api/v1/cluster/members")?;
        anyhow::ensure!(members.contains(&format!("\"{name}\"")), "{members}");
        Ok(())
    })?;
    let joined_ms = unix_ms();
    let evidence = job.end(world, &mut run)?;
    run.figure("member after s", (joined_ms - started_ms) as f64 / 1_000.0);
    untouched(world, &evidence, &mut run);
    share(world, &evidence, added, joined_ms, &mut run);
    Ok(run)
}

/// Nothing is missing, and no second differs.
fn untouched(world: &World, evidence: &Evidence, run: &mut Run) {
    let unreported = evidence.to_the_request(world, &[], Holds::Exact, run);
    loss::missing(evidence, unreported, run);
    let all = (0..).zip(evidence.per_second("first"));
    let outside: Vec<(u32, u64)> =
        all.filter(|(_, it)| !as_planned(*it, evidence.rate())).collect();
    run.figure("seconds outside 1 %", outside.len() as f64);
    run.must(outside.is_empty(), Harm::Broken, || format!("seconds outside of 1 %: {outside:?}"));
}

/// A quarter is the node's from then on, within a limit.
fn share(world: &World, evidence: &Evidence, node: usize, from_ms: u64, run: &mut Run) {
    let host = world.cluster.nodes[node].place.host.parse().ok();
    let own = buckets(&evidence.sources, "first", host);
    let from = bucket_of(&evidence.sources, from_ms);
    let share = |at: usize| {
        own.get(at..at + 10).map_or(0.0, |it| it.iter().sum::<u64>() as f64 / evidence.rate())
    };
    let quarter = |at: &usize| (share(*at) - 0.25).abs() <= SHARE_TOLERANCE;
    let end = (LOAD.seconds as usize - 1) * 10;
    let taken = (from..end).find(quarter);
    let taken_s = taken.map(|at| (at - from) as f64 / 10.0);
    run.figure("a quarter after s", taken_s.unwrap_or(f64::INFINITY));
    let later: Vec<f64> = (taken.unwrap_or(end)..end).step_by(10).map(share).collect();
    let least = later.iter().copied().fold(f64::INFINITY, f64::min);
    let most = later.iter().copied().fold(0.0, f64::max);
    run.figure("least share %", least * 100.0);
    run.figure("most share %", most * 100.0);
    run.must(taken_s.is_some_and(|it| it <= SHARE_S), Harm::Broken, || {
        format!("a quarter of the load after {taken_s:?} s, {SHARE_S} s are promised")
    });
    let steady = later.iter().all(|it| (it - 0.25).abs() <= SHARE_TOLERANCE);
    run.must(steady, Harm::Broken, || format!("its share afterwards: {later:?}"));
}

fn drain(world: &mut World, random: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let node = world.worker(random.draw())?;
    let name = world.name(node).to_owned();
    let job = Job::begin(world, LOAD, &[])?;
    job.at(AT_MS);
    let drained_ms = unix_ms();
    world.timeline.note(format!("drain of {name}"));
    world.onrush(&["cluster", "drain", &name])?;
    job.at(BACK_AT_MS);
    let undrained_ms = unix_ms();
    world.timeline.note(format!("undrain of {name}"));
    world.onrush(&["cluster", "undrain", &name])?;
    let evidence = job.end(world, &mut run)?;
    untouched(world, &evidence, &mut run);
    let own =
        buckets(&evidence.sources, "first", world.cluster.nodes[node].place.host.parse().ok());
    let (drained, undrained) =
        (bucket_of(&evidence.sources, drained_ms), bucket_of(&evidence.sources, undrained_ms));
    let last = last_before(&own, undrained).unwrap_or(0);
    let empty_s = (last + 1).saturating_sub(drained) as f64 / 10.0;
    run.figure("drained after s", empty_s);
    run.must(empty_s <= SHARE_S, Harm::Broken, || {
        format!("the drained node began users for {empty_s} s, {SHARE_S} s are promised")
    });
    share(world, &evidence, node, undrained_ms, &mut run);
    Ok(run)
}

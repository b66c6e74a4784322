//! Nodes come and go in mid-run, as planned.

use std::time::Duration;

use super::figures::{bucket_of, buckets, last_before};
use super::{Case, Evidence, Job, Load, Run, loss, unix_ms};
use crate::chaos::Harm;
use crate::chaos::account::Holds;
use crate::chaos::world::World;
use crate::random::Random;
use crate::wait::within;

const LOAD: Load = Load { rate: 600, seconds: 60 };
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
    let late = untouched(world, &evidence, started_ms, &mut run);
    share(world, &evidence, added, (joined_ms, late), &mut run);
    Ok(run)
}

/// Nothing is missing, and no second differs. Gives how many did that are far from the event.
fn untouched(world: &World, evidence: &Evidence, event_ms: u64, run: &mut Run) -> usize {
    let unreported = evidence.to_the_request(world, &[], Holds::Exact, run);
    loss::missing(evidence, unreported, run);
    let late = evidence.late(event_ms, run);
    let outside = evidence.unplanned("first", evidence.rate());
    run.figure("seconds outside 1 %", outside.len() as f64);
    run.must(outside.is_empty(), Harm::Broken, || format!("seconds outside of 1 %: {outside:?}"));
    late
}

/// A quarter of what comes is the node's from then on, within a limit. `from` is when, and how many
/// seconds were late elsewhere.
fn share(world: &World, evidence: &Evidence, node: usize, from: (u64, usize), run: &mut Run) {
    let (from_ms, late) = from;
    let host = world.cluster.nodes[node].place.host.parse().ok();
    let own = buckets(&evidence.sources, "first", host);
    let all = buckets(&evidence.sources, "first", None);
    let from = bucket_of(&evidence.sources, from_ms);
    let sum = |of: &[u64], at: usize| of.get(at..at + 10).map_or(0, |it| it.iter().sum::<u64>());
    // Of what came in that second, so that a late machine does not change it.
    let share = |at: usize| sum(&own, at) as f64 / (sum(&all, at) as f64).max(1.0);
    let quarter = |at: &usize| (share(*at) - 0.25).abs() <= SHARE_TOLERANCE;
    let end = (LOAD.seconds as usize - 1) * 10;
    let taken = (from..end).find(quarter);
    let taken_s = taken.map(|at| (at - from) as f64 / 10.0);
    run.figure("a quarter after s", taken_s.unwrap_or(f64::INFINITY));
    run.must(taken_s.is_some_and(|it| it <= SHARE_S), Harm::Broken, || {
        format!("a quarter of the load after {taken_s:?} s, {SHARE_S} s are promised")
    });
    let later: Vec<f64> = (taken.unwrap_or(end)..end).step_by(10).map(share).collect();
    let least = later.iter().copied().fold(f64::INFINITY, f64::min);
    let most = later.iter().copied().fold(0.0, f64::max);
    run.figure("least share %", least * 100.0);
    run.figure("most share %", most * 100.0);
    let steady = later.iter().all(|it| (it - 0.25).abs() <= SHARE_TOLERANCE);
    run.by_the_clock(late, steady, || format!("its share afterwards: {later:.3?}"));
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
    let late = untouched(world, &evidence, drained_ms, &mut run);
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
    share(world, &evidence, node, (undrained_ms, late), &mut run);
    Ok(run)
}

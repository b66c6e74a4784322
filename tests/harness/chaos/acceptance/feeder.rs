//! Records of a feeder are used once in the whole cluster, whoever is killed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use onrush_scenario::inject::division::SEGMENTS;

use super::figures::{buckets, last_before};
use super::{Case, Evidence, Job, Load, Run, total};
use crate::chaos::Harm;
use crate::chaos::world::World;
use crate::cluster::repository;
use crate::random::Random;
use crate::target::Ids;

const ROWS: u64 = 100_000;
const LOAD: Load = Load { rate: 1_000, seconds: 60 };
const KILL_MS: (u64, u64) = (15_000, 35_000);
const SHUFFLED: Load = Load { rate: 500, seconds: 20 };
/// Rows that are all used before the load's end.
const FEW: u64 = 10_000;
const EXHAUSTED: Load = Load { rate: 1_000, seconds: 30 };
/// From the last record to the last request.
const STOPPED_S: f64 = 2.0;
/// What a shard may have reserved: nine seconds of use and what two more frames add.
const RESERVED_S: u64 = 11;

pub(super) static CASES: [Case; 4] = [
    Case {
        name: "feeder-queue",
        what: "100,000 rows, queue; one of three shards is killed with its node",
        nodes: 3,
        again: true,
        run: queue,
    },
    Case {
        name: "feeder-leader",
        what: "100,000 rows, queue; the leader, which has no shard, is killed",
        nodes: 4,
        again: true,
        run: leader,
    },
    Case {
        name: "feeder-shuffle",
        what: "shuffle with a seed, twice: the same rows",
        nodes: 3,
        again: true,
        run: shuffle,
    },
    Case {
        name: "feeder-exhausted",
        what: "10,000 rows for 30,000 users: all shards stop when there are no more",
        nodes: 3,
        again: true,
        run: exhausted,
    },
];

/// The simulation beside a file of `rows` records, whose ids count from 0.
fn with_rows(world: &World, rows: u64) -> anyhow::Result<PathBuf> {
    let folder = world.cluster.dir.join(format!("rows-{rows}"));
    std::fs::create_dir_all(folder.join("resources"))?;
    let name = "acceptance.gatling.js";
    std::fs::copy(repository().join("tests/simulations").join(name), folder.join(name))?;
    let mut text = String::from("id\n");
    for id in 0..rows {
        writeln!(text, "{id}")?;
    }
    std::fs::write(folder.join("resources/rows.csv"), text)?;
    Ok(folder.join(name))
}

fn rows(evidence: &Evidence) -> Ids {
    evidence.seen.ids.get("row").cloned().unwrap_or_default()
}

/// Records that were passed over: unused, and before one of the same segment that was used.
fn gaps(ids: &Ids) -> u64 {
    let segments = u64::from(SEGMENTS);
    // By segment: how many were used, and behind the last of them.
    let mut used: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for id in ids.seen.iter().flat_map(|(first, last)| *first..=*last) {
        let (count, end) = used.entry(id % segments).or_default();
        *count += 1;
        *end = id / segments + 1;
    }
    used.values().map(|(count, end)| end - count).sum()
}

fn used_once(ids: &Ids, run: &mut Run) {
    run.figure("rows", ids.distinct as f64);
    run.figure("used twice", ids.doubled.len() as f64);
    run.must(ids.doubled.is_empty(), Harm::Doubled, || format!("used twice: {:?}", ids.doubled));
}

fn queue(world: &mut World, random: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let simulation = with_rows(world, ROWS)?;
    let victim = world.worker(random.draw())?;
    let job = Job::begin_with(world, &simulation, LOAD, &["shape=queue"])?;
    job.at(random.between(KILL_MS.0, KILL_MS.1));
    world.kill(victim);
    let evidence = job.end(world, &mut run)?;
    let ids = rows(&evidence);
    used_once(&ids, &mut run);
    let (gaps, skipped) = (gaps(&ids), evidence.sum_lost("records_skipped"));
    let node = &world.cluster.nodes[victim];
    let saw = total(&evidence.sources, "row", &node.place.host);
    let users = evidence.by_node("shards", |it| it["users_started"].as_u64().unwrap_or(0));
    let unreported = saw.saturating_sub(users.get(&node.name).copied().unwrap_or(0));
    run.figure("passed over", gaps as f64);
    run.figure("reported as left out", skipped as f64);
    run.figure("used unreported", unreported as f64);
    run.must(gaps <= skipped && skipped <= gaps + unreported, Harm::Lost, || {
        format!("{gaps} rows were passed over, {skipped} are reported, {unreported} were used unreported")
    });
    let reserved = u64::from(LOAD.rate) * RESERVED_S / 3;
    run.must(skipped <= reserved, Harm::Broken, || {
        format!("{skipped} rows were left out, {reserved} are what a shard may have reserved")
    });
    run.must(run.verdict == "passed", Harm::Broken, || {
        format!("verdict {}", evidence.job["verdict"])
    });
    Ok(run)
}

fn leader(world: &mut World, random: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let simulation = with_rows(world, ROWS)?;
    let master = world.master()?;
    let options = ["--avoid-master", "--nodes=3", "shape=queue"];
    let job = Job::begin_with(world, &simulation, LOAD, &options)?;
    job.at(random.between(KILL_MS.0, KILL_MS.1));
    world.kill(master);
    let evidence = job.end(world, &mut run)?;
    let ids = rows(&evidence);
    used_once(&ids, &mut run);
    let gaps = gaps(&ids);
    run.figure("passed over", gaps as f64);
    let leads = total(&evidence.sources, "row", &world.cluster.nodes[master].place.host);
    run.must(leads == 0, Harm::Broken, || format!("the master itself sent {leads} requests"));
    let all = (0, LOAD.users() - 1);
    run.must(gaps == 0 && ids.seen == [all], Harm::Lost, || {
        format!("used were {:?}, planned are {all:?}", ids.seen)
    });
    run.must(run.verdict == "passed", Harm::Broken, || {
        format!("verdict {}", evidence.job["verdict"])
    });
    Ok(run)
}

fn shuffle(world: &mut World, random: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let simulation = with_rows(world, ROWS)?;
    let seed = format!("--seed={}", random.below(1_000_000));
    let mut sets = Vec::new();
    for _ in 0..2 {
        let job = Job::begin_with(world, &simulation, SHUFFLED, &[&seed, "shape=shuffle"])?;
        let evidence = job.end(world, &mut run)?;
        let ids = rows(&evidence);
        used_once(&ids, &mut run);
        sets.push(ids.seen);
    }
    run.must(sets[0] == sets[1] && sets[0].len() > 100, Harm::Broken, || {
        format!("with {seed} the rows are {:?} and {:?}", sets[0], sets[1])
    });
    Ok(run)
}

fn exhausted(world: &mut World, _: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let simulation = with_rows(world, FEW)?;
    let job = Job::begin_with(world, &simulation, EXHAUSTED, &["shape=queue"])?;
    let evidence = job.end(world, &mut run)?;
    let ids = rows(&evidence);
    used_once(&ids, &mut run);
    run.must(ids.seen == [(0, FEW - 1)], Harm::Lost, || format!("used were {:?}", ids.seen));
    let all = buckets(&evidence.sources, "row", None);
    let last = last_before(&all, all.len()).unwrap_or(0);
    // With one row a user, the rows are planned to last so long.
    let planned_s = FEW as f64 / evidence.rate();
    let over_s = (last + 1) as f64 / 10.0 - planned_s;
    run.figure("last request after s", over_s);
    run.must(over_s <= STOPPED_S, Harm::Broken, || format!("requests came for {over_s} s more"));
    let errors: Vec<String> = evidence.summary["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| format!("{} ×{}", row["message"], row["count"]))
        .collect();
    let window_s = evidence.summary["run"]["window_s"].as_u64().unwrap_or(u64::MAX);
    run.figure("run s", window_s as f64);
    run.must(window_s as f64 <= planned_s + STOPPED_S, Harm::Broken, || {
        format!("the run took {window_s} s, the rows {planned_s}")
    });
    // One message: why the job failed, and the same in the summary.
    let reason = evidence.job["verdict"]["reason"].as_str().unwrap_or_default();
    let said = evidence.summary["run"]["end_reason"].as_str().unwrap_or_default();
    let status = run.verdict.clone();
    run.must(status == "failed" && errors.is_empty() && reason == said, Harm::Broken, || {
        format!("the job is {status}: {reason:?}, {said:?}, errors {errors:?}")
    });
    run.remarks.push(reason.to_owned());
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Counts;

    #[test]
    fn what_is_passed_over_is_told_from_what_was_not_reached() {
        let counts = Counts::default();
        let segments = usize::try_from(SEGMENTS).unwrap();
        // Segment 0 used its first and its fourth record, segment 1 its first two.
        for id in [0, 3 * segments, 1, segments + 1] {
            counts.arrival("row", id);
        }
        assert_eq!(gaps(&counts.ids()["row"]), 2);
    }
}

//! A node is killed with its shard.

use std::time::Duration;

use super::figures::{as_planned, back, bucket_of, buckets, last_before, seconds, unplanned};
use super::{Case, Evidence, Job, Load, Run, signed, unix_ms};
use crate::chaos::account::Holds;
use crate::chaos::world::World;
use crate::chaos::{Harm, await_job};
use crate::random::Random;

/// 2,000 requests a second: each user sends two.
const LOAD: Load = Load { rate: 1_000, seconds: 60 };
/// When a node is killed, in milliseconds of the load.
const KILL_MS: (u64, u64) = (15_000, 35_000);
const KILL_AT_MS: u64 = 20_000;
/// The load is back so long after the kill at the latest, and all of it stopped where it is to stop:
/// the kernel of a killed node's host says at once that it is gone.
const BACK_S: f64 = 5.0;
const DISTURBED_S: u64 = 10;
/// What a node had measured and not handed on when it was killed is of this time before.
const UNREPORTED_S: usize = 2;

pub(super) static CASES: [Case; 5] = [
    Case {
        name: "kill-master",
        what: "the master is killed at 15 to 35 of 60 s; default options",
        nodes: 5,
        again: true,
        run: |world, random| {
            let master = world.master()?;
            let at_ms = random.between(KILL_MS.0, KILL_MS.1);
            made_up(world, master, at_ms)
        },
    },
    Case {
        name: "kill-worker",
        what: "a node that does not lead is killed at 15 to 35 of 60 s; default options",
        nodes: 5,
        again: true,
        run: |world, random| {
            let worker = world.worker(random.draw())?;
            let at_ms = random.between(KILL_MS.0, KILL_MS.1);
            made_up(world, worker, at_ms)
        },
    },
    Case {
        name: "kill-rebalance",
        what: "one of four shards is killed at 20 of 60 s",
        nodes: 4,
        again: true,
        run: |world, random| {
            let worker = world.worker(random.draw())?;
            made_up(world, worker, KILL_AT_MS)
        },
    },
    Case {
        name: "kill-fail",
        what: "one of four shards is killed at 20 of 60 s; --on-node-loss fail",
        nodes: 4,
        again: true,
        run: fail,
    },
    Case {
        name: "kill-degrade",
        what: "one of four shards is killed at 20 of 60 s; --on-node-loss degrade",
        nodes: 4,
        again: true,
        run: degrade,
    },
];

/// The survivors take the share over; what is missing until then is declared.
fn made_up(world: &mut World, victim: usize, at_ms: u64) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let job = Job::begin(world, LOAD, &[])?;
    job.at(at_ms);
    let killed_ms = unix_ms();
    world.kill(victim);
    let killed_s = job.since(killed_ms);
    let evidence = job.end(world, &mut run)?;
    run.figure("killed at s", killed_s);
    let unreported = evidence.to_the_request(world, &[victim], Holds::MadeUp, &mut run);
    missing(&evidence, unreported, &mut run);
    unreported_is_recent(&evidence, world, victim, killed_ms, unreported, &mut run);
    rate_is_back(&evidence, killed_ms, BACK_S, &mut run);
    missing_is_declared(&evidence, unreported, &mut run);
    Ok(run)
}

/// What is declared is what the target misses: what it saw of the dead that nobody reported is
/// declared missed, and who had begun there without a request so far is lost in flight.
pub(super) fn missing(evidence: &Evidence, unreported: i64, run: &mut Run) {
    let planned = evidence.load.users();
    let distinct = |name| evidence.seen.ids.get(name).map_or(0, |ids| ids.distinct);
    let (came, second) = (distinct("first"), distinct("second"));
    let missed = evidence.sum_lost("arrivals_missed");
    let in_flight = evidence.sum_lost("users_in_flight");
    run.figure("missed", missed as f64);
    run.figure("in flight", in_flight as f64);
    run.figure("never came", planned.saturating_sub(came) as f64);
    run.figure("came unreported", unreported as f64);
    run.must(signed(missed) == signed(planned) - signed(came) + unreported, Harm::Lost, || {
        format!("{missed} are declared missed; of {planned}, {came} came, {unreported} unreported")
    });
    let ended = evidence.by_node("shards", |it| it["users_ended"].as_u64().unwrap_or(0));
    let ended: u64 = ended.values().sum();
    run.must(ended + missed + in_flight == planned, Harm::Lost, || {
        format!(
            "{ended} users are reported as ended, {missed} as missed, {in_flight} as lost, of \
             {planned}"
        )
    });
    run.must(ended <= second, Harm::Doubled, || {
        format!("{ended} users are reported as ended, {second} came so far")
    });
}

/// What is in no report was sent by the dead node, shortly before its end.
fn unreported_is_recent(
    evidence: &Evidence,
    world: &World,
    victim: usize,
    killed_ms: u64,
    unreported: i64,
    run: &mut Run,
) {
    let host = world.cluster.nodes[victim].place.host.parse().ok();
    let sent = buckets(&evidence.sources, "first", host);
    let killed = bucket_of(&evidence.sources, killed_ms);
    let recent = killed.saturating_sub(UNREPORTED_S * 10).min(sent.len());
    let recent: u64 = sent[recent..].iter().sum();
    run.must(unreported <= signed(recent), Harm::Lost, || {
        format!(
            "{unreported} that the killed node sent are in no report, {recent} are of its last \
             {UNREPORTED_S} s"
        )
    });
}

/// By the plan of the arrivals that did not come, and by the target's clock, which also shows how late
/// the machine was.
fn rate_is_back(evidence: &Evidence, killed_ms: u64, within_s: f64, run: &mut Run) {
    let late = evidence.late(killed_ms, run);
    let killed = bucket_of(&evidence.sources, killed_ms);
    let start = evidence.sources.start_unix_ms.unwrap_or(0) as f64;
    let after_kill = |ms: f64| (start + ms - killed_ms as f64) / 1_000.0;
    let ids = evidence.seen.ids.get("first");
    let last_us = ids.and_then(|ids| evidence.load.last_missing_us(ids)).unwrap_or(0);
    let last_s = after_kill(last_us as f64 / 1_000.0);
    run.figure("last missing after s", last_s);
    run.must(last_s <= within_s, Harm::Broken, || {
        format!("arrivals are missing until {last_s} s after the kill, {within_s} s are promised")
    });
    let all = buckets(&evidence.sources, "first", None);
    let back = back(&all, evidence.rate(), killed).map(|at| after_kill(at as f64 * 100.0));
    run.figure("back after s", back.unwrap_or(f64::INFINITY));
    run.by_the_clock(late, back.is_some_and(|it| it <= within_s), || {
        format!("the rate is back {back:?} s after the kill, {within_s} s are promised")
    });
    let outside = evidence.unplanned("first", evidence.rate()).into_iter().filter(|(at, _)| {
        evidence.is_near(*at, killed_ms) && !declares(&evidence.disturbed(), *at as u64)
    });
    let outside: Vec<(usize, u64)> = outside.collect();
    run.must(outside.is_empty(), Harm::Broken, || {
        format!("seconds outside of 1 % that the report does not call disturbed: {outside:?}")
    });
}

fn declares(windows: &[(u64, u64)], second: u64) -> bool {
    windows.iter().any(|(from, to)| (*from..=*to).contains(&second))
}

/// Each second of which arrivals are missing is in a window that the report calls disturbed, but for
/// users that had begun and were lost in flight.
fn missing_is_declared(evidence: &Evidence, unreported: i64, run: &mut Run) {
    let windows = evidence.disturbed();
    let length = windows.iter().map(|(from, to)| to - from).max();
    run.figure("disturbed s", length.map_or(f64::INFINITY, |it| it as f64));
    run.must(length.is_some_and(|it| it <= DISTURBED_S), Harm::Broken, || {
        format!("the report's disturbed windows are {windows:?}")
    });
    let ids = evidence.seen.ids.get("first");
    let missing = ids.map(|ids| evidence.load.missing(ids)).unwrap_or_default();
    let undeclared: Vec<(u32, u64)> =
        missing.into_iter().filter(|(at, _)| !declares(&windows, u64::from(*at))).collect();
    let sum: u64 = undeclared.iter().map(|(_, count)| count).sum();
    run.must(signed(sum) <= (-unreported).max(0), Harm::Lost, || {
        format!("missing are arrivals of seconds that are not in {windows:?}: {undeclared:?}")
    });
}

fn fail(world: &mut World, random: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let victim = world.worker(random.draw())?;
    let job = Job::begin(world, LOAD, &["--on-node-loss=fail"])?;
    job.at(KILL_AT_MS);
    let killed_ms = unix_ms();
    world.kill(victim);
    await_job(world, &job.id, &["failed"], Duration::from_secs(60))?;
    let failed_s = (unix_ms() - killed_ms) as f64 / 1_000.0;
    let evidence = job.end(world, &mut run)?;
    run.figure("failed after s", failed_s);
    run.must(run.verdict == "failed" && failed_s <= BACK_S, Harm::Broken, || {
        format!("the job is {} {failed_s} s after the kill", evidence.job["status"])
    });
    // What was under way ends; it must have done so by then.
    let end = Duration::from_millis((killed_ms + BACK_S as u64 * 1_000).saturating_sub(unix_ms()));
    std::thread::sleep(end);
    let counts = world.target.counts()?;
    std::thread::sleep(Duration::from_secs(2));
    let later = world.target.counts()?;
    run.must(counts == later, Harm::Stuck, || {
        format!("{BACK_S} s after the kill {counts:?} had come, two seconds later {later:?}")
    });
    let all = buckets(&evidence.sources, "first", None);
    let last = last_before(&all, all.len()).unwrap_or(0);
    let killed = bucket_of(&evidence.sources, killed_ms);
    run.figure("last arrival after s", (last as f64 - killed as f64) / 10.0);
    Ok(run)
}

fn degrade(world: &mut World, random: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let victim = world.worker(random.draw())?;
    let job = Job::begin(world, LOAD, &["--on-node-loss=degrade"])?;
    job.at(KILL_AT_MS);
    let killed_ms = unix_ms();
    world.kill(victim);
    let evidence = job.end(world, &mut run)?;
    let unreported = evidence.to_the_request(world, &[victim], Holds::Accounted, &mut run);
    missing(&evidence, unreported, &mut run);
    run.must(run.verdict == "inconclusive", Harm::Broken, || {
        format!("verdict {}", evidence.job["verdict"])
    });
    let share = evidence.rate() * 0.75;
    // The first bucket that has nothing of the dead node, to the last whole second.
    let from = bucket_of(&evidence.sources, killed_ms) + 1;
    let all = buckets(&evidence.sources, "first", None);
    let rest = seconds(&all[..all.len().min(LOAD.seconds as usize * 10)], from);
    let whole = &rest[..rest.len().saturating_sub(1)];
    let least = whole.iter().min().copied().unwrap_or(0);
    let most = whole.iter().max().copied().unwrap_or(0);
    run.figure("least per s after", least as f64);
    run.figure("most per s after", most as f64);
    let other = unplanned(whole, from, share, |at| evidence.moved(at, share));
    run.must(other.is_empty(), Harm::Broken, || {
        format!("not {share} ± 1 % arrivals a second after the kill: {other:?}")
    });
    let ids = evidence.seen.ids.get("first");
    let missing = ids.map(|ids| evidence.load.missing(ids)).unwrap_or_default();
    let first = u32::try_from(from / 10).unwrap_or(0) + 1;
    let of = |second: u32| u64::from(LOAD.rate) - missing.get(&second).copied().unwrap_or(0);
    let other: Vec<(u32, u64)> = (first..LOAD.seconds)
        .map(|second| (second, of(second)))
        .filter(|(_, came)| !as_planned(*came, share))
        .collect();
    run.must(other.is_empty(), Harm::Broken, || {
        format!("of the arrivals of these seconds not {share} ± 1 % came: {other:?}")
    });
    Ok(run)
}

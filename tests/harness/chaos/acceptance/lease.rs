//! A node is cut off from all others, and not from the target.

use super::figures::{back, bucket_of, buckets, held_up, last_before, most, planned_and_came};
use super::{Case, Evidence, Job, Load, Run, loss, unix_ms};
use crate::chaos::Harm;
use crate::chaos::account::Holds;
use crate::chaos::faults::isolate;
use crate::chaos::world::World;
use crate::random::Random;

/// So much that four nodes and the target share two processors without waiting for each other: a
/// hundredth of a second, which is what a second may have too much, passes soon where they do.
const SHORT: Load = Load { rate: 400, seconds: 40 };
const LONG: Load = Load { rate: 400, seconds: 90 };
/// Users of the closed model, all the time.
const CLOSED: Load = Load { rate: 200, seconds: 90 };
const CUT_AT_MS: u64 = 15_000;
const LONG_MS: u64 = 60_000;
/// A shard has stopped by itself so long after it heard of a master: a lease, and a second.
const STOPPED_S: f64 = 8.0;
/// A lease and its margin, and what the reassignment may take.
const BACK_S: f64 = 14.0;
/// Of the planned load in any second.
const OVER: f64 = 1.01;

pub(super) static CASES: [Case; 4] = [
    Case {
        name: "cut-5s",
        what: "one of four nodes is cut off for 5 s: nothing comes of it",
        nodes: 4,
        again: true,
        run: |world, random| short(world, random, 5_000, true),
    },
    Case {
        name: "cut-6s",
        what: "one of four nodes is cut off for 6 s: exact, whether it is noticed or not",
        nodes: 4,
        again: true,
        run: |world, random| short(world, random, 6_000, false),
    },
    Case {
        name: "cut-60s",
        what: "one of four nodes is cut off for 60 s: it stops before others take over",
        nodes: 4,
        again: true,
        run: long,
    },
    Case {
        name: "cut-60s-closed",
        what: "the same in the closed model: never more users than there should be",
        nodes: 4,
        again: true,
        run: closed,
    },
];

/// Cuts a worker off for a time; gives who and when, in milliseconds since the epoch.
fn cut(world: &mut World, random: &mut Random, job: &Job, ms: u64) -> anyhow::Result<(usize, u64)> {
    let victim = world.worker(random.draw())?;
    job.at(CUT_AT_MS);
    let cut_ms = unix_ms();
    let heal = isolate(world, &[victim])?;
    job.at(CUT_AT_MS + ms);
    heal(world)?;
    Ok((victim, cut_ms))
}

fn host(world: &World, node: usize) -> Option<std::net::IpAddr> {
    world.cluster.nodes[node].place.host.parse().ok()
}

fn short(world: &mut World, random: &mut Random, ms: u64, promised: bool) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let job = Job::begin(world, SHORT, &[])?;
    let (victim, cut_ms) = cut(world, random, &job, ms)?;
    let evidence = job.end(world, &mut run)?;
    let holds = if promised { Holds::Exact } else { Holds::MadeUp };
    let unreported = evidence.to_the_request(world, &[victim], holds, &mut run);
    loss::missing(&evidence, unreported, &mut run);
    let reassigned = evidence.reassigned();
    run.figure("reassigned", f64::from(u8::from(reassigned)));
    run.must(!(promised && reassigned), Harm::Broken, || {
        format!("after a cut of {ms} ms: {}", evidence.summary["lost"])
    });
    let own = buckets(&evidence.sources, "first", host(world, victim));
    let (from, to) =
        (bucket_of(&evidence.sources, cut_ms), bucket_of(&evidence.sources, cut_ms + ms));
    let silent = own[from.min(own.len())..to.min(own.len())].iter().filter(|it| **it == 0).count();
    run.figure("silent s of the cut", silent as f64 / 10.0);
    let late = evidence.late(cut_ms, &mut run);
    run.by_the_clock(late, !promised || silent == 0, || {
        format!("{silent} empty tenths of a second")
    });
    never_over(&evidence, &mut run);
    Ok(run)
}

/// No second has more than was planned, but for arrivals that were planned right before it.
fn never_over(evidence: &Evidence, run: &mut Run) {
    let (all, rate) = (buckets(&evidence.sources, "first", None), evidence.rate());
    let times = evidence.times.get("first").map_or(&[][..], Vec::as_slice);
    let arrivals = planned_and_came(evidence.load, times);
    let latest = arrivals.iter().map(|(planned, came)| came - planned).fold(0.0, f64::max);
    run.figure("late by ms", latest.round());
    run.figure("most in a second", most(&all, |_| 0.0).1);
    let (at, most) = most(&all, |at| held_up(&arrivals, at));
    run.figure("less what was held up", most);
    run.must(most <= rate * OVER, Harm::Doubled, || {
        format!("{most} arrivals came within a second from bucket {at} on, {rate} are planned")
    });
}

fn long(world: &mut World, random: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let job = Job::begin(world, LONG, &[])?;
    let (victim, cut_ms) = cut(world, random, &job, LONG_MS)?;
    let evidence = job.end(world, &mut run)?;
    // What it measured before it stopped comes when the link is healed: all of it, and once.
    let unreported = evidence.to_the_request(world, &[victim], Holds::MadeUp, &mut run);
    loss::missing(&evidence, unreported, &mut run);
    run.must(unreported <= 0, Harm::Lost, || {
        format!("{unreported} arrivals of the node that was cut off are in no report")
    });
    let stopped_s = stopped(world, victim, cut_ms, &["first", "second"], &evidence, &mut run);
    let all = buckets(&evidence.sources, "first", None);
    let own = buckets(&evidence.sources, "first", host(world, victim));
    let others: Vec<u64> =
        (0..).zip(&all).map(|(at, all)| all - own.get(at).unwrap_or(&0)).collect();
    let cut = bucket_of(&evidence.sources, cut_ms);
    // Of the others: more than their own three quarters.
    let more = |at: &usize| {
        others
            .get(*at..at + 10)
            .is_some_and(|it| it.iter().sum::<u64>() as f64 > evidence.rate() * 0.8)
    };
    let taken_s = (cut..others.len()).find(more).map(|at| (at + 9 - cut) as f64 / 10.0);
    run.figure("replaced after s", taken_s.unwrap_or(f64::INFINITY));
    run.must(taken_s.is_some_and(|it| it >= stopped_s), Harm::Doubled, || {
        format!("replaced {taken_s:?} s after the cut, stopped after {stopped_s}")
    });
    let back_s = back(&all, evidence.rate(), cut).map(|at| at.saturating_sub(cut) as f64 / 10.0);
    // As long as it goes on by itself the rate is as planned: the end of the gap is what counts.
    let back_s = match back_s {
        Some(early) if early < stopped_s => {
            back(&all, evidence.rate(), cut + (stopped_s * 10.0) as usize)
                .map(|at| (at - cut) as f64 / 10.0)
        }
        other => other,
    };
    run.figure("back after s", back_s.unwrap_or(f64::INFINITY));
    let late = evidence.late(cut_ms, &mut run);
    run.by_the_clock(late, back_s.is_some_and(|it| it <= BACK_S), || {
        format!("the rate is back {back_s:?} s after the cut, {BACK_S} s are promised")
    });
    let last_us = evidence.seen.ids.get("first").and_then(|ids| LONG.last_missing_us(ids));
    let start = evidence.sources.start_unix_ms.unwrap_or(0) as f64;
    let last_s = (start - cut_ms as f64) / 1_000.0 + last_us.unwrap_or(0) as f64 / 1_000_000.0;
    run.figure("last missing after s", last_s);
    run.must(last_s <= BACK_S, Harm::Broken, || {
        format!("arrivals are missing until {last_s} s after the cut, {BACK_S} s are promised")
    });
    let windows = evidence.disturbed();
    let length = windows.iter().map(|(from, to)| to - from).max();
    run.figure("disturbed s", length.map_or(f64::INFINITY, |it| it as f64));
    never_over(&evidence, &mut run);
    Ok(run)
}

/// The last request of the node before the link is healed, in seconds from the cut.
fn stopped(
    world: &World,
    victim: usize,
    cut_ms: u64,
    names: &[&str],
    evidence: &Evidence,
    run: &mut Run,
) -> f64 {
    let (cut, healed) =
        (bucket_of(&evidence.sources, cut_ms), bucket_of(&evidence.sources, cut_ms + LONG_MS));
    let last =
        |name: &&str| last_before(&buckets(&evidence.sources, name, host(world, victim)), healed);
    let last = names.iter().filter_map(last).max().unwrap_or(0);
    let stopped_s = (last + 1).saturating_sub(cut) as f64 / 10.0;
    run.figure("stopped after s", stopped_s);
    run.must(stopped_s <= STOPPED_S, Harm::Broken, || {
        format!("the node that was cut off sent load for {stopped_s} s, {STOPPED_S} s are promised")
    });
    stopped_s
}

fn closed(world: &mut World, random: &mut Random) -> anyhow::Result<Run> {
    let mut run = Run::default();
    let job = Job::begin(world, CLOSED, &["shape=closed"])?;
    let (victim, cut_ms) = cut(world, random, &job, LONG_MS)?;
    let evidence = job.end(world, &mut run)?;
    let stopped_s = stopped(world, victim, cut_ms, &["held"], &evidence, &mut run);
    let users = u64::from(CLOSED.rate);
    let at_once = &evidence.sources.most_in_flight;
    let most = at_once.iter().max().copied().unwrap_or(0);
    run.figure("most at once", most as f64);
    run.must(most <= users, Harm::Doubled, || format!("{most} users at once, {users} are planned"));
    let cut = bucket_of(&evidence.sources, cut_ms);
    let stopped = cut + (stopped_s * 10.0) as usize;
    let full = (stopped..at_once.len()).find(|at| at_once[*at] * 100 >= users * 99);
    let full_s = full.map(|at| (at - cut) as f64 / 10.0);
    run.figure("back after s", full_s.unwrap_or(f64::INFINITY));
    run.must(full_s.is_some_and(|it| it <= BACK_S), Harm::Broken, || {
        format!("{users} users again {full_s:?} s after the cut, {BACK_S} s are promised")
    });
    run.must(run.verdict == "passed", Harm::Broken, || {
        format!("verdict {}", evidence.job["verdict"])
    });
    let reported = crate::acceptance::counts_by_name(&evidence.summary)?;
    let (said, came) = (reported.get("held"), evidence.seen.by_name.get("held"));
    run.figure(
        "came unreported",
        came.zip(said).map_or(f64::NAN, |(came, said)| *came as f64 - *said as f64),
    );
    run.must(said <= came, Harm::Doubled, || format!("{said:?} are reported, {came:?} came"));
    Ok(run)
}

//! What a master does about changes of the load.

use onrush_raft::ledger::job::{Job, JobCommand, JobStatus, LoadChange};
use onrush_scenario::shard::LoadChange as ToldChange;

use super::reconcile::Intent;
use super::reconcile_tests::{World, key_of, on, peer, ready};
use crate::control_wire::{Phase, ToWorker};

/// Of the world's monotonic clock, 20 s.
const NOW_US: u64 = 20_000_000;

/// One change for each instant; none: not decided.
fn job(instants: &[Option<u64>]) -> Job {
    let mut job = on(&["a", "b"], JobStatus::Running);
    let change = |(n, at_us): (u32, &Option<u64>)| LoadChange {
        factor: 2_000 + n,
        paused: n == 1,
        asked_at: 0,
        asked_by: "ann".into(),
        at_us: *at_us,
    };
    job.loads = (0..).zip(instants).map(change).collect();
    job
}

fn running() -> World {
    let world = World::new(&["a", "b"]).says("a", 0, Phase::Running, 1);
    // The job began 12.3 s ago.
    world.says("b", 1, Phase::Running, 1).started("a", 7_700_000)
}

fn proposed(world: &World, job: &Job) -> Vec<JobCommand> {
    let commands = world.intents(job).into_iter().filter_map(|intent| match intent {
        Intent::Propose(command) => Some(command),
        _ => None,
    });
    commands.collect()
}

/// Peer and number of changes.
fn told(world: &World, job: &Job) -> Vec<(String, Vec<ToldChange>)> {
    let orders = world.intents(job).into_iter().filter_map(|intent| match intent {
        Intent::Order { peer, order: ToWorker::Load { changes, .. } } => Some((peer.0, changes)),
        _ => None,
    });
    orders.collect()
}

fn load_at(change: u32, at_us: u64) -> JobCommand {
    JobCommand::LoadAt { id: "job_1".into(), change, at_us }
}

#[test]
fn the_instant_is_a_whole_second_that_lies_ahead() {
    assert_eq!(proposed(&running(), &job(&[None])), [load_at(1, 14_000_000)]);
    // One after the other, and never before an earlier one.
    assert_eq!(proposed(&running(), &job(&[Some(14_000_000), None])), [load_at(2, 14_000_000)]);
    assert_eq!(proposed(&running(), &job(&[Some(15_000_000), None])), [load_at(2, 15_000_000)]);
    assert_eq!(proposed(&running(), &job(&[Some(14_000_000)])), []);
    let mut aborted = job(&[None]);
    aborted.abort = Some("enough".into());
    assert!(
        !proposed(&running(), &aborted).iter().any(|it| matches!(it, JobCommand::LoadAt { .. }))
    );
}

/// A master that cannot know the job's time yet waits for who can.
#[test]
fn no_instant_before_the_jobs_time_is_known() {
    let world = World::new(&["a", "b"]).says("a", 0, Phase::Running, 1);
    let world = world.silent("b", 100);
    assert_eq!(proposed(&world, &job(&[None])), []);
}

#[test]
fn shards_are_told_until_they_follow() {
    let job = job(&[Some(5_000_000), Some(14_000_000), None]);
    let all = vec![
        ToldChange { at_us: 5_000_000, factor: 2_000 },
        ToldChange { at_us: 14_000_000, factor: 0 },
    ];
    let both = [("a".to_owned(), all.clone()), ("b".to_owned(), all)];
    assert_eq!(told(&running(), &job), both);
    assert_eq!(told(&running().follows("a", 2, 0).follows("b", 1, 0), &job), both[1..]);
    assert_eq!(told(&running().follows("a", 2, 0).follows("b", 2, 0), &job), []);
    assert_eq!(told(&running(), &self::job(&[None])), []);
}

/// Or it would do, from its first moment on, what the simulation said once.
#[test]
fn who_takes_over_is_told_before_it_is_started() {
    let mut job = job(&[Some(5_000_000)]);
    job.assignments[1].takes_over = Some(0);
    job.assignments[1].begins = Some(Default::default());
    let world = World::new(&["a", "b"]).says("a", 0, Phase::Running, 1).started("a", 7_700_000);
    let world = world.says("b", 1, ready("h"), 0).follows("a", 1, 0);
    let orders: Vec<&str> = world
        .intents(&job)
        .iter()
        .filter_map(|intent| match intent {
            Intent::Order { peer: to, order } if *to == peer("b") => match order {
                ToWorker::Load { key, .. } if *key == key_of(1, 1) => Some("load"),
                ToWorker::Start { key, .. } if *key == key_of(1, 1) => Some("start"),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(orders, ["load", "start"]);
}

#[test]
fn who_heard_late_is_noted_once() {
    let mut job = job(&[Some(10_000_000)]);
    let world = running().follows("a", 1, 0).follows("b", 1, 1_250_000);
    let what = "shard 1 heard of load change 1 1.250 s late".to_owned();
    let note = JobCommand::Note { id: job.id.clone(), what: what.clone() };
    assert_eq!(proposed(&world, &job), [note]);
    let event =
        onrush_raft::ledger::job::JobEvent { at: NOW_US, after_tick: None, by: "m".into(), what };
    job.events.push(event);
    assert_eq!(proposed(&world, &job), []);
}

//! What takers are told to hold back: the exact orders.

use onrush_raft::ledger::job::{Assignment, AssignmentState, Begins, Job, JobStatus, Stages};
use onrush_scenario::shard::{EndReason, Surplus};

use super::super::reconcile::{Intent, LOST_MS};
use super::super::reconcile_tests::{World, ended, key_of, on, peer, ready};
use crate::control_wire::{ClosedUsers, Phase, ShardKey, ToWorker};

/// Shard 0 on a; each that follows has begun with a segment of the one before it, on b, c and d.
fn chain(length: u32) -> Job {
    let mut job = on(&["a"], JobStatus::Running);
    job.assignments[0].segments = (0..9).collect();
    job.epoch = 2;
    for (shard, node) in (1..=length).zip(["b", "c", "d"]) {
        job.assignments.push(Assignment {
            shard,
            epoch: 2,
            node: peer(node),
            segments: vec![9 - shard],
            cursor: 0,
            state: AssignmentState::Active,
            reserved: Vec::new(),
            stages: Stages::default(),
            takes_over: Some(shard - 1),
            begins: Some(Begins::default()),
        });
    }
    job
}

fn lose(job: &mut Job, shard: usize) {
    job.assignments[shard].state = AssignmentState::Lost { reason: "gone".into() };
}

/// Of a giver, for one taker.
fn surplus(to: u32, users: &[u64]) -> ClosedUsers {
    ClosedUsers { surplus: vec![Surplus { to, users: users.to_vec() }], held_back: None }
}

fn held(users: &[u64]) -> ClosedUsers {
    ClosedUsers { surplus: vec![], held_back: Some(users.to_vec()) }
}

fn told(world: &World, job: &Job) -> Vec<(ShardKey, Vec<u64>)> {
    let orders = world.intents(job).into_iter().filter_map(|intent| match intent {
        Intent::Order { order: ToWorker::HoldBack { key, users }, .. } => Some((key, users)),
        _ => None,
    });
    orders.collect()
}

fn runs(world: World, node: &str, shard: u32, closed: ClosedUsers) -> World {
    let epoch = if shard == 0 { 1 } else { 2 };
    world.says_in(epoch, node, shard, Phase::Running, 9).closed(node, closed)
}

#[test]
fn a_taker_is_told_its_givers_word_until_it_follows() {
    let job = chain(1);
    let world = |giver, taker| {
        let world = runs(World::new(&["a", "b"]), "a", 0, giver);
        runs(world, "b", 1, taker)
    };
    let nothing = ClosedUsers::default;
    // Before the moment has come nothing is known, and the taker starts nobody by itself.
    assert_eq!(told(&world(nothing(), nothing()), &job), []);
    assert_eq!(told(&world(surplus(7, &[9]), nothing()), &job), [], "another one's word");
    let order = |users: &[u64]| vec![(key_of(2, 1), users.to_vec())];
    assert_eq!(told(&world(surplus(1, &[0, 50]), nothing()), &job), order(&[0, 50]));
    assert_eq!(told(&world(surplus(1, &[0, 50]), held(&[0, 50])), &job), []);
    assert_eq!(told(&world(surplus(1, &[0, 49]), held(&[0, 50])), &job), order(&[0, 49]));
    assert_eq!(told(&world(surplus(1, &[]), held(&[0, 49])), &job), order(&[]));
    assert_eq!(told(&world(surplus(1, &[]), held(&[])), &job), []);
}

/// A process that has ended has no users, before the ledger knows of it; one that is not heard may.
#[test]
fn a_giver_that_is_gone_holds_nobody_up_once_that_is_certain() {
    let mut job = chain(1);
    let taker = |world| runs(world, "b", 1, held(&[50]));
    let nothing = vec![(key_of(2, 1), vec![])];
    let dead = Phase::Gone { reason: "killed".into() };
    for phase in [ended(&EndReason::Completed), dead] {
        let world = World::new(&["a", "b"]).says("a", 0, phase, 9);
        assert_eq!(told(&taker(world.closed("a", surplus(1, &[50]))), &job), nothing);
    }
    let silent = || taker(World::new(&["a", "b"])).silent("a", LOST_MS + 1);
    assert_eq!(told(&silent(), &job), []);
    lose(&mut job, 0);
    assert_eq!(told(&silent(), &job), nothing);
}

#[test]
fn who_takes_over_from_a_lost_shard_waits_for_nobody_and_knows_it_before_it_starts() {
    let mut job = chain(1);
    lose(&mut job, 0);
    let world = World::new(&["a", "b"]).says_in(2, "b", 1, ready("h"), 0).started("b", 7_700_000);
    let orders: Vec<&str> = world
        .intents(&job)
        .iter()
        .filter_map(|intent| match intent {
            Intent::Order { order: ToWorker::HoldBack { users, .. }, .. } if users.is_empty() => {
                Some("hold nothing back")
            }
            Intent::Order { order: ToWorker::Start { .. }, .. } => Some("start"),
            _ => None,
        })
        .collect();
    assert_eq!(orders, ["hold nothing back", "start"]);
}

/// The second hand's word has the first one's users in it; once that one is gone, those count that
/// it held back itself.
#[test]
fn over_several_hands_the_nearest_that_lives_is_asked() {
    let mut job = chain(2);
    let world = |second| {
        let world = runs(World::new(&["a", "b", "c"]), "a", 0, surplus(1, &[30]));
        let world = runs(world, "b", 1, second);
        runs(world, "c", 2, ClosedUsers::default())
    };
    let third = |users: &[u64]| (key_of(2, 2), users.to_vec());
    let second = ClosedUsers { held_back: Some(vec![30]), ..surplus(2, &[12]) };
    assert_eq!(told(&world(second), &job), [third(&[12])]);
    assert_eq!(told(&world(held(&[30])), &job), [], "it has not said it yet");
    lose(&mut job, 1);
    assert_eq!(told(&world(held(&[30])), &job), [third(&[30])]);
    lose(&mut job, 0);
    assert_eq!(told(&world(held(&[30])), &job), [third(&[])]);
}

/// One that never began held nothing; one that has no giver is told nothing.
#[test]
fn nobody_else_is_told() {
    let mut job = chain(1);
    job.assignments[1].begins = None;
    lose(&mut job, 1);
    let world = runs(World::new(&["a", "b"]), "a", 0, surplus(1, &[3]));
    assert_eq!(told(&world, &job), []);
    let mut aborted = chain(1);
    aborted.abort = Some("enough".into());
    let world = runs(world, "b", 1, ClosedUsers::default());
    assert_eq!(told(&world, &aborted), []);
}

//! What a loss leaves, step by step: the exact intents.

use onrush_raft::ledger::job::{
    Assignment, AssignmentState, Begins, Division, Job, JobCommand, JobStatus, NewAssignment,
    OnNodeLoss, Stages,
};
use onrush_scenario::shard::{RecordsFrom, TakeOver};

use super::reconcile::{Ending, Intent, LOST_MS, order};
use super::reconcile_tests::{World, ended, failed, key_of, on, peer, ready};
use crate::control_wire::{Phase, ToWorker};

/// The job has run for 50 s of 100.
fn running(nodes: &[&str]) -> Job {
    let mut job = on(nodes, JobStatus::Running);
    let Phase::Ready { plan } = ready("h") else { unreachable!() };
    job.plan = Some(plan.replace("\"injection_us\":1", "\"injection_us\":100000000"));
    for (a, part) in job.assignments.iter_mut().zip(0_u32..) {
        a.segments = (0..6).map(|i| 6 * part + i).collect();
    }
    job
}

fn lose(job: &mut Job, shard: u32) {
    let lost = AssignmentState::Lost { reason: "gone".into() };
    job.assignments.iter_mut().find(|a| a.shard == shard).unwrap().state = lost;
}

fn taker(shard: u32, node: &str, segments: &[u32], giver: u32) -> NewAssignment {
    let (node, segments) = (peer(node), segments.to_vec());
    NewAssignment { shard, node, segments, takes_over: Some(giver) }
}

fn reassigned(intents: &[Intent]) -> Vec<NewAssignment> {
    let of = |intent: &Intent| match intent {
        Intent::Propose(JobCommand::Reassign { assignments, .. }) => Some(assignments.clone()),
        _ => None,
    };
    intents.iter().find_map(of).unwrap_or_default()
}

/// As the ledger does it.
fn apply(job: &mut Job, new: &NewAssignment) {
    job.epoch = 2;
    job.assignments.push(Assignment {
        shard: new.shard,
        epoch: 2,
        node: new.node.clone(),
        segments: new.segments.clone(),
        cursor: 0,
        state: AssignmentState::Active,
        reserved: Vec::new(),
        stages: Stages::default(),
        takes_over: new.takes_over,
        begins: None,
    });
}

fn all_run(nodes: &[&str]) -> World {
    let shards = (0..).zip(nodes);
    shards
        .fold(World::new(nodes), |world, (shard, node)| world.says(node, shard, Phase::Running, 9))
}

#[test]
fn the_segments_of_a_lost_shard_go_to_the_survivors() {
    let mut job = running(&["a", "b", "c"]);
    lose(&mut job, 1);
    let world = all_run(&["a", "b", "c"]).silent("b", LOST_MS + 1);
    let got = reassigned(&world.intents(&job));
    let want = [taker(3, "a", &[6, 8, 10], 1), taker(4, "c", &[7, 9, 11], 1)];
    assert_eq!(got, want);
    // Once they have them, nothing more is given, and the job does not end.
    want.iter().for_each(|new| apply(&mut job, new));
    assert!(reassigned(&world.intents(&job)).is_empty());
}

#[test]
fn degrade_and_fail_give_nothing_away() {
    for policy in [OnNodeLoss::Degrade, OnNodeLoss::Fail] {
        let mut job = running(&["a", "b"]);
        job.spec.on_node_loss = policy;
        lose(&mut job, 1);
        let world = all_run(&["a", "b"]).silent("b", LOST_MS + 1);
        assert!(reassigned(&world.intents(&job)).is_empty(), "{policy:?}");
    }
}

#[test]
fn a_process_that_died_alone_is_started_again_on_its_node() {
    let mut job = running(&["a", "b"]);
    lose(&mut job, 1);
    let world = World::new(&["a", "b"]).says("a", 0, Phase::Running, 9);
    let segments = [6, 7, 8, 9, 10, 11];
    assert_eq!(reassigned(&world.intents(&job)), [taker(2, "b", &segments, 1)]);
    // What kills it three times goes to others.
    for (shard, giver) in [(2, 1), (3, 2)] {
        apply(&mut job, &taker(shard, "b", &segments, giver));
        job.assignments.last_mut().unwrap().begins = Some(Begins::default());
        lose(&mut job, shard);
    }
    assert_eq!(reassigned(&world.intents(&job)), [taker(4, "a", &segments, 3)]);
}

#[test]
fn a_copy_goes_whole_to_the_least_busy() {
    let mut job = running(&["a", "b", "c"]);
    job.spec.division = Division::Copy;
    lose(&mut job, 2);
    apply(&mut job, &taker(3, "a", &[1], 0));
    let world = all_run(&["a", "b", "c"]).silent("c", LOST_MS + 1);
    assert_eq!(reassigned(&world.intents(&job)), [taker(4, "b", &[12, 13, 14, 15, 16, 17], 2)]);
}

/// How long populations that follow on others will run, nobody knows beforehand; when they began is
/// handed on, so that their users are not started once more.
#[test]
fn a_share_of_a_staged_simulation_goes_on_where_its_populations_are() {
    let with = |stages: usize, over: &str| {
        let mut job = running(&["a", "b"]);
        let stages = format!("\"stages\":{stages}");
        let plan = job.plan.take().unwrap().replace("\"stages\":0", &stages);
        job.plan = Some(plan.replace("\"injection_us\":100000000", "\"injection_us\":10000000"));
        job.plan = job.plan.map(|plan| plan.replace("\"max_duration_us\":null", over));
        lose(&mut job, 1);
        job
    };
    let world = all_run(&["a", "b"]).silent("b", LOST_MS + 1);
    let given = |job: &Job| reassigned(&world.intents(job)).len();
    let mut job = with(2, "\"max_duration_us\":null");
    assert_eq!(given(&job), 1);
    assert_eq!(given(&with(0, "\"max_duration_us\":null")), 0, "the profiles are over");
    assert_eq!(given(&with(2, "\"max_duration_us\":50000000")), 0, "the run is");
    assert_eq!(given(&with(1_025, "\"max_duration_us\":null")), 0, "no room for so many");
    // What is known of the lost one is where the taker begins.
    let stages = Stages { began_us: vec![Some(30_000_000), None], known_us: 44_000_000 };
    job.assignments[1].stages = stages.clone();
    apply(&mut job, &taker(2, "a", &[6, 7, 8, 9, 10, 11], 1));
    let begins = job.begins(&job.assignments[2], 50_000_000);
    assert_eq!(begins.stages, stages);
    job.assignments[2].begins = Some(begins.clone());
    let told = super::rebalance::take_over(&job.assignments[2]).unwrap();
    assert_eq!((told.stages, told.known_us), (stages.began_us, 44_000_000));
    // It was lost without a frame: the next one begins where it was to begin.
    lose(&mut job, 2);
    apply(&mut job, &taker(3, "a", &[6, 7, 8, 9, 10, 11], 2));
    assert_eq!(job.begins(&job.assignments[3], 55_000_000).stages, begins.stages);
}

#[test]
fn nothing_is_given_once_the_profiles_are_over() {
    let mut job = running(&["a", "b"]);
    let Phase::Ready { plan } = ready("h") else { unreachable!() };
    job.plan = Some(plan);
    lose(&mut job, 1);
    let world = all_run(&["a", "b"]).silent("b", LOST_MS + 1);
    assert!(reassigned(&world.intents(&job)).is_empty());
}

#[test]
fn a_taker_is_prepared_begins_behind_what_was_reserved_and_starts_in_mid_run() {
    let mut job = running(&["a", "b"]);
    job.assignments[1].reserved = vec![4_000, 70];
    lose(&mut job, 1);
    apply(&mut job, &taker(2, "a", &[6, 7, 8, 9, 10, 11], 1));
    let world = || all_run(&["a"]);
    let order = |intents: &[Intent]| {
        intents.iter().find_map(|intent| match intent {
            Intent::Order { order: ToWorker::Prepare(order), .. } => Some(order.clone()),
            _ => None,
        })
    };
    let prepare = order(&world().intents(&job)).unwrap();
    assert_eq!((prepare.key.clone(), prepare.takes_over), (key_of(2, 2), true));
    assert!(!prepare.unhurried, "nobody runs what it takes over");

    // Another plan is another test.
    let other = world().says_in(2, "a", 2, ready("other"), 0).intents(&job);
    let reason = "it would not run the same test".to_owned();
    let lost = JobCommand::ShardLost { id: job.id.clone(), shard: 2, epoch: 2, reason };
    assert!(other.contains(&Intent::Propose(lost)), "{other:?}");

    let begins = Begins { at_us: 50_000_000, records: vec![4_000, 70], ..Begins::default() };
    let begin =
        JobCommand::Begin { id: job.id.clone(), shard: 2, epoch: 2, begins: begins.clone() };
    let is_ready = world().says_in(2, "a", 2, ready("h"), 0);
    assert!(is_ready.intents(&job).contains(&Intent::Propose(begin)));
    job.assignments[2].begins = Some(begins);
    let feeders = [(0, 4_000), (1, 70)].map(|(feeder, record)| RecordsFrom { feeder, record });
    let take_over =
        TakeOver { from_us: Some(50_000_000), feeders: feeders.into(), ..TakeOver::default() };
    let start =
        ToWorker::Start { key: key_of(2, 2), at_us: -30_000_000, take_over: Some(take_over) };
    let start = Intent::Order { peer: peer("a"), order: start };
    assert!(is_ready.intents(&job).contains(&start));
}

/// A giver that lives has its segments still: nobody begins with them.
#[test]
fn a_taker_waits_for_a_giver_that_lives_and_is_given_up_when_that_has_ended() {
    let mut job = running(&["a", "b"]);
    apply(&mut job, &taker(2, "a", &[6], 1));
    let world = || all_run(&["a", "b"]).says_in(2, "a", 2, ready("h"), 0);
    let begin = |intents: &[Intent]| {
        intents.iter().any(|it| matches!(it, Intent::Propose(JobCommand::Begin { .. })))
    };
    assert!(!begin(&world().intents(&job)));
    job.assignments[1].state = AssignmentState::Done { final_seq: 9, completed: true };
    let reason = "the shard that it was to take over from has ended".to_owned();
    let lost = JobCommand::ShardLost { id: job.id.clone(), shard: 2, epoch: 2, reason };
    assert!(world().intents(&job).contains(&Intent::Propose(lost)));
}

/// A node that cannot build what ran for a minute is not the simulation's fault.
#[test]
fn a_taker_that_fails_before_it_began_does_not_end_the_job_and_is_tried_elsewhere() {
    let mut job = running(&["a", "b", "c"]);
    lose(&mut job, 2);
    apply(&mut job, &taker(3, "a", &[12, 13, 14, 15, 16, 17], 2));
    let world = all_run(&["a", "b", "c"]).silent("c", LOST_MS + 1);
    let world = world.says_in(2, "a", 3, failed("too slow"), 0);
    let intents = world.intents(&job);
    assert!(!intents.iter().any(|it| matches!(it, Intent::Conclude { .. })), "{intents:?}");
    lose(&mut job, 3);
    assert_eq!(reassigned(&world.intents(&job)), [taker(4, "b", &[12, 13, 14, 15, 16, 17], 2)]);
}

/// It always ends: what nobody can hold is given up, and what was lost too often.
#[test]
fn the_job_ends_when_a_share_was_lost_too_often() {
    let mut job = running(&["a", "b"]);
    job.assignments[0].state = AssignmentState::Done { final_seq: 9, completed: true };
    lose(&mut job, 1);
    let world = all_run(&["a"]);
    for shard in 2..9 {
        apply(&mut job, &taker(shard, "a", &[6, 7, 8, 9, 10, 11], shard - 1));
        job.assignments.last_mut().unwrap().begins = Some(Begins::default());
        lose(&mut job, shard);
    }
    let finalize = Intent::Propose(JobCommand::Finalize { id: job.id.clone() });
    assert!(world.intents(&job).contains(&finalize));
}

/// Once the frames of a node that came back were thrown away.
#[test]
fn a_finishing_job_waits_for_the_frames_of_a_lost_shard_whose_node_is_back() {
    let mut job = running(&["a", "b"]);
    job.spec.on_node_loss = OnNodeLoss::Degrade;
    job.assignments[0].state = AssignmentState::Done { final_seq: 9, completed: true };
    job.assignments[1].cursor = 4;
    lose(&mut job, 1);
    let finalize = Intent::Propose(JobCommand::Finalize { id: job.id.clone() });
    let is_final = |world: &World, job: &Job| world.intents(job).contains(&finalize);
    let expired = || ended(&onrush_scenario::shard::EndReason::LeaseExpired);
    let back = World::new(&["a", "b"]).says("b", 1, expired(), 9);
    assert!(!is_final(&back, &job));
    assert!(!back.intents(&job).iter().any(|it| matches!(it, Intent::Order { .. })));
    // It is alive, and about to open its session: not for ever.
    let mut coming = World::new(&["a", "b"]).silent("b", 20_000);
    coming.nodes.get_mut(&peer("b")).unwrap().coming_ms = Some(1_000);
    assert!(!is_final(&coming, &job));
    coming.nodes.get_mut(&peer("b")).unwrap().coming_ms = Some(LOST_MS + 1);
    assert!(is_final(&coming, &job));
    // All is in: it ends, and the shard is released.
    job.assignments[1].cursor = 9;
    assert!(is_final(&back, &job));
    let release = ToWorker::Release { key: key_of(1, 1) };
    let release = Intent::Order { peer: peer("b"), order: release };
    assert!(back.intents(&job).contains(&release));
}

/// It should have stopped by itself; whoever has its segments now must not load beside it.
#[test]
fn a_lost_shard_that_is_found_running_is_stopped() {
    let mut job = running(&["a", "b"]);
    lose(&mut job, 1);
    let intents = all_run(&["a", "b"]).intents(&job);
    let reason = "it was given up as lost".to_owned();
    let stop = ToWorker::Stop { key: key_of(1, 1), reason };
    assert!(intents.contains(&Intent::Order { peer: peer("b"), order: stop }), "{intents:?}");
}

#[test]
fn fail_ends_the_job_when_a_shard_is_lost() {
    let mut job = running(&["a", "b"]);
    job.spec.on_node_loss = OnNodeLoss::Fail;
    lose(&mut job, 1);
    lose(&mut job, 0);
    let world = World::new(&["a", "b"]).says("a", 0, Phase::Gone { reason: "stopped".into() }, 0);
    let reason = "shard 0 was lost: gone".to_owned();
    let ending = Ending { status: JobStatus::Failed, reason, problem: None };
    assert!(world.intents(&job).contains(&Intent::Conclude { job: job.id.clone(), ending }));
}

fn yielded(to: u32) -> onrush_scenario::shard::Yielded {
    let (at_us, records, stages) = (51_000_000, vec![70], vec![Some(40_000_000), None]);
    onrush_scenario::shard::Yielded { to, at_us, records, stages }
}

fn begins_at_yield() -> Begins {
    let onrush_scenario::shard::Yielded { at_us, records, stages, .. } = yielded(0);
    let stages = Stages { began_us: stages, known_us: at_us };
    Begins { at_us, records, unseen: 0, stages }
}

#[test]
fn a_drained_node_gives_its_segments_to_the_others_when_they_are_ready() {
    let mut job = running(&["a", "b", "c"]);
    let mut world = all_run(&["a", "b", "c"]);
    world.nodes.get_mut(&peer("b")).unwrap().candidate.draining = true;
    let got = reassigned(&world.intents(&job));
    let want = [taker(3, "a", &[6, 8, 10], 1), taker(4, "c", &[7, 9, 11], 1)];
    assert_eq!(got, want);
    apply(&mut job, &want[0]);
    let taker = job.shard(3).map(|it| order(&job, it)).unwrap();
    assert!(taker.takes_over && taker.unhurried, "its giver goes on meanwhile");
    // Once it is ready the giver is asked; once that has answered, the taker begins then.
    let world = world.says_in(2, "a", 3, ready("h"), 0);
    let order = ToWorker::Yield { key: key_of(1, 1), to: 3, epoch: 2, segments: vec![6, 8, 10] };
    let asked = Intent::Order { peer: peer("b"), order };
    assert!(world.intents(&job).contains(&asked));
    let world = world.yields("b", yielded(3));
    let begins = begins_at_yield();
    let begin = JobCommand::Begin { id: job.id.clone(), shard: 3, epoch: 2, begins };
    let intents = world.intents(&job);
    assert!(intents.contains(&Intent::Propose(begin)), "{intents:?}");
    assert!(!intents.contains(&asked));
}

/// Once the segments were nobody's, and their users neither started nor declared: the giver had
/// given them away when their taker died.
#[test]
fn what_was_given_away_is_the_takers_also_when_that_has_died_or_the_giver_has_ended() {
    let mut job = running(&["a", "b"]);
    apply(&mut job, &taker(2, "a", &[6, 7, 8, 9, 10, 11], 1));
    let begins = begins_at_yield();
    let begin = JobCommand::Begin { id: job.id.clone(), shard: 2, epoch: 2, begins };
    let begin = Intent::Propose(begin);
    let gone = || Phase::Gone { reason: "killed".into() };
    let world = World::new(&["a", "b"]).says("b", 1, Phase::Running, 9).says("a", 0, gone(), 0);
    let died = world.says_in(2, "a", 2, gone(), 0).yields("b", yielded(2));
    let is_lost = |intents: &[Intent]| {
        intents
            .iter()
            .any(|it| matches!(it, Intent::Propose(JobCommand::ShardLost { shard: 2, .. })))
    };
    let intents = died.intents(&job);
    assert!(intents.contains(&begin) && !is_lost(&intents), "{intents:?}");
    // Lost already, by a master that did not know.
    lose(&mut job, 2);
    let intents = died.intents(&job);
    assert!(intents.contains(&begin) && reassigned(&intents).is_empty(), "{intents:?}");
    job.assignments[2].state = AssignmentState::Active;
    // The giver has nothing left to do: it is not done before its taker has begun.
    let completed = ended(&onrush_scenario::shard::EndReason::Completed);
    let world = World::new(&["a", "b"]).says("b", 1, completed, 9).yields("b", yielded(2));
    let world = world.says("a", 0, Phase::Running, 9).says_in(2, "a", 2, ready("h"), 0);
    job.assignments[1].cursor = 9;
    let is_done = |intents: &[Intent]| {
        intents
            .iter()
            .any(|it| matches!(it, Intent::Propose(JobCommand::ShardDone { shard: 1, .. })))
    };
    let intents = world.intents(&job);
    assert!(intents.contains(&begin) && !is_done(&intents), "{intents:?}");
    job.assignments[2].begins = Some(Begins::default());
    assert!(is_done(&world.intents(&job)));
}

/// Once they were lost: the first taker had died when the giver gave to it, and the segments were
/// on their way to others.
#[test]
fn what_was_given_twice_goes_to_the_first_of_the_takers() {
    let mut job = running(&["a", "b"]);
    apply(&mut job, &taker(2, "a", &[6, 7, 8], 1));
    apply(&mut job, &taker(3, "a", &[9, 10, 11], 1));
    lose(&mut job, 2);
    apply(&mut job, &taker(4, "a", &[6, 7, 8], 1));
    let world = World::new(&["a", "b"]).says("b", 1, Phase::Running, 9);
    let world = world.says("a", 0, Phase::Running, 9).says_in(2, "a", 3, ready("h"), 0);
    let world = world.says_in(2, "a", 4, ready("h"), 0);
    let world = world.yields("b", yielded(2)).yields("b", yielded(3)).yields("b", yielded(4));
    let begun = |intents: &[Intent]| -> Vec<u32> {
        let of = |intent: &Intent| match intent {
            Intent::Propose(JobCommand::Begin { shard, .. }) => Some(*shard),
            _ => None,
        };
        intents.iter().filter_map(of).collect()
    };
    assert_eq!(begun(&world.intents(&job)), [2, 3]);
    // As the ledger settles it: the second of the two has come too late.
    job.assignments[2].begins = Some(Begins::default());
    lose(&mut job, 4);
    assert_eq!(begun(&world.intents(&job)), [3]);
}

/// Whatever is under way between shards ends with the job that a loss ends.
#[test]
fn a_failing_job_moves_nothing() {
    let mut job = running(&["a", "b", "c"]);
    job.spec.on_node_loss = OnNodeLoss::Fail;
    lose(&mut job, 2);
    let mut world = all_run(&["a", "b", "c"]);
    world.nodes.get_mut(&peer("b")).unwrap().candidate.draining = true;
    assert_eq!(reassigned(&world.intents(&job)), []);
    job.spec.on_node_loss = OnNodeLoss::Degrade;
    assert_eq!(reassigned(&world.intents(&job)), [taker(3, "a", &[6, 7, 8, 9, 10, 11], 1)]);
}

#[test]
fn a_node_that_joins_gets_its_share_of_a_job_that_runs_on_all_nodes() {
    let mut job = running(&["a", "b"]);
    let shards = [("a", 0), ("b", 1)];
    let world = || {
        shards.iter().fold(World::new(&["a", "b", "c"]), |world, (node, shard)| {
            world.says(node, *shard, Phase::Running, 9)
        })
    };
    // Twelve segments on two nodes: four of them to the third, two from each.
    let want = [taker(2, "c", &[0, 3], 0), taker(3, "c", &[6, 9], 1)];
    assert_eq!(reassigned(&world().intents(&job)), want);
    job.spec.nodes = 2;
    assert!(reassigned(&world().intents(&job)).is_empty());
    // While segments are on their way, no others are moved.
    job.spec.nodes = 0;
    apply(&mut job, &want[0]);
    assert!(reassigned(&world().intents(&job)).is_empty());
}

/// Once a node whose disk was full was asked again and again, three shards at a time.
#[test]
fn a_node_that_could_not_take_segments_twice_is_asked_no_more() {
    let mut job = running(&["a", "b"]);
    let world = || {
        let world = World::new(&["a", "b", "c"]).says("a", 0, Phase::Running, 9);
        world.says("b", 1, Phase::Running, 9)
    };
    for epoch in [2, 3] {
        let asked = reassigned(&world().intents(&job));
        assert!(!asked.is_empty() && asked.iter().all(|new| new.node == peer("c")), "{asked:?}");
        for new in &asked {
            apply(&mut job, new);
            job.assignments.last_mut().unwrap().epoch = epoch;
            lose(&mut job, new.shard);
        }
    }
    assert!(reassigned(&world().intents(&job)).is_empty());
}

#[test]
fn nothing_is_moved_between_the_living_when_the_profiles_are_almost_over() {
    let mut job = running(&["a"]);
    job.plan = job.plan.map(|plan| plan.replace("100000000", "54000000"));
    let world = World::new(&["a", "b"]).says("a", 0, Phase::Running, 9);
    assert!(reassigned(&world.intents(&job)).is_empty());
}

fn in_zones(mut world: World, zones: &[(&str, &str)]) -> World {
    for (node, zone) in zones {
        let node = world.nodes.get_mut(&peer(node)).unwrap();
        node.candidate.labels.insert("zone".into(), (*zone).to_owned());
    }
    world
}

/// A share by zone is the zone's: what one of its nodes loses stays there while another one lives.
#[test]
fn what_a_zone_has_stays_in_it_as_long_as_it_has_a_node() {
    let nodes = ["a", "b", "c", "d"];
    let zones = [("a", "eu"), ("b", "us"), ("c", "us"), ("d", "eu")];
    let mut job = running(&nodes[..3]);
    job.spec.zone_shares = [("eu".to_owned(), 1), ("us".to_owned(), 2)].into();
    lose(&mut job, 1);
    let world = in_zones(all_run(&nodes[..3]), &zones[..3]).silent("b", LOST_MS + 1);
    assert_eq!(reassigned(&world.intents(&job)), [taker(3, "c", &[6, 7, 8, 9, 10, 11], 1)]);
    // Without one, anybody is better than nobody.
    let alone = [("a", "eu"), ("b", "us"), ("c", "eu")];
    let world = in_zones(all_run(&nodes[..3]), &alone).silent("b", LOST_MS + 1);
    let got = reassigned(&world.intents(&job));
    assert_eq!(got, [taker(3, "a", &[6, 8, 10], 1), taker(4, "c", &[7, 9, 11], 1)]);
    // One that joins takes of its own zone only.
    let mut job = running(&nodes[..3]);
    job.spec.zone_shares = [("eu".to_owned(), 1), ("us".to_owned(), 2)].into();
    let mut world = World::new(&nodes);
    for (shard, node) in (0..).zip(&nodes[..3]) {
        world = world.says(node, shard, Phase::Running, 9);
    }
    let got = reassigned(&in_zones(world, &zones).intents(&job));
    assert_eq!(got, [taker(3, "d", &[0, 2, 4], 0)]);
}

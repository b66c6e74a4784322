//! Segments that change hands while a job runs.

use super::*;
use crate::ledger::job::{Begins, Reserved, Stages};

fn taker(shard: u32, segments: &[u32], giver: u32) -> NewAssignment {
    NewAssignment {
        shard,
        node: format!("peer-{shard}").into(),
        segments: segments.to_vec(),
        takes_over: Some(giver),
    }
}

fn reassign(all: &[NewAssignment]) -> JobCommand {
    JobCommand::Reassign { id: "j".into(), assignments: all.to_vec() }
}

fn gone(shard: u32, epoch: u64) -> JobCommand {
    JobCommand::ShardLost { id: "j".into(), shard, epoch, reason: "gone".into() }
}

fn begin(shard: u32, epoch: u64, at_us: u64) -> JobCommand {
    let begins = Begins { at_us, ..Begins::default() };
    JobCommand::Begin { id: "j".into(), shard, epoch, begins }
}

#[test]
fn segments_go_to_one_taker_only_and_only_those_of_the_giver() {
    let mut log = Log::running("j");
    let owned = log.get("j").assignments[1].segments.clone();
    let others = log.get("j").assignments[0].segments.clone();
    log.job(gone(1, 1)).unwrap();
    for (bad, why) in [
        (vec![], "no assignments"),
        (vec![taker(1, &owned, 1)], "is there already"),
        (vec![taker(2, &owned, 9)], "takes over from no shard"),
        (vec![taker(2, &[], 1)], "has no segments"),
        (vec![taker(2, &others, 1)], "is not shard 1's to give"),
        (vec![taker(2, &owned, 1), taker(3, &owned, 1)], "is not shard 1's to give"),
    ] {
        let refused = format!("{:?}", log.job(reassign(&bad)).unwrap_err());
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(log.job(reassign(&[taker(2, &owned, 1)])).unwrap(), Outcome::Epoch(2));
    let refused = format!("{:?}", log.job(reassign(&[taker(3, &owned, 1)])).unwrap_err());
    assert!(refused.contains("is not shard 1's to give"), "{refused}");
    // A giver that lives may be asked for its own.
    log.job(reassign(&[taker(3, &others, 0)])).unwrap();
}

/// Lost before it began, it has held nothing: another takes from the giver. Once it began, the next
/// one takes from it.
#[test]
fn who_never_began_leaves_the_segments_where_they_were() {
    let mut log = Log::running("j");
    let job = |log: &Log| log.get("j").clone();
    let owned = job(&log).assignments[1].segments.clone();
    log.job(gone(1, 1)).unwrap();
    log.job(reassign(&[taker(2, &owned, 1)])).unwrap();
    log.job(gone(2, 2)).unwrap();
    let after = job(&log);
    assert_eq!(after.vacant(&after.assignments[1]), owned);
    assert!(after.assignments[2].is_void() && after.vacant(&after.assignments[2]).is_empty());
    assert!(log.job(begin(2, 2, 5)).is_err());
    log.job(reassign(&[taker(3, &owned, 1)])).unwrap();
    log.job(begin(3, 3, 7)).unwrap();
    assert!(log.job(begin(3, 3, 7)).is_ok(), "the same again");
    assert!(log.job(begin(3, 3, 8)).is_err());
    log.job(gone(3, 3)).unwrap();
    let after = job(&log);
    assert!(after.vacant(&after.assignments[1]).is_empty());
    assert_eq!(after.vacant(&after.assignments[3]), owned);
    assert_eq!((after.next_shard(), after.origin(&after.assignments[3])), (4, 1));
}

#[test]
fn a_taker_begins_behind_what_those_before_it_have_reserved() {
    let mut log = Log::running("j");
    let job = |log: &Log| log.get("j").clone();
    let owned = job(&log).assignments[1].segments.clone();
    // Of shard 1 nothing is known but that it ran.
    log.job(gone(1, 1)).unwrap();
    log.job(reassign(&[taker(2, &owned, 1)])).unwrap();
    let first = job(&log);
    let begins = first.begins(&first.assignments[2], 9);
    assert_eq!(begins, Begins { at_us: 9, unseen: 1, ..Begins::default() });
    log.job(JobCommand::Begin { id: "j".into(), shard: 2, epoch: 2, begins }).unwrap();
    let stages = Stages { began_us: vec![Some(3)], known_us: 10 };
    let section = TickSection {
        job: "j".into(),
        cursors: vec![CursorMove { shard: 2, epoch: 2, from: 0, to: 1 }],
        payload: vec![1],
        reserved: vec![Reserved { shard: 2, epoch: 2, numbers: vec![5_000, 300], stages }],
    };
    log.job(JobCommand::Ticks { sections: vec![section] }).unwrap();
    log.job(gone(2, 2)).unwrap();
    log.job(reassign(&[taker(3, &owned, 2)])).unwrap();
    let second = job(&log);
    let stages = Stages { began_us: vec![Some(3)], known_us: 10 };
    let begins = second.begins(&second.assignments[3], 11);
    assert_eq!(begins, Begins { at_us: 11, records: vec![5_000, 300], unseen: 1, stages });
}

/// A node that comes back delivers what it measured before it was given up.
#[test]
fn frames_of_a_lost_shard_are_taken_until_the_job_has_ended() {
    let mut log = Log::running("j");
    log.job(gone(1, 1)).unwrap();
    let ticks = |from, to| JobCommand::Ticks {
        sections: vec![TickSection {
            job: "j".into(),
            cursors: vec![CursorMove { shard: 1, epoch: 1, from, to }],
            payload: vec![1],
            reserved: vec![],
        }],
    };
    let accepted = Outcome::Ticks(vec![TickOutcome::Accepted { number: 1 }]);
    assert_eq!(log.job(ticks(0, 3)).unwrap(), accepted);
    let job = log.get("j");
    assert_eq!(job.assignments[1].cursor, 3);
    assert!(matches!(job.assignments[1].state, AssignmentState::Lost { .. }));
    let again = log.job(ticks(0, 3)).unwrap();
    assert!(matches!(&again, Outcome::Ticks(all) if matches!(all[0], TickOutcome::Refused { .. })));
}

/// It was to begin a second later, and died at once: until then the segments are their giver's.
#[test]
fn a_taker_does_not_begin_before_the_one_that_it_takes_over_from_would_have() {
    let mut log = Log::running("j");
    let owned = log.get("j").assignments[1].segments.clone();
    log.job(reassign(&[taker(2, &owned, 1)])).unwrap();
    log.job(begin(2, 2, 11_000_000)).unwrap();
    log.job(gone(2, 2)).unwrap();
    log.job(reassign(&[taker(3, &owned, 2)])).unwrap();
    let job = log.get("j");
    assert_eq!(job.begins(&job.assignments[3], 10_400_000).at_us, 11_000_000);
    assert_eq!(job.begins(&job.assignments[3], 11_400_000).at_us, 11_400_000);
}

/// The giver lives and has given: that the taker died in between does not give them back to it.
#[test]
fn who_was_lost_before_it_began_begins_by_the_word_of_a_giver_that_lives() {
    let mut log = Log::running("j");
    let owned = log.get("j").assignments[1].segments.clone();
    log.job(reassign(&[taker(2, &owned, 1)])).unwrap();
    log.job(gone(2, 2)).unwrap();
    log.job(begin(2, 2, 5)).unwrap();
    let job = log.get("j");
    assert!(job.transferable(&job.assignments[1]).is_empty());
    assert_eq!(job.vacant(&job.assignments[2]), owned);
    // Not when another has begun.
    log.job(reassign(&[taker(3, &owned, 2)])).unwrap();
    log.job(begin(3, 3, 9)).unwrap();
    log.job(reassign(&[taker(4, &owned, 3)])).unwrap();
    log.job(gone(4, 4)).unwrap();
    log.job(reassign(&[taker(5, &owned, 3)])).unwrap();
    log.job(begin(5, 5, 12)).unwrap();
    assert!(log.job(begin(4, 4, 12)).is_err());
}

/// Those who were to have the segments instead come too late: the giver had them no more.
#[test]
fn what_a_giver_gave_to_a_lost_taker_is_not_given_to_others_by_it() {
    let mut log = Log::running("j");
    let owned = log.get("j").assignments[1].segments.clone();
    let (one, other) = owned.split_at(1);
    log.job(reassign(&[taker(2, &owned, 1)])).unwrap();
    log.job(gone(2, 2)).unwrap();
    log.job(reassign(&[taker(3, one, 1), taker(4, other, 1)])).unwrap();
    log.job(begin(2, 2, 5)).unwrap();
    let job = log.get("j").clone();
    assert_eq!(job.vacant(&job.assignments[2]), owned);
    assert!(job.assignments[3].is_void() && job.assignments[4].is_void());
    assert!(log.job(begin(3, 3, 9)).is_err() && log.job(begin(4, 3, 9)).is_err(), "none is left");
    let told: Vec<_> = job.events.iter().map(|event| event.what.as_str()).collect();
    let text = "shard 4 lost after frame 0: shard 1 had given its segments to shard 2 before";
    assert!(told.contains(&text), "{told:?}");
    log.job(reassign(&[taker(5, other, 2)])).unwrap();
}

/// It was to have more than the first one, and had none of it when the giver gave.
#[test]
fn who_was_lost_before_it_began_holds_what_no_other_has_begun_with() {
    let mut log = Log::running("j");
    let owned = log.get("j").assignments[1].segments.clone();
    let (one, rest) = owned.split_at(1);
    log.job(reassign(&[taker(2, one, 1)])).unwrap();
    log.job(gone(2, 2)).unwrap();
    log.job(reassign(&[taker(3, &owned, 1)])).unwrap();
    log.job(begin(2, 2, 5)).unwrap();
    log.job(begin(3, 3, 9)).unwrap();
    let job = log.get("j");
    assert_eq!(
        (job.vacant(&job.assignments[2]), job.vacant(&job.assignments[3])),
        (one.to_vec(), rest.to_vec())
    );
}

//! Tests of `codec`.

use proptest::prelude::*;

use super::*;
use crate::ledger::command::{Command, Proposal};
use crate::ledger::file::{FileCommand, Precondition, Tags};
use crate::ledger::job::{
    Begins, CursorMove, JobCommand, JobSpec, JobStatus, NewAssignment, Reserved, SealedTicks,
    Stages, TickSection, Verdict,
};
use crate::ledger::member::MemberCommand;
use crate::ledger::project::ProjectCommand;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every command, in the order of its tags: never reordered, only appended to.
fn all_commands() -> Vec<Command> {
    let member = [
        MemberCommand::Genesis {
            cluster: "c".into(),
            name: "n".to_owned(),
            expect: 3,
            min_open: 2,
            founder: "p".into(),
            founder_name: "f".to_owned(),
        },
        MemberCommand::Allocate { peer: "p".into(), name: "n".to_owned() },
        MemberCommand::Bound { raft_ids: [7, 9].into() },
        MemberCommand::Open,
        MemberCommand::Dissolve { into: "d".into() },
        MemberCommand::Remove { raft_id: 7 },
        MemberCommand::OpenNow,
        MemberCommand::Rejoin { peer: "p".into(), name: "n".to_owned(), left: 7 },
        MemberCommand::Drain { raft_id: 7, draining: true },
        MemberCommand::Standbys { raft_ids: [7].into() },
    ];
    let project =
        [ProjectCommand::Create { name: "a".into() }, ProjectCommand::Delete { name: "a".into() }];
    let (path, content) = ("f".to_owned(), "c".into());
    let file = [
        FileCommand::Put {
            project: "a".into(),
            path: path.clone(),
            content,
            size: 5,
            holders: vec![1],
            condition: Precondition { if_match: Some(Tags::Any), if_none_match: None },
        },
        FileCommand::Delete {
            project: "a".into(),
            path,
            version: Some(2),
            condition: Precondition {
                if_match: None,
                if_none_match: Some(Tags::These(vec!["c".into()])),
            },
        },
    ];
    let member = member.into_iter().map(Command::Member);
    let all = member.chain(project.into_iter().map(Command::Project));
    all.chain(file.into_iter().map(Command::File))
        .chain(job_commands().into_iter().map(Command::Job))
        .collect()
}

fn job_commands() -> Vec<JobCommand> {
    let id = || "j".into();
    let text = || "t".to_owned();
    let verdict = Verdict::default();
    let sealed = SealedTicks { from: 1, to: 2, content: "c".into() };
    let spec = JobSpec { simulation: text(), seed: 9, ..JobSpec::default() };
    let stages = || Stages { began_us: vec![Some(1), None], known_us: 2 };
    let reserved = Reserved { shard: 1, epoch: 2, numbers: vec![3, 4], stages: stages() };
    let section = TickSection {
        job: id(),
        cursors: vec![CursorMove { shard: 1, epoch: 2, from: 3, to: 4 }],
        payload: vec![1, 2],
        reserved: vec![reserved],
    };
    let artifacts = std::collections::BTreeMap::new();
    let new = NewAssignment { shard: 4, node: "n".into(), segments: vec![6], takes_over: Some(1) };
    let begins = Begins { at_us: 7, records: vec![8], unseen: 1, stages: stages() };
    vec![
        JobCommand::Submit { id: id(), project: "a".into(), spec },
        JobCommand::Prepare { id: id(), assignments: vec![] },
        JobCommand::Requeue { id: id(), reason: text(), failed: true },
        JobCommand::Start { id: id(), start_at: 5, plan: text() },
        JobCommand::Ticks { sections: vec![section] },
        JobCommand::ShardDone { id: id(), shard: 1, epoch: 2, final_seq: 3, completed: true },
        JobCommand::ShardLost { id: id(), shard: 1, epoch: 2, reason: text() },
        JobCommand::Finalize { id: id() },
        JobCommand::Finish {
            id: id(),
            status: JobStatus::Finished,
            verdict,
            artifacts,
            digest: None,
        },
        JobCommand::Abort { id: id(), reason: text() },
        JobCommand::Seal { id: id(), sealed },
        JobCommand::Note { id: id(), what: text() },
        JobCommand::Reassign { id: id(), assignments: vec![new] },
        JobCommand::Begin { id: id(), shard: 4, epoch: 5, begins },
        JobCommand::Load { id: id(), factor: Some(2_000), paused: Some(true) },
        JobCommand::LoadAt { id: id(), change: 2, at_us: 7 },
    ]
}

/// The bytes of every command are pinned: a change here is a change of what is on disks.
#[test]
fn golden_bytes_of_every_command() {
    let golden = include_str!("golden.txt");
    let mut lines = String::new();
    for command in all_commands() {
        let bytes = encode(kind::PROPOSAL, &command).unwrap();
        assert_eq!(decode::<Command>(kind::PROPOSAL, &bytes).unwrap(), command);
        lines.push_str(&hex(&bytes));
        lines.push('\n');
    }
    assert_eq!(lines, golden);
}

fn sample() -> Vec<u8> {
    let command = Command::Member(MemberCommand::Bound { raft_ids: [7].into() });
    encode(kind::PROPOSAL, &Proposal { at: 1, by: "x".into(), command }).unwrap()
}

fn read(bytes: &[u8]) -> Result<Proposal, Error> {
    decode(kind::PROPOSAL, bytes)
}

#[test]
fn what_is_wrong_is_said() {
    let whole = sample();
    assert!(read(&whole).is_ok());
    assert_eq!(read(&whole[..5]), Err(Error::Short { found: 5, needed: 12 }));
    let body = whole.len() - HEADER_BYTES;
    let short = Error::Short { found: body - 1, needed: body };
    assert_eq!(read(&whole[..whole.len() - 1]), Err(short));
    assert_eq!(read(&[whole.clone(), vec![0]].concat()), Err(Error::Trailing(1)));
    assert_eq!(read(&[b"XX", &whole[2..]].concat()), Err(Error::Magic));
    let other = decode::<Proposal>(kind::VOTE, &whole);
    assert_eq!(other, Err(Error::Kind { expected: kind::VOTE, found: kind::PROPOSAL }));
    let longer = encode(kind::PROPOSAL, &(1_u64, 2_u64)).unwrap();
    assert_eq!(decode::<u64>(kind::PROPOSAL, &longer), Err(Error::Trailing(8)));
    let large = encode_with::<4, _>(kind::PROPOSAL, &1_u64);
    assert_eq!(large, Err(Error::TooLarge { size: 8, max: 4 }));
    let announced = encode(kind::PROPOSAL, &vec![0_u8; 100]).unwrap();
    let refused = decode_with::<50, Vec<u8>>(kind::PROPOSAL, &announced);
    assert_eq!(refused, Err(Error::TooLarge { size: 108, max: 50 }));
}

/// Any single flipped bit is found.
#[test]
fn every_flipped_bit_is_found() {
    let whole = sample();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bytes).is_err(), "bit {bit}");
    }
}

/// A length inside the body that promises more than there is costs no memory.
#[test]
fn a_huge_length_inside_is_refused() {
    let bytes = encode(kind::PROPOSAL, &u64::MAX).unwrap();
    assert!(matches!(decode::<Vec<u64>>(kind::PROPOSAL, &bytes), Err(Error::Body(_))));
}

proptest! {
    #[test]
    fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let whole = [&sample()[..HEADER_BYTES], &bytes].concat();
        let _ = read(&whole);
    }
}

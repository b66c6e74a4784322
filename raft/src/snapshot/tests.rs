//! Tests of `snapshot`.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::sync::Arc;

use futures::stream;
use openraft::entry::RaftEntry;
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, RaftSnapshotBuilder};

use super::file::load;
use super::*;
use crate::file_error::FileError;
use crate::ledger::command::{Command, Proposal};
use crate::ledger::member::MemberCommand;
use crate::records::{Entry, LeaderId, LogId};
use crate::space::Reserve;

fn entry(index: u64) -> Entry {
    let log_id = LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index };
    let command = Command::Member(MemberCommand::Genesis {
        cluster: "c".into(),
        name: "test".to_owned(),
        expect: 1,
        min_open: 1,
        founder: "p".into(),
        founder_name: "n".to_owned(),
    });
    Entry::new(log_id, EntryPayload::Normal(Proposal { at: 1, by: "x".into(), command }))
}

fn open(dir: &std::path::Path) -> (Machine, Vec<FileError>) {
    let reserve = Arc::new(Reserve::open(dir));
    Machine::open(Folder::open(dir).unwrap(), reserve).unwrap()
}

async fn apply(machine: &mut Machine, index: u64) {
    machine.apply(stream::iter([Ok((entry(index), None))])).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_round_trip_keeps_the_digest() {
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, _) = open(dir.path());
    apply(&mut machine, 1).await;
    let first = machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    apply(&mut machine, 2).await;
    let second = machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    assert!(!first.snapshot.path.exists(), "the older one is deleted");
    assert!(second.snapshot.path.ends_with("1-1-2.osn"));

    fs::write(dir.path().join("tmp/left-over"), b"x").unwrap();
    let (mut again, damaged) = open(dir.path());
    assert!(damaged.is_empty() && !dir.path().join("tmp/left-over").exists());
    let digest = |machine: &Machine| machine.published().ledger.load().digest().unwrap();
    assert_eq!(digest(&again), digest(&machine));
    assert_eq!(again.applied_state().await.unwrap(), machine.applied_state().await.unwrap());

    // Installed elsewhere: the source stays.
    let other_dir = tempfile::tempdir().unwrap();
    let (mut other, _) = open(other_dir.path());
    let source = second.snapshot.path.clone();
    other.install_snapshot(&second.meta, second.snapshot).await.unwrap();
    assert!(source.exists());
    assert_eq!(digest(&other), digest(&machine));
}

#[tokio::test]
async fn a_damaged_snapshot_is_named_and_an_older_one_used() {
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, _) = open(dir.path());
    apply(&mut machine, 1).await;
    let old = machine.get_snapshot_builder().await.build_snapshot().await.unwrap().snapshot.path;
    let whole = fs::read(&old).unwrap();
    for (n, bytes) in
        [whole[..whole.len() - 1].to_vec(), whole[..10].to_vec(), vec![]].into_iter().enumerate()
    {
        let path = dir.path().join(format!("1-1-{}.osn", n + 5));
        fs::write(&path, bytes).unwrap();
        assert!(load(&path).is_err());
    }
    for at in [0, 5, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let path = dir.path().join("1-1-9.osn");
        fs::write(&path, bytes).unwrap();
        let Err(error) = load(&path) else { panic!("byte {at}") };
        assert!(
            error
                .to_string()
                .ends_with("1-1-9.osn: checksum mismatch: the snapshot is damaged or cut short")
        );
    }
    let (machine, damaged) = open(dir.path());
    assert_eq!(machine.snapshot_index(), Some(1));
    assert_eq!(damaged.len(), 4);
}

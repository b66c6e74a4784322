//! Tests of `log`.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::{OneshotReceiverOf, OneshotSenderOf};
use openraft::{Membership, RaftLogReader, StorageError};
use redb::{ReadableDatabase, ReadableTable};
use tempfile::TempDir;

use super::store::LogStore;
use super::{READ_BYTES_MAX, disk};
use crate::codec;
use crate::ledger::command::{Command, Proposal};
use crate::ledger::project::ProjectCommand;
use crate::records::{Entry, LeaderId, LogId, TypeConfig, Vote};
use crate::snapshot::{Folder, Machine};

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let log = LogStore::open(dir.path(), 0).unwrap();
        let folder = Folder::open(&dir.path().join("snap")).unwrap();
        let (machine, damaged) = Machine::open(folder, Arc::clone(log.reserve())).unwrap();
        assert!(damaged.is_empty());
        Ok((dir, log, machine))
    }
}

/// The judge of any Raft store: openraft's own suite, on real files.
#[test]
fn openraft_storage_suite() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(Builder)).unwrap();
}

fn id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 1 }, index }
}

fn blank(term: u64, index: u64) -> Entry {
    Entry::new_blank(id(term, index))
}

fn command(term: u64, index: u64, bytes: usize) -> Entry {
    let command = Command::Project(ProjectCommand::Create { name: "p".into() });
    let proposal = Proposal { at: index, by: "x".repeat(bytes).as_str().into(), command };
    Entry::new(id(term, index), openraft::EntryPayload::Normal(proposal))
}

type Flushed = Result<(), std::io::Error>;

fn signal() -> (OneshotSenderOf<TypeConfig, Flushed>, OneshotReceiverOf<TypeConfig, Flushed>) {
    TypeConfig::oneshot()
}

async fn append(log: &mut LogStore, entries: Vec<Entry>) {
    let (flushed, done) = signal();
    log.append(entries, IOFlushed::signal(flushed)).await.unwrap();
    done.await.unwrap().unwrap();
}

async fn indices(log: &mut LogStore) -> Vec<u64> {
    let entries = log.try_get_log_entries(0..).await.unwrap();
    entries.iter().map(|entry| entry.log_id.index).collect()
}

fn reopen(dir: &Path, log: &LogStore) -> LogStore {
    log.close();
    LogStore::open(dir, 1).unwrap()
}

#[tokio::test]
async fn everything_survives_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open(dir.path(), 1).unwrap();
    let vote = Vote::new_committed(3, 1);
    log.save_vote(&vote).await.unwrap();
    let voters = Membership::new_with_defaults(vec![BTreeSet::from([1, 2])], []);
    let membership = Entry::new(id(3, 1), openraft::EntryPayload::Membership(voters));
    append(&mut log, vec![blank(3, 0), membership, command(3, 2, 10), blank(3, 3)]).await;
    log.save_committed(Some(id(3, 2))).await.unwrap();
    let before = log.try_get_log_entries(0..).await.unwrap();

    let mut log = reopen(dir.path(), &log);
    assert_eq!(log.try_get_log_entries(0..).await.unwrap(), before);
    assert_eq!(log.read_vote().await.unwrap(), Some(vote));
    assert_eq!(log.read_committed().await.unwrap(), Some(id(3, 2)));
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(id(3, 3)));
    log.close();
}

#[tokio::test]
async fn truncation_and_purge_survive_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open(dir.path(), 1).unwrap();
    log.save_vote(&Vote::new_committed(9, 1)).await.unwrap();
    append(&mut log, (0..10).map(|i| blank(1, i)).collect()).await;
    log.truncate_after(Some(id(1, 6))).await.unwrap();
    assert_eq!(indices(&mut log).await, [0, 1, 2, 3, 4, 5, 6]);
    append(&mut log, vec![blank(2, 7), blank(2, 8)]).await;
    log.purge(id(1, 3)).await.unwrap();
    assert_eq!(indices(&mut log).await, [4, 5, 6, 7, 8]);

    let mut log = reopen(dir.path(), &log);
    assert_eq!(indices(&mut log).await, [4, 5, 6, 7, 8]);
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(id(1, 3)), Some(id(2, 8))));

    // hiqlite-wal once lost `last_purged` when everything was truncated.
    log.truncate_after(None).await.unwrap();
    let mut log = reopen(dir.path(), &log);
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(id(1, 3)), Some(id(1, 3))));
    append(&mut log, vec![blank(3, 4)]).await;

    // A snapshot from the leader is ahead of the whole log.
    log.purge(id(5, 100)).await.unwrap();
    append(&mut log, vec![blank(5, 101)]).await;
    let mut log = reopen(dir.path(), &log);
    assert_eq!(indices(&mut log).await, [101]);
    log.close();
}

/// A copy of the file taken while the writer works opens, without holes, and holds everything that
/// was called back. (It shows what the process wrote, not what a power loss would leave: the copy
/// reads through the page cache.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_taken_at_any_time_holds_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open(dir.path(), 1).unwrap();
    log.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    for round in 0..20_u64 {
        append(&mut log, vec![command(1, round * 3, 50)]).await;
        let (flushed, _pending) = signal();
        let more = vec![command(1, round * 3 + 1, 2_000), blank(1, round * 3 + 2)];
        log.append(more, IOFlushed::signal(flushed)).await.unwrap();
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(dir.path().join(disk::LOG_FILE), copy.path().join(disk::LOG_FILE)).unwrap();
        match LogStore::open(copy.path(), 1) {
            Ok(mut found) => {
                let held = indices(&mut found).await;
                assert!(held.len() as u64 > round * 3, "round {round}: {held:?}");
                assert!(held.iter().copied().eq(0..held.len() as u64));
                found.close();
            }
            Err(error) => panic!("round {round}: {error}"),
        }
    }
    log.close();
}

#[tokio::test]
async fn reads_are_bounded_but_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open(dir.path(), 1).unwrap();
    log.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    let big = READ_BYTES_MAX / 2 - 4_096;
    append(&mut log, vec![command(1, 0, READ_BYTES_MAX * 2)]).await;
    append(&mut log, (1..6).map(|i| command(1, i, big)).collect()).await;
    for _ in 0..2 {
        assert_eq!(log.limited_get_log_entries(0, 6).await.unwrap().len(), 1);
        assert_eq!(log.limited_get_log_entries(1, 6).await.unwrap().len(), 2);
        assert_eq!(log.limited_get_log_entries(5, 6).await.unwrap().len(), 1);
        assert_eq!(indices(&mut log).await, [0, 1, 2, 3, 4, 5]);
        log = reopen(dir.path(), &log);
    }
    log.close();
}

/// More than the tail keeps: the oldest are read from disk, without a seam.
#[tokio::test]
async fn many_large_entries_are_read_across_tail_and_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open(dir.path(), 1).unwrap();
    log.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    for i in 0..40 {
        append(&mut log, vec![command(1, i, 900_000)]).await;
    }
    assert_eq!(indices(&mut log).await, (0..40).collect::<Vec<_>>());
    let some = log.try_get_log_entries(15..33).await.unwrap();
    assert_eq!(some.first().unwrap().log_id.index, 15);
    assert_eq!(some.len(), 18);
    log.close();
}

/// Changes one record behind the store's back, keeping the file itself valid.
fn tamper(
    dir: &Path,
    table: redb::TableDefinition<'_, u64, &[u8]>,
    key: u64,
    new: Option<Vec<u8>>,
) {
    let database = redb::Database::open(dir.join(disk::LOG_FILE)).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(table).unwrap();
        match new {
            Some(bytes) => drop(table.insert(key, bytes.as_slice()).unwrap()),
            None => drop(table.remove(key).unwrap()),
        }
    }
    write.commit().unwrap();
}

fn stored(dir: &Path, table: redb::TableDefinition<'_, u64, &[u8]>, key: u64) -> Vec<u8> {
    let database = redb::Database::open(dir.join(disk::LOG_FILE)).unwrap();
    let read = database.begin_read().unwrap();
    let table = read.open_table(table).unwrap();
    assert!(table.first().unwrap().is_some());
    table.get(key).unwrap().unwrap().value().to_vec()
}

fn refused(dir: &Path) -> String {
    let Err(error) = LogStore::open(dir, 1) else { panic!("it opened") };
    assert!(error.path.ends_with("log.redb"));
    error.why
}

async fn sample() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open(dir.path(), 1).unwrap();
    log.save_vote(&Vote::new_committed(3, 1)).await.unwrap();
    append(&mut log, (0..6).map(|i| command(3, i, 20)).collect()).await;
    log.close();
    dir
}

#[tokio::test]
async fn a_changed_record_is_named() {
    let dir = sample().await;
    let mut bytes = stored(dir.path(), disk::ENTRIES, 4);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    tamper(dir.path(), disk::ENTRIES, 4, Some(bytes));
    let why = refused(dir.path());
    assert!(why.starts_with("entry 4: checksum mismatch"), "{why}");

    let dir = sample().await;
    tamper(dir.path(), disk::ENTRIES, 2, None);
    let why = refused(dir.path());
    assert_eq!(why, "entry 2 is missing; index 3 of term 3 by node 1 is there");

    let dir = sample().await;
    let bytes = stored(dir.path(), disk::META, disk::key::VOTE);
    tamper(dir.path(), disk::META, disk::key::VOTE, Some(bytes[..bytes.len() - 3].to_vec()));
    let why = refused(dir.path());
    assert!(why.starts_with("record vote: "), "{why}");

    let dir = sample().await;
    tamper(dir.path(), disk::META, disk::key::VOTE, None);
    let why = refused(dir.path());
    assert!(why.starts_with("the vote (term 0) is older than the log (term 3)"), "{why}");

    let dir = sample().await;
    let mut bytes = stored(dir.path(), disk::ENTRIES, 5);
    bytes[3] = codec::VERSION + 1;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[2..8]), &bytes[codec::HEADER_BYTES..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    tamper(dir.path(), disk::ENTRIES, 5, Some(bytes));
    let why = refused(dir.path());
    assert!(why.contains("entry 5: written in format 2"), "{why}");
}

#[tokio::test]
async fn another_nodes_log_and_a_log_in_use_are_refused() {
    let dir = sample().await;
    let Err(error) = LogStore::open(dir.path(), 7) else { panic!("it opened") };
    assert_eq!(error.why, "it belongs to node 1; this is node 7");

    let log = LogStore::open(dir.path(), 1).unwrap();
    let path = dir.path().to_owned();
    let second = tokio::task::spawn_blocking(move || refused(&path)).await.unwrap();
    assert_eq!(second, "another process uses it");
    log.close();
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_refused_with_its_name() {
    let dir = sample().await;
    let path = dir.path().join(disk::LOG_FILE);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"not a database at all").unwrap();
    assert!(refused(dir.path()).contains("cannot be opened"));
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let why = refused(dir.path());
    assert!(why.contains("cannot be opened") || why.contains("damaged"), "{why}");
}

/// A power loss while the file was made leaves a part of it beside: the next start makes it anew.
#[tokio::test]
async fn a_log_that_was_half_made_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log.new"), vec![0; 4_096]).unwrap();
    let mut log = LogStore::open(dir.path(), 1).unwrap();
    assert_eq!(indices(&mut log).await, Vec::<u64>::new());
    log.close();
    assert!(!dir.path().join("log.new").is_file());
}

/// After an error on disk nothing is acknowledged any more, and the node hears of it.
#[tokio::test]
async fn a_closed_log_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open(dir.path(), 1).unwrap();
    log.close();
    assert!(log.save_vote(&Vote::new(1, 1)).await.is_err());
    let (flushed, done) = signal();
    assert!(log.append(vec![blank(1, 0)], IOFlushed::signal(flushed)).await.is_err());
    let answer = tokio::time::timeout(Duration::from_secs(5), done).await.unwrap();
    assert!(!matches!(answer, Ok(Ok(()))));
}

//! What a power loss and a failing disk leave: the log over a storage that keeps only what was
//! synced, and of the rest whatever a disk happened to have written, sector by sector.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use redb::{Database, StorageBackend};

use super::store::LogStore;
use crate::file_error::FileError;
use crate::ledger::command::{Command, Proposal};
use crate::ledger::project::ProjectCommand;
use crate::records::{Entry, LeaderId, LogId, TypeConfig, Vote};
use crate::space::Reserve;

/// What a disk writes at once or not at all.
const SECTOR_BYTES: usize = 512;
const PATH: &str = "/disk/raft/log.redb";

#[derive(Clone, Debug)]
enum Unsynced {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug, Default)]
struct Platter {
    /// As the process sees it.
    now: Vec<u8>,
    /// As of the last sync.
    durable: Vec<u8>,
    /// What came since, oldest first.
    unsynced: Vec<Unsynced>,
}

impl Platter {
    /// What is found after the power was lost: of the writes since the last sync, each sector is
    /// there or not.
    fn after_power_loss(&self, rng: &mut SmallRng) -> Vec<u8> {
        let mut found = self.durable.clone();
        for change in &self.unsynced {
            match change {
                Unsynced::Length(len) if rng.random_bool(0.5) => found.resize(*len, 0),
                Unsynced::Length(_) => {}
                Unsynced::Write { at, bytes } => {
                    for (sector, part) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        let from = at + sector * SECTOR_BYTES;
                        let inside = from + part.len() <= found.len();
                        if inside && rng.random_bool(0.5) {
                            found[from..from + part.len()].copy_from_slice(part);
                        }
                    }
                }
            }
        }
        found
    }
}

#[derive(Debug, Default)]
struct Faults {
    platter: Platter,
    /// Changes and syncs so far.
    operations: u64,
    /// The power goes before this operation.
    power_loss_at: Option<u64>,
    /// What was on the disk then, and how many steps had been acknowledged.
    lost: Option<(Platter, u64)>,
    syncs: u64,
    /// This sync fails, and what it should have kept is gone, as on Linux.
    failing_sync: Option<u64>,
}

/// A disk in memory, with faults. Clones share it.
#[derive(Clone, Debug, Default)]
struct Disk {
    faults: Arc<Mutex<Faults>>,
    acknowledged: Arc<AtomicU64>,
}

impl Disk {
    fn with(content: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.faults().platter =
            Platter { now: content.clone(), durable: content, unsynced: Vec::new() };
        disk
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }

    fn log(&self) -> Result<LogStore, FileError> {
        let path = Path::new(PATH);
        LogStore::over(path, 1, &Arc::new(Reserve::open(Path::new("/disk"))), || {
            Database::builder()
                .create_with_backend(self.clone())
                .map_err(|error| FileError::new(path, error))
        })
    }

    /// One operation begins.
    fn operation(&self) -> MutexGuard<'_, Faults> {
        let mut faults = self.faults();
        if faults.power_loss_at == Some(faults.operations) {
            let acknowledged = self.acknowledged.load(Ordering::SeqCst);
            faults.lost = Some((faults.platter.clone(), acknowledged));
        }
        faults.operations += 1;
        faults
    }
}

fn out_of_range() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.faults().platter.now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let (from, faults) = (usize::try_from(offset).unwrap(), self.faults());
        let found = faults.platter.now.get(from..from + out.len());
        out.copy_from_slice(found.ok_or_else(out_of_range)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let (len, mut faults) = (usize::try_from(len).unwrap(), self.operation());
        faults.platter.now.resize(len, 0);
        faults.platter.unsynced.push(Unsynced::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut faults = self.operation();
        faults.syncs += 1;
        if faults.failing_sync == Some(faults.syncs) {
            faults.platter.unsynced.clear();
            return Err(io::Error::other("the disk failed to sync"));
        }
        faults.platter.durable = faults.platter.now.clone();
        faults.platter.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let (at, mut faults) = (usize::try_from(offset).unwrap(), self.operation());
        let place = faults.platter.now.get_mut(at..at + data.len());
        place.ok_or_else(out_of_range)?.copy_from_slice(data);
        faults.platter.unsynced.push(Unsynced::Write { at, bytes: data.to_vec() });
        Ok(())
    }
}

/// What a log holds, as far as Raft depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    vote: Option<u64>,
    committed: Option<u64>,
    purged: Option<u64>,
    /// Index and term.
    entries: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Vote(u64),
    /// Entries `from..to` of a term, of so many bytes each; waited for or not.
    Append {
        term: u64,
        from: u64,
        to: u64,
        bytes: usize,
        wait: bool,
    },
    Committed(u64),
    TruncateAfter(u64),
    Purge(u64),
}

/// A follower's life in short: two leaders, a conflict, a snapshot.
const STEPS: [Step; 13] = [
    Step::Vote(1),
    Step::Append { term: 1, from: 0, to: 3, bytes: 40, wait: true },
    Step::Committed(2),
    Step::Append { term: 1, from: 3, to: 6, bytes: 3_000, wait: false },
    Step::Append { term: 1, from: 6, to: 8, bytes: 40, wait: true },
    Step::Vote(2),
    Step::TruncateAfter(4),
    Step::Append { term: 2, from: 5, to: 8, bytes: 20_000, wait: true },
    Step::Committed(6),
    Step::Purge(3),
    Step::Append { term: 2, from: 8, to: 9, bytes: 300_000, wait: false },
    Step::Append { term: 2, from: 9, to: 12, bytes: 40, wait: true },
    Step::Vote(3),
];

fn id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 1 }, index }
}

fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    let command = Command::Project(ProjectCommand::Create { name: "p".into() });
    let proposal = Proposal { at: index, by: "x".repeat(bytes).as_str().into(), command };
    Entry::new(id(term, index), openraft::EntryPayload::Normal(proposal))
}

impl Content {
    fn after(mut self, step: Step) -> Self {
        match step {
            Step::Vote(term) => self.vote = Some(term),
            Step::Append { term, from, to, .. } => {
                self.entries.extend((from..to).map(|index| (index, term)));
            }
            Step::Committed(index) => self.committed = Some(index),
            Step::TruncateAfter(last) => self.entries.retain(|(index, _)| *index <= last),
            Step::Purge(upto) => {
                self.purged = Some(upto);
                self.entries.retain(|(index, _)| *index > upto);
            }
        }
        self
    }

    async fn of(log: &mut LogStore) -> Self {
        let state = log.get_log_state().await.unwrap();
        let entries = log.try_get_log_entries(0..).await.unwrap();
        Self {
            vote: log.read_vote().await.unwrap().map(|vote| vote.leader_id.term),
            committed: log.read_committed().await.unwrap().map(|id| id.index),
            purged: state.last_purged_log_id.map(|id| id.index),
            entries: entries.iter().map(|e| (e.log_id.index, e.log_id.leader_id.term)).collect(),
        }
    }
}

/// Whether it was acknowledged that the step, and all before it, are durable.
async fn carry_out(log: &mut LogStore, step: Step) -> io::Result<bool> {
    match step {
        Step::Vote(term) => log.save_vote(&Vote::new_committed(term, 1)).await.map(|()| true),
        Step::Append { term, from, to, bytes, wait } => {
            let (flushed, done) = TypeConfig::oneshot();
            let entries: Vec<Entry> = (from..to).map(|index| entry(term, index, bytes)).collect();
            log.append(entries, IOFlushed::signal(flushed)).await?;
            if wait {
                done.await.map_err(io::Error::other)??;
            }
            Ok(wait)
        }
        Step::Committed(index) => log.save_committed(Some(id(1, index))).await.map(|()| false),
        Step::TruncateAfter(last) => log.truncate_after(Some(id(1, last))).await.map(|()| false),
        Step::Purge(upto) => log.purge(id(1, upto)).await.map(|()| false),
    }
}

/// All steps; how many were acknowledged is noted on the disk. Ends at the first error.
async fn live(disk: &Disk, log: &mut LogStore) -> io::Result<()> {
    for (number, step) in (1..).zip(STEPS) {
        if carry_out(log, step).await? {
            disk.acknowledged.store(number, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// Contents after 0, 1, 2 … steps.
fn contents() -> Vec<Content> {
    let mut all = vec![Content::default()];
    for step in STEPS {
        all.push(all[all.len() - 1].clone().after(step));
    }
    all
}

/// The log that is found on this disk is the one after some number of steps, and not before what
/// was acknowledged.
async fn assert_survived(found: Vec<u8>, acknowledged: u64, story: &str) {
    let mut log = match Disk::with(found).log() {
        Ok(log) => log,
        Err(error) => panic!("{story}: {error}"),
    };
    let content = Content::of(&mut log).await;
    let at_least = usize::try_from(acknowledged).unwrap();
    assert!(
        contents()[at_least..].contains(&content),
        "{story}: {acknowledged} steps were acknowledged, found {content:?}"
    );
    log.close();
}

/// The power goes before each operation on the disk in turn; each time, what was acknowledged is
/// found again, in order and without holes.
#[tokio::test]
async fn what_was_acknowledged_survives_a_power_loss_at_any_moment() {
    let mut losses = 0;
    for moment in 0.. {
        // A log that was made: making one is done aside, in `disk`.
        let disk = Disk::default();
        disk.log().unwrap().close();
        let made = disk.faults().operations;
        disk.faults().power_loss_at = Some(made + moment);
        let mut log = disk.log().unwrap();
        live(&disk, &mut log).await.unwrap();
        log.close();
        let Some((platter, acknowledged)) = disk.faults().lost.take() else { break };
        losses += 1;
        for seed in 0..3 {
            let found = platter.after_power_loss(&mut SmallRng::seed_from_u64(moment * 3 + seed));
            let story = format!("before operation {moment}, seed {seed}");
            assert_survived(found, acknowledged, &story).await;
        }
    }
    assert!(losses > 2 * STEPS.len(), "{losses} moments");
}

/// Each sync fails once: whatever it was for is refused with the reason, nothing is acknowledged
/// after it, and what was acknowledged before is found again.
#[tokio::test]
async fn a_failed_sync_is_loud_and_final() {
    let mut failures = 0;
    for sync in 1.. {
        let disk = Disk::default();
        disk.faults().failing_sync = Some(sync);
        // A sync of the opening itself: it says so, and nothing is open.
        let Ok(mut log) = disk.log() else { continue };
        let lived = live(&disk, &mut log).await;
        if disk.faults().syncs < sync {
            log.close();
            break;
        }
        failures += 1;
        // Only the last steps are not waited for: their sync may fail after the life was over.
        let mut poisoned = log.poisoned();
        let why = tokio::time::timeout(Duration::from_secs(10), poisoned.wait_for(Option::is_some));
        let why = why.await.unwrap().unwrap().clone().unwrap();
        assert!(why.starts_with(PATH) && why.contains("failed to sync"), "{why}");
        let error = lived.unwrap_err().to_string();
        assert!(error.contains("failed to sync"), "sync {sync}: {error}");

        let (flushed, done) = TypeConfig::oneshot();
        let appended = log.append([entry(9, 90, 1)], IOFlushed::signal(flushed)).await;
        let text = appended.unwrap_err().to_string();
        assert!(text.contains("nothing is written any more since an error"), "{text}");
        assert!(done.await.is_err(), "never called back");
        assert!(log.save_vote(&Vote::new(9, 1)).await.is_err());
        log.close();

        let acknowledged = disk.acknowledged.load(Ordering::SeqCst);
        let durable = disk.faults().platter.durable.clone();
        assert_survived(durable, acknowledged, &format!("sync {sync} failed")).await;
    }
    assert!(failures > STEPS.len(), "{failures} syncs");
}

//! The file: tables, keys, opening and its checks. Everything found wrong names file and record.

use std::any::Any;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::CACHE_BYTES;
use super::backend::Backend;
use crate::codec::{self, kind};
use crate::file_error::FileError;
use crate::records::{EntryRec, LogIdRec, VoteRec};
use crate::space::Reserve;
use crate::types::RaftId;

pub(crate) const LOG_FILE: &str = "log.redb";
pub(super) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
pub(super) const META: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("meta");

/// Keys of [`META`]; never reused.
pub(super) mod key {
    pub(crate) const NODE: u64 = 1;
    pub(crate) const VOTE: u64 = 2;
    pub(crate) const COMMITTED: u64 = 3;
    pub(crate) const PURGED: u64 = 4;
}

/// How long another user of the file, such as one that is being shut down, is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// What the file holds beside entries, and its first and last entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) vote: Option<VoteRec>,
    pub(super) committed: Option<LogIdRec>,
    pub(super) purged: Option<LogIdRec>,
    pub(super) last: Option<LogIdRec>,
}

/// Opens or creates what `storage` gives as the log of `node`, and checks every record of it.
pub(super) fn open(
    path: &Path,
    node: RaftId,
    storage: impl FnOnce() -> Result<Database, FileError>,
) -> Result<(Arc<Database>, Found), FileError> {
    // A damaged page may surface as a panic of the storage engine; it must become a message.
    let checked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let database = storage()?;
        let found = check(path, &database, node)?;
        Ok((Arc::new(database), found))
    }));
    checked.unwrap_or_else(|panic| {
        Err(FileError::new(path, format!("the file is damaged: {}", panic_text(panic.as_ref()))))
    })
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    text.unwrap_or_else(|| "unreadable".to_owned())
}

/// The file itself. Its folder is synced too, and the folder's own entry: a new file that a power
/// loss takes away would be a log that forgot its vote.
pub(super) fn open_file(path: &Path, reserve: &Arc<Reserve>) -> Result<Database, FileError> {
    if !path.is_file() {
        make(path, reserve)?;
    }
    let database = wait_for(path, reserve)?;
    let folders = path.ancestors().skip(1).take(2);
    for folder in folders.filter(|folder| !folder.as_os_str().is_empty()) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| FileError::new(folder, format!("cannot be synced: {error}")))?;
    }
    Ok(database)
}

/// A new file is made beside and renamed: one cut short by a power loss would never open again.
fn make(path: &Path, reserve: &Arc<Reserve>) -> Result<(), FileError> {
    let beside = path.with_extension("new");
    let fail =
        |why: &dyn std::fmt::Display| FileError::new(&beside, format!("cannot be made: {why}"));
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(&error)),
        _ => {}
    }
    drop(create(&beside, reserve).map_err(|error| fail(&error))?);
    let synced = File::open(&beside).and_then(|file| file.sync_all());
    synced.and_then(|()| std::fs::rename(&beside, path)).map_err(|error| fail(&error))
}

fn create(path: &Path, reserve: &Arc<Reserve>) -> Result<Database, redb::DatabaseError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.create_with_backend(Backend::open(path, Arc::clone(reserve))?)
}

fn wait_for(path: &Path, reserve: &Arc<Reserve>) -> Result<Database, FileError> {
    let started = Instant::now();
    loop {
        match create(path, reserve) {
            Ok(database) => return Ok(database),
            Err(redb::DatabaseError::DatabaseAlreadyOpen) if started.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(FileError::new(path, "another process uses it"));
            }
            Err(error) => return Err(FileError::new(path, format!("cannot be opened: {error}"))),
        }
    }
}

fn check(path: &Path, database: &Database, node: RaftId) -> Result<Found, FileError> {
    let bad = |error: &dyn std::fmt::Display| FileError::new(path, error);
    // A log that is there is only read: on a full disk, too, a node must start.
    if is_new(database).map_err(|error| bad(&error))? {
        prepare(database, node).map_err(|error| bad(&error))?;
    }
    let read = database.begin_read().map_err(|error| bad(&error))?;
    let meta = read.open_table(META).map_err(|error| bad(&error))?;
    let get = |key: u64| -> Result<Option<Vec<u8>>, FileError> {
        let value = meta.get(key).map_err(|error| bad(&error))?;
        Ok(value.map(|value| value.value().to_vec()))
    };
    let owner: Option<RaftId> = decode(path, "node", kind::LOG_ID, get(key::NODE)?)?;
    if owner != Some(node) {
        let owner = owner.map_or_else(|| "nobody".to_owned(), |id| format!("node {id}"));
        return Err(bad(&format!("it belongs to {owner}; this is node {node}")));
    }
    let mut found = Found {
        vote: decode(path, "vote", kind::VOTE, get(key::VOTE)?)?,
        committed: decode(path, "committed", kind::LOG_ID, get(key::COMMITTED)?)?,
        purged: decode(path, "purged", kind::LOG_ID, get(key::PURGED)?)?,
        last: None,
    };
    found.last = found.purged;
    let entries = read.open_table(ENTRIES).map_err(|error| bad(&error))?;
    for item in entries.iter().map_err(|error| bad(&error))? {
        let (index, bytes) = item.map_err(|error| bad(&error))?;
        let index = index.value();
        let entry: EntryRec = codec::decode(kind::LOG_ENTRY, bytes.value())
            .map_err(|error| bad(&format!("entry {index}: {error}")))?;
        let next = found.last.map(|last| last.index + 1);
        if entry.id.index != index || next.is_some_and(|next| next != index) {
            let next = next.unwrap_or(index);
            return Err(bad(&format!("entry {next} is missing; {} is there", entry.id)));
        }
        found.last = Some(entry.id);
    }
    let last_term = found.last.map_or(0, |last| last.term);
    if found.vote.map_or(0, |vote| vote.term) < last_term {
        let vote = found.vote.map_or(0, |vote| vote.term);
        return Err(bad(&format!(
            "the vote (term {vote}) is older than the log (term {last_term}): this node must not \
             vote again"
        )));
    }
    Ok(found)
}

fn is_new(database: &Database) -> Result<bool, redb::Error> {
    let read = database.begin_read()?;
    for missing in [read.open_table(META).err(), read.open_table(ENTRIES).err()] {
        match missing {
            None => {}
            Some(redb::TableError::TableDoesNotExist(_)) => return Ok(true),
            Some(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Creates the tables, and writes whose log it is where it is new.
fn prepare(database: &Database, node: RaftId) -> Result<(), redb::Error> {
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    {
        let entries = write.open_table(ENTRIES)?;
        let mut meta = write.open_table(META)?;
        let is_new = meta.first()?.is_none() && entries.first()?.is_none();
        if is_new && let Ok(bytes) = codec::encode(kind::LOG_ID, &node) {
            meta.insert(key::NODE, bytes.as_slice())?;
        }
    }
    write.commit()?;
    Ok(())
}

fn decode<T: serde::de::DeserializeOwned>(
    path: &Path,
    what: &str,
    kind: u8,
    bytes: Option<Vec<u8>>,
) -> Result<Option<T>, FileError> {
    let Some(bytes) = bytes else { return Ok(None) };
    let decoded = codec::decode(kind, &bytes);
    decoded.map(Some).map_err(|error| FileError::new(path, format!("record {what}: {error}")))
}

/// Entries `from..to`, at most `max` bytes of them after the first, and whether that cut it.
pub(super) fn read(
    read: &redb::ReadTransaction,
    from: u64,
    to: u64,
    max: usize,
) -> Result<(Vec<(u64, Bytes)>, bool), redb::Error> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for item in read.open_table(ENTRIES)?.range(from..to)? {
        let (index, value) = item?;
        bytes += value.value().len();
        if bytes > max && !entries.is_empty() {
            return Ok((entries, true));
        }
        entries.push((index.value(), Bytes::copy_from_slice(value.value())));
    }
    Ok((entries, false))
}

//! The file: tables, keys, opening and its checks. Everything found wrong names file and record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::CACHE_BYTES;
use crate::codec::{self, kind};
use crate::records::{EntryRec, LogIdRec, VoteRec};
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

#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub(crate) struct Error {
    pub(crate) path: PathBuf,
    pub(crate) why: String,
}

impl Error {
    pub(super) fn new(path: &Path, why: impl ToString) -> Self {
        Self { path: path.to_owned(), why: why.to_string() }
    }
}

/// What the file holds beside entries, and its first and last entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) vote: Option<VoteRec>,
    pub(super) committed: Option<LogIdRec>,
    pub(super) purged: Option<LogIdRec>,
    pub(super) last: Option<LogIdRec>,
}

/// Opens or creates the log of `node` and checks every record of it.
pub(super) fn open(dir: &Path, node: RaftId) -> Result<(Arc<Database>, Found), Error> {
    let path = dir.join(LOG_FILE);
    // A damaged page may surface as a panic of the storage engine; it must become a message.
    let checked = std::panic::catch_unwind(|| {
        let database = open_file(&path)?;
        let found = check(&path, &database, node)?;
        Ok((Arc::new(database), found))
    });
    checked.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        let text = text.unwrap_or_else(|| "unreadable".to_owned());
        Err(Error::new(&path, format!("the file is damaged: {text}")))
    })
}

fn open_file(path: &Path) -> Result<Database, Error> {
    let started = Instant::now();
    loop {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        match builder.create(path) {
            Ok(database) => return Ok(database),
            Err(redb::DatabaseError::DatabaseAlreadyOpen) if started.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(Error::new(path, "another process uses it"));
            }
            Err(error) => return Err(Error::new(path, format!("cannot be opened: {error}"))),
        }
    }
}

fn check(path: &Path, database: &Database, node: RaftId) -> Result<Found, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::new(path, error);
    prepare(database, node).map_err(|error| bad(&error))?;
    let read = database.begin_read().map_err(|error| bad(&error))?;
    let meta = read.open_table(META).map_err(|error| bad(&error))?;
    let get = |key: u64| -> Result<Option<Vec<u8>>, Error> {
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
) -> Result<Option<T>, Error> {
    let Some(bytes) = bytes else { return Ok(None) };
    let decoded = codec::decode(kind, &bytes);
    decoded.map(Some).map_err(|error| Error::new(path, format!("record {what}: {error}")))
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

//! The writer thread: takes operations in order, commits them in batches, calls back in order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use openraft::storage::IOFlushed;
use redb::Database;
use tokio::sync::oneshot;

use super::disk::{self, ENTRIES, META, key};
use super::store::Shared;
use super::{BATCH_BYTES_MAX, BATCH_OPS_MAX};
use crate::codec::{self, kind};
use crate::file_error::FileError;
use crate::records::{LogIdRec, TypeConfig, VoteRec};

pub(super) struct Op {
    pub(super) number: u64,
    pub(super) action: Action,
}

pub(super) enum Action {
    Append { entries: Vec<(u64, Bytes)>, callback: IOFlushed<TypeConfig> },
    Vote { vote: VoteRec, done: oneshot::Sender<Result<(), FileError>> },
    Committed(Option<LogIdRec>),
    Truncate { after: Option<u64> },
    Purge { upto: LogIdRec },
}

impl Action {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(|(_, bytes)| bytes.len()).sum(),
            _ => 64,
        }
    }
}

/// Runs until the log is closed and everything enqueued is written, or until the disk fails.
pub(super) fn run(shared: &Shared, database: &Arc<Database>, ops: &Receiver<Op>) {
    // The storage engine may panic over a page that the disk gives back damaged.
    let writing = std::panic::catch_unwind(AssertUnwindSafe(|| write_all(shared, database, ops)));
    if let Err(panic) = writing {
        let why = format!("the writer panicked: {}", disk::panic_text(panic.as_ref()));
        fail(shared, ops, &FileError::new(&shared.path, why));
    }
}

fn write_all(shared: &Shared, database: &Database, ops: &Receiver<Op>) {
    while let Ok(first) = ops.recv() {
        shared.busy_since.store(shared.now_ms(), Ordering::Release);
        let (mut bytes, mut batch) = (first.action.bytes(), vec![first]);
        while bytes < BATCH_BYTES_MAX && batch.len() < BATCH_OPS_MAX {
            let Ok(op) = ops.try_recv() else { break };
            bytes += op.action.bytes();
            batch.push(op);
        }
        let result = write(database, &batch);
        shared.busy_since.store(0, Ordering::Release);
        if let Err(error) = finish(shared, batch, result) {
            return fail(shared, ops, &error);
        }
    }
}

/// One transaction for the batch, in its order.
fn write(database: &Database, batch: &[Op]) -> Result<(), Box<redb::Error>> {
    let wrap = |error: redb::Error| Box::new(error);
    let mut write = database.begin_write().map_err(|error| wrap(error.into()))?;
    write.set_two_phase_commit(true);
    for op in batch {
        apply(&write, &op.action).map_err(wrap)?;
    }
    write.commit().map_err(|error| wrap(error.into()))
}

fn apply(write: &redb::WriteTransaction, action: &Action) -> Result<(), redb::Error> {
    match action {
        Action::Append { entries, .. } => {
            let mut table = write.open_table(ENTRIES)?;
            for (index, bytes) in entries {
                table.insert(*index, bytes.as_ref())?;
            }
        }
        Action::Vote { vote, .. } => put(write, key::VOTE, kind::VOTE, vote)?,
        Action::Committed(Some(committed)) => {
            put(write, key::COMMITTED, kind::LOG_ID, committed)?;
        }
        Action::Committed(None) => {
            write.open_table(META)?.remove(key::COMMITTED)?;
        }
        Action::Truncate { after } => {
            let mut table = write.open_table(ENTRIES)?;
            match after {
                Some(last) => table.retain_in(last + 1.., |_, _| false)?,
                None => table.retain(|_, _| false)?,
            }
        }
        Action::Purge { upto } => {
            write.open_table(ENTRIES)?.retain_in(..=upto.index, |_, _| false)?;
            put(write, key::PURGED, kind::LOG_ID, upto)?;
        }
    }
    Ok(())
}

fn put<T: serde::Serialize>(
    write: &redb::WriteTransaction,
    key: u64,
    kind: u8,
    value: &T,
) -> Result<(), redb::Error> {
    let bytes = codec::encode(kind, value)
        .map_err(|error| redb::Error::Io(std::io::Error::other(error.to_string())))?;
    write.open_table(META)?.insert(key, bytes.as_slice())?;
    Ok(())
}

/// Tells everyone, in order.
fn finish(
    shared: &Shared,
    batch: Vec<Op>,
    result: Result<(), Box<redb::Error>>,
) -> Result<(), FileError> {
    let result = result.map_err(|error| FileError::new(&shared.path, error));
    match (&result, batch.last()) {
        (Ok(()), Some(last)) => shared.durable(last.number),
        // Before anybody hears of it: whoever asks again is told why.
        (Err(error), _) => shared.give_up(error),
        (Ok(()), None) => {}
    }
    for op in batch {
        answer(op.action, result.as_ref().err());
    }
    result
}

fn answer(action: Action, error: Option<&FileError>) {
    match action {
        Action::Append { callback, .. } => {
            let io = |error: &FileError| std::io::Error::other(error.to_string());
            callback.io_completed(error.map_or(Ok(()), |error| Err(io(error))));
        }
        Action::Vote { done, .. } => {
            // Nobody waits any more while Raft is being shut down.
            let _ = done.send(error.map_or(Ok(()), |error| Err(error.clone())));
        }
        Action::Committed(_) | Action::Truncate { .. } | Action::Purge { .. } => {}
    }
}

/// After an error nothing is written any more: an fsync that failed once must not be retried.
fn fail(shared: &Shared, ops: &Receiver<Op>, error: &FileError) {
    shared.give_up(error);
    while let Ok(op) = ops.try_recv() {
        answer(op.action, Some(error));
    }
}

//! The store as openraft sees it: memory first, then the writer's queue.

use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::{oneshot, watch};

use super::tail::Tail;
use super::writer::{self, Action, Op};
use super::{QUEUE_MAX, READ_BYTES_MAX, disk};
use crate::codec::{self, kind};
use crate::file_error::FileError;
use crate::records::{Entry, EntryRec, LogId, LogIdRec, TypeConfig, Vote, VoteRec};
use crate::space::{self, Reserve, Room, Space};
use crate::types::RaftId;

/// Clones share one log.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) path: PathBuf,
    memory: Mutex<Memory>,
    /// When the writer began its present batch, milliseconds since `started`; 0: it is idle.
    pub(super) busy_since: AtomicU64,
    /// Bytes of entries appended in this life.
    appended: AtomicU64,
    reserve: Arc<Reserve>,
    /// What the reserve should hold.
    reserve_target: AtomicU64,
    /// `appended` when the reserve was first found not whole.
    low_since: Mutex<Option<u64>>,
    started: Instant,
    poisoned: watch::Sender<Option<String>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is true once everything enqueued is durable.
struct Memory {
    /// Absent once closed.
    database: Option<Arc<Database>>,
    /// Absent once closed: the writer ends when it has written what was enqueued.
    ops: Option<SyncSender<Op>>,
    last_op: u64,
    vote: Option<Vote>,
    committed: Option<LogIdRec>,
    purged: Option<LogIdRec>,
    last: Option<LogIdRec>,
    tail: Tail,
}

impl Shared {
    pub(super) fn now_ms(&self) -> u64 {
        // 0 means idle.
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn poison(&self, why: String) {
        self.poisoned.send_if_modified(|now| {
            let first = now.is_none();
            if first {
                *now = Some(why);
            }
            first
        });
    }

    pub(super) fn durable(&self, op: u64) {
        self.memory().tail.shrink(op);
    }

    /// Nothing is enqueued any more, and whoever tries is told why.
    pub(super) fn give_up(&self, error: &FileError) {
        self.poison(error.to_string());
        self.memory().ops = None;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Enqueues in the order of the changes to `memory`, whose lock the caller holds.
    fn enqueue(&self, memory: &mut Memory, action: Action) -> io::Result<()> {
        memory.last_op += 1;
        let op = Op { number: memory.last_op, action };
        let sent = match &memory.ops {
            Some(ops) => ops.try_send(op),
            None => Err(TrySendError::Disconnected(op)),
        };
        sent.map_err(|error| match error {
            TrySendError::Full(_) => {
                self.error(&format!("{QUEUE_MAX} operations wait for the disk already"))
            }
            TrySendError::Disconnected(_) => self.closed(),
        })
    }

    fn closed(&self) -> io::Error {
        match self.poisoned.borrow().as_ref() {
            Some(why) => self.error(&format!("nothing is written any more since an error: {why}")),
            None => self.error(&"the log is closed"),
        }
    }

    fn error(&self, why: &dyn std::fmt::Display) -> io::Error {
        io::Error::other(format!("{}: {why}", self.path.display()))
    }
}

impl LogStore {
    pub(crate) fn is_in(dir: &Path) -> bool {
        dir.join(disk::LOG_FILE).is_file()
    }

    /// Opens the log of `node` in `dir`, which exists. Blocking.
    pub(crate) fn open(dir: &Path, node: RaftId) -> Result<Self, FileError> {
        let (path, reserve) = (dir.join(disk::LOG_FILE), Arc::new(Reserve::open(dir)));
        let log = Self::over(&path, node, &reserve, || disk::open_file(&path, &reserve))?;
        log.keep_reserve();
        Ok(log)
    }

    /// The same over any storage; `path` is what errors call it.
    pub(super) fn over(
        path: &Path,
        node: RaftId,
        reserve: &Arc<Reserve>,
        storage: impl FnOnce() -> Result<Database, FileError>,
    ) -> Result<Self, FileError> {
        let (database, found) = disk::open(path, node, storage)?;
        let (ops, queue) = sync_channel(QUEUE_MAX);
        let memory = Memory {
            database: Some(Arc::clone(&database)),
            ops: Some(ops),
            last_op: 0,
            vote: found.vote.map(Into::into),
            committed: found.committed,
            purged: found.purged,
            last: found.last,
            tail: Tail::default(),
        };
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            memory: Mutex::new(memory),
            busy_since: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            reserve: Arc::clone(reserve),
            reserve_target: AtomicU64::new(0),
            low_since: Mutex::default(),
            started: Instant::now(),
            poisoned: watch::channel(None).0,
            thread: Mutex::new(None),
        });
        let (theirs, builder) = (Arc::clone(&shared), std::thread::Builder::new());
        let thread = builder
            .name("raft-log".to_owned())
            .spawn(move || writer::run(&theirs, &database, &queue))
            .map_err(|error| FileError::new(path, error))?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self { shared })
    }

    /// Why nothing is written any more, once that is so.
    pub(crate) fn poisoned(&self) -> watch::Receiver<Option<String>> {
        self.shared.poisoned.subscribe()
    }

    /// Declares the log unusable: the disk hangs, for example.
    pub(crate) fn poison(&self, why: String) {
        self.shared.poison(why);
    }

    /// How long the present batch has been under way, milliseconds.
    pub(crate) fn busy_ms(&self) -> u64 {
        match self.shared.busy_since.load(Ordering::Acquire) {
            0 => 0,
            since => self.shared.now_ms().saturating_sub(since),
        }
    }

    /// Bytes of entries appended since this log was opened.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.shared.appended.load(Ordering::Relaxed)
    }

    pub(crate) fn reserve(&self) -> &Arc<Reserve> {
        &self.shared.reserve
    }

    /// Makes the reserve whole where there is room again. Blocking.
    pub(crate) fn keep_reserve(&self) {
        let shared = &self.shared;
        let dir = shared.path.parent().unwrap_or(&shared.path);
        let log = std::fs::metadata(&shared.path).map_or(0, |meta| meta.len());
        let refilled = Space::of(dir).and_then(|space| {
            let target = Reserve::target(space.total, log);
            let lacking = shared.reserve.refill(target)?;
            shared.reserve_target.store(target, Ordering::Relaxed);
            Ok((lacking, space.free))
        });
        let mut since = shared.low_since.lock().unwrap_or_else(PoisonError::into_inner);
        match (refilled, since.is_some()) {
            (Ok((0, _)), true) => {
                *since = None;
                tracing::info!("there is room on the disk again: the log's reserve is whole");
            }
            (Ok((lacking, free)), false) if lacking > 0 => {
                *since = Some(self.appended_bytes());
                tracing::warn!(
                    lacking,
                    free,
                    "the disk is full: the log lives on its reserve, and nothing new is taken on"
                );
            }
            (Ok(_), _) => {}
            (Err(error), _) => tracing::warn!(dir = %dir.display(), %error, "no reserve"),
        }
    }

    pub(crate) fn room(&self) -> Room {
        let since = *self.shared.low_since.lock().unwrap_or_else(PoisonError::into_inner);
        let appended = since.map_or(0, |since| self.appended_bytes().saturating_sub(since));
        let target = self.shared.reserve_target.load(Ordering::Relaxed);
        space::room(target, self.shared.reserve.held(), appended)
    }

    pub(crate) fn purged(&self) -> Option<LogIdRec> {
        self.shared.memory().purged
    }

    pub(crate) fn vote(&self) -> Option<VoteRec> {
        self.shared.memory().vote.as_ref().map(VoteRec::from)
    }

    pub(crate) fn last(&self) -> Option<LogIdRec> {
        self.shared.memory().last
    }

    /// The last entry that this node knows to be committed.
    pub(crate) fn committed(&self) -> Option<LogIdRec> {
        self.shared.memory().committed
    }

    /// The id of the entry at `index`; none where there is none (any more).
    pub(crate) fn id_at(&self, index: u64) -> io::Result<Option<LogIdRec>> {
        let found = self.read((index, index.saturating_add(1)), usize::MAX)?;
        Ok(found.first().map(|entry| (&entry.log_id).into()))
    }

    /// Writes what was enqueued, ends the writer and closes the file. Blocking.
    pub(crate) fn close(&self) {
        self.shared.memory().ops = None;
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It catches panics itself, and poisons the log.
            let _ = thread.join();
        }
        self.shared.memory().database = None;
    }

    fn read(&self, (from, to): (u64, u64), max: usize) -> io::Result<Vec<Entry>> {
        let memory = self.shared.memory();
        let first = memory.purged.map_or(0, |purged| purged.index + 1);
        let end = memory.last.map_or(0, |last| last.index + 1);
        let (from, to) = (from.max(first), to.min(end));
        if from >= to {
            return Ok(Vec::new());
        }
        let split = memory.tail.first().unwrap_or(end).clamp(from, to);
        let tail: Vec<(u64, Bytes)> =
            memory.tail.range(split, to).map(|(index, bytes)| (index, bytes.clone())).collect();
        // Begun under the lock: no purge or truncation can slip in between.
        let transaction = if from < split { Some(self.begin(&memory)?) } else { None };
        drop(memory);
        let (mut found, cut) = match transaction {
            Some(read) => {
                disk::read(&read, from, split, max).map_err(|error| self.error(&error))?
            }
            None => (Vec::new(), false),
        };
        if !cut {
            found.extend(tail);
        }
        self.decode(found, max)
    }

    fn begin(&self, memory: &Memory) -> io::Result<ReadTransaction> {
        let database = memory.database.as_ref().ok_or_else(|| self.shared.closed())?;
        database.begin_read().map_err(|error| self.error(&error))
    }

    /// Without holes; at most `max` bytes after the first.
    fn decode(&self, found: Vec<(u64, Bytes)>, max: usize) -> io::Result<Vec<Entry>> {
        let (mut entries, mut size) = (Vec::with_capacity(found.len()), 0);
        let first = found.first().map_or(0, |(index, _)| *index);
        for (expected, (index, bytes)) in (first..).zip(found) {
            if index != expected {
                return Err(self.error(&format!("entry {expected} is missing")));
            }
            size += bytes.len();
            if size > max && !entries.is_empty() {
                break;
            }
            let record: EntryRec = codec::decode(kind::LOG_ENTRY, &bytes)
                .map_err(|error| self.error(&format!("entry {index}: {error}")))?;
            let entry = record.into_entry();
            entries.push(entry.map_err(|error| self.error(&format!("entry {index}: {error}")))?);
        }
        Ok(entries)
    }

    fn error(&self, why: &dyn std::fmt::Display) -> io::Error {
        self.shared.error(why)
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + std::fmt::Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let from = match range.start_bound() {
            Bound::Included(&from) => from,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&to) => to,
            Bound::Unbounded => u64::MAX,
        };
        self.read((from, to), usize::MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.shared.memory().vote)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read((start, end), READ_BYTES_MAX)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let memory = self.shared.memory();
        Ok(LogState {
            last_purged_log_id: memory.purged.map(Into::into),
            last_log_id: memory.last.map(Into::into),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (done, saved) = oneshot::channel();
        let action = Action::Vote { vote: vote.into(), done };
        self.shared.enqueue(&mut self.shared.memory(), action)?;
        match saved.await {
            Ok(Ok(())) => {
                self.shared.memory().vote = Some(*vote);
                Ok(())
            }
            Ok(Err(error)) => Err(io::Error::other(error.to_string())),
            Err(_) => Err(self.shared.closed()),
        }
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let committed = committed.as_ref().map(LogIdRec::from);
        let mut memory = self.shared.memory();
        memory.committed = committed;
        self.shared.enqueue(&mut memory, Action::Committed(committed))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.shared.memory().committed.map(Into::into))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (mut last, mut encoded, mut size) = (None, Vec::new(), 0);
        for entry in entries {
            let record = EntryRec::from(&entry);
            let bytes = codec::encode(kind::LOG_ENTRY, &record)
                .map_err(|error| self.error(&format!("entry {}: {error}", record.id.index)))?;
            size += bytes.len() as u64;
            encoded.push((record.id.index, Bytes::from(bytes)));
            last = Some(record.id);
        }
        self.shared.appended.fetch_add(size, Ordering::Relaxed);
        let mut memory = self.shared.memory();
        let op = memory.last_op + 1;
        for (index, bytes) in &encoded {
            memory.tail.push(*index, op, bytes.clone());
        }
        memory.last = last.or(memory.last);
        self.shared.enqueue(&mut memory, Action::Append { entries: encoded, callback })
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let last = last_log_id.as_ref().map(LogIdRec::from);
        let mut memory = self.shared.memory();
        let after = last.map(|last| last.index);
        memory.tail.truncate_after(after);
        if last.map(|last| last.index) < memory.last.map(|last| last.index) {
            memory.last = last.max(memory.purged);
        }
        self.shared.enqueue(&mut memory, Action::Truncate { after })
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let upto = LogIdRec::from(&log_id);
        let mut memory = self.shared.memory();
        memory.tail.purge(upto.index);
        memory.purged = Some(upto);
        if memory.last.is_none_or(|last| last.index <= upto.index) {
            memory.last = Some(upto);
        }
        self.shared.enqueue(&mut memory, Action::Purge { upto })
    }
}

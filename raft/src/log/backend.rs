//! The log's file as redb writes it: its blocks are allocated when it grows, so that a write inside
//! of it never waits for room, and where there is none the reserve gives some.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

use crate::space::{Reserve, allocate, with_reserve};

#[derive(Debug)]
pub(super) struct Backend {
    inner: FileBackend,
    file: File,
    reserve: Arc<Reserve>,
}

impl Backend {
    pub(super) fn open(path: &Path, reserve: Arc<Reserve>) -> Result<Self, DatabaseError> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(redb::StorageError::from)?;
        let same = file.try_clone().map_err(redb::StorageError::from)?;
        Ok(Self { inner: FileBackend::new(file)?, file: same, reserve })
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let now = self.inner.len()?;
        if len > now {
            let more = len - now;
            let grown = with_reserve(&self.reserve, more, || allocate(&self.file, now, more));
            // A file longer than its header says would be refused at the next start.
            grown.inspect_err(|_| drop(self.inner.set_len(now)))?;
        }
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.inner.sync_data()
    }

    /// Inside allocated blocks, except where the file system copies on write.
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        with_reserve(&self.reserve, data.len() as u64, || self.inner.write(offset, data))
    }

    fn close(&self) -> Result<(), io::Error> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

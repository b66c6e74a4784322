//! A blob that is being written: hashed while it arrives, resumed where a pull broke off, and under
//! its name only when it is whole and durable.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use onrush_raft::space;
use onrush_raft::types::ContentId;

use super::store::{BLOB_BYTES_MAX, CHUNK_BYTES, Error, Store, io};
use crate::control_wire::Manifest;

/// A blob that is being written. Dropped before [`Draft::finish`], it leaves nothing, unless it is a
/// partial pull.
#[derive(Debug)]
pub struct Draft {
    store: Store,
    path: PathBuf,
    file: File,
    whole: blake3::Hasher,
    chunk: blake3::Hasher,
    in_chunk: usize,
    manifest: Manifest,
    keep_on_drop: bool,
}

impl Draft {
    pub(super) fn of(store: Store, path: PathBuf, file: File) -> Self {
        Self {
            store,
            path,
            file,
            whole: blake3::Hasher::new(),
            chunk: blake3::Hasher::new(),
            in_chunk: 0,
            manifest: Manifest { size: 0, chunk: CHUNK_BYTES, hashes: Vec::new() },
            keep_on_drop: false,
        }
    }

    /// A pull of this blob, from where an earlier one broke off: what is on disk and agrees with
    /// the manifest counts, the rest is cut. `written` tells how far it is.
    ///
    /// # Errors
    /// The disk's.
    pub fn resume(store: &Store, content: &ContentId, expected: &Manifest) -> Result<Self, Error> {
        let path = store.part(content)?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut draft = Self::of(store.clone(), path.clone(), file.map_err(io(&path))?);
        draft.keep_on_drop = true;
        let mut chunk = Vec::new();
        for hash in &expected.hashes {
            chunk.clear();
            let mut from = draft.file.try_clone().map_err(io(&path))?;
            from.seek(SeekFrom::Start(draft.manifest.size)).map_err(io(&path))?;
            from.take(u64::from(expected.chunk)).read_to_end(&mut chunk).map_err(io(&path))?;
            if chunk.is_empty() || blake3::hash(&chunk).as_bytes() != hash {
                break;
            }
            draft.count(&chunk);
        }
        let size = draft.manifest.size;
        draft.file.set_len(size).map_err(io(&path))?;
        draft.file.seek(SeekFrom::Start(size)).map_err(io(&path))?;
        Ok(draft)
    }

    /// Bytes so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.manifest.size
    }

    fn count(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        self.manifest.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = CHUNK_BYTES as usize - self.in_chunk;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.update(now);
            self.in_chunk += now.len();
            if self.in_chunk == CHUNK_BYTES as usize {
                self.end_chunk();
            }
            bytes = later;
        }
    }

    fn end_chunk(&mut self) {
        self.manifest.hashes.push(*self.chunk.finalize().as_bytes());
        self.chunk.reset();
        self.in_chunk = 0;
    }

    /// # Errors
    /// The disk's, or the blob grows too large.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.manifest.size + bytes.len() as u64 > BLOB_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        if let Err(source) = self.file.write_all(bytes) {
            // A part on a full disk only keeps it full.
            self.keep_on_drop &= !space::is_full(&source);
            return Err(io(&self.path)(source));
        }
        self.count(bytes);
        Ok(())
    }

    /// Makes it durable under its name. It takes the place of a blob that is here already: that one
    /// may have been damaged since.
    ///
    /// # Errors
    /// It is not what was expected (and leaves nothing), or the disk's.
    pub fn finish(mut self, expected: Option<&ContentId>) -> Result<(ContentId, u64), Error> {
        if self.in_chunk > 0 {
            self.end_chunk();
        }
        let actual = ContentId(self.whole.finalize().to_hex().to_string());
        let size = self.manifest.size;
        if let Some(expected) = expected
            && *expected != actual
        {
            self.keep_on_drop = false;
            return Err(Error::DigestMismatch { expected: expected.clone(), actual });
        }
        // Whatever goes wrong from here on, nothing is left to resume.
        self.keep_on_drop = false;
        self.store.keep(&self.path, &self.file, &actual, &self.manifest)?;
        self.keep_on_drop = true;
        Ok((actual, size))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.keep_on_drop {
            // Nothing depends on it; the next start of the node removes what stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}

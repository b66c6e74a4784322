//! Blobs on this node's disk, named by the BLAKE3 of their content. A blob is in `blobs/<ab>/<id>`
//! only when it is whole, verified and durable: written beside, fsynced, renamed, folder fsynced.
//! Next to it lies `<id>.man`, the hashes of its chunks. Everything here blocks; callers on the
//! runtime go through `spawn_blocking`. It refuses ids that are not 64 lowercase hex digits, so that
//! no id is ever a path.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use onrush_raft::types::ContentId;

use crate::control_wire::{self, Manifest};

/// Bytes of a chunk: what one pull asks for, and what is verified at once.
pub const CHUNK_BYTES: u32 = 1 << 20;
/// The largest blob: its chunk hashes still fit a message.
pub const BLOB_BYTES_MAX: u64 = 200 << 30;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the disk is full: {0}")]
    DiskFull(PathBuf),
    #[error("the content's digest is {actual}, not {expected}")]
    DigestMismatch { expected: ContentId, actual: ContentId },
    #[error("{0} is not here")]
    NotFound(ContentId),
    #[error("{0:?} is not a content id: 64 lowercase hex digits")]
    NotAnId(String),
    #[error("a blob of more than {BLOB_BYTES_MAX} bytes is refused")]
    TooLarge,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Error::DiskFull(path.to_owned())
        }
        _ => Error::Io { path: path.to_owned(), source },
    }
}

#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    drafts: Arc<AtomicU64>,
}

impl Store {
    /// Opens `<data>/blobs`, or makes it. What broken uploads left behind is removed; partial pulls
    /// stay and resume.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn open(root: PathBuf) -> Result<Self, Error> {
        let temporary = root.join("tmp");
        match fs::remove_dir_all(&temporary) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(io(&temporary)(source));
            }
            _ => {}
        }
        for folder in [temporary, root.join("part")] {
            fs::create_dir_all(&folder).map_err(io(&folder))?;
        }
        Ok(Self { root, drafts: Arc::default() })
    }

    /// # Errors
    /// The id is not one.
    pub fn path(&self, content: &ContentId) -> Result<PathBuf, Error> {
        check_id(content)?;
        Ok(self.root.join(&content.0[..2]).join(&content.0))
    }

    /// Where a pull collects its chunks.
    pub(super) fn part(&self, content: &ContentId) -> Result<PathBuf, Error> {
        check_id(content)?;
        Ok(self.root.join("part").join(&content.0))
    }

    /// The blob's size, if it is here.
    pub fn size(&self, content: &ContentId) -> Option<u64> {
        let meta = fs::metadata(self.path(content).ok()?).ok()?;
        meta.is_file().then_some(meta.len())
    }

    #[must_use]
    pub fn has(&self, content: &ContentId) -> bool {
        self.size(content).is_some()
    }

    /// All blobs here.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list(&self) -> Result<Vec<ContentId>, Error> {
        let mut all = Vec::new();
        for folder in fs::read_dir(&self.root).map_err(io(&self.root))? {
            let folder = folder.map_err(io(&self.root))?.path();
            let two = folder.file_name().is_some_and(|name| name.len() == 2);
            if !two || !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&folder).map_err(io(&folder))? {
                let name = entry.map_err(io(&folder))?.file_name();
                let content = ContentId(name.to_string_lossy().into_owned());
                if check_id(&content).is_ok() {
                    all.push(content);
                }
            }
        }
        all.sort();
        Ok(all)
    }

    /// A new blob of yet unknown name.
    ///
    /// # Errors
    /// The disk's.
    pub fn draft(&self) -> Result<Draft, Error> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("tmp").join(format!("{}-{number}", std::process::id()));
        let file = File::options().create_new(true).write(true).open(&path).map_err(io(&path))?;
        Ok(Draft::of(self.clone(), path, file))
    }

    /// Bytes from `offset`, as many as there are up to `len`.
    ///
    /// # Errors
    /// It is not here, or the disk's.
    pub fn read(&self, content: &ContentId, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        let path = self.path(content)?;
        let mut file = File::open(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound(content.clone()),
            _ => io(&path)(source),
        })?;
        file.seek(SeekFrom::Start(offset)).map_err(io(&path))?;
        let mut bytes = Vec::with_capacity(len.min(CHUNK_BYTES as usize));
        file.take(len as u64).read_to_end(&mut bytes).map_err(io(&path))?;
        Ok(bytes)
    }

    /// Hashes of the blob's chunks; computed again where the file beside it is missing.
    ///
    /// # Errors
    /// It is not here, or the disk's.
    pub fn manifest(&self, content: &ContentId) -> Result<Manifest, Error> {
        let path = self.path(content)?;
        let size = self.size(content).ok_or_else(|| Error::NotFound(content.clone()))?;
        let beside = path.with_extension("man");
        if let Ok(bytes) = fs::read(&beside)
            && let Ok(manifest) = control_wire::decode::<Manifest>(&bytes)
            && manifest.size == size
        {
            return Ok(manifest);
        }
        let mut file = File::open(&path).map_err(io(&path))?;
        let mut hashes = Vec::new();
        let mut chunk = Vec::new();
        loop {
            chunk.clear();
            let taken = (&mut file).take(u64::from(CHUNK_BYTES)).read_to_end(&mut chunk);
            if taken.map_err(io(&path))? == 0 {
                break;
            }
            hashes.push(*blake3::hash(&chunk).as_bytes());
        }
        Ok(Manifest { size, chunk: CHUNK_BYTES, hashes })
    }

    /// # Errors
    /// The disk's; a blob that is not here is no error.
    pub fn remove(&self, content: &ContentId) -> Result<(), Error> {
        let path = self.path(content)?;
        for path in [path.with_extension("man"), path] {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io(&path)(source));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Somebody wants it anew: its age begins again.
    ///
    /// # Errors
    /// It is not here, or the disk's.
    pub fn touch(&self, content: &ContentId) -> Result<(), Error> {
        let path = self.path(content)?;
        let touched = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        touched.map_err(io(&path))
    }

    /// [`Store::remove`], unless it was written or touched within `age`: an upload of the same
    /// content may have found it here a moment ago, and counts on it.
    ///
    /// # Errors
    /// The disk's; a blob that is not here is no error.
    pub fn remove_unused(&self, content: &ContentId, age: Duration) -> Result<(), Error> {
        let path = self.path(content)?;
        match fs::metadata(&path).and_then(|meta| meta.modified()) {
            Ok(at) if at.elapsed().is_ok_and(|since| since > age) => self.remove(content),
            Ok(_) => Ok(()),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(io(&path)(source)),
        }
    }

    /// Removes what pulls left behind that nobody resumed for `age`.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn prune_parts(&self, age: Duration) -> Result<(), Error> {
        let folder = self.root.join("part");
        for entry in fs::read_dir(&folder).map_err(io(&folder))?.flatten() {
            let written = entry.metadata().and_then(|meta| meta.modified());
            let old = written.is_ok_and(|at| at.elapsed().is_ok_and(|since| since > age));
            if old {
                // It may have been resumed and finished just now.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn keep(&self, from: &Path, file: &File, id: &ContentId, man: &Manifest) -> Result<(), Error> {
        let path = self.path(id)?;
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        fs::create_dir_all(&folder).map_err(io(&folder))?;
        file.sync_all().map_err(io(from))?;
        // Read-only: what a job pins never changes, whoever may write in the folder.
        let _ = fs::set_permissions(from, fs::Permissions::from_mode(0o444));
        if let Ok(bytes) = control_wire::encode(man) {
            // A hint that can be computed again: its loss is no error.
            let _ = fs::write(path.with_extension("man"), bytes);
        }
        fs::rename(from, &path).map_err(io(&path))?;
        for folder in [&folder, &self.root] {
            File::open(folder).and_then(|dir| dir.sync_all()).map_err(io(folder))?;
        }
        Ok(())
    }
}

fn check_id(content: &ContentId) -> Result<(), Error> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if content.0.len() == 64 && content.0.bytes().all(hex) {
        Ok(())
    } else {
        Err(Error::NotAnId(content.0.chars().take(80).collect()))
    }
}

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
    fn of(store: Store, path: PathBuf, file: File) -> Self {
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
        self.file.write_all(bytes).map_err(io(&self.path))?;
        self.count(bytes);
        Ok(())
    }

    /// Makes it durable under its name; a blob that is here already is simply kept.
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
        if self.store.size(&actual) != Some(size) {
            self.store.keep(&self.path, &self.file, &actual, &self.manifest)?;
            self.keep_on_drop = true;
        } else {
            self.keep_on_drop = false;
            self.store.touch(&actual)?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("blobs")).unwrap();
        (dir, store)
    }

    fn put(store: &Store, bytes: &[u8]) -> ContentId {
        let mut draft = store.draft().unwrap();
        draft.write(bytes).unwrap();
        draft.finish(None).unwrap().0
    }

    #[test]
    fn a_blob_is_named_by_its_blake3() {
        let (_dir, store) = store();
        let id = put(&store, b"hello");
        assert_eq!(id.0, blake3::hash(b"hello").to_hex().to_string());
        assert_eq!(store.size(&id), Some(5));
        assert_eq!(store.read(&id, 1, 3).unwrap(), b"ell");
        assert_eq!(store.list().unwrap(), vec![id.clone()]);
        assert_eq!(put(&store, b"hello"), id);
        assert_eq!(store.list().unwrap(), vec![id.clone()]);
        store.remove(&id).unwrap();
        assert!(!store.has(&id));
    }

    #[test]
    fn a_wrong_digest_leaves_nothing() {
        let (dir, store) = store();
        let mut draft = store.draft().unwrap();
        draft.write(b"hello").unwrap();
        let expected = ContentId("0".repeat(64));
        assert!(matches!(draft.finish(Some(&expected)), Err(Error::DigestMismatch { .. })));
        drop(store.draft().unwrap());
        assert_eq!(fs::read_dir(dir.path().join("blobs/tmp")).unwrap().count(), 0);
        assert_eq!(store.list().unwrap(), vec![]);
    }

    #[test]
    fn ids_are_never_paths() {
        let (_dir, store) = store();
        for bad in ["", "../../etc/passwd", "ab", &"A".repeat(64), &"/".repeat(64)] {
            assert!(matches!(store.path(&ContentId(bad.into())), Err(Error::NotAnId(_))));
        }
    }

    #[test]
    fn a_pull_resumes_after_the_last_good_chunk() {
        let (_dir, store) = store();
        let chunk = CHUNK_BYTES as usize;
        let bytes: Vec<u8> = (0..chunk * 2 + 10).map(|i| (i % 251) as u8).collect();
        let id = put(&store, &bytes);
        let manifest = store.manifest(&id).unwrap();
        assert_eq!((manifest.size, manifest.hashes.len()), (bytes.len() as u64, 3));
        store.remove(&id).unwrap();

        let mut damaged = bytes[..chunk + 7].to_vec();
        damaged[chunk + 3] ^= 1;
        fs::write(store.part(&id).unwrap(), damaged).unwrap();
        let mut draft = Draft::resume(&store, &id, &manifest).unwrap();
        assert_eq!(draft.written(), chunk as u64);
        draft.write(&bytes[chunk..]).unwrap();
        assert_eq!(draft.finish(Some(&id)).unwrap(), (id.clone(), bytes.len() as u64));
        assert_eq!(store.read(&id, 0, bytes.len()).unwrap(), bytes);
        assert!(!store.part(&id).unwrap().is_file());
        fs::remove_file(store.path(&id).unwrap().with_extension("man")).unwrap();
        assert_eq!(store.manifest(&id).unwrap(), manifest);
    }

    #[test]
    fn abandoned_pulls_are_removed_after_a_while() {
        let (_dir, store) = store();
        let id = ContentId("0".repeat(64));
        let part = store.part(&id).unwrap();
        fs::write(&part, "some").unwrap();
        store.prune_parts(Duration::from_secs(60)).unwrap();
        assert!(part.is_file());
        let old = SystemTime::now() - Duration::from_secs(61);
        File::options().write(true).open(&part).unwrap().set_modified(old).unwrap();
        store.prune_parts(Duration::from_secs(60)).unwrap();
        assert!(!part.is_file());
    }

    /// Once an upload could be acknowledged whose content, found here from before, was just being
    /// collected.
    #[test]
    fn what_was_uploaded_again_is_not_collected() {
        let (_dir, store) = store();
        let (id, age) = (put(&store, b"hello"), Duration::from_secs(60));
        let old = SystemTime::now() - 2 * age;
        let aged = || File::open(store.path(&id).unwrap()).unwrap().set_modified(old).unwrap();
        aged();
        assert_eq!(put(&store, b"hello"), id);
        store.remove_unused(&id, age).unwrap();
        assert!(store.has(&id));
        aged();
        store.remove_unused(&id, age).unwrap();
        assert!(!store.has(&id));
        store.remove_unused(&id, age).unwrap();
        assert!(matches!(store.touch(&id), Err(Error::Io { .. })));
    }

    #[test]
    fn empty_blobs_are_blobs() {
        let (_dir, store) = store();
        let id = put(&store, b"");
        assert_eq!(store.size(&id), Some(0));
        assert_eq!(store.manifest(&id).unwrap().hashes.len(), 0);
    }
}

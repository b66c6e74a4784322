//! Blobs on this node's disk, named by the BLAKE3 of their content. A blob is in `blobs/<ab>/<id>`
//! only when it is whole, verified and durable: written beside, fsynced, renamed, folder fsynced.
//! Next to it lies `<id>.man`, the hashes of its chunks, and no chunk is given out that differs from
//! its hash: what a disk has changed is [`Error::Damaged`]. Everything here blocks; callers on the
//! runtime go through `spawn_blocking`. It refuses ids that are not 64 lowercase hex digits, so that
//! no id is ever a path.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use onrush_raft::space::{self, Full};
use onrush_raft::types::ContentId;

use super::draft::Draft;
use crate::control_wire::{self, Manifest};

/// Bytes of a chunk: what one pull asks for, and what is verified at once.
pub const CHUNK_BYTES: u32 = 1 << 20;
/// The largest blob: its chunk hashes still fit a message.
pub const BLOB_BYTES_MAX: u64 = 200 << 30;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// A write found no room: in words, which disk and what of it.
    #[error("{0}")]
    DiskFull(String),
    /// Nothing was written.
    #[error("{0}")]
    Full(Full),
    #[error("{content} is damaged on this disk: {what}")]
    Damaged { content: ContentId, what: String },
    #[error("the content's digest is {actual}, not {expected}")]
    DigestMismatch { expected: ContentId, actual: ContentId },
    #[error("{0} is not here")]
    NotFound(ContentId),
    #[error("{0:?} is not a content id: 64 lowercase hex digits")]
    NotAnId(String),
    #[error("a blob of more than {BLOB_BYTES_MAX} bytes is refused")]
    TooLarge,
}

impl Error {
    /// The disk has not kept what was written to it; another node may have.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| {
        if space::is_full(&source) {
            Error::DiskFull(space::explain(path, &source))
        } else {
            Error::Io { path: path.to_owned(), source }
        }
    }
}

/// As [`io`], where a blob is read: a sector that cannot be read is a damaged blob.
fn reading(path: &Path, content: &ContentId) -> impl FnOnce(std::io::Error) -> Error {
    move |source| match source.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::IO) => {
            Error::Damaged { content: content.clone(), what: "it cannot be read".to_owned() }
        }
        _ if source.kind() == std::io::ErrorKind::NotFound => Error::NotFound(content.clone()),
        _ => io(path)(source),
    }
}

/// Those that were read last.
type Manifests = Arc<Mutex<Vec<(ContentId, Arc<Manifest>)>>>;

#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    drafts: Arc<AtomicU64>,
    /// Manifests read last, newest first: a blob is read chunk by chunk.
    manifests: Manifests,
}

/// Manifests kept in memory.
const MANIFESTS_MAX: usize = 4;
/// What was found damaged, until it is fetched again.
const QUARANTINE: &str = "quarantine";
/// Up to here a run gets a copy of its own; of larger files, where the file system cannot share
/// blocks, a link.
pub const COPY_BYTES_MAX: u64 = 64 << 20;

impl Store {
    /// Opens `<data>/blobs`, or makes it. What broken uploads left behind is removed; partial pulls
    /// stay and resume. Where the folders are there, it takes no room.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn open(root: PathBuf) -> Result<Self, Error> {
        let temporary = root.join("tmp");
        for folder in [&temporary, &root.join("part"), &root.join(QUARANTINE)] {
            fs::create_dir_all(folder).map_err(io(folder))?;
        }
        for entry in fs::read_dir(&temporary).map_err(io(&temporary))? {
            let path = entry.map_err(io(&temporary))?.path();
            fs::remove_file(&path).map_err(io(&path))?;
        }
        Ok(Self { root, drafts: Arc::default(), manifests: Arc::default() })
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
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

    /// One chunk of the blob, as it was stored.
    ///
    /// # Errors
    /// It is not here, it is damaged, or the disk's.
    pub fn chunk(
        &self,
        content: &ContentId,
        manifest: &Manifest,
        index: usize,
    ) -> Result<Vec<u8>, Error> {
        let path = self.path(content)?;
        let mut file = File::open(&path).map_err(reading(&path, content))?;
        chunk_of(&mut file, &path, content, manifest, index)
    }

    /// Hashes of the blob's chunks; computed again where the file beside it is missing.
    ///
    /// # Errors
    /// It is not here, it is damaged, or the disk's.
    pub fn manifest(&self, content: &ContentId) -> Result<Arc<Manifest>, Error> {
        let path = self.path(content)?;
        let size = self.size(content).ok_or_else(|| Error::NotFound(content.clone()))?;
        let known = self.manifests().iter().find(|(id, _)| id == content).map(|(_, it)| it.clone());
        if let Some(manifest) = known.filter(|manifest| manifest.size == size) {
            return Ok(manifest);
        }
        let beside = fs::read(path.with_extension("man")).ok();
        let manifest = beside.and_then(|bytes| control_wire::decode::<Manifest>(&bytes).ok());
        match manifest {
            Some(manifest) if manifest.is_sound() && manifest.size == size => {
                Ok(self.remember(content, manifest))
            }
            // Also what was cut short.
            _ => self.check(content),
        }
    }

    fn manifests(&self) -> std::sync::MutexGuard<'_, Vec<(ContentId, Arc<Manifest>)>> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, content: &ContentId, manifest: Manifest) -> Arc<Manifest> {
        let manifest = Arc::new(manifest);
        let mut known = self.manifests();
        known.retain(|(id, _)| id != content);
        known.insert(0, (content.clone(), Arc::clone(&manifest)));
        known.truncate(MANIFESTS_MAX);
        manifest
    }

    fn forget(&self, content: &ContentId) {
        self.manifests().retain(|(id, _)| id != content);
    }

    /// Reads all of the blob and holds it against its name. Where it is whole, the hashes of its
    /// chunks are written anew.
    ///
    /// # Errors
    /// It is not here, it is damaged, or the disk's.
    pub fn check(&self, content: &ContentId) -> Result<Arc<Manifest>, Error> {
        let path = self.path(content)?;
        self.forget(content);
        let manifest = check_file(&path, content)?;
        write_manifest(&path, &manifest);
        Ok(self.remember(content, manifest))
    }

    /// Puts a blob aside that was found damaged: it is not here any more. One that an upload has
    /// replaced meanwhile comes back, and `false` says so.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn quarantine(&self, content: &ContentId) -> Result<bool, Error> {
        let (path, aside) = (self.path(content)?, self.quarantined(content)?);
        self.forget(content);
        match fs::rename(&path, &aside) {
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            renamed => renamed.map_err(io(&path))?,
        }
        if check_file(&aside, content).is_ok() {
            fs::rename(&aside, &path).map_err(io(&path))?;
            return Ok(false);
        }
        // From now on it is kept for a while; and hashes are computed again where they are missing.
        let _ = File::open(aside).and_then(|file| file.set_modified(SystemTime::now()));
        let _ = fs::remove_file(path.with_extension("man"));
        Ok(true)
    }

    fn quarantined(&self, content: &ContentId) -> Result<PathBuf, Error> {
        check_id(content)?;
        Ok(self.root.join(QUARANTINE).join(&content.0))
    }

    /// Whether it was found damaged and has not been replaced.
    pub(super) fn is_quarantined(&self, content: &ContentId) -> bool {
        self.quarantined(content).is_ok_and(|path| path.is_file())
    }

    /// Puts the blob at `to`, verified, for a run: blocks are shared where the file system can do
    /// that; a smaller file is copied; a larger one is linked, and stands on its being read-only and
    /// on being verified wherever it is read again.
    ///
    /// # Errors
    /// It is not here, it is damaged, or the disk's.
    pub fn place(&self, content: &ContentId, to: &Path) -> Result<(), Error> {
        let (path, manifest) = (self.path(content)?, self.manifest(content)?);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(io(parent))?;
        }
        match fs::remove_file(to) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(io(to)(source));
            }
            _ => {}
        }
        let mut blob = File::open(&path).map_err(reading(&path, content))?;
        let own = File::options().create_new(true).read(true).write(true).open(to);
        let mut own = own.map_err(io(to))?;
        let chunks = 0..manifest.hashes.len();
        if rustix::fs::ioctl_ficlone(&own, &blob).is_ok() {
            for index in chunks {
                chunk_of(&mut own, to, content, &manifest, index)?;
            }
        } else if manifest.size <= COPY_BYTES_MAX {
            for index in chunks {
                let chunk = chunk_of(&mut blob, &path, content, &manifest, index)?;
                own.write_all(&chunk).map_err(io(to))?;
            }
        } else {
            for index in chunks {
                chunk_of(&mut blob, &path, content, &manifest, index)?;
            }
            fs::remove_file(to).and_then(|()| fs::hard_link(&path, to)).map_err(io(to))?;
            return Ok(());
        }
        fs::set_permissions(to, fs::Permissions::from_mode(0o444)).map_err(io(to))
    }

    /// # Errors
    /// The disk's; a blob that is not here is no error.
    pub fn remove(&self, content: &ContentId) -> Result<(), Error> {
        let path = self.path(content)?;
        self.forget(content);
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

    /// Removes what pulls left behind that nobody resumed for `age`, and what is damaged and was not
    /// fetched again for as long.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn prune_parts(&self, age: Duration) -> Result<(), Error> {
        for folder in ["part", QUARANTINE] {
            let folder = self.root.join(folder);
            for entry in fs::read_dir(&folder).map_err(io(&folder))?.flatten() {
                let written = entry.metadata().and_then(|meta| meta.modified());
                if written.is_ok_and(|at| at.elapsed().is_ok_and(|since| since > age)) {
                    // It may have been resumed and finished just now.
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(())
    }

    /// Bytes of a pull that broke off.
    pub(super) fn part_size(&self, content: &ContentId) -> u64 {
        self.part(content)
            .ok()
            .and_then(|path| fs::metadata(path).ok())
            .map_or(0, |meta| meta.len())
    }

    /// A pull that will not be resumed leaves nothing.
    pub(super) fn remove_part(&self, content: &ContentId) {
        if let Ok(path) = self.part(content) {
            let _ = fs::remove_file(path);
        }
    }

    pub(super) fn keep(
        &self,
        from: &Path,
        file: &File,
        id: &ContentId,
        man: &Manifest,
    ) -> Result<(), Error> {
        let path = self.path(id)?;
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        fs::create_dir_all(&folder).map_err(io(&folder))?;
        file.sync_all().map_err(io(from))?;
        // Read-only: what a job pins never changes, whoever may write in the folder.
        let _ = fs::set_permissions(from, fs::Permissions::from_mode(0o444));
        write_manifest(&path, man);
        self.forget(id);
        fs::rename(from, &path).map_err(io(&path))?;
        if let Ok(damaged) = self.quarantined(id) {
            let _ = fs::remove_file(damaged);
        }
        for folder in [&folder, &self.root] {
            File::open(folder).and_then(|dir| dir.sync_all()).map_err(io(folder))?;
        }
        Ok(())
    }
}

/// A hint that can be computed again: its loss is no error. What is not whole would be one.
fn write_manifest(path: &Path, manifest: &Manifest) {
    let beside = path.with_extension("man");
    let Ok(bytes) = control_wire::encode(manifest) else { return };
    if fs::write(&beside, bytes).is_err() {
        let _ = fs::remove_file(beside);
    }
}

/// What the chunks of the file are, where it is the content.
fn check_file(path: &Path, content: &ContentId) -> Result<Manifest, Error> {
    let mut file = File::open(path).map_err(reading(path, content))?;
    let (mut whole, mut chunk) = (blake3::Hasher::new(), Vec::new());
    let mut manifest = Manifest { size: 0, chunk: CHUNK_BYTES, hashes: Vec::new() };
    loop {
        chunk.clear();
        let taken = (&mut file).take(u64::from(CHUNK_BYTES)).read_to_end(&mut chunk);
        if taken.map_err(reading(path, content))? == 0 {
            break;
        }
        whole.update(&chunk);
        manifest.size += chunk.len() as u64;
        manifest.hashes.push(*blake3::hash(&chunk).as_bytes());
    }
    let actual = whole.finalize().to_hex();
    if actual.as_str() == content.0 {
        return Ok(manifest);
    }
    let what = format!("its digest is {actual}");
    Err(Error::Damaged { content: content.clone(), what })
}

/// A chunk of the open file at `path`, held against its hash.
fn chunk_of(
    file: &mut File,
    path: &Path,
    content: &ContentId,
    manifest: &Manifest,
    index: usize,
) -> Result<Vec<u8>, Error> {
    let offset = index as u64 * u64::from(manifest.chunk);
    file.seek(SeekFrom::Start(offset)).map_err(reading(path, content))?;
    let len = manifest.size.saturating_sub(offset).min(u64::from(manifest.chunk));
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.take(u64::from(manifest.chunk)).read_to_end(&mut bytes).map_err(reading(path, content))?;
    let expected = manifest.hashes.get(index);
    if expected.is_some_and(|expected| blake3::hash(&bytes).as_bytes() == expected) {
        return Ok(bytes);
    }
    let what = format!("chunk {index} of {} has a wrong hash", manifest.hashes.len());
    Err(Error::Damaged { content: content.clone(), what })
}

fn check_id(content: &ContentId) -> Result<(), Error> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if content.0.len() == 64 && content.0.bytes().all(hex) {
        Ok(())
    } else {
        Err(Error::NotAnId(content.0.chars().take(80).collect()))
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
        let manifest = store.manifest(&id).unwrap();
        assert_eq!(store.chunk(&id, &manifest, 0).unwrap(), b"hello");
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
        assert_eq!(fs::read(store.path(&id).unwrap()).unwrap(), bytes);
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

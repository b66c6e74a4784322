//! Snapshot files: `snap/<term>-<node>-<index>.osn`.
//!
//! ```text
//! meta length u32 LE | meta (codec) | ledger (codec) | BLAKE3 of all before, 32 bytes
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::codec::{self, kind};
use crate::file_error::FileError;
use crate::ledger::Ledger;
use crate::records::{MetaRec, SnapshotMeta};
use crate::space::{Reserve, Space, with_reserve};

const HASH_BYTES: usize = blake3::OUT_LEN;
/// Synced as often, so that the log's own sync never waits behind a large unwritten file.
const SYNC_BYTES: usize = 8 * 1_024 * 1_024;
const STEP_BYTES: usize = 1_024 * 1_024;
/// Snapshots beyond this are reported: they should be a few megabytes.
const ALARM_BYTES: usize = 64 * 1_024 * 1_024;

/// A whole snapshot on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotFile {
    pub(crate) path: PathBuf,
}

/// A snapshot read back: verified and decoded.
pub(crate) struct Loaded {
    pub(crate) meta: SnapshotMeta,
    pub(crate) ledger: Ledger,
    pub(crate) file: SnapshotFile,
}

/// The folder `snap/`.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// Creates the folder, and empties its `tmp`, which is never made anew: a full disk may have no
    /// room for it.
    pub(crate) fn open(dir: &Path) -> Result<Self, FileError> {
        let folder = Self { dir: dir.to_owned() };
        let tmp = folder.tmp();
        let bad = |error: io::Error| FileError::new(&tmp, error);
        fs::create_dir_all(&tmp).map_err(bad)?;
        for item in fs::read_dir(&tmp).map_err(bad)? {
            fs::remove_file(item.map_err(bad)?.path()).map_err(bad)?;
        }
        Ok(folder)
    }

    /// Whether a snapshot somewhat larger than the last one finds room, the reserve counted.
    pub(crate) fn fits_another(&self, reserve: &Reserve) -> bool {
        let Ok(items) = fs::read_dir(&self.dir) else { return false };
        let sizes = items.flatten().filter_map(|item| item.metadata().ok()).map(|meta| meta.len());
        let need = sizes.max().unwrap_or(0).saturating_mul(2).saturating_add(STEP_BYTES as u64);
        Space::of(&self.dir).is_ok_and(|space| space.free.saturating_add(reserve.held()) >= need)
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// The newest whole snapshot, and what is wrong with newer ones.
    pub(crate) fn newest(&self) -> Result<(Option<Loaded>, Vec<FileError>), FileError> {
        let listed = |error: io::Error| FileError::new(&self.dir, error);
        let mut files = Vec::new();
        for item in fs::read_dir(&self.dir).map_err(listed)? {
            let path = item.map_err(listed)?.path();
            if path.extension().is_some_and(|extension| extension == "osn") {
                files.push((order(&path), path));
            }
        }
        files.sort();
        let mut damaged = Vec::new();
        for (_, path) in files.into_iter().rev() {
            match load(&path) {
                Ok(loaded) => return Ok((Some(loaded), damaged)),
                Err(error) => damaged.push(error),
            }
        }
        Ok((None, damaged))
    }

    /// Writes a snapshot durably and deletes older ones. Blocking.
    pub(crate) fn write(
        &self,
        meta: &SnapshotMeta,
        ledger: &Ledger,
        reserve: &Reserve,
    ) -> Result<SnapshotFile, FileError> {
        let name = name(meta);
        let tmp = self.tmp().join(&name);
        let bytes = serialize(meta, ledger).map_err(|error| FileError::new(&tmp, error))?;
        if bytes.len() > ALARM_BYTES {
            tracing::warn!(bytes = bytes.len(), "the snapshot of the ledger is very large");
        }
        let size = bytes.len() as u64;
        // A snapshot is what makes the log shorter.
        with_reserve(reserve, size, || write_durably(&tmp, &bytes))
            .map_err(|error| FileError::new(&tmp, error))?;
        self.adopt(&tmp, &name)
    }

    /// Takes a verified file from elsewhere as the current snapshot. It is linked or copied, never
    /// moved: its owner may still read it.
    pub(crate) fn install(
        &self,
        from: &Path,
        meta: &SnapshotMeta,
    ) -> Result<SnapshotFile, FileError> {
        let name = name(meta);
        let path = self.dir.join(&name);
        if path == from {
            return Ok(SnapshotFile { path });
        }
        let tmp = self.tmp().join(format!("install-{name}"));
        let copied = fs::copy(from, &tmp).and_then(|_| File::open(&tmp)?.sync_all());
        copied.map_err(|error| FileError::new(&tmp, error))?;
        self.adopt(&tmp, &name)
    }

    fn adopt(&self, tmp: &Path, name: &str) -> Result<SnapshotFile, FileError> {
        let path = self.dir.join(name);
        let renamed = fs::rename(tmp, &path).and_then(|()| File::open(&self.dir)?.sync_all());
        renamed.map_err(|error| FileError::new(&path, error))?;
        self.delete_others(&path);
        Ok(SnapshotFile { path })
    }

    fn delete_others(&self, keep: &Path) {
        let Ok(items) = fs::read_dir(&self.dir) else { return };
        for path in items.flatten().map(|item| item.path()) {
            let snapshot = path.extension().is_some_and(|extension| extension == "osn");
            if snapshot && path != keep && order(&path) <= order(keep) {
                // One left over costs space only; the newest whole one is found by its name.
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!(path = %path.display(), %error, "cannot delete an old snapshot");
                }
            }
        }
    }
}

/// Reads a snapshot, refusing one that is not whole. Blocking.
pub(crate) fn load(path: &Path) -> Result<Loaded, FileError> {
    let bad = |why: &dyn std::fmt::Display| FileError::new(path, why);
    let bytes = fs::read(path).map_err(|error| bad(&error))?;
    let split = bytes.len().checked_sub(HASH_BYTES);
    let split = split.ok_or_else(|| bad(&format!("{} bytes are too few", bytes.len())))?;
    let (body, hash) = bytes.split_at(split);
    if blake3::hash(body).as_bytes() != hash {
        return Err(bad(&"checksum mismatch: the snapshot is damaged or cut short"));
    }
    let short = || bad(&"the meta record is cut short");
    let (len, rest) = body.split_first_chunk::<4>().ok_or_else(short)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    let (meta, ledger) = rest.split_at_checked(len).ok_or_else(short)?;
    let meta: MetaRec = codec::decode(kind::SNAPSHOT_META, meta)
        .map_err(|error| bad(&format!("the meta record: {error}")))?;
    let meta = meta.try_into().map_err(|error| bad(&format!("the meta record: {error}")))?;
    let ledger =
        Ledger::from_bytes(ledger).map_err(|error| bad(&format!("the ledger: {error}")))?;
    Ok(Loaded { meta, ledger, file: SnapshotFile { path: path.to_owned() } })
}

fn serialize(meta: &SnapshotMeta, ledger: &Ledger) -> Result<Vec<u8>, codec::Error> {
    let meta = codec::encode(kind::SNAPSHOT_META, &MetaRec::from(meta))?;
    let ledger = ledger.to_bytes()?;
    let len = u32::try_from(meta.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(4 + meta.len() + ledger.len() + HASH_BYTES);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&meta);
    bytes.extend_from_slice(&ledger);
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    Ok(bytes)
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut unsynced = 0;
    for step in bytes.chunks(STEP_BYTES) {
        file.write_all(step)?;
        unsynced += step.len();
        if unsynced >= SYNC_BYTES {
            file.sync_data()?;
            unsynced = 0;
        }
    }
    file.sync_all()
}

fn name(meta: &SnapshotMeta) -> String {
    match MetaRec::from(meta).last {
        Some(last) => format!("{}-{}-{}.osn", last.term, last.node, last.index),
        None => "0-0-0.osn".to_owned(),
    }
}

/// Term, node and index of a file's name: newer snapshots are greater.
fn order(path: &Path) -> (u64, u64, u64) {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    let mut numbers = stem.split('-').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let (term, node, index) = (next(), next(), next());
    (index, term, node)
}

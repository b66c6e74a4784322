//! Room on the file system of the data directory: how much there is, who may still take of it, and
//! the reserve that is the log's alone. [`admit`] and [`Reserve::target`] are pure.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::FallocateFlags;

/// The reserve of a small disk is as large a part of it; of larger ones, [`RESERVE_BYTES_MAX`].
const RESERVE_PART: u64 = 16;
const RESERVE_BYTES_MIN: u64 = 1 << 20;
const RESERVE_BYTES_MAX: u64 = 64 << 20;
/// Files that one blob or run may make.
const INODES_PER_CLAIM: u64 = 4;
/// The name of the reserve, in Raft's folder.
pub const RESERVE_FILE: &str = "reserve";

/// A file system, as far as room goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Used and free together.
    pub total: u64,
    /// What this process may still write, in bytes.
    pub free: u64,
    /// 0 where the file system makes them as it needs them.
    pub inodes: u64,
    pub inodes_free: u64,
}

impl Space {
    /// # Errors
    /// The file system cannot be asked.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        // As `df` counts: what is kept for root is nobody's, neither used nor free.
        let used = found.f_blocks.saturating_sub(found.f_bfree);
        let inodes_used = found.f_files.saturating_sub(found.f_ffree);
        Ok(Self {
            total: used.saturating_add(found.f_bavail).saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
            inodes: inodes_used.saturating_add(found.f_favail),
            inodes_free: found.f_favail,
        })
    }
}

/// For what bytes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Something new: may be refused, and whoever brings it is told so.
    New,
    /// Something that was promised: content that the ledger refers to, a job's report.
    Owed,
}

impl Claim {
    /// Per cent of the file system in use that are not exceeded.
    #[must_use]
    pub const fn line(self) -> u64 {
        match self {
            Self::New => 90,
            Self::Owed => 95,
        }
    }
}

/// Why nothing more is taken, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    Bytes { free: u64, total: u64, size: u64, line: u64 },
    Inodes { free: u64, total: u64, line: u64 },
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Bytes { free, total, size, line } => {
                let (free, total, size) = (Bytes(free), Bytes(total), Bytes(size));
                write!(
                    f,
                    "{free} are free of {total}, {size} are to be written, and more than {line} % \
                     used are not allowed"
                )
            }
            Self::Inodes { free, total, line } => write!(
                f,
                "{free} inodes are free of {total}, and more than {line} % used are not allowed: \
                 there are too many files"
            ),
        }
    }
}

impl std::error::Error for Full {}

/// Whether `size` more bytes may be written. `promised`: what was allowed before and is not written
/// yet, and what the reserve lacks.
///
/// # Errors
/// What there is too little of.
pub fn admit(space: Space, size: u64, promised: u64, claim: Claim) -> Result<(), Full> {
    let line = claim.line();
    let kept = |total: u64| total - total / 100 * line - total % 100 * line / 100;
    let after = space.free.saturating_sub(promised).checked_sub(size);
    if after.is_none_or(|after| after < kept(space.total)) {
        return Err(Full::Bytes { free: space.free, total: space.total, size, line });
    }
    let inodes = space.inodes_free.checked_sub(INODES_PER_CLAIM);
    if space.inodes > 0 && inodes.is_none_or(|after| after < kept(space.inodes)) {
        return Err(Full::Inodes { free: space.inodes_free, total: space.inodes, line });
    }
    Ok(())
}

/// How the log stands for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// The reserve is whole.
    Ample,
    /// Some of it was needed: nothing new is taken on.
    Low,
    /// What is left is for commands that make room.
    Out,
}

/// Bytes of the disk that an appended byte may take: pages are copied when they are written.
const BYTES_PER_APPENDED: u64 = 2;

/// `appended`: bytes of entries since the reserve was found not whole. Half of what it should hold
/// is kept for what makes room.
#[must_use]
pub fn room(target: u64, held: u64, appended: u64) -> Room {
    if held >= target {
        Room::Ample
    } else if appended.saturating_mul(BYTES_PER_APPENDED) <= target / 2 {
        Room::Low
    } else {
        Room::Out
    }
}

/// A size for people: `23.4 MiB`.
struct Bytes(u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        let (mut tenths, mut unit) = (u128::from(self.0) * 10 / 1_024, 0);
        if self.0 < 1_024 {
            return write!(f, "{} bytes", self.0);
        }
        while tenths >= 10_240 && unit + 1 < UNITS.len() {
            (tenths, unit) = (tenths / 1_024, unit + 1);
        }
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

/// Whether an error says that there is no room: no bytes, no inodes, or no quota.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A write at `path` that failed, in words: where there was no room, whether bytes or inodes lack.
#[must_use]
pub fn explain(path: &Path, error: &io::Error) -> String {
    let there = path.ancestors().find(|folder| folder.is_dir());
    let space = there.and_then(|folder| Space::of(folder).ok());
    match space {
        Some(space) if is_full(error) && space.inodes > 0 && space.inodes_free == 0 => {
            format!("{}: no inodes are free of {}: too many files", path.display(), space.inodes)
        }
        Some(space) if is_full(error) => format!(
            "{}: the disk is full: {} are free of {}",
            path.display(),
            Bytes(space.free),
            Bytes(space.total)
        ),
        _ => format!("{}: {error}", path.display()),
    }
}

/// Bytes that nobody else can take: a file whose blocks are allocated and hold nothing. It is given
/// up where the log, or what a node needs to start, finds no room, and made again once there is.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    /// Bytes in the file.
    held: Mutex<u64>,
}

impl Reserve {
    /// The reserve in Raft's folder `dir`, as it was left; [`Reserve::refill`] makes it.
    #[must_use]
    pub fn open(dir: &Path) -> Self {
        let path = dir.join(RESERVE_FILE);
        let held = held(&path);
        Self { path, held: Mutex::new(held) }
    }

    /// What it should hold: enough for the log to grow once, as it doubles.
    #[must_use]
    pub fn target(total: u64, log_bytes: u64) -> u64 {
        let part = (total / RESERVE_PART).clamp(RESERVE_BYTES_MIN, RESERVE_BYTES_MAX);
        // Never so much that the reserve itself fills the disk.
        part.max(log_bytes.min(total / 4))
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn held(&self) -> u64 {
        *self.lock()
    }

    /// Fills it up to `target` where the file system has the room, and gives what is lacking.
    ///
    /// # Errors
    /// The disk's; no room is none.
    pub fn refill(&self, target: u64) -> io::Result<u64> {
        let mut held = self.lock();
        if *held >= target {
            return Ok(0);
        }
        let missing = target - *held;
        // Not the last bytes: those that wait for room would find none again.
        if Space::of(self.path.parent().unwrap_or(&self.path))?.free < missing.saturating_mul(2) {
            return Ok(missing);
        }
        let file = File::options().create(true).truncate(false).write(true).open(&self.path);
        match file.and_then(|file| allocate(&file, *held, missing)) {
            Ok(()) => {
                *held = target;
                Ok(0)
            }
            Err(error) if is_full(&error) => Ok(missing),
            Err(error) => Err(error),
        }
    }

    /// Gives `bytes` of it to whoever writes next, and says whether there were any.
    pub fn give(&self, bytes: u64) -> bool {
        let mut held = self.lock();
        if *held == 0 {
            return false;
        }
        let left = held.saturating_sub(bytes.max(RESERVE_BYTES_MIN));
        let cut = File::options().write(true).open(&self.path).and_then(|file| file.set_len(left));
        match cut {
            Ok(()) => *held = left,
            // It is gone, or of no use: whoever comes next need not try.
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the reserve is not to be had");
                *held = 0;
            }
        }
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Runs `write` again for as long as it finds no room and the reserve has some.
///
/// # Errors
/// Those of `write`.
pub fn with_reserve<T>(
    reserve: &Reserve,
    bytes: u64,
    mut write: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match write() {
            Err(error) if is_full(&error) && reserve.give(bytes) => {}
            done => return done,
        }
    }
}

/// Blocks that the file really has: a sparse one reserves nothing.
fn held(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len().min(meta.blocks() * 512))
}

/// `len` bytes from `offset` that later writes find room in. Where the file system cannot promise
/// that, zeros are written.
pub(crate) fn allocate(file: &File, offset: u64, len: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    match rustix::fs::fallocate(file, FallocateFlags::empty(), offset, len) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let mut done = 0;
            while done < len {
                let step = usize::try_from(len - done).unwrap_or(usize::MAX).min(ZEROS.len());
                file.write_all_at(&ZEROS[..step], offset + done)?;
                done += step as u64;
            }
            file.sync_data()
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn disk(total: u64, free: u64) -> Space {
        Space { total: total * MIB, free: free * MIB, inodes: 1_000, inodes_free: 900 }
    }

    #[test]
    fn nothing_new_goes_beyond_the_line_and_what_is_owed_goes_a_little_further() {
        let admits = |free, size, promised, claim| {
            admit(disk(100, free), size * MIB, promised * MIB, claim).is_ok()
        };
        assert!(admits(60, 50, 0, Claim::New));
        assert!(!admits(60, 51, 0, Claim::New));
        assert!(admits(60, 55, 0, Claim::Owed));
        assert!(!admits(60, 56, 0, Claim::Owed));
        // What others were allowed counts before it is written.
        assert!(admits(60, 40, 10, Claim::New) && !admits(60, 40, 11, Claim::New));
        assert!(!admits(9, 0, 0, Claim::New) && !admits(60, u64::MAX / MIB, 0, Claim::Owed));
        assert!(admit(Space::default(), 1, 0, Claim::New).is_err());
        // The disks that the founder's cluster was taken down with.
        assert!(admit(disk(24, 22), 60 * MIB, 0, Claim::New).is_err());
        assert!(admit(disk(300, 298), 60 * MIB, 0, Claim::New).is_ok());
    }

    #[test]
    fn inodes_that_run_out_are_called_so() {
        let space = Space { inodes_free: 103, ..disk(100, 60) };
        let full = admit(space, 1, 0, Claim::New).unwrap_err().to_string();
        assert!(full.starts_with("103 inodes are free of 1000"), "{full}");
        let endless = Space { inodes: 0, inodes_free: 0, ..space };
        assert_eq!(admit(endless, 1, 0, Claim::New), Ok(()));
        assert_eq!(
            admit(disk(24, 3), 60 * MIB, 0, Claim::New).unwrap_err().to_string(),
            "3.0 MiB are free of 24.0 MiB, 60.0 MiB are to be written, and more than 90 % used are \
             not allowed"
        );
    }

    #[test]
    fn the_reserve_follows_disk_and_log() {
        assert_eq!(Reserve::target(24 * MIB, 0), 24 * MIB / 16);
        assert_eq!(Reserve::target(24 * MIB, 3 * MIB), 3 * MIB);
        assert_eq!(Reserve::target(24 * MIB, 20 * MIB), 6 * MIB);
        assert_eq!(Reserve::target(1 << 40, 3 * MIB), 64 * MIB);
        assert_eq!(Reserve::target(0, 0), MIB);
    }

    #[test]
    fn half_of_the_reserve_is_for_what_makes_room() {
        assert_eq!(room(8 * MIB, 8 * MIB, u64::MAX), Room::Ample);
        assert_eq!(room(8 * MIB, 7 * MIB, 2 * MIB), Room::Low);
        assert_eq!(room(8 * MIB, 7 * MIB, 2 * MIB + 1), Room::Out);
        assert_eq!(room(8 * MIB, 0, 0), Room::Low);
    }

    #[test]
    fn the_reserve_gives_and_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::open(dir.path());
        assert!(!reserve.give(1));
        assert_eq!(reserve.refill(4 * MIB).unwrap(), 0);
        assert_eq!(held(&dir.path().join(RESERVE_FILE)), 4 * MIB);
        assert!(reserve.give(1) && reserve.held() == 3 * MIB);
        assert_eq!(Reserve::open(dir.path()).held(), 3 * MIB);
        // A writer that finds no room until all is given, and then none any more.
        let (mut tries, full) = (0, io::ErrorKind::StorageFull);
        let written = with_reserve(&reserve, 2 * MIB, || {
            tries += 1;
            Err::<(), _>(full.into())
        });
        assert!(is_full(&written.unwrap_err()));
        assert_eq!((tries, reserve.held()), (3, 0));
        assert_eq!(reserve.refill(2 * MIB).unwrap(), 0);
    }
}

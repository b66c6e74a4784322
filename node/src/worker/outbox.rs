//! The frames of one shard that no committed tick covers yet: appended to a spool file, read back
//! when the master asks, freed when they are acknowledged. In memory there is only where each frame
//! lies. It refuses to merge, reorder or skip frames: sequence numbers go up by one.
//!
//! A record is `len u32, seq u64, check u32, body` (little endian), `check` being the first bytes
//! of BLAKE3 over sequence number and body. A torn tail is cut on opening. No fsync: a frame is
//! lost only when the machine loses power before its tick is committed.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use onrush_raft::ledger::limits;
use onrush_raft::space;

use super::sender::Spool;

/// Unacknowledged bytes of one shard; a shard that exceeds it is stopped.
pub const SPOOL_BYTES_MAX: u64 = 256 << 20;
/// Larger lengths in a spool file are damage.
pub use onrush_scenario::stats::frame::FRAME_BYTES_MAX;
/// A frame alone in a tick fits the ledger.
const _: () = assert!(FRAME_BYTES_MAX + (64 << 10) <= limits::TICK_BYTES_MAX);
const HEADER: u64 = 16;
/// The file starts again from nothing when it is empty and longer than this.
const TRIM_BYTES: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// In words: which file, and what is wrong; a disk that is full is called so.
    #[error("the spool {0}")]
    Io(String),
    #[error("frame {seq} does not follow frame {newest}")]
    OutOfOrder { seq: u64, newest: u64 },
    #[error("{SPOOL_BYTES_MAX} bytes of frames wait for the master: the spool is full")]
    Full,
    #[error("frame {0} has more than {FRAME_BYTES_MAX} bytes")]
    TooLarge(u64),
    #[error("frame {0} in the spool is damaged")]
    Damaged(u64),
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    seq: u64,
    offset: u64,
    len: u32,
}

#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    file: File,
    end: u64,
    slots: VecDeque<Slot>,
    /// Sequence number of the newest frame ever appended, acknowledged ones included.
    newest: u64,
}

impl Outbox {
    /// Opens the spool, or makes it; a torn tail is cut.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let io = |error| Error::Io(space::explain(path, &error));
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(io)?;
        let mut outbox =
            Self { path: path.to_owned(), file, end: 0, slots: VecDeque::new(), newest: 0 };
        let size = outbox.file.metadata().map_err(io)?.len();
        while let Some(slot) = outbox.scan(size)? {
            outbox.end = slot.offset + u64::from(slot.len);
            outbox.newest = slot.seq;
            outbox.slots.push_back(slot);
        }
        outbox.file.set_len(outbox.end).map_err(io)?;
        Ok(outbox)
    }

    /// The record at `end`, if it is whole.
    fn scan(&self, size: u64) -> Result<Option<Slot>, Error> {
        if self.end + HEADER > size {
            return Ok(None);
        }
        let mut header = [0; HEADER as usize];
        self.file.read_exact_at(&mut header, self.end).map_err(|error| self.io(&error))?;
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let mut seq = [0; 8];
        seq.copy_from_slice(&header[4..12]);
        let slot = Slot { seq: u64::from_le_bytes(seq), offset: self.end + HEADER, len };
        let follows = self.slots.is_empty() || slot.seq == self.newest + 1;
        let fits = len as usize <= FRAME_BYTES_MAX && slot.offset + u64::from(len) <= size;
        if !fits || !follows {
            return Ok(None);
        }
        Ok(self.load(slot).is_ok().then_some(slot))
    }

    fn load(&self, slot: Slot) -> Result<Bytes, Error> {
        let mut check = [0; 4];
        let read = self.file.read_exact_at(&mut check, slot.offset - 4);
        read.map_err(|error| self.io(&error))?;
        let mut body = vec![0; slot.len as usize];
        self.file.read_exact_at(&mut body, slot.offset).map_err(|error| self.io(&error))?;
        if check == checksum(slot.seq, &body) {
            Ok(body.into())
        } else {
            Err(Error::Damaged(slot.seq))
        }
    }

    fn io(&self, error: &std::io::Error) -> Error {
        Error::Io(space::explain(&self.path, error))
    }

    /// # Errors
    /// Not the next frame, too large, no room, or the disk's own error.
    pub fn append(&mut self, seq: u64, body: &[u8]) -> Result<(), Error> {
        if seq != self.newest + 1 {
            return Err(Error::OutOfOrder { seq, newest: self.newest });
        }
        let len = u32::try_from(body.len()).map_err(|_| Error::TooLarge(seq))?;
        if body.len() > FRAME_BYTES_MAX {
            return Err(Error::TooLarge(seq));
        }
        if self.end + HEADER + u64::from(len) > SPOOL_BYTES_MAX {
            return Err(Error::Full);
        }
        let mut record = Vec::with_capacity(HEADER as usize + body.len());
        record.extend_from_slice(&len.to_le_bytes());
        record.extend_from_slice(&seq.to_le_bytes());
        record.extend_from_slice(&checksum(seq, body));
        record.extend_from_slice(body);
        self.file.write_all_at(&record, self.end).map_err(|error| self.io(&error))?;
        self.slots.push_back(Slot { seq, offset: self.end + HEADER, len });
        self.end += record.len() as u64;
        self.newest = seq;
        Ok(())
    }

    /// Frees all frames up to `cursor`; the file shrinks once nothing is left in it.
    ///
    /// # Errors
    /// The disk's.
    pub fn free(&mut self, cursor: u64) -> Result<(), Error> {
        while self.slots.front().is_some_and(|slot| slot.seq <= cursor) {
            self.slots.pop_front();
        }
        if self.slots.is_empty() && self.end > TRIM_BYTES {
            self.file.set_len(0).map_err(|error| self.io(&error))?;
            self.end = 0;
        }
        Ok(())
    }
}

impl Spool for Outbox {
    type Error = Error;

    fn newest(&self) -> u64 {
        self.newest
    }

    fn frame(&self, seq: u64) -> Result<Option<Bytes>, Error> {
        let Some(first) = self.slots.front() else { return Ok(None) };
        let index = seq.checked_sub(first.seq).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.slots.get(index)) {
            Some(slot) => self.load(*slot).map(Some),
            None => Ok(None),
        }
    }
}

fn checksum(seq: u64, body: &[u8]) -> [u8; 4] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seq.to_le_bytes()).update(body);
    let mut check = [0; 4];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        (dir, path)
    }

    #[test]
    fn frames_survive_a_restart_until_they_are_freed() {
        let (_dir, path) = spool();
        let mut outbox = Outbox::open(&path).unwrap();
        for seq in 1..=3 {
            outbox.append(seq, format!("frame {seq}").as_bytes()).unwrap();
        }
        outbox.free(1).unwrap();
        assert_eq!(outbox.frame(1).unwrap(), None);
        assert_eq!(outbox.frame(2).unwrap(), Some(Bytes::from("frame 2")));
        drop(outbox);
        let mut again = Outbox::open(&path).unwrap();
        assert_eq!(again.newest(), 3);
        assert_eq!(again.frame(3).unwrap(), Some(Bytes::from("frame 3")));
        assert_eq!(again.frame(4).unwrap(), None);
        again.append(4, b"frame 4").unwrap();
    }

    #[test]
    fn a_torn_tail_is_cut() {
        let (_dir, path) = spool();
        let mut outbox = Outbox::open(&path).unwrap();
        outbox.append(1, b"one").unwrap();
        outbox.append(2, b"two").unwrap();
        drop(outbox);
        let whole = std::fs::read(&path).unwrap();
        for cut in 20..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(Outbox::open(&path).unwrap().newest(), 1, "cut at {cut}");
            assert_eq!(std::fs::metadata(&path).unwrap().len(), 19);
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let (_dir, path) = spool();
        let mut outbox = Outbox::open(&path).unwrap();
        outbox.append(1, b"one").unwrap();
        outbox.file.write_all_at(b"O", 16).unwrap();
        assert!(matches!(outbox.frame(1), Err(Error::Damaged(1))));
    }

    #[test]
    fn gaps_are_refused() {
        let (_dir, path) = spool();
        let mut outbox = Outbox::open(&path).unwrap();
        outbox.append(1, b"").unwrap();
        assert!(matches!(outbox.append(3, b""), Err(Error::OutOfOrder { seq: 3, newest: 1 })));
        assert!(matches!(outbox.append(1, b""), Err(Error::OutOfOrder { .. })));
    }

    /// Once a frame that no tick can hold was kept, and the master proposed it for ever.
    #[test]
    fn a_frame_that_no_tick_can_hold_is_refused() {
        let (_dir, path) = spool();
        let mut outbox = Outbox::open(&path).unwrap();
        let frame = vec![7; FRAME_BYTES_MAX + 1];
        assert!(matches!(outbox.append(1, &frame), Err(Error::TooLarge(1))));
    }

    #[test]
    fn the_file_starts_again_when_all_is_freed() {
        let (_dir, path) = spool();
        let mut outbox = Outbox::open(&path).unwrap();
        for seq in 1..=2 {
            outbox.append(seq, &vec![7; FRAME_BYTES_MAX]).unwrap();
        }
        outbox.free(2).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        outbox.append(3, b"next").unwrap();
        assert_eq!(outbox.frame(3).unwrap(), Some(Bytes::from("next")));
    }
}

//! Who may still take room on this node's disk: each claim is held until it is written or given up,
//! so that two uploads are not both let in for the same bytes. The decision itself is
//! [`onrush_raft::space::admit`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use onrush_raft::space::{self, Claim, Full, Reserve, Space};

use super::store::Error;

/// See the module.
#[derive(Clone, Debug)]
pub struct Room {
    root: PathBuf,
    /// Raft's folder: what its reserve lacks is nobody's.
    raft: PathBuf,
    promised: Arc<Mutex<u64>>,
    #[cfg(test)]
    pretended: Arc<Mutex<Option<Space>>>,
}

/// Bytes that somebody may write; dropped, the rest is free again.
#[derive(Debug)]
pub struct Allotment {
    promised: Arc<Mutex<u64>>,
    left: u64,
}

impl Room {
    /// `root`: `<data>/blobs`.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let raft = root.parent().unwrap_or(root).join("raft");
        Self {
            root: root.to_owned(),
            raft,
            promised: Arc::default(),
            #[cfg(test)]
            pretended: Arc::default(),
        }
    }

    /// A disk for tests.
    #[cfg(test)]
    pub fn pretend(&self, space: Option<Space>) {
        *self.pretended.lock().unwrap() = space;
    }

    /// # Errors
    /// There is too little, or the file system cannot be asked.
    pub fn claim(&self, size: u64, claim: Claim) -> Result<Allotment, Error> {
        let space = self.space()?;
        let lacking = self.lacking(space);
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        space::admit(space, size, promised.saturating_add(lacking), claim).map_err(Error::Full)?;
        *promised += size;
        Ok(Allotment { promised: Arc::clone(&self.promised), left: size })
    }

    /// What stands in the way of anything new; none where there is room.
    #[must_use]
    pub fn pressure(&self) -> Option<Full> {
        let space = self.space().ok()?;
        space::admit(space, 0, self.lacking(space), Claim::New).err()
    }

    fn space(&self) -> Result<Space, Error> {
        #[cfg(test)]
        if let Some(space) = *self.pretended.lock().unwrap() {
            return Ok(space);
        }
        let path = &self.root;
        Space::of(path).map_err(|source| Error::Io { path: path.clone(), source })
    }

    fn lacking(&self, space: Space) -> u64 {
        // A node that belongs to no cluster has no log.
        if !self.raft.is_dir() {
            return 0;
        }
        Reserve::target(space.total, 0).saturating_sub(Reserve::open(&self.raft).held())
    }
}

impl Allotment {
    /// So many of its bytes are on the disk now.
    pub fn spend(&mut self, bytes: u64) {
        let spent = bytes.min(self.left);
        self.left -= spent;
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        *promised = promised.saturating_sub(spent);
    }

    /// Both as one.
    pub fn join(&mut self, mut other: Self) {
        self.left += std::mem::take(&mut other.left);
    }
}

impl Drop for Allotment {
    fn drop(&mut self) {
        self.spend(self.left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_until_it_is_written_or_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room::of(&dir.path().join("blobs"));
        let space = Space { total: 1 << 30, free: 1 << 30, ..Space::default() };
        room.pretend(Some(space));
        let promised = || *room.promised.lock().unwrap();
        let mut one = room.claim(1_000, Claim::Owed).unwrap();
        let two = room.claim(500, Claim::Owed).unwrap();
        assert_eq!(promised(), 1_500);
        one.spend(400);
        assert_eq!(promised(), 1_100);
        one.join(two);
        assert_eq!(promised(), 1_100);
        one.spend(u64::MAX);
        assert_eq!(promised(), 0);
        drop(one);
        assert_eq!(promised(), 0);
        assert!(matches!(room.claim(u64::MAX / 2, Claim::Owed), Err(Error::Full(_))));
        assert_eq!(promised(), 0);
    }
}

//! The state machine as openraft sees it: applies entries to the ledger and publishes it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use futures::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use tokio::sync::watch;

use super::file::{self, Folder, SnapshotFile};
use crate::file_error::FileError;
use crate::ledger::Ledger;
use crate::records::{LogId, Reply, SnapshotMeta, StoredMembership, TypeConfig};
use crate::space::Reserve;

type Snap = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotFile>;

/// Entries applied between two publications of the ledger.
const PUBLISH_EVERY: usize = 64;

/// What the rest of the process sees of the state machine.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) ledger: ArcSwap<Ledger>,
    pub(crate) applied: watch::Sender<u64>,
}

/// The applied state, and the snapshot on disk.
pub(crate) struct Machine {
    folder: Folder,
    reserve: Arc<Reserve>,
    ledger: Ledger,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    published: Arc<Published>,
    current: Arc<Mutex<Option<(SnapshotMeta, SnapshotFile)>>>,
}

impl Machine {
    /// Starts from the newest whole snapshot of `folder`. Blocking. Also gives what is wrong with
    /// newer ones: whether the log makes up for them is the caller's to judge.
    pub(crate) fn open(
        folder: Folder,
        reserve: Arc<Reserve>,
    ) -> Result<(Self, Vec<FileError>), FileError> {
        let (newest, damaged) = folder.newest()?;
        let (ledger, meta, file) = match newest {
            Some(loaded) => (loaded.ledger, loaded.meta, Some(loaded.file)),
            None => (Ledger::default(), SnapshotMeta::default(), None),
        };
        let published = Arc::new(Published {
            applied: watch::channel(ledger.applied()).0,
            ledger: ArcSwap::from_pointee(ledger.clone()),
        });
        let machine = Self {
            folder,
            reserve,
            ledger,
            last_applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
            published,
            current: Arc::new(Mutex::new(file.map(|file| (meta, file)))),
        };
        Ok((machine, damaged))
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    /// Log index of the snapshot on disk.
    pub(crate) fn snapshot_index(&self) -> Option<u64> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().and_then(|(meta, _)| meta.last_log_id).map(|id| id.index)
    }

    /// The ledger first, then the index: who sees the index can read its state.
    fn publish(&self) {
        let index = self.ledger.applied();
        self.published.ledger.store(Arc::new(self.ledger.clone()));
        self.published.applied.send_if_modified(|applied| {
            let changed = *applied != index;
            *applied = index;
            changed
        });
    }

    fn apply_one(&mut self, entry: crate::records::Entry) -> Reply {
        let index = entry.log_id.index;
        self.last_applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => {
                self.ledger.advance(index);
                Reply(None)
            }
            EntryPayload::Normal(proposal) => Reply(Some(self.ledger.apply(index, &proposal))),
            EntryPayload::Membership(membership) => {
                self.ledger.set_membership(index, membership.get_joint_config().clone());
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
                Reply(None)
            }
        }
    }

    /// Publishes, then answers: a proposer that reads this node's ledger sees its own write.
    fn answer(&self, replies: &mut Vec<(ApplyResponder<TypeConfig>, Reply)>) {
        self.publish();
        for (responder, reply) in replies.drain(..) {
            responder.send(reply);
        }
    }
}

/// The state at one index, to be written aside while entries go on being applied.
pub(crate) struct Builder {
    folder: Folder,
    reserve: Arc<Reserve>,
    ledger: Ledger,
    meta: SnapshotMeta,
    current: Arc<Mutex<Option<(SnapshotMeta, SnapshotFile)>>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<Snap, io::Error> {
        let (folder, ledger, meta) = (self.folder.clone(), self.ledger.clone(), self.meta.clone());
        let reserve = Arc::clone(&self.reserve);
        let written = tokio::task::spawn_blocking(move || folder.write(&meta, &ledger, &reserve));
        let file = written.await.map_err(io::Error::other)??;
        let meta = self.meta.clone();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = |(now, _): &(SnapshotMeta, SnapshotFile)| now.last_log_id > meta.last_log_id;
        if !current.as_ref().is_some_and(newer) {
            *current = Some((meta.clone(), file.clone()));
        }
        Ok(Snapshot { meta, snapshot: file })
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let (mut replies, mut unpublished) = (Vec::new(), 0);
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let reply = self.apply_one(entry);
            if let Some(responder) = responder {
                replies.push((responder, reply));
            }
            unpublished += 1;
            if unpublished >= PUBLISH_EVERY {
                self.answer(&mut replies);
                unpublished = 0;
            }
        }
        self.answer(&mut replies);
        Ok(())
    }

    /// None where the disk has no room for it: a snapshot that fails would end the node, and the
    /// log goes on without one.
    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Builder> {
        let (folder, reserve) = (self.folder.clone(), Arc::clone(&self.reserve));
        let fits = tokio::task::spawn_blocking(move || folder.fits_another(&reserve)).await;
        if fits.is_ok_and(|fits| fits) {
            return Some(self.get_snapshot_builder().await);
        }
        tracing::warn!("no snapshot now: the disk is full");
        None
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            folder: self.folder.clone(),
            reserve: Arc::clone(&self.reserve),
            ledger: self.ledger.clone(),
            meta: SnapshotMeta {
                last_log_id: self.last_applied,
                last_membership: self.membership.clone(),
            },
            current: Arc::clone(&self.current),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let (folder, meta) = (self.folder.clone(), meta.clone());
        let installed = tokio::task::spawn_blocking(move || {
            let loaded = file::load(&snapshot.path)?;
            let file = folder.install(&snapshot.path, &meta)?;
            Ok::<_, FileError>((loaded.ledger, meta, file))
        });
        let (ledger, meta, file) = installed.await.map_err(io::Error::other)??;
        self.ledger = ledger;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((meta, file));
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snap>, io::Error> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(current.clone().map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

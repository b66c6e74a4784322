//! What the repository does unasked: a voter or standby pulls everything the ledger refers to;
//! everyone deletes what nothing refers to, after a grace period.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use onrush_raft::types::ContentId;
use tokio_util::sync::CancellationToken;

use super::{Repository, blocking, gc};

/// Between two looks at what is missing.
const SYNC_PERIOD: Duration = Duration::from_secs(5);
/// Looks between two collections.
const SYNCS_PER_COLLECTION: u32 = 60;
/// Blobs pulled in one round; the next round goes on.
const PULLS_PER_ROUND: usize = 64;

impl Repository {
    /// Runs until `stop`.
    pub async fn upkeep(self: Arc<Self>, stop: CancellationToken) {
        let mut unreferenced = gc::Unreferenced::default();
        let mut round: u32 = 0;
        while stop.run_until_cancelled(tokio::time::sleep(SYNC_PERIOD)).await.is_some() {
            round = round.wrapping_add(1);
            self.sync().await;
            let full = self.is_full().await;
            if full || round.is_multiple_of(SYNCS_PER_COLLECTION) {
                self.collect(&mut unreferenced, full).await;
            }
        }
    }

    /// Says once when the disk is too full for anything new, and when it no longer is.
    async fn is_full(&self) -> bool {
        let room = self.room.clone();
        let Ok(pressure) = blocking(move || Ok(room.pressure())).await else { return false };
        let full = pressure.is_some();
        match (pressure, self.full.swap(full, Ordering::Relaxed)) {
            (Some(why), false) => tracing::warn!(
                %why,
                "the disk is too full for anything new: uploads are refused, and what nothing \
                 refers to goes without its grace period"
            ),
            (None, true) => tracing::info!("there is room on the disk again"),
            _ => {}
        }
        full
    }

    /// Pulls what is missing, and notes whether anything still is.
    async fn sync(&self) {
        let Ok(cluster) = self.cluster() else { return };
        let ledger = cluster.ledger();
        if !cluster.raft_id().is_some_and(|id| ledger.keeps_files(id)) {
            return self.complete.store(false, Ordering::Relaxed);
        }
        let store = self.store.clone();
        let Ok(present) = blocking(move || store.list()).await else { return };
        let missing = gc::missing(&present, &ledger.referenced());
        let mut pulled = 0;
        for content in missing.iter().take(PULLS_PER_ROUND) {
            match self.ensure(content, &[]).await {
                Ok(()) => pulled += 1,
                Err(error) => tracing::debug!(%content, %error, "not pulled yet"),
            }
        }
        self.complete.store(pulled == missing.len(), Ordering::Relaxed);
    }

    async fn collect(&self, unreferenced: &mut gc::Unreferenced, full: bool) {
        let Ok(cluster) = self.cluster() else { return };
        // Before it belongs to a cluster, a node does not know what is referred to.
        if cluster.cluster_id().is_none() || !cluster.ledger().is_open() {
            return;
        }
        let (now, referenced) = (cluster.clock().now_ms(), cluster.ledger().referenced());
        let store = self.store.clone();
        let Ok(present) = blocking(move || store.list()).await else { return };
        let mut in_use: BTreeSet<_> = {
            let pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
            pulls.keys().cloned().collect()
        };
        let uploading = self.uploading.lock().unwrap_or_else(PoisonError::into_inner).clone();
        in_use.extend(uploading.into_keys());
        let store = self.store.clone();
        let grace = move |id: &ContentId| gc::grace_ms(store.size(id).unwrap_or(0), full);
        let expired = unreferenced.expired(&present, &referenced, &in_use, now, &grace);
        let store = self.store.clone();
        let removed = blocking(move || {
            for id in expired {
                store.remove_unused(&id, Duration::from_millis(grace(&id)))?;
            }
            store.prune_parts(Duration::from_millis(gc::grace_ms(0, full)))
        });
        let removed = removed.await;
        if let Err(error) = removed {
            tracing::warn!(%error, "unreferenced blobs stay");
        }
    }
}

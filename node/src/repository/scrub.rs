//! The scrubber: reads all blobs of this disk within a day and checks them against their hashes, so
//! that what rots is found while another node still has it whole. It goes slowly: [`pause`] is pure.
//! Where it is survives a restart, to a blob.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use onrush_raft::types::ContentId;
use tokio_util::sync::CancellationToken;

use super::store;
use super::{Repository, blocking};

/// In which all blobs are read once.
const ROUND: Duration = Duration::from_secs(24 * 60 * 60);
/// At most; a node with more than 4 TB takes longer than a day.
const BYTES_PER_SEC_MAX: u64 = 50 << 20;
/// Before the first blob, between two rounds, and where the folder cannot be read.
const REST: Duration = Duration::from_secs(60);

/// After `bytes` of a round over `total`: how long to wait for what follows.
#[must_use]
pub(super) fn pause(bytes: u64, total: u64) -> Duration {
    let fair = ROUND.mul_f64(ratio(bytes, total.max(1)).min(1.0));
    let least = Duration::from_secs(1).mul_f64(ratio(bytes, BYTES_PER_SEC_MAX));
    fair.max(least)
}

#[expect(clippy::cast_precision_loss, reason = "a pace, not a count")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// What is left of a round whose last finished blob is `done`; all of it where it had come to its
/// end. `all` is sorted.
fn rest<'a>(all: &'a [ContentId], done: Option<&ContentId>) -> &'a [ContentId] {
    let from = done.map_or(0, |done| all.partition_point(|content| content <= done));
    if from == all.len() { all } else { &all[from..] }
}

impl Repository {
    /// Runs until `stop`.
    pub async fn scrub(self: Arc<Self>, stop: CancellationToken) {
        let scrubbing = async {
            loop {
                tokio::time::sleep(REST).await;
                self.scrub_round(pause).await;
            }
        };
        // Between two chunks it may end anywhere.
        stop.run_until_cancelled(scrubbing).await;
    }

    /// The rest of a round, at the pace of `pause`.
    pub(super) async fn scrub_round(self: &Arc<Self>, pause: fn(u64, u64) -> Duration) {
        let store = self.store.clone();
        let Ok(all) = blocking(move || store.list()).await else { return };
        let total = all.iter().filter_map(|content| self.store.size(content)).sum();
        let done = self.scrubbed().await;
        for content in rest(&all, done.as_ref()) {
            self.scrub_one(content, total, pause).await;
            self.note_scrubbed(content.clone()).await;
        }
    }

    async fn scrub_one(
        self: &Arc<Self>,
        content: &ContentId,
        total: u64,
        pause: fn(u64, u64) -> Duration,
    ) {
        let (store, id) = (self.store.clone(), content.clone());
        let checked = match blocking(move || store.manifest(&id)).await {
            Ok(manifest) => {
                let mut checked = Ok(());
                for index in 0..manifest.hashes.len() {
                    let (store, id) = (self.store.clone(), content.clone());
                    let manifest = Arc::clone(&manifest);
                    let chunk = blocking(move || store.chunk(&id, &manifest, index)).await;
                    let bytes = chunk.as_ref().map_or(0, Vec::len) as u64;
                    tokio::time::sleep(pause(bytes, total)).await;
                    checked = chunk.map(drop);
                    if checked.is_err() {
                        break;
                    }
                }
                checked
            }
            Err(error) => Err(error),
        };
        if checked.is_err_and(|error| error.is_damage()) {
            // It says itself how that went.
            let _ = self.repair(content).await;
        }
    }

    fn cursor(&self) -> PathBuf {
        self.store.root().join("scrubbed")
    }

    async fn scrubbed(&self) -> Option<ContentId> {
        let path = self.cursor();
        let read = blocking(move || Ok(fs::read_to_string(path).ok())).await.ok()??;
        Some(ContentId(read.trim().to_owned()))
    }

    async fn note_scrubbed(&self, content: ContentId) {
        let path = self.cursor();
        // Always as long, so that it finds room; lost, it costs a part of a round.
        let written = blocking(move || {
            let at = store::io(&path);
            fs::write(&path, content.0).map_err(at)
        });
        if let Err(error) = written.await {
            tracing::debug!(%error, "the scrubber's place is not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::CHUNK_BYTES;
    use super::*;

    fn ids(names: &[&str]) -> Vec<ContentId> {
        names.iter().map(|name| ContentId((*name).into())).collect()
    }

    #[test]
    fn all_blobs_are_read_within_a_day_and_never_faster_than_the_limit() {
        const GIB: u64 = 1 << 30;
        assert_eq!(pause(GIB, 24 * GIB), Duration::from_secs(3_600));
        assert_eq!(pause(CHUNK_BYTES.into(), 1), ROUND);
        assert_eq!(pause(0, 0), Duration::ZERO);
        // 40 TiB: 50 MiB/s, whatever the day says.
        assert_eq!(pause(50 << 20, 40_960 * GIB), Duration::from_secs(1));
        let (total, chunk) = (100 * GIB, u64::from(CHUNK_BYTES));
        let whole = pause(chunk, total).as_secs_f64() * ratio(total, chunk);
        assert!((whole - 86_400.0).abs() < 1.0, "{whole}");
    }

    #[test]
    fn a_round_goes_on_where_it_was() {
        let all = ids(&["a", "c", "e"]);
        assert_eq!(rest(&all, None), &all[..]);
        assert_eq!(rest(&all, ids(&["a"]).first()), &all[1..]);
        // The blob it was at may be gone.
        assert_eq!(rest(&all, ids(&["b"]).first()), &all[1..]);
        assert_eq!(rest(&all, ids(&["e"]).first()), &all[..]);
        assert_eq!(rest(&[], None), &[] as &[ContentId]);
    }
}

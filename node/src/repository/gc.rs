//! Which blobs may be deleted, and which are missing. Pure: what is on disk, what the ledger refers
//! to and the time are parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use onrush_raft::types::ContentId;

use super::{REPLICATE_BYTES_PER_SEC_MIN, REPLICATE_TIMEOUT};

/// How long a blob stays that nothing refers to: uploads whose command is on its way, and files
/// deleted by mistake. By this node's clock, from when it was first seen so.
pub const GRACE_MS: u64 = 24 * 60 * 60 * 1_000;

/// From a blob's being replicated to its name's being committed, at most.
const COMMIT_TIME: Duration = Duration::from_secs(30);

/// Since when each blob was seen without a reference. Lost on restart, which only prolongs.
#[derive(Debug, Default)]
pub struct Unreferenced {
    since: BTreeMap<ContentId, u64>,
}

impl Unreferenced {
    /// What may go now. `present`: on this disk. `in_use`: being pulled, uploaded or read for a
    /// shard right now.
    pub fn expired(
        &mut self,
        present: &[ContentId],
        referenced: &BTreeSet<ContentId>,
        in_use: &BTreeSet<ContentId>,
        now_ms: u64,
        grace_ms: impl Fn(&ContentId) -> u64,
    ) -> Vec<ContentId> {
        let present: BTreeSet<&ContentId> = present.iter().collect();
        self.since.retain(|content, _| present.contains(content) && !referenced.contains(content));
        let mut expired = Vec::new();
        for content in present {
            if referenced.contains(content) || in_use.contains(content) {
                continue;
            }
            let since = *self.since.entry(content.clone()).or_insert(now_ms);
            if now_ms.saturating_sub(since) >= grace_ms(content) {
                expired.push(content.clone());
            }
        }
        expired
    }
}

/// How long a blob of `size` bytes stays that nothing refers to. On a full disk, no longer than an
/// upload may take until its command is committed: what was deleted makes room.
#[must_use]
pub fn grace_ms(size: u64, full: bool) -> u64 {
    if !full {
        return GRACE_MS;
    }
    let slowest = Duration::from_secs(size / REPLICATE_BYTES_PER_SEC_MIN);
    let upload = REPLICATE_TIMEOUT + slowest + COMMIT_TIME;
    u64::try_from(upload.as_millis()).unwrap_or(GRACE_MS).min(GRACE_MS)
}

/// What the ledger refers to and this disk has not.
#[must_use]
pub fn missing(present: &[ContentId], referenced: &BTreeSet<ContentId>) -> Vec<ContentId> {
    let present: BTreeSet<&ContentId> = present.iter().collect();
    referenced.iter().filter(|content| !present.contains(content)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<ContentId> {
        names.iter().map(|name| ContentId((*name).into())).collect()
    }

    fn set(names: &[&str]) -> BTreeSet<ContentId> {
        ids(names).into_iter().collect()
    }

    #[test]
    fn only_what_was_unreferenced_for_the_whole_grace_goes() {
        let mut state = Unreferenced::default();
        let present = ids(&["a", "b", "c"]);
        let none = set(&[]);
        let mut expired = |present: &[_], used: &BTreeSet<_>, in_use: &BTreeSet<_>, now| {
            state.expired(present, used, in_use, now, |_| GRACE_MS)
        };
        assert_eq!(expired(&present, &set(&["a"]), &none, 0), ids(&[]));
        // `b` is referred to for a while: its time starts again.
        assert_eq!(expired(&present, &set(&["a", "b"]), &none, 10), ids(&[]));
        assert_eq!(expired(&present, &set(&["a"]), &none, 20), ids(&[]));
        assert_eq!(expired(&present, &set(&["a"]), &none, GRACE_MS), ids(&["c"]));
        assert_eq!(expired(&present, &set(&["a"]), &set(&["c"]), GRACE_MS), ids(&[]));
        assert_eq!(expired(&present, &set(&["a"]), &none, GRACE_MS + 20), ids(&["b", "c"]));
    }

    #[test]
    fn a_full_disk_waits_for_no_more_than_an_upload_takes() {
        assert_eq!(grace_ms(u64::MAX, false), GRACE_MS);
        assert_eq!(grace_ms(0, true), 60_000);
        assert_eq!(grace_ms(40 << 20, true), 100_000);
        assert_eq!(grace_ms(u64::MAX, true), GRACE_MS);
        let mut state = Unreferenced::default();
        let (present, none) = (ids(&["large", "small"]), set(&[]));
        let grace = |id: &ContentId| grace_ms(if id.0 == "small" { 0 } else { 1 << 30 }, true);
        assert_eq!(state.expired(&present, &none, &none, 0, grace), ids(&[]));
        assert_eq!(state.expired(&present, &none, &none, 60_000, grace), ids(&["small"]));
        assert_eq!(state.expired(&present, &none, &set(&["small"]), 60_000, grace), ids(&[]));
    }

    #[test]
    fn missing_is_the_difference() {
        assert_eq!(missing(&ids(&["a"]), &set(&["a", "b"])), ids(&["b"]));
    }
}

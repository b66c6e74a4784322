//! Which blobs may be deleted, and which are missing. Pure: what is on disk, what the ledger refers
//! to and the time are parameters.

use std::collections::{BTreeMap, BTreeSet};

use onrush_raft::types::ContentId;

/// How long a blob stays that nothing refers to: uploads whose command is on its way, and files
/// deleted by mistake. By this node's clock, from when it was first seen so.
pub const GRACE_MS: u64 = 24 * 60 * 60 * 1_000;

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
    ) -> Vec<ContentId> {
        let present: BTreeSet<&ContentId> = present.iter().collect();
        self.since.retain(|content, _| present.contains(content) && !referenced.contains(content));
        let mut expired = Vec::new();
        for content in present {
            if referenced.contains(content) || in_use.contains(content) {
                continue;
            }
            let since = *self.since.entry(content.clone()).or_insert(now_ms);
            if now_ms.saturating_sub(since) >= GRACE_MS {
                expired.push(content.clone());
            }
        }
        expired
    }
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
        assert_eq!(state.expired(&present, &set(&["a"]), &none, 0), ids(&[]));
        // `b` is referred to for a while: its time starts again.
        assert_eq!(state.expired(&present, &set(&["a", "b"]), &none, 10), ids(&[]));
        assert_eq!(state.expired(&present, &set(&["a"]), &none, 20), ids(&[]));
        assert_eq!(state.expired(&present, &set(&["a"]), &none, GRACE_MS), ids(&["c"]));
        assert_eq!(state.expired(&present, &set(&["a"]), &set(&["c"]), GRACE_MS), ids(&[]));
        assert_eq!(state.expired(&present, &set(&["a"]), &none, GRACE_MS + 20), ids(&["b", "c"]));
    }

    #[test]
    fn missing_is_the_difference() {
        assert_eq!(missing(&ids(&["a"]), &set(&["a", "b"])), ids(&["b"]));
    }
}

//! Whom this node sends a blob to at the moment. Only a few at a time: the others are told so, find
//! those few among the holders a moment later, and no node sends a blob to everyone. Pure.

use std::collections::BTreeMap;

use onrush_raft::types::{ContentId, PeerName};

/// Nodes that one node sends one blob to at a time. Five times as many have it after each round.
pub(super) const PULLERS_MAX: usize = 4;
/// Who has not asked for so long has all of it, or went elsewhere. Who has all of it may send it as
/// well, so that nobody waits for this one.
const GONE_AFTER_MS: u64 = 2_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Fanout {
    /// When each asked last.
    pullers: BTreeMap<ContentId, BTreeMap<PeerName, u64>>,
}

impl Fanout {
    /// Whether the node gets a chunk of it now.
    pub(super) fn admit(&mut self, content: &ContentId, peer: &PeerName, now_ms: u64) -> bool {
        self.pullers.retain(|_, pullers| {
            pullers.retain(|_, asked_ms| now_ms.saturating_sub(*asked_ms) < GONE_AFTER_MS);
            !pullers.is_empty()
        });
        let pullers = self.pullers.entry(content.clone()).or_default();
        let admitted = pullers.len() < PULLERS_MAX || pullers.contains_key(peer);
        if admitted {
            pullers.insert(peer.clone(), now_ms);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_at_a_time_and_each_until_it_is_done() {
        let mut fanout = Fanout::default();
        let (content, other) = (ContentId("a".into()), ContentId("b".into()));
        let peer = |n: u64| PeerName(format!("p{n}"));
        let mut ask = |content: &ContentId, n, now| fanout.admit(content, &peer(n), now);
        assert!((0..4).all(|n| ask(&content, n, 0)));
        assert!(!ask(&content, 4, 0) && ask(&other, 4, 0), "each blob by itself");
        assert!(ask(&content, 0, 1_900), "who has begun goes on");
        assert!(ask(&content, 4, 2_000) && ask(&content, 5, 2_000) && ask(&content, 6, 2_000));
        assert!(!ask(&content, 7, 2_000), "the first is still at it");
        assert!(ask(&content, 7, 3_900), "it has gone");
        assert!(ask(&other, 4, 9_000));
        assert_eq!(fanout.pullers.len(), 1, "what nobody asks for is forgotten");
    }
}

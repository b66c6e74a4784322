//! The first exchange on a connection: versions, the cluster's name, and both signed records. The
//! verdict is pure; until it is favourable no other stream of that peer is served.

use onrush_raft::types::ClusterId;
use serde::{Deserialize, Serialize};

use super::NodeRecord;

/// Versions of the node-to-node protocols that this build speaks.
pub(super) const PROTOCOL_MIN: u32 = 2;
pub(super) const PROTOCOL_MAX: u32 = 2;

/// What each side says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol_min: u32,
    pub(super) protocol_max: u32,
    pub(super) cluster_name: String,
    /// A sealed record (`super::record`).
    pub(super) record: String,
}

/// What is remembered of a peer's hello beside its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) protocol_min: u32,
    pub(super) protocol_max: u32,
    pub(super) cluster_name: String,
}

/// This node, as far as the verdict depends on it.
#[derive(Clone, Debug)]
pub(super) struct Own<'a> {
    pub(super) protocol_min: u32,
    pub(super) protocol_max: u32,
    pub(super) cluster_name: &'a str,
    pub(super) record: &'a NodeRecord,
}

/// Why a peer is not let in; `None` lets it in.
pub(super) fn refusal(own: &Own<'_>, said: &Said, theirs: &NodeRecord) -> Option<String> {
    misfit(own, said, theirs).or_else(|| {
        let (ours, other) = other_cluster(own.record, theirs)?;
        Some(format!("it belongs to cluster {other}, this is {ours}"))
    })
}

/// Another version or another name: it has nothing to do with this node's cluster.
fn misfit(own: &Own<'_>, said: &Said, theirs: &NodeRecord) -> Option<String> {
    if said.protocol_max < own.protocol_min || said.protocol_min > own.protocol_max {
        return Some(format!(
            "it speaks protocol versions {}..={} (onrush {}), this node {}..={} (onrush {})",
            said.protocol_min,
            said.protocol_max,
            theirs.version,
            own.protocol_min,
            own.protocol_max,
            own.record.version,
        ));
    }
    if said.cluster_name != own.cluster_name {
        return Some(format!(
            "it belongs to a cluster named '{}', this is '{}'",
            said.cluster_name, own.cluster_name
        ));
    }
    None
}

/// Whether a peer is not let in for nothing but that it belongs to another cluster of this name.
pub(super) fn is_foreign(own: &Own<'_>, said: &Said, theirs: &NodeRecord) -> bool {
    misfit(own, said, theirs).is_none() && other_cluster(own.record, theirs).is_some()
}

/// Both clusters, where they differ and both nodes are bound for good.
fn other_cluster<'a>(
    own: &'a NodeRecord,
    theirs: &'a NodeRecord,
) -> Option<(&'a ClusterId, &'a ClusterId)> {
    let clusters = own.cluster.as_ref().zip(theirs.cluster.as_ref());
    clusters.filter(|(ours, other)| ours != other && settled(own) && settled(theirs))
}

/// Bound for good: a forming cluster may still dissolve into another, so its nodes keep talking.
fn settled(record: &NodeRecord) -> bool {
    matches!(record.cluster_state.as_str(), "open" | "detached")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(record: &NodeRecord) -> Own<'_> {
        Own { protocol_min: 3, protocol_max: 4, cluster_name: "onrush", record }
    }

    fn said(min: u32, max: u32, name: &str) -> Said {
        Said { protocol_min: min, protocol_max: max, cluster_name: name.to_owned() }
    }

    fn of(cluster: Option<&str>, state: &str) -> NodeRecord {
        NodeRecord {
            cluster: cluster.map(Into::into),
            cluster_state: state.to_owned(),
            version: "0.1.0".to_owned(),
            ..NodeRecord::default()
        }
    }

    #[test]
    fn versions_must_overlap() {
        let blank = of(None, "blank");
        assert_eq!(refusal(&own(&blank), &said(4, 5, "onrush"), &blank), None);
        assert_eq!(refusal(&own(&blank), &said(1, 3, "onrush"), &blank), None);
        let refused = refusal(&own(&blank), &said(5, 6, "onrush"), &blank).unwrap();
        assert_eq!(
            refused,
            "it speaks protocol versions 5..=6 (onrush 0.1.0), this node 3..=4 (onrush 0.1.0)"
        );
        assert!(refusal(&own(&blank), &said(1, 2, "onrush"), &blank).is_some());
    }

    #[test]
    fn open_clusters_never_mix_but_forming_ones_may_still_merge() {
        let open = of(Some("aa"), "open");
        let said = said(3, 4, "onrush");
        assert_eq!(
            refusal(&own(&open), &said, &of(Some("bb"), "open")).as_deref(),
            Some("it belongs to cluster bb, this is aa")
        );
        assert!(is_foreign(&own(&open), &said, &of(Some("bb"), "open")));
        for said in [self::said(3, 4, "other"), self::said(1, 2, "onrush")] {
            assert!(refusal(&own(&open), &said, &of(Some("bb"), "open")).is_some());
            assert!(!is_foreign(&own(&open), &said, &of(Some("bb"), "open")));
        }
        assert!(!is_foreign(&own(&open), &said, &of(Some("aa"), "open")));
        assert_eq!(refusal(&own(&open), &said, &of(Some("bb"), "forming")), None);
        assert_eq!(refusal(&own(&open), &said, &of(Some("aa"), "open")), None);
        assert_eq!(refusal(&own(&open), &said, &of(None, "blank")), None);
    }

    #[test]
    fn another_name_is_another_cluster() {
        let blank = of(None, "blank");
        assert!(refusal(&own(&blank), &said(3, 4, "other"), &blank).unwrap().contains("'other'"));
    }
}

//! Ledger, gossip and connections joined into one list. Pure.

use std::collections::{BTreeMap, BTreeSet};

use onrush_api::backend::MemberView;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::member::ClusterState;
use onrush_raft::types::{PeerName, RaftId};

use super::data_dir::ClusterFile;
use super::member::{Bound, Membership};
use crate::net::{PHI_SUSPECT, PeerView, record_period_ms};

/// A node that was seen within this time and is not connected is suspect, not dead; or within so many
/// periods of its records, which others may pass on.
const DEAD_AFTER_MS: u64 = 10_000;
const DEAD_AFTER_PERIODS: u64 = 3;

/// What gossip calls this node's state.
pub(super) fn state(file: Option<&ClusterFile>, ledger: Option<&Ledger>) -> &'static str {
    match (file, ledger) {
        (None, _) => "blank",
        (Some(ClusterFile { raft_id: None, .. }), _) => "detached",
        // A joiner that has not yet heard of its cluster's state is as little open as a forming one.
        (Some(_), None) => "forming",
        (Some(_), Some(ledger)) => match ledger.cluster().state {
            ClusterState::None | ClusterState::Forming => "forming",
            ClusterState::Open => "open",
            ClusterState::Dissolved { .. } => "dissolved",
        },
    }
}

/// Who has a raft id: by the ledger, and where that does not know yet (a learner before its first
/// entry), by the signed record of the node itself.
pub(super) fn peer_of(membership: &Membership, bound: &Bound, id: RaftId) -> Option<PeerName> {
    if let Some(member) = bound.consensus.ledger().member(id) {
        return Some(member.peer.clone());
    }
    let views = membership.views();
    let claims = |view: &&PeerView| {
        view.record.as_ref().is_some_and(|record| {
            record.raft_id == Some(id) && record.cluster.as_ref() == Some(&bound.cluster)
        })
    };
    views.iter().find(claims).map(|view| view.peer.clone())
}

/// Everyone: members by the ledger first, then nodes that are only seen.
pub(super) fn join(ledger: &Ledger, views: &[PeerView], leader: Option<RaftId>) -> Vec<MemberView> {
    let dead_after_ms = DEAD_AFTER_MS.max(DEAD_AFTER_PERIODS * record_period_ms(views.len()));
    let seen = |view: &PeerView| seen(view, dead_after_ms);
    let views: BTreeMap<&PeerName, &PeerView> = views.iter().map(|v| (&v.peer, v)).collect();
    let mut members = Vec::new();
    for member in ledger.members().filter(|member| !member.removed) {
        let mut view = views.get(&member.peer).map_or_else(MemberView::default, |v| seen(v));
        view.peer = member.peer.to_string();
        view.name.clone_from(&member.name);
        view.raft_id = Some(member.raft_id);
        view.draining = member.draining;
        if view.health.is_empty() {
            "dead".clone_into(&mut view.health);
        }
        view.role = match member.raft_id {
            id if Some(id) == leader => "leader",
            id if member.bound => ledger.role(id).word(),
            _ => "joining",
        }
        .to_owned();
        members.push(view);
    }
    let known: BTreeSet<String> = members.iter().map(|member| member.peer.clone()).collect();
    for view in views.values().filter(|view| !known.contains(&view.peer.0)) {
        members.push(MemberView { role: stranger_role(ledger, view).to_owned(), ..seen(view) });
    }
    members.sort_by(|a, b| (&a.name, &a.peer).cmp(&(&b.name, &b.peer)));
    members
}

/// A node that is no member: on its way in, or settled in another cluster (they never merge).
fn stranger_role(ledger: &Ledger, view: &PeerView) -> &'static str {
    let cluster = view.record.as_ref().and_then(|record| record.cluster.as_ref());
    let own = &ledger.cluster().id;
    let elsewhere = cluster.is_some_and(|other| !own.0.is_empty() && other != own);
    if elsewhere { "foreign" } else { "joining" }
}

/// Health of a member that is connected and answers in its usual time.
pub(crate) const ALIVE: &str = "alive";

fn seen(view: &PeerView, dead_after_ms: u64) -> MemberView {
    let health = if view.connected && view.phi < PHI_SUSPECT {
        ALIVE
    } else if view.connected || view.last_seen_ms < dead_after_ms {
        "suspect"
    } else {
        "dead"
    };
    let record = view.record.clone().unwrap_or_default();
    MemberView {
        name: record.name,
        peer: view.peer.to_string(),
        addresses: record.addresses,
        api: record.api,
        version: record.version,
        health: health.to_owned(),
        labels: record.labels,
        cores: record.cores,
        running_shards: record.running_shards,
        clock_ahead_ms: record.clock_ahead_ms,
        leaving: record.leaving,
        last_seen_ms: view.last_seen_ms,
        rtt_us: view.rtt_us,
        ..MemberView::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::NodeRecord;

    fn view(peer: &str, connected: bool, phi: f64, last_seen_ms: u64) -> PeerView {
        let record = NodeRecord { name: peer.to_uppercase(), ..NodeRecord::default() };
        PeerView {
            peer: peer.into(),
            connected,
            phi,
            last_seen_ms,
            record: Some(record),
            ..PeerView::default()
        }
    }

    #[test]
    fn health_is_connection_and_suspicion() {
        let views = [
            view("a", true, 0.1, 0),
            view("b", true, 9.0, 5_000),
            view("c", false, 0.0, 5_000),
            view("d", false, 0.0, 20_000),
        ];
        let members = join(&Ledger::default(), &views, None);
        let health: Vec<&str> = members.iter().map(|m| m.health.as_str()).collect();
        assert_eq!(health, ["alive", "suspect", "suspect", "dead"]);
        assert!(members.iter().all(|member| member.role == "joining"));
        // Of a hundred nodes, records come more rarely.
        let mut many: Vec<PeerView> =
            (0..100).map(|n| view(&n.to_string(), true, 0.0, 0)).collect();
        many.push(view("away", false, 0.0, 20_000));
        let members = join(&Ledger::default(), &many, None);
        assert!(members.iter().any(|member| member.name == "AWAY" && member.health == "suspect"));
    }

    #[test]
    fn a_node_of_another_cluster_is_foreign() {
        let ledger = Ledger::open_single();
        let mut stranger = view("z", true, 0.0, 0);
        assert_eq!(stranger_role(&ledger, &stranger), "joining");
        let record = stranger.record.as_mut().unwrap();
        record.cluster = Some("another".into());
        assert_eq!(stranger_role(&ledger, &stranger), "foreign");
        stranger.record.as_mut().unwrap().cluster = Some(ledger.cluster().id.clone());
        assert_eq!(stranger_role(&ledger, &stranger), "joining");
    }

    #[test]
    fn states_have_names() {
        let bound = ClusterFile::bound("c".into(), "onrush".to_owned(), 1);
        let file = |raft_id| ClusterFile { raft_id, ..bound.clone() };
        assert_eq!(state(None, None), "blank");
        assert_eq!(state(Some(&file(None)), None), "detached");
        assert_eq!(state(Some(&file(Some(1))), Some(&Ledger::default())), "forming");
        assert_eq!(state(Some(&file(Some(1))), Some(&Ledger::open_single())), "open");
    }
}

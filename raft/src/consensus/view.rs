//! What a node can say of its Raft group: always its own view, always a copy (a guard on
//! openraft's metrics held for long would stop Raft itself).

use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::{Instant, RaftMetrics, ServerState};

use super::{Consensus, Membership, lock};
use crate::ledger::Ledger;
use crate::ledger::member::ClusterState;
use crate::records::TypeConfig;
use crate::status::{RaftPeer, RaftStatus};
use crate::types::RaftId;

pub(super) type Metrics = RaftMetrics<TypeConfig>;

/// Age of the last acknowledgement by a quorum; leader only. A sole voter is its own quorum.
pub(super) fn quorum_ack_age(metrics: &Metrics) -> Option<Duration> {
    if metrics.state != ServerState::Leader {
        return None;
    }
    let mut voters = metrics.membership_config.voter_ids();
    if voters.all(|id| id == metrics.id) {
        return Some(Duration::ZERO);
    }
    metrics.last_quorum_acked.map(|at| at.elapsed())
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Consensus {
    pub(super) fn metrics(&self) -> Metrics {
        self.inner.raft.metrics().borrow_watched().clone()
    }

    /// The newest membership that this node knows, committed or not.
    pub fn membership(&self) -> Membership {
        membership(&self.metrics())
    }

    /// Leader only: age of each node's last acknowledgement and its lag behind the last entry.
    pub fn progress(&self) -> Vec<(RaftId, Option<u64>, Option<u64>)> {
        let status = self.status();
        status.peers.into_iter().map(|peer| (peer.id, peer.last_contact_ms, peer.lag)).collect()
    }

    /// For `onrush raft status`.
    pub fn status(&self) -> RaftStatus {
        let (metrics, ledger) = (self.metrics(), self.ledger());
        let cluster = ledger.cluster();
        let since = *lock(&self.inner.leaderless_since);
        let index = |id: Option<crate::records::LogId>| id.map(|id| id.index);
        RaftStatus {
            cluster: cluster.id.clone(),
            cluster_name: cluster.name.clone(),
            cluster_state: state_text(&cluster.state).to_owned(),
            node: metrics.id,
            state: server_state_text(&metrics, self.inner.log.poisoned().borrow().is_some())
                .to_owned(),
            term: metrics.current_term,
            leader: self.inner.leadership.borrow().leader,
            leaderless_ms: since.map(|since| ms(since.elapsed())),
            last_log_index: metrics.last_log_index.unwrap_or(0),
            committed_index: index(metrics.local_committed).unwrap_or(0),
            applied_index: index(metrics.last_applied).unwrap_or(0),
            snapshot_index: index(metrics.snapshot),
            purged_index: index(metrics.purged),
            quorum_ack_ms: quorum_ack_age(&metrics).map(ms),
            heard_ms: self.inner.inbound.leader_silence().map(ms),
            membership_changing: !membership(&metrics).committed,
            role: ledger.role(metrics.id),
            peers: peers(&metrics, &ledger),
        }
    }
}

fn membership(metrics: &Metrics) -> Membership {
    let (newest, committed) = (&metrics.membership_config, &metrics.committed_membership_config);
    Membership {
        index: newest.log_id().map_or(0, |id| id.index),
        voter_sets: newest.get_joint_config().clone(),
        learners: newest.membership().learner_ids().collect(),
        committed: newest.log_id() == committed.log_id(),
    }
}

fn peers(metrics: &Metrics, ledger: &Ledger) -> Vec<RaftPeer> {
    let voters: std::collections::BTreeSet<RaftId> =
        metrics.membership_config.voter_ids().collect();
    let last = metrics.last_log_index.unwrap_or(0);
    let leads = metrics.state == ServerState::Leader;
    let peer = |(&id, info): (&RaftId, &super::NodeInfo)| {
        let own = leads && id == metrics.id;
        let matched = metrics.replication.as_ref().and_then(|all| all.get(&id).copied().flatten());
        let acked = metrics.heartbeat.as_ref().and_then(|all| all.get(&id).copied().flatten());
        let match_index = if own { Some(last) } else { matched.map(|id| id.index) };
        RaftPeer {
            id,
            peer: info.peer.0.clone(),
            name: info.name.clone(),
            voter: voters.contains(&id),
            role: ledger.role(id),
            match_index,
            lag: match_index.map(|index| last.saturating_sub(index)),
            last_contact_ms: if own { Some(0) } else { acked.map(|at| ms(at.elapsed())) },
        }
    };
    metrics.membership_config.nodes().map(peer).collect()
}

fn state_text(state: &ClusterState) -> &'static str {
    match state {
        ClusterState::None => "none",
        ClusterState::Forming => "forming",
        ClusterState::Open => "open",
        ClusterState::Dissolved { .. } => "dissolved",
    }
}

fn server_state_text(metrics: &Metrics, ended: bool) -> &'static str {
    if ended || metrics.running_state.is_err() {
        return "shutdown";
    }
    match metrics.state {
        ServerState::Learner => "learner",
        ServerState::Follower => "follower",
        ServerState::Candidate => "candidate",
        ServerState::Leader => "leader",
        ServerState::Shutdown => "shutdown",
    }
}

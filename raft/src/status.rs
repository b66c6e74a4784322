//! What `onrush raft status` shows, from one node's own view.

use serde::{Deserialize, Serialize};

use crate::ledger::member::Role;
use crate::types::{ClusterId, RaftId};

/// One node's view of the Raft group. Fields that only the leader knows are absent elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RaftStatus {
    pub cluster: ClusterId,
    pub cluster_name: String,
    /// `forming`, `open`, …
    pub cluster_state: String,
    pub node: RaftId,
    /// `leader`, `follower`, `candidate`, `learner`, `shutdown`.
    pub state: String,
    pub role: Role,
    pub term: u64,
    pub leader: Option<RaftId>,
    /// Since when this node knows of no leader, milliseconds.
    pub leaderless_ms: Option<u64>,
    pub last_log_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub snapshot_index: Option<u64>,
    pub purged_index: Option<u64>,
    /// Leader only: age of the last acknowledgement by a quorum, milliseconds.
    pub quorum_ack_ms: Option<u64>,
    /// Age of the last word of a leader, on all others; absent before the first.
    pub heard_ms: Option<u64>,
    /// A membership change is under way.
    pub membership_changing: bool,
    pub peers: Vec<RaftPeer>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RaftPeer {
    pub id: RaftId,
    pub peer: String,
    pub name: String,
    pub voter: bool,
    pub role: Role,
    /// Leader only.
    pub match_index: Option<u64>,
    /// Leader only: entries behind the leader's last.
    pub lag: Option<u64>,
    /// Leader only: age of its last acknowledgement, milliseconds.
    pub last_contact_ms: Option<u64>,
}

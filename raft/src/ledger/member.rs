//! Nodes of the cluster, and whether it is open for clients (forming rules R3 to R5).

use serde::{Deserialize, Serialize};

use crate::types::{ClusterId, PeerName, RaftId, UnixMs};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub raft_id: RaftId,
    pub peer: PeerName,
    pub name: String,
    pub joined_at: UnixMs,
    /// It said that it durably keeps `cluster.json` with this id.
    pub bound: bool,
    pub removed: bool,
}

/// The cluster's own record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub id: ClusterId,
    pub name: String,
    pub expect: u32,
    pub min_open: u32,
    pub state: ClusterState,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterState {
    /// Before `Genesis`.
    #[default]
    None,
    Forming,
    Open,
    Dissolved {
        into: ClusterId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberCommand {
    Genesis {
        cluster: ClusterId,
        name: String,
        expect: u32,
        min_open: u32,
        founder: PeerName,
        founder_name: String,
    },
    /// The node's raft id is the index of this entry; an active peer gets the id it has.
    Allocate {
        peer: PeerName,
        name: String,
    },
    Bound {
        raft_id: RaftId,
    },
    Open,
    Dissolve {
        into: ClusterId,
    },
    Remove {
        raft_id: RaftId,
    },
}

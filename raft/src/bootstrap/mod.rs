//! The forming rules R0 to R6: how identical nodes become one cluster.
//!
//! Pure: a view of the neighbourhood in, one action out; the node carries it out and asks again.
//! Who founds is elected by gossip and may err. What makes errors harmless is not here but in the
//! ledger: a cluster takes no client write before it is opened, opening needs a majority of the
//! expected nodes durably bound to it, and it can be opened or dissolved, never both.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ledger::member::{Cluster, ClusterState};
use crate::types::{ClusterId, PeerName, RaftId};

/// How long enough blank nodes must have seen each other before one of them founds (R3).
pub const HOLD_MS: u64 = 2_000;

/// What the node keeps durably: `cluster.json`, or its absence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binding {
    /// Never in a cluster, or released by one that was dissolved.
    #[default]
    Blank,
    Bound {
        cluster: ClusterId,
        raft_id: RaftId,
    },
    /// Removed from an open cluster: may only rejoin that one, never founds (B1).
    Detached {
        cluster: ClusterId,
    },
}

/// What a peer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PeerState {
    #[default]
    Blank,
    Forming(ClusterId),
    Open(ClusterId),
    /// Not to be counted on for anything now: dissolved, detached, not yet known.
    Other,
}

/// A node with a live connection and the same cluster name and secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSeen {
    pub peer: PeerName,
    pub state: PeerState,
    /// Its `--expect`; 0 when it has none.
    pub expect: u32,
    /// How many blank nodes it sees, itself included ([`View::sees_blank`] of that node).
    pub sees_blank: u32,
}

/// This node's own cluster, once bound: from its ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnCluster {
    /// This node leads and has applied its own blank entry.
    pub leader: bool,
    pub cluster: Cluster,
    pub bound_members: u32,
    pub voters: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// A clock that never goes back, milliseconds.
    pub now_ms: u64,
    pub me: PeerName,
    /// `--expect`; 1 without contact points; absent: join only.
    pub expect: Option<u32>,
    pub binding: Binding,
    /// Absent while Raft does not run here.
    pub own: Option<OwnCluster>,
    /// Live connections only, this node excluded.
    pub peers: Vec<PeerSeen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing to do now; why, for the log and `status`.
    Wait(Waiting),
    /// Ask one of `via` to be admitted to `cluster`.
    Join { cluster: ClusterId, via: Vec<PeerName> },
    /// Draw a cluster id, bind as raft id 1 durably, initialise, propose `Genesis`.
    Found { expect: u32, min_open: u32 },
    /// Propose `Open`.
    Open,
    /// Propose `Dissolve`.
    Dissolve { into: ClusterId },
    /// Own cluster is dissolved: stop Raft, archive its folder, delete `cluster.json`.
    Release { into: ClusterId },
    /// Two open clusters of one name: raise the alarm, change nothing (R6).
    Conflict { with: ClusterId },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Bound, and all is well or in the hands of the leader.
    Member,
    /// The leader of a forming cluster waits for members or voters.
    Forming { bound: u32, of: u32, voters: u32, voters_of: u32 },
    /// Blank, without `--expect`: no cluster is reachable.
    JoinOnly,
    /// Blank: fewer nodes than expected are there, or do not see each other yet.
    Nodes { seen: u32, expected: u32 },
    /// Enough nodes, not yet for long enough.
    Holding { for_ms: u64 },
    /// Enough nodes; this one founds.
    Founder(PeerName),
    /// Detached, and its cluster is not reachable.
    Detached(ClusterId),
}

impl View {
    /// Blank nodes with the same `--expect` that this node sees, itself included: to be gossiped.
    #[must_use]
    pub fn sees_blank(&self) -> u32 {
        if self.binding != Binding::Blank {
            return 0;
        }
        let others = self.peers.iter().filter(|p| self.is_fellow(p)).count();
        u32::try_from(others + 1).unwrap_or(u32::MAX)
    }

    fn is_fellow(&self, peer: &PeerSeen) -> bool {
        peer.state == PeerState::Blank && Some(peer.expect) == self.expect
    }

    fn open_clusters(&self) -> BTreeSet<&ClusterId> {
        let open = |p: &'_ PeerSeen| matches!(p.state, PeerState::Open(_));
        let ids = self.peers.iter().filter(|p| open(p)).filter_map(|p| p.state.cluster());
        ids.collect()
    }

    fn forming_clusters(&self) -> BTreeSet<&ClusterId> {
        let forming = |p: &'_ PeerSeen| matches!(p.state, PeerState::Forming(_));
        let ids = self.peers.iter().filter(|p| forming(p)).filter_map(|p| p.state.cluster());
        ids.collect()
    }

    fn join(&self, cluster: &ClusterId) -> Action {
        let member = |p: &&PeerSeen| p.state.cluster() == Some(cluster);
        let via = self.peers.iter().filter(member).map(|p| p.peer.clone()).collect();
        Action::Join { cluster: cluster.clone(), via }
    }
}

impl PeerState {
    fn cluster(&self) -> Option<&ClusterId> {
        match self {
            Self::Forming(cluster) | Self::Open(cluster) => Some(cluster),
            Self::Blank | Self::Other => None,
        }
    }
}

/// The rules; remembers only since when enough blank nodes have been there.
#[derive(Clone, Debug, Default)]
pub struct Bootstrap {
    enough_since_ms: Option<u64>,
}

impl Bootstrap {
    /// What to do now. To be asked on every change of the view, and every 250 ms.
    pub fn decide(&mut self, view: &View) -> Action {
        if view.binding != Binding::Blank {
            self.enough_since_ms = None;
        }
        match &view.binding {
            Binding::Bound { cluster, .. } => bound(view, cluster),
            Binding::Detached { cluster } => detached(view, cluster),
            Binding::Blank => self.blank(view),
        }
    }

    fn blank(&mut self, view: &View) -> Action {
        let (open, forming) = (view.open_clusters(), view.forming_clusters());
        if let Some(cluster) = open.first().or_else(|| forming.first()) {
            self.enough_since_ms = None;
            return view.join(cluster);
        }
        let Some(expect) = view.expect else { return Action::Wait(Waiting::JoinOnly) };
        let expect = expect.max(1);
        let fellows: BTreeSet<&PeerName> = view
            .peers
            .iter()
            .filter(|p| view.is_fellow(p) && p.sees_blank >= expect)
            .map(|p| &p.peer)
            .chain([&view.me])
            .collect();
        let seen = u32::try_from(fellows.len()).unwrap_or(u32::MAX);
        if seen < expect {
            self.enough_since_ms = None;
            return Action::Wait(Waiting::Nodes { seen, expected: expect });
        }
        let since = *self.enough_since_ms.get_or_insert(view.now_ms);
        let hold = if expect == 1 { 0 } else { HOLD_MS };
        let held = view.now_ms.saturating_sub(since);
        if held < hold {
            return Action::Wait(Waiting::Holding { for_ms: hold - held });
        }
        match fellows.first() {
            Some(&first) if first != &view.me => Action::Wait(Waiting::Founder(first.clone())),
            _ => Action::Found { expect, min_open: expect / 2 + 1 },
        }
    }
}

fn detached(view: &View, cluster: &ClusterId) -> Action {
    if view.open_clusters().contains(cluster) {
        return view.join(cluster);
    }
    Action::Wait(Waiting::Detached(cluster.clone()))
}

fn bound(view: &View, mine: &ClusterId) -> Action {
    let Some(own) = &view.own else { return Action::Wait(Waiting::Member) };
    let open = view.open_clusters();
    let other_open = open.iter().find(|id| **id != mine);
    match &own.cluster.state {
        ClusterState::Dissolved { into } => Action::Release { into: into.clone() },
        ClusterState::Open => match other_open {
            Some(with) => Action::Conflict { with: (*with).clone() },
            None => Action::Wait(Waiting::Member),
        },
        ClusterState::Forming if own.leader => {
            let forming = view.forming_clusters();
            let smaller = forming.first().filter(|id| **id < mine);
            if let Some(into) = other_open.or(smaller) {
                return Action::Dissolve { into: (*into).clone() };
            }
            let voters_of = u32::try_from(own.cluster.voters_to_open()).unwrap_or(u32::MAX);
            let (bound, of) = (own.bound_members, own.cluster.min_open);
            if bound >= of && own.voters >= voters_of {
                return Action::Open;
            }
            Action::Wait(Waiting::Forming { bound, of, voters: own.voters, voters_of })
        }
        ClusterState::Forming | ClusterState::None => Action::Wait(Waiting::Member),
    }
}

#[cfg(test)]
mod tests;

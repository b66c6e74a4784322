//! Nodes of the cluster, and whether it is open for clients (forming rules R3 to R5).
//!
//! Open and Dissolve exclude each other by log order. Raft ids are log indices, so they are never
//! used twice inside a cluster (B3). Who votes is Raft's own business, only recorded here.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, Rejection};
use super::{At, Ledger, limits};
use crate::types::{ClusterId, PeerName, RaftId, UnixMs};

/// The founder's raft id: index 1 is the first leader's blank entry, so no `Allocate` can get it.
pub const FOUNDER: RaftId = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub raft_id: RaftId,
    pub peer: PeerName,
    pub name: String,
    pub joined_at: UnixMs,
    /// It said that it durably keeps `cluster.json` with this id.
    pub bound: bool,
    pub removed: bool,
    /// It gets no new shards, and hands over those that it has: an operator's wish.
    pub draining: bool,
    /// It keeps the files as the voters do, so as to take a seat among them at once.
    pub standby: bool,
}

/// What a member is to its cluster. All of them have the log, take requests and run shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Its vote counts, and it keeps all files.
    Voter,
    /// It keeps all files, to take a seat at once.
    Standby,
    #[default]
    Worker,
}

impl Role {
    /// For people and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Standby => "standby",
            Self::Worker => "worker",
        }
    }
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

impl Cluster {
    /// Voters that `Open` asks for: three where three nodes are expected, else one.
    #[must_use]
    pub fn voters_to_open(&self) -> usize {
        if self.expect >= 3 { 3 } else { 1 }
    }
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
    /// The node's raft id is the index of this entry; an active peer gets the id it has, unless it
    /// is bound: what it kept under that id is gone, and an id is never used again (B3).
    Allocate { peer: PeerName, name: String },
    /// These said so themselves; any that is no member refuses all.
    Bound { raft_ids: BTreeSet<RaftId> },
    /// Needs `min_open` bound members, and three voters where three nodes are expected.
    Open,
    /// Only while forming.
    Dissolve { into: ClusterId },
    /// For a node that will not come back. Refused while it votes. One that lives asks to join again.
    Remove { raft_id: RaftId },
    /// `Open` by the operator's word: waives the number of voters, not that of bound members.
    OpenNow,
    /// `Allocate` of a peer that gave up the id `left`, for good: it has no log of that id any more.
    Rejoin { peer: PeerName, name: String, left: RaftId },
    /// See [`Member::draining`].
    Drain { raft_id: RaftId, draining: bool },
    /// See [`Member::standby`]: these, and nobody else; any that is no member refuses all.
    Standbys { raft_ids: BTreeSet<RaftId> },
}

impl Ledger {
    pub(super) fn apply_member(
        &mut self,
        at: At<'_>,
        command: &MemberCommand,
    ) -> Result<Outcome, Rejection> {
        if let MemberCommand::Genesis { .. } = command {
            return self.genesis(at, command);
        }
        if self.cluster.state == ClusterState::None {
            return Err(Rejection::Forming);
        }
        match command {
            MemberCommand::Genesis { .. } => self.genesis(at, command),
            MemberCommand::Allocate { peer, name } => self.allocate(at, peer, name),
            MemberCommand::Bound { raft_ids } => self.bound(raft_ids),
            MemberCommand::Open => self.open(self.cluster.voters_to_open()),
            MemberCommand::OpenNow => self.open(1),
            MemberCommand::Dissolve { into } => self.dissolve(into),
            MemberCommand::Remove { raft_id } => self.remove(*raft_id),
            MemberCommand::Rejoin { peer, name, left } => self.rejoin(at, peer, name, *left),
            MemberCommand::Drain { raft_id, draining } => self.drain(*raft_id, *draining),
            MemberCommand::Standbys { raft_ids } => self.standbys(raft_ids),
        }
    }

    fn genesis(&mut self, at: At<'_>, command: &MemberCommand) -> Result<Outcome, Rejection> {
        let MemberCommand::Genesis { cluster, name, expect, min_open, founder, founder_name } =
            command
        else {
            return Err(Rejection::Invalid("not a genesis".to_owned()));
        };
        if self.cluster.state != ClusterState::None {
            if &self.cluster.id == cluster {
                return Ok(Outcome::Done);
            }
            return Err(Rejection::Conflict(format!("this is cluster {}", self.cluster.id)));
        }
        limits::text("the cluster id", &cluster.0, limits::NAME_BYTES_MAX)?;
        limits::text("the cluster name", name, limits::NAME_BYTES_MAX)?;
        check_node(founder, founder_name)?;
        if cluster.0.is_empty() {
            return Err(Rejection::Invalid("the cluster id is empty".to_owned()));
        }
        if *expect == 0 || *min_open != expect / 2 + 1 {
            return Err(Rejection::Invalid(format!(
                "expect {expect} needs min_open {}, not {min_open}",
                expect / 2 + 1
            )));
        }
        self.cluster = Cluster {
            id: cluster.clone(),
            name: name.clone(),
            expect: *expect,
            min_open: *min_open,
            state: ClusterState::Forming,
        };
        self.insert_member(FOUNDER, founder, founder_name, at.at, true);
        Ok(Outcome::Done)
    }

    fn allocate(&mut self, at: At<'_>, peer: &PeerName, name: &str) -> Result<Outcome, Rejection> {
        check_node(peer, name)?;
        if let Some(member) = self.member_of_peer(peer).filter(|member| member.bound) {
            return Ok(Outcome::Bound(member.raft_id));
        }
        if let Some(member) = self.member_of_peer(peer) {
            let (id, renamed) = (member.raft_id, member.name != name);
            if renamed && let Some(row) = Arc::make_mut(&mut self.members).get_mut(&id) {
                name.clone_into(&mut Arc::make_mut(row).name);
            }
            return Ok(Outcome::Allocated(id));
        }
        let active = self.members.values().filter(|m| !m.removed).count();
        limits::count("members", active + 1, limits::MEMBERS_MAX)?;
        if self.members.last_key_value().is_some_and(|(&newest, _)| newest >= at.index) {
            return Err(Rejection::Invalid(format!("index {} is not new", at.index)));
        }
        self.insert_member(at.index, peer, name, at.at, false);
        Ok(Outcome::Allocated(at.index))
    }

    /// The old id may vote still: that seat is empty for good, and is given to a standby.
    fn rejoin(
        &mut self,
        at: At<'_>,
        peer: &PeerName,
        name: &str,
        left: RaftId,
    ) -> Result<Outcome, Rejection> {
        check_node(peer, name)?;
        let active = self.member_of_peer(peer).map(|member| member.raft_id);
        if active == Some(left)
            && let Some(row) = Arc::make_mut(&mut self.members).get_mut(&left)
        {
            Arc::make_mut(row).removed = true;
        }
        self.allocate(at, peer, name)
    }

    fn insert_member(
        &mut self,
        raft_id: RaftId,
        peer: &PeerName,
        name: &str,
        joined_at: UnixMs,
        bound: bool,
    ) {
        let (peer, name) = (peer.clone(), name.to_owned());
        let (removed, draining, standby) = (false, false, false);
        let member = Member { raft_id, peer, name, joined_at, bound, removed, draining, standby };
        Arc::make_mut(&mut self.members).insert(raft_id, Arc::new(member));
    }

    fn bound(&mut self, ids: &BTreeSet<RaftId>) -> Result<Outcome, Rejection> {
        ids.iter().try_for_each(|id| self.active_member(*id).map(drop))?;
        self.change_members(|member| member.bound |= ids.contains(&member.raft_id));
        Ok(Outcome::Done)
    }

    fn standbys(&mut self, ids: &BTreeSet<RaftId>) -> Result<Outcome, Rejection> {
        ids.iter().try_for_each(|id| self.active_member(*id).map(drop))?;
        self.change_members(|member| member.standby = ids.contains(&member.raft_id));
        Ok(Outcome::Done)
    }

    /// Copies only the rows that change.
    fn change_members(&mut self, change: impl Fn(&mut Member)) {
        for row in Arc::make_mut(&mut self.members).values_mut() {
            let mut changed = Member::clone(row);
            change(&mut changed);
            if changed != **row {
                *row = Arc::new(changed);
            }
        }
    }

    fn open(&mut self, voters_needed: usize) -> Result<Outcome, Rejection> {
        if self.cluster.state == ClusterState::Open {
            return Ok(Outcome::Done);
        }
        let (bound, need) = (self.bound_members(), self.cluster.min_open);
        if bound < usize::try_from(need).unwrap_or(usize::MAX) {
            return Err(Rejection::Conflict(format!(
                "{bound} of {need} nodes are bound to the cluster"
            )));
        }
        let voters = self.voter_sets.iter().map(BTreeSet::len).min();
        let voters = voters.unwrap_or(0);
        if voters < voters_needed {
            return Err(Rejection::Conflict(format!(
                "{voters} of {voters_needed} voters are there"
            )));
        }
        self.cluster.state = ClusterState::Open;
        Ok(Outcome::Done)
    }

    fn dissolve(&mut self, into: &ClusterId) -> Result<Outcome, Rejection> {
        if self.cluster.state == ClusterState::Open {
            return Err(Rejection::Conflict("an open cluster is never dissolved".to_owned()));
        }
        limits::text("the cluster id", &into.0, limits::NAME_BYTES_MAX)?;
        if into.0.is_empty() || into == &self.cluster.id {
            return Err(Rejection::Invalid(format!("cannot dissolve into {into:?}")));
        }
        self.cluster.state = ClusterState::Dissolved { into: into.clone() };
        Ok(Outcome::Done)
    }

    fn remove(&mut self, id: RaftId) -> Result<Outcome, Rejection> {
        match self.members.get(&id) {
            None => return Err(Rejection::NotFound { what: format!("member {id}") }),
            Some(member) if member.removed => return Ok(Outcome::Done),
            Some(_) => {}
        }
        if self.voters().contains(&id) {
            return Err(Rejection::Conflict(format!(
                "member {id} votes: a standby must take its seat first"
            )));
        }
        let members = Arc::make_mut(&mut self.members);
        if let Some(row) = members.get_mut(&id) {
            Arc::make_mut(row).removed = true;
        }
        let removed: Vec<RaftId> =
            members.values().filter(|m| m.removed).map(|m| m.raft_id).collect();
        for id in removed.iter().take(removed.len().saturating_sub(limits::MEMBERS_MAX)) {
            members.remove(id);
        }
        Ok(Outcome::Done)
    }

    fn drain(&mut self, id: RaftId, draining: bool) -> Result<Outcome, Rejection> {
        if self.active_member(id)?.draining != draining
            && let Some(row) = Arc::make_mut(&mut self.members).get_mut(&id)
        {
            Arc::make_mut(row).draining = draining;
        }
        Ok(Outcome::Done)
    }

    fn active_member(&self, id: RaftId) -> Result<&Arc<Member>, Rejection> {
        let member = self.members.get(&id).filter(|member| !member.removed);
        member.ok_or_else(|| Rejection::NotFound { what: format!("member {id}") })
    }
}

fn check_node(peer: &PeerName, name: &str) -> Result<(), Rejection> {
    limits::text("the peer id", &peer.0, limits::NAME_BYTES_MAX)?;
    limits::text("the node's name", name, limits::NAME_BYTES_MAX)?;
    if peer.0.is_empty() {
        return Err(Rejection::Invalid("the peer id is empty".to_owned()));
    }
    Ok(())
}

//! Orders to Raft itself: founding, membership, transfer, snapshots. What to order is decided by
//! `bootstrap` and `autopilot`.

use std::collections::{BTreeMap, BTreeSet};

use openraft::errors::{ClientWriteError, InitializeError, RaftError};
use openraft::{ChangeMembers, Precondition};

use super::{
    AdminError, Consensus, NodeInfo, PROPOSE_TIMEOUT, ProposeError, TRANSFER_TIMEOUT, write_error,
};
use crate::records::TypeConfig;
use crate::types::RaftId;

/// A membership change takes two entries; the second may follow a slow first.
const CHANGE_TIMEOUT_FACTOR: u32 = 2;

impl Consensus {
    /// Founds a cluster with this node as its only voter. Refused on a node that has a log.
    pub async fn initialize(&self, me: NodeInfo) -> Result<(), AdminError> {
        let members = BTreeMap::from([(self.inner.config.id, me)]);
        match self.inner.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::Fatal(_)) => Err(ProposeError::Shutdown.into()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                Err(AdminError::Refused("this node has a log already".to_owned()))
            }
            Err(RaftError::APIError(error)) => Err(AdminError::Refused(error.to_string())),
        }
    }

    /// Adds learners in one entry; does not wait until they have caught up. Those that have the log
    /// already are left as they are. Returns the membership's index.
    pub async fn add_learners(
        &self,
        mut nodes: BTreeMap<RaftId, NodeInfo>,
    ) -> Result<u64, AdminError> {
        let membership = self.membership();
        let voter = |id: &RaftId| membership.voter_sets.iter().any(|set| set.contains(id));
        nodes.retain(|id, _| !voter(id) && !membership.learners.contains(id));
        if nodes.is_empty() {
            return Ok(membership.index);
        }
        self.change(ChangeMembers::AddNodes(nodes), membership.index).await
    }

    /// Replaces the voters by `voters`, all of them learners or voters already; refused unless
    /// the membership is still the one of `precondition` ([`super::Membership::index`]). A joint
    /// configuration left over is finished by giving the set of its newest half.
    pub async fn change_voters(
        &self,
        voters: BTreeSet<RaftId>,
        precondition: u64,
    ) -> Result<u64, AdminError> {
        self.change(ChangeMembers::ReplaceAllVoters(voters), precondition).await
    }

    /// Takes a learner out of the membership.
    pub async fn remove_node(&self, id: RaftId) -> Result<u64, AdminError> {
        let membership = self.membership();
        let voter = membership.voter_sets.iter().any(|set| set.contains(&id));
        if !voter && !membership.learners.contains(&id) {
            return Ok(membership.index);
        }
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id])), membership.index).await
    }

    async fn change(
        &self,
        change: ChangeMembers<RaftId, NodeInfo>,
        precondition: u64,
    ) -> Result<u64, AdminError> {
        let observed = *self.metrics().membership_config.log_id();
        if observed.map_or(0, |id| id.index) != precondition {
            return Err(AdminError::Precondition);
        }
        let guard = [Precondition::LastMembershipLogId { last_membership_log_id: observed }];
        let changed = self.inner.raft.change_membership_if(change, false, guard);
        let limit = PROPOSE_TIMEOUT * CHANGE_TIMEOUT_FACTOR;
        match tokio::time::timeout(limit, changed).await {
            Err(_) => Err(ProposeError::NoQuorum.into()),
            Ok(Ok(written)) => Ok(written.log_id.index),
            Ok(Err(RaftError::Fatal(_))) => Err(ProposeError::Shutdown.into()),
            Ok(Err(RaftError::APIError(error))) => Err(admin_error(error)),
        }
    }

    /// Asks voter `to` to take over; returns once it leads, or fails when that did not happen in
    /// time.
    pub async fn transfer_leader(&self, to: RaftId) -> Result<(), AdminError> {
        let status = self.metrics();
        if status.current_leader != Some(self.inner.config.id) {
            return Err(ProposeError::NotLeader(status.current_leader).into());
        }
        if !status.membership_config.voter_ids().any(|id| id == to) {
            return Err(AdminError::Refused(format!("node {to} is not a voter")));
        }
        let asked = self.inner.raft.trigger().transfer_leader(to).await;
        asked.map_err(|_| ProposeError::Shutdown)?;
        let mut leadership = self.leadership();
        let waited = leadership.wait_for(|now| now.leader == Some(to));
        match tokio::time::timeout(TRANSFER_TIMEOUT, waited).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ProposeError::Shutdown.into()),
            Err(_) => Err(AdminError::Refused(format!("node {to} did not take over in time"))),
        }
    }

    /// Asks for a snapshot of what is applied; does not wait for it.
    pub async fn trigger_snapshot(&self) -> Result<(), AdminError> {
        let asked = self.inner.raft.trigger().snapshot().await;
        asked.map_err(|_| ProposeError::Shutdown.into())
    }
}

fn admin_error(error: ClientWriteError<TypeConfig>) -> AdminError {
    match error {
        ClientWriteError::PreconditionFailed(_) => AdminError::Precondition,
        ClientWriteError::ChangeMembershipError(error) => AdminError::Refused(error.to_string()),
        other => AdminError::Propose(write_error(other)),
    }
}

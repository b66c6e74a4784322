//! Answers what joiners and other members ask of this node, and registers all of membership's
//! services with the mesh.

use std::sync::Arc;

use futures::FutureExt as _;
use onrush_raft::consensus::{self, ProposeError};
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::member::MemberCommand;
use onrush_raft::ledger::outcome::Outcome;
use onrush_raft::types::PeerName;

use super::handle::{Applied, Cluster as _, ClusterError};
use super::member::{Bound, Membership};
use super::rpc;
use crate::net::{CallHandler, Service, Services};
use crate::wire::{ClusterReply, ClusterRequest, decode_request, encode_reply};

impl Membership {
    /// Adds what membership answers.
    pub fn register(self: &Arc<Self>, services: &mut Services) {
        for service in [Service::Raft, Service::RaftHeartbeat, Service::RaftSnapshot] {
            let membership = Arc::clone(self);
            let handler: CallHandler = Arc::new(move |peer, frame| {
                rpc::handle(Arc::clone(&membership), peer, frame).boxed()
            });
            services.calls.insert(service, handler);
        }
        let membership = Arc::clone(self);
        let handler: CallHandler = Arc::new(move |peer, body| {
            let membership = Arc::clone(&membership);
            async move {
                let request = decode_request(&body).map_err(|e| e.to_string())?;
                let reply = membership.answer(peer, request).await;
                encode_reply(&reply).map_err(|e| e.to_string())
            }
            .boxed()
        });
        services.calls.insert(Service::Cluster, handler);
    }

    async fn answer(&self, peer: PeerName, request: ClusterRequest) -> ClusterReply {
        let Some(bound) = self.bound.load_full() else { return ClusterReply::NotMember };
        if *request.cluster() != bound.cluster {
            return ClusterReply::NotMember;
        }
        match request {
            ClusterRequest::Join { name, .. } => {
                self.admit(&peer, MemberCommand::Allocate { peer: peer.clone(), name }).await
            }
            ClusterRequest::Rejoin { name, left, .. } => {
                self.admit(&peer, MemberCommand::Rejoin { peer: peer.clone(), name, left }).await
            }
            ClusterRequest::Propose { proposal, .. } => {
                match bound.consensus.propose(*proposal).await {
                    Ok((index, result)) => ClusterReply::Applied { index, result },
                    Err(error) => self.not_proposed(&bound, &error),
                }
            }
            ClusterRequest::ReadIndex { .. } => match bound.consensus.linearize().await {
                Ok(index) => ClusterReply::Index(index),
                Err(error) => self.not_proposed(&bound, &error),
            },
            ClusterRequest::Status { .. } => ClusterReply::Status(Box::new(self.raft_status())),
            ClusterRequest::Standing { raft_id, .. } => {
                let removed = self.ledger().member(raft_id).is_some_and(|member| member.removed);
                if removed { ClusterReply::Removed } else { ClusterReply::Done }
            }
        }
    }

    async fn admit(&self, peer: &PeerName, command: MemberCommand) -> ClusterReply {
        match self.propose(&peer.0.as_str().into(), Command::Member(command)).await {
            Ok(Applied { outcome: Outcome::Allocated(raft_id), .. }) => {
                ClusterReply::Offer { raft_id }
            }
            Ok(Applied { outcome: Outcome::Bound(raft_id), .. }) => ClusterReply::Bound(raft_id),
            Ok(_) => ClusterReply::Failed("the ledger gave no raft id".to_owned()),
            Err(error) => refusal(error),
        }
    }

    fn not_proposed(&self, bound: &Bound, error: &ProposeError) -> ClusterReply {
        match error {
            ProposeError::NotLeader(leader) => ClusterReply::NotLeader(
                leader.and_then(|id| super::members::peer_of(self, bound, id)),
            ),
            // What a consensus that stops had taken may or may not be carried out.
            ProposeError::NoQuorum | ProposeError::Shutdown => {
                ClusterReply::NoQuorum(error.to_string())
            }
            ProposeError::NoRoom => {
                ClusterReply::NoRoom(format!("node {}: {error}", self.config.name))
            }
            ProposeError::TooLarge { .. } => ClusterReply::Failed(error.to_string()),
        }
    }
}

fn refusal(error: ClusterError) -> ClusterReply {
    match error {
        ClusterError::NoLeader(_) | ClusterError::Superseded { .. } => {
            ClusterReply::NotLeader(None)
        }
        ClusterError::NoQuorum(why) => ClusterReply::NoQuorum(why),
        ClusterError::Rejected(rejection) => ClusterReply::Failed(rejection.to_string()),
        ClusterError::NoRoom(why) => ClusterReply::NoRoom(why),
        ClusterError::Internal(why) => ClusterReply::Failed(why),
    }
}

/// `None`: certainly not carried out, because another node leads.
pub(super) fn outcome(
    result: Result<consensus::Applied, ProposeError>,
) -> Option<Result<Applied, ClusterError>> {
    match result {
        Ok((index, Ok(outcome))) => Some(Ok(Applied { index, outcome })),
        Ok((_, Err(rejection))) => Some(Err(ClusterError::Rejected(rejection))),
        Err(ProposeError::NotLeader(_)) => None,
        Err(error) => Some(Err(cluster_error(&error))),
    }
}

pub(super) fn cluster_error(error: &ProposeError) -> ClusterError {
    match error {
        ProposeError::NotLeader(_) => ClusterError::NoLeader(error.to_string()),
        ProposeError::NoQuorum | ProposeError::Shutdown => {
            ClusterError::NoQuorum(error.to_string())
        }
        ProposeError::NoRoom => ClusterError::NoRoom(error.to_string()),
        ProposeError::TooLarge { .. } => ClusterError::Internal(error.to_string()),
    }
}

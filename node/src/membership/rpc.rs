//! Raft's messages over the mesh. Each carries the cluster, the receiver and the sender; the sender
//! is also known by its key, and what does not fit together never reaches Raft.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use onrush_raft::consensus::{Lane, RaftRpc, RpcError};
use onrush_raft::types::{ClusterId, PeerName, RaftId};

use super::member::{Bound, Membership};
use super::members;
use crate::net::{Mesh as _, MeshError, Service};
use crate::wire::RaftHeader;

/// The way out.
pub(super) struct MeshRpc {
    membership: Weak<Membership>,
    cluster: ClusterId,
    raft_id: RaftId,
}

impl MeshRpc {
    pub(super) fn new(membership: &Arc<Membership>, cluster: ClusterId, raft_id: RaftId) -> Self {
        Self { membership: Arc::downgrade(membership), cluster, raft_id }
    }
}

#[async_trait]
impl RaftRpc for MeshRpc {
    async fn call(
        &self,
        target: RaftId,
        lane: Lane,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RpcError> {
        let unreachable = |why: &str| RpcError::Unreachable { target, why: why.to_owned() };
        let membership = self.membership.upgrade().ok_or_else(|| unreachable("stopped"))?;
        let bound = membership.bound.load_full().ok_or_else(|| unreachable("starting"))?;
        let mesh = membership.net().ok_or_else(|| unreachable("starting"))?;
        let peer = members::peer_of(&membership, &bound, target)
            .ok_or_else(|| unreachable("no node is known by this id"))?;
        let service = match lane {
            Lane::Replication => Service::Raft,
            Lane::Heartbeat => Service::RaftHeartbeat,
            Lane::Snapshot => Service::RaftSnapshot,
        };
        let frame = RaftHeader::new(&self.cluster, target, self.raft_id).prepend(&body);
        mesh.call(&peer, service, frame, timeout).await.map_err(|error| match error {
            MeshError::NotConnected(_) | MeshError::Lost(_) => unreachable(&error.to_string()),
            MeshError::Timeout { after, .. } => RpcError::Timeout { target, after },
            MeshError::Remote(why) => RpcError::Remote { target, why },
        })
    }
}

/// The way in.
pub(super) async fn handle(
    membership: Arc<Membership>,
    peer: PeerName,
    frame: Bytes,
) -> Result<Bytes, String> {
    let bound = membership.bound.load_full().ok_or("this node belongs to no cluster")?;
    let (header, body) = RaftHeader::split(&frame).ok_or("not a raft frame")?;
    check(&membership, &bound, &peer, &header)
        .inspect_err(|why| membership.say_refused(&peer, why))?;
    bound.consensus.handle(header.from, body).await
}

fn check(
    membership: &Membership,
    bound: &Bound,
    peer: &PeerName,
    header: &RaftHeader,
) -> Result<(), String> {
    let expected = RaftHeader::new(&bound.cluster, bound.raft_id, header.from);
    if header.cluster != expected.cluster {
        return Err(format!("this node belongs to cluster {}", bound.cluster));
    }
    if header.to != expected.to {
        return Err(format!("this is node {}, not {}", bound.raft_id, header.to));
    }
    match members::peer_of(membership, bound, header.from) {
        Some(known) if known == *peer => Ok(()),
        Some(known) => Err(format!("{} is {known}, not {peer}", header.from)),
        None => Err(format!("nobody is known as node {}", header.from)),
    }
}

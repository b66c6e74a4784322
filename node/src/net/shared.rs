//! What the swarm's task shares with everyone else: who may be talked to, the views, this node's
//! own record. Written by few, read without waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use onrush_raft::types::PeerName;
use tokio::sync::{Notify, watch};

use super::{NodeRecord, PeerView, record};

pub(super) struct Shared {
    pub(super) cluster_name: String,
    key: Keypair,
    own: Mutex<NodeRecord>,
    /// The own record changed and wants to be published.
    pub(super) changed: Notify,
    /// Peers with a connection.
    pub(super) linked: ArcSwap<BTreeSet<PeerId>>,
    /// Peers whose streams are served.
    pub(super) admitted: ArcSwap<BTreeSet<PeerId>>,
    pub(super) views: watch::Sender<Arc<BTreeMap<PeerName, PeerView>>>,
}

impl Shared {
    pub(super) fn new(key: Keypair, cluster_name: String, own: NodeRecord) -> Self {
        Self {
            cluster_name,
            key,
            own: Mutex::new(own),
            changed: Notify::new(),
            linked: ArcSwap::default(),
            admitted: ArcSwap::default(),
            views: watch::Sender::new(Arc::default()),
        }
    }

    /// Changes this node's record; it is published at once where it differs.
    pub(super) fn update(&self, change: impl FnOnce(&mut NodeRecord)) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let before = own.clone();
        change(&mut own);
        // Identity and order are the mesh's own business.
        own.peer = before.peer.clone();
        own.incarnation = before.incarnation;
        own.seq = before.seq;
        if *own != before {
            self.changed.notify_one();
        }
    }

    /// The next edition of this node's record, signed.
    pub(super) fn edition(&self) -> Result<(NodeRecord, Vec<u8>), record::Error> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.seq += 1;
        let sealed = record::seal(&own, &self.key)?;
        Ok((own.clone(), sealed))
    }

    pub(super) fn is_admitted(&self, peer: &PeerId) -> bool {
        self.admitted.load().contains(peer)
    }

    pub(super) fn is_linked(&self, peer: &PeerId) -> bool {
        self.linked.load().contains(peer)
    }
}

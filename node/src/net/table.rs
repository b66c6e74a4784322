//! Who is there: records, connections, hellos, suspicion. Pure: events and the time come in, views
//! and decisions (who is let in, which connection is one too many) go out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use onrush_raft::types::PeerName;

use super::hello::{self, Own, Said};
use super::limits::{EARLY_HELLO_MS, FORGET_AFTER_MS, PEERS_MAX, SURPLUS_AFTER_MS};
use super::phi::Phi;
use super::record::replaces;
use super::{NodeRecord, PeerView};

/// A connection to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    /// The address that this node dialled; none where the peer did.
    pub(super) dialled: Option<SocketAddr>,
    /// The host at its other end.
    pub(super) remote: Option<IpAddr>,
    pub(super) since_ms: u64,
}

#[derive(Debug, Default)]
struct Entry {
    record: Option<NodeRecord>,
    connections: Vec<Connection>,
    said: Option<Said>,
    /// Said before its connection was told of, and when.
    early: Option<(Said, u64)>,
    refusal: Option<String>,
    foreign: bool,
    phi: Phi,
    last_seen_ms: u64,
    rtt_us: Option<u64>,
    /// Hosts at which it has been, in this life of this node.
    hosts: BTreeSet<IpAddr>,
    /// Where nobody listened any more, since the last connection was closed.
    unheard: BTreeSet<SocketAddr>,
}

/// What a record did to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The first word of a node, in this life of it.
    First,
    New,
    /// Not newer than what is known.
    Stale,
    /// This node's own.
    Own,
    Full,
}

/// All peers, and this node's own facts that decide who is let in.
#[derive(Debug)]
pub(super) struct Table {
    local: PeerId,
    cluster_name: String,
    own: NodeRecord,
    entries: BTreeMap<PeerId, Entry>,
}

impl Table {
    pub(super) fn new(local: PeerId, cluster_name: String, own: NodeRecord) -> Self {
        Self { local, cluster_name, own, entries: BTreeMap::new() }
    }

    /// This node's record changed: everyone is judged anew.
    pub(super) fn set_own(&mut self, own: NodeRecord) {
        let matters =
            own.cluster != self.own.cluster || own.cluster_state != self.own.cluster_state;
        self.own = own;
        if matters {
            let all: Vec<PeerId> = self.entries.keys().copied().collect();
            all.into_iter().for_each(|peer| self.judge(peer));
        }
    }

    pub(super) fn connected(&mut self, peer: PeerId, connection: Connection) {
        let entry = self.entries.entry(peer).or_default();
        if entry.connections.is_empty() {
            entry.phi.reset(connection.since_ms);
        }
        let since_ms = connection.since_ms;
        entry.last_seen_ms = since_ms;
        entry.unheard.clear();
        entry.hosts.extend(connection.remote);
        entry.connections.push(connection);
        if let Some((said, at_ms)) = entry.early.take()
            && since_ms.saturating_sub(at_ms) <= EARLY_HELLO_MS
        {
            self.said(peer, said, since_ms);
        }
    }

    /// Returns whether that was the last connection to the peer.
    pub(super) fn closed(&mut self, peer: PeerId, id: ConnectionId) -> bool {
        let Some(entry) = self.entries.get_mut(&peer) else { return true };
        entry.connections.retain(|each| each.id != id);
        if entry.connections.is_empty() {
            entry.said = None;
            (entry.refusal, entry.foreign) = (None, false);
            entry.rtt_us = None;
        }
        entry.connections.is_empty()
    }

    /// A dial was refused by the host itself (`true`), or came to another end.
    pub(super) fn dialled(&mut self, address: SocketAddr, nobody_listens: bool) {
        let text = address.to_string();
        for entry in self.entries.values_mut().filter(|entry| entry.connections.is_empty()) {
            let said = entry.record.as_ref().is_some_and(|it| it.addresses.contains(&text));
            if said && nobody_listens {
                entry.unheard.insert(address);
            } else if said {
                entry.unheard.remove(&address);
            }
        }
    }

    pub(super) fn ponged(&mut self, peer: PeerId, rtt_us: u64, now_ms: u64) {
        if let Some(entry) = self.entries.get_mut(&peer) {
            entry.rtt_us = Some(rtt_us);
            entry.last_seen_ms = now_ms;
            entry.phi.heartbeat(now_ms);
        }
    }

    pub(super) fn heard(&mut self, peer: PeerId, record: NodeRecord, now_ms: u64) -> Heard {
        if peer == self.local {
            return Heard::Own;
        }
        if !self.entries.contains_key(&peer) && self.entries.len() >= PEERS_MAX {
            return Heard::Full;
        }
        let entry = self.entries.entry(peer).or_default();
        if entry.record.as_ref().is_some_and(|known| !replaces(&record, known)) {
            return Heard::Stale;
        }
        entry.last_seen_ms = now_ms;
        let known = entry.record.replace(record).map(|known| known.incarnation);
        let is_first = known != entry.record.as_ref().map(|record| record.incarnation);
        self.judge(peer);
        if is_first { Heard::First } else { Heard::New }
    }

    /// Nodes known, this one included.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + 1
    }

    /// The peer said hello; returns why it is not let in. Streams and connections are told of by
    /// different tasks: the hello may be the first to be heard, and nobody says it again.
    pub(super) fn said(&mut self, peer: PeerId, said: Said, now_ms: u64) -> Option<String> {
        let entry = self.entries.get_mut(&peer)?;
        if entry.connections.is_empty() {
            entry.early = Some((said, now_ms));
            return None;
        }
        entry.said = Some(said);
        self.judge(peer);
        self.entries.get(&peer).and_then(|entry| entry.refusal.clone())
    }

    fn judge(&mut self, peer: PeerId) {
        let own = Own {
            protocol_min: hello::PROTOCOL_MIN,
            protocol_max: hello::PROTOCOL_MAX,
            cluster_name: &self.cluster_name,
            record: &self.own,
        };
        let Some(entry) = self.entries.get_mut(&peer) else { return };
        if let (Some(said), Some(record)) = (&entry.said, &entry.record) {
            entry.refusal = hello::refusal(&own, said, record);
            entry.foreign = hello::is_foreign(&own, said, record);
        }
    }

    /// Peers with a connection.
    pub(super) fn linked(&self) -> BTreeSet<PeerId> {
        let linked = self.entries.iter().filter(|(_, entry)| !entry.connections.is_empty());
        linked.map(|(peer, _)| *peer).collect()
    }

    /// Peers whose streams are served: connected, introduced, not refused.
    pub(super) fn admitted(&self) -> BTreeSet<PeerId> {
        self.entries.iter().filter(|(_, entry)| entry.admitted()).map(|(peer, _)| *peer).collect()
    }

    /// Whether a connection that this node dialled to `address` lives.
    pub(super) fn is_dialled(&self, address: SocketAddr) -> bool {
        let mut all = self.entries.values().flat_map(|entry| &entry.connections);
        all.any(|connection| connection.dialled == Some(address))
    }

    /// Whether a connected peer says that it listens there.
    pub(super) fn is_covered(&self, address: SocketAddr) -> bool {
        let text = address.to_string();
        self.entries.values().any(|entry| {
            let said = entry.record.as_ref();
            !entry.connections.is_empty()
                && said.is_some_and(|record| record.addresses.contains(&text))
        })
    }

    /// Connections that this node dialled and should close, because the peers have a better one:
    /// the oldest that the smaller peer id dialled. Each side closes only what it dialled, so both
    /// may decide alone.
    pub(super) fn surplus(&self, now_ms: u64) -> Vec<ConnectionId> {
        let mut surplus = Vec::new();
        for (peer, entry) in &self.entries {
            let settled =
                |each: &&Connection| now_ms.saturating_sub(each.since_ms) >= SURPLUS_AFTER_MS;
            if entry.connections.iter().filter(settled).count() < 2 {
                continue;
            }
            let (mine, theirs): (Vec<_>, Vec<_>) =
                entry.connections.iter().partition(|each| each.dialled.is_some());
            let keep_one = self.local < *peer || theirs.is_empty();
            let skip = usize::from(keep_one);
            surplus.extend(mine.iter().skip(skip).filter(|each| settled(each)).map(|each| each.id));
        }
        surplus
    }

    /// Forgets nodes that have been silent for long.
    pub(super) fn forget(&mut self, now_ms: u64) {
        self.entries.retain(|_, entry| {
            !entry.connections.is_empty()
                || now_ms.saturating_sub(entry.last_seen_ms) < FORGET_AFTER_MS
        });
    }

    /// Everyone, this node included.
    pub(super) fn view(&self, now_ms: u64) -> BTreeMap<PeerName, PeerView> {
        let own = PeerView {
            peer: PeerName(self.local.to_string()),
            connected: true,
            record: Some(self.own.clone()),
            ..PeerView::default()
        };
        let others = self.entries.iter().map(|(peer, entry)| PeerView {
            peer: PeerName(peer.to_string()),
            connected: entry.admitted(),
            connections: entry.connections.len(),
            record: entry.record.clone(),
            phi: entry.phi.phi(now_ms),
            refused: entry.refusal.clone(),
            foreign: entry.foreign,
            last_seen_ms: now_ms.saturating_sub(entry.last_seen_ms),
            rtt_us: entry.rtt_us,
            ended: entry.has_ended(),
        });
        std::iter::once(own).chain(others).map(|view| (view.peer.clone(), view)).collect()
    }
}

impl Entry {
    /// Its connections were closed, and at each of its addresses the host says that nobody listens:
    /// a host at which it has been, or a wrong address would be taken for a death.
    fn has_ended(&self) -> bool {
        let unheard = |text: &String| {
            text.parse().is_ok_and(|address: SocketAddr| {
                self.unheard.contains(&address) && self.hosts.contains(&address.ip())
            })
        };
        let addresses = self.record.as_ref().map_or(&[][..], |record| &record.addresses);
        self.connections.is_empty() && !addresses.is_empty() && addresses.iter().all(unheard)
    }

    fn admitted(&self) -> bool {
        !self.connections.is_empty()
            && self.said.is_some()
            && self.record.is_some()
            && self.refusal.is_none()
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

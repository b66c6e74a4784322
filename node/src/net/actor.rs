//! The task that owns the swarm. It never waits for anyone: events and commands come in, the table
//! changes, streams and dials are started, and everything slow happens elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance, PublishError};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, DialError, ListenError, Swarm, SwarmEvent};
use libp2p::{PeerId, ping};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hello::{Hello, Said};
use super::limits::{
    RECORD_GAP_MS, RECORD_GAP_PER_NODE_MS, TICK, VIEW_GAP_MS, VIEW_PERIOD_MS, WELCOME_MS,
};
use super::shared::Shared;
use super::strangers::Strangers;
use super::streams::StreamOpener;
use super::swarm::{Behaviour, BehaviourEvent, Trouble, trouble};
use super::table::{Connection, Heard, Table};
use super::{contact, greet, record, record_period_ms};
use crate::clock::Clock;

/// What others ask of the swarm's task.
#[derive(Debug)]
pub(super) enum Command {
    /// Connect, unless the address is this node's own or leads to a connected peer.
    Dial { address: SocketAddr },
    /// A peer said hello.
    Hello { peer: PeerId, hello: Hello },
    /// A peer does not answer hellos.
    Silent { peer: PeerId, reason: String },
}

pub(super) struct Actor {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) topic: IdentTopic,
    pub(super) fingerprint: String,
    pub(super) shared: Arc<Shared>,
    pub(super) table: Table,
    pub(super) opener: Arc<dyn StreamOpener>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) sender: mpsc::Sender<Command>,
    pub(super) clock: Clock,
    pub(super) tracker: TaskTracker,
    pub(super) state: State,
}

/// What the actor remembers between events.
#[derive(Default)]
pub(super) struct State {
    dialling: BTreeMap<ConnectionId, SocketAddr>,
    own_addresses: BTreeSet<SocketAddr>,
    strangers: Strangers,
    refused: BTreeMap<PeerId, String>,
    published_ms: u64,
    viewed_ms: u64,
    record_due: bool,
    /// A new node is told by then what this one is.
    welcome_ms: Option<u64>,
    view_due: bool,
}

impl Actor {
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.state.record_due = true;
        let shared = Arc::clone(&self.shared);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let viewing = self.viewing();
            tokio::select! {
                () = stop.cancelled() => return,
                () = viewing => {}
                event = self.swarm.select_next_some() => self.event(event),
                Some(command) = self.commands.recv() => self.command(command),
                () = shared.changed.notified() => self.state.record_due = true,
                _ = tick.tick() => self.tick(),
            }
            self.settle();
        }
    }

    /// Ends when the view is due.
    fn viewing(&self) -> impl Future<Output = ()> + use<> {
        let since = self.clock.now_ms().saturating_sub(self.state.viewed_ms);
        let gap = VIEW_GAP_MS + self.table.len() as u64;
        let left = Duration::from_millis(gap.saturating_sub(since));
        let due = self.state.view_due;
        async move {
            if due {
                tokio::time::sleep(left).await;
            } else {
                std::future::pending::<()>().await;
            }
        }
    }

    /// After each step: publish what changed.
    fn settle(&mut self) {
        let now = self.clock.now_ms();
        let nodes = self.table.len() as u64;
        let record_gap = RECORD_GAP_MS + RECORD_GAP_PER_NODE_MS * nodes;
        if self.state.record_due && now.saturating_sub(self.state.published_ms) >= record_gap {
            self.publish_record(now);
        }
        if self.state.view_due && now.saturating_sub(self.state.viewed_ms) >= VIEW_GAP_MS + nodes {
            self.publish_view(now);
        }
    }

    fn tick(&mut self) {
        let now = self.clock.now_ms();
        let period = record_period_ms(self.table.len());
        let welcomes = self.state.welcome_ms.is_some_and(|at| now >= at);
        if welcomes || now.saturating_sub(self.state.published_ms) >= period {
            self.state.record_due = true;
        }
        if now.saturating_sub(self.state.viewed_ms) >= VIEW_PERIOD_MS {
            self.state.view_due = true;
            self.table.forget(now);
        }
        for id in self.table.surplus(now) {
            tracing::debug!(%id, "closing a second connection to a peer");
            self.swarm.close_connection(id);
        }
    }

    fn publish_record(&mut self, now: u64) {
        self.state.record_due = false;
        self.state.welcome_ms = None;
        self.state.published_ms = now;
        let (own, sealed) = match self.shared.edition() {
            Ok(edition) => edition,
            Err(error) => {
                tracing::error!(%error, "this node's record cannot be published");
                return;
            }
        };
        self.table.set_own(own);
        self.state.view_due = true;
        let published = self.swarm.behaviour_mut().gossip.publish(self.topic.clone(), sealed);
        match published {
            // Alone, or slow peers: the next edition comes in two seconds.
            Ok(_)
            | Err(
                PublishError::NoPeersSubscribedToTopic
                | PublishError::Duplicate
                | PublishError::AllQueuesFull(_),
            ) => {}
            Err(error) => tracing::warn!(%error, "this node's record was not gossiped"),
        }
    }

    fn publish_view(&mut self, now: u64) {
        self.state.view_due = false;
        self.state.viewed_ms = now;
        self.shared.linked.store(Arc::new(self.table.linked()));
        self.shared.admitted.store(Arc::new(self.table.admitted()));
        let view = self.table.view(now);
        for (peer, view) in &view {
            self.report_refusal(peer, view.refused.as_ref());
        }
        self.shared.views.send_replace(Arc::new(view));
    }

    fn report_refusal(&mut self, peer: &onrush_raft::types::PeerName, reason: Option<&String>) {
        let Ok(id) = peer.0.parse::<PeerId>() else { return };
        match reason {
            None => drop(self.state.refused.remove(&id)),
            Some(reason) if self.state.refused.get(&id) != Some(reason) => {
                tracing::warn!(%peer, "refusing a peer: {reason}");
                self.state.refused.insert(id, reason.clone());
            }
            Some(_) => {}
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Dial { address } => self.dial(address),
            Command::Hello { peer, hello } => self.hello(peer, hello),
            Command::Silent { peer, reason } => {
                tracing::warn!(%peer, reason, "a peer does not say hello; disconnecting");
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    fn dial(&mut self, address: SocketAddr) {
        let known = self.state.own_addresses.contains(&address)
            || self.state.dialling.values().any(|each| *each == address)
            || self.table.is_dialled(address)
            || self.table.is_covered(address);
        if known {
            return;
        }
        // A port of its own: dialling from the listening port lets two simultaneous dials meet in
        // one socket pair.
        let options = DialOpts::unknown_peer_id()
            .address(contact::to_multiaddr(address))
            .allocate_new_port()
            .build();
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.state.dialling.insert(id, address)),
            Err(error) => tracing::debug!(%address, %error, "cannot dial"),
        }
    }

    fn hello(&mut self, peer: PeerId, hello: Hello) {
        let now = self.clock.now_ms();
        match record::open(hello.record.as_bytes()) {
            Ok((signer, own)) if signer == peer => {
                let heard = self.table.heard(peer, own, now);
                self.welcome(heard, now);
            }
            Ok((signer, _)) => {
                tracing::warn!(%peer, %signer, "a hello carries another node's record");
                return;
            }
            Err(error) => {
                tracing::warn!(%peer, %error, "a hello carries a bad record");
                return;
            }
        }
        let said = Said {
            protocol_min: hello.protocol_min,
            protocol_max: hello.protocol_max,
            cluster_name: hello.cluster_name,
        };
        if self.table.said(peer, said, now).is_none() {
            tracing::info!(%peer, "connected");
        }
        self.state.view_due = true;
    }

    /// Everyone tells a new node what it is, not all at once.
    fn welcome(&mut self, heard: Heard, now: u64) {
        if heard == Heard::First {
            let later = now + WELCOME_MS + rand::random_range(0..=WELCOME_MS);
            self.state.welcome_ms.get_or_insert(later);
        }
    }

    fn event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                if self.table.closed(peer_id, connection_id) {
                    let cause = cause.map(|c| c.to_string()).unwrap_or_default();
                    tracing::info!(peer = %peer_id, cause, "disconnected");
                }
                self.state.view_due = true;
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let address = self.state.dialling.remove(&connection_id);
                self.dial_failed(address, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                self.incoming_failed(contact::to_socket(&send_back_addr), &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::debug!(%address, "listening");
                self.state.own_addresses.extend(contact::to_socket(&address));
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener failed");
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::error!(?addresses, ?reason, "a listener closed");
            }
            _ => {}
        }
    }

    fn established(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let remote = contact::to_socket(endpoint.get_remote_address()).map(|it| it.ip());
        if let Some(remote) = remote {
            self.state.strangers.forget(remote);
        }
        let dialled = self.state.dialling.remove(&id);
        let since_ms = self.clock.now_ms();
        self.table.connected(peer, Connection { id, dialled, remote, since_ms });
        self.publish_view(since_ms);
        if endpoint.is_dialer() {
            let greeting = greet::introduce(
                Arc::clone(&self.opener),
                Arc::clone(&self.shared),
                self.sender.clone(),
                peer,
            );
            self.tracker.spawn(greeting);
        }
    }

    fn behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Ping(ping::Event { peer, connection, result }) => match result {
                Ok(rtt) => {
                    let rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
                    self.table.ponged(peer, rtt_us, self.clock.now_ms());
                }
                Err(ping::Failure::Unsupported) => {}
                // libp2p-ping keeps the first failure to itself: this is the second in a row.
                Err(error) => {
                    tracing::warn!(%peer, %error, "closing a dead connection");
                    self.swarm.close_connection(connection);
                }
            },
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => {
                let acceptance = self.gossiped(&message.data);
                self.swarm.behaviour_mut().gossip.report_message_validation_result(
                    &message_id,
                    &propagation_source,
                    acceptance,
                );
            }
            _ => {}
        }
    }

    fn gossiped(&mut self, data: &[u8]) -> MessageAcceptance {
        match record::open(data) {
            Err(error) => {
                tracing::debug!(%error, "a gossiped record is refused");
                MessageAcceptance::Reject
            }
            Ok((peer, record)) => {
                let now = self.clock.now_ms();
                let heard = self.table.heard(peer, record, now);
                self.welcome(heard, now);
                match heard {
                    Heard::First | Heard::New => {
                        self.state.view_due = true;
                        MessageAcceptance::Accept
                    }
                    Heard::Stale | Heard::Own | Heard::Full => MessageAcceptance::Ignore,
                }
            }
        }
    }

    fn dial_failed(&mut self, address: Option<SocketAddr>, error: &DialError) {
        let Some(address) = address else { return };
        match error {
            DialError::LocalPeerId { .. } => {
                if self.state.own_addresses.insert(address) {
                    tracing::info!(%address, "a contact point is this node itself");
                }
            }
            // The address is one, and so is its cause.
            DialError::Transport(causes) => {
                let of = causes.first().map_or(Trouble::Away, |(_, cause)| trouble(cause));
                self.table.dialled(address, of == Trouble::NobodyListens);
                self.state.view_due |= of == Trouble::NobodyListens;
                self.troubled(address, of, error);
            }
            _ => tracing::debug!(%address, %error, "cannot connect"),
        }
    }

    fn incoming_failed(&mut self, address: Option<SocketAddr>, error: &ListenError) {
        match (error, address) {
            (ListenError::LocalPeerId { .. }, _) => {}
            (ListenError::Transport(cause), Some(address)) => {
                self.troubled(address, trouble(cause), error);
            }
            (ListenError::Denied { cause }, _) => {
                tracing::warn!(?address, %cause, "a connection is refused");
            }
            _ => tracing::debug!(?address, %error, "an incoming connection failed"),
        }
    }

    /// No connection to or from there: said once it is clear that this is no accident.
    fn troubled(&mut self, address: SocketAddr, of: Trouble, error: &dyn std::error::Error) {
        tracing::debug!(%address, %error, "no connection");
        if matches!(of, Trouble::Away | Trouble::NobodyListens) {
            return;
        }
        let hung = of == Trouble::Hung;
        if self.state.strangers.failed(address.ip(), hung, self.clock.now_ms()) {
            tracing::warn!(
                "the handshakes with {address} fail: it has a different cluster secret, is no \
                 Onrush node, or hangs (this node's secret has the fingerprint {})",
                self.fingerprint
            );
        }
    }
}

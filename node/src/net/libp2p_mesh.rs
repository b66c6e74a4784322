//! The mesh over libp2p: starts the swarm's task, the dialler and the accept loops, and hands out
//! calls and streams. Data never passes through the swarm's task.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use libp2p::identity::Keypair;
use libp2p::{PeerId, StreamProtocol};
use onrush_raft::types::PeerName;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::actor::{Actor, State};
use super::contact::{self, ContactPoint};
use super::lane::{self, Lane};
use super::limits::{COMMANDS, LANE_CONCURRENCY};
use super::shared::Shared;
use super::streams::{Acceptor, Gate, Libp2pOpener, StreamOpener};
use super::table::Table;
use super::{
    DuplexStream, Mesh, MeshError, NodeRecord, PeerView, Service, Services, dialer, greet, swarm,
};
use crate::clock::Clock;
use crate::vitals::Vitals;

/// What the mesh needs to start.
pub struct NetConfig {
    pub key: Keypair,
    /// The pre-shared key, derived from the cluster secret.
    pub psk: [u8; 32],
    pub cluster_name: String,
    pub listen: SocketAddr,
    pub contacts: Vec<ContactPoint>,
    /// This node's first record; `peer` and `seq` are filled in.
    pub record: NodeRecord,
    pub clock: Clock,
    pub vitals: Vitals,
}

#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("cannot listen on {address}: the address is in use by another process")]
    InUse { address: SocketAddr },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the mesh cannot start: {0}")]
    Setup(String),
}

/// The mesh over libp2p. Dropping it does not stop it; [`Libp2pMesh::shutdown`] does.
pub struct Libp2pMesh {
    local: PeerName,
    listening: SocketAddr,
    shared: Arc<Shared>,
    opener: Arc<dyn StreamOpener>,
    services: Services,
    lanes: Mutex<HashMap<(PeerId, Service), Lane>>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// Starts the mesh: returns once it listens.
pub async fn start(config: NetConfig, services: Services) -> Result<Arc<Libp2pMesh>, NetError> {
    let listening = probe(config.listen)?;
    let mut swarm =
        swarm::build(&config.key, config.psk, &config.cluster_name).map_err(NetError::Setup)?;
    swarm
        .listen_on(contact::to_multiaddr(listening))
        .map_err(|e| NetError::Setup(format!("cannot listen on {listening}: {e}")))?;

    let local = config.key.public().to_peer_id();
    let mut record = config.record;
    record.peer = PeerName(local.to_string());
    record.seq = 0;
    if record.addresses.is_empty() {
        record.addresses = own_addresses(listening);
    }
    let shared = Arc::new(Shared::new(config.key, config.cluster_name.clone(), record.clone()));
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let (sender, commands) = mpsc::channel(COMMANDS);
    let mut control = swarm.behaviour().streams.new_control();
    let opener: Arc<dyn StreamOpener> =
        Arc::new(Libp2pOpener { control: control.clone(), shared: Arc::clone(&shared) });

    let acceptor = Acceptor::new(Arc::clone(&shared), tracker.clone(), stop.clone());
    let hello = greet::handler(Arc::clone(&shared), sender.clone());
    acceptor.serve(&mut control, greet::PROTOCOL, Gate::Linked, hello);
    accept_services(&acceptor, &mut control, &services);

    let plan = dialer::Plan::new(local.to_string(), config.contacts);
    let dialing = dialer::run(
        plan,
        Arc::clone(&shared),
        sender.clone(),
        config.clock,
        tracker.clone(),
        stop.clone(),
    );
    tracker.spawn(config.vitals.guard("the mesh's dialer", dialing));
    let actor = Actor {
        topic: swarm::topic(&config.cluster_name),
        fingerprint: swarm::fingerprint(config.psk),
        table: Table::new(local, config.cluster_name, record),
        swarm,
        shared: Arc::clone(&shared),
        opener: Arc::clone(&opener),
        commands,
        sender,
        clock: config.clock,
        tracker: tracker.clone(),
        state: State::default(),
    };
    tracker.spawn(config.vitals.guard("the mesh", actor.run(stop.clone())));
    Ok(Arc::new(Libp2pMesh {
        local: PeerName(local.to_string()),
        listening,
        shared,
        opener,
        services,
        lanes: Mutex::default(),
        tracker,
        stop,
    }))
}

fn accept_services(acceptor: &Acceptor, control: &mut libp2p_stream::Control, services: &Services) {
    for (service, handler) in &services.calls {
        let (handler, concurrency) = (Arc::clone(handler), concurrency(*service));
        let serve = move |peer: PeerName, stream: DuplexStream| {
            lane::serve(peer, stream, Arc::clone(&handler), concurrency).boxed()
        };
        acceptor.serve(control, call_protocol(*service), Gate::Admitted, Arc::new(serve));
    }
    for (service, handler) in &services.streams {
        let protocol = stream_protocol(*service);
        acceptor.serve(control, protocol, Gate::Admitted, Arc::clone(handler));
    }
}

/// libp2p listens with SO_REUSEPORT, so a second process on the same port would get every other
/// connection instead of an error. A plain bind first tells; it does not listen, so that nobody who
/// dials meanwhile is hung up on.
fn probe(address: SocketAddr) -> Result<SocketAddr, NetError> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    };
    let bound = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.local_addr()
    });
    bound.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => NetError::InUse { address },
        _ => NetError::Listen { address, source },
    })
}

/// What others may dial where nothing was announced: the listening address itself, or, where that
/// is a wildcard, the address that this machine would use to reach others.
fn own_addresses(listening: SocketAddr) -> Vec<String> {
    if !listening.ip().is_unspecified() {
        return vec![listening.to_string()];
    }
    // A connected datagram socket sends nothing; the kernel only picks the source address.
    let outward = std::net::UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| socket.connect("192.0.2.1:9").map(|()| socket))
        .and_then(|socket| socket.local_addr());
    let ip = outward.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip());
    vec![SocketAddr::new(ip, listening.port()).to_string()]
}

fn name(service: Service) -> &'static str {
    match service {
        Service::Raft => "raft",
        Service::RaftHeartbeat => "raft-heartbeat",
        Service::RaftSnapshot => "raft-snapshot",
        Service::Cluster => "cluster",
        Service::Control => "ctl",
        Service::Blob => "blob",
        Service::Logs => "logs",
    }
}

/// Raft's messages take effect in the order in which they were sent; the others need no order.
fn concurrency(service: Service) -> usize {
    match service {
        Service::Raft | Service::RaftHeartbeat | Service::RaftSnapshot => 1,
        Service::Cluster | Service::Control | Service::Blob | Service::Logs => LANE_CONCURRENCY,
    }
}

fn protocol(service: Service, kind: &str) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/onrush/{}/{kind}/1", name(service)))
        .expect("a protocol name begins with a slash")
}

fn call_protocol(service: Service) -> StreamProtocol {
    protocol(service, "call")
}

fn stream_protocol(service: Service) -> StreamProtocol {
    protocol(service, "stream")
}

impl Libp2pMesh {
    /// The address that it listens on, its port resolved.
    pub fn listening(&self) -> SocketAddr {
        self.listening
    }

    /// Changes this node's record; the others learn of it at once.
    pub fn announce(&self, change: impl FnOnce(&mut NodeRecord)) {
        self.shared.update(change);
    }

    /// Stops all tasks and waits for them.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn lane(&self, peer: PeerId, service: Service) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry((peer, service)).or_insert_with(|| {
            let opener = Arc::clone(&self.opener);
            let (lane, run) = Lane::new(opener, peer, call_protocol(service));
            let stop = self.stop.clone();
            self.tracker.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = run => {}
                }
            });
            lane
        });
        lane.clone()
    }

    fn reachable(&self, peer: &PeerName) -> Result<PeerId, MeshError> {
        let id = peer.0.parse::<PeerId>();
        let id = id.map_err(|_| MeshError::NotConnected(peer.clone()))?;
        if self.shared.is_admitted(&id) {
            Ok(id)
        } else {
            Err(MeshError::NotConnected(peer.clone()))
        }
    }

    async fn call_self(
        &self,
        service: Service,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, MeshError> {
        let Some(handler) = self.services.calls.get(&service) else {
            return Err(MeshError::Remote(format!("no calls to {}", name(service))));
        };
        let answer = tokio::time::timeout(timeout, handler(self.local.clone(), body)).await;
        let answer =
            answer.map_err(|_| MeshError::Timeout { peer: self.local.clone(), after: timeout })?;
        answer.map_err(MeshError::Remote)
    }
}

#[async_trait]
impl Mesh for Libp2pMesh {
    fn local(&self) -> PeerName {
        self.local.clone()
    }

    fn peers(&self) -> watch::Receiver<Arc<BTreeMap<PeerName, PeerView>>> {
        self.shared.views.subscribe()
    }

    async fn call(
        &self,
        peer: &PeerName,
        service: Service,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, MeshError> {
        if *peer == self.local {
            return self.call_self(service, body, timeout).await;
        }
        let id = self.reachable(peer)?;
        self.lane(id, service).call(body, timeout).await
    }

    async fn open(&self, peer: &PeerName, service: Service) -> Result<DuplexStream, MeshError> {
        if *peer == self.local {
            let Some(handler) = self.services.streams.get(&service) else {
                return Err(MeshError::Remote(format!("no streams of {}", name(service))));
            };
            let (near, far) = tokio::io::duplex(64 * 1024);
            let (stop, serve) = (self.stop.clone(), handler(peer.clone(), Box::new(far)));
            self.tracker.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = serve => {}
                }
            });
            return Ok(Box::new(near));
        }
        let id = self.reachable(peer)?;
        self.opener.open(id, stream_protocol(service)).await
    }
}

#[cfg(test)]
#[path = "mesh_tests.rs"]
mod tests;

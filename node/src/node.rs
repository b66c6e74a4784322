//! The composition root: configuration → mesh → membership → repository, worker, master → API, and
//! the same way back when the node stops. Everything is started here and joined here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::net::Keypair;
use onrush_api::backend::Backend;
use onrush_api::{ApiConfig, Secret};
use onrush_raft::types::PeerName;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::duties::{self, Duties};
use crate::membership::data_dir::{self, DataDir};
use crate::membership::handle::{Cluster as _, ClusterHandle};
use crate::membership::{self, Membership};
use crate::net::{
    self, Libp2pMesh, Mesh as _, NetConfig, NetError, NodeRecord, PeerView, Services,
};
use crate::vitals::Vitals;

/// The number of running shards is looked at this often.
const LOAD_PERIOD: Duration = Duration::from_millis(500);
/// How long another process that uses the data directory is waited for.
const PREDECESSOR_WAIT: Duration = Duration::from_secs(10);
/// How long users that have begun may take to end once the node is told to stop; a second signal does
/// not wait. Below the 90 s that systemd gives.
const HAND_OVER_MAX: Duration = Duration::from_secs(30);
/// An orderly stop takes a second or two; longer means that something hangs.
const STOP_MAX: Duration = Duration::from_secs(10);
/// A node that must end says why and goes: what it cannot do any more it need not end in order.
const FATAL_STOP_MAX: Duration = Duration::from_millis(500);
/// 2025-01-01 and 2100-01-01: a clock outside is wrong.
const CLOCK_MIN_MS: u64 = 1_735_689_600_000;
const CLOCK_MAX_MS: u64 = 4_102_444_800_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Membership(#[from] membership::Error),
    #[error("cannot serve the API on {address}: {why}")]
    Api { address: SocketAddr, why: String },
    #[error("the node's duties cannot start: {0}")]
    Duties(#[from] duties::Error),
    #[error("the API token cannot be used: {0}")]
    Token(String),
    #[error("the system does not deliver signals: {0}")]
    Signals(std::io::Error),
    #[error("a part of the node did not start: {0}")]
    Start(String),
}

/// How a node came to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop, and everything was joined.
    Stopped,
    /// It was told a second time, before that was done.
    Killed,
    /// It can no longer keep its promises.
    Fatal(String),
}

/// What every part of the node goes by.
struct Vital {
    clock: Clock,
    vitals: Vitals,
}

/// What runs on the control plane's own threads.
struct Control {
    mesh: Arc<Libp2pMesh>,
    membership: Arc<Membership>,
}

/// Runs a node until SIGTERM or SIGINT. Mesh and membership run on `control`, the rest where this is
/// called.
pub async fn run(config: NodeConfig, control: Handle) -> Result<Ended, Error> {
    let mut signals = Signals::new()?;
    let clock = Clock::default();
    check_clock(clock);
    // First of all: a predecessor that is still on its way out has the ports too, until it is gone.
    let root = config.data_dir.clone();
    let locking = tokio::task::spawn_blocking(move || DataDir::open(&root, PREDECESSOR_WAIT));
    let dir = tokio::select! {
        opened = locking => opened.map_err(|error| Error::Start(error.to_string()))??,
        () = signals.next() => return Ok(Ended::Stopped),
    };
    let listener = bind_api(config.api).await?;
    let key = dir.key()?;
    let peer = PeerName(key.public().to_peer_id().to_string());
    let config = NodeConfig { name: named(&config.name, &peer), ..config };
    if config.secret.development {
        tracing::warn!("no cluster secret: the well-known development secret is used, on loopback");
    }
    let vitals = Vitals::default();
    let mut duties = Duties::open(dir.root(), &config.name, clock, vitals.clone())?;
    let mut services = Services::default();
    duties.register(&mut services);
    let starting =
        start_control(config.clone(), dir, key, Vital { clock, vitals: vitals.clone() }, services);
    let control_parts =
        control.spawn(starting).await.map_err(|error| Error::Start(error.to_string()))??;
    let Control { mesh, membership } = control_parts;
    let cluster: ClusterHandle = Arc::clone(&membership) as _;

    banner(&config, &peer, mesh.listening());
    let stop = CancellationToken::new();
    let backend: Arc<dyn Backend> = duties.start(cluster);
    let api = serve_api(&config, listener, backend, stop.clone(), &vitals)?;
    let greeting = tokio::spawn(greet(Arc::clone(&membership), stop.clone()));

    let load = Load { membership: &membership, mesh: &mesh, duties: &duties };
    let mut ended = serve_until(&mut signals, &vitals, &load).await;
    if matches!(ended, Ended::Stopped) {
        ended = hand_over(&mut signals, &vitals, &load).await;
        if matches!(ended, Ended::Killed) {
            return Ok(ended);
        }
    }
    let stop_max = match &ended {
        Ended::Fatal(why) => {
            tracing::error!("this node must stop: {why}");
            FATAL_STOP_MAX
        }
        _ => STOP_MAX,
    };
    tracing::info!("stopping");
    let leave = async {
        stop.cancel();
        let _ = tokio::join!(api, greeting);
        duties.shutdown().await;
        let parts = async move {
            membership.shutdown().await;
            mesh.shutdown().await;
        };
        let _ = control.spawn(parts).await;
    };
    tokio::select! {
        left = tokio::time::timeout(stop_max, leave) => match left {
            Ok(()) => tracing::info!("stopped"),
            // A disk that hangs, most likely: what is durable is durable.
            Err(_) => tracing::error!("the node did not stop in order within {stop_max:?}"),
        },
        () = signals.next() => return Ok(Ended::Killed),
    }
    Ok(ended)
}

/// What this node tells the others of itself.
struct Load<'a> {
    membership: &'a Membership,
    mesh: &'a Libp2pMesh,
    duties: &'a Duties,
}

impl Load<'_> {
    fn tell(&self, leaving: bool) {
        self.mesh.announce(|record| {
            self.duties.describe(record);
            record.log_full = self.membership.log_is_full();
            record.leaving = leaving;
        });
    }

    /// Whether anybody stays to whom shards could go.
    fn has_heirs(&self) -> bool {
        let views = self.mesh.peers().borrow().clone();
        let stays = |view: &PeerView| {
            let leaving = view.record.as_ref().is_none_or(|record| record.leaving);
            view.connected && !leaving && view.peer != self.mesh.local()
        };
        views.values().any(stays)
    }
}

/// Says how busy this node is, until it is told to stop or must.
async fn serve_until(signals: &mut Signals, vitals: &Vitals, load: &Load<'_>) -> Ended {
    let fatal = vitals.fatal();
    tokio::pin!(fatal);
    let mut tick = tokio::time::interval(LOAD_PERIOD);
    loop {
        tokio::select! {
            () = signals.next() => return Ended::Stopped,
            reason = &mut fatal => return Ended::Fatal(reason),
            _ = tick.tick() => load.tell(false),
        }
    }
}

/// Before it stops, a node gives its shards away: no arrival is missed, and users that have begun may
/// end.
async fn hand_over(signals: &mut Signals, vitals: &Vitals, load: &Load<'_>) -> Ended {
    let fatal = vitals.fatal();
    tokio::pin!(fatal);
    let mut tick = tokio::time::interval(LOAD_PERIOD);
    let until = tokio::time::Instant::now() + HAND_OVER_MAX;
    while load.duties.running_shards() > 0 && load.has_heirs() {
        tokio::select! {
            () = signals.next() => return Ended::Killed,
            reason = &mut fatal => return Ended::Fatal(reason),
            () = tokio::time::sleep_until(until) => {
                let shards = load.duties.running_shards();
                tracing::warn!(shards, "stopping before all users have ended");
                return Ended::Stopped;
            }
            _ = tick.tick() => load.tell(true),
        }
    }
    Ended::Stopped
}

async fn start_control(
    config: NodeConfig,
    dir: DataDir,
    key: Keypair,
    vital: Vital,
    mut services: Services,
) -> Result<Control, Error> {
    let Vital { clock, vitals } = vital;
    let file = dir.cluster(&config.cluster_name)?;
    let incarnation = dir.next_incarnation()?;
    let membership_config = membership::Config {
        peer: PeerName(key.public().to_peer_id().to_string()),
        name: config.name.clone(),
        cluster_name: config.cluster_name.clone(),
        expect: config.expect,
        timing: config.timing,
        clock,
        vitals: vitals.clone(),
    };
    let record = record(&config, incarnation, &file);
    let membership = Membership::new(membership_config, dir, file);
    membership.register(&mut services);
    let net = NetConfig {
        key,
        psk: config.secret.psk(),
        cluster_name: config.cluster_name,
        listen: config.listen,
        contacts: config.contacts,
        record,
        clock,
        vitals,
    };
    let mesh = net::start(net, services).await?;
    if let Err(error) = membership.start(Arc::clone(&mesh)).await {
        mesh.shutdown().await;
        return Err(error.into());
    }
    Ok(Control { mesh, membership })
}

/// This node's first record: what it is before it knows of anybody.
fn record(
    config: &NodeConfig,
    incarnation: u64,
    file: &Option<data_dir::ClusterFile>,
) -> NodeRecord {
    let host = config.announce.first().map(|address| address.host.clone());
    let api_host = match host {
        Some(host) if config.api.ip().is_unspecified() => host,
        _ => config.api.ip().to_string(),
    };
    NodeRecord {
        name: config.name.clone(),
        incarnation,
        cluster: file.as_ref().map(|file| file.cluster.clone()),
        raft_id: file.as_ref().and_then(|file| file.raft_id),
        expect: config.expect.unwrap_or(0),
        cluster_state: match file {
            None => "blank".to_owned(),
            Some(file) if file.raft_id.is_none() => "detached".to_owned(),
            Some(_) => "forming".to_owned(),
        },
        addresses: config.announce.iter().map(ToString::to_string).collect(),
        api: Some(format!("http://{}", with_port(&api_host, config.api.port()))),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: config.labels.clone(),
        cores: std::thread::available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        ..NodeRecord::default()
    }
}

fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The given name, or one made of the peer id's last characters: the first are the same for all.
fn named(name: &str, peer: &PeerName) -> String {
    if !name.is_empty() {
        return name.to_owned();
    }
    let tail: String = peer.0.chars().rev().take(6).collect::<Vec<_>>().into_iter().rev().collect();
    format!("node-{}", tail.to_lowercase())
}

fn check_clock(clock: Clock) {
    let now = clock.unix_ms();
    if !(CLOCK_MIN_MS..CLOCK_MAX_MS).contains(&now) {
        tracing::warn!(
            unix_ms = now,
            "this machine's clock is wrong; reports will carry its times"
        );
    }
}

async fn bind_api(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => "the address is in use by another process".to_owned(),
            _ => error.to_string(),
        };
        Error::Api { address, why }
    })
}

fn serve_api(
    config: &NodeConfig,
    listener: TcpListener,
    backend: Arc<dyn Backend>,
    stop: CancellationToken,
    vitals: &Vitals,
) -> Result<tokio::task::JoinHandle<()>, Error> {
    let token = config.api_token.as_deref().map(Secret::new).transpose();
    let api = ApiConfig {
        token: token.map_err(Error::Token)?,
        host_names: config.announce.iter().map(|address| address.host.clone()).collect(),
        shutdown: stop.clone(),
    };
    let router = onrush_api::router(backend, api);
    let failing = vitals.clone();
    Ok(tokio::spawn(vitals.guard("the API", async move {
        if let Err(error) = onrush_api::serve(listener, router, stop).await {
            failing.fail(format!("the API stopped: {error}"));
        }
    })))
}

/// Who am I, where do others find me, where is the API: the rest follows when it is known.
fn banner(config: &NodeConfig, peer: &PeerName, listening: SocketAddr) {
    let expect = match config.expect {
        Some(1) => "a cluster of its own unless it finds one".to_owned(),
        Some(expect) => format!("a cluster of {expect}"),
        None => "a cluster to join".to_owned(),
    };
    let contacts: Vec<String> = config.contacts.iter().map(ToString::to_string).collect();
    tracing::info!(
        "onrush {} node {} ({peer}) on {listening}; data in {}",
        env!("CARGO_PKG_VERSION"),
        config.name,
        config.data_dir.display()
    );
    tracing::info!("looking for {expect} at [{}]", contacts.join(", "));
    tracing::info!("API at http://{}", config.api);
}

/// Says once who was found and who leads.
async fn greet(membership: Arc<Membership>, stop: CancellationToken) {
    let mut leadership = membership.leadership();
    let known = async {
        loop {
            let peer = leadership.borrow_and_update().peer.clone();
            match peer {
                Some(peer) => return peer,
                None if leadership.changed().await.is_err() => std::future::pending().await,
                None => {}
            }
        }
    };
    let leader = tokio::select! {
        () = stop.cancelled() => return,
        leader = known => leader,
    };
    let members = membership.members();
    let name = |peer: &str| members.iter().find(|m| m.peer == peer).map(|m| m.name.clone());
    let found: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    tracing::info!(
        "in cluster {} with [{}]; the master is {}",
        membership.cluster_id().unwrap_or_default(),
        found.join(", "),
        name(&leader.0).unwrap_or(leader.0)
    );
}

/// SIGTERM and SIGINT, as one.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Error::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Error::Signals)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

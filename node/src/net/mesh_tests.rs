//! Three real nodes over TCP on loopback: calls, streams, records, secrets, restarts.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SECRET: [u8; 32] = [7; 32];
const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

struct Setup {
    key: Keypair,
    psk: [u8; 32],
    cluster_name: &'static str,
    listen: SocketAddr,
    contacts: Vec<SocketAddr>,
    incarnation: u64,
}

impl Setup {
    fn new(contacts: &[SocketAddr]) -> Self {
        Self {
            key: Keypair::generate_ed25519(),
            psk: SECRET,
            cluster_name: "test",
            listen: "127.0.0.1:0".parse().unwrap(),
            contacts: contacts.to_vec(),
            incarnation: 1,
        }
    }

    async fn start(self) -> Arc<Libp2pMesh> {
        let contacts = self.contacts.iter().map(|c| c.to_string().parse().unwrap()).collect();
        let config = NetConfig {
            key: self.key,
            psk: self.psk,
            cluster_name: self.cluster_name.to_owned(),
            listen: self.listen,
            contacts,
            record: NodeRecord {
                incarnation: self.incarnation,
                cluster_state: "blank".to_owned(),
                ..NodeRecord::default()
            },
            clock: Clock::default(),
            vitals: Default::default(),
        };
        start(config, services()).await.unwrap()
    }
}

/// Calls are echoed with the caller's name; streams send back what they get, doubled.
fn services() -> Services {
    let mut services = Services::default();
    services.calls.insert(
        Service::Cluster,
        Arc::new(|peer, body| {
            async move {
                if body.as_ref() == b"fail" {
                    return Err("as asked".to_owned());
                }
                Ok(Bytes::from([peer.0.as_bytes(), b":", &body].concat()))
            }
            .boxed()
        }),
    );
    services.streams.insert(
        Service::Blob,
        Arc::new(|_, mut stream| {
            async move {
                let mut buffer = vec![0; 256 * 1024];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                    let _ = stream.flush().await;
                }
            }
            .boxed()
        }),
    );
    services
}

async fn until(mesh: &Libp2pMesh, what: &str, mut test: impl FnMut(&[PeerView]) -> bool) {
    let mut peers = mesh.peers();
    let wait = peers.wait_for(|views| test(&views.values().cloned().collect::<Vec<_>>()));
    let met = tokio::time::timeout(PATIENCE, wait).await;
    assert!(met.is_ok(), "{what}");
}

async fn until_connected(mesh: &Libp2pMesh, count: usize) {
    let connected =
        move |views: &[PeerView]| views.iter().filter(|view| view.connected).count() == count;
    until(mesh, "all are connected", connected).await;
}

async fn three() -> [Arc<Libp2pMesh>; 3] {
    let a = Setup::new(&[]).start().await;
    let b = Setup::new(&[a.listening()]).start().await;
    // Knows only b, and is a contact point of nobody: it finds a by gossip.
    let c = Setup::new(&[b.listening()]).start().await;
    for mesh in [&a, &b, &c] {
        until_connected(mesh, 3).await;
    }
    [a, b, c]
}

async fn stop(all: impl IntoIterator<Item = Arc<Libp2pMesh>>) {
    for mesh in all {
        mesh.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_find_each_other_and_call() {
    let all = three().await;
    for from in &all {
        for to in &all {
            let answer =
                from.call(&to.local(), Service::Cluster, Bytes::from("hi"), 5 * SECOND).await;
            assert_eq!(answer.unwrap(), format!("{}:hi", from.local()));
        }
    }
    let (a, b) = (&all[0], all[1].local());
    let failed = a.call(&b, Service::Cluster, Bytes::from("fail"), 5 * SECOND).await;
    assert_eq!(failed.unwrap_err().to_string(), "as asked");
    let nobody = PeerName(PeerId::random().to_string());
    let unknown = a.call(&nobody, Service::Cluster, Bytes::new(), SECOND).await;
    assert!(matches!(unknown, Err(MeshError::NotConnected(_))));
    let unserved = a.call(&b, Service::Logs, Bytes::new(), 5 * SECOND).await;
    assert!(unserved.is_err());
    stop(all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_stream_arrives_whole_beside_calls() {
    let all = three().await;
    let stream = all[0].open(&all[2].local(), Service::Blob).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sent: Vec<u8> = (0..24_u32 * 1024 * 1024).map(|n| (n % 251) as u8).collect();
    let expected = blake3::hash(&sent);
    let writing = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let calls = async {
        for _ in 0..20 {
            let body = Bytes::from("x");
            all[0].call(&all[2].local(), Service::Cluster, body, 5 * SECOND).await.unwrap();
        }
    };
    let mut received = Vec::new();
    let (read, ()) = tokio::join!(reader.read_to_end(&mut received), calls);
    read.unwrap();
    writing.await.unwrap();
    assert_eq!(blake3::hash(&received), expected);
    stop(all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_spread_and_later_ones_win() {
    let all = three().await;
    let name = all[0].local();
    for shards in [3, 1, 2] {
        all[0].announce(|record| {
            record.running_shards = shards;
            // Not a node's to choose.
            record.peer = PeerName::from("someone else");
        });
        for mesh in &all {
            let name = name.clone();
            until(mesh, "the record arrives", move |views| {
                let view = views.iter().find(|view| view.peer == name);
                view.and_then(|view| view.record.as_ref())
                    .is_some_and(|record| record.running_shards == shards)
            })
            .await;
        }
    }
    stop(all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_secret_changes_nothing() {
    let a = Setup::new(&[]).start().await;
    let wrong = Setup { psk: [8; 32], ..Setup::new(&[a.listening()]) }.start().await;
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(a.peers().borrow().len(), 1);
    assert_eq!(wrong.peers().borrow().len(), 1);
    stop([a, wrong]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_refused_by_name() {
    let a = Setup::new(&[]).start().await;
    let other = Setup { cluster_name: "other", ..Setup::new(&[a.listening()]) }.start().await;
    for mesh in [&a, &other] {
        until(mesh, "the refusal is shown", |views| {
            views.iter().any(|view| {
                !view.connected
                    && view.refused.as_ref().is_some_and(|why| why.contains("cluster named"))
            })
        })
        .await;
    }
    let refused = a.call(&other.local(), Service::Cluster, Bytes::new(), SECOND).await;
    assert!(matches!(refused, Err(MeshError::NotConnected(_))));
    stop([a, other]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_restarts_is_found_again_and_lanes_reconnect() {
    let key = Keypair::generate_ed25519();
    let a = Setup::new(&[]).start().await;
    let b = Setup { key: key.clone(), ..Setup::new(&[a.listening()]) }.start().await;
    until_connected(&a, 2).await;
    let (name, address) = (b.local(), b.listening());
    a.call(&name, Service::Cluster, Bytes::from("1"), 5 * SECOND).await.unwrap();
    b.shutdown().await;
    drop(b);
    until_connected(&a, 1).await;
    // Without contact points of its own: the first node finds it again, at the address it knows.
    let again = Setup { key, listen: address, incarnation: 2, ..Setup::new(&[]) }.start().await;
    until_connected(&a, 2).await;
    a.call(&name, Service::Cluster, Bytes::from("2"), 5 * SECOND).await.unwrap();
    stop([a, again]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutual_contact_points_end_with_one_connection_and_self_is_recognised() {
    let listen = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let free = || std::net::TcpListener::bind(listen(0)).unwrap().local_addr().unwrap();
    let (one, two) = (free(), free());
    let setup = |own| Setup { listen: own, ..Setup::new(&[one, two]) };
    let (a, b) = tokio::join!(setup(one).start(), setup(two).start());
    until_connected(&a, 2).await;
    until_connected(&b, 2).await;
    let is_one = |all: &[PeerView]| all.iter().map(|it| it.connections).sum::<usize>() == 1;
    until(&a, "one connection", is_one).await;
    until(&b, "one connection", is_one).await;
    a.call(&b.local(), Service::Cluster, Bytes::from("x"), 5 * SECOND).await.unwrap();
    assert_eq!(a.peers().borrow().len(), 2);
    stop([a, b]).await;
}

#[tokio::test]
async fn a_port_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = probe(address).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address}: the address is in use by another process")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_on_the_port_are_hung_up_on() {
    let a = Setup::new(&[]).start().await;
    for junk in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], &[0xff; 512], &[0x16, 0x03, 0x01]] {
        let mut stream = tokio::net::TcpStream::connect(a.listening()).await.unwrap();
        stream.write_all(junk).await.unwrap();
        let mut rest = Vec::new();
        // The nonce that the pre-shared key needs is all that a stranger ever gets.
        let closed =
            tokio::time::timeout(Duration::from_secs(12), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "closed within the handshake's time");
        assert!(rest.len() < 256);
    }
    assert_eq!(a.peers().borrow().len(), 1);
    a.shutdown().await;
}

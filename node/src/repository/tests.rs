//! Some repositories on disk, and a mesh in memory between them.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use onrush_api::backend::{BackendError, ByteStream, MemberView};
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command};
use onrush_raft::space::Space;
use onrush_raft::status::RaftStatus;
use onrush_raft::types::{ClusterId, ContentId, PeerName, RaftId};
use tokio::sync::watch;

use super::store::CHUNK_BYTES;
use super::{Error, Repository};
use crate::clock::Clock;
use crate::control_wire::{self, BlobAnswer};
use crate::membership::handle::{Applied, Cluster, ClusterError, Leadership};
use crate::net::{DuplexStream, Mesh, MeshError, PeerView, Service};

type Nodes = Arc<Net>;

#[derive(Default)]
struct Net {
    all: Mutex<BTreeMap<PeerName, Arc<Repository>>>,
    /// Chunks that each node has sent to others.
    sent: Mutex<BTreeMap<PeerName, usize>>,
}

fn peer(id: RaftId) -> PeerName {
    PeerName(format!("peer-{id}"))
}

/// One node's view: the first three vote.
struct Member {
    id: RaftId,
    nodes: Nodes,
}

/// What one node says to the others.
struct Wires {
    id: RaftId,
    nodes: Nodes,
}

#[async_trait]
impl Mesh for Wires {
    fn local(&self) -> PeerName {
        peer(self.id)
    }

    fn peers(&self) -> watch::Receiver<Arc<BTreeMap<PeerName, PeerView>>> {
        let view = |peer: &PeerName| {
            let view = PeerView { peer: peer.clone(), connected: true, ..PeerView::default() };
            (peer.clone(), view)
        };
        let views = self.nodes.all.lock().unwrap().keys().map(view).collect();
        watch::channel(Arc::new(views)).1
    }

    async fn call(
        &self,
        to: &PeerName,
        _: Service,
        body: Bytes,
        _: Duration,
    ) -> Result<Bytes, MeshError> {
        let node = self.nodes.all.lock().unwrap().get(to).cloned();
        let node = node.ok_or_else(|| MeshError::NotConnected(to.clone()))?;
        let answer = node.call_handler()(peer(self.id), body).await.map_err(MeshError::Remote)?;
        if let Ok(BlobAnswer::Chunk(_)) = control_wire::decode(&answer) {
            *self.nodes.sent.lock().unwrap().entry(to.clone()).or_default() += 1;
        }
        Ok(answer)
    }

    async fn open(&self, to: &PeerName, _: Service) -> Result<DuplexStream, MeshError> {
        Err(MeshError::NotConnected(to.clone()))
    }
}

#[async_trait]
impl Cluster for Member {
    fn peer(&self) -> PeerName {
        peer(self.id)
    }

    fn name(&self) -> String {
        format!("n{}", self.id)
    }

    fn raft_id(&self) -> Option<RaftId> {
        Some(self.id)
    }

    fn cluster_id(&self) -> Option<ClusterId> {
        Some("c".into())
    }

    fn clock(&self) -> Clock {
        Clock::default()
    }

    fn mesh(&self) -> Arc<dyn Mesh> {
        Arc::new(Wires { id: self.id, nodes: Arc::clone(&self.nodes) })
    }

    fn ledger(&self) -> Arc<Ledger> {
        Arc::default()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        watch::channel(Leadership::default()).1
    }

    async fn propose(&self, _: &Caller, _: Command) -> Result<Applied, ClusterError> {
        Err(ClusterError::NoLeader("no consensus here".to_owned()))
    }

    async fn propose_as_master(&self, term: u64, _: Command) -> Result<Applied, ClusterError> {
        Err(ClusterError::Superseded { term })
    }

    async fn read_barrier(&self) -> Result<(), ClusterError> {
        Ok(())
    }

    fn raft_id_of(&self, of: &PeerName) -> Option<RaftId> {
        self.voters().into_iter().find(|id| peer(*id) == *of)
    }

    fn peer_of(&self, id: RaftId) -> Option<PeerName> {
        Some(peer(id))
    }

    fn voters(&self) -> Vec<RaftId> {
        vec![1, 2, 3]
    }

    fn members(&self) -> Vec<MemberView> {
        Vec::new()
    }

    fn raft_status(&self) -> RaftStatus {
        RaftStatus::default()
    }

    async fn leader_raft_status(&self) -> Result<RaftStatus, ClusterError> {
        Ok(RaftStatus::default())
    }
}

/// Nodes 1, 2, 3 at 0, 1, 2.
fn cluster() -> (tempfile::TempDir, Vec<Arc<Repository>>) {
    let (dir, nodes, _) = cluster_of(3);
    (dir, nodes)
}

fn cluster_of(count: u64) -> (tempfile::TempDir, Vec<Arc<Repository>>, Nodes) {
    let dir = tempfile::tempdir().unwrap();
    let nodes = Nodes::default();
    let all: Vec<_> = (1..=count)
        .map(|id| {
            let node = Repository::open(dir.path().join(format!("n{id}/blobs"))).unwrap();
            node.room().pretend(Some(roomy()));
            node.attach(Arc::new(Member { id, nodes: Arc::clone(&nodes) }));
            nodes.all.lock().unwrap().insert(peer(id), Arc::clone(&node));
            node
        })
        .collect();
    (dir, all, nodes)
}

fn body(bytes: &[u8]) -> ByteStream {
    let parts: Vec<_> =
        bytes.chunks(100_000).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    futures::stream::iter(parts).boxed()
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i % 251) as u8).collect()
}

/// On all three.
async fn stored(nodes: &[Arc<Repository>], bytes: &[u8]) -> ContentId {
    let put = nodes[0].put(body(bytes), Some(bytes.len() as u64), None).await.unwrap();
    for node in nodes {
        node.ensure(&put.content, &[]).await.unwrap();
    }
    put.content
}

fn flip(node: &Repository, id: &ContentId, at: usize) {
    let path = node.store().path(id).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, bytes).unwrap();
}

async fn served(node: &Arc<Repository>, id: &ContentId) -> Result<Vec<u8>, Error> {
    let (_, stream) = node.open_blob(id, None).await?;
    let parts: Vec<Bytes> = stream.try_collect().await.map_err(Error::Upload)?;
    Ok(parts.concat())
}

fn files(node: &Repository, folder: &str) -> usize {
    fs::read_dir(node.store().root().join(folder)).unwrap().count()
}

fn roomy() -> Space {
    Space { free: 20 << 30, total: 24 << 30, ..full() }
}

fn full() -> Space {
    Space { total: 24 << 20, free: 3 << 20, inodes: 0, inodes_free: 0 }
}

#[tokio::test]
async fn what_a_disk_has_changed_is_fetched_again_wherever_it_is_read() {
    let (dir, nodes) = cluster();
    let bytes = content(3 * CHUNK_BYTES as usize - 9);
    let id = stored(&nodes, &bytes).await;
    for at in [0, CHUNK_BYTES as usize, bytes.len() - 1] {
        flip(&nodes[0], &id, at);
        assert!(served(&nodes[0], &id).await.unwrap() == bytes, "byte {at}");
        flip(&nodes[0], &id, at);
        assert!(nodes[0].read(&id, u64::MAX).await.unwrap() == bytes, "byte {at}");
        flip(&nodes[0], &id, at);
        let to = dir.path().join("run/data/users.csv");
        nodes[0].place(&id, &to).await.unwrap();
        assert!(fs::read(&to).unwrap() == bytes, "byte {at}");
        assert!(fs::read(nodes[0].store().path(&id).unwrap()).unwrap() == bytes, "byte {at}");
    }
    assert_eq!(files(&nodes[0], "quarantine"), 0);
    // One that is cut short, and one whose hashes are damaged, which need not be fetched.
    fs::remove_file(nodes[0].store().path(&id).unwrap()).unwrap();
    fs::write(nodes[0].store().path(&id).unwrap(), &bytes[..10]).unwrap();
    assert!(served(&nodes[0], &id).await.unwrap() == bytes);
    let beside = nodes[1].store().path(&id).unwrap().with_extension("man");
    let mut hashes = fs::read(&beside).unwrap();
    hashes[40] ^= 1;
    fs::write(&beside, hashes).unwrap();
    let reopened = Repository::open(nodes[1].store().root().to_owned()).unwrap();
    assert!(served(&reopened, &id).await.unwrap() == bytes);
    let (_, part) = nodes[0].open_blob(&id, Some(1_048_570..1_048_580)).await.unwrap();
    let part: Vec<Bytes> = part.try_collect().await.unwrap();
    assert_eq!(part.concat(), &bytes[1_048_570..1_048_580]);
}

/// A run that changes its files changes nobody else's.
#[tokio::test]
async fn a_run_has_files_of_its_own() {
    let (dir, nodes) = cluster();
    let id = stored(&nodes, b"name\nalice\n").await;
    let to = dir.path().join("run/names.csv");
    nodes[0].place(&id, &to).await.unwrap();
    nodes[0].place(&id, &to).await.unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&to, "changed").unwrap();
    assert_eq!(fs::read(nodes[0].store().path(&id).unwrap()).unwrap(), b"name\nalice\n");
}

#[tokio::test]
async fn what_is_damaged_everywhere_is_an_error_until_it_is_uploaded_again() {
    let (dir, nodes) = cluster();
    let bytes = content(2 * CHUNK_BYTES as usize);
    let id = stored(&nodes, &bytes).await;
    for node in &nodes {
        flip(node, &id, 5);
    }
    for node in &nodes {
        let error = served(node, &id).await.unwrap_err();
        assert!(matches!(error, Error::Lost { .. }), "{error}");
        let problem = BackendError::from(error);
        assert!(matches!(problem, BackendError::Unavailable(_)), "{problem:?}");
        assert!(problem.to_string().contains("is damaged on this node's disk"), "{problem}");
        let placed = node.place(&id, &dir.path().join("x")).await;
        assert!(matches!(placed, Err(Error::Lost { .. })), "{placed:?}");
    }
    assert_eq!(stored(&nodes, &bytes).await, id);
    for node in &nodes {
        assert!(served(node, &id).await.unwrap() == bytes);
        assert_eq!(files(node, "quarantine"), 0);
    }
}

#[tokio::test]
async fn an_upload_of_what_is_damaged_here_mends_it() {
    let (_dir, nodes) = cluster();
    let bytes = content(1_000);
    let id = stored(&nodes, &bytes).await;
    flip(&nodes[0], &id, 1);
    flip(&nodes[2], &id, 1);
    assert_eq!(stored(&nodes, &bytes).await, id);
    for node in [&nodes[0], &nodes[1]] {
        assert!(fs::read(node.store().path(&id).unwrap()).unwrap() == bytes);
    }
}

#[tokio::test]
async fn the_scrubber_finds_what_nobody_reads() {
    let (_dir, nodes) = cluster();
    let mut ids = BTreeSet::new();
    for size in [10, 2_000_000, 30] {
        ids.insert(stored(&nodes, &content(size)).await);
    }
    for id in &ids {
        flip(&nodes[0], id, 9);
    }
    nodes[0].scrub_round(|_, _| Duration::ZERO).await;
    for id in &ids {
        let bytes = fs::read(nodes[0].store().path(id).unwrap()).unwrap();
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), id.0);
    }
    // It goes on where it was: what lies before that has its turn in the next round.
    let first = ids.first().unwrap();
    let cursor = nodes[0].store().root().join("scrubbed");
    assert_eq!(fs::read_to_string(&cursor).unwrap(), ids.last().unwrap().0);
    fs::write(&cursor, &first.0).unwrap();
    flip(&nodes[0], first, 9);
    let is_whole = || {
        let bytes = fs::read(nodes[0].store().path(first).unwrap()).unwrap();
        blake3::hash(&bytes).to_hex().as_str() == first.0
    };
    nodes[0].scrub_round(|_, _| Duration::ZERO).await;
    assert!(!is_whole());
    nodes[0].scrub_round(|_, _| Duration::ZERO).await;
    assert!(is_whole());
}

/// Once the upload went on for a minute and a half and filled the disks of both small voters.
#[tokio::test]
async fn an_upload_is_refused_before_it_is_read_where_any_voter_has_no_room() {
    let (_dir, nodes) = cluster();
    for (at, announced) in [(2, Some(60 << 20)), (0, Some(60 << 20)), (1, Some(2 << 20))] {
        nodes[at].room().pretend(Some(full()));
        let read =
            |_: &mut Context<'_>| -> Poll<Option<std::io::Result<Bytes>>> { panic!("it was read") };
        let unread = futures::stream::poll_fn(read).boxed();
        let error = nodes[0].put(unread, announced, None).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("node {} has no room: 3.0 MiB", name(at))), "{text}");
        assert!(matches!(BackendError::from(error), BackendError::NoRoom(_)));
        nodes[at].room().pretend(Some(roomy()));
    }
    // Without a length: as soon as it is too much. Nothing stays.
    nodes[1].room().pretend(Some(Space { free: 9 << 20, ..full() }));
    let bytes = content(12 << 20);
    let error = nodes[0].put(body(&bytes), None, None).await.unwrap_err();
    assert!(matches!(error, Error::NoRoom { .. }), "{error}");
    assert_eq!(nodes[0].store().list().unwrap(), vec![]);
    for node in &nodes {
        assert_eq!((files(node, "tmp"), files(node, "part")), (0, 0));
    }
    // What is owed may go a little further than what is new.
    nodes[1].room().pretend(Some(Space { free: 2 << 20, ..full() }));
    nodes[0].put_bytes(Bytes::from_static(b"a report")).await.unwrap();
    nodes[0].put(body(b"new"), Some(3), None).await.unwrap_err();
}

fn name(at: usize) -> String {
    // Others are known by their names only once the ledger has them.
    if at == 0 { "n1".to_owned() } else { peer(at as u64 + 1).0 }
}

#[tokio::test]
async fn a_pull_without_room_leaves_nothing() {
    let (_dir, nodes) = cluster();
    let bytes = content(5 << 20);
    let id = stored(&nodes, &bytes).await;
    nodes[1].store().remove(&id).unwrap();
    nodes[1].room().pretend(Some(full()));
    fs::write(nodes[1].store().root().join("part").join(&id.0), &bytes[..1_000]).unwrap();
    let error = nodes[1].ensure(&id, &[]).await.unwrap_err();
    assert!(error.to_string().starts_with("node n2 has no room: 3.0 MiB are free"), "{error}");
    assert_eq!(files(&nodes[1], "part"), 0);
    nodes[1].room().pretend(Some(roomy()));
    nodes[1].ensure(&id, &[]).await.unwrap();
}

/// Once one that broke off after its last chunk, a short one, fetched that a second time and failed.
#[tokio::test]
async fn a_pull_goes_on_wherever_it_broke_off() {
    let (_dir, nodes) = cluster();
    let chunk = CHUNK_BYTES as usize;
    for size in [10, chunk, chunk + 7, 2 * chunk] {
        let bytes = content(size);
        let id = stored(&nodes, &bytes).await;
        for there in [0, 1, 10, chunk - 1, chunk, chunk + 1, chunk + 7, 2 * chunk] {
            nodes[1].store().remove(&id).unwrap();
            let part = nodes[1].store().root().join("part").join(&id.0);
            fs::write(part, &bytes[..there.min(size)]).unwrap();
            nodes[1].ensure(&id, &[]).await.unwrap();
            let kept = fs::read(nodes[1].store().path(&id).unwrap()).unwrap();
            assert!(kept == bytes, "{there} of {size}");
        }
    }
}

/// Once a file that fifty nodes needed at the same moment came from the few that had it, one copy to
/// each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_that_pull_at_once_pass_it_on_to_each_other() {
    let (_dir, nodes, net) = cluster_of(40);
    let bytes = content(2 * CHUNK_BYTES as usize + 7);
    let id = stored(&nodes[..3], &bytes).await;
    net.sent.lock().unwrap().clear();
    let pulls = nodes[3..].iter().map(|node| node.ensure(&id, &[]));
    futures::future::try_join_all(pulls).await.unwrap();
    assert!(nodes.iter().all(|node| node.store().has(&id)));
    let sent = net.sent.lock().unwrap().clone();
    assert_eq!(sent.values().sum::<usize>(), 37 * 3, "nobody is sent a chunk twice");
    assert!(sent.len() >= 8, "{sent:?}");
    // What has one chunk alone is nothing to wait for.
    let small = stored(&nodes[..3], b"small").await;
    let pulls = nodes[3..].iter().map(|node| node.ensure(&small, &[]));
    futures::future::try_join_all(pulls).await.unwrap();
    assert!(nodes.iter().all(|node| node.store().has(&small)));
}

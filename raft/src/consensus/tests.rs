//! Whole clusters over an in-memory network and real folders, in real time with the test profile.
//! Every wait is for a condition; its limit is generous, as the machine may be busy.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::*;
use crate::ledger::command::Command;
use crate::ledger::member::MemberCommand;
use crate::ledger::project::ProjectCommand;

pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// The network: who is up, and which directed links are cut.
#[derive(Default)]
pub(super) struct SimNet {
    pub(super) up: Mutex<BTreeMap<RaftId, Consensus>>,
    cut: Mutex<BTreeSet<(RaftId, RaftId)>>,
    /// Snapshot messages are damaged on the way while set.
    corrupt: std::sync::atomic::AtomicBool,
    /// On the lane of heartbeats, by receiver.
    heartbeats: Mutex<BTreeMap<RaftId, u64>>,
}

struct Link {
    from: RaftId,
    net: Arc<SimNet>,
}

#[async_trait]
impl RaftRpc for Link {
    async fn call(
        &self,
        target: RaftId,
        lane: Lane,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RpcError> {
        let gone = |why: &str| RpcError::Unreachable { target, why: why.to_owned() };
        let cut = |from, to| lock(&self.net.cut).contains(&(from, to));
        if cut(self.from, target) {
            return Err(gone("cut"));
        }
        let node = lock(&self.net.up).get(&target).cloned().ok_or_else(|| gone("down"))?;
        if lane == Lane::Heartbeat {
            *lock(&self.net.heartbeats).entry(target).or_default() += 1;
        }
        let mut body = body.to_vec();
        let corrupt = self.net.corrupt.load(std::sync::atomic::Ordering::Relaxed);
        if lane == Lane::Snapshot && corrupt && body.len() > 2_000 {
            let middle = body.len() / 2;
            body[middle] ^= 0xff;
        }
        let answer = tokio::time::timeout(timeout, node.handle(self.from, body.into())).await;
        if cut(target, self.from) {
            return Err(gone("the answer was cut"));
        }
        match answer {
            Err(_) => Err(RpcError::Timeout { target, after: timeout }),
            Ok(Err(why)) => Err(RpcError::Remote { target, why }),
            Ok(Ok(bytes)) => Ok(bytes),
        }
    }
}

pub(super) struct Cluster {
    pub(super) net: Arc<SimNet>,
    dirs: BTreeMap<RaftId, TempDir>,
}

fn info(id: RaftId) -> NodeInfo {
    NodeInfo { peer: format!("peer-{id}").into(), name: format!("node-{id}") }
}

pub(super) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut check: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(started.elapsed() < LIMIT, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Cluster {
    fn new(ids: impl IntoIterator<Item = RaftId>) -> Self {
        let dirs = ids.into_iter().map(|id| (id, tempfile::tempdir().unwrap())).collect();
        Self { net: Arc::default(), dirs }
    }

    pub(super) fn config(&self, id: RaftId) -> Config {
        Config {
            dir: self.dirs[&id].path().join("raft"),
            id,
            timing: Timing::TEST,
            must_exist: false,
        }
    }

    pub(super) async fn open(&self, id: RaftId) -> Result<Consensus, OpenError> {
        let link = Arc::new(Link { from: id, net: Arc::clone(&self.net) });
        Consensus::open(self.config(id), link).await
    }

    pub(super) async fn start(&self, id: RaftId) -> Consensus {
        let node = self.open(id).await.unwrap();
        lock(&self.net.up).insert(id, node.clone());
        node
    }

    /// Without a word to the others; what is on disk stays.
    pub(super) async fn stop(&self, id: RaftId) {
        let node = lock(&self.net.up).remove(&id);
        if let Some(node) = node {
            node.shutdown().await;
        }
    }

    pub(super) fn nodes(&self) -> Vec<Consensus> {
        lock(&self.net.up).values().cloned().collect()
    }

    pub(super) fn partition(&self, one: &[RaftId], other: &[RaftId]) {
        let mut cut = lock(&self.net.cut);
        for &a in one {
            cut.extend(other.iter().flat_map(|&b| [(a, b), (b, a)]));
        }
    }

    pub(super) fn heal(&self) {
        lock(&self.net.cut).clear();
    }

    pub(super) async fn leader(&self) -> Consensus {
        eventually("a leader", || async {
            self.nodes().into_iter().find(|node| node.leadership().borrow().is_me)
        })
        .await
    }

    /// Founds with the first node, adds the others, makes all of them voters, opens.
    pub(super) async fn form(n: u64) -> Self {
        let cluster = Self::new(1..=n);
        for id in 1..=n {
            cluster.start(id).await;
        }
        let first = cluster.nodes()[0].clone();
        first.initialize(info(1)).await.unwrap();
        let leader = cluster.leader().await;
        for id in 2..=n {
            leader.add_learners([(id, info(id))].into()).await.unwrap();
        }
        let voters = (1..=n).collect();
        let at = leader.membership().index;
        eventually("voters", || async {
            match leader.change_voters(BTreeSet::clone(&voters), at).await {
                Ok(_) => Some(()),
                Err(_) => (leader.membership().voter_sets == [voters.clone()]).then_some(()),
            }
        })
        .await;
        let genesis = MemberCommand::Genesis {
            cluster: "0123456789abcdef0123456789abcdef".into(),
            name: "test".to_owned(),
            expect: 1,
            min_open: 1,
            founder: "peer-1".into(),
            founder_name: "node-1".to_owned(),
        };
        for command in [genesis, MemberCommand::Open] {
            cluster.write(Command::Member(command)).await;
        }
        cluster
    }

    /// Through whoever leads, as often as it takes.
    async fn write(&self, command: Command) -> u64 {
        let proposal = Proposal { at: 1, by: "test".into(), command };
        eventually("a write", || async {
            let leader = self.leader().await;
            match leader.propose(proposal.clone()).await {
                Ok((index, Ok(_))) => Some(index),
                // Carried out by an attempt whose answer was lost.
                Ok((index, Err(Rejection::Exists { .. }))) => Some(index),
                Ok((_, Err(rejection))) => panic!("{rejection}"),
                Err(_) => None,
            }
        })
        .await
    }

    pub(super) async fn create(&self, name: &str) -> u64 {
        self.write(Command::Project(ProjectCommand::Create { name: name.into() })).await
    }

    /// All nodes that are up reach the same index and the same digest.
    pub(super) async fn agree(&self) -> Arc<Ledger> {
        eventually("agreement", || async {
            let nodes = self.nodes();
            let ledgers: Vec<_> = nodes.iter().map(Consensus::ledger).collect();
            let digest = ledgers[0].digest().unwrap();
            let same = ledgers.iter().all(|ledger| ledger.digest().unwrap() == digest);
            same.then(|| Arc::clone(&ledgers[0]))
        })
        .await
    }

    pub(super) fn has(ledger: &Ledger, name: &str) -> bool {
        ledger.project(&name.into()).is_some()
    }

    pub(super) async fn end(self) {
        for id in self.dirs.keys() {
            self.stop(*id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_leads_writes_and_remembers() {
    let cluster = Cluster::form(1).await;
    let index = cluster.create("alpha").await;
    let node = cluster.leader().await;
    assert!(node.linearize().await.unwrap() >= index);
    node.wait_applied(index, LIMIT).await.unwrap();
    let before = node.ledger().digest().unwrap();
    cluster.stop(1).await;

    let node = cluster.start(1).await;
    let leader = cluster.leader().await;
    assert!(Cluster::has(&leader.ledger(), "alpha"));
    // One blank entry of the new term is all that was added.
    assert_ne!(node.ledger().digest().unwrap(), before);
    assert!(matches!(node.initialize(info(1)).await, Err(AdminError::Refused(_))));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_restart_without_loss() {
    let cluster = Cluster::form(3).await;
    for i in 0..20 {
        cluster.create(&format!("p{i}")).await;
    }
    cluster.agree().await;
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    for id in 1..=3 {
        cluster.start(id).await;
    }
    cluster.leader().await;
    let ledger = cluster.agree().await;
    assert!((0..20).all(|i| Cluster::has(&ledger, &format!("p{i}"))));
    assert!(ledger.is_open());
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_majority_goes_on_and_the_minority_refuses() {
    let cluster = Cluster::form(3).await;
    let old = cluster.leader().await;
    let old_id = old.status().node;
    let term = old.leadership().borrow().term;
    let others: Vec<RaftId> = (1..=3).filter(|id| *id != old_id).collect();
    cluster.partition(&[old_id], &others);

    // Its lease runs out without any message, and it stops calling itself the master.
    let mut leadership = old.leadership();
    tokio::time::timeout(LIMIT, leadership.wait_for(|now| !now.is_me)).await.unwrap().unwrap();
    let proposal = Proposal {
        at: 1,
        by: "test".into(),
        command: Command::Project(ProjectCommand::Create { name: "lost".into() }),
    };
    assert!(old.propose(proposal.clone()).await.is_err());
    assert!(old.linearize().await.is_err());

    cluster.create("kept").await;
    let new = cluster.leader().await;
    assert_ne!(new.status().node, old_id);
    let new_term = new.leadership().borrow().term;
    assert!(new_term > term);
    // Nothing decided in the term before is appended.
    let stale = new.propose_as_leader(term, proposal.clone()).await;
    assert!(matches!(stale, Err(ProposeError::NotLeader(_))), "{stale:?}");
    assert!(new.propose_as_leader(new_term, proposal).await.unwrap().1.is_ok());

    cluster.heal();
    let ledger = cluster.agree().await;
    assert!(Cluster::has(&ledger, "kept"));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_is_far_behind_gets_a_snapshot_whole() {
    let cluster = Cluster::form(3).await;
    cluster.stop(3).await;
    for i in 0..50 {
        cluster.create(&format!("p{i}")).await;
    }
    let leader = cluster.leader().await;
    leader.trigger_snapshot().await.unwrap();
    let applied = leader.status().applied_index;
    eventually("a snapshot", || async {
        (leader.status().snapshot_index.unwrap_or(0) >= applied).then_some(())
    })
    .await;
    leader.inner.raft.trigger().purge_log(applied).await.unwrap();
    eventually("a purge", || async {
        (leader.status().purged_index.unwrap_or(0) >= applied).then_some(())
    })
    .await;

    cluster.net.corrupt.store(true, std::sync::atomic::Ordering::Relaxed);
    let node = cluster.start(3).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!Cluster::has(&node.ledger(), "p49"), "a damaged snapshot was installed");
    cluster.net.corrupt.store(false, std::sync::atomic::Ordering::Relaxed);
    let ledger = cluster.agree().await;
    assert!((0..50).all(|i| Cluster::has(&ledger, &format!("p{i}"))));

    // It starts from that snapshot by itself.
    cluster.stop(3).await;
    let node = cluster.start(3).await;
    assert!(node.ledger().applied() >= applied);
    cluster.agree().await;

    // Its snapshot is damaged while it is down: refused by name, as the log is gone before it.
    cluster.stop(3).await;
    let snap = cluster.dirs[&3].path().join("raft/snap");
    let file = std::fs::read_dir(&snap).unwrap().flatten().map(|item| item.path());
    let file = file.into_iter().find(|path| path.extension().is_some()).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let link = Arc::new(Link { from: 3, net: Arc::clone(&cluster.net) });
    let Err(error) = Consensus::open(cluster.config(3), link).await else { panic!("it opened") };
    let text = error.to_string();
    assert!(text.contains(".osn") && text.contains("checksum mismatch"), "{text}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_and_voters_are_replaced() {
    let cluster = Cluster::form(3).await;
    let leader = cluster.leader().await;
    let from = leader.status().node;
    let to = if from == 1 { 2 } else { 1 };
    leader.transfer_leader(to).await.unwrap();
    let leader = cluster.leader().await;
    assert_eq!(leader.status().node, to);

    let stale = leader.change_voters(BTreeSet::from([1, 2]), 0).await;
    assert_eq!(stale, Err(AdminError::Precondition));
    let at = leader.membership().index;
    leader.change_voters(BTreeSet::from([to]), at).await.unwrap();
    assert_eq!(leader.membership().voter_sets, [BTreeSet::from([to])]);
    cluster.create("alone").await;
    eventually("the ledger's voters", || async {
        (leader.ledger().voters() == BTreeSet::from([to])).then_some(())
    })
    .await;
    let refused = leader.transfer_leader(9).await;
    assert!(matches!(refused, Err(AdminError::Refused(_))));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_others_and_for_others_are_refused() {
    let cluster = Cluster::form(1).await;
    let node = cluster.leader().await;
    let vote = crate::records::VoteRec { term: 99, node: 5, committed: false };
    let ballot = wire::Ballot { vote, last: None, transfer: false };
    let frame = |to| wire::Frame { to, request: wire::Request::Vote(ballot) }.encode().unwrap();
    let error = node.handle(5, frame(2)).await.unwrap_err();
    assert_eq!(error, "this is node 1, not node 2");
    let error = node.handle(6, frame(1)).await.unwrap_err();
    assert_eq!(error, "node 6 speaks in the name of another");
    let error = node.handle(5, Bytes::from_static(b"rubbish")).await.unwrap_err();
    assert!(error.starts_with("raft request: "), "{error}");
    cluster.end().await;
}

/// Random kills, restarts and partitions while clients write: what was acknowledged is there in
/// the end, on every node, in one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_loses_no_acknowledged_write() {
    let seed = 7;
    let mut rng = SmallRng::seed_from_u64(seed);
    let n: u64 = 5;
    let cluster = Cluster::form(n).await;
    let mut written = Vec::new();
    for round in 0..10_u64 {
        let victims: BTreeSet<RaftId> = (0..2).map(|_| rng.random_range(1..=n)).collect();
        let rest: Vec<RaftId> = (1..=n).filter(|id| !victims.contains(id)).collect();
        let victims: Vec<RaftId> = victims.into_iter().collect();
        let kill = rng.random_bool(0.6);
        if kill {
            for id in &victims {
                cluster.stop(*id).await;
            }
        } else {
            cluster.partition(&victims, &rest);
        }
        for i in 0..5 {
            let name = format!("r{round}w{i}");
            cluster.create(&name).await;
            written.push(name);
        }
        cluster.heal();
        if kill {
            for id in &victims {
                cluster.start(*id).await;
            }
        }
    }
    let ledger = cluster.agree().await;
    let missing: Vec<_> = written.iter().filter(|name| !Cluster::has(&ledger, name)).collect();
    assert!(missing.is_empty(), "seed {seed}: {missing:?}");
    cluster.end().await;
}

/// All that a heartbeat tells a learner is who leads: it hears few of them, and each write at once.
/// With a seat, it is a voter like all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_hears_few_heartbeats_and_a_new_voter_sends_them() {
    let mut cluster = Cluster::form(3).await;
    cluster.dirs.insert(4, tempfile::tempdir().unwrap());
    let fourth = cluster.start(4).await;
    let leader = cluster.leader().await;
    leader.add_learners([(4, info(4))].into()).await.unwrap();
    let index = cluster.create("before").await;
    fourth.wait_applied(index, LIMIT).await.unwrap();
    let me = leader.status().node;
    let voter = (1..=3).find(|id| *id != me).unwrap();
    lock(&cluster.net.heartbeats).clear();
    let heard = |id| lock(&cluster.net.heartbeats).get(&id).copied().unwrap_or(0);
    eventually("heartbeats", || async { (heard(voter) >= 30).then_some(()) }).await;
    let (often, rarely) = (heard(voter), heard(4));
    assert!(rarely > 0 && rarely * 2 < often, "{rarely} to the learner, {often} to a voter");
    assert_eq!(fourth.leadership().borrow().leader, Some(me), "it knows who leads all the same");
    let index = cluster.create("after").await;
    fourth.wait_applied(index, LIMIT).await.unwrap();

    let at = leader.membership().index;
    leader.change_voters(BTreeSet::from([me, voter, 4]), at).await.unwrap();
    eventually("the fourth to lead", || async { leader.transfer_leader(4).await.ok() }).await;
    lock(&cluster.net.heartbeats).clear();
    eventually("heartbeats of the fourth", || async { (heard(voter) >= 10).then_some(()) }).await;
    assert!(fourth.leadership().borrow().is_me, "it leads");
    cluster.end().await;
}

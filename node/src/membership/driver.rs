//! Carries out the forming rules: looks at the neighbourhood four times a second and on every
//! change, once a second where the node is settled, asks [`Bootstrap`] what to do, and does it. One
//! task; remembers nothing that the rules, the ledger and `cluster.json` do not.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use onrush_raft::bootstrap::{
    Action, Binding, Bootstrap, OwnCluster, PeerSeen, PeerState, View, Waiting,
};
use onrush_raft::consensus::NodeInfo;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::member::{ClusterState, FOUNDER, MemberCommand};
use onrush_raft::types::{ClusterId, PeerName, RaftId};
use rand::Rng as _;
use rand::seq::SliceRandom as _;
use tracing::Level;

use super::data_dir::{ClusterFile, Founding};
use super::handle::{Cluster as _, ClusterError};
use super::member::{Bound, Membership};
use super::members;
use crate::net::{Mesh as _, PeerView};
use crate::wire::{ClusterReply, ClusterRequest};

const ROUND: Duration = Duration::from_millis(250);
const ROUND_SETTLED: Duration = Duration::from_secs(1);
/// A member that is asked to admit this node may have to wait for a leader.
const JOIN_TIMEOUT: Duration = Duration::from_secs(8);
/// First and longest pause after a try to join that failed; fifty nodes may be trying.
const JOIN_PAUSE_MS: u64 = 250;
const JOIN_PAUSE_MAX_MS: u64 = 5_000;
/// Members that are asked one after another, whatever the question.
const ASKED_MAX: usize = 3;
/// Between two times that a node without a leader asks whether it is still a member.
const STANDING_MS: u64 = 2_000;
/// The answer needs no leader and no disk.
const STANDING_TIMEOUT: Duration = Duration::from_millis(500);
/// Between two times that the same trouble is logged.
const REPEAT_MS: u64 = 10_000;
/// Without `--expect`, so long a silence deserves an explanation.
const ALONE_MS: u64 = 15_000;

/// Runs until the membership stops.
pub(super) async fn run(membership: Arc<Membership>) {
    let mut driver = Driver::default();
    let stop = membership.stop.clone();
    let Some(mut peers) = membership.net().map(|mesh| mesh.peers()) else { return };
    loop {
        peers.borrow_and_update();
        tokio::select! {
            () = stop.cancelled() => return,
            () = driver.step(&membership) => {}
        }
        let settled = is_settled(&membership);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(if settled { ROUND_SETTLED } else { ROUND }) => {}
            _ = peers.changed(), if !settled => {}
        }
    }
}

#[derive(Default)]
struct Driver {
    rules: Bootstrap,
    joining: Pause,
    /// What was logged last, and when.
    said: (String, u64),
    /// When the others were last asked whether this node is still a member.
    asked_ms: u64,
}

/// Growing pauses with jitter between tries that fail.
#[derive(Default)]
struct Pause {
    next_ms: u64,
    pause_ms: u64,
}

impl Pause {
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.next_ms
    }

    fn failed(&mut self, now_ms: u64, rng: &mut impl rand::Rng) {
        self.pause_ms = (self.pause_ms * 2).clamp(JOIN_PAUSE_MS, JOIN_PAUSE_MAX_MS);
        self.next_ms = now_ms + rng.random_range(self.pause_ms / 2..=self.pause_ms);
    }
}

impl Driver {
    async fn step(&mut self, membership: &Arc<Membership>) {
        let view = view(membership);
        announce(membership, &view);
        if let Some(bound) = membership.bound.load_full() {
            if was_removed(&bound) || self.was_let_go(membership, &bound).await {
                self.detach(membership, &bound).await;
                return;
            }
            owe(membership, &bound).await;
        }
        let action = self.rules.decide(&view);
        let words = words(&action, view.now_ms);
        membership.waiting.store(Arc::new(words.clone()));
        let level =
            if matches!(action, Action::Conflict { .. }) { Level::WARN } else { Level::INFO };
        self.log(membership, level, &words);
        let result = match action {
            Action::Wait(_) | Action::Conflict { .. } => Ok(()),
            Action::Join { cluster, via } if self.joining.is_over(view.now_ms) => {
                let joined = join(membership, cluster, some_of(via)).await;
                match &joined {
                    Ok(()) => self.joining = Pause::default(),
                    Err(_) => {
                        self.joining.failed(membership.config.clock.now_ms(), &mut rand::rng());
                    }
                }
                joined
            }
            Action::Join { .. } => Ok(()),
            Action::Found { expect, min_open } => found(membership, expect, min_open).await,
            Action::Open => member_command(membership, MemberCommand::Open).await,
            Action::Dissolve { into } => {
                member_command(membership, MemberCommand::Dissolve { into }).await
            }
            Action::Release { .. } => {
                membership.release(None).await.map_err(|error| error.to_string())
            }
        };
        if let Err(why) = result {
            self.log(membership, Level::INFO, &why);
        }
    }

    /// Whether this node was removed without having heard of it. Raft tells nothing to a node that it
    /// does not replicate to (any more), so one that hears no leader asks.
    async fn was_let_go(&mut self, membership: &Membership, bound: &Bound) -> bool {
        let now = membership.config.clock.now_ms();
        let led = bound.consensus.leadership().borrow().leader.is_some();
        if led || now.saturating_sub(self.asked_ms) < STANDING_MS {
            return false;
        }
        self.asked_ms = now;
        let (cluster, raft_id) = (bound.cluster.clone(), bound.raft_id);
        let request = ClusterRequest::Standing { cluster, raft_id };
        for peer in some_of(fellows(membership, &bound.cluster)) {
            let answer = membership.ask(&peer, &request, STANDING_TIMEOUT).await;
            if matches!(answer, Ok(ClusterReply::Removed)) {
                return true;
            }
        }
        false
    }

    async fn detach(&mut self, membership: &Arc<Membership>, bound: &Bound) {
        let words = "this node was removed from its cluster; it will ask to rejoin";
        self.log(membership, Level::WARN, words);
        let file = membership.cluster_file().map(|file| ClusterFile {
            raft_id: None,
            opened: false,
            ..file
        });
        if let Err(error) = membership.release(file).await {
            tracing::error!(%error, cluster = %bound.cluster, "cannot leave the cluster");
        }
    }

    /// Once when it changes, and again after a while.
    fn log(&mut self, membership: &Membership, level: Level, words: &str) {
        let now = membership.config.clock.now_ms();
        let again = now.saturating_sub(self.said.1) >= REPEAT_MS;
        if words.is_empty() || (self.said.0 == words && !again) {
            return;
        }
        if level == Level::WARN {
            tracing::warn!("{words}");
        } else {
            tracing::info!("{words}");
        }
        self.said = (words.to_owned(), now);
    }
}

/// What the founder still owes its cluster: `Genesis`. That other nodes are bound they announce, and
/// the leader records it.
async fn owe(membership: &Arc<Membership>, bound: &Bound) {
    let founding = membership.cluster_file().and_then(|file| file.founding);
    let Some(founding) = founding.filter(|_| bound.raft_id == FOUNDER) else { return };
    if bound.consensus.ledger().cluster().state == ClusterState::None {
        genesis(membership, bound, founding).await;
    }
}

/// A member of an open cluster that hears its master: little is left that the neighbours could change.
fn is_settled(membership: &Membership) -> bool {
    let bound = membership.bound.load();
    bound.as_ref().is_some_and(|bound| {
        let (ledger, me) = (bound.consensus.ledger(), bound.raft_id);
        let is_member = ledger.member(me).is_some_and(|member| member.bound && !member.removed);
        ledger.is_open() && is_member && bound.consensus.leadership().borrow().leader.is_some()
    })
}

fn was_removed(bound: &Bound) -> bool {
    bound.consensus.ledger().member(bound.raft_id).is_some_and(|member| member.removed)
}

/// Members of a cluster that can be asked now.
fn fellows(membership: &Membership, cluster: &ClusterId) -> Vec<PeerName> {
    let mut fellows: Vec<PeerName> = Vec::new();
    for view in membership.views() {
        let same = view.record.as_ref().is_some_and(|r| r.cluster.as_ref() == Some(cluster));
        if view.connected && same && view.peer != membership.config.peer {
            fellows.push(view.peer);
        }
    }
    fellows
}

/// A few of them, in any order: not everyone asks the same ones.
fn some_of(mut peers: Vec<PeerName>) -> Vec<PeerName> {
    peers.shuffle(&mut rand::rng());
    peers.truncate(ASKED_MAX);
    peers
}

fn view(membership: &Membership) -> View {
    let bound = membership.bound.load_full();
    let own = bound.as_ref().map(|bound| {
        let ledger = bound.consensus.ledger();
        OwnCluster {
            leader: bound.consensus.leadership().borrow().is_me,
            cluster: ledger.cluster().clone(),
            bound_members: u32::try_from(ledger.bound_members()).unwrap_or(u32::MAX),
            voters: u32::try_from(ledger.voters().len()).unwrap_or(u32::MAX),
        }
    });
    let peers = membership.views();
    // One of another cluster is not let in: that it is there must be known all the same.
    let there = |peer: &&PeerView| peer.connected || peer.foreign;
    let peers = peers.iter().filter(there).filter(|peer| peer.peer != membership.config.peer);
    View {
        now_ms: membership.config.clock.now_ms(),
        me: membership.config.peer.clone(),
        expect: membership.config.expect,
        binding: ClusterFile::binding(membership.cluster_file().as_ref()),
        own,
        peers: peers.map(seen).collect(),
    }
}

fn seen(view: &PeerView) -> PeerSeen {
    let record = view.record.clone().unwrap_or_default();
    let state = match (record.cluster_state.as_str(), record.cluster) {
        ("blank", _) => PeerState::Blank,
        ("forming", Some(cluster)) => PeerState::Forming(cluster),
        ("open", Some(cluster)) => PeerState::Open(cluster),
        _ => PeerState::Other,
    };
    PeerSeen {
        peer: view.peer.clone(),
        state,
        expect: record.expect,
        sees_blank: record.sees_blank,
    }
}

fn announce(membership: &Membership, view: &View) {
    let Some(mesh) = membership.net() else { return };
    let file = membership.cluster_file();
    let bound = membership.bound.load_full();
    let ledger = bound.as_ref().map(|bound| bound.consensus.ledger());
    let state = members::state(file.as_ref(), ledger.as_deref());
    mesh.announce(|record| {
        record.cluster = file.as_ref().map(|file| file.cluster.clone());
        record.raft_id = file.as_ref().and_then(|file| file.raft_id);
        state.clone_into(&mut record.cluster_state);
        record.sees_blank = if view.binding == Binding::Blank { view.sees_blank() } else { 0 };
    });
}

async fn join(
    membership: &Arc<Membership>,
    cluster: ClusterId,
    via: Vec<PeerName>,
) -> Result<(), String> {
    let mut left = membership.cluster_file().and_then(|file| file.left);
    let mut last = format!("nobody of cluster {cluster} could be asked");
    for peer in via {
        let mut answer =
            membership.ask(&peer, &asking(membership, &cluster, left), JOIN_TIMEOUT).await;
        if let Ok(ClusterReply::Bound(raft_id)) = answer {
            // This node is a member, and has nothing left of it: not its log, not even its binding.
            tracing::warn!(raft_id, "what this node had as a member is gone; it joins anew");
            left = Some(raft_id);
            answer = membership.ask(&peer, &asking(membership, &cluster, left), JOIN_TIMEOUT).await;
        }
        let raft_id = match answer {
            Ok(ClusterReply::Offer { raft_id }) => raft_id,
            Ok(ClusterReply::Failed(why) | ClusterReply::NoQuorum(why)) => {
                last = format!("cluster {cluster} does not admit this node: {why}");
                continue;
            }
            Ok(_) => {
                last = format!("cluster {cluster} has no leader that could admit this node");
                continue;
            }
            Err(error) => {
                last = format!("cluster {cluster} could not be asked: {error}");
                continue;
            }
        };
        let name = membership.config.cluster_name.clone();
        let file = ClusterFile::bound(cluster, name, raft_id);
        tracing::info!(cluster = %file.cluster, raft_id, "joining");
        return membership.bind(file).await.map_err(|error| error.to_string());
    }
    Err(last)
}

fn asking(membership: &Membership, cluster: &ClusterId, left: Option<RaftId>) -> ClusterRequest {
    let (cluster, name) = (cluster.clone(), membership.config.name.clone());
    match left {
        Some(left) => ClusterRequest::Rejoin { cluster, name, left },
        None => ClusterRequest::Join { cluster, name },
    }
}

async fn found(membership: &Arc<Membership>, expect: u32, min_open: u32) -> Result<(), String> {
    let cluster = ClusterId(format!("{:032x}", rand::rng().random::<u128>()));
    tracing::info!(%cluster, expect, "founding a cluster");
    let name = membership.config.cluster_name.clone();
    let founding = Some(Founding { expect, min_open });
    let file = ClusterFile { founding, ..ClusterFile::bound(cluster, name, FOUNDER) };
    membership.bind(file).await.map_err(|error| error.to_string())
}

/// May be interrupted and repeated at any point: initialising is refused on a node that has a log,
/// and a second `Genesis` is refused by the ledger.
async fn genesis(membership: &Arc<Membership>, bound: &Bound, founding: Founding) {
    let config = &membership.config;
    let me = NodeInfo { peer: config.peer.clone(), name: config.name.clone() };
    if let Err(error) = bound.consensus.initialize(me).await {
        tracing::debug!(%error, "not initialised now");
    }
    let command = MemberCommand::Genesis {
        cluster: bound.cluster.clone(),
        name: config.cluster_name.clone(),
        expect: founding.expect,
        min_open: founding.min_open,
        founder: config.peer.clone(),
        founder_name: config.name.clone(),
    };
    match membership.propose(&config.peer.0.as_str().into(), Command::Member(command)).await {
        Ok(_) => {
            let file = membership.cluster_file().map(|file| ClusterFile { founding: None, ..file });
            if let Some(file) = file.filter(|file| membership.dir.bind(file).is_ok()) {
                *membership.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
            }
        }
        Err(error) => tracing::debug!(%error, "no Genesis yet"),
    }
}

async fn member_command(
    membership: &Arc<Membership>,
    command: MemberCommand,
) -> Result<(), String> {
    let by = membership.config.peer.0.as_str().into();
    match membership.propose(&by, Command::Member(command)).await {
        Ok(_) | Err(ClusterError::Rejected(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// What the node is about, for people; empty where all is well.
fn words(action: &Action, now_ms: u64) -> String {
    match action {
        Action::Wait(waiting) => waiting_words(waiting, now_ms),
        Action::Join { cluster, .. } => format!("asking cluster {cluster} to admit this node"),
        Action::Found { .. } | Action::Open => String::new(),
        Action::Dissolve { into } => format!("giving this forming cluster up for {into}"),
        Action::Release { into } => format!("this cluster is dissolved; joining {into}"),
        Action::Conflict { with } => format!(
            "CONFLICT: another open cluster of this name is reachable: {with}; they never merge, \
             decide which one to keep"
        ),
    }
}

fn waiting_words(waiting: &Waiting, now_ms: u64) -> String {
    match waiting {
        Waiting::Member | Waiting::Holding { .. } | Waiting::Founder(_) => String::new(),
        Waiting::Forming { bound, of, voters, voters_of } => format!(
            "forming: {bound} of {of} members are bound, {voters} of {voters_of} voters are there"
        ),
        Waiting::JoinOnly if now_ms < ALONE_MS => String::new(),
        Waiting::JoinOnly => "no contact point leads to a cluster; this node waits. To form a new \
                              cluster, start its first nodes with --expect N"
            .to_owned(),
        Waiting::Nodes { seen, expected } => {
            format!("waiting for nodes: {seen} of {expected} see each other")
        }
        Waiting::Detached(cluster) => format!("removed from cluster {cluster}, which is away"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_to_join_come_ever_more_slowly() {
        let (mut pause, mut now) = (Pause::default(), 0);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(pause.is_over(now));
            pause.failed(now, &mut rand::rng());
            assert!(!pause.is_over(now));
            pauses.push(pause.next_ms - now);
            now = pause.next_ms;
        }
        for (pause, full) in pauses.iter().zip([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000])
        {
            assert!((full / 2..=full).contains(pause), "{pauses:?}");
        }
    }

    #[test]
    fn a_few_are_asked_and_each_of_them_some_time() {
        let peers: Vec<PeerName> = (0..50).map(|n| format!("p{n}").as_str().into()).collect();
        let mut asked = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let some = some_of(peers.clone());
            assert_eq!(some.len(), ASKED_MAX);
            asked.extend(some);
        }
        assert!(asked.len() > 40, "{} of 50", asked.len());
    }
}

//! Before a node that has a log takes part again, it asks the other voters what they remember of it
//! ([`super::witness`]). Until a majority has answered it neither votes nor acknowledges, as if it
//! were not there: nothing could have been elected or committed without that majority either.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::wire::{Frame, Request, Response};
use super::witness::{self, Seen, Standing, Testimony, Verdict};
use super::{Consensus, Lane, RaftRpc, lock};
use crate::log::LogStore;
use crate::records::{LogIdRec, TypeConfig, VoteRec};
use crate::types::RaftId;

type RaftState = openraft::RaftState<TypeConfig>;

/// Why a node must not take part any more; in the raft folder, so that it holds after a restart.
const MARK: &str = "went-back";
/// One question; whoever is reached answers without waiting for anything.
const ASK_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Between two rounds of questions.
const ASK_PAUSE: Duration = Duration::from_millis(50);
/// Those who did not answer in time are asked again, each until it has answered once.
const LATE_PAUSE: Duration = Duration::from_secs(1);
/// Election time-outs that those voters are waited for that a majority does not need.
const GRACE_TIMEOUTS: u32 = 2;

/// What this node has seen of the others, and whether it may take part itself.
pub(super) struct Gate {
    log: LogStore,
    dir: PathBuf,
    admitted: AtomicBool,
    seen: Mutex<BTreeMap<RaftId, Known>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    seen: Seen,
    /// Its log went back: nothing that it says is believed until it has shown that it has all.
    went_back: bool,
}

impl Gate {
    pub(super) fn new(log: LogStore, dir: PathBuf) -> Arc<Self> {
        let (admitted, seen) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Self { log, dir, admitted, seen })
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Acquire)
    }

    /// `membership`: log index of the one in force.
    fn standing(&self, membership: u64) -> Standing {
        let (vote, last) = (self.log.vote(), self.log.last());
        Standing { vote, last, committed: self.log.committed(), membership }
    }

    /// A vote that binds `node` was seen.
    pub(super) fn bound_by(&self, node: RaftId, vote: VoteRec) {
        lock(&self.seen).entry(node).or_default().seen.bound_by(vote);
    }

    /// `node` acknowledged all up to `last` to this leader.
    pub(super) fn acknowledged(
        &self,
        node: RaftId,
        vote: VoteRec,
        last: LogIdRec,
        commit: Option<LogIdRec>,
    ) {
        lock(&self.seen).entry(node).or_default().seen.acknowledge(vote, last, commit);
    }

    /// `node` does not have the entry at `index`. Gives what to tell it where it once had: then it is
    /// not believed any more.
    pub(super) fn conflicts(&self, node: RaftId, vote: VoteRec, index: u64) -> Option<Testimony> {
        let mut all = lock(&self.seen);
        let known = all.entry(node).or_default();
        if !known.seen.had(vote, index) {
            return None;
        }
        if !known.went_back {
            tracing::error!(
                node,
                index,
                "its log went back: it acknowledged this entry and does not have it. An older copy \
                 of its data directory? Nothing that it says is counted any more"
            );
        }
        known.went_back = true;
        Some(Testimony { of_you: known.seen, mine: self.standing(0) })
    }

    pub(super) fn is_believed(&self, node: RaftId) -> bool {
        !lock(&self.seen).get(&node).is_some_and(|known| known.went_back)
    }

    /// What this node knows of `from`, which starts with `standing`.
    pub(super) fn testify(&self, from: RaftId, standing: &Standing, membership: u64) -> Testimony {
        let mut all = lock(&self.seen);
        let known = all.entry(from).or_default();
        if known.went_back && known.seen.lost_by(standing).is_none() {
            tracing::info!(node = from, "it has all of its log again");
            known.went_back = false;
        }
        Testimony { of_you: known.seen, mine: self.standing(membership) }
    }

    /// Another node says what this one had.
    pub(super) fn told(&self, from: RaftId, testimony: &Testimony) {
        if let Some(lost) = testimony.of_you.lost_by(&self.standing(0)) {
            self.leave(&format!("node {from} knows that {lost}"));
        }
    }

    /// For good: the reason stays in the folder.
    fn leave(&self, why: &str) {
        let why = format!(
            "this node's log went back: {why}. Its data directory is an older copy, or the disk lost \
             writes; it must not vote again"
        );
        if let Err(error) = std::fs::write(self.dir.join(MARK), &why) {
            tracing::error!(%error, dir = %self.dir.display(), "the reason cannot be kept");
        }
        self.log.poison(why);
    }
}

/// Why the node whose raft folder this is must not take part any more, if so.
pub(super) fn marked(dir: &Path) -> Option<String> {
    std::fs::read_to_string(dir.join(MARK)).ok()
}

/// Asks until a majority of the voters has answered, then lets this node take part.
pub(super) async fn pass(consensus: Consensus) {
    let gate = Arc::clone(&consensus.inner.gate);
    let me = consensus.inner.config.id;
    // From Raft's own task: the metrics know of no membership until it has run for a moment.
    let effective = |state: &RaftState| state.membership_state.effective().clone();
    let Ok(membership) = consensus.inner.raft.with_raft_state(effective).await else { return };
    let voter_sets = membership.get_joint_config().clone();
    let own = gate.standing(membership.log_id().map_or(0, |id| id.index));
    let grace = Duration::from_millis(consensus.inner.config.timing.election_max_ms);
    let began = Instant::now();
    let others: BTreeSet<RaftId> =
        voter_sets.iter().flatten().copied().filter(|id| *id != me).collect();
    let others: Vec<RaftId> = others.into_iter().collect();
    let mut floor = None;
    let mut asked_before = false;
    let late = loop {
        let answers = ask(&consensus, &others, own).await;
        let all = others.iter().all(|id| answers.contains_key(id));
        match witness::judge(me, &own, &voter_sets, floor, &answers) {
            Verdict::WentBack(why) => return gate.leave(&why),
            Verdict::Fine if asked_before && (all || began.elapsed() > grace * GRACE_TIMEOUTS) => {
                break others.into_iter().filter(|id| !answers.contains_key(id)).collect();
            }
            // What is committed now must be with a majority by the next answers.
            Verdict::Fine => asked_before = true,
            Verdict::Wait => asked_before = false,
        }
        floor = witness::floor(&own, &answers);
        if !(all && asked_before) {
            tokio::time::sleep(ASK_PAUSE).await;
        }
    };
    gate.admitted.store(true, Ordering::Release);
    consensus.inner.raft.runtime_config().elect(true);
    hear_the_late(&consensus, late, own).await;
}

/// Those who were away when this node started: what they remember counts as much.
async fn hear_the_late(consensus: &Consensus, mut late: Vec<RaftId>, own: Standing) {
    while !late.is_empty() {
        tokio::time::sleep(LATE_PAUSE).await;
        let answers = ask(consensus, &late, own).await;
        for (id, answer) in &answers {
            consensus.inner.gate.told(*id, answer);
        }
        late.retain(|id| !answers.contains_key(id));
    }
}

async fn ask(
    consensus: &Consensus,
    others: &[RaftId],
    own: Standing,
) -> BTreeMap<RaftId, Testimony> {
    let asked = others.iter().map(|&to| async move {
        let request = Request::Witness(own);
        let body = Frame { to, request }.encode().ok()?;
        let rpc = &consensus.inner.rpc;
        let answer = rpc.call(to, Lane::Heartbeat, body, ASK_TIMEOUT).await.ok()?;
        match Response::decode(&answer).ok()? {
            Response::Testimony(testimony) => Some((to, testimony)),
            _ => None,
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Tells `to` that its log went back. It may be gone already; it hears of it when it starts.
pub(super) async fn tell(rpc: &Arc<dyn RaftRpc>, to: RaftId, testimony: Testimony) {
    let request = Request::WentBack(testimony);
    if let Ok(body) = (Frame { to, request }).encode() {
        let _ = rpc.call(to, Lane::Heartbeat, body, ASK_TIMEOUT).await;
    }
}

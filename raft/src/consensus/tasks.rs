//! What runs beside openraft: who leads, when a snapshot is due, whether the disk still answers.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;

use super::view::{self, Metrics};
use super::{Consensus, Leadership, Raft, gate, lock};
use crate::log::LogStore;
use crate::types::RaftId;

/// A snapshot is due after as many entries, bytes of entries, or as much time.
const SNAPSHOT_ENTRIES: u64 = 5_000;
const SNAPSHOT_BYTES: u64 = 64 * 1_024 * 1_024;
const SNAPSHOT_AGE: Duration = Duration::from_secs(600);
const SNAPSHOT_CHECK: Duration = Duration::from_secs(1);
const RESERVE_CHECK: Duration = Duration::from_secs(1);
/// A leader that has been silent for as many election timeouts is no longer shown as one: openraft
/// itself remembers the last one it followed until it follows another.
const SILENT_TIMEOUTS: u32 = 3;
/// A disk that takes longer for one batch hangs: heartbeats would go on and nobody take over.
const DISK_HANGS_MS: u64 = 10_000;

pub(super) fn start(consensus: &Consensus, snapshot_index: Option<u64>) {
    let (inner, timing) = (&consensus.inner, consensus.inner.config.timing);
    let leadership = tokio::spawn(follow_leadership(
        inner.raft.clone(),
        inner.log.clone(),
        Arc::downgrade(inner),
        Duration::from_millis(timing.heartbeat_ms),
    ));
    let snapshots =
        tokio::spawn(trigger_snapshots(inner.raft.clone(), inner.log.clone(), snapshot_index));
    let admission = tokio::spawn(gate::pass(consensus.clone()));
    let reserve = tokio::spawn(keep_reserve(inner.log.clone()));
    lock(&inner.tasks).extend([leadership, snapshots, admission, reserve]);
}

/// Makes the log's reserve whole again once there is room.
async fn keep_reserve(log: LogStore) {
    loop {
        tokio::time::sleep(RESERVE_CHECK).await;
        let log = log.clone();
        // It ends by an error only where the runtime ends.
        if tokio::task::spawn_blocking(move || log.keep_reserve()).await.is_err() {
            return;
        }
    }
}

/// Publishes who leads on every change of the metrics, and where this node leads every heartbeat, as
/// a lease runs out without any event; else when the silence of the leader might have become too long.
async fn follow_leadership(raft: Raft, log: LogStore, inner: Weak<super::Inner>, period: Duration) {
    let mut watched = raft.metrics();
    let mut gone = false;
    let mut ticks = true;
    loop {
        let metrics = watched.borrow_watched().clone();
        let Some(inner) = inner.upgrade() else { return };
        let lease = Duration::from_millis(inner.config.timing.election_max_ms);
        let silence = inner.inbound.leader_silence();
        let end = end(&metrics, gone);
        let now = match end {
            Some(_) => Leadership { term: metrics.current_term, ..Leadership::default() },
            None => judge(&metrics, lease, silence),
        };
        note_leader(&inner, now.leader.is_some());
        let voters: BTreeSet<RaftId> = metrics.membership_config.voter_ids().collect();
        if **inner.voters.load() != voters {
            inner.voters.store(Arc::new(voters));
        }
        inner.leadership.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
        let closing = inner.proposals.is_closed();
        drop(inner);
        if let Some(why) = end {
            if !closing {
                log.poison(why);
            }
            return;
        }
        if log.busy_ms() > DISK_HANGS_MS {
            log.poison(format!("the disk did not finish a write within {DISK_HANGS_MS} ms"));
        }
        // Elections and heartbeats are for those who vote; five times in each heartbeat nothing else
        // comes of a tick.
        let votes = votes(&metrics);
        if std::mem::replace(&mut ticks, votes) != votes {
            raft.runtime_config().tick(votes);
        }
        let leads = metrics.state == ServerState::Leader;
        let pause = if leads || now.leader.is_none() { period } else { look_again(lease, silence) };
        // Nobody is left who could say how Raft is: its task is gone.
        gone = matches!(tokio::time::timeout(pause, watched.changed()).await, Ok(Err(_)));
    }
}

/// Whether this node is a voter, or is about to be none any more.
fn votes(metrics: &Metrics) -> bool {
    let memberships = [&metrics.membership_config, &metrics.committed_membership_config];
    memberships.iter().any(|membership| membership.voter_ids().any(|id| id == metrics.id))
}

/// How long a leader that was silent for so long is still one, if it stays silent.
fn look_again(lease: Duration, silence: Option<Duration>) -> Duration {
    let left = (lease * SILENT_TIMEOUTS).saturating_sub(silence.unwrap_or_default());
    left + Duration::from_millis(1)
}

/// Why Raft has ended, if it has: by its own last word, or without one.
fn end(metrics: &Metrics, gone: bool) -> Option<String> {
    match &metrics.running_state {
        Err(Fatal::Stopped) => Some("consensus has stopped".to_owned()),
        Err(error) => Some(format!("consensus has ended: {error}")),
        Ok(()) if gone => Some("consensus has ended: its task panicked".to_owned()),
        Ok(()) => None,
    }
}

/// The pure part: leader only once its own blank entry is applied, and while its lease lives; known
/// to lead only while it is heard (another) or hears a quorum (this node).
fn judge(metrics: &Metrics, lease: Duration, silence: Option<Duration>) -> Leadership {
    let me = metrics.id;
    let own_entry_applied = metrics.last_applied.is_some_and(|applied| {
        applied.leader_id.node_id == me && applied.leader_id.term == metrics.current_term
    });
    let leads = metrics.state == ServerState::Leader && metrics.running_state.is_ok();
    let acked = view::quorum_ack_age(metrics);
    let lease_lives = acked.is_some_and(|age| age < lease);
    let recent = |age: Option<Duration>| age.is_some_and(|age| age < lease * SILENT_TIMEOUTS);
    let leader = metrics
        .current_leader
        .filter(|id| if *id == me { leads && recent(acked) } else { recent(silence) });
    Leadership {
        term: metrics.current_term,
        leader,
        is_me: leads && own_entry_applied && lease_lives,
    }
}

fn note_leader(inner: &super::Inner, known: bool) {
    let mut since = lock(&inner.leaderless_since);
    if known {
        *since = None;
    } else if since.is_none() {
        *since = Some(Instant::now());
    }
}

async fn trigger_snapshots(raft: Raft, log: LogStore, snapshot_index: Option<u64>) {
    let (mut last_index, mut last_bytes, mut last_at) =
        (snapshot_index.unwrap_or(0), log.appended_bytes(), Instant::now());
    loop {
        tokio::time::sleep(SNAPSHOT_CHECK).await;
        let (applied, snapshot) = {
            let watched = raft.metrics();
            let metrics = watched.borrow_watched();
            (metrics.last_applied.map_or(0, |id| id.index), metrics.snapshot.map(|id| id.index))
        };
        if snapshot.is_some_and(|index| index > last_index) {
            last_index = snapshot.unwrap_or(last_index);
            (last_bytes, last_at) = (log.appended_bytes(), Instant::now());
        }
        let entries = applied.saturating_sub(last_index);
        let bytes = log.appended_bytes().saturating_sub(last_bytes);
        let old = entries > 0 && last_at.elapsed() >= SNAPSHOT_AGE;
        if entries >= SNAPSHOT_ENTRIES || bytes >= SNAPSHOT_BYTES || old {
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
            // Not asked for again before this one has had its time.
            (last_index, last_bytes, last_at) = (applied, log.appended_bytes(), Instant::now());
        }
    }
}

//! Carries out the autopilot's decisions while this node leads: looks at the metrics each second
//! (four times as often while the cluster forms) and makes at most one change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use onrush_raft::autopilot::{Autopilot, Change, Input, NodeView, Settings};
use onrush_raft::consensus::{AdminError, NodeInfo, Timing};
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Command, Proposal};
use onrush_raft::ledger::member::{Member, MemberCommand};
use onrush_raft::status::{RaftPeer, RaftStatus};
use onrush_raft::types::{ClusterId, PeerName, RaftId};

use super::handle::Cluster as _;
use super::member::{Bound, Membership};
use crate::master::place::ZONE;
use crate::net::{NodeRecord, PeerView};

const ROUND: Duration = Duration::from_secs(1);
const ROUND_FORMING: Duration = Duration::from_millis(250);
/// After the leadership was lost.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two tries of a master with a full disk to be rid of its office.
const HAND_OVER_PAUSE: Duration = Duration::from_secs(10);

/// Runs until the membership stops. A new leader begins with an empty memory (A6).
pub(super) async fn run(membership: Arc<Membership>) {
    let mut pilot: Option<Autopilot> = None;
    let mut pause = ROUND_FORMING;
    let mut handed_over: Option<Instant> = None;
    let mut leadership = membership.leadership();
    loop {
        tokio::select! {
            () = membership.stop.cancelled() => return,
            () = tokio::time::sleep(pause), if pilot.is_some() => {}
            // The sender lives as long as the membership.
            Ok(_) = leadership.wait_for(|now| now.local), if pilot.is_none() => {
                pilot = Some(Autopilot::default());
            }
        }
        let bound = membership.bound.load_full();
        let leads = bound.filter(|bound| bound.consensus.leadership().borrow().is_me);
        let Some(bound) = leads else {
            pilot = None;
            pause = ROUND_FORMING;
            // Until those who are told of it know as well.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if bound.consensus.is_log_full()
            && handed_over.is_none_or(|at| at.elapsed() >= HAND_OVER_PAUSE)
        {
            handed_over = Some(Instant::now());
            tokio::select! {
                () = membership.stop.cancelled() => return,
                () = hand_over(&membership, &bound) => {}
            }
        }
        tokio::select! {
            () = membership.stop.cancelled() => return,
            () = record_bound(&membership, &bound) => {}
        }
        let input = input(&membership, &bound);
        pause = if input.forming { ROUND_FORMING } else { ROUND };
        if let Some(change) = pilot.get_or_insert_default().decide(&input) {
            tokio::select! {
                () = membership.stop.cancelled() => return,
                () = carry_out(&membership, &bound, &input, change) => {}
            }
        }
    }
}

/// Members that announce that they keep `cluster.json` durably are recorded as bound, all in one
/// entry.
async fn record_bound(membership: &Membership, bound: &Bound) {
    let raft_ids = newly_bound(&bound.consensus.ledger(), &bound.cluster, &membership.views());
    if !raft_ids.is_empty() {
        propose(membership, bound, MemberCommand::Bound { raft_ids }).await;
    }
}

/// By the signed record of the node itself: nobody speaks for another. Pure.
fn newly_bound(ledger: &Ledger, cluster: &ClusterId, views: &[PeerView]) -> BTreeSet<RaftId> {
    let records: BTreeMap<&PeerName, &NodeRecord> =
        views.iter().filter_map(|view| Some((&view.peer, view.record.as_ref()?))).collect();
    let said = |member: &Member| {
        let record = records.get(&member.peer);
        record.is_some_and(|record| {
            record.cluster.as_ref() == Some(cluster) && record.raft_id == Some(member.raft_id)
        })
    };
    let unbound = ledger.members().filter(|member| !member.bound && !member.removed);
    unbound.filter(|member| said(member)).map(|member| member.raft_id).collect()
}

/// As the leader of the present term only; what fails is decided anew in the next round.
async fn propose(membership: &Membership, bound: &Bound, command: MemberCommand) {
    let term = bound.consensus.leadership().borrow().term;
    let by = format!("master@{}", membership.config.name).as_str().into();
    let at = membership.config.clock.unix_ms();
    let proposal = Proposal { at, by, command: Command::Member(command.clone()) };
    match bound.consensus.propose_as_leader(term, proposal).await {
        Ok((_, Ok(_))) => {}
        Ok((_, Err(error))) => tracing::warn!(%error, ?command, "not recorded"),
        Err(error) => tracing::debug!(%error, ?command, "not recorded yet"),
    }
}

/// A master whose disk is full makes room for one that can write.
async fn hand_over(membership: &Membership, bound: &Bound) {
    let views = membership.views();
    let has_room = |id: RaftId| {
        let view = views
            .iter()
            .find(|view| view.record.as_ref().is_some_and(|record| record.raft_id == Some(id)));
        view.and_then(|view| view.record.as_ref()).is_some_and(|record| !record.log_full)
    };
    let timing = membership.config.timing;
    let Some(to) = heir(&bound.consensus.status(), bound.raft_id, timing, has_room) else { return };
    tracing::warn!(to, "the disk of this master is full: another one takes over");
    if let Err(error) = bound.consensus.transfer_leader(to).await {
        tracing::warn!(to, %error, "the leadership was not handed over");
    }
}

/// Who should lead instead of this node: the voter that has most of the log, of those heard from
/// lately that are `able`. Pure.
pub(super) fn heir(
    status: &RaftStatus,
    me: RaftId,
    timing: Timing,
    able: impl Fn(RaftId) -> bool,
) -> Option<RaftId> {
    if status.leader != Some(me) {
        return None;
    }
    let heard = |peer: &&RaftPeer| {
        let other = peer.voter && peer.id != me && able(peer.id);
        other && peer.last_contact_ms.is_some_and(|ms| ms < timing.election_min_ms)
    };
    let heirs = status.peers.iter().filter(heard);
    heirs.max_by_key(|peer| peer.match_index).map(|peer| peer.id)
}

fn input(membership: &Membership, bound: &Bound) -> Input {
    let ledger = bound.consensus.ledger();
    let status = bound.consensus.status();
    Input {
        now_ms: membership.config.clock.now_ms(),
        me: bound.raft_id,
        forming: !ledger.is_open(),
        membership: bound.consensus.membership(),
        quorum_ack_ms: status.quorum_ack_ms,
        nodes: nodes(&ledger, &status, &membership.views(), bound.raft_id),
        settings: Settings {
            ack_age_ms_max: 2 * membership.config.timing.election_max_ms,
            ..Settings::default()
        },
    }
}

fn nodes(
    ledger: &Ledger,
    status: &RaftStatus,
    views: &[PeerView],
    me: RaftId,
) -> BTreeMap<RaftId, NodeView> {
    let bound = ledger.members().filter(|member| member.bound && !member.removed);
    let peers: BTreeMap<RaftId, &RaftPeer> = status.peers.iter().map(|it| (it.id, it)).collect();
    let views: BTreeMap<&PeerName, &PeerView> = views.iter().map(|it| (&it.peer, it)).collect();
    bound
        .map(|member| {
            let raft = peers.get(&member.raft_id);
            let view = views.get(&member.peer);
            let record = view.and_then(|view| view.record.as_ref());
            let zone = record.and_then(|record| record.labels.get(ZONE)).cloned();
            let mine = member.raft_id == me;
            let node = NodeView {
                connected: mine || view.is_some_and(|view| view.connected),
                ack_age_ms: if mine { Some(0) } else { raft.and_then(|r| r.last_contact_ms) },
                lag: if mine { Some(0) } else { raft.and_then(|r| r.lag) },
                // While the cluster forms there is no file that could be missing.
                blob_synced: mine
                    || !ledger.is_open()
                    || record.is_some_and(|record| record.blobs_complete),
                // What it speaks was found out when it said hello; one that is away is not judged.
                compatible: view.is_none_or(|view| view.refused.is_none()),
                standby: member.standby,
                zone: zone.unwrap_or_default(),
            };
            (member.raft_id, node)
        })
        .collect()
}

async fn carry_out(membership: &Membership, bound: &Bound, input: &Input, change: Change) {
    let consensus = &bound.consensus;
    let result: Result<(), AdminError> = match &change {
        Change::Voters { voters, why } => {
            tracing::info!(?voters, why, "changing the voters");
            consensus.change_voters(voters.clone(), input.membership.index).await.map(drop)
        }
        Change::AddLearners { ids } => {
            let ledger = consensus.ledger();
            let members = ids.iter().filter_map(|id| ledger.member(*id));
            let info =
                |member: &Member| NodeInfo { peer: member.peer.clone(), name: member.name.clone() };
            let nodes: BTreeMap<RaftId, NodeInfo> =
                members.map(|member| (member.raft_id, info(member))).collect();
            let names: Vec<&String> = nodes.values().map(|node| &node.name).collect();
            tracing::info!(?names, "adding learners");
            consensus.add_learners(nodes).await.map(drop)
        }
        Change::Standbys { ids } => {
            tracing::info!(?ids, "the standbys");
            propose(membership, bound, MemberCommand::Standbys { raft_ids: ids.clone() }).await;
            Ok(())
        }
        Change::RemoveNode { id, why } => {
            tracing::info!(id, why, "removing a node");
            consensus.remove_node(*id).await.map(drop)
        }
    };
    if let Err(error) = result {
        tracing::warn!(%error, ?change, "a membership change was not carried out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heir_has_most_of_the_log_is_heard_and_has_room() {
        let peer = |id, voter, match_index, heard| RaftPeer {
            id,
            voter,
            match_index: Some(match_index),
            last_contact_ms: heard,
            ..RaftPeer::default()
        };
        let peers = vec![
            peer(1, true, 9, Some(0)),
            peer(2, true, 8, Some(10)),
            peer(3, true, 7, Some(10)),
            peer(4, true, 9, Some(60_000)),
            peer(5, false, 9, Some(10)),
        ];
        let status = RaftStatus { leader: Some(1), peers, ..RaftStatus::default() };
        let heir_of =
            |me, full: &[RaftId]| heir(&status, me, Timing::DEFAULT, |id| !full.contains(&id));
        assert_eq!(heir_of(1, &[]), Some(2));
        assert_eq!(heir_of(1, &[2]), Some(3));
        assert_eq!(heir_of(1, &[2, 3]), None);
        assert_eq!(heir_of(2, &[]), None);
    }
}

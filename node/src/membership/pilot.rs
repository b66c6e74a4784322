//! Carries out the autopilot's decisions while this node leads: looks at the metrics each second
//! (four times as often while the cluster forms) and makes at most one change.

use std::sync::Arc;
use std::time::Duration;

use onrush_raft::autopilot::{Autopilot, Change, Input, NodeView, Settings};
use onrush_raft::consensus::{AdminError, NodeInfo};
use onrush_raft::ledger::Ledger;
use onrush_raft::status::RaftStatus;
use onrush_raft::types::RaftId;

use super::member::{Bound, Membership};
use crate::net::PeerView;

const ROUND: Duration = Duration::from_secs(1);
const ROUND_FORMING: Duration = Duration::from_millis(250);
/// The label that spreads voters.
const ZONE: &str = "zone";

/// Runs until the membership stops. A new leader begins with an empty memory (A6).
pub(super) async fn run(membership: Arc<Membership>) {
    let mut pilot: Option<Autopilot> = None;
    let mut pause = ROUND_FORMING;
    loop {
        tokio::select! {
            () = membership.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let bound = membership.bound.load_full();
        let leads = bound.filter(|bound| bound.consensus.leadership().borrow().is_me);
        let Some(bound) = leads else {
            pilot = None;
            pause = ROUND_FORMING;
            continue;
        };
        let input = input(&membership, &bound);
        pause = if input.forming { ROUND_FORMING } else { ROUND };
        if let Some(change) = pilot.get_or_insert_default().decide(&input) {
            tokio::select! {
                () = membership.stop.cancelled() => return,
                () = carry_out(&bound, &input, change) => {}
            }
        }
    }
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
) -> std::collections::BTreeMap<RaftId, NodeView> {
    let bound = ledger.members().filter(|member| member.bound && !member.removed);
    bound
        .map(|member| {
            let raft = status.peers.iter().find(|peer| peer.id == member.raft_id);
            let view = views.iter().find(|view| view.peer == member.peer);
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
                zone: zone.unwrap_or_default(),
            };
            (member.raft_id, node)
        })
        .collect()
}

async fn carry_out(bound: &Bound, input: &Input, change: Change) {
    let consensus = &bound.consensus;
    let result: Result<(), AdminError> = match &change {
        Change::Voters { voters, why } => {
            tracing::info!(?voters, why, "changing the voters");
            consensus.change_voters(voters.clone(), input.membership.index).await.map(drop)
        }
        Change::AddLearner { id } => {
            let Some(member) = consensus.ledger().member(*id).cloned() else { return };
            tracing::info!(id, name = member.name, "adding a learner");
            let info = NodeInfo { peer: member.peer.clone(), name: member.name.clone() };
            consensus.add_learner(*id, info).await.map(drop)
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

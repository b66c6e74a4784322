//! `GET /api/v1/raft/status`: term, leader, log and peers. By default the leader's view, which knows
//! each follower's progress; when it cannot be had, this node's own, and the answer says so.

use axum::Json;
use axum::extract::State;
use onrush_raft::status::{RaftPeer, RaftStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::backend::MemberView;
use crate::error::{Problem, ProblemBody, internal};
use crate::extract::Query;
use crate::state::{ApiState, WRITE_TIMEOUT};

/// A leader that has not heard a quorum for so long leads nobody.
const QUORUM_SILENCE_MS: u64 = 5_000;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(digest))
}

/// The Raft group, by one node's view.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Name of the node whose view this is.
    pub view_of: String,
    /// True when the leader's view was asked for and this is only the answering node's own.
    pub stale: bool,
    /// Why the leader's view could not be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// `healthy`, `degraded`, `electing`, `no-quorum`, `forming`.
    pub health: String,
    pub health_detail: String,
    pub cluster: String,
    pub cluster_name: String,
    /// `forming`, `open`, …
    pub cluster_state: String,
    /// Raft id of the node whose view this is.
    pub node: u64,
    /// `leader`, `follower`, `candidate`, `learner`, `shutdown`.
    pub state: String,
    /// `voter`, `standby` (keeps all files, to take a seat at once), `worker`.
    pub role: String,
    pub term: u64,
    /// Raft id of the leader.
    pub leader: Option<u64>,
    pub leader_name: Option<String>,
    /// Since when the node knows of no leader.
    pub leaderless_ms: Option<u64>,
    pub last_log_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub snapshot_index: Option<u64>,
    pub purged_index: Option<u64>,
    /// Leader only: age of the last acknowledgement by a quorum.
    pub quorum_ack_ms: Option<u64>,
    pub membership_changing: bool,
    pub peers: Vec<Peer>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Raft id.
    pub id: u64,
    pub peer: String,
    pub name: String,
    pub addresses: Vec<String>,
    /// `leader`, `follower`, `learner`.
    pub state: String,
    pub voter: bool,
    /// `voter`, `standby` (keeps all files, to take a seat at once), `worker`.
    pub role: String,
    /// Leader only.
    pub match_index: Option<u64>,
    /// Leader only: entries behind the leader's last.
    pub lag: Option<u64>,
    /// Leader only: age of its last acknowledgement.
    pub last_contact_ms: Option<u64>,
    /// `alive`, `suspect`, `dead` by the answering node's failure detector, or `unknown`.
    pub health: String,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatusQuery {
    /// This node's own view, leader or not.
    #[serde(default)]
    stale: bool,
}

/// The Raft group
#[utoipa::path(
    get, path = "/api/v1/raft/status", tag = "cluster", params(StatusQuery),
    responses((status = 200, body = Status), (status = "default", body = ProblemBody))
)]
async fn status(
    State(state): State<ApiState>,
    Query(query): Query<StatusQuery>,
) -> Result<Json<Status>, Problem> {
    let own = state.backend.raft_status();
    let members = state.backend.members();
    if query.stale || own.state == "leader" {
        return Ok(Json(view(&own, &members)));
    }
    let asked = tokio::time::timeout(WRITE_TIMEOUT, state.backend.leader_raft_status()).await;
    let warning = match asked {
        Ok(Ok(status)) => return Ok(Json(view(&status, &members))),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the leader did not answer within {WRITE_TIMEOUT:?}"),
    };
    Ok(Json(Status { stale: true, warning: Some(warning), ..view(&own, &members) }))
}

/// One node's state of the cluster, at one log index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateDigest {
    /// Name of the node whose state this is.
    pub node: String,
    pub applied_index: u64,
    /// BLAKE3 of the state: nodes that applied the same index have the same one.
    pub digest: String,
}

/// The digest of this node's state
#[utoipa::path(
    get, path = "/api/v1/raft/digest", tag = "cluster",
    responses((status = 200, body = StateDigest), (status = "default", body = ProblemBody))
)]
async fn digest(State(state): State<ApiState>) -> Result<Json<StateDigest>, Problem> {
    let ledger = state.ledger();
    let applied_index = ledger.applied();
    // A large state takes a while to hash.
    let hashed = tokio::task::spawn_blocking(move || ledger.digest().map(|hash| hash.to_string()));
    let digest = match hashed.await {
        Ok(Ok(digest)) => digest,
        Ok(Err(error)) => return Err(internal(&error.to_string())),
        Err(error) => return Err(internal(&error.to_string())),
    };
    Ok(Json(StateDigest { node: state.backend.identity().name, applied_index, digest }))
}

fn view(status: &RaftStatus, members: &[MemberView]) -> Status {
    let (health, health_detail) = health_of(status, members);
    Status {
        view_of: name_of(status, status.node),
        stale: false,
        warning: None,
        health: health.to_owned(),
        health_detail,
        cluster: status.cluster.to_string(),
        cluster_name: status.cluster_name.clone(),
        cluster_state: status.cluster_state.clone(),
        node: status.node,
        state: status.state.clone(),
        role: status.role.word().to_owned(),
        term: status.term,
        leader: status.leader,
        leader_name: status.leader.map(|id| name_of(status, id)),
        leaderless_ms: status.leaderless_ms,
        last_log_index: status.last_log_index,
        committed_index: status.committed_index,
        applied_index: status.applied_index,
        snapshot_index: status.snapshot_index,
        purged_index: status.purged_index,
        quorum_ack_ms: status.quorum_ack_ms,
        membership_changing: status.membership_changing,
        peers: status.peers.iter().map(|peer| peer_view(status, peer, members)).collect(),
    }
}

fn peer_view(status: &RaftStatus, peer: &RaftPeer, members: &[MemberView]) -> Peer {
    let member = members.iter().find(|member| member.peer == peer.peer);
    let state = match peer.voter {
        _ if status.leader == Some(peer.id) => "leader",
        true => "follower",
        false => "learner",
    };
    Peer {
        id: peer.id,
        peer: peer.peer.clone(),
        name: peer.name.clone(),
        addresses: member.map(|m| m.addresses.clone()).unwrap_or_default(),
        state: state.to_owned(),
        voter: peer.voter,
        role: peer.role.word().to_owned(),
        match_index: peer.match_index,
        lag: peer.lag,
        last_contact_ms: peer.last_contact_ms,
        health: member.map_or_else(|| "unknown".to_owned(), |m| m.health.clone()),
    }
}

/// The name of a Raft id, or the id where no name is known.
pub(super) fn name_of(status: &RaftStatus, id: u64) -> String {
    let named = status.peers.iter().find(|peer| peer.id == id && !peer.name.is_empty());
    named.map_or_else(|| format!("#{id}"), |peer| peer.name.clone())
}

/// One word and one sentence on how the group is, from what this node knows.
pub(super) fn health_of(status: &RaftStatus, members: &[MemberView]) -> (&'static str, String) {
    if status.cluster_state != "open" {
        let state = if status.cluster_state.is_empty() { "blank" } else { &status.cluster_state };
        return ("forming", format!("the cluster is {state}; it takes no writes yet"));
    }
    let voters = status.peers.iter().filter(|peer| peer.voter).count();
    let gone = |peer: &&RaftPeer| {
        members.iter().any(|member| member.peer == peer.peer && member.health != "alive")
    };
    let lost = status.peers.iter().filter(|peer| peer.voter).filter(gone).count();
    let reached = voters - lost;
    let quorum = voters / 2 + 1;
    if status.leader.is_none() {
        let since = seconds(status.leaderless_ms.unwrap_or(0));
        let detail = format!("no leader known for {since}; {reached} of {voters} voters reachable");
        if reached >= quorum {
            return ("electing", format!("{detail}; an election is due"));
        }
        return ("no-quorum", format!("{detail}, {quorum} are needed; nothing can be written"));
    }
    // A leader that is cut off believes in itself until it is told otherwise.
    let silent = status.quorum_ack_ms.filter(|ms| voters > 1 && *ms > QUORUM_SILENCE_MS);
    if reached < quorum || silent.is_some() {
        let since = status.quorum_ack_ms.map_or_else(String::new, |ms| {
            format!("; the last word of a quorum is {} old", seconds(ms))
        });
        let detail = format!(
            "{reached} of {voters} voters reachable from here, {quorum} are needed; nothing can \
             be written{since}"
        );
        return ("no-quorum", detail);
    }
    if lost == 0 {
        return ("healthy", format!("{voters} of {voters} voters reachable"));
    }
    let spare = reached.saturating_sub(quorum);
    let rest = match spare {
        0 => "one more loss stops writes".to_owned(),
        1 => "one more loss is survived".to_owned(),
        n => format!("{n} more losses are survived"),
    };
    ("degraded", format!("{reached} of {voters} voters reachable; {rest}"))
}

/// `12.4 s`, `3 min`, `2 h 5 min`.
#[must_use]
pub fn seconds(ms: u64) -> String {
    match ms / 1_000 {
        0..60 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        s @ 60..3_600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(leader: Option<u64>, health: [&str; 3]) -> (RaftStatus, Vec<MemberView>) {
        let peer = |id: u64| format!("peer-{id}");
        let peers = (1..=3).map(|id| RaftPeer {
            id,
            peer: peer(id),
            name: format!("node-{id}"),
            voter: true,
            ..RaftPeer::default()
        });
        let status = RaftStatus {
            cluster_state: "open".to_owned(),
            leader,
            leaderless_ms: leader.is_none().then_some(12_400),
            peers: peers.collect(),
            ..RaftStatus::default()
        };
        let members = (1..).zip(health).map(|(id, health)| MemberView {
            peer: peer(id),
            health: health.to_owned(),
            ..MemberView::default()
        });
        (status, members.collect())
    }

    #[test]
    fn health_in_one_sentence() {
        let (status, members) = group(Some(1), ["alive"; 3]);
        assert_eq!(health_of(&status, &members).0, "healthy");
        let (status, members) = group(Some(1), ["alive", "alive", "dead"]);
        let (word, text) = health_of(&status, &members);
        assert_eq!(word, "degraded");
        assert_eq!(text, "2 of 3 voters reachable; one more loss stops writes");
        let (status, members) = group(None, ["alive", "dead", "dead"]);
        let (word, text) = health_of(&status, &members);
        assert_eq!(word, "no-quorum");
        assert!(text.starts_with("no leader known for 12.4 s; 1 of 3 voters"), "{text}");
        let (status, members) = group(None, ["alive", "alive", "dead"]);
        let (word, text) = health_of(&status, &members);
        assert_eq!(word, "electing");
        assert!(text.ends_with("2 of 3 voters reachable; an election is due"), "{text}");
        let (mut status, members) = group(Some(1), ["alive", "dead", "dead"]);
        assert_eq!(health_of(&status, &members).0, "no-quorum");
        status.quorum_ack_ms = Some(15_100);
        let (word, text) = health_of(&status, &members);
        assert_eq!(word, "no-quorum");
        assert!(text.ends_with("the last word of a quorum is 15.1 s old"), "{text}");
    }

    #[test]
    fn a_peer_is_named_where_a_name_is_known() {
        let (status, members) = group(Some(2), ["alive", "alive", "suspect"]);
        let view = view(&status, &members);
        assert_eq!(view.leader_name.as_deref(), Some("node-2"));
        assert_eq!(view.peers[1].state, "leader");
        assert_eq!(view.peers[2].health, "suspect");
        assert_eq!(name_of(&status, 9), "#9");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(0), "0.0 s");
        assert_eq!(seconds(12_480), "12.4 s");
        assert_eq!(seconds(185_000), "3 min 5 s");
        assert_eq!(seconds(7_500_000), "2 h 5 min");
    }
}

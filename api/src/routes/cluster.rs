//! The cluster as this node sees it: `/api/v1/cluster` and `/api/v1/cluster/members`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use onrush_raft::ledger::command::{Caller, Command};
use onrush_raft::ledger::member::MemberCommand;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::raft::health_of;
use crate::backend::MemberView;
use crate::error::{Kind, Problem, ProblemBody};
use crate::extract::{By, IdempotencyKey, Path};
use crate::routes::jobs::Items;
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(cluster))
        .routes(routes!(members))
        .routes(routes!(forget))
        .routes(routes!(drain, undrain))
}

/// Role of a node that is seen and belongs to another cluster.
const FOREIGN: &str = "foreign";

/// The cluster in a few figures, by this node's own view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    pub id: String,
    pub name: String,
    /// `forming`, `open`, …
    pub state: String,
    /// The node that answers.
    pub node: String,
    /// Name of the master, where this node knows one.
    pub leader: Option<String>,
    pub term: u64,
    /// `healthy`, `degraded`, `electing`, `no-quorum`, `forming`, with the reason in `health_detail`.
    pub health: String,
    pub health_detail: String,
    pub members: Counts,
    pub jobs: JobCounts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    pub alive: usize,
    pub suspect: usize,
    pub dead: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobCounts {
    pub queued: usize,
    /// Preparing, running or finalizing.
    pub active: usize,
    pub ended: usize,
}

/// The cluster, as the node that answers sees it
#[utoipa::path(
    get, path = "/api/v1/cluster", tag = "cluster",
    responses((status = 200, body = Cluster), (status = "default", body = ProblemBody))
)]
async fn cluster(State(state): State<ApiState>) -> Json<Cluster> {
    Json(view(&state))
}

pub(super) fn view(state: &ApiState) -> Cluster {
    let status = state.backend.raft_status();
    let members = state.backend.members();
    let ledger = state.ledger();
    let health = health_of(&status, &members);
    let mut jobs = JobCounts::default();
    for job in ledger.jobs() {
        match job.status {
            onrush_raft::ledger::job::JobStatus::Queued => jobs.queued += 1,
            status if status.is_terminal() => jobs.ended += 1,
            _ => jobs.active += 1,
        }
    }
    let mut counts = Counts::default();
    for member in members.iter().filter(|member| member.role != FOREIGN) {
        match member.health.as_str() {
            "alive" => counts.alive += 1,
            "suspect" => counts.suspect += 1,
            _ => counts.dead += 1,
        }
    }
    Cluster {
        id: status.cluster.to_string(),
        name: status.cluster_name.clone(),
        state: status.cluster_state.clone(),
        node: state.backend.identity().name,
        leader: status.leader.map(|id| super::raft::name_of(&status, id)),
        term: status.term,
        health: health.0.to_owned(),
        health_detail: health.1,
        members: counts,
        jobs,
    }
}

/// All nodes, as the node that answers sees them
#[utoipa::path(
    get, path = "/api/v1/cluster/members", tag = "cluster",
    responses((status = 200, body = Items<MemberView>), (status = "default", body = ProblemBody))
)]
async fn members(State(state): State<ApiState>) -> Json<Items<MemberView>> {
    Json(Items { items: state.backend.members() })
}

/// Forget a node
///
/// For one that will not come back: it leaves the list of members, and its copy of the log is counted
/// on no more. Refused while it votes (a standby takes a dead voter's seat after two minutes, if there
/// is one). A node that still lives asks to join again, as a new member.
#[utoipa::path(
    delete, path = "/api/v1/cluster/members/{id}", tag = "cluster",
    params(("id" = String, Path, description = "Name or peer id of the node"), IdempotencyKey),
    responses((status = 204), (status = "default", body = ProblemBody))
)]
async fn forget(
    State(state): State<ApiState>,
    By(by): By,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let raft_id = member_named(&state, &id)?;
    state.propose(&by, Command::Member(MemberCommand::Remove { raft_id })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Drain a node
///
/// It gets no new shards, and hands over those that it has: users that have begun there go on, and
/// no arrival is missed. It stays a member, votes, and answers.
#[utoipa::path(
    put, path = "/api/v1/cluster/members/{id}/drain", tag = "cluster",
    params(("id" = String, Path, description = "Name or peer id of the node"), IdempotencyKey),
    responses((status = 204), (status = "default", body = ProblemBody))
)]
async fn drain(
    State(state): State<ApiState>,
    By(by): By,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    set_draining(&state, &by, &id, true).await
}

/// Let a drained node work again
#[utoipa::path(
    delete, path = "/api/v1/cluster/members/{id}/drain", tag = "cluster",
    params(("id" = String, Path, description = "Name or peer id of the node"), IdempotencyKey),
    responses((status = 204), (status = "default", body = ProblemBody))
)]
async fn undrain(
    State(state): State<ApiState>,
    By(by): By,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    set_draining(&state, &by, &id, false).await
}

async fn set_draining(
    state: &ApiState,
    by: &Caller,
    id: &str,
    draining: bool,
) -> Result<StatusCode, Problem> {
    let raft_id = member_named(state, id)?;
    state.propose(by, Command::Member(MemberCommand::Drain { raft_id, draining })).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn member_named(state: &ApiState, id: &str) -> Result<u64, Problem> {
    let ledger = state.ledger();
    let named = ledger.members().filter(|m| !m.removed && (m.peer.0 == id || m.name == id));
    let ids: Vec<u64> = named.map(|member| member.raft_id).collect();
    match ids[..] {
        [raft_id] => Ok(raft_id),
        [] => Err(Problem::new(Kind::NotFound, format!("node {id} does not exist"))),
        _ => {
            let detail = format!("{} nodes are called {id}: say its peer id", ids.len());
            Err(Problem::new(Kind::Conflict, detail))
        }
    }
}

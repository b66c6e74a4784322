//! `GET /api/v1/version`, and the probes `/healthz` and `/readyz`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{Kind, Problem};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(version)).routes(routes!(healthz)).routes(routes!(readyz))
}

/// Who answers, and what it speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    pub version: String,
    /// Major version of this API.
    pub api: String,
    pub node: String,
    /// libp2p peer id of the node.
    pub peer: String,
}

/// Version of the node that answers
#[utoipa::path(get, path = "/api/v1/version", tag = "node", responses((status = 200, body = Version)))]
async fn version(State(state): State<ApiState>) -> Json<Version> {
    let identity = state.backend.identity();
    Json(Version {
        version: identity.version,
        api: "v1".to_owned(),
        node: identity.name,
        peer: identity.peer,
    })
}

/// The process answers, and its part in consensus has not ended
#[utoipa::path(
    get, path = "/healthz", tag = "node", security(()),
    responses(
        (status = 200, content_type = "text/plain", body = String),
        (status = 503, content_type = "application/problem+json", body = crate::error::ProblemBody),
    )
)]
async fn healthz(State(state): State<ApiState>) -> Result<&'static str, Problem> {
    let status = state.backend.raft_status();
    // A node that belongs to no cluster has no part in it, and no raft id.
    if status.node != 0 && status.state == "shutdown" {
        return Err(Problem::new(
            Kind::Unavailable,
            "consensus on this node has ended; it will exit",
        ));
    }
    Ok("ok\n")
}

/// The node belongs to an open cluster and knows its leader
#[utoipa::path(
    get, path = "/readyz", tag = "node", security(()),
    responses(
        (status = 200, content_type = "text/plain", body = String),
        (status = 503, content_type = "application/problem+json", body = crate::error::ProblemBody),
    )
)]
async fn readyz(State(state): State<ApiState>) -> Result<&'static str, Problem> {
    let status = state.backend.raft_status();
    if status.cluster_state != "open" {
        let shown = if status.cluster_state.is_empty() { "blank" } else { &status.cluster_state };
        return Err(Problem::new(Kind::NoLeader, format!("the cluster is {shown}, not open")));
    }
    if status.leader.is_none() {
        return Err(Problem::new(Kind::NoLeader, "this node knows of no leader"));
    }
    Ok("ready\n")
}

//! What every answer carries: which node answered, and who leads. How new it is, `freshness` says.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::state::ApiState;

/// Headers on every reply.
pub const NODE_HEADER: &str = "onrush-node";
pub const LEADER_HEADER: &str = "onrush-leader";

/// Adds the headers.
pub async fn headers(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = state.backend.raft_status();
    let leader = status.leader.map(|id| {
        let named = status.peers.iter().find(|peer| peer.id == id && !peer.name.is_empty());
        named.map_or_else(|| id.to_string(), |peer| peer.name.clone())
    });
    let out = response.headers_mut();
    put(out, NODE_HEADER, &state.backend.identity().name);
    if let Some(leader) = leader {
        put(out, LEADER_HEADER, &leader);
    }
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

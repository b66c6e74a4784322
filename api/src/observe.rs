//! What every answer carries (which node answered, who leads, up to which log index), and
//! `?consistency=leader` on every read.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::error::Problem;
use crate::state::ApiState;

/// Headers on every reply.
pub const NODE_HEADER: &str = "onrush-node";
pub const LEADER_HEADER: &str = "onrush-leader";
pub const INDEX_HEADER: &str = "onrush-index";

/// Adds the headers. The index is taken before the handler runs: the answer is at least that new.
pub async fn headers(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let index = *state.backend.applied().borrow();
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
    put(out, INDEX_HEADER, &index.to_string());
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `consistency=leader`: the state read has all that was committed when the request arrived.
/// `consistency=stale` (the default): this node's own state, whatever it knows.
pub async fn consistency(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let asked = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("consistency="));
    match asked {
        None | Some("stale") => {}
        Some("leader") if matches!(*request.method(), Method::GET | Method::HEAD) => {
            state.read_barrier().await?;
        }
        Some("leader") => {}
        Some(other) => {
            return Err(Problem::field(
                "?consistency",
                format!("consistency must be leader or stale, not {other}"),
            ));
        }
    }
    Ok(next.run(request).await)
}

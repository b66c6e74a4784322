//! How new an answer is. Every answer carries the log index that it is at least as new as; a client
//! hands the highest one it has seen on, to whichever node it asks next, and never reads what is older
//! than what it has read or written. Whoever hands nothing on reads at least what was committed before
//! the request arrived, as long as the node hears the master.
//!
//! What cannot be had in time is not waited for: the answer says that it is stale, and how old.

use std::cell::Cell;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::{Instant, timeout_at};

use crate::error::{Kind, Problem};
use crate::state::ApiState;

/// On answers: the index. On requests: the highest index that the client has seen.
pub const INDEX_HEADER: &str = "onrush-index";
/// `true` on an answer that may be older than what was asked for.
pub const STALE_HEADER: &str = "onrush-stale";
/// Beside it: since when this node has not heard the master, milliseconds.
pub const AGE_HEADER: &str = "onrush-age-ms";

/// How long a read waits for this node to be as new as it must be.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(2);
/// The same for a write, which has its answer within five seconds in any case.
const CATCH_UP_WRITE_MAX: Duration = Duration::from_millis(500);

tokio::task_local! {
    /// The highest log index that the present request has written.
    static WRITTEN: Cell<u64>;
}

/// A command of the present request was applied at `index`.
pub(crate) fn wrote(index: u64) {
    // Outside of a request there is nobody to tell.
    let _ = WRITTEN.try_with(|written| written.set(written.get().max(index)));
}

/// What `?consistency=` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Consistency {
    /// All that was committed before, if the master answers soon; else what is there, marked.
    #[default]
    Recent,
    /// All that was committed before, or an error.
    Leader,
    /// What is there.
    Stale,
}

impl Consistency {
    fn of(query: &str) -> Result<Self, Problem> {
        match query.split('&').find_map(|pair| pair.strip_prefix("consistency=")) {
            None => Ok(Self::default()),
            Some("leader") => Ok(Self::Leader),
            Some("stale") => Ok(Self::Stale),
            Some(other) => Err(Problem::field(
                "?consistency",
                format!("consistency must be leader or stale, not {other}"),
            )),
        }
    }
}

/// The highest index that the client has seen.
fn seen(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(value) = headers.get(INDEX_HEADER) else { return Ok(0) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| {
        Problem::field(
            "Onrush-Index",
            "the header Onrush-Index must be a number, as it was answered",
        )
    })
}

/// Answers that are this node's own view, or that never change: nothing to wait for.
fn is_own_view(path: &str) -> bool {
    let own = ["/api/v1/raft/", "/api/v1/cluster", "/api/v1/version", "/api/v1/openapi.json"];
    !path.starts_with("/api/") || own.iter().any(|prefix| path.starts_with(prefix))
}

/// Waits where it must, runs the request, and says how new the answer is.
///
/// # Errors
/// A write while the cluster forms; an index or a consistency that cannot be read; with
/// `consistency=leader`, no leader or no quorum.
pub async fn layer(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let wanted = Consistency::of(request.uri().query().unwrap_or_default())?;
    let seen = seen(request.headers())?;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let own_view = is_own_view(request.uri().path());
    if !reads && let Some(why) = state.backend.forming() {
        return Err(Problem::new(Kind::NoLeader, why));
    }
    let (mut stale, mut behind) = (false, false);
    match wanted {
        Consistency::Leader if reads => state.read_barrier().await?,
        Consistency::Recent if reads && !own_view => {
            stale = !state.catch_up(seen, CATCH_UP_MAX).await;
        }
        // What a write refers to must be there.
        _ if !reads => behind = !state.catch_up(seen, CATCH_UP_WRITE_MAX).await,
        _ => {}
    }
    let index = *state.backend.applied().borrow();
    let (mut response, written) = WRITTEN
        .scope(Cell::new(0), async {
            let response = next.run(request).await;
            (response, WRITTEN.with(Cell::get))
        })
        .await;
    // What is not there may be there by now: that it is not can only be said with a quorum.
    if behind && response.status() == StatusCode::NOT_FOUND {
        state.read_barrier().await?;
    }
    let headers = response.headers_mut();
    headers.insert(INDEX_HEADER, HeaderValue::from(index.max(written)));
    if stale {
        headers.insert(STALE_HEADER, HeaderValue::from_static("true"));
        if let Some(age) = state.age_ms() {
            headers.insert(AGE_HEADER, HeaderValue::from(age));
        }
    }
    Ok(response)
}

impl ApiState {
    /// Waits until this node has applied what is committed now, and `seen`. False when that did not
    /// happen in time.
    async fn catch_up(&self, seen: u64, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut applied = self.backend.applied();
        let at_least = async { applied.wait_for(|now| *now >= seen).await.is_ok() };
        let recent = timeout_at(deadline, self.backend.catch_up()).await;
        let there = timeout_at(deadline, at_least).await.unwrap_or(false);
        there && matches!(recent, Ok(Ok(())))
    }

    /// Since when this node has not heard the master, or as the master no quorum.
    fn age_ms(&self) -> Option<u64> {
        let status = self.backend.raft_status();
        status.quorum_ack_ms.or(status.heard_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        assert_eq!(Consistency::of("a=1"), Ok(Consistency::Recent));
        assert_eq!(Consistency::of("a=1&consistency=leader"), Ok(Consistency::Leader));
        assert_eq!(Consistency::of("consistency=stale"), Ok(Consistency::Stale));
        assert!(Consistency::of("consistency=new").is_err());
        let mut headers = HeaderMap::new();
        assert_eq!(seen(&headers), Ok(0));
        headers.insert(INDEX_HEADER, HeaderValue::from_static("17"));
        assert_eq!(seen(&headers), Ok(17));
        headers.insert(INDEX_HEADER, HeaderValue::from_static("new"));
        assert!(seen(&headers).is_err());
    }

    #[test]
    fn views_and_pages_wait_for_nothing() {
        for own in ["/", "/healthz", "/api/v1/cluster/members", "/api/v1/raft/status"] {
            assert!(is_own_view(own), "{own}");
        }
        assert!(!is_own_view("/api/v1/jobs/job_1") && !is_own_view("/api/v1/projects"));
    }
}

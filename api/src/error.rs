//! Errors as RFC 9457 problem documents. Every error that leaves the API is a [`Problem`]: handlers
//! return it, and [`finish`] turns whatever else ended in an error status (axum's own 404, 405 and
//! the like) into one. Never echoes a token, a path of this machine, or a stack trace.

use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use onrush_raft::ledger::outcome::Rejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::backend::BackendError;

/// The media type of every error answer.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Where a problem type has its page.
pub const TYPE_BASE: &str = "https://onrush.dev/problems/";

/// The closed list of problem types: slug, status and title of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    InvalidRequest,
    Unauthenticated,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Timeout,
    Conflict,
    AlreadyFinished,
    FileInUse,
    NoCapacity,
    PreconditionFailed,
    TooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    WrongHost,
    IdempotencyMismatch,
    DigestMismatch,
    NoLeader,
    QuorumLost,
    Unavailable,
    InsufficientStorage,
    Internal,
}

impl Kind {
    /// All of them, for the documentation and the tests.
    pub const ALL: [Self; 22] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Timeout,
        Self::Conflict,
        Self::AlreadyFinished,
        Self::FileInUse,
        Self::NoCapacity,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::RangeNotSatisfiable,
        Self::WrongHost,
        Self::IdempotencyMismatch,
        Self::DigestMismatch,
        Self::NoLeader,
        Self::QuorumLost,
        Self::Unavailable,
        Self::InsufficientStorage,
        Self::Internal,
    ];

    const fn facts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid-request", 400, "The request is not valid"),
            Self::Unauthenticated => ("unauthenticated", 401, "A valid token is needed"),
            Self::NotFound => ("not-found", 404, "Not found"),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "The method is not allowed here"),
            Self::NotAcceptable => ("not-acceptable", 406, "No acceptable representation"),
            Self::Timeout => ("timeout", 408, "The request took too long to arrive"),
            Self::Conflict => ("conflict", 409, "The present state does not allow it"),
            Self::AlreadyFinished => ("already-finished", 409, "The job has ended already"),
            Self::FileInUse => ("file-in-use", 409, "The file is in use"),
            Self::NoCapacity => ("no-capacity", 409, "The cluster has not enough nodes"),
            Self::PreconditionFailed => ("precondition-failed", 412, "A precondition failed"),
            Self::TooLarge => ("too-large", 413, "The body is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", 415, "The content type is not supported")
            }
            Self::RangeNotSatisfiable => {
                ("range-not-satisfiable", 416, "The range is not satisfiable")
            }
            Self::WrongHost => ("wrong-host", 421, "The host name is not this node's"),
            Self::IdempotencyMismatch => {
                ("idempotency-mismatch", 422, "The idempotency key was used for another request")
            }
            Self::DigestMismatch => {
                ("digest-mismatch", 422, "The content is not what was announced")
            }
            Self::NoLeader => ("no-leader", 503, "The cluster has no leader"),
            Self::QuorumLost => ("quorum-lost", 503, "A majority of the voters was not reached"),
            Self::Unavailable => ("unavailable", 503, "Not available now"),
            Self::InsufficientStorage => {
                ("insufficient-storage", 507, "A node that has to keep it has no room")
            }
            Self::Internal => ("internal", 500, "Internal error"),
        }
    }

    /// The last part of `type`, and the stable `code`.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        self.facts().0
    }

    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.facts().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    #[must_use]
    pub const fn title(self) -> &'static str {
        self.facts().2
    }

    /// The type with this slug, for clients.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.slug() == slug)
    }

    fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthenticated,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            406 => Self::NotAcceptable,
            408 => Self::Timeout,
            409 => Self::Conflict,
            412 => Self::PreconditionFailed,
            413 => Self::TooLarge,
            415 => Self::UnsupportedMediaType,
            416 => Self::RangeNotSatisfiable,
            421 => Self::WrongHost,
            503 => Self::Unavailable,
            507 => Self::InsufficientStorage,
            code if code < 500 => Self::InvalidRequest,
            _ => Self::Internal,
        }
    }
}

/// One thing that is wrong with the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the body (`/simulation/file`), or `?name` for a query parameter.
    pub pointer: String,
    pub detail: String,
}

/// The document on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// `https://onrush.dev/problems/` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// Stable and short: the last part of `type`.
    pub code: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// The path that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// When it makes sense to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// An error answer in the making. Boxed inside: handlers return it by value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    kind: Kind,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_ms: Option<u64>,
}

impl Problem {
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry_after_ms =
            matches!(kind, Kind::NoLeader | Kind::QuorumLost | Kind::Unavailable).then_some(1_000);
        Self(Box::new(Inner { kind, detail: detail.into(), errors: Vec::new(), retry_after_ms }))
    }

    #[must_use]
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("{what} does not exist"))
    }

    /// A request whose field at `pointer` is wrong.
    #[must_use]
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(Kind::InvalidRequest, detail.clone()).at(pointer, detail)
    }

    /// All that is wrong with a request at once; the first one is also the detail.
    #[must_use]
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [] => "the request is not valid".to_owned(),
            [only] => only.detail.clone(),
            [first, rest @ ..] => format!("{} (and {} more)", first.detail, rest.len()),
        };
        let mut problem = Self::new(Kind::InvalidRequest, detail);
        problem.0.errors = errors;
        problem
    }

    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The document, for the path that was asked for.
    #[must_use]
    pub fn body(&self, instance: Option<String>) -> ProblemBody {
        let inner = &self.0;
        ProblemBody {
            kind: format!("{TYPE_BASE}{}", inner.kind.slug()),
            code: inner.kind.slug().to_owned(),
            title: inner.kind.title().to_owned(),
            status: inner.kind.status().as_u16(),
            detail: inner.detail.clone(),
            instance,
            errors: inner.errors.clone(),
            retry_after_ms: inner.retry_after_ms,
        }
    }

    fn render(&self, instance: Option<String>) -> Response {
        let body = self.body(instance);
        let text = serde_json::to_string(&body).unwrap_or_else(|_| "{}".to_owned());
        let mut response = (self.0.kind.status(), text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(wait) = self.0.retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.div_ceil(1_000)));
        }
        if self.0.kind == Kind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"onrush\""));
        }
        response
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.kind.slug(), self.0.detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.render(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<BackendError> for Problem {
    fn from(error: BackendError) -> Self {
        let detail = error.to_string();
        match error {
            BackendError::Rejected(rejection) => rejection.into(),
            BackendError::NoLeader(_) => Self::new(Kind::NoLeader, detail),
            BackendError::NoQuorum(_) => Self::new(Kind::QuorumLost, detail),
            BackendError::NotFound(_) => Self::new(Kind::NotFound, detail),
            BackendError::DigestMismatch { .. } => Self::new(Kind::DigestMismatch, detail),
            BackendError::Unavailable(_) => Self::new(Kind::Unavailable, detail),
            BackendError::NoRoom(_) => Self::new(Kind::InsufficientStorage, detail),
            BackendError::Internal(why) => internal(&why),
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let detail = rejection.to_string();
        let kind = match rejection {
            Rejection::NotFound { .. } => Kind::NotFound,
            Rejection::Exists { .. } | Rejection::Conflict(_) => Kind::Conflict,
            Rejection::PreconditionFailed(_) => Kind::PreconditionFailed,
            Rejection::IdempotencyMismatch => Kind::IdempotencyMismatch,
            Rejection::Invalid(_) => Kind::InvalidRequest,
            Rejection::NeedHolders { .. } => Kind::QuorumLost,
            Rejection::Forming => Kind::NoLeader,
        };
        Self::new(kind, detail)
    }
}

/// An answer for the user with an id, and the cause in this node's log under the same id.
#[must_use]
pub fn internal(why: &str) -> Problem {
    let id = ulid::Ulid::new().to_string();
    tracing::error!(id, why, "internal error while answering a request");
    Problem::new(Kind::Internal, format!("internal error; this node's log has it under {id}"))
}

/// Outermost middleware: names the path in each problem, and makes problems of bare errors.
pub async fn finish(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.extensions().get::<Problem>() {
        Some(problem) => problem.clone(),
        None => {
            let kind = Kind::of_status(status);
            let detail = match kind {
                Kind::NotFound => format!("there is nothing at {path}"),
                Kind::MethodNotAllowed => match response.headers().get(ALLOW) {
                    Some(allow) => format!(
                        "{method} is not allowed here; allowed: {}",
                        String::from_utf8_lossy(allow.as_bytes())
                    ),
                    None => format!("{method} is not allowed here"),
                },
                _ => kind.title().to_owned(),
            };
            Problem::new(kind, detail)
        }
    };
    let mut rendered = problem.render(Some(path));
    keep_headers(response.headers(), rendered.headers_mut());
    rendered
}

/// Headers that the inner response set and the problem does not (`Allow`, `Content-Range`, …).
fn keep_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            to.entry(name).or_insert_with(|| value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_slug_and_an_error_status() {
        let mut slugs: Vec<_> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!(kind.status().as_u16() >= 400, "{kind:?}");
            assert_eq!(Kind::from_slug(kind.slug()), Some(kind));
        }
    }

    #[test]
    fn a_rejection_keeps_its_words() {
        let problem = Problem::from(Rejection::NotFound { what: "job job_1".to_owned() });
        assert_eq!(problem.kind(), Kind::NotFound);
        let body = problem.body(Some("/api/v1/jobs/job_1".to_owned()));
        assert_eq!(body.detail, "job job_1 does not exist");
        assert_eq!(body.kind, "https://onrush.dev/problems/not-found");
        assert_eq!(body.status, 404);
    }

    #[test]
    fn several_errors_are_listed_and_counted() {
        let error = |pointer: &str| FieldError {
            pointer: pointer.to_owned(),
            detail: format!("{pointer} is wrong"),
        };
        let problem = Problem::fields(vec![error("/a"), error("/b"), error("/c")]);
        assert_eq!(problem.detail(), "/a is wrong (and 2 more)");
    }

    #[test]
    fn an_internal_error_does_not_tell_its_cause() {
        let problem = internal("redb: /var/lib/onrush/log.redb: bad page");
        assert!(!problem.detail().contains("redb"));
    }
}

//! What an HTTP action may be. A request is written as it is; every other kind is an object of one
//! key: `{"add_cookie": {…}}`.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::spec::{RequestSpec, Resource};
use super::sse::spec::SseSpec;
use super::ws::spec::WsSpec;
use crate::expr::Expr;

/// `spec` of an action `{"protocol": "http", "name": …, "spec": …}`.
pub enum ActionKind {
    Request(Box<RequestSpec>),
    Other(OtherKind),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherKind {
    AddCookie(AddCookieSpec),
    GetCookieValue(GetCookieSpec),
    Flush(Flushed),
    /// `httpConcurrentRequests(…)`
    Concurrent(Vec<Resource>),
    Poll(PollSpec),
    Ws(Box<WsSpec>),
    Sse(Box<SseSpec>),
}

/// `addCookie(Cookie(name, value)…)`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddCookieSpec {
    pub name: Expr,
    pub value: Expr,
    /// Absent: the host of the user's `baseUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Absent: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Seconds; absent: a session cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<i64>,
    #[serde(default)]
    pub secure: bool,
}

/// `getCookieValue(CookieKey(name)…)`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetCookieSpec {
    pub name: Expr,
    /// Absent: the host of the user's `baseUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Expr>,
    /// Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Absent: either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
    /// Absent: the cookie's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_as: Option<String>,
}

/// `poll()…every(period).exec(request)`, `poll()…stop()`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollSpec {
    pub poller: String,
    /// Absent: it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Box<PollStart>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollStart {
    pub every: Expr,
    pub request: Resource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flushed {
    SessionCookies,
    CookieJar,
    HttpCache,
}

/// Only a request has a method.
#[derive(Deserialize)]
struct Probe {
    method: Option<IgnoredAny>,
}

impl ActionKind {
    /// # Errors
    /// What is wrong with it.
    pub fn parse(spec: &str) -> Result<Self, String> {
        let is_request = serde_json::from_str::<Probe>(spec).is_ok_and(|it| it.method.is_some());
        if is_request {
            let request = serde_json::from_str(spec);
            return request.map(Self::Request).map_err(|error| format!("http request: {error}"));
        }
        serde_json::from_str(spec).map(Self::Other).map_err(|error| format!("http action: {error}"))
    }
}

impl OtherKind {
    /// The requests in it.
    pub(super) fn requests(&self) -> impl Iterator<Item = &RequestSpec> {
        let (several, one) = match self {
            Self::Concurrent(requests) => (&requests[..], None),
            Self::Poll(poll) => (&[][..], poll.start.as_ref().map(|it| &it.request.spec)),
            Self::Sse(spec) => (&[][..], spec.request()),
            _ => (&[][..], None),
        };
        several.iter().map(|it| &it.spec).chain(one)
    }

    /// In a line, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Concurrent(requests) => format!("{} requests at once", requests.len()),
            Self::Poll(PollSpec { start: Some(start), .. }) => {
                let PollStart { every, request } = &**start;
                format!("poll {} {} every {every}", request.spec.method, request.spec.url)
            }
            Self::Poll(PollSpec { poller, start: None }) => format!("stop polling {poller}"),
            Self::AddCookie(cookie) => format!("add cookie {}", cookie.name),
            Self::GetCookieValue(key) => format!("get cookie {}", key.name),
            Self::Flush(Flushed::SessionCookies) => "flush the session cookies".to_owned(),
            Self::Flush(Flushed::CookieJar) => "flush the cookie jar".to_owned(),
            Self::Flush(Flushed::HttpCache) => "flush the cache".to_owned(),
            Self::Ws(spec) => spec.describe(),
            Self::Sse(spec) => spec.describe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_its_method_and_other_kinds_by_their_key() {
        let request = r#"{"method": "GET", "url": {"lit": "/"}}"#;
        assert!(matches!(ActionKind::parse(request), Ok(ActionKind::Request(_))));
        let flush = ActionKind::parse(r#"{"flush": "cookie_jar"}"#);
        assert!(matches!(flush, Ok(ActionKind::Other(OtherKind::Flush(Flushed::CookieJar)))));
        for (wrong, why) in [
            (r#"{"method": "GET"}"#, "http request: missing field `url`"),
            (r#"{"brew": {}}"#, "http action: unknown variant `brew`"),
            (r#"{"flush": "all"}"#, "http action: unknown variant `all`"),
            (
                r#"{"add_cookie": {"name": {"lit": "a"}, "value": {"lit": "b"}, "x": 1}}"#,
                "http action: unknown field `x`",
            ),
        ] {
            let error = ActionKind::parse(wrong).err().unwrap_or_default();
            assert!(error.starts_with(why), "{wrong}: {error}");
        }
    }
}

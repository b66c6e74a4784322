//! Server-sent events: the frames on the wire, and the headers that keep proxies from buffering
//! them. Streams are pulled: an event is made when the socket has room, so a slow reader costs no
//! memory here, and `serve` drops one that does not read at all.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures::Stream;
use futures::stream::StreamExt;
use serde::Serialize;

/// A comment so often when nothing happens, so that both sides notice a dead connection.
pub const PING_EVERY: Duration = Duration::from_secs(15);
/// What a browser waits before it connects again.
const RETRY_MS: u64 = 1_000;

pub const EVENT_STREAM: &str = "text/event-stream";

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub name: &'static str,
    pub id: Option<String>,
    /// One line of JSON.
    pub data: String,
}

impl Event {
    pub fn json(name: &'static str, id: Option<String>, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
        Self { name, id, data }
    }

    /// The bytes of the event stream format. JSON has no raw line breaks, so one `data:` line does.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = String::with_capacity(self.data.len() + 48);
        if let Some(id) = &self.id {
            out.push_str("id: ");
            out.push_str(id);
            out.push('\n');
        }
        out.push_str("event: ");
        out.push_str(self.name);
        out.push_str("\ndata: ");
        out.push_str(&self.data);
        out.push_str("\n\n");
        Bytes::from(out)
    }
}

/// Events as a response body, with pings between them.
pub fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    respond_pinging(events, PING_EVERY)
}

fn respond_pinging(
    events: impl Stream<Item = Event> + Send + 'static,
    ping_every: Duration,
) -> Response {
    let opening = Bytes::from(format!("retry: {RETRY_MS}\n\n"));
    let body = futures::stream::unfold(Box::pin(events), move |mut events| async move {
        let chunk = match tokio::time::timeout(ping_every, events.next()).await {
            Ok(Some(event)) => event.encode(),
            Ok(None) => return None,
            Err(_) => Bytes::from_static(b": ping\n\n"),
        };
        Some((chunk, events))
    });
    let body = futures::stream::once(async { opening }).chain(body);
    let mut response = Response::new(Body::from_stream(body.map(Ok::<_, std::io::Error>)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Where a client says it was.
#[must_use]
pub fn last_event_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("last-event-id")?.to_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_block() {
        let event = Event::json("tick", Some("7".to_owned()), &serde_json::json!({"a": "x\ny"}));
        assert_eq!(event.encode(), "id: 7\nevent: tick\ndata: {\"a\":\"x\\ny\"}\n\n");
        let bare = Event { name: "bye", id: None, data: "{}".to_owned() };
        assert_eq!(bare.encode(), "event: bye\ndata: {}\n\n");
    }

    #[tokio::test]
    async fn a_silent_stream_pings() {
        use http_body_util::BodyExt;

        let mut body =
            respond_pinging(futures::stream::pending(), Duration::from_millis(1)).into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "retry: 1000\n\n");
        let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(second, ": ping\n\n");
    }
}

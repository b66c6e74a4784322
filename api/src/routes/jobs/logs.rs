//! A job's logs: what the shards printed, from the nodes that own them. As text, as NDJSON, or as
//! events; a stream that broke is resumed on any node by the position in its last event's id.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::backend::{LogLine, LogQuery, LogStream};
use crate::error::{Problem, ProblemBody};
use crate::extract::{Path, Query};
use crate::routes::dto::find_job;
use crate::state::ApiState;
use crate::stream::{self, EVENT_STREAM, Event};

const TAIL_MAX: u64 = 1_000_000;
/// Shards times two streams: the positions that an event id carries.
const POSITIONS_MAX: usize = 2_048;
const NDJSON: &str = "application/x-ndjson";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(logs))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogsQuery {
    /// All shards when absent.
    shard: Option<u32>,
    /// `stdout` (what the script printed) or `stderr`; both when absent.
    #[param(value_type = Option<LogStream>)]
    stream: Option<LogStream>,
    /// Only the last lines of each shard and stream.
    tail: Option<u64>,
    /// Go on until the shards have ended.
    #[serde(default)]
    follow: bool,
}

/// What the shards printed
///
/// `Accept: text/plain` gives lines (prefixed by shard and node when all shards are asked for),
/// `application/x-ndjson` a JSON object per line, `text/event-stream` events named `log`.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/logs", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job"), LogsQuery),
    responses(
        (status = 200, content(
            (String = "text/plain"), (LogLine = "application/x-ndjson"), (String = "text/event-stream")
        )),
        (status = "default", body = ProblemBody)
    )
)]
async fn logs(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<LogsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find_job(&state.ledger(), &id)?;
    if query.tail.is_some_and(|tail| tail > TAIL_MAX) {
        return Err(Problem::field("?tail", format!("tail must be {TAIL_MAX} at most")));
    }
    let seen = match stream::last_event_id(&headers) {
        None => Positions::default(),
        Some(text) => Positions::parse(&text).ok_or_else(|| {
            Problem::new(crate::error::Kind::InvalidRequest, "Last-Event-ID is not of this stream")
        })?,
    };
    let resumed = !seen.0.is_empty();
    let ask = LogQuery {
        job: job.id.clone(),
        shard: query.shard,
        stream: query.stream,
        tail: query.tail.filter(|_| !resumed),
        follow: query.follow,
    };
    let lines = state.backend.logs(ask).await?;
    let stop = state.config.shutdown.clone();
    let lines = lines.take_until(async move { stop.cancelled().await }).boxed();
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains(EVENT_STREAM) {
        return Ok(stream::respond(events(lines, seen)));
    }
    let several = query.shard.is_none();
    let (media, encode): (_, fn(&LogLine, bool) -> String) = if accept.contains(NDJSON) {
        (NDJSON, json_line)
    } else {
        ("text/plain; charset=utf-8", text_line)
    };
    let bytes = lines.map(move |line| Ok::<_, std::io::Error>(Bytes::from(encode(&line, several))));
    let mut response = Response::new(Body::from_stream(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    Ok(response)
}

fn json_line(line: &LogLine, _: bool) -> String {
    serde_json::to_string(line).map(|text| text + "\n").unwrap_or_default()
}

fn text_line(line: &LogLine, several: bool) -> String {
    if several {
        format!("{}/{} {}\n", line.shard, line.node, line.line)
    } else {
        format!("{}\n", line.line)
    }
}

fn events(
    lines: BoxStream<'static, LogLine>,
    seen: Positions,
) -> impl futures::Stream<Item = Event> + Send {
    let start = seen.clone();
    let fresh = lines.filter(move |line| futures::future::ready(start.is_new(line)));
    let logged = fresh.scan(seen, |seen, line| {
        seen.note(&line);
        let id = (seen.0.len() <= POSITIONS_MAX).then(|| seen.to_string());
        futures::future::ready(Some(Event::json("log", id, &line)))
    });
    let end = Event { name: "end", id: None, data: "{}".to_owned() };
    logged.chain(futures::stream::iter([end]))
}

/// The offset after the last line seen, by shard and stream: `0o120.0e7.1o55`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Positions(BTreeMap<(u32, bool), u64>);

impl Positions {
    fn parse(text: &str) -> Option<Self> {
        let one = |part: &str| {
            let at = part.find(['o', 'e'])?;
            let (shard, rest) = part.split_at(at);
            Some(((shard.parse().ok()?, rest.starts_with('e')), rest[1..].parse().ok()?))
        };
        if text.split('.').count() > POSITIONS_MAX {
            return None;
        }
        text.split('.').map(one).collect::<Option<_>>().map(Self)
    }

    fn key(line: &LogLine) -> (u32, bool) {
        (line.shard, line.stream == LogStream::Stderr)
    }

    fn is_new(&self, line: &LogLine) -> bool {
        self.0.get(&Self::key(line)).is_none_or(|seen| line.offset > *seen)
    }

    fn note(&mut self, line: &LogLine) {
        self.0.insert(Self::key(line), line.offset);
    }
}

impl std::fmt::Display for Positions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, ((shard, stderr), offset)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            write!(f, "{shard}{}{offset}", if *stderr { 'e' } else { 'o' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_the_wire() {
        let line = |shard, stream, offset| LogLine {
            shard,
            node: "a".to_owned(),
            stream,
            offset,
            unix_ms: 0,
            line: "x".to_owned(),
        };
        let mut seen = Positions::default();
        seen.note(&line(1, LogStream::Stdout, 55));
        seen.note(&line(0, LogStream::Stderr, 7));
        seen.note(&line(0, LogStream::Stdout, 120));
        assert_eq!(seen.to_string(), "0o120.0e7.1o55");
        assert_eq!(Positions::parse("0o120.0e7.1o55"), Some(seen.clone()));
        assert!(!seen.is_new(&line(0, LogStream::Stderr, 7)));
        assert!(seen.is_new(&line(0, LogStream::Stderr, 8)));
        assert!(seen.is_new(&line(2, LogStream::Stdout, 0)));
        for bad in ["", "x", "0o", "o5", "0o1.", "0o99999999999999999999"] {
            assert_eq!(Positions::parse(bad), None, "{bad}");
        }
    }
}

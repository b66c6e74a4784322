//! Streams: a job's ticks with resume, and logs in three forms.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use onrush_raft::ledger::job::{CursorMove, JobCommand, JobStatus, TickSection};
use onrush_scenario::stats::frame::{Frame, RequestDelta, ScenarioDelta, Times};
use onrush_scenario::stats::merge;
use serde_json::{Value, json};

use crate::backend::{LogLine, LogStream};
use crate::fake::{Fake, call, get, open, post, put};

/// Long enough for a busy machine; an event that is there comes at once.
const PATIENCE: Duration = Duration::from_secs(10);

async fn running(fake: &Fake, router: &Router) -> String {
    put(router, "/api/v1/projects/default/files/shop.js", "x").await.ok();
    let body = json!({"simulation": {"file": "shop.js"}});
    let job = post(router, "/api/v1/projects/default/jobs", &body).await.ok();
    let id = job["id"].as_str().unwrap().to_owned();
    fake.run(&id);
    id
}

/// Commits second `number - 1` of the run as tick `number`.
fn tick(fake: &Fake, id: &str, number: u64) {
    let epoch = fake_epoch(fake, id);
    let request = RequestDelta {
        path: vec!["home".to_owned()],
        sent: 3,
        ok: Times::of([1_000, 2_000, 3_000]),
        ..RequestDelta::default()
    };
    let users = ScenarioDelta { name: "s".to_owned(), started: 2, active: 2, ..Default::default() };
    let frame = Frame {
        version: onrush_scenario::stats::frame::FRAME_VERSION,
        epoch,
        seq: number,
        second: u32::try_from(number - 1).unwrap(),
        requests: vec![request],
        scenarios: vec![users],
        ..Frame::default()
    };
    let section = TickSection {
        job: id.into(),
        cursors: vec![CursorMove { shard: 0, epoch, from: number - 1, to: number }],
        payload: merge::merge([frame]).encode(),
        reserved: Vec::new(),
    };
    fake.job(JobCommand::Ticks { sections: vec![section] });
}

fn fake_epoch(fake: &Fake, id: &str) -> u64 {
    use crate::backend::Backend;
    fake.ledger().job(&id.into()).unwrap().epoch
}

/// Reads events from a stream, one by one.
struct Reader {
    body: Body,
    text: String,
}

impl Reader {
    async fn open(router: &Router, path: &str, headers: &[(&str, &str)]) -> Self {
        let response = open(router, &format!("GET {path}"), headers, Body::empty()).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self { body: response.into_body(), text: String::new() }
    }

    /// (event, id, data); none at the end.
    async fn next(&mut self) -> Option<(String, Option<String>, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let of = |name: &str| {
                    block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
                };
                let Some(event) = of("event: ") else { continue };
                let data = serde_json::from_str(&of("data: ").unwrap()).unwrap();
                return Some((event, of("id: "), data));
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an event");
            let bytes = frame?.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn named(&mut self, name: &str) -> (Option<String>, Value) {
        loop {
            let (event, id, data) = self.next().await.expect("the stream goes on");
            if event == name {
                return (id, data);
            }
        }
    }
}

#[tokio::test]
async fn a_stream_resumes_by_tick_on_any_node() {
    let fake = Fake::new();
    let router = fake.router();
    let id = running(&fake, &router).await;
    let path = format!("/api/v1/jobs/{id}/ticks");
    (1..=3).for_each(|number| tick(&fake, &id, number));
    let mut reader = Reader::open(&router, &path, &[]).await;
    let (_, job) = reader.named("job").await;
    assert_eq!(job["status"], "running");
    for number in 1..=3_u64 {
        let (event_id, data) = reader.named("tick").await;
        assert_eq!(event_id, Some(number.to_string()));
        assert_eq!(data["tick"], number);
        assert_eq!(data["seconds"][0]["second"], number - 1);
        assert_eq!(data["seconds"][0]["ok"], 3);
        assert_eq!(data["seconds"][0]["users_started"], 2);
        assert_eq!(data["seconds"][0]["requests"][0]["path"], json!(["home"]));
    }
    assert_eq!(reader.named("live").await.1["count"], 7);
    drop(reader);
    tick(&fake, &id, 4);
    let mut reader = Reader::open(&router, &path, &[("last-event-id", "3")]).await;
    assert_eq!(reader.named("tick").await.0.as_deref(), Some("4"));
    tick(&fake, &id, 5);
    assert_eq!(reader.named("tick").await.0.as_deref(), Some("5"));
    fake.end(&id, JobStatus::Aborted, BTreeMap::new());
    assert_eq!(reader.named("job").await.1["status"], "aborted");
    assert_eq!(reader.named("end").await.1["status"], "aborted");
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn a_stream_shows_only_what_is_asked_for() {
    let fake = Fake::new();
    let router = fake.router();
    let id = running(&fake, &router).await;
    tick(&fake, &id, 1);
    let path = format!("/api/v1/jobs/{id}/ticks?events=live");
    let mut reader = Reader::open(&router, &path, &[]).await;
    assert_eq!(reader.next().await.unwrap().0, "live");
    fake.end(&id, JobStatus::Aborted, BTreeMap::new());
    assert_eq!(reader.next().await.unwrap().0, "end");
    let path = format!("/api/v1/jobs/{id}/ticks");
    get(&router, &format!("{path}?events=moon")).await.problem("invalid-request");
    let bad = [("last-event-id", "seven")];
    call(&router, &format!("GET {path}"), &bad, Body::empty()).await.problem("invalid-request");
}

#[tokio::test]
async fn a_node_that_stops_says_bye() {
    let fake = Fake::new();
    let router = fake.router();
    let id = running(&fake, &router).await;
    let path = format!("/api/v1/jobs/{id}/ticks");
    let mut reader = Reader::open(&router, &path, &[]).await;
    reader.named("job").await;
    fake.shutdown.cancel();
    assert_eq!(reader.named("bye").await.1, json!({"addresses": []}));
    assert_eq!(reader.next().await, None);
}

fn log(shard: u32, stream: LogStream, offset: u64, line: &str) -> LogLine {
    let (node, line) = ("node-1".to_owned(), line.to_owned());
    LogLine { shard, node, stream, offset, unix_ms: 0, line }
}

#[tokio::test]
async fn logs_come_as_text_lines_and_events() {
    let fake = Fake::new();
    let router = fake.router();
    let id = running(&fake, &router).await;
    *fake.lines.lock().unwrap() = vec![
        log(0, LogStream::Stdout, 6, "hello"),
        log(1, LogStream::Stderr, 4, "oops"),
        log(0, LogStream::Stdout, 12, "again"),
    ];
    let path = format!("/api/v1/jobs/{id}/logs");
    let text = get(&router, &path).await;
    assert_eq!(text.text, "0/node-1 hello\n1/node-1 oops\n0/node-1 again\n");
    assert_eq!(get(&router, &format!("{path}?shard=0")).await.text, "hello\nagain\n");
    assert_eq!(get(&router, &format!("{path}?stream=stderr")).await.text, "1/node-1 oops\n");
    let ndjson = [("accept", "application/x-ndjson")];
    let lines = call(&router, &format!("GET {path}"), &ndjson, Body::empty()).await;
    let first: Value = serde_json::from_str(lines.text.lines().next().unwrap()).unwrap();
    assert_eq!(first["line"], "hello");
    let sse = [("accept", "text/event-stream"), ("last-event-id", "0o6.1e4")];
    let mut reader = Reader::open(&router, &path, &sse).await;
    let (event_id, line) = reader.named("log").await;
    assert_eq!(line["line"], "again");
    assert_eq!(event_id.as_deref(), Some("0o12.1e4"));
    assert_eq!(reader.next().await.unwrap().0, "end");
    get(&router, &format!("{path}?tail=99999999")).await.problem("invalid-request");
    get(&router, &format!("{path}?stream=engine")).await.problem("invalid-request");
}

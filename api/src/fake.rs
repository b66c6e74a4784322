//! A node in memory, for the tests of the routes: the real ledger, applied on the spot, and blobs
//! in a map. What goes wrong is switched on by the test.

#![expect(clippy::panic, reason = "a test's node breaks on purpose")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command, Proposal};
use onrush_raft::ledger::job::{JobCommand, JobStatus, NewAssignment, Verdict};
use onrush_raft::ledger::outcome::Rejection;
use onrush_raft::status::{RaftPeer, RaftStatus};
use onrush_raft::types::{ContentId, JobId};
use onrush_scenario::stats::live::LiveView;
use onrush_scenario::stats::summary::Summary;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::backend::{
    Applied, Backend, BackendError, ByteStream, Identity, LogLine, LogQuery, LogStream, MemberView,
    StoredBlob,
};
use crate::{ApiConfig, Secret};

/// By the proposers' clock of these tests.
pub(crate) const NOW_MS: u64 = 1_795_405_059_120;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    NoLeader,
    NoQuorum,
    /// What becomes of the next proposals is not known.
    Lost(u32),
    DiskFull,
    /// The next puts of a file find too few holders.
    FewHolders(u32),
    Panic,
}

pub(crate) struct Fake {
    ledger: Mutex<Arc<Ledger>>,
    applied: watch::Sender<u64>,
    blobs: Mutex<BTreeMap<ContentId, Bytes>>,
    pub(crate) fault: Mutex<Fault>,
    pub(crate) lines: Mutex<Vec<LogLine>>,
    pub(crate) shutdown: CancellationToken,
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        let ledger = Ledger::open_single();
        let applied = watch::Sender::new(ledger.applied());
        Arc::new(Self {
            ledger: Mutex::new(Arc::new(ledger)),
            applied,
            blobs: Mutex::default(),
            fault: Mutex::default(),
            lines: Mutex::default(),
            shutdown: CancellationToken::new(),
        })
    }

    pub(crate) fn router(self: &Arc<Self>) -> Router {
        self.router_with(None)
    }

    pub(crate) fn router_with(self: &Arc<Self>, token: Option<&str>) -> Router {
        let config = ApiConfig {
            token: token.map(|token| Secret::new(token).unwrap()),
            host_names: Vec::new(),
            shutdown: self.shutdown.clone(),
        };
        crate::router(Arc::clone(self) as Arc<dyn Backend>, config)
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    pub(crate) fn apply(&self, by: &Caller, command: Command) -> Result<Applied, Rejection> {
        let mut shared = self.ledger.lock().unwrap();
        let mut ledger = Ledger::clone(&shared);
        let index = ledger.applied() + 1;
        let proposal = Proposal { at: NOW_MS, by: by.clone(), command };
        let outcome = ledger.apply(index, &proposal)?;
        *shared = Arc::new(ledger);
        drop(shared);
        self.applied.send_replace(index);
        Ok(Applied { index, outcome })
    }

    pub(crate) fn job(&self, command: JobCommand) {
        self.apply(&"master".into(), Command::Job(command)).unwrap();
    }

    /// From queued to running, on one shard.
    pub(crate) fn run(&self, id: &str) {
        self.run_plan(id, "{\"plan_hash\":\"x\"}");
    }

    pub(crate) fn run_plan(&self, id: &str, plan: &str) {
        let id = JobId::from(id);
        let (node, segments) = ("peer-1".into(), (0..720).collect());
        let assignments = vec![NewAssignment { shard: 0, node, segments, takes_over: None }];
        self.job(JobCommand::Prepare { id: id.clone(), assignments });
        self.job(JobCommand::Start { id, start_at: NOW_MS, plan: plan.to_owned() });
    }

    pub(crate) fn end(&self, id: &str, status: JobStatus, artifacts: BTreeMap<String, ContentId>) {
        let job = self.ledger().job(&id.into()).cloned().unwrap();
        for open in job.assignments.iter().filter(|_| job.status == JobStatus::Running) {
            let (id, shard, epoch) = (id.into(), open.shard, open.epoch);
            self.job(JobCommand::ShardDone {
                id,
                shard,
                epoch,
                final_seq: open.cursor,
                completed: true,
            });
        }
        let verdict = Verdict::default();
        self.job(JobCommand::Finish { id: id.into(), status, verdict, artifacts, digest: None });
    }

    pub(crate) fn store(&self, bytes: &[u8]) -> ContentId {
        let content = digest(bytes);
        self.blobs.lock().unwrap().insert(content.clone(), Bytes::copy_from_slice(bytes));
        content
    }
}

/// 64 hex digits; the tests do not need them to be BLAKE3.
pub(crate) fn digest(bytes: &[u8]) -> ContentId {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

#[async_trait]
impl Backend for Fake {
    fn identity(&self) -> Identity {
        Identity { name: "node-1".into(), peer: "peer-1".into(), version: "0.1.0".into() }
    }

    fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger.lock().unwrap())
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    async fn read_barrier(&self) -> Result<(), BackendError> {
        match self.fault() {
            Fault::NoLeader => Err(BackendError::NoLeader("1 of 3 voters reachable".to_owned())),
            Fault::NoQuorum => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn propose(&self, by: &Caller, command: Command) -> Result<Applied, BackendError> {
        let is_put = matches!(&command, Command::File(_));
        match self.fault() {
            Fault::NoLeader => Err(BackendError::NoLeader("1 of 3 voters reachable".to_owned())),
            Fault::NoQuorum => std::future::pending().await,
            Fault::Panic => panic!("a bug with /secret/path"),
            Fault::Lost(left) if left > 0 => {
                self.set(Fault::Lost(left - 1));
                // Carried out; only the answer does not arrive.
                let _ = self.apply(by, command);
                Err(BackendError::NoQuorum("the connection to node-2 was lost".to_owned()))
            }
            Fault::FewHolders(left) if is_put && left > 0 => {
                self.set(Fault::FewHolders(left - 1));
                Err(Rejection::NeedHolders { have: 1, need: 2 }.into())
            }
            _ => Ok(self.apply(by, command)?),
        }
    }

    async fn put_blob(
        &self,
        body: ByteStream,
        _announced: Option<u64>,
        expected: Option<ContentId>,
    ) -> Result<StoredBlob, BackendError> {
        if self.fault() == Fault::DiskFull {
            return Err(BackendError::NoRoom("node n2: no space left".to_owned()));
        }
        let parts: Vec<Bytes> =
            body.try_collect().await.map_err(|error| BackendError::Internal(error.to_string()))?;
        let bytes = parts.concat();
        let actual = digest(&bytes);
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(BackendError::DigestMismatch { expected, actual });
        }
        self.store(&bytes);
        Ok(StoredBlob { content: actual, size: bytes.len() as u64, holders: vec![1] })
    }

    async fn open_blob(
        &self,
        content: &ContentId,
        range: Option<Range<u64>>,
    ) -> Result<(u64, ByteStream), BackendError> {
        let blob = self.blobs.lock().unwrap().get(content).cloned();
        let blob = blob.ok_or_else(|| BackendError::NotFound(format!("blob {content}")))?;
        let size = blob.len() as u64;
        let range = range.unwrap_or(0..size);
        let part = blob.slice(range.start as usize..range.end as usize);
        Ok((size, futures::stream::iter([Ok(part)]).boxed()))
    }

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogLine>, BackendError> {
        let lines = self.lines.lock().unwrap().clone();
        let kept = lines.into_iter().filter(move |line| {
            query.shard.is_none_or(|shard| shard == line.shard)
                && query.stream.is_none_or(|stream: LogStream| stream == line.stream)
        });
        let lines = futures::stream::iter(kept.collect::<Vec<_>>());
        if query.follow {
            return Ok(lines.chain(futures::stream::pending()).boxed());
        }
        Ok(lines.boxed())
    }

    async fn summary(&self, _: &JobId) -> Result<Arc<Summary>, BackendError> {
        let schema = "onrush.summary/v1".to_owned();
        Ok(Arc::new(Summary { schema, ..Summary::default() }))
    }

    async fn live(&self, _: &JobId) -> Result<LiveView, BackendError> {
        Ok(LiveView { count: 7, ..LiveView::default() })
    }

    fn members(&self) -> Vec<MemberView> {
        vec![MemberView {
            name: "node-1".into(),
            peer: "peer-1".into(),
            raft_id: Some(1),
            addresses: vec!["127.0.0.1:7441".into()],
            api: Some("http://127.0.0.1:7440".into()),
            role: "leader".into(),
            health: "alive".into(),
            ..MemberView::default()
        }]
    }

    fn raft_status(&self) -> RaftStatus {
        let leaderless = matches!(self.fault(), Fault::NoLeader);
        let peer = RaftPeer {
            id: 1,
            peer: "peer-1".into(),
            name: "node-1".into(),
            voter: true,
            ..RaftPeer::default()
        };
        RaftStatus {
            cluster_state: "open".into(),
            cluster_name: "<onrush>".into(),
            node: 1,
            state: if leaderless { "candidate" } else { "follower" }.into(),
            term: 3,
            leader: (!leaderless).then_some(1),
            leaderless_ms: leaderless.then_some(12_400),
            peers: vec![peer],
            ..RaftStatus::default()
        }
    }

    async fn leader_raft_status(&self) -> Result<RaftStatus, BackendError> {
        match self.fault() {
            Fault::NoLeader => Err(BackendError::NoLeader("1 of 3 voters reachable".to_owned())),
            _ => Ok(RaftStatus { state: "leader".into(), term: 4, ..self.raft_status() }),
        }
    }
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// Checks that it is a problem document of this type, and gives it.
    #[track_caller]
    pub(crate) fn problem(&self, code: &str) -> Value {
        let body = self.json();
        assert_eq!(self.headers["content-type"], crate::error::PROBLEM_JSON, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], self.status.as_u16(), "{body}");
        assert_eq!(body["type"], format!("{}{code}", crate::error::TYPE_BASE));
        assert!(body["instance"].as_str().is_some_and(|path| path.starts_with('/')), "{body}");
        body
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }
}

/// Sends `METHOD /path` with headers and a body.
pub(crate) async fn call(
    router: &Router,
    line: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let response = open(router, line, headers, body).await;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

pub(crate) async fn open(
    router: &Router,
    line: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> axum::response::Response {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap()
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    call(router, &format!("GET {path}"), &[], Body::empty()).await
}

pub(crate) async fn post(router: &Router, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    call(router, &format!("POST {path}"), &headers, body.to_string()).await
}

pub(crate) async fn put(router: &Router, path: &str, body: &str) -> Answer {
    call(router, &format!("PUT {path}"), &[], body.to_owned()).await
}

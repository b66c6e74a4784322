//! Over real sockets: the server's limits, and the client with several addresses. And the OpenAPI
//! document, which is committed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use onrush_raft::ledger::job::JobStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::client::{Client, Error, JobUpdate};
use crate::error::Kind;
use crate::fake::{Fake, Fault};
use crate::routes::jobs::submit::{JobRequest, SimulationRef};

async fn serve(fake: &Arc<Fake>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (router, shutdown) = (fake.router(), fake.shutdown.clone());
    let task = tokio::spawn(async move { crate::serve(listener, router, shutdown).await.unwrap() });
    (address, task)
}

fn client(addresses: &[SocketAddr]) -> Client {
    let list: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    Client::new(&list, None, "ana@laptop").unwrap()
}

/// A port on which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn the_client_finds_a_node_that_answers() {
    let fake = Fake::new();
    let (address, _) = serve(&fake).await;
    let client = client(&[nobody().await, address]);
    assert_eq!(client.version().await.unwrap().node, "node-1");
    assert_eq!(client.address(), format!("http://{address}"));
    let lost = self::client(&[nobody().await]).version().await.unwrap_err();
    assert!(matches!(&lost, Error::Unreachable(_)), "{lost}");
    assert_eq!(lost.exit_code(), 69);
    assert!(lost.to_string().contains("connection refused"), "{lost}");
}

#[tokio::test]
async fn a_problem_keeps_its_words_and_gives_an_exit_code() {
    let fake = Fake::new();
    let (address, _) = serve(&fake).await;
    let client = client(&[address]);
    let error = client.job("job_01JD3Z6Q0V8G5X2M4N7P9R1S3T").await.unwrap_err();
    assert_eq!(error.kind(), Some(Kind::NotFound));
    assert_eq!(error.exit_code(), 66);
    assert_eq!(error.to_string(), "job job_01JD3Z6Q0V8G5X2M4N7P9R1S3T does not exist");
    assert_eq!(client.file_digest("default", "none.js").await.unwrap(), None);
    let error = client.create_project("No Good").await.unwrap_err();
    assert_eq!(error.exit_code(), 64);
}

#[tokio::test]
async fn files_go_up_and_come_down_and_jobs_are_followed() {
    use futures::TryStreamExt;
    let fake = Fake::new();
    let (address, _) = serve(&fake).await;
    let client = client(&[address]);
    let dir = tempfile::tempdir().unwrap();
    let local = dir.path().join("shop.js");
    let content = "x".repeat(300_000);
    std::fs::write(&local, &content).unwrap();
    let file = client.put_file("default", "my shop.js", &local, None).await.unwrap();
    assert_eq!((file.size, file.version, file.uploaded_by.as_str()), (300_000, 1, "ana@laptop"));
    let body = client.get_file("default", "my shop.js", None).await.unwrap();
    let parts: Vec<bytes::Bytes> = body.try_collect().await.unwrap();
    assert_eq!(parts.concat(), content.as_bytes());
    let request = JobRequest {
        simulation: SimulationRef { file: "my shop.js".to_owned(), version: None },
        ..JobRequest::default()
    };
    let job = client.submit("default", &request, "k1").await.unwrap();
    assert_eq!(client.submit("default", &request, "k1").await.unwrap().id, job.id);
    fake.run(&job.id);
    let mut updates = client.watch(&job.id, "job");
    let first = updates.next().await.unwrap();
    assert!(matches!(first, Some(JobUpdate::Job(now)) if now.status.name() == "running"));
    fake.end(&job.id, JobStatus::Aborted, BTreeMap::new());
    let mut last = None;
    while let Some(update) = updates.next().await.unwrap() {
        last = Some(update);
    }
    assert!(matches!(last, Some(JobUpdate::End(end)) if end.status.name() == "aborted"));
}

/// Once a connection on which nothing had been asked kept a stopping node for five seconds.
#[tokio::test]
async fn idle_connections_do_not_keep_a_node_that_stops() {
    let fake = Fake::new();
    let (address, task) = serve(&fake).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let client = client(&[address]);
    client.version().await.unwrap();
    let stopped = std::time::Instant::now();
    fake.shutdown.cancel();
    task.await.unwrap();
    assert!(stopped.elapsed() < Duration::from_millis(900), "{:?}", stopped.elapsed());
    drop(silent);
}

#[tokio::test]
async fn a_watched_job_goes_on_at_another_node() {
    let fake = Fake::new();
    let (first, task) = serve(&fake).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second = listener.local_addr().unwrap();
    let client = client(&[first, second]);
    let dir = tempfile::tempdir().unwrap();
    let local = dir.path().join("shop.js");
    std::fs::write(&local, "x").unwrap();
    client.put_file("default", "shop.js", &local, None).await.unwrap();
    let request = JobRequest {
        simulation: SimulationRef { file: "shop.js".to_owned(), version: None },
        ..JobRequest::default()
    };
    let job = client.submit("default", &request, "k1").await.unwrap();
    let mut updates = client.watch(&job.id, "job");
    assert!(matches!(updates.next().await.unwrap(), Some(JobUpdate::Job(_))));
    fake.shutdown.cancel();
    task.await.unwrap();
    // The same ledger behind another node, which is not stopping.
    let config = crate::ApiConfig::default();
    let backend = Arc::clone(&fake) as Arc<dyn crate::backend::Backend>;
    let router = crate::router(backend, config);
    tokio::spawn(crate::serve(listener, router, tokio_util::sync::CancellationToken::new()));
    fake.end(&job.id, JobStatus::Aborted, BTreeMap::new());
    let mut ended = false;
    while let Some(update) = updates.next().await.unwrap() {
        ended |= matches!(update, JobUpdate::End(_));
    }
    assert!(ended);
}

#[tokio::test]
async fn without_a_leader_the_client_says_so() {
    let fake = Fake::new();
    fake.set(Fault::NoLeader);
    let (address, _) = serve(&fake).await;
    let asked = tokio::time::timeout(Duration::from_secs(30), async {
        client(&[address]).create_project("team-x").await.unwrap_err()
    });
    let error = asked.await.unwrap();
    assert_eq!(error.kind(), Some(Kind::NoLeader));
    assert_eq!(error.exit_code(), 69);
}

/// Once a file's upload ended a submission, because the connection to the leader was lost; and what
/// was made or deleted after all was an error.
#[tokio::test]
async fn what_may_be_repeated_outlives_a_lost_answer() {
    let fake = Fake::new();
    let (address, _) = serve(&fake).await;
    let client = client(&[address]);
    let dir = tempfile::tempdir().unwrap();
    let local = dir.path().join("shop.js");
    std::fs::write(&local, "x").unwrap();
    fake.set(Fault::Lost(2));
    let file = client.put_file("default", "shop.js", &local, None).await.unwrap();
    assert_eq!(file.size, 1);
    let request = JobRequest {
        simulation: SimulationRef { file: "shop.js".to_owned(), version: None },
        ..JobRequest::default()
    };
    fake.set(Fault::Lost(1));
    let job = client.submit("default", &request, "k1").await.unwrap();
    let all = client.jobs(&crate::client::JobFilter::default()).await.unwrap();
    assert_eq!(all.items.iter().map(|it| &it.id).collect::<Vec<_>>(), [&job.id]);
    // Made or deleted by the first try: the second one has its answer, and no other.
    fake.set(Fault::Lost(2));
    assert_eq!(client.create_project("team-x").await.unwrap().name, "team-x");
    fake.set(Fault::Lost(2));
    client.delete_project("team-x").await.unwrap();
    std::fs::write(&local, "y").unwrap();
    client.put_file("default", "more.csv", &local, None).await.unwrap();
    fake.set(Fault::Lost(2));
    client.delete_file("default", "more.csv", None).await.unwrap();
    let error = client.delete_file("default", "more.csv", None).await.unwrap_err();
    assert_eq!(error.kind(), Some(Kind::NotFound));
}

async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    // A reset after the answer is as good an end: what came before it counts.
    let _ = tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn tls_and_nonsense_are_answered_and_closed() {
    let fake = Fake::new();
    let (address, _) = serve(&fake).await;
    let tls = talk(address, &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]).await;
    assert!(tls.contains("this port speaks HTTP/1.1, not HTTPS"), "{tls}");
    for bytes in [
        &b"NONSENSE\r\n\r\n"[..],
        b"POST /api/v1/projects HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = talk(address, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{}: {answer}", String::from_utf8_lossy(bytes));
    }
    let version = b"GET /api/v1/version HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(talk(address, version).await.starts_with("HTTP/1.1 200"));
}

/// The committed document is what the code says. `UPDATE_GOLDEN=1` rewrites it.
#[test]
fn the_committed_openapi_document_is_the_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut text = crate::openapi().to_pretty_json().unwrap();
    text.push('\n');
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "api/openapi.json is not the code's; run with UPDATE_GOLDEN=1");
}

#[test]
fn every_route_is_documented_with_its_errors() {
    let document = serde_json::to_value(crate::openapi()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 24, "{}", paths.len());
    for (path, item) in paths {
        assert!(!path.contains('*'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(operation["tags"][0].is_string(), "{method} {path} has no tag");
        }
    }
}

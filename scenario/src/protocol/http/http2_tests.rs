//! HTTP/2 against a server that does as it is told: streams, resets, GOAWAY, ALPN.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::tests::{Ran, get, run};
use crate::protocol::ConnectionEvent;

#[derive(Default)]
struct Record {
    arrived: AtomicUsize,
    /// Until so many have arrived, no connection but the first gets on.
    meeting: AtomicUsize,
    connections: AtomicUsize,
    seen: Mutex<Vec<String>>,
}

fn acceptor(protocols: &[&[u8]]) -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.key_pair.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn start(protocols: &'static [&'static [u8]]) -> (SocketAddr, Arc<Record>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let record = Arc::new(Record::default());
    let told = Arc::clone(&record);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (listener, tls) = (TcpListener::from_std(listener).unwrap(), acceptor(protocols));
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, record) = (tls.clone(), Arc::clone(&told));
                tokio::spawn(async move {
                    let first = record.arrived.fetch_add(1, Ordering::Relaxed) == 0;
                    let apart = || {
                        let arrived = record.arrived.load(Ordering::Relaxed);
                        !first && arrived < record.meeting.load(Ordering::Relaxed)
                    };
                    while apart() {
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                    let Ok(stream) = tls.accept(stream).await else { return };
                    record.connections.fetch_add(1, Ordering::Relaxed);
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        serve(stream, record).await;
                    } else {
                        serve_http1(stream).await;
                    }
                });
            }
        });
    });
    (address, record)
}

async fn serve_http1(mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut buffer = [0; 4_096];
    while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    }
}

async fn serve(
    stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    record: Arc<Record>,
) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, answer))) = connection.accept().await {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/goaway" => connection.graceful_shutdown(),
            "/abrupt" => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
            _ => {}
        }
        let record = Arc::clone(&record);
        tokio::spawn(async move { respond(request, answer, &record).await });
    }
}

async fn respond(request: Request<RecvStream>, mut answer: SendResponse<Bytes>, record: &Record) {
    let (head, mut body) = request.into_parts();
    let mut length = 0;
    while let Some(Ok(piece)) = body.data().await {
        length += piece.len();
        let _ = body.flow_control().release_capacity(piece.len());
    }
    let own = head.headers.get("x-own").map_or("-", |it| it.to_str().unwrap());
    record.seen.lock().unwrap().push(format!("{} {} {own} {length}", head.method, head.uri));
    match head.uri.path() {
        "/reset" => return answer.send_reset(Reason::INTERNAL_ERROR),
        "/hang" => return std::future::pending().await,
        // Until all of them are there, none is answered: they share the connection.
        "/together" => {
            while record.seen.lock().unwrap().len() < 4 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        _ => {}
    }
    let large = if head.uri.path() == "/large" { 3 << 20 } else { 2 };
    let response = Response::builder().status(200).header("x-h", "v").body(()).unwrap();
    let Ok(mut stream) = answer.send_response(response, false) else { return };
    let _ = stream.send_data(vec![b'x'; large].into(), true);
}

fn config(address: SocketAddr) -> Json {
    json!({ "base_urls": [format!("https://localhost:{}", address.port())], "enable_http2": true,
        "host_name_aliases": { "localhost": ["127.0.0.1"] } })
}

fn opened(ran: &Ran) -> usize {
    ran.events.iter().filter(|it| **it == ConnectionEvent::Opened).count()
}

const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

#[test]
fn requests_go_over_one_connection_with_their_bodies() {
    let (address, record) = start(BOTH);
    let large = "y".repeat(200_000);
    let post = |path: &str, body: &str| {
        json!({ "method": "POST", "url": { "lit": path }, "body": { "text": { "lit": body } },
            "headers": [{ "name": "X-Own", "value": { "lit": "v" } },
                        { "name": "Connection", "value": { "lit": "keep-alive" } }] })
    };
    let checked = json!({ "method": "GET", "url": { "lit": "/large" }, "checks": [
        { "extractor": { "kind": "body_length" }, "validator": { "is": { "lit": 3 << 20 } } },
        { "extractor": { "kind": "header", "name": { "lit": "x-h" } }, "validator": { "is": { "lit": "v" } } }] });
    let ran =
        run(config(address), &[get("/a?x=1"), post("/b", "small"), post("/c", &large), checked]);
    assert_eq!(ran.log, ["r 200 OK"; 4]);
    let host = format!("https://localhost:{}", address.port());
    let expected = [
        format!("GET {host}/a?x=1 - 0"),
        format!("POST {host}/b v 5"),
        format!("POST {host}/c v 200000"),
        format!("GET {host}/large - 0"),
    ];
    assert_eq!(*record.seen.lock().unwrap(), expected);
    assert_eq!(record.connections.load(Ordering::Relaxed), 1);
    assert_eq!(ran.events, [ConnectionEvent::Opened]);
}

#[test]
fn resources_are_streams_of_the_pages_connection() {
    let (address, record) = start(BOTH);
    let resource = |name: &str| json!({ "name": { "lit": name }, "spec": get("/together") });
    let mut page = get("/");
    page["resources"] = json!([resource("a"), resource("b"), resource("c")]);
    let ran = run(config(address), &[page]);
    assert_eq!(ran.log.len(), 4);
    assert!(!ran.failed, "{:?}", ran.log);
    assert_eq!((opened(&ran), record.connections.load(Ordering::Relaxed)), (1, 1));
}

#[test]
fn a_reset_is_the_streams_and_a_timeout_too() {
    let (address, record) = start(BOTH);
    let mut hang = get("/hang");
    hang["request_timeout_us"] = json!(100_000);
    let ran = run(config(address), &[get("/reset"), get("/a"), hang, get("/b")]);
    assert_eq!(ran.log[0], "r 0 HTTP/2 stream reset: INTERNAL_ERROR");
    assert_eq!(ran.log[1], "r 200 OK");
    assert!(ran.log[2].starts_with("r 0 Request timeout to localhost/127.0.0.1:"));
    assert_eq!(ran.log[3], "r 200 OK");
    assert_eq!((opened(&ran), record.connections.load(Ordering::Relaxed)), (1, 1));
}

fn concurrent(paths: &[&str]) -> Json {
    let all = paths.iter().map(|path| json!({ "name": { "lit": path }, "spec": get(path) }));
    json!({ "concurrent": all.collect::<Vec<_>>() })
}

#[test]
fn requests_that_start_at_once_share_their_first_connection() {
    let (address, record) = start(BOTH);
    let all = concurrent(&["/together", "/together", "/together", "/together", "/reset"]);
    let ran = run(config(address), &[all, get("/a")]);
    assert_eq!(ran.log.iter().filter(|it| *it == "/together 200 OK").count(), 4);
    assert!(ran.log.contains(&"/reset 0 HTTP/2 stream reset: INTERNAL_ERROR".to_owned()));
    assert_eq!(ran.log.last().map(String::as_str), Some("r 200 OK"));
    assert_eq!((opened(&ran), record.connections.load(Ordering::Relaxed)), (1, 1));
}

/// Whoever waits for another's connection is not kept by one that comes to nothing.
#[test]
fn requests_that_start_at_once_do_not_wait_for_what_cannot_be_shared() {
    let (address, record) = start(&[b"http/1.1"]);
    let ran = run(config(address), &[concurrent(&["/a", "/b", "/c"])]);
    assert_eq!(ran.log.len(), 3);
    assert!(!ran.failed, "{:?}", ran.log);
    assert!((1..=3).contains(&record.connections.load(Ordering::Relaxed)));
    // Once it is known what the target speaks, nobody waits for anybody.
    let (address, record) = start(&[b"http/1.1"]);
    record.meeting.store(3, Ordering::Relaxed);
    let ran = run(config(address), &[get("/"), concurrent(&["/a", "/b", "/c"])]);
    assert_eq!((ran.log.len(), ran.failed), (4, false), "{:?}", ran.log);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(silent.local_addr().unwrap());
    config["connect_timeout_us"] = json!(100_000);
    let ran = run(config, &[concurrent(&["/a", "/b", "/c"])]);
    assert_eq!(ran.log.len(), 3);
    assert!(ran.log.iter().all(|it| it.ends_with("handshake timed out after 100ms")));
}

#[test]
fn a_peer_that_goes_is_connected_to_anew() {
    let (address, record) = start(BOTH);
    let ran = run(config(address), &[get("/goaway"), get("/a")]);
    assert_eq!(ran.log, ["r 200 OK", "r 200 OK"]);
    assert_eq!(record.connections.load(Ordering::Relaxed), 2);
    let ran = run(config(address), &[get("/abrupt"), get("/a")]);
    assert_eq!(ran.log[1], "r 200 OK");
    // Its word may be lost with the socket that it closes at once.
    let told = ["r 0 HTTP/2 connection ended: ENHANCE_YOUR_CALM", "r 0 Premature close"];
    assert!(told.contains(&&*ran.log[0]), "{:?}", ran.log);
}

#[test]
fn without_agreement_it_is_http_1() {
    let (address, record) = start(&[b"http/1.1"]);
    assert_eq!(run(config(address), &[get("/a"), get("/b")]).log, ["r 200 OK", "r 200 OK"]);
    assert!(record.seen.lock().unwrap().is_empty());
    let (address, record) = start(BOTH);
    let mut known = config(address);
    known["http2_prior_knowledge"] = json!({ format!("localhost:{}", address.port()): false });
    assert_eq!(run(known.clone(), &[get("/a")]).log, ["r 200 OK"]);
    assert!(record.seen.lock().unwrap().is_empty());
    // Names of hosts are the same in capitals.
    known["http2_prior_knowledge"] = json!({ format!("LocalHost:{}", address.port()): false });
    assert_eq!(run(known, &[get("/a")]).log, ["r 200 OK"]);
    assert!(record.seen.lock().unwrap().is_empty());
    let mut off = config(address);
    off["enable_http2"] = json!(false);
    assert_eq!(run(off, &[get("/a")]).log, ["r 200 OK"]);
    assert!(record.seen.lock().unwrap().is_empty());
}

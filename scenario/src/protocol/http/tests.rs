//! HTTP against a small server in this process: one user, action by action.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::Http;
use super::test_server::{Reply, Server};
use crate::engine::clock::{Clock, boot_us};
use crate::expr::{EvalCtx, Expr, NoHooks};
use crate::protocol::{Bound, ConnectionEvent, Host, Protocol, Response, User};
use crate::script::MemorySources;
use crate::session::Session;
use crate::stats::record::{PathId, Recorder};
use crate::stats::sample::Sample;
use crate::time::Micros;
use crate::value::Value;

/// Counts like an engine thread and writes down what it is told.
pub(super) struct TestHost {
    clock: Clock,
    recorder: RefCell<Recorder>,
    names: RefCell<Vec<(PathId, String)>>,
    log: RefCell<Vec<String>>,
    notes: RefCell<Vec<String>>,
    events: RefCell<Vec<ConnectionEvent>>,
    times: RefCell<Vec<Micros>>,
    bytes_received: Cell<u64>,
    samples: RefCell<Vec<Sample>>,
}

impl Host for TestHost {
    fn now(&self) -> Micros {
        self.clock.now()
    }

    fn unix_ms(&self) -> i64 {
        self.clock.unix_ms_at(self.clock.now())
    }

    fn with_eval(&self, evaluate: &mut dyn FnMut(&mut EvalCtx<'_>)) {
        let mut rng = SmallRng::seed_from_u64(1);
        evaluate(&mut EvalCtx { hooks: &mut NoHooks, rng: &mut rng, unix_ms: self.unix_ms() });
    }

    fn permit(&self, _scenario: u32) -> Option<LocalBoxFuture<'static, ()>> {
        None
    }

    fn request(&self, groups: &[Arc<str>], name: &str) -> PathId {
        let id = self.recorder.borrow_mut().path_id(groups, name);
        self.names.borrow_mut().push((id, name.to_owned()));
        id
    }

    fn sent(&self, _request: PathId) {}

    fn response(&self, request: PathId, response: Response<'_>) {
        let names = self.names.borrow();
        let (_, name) = names.iter().find(|(id, _)| *id == request).unwrap();
        let verdict = response.failure.unwrap_or("OK");
        self.log.borrow_mut().push(format!("{name} {} {verdict}", response.code));
        self.times.borrow_mut().push(response.time);
        self.bytes_received.set(self.bytes_received.get() + response.bytes_received);
    }

    fn wants_sample(&self, _request: PathId, _failure: &str) -> bool {
        true
    }

    fn sample(&self, _request: PathId, _failure: &str, sample: Sample) {
        self.samples.borrow_mut().push(sample);
    }

    fn unbuilt(&self, _groups: &[Arc<str>], name: &str, message: &str) {
        self.log.borrow_mut().push(format!("unbuilt {name}: {message}"));
    }

    fn connection(&self, event: ConnectionEvent) {
        self.events.borrow_mut().push(event);
    }

    fn note(&self, line: &str) {
        self.notes.borrow_mut().push(line.to_owned());
    }
}

pub(super) fn test_host() -> Rc<TestHost> {
    Rc::new(TestHost {
        clock: Clock::starting_at(boot_us()),
        recorder: RefCell::new(Recorder::new(&[])),
        names: RefCell::default(),
        log: RefCell::default(),
        notes: RefCell::default(),
        events: RefCell::default(),
        times: RefCell::default(),
        bytes_received: Cell::default(),
        samples: RefCell::default(),
    })
}

/// What one user's actions came to.
pub(super) struct Ran {
    pub log: Vec<String>,
    pub notes: Vec<String>,
    pub events: Vec<ConnectionEvent>,
    pub session: Session,
    pub failed: bool,
    /// What it adds to the groups it is in.
    pub response_time: Micros,
    pub bytes_received: u64,
    pub samples: Vec<Sample>,
}

/// Runs the requests one after another as one user.
pub(super) fn run(config: serde_json::Value, requests: &[serde_json::Value]) -> Ran {
    run_with(config, requests, Session::new("s".into(), 0))
}

pub(super) fn run_with(
    config: serde_json::Value,
    requests: &[serde_json::Value],
    session: Session,
) -> Ran {
    let sources = MemorySources::default()
        .with("resources/body.json", r##"{"id":"#{id}"}"##)
        .with("resources/raw.txt", "raw #{id}")
        .shared();
    let bound = bind(&sources, config);
    let host = test_host();
    let user = User { session, scenario: 0, state: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Of its life, without the end of its connections.
    let mut events = Vec::new();
    let tasks = tokio::task::LocalSet::new();
    let (user, failed, response_time) = tasks.block_on(&runtime, async {
        let (mut user, mut failed, mut response_time) = (user, false, 0);
        for request in requests {
            let name = request["name"].as_str().unwrap_or("r");
            let mut spec = request.clone();
            spec.as_object_mut().unwrap().remove("name");
            let spec = to_raw_value(&spec).unwrap();
            let action = bound.action(&Expr::El(name.to_owned()), &spec).unwrap();
            let done = action.run(user, Rc::clone(&host) as Rc<dyn Host>).await;
            user = done.user;
            failed |= done.failed;
            response_time += done.response_time;
        }
        events = host.events.take();
        // The user ends, and with it what goes on beside its actions.
        user.state = None;
        (user, failed, response_time)
    });
    let over = async { tokio::time::timeout(Duration::from_secs(20), tasks).await };
    let over = runtime.block_on(over);
    assert!(over.is_ok(), "something goes on although its user has ended");
    let (log, notes) = (host.log.take(), host.notes.take());
    let bytes_received = host.bytes_received.get();
    let samples = host.samples.take();
    let session = user.session;
    Ran { log, notes, events, session, failed, response_time, bytes_received, samples }
}

pub(super) fn bind(
    sources: &Arc<dyn crate::script::Sources>,
    config: serde_json::Value,
) -> Box<dyn Bound> {
    let http = Http::new(0, Arc::clone(sources)).unwrap();
    http.bind(Some(&to_raw_value(&config).unwrap())).unwrap()
}

pub(super) fn get(url: &str) -> serde_json::Value {
    json!({ "method": "GET", "url": { "lit": url } })
}

pub(super) fn base(server: &Server) -> serde_json::Value {
    json!({ "base_urls": [server.base()] })
}

#[test]
fn each_hop_of_a_redirect_is_a_request_of_its_own() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/a" => Reply::with(302, &["location: /b", "set-cookie: c=1; Path=/"], ""),
        "/b" => Reply::with(307, &["location: c?x=1"], ""),
        _ => Reply::with(200, &[], "end"),
    });
    let post = json!({ "name": "R", "method": "POST", "url": { "lit": "/a" },
        "body": { "text": { "lit": "payload" } },
        "headers": [{ "name": "Content-Type", "value": { "lit": "text/plain" } }] });
    let ran = run(base(&server), &[post]);
    assert_eq!(ran.log, ["R 302 OK", "R Redirect 1 307 OK", "R Redirect 2 200 OK"]);
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|it| format!("{} {}", it.method, it.target)).collect();
    assert_eq!(lines, ["POST /a", "GET /b", "GET /c?x=1"]);
    assert_eq!(seen[0].body, b"payload");
    assert_eq!((seen[1].header("content-type"), seen[1].header("cookie")), (None, Some("c=1")));
    assert!(seen.iter().all(|it| it.connection == 0));
}

#[test]
fn too_many_redirects_and_redirects_without_location() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/nowhere" => Reply::with(301, &[], ""),
        _ => Reply::with(302, &["location: /loop"], ""),
    });
    let config = json!({ "base_urls": [server.base()], "max_redirects": 3 });
    let ran = run(config, &[get("/loop"), get("/nowhere")]);
    let expected = [
        "r 302 OK",
        "r Redirect 1 302 OK",
        "r Redirect 2 302 OK",
        "r Redirect 3 0 Too many redirects, max is 3",
        "r 301 Redirect status, yet no Location header",
    ];
    assert_eq!(ran.log, expected);
    assert_eq!(server.seen().len(), 4);
    assert!(ran.failed);
}

#[test]
fn a_permanent_redirect_is_taken_without_asking_again() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/old" => Reply::with(301, &["location: /new"], ""),
        _ => Reply::with(200, &[], ""),
    });
    let ran = run(base(&server), &[get("/old"), get("/old")]);
    assert_eq!(ran.log, ["r 301 OK", "r Redirect 1 200 OK", "r Redirect 1 200 OK"]);
}

#[test]
fn fresh_answers_are_not_requested_again_and_stale_ones_conditionally() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/fresh" => Reply::with(200, &["cache-control: max-age=100"], ""),
        _ if seen.header("if-none-match") == Some("\"v\"") => Reply::with(304, &[], ""),
        _ => Reply::with(200, &["etag: \"v\""], ""),
    });
    let requests = [get("/fresh"), get("/fresh"), get("/etag"), get("/etag")];
    let ran = run(base(&server), &requests);
    assert_eq!(ran.log, ["r 200 OK", "r 200 OK", "r 304 OK"]);
    assert!(!ran.failed);
    let config = json!({ "base_urls": [server.base()], "disable_caching": true });
    assert_eq!(run(config, &requests).log.len(), 4);
}

#[test]
fn headers_go_out_in_gatlings_order_and_one_per_name() {
    let server =
        Server::start(|_, _| Reply::with(200, &["content-type: text/html"], "<html></html>"));
    let config = json!({ "base_urls": [server.base()],
        "headers": [{ "name": "X-A", "value": { "lit": "protocol" } },
                    { "name": "X-B", "value": { "lit": " b " } }],
        "basic_auth": { "user": { "lit": "u" }, "password": { "lit": "p" } } });
    let post = json!({ "method": "POST", "url": { "lit": "/form" },
        "headers": [{ "name": "x-a", "value": { "lit": "own" } }],
        "form": [{ "one": { "name": { "lit": "a b" }, "value": { "lit": "~*" } } }] });
    let empty = json!({ "method": "PUT", "url": { "lit": "/empty" } });
    run(config, &[get("/page"), post, empty]);
    let seen = server.seen();
    let names: Vec<&str> = seen[1].headers.iter().map(|(name, _)| name.as_str()).collect();
    let order = [
        "x-a",
        "x-b",
        "referer",
        "accept",
        "authorization",
        "origin",
        "host",
        "content-type",
        "content-length",
    ];
    assert_eq!(names, order);
    assert_eq!(seen[1].header("x-a"), Some("own"));
    assert_eq!(seen[1].header("x-b"), Some("b"));
    assert_eq!(seen[1].header("authorization"), Some("Basic dTpw"));
    assert_eq!(seen[1].header("referer"), Some(format!("{}/page", server.base()).as_str()));
    assert_eq!(seen[1].body, b"a+b=%7E*");
    assert_eq!(seen[2].header("content-length"), Some("0"));
    assert_eq!(seen[0].header("content-length"), None);
    assert_eq!(seen[0].header("user-agent"), None);
}

#[test]
fn bodies_come_from_text_templates_and_files() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let mut session = Session::new("s".into(), 0);
    session.set("id", Value::Int(5));
    let with =
        |body: serde_json::Value| json!({ "method": "POST", "url": { "lit": "/" }, "body": body });
    let multipart = json!({ "method": "POST", "url": { "lit": "/" },
        "parts": [{ "name": { "lit": "p" }, "body": { "text": { "lit": "t" } } }],
        "form": [{ "one": { "name": { "lit": "f" }, "value": { "lit": "v" } } }],
        "headers": [{ "name": "content-type", "value": { "lit": "multipart/form-data; boundary=B" } }] });
    let requests = [
        with(json!({ "text": { "el": "x#{id}" } })),
        with(json!({ "el_file": { "lit": "body.json" } })),
        with(json!({ "raw_file": { "lit": "raw.txt" } })),
        with(json!({ "bytes": { "lit": [104, 105, -1] } })),
        multipart,
        with(json!({ "el_file": { "lit": "none" } })),
    ];
    let ran = run_with(base(&server), &requests, session);
    let bodies: Vec<Vec<u8>> = server.seen().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies[..3], [&b"x5"[..], &br#"{"id":"5"}"#[..], &b"raw #{id}"[..]]);
    assert_eq!(bodies[3], [104, 105, 255]);
    let expected = "--B\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nv\r\n--B\r\n\
        Content-Disposition: form-data; name=\"p\"\r\n\r\nt\r\n--B--\r\n";
    assert_eq!(String::from_utf8_lossy(&bodies[4]), expected);
    assert_eq!(ran.log.last().unwrap(), "unbuilt r: Resource none not found");
}

#[test]
fn a_request_that_cannot_be_built_is_an_error_line_and_fails_the_user() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let missing = json!({ "name": "item", "method": "GET", "url": { "el": "/#{token}" } });
    let nameless = json!({ "name": "#{nobody}", "method": "GET", "url": { "lit": "/" } });
    let ran = run(base(&server), &[missing, nameless]);
    assert_eq!(ran.log, ["unbuilt item: No attribute named 'token' is defined"]);
    assert!(ran.failed && server.seen().is_empty());
}

#[test]
fn query_parameters_are_appended_encoded() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let request = json!({ "method": "GET", "url": { "lit": "/p?a=1#f" }, "query": [
        { "one": { "name": { "lit": "b c" }, "value": { "lit": "d&~" } } },
        { "many_expr": { "name": { "lit": "m" }, "values": { "lit": [1, 2] } } }] });
    run(base(&server), &[request]);
    assert_eq!(server.seen()[0].target, "/p?a=1&b+c=d%26%7E&m=1&m=2");
}

#[test]
fn compressed_and_chunked_answers_are_checked_as_what_they_mean() {
    use std::io::Write as _;
    let server = Server::start(|seen, _| {
        if seen.target == "/chunked" {
            let raw = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
            return Reply::Raw(raw.as_bytes().to_vec());
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello").unwrap();
        Reply::with(200, &["content-encoding: gzip"], gzip.finish().unwrap())
    });
    let checked = |url: &str| {
        json!({ "method": "GET", "url": { "lit": url }, "checks": [
            { "extractor": { "kind": "body_string" }, "validator": { "is": { "lit": "hello" } }, "save_as": "got" }] })
    };
    let ran = run(base(&server), &[checked("/gzip"), checked("/chunked")]);
    assert_eq!(ran.log, ["r 200 OK", "r 200 OK"]);
    assert_eq!(ran.session.get("got"), Some(&Value::from("hello")));
}

#[test]
fn a_bad_status_is_a_ko_and_a_silent_one_is_nothing() {
    let server = Server::start(|_, _| Reply::with(500, &[], ""));
    let ran = run(base(&server), &[get("/")]);
    assert_eq!(ran.log, ["r 500 status.find.in([200, 209], 304), found 500"]);
    assert!(ran.failed);
    let silent = json!({ "method": "GET", "url": { "lit": "/" }, "silent": true });
    let ran = run(base(&server), &[silent]);
    assert!(ran.log.is_empty() && !ran.failed);
}

#[test]
fn only_a_url_of_the_protocol_is_absolute() {
    let bound = bind(&MemorySources::default().shared(), json!({}));
    let refused = |spec: serde_json::Value| {
        bound.action(&Expr::str("r"), &to_raw_value(&spec).unwrap()).err()
    };
    let relative = "provided url is relative";
    let expected = format!("No baseUrl defined but {relative} : ws://a.test/");
    assert_eq!(refused(get("ws://a.test/")), Some(expected));
    let connect = |url: &str| json!({ "ws": { "socket": { "lit": "s" }, "op": { "connect": { "request": get(url) } } } });
    let expected = format!("No wsBaseUrl defined but {relative} : http://a.test/");
    assert_eq!(refused(connect("http://a.test/")), Some(expected));
    assert_eq!(refused(connect("wss://a.test/")), None);
}

/// As on Gatling 3.16.0, which tells of a literal url at each request.
#[test]
fn a_base_url_matters_to_relative_urls_alone() {
    let no_scheme = |url: &str| {
        format!(
            "url {url} can't be parsed into an Uri: '{url}' could not be parsed into a proper Uri, \
             missing scheme"
        )
    };
    for (bases, expected) in [
        (json!([""]), &*no_scheme("/x")),
        (json!(["a.test"]), &*no_scheme("a.test/x")),
        (json!([]), "No baseUrl defined but provided url is relative : /x"),
    ] {
        let config = json!({ "base_urls": bases, "ws_base_urls": bases });
        let bound = bind(&MemorySources::default().shared(), config);
        let refused =
            |url: &str| bound.action(&Expr::str("r"), &to_raw_value(&get(url)).unwrap()).err();
        assert_eq!(refused("http://a.test/x"), None);
        assert_eq!(refused("/x").as_deref(), Some(expected));
    }
    let server = Server::start(|_, _| Reply::with(200, &[], "hello"));
    let absolute = get(&format!("{}/x", server.base()));
    let computed = json!({ "method": "GET", "url": { "el": "#{path}" } });
    let mut session = Session::new("s".into(), 0);
    session.set("path", Value::from("/y"));
    let ran = run_with(json!({ "base_urls": [""] }), &[absolute, computed], session);
    assert_eq!(ran.log, ["r 200 OK", &*format!("unbuilt r: {}", no_scheme("/y"))]);
}

#[test]
fn an_answer_to_a_handshake_has_bytes() {
    let server = Server::start(|_, _| Reply::with(404, &["x-a: b"], ""));
    let config = json!({ "ws_base_urls": [server.base().replace("http", "ws")] });
    let request = get("/none");
    let connect =
        json!({ "ws": { "socket": { "lit": "s" }, "op": { "connect": { "request": request } } } });
    let ran = run(config, &[connect]);
    assert_eq!(ran.log, ["r 404 Invalid handshake response getStatus: 404 Not Found"]);
    let Reply::Raw(answer) = Reply::with(404, &["x-a: b"], "") else { return };
    assert_eq!(ran.bytes_received, answer.len() as u64);
}

/// What cannot be sent may be a token that was read from a file with its line end.
#[test]
fn a_header_that_cannot_be_sent_is_named_and_its_value_is_not_told() {
    let mut session = Session::new("s".into(), 0);
    session.set("token", Value::from("secret\n"));
    let with = |name: &str, value: serde_json::Value| {
        json!({ "method": "GET", "url": { "lit": "http://a.test/" },
            "headers": [{ "name": name, "value": value }] })
    };
    let mut proxied = get("http://a.test/");
    proxied["proxy"] = json!({ "kind": "http", "host": "127.0.0.1", "port": 1,
        "connect_headers": [{ "name": "X-Key", "value": { "el": "a#{token}b" } }] });
    let requests = [
        with("Authorization", json!({ "el": "Bearer #{token}" })),
        with("X-Literal", json!({ "lit": "secret\n" })),
        proxied,
    ];
    let ran = run_with(json!({}), &requests, session);
    let expected = ["header authorization", "header x-literal", "connectHeader x-key"].map(|it| {
        format!("unbuilt r: the value of {it} holds a character that no header may hold")
    });
    assert_eq!(ran.log, expected);
}

#[test]
fn refused_connections_timeouts_and_unknown_hosts_are_kos() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(|_, _| Reply::Hang);
    let slow = json!({ "method": "GET", "url": { "lit": "/" }, "request_timeout_us": 150_000 });
    let ran = run(
        base(&server),
        &[get(&format!("http://{free}/")), slow, get("http://no-such-host.invalid/")],
    );
    let address = server.address;
    let expected = [
        "r 0 finishConnect(..) failed with error(-111): Connection refused".to_owned(),
        format!("r 0 Request timeout to 127.0.0.1/{address} after 150 ms"),
        "r 0 no-such-host.invalid: Name or service not known".to_owned(),
    ];
    assert_eq!(ran.log, expected);
    assert!(ran.events.contains(&ConnectionEvent::Failed));
}

#[test]
fn a_reused_connection_that_closes_early_is_tried_once_more() {
    let server = Server::start(|_, number| match number {
        0 | 2 => Reply::with(200, &[], ""),
        _ => Reply::Close,
    });
    let ran = run(base(&server), &[get("/"), get("/"), get("/")]);
    // The third request: its reused connection closes, and so does the fresh one.
    assert_eq!(ran.log, ["r 200 OK", "r 200 OK", "r 0 Premature close"]);
    assert_eq!(server.seen().len(), 5);
}

/// Once the second was sent again, and its half of a response nowhere to be seen.
#[test]
fn a_request_whose_answer_has_begun_is_not_repeated() {
    use std::io::Write as _;
    let server = Server::start(|_, number| match number {
        1 => Reply::Take(Box::new(|mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").unwrap();
        })),
        _ => Reply::with(200, &[], ""),
    });
    let ran = run(base(&server), &[get("/"), get("/"), get("/")]);
    assert_eq!(ran.log, ["r 200 OK", "r 0 Premature close", "r 200 OK"]);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn resources_follow_their_page_in_parallel() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/bad" => Reply::with(404, &[], ""),
        _ => Reply::with(200, &[], ""),
    });
    let resource = |name: &str, url: &str| json!({ "name": { "lit": name }, "spec": get(url) });
    let page = json!({ "name": "page", "method": "GET", "url": { "lit": "/" },
        "resources": [resource("one", "/1"), resource("two", "/bad")] });
    let ran = run(base(&server), std::slice::from_ref(&page));
    let mut log = ran.log.clone();
    log.sort();
    assert_eq!(log[0], "one 200 OK");
    assert_eq!(log[1], "page 200 OK");
    assert!(log[2].starts_with("two 404 "), "{log:?}");
    assert!(ran.failed);
    let mut broken = page;
    broken["url"] = json!({ "lit": "/bad" });
    assert_eq!(run(base(&server), &[broken]).log.len(), 1);
}

/// It is allocated, and moved, for every request.
#[test]
fn the_future_of_a_request_is_small() {
    let bound = bind(&MemorySources::default().shared(), json!({}));
    let spec = to_raw_value(&get("http://a.test/")).unwrap();
    let action = bound.action(&Expr::El("r".to_owned()), &spec).unwrap();
    let user = User { session: Session::new("s".into(), 0), scenario: 0, state: None };
    let future = action.run(user, test_host());
    let bytes = size_of_val(&*future);
    assert!(bytes <= 2_560, "{bytes} bytes");
}

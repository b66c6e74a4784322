//! The system under test: a small shop with a JSON API that counts every request it gets, so that a
//! report can be held against it, to the last one. Also a program (`onrush-target`), for the
//! quickstart. Refuses to be a real shop: there is no state besides the counts. Beside it, services
//! that do have state, and check each request by it.
//!
//! Reading order: `counts` (what was seen), `shop` (the answers), `strict` (the services that check),
//! this file (the server).

mod counts;
mod shop;
mod strict;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

pub use counts::{Arrivals, BUCKET_MS, Counts, Ids, Snapshot, Sources};
use strict::Strict;

/// The header by which a simulation names its requests, unless another is given.
pub const NAME_HEADER: &str = "x-request-name";
/// The query parameter by which a request says whose it is: the number of the arrival.
pub const ARRIVAL_PARAMETER: &str = "arrival";
/// A connection on which nothing comes is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
const BACKLOG: u32 = 4_096;
/// Open files that are not connections.
const FILES_SPARED: usize = 64;

/// How the target is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Header (or query parameter) whose value requests are counted by, besides method and path.
    pub name_marker: String,
    /// Added to every answer.
    pub latency: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { name_marker: NAME_HEADER.to_owned(), latency: Duration::ZERO }
    }
}

/// A target that listens, and does not answer yet.
#[derive(Debug)]
pub struct Target {
    listener: TcpListener,
    counts: Arc<Counts>,
    strict: Arc<Strict>,
    options: Arc<Options>,
}

impl Target {
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(address: SocketAddr, options: Options) -> anyhow::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address).with_context(|| format!("cannot bind {address}"))?;
        let listener =
            socket.listen(BACKLOG).with_context(|| format!("cannot listen {address}"))?;
        Ok(Self {
            listener,
            counts: Arc::default(),
            strict: Arc::default(),
            options: Arc::new(options),
        })
    }

    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Answers until the future is dropped.
    ///
    /// # Errors
    /// When connections cannot be accepted any more.
    pub async fn run(self) -> anyhow::Result<()> {
        let slots = Arc::new(Semaphore::new(connections_max()));
        loop {
            // Beyond that, connections wait in the backlog until others end.
            let slot = Arc::clone(&slots).acquire_owned().await?;
            let (socket, peer) = self.listener.accept().await.context("accept")?;
            // A peer that is gone already is nothing to stop for.
            let _ = socket.set_nodelay(true);
            self.counts.connection();
            let (counts, options) = (Arc::clone(&self.counts), Arc::clone(&self.options));
            let strict = Arc::clone(&self.strict);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let strict = Arc::clone(&strict);
                    answer(request, peer.ip(), Arc::clone(&counts), strict, Arc::clone(&options))
                });
                // An error is a connection that the load generator cut off.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(IDLE_TIMEOUT)
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
                drop(slot);
            });
        }
    }

    /// A target on a free port of loopback, in a thread of its own: for tests that block.
    ///
    /// # Panics
    /// When the machine has no free port.
    #[must_use]
    pub fn start() -> Running {
        Self::start_with(Options::default())
    }

    /// # Panics
    /// When the machine has no free port.
    #[must_use]
    pub fn start_with(options: Options) -> Running {
        let (told, tell) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            runtime.block_on(async move {
                let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
                let target = Self::bind(loopback, options).expect("a free port");
                let address = target.address().expect("bound");
                told.send((address, target.counts())).expect("the starter waits");
                tokio::select! {
                    ended = target.run() => drop(ended),
                    _ = stopped => {}
                }
            });
        });
        let (address, counts) = tell.recv().expect("the target starts");
        Running { address, counts, stop: Some(stop), thread: Some(thread) }
    }
}

/// A target in a thread; stops when it is dropped.
#[derive(Debug)]
pub struct Running {
    pub address: SocketAddr,
    pub counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// As many as the process may have open files, with some to spare for all else.
fn connections_max() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // One that cannot be raised stays what it is.
    let _ = setrlimit(Resource::Nofile, limit);
    let files = getrlimit(Resource::Nofile).current.and_then(|it| usize::try_from(it).ok());
    files
        .unwrap_or(Semaphore::MAX_PERMITS)
        .saturating_sub(FILES_SPARED)
        .clamp(1, Semaphore::MAX_PERMITS)
}

/// The service's error closes the connection without an answer: `/drop` wants that.
async fn answer(
    request: Request<Incoming>,
    from: IpAddr,
    counts: Arc<Counts>,
    strict: Arc<Strict>,
    options: Arc<Options>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let path = request.uri().path();
    if let Some(control) = path.strip_prefix("/__") {
        if control == "reset" {
            strict.reset();
        }
        return Ok(control_answer(control, &request, &counts));
    }
    let name = request
        .headers()
        .get(options.name_marker.as_str())
        .and_then(|value| value.to_str().ok())
        .or_else(|| shop::query_value(request.uri().query(), &options.name_marker));
    let _under_way = counts.request(from, request.method().as_str(), path, name);
    let arrival = shop::query_value(request.uri().query(), ARRIVAL_PARAMETER);
    if let (Some(name), Some(id)) = (name, arrival.and_then(|text| text.parse().ok())) {
        counts.arrival(name, id);
    }
    if !options.latency.is_zero() {
        tokio::time::sleep(options.latency).await;
    }
    let response = if Strict::serves(path) {
        let (response, violation) = strict.answer(request).await;
        if let Some(what) = violation {
            counts.violation(&what);
        }
        response
    } else {
        shop::answer(request).await?
    };
    counts.response(response.status().as_u16());
    Ok(response)
}

fn control_answer(
    control: &str,
    request: &Request<Incoming>,
    counts: &Counts,
) -> Response<Full<Bytes>> {
    match (request.method().as_str(), control) {
        ("GET", "counts") => shop::json(200, &counts.snapshot()),
        ("GET", "arrivals") => shop::json(200, &counts.arrivals()),
        ("GET", "ids") => shop::json(200, &counts.ids()),
        ("GET", "times") => shop::json(200, &counts.times()),
        ("GET", "sources") => shop::json(200, &counts.sources()),
        ("POST", "reset") => {
            counts.reset();
            shop::json(200, &serde_json::json!({"reset": true}))
        }
        _ => shop::json(
            404,
            &serde_json::json!({"error": "counts, arrivals, ids, times, sources or reset"}),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    struct Web(Running, ureq::Agent);

    impl Web {
        fn start() -> Self {
            let config = ureq::Agent::config_builder().http_status_as_error(false).build();
            Self(Target::start(), config.into())
        }

        fn get(&self, path: &str) -> (u16, String) {
            let call = self.1.get(format!("{}{path}", self.0.url())).header(NAME_HEADER, "named");
            let mut response = call.call().unwrap();
            (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
        }

        fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
            let mut call = self.1.post(format!("{}{path}", self.0.url()));
            for (name, value) in headers {
                call = call.header(*name, *value);
            }
            let mut response = call.send(body).unwrap();
            let text = response.body_mut().read_to_string().unwrap();
            (response.status().as_u16(), serde_json::from_str(&text).unwrap())
        }
    }

    #[test]
    fn what_is_out_of_order_is_a_violation() {
        let web = Web::start();
        assert_eq!(web.get("/bank/login").0, 200);
        assert_eq!(web.get("/bank/overview").0, 422);
        let body = "{\"hold\":\"none\"}";
        let (status, said) =
            web.post("/tickets/orders", &[("content-type", "application/json")], body);
        assert_eq!(
            (status, said["error"].as_str()),
            (422, Some("POST /tickets/orders: none is not held"))
        );
        let violations = web.0.counts.snapshot().violations;
        assert_eq!(
            violations.keys().collect::<Vec<_>>(),
            ["GET /bank/overview: \"\" is no session", "POST /tickets/orders: none is not held"]
        );
    }

    #[test]
    fn the_shop_sells() {
        let web = Web::start();
        assert!(web.get("/").1.contains("<title>Onrush shop</title>"));
        let products: Value = serde_json::from_str(&web.get("/api/products").1).unwrap();
        assert_eq!(products[0]["id"], 1);
        assert_eq!(web.get("/products/7").0, 200);
        assert_eq!(web.get("/products/7000").0, 404);
        let login = web.post("/api/login", &[], "{\"user\":\"ada\",\"password\":\"x\"}").1;
        let token = format!("Bearer {}", login["token"].as_str().unwrap());
        let order = "{\"product\": 7}";
        assert_eq!(web.post("/api/orders", &[], order).0, 401);
        let (status, made) = web.post("/api/orders", &[("authorization", &token)], order);
        assert_eq!((status, made["id"].as_str()), (201, Some("order-7")));
        assert_eq!(web.get("/help"), (200, "help@shop.test\n".to_owned()));
        assert_eq!(web.get("/status/503").0, 503);
        assert_eq!(web.get("/redirect/3").0, 200);
        assert_eq!(web.get("/nothing").0, 404);
        let echo: Value = serde_json::from_str(&web.get("/echo?user=ada").1).unwrap();
        assert_eq!(echo["query"], "user=ada");
    }

    #[test]
    fn a_request_says_whose_it_is() {
        let web = Web::start();
        for arrival in ["3", "4", "3", "x"] {
            web.get(&format!("/echo?arrival={arrival}"));
        }
        let seen: Value = serde_json::from_str(&web.get("/__ids").1).unwrap();
        let expected = serde_json::json!({"distinct": 2, "doubled": {"3": 2}, "seen": [[3, 4]]});
        assert_eq!(seen, serde_json::json!({"named": expected}));
    }

    #[test]
    fn every_request_is_counted_and_control_is_not() {
        let web = Web::start();
        for _ in 0..5 {
            web.get("/products");
        }
        web.post("/echo", &[], "x");
        let seen: Snapshot = serde_json::from_str(&web.get("/__counts").1).unwrap();
        assert_eq!(seen, web.0.counts.snapshot());
        assert_eq!((seen.total, seen.by_route["GET /products"], seen.by_name["named"]), (6, 5, 5));
        assert_eq!(seen.by_status[&200], 6);
        let arrivals: Arrivals = serde_json::from_str(&web.get("/__arrivals").1).unwrap();
        assert_eq!(arrivals.counts.iter().sum::<u64>(), 6);
        web.post("/__reset", &[], "");
        assert_eq!(web.0.counts.snapshot().total, 0);
    }
}

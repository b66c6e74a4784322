//! The system under test: a small shop with a JSON API that counts every request it gets, so that a
//! report can be held against it, to the last one. Also a program (`onrush-target`), for the
//! quickstart. Refuses to be a real shop: there is no state besides the counts and the carts.
//!
//! Reading order: `counts` (what was seen), `shop` (the answers), this file (the server).

mod counts;
mod shop;

use std::net::SocketAddr;
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
use tokio::sync::oneshot;

pub use counts::{Arrivals, BUCKET_MS, Counts, Snapshot};

/// The header by which a simulation names its requests, unless another is given.
pub const NAME_HEADER: &str = "x-request-name";
/// A connection on which nothing comes is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
const BACKLOG: u32 = 4_096;

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
        Ok(Self { listener, counts: Arc::default(), options: Arc::new(options) })
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
        loop {
            let (socket, _) = self.listener.accept().await.context("accept")?;
            // A peer that is gone already is nothing to stop for.
            let _ = socket.set_nodelay(true);
            self.counts.connection();
            let (counts, options) = (Arc::clone(&self.counts), Arc::clone(&self.options));
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&counts), Arc::clone(&options))
                });
                // An error is a connection that the load generator cut off.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(IDLE_TIMEOUT)
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
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

/// The service's error closes the connection without an answer: `/drop` wants that.
async fn answer(
    request: Request<Incoming>,
    counts: Arc<Counts>,
    options: Arc<Options>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let path = request.uri().path();
    if let Some(control) = path.strip_prefix("/__") {
        return Ok(control_answer(control, &request, &counts));
    }
    let name = request
        .headers()
        .get(options.name_marker.as_str())
        .and_then(|value| value.to_str().ok())
        .or_else(|| shop::query_value(request.uri().query(), &options.name_marker));
    counts.request(request.method().as_str(), path, name);
    if !options.latency.is_zero() {
        tokio::time::sleep(options.latency).await;
    }
    let response = shop::answer(request).await?;
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
        ("POST", "reset") => {
            counts.reset();
            shop::json(200, &serde_json::json!({"reset": true}))
        }
        _ => shop::json(404, &serde_json::json!({"error": "counts, arrivals or reset"})),
    }
}

//! The recording target: answers as a case's pages say, and logs every request in order, as it was
//! on the wire. Listens on two addresses (two origins) and keeps a third that refuses connections.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::pages::{Page, Pages};
use super::stream::Stream;
use super::wire::{self, Answer, Request};

/// Tells the users of a case apart; cases set it to what they like.
pub const USER_HEADER: &str = "x-user";

/// Far more than reading what a client that has ended sent.
const STREAMS_END_MAX: Duration = Duration::from_secs(5);

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Value of [`USER_HEADER`], or empty.
    pub user: String,
    /// Connections count from 1, in order of arrival.
    pub connection: u32,
    /// Arrived at the second address.
    pub other: bool,
    pub at: Instant,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What came over the WebSocket that it opened.
    pub stream: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Seen>,
    connections: u32,
    turns: BTreeMap<(String, String, String), usize>,
    /// Streams whose client has not gone yet.
    open: usize,
}

/// A target that runs until the process ends: its threads wait in system calls and cost nothing.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    pub other: SocketAddr,
    /// Nobody listens there.
    pub closed: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
    pages: Arc<Pages>,
}

impl Target {
    /// # Errors
    /// When no port is free.
    pub fn start(pages: Pages) -> anyhow::Result<Self> {
        let bind = || TcpListener::bind(("127.0.0.1", 0)).context("a port of loopback");
        let (first, second, third) = (bind()?, bind()?, bind()?);
        let target = Self {
            address: first.local_addr()?,
            other: second.local_addr()?,
            closed: third.local_addr()?,
            state: Arc::default(),
            pages: Arc::new(pages),
        };
        for (listener, other) in [(first, false), (second, true)] {
            let target = target.clone();
            std::thread::spawn(move || {
                for socket in listener.incoming().flatten() {
                    let target = target.clone();
                    // An error is a peer that has gone.
                    std::thread::spawn(move || target.serve(socket, other));
                }
            });
        }
        Ok(target)
    }

    /// What simulations are given: `target`, `other` and `closed`, each as `http://…`.
    #[must_use]
    pub fn parameters(&self) -> [String; 3] {
        let named = [("target", self.address), ("other", self.other), ("closed", self.closed)];
        named.map(|(name, address)| format!("{name}=http://{address}"))
    }

    /// Everything that arrived, in order, once the streams of a client that has ended are read.
    #[must_use]
    pub fn log(&self) -> Vec<Seen> {
        let streaming = |state: &mut State| state.open > 0;
        let waited = self.state.1.wait_timeout_while(self.state(), STREAMS_END_MAX, streaming);
        waited.unwrap_or_else(PoisonError::into_inner).0.log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_in_stream(&self, seen: usize, what: String) {
        if let Some(seen) = self.state().log.get_mut(seen) {
            seen.stream.push(what);
        }
    }

    /// Puts this run's addresses in place of their names.
    pub(super) fn filled(&self, text: &str) -> String {
        text.replace("TARGET", &self.address.to_string())
            .replace("OTHER", &self.other.to_string())
            .replace("CLOSED", &self.closed.to_string())
    }

    /// The other way: this run's addresses by their names.
    #[must_use]
    pub fn named(&self, text: &str) -> String {
        let mut out = text.to_owned();
        let named = [("TARGET", self.address), ("OTHER", self.other), ("CLOSED", self.closed)];
        for (name, address) in named {
            out = out.replace(&address.to_string(), name);
            let escaped = address.to_string().replace(':', "%3A");
            out = out.replace(&escaped, name);
            // `.test` is what aliases end in.
            for host in ["localhost", ".test"] {
                let port = format!("{host}:{}", address.port());
                out = out.replace(&port, &format!("{host}-{name}"));
            }
        }
        out
    }

    fn serve(&self, mut socket: TcpStream, other: bool) -> anyhow::Result<()> {
        socket.set_nodelay(true)?;
        let connection = {
            let mut state = self.state();
            state.connections += 1;
            state.connections
        };
        let mut reader = BufReader::new(socket.try_clone()?);
        while let Some(request) = wire::read(&mut reader)? {
            let (seen, page) = self.note(&request, connection, other);
            if let Some(ms) = page.orders.get("delay") {
                std::thread::sleep(Duration::from_millis(ms.parse()?));
            }
            if page.orders.contains_key("reset") {
                // What has not been read when a socket is dropped makes the kernel send a reset.
                reset_when_dropped(&socket)?;
                return Ok(());
            }
            if page.orders.contains_key("close") {
                break;
            }
            if let Some(script) = &page.script {
                let _open = Open::new(self);
                let stream = Stream { target: self, page: &page, seen };
                if page.status == 101 {
                    return stream.upgrade(&request, socket, &reader, script);
                }
                if stream.events(socket.try_clone()?, script)? {
                    continue;
                }
                return Ok(());
            }
            wire::write(&mut socket, &self.answer(&page, &request)?)?;
            let last = request.header("connection").is_some_and(|value| value == "close");
            if last || page.orders.contains_key("half") {
                break;
            }
        }
        socket.shutdown(Shutdown::Both)?;
        Ok(())
    }

    fn note(&self, request: &Request, connection: u32, other: bool) -> (usize, Page) {
        let user = request.header(USER_HEADER).unwrap_or_default().to_owned();
        let path = request.target.split('?').next().unwrap_or_default().to_owned();
        let mut state = self.state();
        let turns = state.turns.entry((user.clone(), request.method.clone(), path.clone()));
        let turn = turns.or_default();
        let page = self.pages.find(&request.method, &path, *turn).cloned();
        *turn += 1;
        state.log.push(Seen {
            user,
            connection,
            other,
            at: Instant::now(),
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            stream: Vec::new(),
        });
        let other = || if path == "/echo" { echo(request) } else { fine() };
        (state.log.len() - 1, page.unwrap_or_else(other))
    }

    fn answer(&self, page: &Page, request: &Request) -> anyhow::Result<Answer> {
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in &page.headers {
            headers.push((name.clone(), self.filled(value)));
        }
        let mut body = self.filled(&page.body).into_bytes();
        if page.orders.contains_key("gzip") {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&body)?;
            body = encoder.finish()?;
            headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
        }
        if page.orders.contains_key("deflate") {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&body)?;
            body = encoder.finish()?;
            headers.push(("content-encoding".to_owned(), "deflate".to_owned()));
        }
        Ok(Answer {
            status: page.status,
            headers,
            body,
            chunked: page.orders.contains_key("chunked"),
            half: page.orders.contains_key("half"),
            without_body: request.method == "HEAD",
        })
    }
}

pub(super) fn reset_when_dropped(socket: &TcpStream) -> anyhow::Result<()> {
    socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
    Ok(())
}

/// Counts a stream as long as it is served.
struct Open<'a>(&'a Target);

impl<'a> Open<'a> {
    fn new(target: &'a Target) -> Self {
        target.state().open += 1;
        Self(target)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.state().open -= 1;
        self.0.state.1.notify_all();
    }
}

fn fine() -> Page {
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    Page { status: 200, headers, body: "ok".to_owned(), ..Page::default() }
}

fn echo(request: &Request) -> Page {
    let kind = request.header("content-type").unwrap_or("text/plain");
    let headers = vec![("content-type".to_owned(), kind.to_owned())];
    let body = String::from_utf8_lossy(&request.body).into_owned();
    Page { status: 200, headers, body, ..Page::default() }
}

//! The recording target: answers as a case's pages say, and logs every request in order, as it was
//! on the wire. Listens on two addresses (two origins) and keeps a third that refuses connections.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::pages::{Page, Pages};
use super::wire::{self, Answer, Request};

/// Tells the users of a case apart; cases set it to what they like.
pub const USER_HEADER: &str = "x-user";

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
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Seen>,
    connections: u32,
    turns: BTreeMap<(String, String, String), usize>,
}

/// A target that runs until the process ends: its threads wait in system calls and cost nothing.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    pub other: SocketAddr,
    /// Nobody listens there.
    pub closed: SocketAddr,
    state: Arc<Mutex<State>>,
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

    /// Everything that arrived so far, in order.
    #[must_use]
    pub fn log(&self) -> Vec<Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).log.clone()
    }

    /// Puts this run's addresses in place of their names.
    fn filled(&self, text: &str) -> String {
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
            out =
                out.replace(&format!("localhost:{}", address.port()), &format!("localhost-{name}"));
        }
        out
    }

    fn serve(&self, mut socket: TcpStream, other: bool) -> anyhow::Result<()> {
        socket.set_nodelay(true)?;
        let connection = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.connections += 1;
            state.connections
        };
        let mut reader = BufReader::new(socket.try_clone()?);
        while let Some(request) = wire::read(&mut reader)? {
            let page = self.note(&request, connection, other);
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
            wire::write(&mut socket, &self.answer(&page, &request)?)?;
            let last = request.header("connection").is_some_and(|value| value == "close");
            if last || page.orders.contains_key("half") {
                break;
            }
        }
        socket.shutdown(Shutdown::Both)?;
        Ok(())
    }

    fn note(&self, request: &Request, connection: u32, other: bool) -> Page {
        let user = request.header(USER_HEADER).unwrap_or_default().to_owned();
        let path = request.target.split('?').next().unwrap_or_default().to_owned();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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
        });
        page.unwrap_or_else(|| if path == "/echo" { echo(request) } else { fine() })
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

fn reset_when_dropped(socket: &TcpStream) -> anyhow::Result<()> {
    socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
    Ok(())
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

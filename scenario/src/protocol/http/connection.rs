//! Connections: name resolution, TCP, TLS and HTTP/1.1 by hyper. The only file that names hyper, so
//! that another codec can take its place. ✖ IO.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tls;
use super::url::Url;
use crate::protocol::{ConnectionEvent, Host};
use crate::time::Micros;

/// Idle connections are closed after this.
const IDLE_MAX: Micros = 60_000_000;
/// A response body that is kept; one beyond it is a KO.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// Names a thread remembers.
const NAMES_MAX: usize = 1_000;
/// How long a resolved name is believed.
const NAME_LIFE: Micros = 30_000_000;

/// Why no response came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection ended before the response did.
    PrematureClose,
    /// The text of the KO.
    Text(String),
}

impl Failure {
    pub(super) fn text(&self) -> String {
        match self {
            Self::PrematureClose => "Premature close".to_owned(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A response, read to its end.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Still content-encoded; empty where it was not to be kept.
    pub body: Bytes,
    pub bytes_received: u64,
}

/// One HTTP/1.1 connection; one request at a time.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    pub address: SocketAddr,
    pub used: bool,
    idle_since: Micros,
}

impl Connection {
    /// Sends and reads to the last byte. `keep` says whether the body is wanted.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        keep: bool,
    ) -> Result<Answer, Failure> {
        self.sender.ready().await.map_err(|error| failure_of(&error))?;
        let response =
            self.sender.send_request(request).await.map_err(|error| failure_of(&error))?;
        let (head, body) = response.into_parts();
        let head_bytes: usize =
            head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let (body, length) = read_body(body, keep).await?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            bytes_received: head_bytes as u64 + 19 + length,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

async fn read_body(mut body: Incoming, keep: bool) -> Result<(Bytes, u64), Failure> {
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure_of(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if !keep {
            continue;
        }
        if length > BODY_BYTES_MAX {
            let text = format!("the response is larger than {} MiB", BODY_BYTES_MAX >> 20);
            return Err(Failure::Text(text));
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok((if rest.is_empty() { first } else { rest.into() }, length))
}

fn failure_of(error: &hyper::Error) -> Failure {
    let closed = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            return match inner.kind() {
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionAborted => Failure::PrematureClose,
                _ => Failure::Text(inner.to_string()),
            };
        }
        source = inner.source();
    }
    if closed { Failure::PrematureClose } else { Failure::Text(error.to_string()) }
}

/// Without the brackets of IPv6.
fn bare_host(url: &Url) -> &str {
    url.host.trim_start_matches('[').trim_end_matches(']')
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Remote {
    https: bool,
    host: String,
    port: u16,
}

impl Remote {
    fn of(url: &Url) -> Self {
        Self { https: url.secure, host: url.host.clone(), port: url.port }
    }
}

/// Idle connections of one user, or of one thread where they are shared.
#[derive(Default)]
pub(super) struct Pool {
    idle: Vec<(Remote, Connection)>,
}

impl Pool {
    /// The oldest idle connection to there that still lives.
    pub(super) fn take(&mut self, url: &Url, now: Micros) -> Option<Connection> {
        self.idle.retain(|(_, it)| it.is_open() && now.saturating_sub(it.idle_since) < IDLE_MAX);
        let at = self.idle.iter().position(|(remote, _)| {
            remote.port == url.port && remote.host == url.host && remote.https == url.secure
        })?;
        Some(self.idle.remove(at).1)
    }

    pub(super) fn put(&mut self, url: &Url, mut connection: Connection, now: Micros) {
        if connection.is_open() {
            connection.used = true;
            connection.idle_since = now;
            self.idle.push((Remote::of(url), connection));
        }
    }
}

/// Addresses, and until when they are believed.
type Resolved = (Micros, Vec<SocketAddr>);

/// What opens connections on one thread.
pub(super) struct Dialer {
    tls: TlsConnector,
    names: RefCell<HashMap<(String, u16), Resolved>>,
}

impl Dialer {
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new() -> Result<Self, String> {
        let tls = TlsConnector::from(Arc::new(tls::trusting_config()?));
        Ok(Self { tls, names: RefCell::default() })
    }

    /// # Errors
    /// As Gatling words it, without the JVM's class names.
    pub(super) async fn connect(
        &self,
        url: &Url,
        timeout: Micros,
        host: &Rc<dyn Host>,
    ) -> Result<Connection, Failure> {
        let outcome = self.open(url, timeout, host).await;
        host.connection(match &outcome {
            Ok(_) => ConnectionEvent::Opened,
            Err(Failure::Text(text)) if text.starts_with("local: ") => ConnectionEvent::LocalFault,
            Err(_) => ConnectionEvent::Failed,
        });
        outcome
    }

    async fn open(
        &self,
        url: &Url,
        timeout: Micros,
        host: &Rc<dyn Host>,
    ) -> Result<Connection, Failure> {
        let addresses = self.resolve(url, host.now()).await?;
        let limit = Duration::from_micros(timeout);
        let mut last = Failure::Text(format!("{}: no address", url.host));
        for address in addresses {
            let connecting = TcpStream::connect(address);
            let stream = match tokio::time::timeout(limit, connecting).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    last = Failure::Text(connect_text(&error));
                    continue;
                }
                Err(_) => {
                    let (name, millis) = (&url.host, timeout / 1_000);
                    let text = format!("connection timed out after {millis} ms: {name}/{address}");
                    last = Failure::Text(text);
                    continue;
                }
            };
            // A socket that cannot be told so is only slower.
            let _ = stream.set_nodelay(true);
            return self.speak(url, stream, address, limit, host).await;
        }
        Err(last)
    }

    async fn speak(
        &self,
        url: &Url,
        stream: TcpStream,
        address: SocketAddr,
        limit: Duration,
        host: &Rc<dyn Host>,
    ) -> Result<Connection, Failure> {
        let sender = if url.secure {
            let name = ServerName::try_from(bare_host(url).to_owned())
                .map_err(|error| Failure::Text(format!("{}: {error}", url.host)))?;
            let handshake = tokio::time::timeout(limit, self.tls.connect(name, stream));
            let stream = handshake
                .await
                .map_err(|_| {
                    let millis = limit.as_millis();
                    Failure::Text(format!("handshake timed out after {millis}ms"))
                })?
                .map_err(|error| Failure::Text(format!("TLS handshake failed: {error}")))?;
            handshake_http(TokioIo::new(stream), host).await?
        } else {
            handshake_http(TokioIo::new(stream), host).await?
        };
        Ok(Connection { sender, address, used: false, idle_since: 0 })
    }

    /// Off this thread, by the system's resolver; remembered for a while.
    async fn resolve(&self, url: &Url, now: Micros) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(ip) = bare_host(url).parse() {
            return Ok(vec![SocketAddr::new(ip, url.port)]);
        }
        let key = (url.host.clone(), url.port);
        if let Some((until, known)) = self.names.borrow().get(&key)
            && now < *until
        {
            return Ok(known.clone());
        }
        let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
        let mut addresses: Vec<SocketAddr> = match found {
            Ok(addresses) => addresses.collect(),
            Err(_) => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(Failure::Text(format!("{}: Name or service not known", url.host)));
        }
        // As the JVM does by default.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let mut names = self.names.borrow_mut();
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(key, (now + NAME_LIFE, addresses.clone()));
        Ok(addresses)
    }
}

async fn handshake_http<S>(
    io: TokioIo<S>,
    host: &Rc<dyn Host>,
) -> Result<SendRequest<Full<Bytes>>, Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .writev(false)
        .handshake(io)
        .await
        .map_err(|error| failure_of(&error))?;
    let host = Rc::clone(host);
    tokio::task::spawn_local(async move {
        // How it ended is told to the request in flight.
        let _ = connection.await;
        host.connection(ConnectionEvent::Closed);
    });
    Ok(sender)
}

/// What the target refused, and what this machine could not do.
fn connect_text(error: &io::Error) -> String {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const EADDRNOTAVAIL: i32 = 99;
    const ENOBUFS: i32 = 105;
    let code = error.raw_os_error().unwrap_or(0);
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match code {
        ENFILE | EMFILE | EADDRNOTAVAIL | ENOBUFS => format!("local: {text}"),
        _ => format!("finishConnect(..) failed with error(-{code}): {text}"),
    }
}

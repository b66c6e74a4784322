//! Connections: name resolution, TCP, TLS, and what speaks HTTP over them. ✖ IO.
//!
//! [`Connection`] is all that the requests see: another codec takes its place behind
//! [`Connection::exchange`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::h1::{self, H1, Io, Outgoing, Scratch};
use super::local;
use super::reader::Reader;
use super::tls;
use super::url::Url;
use crate::protocol::{ConnectionEvent, Host};
use crate::time::Micros;

/// Idle connections are closed after this.
const IDLE_MAX: Micros = 60_000_000;
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

/// One connection; one request at a time. Dropping it closes it.
pub(super) struct Connection {
    codec: H1,
    pub address: SocketAddr,
    pub used: bool,
    idle_since: Micros,
    /// Told of the end, if it is still there.
    host: Weak<dyn Host>,
}

impl Connection {
    /// Sends, and reads to the last byte.
    ///
    /// # Errors
    /// Why no answer came.
    pub(super) async fn exchange(
        &mut self,
        request: &Outgoing,
        reader: &mut Reader,
    ) -> Result<(), Failure> {
        self.codec.exchange(request, reader).await
    }

    pub(super) fn is_open(&mut self) -> bool {
        self.codec.is_open()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(host) = self.host.upgrade() {
            host.connection(ConnectionEvent::Closed);
        }
    }
}

/// Without the brackets of IPv6.
fn bare_host(url: &Url) -> &str {
    url.host.trim_start_matches('[').trim_end_matches(']')
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Remote {
    https: bool,
    host: Arc<str>,
    port: u16,
}

impl Remote {
    fn of(url: &Url) -> Self {
        Self { https: url.secure, host: Arc::clone(&url.host), port: url.port }
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
        self.idle
            .retain_mut(|(_, it)| it.is_open() && now.saturating_sub(it.idle_since) < IDLE_MAX);
        let at = self.idle.iter().position(|(remote, _)| {
            remote.port == url.port && remote.host == url.host && remote.https == url.secure
        })?;
        Some(self.idle.remove(at).1)
    }

    pub(super) fn put(&mut self, url: &Url, mut connection: Connection, now: Micros) {
        if connection.codec.is_idle() {
            connection.used = true;
            connection.idle_since = now;
            self.idle.push((Remote::of(url), connection));
        }
    }
}

/// Addresses, and until when they are believed.
type Resolved = (Micros, Vec<SocketAddr>);

/// How a user connects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dial {
    pub source: Option<IpAddr>,
    pub timeout: Micros,
}

/// What opens connections on one thread.
pub(super) struct Dialer {
    tls: TlsConnector,
    names: RefCell<HashMap<(Arc<str>, u16), Resolved>>,
    scratch: Scratch,
}

impl Dialer {
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new() -> Result<Self, String> {
        let tls = TlsConnector::from(Arc::new(tls::trusting_config()?));
        Ok(Self { tls, names: RefCell::default(), scratch: h1::scratch() })
    }

    /// # Errors
    /// As Gatling words it, without the JVM's class names.
    pub(super) async fn connect(
        &self,
        url: &Url,
        dial: Dial,
        host: &Rc<dyn Host>,
    ) -> Result<Connection, Failure> {
        let outcome = self.open(url, dial, host).await;
        host.connection(match &outcome {
            Ok(_) => ConnectionEvent::Opened,
            Err(Failure::Text(text)) if text.starts_with(local::MARK) => {
                ConnectionEvent::LocalFault
            }
            Err(_) => ConnectionEvent::Failed,
        });
        outcome
    }

    async fn open(
        &self,
        url: &Url,
        dial: Dial,
        host: &Rc<dyn Host>,
    ) -> Result<Connection, Failure> {
        let addresses = self.resolve(url, host.now()).await?;
        let limit = Duration::from_micros(dial.timeout);
        let mut last = Failure::Text(format!("{}: no address", url.host));
        for address in addresses {
            let connecting = connect(dial.source, address);
            let stream = match tokio::time::timeout(limit, connecting).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    last = Failure::Text(connect_text(&error, address));
                    continue;
                }
                Err(_) => {
                    let (name, millis) = (&url.host, dial.timeout / 1_000);
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
        let io: Box<dyn Io> = if url.secure {
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
            Box::new(stream)
        } else {
            Box::new(stream)
        };
        let codec = H1::new(io, Rc::clone(&self.scratch));
        Ok(Connection { codec, address, used: false, idle_since: 0, host: Rc::downgrade(host) })
    }

    /// Off this thread, by the system's resolver; remembered for a while.
    async fn resolve(&self, url: &Url, now: Micros) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(ip) = bare_host(url).parse() {
            return Ok(vec![SocketAddr::new(ip, url.port)]);
        }
        let key = (Arc::clone(&url.host), url.port);
        if let Some((until, known)) = self.names.borrow().get(&key)
            && now < *until
        {
            return Ok(known.clone());
        }
        let found = tokio::net::lookup_host((&*url.host, url.port)).await;
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

/// A source of the other family does not apply.
async fn connect(source: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let Some(source) = source.filter(|it| it.is_ipv4() == to.is_ipv4()) else {
        return TcpStream::connect(to).await;
    };
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(to).await
}

/// What the target refused, and what this machine could not do.
fn connect_text(error: &io::Error, to: SocketAddr) -> String {
    local::fault(error, to).unwrap_or_else(|| {
        let code = error.raw_os_error().unwrap_or(0);
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        format!("finishConnect(..) failed with error(-{code}): {text}")
    })
}

//! Connections that speak HTTP, and the pool of those that are idle. ✖ IO.
//!
//! [`Connection`] is all that the requests see: another codec takes its place behind
//! [`Connection::exchange`].

use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::h1::{H1, Outgoing};
use super::http2::Http2;
use super::proxy::Route;
use super::reader::Reader;
use super::url::Url;
use crate::protocol::{ConnectionEvent, Host};
use crate::time::Micros;

/// Idle connections are closed after this.
const IDLE_MAX: Micros = 60_000_000;

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

/// What is spoken over a connection.
enum Codec {
    H1(H1),
    /// Boxed: it is the larger and the rarer one.
    H2(Box<Http2>),
}

/// One connection, for one request at a time; of HTTP/2, a share in one. Dropping the last closes it.
pub(super) struct Connection {
    codec: Codec,
    pub address: SocketAddr,
    pub used: bool,
    idle_since: Micros,
    /// Told of the end, if it is still there.
    host: Weak<dyn Host>,
}

impl Connection {
    pub(super) fn http1(codec: H1, address: SocketAddr, host: &Rc<dyn Host>) -> Self {
        let host = Rc::downgrade(host);
        Self { codec: Codec::H1(codec), address, used: false, idle_since: 0, host }
    }

    pub(super) fn http2(codec: Http2, address: SocketAddr, host: &Rc<dyn Host>) -> Self {
        let (codec, host) = (Codec::H2(Box::new(codec)), Rc::downgrade(host));
        Self { codec, address, used: false, idle_since: 0, host }
    }

    /// Sends, and reads to the last byte.
    ///
    /// # Errors
    /// Why no answer came.
    pub(super) async fn exchange(
        &mut self,
        request: &Outgoing,
        reader: &mut Reader,
    ) -> Result<(), Failure> {
        match &mut self.codec {
            Codec::H1(codec) => codec.exchange(request, reader).await,
            // Boxed: what few requests need shall not make every request's future larger.
            Codec::H2(codec) => Box::pin(codec.exchange(request, reader)).await,
        }
    }

    pub(super) fn is_open(&mut self) -> bool {
        match &mut self.codec {
            Codec::H1(codec) => codec.is_open(),
            Codec::H2(codec) => codec.is_open(),
        }
    }

    /// As far as the last answer tells, another request can be sent.
    fn is_idle(&self) -> bool {
        match &self.codec {
            Codec::H1(codec) => codec.is_idle(),
            Codec::H2(codec) => codec.is_open(),
        }
    }

    /// Of HTTP/2: another request can be sent while others are on their way.
    fn share(&self) -> Option<Self> {
        let Codec::H2(codec) = &self.codec else { return None };
        Some(Self {
            codec: Codec::H2(codec.clone()),
            address: self.address,
            used: true,
            idle_since: self.idle_since,
            host: Weak::clone(&self.host),
        })
    }

    fn shares_with(&self, other: &Self) -> bool {
        match (&self.codec, &other.codec) {
            (Codec::H2(codec), Codec::H2(other)) => codec.is_same(other),
            _ => false,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let (Codec::H1(_), Some(host)) = (&self.codec, self.host.upgrade()) {
            host.connection(ConnectionEvent::Closed);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Remote {
    https: bool,
    host: Arc<str>,
    port: u16,
    /// [`Route::key`]: what has come by another way is another connection.
    route: Option<Rc<str>>,
}

impl Remote {
    fn of(url: &Url, route: Option<&Route>) -> Self {
        let route = route.map(|it| Rc::clone(&it.key));
        Self { https: url.secure, host: Arc::clone(&url.host), port: url.port, route }
    }
}

/// Idle connections of one user, or of one thread where they are shared.
#[derive(Default)]
pub(super) struct Pool {
    idle: Vec<(Remote, Connection)>,
}

impl Pool {
    /// The oldest idle connection to there that still lives.
    pub(super) fn take(
        &mut self,
        url: &Url,
        route: Option<&Route>,
        now: Micros,
    ) -> Option<Connection> {
        self.idle
            .retain_mut(|(_, it)| it.is_open() && now.saturating_sub(it.idle_since) < IDLE_MAX);
        let at = self.idle.iter().position(|(remote, _)| {
            remote.port == url.port
                && remote.host == url.host
                && remote.https == url.secure
                && remote.route.as_deref() == route.map(|it| &*it.key)
        })?;
        let shared = self.idle.get(at).and_then(|(_, it)| it.share());
        Some(shared.unwrap_or_else(|| self.idle.remove(at).1))
    }

    pub(super) fn put(
        &mut self,
        url: &Url,
        route: Option<&Route>,
        mut connection: Connection,
        now: Micros,
    ) {
        if connection.is_idle() {
            connection.used = true;
            connection.idle_since = now;
            if let Some((_, held)) =
                self.idle.iter_mut().find(|(_, it)| it.shares_with(&connection))
            {
                held.idle_since = now;
                return;
            }
            self.idle.push((Remote::of(url, route), connection));
        }
    }
}

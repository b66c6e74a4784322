//! Connections that speak HTTP, and the pool of those that are idle. ✖ IO.
//!
//! [`Connection`] is all that the requests see: another codec takes its place behind
//! [`Connection::exchange`].

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::Semaphore;

use super::fields::Fields;
use super::h1::{H1, Outgoing};
use super::http2::Http2;
use super::proxy::Route;
use super::reader::Reader;
use super::url::Url;
use crate::protocol::{ConnectionEvent, Host};
use crate::time::{Micros, to_millis};

/// Idle connections are closed after this.
const IDLE_MAX: Micros = 60_000_000;
/// How often those that nobody takes are looked at.
const SWEEP_PERIOD: Micros = 1_000_000;

/// Why no response came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection ended before the response did.
    PrematureClose,
    /// The text of the KO.
    Text(String),
}

impl Failure {
    /// What a connection says of itself.
    pub(super) fn of(error: &io::Error) -> Self {
        if is_gone(error.kind()) { Self::PrematureClose } else { Self::Text(error.to_string()) }
    }

    /// `address`: what was connected to, if anything.
    pub(super) fn timeout(url: &Url, address: Option<SocketAddr>, limit: Micros) -> Self {
        let Url { host, port, .. } = url;
        let to = address.map_or_else(|| format!("{host}:{port}"), |it| format!("{host}/{it}"));
        Self::Text(format!("Request timeout to {to} after {} ms", to_millis(limit)))
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::PrematureClose => "Premature close".to_owned(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// The peer has ended the connection.
pub(super) fn is_gone(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::NotConnected
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::WriteZero
    )
}

/// Tells the host of a connection's end when it is dropped, if the host is still there.
pub(super) struct Told(Weak<dyn Host>);

impl Told {
    pub(super) fn of(host: &Rc<dyn Host>) -> Self {
        Self(Rc::downgrade(host))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(host) = self.0.upgrade() {
            host.connection(ConnectionEvent::Closed);
        }
    }
}

/// A response, read to its end.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: Fields,
    /// Still content-encoded.
    pub body: Bytes,
    /// It was not to be kept: its beginning is there at most.
    pub body_cut: bool,
    pub bytes_received: u64,
    pub http2: bool,
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
}

impl Connection {
    pub(super) fn http1(codec: H1, address: SocketAddr) -> Self {
        Self { codec: Codec::H1(codec), address, used: false, idle_since: 0 }
    }

    pub(super) fn http2(codec: Http2, address: SocketAddr) -> Self {
        Self { codec: Codec::H2(Box::new(codec)), address, used: false, idle_since: 0 }
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

    /// It can be used once more.
    fn lives(&mut self, now: Micros) -> bool {
        now.saturating_sub(self.idle_since) < IDLE_MAX && self.is_open()
    }

    fn is_open(&mut self) -> bool {
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
    pub(super) fn share(&self) -> Option<Box<Self>> {
        let Codec::H2(codec) = &self.codec else { return None };
        Some(Box::new(Self {
            codec: Codec::H2(codec.clone()),
            address: self.address,
            used: true,
            idle_since: self.idle_since,
        }))
    }

    fn shares_with(&self, other: &Self) -> bool {
        match (&self.codec, &other.codec) {
            (Codec::H2(codec), Codec::H2(other)) => codec.is_same(other),
            _ => false,
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

    fn is(&self, url: &Url, route: Option<&Route>) -> bool {
        self.port == url.port
            && self.host == url.host
            && self.https == url.secure
            && self.route.as_deref() == route.map(|it| &*it.key)
    }
}

/// Idle connections of one user, or of one thread where they are shared. The oldest comes first.
#[derive(Default)]
pub(super) struct Pool {
    idle: VecDeque<(Remote, Box<Connection>)>,
    swept_at: Micros,
    /// Where somebody connects to, for all who want a share.
    dialing: Vec<(Remote, Rc<Semaphore>)>,
}

/// Who connects for others too; they go on when this is dropped.
pub(super) struct Dialing(Rc<Semaphore>);

impl Drop for Dialing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Pool {
    /// The oldest idle connection to there that still lives.
    pub(super) fn take(
        &mut self,
        url: &Url,
        route: Option<&Route>,
        now: Micros,
    ) -> Option<Box<Connection>> {
        self.sweep(now);
        loop {
            let at = self.idle.iter().position(|(remote, _)| remote.is(url, route))?;
            let (_, held) = self.idle.get_mut(at)?;
            if !held.lives(now) {
                self.idle.remove(at);
                continue;
            }
            let shared = held.share();
            return shared.or_else(|| self.idle.remove(at).map(|(_, it)| it));
        }
    }

    /// To ask all of them for every request would cost more than the request, where they are many.
    fn sweep(&mut self, now: Micros) {
        if now.saturating_sub(self.swept_at) >= SWEEP_PERIOD {
            self.swept_at = now;
            self.idle.retain_mut(|(_, it)| it.lives(now));
        }
    }

    pub(super) fn put(
        &mut self,
        url: &Url,
        route: Option<&Route>,
        mut connection: Box<Connection>,
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
            self.idle.push_back((Remote::of(url, route), connection));
        }
    }

    /// Lets the first who asks connect; the others wait for the semaphore's end.
    ///
    /// # Errors
    /// What is to be waited for.
    pub(super) fn dialing(
        &mut self,
        url: &Url,
        route: Option<&Route>,
    ) -> Result<Dialing, Rc<Semaphore>> {
        self.dialing.retain(|(_, it)| !it.is_closed());
        if let Some((_, first)) = self.dialing.iter().find(|(remote, _)| remote.is(url, route)) {
            return Err(Rc::clone(first));
        }
        let gate = Rc::new(Semaphore::new(0));
        self.dialing.push((Remote::of(url, route), Rc::clone(&gate)));
        Ok(Dialing(gate))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::super::h1;
    use super::super::tests::test_host;
    use super::*;

    /// A peer that is silent, or has gone; counts how often it is asked.
    struct Idle {
        asked: Rc<Cell<usize>>,
        gone: bool,
    }

    impl AsyncRead for Idle {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.asked.set(self.asked.get() + 1);
            if self.gone { Poll::Ready(Ok(())) } else { Poll::Pending }
        }
    }

    impl AsyncWrite for Idle {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    const SECOND: Micros = 1_000_000;

    struct Pooled {
        pool: Pool,
        asked: Rc<Cell<usize>>,
    }

    impl Pooled {
        fn new() -> Self {
            Self { pool: Pool::default(), asked: Rc::default() }
        }

        fn put(&mut self, url: &str, port: u16, gone: bool, now: Micros) {
            let host: Rc<dyn Host> = test_host();
            let io = Idle { asked: Rc::clone(&self.asked), gone };
            let codec = H1::new(Box::new(io), h1::scratch(), Told::of(&host));
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let connection = Connection::http1(codec, address);
            self.pool.put(&Url::parse(url, true).unwrap(), None, Box::new(connection), now);
        }

        fn take(&mut self, url: &str, now: Micros) -> Option<u16> {
            let taken = self.pool.take(&Url::parse(url, true).unwrap(), None, now)?;
            Some(taken.address.port())
        }
    }

    /// A thread may hold thousands of them: to ask each one for every request is the larger part of
    /// the request's cost.
    #[test]
    fn only_the_connection_that_is_taken_is_asked_whether_it_lives() {
        let mut pooled = Pooled::new();
        let now = 10 * SECOND;
        assert_eq!(pooled.take("http://a.test/", now), None);
        for port in 1..=100 {
            let host = if port % 2 == 0 { "a" } else { "b" };
            pooled.put(&format!("http://{host}.test/"), port, port == 2, now);
        }
        assert_eq!(pooled.take("http://a.test/", now + 1), Some(4));
        assert_eq!(pooled.asked.get(), 2);
        assert_eq!(pooled.take("https://a.test/", now + 2), None);
        assert_eq!(pooled.take("http://b.test/", now + 3), Some(1));
        assert_eq!(pooled.asked.get(), 3);
    }

    #[test]
    fn what_has_gone_or_was_idle_for_long_is_closed_in_time() {
        let mut pooled = Pooled::new();
        pooled.put("http://a.test/", 1, true, 0);
        pooled.put("http://a.test/", 2, false, 0);
        assert_eq!(pooled.take("http://other.test/", 5 * SECOND), None);
        assert_eq!(pooled.pool.idle.len(), 1);
        pooled.put("http://a.test/", 3, false, 60 * SECOND);
        assert_eq!(pooled.take("http://a.test/", 60 * SECOND), Some(3));
        assert_eq!(pooled.pool.idle.len(), 0);
    }
}

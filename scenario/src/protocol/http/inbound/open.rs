//! A request whose answer begins a stream: sent with the user's cookies and referer as any other,
//! counted under its name. ✖ IO.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;

use super::super::connection::{Failure, Told};
use super::super::cookies::Origin;
use super::super::dial::Dial;
use super::super::exec::Scope;
use super::super::fields::Fields;
use super::super::outgoing::OfUser;
use super::super::reader::Reader;
use super::super::request::Built;
use super::super::seen;
use super::super::wire::Wire;
use super::Verdict;
use crate::protocol::{Exchange, Message, Response};
use crate::session::Session;
use crate::time::Micros;

/// The request for a stream.
#[derive(Clone, Copy)]
pub(in super::super) struct Asked<'a> {
    pub name: &'a str,
    pub built: &'a Built,
    pub timeout: Micros,
    /// [`Dial::tunnel`]
    pub tunnel: bool,
    /// What is wrong with the answer's status and headers.
    pub accept: &'a dyn Fn(u16, &Fields) -> Result<(), String>,
}

/// A stream whose head has been read.
pub(in super::super) struct Opened {
    pub wire: Wire,
    pub reader: Reader,
    /// What came behind that which belongs to the answer.
    pub rest: Vec<u8>,
}

/// What came of a request, as it has been counted.
pub(in super::super) struct Outcome {
    pub stream: Result<Opened, String>,
    pub ended: Micros,
    pub time: Micros,
}

/// What has gone over the wire so far, whatever comes of it.
#[derive(Default)]
struct Moved {
    address: Option<SocketAddr>,
    code: u16,
    bytes_sent: u64,
    bytes_received: u64,
}

impl Scope<'_> {
    /// Opens, and counts.
    pub(in super::super) async fn open(&self, asked: Asked<'_>, session: &Session) -> Outcome {
        let id = self.host.request(&session.groups, asked.name);
        self.host.sent(id);
        let began = self.host.now();
        let mut moved = Moved::default();
        let stream = self.begin_within(asked, session, began, &mut moved).await;
        let ended = self.host.now();
        let time = ended.saturating_sub(began);
        let failure = stream.as_ref().err().map(String::as_str);
        let Moved { code, bytes_sent, bytes_received, .. } = moved;
        self.host.response(id, Response { failure, time, code, bytes_sent, bytes_received });
        Outcome { stream, ended, time }
    }

    /// Opens what was open before; nothing is counted.
    ///
    /// # Errors
    /// Why it does not go on.
    pub(in super::super) async fn reopen(
        &self,
        asked: Asked<'_>,
        session: &Session,
    ) -> Result<Opened, String> {
        self.begin_within(asked, session, self.host.now(), &mut Moved::default()).await
    }

    async fn begin_within(
        &self,
        asked: Asked<'_>,
        session: &Session,
        began: Micros,
        moved: &mut Moved,
    ) -> Result<Opened, String> {
        let Asked { built, timeout, accept, .. } = asked;
        let limit = Duration::from_micros(timeout);
        let work = self.begin(asked, session, began, moved);
        let opened = match tokio::time::timeout(limit, work).await {
            Ok(opened) => opened.map_err(|failure| failure.text())?,
            Err(_) => return Err(Failure::timeout(&built.url, moved.address, timeout).text()),
        };
        let (status, headers) = opened.reader.head();
        moved.code = status.as_u16();
        accept(moved.code, headers)?;
        Ok(opened)
    }

    /// Counts what is no request and answer: a frame, a close.
    pub(in super::super) fn count_message(
        &self,
        name: &str,
        session: &Session,
        failure: Option<&str>,
        time: Micros,
        bytes_sent: u64,
    ) -> Verdict {
        let id = self.host.request(&session.groups, name);
        self.host.sent(id);
        let response = Response { failure, time, code: 0, bytes_sent, bytes_received: 0 };
        self.host.response(id, response);
        Verdict { failed: failure.is_some(), response_time: time }
    }

    /// A message that is sent, for people who watch.
    pub(in super::super) fn show_message(&self, name: &str, head: &str, body: &[u8]) {
        if self.host.observes() {
            let sent =
                Message { head: head.to_owned(), headers: Vec::new(), body: body.to_vec().into() };
            let received = Ok(Message::default());
            self.host.exchange(Exchange { name: name.to_owned(), sent, received, time: 0 });
        }
    }

    async fn begin(
        &self,
        asked: Asked<'_>,
        session: &Session,
        began: Micros,
        moved: &mut Moved,
    ) -> Result<Opened, Failure> {
        let Asked { name, built, tunnel, .. } = asked;
        let now_ms = self.host.unix_ms();
        let origin = Origin::of(&built.url);
        let mut cookies = String::new();
        let referer = {
            let state = self.state.borrow();
            state.jar.header_into(&mut cookies, origin, now_ms);
            state.referer.clone()
        };
        let validators = Default::default();
        let of_user =
            OfUser { referer: referer.as_ref(), cookies: &cookies, validators: &validators };
        // Inside a tunnel the target is spoken to as if there were no proxy.
        let direct = tunnel.then(|| built.inside_tunnel());
        let request = self.outgoing(direct.as_ref().unwrap_or(built), &of_user, session)?;
        moved.bytes_sent = request.length() as u64;
        let way = self.dial(&built.url, built.route.as_deref());
        let dial = Dial { http2: false, tunnel, ..way };
        let stream = self.client.dialer.open(&built.url, dial, self.host).await?;
        moved.address = Some(stream.address);
        let mut wire = Wire::new(stream.io, Told::of(self.host));
        let mut reader = Reader::new(&Method::GET, true);
        let begun = wire.begin(&request, &mut reader).await;
        moved.bytes_received = reader.bytes_received();
        if self.host.observes() {
            let received = begun.as_ref().map(|_| head_of(&reader)).map_err(Failure::text);
            let time = self.host.now().saturating_sub(began);
            let sent = seen::sent(built, Some(&request));
            self.host.exchange(Exchange { name: name.to_owned(), sent, received, time });
        }
        let rest = begun?;
        self.state.borrow_mut().jar.store_all(reader.head().1, origin, now_ms);
        Ok(Opened { wire, reader, rest })
    }
}

fn head_of(reader: &Reader) -> Message {
    let (status, headers) = reader.head();
    let head = format!("HTTP/1.1 {status}");
    Message { head, headers: seen::pairs(headers), ..Message::default() }
}

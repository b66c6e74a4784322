//! The task behind an open event stream: it reads events, and opens the stream again when its
//! connection is lost. An answer that ends as it said it would ends the stream, as in Gatling; the
//! standard would ask for another. It ends with the user. ✖ IO.

use std::rc::Rc;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use tokio::io::AsyncReadExt as _;
use tokio::task::AbortHandle;

use super::super::decode::Decoder;
use super::super::fields::Fields;
use super::super::inbound::{Asked, Content, Ended, Inbound, Inbox, Opened, Owner};
use super::super::request::Built;
use super::super::wire::READ_BYTES;
use super::accept;
use super::event::{Event, Parser};
use crate::charset::latin1;
use crate::session::Session;
use crate::time::Micros;

/// Until the server says otherwise.
const RETRY_MS: u64 = 3_000;
/// A server that says 0 and hangs up would have its users do nothing but connect.
const RETRY_MS_MIN: u64 = 10;

const END_OF_STREAM: &str = "End of stream";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What ends the task when it is dropped.
pub(super) struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a connection ended.
enum End {
    /// The answer was complete: there is no more.
    Said,
    /// In the midst of it: the stream goes on over another connection.
    Lost,
}

/// A stream over as many connections as it takes.
pub(super) struct Feed {
    owner: Owner,
    /// Of its connect.
    name: String,
    built: Built,
    timeout: Micros,
    /// As it was when the stream was opened: what signs a request may ask for it.
    session: Session,
    inbox: Rc<Inbox>,
    retry_ms: u64,
}

impl Feed {
    pub(super) fn new(
        owner: Owner,
        name: &str,
        mut built: Built,
        timeout: Micros,
        session: Session,
        inbox: Rc<Inbox>,
    ) -> Self {
        built.spell(&LAST_EVENT_ID, "Last-Event-ID");
        Self { owner, name: name.to_owned(), built, timeout, session, inbox, retry_ms: RETRY_MS }
    }

    pub(super) fn start(mut self, opened: Opened) -> Running {
        let task = tokio::task::spawn_local(async move {
            let ended = self.follow(opened).await;
            self.inbox.end(ended);
        });
        Running(task.abort_handle())
    }

    /// Why it does not go on.
    async fn follow(&mut self, mut opened: Opened) -> Ended {
        loop {
            match self.read(opened).await {
                Ok(End::Said) => return Ended::Closed(END_OF_STREAM.to_owned()),
                Ok(End::Lost) => {}
                Err(text) => return Ended::Crashed(text),
            }
            let delay = self.retry_ms.max(RETRY_MS_MIN);
            tokio::time::sleep(Duration::from_millis(delay)).await;
            opened = match self.reconnect().await {
                Ok(opened) => opened,
                Err(text) => return Ended::Crashed(text),
            };
        }
    }

    /// Reads until the connection is lost.
    ///
    /// # Errors
    /// What is wrong with what came.
    async fn read(&mut self, opened: Opened) -> Result<End, String> {
        let Opened { mut wire, mut reader, .. } = opened;
        let encoding = reader.head().1.text(header::CONTENT_ENCODING.as_str()).unwrap_or_default();
        let mut decoder = Decoder::new(encoding)?;
        let mut parser = Parser::default();
        let mut buffer = [0; READ_BYTES];
        loop {
            let body = decoder.decode(reader.take_body())?;
            let mut rest = &body[..];
            while let Some(event) = parser.next(&mut rest)? {
                self.take(event).await;
            }
            if reader.is_done() {
                return Ok(End::Said);
            }
            let length = match wire.read(&mut buffer).await {
                Ok(length) if length > 0 => length,
                Ok(_) | Err(_) => return Ok(reader.end().map_or(End::Lost, |()| End::Said)),
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            reader.feed(bytes).map_err(|failure| failure.text())?;
        }
    }

    async fn take(&mut self, event: Event) {
        if let Some(retry) = event.retry {
            self.retry_ms = retry;
        }
        if let Some(id) = &event.id {
            let trailing = self.built.trailing.get_or_insert_default();
            // One that is empty, or that no header can hold, is not sent.
            match HeaderValue::from_bytes(&latin1(id)) {
                Ok(value) if !value.is_empty() => trailing.insert(LAST_EVENT_ID, value),
                _ => trailing.remove(LAST_EVENT_ID),
            };
        }
        self.inbox.room().await;
        let (at, unix_ms) = (self.owner.host.now(), self.owner.host.unix_ms());
        self.inbox.put(Inbound { at, unix_ms, content: Content::Text(event.json().into()) });
    }

    async fn reconnect(&self) -> Result<Opened, String> {
        let again = |status: u16, headers: &Fields| match status {
            204 => Err(END_OF_STREAM.to_owned()),
            _ => accept(status, headers),
        };
        let Self { name, built, timeout, session, .. } = self;
        let asked = Asked { name, built, timeout: *timeout, tunnel: false, accept: &again };
        self.owner.scope().reopen(asked, session).await
    }
}

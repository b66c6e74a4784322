//! HTTP/2 over a stream that is already there (RFC 9113): one connection, a stream for each request
//! in flight. A task of the connection's own moves its frames, so that settings, pings and a GOAWAY
//! are seen while nobody asks. ✖ IO.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::Reason;
use h2::client::{Builder, SendRequest};
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Uri, Version};

use super::connection::{Failure, Told, is_gone};
use super::fields::Fields;
use super::h1::{Io, Outgoing};
use super::outgoing::{is_chunked, of_one_chunk};
use super::reader::Reader;
use super::url::encoded;

/// What the peer may send ahead of a stream's reader, and of all of them.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// As HTTP/1.1's heads are bounded.
const HEADER_LIST_BYTES_MAX: u32 = 256 << 10;
/// Streams that the peer may reset before anybody has read them (a storm of RST_STREAM).
const PENDING_RESETS_MAX: usize = 64;
/// Headers of our own heads; more than a simulation sends.
const HEADERS_MAX: usize = 256;

/// One connection; its clones are streams of it.
#[derive(Clone)]
pub(super) struct Http2 {
    send: SendRequest<Bytes>,
    life: Rc<Life>,
}

/// Whether the connection still lives.
struct Life {
    ended: Cell<bool>,
    _told: Told,
}

impl Life {
    /// Of a stream. Where it is the connection's, no further request is sent over it, even if the
    /// connection's own task has yet to hear of it.
    fn failure_of(&self, error: &h2::Error) -> Failure {
        if error.is_go_away() || error.is_io() {
            self.ended.set(true);
        }
        failure_of(error)
    }
}

impl Http2 {
    /// # Errors
    /// When the peer does not speak it.
    pub(super) async fn new(io: Box<dyn Io>, told: Told) -> Result<Self, Failure> {
        let (send, connection) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .enable_push(false)
            .handshake::<_, Bytes>(io)
            .await
            .map_err(|error| failure_of(&error))?;
        let life = Rc::new(Life { ended: Cell::new(false), _told: told });
        let heard = Rc::downgrade(&life);
        // Ends when the last handle has gone, or with the connection.
        tokio::task::spawn_local(async move {
            // Each stream has the error too.
            let _ = connection.await;
            if let Some(life) = heard.upgrade() {
                life.ended.set(true);
            }
        });
        Ok(Self { send, life })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.life.ended.get()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.life, &other.life)
    }

    /// Sends, and reads to the last byte. Dropping the future resets the stream alone.
    ///
    /// # Errors
    /// Why no answer came.
    pub(super) async fn exchange(
        &self,
        outgoing: &Outgoing,
        reader: &mut Reader,
    ) -> Result<(), Failure> {
        let (request, body) = request_of(outgoing)?;
        let failed = |error: h2::Error| self.life.failure_of(&error);
        let mut send = self.send.clone().ready().await.map_err(failed)?;
        let (answer, mut stream) = send.send_request(request, body.is_empty()).map_err(failed)?;
        if !body.is_empty() {
            // Waits in the stream until the peer's window lets it go.
            stream.send_data(body, true).map_err(failed)?;
        }
        let (head, mut body) = answer.await.map_err(failed)?.into_parts();
        reader.begin_framed(head.status, Fields::from(&head.headers));
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(failed)?;
            reader.feed(&piece)?;
            // The peer may send as much again.
            body.flow_control().release_capacity(piece.len()).map_err(failed)?;
        }
        // Trailers say nothing that anybody asks for; the stream ends with them.
        poll_fn(|cx| body.poll_trailers(cx)).await.map_err(failed)?;
        reader.end()
    }
}

/// From the words of HTTP/1.1, which [`super::outgoing`] writes for both.
fn request_of(outgoing: &Outgoing) -> Result<(Request<()>, Bytes), Failure> {
    let wrong = |what: &str| Failure::Text(format!("HTTP/2: {what}"));
    let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut slots);
    let used = match parsed.parse(&outgoing.head) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Err(wrong("the request's head does not end")),
        Err(error) => return Err(wrong(&error.to_string())),
    };
    let (mut authority, mut chunked) = ("", false);
    let mut request = Request::new(());
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes())
            .map_err(|_| wrong("the name of a header is not one"))?;
        if name == header::HOST {
            authority =
                std::str::from_utf8(line.value).map_err(|_| wrong("the host is no text"))?;
        } else if name == header::TRANSFER_ENCODING {
            chunked = is_chunked(line.value);
        } else if !belongs_to_connection(&name) {
            let value = HeaderValue::from_bytes(line.value)
                .map_err(|_| wrong("the value of a header is not one"))?;
            request.headers_mut().append(name, value);
        }
    }
    let method = parsed.method.unwrap_or_default().as_bytes();
    *request.method_mut() =
        http::Method::from_bytes(method).map_err(|_| wrong("the method is not one"))?;
    let target = parsed.path.unwrap_or_default();
    let of = |target: &str| {
        Uri::builder().scheme("https").authority(authority).path_and_query(target).build()
    };
    // What a target has named may have characters that only HTTP/1.1 can carry.
    let uri = of(target).or_else(|_| of(&encoded(target)));
    *request.uri_mut() = uri.map_err(|error| wrong(&error.to_string()))?;
    *request.version_mut() = Version::HTTP_2;
    let body = if chunked {
        of_one_chunk(&outgoing.body)
    } else if outgoing.body.is_empty() {
        Bytes::copy_from_slice(&outgoing.head[used..])
    } else {
        outgoing.body.clone()
    };
    Ok((request, body))
}

/// RFC 9113, 8.2.2: such a header makes the request malformed.
fn belongs_to_connection(name: &HeaderName) -> bool {
    matches!(*name, header::CONNECTION | header::UPGRADE)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

fn failure_of(error: &h2::Error) -> Failure {
    let gone = error.get_io().is_some_and(|io| is_gone(io.kind()));
    // A peer that goes in peace has not worked on what it did not answer.
    let in_peace = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if gone || in_peace || refused {
        return Failure::PrematureClose;
    }
    Failure::Text(match error.reason() {
        Some(reason) if error.is_reset() => format!("HTTP/2 stream reset: {reason:?}"),
        Some(reason) if error.is_go_away() => format!("HTTP/2 connection ended: {reason:?}"),
        _ => format!("HTTP/2: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_said_in_http2s_words() {
        let head = "POST /a?b=1 HTTP/1.1\r\nX-Own: v\r\nConnection: keep-alive\r\n\
                    host: a.test:8443\r\ncontent-length: 2\r\n\r\nhi";
        let outgoing = Outgoing { head: head.into(), body: Bytes::new() };
        let (request, body) = request_of(&outgoing).unwrap();
        assert_eq!(request.uri(), "https://a.test:8443/a?b=1");
        assert_eq!(request.method(), "POST");
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-own", "content-length"]);
        assert_eq!(body, "hi");
        for (framed, body) in [("3\r\nabc\r\n0\r\n\r\n", "abc"), ("0\r\n\r\n", "")] {
            let head = "GET /a<b>?^ HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
            let outgoing = Outgoing { head: head.into(), body: framed.into() };
            let (request, plain) = request_of(&outgoing).unwrap();
            assert_eq!((&plain[..], request.headers().len()), (body.as_bytes(), 0));
            assert_eq!(request.uri(), "https://a/a%3Cb%3E?%5E");
        }
        let cut = Outgoing { head: b"GET / HTTP/1.1\r\n".to_vec(), body: Bytes::new() };
        let why = request_of(&cut).err().map(|failure| failure.text());
        assert_eq!(why.as_deref(), Some("HTTP/2: the request's head does not end"));
    }
}

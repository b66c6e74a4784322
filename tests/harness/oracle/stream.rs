//! The recording target's streams: WebSockets and event streams that do as their page's script says.
//! What a client sends over a WebSocket is logged with its handshake, in order.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::form::hex;
use super::pages::Page;
use super::script::{Script, Step};
use super::target::{Target, reset_when_dropped};
use super::wire::{self, Request};

/// Of RFC 6455.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A stream whose request is number `seen` of the log.
pub(super) struct Stream<'a> {
    pub target: &'a Target,
    pub page: &'a Page,
    pub seen: usize,
}

impl Stream<'_> {
    /// Says what is expected of a WebSocket unless the page says otherwise.
    pub(super) fn upgrade(
        &self,
        request: &Request,
        socket: TcpStream,
        reader: &BufReader<TcpStream>,
        script: &Script,
    ) -> anyhow::Result<()> {
        let key = request.header("sec-websocket-key").unwrap_or_default();
        let accept = STANDARD.encode(Sha1::digest(format!("{key}{GUID}")));
        let usual = [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", &accept),
        ];
        let mut headers = self.page.headers.clone();
        for (name, value) in usual {
            if !headers.iter().any(|(given, _)| given == name) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        let mut out = &socket;
        out.write_all(wire::head(self.page.status, &headers, "\r\n").as_bytes())?;
        let rest = reader.buffer().to_vec();
        self.converse(WebSocket::from_partially_read(socket, rest, Role::Server, None), script)
    }

    fn converse(&self, mut socket: WebSocket<TcpStream>, script: &Script) -> anyhow::Result<()> {
        let mut steps: Vec<Step> = script.first.clone();
        loop {
            for step in &steps {
                if !self.frame(&mut socket, step)? {
                    return Ok(());
                }
                if matches!(step, Step::Close(..)) {
                    // Whether a client answers it is not compared: Gatling does not.
                    while socket.read().is_ok() {}
                    return Ok(());
                }
            }
            steps = match socket.read() {
                Ok(Message::Text(text)) => {
                    self.note(format!("text {text}"));
                    let echo = || vec![Step::Send(text.to_string())];
                    script.on.get(text.as_str()).cloned().unwrap_or_else(echo)
                }
                Ok(Message::Binary(bytes)) => {
                    self.note(format!("binary {}", hex(&bytes)));
                    vec![Step::Binary(bytes.to_vec())]
                }
                Ok(Message::Close(frame)) => {
                    self.note(match frame {
                        Some(frame) => format!("close {} {}", u16::from(frame.code), frame.reason),
                        None => "close".to_owned(),
                    });
                    // Sends the answer to it; that it was the end shows when reading on.
                    socket.flush().or_else(gone)?;
                    Vec::new()
                }
                Ok(Message::Ping(bytes)) => {
                    self.note(format!("ping {}", String::from_utf8_lossy(&bytes)));
                    Vec::new()
                }
                Ok(Message::Pong(bytes)) => {
                    self.note(format!("pong {}", String::from_utf8_lossy(&bytes)));
                    Vec::new()
                }
                Ok(Message::Frame(_)) => Vec::new(),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(()),
                Err(_) => {
                    self.note("end".to_owned());
                    return Ok(());
                }
            };
        }
    }

    /// Whether the socket goes on.
    fn frame(&self, socket: &mut WebSocket<TcpStream>, step: &Step) -> anyhow::Result<bool> {
        match step {
            Step::Send(text) => socket.send(Message::text(self.target.filled(text)))?,
            Step::Parts(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    let kind = if index == 0 { Data::Text } else { Data::Continue };
                    let last = index + 1 == parts.len();
                    let bytes = part.clone().into_bytes();
                    let frame = Frame::message(bytes, OpCode::Data(kind), last);
                    socket.send(Message::Frame(frame))?;
                }
            }
            Step::Binary(bytes) => socket.send(Message::binary(bytes.clone()))?,
            Step::Ping(text) => socket.send(Message::Ping(text.clone().into()))?,
            Step::Wait(time) => std::thread::sleep(*time),
            Step::Close(code, reason) => {
                let frame = CloseFrame { code: (*code).into(), reason: reason.into() };
                socket.close(Some(frame)).or_else(gone)?;
            }
            Step::End | Step::Cut => {
                socket.get_ref().shutdown(Shutdown::Both)?;
                return Ok(false);
            }
            Step::Reset => {
                reset_when_dropped(socket.get_ref())?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn note(&self, what: String) {
        self.target.note_in_stream(self.seen, what);
    }

    /// An event stream; whether the connection is there for another request.
    pub(super) fn events(&self, mut socket: TcpStream, script: &Script) -> anyhow::Result<bool> {
        let chunked = self.page.orders.contains_key("chunked");
        let end = if chunked { "transfer-encoding: chunked\r\n\r\n" } else { "\r\n" };
        socket.write_all(wire::head(self.page.status, &self.page.headers, end).as_bytes())?;
        for step in &script.first {
            match step {
                Step::Send(text) => {
                    let text = self.target.filled(text);
                    let length = text.len();
                    let sent = if chunked { format!("{length:x}\r\n{text}\r\n") } else { text };
                    socket.write_all(sent.as_bytes())?;
                }
                Step::Wait(time) => std::thread::sleep(*time),
                Step::End if chunked => {
                    socket.write_all(b"0\r\n\r\n")?;
                    return Ok(true);
                }
                Step::End | Step::Cut => {
                    socket.shutdown(Shutdown::Both)?;
                    return Ok(false);
                }
                Step::Reset => {
                    reset_when_dropped(&socket)?;
                    return Ok(false);
                }
                other => anyhow::bail!("not of an event stream: {other:?}"),
            }
        }
        // It stays open as long as the client likes.
        let mut rest = [0; 64];
        while socket.read(&mut rest)? > 0 {}
        Ok(false)
    }
}

/// A socket that has closed is no error where it may have.
fn gone(error: Error) -> Result<(), Error> {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) => Ok(()),
        Error::Protocol(_) => Ok(()),
        other => Err(other),
    }
}

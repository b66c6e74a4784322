//! One open WebSocket of a user: a task reads it, answers pings and what is answered unasked, and
//! sends what the user's actions hand over. It ends with the user. ✖ IO.

use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::super::inbound::{Content, Ended, Inbound, Inbox, Opened, evaluated};
use super::super::spec::AutoReply;
use super::super::wire::{READ_BYTES, Wire};
use crate::expr::{HookArgs, HookOutcome};
use crate::protocol::Host;
use crate::session::Session;
use crate::value::Value;

const PREMATURE: &str = "Premature close";
/// Frames that wait to be sent.
const FRAMES_MAX: usize = 16;
/// A message beyond it ends the socket.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What ends the task when it is dropped.
pub(super) struct Running {
    frames: mpsc::Sender<Message>,
    limit: Duration,
    task: AbortHandle,
}

/// Of what could not be sent, because the server does not read.
fn stuck(limit: Duration) -> String {
    format!("WebSocket frame could not be sent within {} ms", limit.as_millis())
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    pub(super) fn start(
        opened: Opened,
        inbox: Rc<Inbox>,
        host: Rc<dyn Host>,
        replies: &[AutoReply],
        limit: Duration,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let (frames, to_send) = mpsc::channel(FRAMES_MAX);
        let Opened { wire, rest, .. } = opened;
        let replies = replies.to_vec();
        let task = tokio::task::spawn_local(async move {
            let stream =
                WebSocketStream::from_partially_read(wire, rest, Role::Client, Some(config)).await;
            let (mut sink, stream) = stream.split();
            // What is answered unasked waits behind the user's own frames, and for as long.
            let (answers, answers_to_send) = mpsc::channel(1);
            let mut reading = Reading { stream, inbox, host, replies, answers };
            let ended = tokio::select! {
                ended = reading.run() => ended,
                ended = send_all(&mut sink, to_send, answers_to_send, limit) => ended,
            };
            if matches!(ended, Ended::Closed(_)) {
                // The answer to it is on its way out; whether it arrives is nobody's concern.
                let _ = tokio::time::timeout(limit, sink.flush()).await;
            }
            reading.inbox.end(ended);
        });
        Self { frames, limit, task: task.abort_handle() }
    }

    /// Hands it over. Where the socket is gone its end is known, and tells whoever waits.
    ///
    /// # Errors
    /// That those before it have not been sent in all this time.
    pub(super) async fn send(&self, frame: Message) -> Result<(), String> {
        match tokio::time::timeout(self.limit, self.frames.send(frame)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(stuck(self.limit)),
        }
    }
}

type Sink = SplitSink<WebSocketStream<Wire>, Message>;

/// Sends until the socket or the user ends; reading goes on meanwhile, or two who both write before
/// they read would wait for each other.
async fn send_all(
    sink: &mut Sink,
    mut frames: mpsc::Receiver<Message>,
    mut answers: mpsc::Receiver<Message>,
    limit: Duration,
) -> Ended {
    loop {
        let next = tokio::select! {
            biased;
            frame = frames.recv() => frame,
            answer = answers.recv() => answer,
        };
        // None: nobody is left who could send.
        let Some(frame) = next else { return std::future::pending().await };
        match tokio::time::timeout(limit, sink.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Ended::Crashed(text_of(&error)),
            Err(_) => return Ended::Crashed(stuck(limit)),
        }
    }
}

/// A connection that is gone, however, reads as elsewhere.
fn text_of(error: &Error) -> String {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed => PREMATURE.to_owned(),
        Error::Io(error) if is_gone(error.kind()) => PREMATURE.to_owned(),
        error => error.to_string(),
    }
}

fn is_gone(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

struct Reading {
    stream: SplitStream<WebSocketStream<Wire>>,
    inbox: Rc<Inbox>,
    host: Rc<dyn Host>,
    replies: Vec<AutoReply>,
    answers: mpsc::Sender<Message>,
}

impl Reading {
    async fn run(&mut self) -> Ended {
        loop {
            self.inbox.room().await;
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => self.take_text(text.as_str().into()).await,
                Some(Ok(Message::Binary(bytes))) => self.put(Content::Binary(bytes)),
                Some(Ok(Message::Close(frame))) => {
                    let reason = frame.map(|it| it.reason.to_string()).unwrap_or_default();
                    return Ended::Closed(reason);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Ended::Crashed(text_of(&error)),
                None => return Ended::Closed(String::new()),
            }
        }
    }

    fn put(&self, content: Content) {
        let at = self.host.now();
        self.inbox.put(Inbound { at, unix_ms: self.host.unix_ms(), content });
    }

    /// What is answered unasked is offered to no check.
    async fn take_text(&mut self, text: Arc<str>) {
        let Some(reply) = self.reply_to(&text) else { return self.put(Content::Text(text)) };
        if !self.inbox.is_awaited() {
            self.put(Content::Text(text));
        }
        // One that cannot be sent shows when the next frame is read.
        let _ = self.answers.send(Message::text(reply)).await;
    }

    fn reply_to(&self, text: &Arc<str>) -> Option<String> {
        self.replies.iter().find_map(|reply| match reply {
            AutoReply::SocketIo4 => (&**text == "2").then(|| "3".to_owned()),
            AutoReply::Function(function) => {
                let session = Session::new("".into(), 0);
                let value = Value::Str(Arc::clone(text));
                let outcome = evaluated(&*self.host, |eval| {
                    eval.hooks.call(*function, &session, HookArgs::Value(&value))
                });
                match outcome {
                    Ok(HookOutcome::Value(Value::Str(reply))) => Some(reply.to_string()),
                    Ok(_) => None,
                    Err(text) => {
                        self.host.note(&format!("wsAutoReplyTextFrame failed: {text}"));
                        None
                    }
                }
            }
        })
    }
}

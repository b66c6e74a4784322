//! One open WebSocket of a user: a task reads it, answers pings and what is answered unasked, and
//! sends what the user's actions hand over. It ends with the user. ✖ IO.

use std::rc::Rc;
use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::super::inbound::{Content, Ended, Inbound, Inbox, Opened, evaluated};
use super::super::spec::AutoReply;
use super::super::wire::{READ_BYTES, Wire};
use crate::expr::{HookArgs, HookOutcome};
use crate::protocol::Host;
use crate::session::Session;
use crate::value::Value;

/// Frames that wait to be sent.
const COMMANDS_MAX: usize = 16;
/// A message beyond it ends the socket.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What ends the task when it is dropped.
pub(super) struct Running {
    commands: mpsc::Sender<Message>,
    task: AbortHandle,
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
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let Opened { wire, rest, .. } = opened;
        let replies = replies.to_vec();
        let task = tokio::task::spawn_local(async move {
            let stream =
                WebSocketStream::from_partially_read(wire, rest, Role::Client, Some(config)).await;
            Task { stream, inbox, host, replies }.run(receiver).await;
        });
        Self { commands, task: task.abort_handle() }
    }

    /// False where the socket is gone.
    pub(super) async fn send(&self, message: Message) -> bool {
        self.commands.send(message).await.is_ok()
    }
}

struct Task {
    stream: WebSocketStream<Wire>,
    inbox: Rc<Inbox>,
    host: Rc<dyn Host>,
    replies: Vec<AutoReply>,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Message>) {
        let ended = loop {
            self.inbox.room().await;
            let received = tokio::select! {
                received = self.stream.next() => received,
                command = commands.recv() => {
                    // None: the user has ended.
                    let Some(message) = command else { return };
                    if let Err(error) = self.stream.send(message).await {
                        break Ended::Crashed(error.to_string());
                    }
                    continue;
                }
            };
            match received {
                Some(Ok(Message::Text(text))) => self.take_text(text.as_str().into()).await,
                Some(Ok(Message::Binary(bytes))) => self.put(Content::Binary(bytes)),
                Some(Ok(Message::Close(frame))) => {
                    // The answer to it is on its way out; whether it arrives is nobody's concern.
                    let _ = self.stream.flush().await;
                    let reason = frame.map(|it| it.reason.to_string()).unwrap_or_default();
                    break Ended::Closed(reason);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => break Ended::Crashed(error.to_string()),
                None => break Ended::Closed(String::new()),
            }
        };
        self.inbox.end(ended);
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
        let _ = self.stream.send(Message::text(reply)).await;
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

//! WebSockets: actions on the sockets that a user keeps open. Each connect, send and close is
//! counted under its own name, each check under the check's.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::action::Client;
use super::body::{bytes_of, text_of};
use super::config::Config;
use super::exec::Scope;
use super::inbound::{
    Asked, Awaiting, Ended, Held, Inbox, Owner, Sequence, Streams, Target, UserStream, Verdict,
    evaluated,
};
use super::request::{Built, Template};
use crate::expr::{Compiled, EvalCtx, Expr, FnId};
use crate::protocol::{Action, Done, Host, User};
use crate::session::Session;
use crate::time::to_millis;

mod handshake;
mod socket;
pub mod spec;
#[cfg(test)]
pub(crate) mod tests;

use socket::Running;
use spec::{ConnectSpec, SendSpec, WsOp, WsSpec};

const WHAT: &str = "WebSocket";

/// An open socket, or one that was.
pub(super) struct Socket {
    inbox: Rc<Inbox>,
    running: Option<Running>,
    connect: Rc<Connect>,
    /// It is the same again at a reconnect.
    request: Option<Built>,
    /// As it is counted.
    connect_name: String,
    reconnects_left: u32,
}

impl UserStream for Socket {
    const NOUN: &'static str = WHAT;
    const ABSENT: &'static str = "webSocket";

    fn held(streams: &mut Streams) -> &mut Held<Self> {
        &mut streams.sockets
    }

    fn inbox(&self) -> &Inbox {
        &self.inbox
    }
}

struct Connect {
    template: Template,
    subprotocol: Option<Compiled>,
    awaits: Vec<Sequence>,
    connected: Option<Arc<str>>,
}

enum Op {
    Connect(Rc<Connect>),
    Send { content: Compiled, binary: bool, awaits: Vec<Sequence> },
    Close(CloseFrame),
    Process(FnId),
}

impl Op {
    fn send(spec: &SendSpec, binary: bool) -> Result<Self, String> {
        let awaits = Sequence::all(&spec.awaits)?;
        Ok(Self::Send { content: Compiled::new(&spec.content)?, binary, awaits })
    }
}

pub(super) struct WsAction {
    target: Target,
    op: Op,
}

/// Why an action did not come about: an error line, and the user has failed.
type Unbuilt = String;

impl WsAction {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(
        slot: usize,
        name: &Expr,
        spec: &WsSpec,
        config: &Rc<Config>,
        client: &Rc<Client>,
    ) -> Result<Self, String> {
        let op = match &spec.op {
            WsOp::Connect(spec) => Op::Connect(Rc::new(Connect::new(spec, config)?)),
            WsOp::SendText(spec) => Op::send(spec, false)?,
            WsOp::SendBytes(spec) => Op::send(spec, true)?,
            WsOp::Close(spec) => Op::Close(CloseFrame {
                code: spec.code.into(),
                reason: spec.reason.as_str().into(),
            }),
            WsOp::Process(function) => Op::Process(*function),
        };
        Ok(Self { target: Target::new(slot, name, &spec.socket, config, client)?, op })
    }
}

impl Connect {
    fn new(spec: &ConnectSpec, config: &Config) -> Result<Self, String> {
        Ok(Self {
            template: Template::compile_for(&spec.request, config, config.ws_bases())
                .map_err(of_ws)?,
            subprotocol: spec.subprotocol.as_ref().map(Compiled::new).transpose()?,
            awaits: Sequence::all(&spec.awaits)?,
            connected: spec.connected.as_deref().map(Arc::from),
        })
    }

    fn build<'a>(
        &'a self,
        scope: &Scope<'a>,
        session: &Session,
        known: Option<Built>,
    ) -> Result<(Built, Awaiting<'a>), Unbuilt> {
        evaluated(&**scope.host, |eval| {
            let mut built = match known {
                Some(built) => built,
                None => self.request(scope, session, eval)?,
            };
            handshake::renew_key(&mut built, eval.rng)?;
            let awaits = Awaiting::prepare(&self.awaits, WHAT, scope.host, session, eval)?;
            Ok((built, awaits))
        })
    }

    fn request(
        &self,
        scope: &Scope<'_>,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<Built, Unbuilt> {
        let (bases, files) = (scope.config.ws_bases(), &scope.client.files);
        let built = self.template.build_for(bases, files, session, eval);
        let mut built = built.map_err(of_ws)?;
        let subprotocol = self.subprotocol.as_ref();
        let subprotocol = subprotocol.map(|it| text_of(it, session, eval)).transpose()?;
        handshake::ask(&mut built, subprotocol.as_deref())?;
        Ok(built)
    }
}

fn of_ws(text: String) -> String {
    text.replace("No baseUrl defined", "No wsBaseUrl defined")
}

impl Action for WsAction {
    fn slot(&self) -> usize {
        self.target.slot()
    }

    fn run(self: Rc<Self>, mut user: User, host: Rc<dyn Host>) -> LocalBoxFuture<'static, Done> {
        Box::pin(async move {
            if let Op::Connect(connect) = &self.op {
                // Of an earlier one: whatever keeps this one from being opened, it is not.
                connect.tell(&mut user.session, false);
            }
            let work = async |owner: &Owner, name: &str, key: &Arc<str>, session: &mut Session| {
                self.perform(owner, name, key, session).await
            };
            self.target.carry_out(user, host, work).await
        })
    }
}

impl WsAction {
    async fn perform(
        &self,
        owner: &Owner,
        name: &str,
        key: &Arc<str>,
        session: &mut Session,
    ) -> Result<Verdict, Unbuilt> {
        let scope = &owner.scope();
        let fresh = match &self.op {
            Op::Connect(connect) => Some(Socket::new(connect, name, scope)),
            _ => None,
        };
        let keep = !matches!(self.op, Op::Close(_));
        let work = async |socket: &mut Socket| match &self.op {
            Op::Connect(_) => socket.open(scope, session).await,
            Op::Send { content, binary, awaits } => {
                let frame = frame(content, *binary, scope, session)?;
                socket.send(scope, name, frame, awaits, session).await
            }
            Op::Close(frame) => socket.close(scope, name, frame.clone(), session).await,
            Op::Process(function) => socket.inbox.process(*function, session, &**scope.host),
        };
        let verdict = owner.with_stream(key, fresh, keep, work).await;
        if matches!(self.op, Op::Process(_)) { owner.told(name, verdict) } else { verdict }
    }
}

fn frame(
    content: &Compiled,
    binary: bool,
    scope: &Scope<'_>,
    session: &Session,
) -> Result<Message, Unbuilt> {
    evaluated(&**scope.host, |eval| {
        if binary {
            return Ok(Message::Binary(bytes_of(&content.eval(session, eval)?)?));
        }
        Ok(Message::text(text_of(content, session, eval)?))
    })
}

impl Socket {
    fn new(connect: &Rc<Connect>, name: &str, scope: &Scope<'_>) -> Self {
        let spec = &scope.config.spec;
        Self {
            inbox: Rc::new(Inbox::of_frames(spec.ws_unmatched_max.unwrap_or(0))),
            running: None,
            connect: Rc::clone(connect),
            request: None,
            connect_name: name.to_owned(),
            reconnects_left: spec.ws_max_reconnects.unwrap_or(0),
        }
    }

    /// Connects, and waits for what is to be checked then.
    async fn open(&mut self, scope: &Scope<'_>, session: &mut Session) -> Result<Verdict, Unbuilt> {
        let connect = Rc::clone(&self.connect);
        let (built, awaits) = match connect.build(scope, session, self.request.take()) {
            Ok(both) => both,
            Err(text) => {
                connect.tell(session, false);
                return Err(text);
            }
        };
        let (name, timeout) = (&self.connect_name, connect.template.timeout);
        let trailing = built.trailing.as_deref();
        let accept = |status, headers: &_| handshake::accept(trailing, status, headers);
        // No proxy forwards what is no request and answer.
        let asked = Asked { name, built: &built, timeout, tunnel: true, accept: &accept };
        let outcome = scope.open(asked, session).await;
        connect.tell(session, outcome.stream.is_ok());
        self.request = Some(built);
        let opened = match outcome.stream {
            Ok(opened) => opened,
            Err(text) => {
                self.inbox.end(Ended::Crashed(text));
                return Ok(Verdict { failed: true, response_time: outcome.time });
            }
        };
        if !awaits.is_empty() {
            self.inbox.await_from_now();
        }
        let (inbox, host) = (Rc::clone(&self.inbox), Rc::clone(scope.host));
        let replies = &scope.config.spec.ws_auto_replies;
        let limit = Duration::from_micros(timeout);
        self.running = Some(Running::start(opened, inbox, host, replies, limit));
        let verdict = awaits.run(&self.inbox, session, outcome.ended).await;
        let response_time = verdict.response_time + outcome.time;
        Ok(Verdict { response_time, ..verdict })
    }

    async fn send(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        frame: Message,
        awaits: &[Sequence],
        session: &mut Session,
    ) -> Result<Verdict, Unbuilt> {
        let awaits = evaluated(&**scope.host, |eval| {
            Awaiting::prepare(awaits, WHAT, scope.host, session, eval)
        })?;
        let mut response_time = 0;
        self.inbox.forget_unmatched();
        if self.inbox.ended().is_some() {
            let kind = if matches!(frame, Message::Binary(_)) { "binary" } else { "text" };
            if self.reconnects_left == 0 {
                let text = format!(
                    "Client issued {kind} frame but server has closed the WebSocket and max \
                     reconnects is reached"
                );
                return Ok(scope.count_message(name, session, Some(&text), 0, 0));
            }
            self.reconnects_left -= 1;
            self.running = None;
            self.inbox.reopen();
            // Boxed: it is seldom needed.
            let opened = Box::pin(self.open(scope, session)).await?;
            if opened.failed {
                return Ok(opened);
            }
            response_time = opened.response_time;
        }
        if !awaits.is_empty() {
            self.inbox.await_from_now();
        }
        let start = scope.host.now();
        let length = frame.len() as u64;
        scope.show_message(name, "WebSocket frame", &frame.clone().into_data());
        if let Some(running) = &self.running
            && let Err(text) = running.send(frame).await
        {
            let time = scope.host.now().saturating_sub(start);
            self.inbox.end(Ended::Crashed(text.clone()));
            self.running = None;
            return Ok(scope.count_message(name, session, Some(&text), time, 0));
        }
        scope.count_message(name, session, None, 0, length);
        let verdict = awaits.run(&self.inbox, session, start).await;
        Ok(Verdict { response_time: verdict.response_time + response_time, ..verdict })
    }

    /// Sends a close frame and waits for the server's.
    async fn close(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        frame: CloseFrame,
        session: &Session,
    ) -> Result<Verdict, Unbuilt> {
        match self.inbox.ended() {
            // It was closed by the server: there is nothing to do, and nothing is counted.
            Some(Ended::Closed(_)) => return Ok(Verdict::default()),
            Some(Ended::Crashed(text)) => {
                let text =
                    format!("Client issued close order but WebSocket was already crashed: {text}");
                return Err(text);
            }
            None => {}
        }
        let start = scope.host.now();
        let timeout = self.connect.template.timeout;
        let limit = Duration::from_micros(timeout);
        let closing = async {
            if let Some(running) = &self.running
                && let Err(text) = running.send(Message::Close(Some(frame))).await
            {
                return Ended::Crashed(text);
            }
            self.inbox.closed().await
        };
        let failure = match tokio::time::timeout(limit, closing).await {
            Ok(Ended::Closed(_)) => None,
            Ok(Ended::Crashed(text)) => Some(text),
            Err(_) => {
                let millis = to_millis(timeout);
                Some(format!("WebSocket timed out while waiting for close ack ({millis} ms)"))
            }
        };
        let time = scope.host.now().saturating_sub(start);
        Ok(scope.count_message(name, session, failure.as_deref(), time, 0))
    }
}

impl Connect {
    /// For `onConnected`.
    fn tell(&self, session: &mut Session, connected: bool) {
        if let Some(attribute) = &self.connected {
            session.set(Arc::clone(attribute), connected.into());
        }
    }
}

//! Server-sent events: actions on the streams that a user keeps open. A connect and a close are
//! counted under their own names, each check under the check's; events that no check waits for are
//! not counted.
//!
//! A stream has a connection of its own, of HTTP/1.1, and no redirect is followed, as in Gatling.

use std::rc::Rc;
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use http::header;

use super::action::Client;
use super::config::Config;
use super::fields::Fields;
use super::inbound::{
    Asked, Awaiting, Ended, Held, Inbox, Owner, Sequence, Streams, Target, UserStream, Verdict,
    evaluated,
};
use super::request::{Built, Template};
use super::spec::{Header, RequestSpec};
use crate::expr::{Expr, FnId};
use crate::protocol::{Action, Done, Host, User};
use crate::session::Session;

mod event;
mod feed;
pub mod spec;
#[cfg(test)]
pub(crate) mod tests;

use feed::{Feed, Running};
use spec::{ConnectSpec, SseOp, SseSpec};

const WHAT: &str = "SSE";
const EVENT_STREAM: &str = "text/event-stream";

/// An open stream, or one that was.
pub(super) struct EventStream {
    inbox: Rc<Inbox>,
    /// Dropping it closes the connection.
    running: Option<Running>,
}

impl UserStream for EventStream {
    const NOUN: &'static str = "SSE stream";
    const ABSENT: &'static str = "sse";

    fn held(streams: &mut Streams) -> &mut Held<Self> {
        &mut streams.events
    }

    fn inbox(&self) -> &Inbox {
        &self.inbox
    }
}

struct Connect {
    template: Template,
    awaits: Vec<Sequence>,
}

enum Op {
    Connect(Box<Connect>),
    Check(Vec<Sequence>),
    Close,
    Process(FnId),
}

pub(super) struct SseAction {
    target: Target,
    op: Op,
}

/// Why an action did not come about: an error line, and the user has failed.
type Unbuilt = String;

impl SseAction {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(
        slot: usize,
        name: &Expr,
        spec: &SseSpec,
        config: &Rc<Config>,
        client: &Rc<Client>,
    ) -> Result<Self, String> {
        let op = match &spec.op {
            SseOp::Connect(spec) => Op::Connect(Box::new(Connect::new(spec, config)?)),
            SseOp::Check(sequences) => Op::Check(Sequence::all(sequences)?),
            SseOp::Close => Op::Close,
            SseOp::Process(function) => Op::Process(*function),
        };
        Ok(Self { target: Target::new(slot, name, &spec.stream, config, client)?, op })
    }

    async fn perform(
        &self,
        owner: &Owner,
        name: &str,
        key: &Arc<str>,
        session: &mut Session,
    ) -> Result<Verdict, Unbuilt> {
        let fresh = match &self.op {
            Op::Connect(_) => Some(EventStream::new(self.target.config.spec.sse_unmatched_max)),
            _ => None,
        };
        let keep = !matches!(self.op, Op::Close);
        let work = async |stream: &mut EventStream| match &self.op {
            Op::Connect(connect) => stream.open(connect, owner, name, session).await,
            Op::Check(sequences) => stream.check(sequences, &owner.host, session).await,
            Op::Close => stream.close(owner, name, session),
            Op::Process(function) => stream.inbox.process(*function, session, &*owner.host),
        };
        let verdict = owner.with_stream(key, fresh, keep, work).await;
        if matches!(self.op, Op::Process(_)) { owner.told(name, verdict) } else { verdict }
    }
}

impl Action for SseAction {
    fn slot(&self) -> usize {
        self.target.slot()
    }

    fn run(self: Rc<Self>, user: User, host: Rc<dyn Host>) -> LocalBoxFuture<'static, Done> {
        Box::pin(async move {
            let work = async |owner: &Owner, name: &str, key: &Arc<str>, session: &mut Session| {
                self.perform(owner, name, key, session).await
            };
            self.target.carry_out(user, host, work).await
        })
    }
}

/// With the headers of every such request; its own take their place.
fn asking(spec: &RequestSpec) -> RequestSpec {
    let mut spec = spec.clone();
    let standard = [(header::ACCEPT, EVENT_STREAM), (header::CACHE_CONTROL, "no-cache")];
    let standard = standard
        .map(|(name, value)| Header { name: name.to_string(), value: Expr::Lit(value.into()) });
    spec.headers.splice(..0, standard);
    spec
}

/// The texts are Gatling's.
fn accept(status: u16, headers: &Fields) -> Result<(), String> {
    if status != 200 {
        return Err(format!("Server returned http response with code {status}"));
    }
    let kind = headers.text(header::CONTENT_TYPE.as_str());
    match kind {
        Some(kind) if kind.starts_with(EVENT_STREAM) => Ok(()),
        _ => {
            let kind = kind.unwrap_or("null");
            Err(format!("Server returned http response with content-type {kind}"))
        }
    }
}

impl Connect {
    fn new(spec: &ConnectSpec, config: &Config) -> Result<Self, String> {
        Ok(Self {
            template: Template::compile(&asking(&spec.request), config)?,
            awaits: Sequence::all(&spec.awaits)?,
        })
    }

    fn build<'a>(
        &'a self,
        owner: &'a Owner,
        session: &Session,
    ) -> Result<(Built, Awaiting<'a>), Unbuilt> {
        let scope = owner.scope();
        evaluated(&*owner.host, |eval| {
            let files = &scope.client.files;
            let built = self.template.build(scope.config, files, session, eval)?;
            let awaits = Awaiting::prepare(&self.awaits, WHAT, &owner.host, session, eval)?;
            Ok((built, awaits))
        })
    }
}

impl EventStream {
    fn new(unmatched_max: Option<usize>) -> Self {
        Self { inbox: Rc::new(Inbox::new(unmatched_max.unwrap_or(0))), running: None }
    }

    /// Connects, and waits for what is to be checked then.
    async fn open(
        &mut self,
        connect: &Connect,
        owner: &Owner,
        name: &str,
        session: &mut Session,
    ) -> Result<Verdict, Unbuilt> {
        let built = connect.build(owner, session);
        let (built, awaits) = built?;
        let timeout = connect.template.timeout;
        let asked = Asked { name, built: &built, timeout, tunnel: false, accept: &accept };
        let outcome = owner.scope().open(asked, session).await;
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
        let feed =
            Feed::new(owner.clone(), name, built, timeout, session.clone(), Rc::clone(&self.inbox));
        self.running = Some(feed.start(opened));
        let verdict = awaits.run(&self.inbox, session, outcome.ended).await;
        let response_time = verdict.response_time + outcome.time;
        Ok(Verdict { response_time, ..verdict })
    }

    /// `setCheck()`: waits for events that come from now on.
    async fn check(
        &self,
        sequences: &[Sequence],
        host: &Rc<dyn Host>,
        session: &mut Session,
    ) -> Result<Verdict, Unbuilt> {
        let awaits =
            evaluated(&**host, |eval| Awaiting::prepare(sequences, WHAT, host, session, eval))?;
        match self.inbox.ended() {
            None => {}
            Some(Ended::Closed(_)) => return Err("Stream already closed".to_owned()),
            Some(Ended::Crashed(text)) => return Err(text),
        }
        if awaits.is_empty() {
            return Ok(Verdict::default());
        }
        self.inbox.forget_unmatched();
        self.inbox.await_from_now();
        Ok(awaits.run(&self.inbox, session, host.now()).await)
    }

    /// There is nothing to say to the server and nothing to wait for.
    fn close(&mut self, owner: &Owner, name: &str, session: &Session) -> Result<Verdict, Unbuilt> {
        self.running = None;
        match self.inbox.ended() {
            None | Some(Ended::Closed(_)) => {
                Ok(owner.scope().count_message(name, session, None, 0, 0))
            }
            Some(Ended::Crashed(text)) => {
                Err(format!("Client issued close order but SSE stream was already crashed: {text}"))
            }
        }
    }
}

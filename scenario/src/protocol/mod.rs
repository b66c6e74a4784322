//! Protocols: the registry, and what a protocol is to the engine. The engine knows no HTTP: it
//! hands an action a user and takes the user back when the action is done.
//!
//! To add a protocol: a folder here and one line in [`Protocols::new`].

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use serde_json::value::RawValue;

use crate::check::Checked;
use crate::expr::{EvalCtx, Expr};
use crate::ir::ActionSpec;
use crate::script::Sources;
use crate::session::Session;
use crate::stats::record::PathId;
use crate::stats::sample::Sample;
use crate::time::Micros;

pub mod http;

/// The JavaScript side of each protocol: `@gatling.io/<name>` → its module. One line per protocol.
pub const SDKS: &[(&str, &str)] = &[("http", include_str!("http/sdk.js"))];

/// Further modules of theirs, which only built-in modules may import.
pub const SDK_PARTS: &[(&str, &str)] = &[
    ("onrush:http-actions", include_str!("http/sdk_actions.js")),
    ("onrush:http-connection", include_str!("http/sdk_connection.js")),
    ("onrush:http-responses", include_str!("http/sdk_responses.js")),
    ("onrush:http-streams", include_str!("http/sdk_streams.js")),
];

/// A protocol on one engine thread: it owns that thread's client (pools, TLS, name cache).
pub trait Protocol {
    /// As in the IR's `protocol`.
    fn name(&self) -> &'static str;

    /// Binds it to a configuration, for one scenario.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    fn bind(&self, config: Option<&RawValue>) -> Result<Box<dyn Bound>, String>;
}

/// A protocol with its configuration.
pub trait Bound {
    /// # Errors
    /// What is wrong with the action.
    fn action(&self, name: &Expr, spec: &RawValue) -> Result<Rc<dyn Action>, String>;
}

/// One action of a scenario, compiled.
pub trait Action {
    /// Which slot of the users' protocol states it reads: the protocol's place in the registry.
    fn slot(&self) -> usize;

    /// Carries it out for one user. Dropping the future abandons it: nothing more is counted.
    fn run(self: Rc<Self>, user: User, host: Rc<dyn Host>) -> LocalBoxFuture<'static, Done>;
}

/// What an action gets of its user, and gives back.
pub struct User {
    pub session: Session,
    /// Index of the population, for throttles.
    pub scenario: u32,
    /// What the protocol keeps for the user (connections, cookies, cache); none at first. Dropped
    /// when the user ends.
    pub state: Option<Box<dyn Any>>,
}

/// What came of it.
pub struct Done {
    pub user: User,
    pub failed: bool,
    /// What it adds to the cumulated response time of the open groups.
    pub response_time: Micros,
    /// The action's [`Action::slot`].
    pub slot: usize,
}

/// A response, or what came instead of one.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The text of a KO.
    pub failure: Option<&'a str>,
    pub time: Micros,
    /// 0: none.
    pub code: u16,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    Opened,
    Closed,
    Failed,
    /// A fault of the generator itself: no port, no descriptor.
    LocalFault,
}

/// The engine thread as protocols see it.
pub trait Host {
    /// Since the common start.
    fn now(&self) -> Micros;
    fn unix_ms(&self) -> i64;
    /// Evaluates expressions and checks; never called re-entrantly.
    fn with_eval(&self, evaluate: &mut dyn FnMut(&mut EvalCtx<'_>));
    /// Waits until the throttles let one more request of that population pass; none: at once.
    fn permit(&self, scenario: u32) -> Option<LocalBoxFuture<'static, ()>>;
    fn request(&self, groups: &[Arc<str>], name: &str) -> PathId;
    fn sent(&self, request: PathId);
    fn response(&self, request: PathId, response: Response<'_>);
    /// Whether it wants an example of this failure, which it has just been told of.
    fn wants_sample(&self, _request: PathId, _failure: &str) -> bool {
        false
    }
    /// The example: secrets masked; its time is the host's to say.
    fn sample(&self, _request: PathId, _failure: &str, _sample: Sample) {}
    /// A request could not be built: a line of the errors table, not a request.
    fn unbuilt(&self, groups: &[Arc<str>], name: &str, message: &str);
    fn connection(&self, event: ConnectionEvent);
    /// A line of the engine's own log.
    fn note(&self, line: &str);
    /// Whether it wants [`Self::exchange`] and [`Self::checked`]. A load run does not: they cost.
    fn observes(&self) -> bool {
        false
    }
    /// What went over the wire, before the checks and the count.
    fn exchange(&self, _exchange: Exchange) {}
    /// What came of one check of the last exchange.
    fn checked(&self, _check: Checked) {}
}

/// One request and what came back, for people to read.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// As it is counted.
    pub name: String,
    pub sent: Message,
    /// Or why there is none.
    pub received: Result<Message, String>,
    pub time: Micros,
}

/// A message in its protocol's own words.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// `GET http://shop.test/ HTTP/1.1`
    pub head: String,
    pub headers: Vec<(String, String)>,
    /// Content-decoded.
    pub body: Bytes,
}

/// What an action is, for `onrush check`: in a line, and the files it names outright.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// `GET /products`
    pub text: String,
    pub files: Vec<String>,
}

/// A protocol that does not know its own spec has been refused before.
#[must_use]
pub fn describe(action: &ActionSpec) -> Description {
    match action.protocol.as_str() {
        "http" => http::describe(&action.spec),
        other => Description { text: other.to_owned(), files: Vec::new() },
    }
}

/// The protocols of one engine thread.
pub struct Protocols {
    entries: Vec<Box<dyn Protocol>>,
}

impl Protocols {
    /// # Errors
    /// When a client cannot be set up.
    pub fn new(sources: &Arc<dyn Sources>) -> Result<Self, String> {
        Ok(Self { entries: vec![Box::new(http::Http::new(0, Arc::clone(sources))?)] })
    }

    /// For tests of the engine.
    #[must_use]
    pub fn of(entries: Vec<Box<dyn Protocol>>) -> Self {
        Self { entries }
    }

    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name() == name)
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.entries.iter().map(|entry| entry.name()).collect()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// # Errors
    /// When there is no such protocol, or its configuration is wrong.
    pub fn bind(&self, name: &str, config: Option<&RawValue>) -> Result<Box<dyn Bound>, String> {
        let entry = self.entries.iter().find(|entry| entry.name() == name);
        entry.ok_or_else(|| format!("protocol {name} is not known"))?.bind(config)
    }
}

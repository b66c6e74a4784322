//! The streams that a user keeps open, by name, and what an action on one of them is about. ✖ IO.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::super::action::{Client, Kept, UserState};
use super::super::body::text_of;
use super::super::config::Config;
use super::super::exec::Scope;
use super::super::sse::EventStream;
use super::super::ws::Socket;
use super::{Inbox, Verdict, evaluated};
use crate::expr::{Compiled, Expr};
use crate::protocol::{Done, Host, User};
use crate::session::Session;

/// Streams of one kind, by name; few.
pub(in super::super) struct Held<S>(Vec<(Arc<str>, S)>);

impl<S> Default for Held<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S> Held<S> {
    fn take(&mut self, name: &str) -> Option<S> {
        let at = self.0.iter().position(|(held, _)| **held == *name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn keep(&mut self, name: &Arc<str>, stream: S) {
        self.0.push((Arc::clone(name), stream));
    }
}

/// What a user keeps open.
#[derive(Default)]
pub(in super::super) struct Streams {
    pub sockets: Held<Socket>,
    pub events: Held<EventStream>,
}

/// A kind of stream.
pub(in super::super) trait UserStream: Sized {
    /// As it reads in texts.
    const NOUN: &'static str;
    /// As it reads where there is none.
    const ABSENT: &'static str;

    fn held(streams: &mut Streams) -> &mut Held<Self>;

    fn inbox(&self) -> &Inbox;
}

/// Which stream an action is about, and in whose name.
pub(in super::super) struct Target {
    slot: usize,
    name: Compiled,
    stream: Compiled,
    pub config: Rc<Config>,
    pub client: Rc<Client>,
}

impl Target {
    /// # Errors
    /// What is wrong with the expressions.
    pub(in super::super) fn new(
        slot: usize,
        name: &Expr,
        stream: &Expr,
        config: &Rc<Config>,
        client: &Rc<Client>,
    ) -> Result<Self, String> {
        Ok(Self {
            slot,
            name: Compiled::new(name)?,
            stream: Compiled::new(stream)?,
            config: Rc::clone(config),
            client: Rc::clone(client),
        })
    }

    pub(in super::super) fn slot(&self) -> usize {
        self.slot
    }

    /// Does the work with both names evaluated. Where it fails it has not come about: an error
    /// line, and the user has failed.
    pub(in super::super) async fn carry_out(
        &self,
        mut user: User,
        host: Rc<dyn Host>,
        work: impl AsyncFnOnce(&Owner, &str, &Arc<str>, &mut Session) -> Result<Verdict, String>,
    ) -> Done {
        let state = Kept::of(&mut user);
        let owner = Owner {
            config: Rc::clone(&self.config),
            client: Rc::clone(&self.client),
            state: Rc::clone(&state),
            host: Rc::clone(&host),
            scenario: user.scenario,
            source: self.config.source_of(user.session.user_id),
        };
        let session = &mut user.session;
        owner.scope().warm_up_once(session).await;
        let text =
            |it: &Compiled, session: &Session| evaluated(&*host, |eval| text_of(it, session, eval));
        let mut verdict = Verdict { failed: true, response_time: 0 };
        // Without a name there is nothing that the line could be of.
        if let Ok(name) = text(&self.name, session) {
            let came = match text(&self.stream, session) {
                Ok(stream) => work(&owner, &name, &stream.into(), session).await,
                Err(message) => Err(message),
            };
            match came {
                Ok(came) => verdict = came,
                Err(message) => host.unbuilt(&session.groups, &name, &message),
            }
        }
        user.state = Some(state);
        let Verdict { failed, response_time } = verdict;
        Done { user, failed, response_time, slot: self.slot }
    }
}

/// Whose action it is: for what goes on when the action is over, too.
#[derive(Clone)]
pub(in super::super) struct Owner {
    config: Rc<Config>,
    client: Rc<Client>,
    state: Rc<RefCell<UserState>>,
    pub host: Rc<dyn Host>,
    scenario: u32,
    source: Option<IpAddr>,
}

impl Owner {
    pub(in super::super) fn scope(&self) -> Scope<'_> {
        Scope {
            config: &self.config,
            client: &self.client,
            state: &self.state,
            host: &self.host,
            scenario: self.scenario,
            source: self.source,
            batch: None,
        }
    }

    /// Does the work with the stream of that name: with a new one where `fresh` is given. It is taken
    /// out meanwhile: an action that is abandoned closes its stream.
    ///
    /// # Errors
    /// What the work says; that there is no such stream, or that there is one already.
    pub(in super::super) async fn with_stream<S: UserStream>(
        &self,
        name: &Arc<str>,
        fresh: Option<S>,
        keep: bool,
        work: impl AsyncFnOnce(&mut S) -> Result<Verdict, String>,
    ) -> Result<Verdict, String> {
        let held = S::held(self.state.borrow_mut().streams()).take(name);
        let keep_it = |stream| S::held(self.state.borrow_mut().streams()).keep(name, stream);
        let is_fresh = fresh.is_some();
        let mut stream = match (fresh, held) {
            (Some(_), Some(held)) if held.inbox().ended().is_none() => {
                keep_it(held);
                let noun = S::NOUN;
                let text =
                    format!("Unable to create a new {noun} with name {name}: already exists");
                return Err(text);
            }
            (Some(fresh), _) => fresh,
            (None, Some(held)) => held,
            (None, None) => return Err(format!("Couldn't fetch open {}", S::ABSENT)),
        };
        let verdict = work(&mut stream).await;
        // What was not even asked for has not come into being.
        if keep && (verdict.is_ok() || !is_fresh) {
            keep_it(stream);
        }
        verdict
    }
    /// For `processUnmatchedMessages`: what is wrong with it is told, and fails the user, as with any
    /// function of the script; it gives no error line.
    pub(in super::super) fn told(
        &self,
        name: &str,
        verdict: Result<Verdict, String>,
    ) -> Result<Verdict, String> {
        verdict.or_else(|text| {
            self.host.note(&format!("{name} failed: {text}"));
            Ok(Verdict { failed: true, response_time: 0 })
        })
    }
}

//! A request with its resources as an action of the engine, and what is kept for one user.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::future::LocalBoxFuture;

use super::batch::{self, Batch, Ended};
use super::body::BodyFiles;
use super::cache::Cache;
use super::config::Config;
use super::connection::Pool;
use super::cookies::CookieJar;
use super::dial::{Dialer, Names};
use super::digest::Challenges;
use super::exec::{End, Outcome, Scope};
use super::inbound::Streams;
use super::poll::Pollers;
use super::request::Template;
use super::url::Url;
use crate::expr::Compiled;
use crate::protocol::{Action, Done, Host, User};
use crate::session::Session;

/// What all users of a thread share.
pub(super) struct Client {
    pub dialer: Dialer,
    /// With `shareConnections`.
    pub shared: RefCell<Pool>,
    pub files: Rc<BodyFiles>,
    /// `warmUp(url)` has been asked for.
    pub warmed: Cell<bool>,
}

/// What the protocol keeps for one user.
#[derive(Default)]
pub(super) struct UserState {
    pub pool: Pool,
    pub jar: CookieJar,
    pub cache: Cache,
    /// The last HTML page.
    pub referer: Option<Url>,
    pub challenges: Challenges,
    /// With `perUserNameResolution`.
    pub names: Option<Rc<RefCell<Names>>>,
    pub pollers: Pollers,
    /// Boxed: few users have such.
    streams: Option<Box<Streams>>,
}

impl UserState {
    pub(super) fn streams(&mut self) -> &mut Streams {
        self.streams.get_or_insert_default()
    }
}

/// A user's state on its way through the engine: what goes on beside the user's actions and shares
/// it with them (a poller, an event stream) ends when this is dropped, and that is when the user
/// ends.
#[derive(Default)]
pub(super) struct Kept(Rc<RefCell<UserState>>);

impl Kept {
    /// Takes it from its user; boxed once a user, not once a request.
    pub(super) fn of(user: &mut User) -> Box<Self> {
        user.state.take().and_then(|state| state.downcast().ok()).unwrap_or_default()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // They have the state as well: they would keep themselves alive.
        if let Ok(mut state) = self.0.try_borrow_mut() {
            state.pollers = Pollers::default();
            state.streams = None;
        }
    }
}

impl std::ops::Deref for Kept {
    type Target = Rc<RefCell<UserState>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A named request of a scenario.
pub(super) struct Named {
    pub name: Compiled,
    pub template: Template,
}

pub(super) struct HttpAction {
    pub slot: usize,
    pub request: Named,
    pub resources: Vec<Rc<Named>>,
    pub config: Rc<Config>,
    pub client: Rc<Client>,
}

impl Action for HttpAction {
    fn slot(&self) -> usize {
        self.slot
    }

    fn run(self: Rc<Self>, mut user: User, host: Rc<dyn Host>) -> LocalBoxFuture<'static, Done> {
        Box::pin(async move {
            let kept = Kept::of(&mut user);
            let outcome = self.perform(&kept, user.scenario, &mut user.session, &host).await;
            user.state = Some(kept);
            let Outcome { end, response_time } = outcome;
            Done { user, failed: end.fails(), response_time, slot: self.slot }
        })
    }
}

impl HttpAction {
    /// The request, and what belongs to it.
    pub(super) async fn perform(
        &self,
        state: &Rc<RefCell<UserState>>,
        scenario: u32,
        session: &mut Session,
        host: &Rc<dyn Host>,
    ) -> Outcome {
        let batch = self.needs_batch().then(Box::<Batch>::default);
        let scope = Scope {
            config: &self.config,
            client: &self.client,
            state,
            host,
            scenario,
            source: self.config.source_of(session.user_id),
            batch: batch.as_deref(),
        };
        if self.config.warm_up.is_some() && !self.client.warmed.get() {
            Box::pin(scope.warm_up_once(session)).await;
        }
        let mut main = scope.transact(&self.request, session, false).await;
        if let Some(batch) = &batch
            && main.end == End::Ok
        {
            let mut resources = batch.take_found();
            resources.extend(self.resources.iter().cloned());
            // Boxed: what few requests need shall not make every request's future larger.
            Box::pin(fetch_resources(&scope, batch, resources, session, &mut main)).await;
        }
        main
    }

    fn needs_batch(&self) -> bool {
        !self.resources.is_empty() || self.config.infer.is_some()
    }
}

async fn fetch_resources(
    scope: &Scope<'_>,
    batch: &Batch,
    resources: Vec<Rc<Named>>,
    session: &mut Session,
    main: &mut Outcome,
) {
    if resources.is_empty() {
        return;
    }
    let Ended { ends, response_time } = batch::carry_out(scope, batch, resources, session).await;
    // One that cannot be built is an error line and fails nobody.
    if ends.contains(&End::Ko) {
        main.end = End::Ko;
    }
    main.response_time += response_time;
}

/// `httpConcurrentRequests`: like resources, without a page.
pub(super) struct ConcurrentAction {
    pub slot: usize,
    pub requests: Vec<Rc<Named>>,
    pub config: Rc<Config>,
    pub client: Rc<Client>,
}

impl Action for ConcurrentAction {
    fn slot(&self) -> usize {
        self.slot
    }

    fn run(self: Rc<Self>, mut user: User, host: Rc<dyn Host>) -> LocalBoxFuture<'static, Done> {
        Box::pin(async move {
            let kept = Kept::of(&mut user);
            let batch = Batch::default();
            let scope = Scope {
                config: &self.config,
                client: &self.client,
                state: &kept,
                host: &host,
                scenario: user.scenario,
                source: self.config.source_of(user.session.user_id),
                batch: Some(&batch),
            };
            scope.warm_up_once(&user.session).await;
            let requests = self.requests.clone();
            let Ended { ends, response_time } =
                batch::carry_out(&scope, &batch, requests, &mut user.session).await;
            let failed = ends.into_iter().any(End::fails);
            user.state = Some(kept);
            Done { user, failed, response_time, slot: self.slot }
        })
    }
}

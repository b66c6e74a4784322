//! A request with its resources as an action of the engine, and what is kept for one user.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::StreamExt as _;
use futures::future::LocalBoxFuture;

use super::body::BodyFiles;
use super::cache::Cache;
use super::config::Config;
use super::connection::Pool;
use super::cookies::CookieJar;
use super::dial::{Dialer, Names};
use super::digest::Challenges;
use super::exec::{End, Outcome, Scope};
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
}

/// A user's state on its way through the engine: what an action that goes on beside the others
/// (a poller) shares with them ends when this is dropped, and that is when the user ends.
#[derive(Default)]
pub(super) struct Kept(Rc<RefCell<UserState>>);

impl Kept {
    /// Takes it from its user; boxed once a user, not once a request.
    pub(super) fn of(user: &mut User) -> Box<Self> {
        user.state.take().and_then(|state| state.downcast().ok()).unwrap_or_default()
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
    pub resources: Vec<Named>,
    pub config: Rc<Config>,
    pub client: Rc<Client>,
}

impl Action for HttpAction {
    fn slot(&self) -> usize {
        self.slot
    }

    fn run(self: Rc<Self>, user: User, host: Rc<dyn Host>) -> LocalBoxFuture<'static, Done> {
        Box::pin(async move { self.carry_out(user, host).await })
    }
}

impl HttpAction {
    async fn carry_out(&self, mut user: User, host: Rc<dyn Host>) -> Done {
        let state = Kept::of(&mut user);
        let scope = Scope {
            config: &self.config,
            client: &self.client,
            state: &state,
            host: &host,
            scenario: user.scenario,
            source: self.config.source_of(user.session.user_id),
        };
        if let Some(url) = &self.config.warm_up
            && !self.client.warmed.replace(true)
        {
            Box::pin(scope.warm_up(url)).await;
        }
        let main = scope.transact(&self.request, user.session, false).await;
        let (mut session, mut failed) = (main.session, main.end.fails());
        let mut response_time = main.response_time;
        if !failed && main.end != End::SilentKo && !self.resources.is_empty() {
            let began = host.now();
            // Boxed: what few requests need shall not make every request's future larger.
            failed |= Box::pin(self.fetch_resources(&scope, &mut session)).await;
            response_time += host.now().saturating_sub(began);
        }
        user.session = session;
        user.state = Some(state);
        Done { user, failed, response_time, slot: self.slot }
    }
}

impl HttpAction {
    /// True when one of them failed.
    async fn fetch_resources(&self, scope: &Scope<'_>, session: &mut Session) -> bool {
        let base = session.clone();
        let each = self.resources.iter().map(|it| scope.transact(it, base.clone(), true));
        let parallel = self.config.connections_max;
        let outcomes: Vec<Outcome> = futures::stream::iter(each).buffered(parallel).collect().await;
        let mut failed = false;
        for outcome in outcomes {
            // One that cannot be built is an error line and fails nobody.
            failed |= outcome.end == End::Ko;
            adopt_saves(session, &base, &outcome.session);
        }
        failed
    }
}

/// Resources do not see one another's saves; all of them are kept.
fn adopt_saves(session: &mut Session, base: &Session, from: &Session) {
    for (name, value) in from.attributes() {
        if base.get(name) != Some(value) {
            session.set(std::sync::Arc::clone(name), value.clone());
        }
    }
}

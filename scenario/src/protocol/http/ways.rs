//! What a hop takes from its user besides cookies and cache: the way to the target, and the answer to
//! its challenge. Seldom needed, so none of it is on the hot path.

use std::rc::Rc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::cache::Validators;
use super::connection::{Answer, Connection, Failure};
use super::dial::Dial;
use super::digest::Challenge;
use super::exec::Scope;
use super::h1::Outgoing;
use super::outgoing::{OfUser, outgoing};
use super::proxy::Route;
use super::reader::Reader;
use super::request::{Built, Template};
use super::spec::RequestSpec;
use super::url::Url;
use crate::expr::Expr;
use crate::session::Session;
use crate::time::{MICROS_PER_SECOND, Micros, to_millis};

/// How long the first user waits for the answer to a warm-up.
const WARM_UP_MAX: Micros = 10 * MICROS_PER_SECOND;

impl Scope<'_> {
    /// What goes over the wire, signed where the request says so.
    ///
    /// # Errors
    /// What cannot be sent.
    pub(super) fn outgoing(
        &self,
        built: &Built,
        of_user: &OfUser<'_>,
        session: &Session,
    ) -> Result<Outgoing, Failure> {
        let spec = &self.config.spec;
        let Some(identity) = &built.identity else { return outgoing(spec, built, of_user) };
        let mut signed = Err(String::new());
        let mut state = self.state.borrow_mut();
        self.host.with_eval(&mut |eval| {
            signed = identity.sign(built, &mut state.challenges, session, eval);
        });
        outgoing(spec, &signed.map_err(Failure::Text)?, of_user)
    }

    /// Keeps the challenge, and tells whether the request is worth sending again with an answer to
    /// it. Once for each request: a target that calls every nonce stale would keep the user for ever.
    pub(super) fn is_challenged(&self, built: &Built, answer: &Answer) -> bool {
        let login = built.identity.as_ref().and_then(|it| it.digest.as_ref());
        if answer.status != StatusCode::UNAUTHORIZED || login.is_none() {
            return false;
        }
        let Some(challenge) = Challenge::of(&answer.headers) else { return false };
        let challenges = &mut self.state.borrow_mut().challenges;
        challenges.meet(&built.url, challenge)
    }

    /// One GET that nobody counts, before the thread's first action of any kind: it loads what the
    /// first request would otherwise wait for.
    pub(super) async fn warm_up_once(&self, session: &Session) {
        if let Some(url) = &self.config.warm_up
            && !self.client.warmed.replace(true)
        {
            let limit = self.config.request_timeout.min(WARM_UP_MAX);
            // Boxed: what few requests need shall not make every request's future larger.
            let work = Box::pin(self.warm_up(url, session));
            let failure = tokio::time::timeout(Duration::from_micros(limit), work)
                .await
                .unwrap_or_else(|_| Err(format!("no answer after {} ms", to_millis(limit))));
            if let Err(why) = failure {
                self.host.note(&format!("warmUp({url}): {why}"));
            }
        }
    }

    /// By the user's way, and without what the simulation says of itself to its own target.
    async fn warm_up(&self, url: &Url, session: &Session) -> Result<(), String> {
        let spec = RequestSpec {
            ignore_protocol_headers: true,
            ignore_protocol_checks: true,
            ignore_protocol_signature: true,
            ..RequestSpec::new("GET", Expr::str(url.to_string()))
        };
        let template = Template::compile(&spec, self.config)?;
        let mut built = Err(String::new());
        self.host.with_eval(&mut |eval| {
            built = template.build(self.config, &self.client.files, session, eval);
        });
        let mut built = built?;
        (built.authorization, built.identity) = (None, None);
        let of_user = OfUser { referer: None, cookies: "", validators: &Validators::default() };
        let request = outgoing(&self.config.spec, &built, &of_user).map_err(|it| it.text())?;
        let mut reader = Reader::new(&Method::GET, false);
        let dial = self.dial(url, built.route.as_deref());
        let connection = self.client.dialer.connect(url, dial, self.host).await;
        let mut connection = connection.map_err(|it| it.text())?;
        connection.exchange(&request, &mut reader).await.map_err(|it| it.text())
    }

    /// A connection to a target that may speak HTTP/2: of all who ask for one at once the first
    /// connects, and the others have a share in it where it can be shared.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(super) async fn connect_for_all(&self, built: &Built) -> Result<Box<Connection>, Failure> {
        if self.client.dialer.is_plain(&built.url) {
            return self.connect(built).await;
        }
        let route = built.route.as_deref();
        let first = match self.with_pool(|pool| pool.dialing(&built.url, route)) {
            Ok(first) => first,
            Err(other) => {
                // It has no permits: it is closed when the first is through.
                let _ = other.acquire().await;
                let shared = self.with_pool(|pool| pool.take(&built.url, route, self.host.now()));
                return match shared {
                    Some(connection) => Ok(connection),
                    None => self.connect(built).await,
                };
            }
        };
        let connection = self.connect(built).await;
        drop(first);
        connection
    }

    /// How this user reaches that target.
    pub(super) fn dial<'d>(&'d self, url: &Url, route: Option<&'d Route>) -> Dial<'d> {
        let own = self.config.spec.per_user_name_resolution;
        Dial {
            source: self.source,
            timeout: self.config.connect_timeout,
            route,
            http2: self.config.offers_http2(url),
            tunnel: false,
            aliases: &self.config.aliases,
            names: own.then(|| Rc::clone(self.state.borrow_mut().names.get_or_insert_default())),
        }
    }
}

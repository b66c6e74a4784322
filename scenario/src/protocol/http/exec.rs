//! Carrying a request out: cookies, cache, redirects, checks, and what is counted. Hot path.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use http::header;

use super::action::{Client, Named, UserState};
use super::batch::Batch;
use super::body::text_of;
use super::cache::{Caching, Key, Validators};
use super::config::Config;
use super::connection::{Answer, Connection, Failure, Pool};
use super::cookies::Origin;
use super::decode;
use super::h1::Outgoing;
use super::outgoing::{OfUser, follow, is_ajax, is_page, moved};
use super::reader::Reader;
use super::redirect::{is_permanent, is_redirect};
use super::request::{Built, Template};
use super::response::View;
use super::seen::{self, Evidence};
use super::transform::{Changed, transformed};
use super::url::Url;
use crate::expr::{Compiled, EvalCtx, FnId};
use crate::protocol::{Exchange, Host, Response};
use crate::session::Session;
use crate::stats::record::PathId;
use crate::time::{Micros, to_millis};
use crate::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Ok,
    Ko,
    SilentKo,
    /// An error line, not a request.
    Unbuilt,
    /// No name: not even an error line.
    Unnamed,
}

impl End {
    pub(super) fn fails(self) -> bool {
        matches!(self, Self::Ko | Self::Unbuilt | Self::Unnamed)
    }
}

pub(super) struct Outcome {
    pub end: End,
    /// Adds to the groups.
    pub response_time: Micros,
}

/// What the requests of one action have in common.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub config: &'a Config,
    pub client: &'a Client,
    pub state: &'a Rc<RefCell<UserState>>,
    pub host: &'a Rc<dyn Host>,
    pub scenario: u32,
    /// Where the user's connections come from; none: the system chooses.
    pub source: Option<IpAddr>,
    /// Of an action that may send several requests at once.
    pub batch: Option<&'a Batch>,
}

/// One request of a redirect chain, on its way.
struct Hop<'a> {
    template: &'a Template,
    name: &'a str,
    number: u32,
    silent: bool,
    resource: bool,
    /// It has answered a challenge of its target.
    answered: bool,
}

/// What is sent, the user's cookies in it, and what comes back.
struct Trip {
    request: Result<Outgoing, Failure>,
    cookies: String,
    reader: Reader,
}

/// What became of a hop.
enum Step {
    Next(Box<Built>),
    /// The target wants to know who asks: the same request again, with an answer.
    Again,
    End(End),
}

impl Scope<'_> {
    pub(super) async fn transact(
        &self,
        named: &Named,
        session: &mut Session,
        resource: bool,
    ) -> Outcome {
        let template = &named.template;
        let (name, mut built) = match self.prepare(named, session) {
            Ok(prepared) => prepared,
            Err(end) => return Outcome { end, response_time: 0 },
        };
        let _token = match self.batch {
            Some(batch) if resource => Box::pin(batch.token(self.config, &built.url)).await,
            _ => None,
        };
        if let Some(turn) = self.host.permit(self.scenario) {
            turn.await;
        }
        let mut hop =
            Hop { template, name: &name, number: 0, silent: false, resource, answered: false };
        self.take_known_redirects(&mut built, &mut hop);
        hop.silent = self.is_silent(template, &built.url, resource);
        let mut response_time = 0;
        loop {
            match self.hop(&hop, &built, session, &mut response_time).await {
                Step::Next(next) => {
                    built = next;
                    hop.number += 1;
                    // By the address that is asked, not by the first one.
                    hop.silent = self.is_silent(template, &built.url, resource);
                    hop.answered = false;
                }
                Step::Again => hop.answered = true,
                Step::End(end) => return Outcome { end, response_time },
            }
            if let Some(turn) = self.host.permit(self.scenario) {
                turn.await;
            }
        }
    }

    /// Name and content of the request; boxed, so that the future stays small.
    fn prepare<'n>(
        &self,
        named: &'n Named,
        session: &Session,
    ) -> Result<(Cow<'n, str>, Box<Built>), End> {
        let (mut name, mut built) = (Err(String::new()), Err(String::new()));
        self.host.with_eval(&mut |eval| {
            name = name_of(&named.name, session, eval);
            if name.is_ok() {
                let files = &self.client.files;
                built = named.template.build(self.config, files, session, eval).map(Box::new);
            }
        });
        let name = name.map_err(|_| End::Unnamed)?;
        match built {
            Ok(built) => Ok((name, built)),
            Err(message) => {
                self.host.unbuilt(&session.groups, &name, &message);
                Err(End::Unbuilt)
            }
        }
    }

    fn is_silent(&self, template: &Template, url: &Url, resource: bool) -> bool {
        template.silent.unwrap_or_else(|| {
            let by_uri = self.config.silent_uri.as_ref();
            // One that needs too many steps says nothing of it: it is shown.
            by_uri.is_some_and(|it| it.is_match(&url.to_string()).unwrap_or(false))
                || (resource && self.config.spec.silent_resources)
        })
    }

    /// Permanent redirects that this user has met before are taken without asking.
    fn take_known_redirects(&self, built: &mut Built, hop: &mut Hop<'_>) {
        if self.config.spec.disable_caching {
            return;
        }
        let state = self.state.borrow();
        while state.cache.knows_redirects()
            && hop.number < self.config.redirects_max
            && let Some(to) = state.cache.redirect(&built.url.to_string())
            && let Ok(to) = Url::parse(to, false)
        {
            *built = moved(built.clone(), to, true);
            hop.number += 1;
        }
    }

    async fn hop(
        &self,
        hop: &Hop<'_>,
        built: &Built,
        session: &mut Session,
        total: &mut Micros,
    ) -> Step {
        if hop.number >= self.config.redirects_max.max(1) {
            let text = format!("Too many redirects, max is {}", self.config.redirects_max);
            let id = self.id(hop, session);
            let evidence = Evidence { built, request: None, answer: None, session };
            return Step::End(self.fail(id, &text, Counted::default(), &evidence));
        }
        let now_ms = self.host.unix_ms();
        let Some(mut trip) = self.trip(hop, built, session, now_ms) else {
            return Step::End(self.skip(hop, built));
        };
        let Trip { request, cookies, reader } = &mut *trip;
        let id = self.id(hop, session);
        if let Some(id) = id {
            self.host.sent(id);
        }
        let began = self.host.now();
        let outcome = match request {
            Ok(request) => self.exchange(hop, built, request, reader, began).await,
            Err(failure) => Err(failure.clone()),
        };
        let ended = self.host.now();
        let request = request.as_ref().ok();
        let bytes_sent = request.map_or(0, |it| it.length() as u64);
        let time = ended.saturating_sub(began);
        *total += if hop.silent { 0 } else { time };
        if self.host.observes() {
            let (sent, received) = (seen::sent(built, request), seen::received(&outcome));
            let name = display_name(hop).into_owned();
            self.host.exchange(Exchange { name, sent, received, time });
        }
        match outcome {
            Err(failure) => {
                let counted = Counted { time, bytes_sent, ..Counted::default() };
                let evidence = Evidence { built, request, answer: None, session };
                Step::End(self.fail(id, &failure.text(), counted, &evidence))
            }
            Ok((answer, connection)) => {
                let route = built.route.as_deref();
                self.with_pool(|pool| pool.put(&built.url, route, connection, ended));
                let counted = Counted {
                    time,
                    bytes_sent,
                    code: answer.status.as_u16(),
                    bytes_received: answer.bytes_received,
                };
                self.keep(built, &answer, cookies, now_ms);
                if self.is_challenged(built, &answer) && !hop.answered {
                    self.count(id, None, counted);
                    return Step::Again;
                }
                if hop.template.follow && is_redirect(answer.status.as_u16()) {
                    let evidence = Evidence { built, request, answer: Some(&answer), session };
                    return self.redirect(id, &answer, &evidence, counted);
                }
                let verdict = self.judge(hop, built, &answer, session, counted.time);
                Step::End(match verdict {
                    Ok(()) => self.count(id, None, counted),
                    Err(text) => {
                        let evidence = Evidence { built, request, answer: Some(&answer), session };
                        self.fail(id, &text, counted, &evidence)
                    }
                })
            }
        }
    }

    /// None where the user's cache has a fresh answer. Boxed, so that the future stays small.
    fn trip(
        &self,
        hop: &Hop<'_>,
        built: &Built,
        session: &Session,
        now_ms: i64,
    ) -> Option<Box<Trip>> {
        let (cookies, referer, validators) = self.of_user(built, now_ms)?;
        let of_user =
            OfUser { referer: referer.as_ref(), cookies: &cookies, validators: &validators };
        let request = self.outgoing(built, &of_user, session);
        Some(Box::new(Trip { request, cookies, reader: self.reader(hop, built) }))
    }

    /// The user's cookies for it, the page they come from, and what their cache has of it; none
    /// where that is fresh.
    fn of_user(&self, built: &Built, now_ms: i64) -> Option<(String, Option<Url>, Validators)> {
        let mut cookies = String::new();
        let mut state = self.state.borrow_mut();
        state.jar.header_into(&mut cookies, Origin::of(&built.url), now_ms);
        let asks = !self.config.spec.disable_caching && !state.cache.is_empty();
        let key = asks.then(|| key_of(built, &cookies));
        if key.as_ref().is_some_and(|key| state.cache.is_fresh(key, now_ms)) {
            return None;
        }
        let validators = key.as_ref().and_then(|key| state.cache.validators(key).cloned());
        Some((cookies, state.referer.clone(), validators.unwrap_or_default()))
    }

    fn redirect(
        &self,
        id: Option<PathId>,
        answer: &Answer,
        evidence: &Evidence<'_>,
        counted: Counted,
    ) -> Step {
        let built = evidence.built;
        let to = match answer.headers.value(header::LOCATION.as_str()) {
            Some(location) => built.url.join(&location),
            None => Err("Redirect status, yet no Location header".to_owned()),
        };
        match to {
            Ok(to) => {
                self.count(id, None, counted);
                if is_permanent(answer.status.as_u16()) && !self.config.spec.disable_caching {
                    let mut state = self.state.borrow_mut();
                    state.cache.remember_redirect(built.url.to_string(), to.location());
                }
                let strict = self.config.spec.strict_302;
                let status = answer.status.as_u16();
                Step::Next(Box::new(follow(built.clone(), status, to, strict)))
            }
            Err(text) => Step::End(self.fail(id, &text, counted, evidence)),
        }
    }

    /// Runs the checks on the last answer of the chain.
    fn judge(
        &self,
        hop: &Hop<'_>,
        built: &Built,
        answer: &Answer,
        session: &mut Session,
        time: Micros,
    ) -> Result<(), String> {
        let headers = &answer.headers;
        if !hop.resource && is_page(headers) && !is_ajax(&built.headers) {
            self.state.borrow_mut().referer = Some(built.url.clone());
        }
        let body = if answer.body_cut { &[][..] } else { &answer.body };
        let body = decode::decode(body, decode::coding(headers))?;
        let view = View {
            status: answer.status.as_u16(),
            headers,
            url: &built.url,
            url_text: OnceCell::new(),
            body: &body,
            response_time_ms: to_millis(time),
            http2: answer.http2,
        };
        let changed = match hop.template.transform {
            Some(function) => self.transformed(function, &view, session)?,
            None => None,
        };
        let view = match &changed {
            Some(changed) => changed.in_place_of(&view),
            None => view,
        };
        let mut verdict = Ok(());
        let mut tell = |check| self.host.checked(check);
        self.host.with_eval(&mut |eval| {
            let observer = self.host.observes().then_some(&mut tell as _);
            verdict = hop.template.checks.run_observed(&view, session, eval, observer);
        });
        if let (Ok(()), Some(batch)) = (&verdict, self.batch) {
            batch.look(self, &view, hop.resource);
        }
        verdict
    }

    /// What `transformResponse` makes of an answer.
    fn transformed(
        &self,
        function: FnId,
        view: &View<'_>,
        session: &Session,
    ) -> Result<Option<Box<Changed>>, String> {
        let mut outcome = Ok(None);
        self.host.with_eval(&mut |eval| {
            outcome = transformed(function, view, session, eval);
        });
        Ok(outcome?.map(Box::new))
    }

    /// A request that the cache answers; what its document names is asked for all the same.
    fn skip(&self, hop: &Hop<'_>, built: &Built) -> End {
        if let Some(batch) = self.batch {
            batch.look_known(self, &built.url, hop.resource);
        }
        End::Ok
    }

    /// None: silent.
    fn id(&self, hop: &Hop<'_>, session: &Session) -> Option<PathId> {
        (!hop.silent).then(|| self.host.request(&session.groups, &display_name(hop)))
    }

    fn count(&self, id: Option<PathId>, failure: Option<&str>, counted: Counted) -> End {
        let Some(id) = id else {
            return if failure.is_some() { End::SilentKo } else { End::Ok };
        };
        let Counted { time, code, bytes_sent, bytes_received } = counted;
        let response = Response { failure, time, code, bytes_sent, bytes_received };
        self.host.response(id, response);
        if failure.is_some() { End::Ko } else { End::Ok }
    }

    /// A KO, and the example of its kind where there is none yet.
    fn fail(
        &self,
        id: Option<PathId>,
        text: &str,
        counted: Counted,
        evidence: &Evidence<'_>,
    ) -> End {
        let end = self.count(id, Some(text), counted);
        if let Some(id) = id.filter(|id| self.host.wants_sample(*id, text)) {
            self.host.sample(id, text, evidence.sample());
        }
        end
    }

    /// Cookies and cache of an answer.
    fn keep(&self, built: &Built, answer: &Answer, cookies: &str, now_ms: i64) {
        let mut state = self.state.borrow_mut();
        state.jar.store_all(&answer.headers, Origin::of(&built.url), now_ms);
        if is_redirect(answer.status.as_u16()) || self.config.spec.disable_caching {
            return;
        }
        let said = |name: header::HeaderName| answer.headers.text(name.as_str());
        let etag = answer.headers.value(header::ETAG.as_str());
        let last_modified = answer.headers.value(header::LAST_MODIFIED.as_str());
        let caching = Caching {
            cache_control: said(header::CACHE_CONTROL),
            pragma: said(header::PRAGMA),
            expires: said(header::EXPIRES),
            etag: etag.as_deref(),
            last_modified: last_modified.as_deref(),
        };
        if !caching.is_silent() {
            state.cache.store(&key_of(built, cookies), &caching, now_ms);
        }
    }

    /// From the send attempt to the last byte, under the request's timeout.
    async fn exchange(
        &self,
        hop: &Hop<'_>,
        built: &Built,
        request: &Outgoing,
        reader: &mut Reader,
        now: Micros,
    ) -> Result<(Answer, Box<Connection>), Failure> {
        let timeout = hop.template.timeout;
        let address = Cell::new(None);
        let work = self.attempt(hop, built, request, reader, now, &address);
        match tokio::time::timeout(Duration::from_micros(timeout), work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::timeout(&built.url, address.get(), timeout)),
        }
    }

    fn reader(&self, hop: &Hop<'_>, built: &Built) -> Reader {
        let infers = self.batch.is_some() && self.config.infer.is_some();
        let keep = hop.template.needs_body() || self.host.observes() || infers;
        Reader::new(&built.method, keep)
    }

    /// A reused connection that closes before anything of an answer has come is tried once more, on a
    /// new one: the server may have closed it before it saw the request (RFC 9112, 9.3.1).
    async fn attempt(
        &self,
        hop: &Hop<'_>,
        built: &Built,
        request: &Outgoing,
        reader: &mut Reader,
        now: Micros,
        address: &Cell<Option<SocketAddr>>,
    ) -> Result<(Answer, Box<Connection>), Failure> {
        let mut connection = self.connection(built, now).await?;
        address.set(Some(connection.address));
        let mut outcome = connection.exchange(request, reader).await;
        let unanswered = outcome.as_ref().err() == Some(&Failure::PrematureClose)
            && reader.bytes_received() == 0;
        if connection.used && unanswered {
            connection = self.connect(built).await?;
            address.set(Some(connection.address));
            *reader = self.reader(hop, built);
            outcome = connection.exchange(request, reader).await;
        }
        outcome?;
        Ok((reader.answer(), connection))
    }

    /// One of the pool, or a new one.
    async fn connection(&self, built: &Built, now: Micros) -> Result<Box<Connection>, Failure> {
        let route = built.route.as_deref();
        if let Some(pooled) = self.with_pool(|pool| pool.take(&built.url, route, now)) {
            return Ok(pooled);
        }
        if self.config.offers_http2(&built.url) {
            return Box::pin(self.connect_for_all(built)).await;
        }
        self.connect(built).await
    }

    /// Boxed: what is seldom needed shall not make every request's future larger.
    pub(super) async fn connect(&self, built: &Built) -> Result<Box<Connection>, Failure> {
        let route = built.route.as_deref();
        let dial = self.dial(&built.url, route);
        let dialled = Box::pin(self.client.dialer.connect(&built.url, dial, self.host)).await?;
        let connection = Box::new(dialled);
        if let Some(share) = connection.share() {
            self.with_pool(|pool| pool.put(&built.url, route, share, self.host.now()));
        }
        Ok(connection)
    }

    pub(super) fn with_pool<T>(&self, work: impl FnOnce(&mut Pool) -> T) -> T {
        if self.config.spec.share_connections {
            work(&mut self.client.shared.borrow_mut())
        } else {
            work(&mut self.state.borrow_mut().pool)
        }
    }
}

/// What is counted of one request.
#[derive(Clone, Copy, Default)]
struct Counted {
    time: Micros,
    code: u16,
    bytes_sent: u64,
    bytes_received: u64,
}

fn key_of(built: &Built, cookies: &str) -> Key {
    Key::of(built.method.as_str(), &built.url.to_string(), cookies)
}

fn name_of<'n>(
    name: &'n Compiled,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<Cow<'n, str>, String> {
    match name {
        Compiled::Lit(Value::Str(text)) => Ok(Cow::Borrowed(text)),
        name => text_of(name, session, eval).map(Cow::Owned),
    }
}

fn display_name<'n>(hop: &Hop<'n>) -> Cow<'n, str> {
    match hop.number {
        0 => hop.name.into(),
        number => format!("{} Redirect {number}", hop.name).into(),
    }
}

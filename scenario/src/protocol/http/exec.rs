//! Carrying a request out: cookies, cache, redirects, checks, resources, and what is counted.
//! Hot path.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;

use super::body::{BodyFiles, text_of};
use super::cache::{Cache, Caching, Key, Validators};
use super::config::Config;
use super::connection::{Answer, Connection, Dialer, Failure, Pool};
use super::cookies::{CookieJar, Origin};
use super::decode;
use super::redirect::{drops_header, is_permanent, is_redirect, next_hop};
use super::request::{Built, Template};
use super::response::{View, header as value_of};
use super::url::Url;
use crate::expr::Compiled;
use crate::protocol::{Action, Done, Host, Response, User};
use crate::session::Session;
use crate::time::{Micros, to_millis};

/// What all users of a thread share.
pub(super) struct Client {
    pub dialer: Dialer,
    /// With `shareConnections`.
    pub shared: RefCell<Pool>,
    pub files: Rc<BodyFiles>,
}

/// What the protocol keeps for one user.
#[derive(Default)]
struct UserState {
    pool: Pool,
    jar: CookieJar,
    cache: Cache,
    /// The last HTML page.
    referer: Option<Url>,
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
        let state: Rc<RefCell<UserState>> = user
            .state
            .take()
            .and_then(|state| state.downcast().ok())
            .map_or_else(Rc::default, |state| *state);
        let scope = Scope {
            config: &self.config,
            client: &self.client,
            state: &state,
            host: &host,
            scenario: user.scenario,
        };
        let main = scope.transact(&self.request, user.session, false).await;
        let (mut session, mut failed) = (main.session, main.end.fails());
        let mut response_time = main.response_time;
        if !failed && main.end != End::SilentKo && !self.resources.is_empty() {
            let began = host.now();
            let parallel = self.config.connections_max;
            let each = self
                .resources
                .iter()
                .map(|resource| scope.transact(resource, session.clone(), true));
            let outcomes: Vec<Outcome> =
                futures::stream::iter(each).buffered(parallel).collect().await;
            let base = session.clone();
            for outcome in outcomes {
                // One that cannot be built is an error line and fails nobody.
                failed |= outcome.end == End::Ko;
                adopt_saves(&mut session, &base, &outcome.session);
            }
            response_time += host.now().saturating_sub(began);
        }
        user.session = session;
        user.state = Some(Box::new(state));
        Done { user, failed, response_time, slot: self.slot }
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ok,
    Ko,
    SilentKo,
    /// An error line, not a request.
    Unbuilt,
    /// No name: not even an error line.
    Unnamed,
}

impl End {
    fn fails(self) -> bool {
        matches!(self, Self::Ko | Self::Unbuilt | Self::Unnamed)
    }
}

struct Outcome {
    session: Session,
    end: End,
    /// Adds to the groups.
    response_time: Micros,
}

/// What the requests of one action have in common.
#[derive(Clone, Copy)]
struct Scope<'a> {
    config: &'a Config,
    client: &'a Client,
    state: &'a Rc<RefCell<UserState>>,
    host: &'a Rc<dyn Host>,
    scenario: u32,
}

/// One request of a redirect chain, on its way.
struct Hop<'a> {
    template: &'a Template,
    name: &'a str,
    number: u32,
    silent: bool,
    resource: bool,
}

/// What became of a hop.
enum Step {
    Next(Box<Built>),
    End(End),
}

impl Scope<'_> {
    async fn transact(&self, named: &Named, mut session: Session, resource: bool) -> Outcome {
        let template = &named.template;
        let (mut name, mut built) = (Err(String::new()), Err(String::new()));
        self.host.with_eval(&mut |eval| {
            name = text_of(&named.name, &session, eval);
            if name.is_ok() {
                built = template.build(self.config, &self.client.files, &session, eval);
            }
        });
        let Ok(name) = name else {
            return Outcome { session, end: End::Unnamed, response_time: 0 };
        };
        let mut built = match built {
            Ok(built) => built,
            Err(message) => {
                self.host.unbuilt(&session.groups, &name, &message);
                return Outcome { session, end: End::Unbuilt, response_time: 0 };
            }
        };
        if let Some(turn) = self.host.permit(self.scenario) {
            turn.await;
        }
        let silent = self.is_silent(template, &built.url, resource);
        let mut hop = Hop { template, name: &name, number: 0, silent, resource };
        self.take_known_redirects(&mut built, &mut hop);
        let mut response_time = 0;
        loop {
            match self.hop(&hop, built, &mut session, &mut response_time).await {
                Step::Next(next) => {
                    built = *next;
                    hop.number += 1;
                    if let Some(turn) = self.host.permit(self.scenario) {
                        turn.await;
                    }
                }
                Step::End(end) => {
                    let response_time = if silent { 0 } else { response_time };
                    return Outcome { session, end, response_time };
                }
            }
        }
    }

    fn is_silent(&self, template: &Template, url: &Url, resource: bool) -> bool {
        template.silent.unwrap_or_else(|| {
            let by_uri = self.config.silent_uri.as_ref();
            by_uri.is_some_and(|pattern| pattern.is_match(&url.to_string()))
                || (resource && self.config.spec.silent_resources)
        })
    }

    /// Permanent redirects that this user has met before are taken without asking.
    fn take_known_redirects(&self, built: &mut Built, hop: &mut Hop<'_>) {
        if self.config.spec.disable_caching {
            return;
        }
        let state = self.state.borrow();
        while hop.number < self.config.redirects_max
            && let Some(to) = state.cache.redirect(&built.url.to_string())
            && let Ok(to) = Url::parse(to, true)
        {
            built.url = to;
            hop.number += 1;
        }
    }

    async fn hop(
        &self,
        hop: &Hop<'_>,
        built: Built,
        session: &mut Session,
        total: &mut Micros,
    ) -> Step {
        if hop.number >= self.config.redirects_max.max(1) {
            let text = format!("Too many redirects, max is {}", self.config.redirects_max);
            return Step::End(self.count(hop, session, Some(&text), Counted::default()));
        }
        let now_ms = self.host.unix_ms();
        let (cookies, key, validators) = {
            let mut state = self.state.borrow_mut();
            let mut cookies = String::new();
            state.jar.header_into(&mut cookies, origin_of(&built.url), now_ms);
            let key = (!self.config.spec.disable_caching).then(|| Key {
                method: built.method.to_string(),
                url: built.url.to_string(),
                cookies: cookies.clone(),
            });
            if key.as_ref().is_some_and(|key| state.cache.is_fresh(key, now_ms)) {
                return Step::End(End::Ok);
            }
            let validators = key.as_ref().and_then(|key| state.cache.validators(key).cloned());
            (cookies, key, validators.unwrap_or_default())
        };
        let headers = self.headers(&built, cookies, validators);
        let bytes_sent = sent_bytes(&built, &headers);
        if !hop.silent {
            let id = self.host.request(&session.groups, &display_name(hop));
            self.host.sent(id);
        }
        let began = self.host.now();
        let outcome = self.exchange(hop, &built, headers).await;
        let time = self.host.now().saturating_sub(began);
        *total += time;
        match outcome {
            Err(failure) => {
                let counted = Counted { time, bytes_sent, ..Counted::default() };
                Step::End(self.count(hop, session, Some(&failure.text()), counted))
            }
            Ok(answer) => {
                let counted = Counted {
                    time,
                    bytes_sent,
                    code: answer.status.as_u16(),
                    bytes_received: answer.bytes_received,
                };
                self.keep(&built, &answer, key, now_ms);
                if hop.template.follow && is_redirect(answer.status.as_u16()) {
                    return self.redirect(hop, built, &answer, session, counted);
                }
                Step::End(self.judge(hop, &built, answer, session, counted))
            }
        }
    }

    fn redirect(
        &self,
        hop: &Hop<'_>,
        built: Built,
        answer: &Answer,
        session: &Session,
        counted: Counted,
    ) -> Step {
        let to = match value_of(&answer.headers, "location") {
            Some(location) => built.url.join(location),
            None => Err("Redirect status, yet no Location header".to_owned()),
        };
        match to {
            Ok(to) => {
                self.count(hop, session, None, counted);
                if is_permanent(answer.status.as_u16()) && !self.config.spec.disable_caching {
                    let mut state = self.state.borrow_mut();
                    state.cache.remember_redirect(built.url.to_string(), to.to_string());
                }
                let strict = self.config.spec.strict_302;
                let status = answer.status.as_u16();
                Step::Next(Box::new(follow(built, status, to, strict)))
            }
            Err(text) => Step::End(self.count(hop, session, Some(&text), counted)),
        }
    }

    /// Runs the checks on the last answer of the chain.
    fn judge(
        &self,
        hop: &Hop<'_>,
        built: &Built,
        answer: Answer,
        session: &mut Session,
        counted: Counted,
    ) -> End {
        let Answer { status, headers, body, .. } = answer;
        if !hop.resource && is_page(&headers) && !is_ajax(&built.headers) {
            self.state.borrow_mut().referer = Some(built.url.clone());
        }
        let verdict =
            decode::decode(&body, value_of(&headers, "content-encoding").unwrap_or_default())
                .and_then(|body| {
                    let view = View {
                        status: status.as_u16(),
                        headers: &headers,
                        url: &built.url.to_string(),
                        body: &body,
                        response_time_ms: to_millis(counted.time),
                    };
                    let mut verdict = Ok(());
                    self.host.with_eval(&mut |eval| {
                        verdict = hop.template.checks.run(&view, session, eval);
                    });
                    verdict
                });
        self.count(hop, session, verdict.err().as_deref(), counted)
    }

    fn count(
        &self,
        hop: &Hop<'_>,
        session: &Session,
        failure: Option<&str>,
        counted: Counted,
    ) -> End {
        if hop.silent {
            return if failure.is_some() { End::SilentKo } else { End::Ok };
        }
        let id = self.host.request(&session.groups, &display_name(hop));
        let Counted { time, code, bytes_sent, bytes_received } = counted;
        let response = Response { failure, time, code, bytes_sent, bytes_received };
        self.host.response(id, response);
        if failure.is_some() { End::Ko } else { End::Ok }
    }

    /// Cookies and cache of an answer.
    fn keep(&self, built: &Built, answer: &Answer, key: Option<Key>, now_ms: i64) {
        let mut state = self.state.borrow_mut();
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let cookie = String::from_utf8_lossy(cookie.as_bytes());
            state.jar.store(&cookie, origin_of(&built.url), now_ms);
        }
        if is_redirect(answer.status.as_u16()) {
            return;
        }
        if let Some(key) = key {
            let said = |name| value_of(&answer.headers, name);
            let caching = Caching {
                cache_control: said("cache-control"),
                pragma: said("pragma"),
                expires: said("expires"),
                etag: said("etag"),
                last_modified: said("last-modified"),
            };
            state.cache.store(&key, &caching, now_ms);
        }
    }

    /// In Gatling's order: own, referer, accept, authorization, cookie, origin, host, content type
    /// of a form, content length.
    fn headers(&self, built: &Built, cookies: String, valid: Validators) -> HeaderMap {
        let mut headers = built.headers.clone();
        let spec = &self.config.spec;
        let referer = self.state.borrow().referer.clone();
        if let Some(referer) = &referer
            && !spec.disable_auto_referer
            && !headers.contains_key(header::REFERER)
        {
            put(&mut headers, header::REFERER, &referer.to_string());
        }
        if !headers.contains_key(header::ACCEPT) {
            headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        }
        if let Some(value) = &built.authorization {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        if !cookies.is_empty() {
            put(&mut headers, header::COOKIE, &cookies);
        }
        if let Some(referer) = &referer
            && !spec.disable_auto_origin
            && !matches!(built.method, Method::GET | Method::HEAD)
            && !headers.contains_key(header::ORIGIN)
        {
            put(&mut headers, header::ORIGIN, &referer.origin());
        }
        if !headers.contains_key(header::HOST) {
            put(&mut headers, header::HOST, &built.url.authority());
        }
        if let Some(kind) = &built.content_type {
            headers.insert(header::CONTENT_TYPE, kind.clone());
        }
        if let Some(etag) = valid.etag {
            put(&mut headers, header::IF_NONE_MATCH, &etag);
        }
        if let Some(date) = valid.last_modified {
            put(&mut headers, header::IF_MODIFIED_SINCE, &date);
        }
        let needs_length = matches!(built.method, Method::POST | Method::PUT | Method::PATCH);
        let length = built.body.as_ref().map(Bytes::len);
        if let Some(length) = length.or_else(|| needs_length.then_some(0)) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        headers
    }

    /// From the send attempt to the last byte, under the request's timeout.
    async fn exchange(
        &self,
        hop: &Hop<'_>,
        built: &Built,
        headers: HeaderMap,
    ) -> Result<Answer, Failure> {
        let timeout = hop.template.timeout;
        let address = Cell::new(None);
        let work = self.attempt(hop, built, headers, &address);
        match tokio::time::timeout(Duration::from_micros(timeout), work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let host = &built.url.host;
                let to = address.get().map_or_else(
                    || format!("{host}:{}", built.url.port),
                    |address| format!("{host}/{address}"),
                );
                let millis = to_millis(timeout);
                Err(Failure::Text(format!("Request timeout to {to} after {millis} ms")))
            }
        }
    }

    /// A premature close of a reused connection is tried once more, on a new one.
    async fn attempt(
        &self,
        hop: &Hop<'_>,
        built: &Built,
        headers: HeaderMap,
        address: &Cell<Option<SocketAddr>>,
    ) -> Result<Answer, Failure> {
        let keep = hop.template.checks.needs_body();
        let pooled = self.with_pool(|pool| pool.take(&built.url, self.host.now()));
        let mut connection = match pooled {
            Some(connection) => connection,
            None => self.connect(built).await?,
        };
        address.set(Some(connection.address));
        let retry = connection.used.then(|| headers.clone());
        let mut outcome = connection.exchange(to_request(built, headers)?, keep).await;
        if outcome.as_ref().err() == Some(&Failure::PrematureClose)
            && let Some(headers) = retry
        {
            connection = self.connect(built).await?;
            address.set(Some(connection.address));
            outcome = connection.exchange(to_request(built, headers)?, keep).await;
        }
        let answer = outcome?;
        if !closes(&answer.headers) {
            self.with_pool(|pool| pool.put(&built.url, connection, self.host.now()));
        }
        Ok(answer)
    }

    async fn connect(&self, built: &Built) -> Result<Connection, Failure> {
        let timeout = self.config.connect_timeout;
        self.client.dialer.connect(&built.url, timeout, self.host).await
    }

    fn with_pool<T>(&self, work: impl FnOnce(&mut Pool) -> T) -> T {
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

/// The request after a redirect. Credentials stay with their origin.
fn follow(mut request: Built, status: u16, to: Url, strict_302: bool) -> Built {
    let next = next_hop(status, request.method.as_str(), strict_302);
    let (keep_body, becomes_get) = (next.keep_body, next.method == "GET");
    if becomes_get {
        request.method = Method::GET;
    }
    if !keep_body {
        request.body = None;
        request.content_type = None;
    }
    let same_origin = request.url.same_origin(&to);
    request.headers = request
        .headers
        .iter()
        .filter(|(name, _)| !drops_header(name.as_str(), keep_body, same_origin))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !same_origin {
        request.authorization = None;
    }
    request.url = to;
    request
}

fn origin_of(url: &Url) -> Origin<'_> {
    Origin { host: &url.host, path: url.path(), secure: url.secure }
}

fn display_name<'n>(hop: &Hop<'n>) -> std::borrow::Cow<'n, str> {
    match hop.number {
        0 => hop.name.into(),
        number => format!("{} Redirect {number}", hop.name).into(),
    }
}

fn put(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    // What cannot be sent in a header is left out: it came from the target.
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

fn to_request(built: &Built, headers: HeaderMap) -> Result<Request<Full<Bytes>>, Failure> {
    let body = Full::new(built.body.clone().unwrap_or_default());
    let mut request = Request::new(body);
    *request.method_mut() = built.method.clone();
    *request.uri_mut() = built.url.path_and_query.parse().map_err(|error| {
        Failure::Text(format!("{} is not a valid url: {error}", built.url.to_string()))
    })?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn sent_bytes(built: &Built, headers: &HeaderMap) -> u64 {
    let line = built.method.as_str().len() + built.url.path_and_query.len() + 12;
    let head: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (line + head + 2 + built.body.as_ref().map_or(0, Bytes::len)) as u64
}

fn closes(headers: &HeaderMap) -> bool {
    value_of(headers, "connection").is_some_and(|it| it.eq_ignore_ascii_case("close"))
}

fn is_page(headers: &HeaderMap) -> bool {
    value_of(headers, "content-type")
        .is_some_and(|it| it.starts_with("text/html") || it.starts_with("application/xhtml+xml"))
}

fn is_ajax(headers: &HeaderMap) -> bool {
    value_of(headers, "x-requested-with") == Some("XMLHttpRequest")
}

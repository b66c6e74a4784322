//! HTTP/1.1 and HTTP/2 as Gatling's HTTP protocol does them, WebSockets and event streams. This
//! file ties configuration, request templates and the thread's client together; `exec` carries a
//! request out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::expr::{Compiled, Expr};
use crate::protocol::{Action, Bound, Protocol};
use crate::script::Sources;

mod action;
mod auth;
mod batch;
mod body;
pub mod cache;
mod config;
mod connection;
mod cookie_actions;
pub mod cookies;
pub mod decode;
mod dial;
mod digest;
mod exec;
mod fields;
mod h1;
mod head;
mod http2;
pub mod inbound;
mod infer;
mod infer_html;
pub mod kinds;
mod local;
mod media_types;
pub mod multipart;
mod oauth1;
mod outgoing;
mod poll;
mod proxy;
mod reader;
pub mod redirect;
mod request;
mod response;
mod seen;
mod sign;
pub mod spec;
pub mod sse;
mod tls;
mod transform;
pub mod url;
mod ways;
mod wire;
pub mod ws;

#[cfg(test)]
mod action_tests;
#[cfg(test)]
mod auth_tests;
#[cfg(test)]
mod http2_tests;
#[cfg(test)]
mod route_tests;
#[cfg(test)]
mod sample_tests;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_tests;
#[cfg(test)]
mod url_tests;

use action::{Client, ConcurrentAction, HttpAction, Named};
use body::BodyFiles;
use config::Config;
use cookie_actions::{Change, CookieAction};
use dial::Dialer;
use kinds::{ActionKind, OtherKind, PollSpec};
use poll::PollAction;

use request::Template;
pub(super) use seen::describe;
use spec::{HttpProtocolSpec, RequestSpec, Resource};

use sse::SseAction;
use ws::WsAction;

/// The protocol on one engine thread.
pub struct Http {
    slot: usize,
    client: Rc<Client>,
}

impl Http {
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(slot: usize, sources: Arc<dyn Sources>) -> Result<Self, String> {
        let client = Client {
            dialer: Dialer::new()?,
            shared: RefCell::default(),
            files: BodyFiles::new(sources),
            warmed: Cell::new(false),
        };
        Ok(Self { slot, client: Rc::new(client) })
    }
}

impl Protocol for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn bind(&self, config: Option<&RawValue>) -> Result<Box<dyn Bound>, String> {
        let spec: HttpProtocolSpec = config
            .map(|it| serde_json::from_str(it.get()))
            .transpose()
            .map_err(|error| format!("http protocol: {error}"))?
            .unwrap_or_default();
        let config = Rc::new(Config::new(spec)?);
        Ok(Box::new(Configured { slot: self.slot, config, client: Rc::clone(&self.client) }))
    }
}

struct Configured {
    slot: usize,
    config: Rc<Config>,
    client: Rc<Client>,
}

impl Configured {
    fn named(&self, name: &Expr, spec: &RequestSpec) -> Result<Named, String> {
        let template = Template::compile(spec, &self.config)?;
        Ok(Named { name: Compiled::new(name)?, template })
    }

    fn request(&self, name: &Expr, spec: &RequestSpec) -> Result<HttpAction, String> {
        if spec.resources.iter().any(|it| !it.spec.resources.is_empty()) {
            return Err("resources can't have resources themselves".to_owned());
        }
        let resources = self.all_named(&spec.resources)?;
        Ok(HttpAction {
            slot: self.slot,
            request: self.named(name, spec)?,
            resources,
            config: Rc::clone(&self.config),
            client: Rc::clone(&self.client),
        })
    }

    fn all_named(&self, requests: &[Resource]) -> Result<Vec<Rc<Named>>, String> {
        requests.iter().map(|it| self.named(&it.name, &it.spec).map(Rc::new)).collect()
    }

    fn concurrent(&self, requests: &[Resource]) -> Result<ConcurrentAction, String> {
        if requests.is_empty() {
            return Err("httpConcurrentRequests needs at least one request".to_owned());
        }
        if requests.iter().any(|it| !it.spec.resources.is_empty()) {
            return Err("concurrent requests can't have resources".to_owned());
        }
        Ok(ConcurrentAction {
            slot: self.slot,
            requests: self.all_named(requests)?,
            config: Rc::clone(&self.config),
            client: Rc::clone(&self.client),
        })
    }

    fn poll(&self, spec: &PollSpec) -> Result<PollAction, String> {
        let change = match &spec.start {
            None => poll::Change::Stop,
            Some(start) => poll::Change::Start {
                period: Compiled::new(&start.every)?,
                request: Rc::new(self.request(&start.request.name, &start.request.spec)?),
            },
        };
        Ok(PollAction { slot: self.slot, poller: spec.poller.as_str().into(), change })
    }

    /// An action that changes what the protocol keeps for the user.
    fn change(&self, change: Change) -> Rc<dyn Action> {
        Rc::new(CookieAction { slot: self.slot, change, config: Rc::clone(&self.config) })
    }
}

impl Bound for Configured {
    fn action(&self, name: &Expr, spec: &RawValue) -> Result<Rc<dyn Action>, String> {
        Ok(match ActionKind::parse(spec.get())? {
            ActionKind::Request(spec) => Rc::new(self.request(name, &spec)?),
            ActionKind::Other(OtherKind::AddCookie(spec)) => {
                self.change(Change::add(&spec, &self.config)?)
            }
            ActionKind::Other(OtherKind::GetCookieValue(spec)) => {
                self.change(Change::get(&spec, &self.config)?)
            }
            ActionKind::Other(OtherKind::Concurrent(requests)) => {
                Rc::new(self.concurrent(&requests)?)
            }
            ActionKind::Other(OtherKind::Poll(spec)) => Rc::new(self.poll(&spec)?),
            ActionKind::Other(OtherKind::Ws(spec)) => {
                Rc::new(WsAction::new(self.slot, name, &spec, &self.config, &self.client)?)
            }
            ActionKind::Other(OtherKind::Sse(spec)) => {
                Rc::new(SseAction::new(self.slot, name, &spec, &self.config, &self.client)?)
            }
            ActionKind::Other(OtherKind::Flush(what)) => self.change(Change::Flush(what)),
        })
    }
}

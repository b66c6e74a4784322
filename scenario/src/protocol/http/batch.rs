//! Requests that go at once: the resources of a page, those its content names, and
//! `httpConcurrentRequests`.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::header::CONTENT_TYPE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::action::Named;
use super::config::Config;
use super::exec::{End, Outcome, Scope};
use super::infer::RESOURCES_MAX;
use super::outgoing::{is_page, media_type};
use super::response::View;
use super::url::Url;
use crate::check::ResponseView as _;
use crate::session::Session;
use crate::time::Micros;

/// What the requests of one action share; only actions of several requests have one.
#[derive(Default)]
pub(super) struct Batch {
    /// By origin: how many more requests may go to it now.
    tokens: RefCell<Vec<(String, Arc<Semaphore>)>>,
    found: RefCell<Vec<Rc<Named>>>,
    /// How many have been found so far.
    inferred: Cell<usize>,
    /// Addresses that were asked for: a style sheet does not have them fetched again.
    asked: RefCell<HashSet<String>>,
}

impl Batch {
    /// Waits until another request may go to the URL's host.
    pub(super) async fn token(&self, config: &Config, url: &Url) -> Option<OwnedSemaphorePermit> {
        self.asked.borrow_mut().insert(url.to_string());
        let tokens = self.tokens_of(config, url.origin());
        // Never closed.
        tokens.acquire_owned().await.ok()
    }

    fn tokens_of(&self, config: &Config, origin: String) -> Arc<Semaphore> {
        let mut tokens = self.tokens.borrow_mut();
        if let Some((_, held)) = tokens.iter().find(|(held, _)| *held == origin) {
            return Arc::clone(held);
        }
        let made = Arc::new(Semaphore::new(config.connections_max));
        tokens.push((origin, Arc::clone(&made)));
        made
    }

    /// Looks at an answer that passed its checks: a page names resources, a resource that is a style
    /// sheet names others.
    pub(super) fn look(&self, scope: &Scope<'_>, view: &View<'_>, resource: bool) {
        let Some(infer) = &scope.config.infer else { return };
        let kind = view.headers.value(CONTENT_TYPE.as_str()).unwrap_or_default();
        let counts = if resource { media_type(&kind) == "text/css" } else { is_page(view.headers) };
        match view.status {
            200 if counts => {
                let (found, note) =
                    infer.of_document(view.url, &view.text(), resource, scope.config);
                if let Some(note) = note {
                    scope.host.note(&format!("inferHtmlResources: {note}"));
                }
                self.add(scope, &found, resource);
            }
            304 => self.look_known(scope, view.url, resource),
            _ => {}
        }
    }

    /// A document that was not sent again.
    pub(super) fn look_known(&self, scope: &Scope<'_>, url: &Url, resource: bool) {
        if let Some(found) = scope.config.infer.as_ref().and_then(|infer| infer.of_known(url)) {
            self.add(scope, &found, resource);
        }
    }

    fn add(&self, scope: &Scope<'_>, found: &[Rc<Named>], resource: bool) {
        let mut asked = self.asked.borrow_mut();
        let mut is_fresh = |it: &Rc<Named>| {
            let is_new = it.template.fixed_url().is_none_or(|url| asked.insert(url.to_string()));
            is_new || !resource
        };
        for named in found {
            if !is_fresh(named) {
                continue;
            }
            let so_far = self.inferred.get();
            self.inferred.set(so_far + 1);
            match so_far {
                ..RESOURCES_MAX => self.found.borrow_mut().push(Rc::clone(named)),
                RESOURCES_MAX => scope.host.note(&format!(
                    "inferHtmlResources: one request has led to {RESOURCES_MAX} resources; no \
                     further ones are fetched for it"
                )),
                _ => break,
            }
        }
    }

    /// What was found since it was last asked.
    pub(super) fn take_found(&self) -> Vec<Rc<Named>> {
        self.found.take()
    }
}

/// How the requests of an action ended.
pub(super) struct Ended {
    /// In the order of their start.
    pub ends: Vec<End>,
    /// From the first's start to the last's end, as the groups have it: nothing where all were silent.
    pub response_time: Micros,
}

/// Carries the requests out, and those that their answers name, so many at once as the protocol
/// allows. They do not see one another's saves; all of them are kept.
pub(super) async fn carry_out(
    scope: &Scope<'_>,
    batch: &Batch,
    first: Vec<Rc<Named>>,
    session: &mut Session,
) -> Ended {
    let began = scope.host.now();
    let base = session.clone();
    let mut running = FuturesUnordered::new();
    let mut outcomes: Vec<(usize, Session, Outcome)> = Vec::new();
    let mut started = 0;
    let mut next = first;
    loop {
        for named in next {
            let (mut own, index) = (base.clone(), started);
            running.push(async move {
                let outcome = scope.transact(&named, &mut own, true).await;
                (index, own, outcome)
            });
            started += 1;
        }
        let Some(ended) = running.next().await else { break };
        outcomes.push(ended);
        next = batch.take_found();
    }
    outcomes.sort_by_key(|(index, ..)| *index);
    for (_, own, _) in &outcomes {
        adopt_saves(session, &base, own);
    }
    // What a silent request takes is not counted.
    let is_counted = outcomes.iter().any(|(.., outcome)| outcome.response_time > 0);
    let response_time = if is_counted { scope.host.now().saturating_sub(began) } else { 0 };
    let ends = outcomes.into_iter().map(|(.., outcome)| outcome.end).collect();
    Ended { ends, response_time }
}

fn adopt_saves(session: &mut Session, base: &Session, from: &Session) {
    for (name, value) in from.attributes() {
        if base.get(name) != Some(value) {
            session.set(Arc::clone(name), value.clone());
        }
    }
}

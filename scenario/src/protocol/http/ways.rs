//! What a hop takes from its user besides cookies and cache: the way to the target, and the answer to
//! its challenge. Seldom needed, so none of it is on the hot path.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::connection::{Answer, Failure};
use super::dial::Dial;
use super::digest::Challenge;
use super::exec::Scope;
use super::h1::Outgoing;
use super::outgoing::{OfUser, outgoing};
use super::proxy::Route;
use super::reader::Reader;
use super::request::Built;
use super::url::Url;

impl Scope<'_> {
    /// What goes over the wire, signed where the request says so.
    ///
    /// # Errors
    /// What cannot be sent.
    pub(super) fn outgoing(
        &self,
        built: &Built,
        of_user: &OfUser<'_>,
    ) -> Result<Outgoing, Failure> {
        let spec = &self.config.spec;
        let Some(identity) = &built.identity else { return outgoing(spec, built, of_user) };
        let mut signed = Err(String::new());
        let mut state = self.state.borrow_mut();
        self.host.with_eval(&mut |eval| {
            signed = identity.sign(built, &mut state.challenges, eval);
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

    /// One GET that nobody counts: it loads what the first request would otherwise wait for.
    pub(super) async fn warm_up(&self, url: &Url) {
        let head = format!(
            "GET {} HTTP/1.1\r\naccept: */*\r\nhost: {}\r\n\r\n",
            url.path_and_query,
            url.authority()
        );
        let request = Outgoing { head: head.into_bytes(), body: Bytes::new() };
        let work = async {
            let mut connection =
                self.client.dialer.connect(url, self.dial(url, None), self.host).await?;
            let mut reader = Reader::new(&Method::GET, false);
            connection.exchange(&request, &mut reader).await
        };
        let limit = Duration::from_micros(self.config.request_timeout);
        let why = match tokio::time::timeout(limit, work).await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure.text(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        self.host.note(&format!("warmUp({url}): {why}"));
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

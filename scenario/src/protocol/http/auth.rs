//! How a request says who sends it: basic and digest authentication, OAuth 1.0 signatures, and those
//! of the script. Basic is known when the request is built; the others depend on the hop, and on what
//! the target asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderValue};
use rand::Rng as _;

use super::body::text_of;
use super::digest::{Challenges, Login, Signed};
use super::oauth1::{self, Keys, Once};
use super::request::Built;
use super::sign::sign;
use super::spec::{HttpProtocolSpec, OAuth1, RequestSpec};
use crate::charset::latin1;
use crate::expr::{Compiled, EvalCtx, FnId};
use crate::session::Session;

/// Of a request, compiled.
#[derive(Default)]
pub(super) struct AuthTemplate {
    basic: Option<[Compiled; 2]>,
    digest: Option<[Compiled; 2]>,
    /// Consumer, its secret, token, its secret; and whether they go into the header.
    oauth1: Option<([Compiled; 4], bool)>,
    sign: Option<FnId>,
}

/// What signs each hop of a request.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub digest: Option<Login>,
    oauth1: Option<Keys>,
    sign: Option<FnId>,
}

impl AuthTemplate {
    /// The request's own authentication takes the place of the protocol's.
    ///
    /// # Errors
    /// What is wrong with an expression.
    pub(super) fn compile(
        spec: &RequestSpec,
        protocol: &HttpProtocolSpec,
    ) -> Result<Option<Box<Self>>, String> {
        let (basic, digest) = match (&spec.basic_auth, &spec.digest_auth) {
            (None, None) => (&protocol.basic_auth, &protocol.digest_auth),
            own => own,
        };
        let (oauth1, sign) = match (&spec.oauth1, spec.sign) {
            (None, None) if spec.ignore_protocol_signature => (&None, None),
            (None, None) => (&protocol.oauth1, protocol.sign),
            own => own,
        };
        if basic.is_none() && digest.is_none() && oauth1.is_none() && sign.is_none() {
            return Ok(None);
        }
        let pair = |it: &super::spec::Credentials| {
            Ok::<_, String>([Compiled::new(&it.user)?, Compiled::new(&it.password)?])
        };
        let keys = |it: &OAuth1| {
            let keys = [
                Compiled::new(&it.consumer_key)?,
                Compiled::new(&it.consumer_secret)?,
                Compiled::new(&it.token)?,
                Compiled::new(&it.token_secret)?,
            ];
            Ok::<_, String>((keys, !it.in_parameters))
        };
        Ok(Some(Box::new(Self {
            basic: basic.as_ref().map(pair).transpose()?,
            digest: digest.as_ref().map(pair).transpose()?,
            oauth1: oauth1.as_ref().map(keys).transpose()?,
            sign,
        })))
    }

    /// The header of basic authentication, where the request has none of its own; and what signs
    /// its hops.
    ///
    /// # Errors
    /// As the expressions.
    pub(super) fn build(
        &self,
        headers: &HeaderMap,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<(Option<HeaderValue>, Option<Box<Identity>>), String> {
        let mut text = |it: &Compiled| text_of(it, session, eval);
        let explicit = headers.contains_key(header::AUTHORIZATION);
        let mut authorization = None;
        if let Some([user, password]) = self.basic.as_ref().filter(|_| !explicit) {
            let pair = format!("{}:{}", text(user)?, text(password)?);
            authorization = Some(secret(&format!("Basic {}", STANDARD.encode(pair)))?);
        }
        let digest = match self.digest.as_ref().filter(|_| !explicit) {
            Some([user, password]) => Some(Login { user: text(user)?, password: text(password)? }),
            None => None,
        };
        let oauth1 = match &self.oauth1 {
            Some(([consumer, consumer_secret, token, token_secret], in_header)) => Some(Keys {
                consumer: text(consumer)?,
                consumer_secret: text(consumer_secret)?,
                token: text(token)?,
                token_secret: text(token_secret)?,
                in_header: *in_header,
            }),
            None => None,
        };
        let sign = self.sign;
        let signs = digest.is_some() || oauth1.is_some() || sign.is_some();
        Ok((authorization, signs.then(|| Box::new(Identity { digest, oauth1, sign }))))
    }
}

impl Identity {
    /// What stays of it after a redirect: Gatling signs no further hop, and a password stays with
    /// its origin.
    pub(super) fn after_redirect(mut self: Box<Self>, same_origin: bool) -> Option<Box<Self>> {
        self.oauth1 = None;
        self.sign = None;
        (same_origin && self.digest.is_some()).then_some(self)
    }

    /// The request as this hop sends it.
    ///
    /// # Errors
    /// What cannot be sent in a header, and what the script threw.
    pub(super) fn sign(
        &self,
        built: &Built,
        challenges: &mut Challenges,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<Built, String> {
        let mut signed = built.clone();
        if let Some(login) = &self.digest {
            let request = Signed {
                method: built.method.as_str(),
                uri: &built.url.path_and_query,
                body: built.body.as_deref().unwrap_or_default(),
            };
            let cnonce = nonce(eval);
            if let Some(said) = challenges.answer(&built.url, login, &request, &cnonce) {
                signed.authorization = Some(secret(&said)?);
            }
        }
        if let Some(keys) = &self.oauth1 {
            sign_oauth1(&mut signed, keys, eval)?;
        }
        if let Some(function) = self.sign {
            sign(function, &mut signed, session, eval)?;
        }
        Ok(signed)
    }
}

fn sign_oauth1(signed: &mut Built, keys: &Keys, eval: &mut EvalCtx<'_>) -> Result<(), String> {
    let nonce = nonce(eval);
    let once = Once { nonce: &nonce, unix_seconds: eval.unix_ms / 1_000 };
    let form = form_of(signed);
    let params = oauth1::signature(
        keys,
        once,
        signed.method.as_str(),
        &signed.url,
        form.as_deref().unwrap_or_default(),
    );
    if keys.in_header {
        let value = secret(&oauth1::header(&params))?;
        signed.headers.remove(header::AUTHORIZATION);
        signed.authorization = Some(value);
        return Ok(());
    }
    if let Some(form) = form {
        signed.body = Some(oauth1::appended(&form, &params).into());
        return Ok(());
    }
    let target = &mut signed.url.path_and_query;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    *target = format!("{path}?{}", oauth1::appended(query, &params));
    Ok(())
}

/// The body, where it is a form (RFC 5849, 3.4.1.3.1).
fn form_of(built: &Built) -> Option<String> {
    let own = built.headers.get(header::CONTENT_TYPE);
    let kind = built.content_type.as_ref().or(own)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let body = built
        .body
        .as_ref()
        .filter(|_| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))?;
    Some(String::from_utf8_lossy(body).into_owned())
}

fn nonce(eval: &mut EvalCtx<'_>) -> String {
    format!("{:016x}", eval.rng.random::<u64>())
}

fn secret(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(&latin1(text))
        .map_err(|_| "the credentials have a character that no header may hold".to_owned())
}

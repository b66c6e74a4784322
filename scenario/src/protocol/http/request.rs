//! From a request's JSON to a template, and from a template and a session to what is sent. Hot path.

use std::rc::Rc;

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::auth::{AuthTemplate, Identity};
use super::body::{
    BodyFiles, BodyValue, ParamValue, PartValue, boundary, form_text, multipart, processed, text_of,
};
use super::config::{Bases, Config, turn_of};
use super::proxy::{Route, RouteTemplate};
use super::spec::{BodyProcessor, RequestSpec};
use super::url::Url;
use crate::charset::{self, Charset, latin1};
use crate::check::CompiledChecks;
use crate::expr::{Compiled, EvalCtx, FnId};
use crate::session::Session;
use crate::time::Micros;
use crate::value::Value;

/// Names of own headers that are not written in lower case, as the user wrote them.
type Spelling = Rc<Vec<(HeaderName, Box<str>)>>;

/// A request, compiled against its protocol's configuration.
pub(super) struct Template {
    method: MethodTemplate,
    url: UrlTemplate,
    query: Vec<ParamValue>,
    /// The protocol's and the request's own, one per name.
    headers: Vec<(HeaderName, HeaderTemplate)>,
    /// So many of them, the first, are not computed.
    fixed: usize,
    spelling: Spelling,
    auth: Option<Box<AuthTemplate>>,
    route: Option<Box<RouteTemplate>>,
    body: Option<BodyValue>,
    form: Vec<ParamValue>,
    parts: Vec<PartValue>,
    multipart: bool,
    /// Of a body of text and of a form; none: the content type is computed.
    charset: Option<Charset>,
    encode: bool,
    processors: Vec<BodyProcessor>,
    pub transform: Option<FnId>,
    pub checks: CompiledChecks,
    pub follow: bool,
    pub silent: Option<bool>,
    pub timeout: Micros,
}

enum MethodTemplate {
    Fixed(Method),
    Computed(Compiled),
}

impl MethodTemplate {
    fn new(compiled: Compiled) -> Result<Self, String> {
        match &compiled {
            Compiled::Lit(text) => method_of(&text.to_string()).map(Self::Fixed),
            _ => Ok(Self::Computed(compiled)),
        }
    }
}

fn method_of(text: &str) -> Result<Method, String> {
    Method::from_bytes(text.as_bytes()).map_err(|_| format!("{text:?} is no HTTP method"))
}

enum HeaderTemplate {
    Fixed(HeaderValue),
    Computed(Compiled),
}

enum UrlTemplate {
    /// Absolute and without parameters of its own: parsed once.
    Fixed(Box<Url>),
    /// With each base.
    Relative(Vec<Url>),
    Computed(Compiled),
}

/// What is sent, apart from what depends on the user's cookies and cache.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub method: Method,
    pub url: Url,
    /// Own headers only, in their order: those that were computed come last.
    pub headers: HeaderMap,
    /// Of a stream: they come behind the host, and own ones of the same names give way.
    pub trailing: Option<Box<HeaderMap>>,
    /// So many of them were not computed: the Referer follows them.
    pub fixed: usize,
    /// It follows a redirect.
    pub redirected: bool,
    spelling: Spelling,
    /// Of basic authentication; an own `Authorization` header wins.
    pub authorization: Option<HeaderValue>,
    /// Signs each hop.
    pub identity: Option<Box<Identity>>,
    /// By a proxy; none: straight.
    pub route: Option<Rc<Route>>,
    pub body: Option<Bytes>,
    /// Of a form or multipart body that has no own content type.
    pub content_type: Option<HeaderValue>,
}

impl Built {
    /// As it is sent where no proxy sees it.
    pub(super) fn inside_tunnel(&self) -> Self {
        Self { route: None, ..self.clone() }
    }

    /// A header that came later is sent under this name.
    pub(super) fn spell(&mut self, name: &HeaderName, spelt: &str) {
        if spelt != self.spelt(name) {
            let all = Rc::make_mut(&mut self.spelling);
            all.retain(|(known, _)| known != name);
            all.push((name.clone(), spelt.into()));
        }
    }

    /// An own header's name as it is sent: targets may not care, but people who compare do.
    pub(super) fn spelt<'a>(&'a self, name: &'a HeaderName) -> &'a str {
        let own = self.spelling.iter().find(|(known, _)| known == name);
        own.map_or(name.as_str(), |(_, spelt)| spelt)
    }
}

impl Template {
    /// Whether anything looks at the answer's body.
    pub(super) fn needs_body(&self) -> bool {
        self.checks.needs_body() || self.transform.is_some()
    }

    /// Where no user changes it.
    pub(super) fn fixed_url(&self) -> Option<&Url> {
        match &self.url {
            UrlTemplate::Fixed(url) => Some(url),
            UrlTemplate::Relative(_) | UrlTemplate::Computed(_) => None,
        }
    }

    /// # Errors
    /// What is wrong with the request.
    pub(super) fn compile(spec: &RequestSpec, config: &Config) -> Result<Self, String> {
        Self::compile_for(spec, config, config.bases())
    }

    /// The same with other base URLs: those of WebSockets.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub(super) fn compile_for(
        spec: &RequestSpec,
        config: &Config,
        bases: Bases<'_>,
    ) -> Result<Self, String> {
        let method = MethodTemplate::new(spec.method.compiled()?)?;
        let encode = !(spec.disable_url_encoding || config.spec.disable_url_encoding);
        let mut headers: Vec<(HeaderName, HeaderTemplate)> = Vec::new();
        let mut spelling = Vec::new();
        let inherited: &[super::spec::Header] =
            if spec.ignore_protocol_headers { &[] } else { &config.spec.headers };
        for entry in inherited.iter().chain(&spec.headers) {
            let name = HeaderName::from_bytes(entry.name.trim().as_bytes())
                .map_err(|_| format!("{:?} is not a header name", entry.name))?;
            let value = HeaderTemplate::new(Compiled::new(&entry.value)?);
            match headers.iter_mut().find(|(held, _)| *held == name) {
                Some((_, held)) => *held = value,
                None => {
                    // The last value wins and keeps the first spelling, as in Gatling.
                    if name.as_str() != entry.name.trim() {
                        spelling.push((name.clone(), entry.name.trim().into()));
                    }
                    headers.push((name, value));
                }
            }
        }
        add_default_type(&mut headers, spec);
        let is_computed = |value: &HeaderTemplate| matches!(value, HeaderTemplate::Computed(_));
        headers.sort_by_key(|(_, value)| is_computed(value));
        let fixed = headers.iter().filter(|(_, value)| !is_computed(value)).count();
        let inherited: &[crate::check::CheckSpec] =
            if spec.ignore_protocol_checks { &[] } else { &config.spec.checks };
        let all = |params: &[super::spec::Param]| {
            params.iter().map(ParamValue::compile).collect::<Result<Vec<_>, _>>()
        };
        let body = spec.body.as_ref().map(BodyValue::compile).transpose()?;
        let multipart = spec.multipart || !spec.parts.is_empty();
        let writes = body.as_ref().map_or(!spec.form.is_empty() && !multipart, BodyValue::is_text);
        let content_type = headers.iter().find(|(name, _)| *name == header::CONTENT_TYPE);
        let charset = match content_type {
            Some((_, HeaderTemplate::Computed(_))) => None,
            Some((_, HeaderTemplate::Fixed(kind))) if writes && !is_multipart(kind) => {
                Some(charset_of(kind)?)
            }
            _ => Some(Charset::Utf8),
        };
        Ok(Self {
            method,
            url: UrlTemplate::compile(Compiled::new(&spec.url)?, bases, encode)?,
            query: all(&spec.query)?,
            headers,
            fixed,
            spelling: spelling.into(),
            auth: AuthTemplate::compile(spec, &config.spec)?,
            route: RouteTemplate::compile(spec, &config.spec)?,
            body,
            form: all(&spec.form)?,
            parts: spec.parts.iter().map(PartValue::compile).collect::<Result<_, _>>()?,
            multipart,
            charset,
            encode,
            processors: spec.body_processors.clone(),
            transform: spec.transform_response,
            checks: CompiledChecks::compile(&spec.checks, inherited)?,
            follow: !(spec.disable_follow_redirect || config.spec.disable_follow_redirect),
            silent: spec.silent,
            timeout: spec.request_timeout_us.unwrap_or(config.request_timeout),
        })
    }

    /// # Errors
    /// Why it cannot be built: `No attribute named 'x' is defined`, …
    pub(super) fn build(
        &self,
        config: &Config,
        files: &BodyFiles,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<Built, String> {
        self.build_for(config.bases(), files, session, eval)
    }

    /// The same with other base URLs: those it was compiled with.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub(super) fn build_for(
        &self,
        bases: Bases<'_>,
        files: &BodyFiles,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<Built, String> {
        let mut url = self.url.build(bases, self.encode, session, eval)?;
        if !self.query.is_empty() {
            let mut params = Vec::new();
            for param in &self.query {
                param.resolve(&mut params, session, eval)?;
            }
            // Lists may be empty.
            if !params.is_empty() {
                let text = form_text(&params, self.encode.then_some(Charset::Utf8));
                url.add_query(&text);
            }
        }
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let value = match value {
                HeaderTemplate::Fixed(value) => value.clone(),
                HeaderTemplate::Computed(expr) => text_of_header(name, expr, session, eval)?,
            };
            headers.insert(name, value);
        }
        let (authorization, identity) = match &self.auth {
            Some(auth) => auth.build(&headers, session, eval)?,
            None => (None, None),
        };
        let route = match &self.route {
            Some(route) => Some(route.build(session, eval)?),
            None => None,
        };
        let (mut body, content_type) = self.build_body(&headers, files, session, eval)?;
        if !self.processors.is_empty() {
            body = body.map(|body| processed(body, &self.processors));
        }
        let method = match &self.method {
            MethodTemplate::Fixed(method) => method.clone(),
            MethodTemplate::Computed(expr) => method_of(&text_of(expr, session, eval)?)?,
        };
        let spelling = Rc::clone(&self.spelling);
        Ok(Built {
            method,
            url,
            headers,
            trailing: None,
            fixed: self.fixed,
            redirected: false,
            spelling,
            authorization,
            identity,
            route,
            body,
            content_type,
        })
    }

    fn charset(&self, headers: &HeaderMap) -> Result<Charset, String> {
        match self.charset {
            Some(charset) => Ok(charset),
            None => headers.get(header::CONTENT_TYPE).map_or(Ok(Charset::Utf8), charset_of),
        }
    }

    fn build_body(
        &self,
        headers: &HeaderMap,
        files: &BodyFiles,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<(Option<Bytes>, Option<HeaderValue>), String> {
        if let Some(body) = &self.body {
            let charset = if body.is_text() { self.charset(headers)? } else { Charset::Utf8 };
            return Ok((Some(body.build(charset, files, session, eval)?), None));
        }
        if self.form.is_empty() && !self.multipart {
            return Ok((None, None));
        }
        let mut params = Vec::new();
        for param in &self.form {
            param.resolve(&mut params, session, eval)?;
        }
        let own = headers.get(header::CONTENT_TYPE);
        if !self.multipart && !own.is_some_and(is_multipart) {
            let kind = own
                .is_none()
                .then(|| HeaderValue::from_static("application/x-www-form-urlencoded"));
            let text = form_text(&params, Some(self.charset(headers)?));
            return Ok((Some(text.into()), kind));
        }
        let own = own.and_then(|it| it.to_str().ok());
        let boundary = boundary(own, eval);
        let content_type = || "header content-type".to_owned();
        let body = multipart(&boundary, &params, &self.parts, files, session, eval)?;
        let kind = match own {
            Some(own) if own.contains("boundary=") => None,
            Some(own) => Some(format!("{own}; boundary={boundary}")),
            None => Some(format!("multipart/form-data; boundary={boundary}")),
        };
        Ok((Some(body), kind.map(|it| to_value(&it, content_type)).transpose()?))
    }
}

/// A form with such an own content type is sent in parts.
fn is_multipart(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"multipart/form-data")
}

/// That of a request's own content type; UTF-8 where it names none.
fn charset_of(content_type: &HeaderValue) -> Result<Charset, String> {
    let text = charset::of_latin1(content_type.as_bytes());
    let Some(name) = charset::name_in(&text) else { return Ok(Charset::Utf8) };
    Charset::named(name)
        .ok_or_else(|| format!("the content type {text:?} names a charset that there is not"))
}

/// `asJson()`, `asXml()`: where neither the request nor the protocol says otherwise; the type of the
/// content only where there is some.
fn add_default_type(headers: &mut Vec<(HeaderName, HeaderTemplate)>, spec: &RequestSpec) {
    let Some(kind) = &spec.default_type else { return };
    let content = spec.body.is_some().then_some(header::CONTENT_TYPE);
    for name in [Some(header::ACCEPT), content].into_iter().flatten() {
        if !headers.iter().any(|(held, _)| *held == name) {
            let value = HeaderTemplate::new(Compiled::Lit(kind.as_str().into()));
            headers.push((name, value));
        }
    }
}

impl HeaderTemplate {
    /// One that cannot be sent is an error of each request, as in Gatling.
    fn new(value: Compiled) -> Self {
        let fixed = match &value {
            Compiled::Lit(literal) => HeaderValue::from_bytes(&latin1(&literal.to_string())).ok(),
            _ => None,
        };
        fixed.map_or(Self::Computed(value), Self::Fixed)
    }
}

impl UrlTemplate {
    fn compile(url: Compiled, bases: Bases<'_>, encode: bool) -> Result<Self, String> {
        let Compiled::Lit(value) = url else { return Ok(Self::Computed(url)) };
        let text = value.to_string();
        if bases.spare(&text) {
            return Url::parse(&text, encode).map(|url| Self::Fixed(Box::new(url)));
        }
        if bases.urls.is_empty() {
            return Err(no_base(&text));
        }
        let urls = bases.urls.iter().map(|base| joined(base, &text, encode));
        Ok(Self::Relative(urls.collect::<Result<_, _>>()?))
    }

    fn build(
        &self,
        bases: Bases<'_>,
        encode: bool,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<Url, String> {
        let base = turn_of(session.user_id, bases.urls.len());
        match self {
            Self::Fixed(url) => Ok((**url).clone()),
            Self::Relative(urls) => {
                let url = urls.get(base).ok_or("No baseUrl defined")?;
                Ok(url.clone())
            }
            Self::Computed(expr) => {
                let text = text_of(expr, session, eval)?;
                match bases.urls.get(base) {
                    _ if bases.spare(&text) => Url::parse(&text, encode),
                    Some(base) => joined(base, &text, encode),
                    None => Err(no_base(&text)),
                }
            }
        }
    }
}

fn joined(base: &str, url: &str, encode: bool) -> Result<Url, String> {
    let whole = format!("{base}{url}");
    let parsed = Url::parse(&whole, encode);
    parsed.map_err(|error| format!("url {whole} can't be parsed into an Uri: {error}"))
}

fn no_base(url: &str) -> String {
    format!("No baseUrl defined but provided url is relative : {url}")
}

/// Strict, as Gatling is: a function must give text.
fn text_of_header(
    name: &HeaderName,
    expr: &Compiled,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<HeaderValue, String> {
    if let Compiled::Fn(_) = expr {
        return match expr.eval(session, eval)? {
            Value::Str(text) => to_value(&text, || format!("header {name}")),
            _ => Err(format!("header {name}: its function gives no string")),
        };
    }
    to_value(&text_of(expr, session, eval)?, || format!("header {name}"))
}

/// In ISO 8859-1, as Gatling writes it. The value itself is not told: it may be a secret.
///
/// # Errors
/// What it belongs to.
pub(super) fn to_value(text: &str, whose: impl FnOnce() -> String) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(&latin1(text))
        .map_err(|_| format!("the value of {} holds a character that no header may hold", whose()))
}

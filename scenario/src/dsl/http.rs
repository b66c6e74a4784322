//! HTTP requests and their protocol.
//! <https://docs.gatling.io/reference/script/protocols/http/>

use serde_json::json;
use serde_json::value::to_raw_value;

use super::chain::Chain;
use super::check::Check;
use super::value::IntoExpr;
use crate::expr::Expr;
use crate::ir::{ActionSpec, ProtocolSpec};
use crate::protocol::http::spec::{Body, Header, HttpProtocolSpec, Param, RequestSpec};
use crate::step::Step;

const PROTOCOL: &str = "http";

/// A request that still wants its method: `http("Home").get("/")`.
#[derive(Clone, Debug)]
pub struct Method(Expr);

pub fn http(name: impl IntoExpr) -> Method {
    Method(name.into_expr())
}

impl Method {
    pub fn get(self, url: impl IntoExpr) -> HttpRequest {
        self.request("GET", url)
    }

    pub fn post(self, url: impl IntoExpr) -> HttpRequest {
        self.request("POST", url)
    }

    pub fn put(self, url: impl IntoExpr) -> HttpRequest {
        self.request("PUT", url)
    }

    pub fn patch(self, url: impl IntoExpr) -> HttpRequest {
        self.request("PATCH", url)
    }

    pub fn delete(self, url: impl IntoExpr) -> HttpRequest {
        self.request("DELETE", url)
    }

    pub fn head(self, url: impl IntoExpr) -> HttpRequest {
        self.request("HEAD", url)
    }

    pub fn request(self, method: &str, url: impl IntoExpr) -> HttpRequest {
        let spec = json!({"method": method, "url": url.into_expr()});
        let spec = serde_json::from_value(spec).expect("a method and a URL make a request");
        HttpRequest { name: self.0, spec }
    }
}

#[derive(Clone, Debug)]
pub struct HttpRequest {
    name: Expr,
    spec: RequestSpec,
}

/// A text with the expression language in it.
pub fn string_body(text: impl IntoExpr) -> Body {
    Body::Text(text.into_expr())
}

/// A file whose text has the expression language in it.
pub fn el_file_body(path: impl IntoExpr) -> Body {
    Body::ElFile(path.into_expr())
}

/// A file, sent as it is.
pub fn raw_file_body(path: impl IntoExpr) -> Body {
    Body::RawFile(path.into_expr())
}

impl HttpRequest {
    #[must_use]
    pub fn query_param(mut self, name: impl IntoExpr, value: impl IntoExpr) -> Self {
        let (name, value) = (name.into_expr(), value.into_expr());
        self.spec.query.push(Param::One { name, value });
        self
    }

    #[must_use]
    pub fn form_param(mut self, name: impl IntoExpr, value: impl IntoExpr) -> Self {
        let (name, value) = (name.into_expr(), value.into_expr());
        self.spec.form.push(Param::One { name, value });
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl IntoExpr) -> Self {
        let (name, value) = (name.to_owned(), value.into_expr());
        self.spec.headers.push(Header { name, value });
        self
    }

    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.spec.body = Some(body);
        self
    }

    #[must_use]
    #[expect(clippy::wrong_self_convention, reason = "the name in Gatling's SDK")]
    pub fn as_json(mut self) -> Self {
        self.spec.default_type = Some("application/json".to_owned());
        self
    }

    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.spec.checks.push(check.spec);
        self
    }

    #[must_use]
    pub fn silent(mut self) -> Self {
        self.spec.silent = Some(true);
        self
    }

    #[must_use]
    pub fn disable_follow_redirect(mut self) -> Self {
        self.spec.disable_follow_redirect = true;
        self
    }
}

impl From<HttpRequest> for Chain {
    fn from(request: HttpRequest) -> Self {
        let spec = to_raw_value(&request.spec).expect("a request is JSON");
        let protocol = PROTOCOL.to_owned();
        Step::Action(ActionSpec { protocol, name: request.name, spec }).into()
    }
}

/// What requests have in common.
#[derive(Clone, Debug)]
pub struct HttpProtocol {
    spec: HttpProtocolSpec,
}

#[must_use]
pub fn http_protocol() -> HttpProtocol {
    HttpProtocol { spec: HttpProtocolSpec::default() }
}

impl HttpProtocol {
    /// Called more than once: users go round the URLs.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.spec.base_urls.push(url.into());
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl IntoExpr) -> Self {
        let (name, value) = (name.to_owned(), value.into_expr());
        self.spec.headers.push(Header { name, value });
        self
    }

    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.spec.checks.push(check.spec);
        self
    }

    #[must_use]
    pub fn share_connections(mut self) -> Self {
        self.spec.share_connections = true;
        self
    }

    #[must_use]
    pub fn disable_caching(mut self) -> Self {
        self.spec.disable_caching = true;
        self
    }
}

impl From<HttpProtocol> for ProtocolSpec {
    fn from(protocol: HttpProtocol) -> Self {
        let spec = to_raw_value(&protocol.spec).expect("a protocol is JSON");
        Self { protocol: PROTOCOL.to_owned(), spec }
    }
}

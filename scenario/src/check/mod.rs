//! Checks: extract → transform → validate → save. One file per extractor kind; this file holds the
//! IR and the registry, `compiled` the order and the texts. Patterns are compiled once; a body is
//! read as text, JSON, XML or HTML at most once per response, and only when a check wants it.
//!
//! A check knows nothing of HTTP: it sees a [`ResponseView`]. It never marks a session as failed.

mod body;
mod compiled;
mod css;
mod current_location;
mod find;
mod form;
mod header;
mod jmes_path;
mod json_path;
mod json_type;
mod jsonp;
mod page;
mod pattern;
mod prepared;
mod regex;
mod response_time;
mod simple_path;
mod status;
mod substring;
mod transform;
mod validate;
mod xml;
mod xpath;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

pub use compiled::{Checked, CompiledChecks, Outcome};
use prepared::{Prepared, Within};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::expr::{Compiled, Expr, FnId};
use crate::value::Value;

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
    JsonpJsonPath {
        path: Expr,
        #[serde(default)]
        of: JsonType,
    },
    JsonpJmesPath {
        path: Expr,
        #[serde(default)]
        of: JsonType,
    },
    /// With the prefixes that the path uses.
    Xpath {
        path: Expr,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        namespaces: BTreeMap<String, String>,
    },
    Form {
        selector: Expr,
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

/// When a check runs, whatever the order of declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Url,
    Status,
    Header,
    Body,
    Time,
}

/// The type of what an extractor finds: expected values are cast to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Double,
    Bool,
    Bytes,
    /// Compared as it is.
    Any,
}

/// Why nothing can be said about a match.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// The body is not what the extractor reads.
    Preparation(String),
    Extraction(String),
    /// Ends the processing of the whole response: none of its checks saves.
    Fatal(String),
}

/// The texts of an extractor's patterns, evaluated for the user.
type Texts<'a> = SmallVec<[Cow<'a, str>; 2]>;

/// One kind of extractor.
trait Extractor: fmt::Debug + Send + Sync {
    fn scope(&self) -> Scope;

    fn kind(&self) -> Kind;

    /// What has to be evaluated for the user, in the order of [`Self::name`] and [`Self::visit`].
    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        SmallVec::new()
    }

    /// As it reads in error texts: `jsonPath($.a)`.
    fn name(&self, texts: &Texts<'_>) -> String;

    /// Whether error texts keep the value to themselves.
    fn hides_value(&self) -> bool {
        false
    }

    /// Whether counting no match is finding nothing, not 0.
    fn none_is_not_zero(&self) -> bool {
        false
    }

    /// Whether it may end in [`Failure::Fatal`].
    fn may_be_fatal(&self) -> bool {
        false
    }

    /// How many matches there are.
    fn count(&self, response: &Prepared<'_>, texts: &Texts<'_>) -> Result<i64, Failure> {
        let mut count = 0;
        self.visit(response, texts, &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Hands over each match until told to stop.
    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure>;
}

/// The registry: one line per kind.
fn extractor(spec: &ExtractorSpec) -> Result<Box<dyn Extractor>, String> {
    Ok(match spec {
        ExtractorSpec::Status => Box::new(status::Status),
        ExtractorSpec::Header { name } => Box::new(header::Header::new(name)?),
        ExtractorSpec::HeaderRegex { name, pattern, groups } => {
            Box::new(header::HeaderRegex::new(name, pattern, *groups)?)
        }
        ExtractorSpec::CurrentLocation => Box::new(current_location::CurrentLocation),
        ExtractorSpec::CurrentLocationRegex { pattern, groups } => {
            Box::new(current_location::CurrentLocationRegex::new(pattern, *groups)?)
        }
        ExtractorSpec::BodyString => Box::new(body::Body::String),
        ExtractorSpec::BodyBytes => Box::new(body::Body::Bytes),
        ExtractorSpec::BodyLength => Box::new(body::Body::Length),
        ExtractorSpec::Md5 => Box::new(body::Body::Md5),
        ExtractorSpec::Sha1 => Box::new(body::Body::Sha1),
        ExtractorSpec::Substring { pattern } => Box::new(substring::Substring::new(pattern)?),
        ExtractorSpec::Regex { pattern, groups } => Box::new(regex::Regex::new(pattern, *groups)?),
        ExtractorSpec::JsonPath { path, of } => {
            Box::new(json_path::JsonPath::new(path, *of, Within::Json)?)
        }
        ExtractorSpec::JmesPath { path, of } => {
            Box::new(jmes_path::JmesPath::new(path, *of, Within::Json)?)
        }
        ExtractorSpec::JsonpJsonPath { path, of } => {
            Box::new(json_path::JsonPath::new(path, *of, Within::Jsonp)?)
        }
        ExtractorSpec::JsonpJmesPath { path, of } => {
            Box::new(jmes_path::JmesPath::new(path, *of, Within::Jsonp)?)
        }
        ExtractorSpec::Xpath { path, namespaces } => Box::new(xpath::XPath::new(path, namespaces)?),
        ExtractorSpec::Form { selector } => Box::new(form::Form::new(selector)?),
        ExtractorSpec::Css { selector, attribute } => {
            Box::new(css::Css::new(selector, attribute.as_deref())?)
        }
        ExtractorSpec::ResponseTime => Box::new(response_time::ResponseTime),
    })
}

#[cfg(test)]
mod hostile_tests;

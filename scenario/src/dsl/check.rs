//! Checks of a response. <https://docs.gatling.io/concepts/checks/>

use super::value::IntoExpr;
use crate::check::{Arity, CheckSpec, ExtractorSpec, Groups, JsonType, Validator};

/// One check; without more said, what it looks for must be there.
#[derive(Clone, Debug)]
pub struct Check {
    pub(super) spec: CheckSpec,
}

fn check(extractor: ExtractorSpec) -> Check {
    Check {
        spec: CheckSpec {
            extractor,
            arity: Arity::default(),
            transforms: Vec::new(),
            validator: Validator::default(),
            save_as: None,
            name: None,
            log_actual: true,
            condition: None,
        },
    }
}

#[must_use]
pub fn status() -> Check {
    check(ExtractorSpec::Status)
}

pub fn header(name: impl IntoExpr) -> Check {
    check(ExtractorSpec::Header { name: name.into_expr() })
}

#[must_use]
pub fn body_string() -> Check {
    check(ExtractorSpec::BodyString)
}

pub fn substring(pattern: impl IntoExpr) -> Check {
    check(ExtractorSpec::Substring { pattern: pattern.into_expr() })
}

pub fn regex(pattern: impl IntoExpr) -> Check {
    check(ExtractorSpec::Regex { pattern: pattern.into_expr(), groups: Groups::default() })
}

pub fn json_path(path: impl IntoExpr) -> Check {
    check(ExtractorSpec::JsonPath { path: path.into_expr(), of: JsonType::default() })
}

pub fn jmes_path(path: impl IntoExpr) -> Check {
    check(ExtractorSpec::JmesPath { path: path.into_expr(), of: JsonType::default() })
}

pub fn css(selector: impl IntoExpr) -> Check {
    check(ExtractorSpec::Css { selector: selector.into_expr(), attribute: None })
}

/// In milliseconds.
#[must_use]
pub fn response_time() -> Check {
    check(ExtractorSpec::ResponseTime)
}

impl Check {
    /// The type of what `json_path` and `jmes_path` find; no other check has one.
    #[must_use]
    pub fn of(mut self, kind: JsonType) -> Self {
        if let ExtractorSpec::JsonPath { of, .. } | ExtractorSpec::JmesPath { of, .. } =
            &mut self.spec.extractor
        {
            *of = kind;
        }
        self
    }

    /// The match of that number, from 0.
    #[must_use]
    pub fn find(mut self, index: u32) -> Self {
        self.spec.arity = Arity::Find { index };
        self
    }

    #[must_use]
    pub fn find_all(mut self) -> Self {
        self.spec.arity = Arity::FindAll;
        self
    }

    #[must_use]
    pub fn count(mut self) -> Self {
        self.spec.arity = Arity::Count;
        self
    }

    fn validated(mut self, validator: Validator) -> Self {
        self.spec.validator = validator;
        self
    }

    #[must_use]
    pub fn is(self, expected: impl IntoExpr) -> Self {
        self.validated(Validator::Is(expected.into_expr()))
    }

    #[must_use]
    pub fn not(self, unexpected: impl IntoExpr) -> Self {
        self.validated(Validator::Not(unexpected.into_expr()))
    }

    #[must_use]
    pub fn one_of<T: IntoExpr>(self, expected: impl IntoIterator<Item = T>) -> Self {
        let all = expected.into_iter().map(IntoExpr::into_expr).collect();
        self.validated(Validator::In(all))
    }

    #[must_use]
    pub fn lt(self, bound: impl IntoExpr) -> Self {
        self.validated(Validator::Lt(bound.into_expr()))
    }

    #[must_use]
    pub fn lte(self, bound: impl IntoExpr) -> Self {
        self.validated(Validator::Lte(bound.into_expr()))
    }

    #[must_use]
    pub fn gt(self, bound: impl IntoExpr) -> Self {
        self.validated(Validator::Gt(bound.into_expr()))
    }

    #[must_use]
    pub fn gte(self, bound: impl IntoExpr) -> Self {
        self.validated(Validator::Gte(bound.into_expr()))
    }

    #[must_use]
    pub fn not_exists(self) -> Self {
        self.validated(Validator::NotExists)
    }

    #[must_use]
    pub fn optional(self) -> Self {
        self.validated(Validator::Optional)
    }

    #[must_use]
    pub fn save_as(mut self, attribute: &str) -> Self {
        self.spec.save_as = Some(attribute.to_owned());
        self
    }

    /// How error texts call it.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.spec.name = Some(name.to_owned());
        self
    }
}

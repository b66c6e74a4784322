//! `currentLocation()` and `currentLocationRegex(pattern)`: the url that answered, after redirects.

use std::ops::ControlFlow;

use smallvec::{SmallVec, smallvec};

use super::pattern::Pattern;
use super::regex;
use super::{Extractor, Failure, Groups, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::java_regex;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct CurrentLocation;

impl Extractor for CurrentLocation {
    fn scope(&self) -> Scope {
        Scope::Url
    }

    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn name(&self, _texts: &Texts<'_>) -> String {
        "currentLocation".to_owned()
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        _texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let _ = each(Value::from(response.view().url()));
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct CurrentLocationRegex {
    pattern: Pattern<java_regex::Regex>,
    groups: Groups,
}

impl CurrentLocationRegex {
    pub(super) fn new(pattern: &Expr, groups: Groups) -> Result<Self, String> {
        Ok(Self { pattern: regex::pattern("currentLocationRegex", pattern, groups)?, groups })
    }
}

impl Extractor for CurrentLocationRegex {
    fn scope(&self) -> Scope {
        Scope::Url
    }

    fn kind(&self) -> Kind {
        regex::kind(self.groups)
    }

    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        smallvec![self.pattern.source()]
    }

    fn name(&self, texts: &Texts<'_>) -> String {
        format!("currentLocationRegex({})", texts[0])
    }

    fn may_be_fatal(&self) -> bool {
        self.pattern.is_dynamic()
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let pattern = self.pattern.get(&texts[0]).map_err(Failure::Fatal)?;
        regex::visit(&pattern, self.groups, response.view().url(), each).map(drop)
    }
}

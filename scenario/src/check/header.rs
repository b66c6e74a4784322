//! `header(name)` and `headerRegex(name, pattern)`: every value of the header is a match.

use std::ops::ControlFlow;

use smallvec::{SmallVec, smallvec};

use super::pattern::Pattern;
use super::regex;
use super::{Extractor, Failure, Groups, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::java_regex;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Header {
    name: Compiled,
}

impl Header {
    pub(super) fn new(name: &Expr) -> Result<Self, String> {
        Ok(Self { name: Compiled::new(name)? })
    }
}

impl Extractor for Header {
    fn scope(&self) -> Scope {
        Scope::Header
    }

    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        smallvec![&self.name]
    }

    fn name(&self, texts: &Texts<'_>) -> String {
        format!("header({})", texts[0])
    }

    fn none_is_not_zero(&self) -> bool {
        true
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        for value in response.view().header(&texts[0]) {
            if each(Value::from(&*value)).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct HeaderRegex {
    name: Compiled,
    pattern: Pattern<java_regex::Regex>,
    groups: Groups,
}

impl HeaderRegex {
    pub(super) fn new(name: &Expr, pattern: &Expr, groups: Groups) -> Result<Self, String> {
        let pattern = regex::pattern("headerRegex", pattern, groups)?;
        Ok(Self { name: Compiled::new(name)?, pattern, groups })
    }
}

impl Extractor for HeaderRegex {
    fn scope(&self) -> Scope {
        Scope::Header
    }

    fn kind(&self) -> Kind {
        regex::kind(self.groups)
    }

    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        smallvec![&self.name, self.pattern.source()]
    }

    fn name(&self, texts: &Texts<'_>) -> String {
        format!("headerRegex(({},{}))", texts[0], texts[1])
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
        let pattern = self.pattern.get(&texts[1]).map_err(Failure::Fatal)?;
        for value in response.view().header(&texts[0]) {
            if regex::visit(&pattern, self.groups, &value, each)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

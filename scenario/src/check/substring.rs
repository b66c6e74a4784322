//! `substring(pattern)`: a match is the place in the text where it begins, counted as Java does (in
//! UTF-16 units).

use std::ops::ControlFlow;

use smallvec::{SmallVec, smallvec};

use super::{Extractor, Failure, Kind, Prepared, Scope, Texts};
use crate::expr::{Compiled, Expr};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Substring {
    pattern: Compiled,
}

impl Substring {
    pub(super) fn new(pattern: &Expr) -> Result<Self, String> {
        Ok(Self { pattern: Compiled::new(pattern)? })
    }
}

impl Extractor for Substring {
    fn scope(&self) -> Scope {
        Scope::Body
    }

    fn kind(&self) -> Kind {
        Kind::Int
    }

    fn patterns(&self) -> SmallVec<[&Compiled; 2]> {
        smallvec![&self.pattern]
    }

    fn name(&self, texts: &Texts<'_>) -> String {
        format!("substring({})", texts[0])
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let text = response.text();
        let (mut units, mut counted) = (0, 0);
        for at in memchr::memmem::find_iter(text.as_bytes(), texts[0].as_bytes()) {
            // An empty pattern may match inside a character.
            let Some(between) = text.get(counted..at) else { continue };
            units += between.encode_utf16().count();
            counted = at;
            if each(Value::Int(i64::try_from(units).unwrap_or(i64::MAX))).is_break() {
                break;
            }
        }
        Ok(())
    }
}

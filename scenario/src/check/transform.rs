//! `transform`, `transformWithSession`, `withDefault`: from what was found to what is validated.
//! They run on a missing value too, as null, and null returned is nothing found.

use super::Kind;
use super::Transform as TransformSpec;
use super::validate::{call_for_value, cast_to};
use crate::expr::{Compiled, EvalCtx, FnId, HookArgs};
use crate::session::Session;
use crate::value::Value;

#[derive(Debug)]
pub(super) enum Transform {
    Function(FnId),
    WithSession(FnId),
    Default(Compiled),
}

impl Transform {
    pub(super) fn new(spec: &TransformSpec) -> Result<Self, String> {
        Ok(match spec {
            TransformSpec::Function(function) => Self::Function(*function),
            TransformSpec::WithSession(function) => Self::WithSession(*function),
            TransformSpec::Default(expr) => Self::Default(Compiled::new(expr)?),
        })
    }

    /// The type of what comes out.
    pub(super) fn kind(&self, before: Kind) -> Kind {
        match self {
            Self::Function(_) | Self::WithSession(_) => Kind::Any,
            Self::Default(_) => before,
        }
    }

    /// # Errors
    /// The text that follows `extraction crashed: `.
    pub(super) fn apply(
        &self,
        found: Option<Value>,
        kind: Kind,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<Option<Value>, String> {
        let mut call = |function, args: HookArgs<'_>| call_for_value(function, session, args, ctx);
        match self {
            Self::Function(function) => {
                call(*function, HookArgs::Value(&found.unwrap_or_default()))
            }
            Self::WithSession(function) => {
                call(*function, HookArgs::ValueAndSession(&found.unwrap_or_default()))
            }
            Self::Default(_) if found.is_some() => Ok(found),
            Self::Default(default) => {
                let default = default.eval(session, ctx)?;
                cast_to(kind, default).map(Some)
            }
        }
    }
}

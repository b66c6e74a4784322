//! `exec(session => …)`: the script may replace the attributes and the status.

use serde::{Deserialize, Serialize};

use crate::expr::{FnId, HookArgs, HookOutcome};
use crate::program::{Compiler, Error};
use crate::step::Op;
use crate::vu::{Ctx, Flow, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    pub function: FnId,
}

impl Hook {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        compiler.function(self.function)?;
        compiler.emit(Op::Hook(HookOp { function: self.function }));
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct HookOp {
    function: FnId,
}

impl HookOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        match ctx.eval.hooks.call(self.function, &vu.session, HookArgs::Session) {
            Ok(HookOutcome::Session(session)) => vu.adopt(session),
            Ok(HookOutcome::Value(value)) => {
                let kind = value.type_name();
                vu.fail_with(ctx, "exec(fn)", &format!("a session must be returned, got a {kind}"));
            }
            Err(message) => vu.fail_with(ctx, "exec(fn)", &message),
        }
        Flow::Next
    }
}

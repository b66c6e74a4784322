//! `setInSession`: one attribute, without a function.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::Op;
use crate::vu::{Ctx, Flow, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetInSession {
    pub value: Expr,
    pub attribute: String,
}

impl SetInSession {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let value = compiler.expr(&self.value)?;
        compiler.emit(Op::Set(SetOp { value, attribute: self.attribute.as_str().into() }));
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct SetOp {
    value: Compiled,
    attribute: Arc<str>,
}

impl SetOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        match self.value.eval(&vu.session, &mut ctx.eval) {
            Ok(value) => vu.session.set(Arc::clone(&self.attribute), value),
            Err(message) => vu.fail_with(ctx, "setInSession", &message),
        }
        Flow::Next
    }
}

//! `tryMax(n)`, and `exitBlockOnFail`, which is `tryMax(1)`: after a failure the rest of the block
//! is skipped and the block begun again, at most n times in all; then the failure goes outward.
//!
//! A block entered with a failed session runs normally, and leaves the session OK if it succeeds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::{Op, Step, cast};
use crate::value::Value;
use crate::vu::{Block, Ctx, Flow, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TryMax {
    pub times: Expr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<String>,
    pub body: Vec<Step>,
}

impl TryMax {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let times = compiler.expr(&self.times)?;
        let counter = self.counter.as_deref().map(Into::into);
        let at = compiler.here();
        compiler.emit(Op::TryEnter(TryEnter { times, counter, at, exit: 0 }));
        compiler.steps(&self.body)?;
        compiler.emit(Op::TryExit);
        let exit = compiler.here();
        if let Op::TryEnter(op) = compiler.op_mut(at) {
            op.exit = exit;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct TryEnter {
    times: Compiled,
    pub(crate) counter: Option<Arc<str>>,
    at: u32,
    pub(crate) exit: u32,
}

impl TryEnter {
    pub(super) fn run(&self, vu: &mut Vu) -> Flow {
        vu.session.mark_as_succeeded();
        vu.blocks.push(Block::Try { enter: self.at, attempt: 0 });
        vu.tries += 1;
        self.count(vu, 0);
        Flow::Next
    }

    pub(crate) fn count(&self, vu: &mut Vu, attempt: i64) {
        if let Some(name) = &self.counter {
            vu.session.set(Arc::clone(name), Value::Int(attempt));
        }
    }

    /// Whether one more pass is allowed after `attempt` (from 0) failed.
    pub(crate) fn allows_another(&self, attempt: i64, vu: &Vu, ctx: &mut Ctx<'_>) -> bool {
        match cast::eval_int(&self.times, &vu.session, &mut ctx.eval) {
            Ok(times) => attempt + 1 < times,
            Err(message) => {
                ctx.world.note(&format!("tryMax: {message}"));
                false
            }
        }
    }
}

/// The end of the body was reached without a failure.
pub(super) fn succeed(vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
    vu.close_top(ctx);
    Flow::Next
}

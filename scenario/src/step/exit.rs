//! `exitHere`, `exitHereIf`, `exitHereIfFailed`: the user ends now; open groups are closed and
//! counted.

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::{Op, cast};
use crate::vu::{Ctx, Flow, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitHereIf {
    pub condition: Expr,
}

impl ExitHereIf {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let condition = compiler.expr(&self.condition)?;
        compiler.emit(Op::Exit(ExitOp::If(condition)));
        Ok(())
    }
}

pub(super) fn compile_if_failed(compiler: &mut Compiler<'_>) -> Result<(), Error> {
    compiler.emit(Op::Exit(ExitOp::IfFailed));
    Ok(())
}

pub(super) fn compile_always(compiler: &mut Compiler<'_>) -> Result<(), Error> {
    compiler.emit(Op::Exit(ExitOp::Always));
    Ok(())
}

#[derive(Debug)]
pub(crate) enum ExitOp {
    Always,
    IfFailed,
    If(Compiled),
}

impl ExitOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let leaves = match self {
            Self::Always => Ok(true),
            Self::IfFailed => Ok(vu.session.is_failed()),
            Self::If(condition) => cast::eval_bool(condition, &vu.session, &mut ctx.eval),
        };
        match leaves {
            Ok(true) => Flow::End,
            Ok(false) => Flow::Next,
            Err(message) => {
                vu.fail_with(ctx, "exitHereIf", &message);
                Flow::Next
            }
        }
    }
}

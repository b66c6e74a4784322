//! `stopLoadGenerator` and `crashLoadGenerator`, each with an optional condition: the whole run
//! ends, normally or as a crash.

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::{Op, cast};
use crate::vu::{Ctx, Flow, Output, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopLoadGenerator {
    pub message: Expr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expr>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrashLoadGenerator {
    pub message: Expr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expr>,
}

impl StopLoadGenerator {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        compile(compiler, &self.message, self.condition.as_ref(), false)
    }
}

impl CrashLoadGenerator {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        compile(compiler, &self.message, self.condition.as_ref(), true)
    }
}

fn compile(
    compiler: &mut Compiler<'_>,
    message: &Expr,
    condition: Option<&Expr>,
    crash: bool,
) -> Result<(), Error> {
    let message = compiler.expr(message)?;
    let condition = condition.map(|it| compiler.expr(it)).transpose()?;
    compiler.emit(Op::Stop(StopOp { message, condition, crash }));
    Ok(())
}

#[derive(Debug)]
pub(crate) struct StopOp {
    message: Compiled,
    condition: Option<Compiled>,
    crash: bool,
}

impl StopOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let name = if self.crash { "crashLoadGenerator" } else { "stopLoadGenerator" };
        let holds = self
            .condition
            .as_ref()
            .map_or(Ok(true), |it| cast::eval_bool(it, &vu.session, &mut ctx.eval));
        match holds {
            Ok(true) => {}
            Ok(false) => return Flow::Next,
            Err(message) => {
                vu.fail_with(ctx, name, &message);
                return Flow::Next;
            }
        }
        let message = match cast::eval_text(&self.message, &vu.session, &mut ctx.eval) {
            Ok(message) => message,
            // A text that does not resolve ends nothing.
            Err(failure) => {
                vu.fail_with(ctx, name, &failure);
                return Flow::Next;
            }
        };
        if self.crash {
            let text = format!("Run crashed from code using crashLoadGenerator: {message}");
            return Flow::Out(Output::Crash(text));
        }
        Flow::Out(Output::Stop(message))
    }
}

//! `doSwitch`, `doSwitchOrElse`: the first case whose key equals the value.

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::{Op, Step, cast};
use crate::vu::{Ctx, Flow, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoSwitch {
    pub value: Expr,
    pub cases: Vec<SwitchCase>,
    pub or_else: Vec<Step>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchCase {
    pub key: Expr,
    pub then: Vec<Step>,
}

impl DoSwitch {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        if self.cases.len() < 2 {
            return Err(compiler.invalid("doSwitch needs at least 2 cases"));
        }
        let value = compiler.expr(&self.value)?;
        let keys: Vec<Compiled> =
            self.cases.iter().map(|case| compiler.expr(&case.key)).collect::<Result<_, _>>()?;
        let head =
            compiler.emit(Op::Switch(SwitchOp { value, cases: Vec::new(), or_else: 0, end: 0 }));
        let bodies = self.cases.iter().map(|case| case.then.as_slice());
        let (starts, or_else, end) = compile_cases(compiler, bodies, &self.or_else)?;
        if let Op::Switch(op) = compiler.op_mut(head) {
            op.cases = keys.into_iter().zip(starts).collect();
            op.or_else = or_else;
            op.end = end;
        }
        Ok(())
    }
}

/// Emits the cases one after another, each jumping to the common end: where each begins, where the
/// remainder begins, and the end.
pub(super) fn compile_cases<'s>(
    compiler: &mut Compiler<'_>,
    bodies: impl Iterator<Item = &'s [Step]>,
    or_else: &[Step],
) -> Result<(Vec<u32>, u32, u32), Error> {
    let mut starts = Vec::new();
    let mut jumps = Vec::new();
    for body in bodies {
        starts.push(compiler.here());
        compiler.steps(body)?;
        jumps.push(compiler.emit(Op::Jump(0)));
    }
    let else_at = compiler.here();
    compiler.steps(or_else)?;
    let end = compiler.here();
    for jump in jumps {
        *compiler.op_mut(jump) = Op::Jump(end);
    }
    Ok((starts, else_at, end))
}

#[derive(Debug)]
pub(crate) struct SwitchOp {
    value: Compiled,
    cases: Vec<(Compiled, u32)>,
    or_else: u32,
    end: u32,
}

impl SwitchOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        match self.target(vu, ctx) {
            Ok(target) => Flow::Jump(target),
            Err(message) => {
                vu.fail_with(ctx, "doSwitch", &message);
                Flow::Jump(self.end)
            }
        }
    }

    fn target(&self, vu: &Vu, ctx: &mut Ctx<'_>) -> Result<u32, String> {
        let value = self.value.eval(&vu.session, &mut ctx.eval)?;
        for (key, start) in &self.cases {
            if cast::equal(&value, &key.eval(&vu.session, &mut ctx.eval)?) {
                return Ok(*start);
            }
        }
        Ok(self.or_else)
    }
}

//! `doIf`, `doIfOrElse`, `doIfEquals`, `doIfEqualsOrElse`. A condition that cannot be evaluated
//! fails the session and skips both ways.

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::{Op, Step, cast};
use crate::vu::{Ctx, Flow, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoIf {
    pub condition: Expr,
    pub then: Vec<Step>,
    pub or_else: Vec<Step>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoIfEquals {
    pub actual: Expr,
    pub expected: Expr,
    pub then: Vec<Step>,
    pub or_else: Vec<Step>,
}

impl DoIf {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let condition = compiler.expr(&self.condition)?;
        let branch = compiler.emit(Op::Branch(Branch { condition, ways: Ways::default() }));
        let ways = compile_ways(compiler, &self.then, &self.or_else)?;
        if let Op::Branch(op) = compiler.op_mut(branch) {
            op.ways = ways;
        }
        Ok(())
    }
}

impl DoIfEquals {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let op = BranchEquals {
            actual: compiler.expr(&self.actual)?,
            expected: compiler.expr(&self.expected)?,
            ways: Ways::default(),
        };
        let branch = compiler.emit(Op::BranchEquals(op));
        let ways = compile_ways(compiler, &self.then, &self.or_else)?;
        if let Op::BranchEquals(op) = compiler.op_mut(branch) {
            op.ways = ways;
        }
        Ok(())
    }
}

/// Where the two ways begin, and where both end.
#[derive(Clone, Copy, Debug, Default)]
struct Ways {
    or_else: u32,
    end: u32,
}

fn compile_ways(
    compiler: &mut Compiler<'_>,
    then: &[Step],
    or_else: &[Step],
) -> Result<Ways, Error> {
    compiler.steps(then)?;
    let jump = compiler.emit(Op::Jump(0));
    let else_at = compiler.here();
    compiler.steps(or_else)?;
    let end = compiler.here();
    *compiler.op_mut(jump) = Op::Jump(end);
    Ok(Ways { or_else: else_at, end })
}

#[derive(Debug)]
pub(crate) struct Branch {
    condition: Compiled,
    ways: Ways,
}

#[derive(Debug)]
pub(crate) struct BranchEquals {
    actual: Compiled,
    expected: Compiled,
    ways: Ways,
}

impl Branch {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let outcome = cast::eval_bool(&self.condition, &vu.session, &mut ctx.eval);
        choose(outcome, "doIf", self.ways, vu, ctx)
    }
}

impl BranchEquals {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let outcome = self.actual.eval(&vu.session, &mut ctx.eval).and_then(|actual| {
            let expected = self.expected.eval(&vu.session, &mut ctx.eval)?;
            Ok(cast::equal(&actual, &expected))
        });
        choose(outcome, "doIfEquals", self.ways, vu, ctx)
    }
}

fn choose(
    outcome: Result<bool, String>,
    name: &str,
    ways: Ways,
    vu: &mut Vu,
    ctx: &mut Ctx<'_>,
) -> Flow {
    match outcome {
        Ok(true) => Flow::Next,
        Ok(false) => Flow::Jump(ways.or_else),
        Err(message) => {
            vu.fail_with(ctx, name, &message);
            Flow::Jump(ways.end)
        }
    }
}

//! `randomSwitch`, `uniformRandomSwitch`, `roundRobinSwitch`. The round robin counts over all users
//! of the shard.

use rand::Rng as _;
use serde::{Deserialize, Serialize};

use crate::program::{Compiler, Error};
use crate::step::switch::compile_cases;
use crate::step::{Op, Step};
use crate::vu::{Ctx, Flow};

/// A sum this close to 100 counts as 100.
const TOLERANCE: f64 = 1e-6;

/// Weights are percentages; the remainder goes to `or_else`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomSwitch {
    pub cases: Vec<WeightedCase>,
    pub or_else: Vec<Step>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedCase {
    pub percent: f64,
    pub then: Vec<Step>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UniformRandomSwitch {
    pub cases: Vec<Vec<Step>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundRobinSwitch {
    pub cases: Vec<Vec<Step>>,
}

impl RandomSwitch {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        if self.cases.is_empty() {
            return Err(compiler.invalid("randomSwitch needs at least 1 case"));
        }
        let mut limits = Vec::with_capacity(self.cases.len());
        let mut sum = 0.0;
        for case in &self.cases {
            if !case.percent.is_finite() || case.percent < 0.0 {
                return Err(compiler.invalid(&format!("{} is not a percentage", case.percent)));
            }
            sum += case.percent;
            limits.push(sum);
        }
        if sum > 100.0 + TOLERANCE {
            let sum = crate::value::java_double(sum);
            return Err(compiler.invalid(&format!("Weights sum {sum} mustn't be bigger than 100%")));
        }
        if sum > 100.0 - TOLERANCE
            && let Some(last) = limits.last_mut()
        {
            *last = 100.0;
        }
        let bodies = self.cases.iter().map(|case| case.then.as_slice());
        compile_random(compiler, limits, bodies, &self.or_else)
    }
}

impl UniformRandomSwitch {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        two_at_least(compiler, "uniformRandomSwitch", self.cases.len())?;
        #[expect(clippy::cast_precision_loss, reason = "a handful of cases")]
        let share = 100.0 / self.cases.len() as f64;
        #[expect(clippy::cast_precision_loss, reason = "a handful of cases")]
        let mut limits: Vec<f64> =
            (1..=self.cases.len()).map(|number| share * number as f64).collect();
        if let Some(last) = limits.last_mut() {
            *last = 100.0;
        }
        compile_random(compiler, limits, self.cases.iter().map(Vec::as_slice), &[])
    }
}

impl RoundRobinSwitch {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        two_at_least(compiler, "roundRobinSwitch", self.cases.len())?;
        let slot = compiler.round_robin();
        let head = compiler.emit(Op::RoundRobin(RoundRobinOp { slot, cases: Vec::new() }));
        let (starts, _, _) = compile_cases(compiler, self.cases.iter().map(Vec::as_slice), &[])?;
        if let Op::RoundRobin(op) = compiler.op_mut(head) {
            op.cases = starts;
        }
        Ok(())
    }
}

fn two_at_least(compiler: &Compiler<'_>, name: &str, cases: usize) -> Result<(), Error> {
    if cases < 2 {
        return Err(compiler.invalid(&format!("{name} needs at least 2 cases")));
    }
    Ok(())
}

fn compile_random<'s>(
    compiler: &mut Compiler<'_>,
    limits: Vec<f64>,
    bodies: impl Iterator<Item = &'s [Step]>,
    or_else: &[Step],
) -> Result<(), Error> {
    let head = compiler.emit(Op::Random(RandomOp { cases: Vec::new(), or_else: 0 }));
    let (starts, else_at, _) = compile_cases(compiler, bodies, or_else)?;
    if let Op::Random(op) = compiler.op_mut(head) {
        op.cases = limits.into_iter().zip(starts).collect();
        op.or_else = else_at;
    }
    Ok(())
}

#[derive(Debug)]
pub(crate) struct RandomOp {
    /// Upper limit of the draw (0 to 100) → start.
    cases: Vec<(f64, u32)>,
    or_else: u32,
}

impl RandomOp {
    pub(super) fn run(&self, ctx: &mut Ctx<'_>) -> Flow {
        let draw = ctx.eval.rng.random::<f64>() * 100.0;
        let hit = self.cases.iter().find(|(limit, _)| draw < *limit);
        Flow::Jump(hit.map_or(self.or_else, |(_, start)| *start))
    }
}

#[derive(Debug)]
pub(crate) struct RoundRobinOp {
    slot: u32,
    cases: Vec<u32>,
}

impl RoundRobinOp {
    pub(super) fn run(&self, ctx: &mut Ctx<'_>) -> Flow {
        let turn = ctx.world.round_robin(self.slot);
        let turn = usize::try_from(turn % self.cases.len() as u64).unwrap_or(0);
        Flow::Jump(self.cases[turn])
    }
}

//! `pause`: a wait of a fixed or drawn length. <https://docs.gatling.io/concepts/scenario/#pause>

use rand::Rng as _;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr, FnId};
use crate::program::{Compiler, Error};
use crate::step::{Op, cast};
use crate::time::Micros;
use crate::vu::{Ctx, Flow, Output, Vu};

/// A number is seconds; `{"lit": n}` therefore holds seconds as well. `max` makes it a range.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    pub duration: Expr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Expr>,
    /// Beats the population's and the simulation's, also where those disable pauses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PauseKind>,
}

/// How a pause's nominal duration becomes the actual one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PauseKind {
    Disabled,
    Constant,
    Exponential,
    NormalWithPercentage {
        std_dev: f64,
    },
    NormalWithStdDev {
        std_dev_us: Micros,
    },
    /// The function returns milliseconds.
    Custom {
        function: FnId,
    },
    UniformPercentage {
        plus_or_minus: f64,
    },
    UniformDuration {
        plus_or_minus_us: Micros,
    },
}

impl Pause {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let op = PauseOp {
            duration: compiler.expr(&self.duration)?,
            max: self.max.as_ref().map(|max| compiler.expr(max)).transpose()?,
            kind: self.kind.clone().unwrap_or_else(|| compiler.default_pause().clone()),
        };
        if let PauseKind::Custom { function } = op.kind {
            compiler.function(function)?;
        }
        compiler.emit(Op::Pause(op));
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct PauseOp {
    duration: Compiled,
    max: Option<Compiled>,
    kind: PauseKind,
}

impl PauseOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        match self.length(vu, ctx) {
            Ok(0) => Flow::Next,
            Ok(length) => Flow::Out(Output::Sleep(ctx.now.saturating_add(length))),
            Err(message) => {
                vu.fail_with(ctx, "pause", &message);
                Flow::Next
            }
        }
    }

    fn length(&self, vu: &Vu, ctx: &mut Ctx<'_>) -> Result<Micros, String> {
        match self.kind {
            PauseKind::Disabled => return Ok(0),
            PauseKind::Custom { function } => {
                return cast::eval_millis(&Compiled::Fn(function), &vu.session, &mut ctx.eval);
            }
            _ => {}
        }
        let nominal = drawn(&self.duration, self.max.as_ref(), vu, ctx)?;
        Ok(actual(nominal, &self.kind, ctx.eval.rng))
    }
}

/// `min`, or uniform in [min, max).
pub(super) fn drawn(
    min: &Compiled,
    max: Option<&Compiled>,
    vu: &Vu,
    ctx: &mut Ctx<'_>,
) -> Result<Micros, String> {
    let min = cast::eval_duration(min, &vu.session, &mut ctx.eval)?;
    let Some(max) = max else { return Ok(min) };
    let max = cast::eval_duration(max, &vu.session, &mut ctx.eval)?;
    if max < min {
        return Err(format!("the maximum of {max} us is below the minimum of {min} us"));
    }
    Ok(if max == min { min } else { ctx.eval.rng.random_range(min..max) })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "durations are below 2^53 us; a float cast saturates"
)]
fn actual(nominal: Micros, kind: &PauseKind, rng: &mut SmallRng) -> Micros {
    let mean = nominal as f64;
    let length = match kind {
        PauseKind::Disabled | PauseKind::Custom { .. } => 0.0,
        PauseKind::Constant => mean,
        PauseKind::Exponential => -mean * (1.0 - rng.random::<f64>()).ln(),
        PauseKind::NormalWithPercentage { std_dev } => {
            mean + standard_normal(rng) * mean * std_dev / 100.0
        }
        PauseKind::NormalWithStdDev { std_dev_us } => {
            mean + standard_normal(rng) * *std_dev_us as f64
        }
        PauseKind::UniformPercentage { plus_or_minus } => {
            mean + (rng.random::<f64>() * 2.0 - 1.0) * mean * plus_or_minus / 100.0
        }
        PauseKind::UniformDuration { plus_or_minus_us } => {
            mean + (rng.random::<f64>() * 2.0 - 1.0) * *plus_or_minus_us as f64
        }
    };
    length.round().max(0.0) as Micros
}

/// Box and Muller's transform.
fn standard_normal(rng: &mut SmallRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn drawn_pauses_have_the_mean_that_was_asked_for_and_are_never_negative() {
        let mut rng = SmallRng::seed_from_u64(1);
        for kind in [
            PauseKind::Constant,
            PauseKind::Exponential,
            PauseKind::NormalWithPercentage { std_dev: 20.0 },
            PauseKind::NormalWithStdDev { std_dev_us: 100_000 },
            PauseKind::UniformPercentage { plus_or_minus: 50.0 },
            PauseKind::UniformDuration { plus_or_minus_us: 400_000 },
        ] {
            let total: Micros = (0..20_000).map(|_| actual(1_000_000, &kind, &mut rng)).sum();
            let mean = total / 20_000;
            assert!((970_000..1_030_000).contains(&mean), "{kind:?}: {mean}");
        }
    }
}

//! `counter(key)`: the next number of a sequence into the session. Shared by all users, it is
//! divided among the shards of a job like a feeder, so that its values stay unique; `perUser()`
//! gives each user the sequence from its start. At its end the run crashes, unless it wraps.
//! The upper bound is exclusive: the typings say otherwise, the engine of Gatling 3.16.0 does not.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::{Op, cast};
use crate::value::Value;
use crate::vu::{ASK_AGAIN_US, Ctx, Fault, Flow, Output, Vu};

/// The default upper bound; the only one that is itself a value.
const UP_TO_DEFAULT: i64 = i32::MAX as i64;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// Steps of one builder share its sequence.
    pub counter: u32,
    pub key: String,
    #[serde(default = "zero")]
    pub start: Expr,
    #[serde(default = "one")]
    pub increment: Expr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Expr>,
    #[serde(default)]
    pub wrap_around: bool,
    #[serde(default)]
    pub per_user: bool,
}

fn zero() -> Expr {
    Expr::Lit(Value::Int(0))
}

fn one() -> Expr {
    Expr::Lit(Value::Int(1))
}

impl Counter {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let default = Expr::Lit(Value::Int(UP_TO_DEFAULT));
        let up_to = self.up_to.as_ref().unwrap_or(&default);
        let literal = |expr: &Expr| match expr {
            Expr::Lit(Value::Int(number)) => Some(*number),
            _ => None,
        };
        let all = (literal(&self.start), literal(&self.increment), literal(up_to));
        if let (Some(start), Some(increment), Some(up_to)) = all {
            Range::new(&self.key, start, increment, up_to)
                .map_err(|message| compiler.invalid(&message))?;
        } else if !self.per_user {
            return Err(compiler.invalid(
                "a counter that all users share takes numbers; expressions need perUser()",
            ));
        }
        compiler.counter(self.counter);
        let op = CounterOp {
            slot: self.counter,
            key: self.key.as_str().into(),
            start: compiler.expr(&self.start)?,
            increment: compiler.expr(&self.increment)?,
            up_to: compiler.expr(up_to)?,
            wrap_around: self.wrap_around,
            per_user: self.per_user,
        };
        compiler.emit(Op::Counter(op));
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: i64,
    increment: i64,
    /// How many values there are.
    len: u64,
}

impl Range {
    fn new(key: &str, start: i64, increment: i64, up_to: i64) -> Result<Self, String> {
        if start < 0 || increment < 1 {
            return Err(format!(
                "Counter '{key}' starts at {start} and grows by {increment}: the start must be at \
                 least 0, the increment at least 1"
            ));
        }
        let end = if up_to == UP_TO_DEFAULT { up_to + 1 } else { up_to };
        if end <= start {
            return Err(format!(
                "Counter '{key}' exclusive upper bound ({up_to}) must be greater than its start \
                 value ({start})"
            ));
        }
        let len = (end - start).unsigned_abs().div_ceil(increment.unsigned_abs());
        Ok(Self { start, increment, len })
    }

    /// The value of that number in the sequence; none after the end.
    fn value(self, number: u64, wrap_around: bool) -> Option<i64> {
        let number = if wrap_around { number % self.len } else { number };
        let steps = i64::try_from(number).ok().filter(|_| number < self.len)?;
        self.start.checked_add(steps.checked_mul(self.increment)?)
    }
}

#[derive(Debug)]
pub(crate) struct CounterOp {
    slot: u32,
    key: Arc<str>,
    start: Compiled,
    increment: Compiled,
    up_to: Compiled,
    wrap_around: bool,
    per_user: bool,
}

impl CounterOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let range = match self.range(vu, ctx) {
            Ok(range) => range,
            Err(message) => {
                vu.fail_with(ctx, "counter", &message);
                return Flow::Next;
            }
        };
        let number = if self.per_user {
            vu.next_of_counter(self.slot)
        } else {
            match ctx.world.counter(self.slot) {
                Ok(number) => number,
                Err(Fault::NotYet) => return Flow::Again(Output::Sleep(ctx.now + ASK_AGAIN_US)),
                Err(Fault::GivenAway) => return Flow::End,
                Err(Fault::Crash(message)) => return Flow::Out(Output::Crash(message)),
            }
        };
        match range.value(number, self.wrap_around) {
            Some(value) => {
                vu.session.set(Arc::clone(&self.key), Value::Int(value));
                Flow::Next
            }
            None => Flow::Out(Output::Crash(format!(
                "Counter '{}' has exhausted its {} values, either widen its range with upTo or make \
                 it wrapAround",
                self.key, range.len
            ))),
        }
    }

    fn range(&self, vu: &Vu, ctx: &mut Ctx<'_>) -> Result<Range, String> {
        let mut int = |expr| cast::eval_int(expr, &vu.session, &mut ctx.eval);
        Range::new(&self.key, int(&self.start)?, int(&self.increment)?, int(&self.up_to)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked of Gatling 3.16.0: from 3 by 2 up to 7 are the two values 3 and 5.
    #[test]
    fn the_upper_bound_is_exclusive_but_the_default_one() {
        let range = Range::new("c", 3, 2, 7).unwrap();
        let values: Vec<_> = (0..3).map(|number| range.value(number, false)).collect();
        assert_eq!((range.len, values), (2, vec![Some(3), Some(5), None]));
        let range = Range::new("c", 3, 2, 8).unwrap();
        let values: Vec<_> = (0..4).map_while(|number| range.value(number, true)).collect();
        assert_eq!(values, [3, 5, 7, 3]);
        let last = Range::new("c", UP_TO_DEFAULT, 1, UP_TO_DEFAULT).unwrap();
        assert_eq!(last.value(0, false), Some(UP_TO_DEFAULT));
        assert_eq!(
            Range::new("c", 2, 1, 2).unwrap_err(),
            "Counter 'c' exclusive upper bound (2) must be greater than its start value (2)"
        );
    }
}

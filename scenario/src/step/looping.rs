//! `during`, `forever`, `asLongAs`, `doWhile` and their combinations, and what all loops share: the
//! head, at which a pass is begun or the loop is left, and the counter.
//!
//! A counter attribute that exists already is continued, not restarted, and stays afterwards; one
//! that holds no integer ends the loop at once. A condition that cannot be evaluated ends the loop
//! and does not fail the session.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::foreach::EachOf;
use crate::step::{Op, Step, cast};
use crate::time::Micros;
use crate::value::Value;
use crate::vu::{Block, Ctx, Flow, Vu};

/// `condition` true (absent: always) and `duration` not over (absent: no limit). `check_first` is
/// false for `doWhile…`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loop {
    /// How it reads in the script, for error texts and the tree: `during`, `asLongAs`, …
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<String>,
    pub exit_asap: bool,
    pub check_first: bool,
    pub body: Vec<Step>,
}

impl Loop {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let proceed = Proceed::While {
            condition: self.condition.as_ref().map(|it| compiler.expr(it)).transpose()?,
            duration: self.duration.as_ref().map(|it| compiler.expr(it)).transpose()?,
            check_first: self.check_first,
        };
        compile_loop(
            compiler,
            &self.name,
            proceed,
            self.counter.as_deref(),
            self.exit_asap,
            &self.body,
        )
    }
}

/// Emits head, body and the jump back; fills in where the loop is left to.
pub(super) fn compile_loop(
    compiler: &mut Compiler<'_>,
    name: &str,
    proceed: Proceed,
    counter: Option<&str>,
    exit_asap: bool,
    body: &[Step],
) -> Result<(), Error> {
    let head = compiler.emit(Op::LoopHead(LoopHead {
        name: name.into(),
        proceed,
        counter: counter.map(Into::into),
        exit_asap,
        head: compiler.here(),
        exit: 0,
    }));
    compiler.steps(body)?;
    compiler.emit(Op::Jump(head));
    let after = compiler.here();
    if let Op::LoopHead(op) = compiler.op_mut(head) {
        op.exit = after;
    }
    Ok(())
}

/// When another pass is made.
#[derive(Debug)]
pub(crate) enum Proceed {
    Times(Compiled),
    Each(EachOf),
    While { condition: Option<Compiled>, duration: Option<Compiled>, check_first: bool },
}

#[derive(Debug)]
pub(crate) struct LoopHead {
    name: Box<str>,
    proceed: Proceed,
    pub(crate) counter: Option<Arc<str>>,
    pub(crate) exit_asap: bool,
    head: u32,
    pub(crate) exit: u32,
}

impl LoopHead {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let inside =
            matches!(vu.blocks.last(), Some(Block::Loop { head, .. }) if *head == self.head);
        if !inside {
            let known = self.counter.as_ref().and_then(|name| vu.session.get(name));
            let (index, foreign) = match known {
                None => (-1, false),
                Some(Value::Int(index)) => (*index, true),
                Some(_) => return Flow::Jump(self.exit),
            };
            vu.blocks.push(Block::Loop { head: self.head, index, started: ctx.now, foreign });
        }
        let Some((index, started)) = self.advance(vu) else {
            vu.close_top_loop(self.counter.as_ref());
            return Flow::Jump(self.exit);
        };
        if let Some(name) = &self.counter {
            vu.session.set(Arc::clone(name), Value::Int(index));
        }
        if self.proceeds(index, started, vu, ctx) {
            self.begin_pass(index, vu, ctx);
            return Flow::Next;
        }
        vu.close_top_loop(self.counter.as_ref());
        Flow::Jump(self.exit)
    }

    /// The number of the pass to come; none if the counter was made something else than a number.
    fn advance(&self, vu: &mut Vu) -> Option<(i64, Micros)> {
        let held = self.counter.as_ref().and_then(|name| vu.session.get(name)).cloned();
        let Some(Block::Loop { index, started, .. }) = vu.blocks.last_mut() else { return None };
        *index = match (&self.counter, held) {
            (Some(_), Some(Value::Int(held))) => held.saturating_add(1),
            (Some(_), Some(_)) => return None,
            // The script removed it, or this is the first pass.
            (Some(_), None) => 0,
            (None, _) => index.saturating_add(1),
        };
        Some((*index, *started))
    }

    /// Whether pass `index` is made; also what `exitASAP` asks before each action.
    pub(crate) fn proceeds(&self, index: i64, started: Micros, vu: &Vu, ctx: &mut Ctx<'_>) -> bool {
        let outcome = match &self.proceed {
            Proceed::Times(times) => {
                cast::eval_int(times, &vu.session, &mut ctx.eval).map(|times| index < times)
            }
            Proceed::Each(each) => each.has(index, vu, ctx),
            Proceed::While { check_first: false, .. } if index == 0 => Ok(true),
            Proceed::While { condition, duration, .. } => {
                holds(condition.as_ref(), duration.as_ref(), started, vu, ctx)
            }
        };
        outcome.unwrap_or_else(|message| {
            ctx.world.note(&format!("{}: {message}", self.name));
            false
        })
    }

    fn begin_pass(&self, index: i64, vu: &mut Vu, ctx: &mut Ctx<'_>) {
        if let Proceed::Each(each) = &self.proceed {
            each.bind(index, vu, ctx);
        }
    }
}

fn holds(
    condition: Option<&Compiled>,
    duration: Option<&Compiled>,
    started: Micros,
    vu: &Vu,
    ctx: &mut Ctx<'_>,
) -> Result<bool, String> {
    if let Some(duration) = duration {
        let limit = cast::eval_duration(duration, &vu.session, &mut ctx.eval)?;
        if ctx.now.saturating_sub(started) > limit {
            return Ok(false);
        }
    }
    condition.map_or(Ok(true), |it| cast::eval_bool(it, &vu.session, &mut ctx.eval))
}

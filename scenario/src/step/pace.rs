//! `pace`: at most one pass per interval. The first pass goes through at once; a late one neither
//! waits nor catches up. Unnamed paces do not share their limit; named ones do, by the name.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::{Op, pause};
use crate::vu::{Ctx, Flow, Output, Pending, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    pub duration: Expr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<String>,
}

impl Pace {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let key: Arc<str> = self.counter.as_ref().map_or_else(
            || format!("#pace-{}", compiler.here()).into(),
            |name| name.as_str().into(),
        );
        let op = PaceOp {
            duration: compiler.expr(&self.duration)?,
            max: self.max.as_ref().map(|max| compiler.expr(max)).transpose()?,
            key,
        };
        compiler.emit(Op::Pace(op));
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct PaceOp {
    duration: Compiled,
    max: Option<Compiled>,
    key: Arc<str>,
}

impl PaceOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let interval = match pause::drawn(&self.duration, self.max.as_ref(), vu, ctx) {
            Ok(interval) => interval,
            Err(message) => {
                vu.fail_with(ctx, "pace", &message);
                return Flow::Next;
            }
        };
        match vu.pace_limit(&self.key) {
            Some(limit) if limit > ctx.now => {
                vu.pending = Some(Pending::Pace { key: Arc::clone(&self.key), interval });
                Flow::Out(Output::Sleep(limit))
            }
            _ => {
                vu.set_pace_limit(&self.key, ctx.now.saturating_add(interval));
                Flow::Next
            }
        }
    }
}

//! `feed`: the next record, or lists of the next n, into the session. An exhausted feeder crashes
//! the run.

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::{Op, cast};
use crate::vu::{ASK_AGAIN_US, Ctx, Fault, Flow, Output, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Index into the simulation's feeders.
    pub feeder: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Expr>,
}

impl Feed {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        compiler.feeder(self.feeder)?;
        let count = self.count.as_ref().map(|count| compiler.expr(count)).transpose()?;
        compiler.emit(Op::Feed(FeedOp { feeder: self.feeder, count }));
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct FeedOp {
    feeder: u32,
    count: Option<Compiled>,
}

impl FeedOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let count = match self.count(vu, ctx) {
            Ok(count) => count,
            Err(message) => {
                vu.fail_with(ctx, "feed", &message);
                return Flow::Next;
            }
        };
        match ctx.world.feed(self.feeder, count, &mut vu.session, &mut ctx.eval) {
            Ok(()) => Flow::Next,
            Err(Fault::NotYet) => Flow::Again(Output::Sleep(ctx.now + ASK_AGAIN_US)),
            Err(Fault::GivenAway) => Flow::End,
            Err(Fault::Crash(message)) => Flow::Out(Output::Crash(message)),
        }
    }

    fn count(&self, vu: &Vu, ctx: &mut Ctx<'_>) -> Result<Option<i64>, String> {
        self.count
            .as_ref()
            .map(|count| cast::eval_int(count, &vu.session, &mut ctx.eval))
            .transpose()
    }
}

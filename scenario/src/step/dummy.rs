//! `dummy`: Gatling's fake request, for tests of the tool itself. It takes the time it is told to
//! and is counted like a request.

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr, FnId, HookArgs, HookOutcome};
use crate::program::{Compiler, Error};
use crate::step::{Op, cast};
use crate::time::Micros;
use crate::vu::{Ctx, Flow, Output, Pending, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dummy {
    pub name: Expr,
    pub response_time_ms: Expr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_update: Option<FnId>,
}

impl Dummy {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        if let Some(function) = self.session_update {
            compiler.function(function)?;
        }
        let op = DummyOp {
            name: compiler.expr(&self.name)?,
            time: compiler.expr(&self.response_time_ms)?,
            success: self.success.as_ref().map(|it| compiler.expr(it)).transpose()?,
            session_update: self.session_update,
        };
        compiler.emit(Op::Dummy(op));
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct DummyOp {
    name: Compiled,
    time: Compiled,
    success: Option<Compiled>,
    session_update: Option<FnId>,
}

impl DummyOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let Ok(name) = cast::eval_text(&self.name, &vu.session, &mut ctx.eval) else {
            // A name that does not resolve leaves no line in the errors table.
            vu.fail(ctx);
            return Flow::Next;
        };
        match self.outcome(vu, ctx) {
            Ok((time, ok)) => {
                ctx.world.sent(&vu.session.groups, &name);
                let update = self.session_update;
                vu.pending = Some(Pending::Dummy { name, time, ok, update });
                Flow::Out(Output::Sleep(ctx.now.saturating_add(time)))
            }
            Err(message) => {
                ctx.world.unbuilt(&vu.session.groups, &name, &message);
                vu.fail(ctx);
                Flow::Next
            }
        }
    }

    fn outcome(&self, vu: &Vu, ctx: &mut Ctx<'_>) -> Result<(Micros, bool), String> {
        let time = cast::eval_millis(&self.time, &vu.session, &mut ctx.eval)?;
        let ok = self
            .success
            .as_ref()
            .map_or(Ok(true), |it| cast::eval_bool(it, &vu.session, &mut ctx.eval))?;
        Ok((time, ok))
    }
}

/// The time has passed: lets the script update the session and counts the request. An update that
/// throws is an error of the errors table instead.
pub(crate) fn finish(
    name: &str,
    time: Micros,
    ok: bool,
    update: Option<FnId>,
    vu: &mut Vu,
    ctx: &mut Ctx<'_>,
) {
    if let Some(function) = update {
        let updated = match ctx.eval.hooks.call(function, &vu.session, HookArgs::Session) {
            Ok(HookOutcome::Session(session)) => Ok(session),
            Ok(HookOutcome::Value(_)) => Err("a session must be returned".to_owned()),
            Err(message) => Err(message),
        };
        match updated {
            Ok(session) => vu.adopt(session),
            Err(message) => {
                ctx.world.unbuilt(&vu.session.groups, name, &message);
                return vu.fail(ctx);
            }
        }
    }
    let failure = (!ok).then_some("Dummy error");
    ctx.world.response(&vu.session.groups, name, time, failure);
    vu.add_response_time(time);
    if !ok {
        vu.fail(ctx);
    }
}

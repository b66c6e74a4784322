//! `sharedQueue(name)`: users hand values to each other, first in, first out. `take` waits until
//! there is one; `poll` marks the user as failed if there is none. A queue lives in one shard:
//! in a divided job its users do not meet those of other nodes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::Op;
use crate::time::Micros;
use crate::value::Value;
use crate::vu::{Ctx, Flow, Output, Pending, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedQueue {
    /// Steps of one builder share its values.
    pub queue: u32,
    /// For texts only.
    pub name: String,
    pub action: QueueAction,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum QueueAction {
    Put(Expr),
    Take {
        key: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_us: Option<Micros>,
    },
    Poll {
        key: String,
    },
    Size {
        key: String,
    },
}

impl SharedQueue {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let action = match &self.action {
            QueueAction::Put(value) => Ready::Put(compiler.expr(value)?),
            QueueAction::Take { key, timeout_us } => Ready::Take(key.as_str().into(), *timeout_us),
            QueueAction::Poll { key } => Ready::Poll(key.as_str().into()),
            QueueAction::Size { key } => Ready::Size(key.as_str().into()),
        };
        compiler.queue(self.queue);
        let name = self.name.as_str().into();
        compiler.emit(Op::Queue(QueueOp { slot: self.queue, name, action }));
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct QueueOp {
    slot: u32,
    name: Arc<str>,
    action: Ready,
}

#[derive(Debug)]
enum Ready {
    Put(Compiled),
    Take(Arc<str>, Option<Micros>),
    Poll(Arc<str>),
    Size(Arc<str>),
}

impl QueueOp {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        match &self.action {
            Ready::Put(value) => match value.eval(&vu.session, &mut ctx.eval) {
                Ok(value) => {
                    if let Err(message) = ctx.world.queue_put(self.slot, value) {
                        let name = &self.name;
                        return Flow::Out(Output::Crash(format!("sharedQueue {name}: {message}")));
                    }
                }
                Err(message) => vu.fail_with(ctx, "sharedQueue.put", &message),
            },
            Ready::Take(key, timeout) => return self.take(key, *timeout, vu, ctx),
            Ready::Poll(key) => match ctx.world.queue_poll(self.slot) {
                Some(value) => vu.session.set(Arc::clone(key), value),
                None => self.empty("poll", vu, ctx),
            },
            Ready::Size(key) => {
                let size = i64::try_from(ctx.world.queue_size(self.slot)).unwrap_or(i64::MAX);
                vu.session.set(Arc::clone(key), Value::Int(size));
            }
        }
        Flow::Next
    }

    /// Runs again each time the user is woken, until there is a value or the time is over.
    fn take(
        &self,
        key: &Arc<str>,
        timeout: Option<Micros>,
        vu: &mut Vu,
        ctx: &mut Ctx<'_>,
    ) -> Flow {
        let until = match vu.pending.take() {
            Some(Pending::Take { slot, until }) if slot == self.slot => until,
            _ => timeout.map_or(Micros::MAX, |timeout| ctx.now.saturating_add(timeout)),
        };
        if let Some(value) = ctx.world.queue_poll(self.slot) {
            vu.session.set(Arc::clone(key), value);
            return Flow::Next;
        }
        if ctx.now >= until {
            self.empty("take", vu, ctx);
            return Flow::Next;
        }
        vu.pending = Some(Pending::Take { slot: self.slot, until });
        Flow::Again(Output::Queue { slot: self.slot, until })
    }

    fn empty(&self, what: &str, vu: &mut Vu, ctx: &mut Ctx<'_>) {
        vu.fail_with(ctx, &format!("sharedQueue.{what}"), &format!("queue {} is empty", self.name));
    }
}

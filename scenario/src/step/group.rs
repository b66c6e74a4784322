//! `group`: a named span with a status of its own. Entered failed, it is still OK if nothing fails
//! inside; marking the session as succeeded inside does not rescue it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::{Op, Step, cast};
use crate::vu::{Block, Ctx, Flow, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub name: Expr,
    pub body: Vec<Step>,
}

impl Group {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let name = match compiler.expr(&self.name)? {
            Compiled::Lit(value) => GroupName::Fixed(value.to_string().into()),
            computed => GroupName::Computed(computed),
        };
        let number = compiler.here();
        compiler.emit(Op::GroupEnter(GroupEnter { name, number }));
        compiler.steps(&self.body)?;
        compiler.emit(Op::GroupExit);
        Ok(())
    }
}

#[derive(Debug)]
enum GroupName {
    Fixed(Arc<str>),
    Computed(Compiled),
}

#[derive(Debug)]
pub(crate) struct GroupEnter {
    name: GroupName,
    number: u32,
}

impl GroupEnter {
    pub(super) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        let name = match &self.name {
            GroupName::Fixed(name) => Arc::clone(name),
            GroupName::Computed(name) => match cast::eval_text(name, &vu.session, &mut ctx.eval) {
                Ok(text) => text.into(),
                Err(message) => {
                    ctx.world.note(&format!("group name: {message}"));
                    format!("groupStart-{} (name resolution failure)", self.number).into()
                }
            },
        };
        Arc::make_mut(&mut vu.session.groups).push(name);
        vu.blocks.push(Block::Group { entered: ctx.now, cumulated: 0, failed: false });
        Flow::Next
    }
}

pub(super) fn leave(vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
    vu.close_top(ctx);
    Flow::Next
}

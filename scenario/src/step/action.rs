//! A protocol's action: the engine carries it out and resumes the user with what came of it.

use crate::ir::ActionSpec;
use crate::program::{Compiler, Error};
use crate::step::Op;
use crate::vu::{Flow, Output};

pub(super) fn compile(spec: &ActionSpec, compiler: &mut Compiler<'_>) -> Result<(), Error> {
    let action = compiler.action(spec)?;
    compiler.emit(Op::Action { action });
    Ok(())
}

pub(super) fn run(action: u32) -> Flow {
    Flow::Out(Output::Act(action))
}

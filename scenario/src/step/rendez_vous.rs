//! `rendezVous(n)`: holds the first n users and releases them together; open for ever after.

use serde::{Deserialize, Serialize};

use crate::program::{Compiler, Error};
use crate::step::Op;
use crate::vu::{Flow, Output};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RendezVous {
    pub users: u32,
}

impl RendezVous {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        if self.users == 0 {
            return Err(compiler.invalid("rendezVous(0) would wait for ever; give at least 1 user"));
        }
        let slot = compiler.rendez_vous(self.users);
        compiler.emit(Op::RendezVous(RendezVousOp { slot }));
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct RendezVousOp {
    slot: u32,
}

impl RendezVousOp {
    pub(super) fn run(&self) -> Flow {
        Flow::Out(Output::RendezVous(self.slot))
    }
}

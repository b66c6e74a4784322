//! `repeat(n)`: the count is evaluated again at every pass.

use serde::{Deserialize, Serialize};

use crate::expr::Expr;
use crate::program::{Compiler, Error};
use crate::step::Step;
use crate::step::looping::{Proceed, compile_loop};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    pub times: Expr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<String>,
    pub body: Vec<Step>,
}

impl Repeat {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let times = Proceed::Times(compiler.expr(&self.times)?);
        compile_loop(compiler, "repeat", times, self.counter.as_deref(), false, &self.body)
    }
}

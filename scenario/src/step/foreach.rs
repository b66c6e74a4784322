//! `foreach(seq, attribute)`: the sequence is evaluated again at every pass; the attribute keeps the
//! last element afterwards.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Compiled, Expr};
use crate::program::{Compiler, Error};
use crate::step::Step;
use crate::step::looping::{Proceed, compile_loop};
use crate::value::Value;
use crate::vu::{Ctx, Vu};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreach {
    pub seq: Expr,
    pub attribute: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<String>,
    pub body: Vec<Step>,
}

impl Foreach {
    pub(super) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        let each =
            EachOf { seq: compiler.expr(&self.seq)?, attribute: self.attribute.as_str().into() };
        let proceed = Proceed::Each(each);
        compile_loop(compiler, "foreach", proceed, self.counter.as_deref(), false, &self.body)
    }
}

#[derive(Debug)]
pub(crate) struct EachOf {
    seq: Compiled,
    attribute: Arc<str>,
}

impl EachOf {
    fn items(&self, vu: &Vu, ctx: &mut Ctx<'_>) -> Result<Arc<Vec<Value>>, String> {
        match self.seq.eval(&vu.session, &mut ctx.eval)? {
            Value::List(items) => Ok(items),
            other => {
                Err(format!("can't cast value {other} of type {} into list", other.type_name()))
            }
        }
    }

    pub(super) fn has(&self, index: i64, vu: &Vu, ctx: &mut Ctx<'_>) -> Result<bool, String> {
        let items = self.items(vu, ctx)?;
        Ok(usize::try_from(index).is_ok_and(|index| index < items.len()))
    }

    pub(super) fn bind(&self, index: i64, vu: &mut Vu, ctx: &mut Ctx<'_>) {
        let item = self.items(vu, ctx).ok().and_then(|items| {
            usize::try_from(index).ok().and_then(|index| items.get(index).cloned())
        });
        if let Some(item) = item {
            vu.session.set(Arc::clone(&self.attribute), item);
        }
    }
}

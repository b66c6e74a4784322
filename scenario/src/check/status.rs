//! `status()`.

use std::ops::ControlFlow;

use super::{Extractor, Failure, Kind, Prepared, Scope, Texts};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Status;

impl Extractor for Status {
    fn scope(&self) -> Scope {
        Scope::Status
    }

    fn kind(&self) -> Kind {
        Kind::Int
    }

    fn name(&self, _texts: &Texts<'_>) -> String {
        "status".to_owned()
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        _texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        if let Some(status) = response.view().status() {
            let _ = each(Value::Int(status.into()));
        }
        Ok(())
    }
}

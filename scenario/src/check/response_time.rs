//! `responseTimeInMillis()`.

use std::ops::ControlFlow;

use super::{Extractor, Failure, Kind, Prepared, Scope, Texts};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct ResponseTime;

impl Extractor for ResponseTime {
    fn scope(&self) -> Scope {
        Scope::Time
    }

    fn kind(&self) -> Kind {
        Kind::Int
    }

    fn name(&self, _texts: &Texts<'_>) -> String {
        "responseTimeInMillis".to_owned()
    }

    fn visit(
        &self,
        response: &Prepared<'_>,
        _texts: &Texts<'_>,
        each: &mut dyn FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let millis = i64::try_from(response.view().response_time_ms()).unwrap_or(i64::MAX);
        let _ = each(Value::Int(millis));
        Ok(())
    }
}

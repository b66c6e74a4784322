//! HTTP/1.1 as Gatling's HTTP protocol does it. This file ties configuration, request templates
//! and the thread's client together; `exec` carries a request out.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::expr::Expr;
use crate::protocol::{Action, Bound, Protocol};
use crate::script::Sources;

pub mod cache;
pub mod cookies;
pub mod decode;
pub mod multipart;
pub mod redirect;
pub mod spec;
pub mod url;

/// The protocol on one engine thread.
pub struct Http {
    slot: usize,
    sources: Arc<dyn Sources>,
}

impl Http {
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(slot: usize, sources: Arc<dyn Sources>) -> Result<Self, String> {
        Ok(Self { slot, sources })
    }
}

impl Protocol for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn bind(&self, _config: Option<&RawValue>) -> Result<Box<dyn Bound>, String> {
        let _ = (self.slot, &self.sources);
        Ok(Box::new(Configured {}))
    }
}

struct Configured {}

impl Bound for Configured {
    fn action(&self, _name: &Expr, _spec: &RawValue) -> Result<Rc<dyn Action>, String> {
        Err("http is not ready".to_owned())
    }
}

//! The runtime of one loaded simulation, and the calls of its functions.

use std::rc::Rc;
use std::sync::Arc;

use super::{Console, LoadOptions, Loaded, Sources};
use crate::expr::{FnId, HookArgs, HookOutcome, Hooks};
use crate::session::Session;
use crate::shard::{Problem, ProblemKind};

/// Owns the QuickJS runtime; not `Send`: each engine thread loads its own.
pub struct ScriptHost {
    console: Rc<dyn Console>,
}

impl ScriptHost {
    /// Seeds `Math.random` for the calls to come: different per engine thread.
    pub fn reseed(&mut self, _seed: u64) {}

    pub fn set_console(&mut self, console: Rc<dyn Console>) {
        self.console = console;
    }
}

impl Hooks for ScriptHost {
    fn call(
        &mut self,
        function: FnId,
        _session: &Session,
        _args: HookArgs<'_>,
    ) -> Result<HookOutcome, String> {
        Err(format!("function {function} is not defined"))
    }
}

pub(super) fn load(
    _sources: &Arc<dyn Sources>,
    entry: &str,
    _options: &LoadOptions,
    _console: Rc<dyn Console>,
) -> Result<Loaded, Problem> {
    Err(Problem {
        kind: ProblemKind::Internal,
        message: "scripts cannot be loaded yet".to_owned(),
        file: Some(entry.to_owned()),
        line: None,
        column: None,
        excerpt: None,
    })
}

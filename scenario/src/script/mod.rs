//! Simulations as scripts: a `.js` or `.ts` module graph, evaluated once in QuickJS, gives the IR
//! and the table of its functions. Every engine thread evaluates the script for itself; evaluation
//! is deterministic, so function 12 is the same function everywhere.
//!
//! Scripts get no file, no network, no timer and no process: only [`Sources`], parameters and the
//! environment that [`LoadOptions`] passes in.

mod commonjs;
pub mod host;
mod modules;
mod natives;
pub mod packages;
mod problem;
pub mod resolve;
mod rewrite;
mod session;
pub mod sources;
pub mod store;
pub mod tsconfig;
mod typescript;
mod values;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use host::ScriptHost;
pub use sources::{DirSources, MemorySources, Sources};
pub use store::GlobalStore;

use crate::ir;
use crate::shard::{OutputStream, Problem};

/// What a simulation is given besides its files; equal on every thread and node of a job.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// For `getParameter`.
    pub parameters: BTreeMap<String, String>,
    /// For `getEnvironmentVariable`: only what the submitter passed on.
    pub environment: BTreeMap<String, String>,
    /// `Math.random` while loading; the same seed gives the same graph.
    pub seed: u64,
    /// What `Date.now()` says while loading, in wall-clock milliseconds. Absent: the real time,
    /// which gives each thread and node a graph of its own if the script builds on it.
    pub unix_ms: Option<i64>,
    pub limits: Limits,
}

/// Bounds of what a script may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wall time of loading.
    pub load: Duration,
    /// Wall time of one call of a script function.
    pub call: Duration,
    pub memory_bytes: usize,
    pub stack_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            load: Duration::from_secs(10),
            call: Duration::from_secs(1),
            memory_bytes: 256 << 20,
            stack_bytes: 512 << 10,
        }
    }
}

/// Where `console.log` and its siblings go: one call per line, without the line end.
pub trait Console {
    fn line(&self, stream: OutputStream, line: &str);
}

/// Drops everything: for the threads of a shard after the first, which would only repeat it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SilentConsole;

impl Console for SilentConsole {
    fn line(&self, _stream: OutputStream, _line: &str) {}
}

/// An evaluated simulation.
#[derive(Debug)]
pub struct Loaded {
    /// Validated: `ir::validate` has passed.
    pub simulation: ir::Simulation,
    /// The runtime with the script's functions; stays on the thread that loaded it.
    pub host: ScriptHost,
}

/// Evaluates `entry` (`.js`, `.mjs`, `.ts`, or `.json` for exported IR), a path inside `sources`.
///
/// # Errors
/// A [`Problem`] with the place in the simulation's own files, an excerpt, and a kind that the exit
/// code derives from.
pub fn load(
    sources: &Arc<dyn Sources>,
    entry: &str,
    options: &LoadOptions,
    console: Rc<dyn Console>,
) -> Result<Loaded, Problem> {
    host::load(sources, entry, options, console)
}

#[cfg(test)]
mod tests;

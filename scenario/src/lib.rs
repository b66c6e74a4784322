//! Onrush's scenario engine: script → IR → program → virtual users → frames → summary.
//! Knows nothing of jobs, nodes, Raft or axum.
//!
//! Reading order: `ir`, `step`, `inject`, `feed`, `check`, `protocol`, then `program`, `vu`,
//! `engine`, and `stats` for what comes out.

pub mod charset;
pub mod check;
pub mod dsl;
pub mod el;
pub mod engine;
pub mod expr;
pub mod feed;
pub mod inject;
pub mod ir;
mod java_regex;
pub mod pebble;
pub mod program;
pub mod protocol;
pub mod script;
pub mod secrets;
pub mod session;
pub mod shard;
pub mod stats;
pub mod step;
pub mod time;
pub mod tree;
pub mod value;
pub mod vu;

pub use dsl::main;

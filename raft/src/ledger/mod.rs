//! The ledger: a pure, deterministic state machine over the log.

pub mod command;
pub mod file;
pub mod job;
pub mod member;
pub mod outcome;
pub mod project;
pub struct Ledger {}

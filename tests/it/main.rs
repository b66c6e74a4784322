//! The integration tests: one binary. `tidy` holds the house rules; the others run real processes.

#![expect(clippy::print_stdout, reason = "`--nocapture` shows what was measured")]

mod bad_input;
mod cluster;
mod dsl;
mod large;
mod oracle;
mod processes;
mod promises;
mod quickstart;
mod run_local;
mod tidy;
mod tools;
mod typings;
mod worker;

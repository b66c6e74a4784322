//! The integration tests: one binary. `tidy` holds the house rules; the others run real processes.

#![expect(clippy::print_stdout, reason = "`--nocapture` shows what was measured")]

mod bad_input;
mod chaos;
mod clocks;
mod cluster;
mod consistency;
mod disk;
mod dsl;
mod frames;
mod large;
mod load;
mod nine;
mod oracle;
mod packages;
mod processes;
mod promises;
mod quickstart;
mod rot;
mod run_local;
mod tidy;
mod tools;
mod typings;
mod worker;

/// Held by the tests whose clusters take all that two cores have: side by side they lose quorums.
static MACHINE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn whole_machine() -> std::sync::MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

//! `onrush shard` (hidden): the child process of a node that runs one shard. All of it is
//! `onrush_scenario::shard::main`; this file only gives it a name on the command line.

use std::process::ExitCode;

use super::Global;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: &Global, _: Args) -> anyhow::Result<ExitCode> {
    Ok(onrush_scenario::shard::main())
}

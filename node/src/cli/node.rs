//! `onrush node`: starts a node and runs it until it is told to stop.

use std::process::ExitCode;

use super::Global;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: &Global, _: Args) -> anyhow::Result<ExitCode> {
    Err(super::exit::fail(super::exit::Exit::Internal, "the node is not linked"))
}

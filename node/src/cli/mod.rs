//! The command line: one file per noun, each with `Args` and `run(&Global, Args)`, and one line per
//! noun in [`Command`] and in [`dispatch`]. Refuses to hold logic: subcommands call the library.
//!
//! stdout carries data, stderr everything else.

pub mod check;
pub mod cluster;
pub mod completions;
pub mod convert;
pub mod debug;
pub mod exit;
pub mod file;
pub mod job;
pub mod local;
pub mod man;
pub mod new;
pub mod node;
pub mod output;
pub mod progress;
pub mod project;
pub mod raft;
pub mod remote;
pub mod results;
pub mod run;
pub mod secret;
pub mod shard;
pub mod upload;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use exit::{Exit, Failure};

/// Distributed load testing: one binary on every node.
#[derive(Debug, Parser)]
#[command(name = "onrush", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every subcommand takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Output as JSON: the REST body, nothing else (the same as --format json)
    #[arg(long, global = true)]
    pub json: bool,
    /// Output format
    #[arg(long, global = true, value_enum, default_value_t)]
    pub format: Format,
    /// Addresses of nodes' APIs, tried in order
    #[arg(
        long,
        global = true,
        env = "ONRUSH_ADDR",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7440"
    )]
    pub address: Vec<String>,
    /// API token
    #[arg(long, global = true, env = "ONRUSH_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// No hints, no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
}

impl Global {
    /// Whether data goes out as JSON.
    pub fn is_json(&self) -> bool {
        self.json || self.format == Format::Json
    }
}

/// The registry of subcommands: one line each here, and one in [`dispatch`].
#[derive(Debug, Subcommand)]
enum Command {
    /// Run a simulation on this machine, without a cluster
    Run(Box<run::Args>),
    /// Show what a simulation is: its tree, its plan, its files, its problems; send nothing
    Check(check::Args),
    /// Play one user once, and show its requests, responses and session
    Debug(debug::Args),
    /// Begin a project that runs at once
    New(new::Args),
    /// Make a simulation of a recording, a curl command or a Postman collection
    Convert(convert::Args),
    /// Start a node of the cluster
    Node(Box<node::Args>),
    /// The nodes of the cluster
    Cluster(cluster::Args),
    /// The consensus group
    Raft(raft::Args),
    /// Jobs: submit, follow, look at, end
    Job(Box<job::Args>),
    /// The file repository
    File(file::Args),
    /// Projects
    Project(project::Args),
    /// Make a cluster secret
    Secret(secret::Args),
    /// One shard of a job; started by a node, speaks frames on stdin and stdout
    #[command(hide = true)]
    Shard(shard::Args),
    /// Print the completions of a shell
    #[command(hide = true)]
    Completions(completions::Args),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Args),
}

fn dispatch(global: &Global, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(global, *args),
        Command::Check(args) => check::run(global, args),
        Command::Debug(args) => debug::run(global, args),
        Command::New(args) => new::run(global, args),
        Command::Convert(args) => convert::run(global, args),
        Command::Node(args) => node::run(global, *args),
        Command::Cluster(args) => cluster::run(global, args),
        Command::Raft(args) => raft::run(global, args),
        Command::Job(args) => job::run(global, *args),
        Command::File(args) => file::run(global, args),
        Command::Project(args) => project::run(global, args),
        Command::Secret(args) => secret::run(global, args),
        Command::Shard(args) => shard::run(global, args),
        Command::Completions(args) => completions::run(global, args),
        Command::Man(args) => man::run(global, args),
    }
}

/// All of the command line, for what is generated from it.
fn command() -> clap::Command {
    use clap::CommandFactory as _;
    Cli::command()
}

/// Parses the command line, runs the subcommand, and turns errors into one message and a code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own code for usage errors is 2, which means "assertions failed" here.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = error.print();
            return exit.into();
        }
    };
    match check_token(&cli.global).and_then(|()| dispatch(&cli.global, cli.command)) {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    });
    if broken_pipe {
        // `onrush … | head`: the reader has what it wanted.
        return Exit::Ok.into();
    }
    let _ = writeln!(std::io::stderr(), "onrush: {error:#}");
    let exit =
        error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map(|found| found.exit);
    exit.unwrap_or(Exit::Error).into()
}

/// A token travels in a header: visible ASCII only.
fn check_token(global: &Global) -> anyhow::Result<()> {
    let Some(token) = &global.token else { return Ok(()) };
    if token.is_empty() {
        return Err(exit::fail(Exit::Usage, "the token is empty; unset ONRUSH_TOKEN or give one"));
    }
    if let Some(at) = token.bytes().position(|byte| !byte.is_ascii_graphic()) {
        let message = format!("the token has an invalid character at position {}", at + 1);
        return Err(exit::fail(Exit::Usage, message));
    }
    Ok(())
}

/// Writes a line of data to stdout. A reader that went away is an error that ends the command
/// quietly, where `println!` would panic.
pub fn say(line: impl Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// Writes a line about the work to stderr; losing it is no reason to fail.
pub fn tell(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    fn global(token: Option<&str>) -> Global {
        Global {
            json: false,
            format: Format::Table,
            address: Vec::new(),
            token: token.map(str::to_owned),
            quiet: false,
        }
    }

    #[test]
    fn a_token_is_visible_ascii() {
        assert!(check_token(&global(None)).is_ok());
        assert!(check_token(&global(Some("onr_1_abc"))).is_ok());
        let error = check_token(&global(Some("ab\ncd"))).unwrap_err();
        assert_eq!(error.to_string(), "the token has an invalid character at position 3");
        assert!(check_token(&global(Some(""))).is_err());
    }
}

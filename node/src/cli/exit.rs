//! Exit codes of the command line: documented, stable, and the only ones that are used.

use std::process::ExitCode;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success; for a test: verdict passed, or no assertions.
    Ok = 0,
    /// Unexpected error.
    Error = 1,
    /// Assertions failed (the same number as Gatling's).
    AssertionsFailed = 2,
    /// Aborted: operator, stop criterion, an interrupt that was handled gracefully.
    Aborted = 3,
    /// Generator saturated, a shard lost and not replaced, nothing sent.
    Inconclusive = 4,
    /// The command line is wrong.
    Usage = 64,
    /// The script does not compile, or its `setUp` is invalid.
    BadScript = 65,
    /// A file is not there, locally or in the repository.
    NoInput = 66,
    /// Cluster unreachable, no leader, quorum lost, a node has no room.
    Unavailable = 69,
    /// A bug of ours.
    Internal = 70,
    /// Timed out waiting; the job goes on.
    TimedOut = 75,
    /// Not authenticated, or not allowed.
    NotAllowed = 77,
    /// Bad configuration.
    Config = 78,
    /// A second interrupt: users were ended at once.
    Interrupted = 130,
    /// A second SIGTERM or SIGHUP: the same.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows its exit code; `cli::main` finds it anywhere in an `anyhow` chain.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

/// `return Err(fail(Exit::NoInput, "…"))`.
pub fn fail(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Failure { exit, message: message.into() })
}

/// The part of `--help` that lists the codes.
pub const HELP: &str = "\
Exit codes:
  0    success; for a test: verdict passed, or no assertions
  1    unexpected error
  2    assertions failed
  3    aborted
  4    inconclusive: generator saturated, a shard lost, nothing sent
  64   wrong usage of the command line
  65   the script does not compile, or its setUp is invalid
  66   file not found
  69   cluster unreachable, no leader, quorum lost, or no room
  70   internal error: a bug
  75   timed out waiting; the job goes on
  77   not authenticated or not allowed
  78   bad configuration
  130  interrupted twice (143: terminated twice)";

//! The registry of replicated commands. Append-only: the position of a variant is its tag on disk.

use serde::{Deserialize, Serialize};

use super::file::FileCommand;
use super::job::JobCommand;
use super::member::MemberCommand;
use super::project::ProjectCommand;
use crate::types::UnixMs;

/// What is written to the log: a command, who asked, and when by the proposer's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    pub at: UnixMs,
    pub by: String,
    pub command: Command,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Member(MemberCommand),
    Project(ProjectCommand),
    File(FileCommand),
    Job(JobCommand),
}

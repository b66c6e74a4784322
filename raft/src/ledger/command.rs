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

/// What a command asks of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It deletes or ends something: taken on the fullest disk.
    Frees,
    /// The cluster's own course: members, shards, ticks, ends of jobs.
    Keeps,
    /// A user brings something new.
    Adds,
}

impl Command {
    #[must_use]
    pub fn weight(&self) -> Weight {
        match self {
            Self::Project(ProjectCommand::Delete { .. })
            | Self::File(FileCommand::Delete { .. })
            | Self::Job(JobCommand::Abort { .. }) => Weight::Frees,
            Self::Project(ProjectCommand::Create { .. })
            | Self::File(FileCommand::Put { .. })
            | Self::Job(JobCommand::Submit { .. }) => Weight::Adds,
            Self::Member(_) | Self::Job(_) => Weight::Keeps,
        }
    }
}

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
    pub by: Caller,
    pub command: Command,
}

/// Who asks, and how a second try of the same request is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    pub name: String,
    /// Of two requests with the same key only the first is carried out; the second gets its outcome.
    pub idempotency_key: Option<String>,
}

impl From<&str> for Caller {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), idempotency_key: None }
    }
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

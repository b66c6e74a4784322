//! The typed client of the REST API, for the command line. Any node will do: addresses are tried in
//! order, and a call that certainly changed nothing moves on to the next one. Refuses to repeat a
//! write that may have been carried out, unless it is safe to repeat.
//!
//! `calls` has one method per route; `events` reads event streams and resumes them elsewhere.

mod calls;
mod events;
mod newest;
mod transport;

use std::fmt;
use std::time::Duration;

use crate::error::{Kind, ProblemBody};

pub use calls::{Body, JobFilter, LogFilter};
pub use events::{EventStream, JobUpdate, LogStreamEvents};
pub use transport::{Address, Client};

/// To connect to one address.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// From the request to the head of the answer; uploads have no limit but their own progress.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that cannot be used.
    #[error("{address:?} is no API address: {why}")]
    BadAddress { address: String, why: &'static str },
    /// No address answered.
    #[error("no node can be reached: {}", Tried(.0))]
    Unreachable(Vec<(String, String)>),
    /// The connection broke after the request was sent: it may have been carried out.
    #[error("{address} did not answer: {why}; the request may have been carried out")]
    Lost { address: String, why: String },
    /// The node refused.
    #[error("{}", ProblemText(.0))]
    Problem(Box<ProblemBody>),
    /// What came back is not this API.
    #[error("{address} does not speak Onrush's API: {why}")]
    Protocol { address: String, why: String },
    /// A local file or stream failed while it was sent or received.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

struct Tried<'a>(&'a [(String, String)]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, why)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{address} ({why})")?;
        }
        Ok(())
    }
}

struct ProblemText<'a>(&'a ProblemBody);

impl fmt::Display for ProblemText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)?;
        for error in self.0.errors.iter().filter(|error| error.detail != self.0.detail) {
            write!(f, "\n  {}: {}", error.pointer, error.detail)?;
        }
        Ok(())
    }
}

impl Error {
    /// The problem document, where the node sent one.
    #[must_use]
    pub fn problem(&self) -> Option<&ProblemBody> {
        match self {
            Self::Problem(body) => Some(body),
            _ => None,
        }
    }

    /// The problem's type.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_slug(&self.problem()?.code)
    }

    /// Exit code of the command line (sysexits where there is one).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadAddress { .. } => 64,
            Self::Unreachable(_) | Self::Lost { .. } => 69,
            Self::Io(error) if error.kind() == std::io::ErrorKind::NotFound => 66,
            Self::Protocol { .. } | Self::Io(_) => 1,
            Self::Problem(body) => match Kind::from_slug(&body.code) {
                Some(Kind::InvalidRequest) => 64,
                Some(Kind::NotFound) => 66,
                Some(Kind::Unauthenticated) => 77,
                Some(
                    Kind::NoLeader
                    | Kind::QuorumLost
                    | Kind::Unavailable
                    | Kind::InsufficientStorage,
                ) => 69,
                Some(Kind::Internal) => 70,
                _ => 1,
            },
        }
    }
}

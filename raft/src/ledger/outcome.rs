//! What applying a command gave: the same on every node, because it is part of the state machine.

use serde::{Deserialize, Serialize};

use super::file::FileVersion;
use super::job::CursorMove;
use crate::types::{JobId, RaftId};

/// A command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Done,
    /// `Allocate`: the node's raft id.
    Allocated(RaftId),
    /// `Put`: the version made, or the one that has the content already. `replayed`, here and below,
    /// when a request with this idempotency key had done it before.
    Stored {
        file: FileVersion,
        replayed: bool,
    },
    /// `Submit`.
    Submitted {
        id: JobId,
        replayed: bool,
    },
    /// `Prepare`: the epoch of these assignments.
    Epoch(u64),
    /// `Ticks`: one per section, in order.
    Ticks(Vec<TickOutcome>),
    /// `Allocate` of a peer that is bound under this raft id: it gets another one only by `Rejoin`.
    Bound(RaftId),
}

impl Outcome {
    /// For the second one who asks.
    pub(super) fn again(mut self) -> Self {
        if let Self::Stored { replayed, .. } | Self::Submitted { replayed, .. } = &mut self {
            *replayed = true;
        }
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TickOutcome {
    /// Committed as this tick.
    Accepted { number: u64 },
    /// Nothing was appended; these are the cursors (none: no such job). Some `from` was not the
    /// stored cursor, the job takes no frames, or `UNSEALED_TICKS_MAX` ticks wait to be sealed.
    Refused { cursors: Vec<CursorMove> },
}

/// A command that the state machine refuses, and why: REST problem types derive from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    #[error("{what} does not exist")]
    NotFound { what: String },
    #[error("{what} exists already")]
    Exists { what: String },
    /// The state does not allow it: `job_… is finished`.
    #[error("{0}")]
    Conflict(String),
    /// `If-Match`, `If-None-Match`: what is there is not what the caller has seen.
    #[error("{0}")]
    PreconditionFailed(String),
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    #[error("{0}")]
    Invalid(String),
    /// `Put`: fewer than a majority of the voters hold the content.
    #[error("{have} of {need} voters hold the content")]
    NeedHolders { have: u32, need: u32 },
    #[error("the cluster is still forming and takes no writes yet")]
    Forming,
}

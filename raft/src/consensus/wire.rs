//! What Raft nodes say to each other: our own records, one envelope each way. Pure.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::witness::{Standing, Testimony};
use crate::codec::{self, kind};
use crate::records::{EntryRec, LogIdRec, MetaRec, VoteRec};
use crate::types::RaftId;

/// A request and whom it is for: a node whose data was copied must not answer for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frame {
    pub(super) to: RaftId,
    pub(super) request: Request,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    Append {
        vote: VoteRec,
        prev: Option<LogIdRec>,
        entries: Vec<EntryRec>,
        commit: Option<LogIdRec>,
    },
    Vote(Ballot),
    PreVote(Ballot),
    Transfer {
        vote: VoteRec,
        to: RaftId,
        last: Option<LogIdRec>,
    },
    /// Answered with the offset to go on from: a transfer that broke resumes.
    SnapshotBegin {
        vote: VoteRec,
        meta: MetaRec,
        size: u64,
        hash: [u8; 32],
    },
    SnapshotChunk {
        hash: [u8; 32],
        offset: u64,
        bytes: Bytes,
    },
    SnapshotEnd {
        hash: [u8; 32],
    },
    /// A node that starts says what it has, and asks what is known of it.
    Witness(Standing),
    /// A leader tells a node whose log went back what it had acknowledged.
    WentBack(Testimony),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ballot {
    pub(super) vote: VoteRec,
    pub(super) last: Option<LogIdRec>,
    pub(super) transfer: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Response {
    Appended,
    /// Only up to this entry.
    AppendedPart(Option<LogIdRec>),
    AppendConflict,
    HigherVote(VoteRec),
    Vote {
        vote: VoteRec,
        granted: bool,
        last: Option<LogIdRec>,
    },
    Transferring,
    TransferRefused(TransferRefused),
    SnapshotOffset(u64),
    SnapshotInstalled {
        vote: VoteRec,
    },
    Testimony(Testimony),
    Noted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TransferRefused {
    VoteChanged { expected: VoteRec, actual: VoteRec },
    LogNotFlushed { expected: Option<LogIdRec>, actual: Option<LogIdRec> },
}

impl Request {
    /// The node in whose name the request speaks: must be the one that sent it.
    pub(super) fn speaker(&self) -> Option<RaftId> {
        match self {
            Self::Append { vote, .. }
            | Self::Transfer { vote, .. }
            | Self::SnapshotBegin { vote, .. } => Some(vote.node),
            Self::Vote(ballot) | Self::PreVote(ballot) => Some(ballot.vote.node),
            Self::SnapshotChunk { .. }
            | Self::SnapshotEnd { .. }
            | Self::Witness(_)
            | Self::WentBack(_) => None,
        }
    }
}

impl Frame {
    pub(super) fn encode(&self) -> Result<Bytes, codec::Error> {
        codec::encode(kind::RAFT_REQUEST, self).map(Bytes::from)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, codec::Error> {
        codec::decode(kind::RAFT_REQUEST, bytes)
    }
}

impl Response {
    pub(super) fn encode(&self) -> Result<Bytes, codec::Error> {
        codec::encode(kind::RAFT_RESPONSE, self).map(Bytes::from)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, codec::Error> {
        codec::decode(kind::RAFT_RESPONSE, bytes)
    }
}

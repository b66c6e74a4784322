//! Ids and small records that cross the crate's boundary. Timestamps are the proposer's clock, in
//! milliseconds since the Unix epoch: applying a command never reads a clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Raft's id of a node: allocated by the log, never reused inside a cluster.
pub type RaftId = u64;

/// Milliseconds since the Unix epoch, by the proposer's clock.
pub type UnixMs = u64;

/// A node's lasting identity: the text form of its libp2p peer id.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeerName(pub String);

/// 128 random bits in hex, drawn by the node that founded the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub String);

/// `job_` and a ULID.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub String);

/// A project's name: `[a-z0-9][a-z0-9-]{0,62}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectName(pub String);

/// BLAKE3 of the content, in 64 hex digits: the name of a blob in the file repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentId(pub String);

/// What a digest begins with where people and programs read it: `blake3:9f86d0…`.
pub const DIGEST_PREFIX: &str = "blake3:";

macro_rules! text_id {
    ($($id:ident),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $id {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $id {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    )*};
}
text_id!(PeerName, ClusterId, JobId, ProjectName, ContentId);

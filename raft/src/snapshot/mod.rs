//! Snapshots and the state machine that they are of.
//!
//! The state lives in memory; a snapshot file is the whole of it at one index, written aside,
//! synced, renamed, and only then the older one deleted. A file is read only when its length and
//! BLAKE3 are right. Nothing here decides when a snapshot is due.

mod file;
mod machine;
#[cfg(test)]
mod tests;

pub(crate) use file::{Folder, SnapshotFile, load};
pub(crate) use machine::{Machine, Published};

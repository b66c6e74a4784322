//! The Raft log and vote on disk: one redb file, one writer thread.
//!
//! Invariants: nothing is durable before everything enqueued before it (L1); a callback means that
//! its entries and all earlier operations are durable (L2); the saved `committed` is never ahead
//! of the durable log, as it takes the same queue (L3); purges are prefixes and truncations
//! suffixes, so there are no holes (L4); after an I/O error nothing is written any more (L5).
//!
//! Entries are readable as soon as `append` returns: those not yet durable, and the newest durable
//! ones, are kept in memory (`Tail`). This module never looks inside a command.

mod backend;
mod disk;
#[cfg(test)]
mod power_loss_tests;
mod store;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use store::LogStore;

/// Bytes of entries kept in memory once they are durable.
const TAIL_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Bytes of one read for replication; at least one entry is always returned.
const READ_BYTES_MAX: usize = 1_024 * 1_024;
/// Operations that wait for the writer; proposals and replication are bounded far below.
const QUEUE_MAX: usize = 8_192;
/// Bytes of entries in one commit.
const BATCH_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Operations in one commit.
const BATCH_OPS_MAX: usize = 1_024;
/// redb's page cache; the newest entries are in the tail anyway.
const CACHE_BYTES: usize = 32 * 1_024 * 1_024;

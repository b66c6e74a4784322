//! The worker: runs this node's shards, one child process each, under the master's orders.

pub mod book;
pub mod offset;
pub mod outbox;

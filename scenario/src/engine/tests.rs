//! Runs of whole shards in this process.

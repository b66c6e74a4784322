//! Measuring: recording on an engine thread, framing a second, merging shards, summing up.

pub mod assertion;
pub mod frame;
pub mod record;
pub mod summary;
pub mod times;

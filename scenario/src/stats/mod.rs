//! Measuring: recording on an engine thread, framing a second, merging shards, summing up.

pub mod aggregate;
pub mod assertion;
pub mod fit;
pub mod frame;
pub mod live;
pub mod merge;
mod paths;
pub mod record;
pub mod sample;
pub mod series;
pub mod summarize;
pub mod summary;
pub mod times;
pub mod verdict;

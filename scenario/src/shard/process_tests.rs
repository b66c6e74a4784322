//! A shard, end to end, over its pipes.

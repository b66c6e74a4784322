//! Which cluster this node belongs to, who else is in it, and who leads. Forming, joining and
//! promotion are decided by the pure rules of `onrush_raft`; the drivers here carry them out.

pub mod data_dir;
pub mod handle;

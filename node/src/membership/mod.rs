//! Which cluster this node belongs to, who else is in it, and who leads. Forming, joining and
//! promotion are decided by the pure rules of `onrush_raft`; what is here carries them out:
//!
//! ```text
//! driver ── asks bootstrap::decide ──> found · join · open · dissolve · release
//! pilot  ── asks autopilot::decide ──> add learner · change voters · remove      (leader only)
//! propose ─ writes and reads, through the master or through whoever reaches it
//! service ─ answers joiners and other members;  rpc ─ Raft's messages over the mesh
//! ```

pub mod data_dir;
mod driver;
pub mod handle;
mod member;
pub(crate) mod members;
mod pilot;
mod propose;
mod rpc;
mod service;

pub use member::{Config, Error, Membership};

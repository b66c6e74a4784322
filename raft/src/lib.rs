//! Consensus and the ledger. Knows nothing of HTTP, libp2p or scripts.
//!
//! Reading order: [`types`], [`ledger`] (the pure state machine), [`codec`] (bytes), `log` and
//! `snapshot` (disk), [`consensus`] (openraft behind a handle), [`autopilot`] and [`bootstrap`]
//! (pure decisions that a node carries out).

#![forbid(unsafe_code)]
#![deny(clippy::iter_over_hash_type)]

pub mod autopilot;
pub mod bootstrap;
pub mod codec;
pub mod consensus;
mod file_error;
pub mod ledger;
mod log;
mod records;
mod snapshot;
pub mod space;
pub mod status;
pub mod types;

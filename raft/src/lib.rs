//! Consensus and the ledger. Knows nothing of HTTP, libp2p or scripts.

#![forbid(unsafe_code)]

pub mod ledger;
pub mod status;
pub mod types;

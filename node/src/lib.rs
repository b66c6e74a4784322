//! The node: membership, master, worker, repository, and the command line. The composition root;
//! the only crate that knows libp2p and processes.

#![forbid(unsafe_code)]

pub mod backend;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control_wire;
pub mod duties;
pub mod master;
pub mod membership;
pub mod net;
pub mod node;
pub mod repository;
pub mod telemetry;
pub mod vitals;
pub mod wire;
pub mod worker;

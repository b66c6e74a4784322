//! What the integration tests and the acceptance runs are made of.

pub mod acceptance;
pub mod cluster;
pub mod process;
pub mod rest;
pub mod target;
pub mod wait;

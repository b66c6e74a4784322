//! What the integration tests and the acceptance runs are made of.

#![expect(clippy::panic, reason = "a test ends by panicking")]

pub mod acceptance;
pub mod bench;
pub mod chaos;
pub mod cluster;
pub mod disk;
pub mod machine;
pub mod oracle;
pub mod process;
pub mod random;
pub mod rest;
pub mod scale;
pub mod target;
pub mod wait;

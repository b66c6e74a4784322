//! REST, HTML report, and the client that the CLI uses. The only crate that knows JSON over HTTP.

#![forbid(unsafe_code)]

pub mod backend;

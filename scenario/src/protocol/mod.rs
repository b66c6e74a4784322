//! Protocols: the registry, and what a protocol is to the engine.

pub mod http;

//! HTTP/1.1 as Gatling's HTTP protocol does it.

pub mod spec;

//! REST, HTML report, and the client that the CLI uses. The only crate that knows JSON over HTTP.
//!
//! `router` joins what each file of `routes/` declares; `serve` runs it on a listener. What the API
//! needs of a node is [`backend::Backend`]; it knows neither Raft's network nor processes.

#![forbid(unsafe_code)]

pub mod auth;
pub mod backend;
pub mod client;
pub mod error;
pub mod extract;
#[cfg(test)]
mod fake;
pub mod freshness;
pub mod observe;
pub mod page;
pub mod report;
pub mod routes;
mod serve;
mod state;
pub mod stream;
#[cfg(test)]
mod tests;

pub use auth::Secret;
pub use routes::{openapi, router};
pub use serve::serve;
pub use state::{ApiConfig, ApiState, WRITE_TIMEOUT};

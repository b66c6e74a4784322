//! The differential suite: small simulations (`tests/oracle/cases/*.gatling.js`), run on Gatling once
//! and recorded beside them, run on Onrush by the tests and compared. Both sides are brought into one
//! normal form by the same code. Refuses to know what is right: the recording is.
//!
//! Reading order: `case` (what a case file says), `target` (what logs the requests), `stream` (and what
//! WebSockets send), `form` (the normal form), `gatling` and `onrush` (the two sources of it), `compare`
//! (the differences), `suite` (all cases at once).

pub mod case;
pub mod compare;
pub mod form;
pub mod gatling;
pub mod onrush;
pub mod pages;
pub mod script;
mod stream;
pub mod suite;
pub mod target;
mod wire;

use std::path::PathBuf;

use crate::cluster::repository;

/// Where the cases and their recordings are.
#[must_use]
pub fn folder() -> PathBuf {
    repository().join("tests/oracle/cases")
}

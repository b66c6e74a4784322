//! The master: lives while this node leads, and has no state that it could not rebuild from the
//! ledger and the workers' spools.

pub mod aggregate;
#[cfg(test)]
pub(crate) mod fixture;
pub mod place;
pub mod reconcile;

//! The master: lives while this node leads, and has no state that it could not rebuild from the
//! ledger and the workers' spools.
//!
//! Reading order: [`reconcile`] (what is to be done), [`place`] (where), `rebalance` (what a loss
//! leaves), `load` (the load, changed), [`start`] (since when), [`aggregate`] (frames to ticks),
//! [`coordinator`] (what a term remembers), [`tally`] (ticks to a result), [`losses`] (what is missing
//! of it), `finish`, `session`, `reign` (the task that carries it all out).

pub mod aggregate;
mod closed;
pub mod coordinator;
#[cfg(test)]
mod coordinator_tests;
mod entries;
mod finish;
#[cfg(test)]
pub(crate) mod fixture;
mod load;
#[cfg(test)]
mod load_tests;
pub mod losses;
pub mod place;
mod rebalance;
#[cfg(test)]
mod rebalance_tests;
pub mod reconcile;
#[cfg(test)]
mod reconcile_tests;
mod reign;
mod session;
#[cfg(test)]
mod sim;
pub mod start;
pub mod tally;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::membership::handle::ClusterHandle;
use crate::repository::Repository;
use reign::Reign;

/// Rules whenever this node leads, until `stop`. Each term is a reign of its own: nothing of an
/// earlier one is carried over, so taking over is the normal path and not a special one.
pub async fn run(cluster: ClusterHandle, repository: Arc<Repository>, stop: CancellationToken) {
    let mut leadership = cluster.leadership();
    loop {
        let now = leadership.borrow_and_update().clone();
        let reign = async {
            if now.local {
                Reign::run(Arc::clone(&cluster), Arc::clone(&repository), now.term).await;
            }
            std::future::pending::<()>().await;
        };
        // Only another term, or the loss of this one, ends a reign.
        let changed = async {
            loop {
                if leadership.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                let next = leadership.borrow_and_update().clone();
                if (next.local, next.term) != (now.local, now.term) {
                    return;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = reign => {}
            () = changed => {}
        }
    }
}

//! The master: lives while this node leads, and has no state that it could not rebuild from the
//! ledger and the workers' spools.
//!
//! Reading order: [`reconcile`] (what is to be done), [`place`] (where), [`start`] (since when),
//! [`aggregate`] (frames to ticks), [`tally`] (ticks to a result), `finish`, `session`, `reign` (the
//! task that does it all).

pub mod aggregate;
mod finish;
#[cfg(test)]
pub(crate) mod fixture;
pub mod place;
pub mod reconcile;
#[cfg(test)]
mod reconcile_tests;
mod reign;
mod session;
#[cfg(test)]
mod sim_tests;
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

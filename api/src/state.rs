//! What every handler gets: the node behind the API, and how the API was set up.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::auth::Secret;
use crate::backend::{Applied, Backend};
use crate::error::{Kind, Problem};
use crate::freshness;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command};

/// Longest time a write or a consistent read may take before the caller is told (bad input 52).
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a node serves its API.
#[derive(Clone, Debug, Default)]
pub struct ApiConfig {
    /// Asked of every caller, the probes excepted. Without one, whoever reaches the port may call.
    pub token: Option<Secret>,
    /// Further names this node goes by in `Host`, for nodes without a token.
    pub host_names: Vec<String>,
    /// Cancelled when the node stops: streams say `bye` and end.
    pub shutdown: CancellationToken,
}

/// Shared by all handlers.
#[derive(Clone)]
pub struct ApiState {
    pub backend: Arc<dyn Backend>,
    pub config: Arc<ApiConfig>,
}

impl ApiState {
    #[must_use]
    pub fn ledger(&self) -> Arc<Ledger> {
        self.backend.ledger()
    }

    /// Carries out a command, within [`WRITE_TIMEOUT`].
    ///
    /// # Errors
    /// As the ledger or the cluster refuses it.
    pub async fn propose(&self, by: &Caller, command: Command) -> Result<Applied, Problem> {
        match tokio::time::timeout(WRITE_TIMEOUT, self.backend.propose(by, command)).await {
            Ok(applied) => {
                let applied = applied?;
                freshness::wrote(applied.index);
                Ok(applied)
            }
            Err(_) => Err(Problem::new(
                Kind::QuorumLost,
                format!("not committed within {WRITE_TIMEOUT:?}; it may still be carried out"),
            )),
        }
    }

    /// Whether anything can be written now: before a body is taken in that nobody could commit.
    ///
    /// # Errors
    /// When there is no leader or no quorum.
    pub async fn write_barrier(&self) -> Result<(), Problem> {
        match tokio::time::timeout(WRITE_TIMEOUT, self.backend.write_barrier()).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Problem::new(
                Kind::QuorumLost,
                format!("no quorum answered within {WRITE_TIMEOUT:?}; nothing was taken in"),
            )),
        }
    }

    /// Waits until this node's state has all that was committed before.
    ///
    /// # Errors
    /// When there is no leader or no quorum.
    pub async fn read_barrier(&self) -> Result<(), Problem> {
        match tokio::time::timeout(WRITE_TIMEOUT, self.backend.read_barrier()).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Problem::new(
                Kind::QuorumLost,
                format!("the leader did not confirm its state within {WRITE_TIMEOUT:?}"),
            )),
        }
    }
}

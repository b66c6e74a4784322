//! The API's backend as far as membership alone can answer: status, members, proposals, reads.
//! Refuses what needs the repository, the workers or the master's aggregate.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use onrush_api::backend::{
    Applied, Backend, BackendError, ByteStream, Identity, LogLine, LogQuery, MemberView, StoredBlob,
};
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::Command;
use onrush_raft::status::RaftStatus;
use onrush_raft::types::{ContentId, JobId};
use onrush_scenario::stats::summary::Summary;
use tokio::sync::watch;

use super::handle::{ClusterError, ClusterHandle};

pub struct ClusterBackend {
    cluster: ClusterHandle,
}

impl ClusterBackend {
    pub fn new(cluster: ClusterHandle) -> Self {
        Self { cluster }
    }
}

impl From<ClusterError> for BackendError {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Rejected(rejection) => Self::Rejected(rejection),
            ClusterError::NoLeader(why) => Self::NoLeader(why),
            ClusterError::NoQuorum(why) => Self::NoQuorum(why),
            ClusterError::Superseded { .. } => Self::NoLeader(error.to_string()),
            ClusterError::Internal(why) => Self::Internal(why),
        }
    }
}

fn unavailable<T>(what: &str) -> Result<T, BackendError> {
    Err(BackendError::Unavailable(format!("{what} are not served by this node")))
}

#[async_trait]
impl Backend for ClusterBackend {
    fn identity(&self) -> Identity {
        Identity {
            name: self.cluster.name(),
            peer: self.cluster.peer().0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.cluster.ledger()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.cluster.applied()
    }

    async fn read_barrier(&self) -> Result<(), BackendError> {
        Ok(self.cluster.read_barrier().await?)
    }

    async fn propose(&self, by: &str, command: Command) -> Result<Applied, BackendError> {
        let applied = self.cluster.propose(by, command).await?;
        Ok(Applied { index: applied.index, outcome: applied.outcome })
    }

    async fn put_blob(
        &self,
        _: ByteStream,
        _: Option<ContentId>,
    ) -> Result<StoredBlob, BackendError> {
        unavailable("files")
    }

    async fn open_blob(
        &self,
        _: &ContentId,
        _: Option<Range<u64>>,
    ) -> Result<(u64, ByteStream), BackendError> {
        unavailable("files")
    }

    async fn logs(&self, _: LogQuery) -> Result<BoxStream<'static, LogLine>, BackendError> {
        unavailable("logs")
    }

    async fn summary(&self, _: &JobId) -> Result<Arc<Summary>, BackendError> {
        unavailable("results")
    }

    fn members(&self) -> Vec<MemberView> {
        self.cluster.members()
    }

    fn raft_status(&self) -> RaftStatus {
        self.cluster.raft_status()
    }

    async fn leader_raft_status(&self) -> Result<RaftStatus, BackendError> {
        Ok(self.cluster.leader_raft_status().await?)
    }
}

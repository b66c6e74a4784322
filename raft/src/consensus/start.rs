//! Opening: files first, then openraft over them. Whatever is wrong on disk is said here.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openraft::{SnapshotPolicy, StepDownPolicy};
use tokio::sync::{Semaphore, watch};

use super::gate::{self, Gate};
use super::inbound::Inbound;
use super::network::{Network, Voters};
use super::{
    Config, Consensus, Inner, Leadership, OpenError, PROPOSALS_MAX, Raft, RaftRpc, Timing, tasks,
};
use crate::file_error::FileError;
use crate::log::LogStore;
use crate::snapshot::{Folder, Machine};

/// Entries kept behind a snapshot, so that a short outage never needs a snapshot transfer.
const LOG_KEPT: u64 = 2_000;

impl Consensus {
    /// Opens what `config.dir` holds, or creates it, and starts Raft. A node without a cluster
    /// stays a learner of nobody until [`Consensus::initialize`] or until a leader adds it.
    pub async fn open(config: Config, rpc: Arc<dyn RaftRpc>) -> Result<Self, OpenError> {
        let (dir, id) = (config.dir.clone(), config.id);
        if let Some(why) = gate::marked(&dir) {
            return Err(OpenError::WentBack { path: dir, why });
        }
        if config.must_exist && !LogStore::is_in(&dir) {
            let why = "the log is gone; this node must not vote again under its id".to_owned();
            return Err(OpenError::Storage { path: dir, why });
        }
        let opened = tokio::task::spawn_blocking(move || open_files(&dir, id)).await;
        let (log, machine, folder) =
            opened.map_err(|error| OpenError::Raft(error.to_string()))??;
        let published = machine.published();
        let snapshot_index = machine.snapshot_index();
        let gate = Gate::new(log.clone(), config.dir.clone());
        let voters = Voters::default();
        let network = Network {
            me: config.id,
            rpc: Arc::clone(&rpc),
            gate: Arc::clone(&gate),
            voters: Arc::clone(&voters),
            learner_heartbeat: Duration::from_millis(config.timing.election_max_ms),
        };
        let settings = Arc::new(settings(config.timing)?);
        let started = Raft::new(config.id, settings, network, log.clone(), machine).await;
        let raft = match started {
            Ok(raft) => raft,
            Err(error) => {
                let log = log.clone();
                tokio::task::spawn_blocking(move || log.close()).await.ok();
                return Err(OpenError::Raft(error.to_string()));
            }
        };
        let inner = Inner {
            inbound: Inbound::new(config.id, raft.clone(), log.clone(), &gate, folder.tmp()),
            rpc,
            gate,
            config,
            raft,
            log,
            published,
            voters,
            proposals: Semaphore::new(PROPOSALS_MAX),
            leadership: watch::channel(Leadership::default()).0,
            leaderless_since: Mutex::new(Some(Instant::now())),
            tasks: Mutex::default(),
        };
        let consensus = Self { inner: Arc::new(inner) };
        tasks::start(&consensus, snapshot_index);
        Ok(consensus)
    }
}

fn open_files(dir: &Path, id: u64) -> Result<(LogStore, Machine, Folder), OpenError> {
    std::fs::create_dir_all(dir)
        .map_err(|error| OpenError::Storage { path: dir.to_owned(), why: error.to_string() })?;
    let folder = Folder::open(&dir.join("snap"))?;
    let log = LogStore::open(dir, id)?;
    let reserve = Arc::clone(log.reserve());
    let opened = Machine::open(folder.clone(), reserve).inspect_err(|_| log.close());
    let (machine, damaged) = opened?;
    // A damaged snapshot is made up for by an older one and the log, if that goes back far enough.
    let (purged, have) = (log.purged().map(|id| id.index), machine.snapshot_index());
    if purged > have {
        log.close();
        let (path, why) = damaged.into_iter().next().map_or_else(
            || (dir.join("snap"), "no snapshot is there".to_owned()),
            |error| (error.path, error.why),
        );
        let purged = purged.unwrap_or(0);
        return Err(OpenError::Storage {
            path,
            why: format!("{why}; the log before entry {} is gone, so it is needed", purged + 1),
        });
    }
    for error in damaged {
        tracing::warn!(%error, "a damaged snapshot is passed over");
    }
    Ok((log, machine, folder))
}

fn settings(timing: Timing) -> Result<openraft::Config, OpenError> {
    let config = openraft::Config {
        cluster_name: "onrush".to_owned(),
        heartbeat_interval: timing.heartbeat_ms,
        election_timeout_min: timing.election_min_ms,
        election_timeout_max: timing.election_max_ms,
        enable_pre_vote: Some(true),
        // Not before the others have said what they know of this node (`gate`).
        enable_elect: false,
        // At least lease and election timeout: a leader cut off from its quorum gives way.
        quorum_loss_probe_interval: Some(2 * timing.election_max_ms),
        max_payload_entries: 64,
        purge_batch_size: 256,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: LOG_KEPT,
        // Must exceed the step between snapshots.
        replication_lag_threshold: 20_000,
        install_snapshot_timeout: 30_000,
        removed_leader_step_down: StepDownPolicy::After(150),
        // The saved `committed` may lag after a power loss: no leader without an election.
        enable_leader_restore: Some(false),
        ..openraft::Config::default()
    };
    config.validate().map_err(|error| OpenError::Raft(error.to_string()))
}

impl From<FileError> for OpenError {
    fn from(error: FileError) -> Self {
        Self::Storage { path: error.path, why: error.why }
    }
}

//! What a node does beside being a member: repository, worker, master, and the API's backend, put
//! together in the order in which they need each other. The composition root calls
//! [`Duties::open`] and [`Duties::register`] before the mesh starts and [`Duties::start`] once there
//! is a cluster handle.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backend::NodeBackend;
use crate::clock::Clock;
use crate::master;
use crate::membership::handle::ClusterHandle;
use crate::net::{NodeRecord, Service, Services};
use crate::repository::{self, Repository};
use crate::vitals::Vitals;
use crate::worker::{self, Worker};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Repository(#[from] repository::Error),
    #[error("the folder of the runs: {0}")]
    Runs(std::io::Error),
    #[error("this program's own path is unknown: {0}")]
    Program(std::io::Error),
}

pub struct Duties {
    repository: Arc<Repository>,
    worker: Worker,
    vitals: Vitals,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Duties {
    /// Opens `<data>/blobs` and `<data>/runs` and starts the worker; on the node's runtime.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn open(data: &Path, name: &str, clock: Clock, vitals: Vitals) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(Error::Program)?;
        let command = vec![program.to_string_lossy().into_owned(), "shard".to_owned()];
        let repository = Repository::open(data.join("blobs"))?;
        let stop = CancellationToken::new();
        let config = worker::Config {
            runs: data.join("runs"),
            name: name.to_owned(),
            command,
            build_limit: worker::BUILD_LIMIT,
        };
        let started = Worker::start(config, Arc::clone(&repository), clock, stop.clone());
        let (worker, task) = started.map_err(Error::Runs)?;
        let tasks = vec![tokio::spawn(vitals.clone().watch("the worker", task))];
        Ok(Self { repository, worker, vitals, stop, tasks })
    }

    /// What this node answers: `Control`, `Logs` and `Blob`.
    pub fn register(&self, services: &mut Services) {
        services.streams.insert(Service::Control, self.worker.control_handler());
        services.streams.insert(Service::Logs, self.worker.log_handler());
        services.calls.insert(Service::Blob, self.repository.call_handler());
    }

    /// Starts the master and the repository's upkeep; gives what the API is served from.
    pub fn start(&mut self, cluster: ClusterHandle) -> Arc<NodeBackend> {
        self.repository.attach(Arc::clone(&cluster));
        let repository = || Arc::clone(&self.repository);
        let upkeep = repository().upkeep(self.stop.clone());
        let upkeep = self.vitals.guard("the repository's upkeep", upkeep);
        let scrubbing = repository().scrub(self.stop.clone());
        let scrubbing = self.vitals.guard("the scrubber", scrubbing);
        let reigning = master::run(Arc::clone(&cluster), repository(), self.stop.clone());
        let reigning = self.vitals.guard("the master", reigning);
        let backend = NodeBackend::new(cluster, repository(), self.worker.clone());
        self.tasks.extend([tokio::spawn(upkeep), tokio::spawn(scrubbing), tokio::spawn(reigning)]);
        Arc::new(backend)
    }

    /// Shards with a process.
    pub fn running_shards(&self) -> u32 {
        self.worker.running_shards()
    }

    /// What the node's record says of them.
    pub fn describe(&self, record: &mut NodeRecord) {
        record.running_shards = self.worker.running_shards();
        record.clock_ahead_ms = self.worker.clock_ahead_ms();
        record.blobs_complete = self.repository.is_complete();
    }

    /// Ends all tasks and the children, and waits for the tasks.
    pub async fn shutdown(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A task that panicked has said so.
            let _ = task.await;
        }
    }
}

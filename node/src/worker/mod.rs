//! The worker: runs this node's shards, one child process each, under the master's orders.
//!
//! One task owns everything ([`actor`]); sessions, children and fetches send it events. What is
//! decided is decided in [`book`]; what is measured waits in [`outbox`] until [`sender`] sends it. It
//! knows no ledger: an order carries all that it needs, so a node that lags behind runs its shards all
//! the same.

mod actor;
pub mod book;
pub mod child;
pub mod fetch;
pub mod lease;
mod limits;
pub mod logs;
pub mod offset;
pub mod outbox;
mod pulse;
pub mod runs;
pub mod sender;
mod session;
mod shards;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use onrush_api::backend::LogLine;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::control_wire::LogAsk;
use crate::net::StreamHandler;
use crate::repository::Repository;
use actor::Actor;
pub(crate) use actor::Event;
pub use limits::BUILD_LIMIT;

#[derive(Clone, Debug)]
pub struct Config {
    /// `<data>/runs`.
    pub runs: PathBuf,
    /// This node's name, for log lines.
    pub name: String,
    /// Program and arguments of a shard's process: this executable and `shard`.
    pub command: Vec<String>,
    /// From the start of a child until it is ready: [`BUILD_LIMIT`], but for tests.
    pub build_limit: Duration,
}

/// A handle to the worker's task.
#[derive(Clone)]
pub struct Worker {
    config: Arc<Config>,
    events: mpsc::Sender<Event>,
    clock: Clock,
    live: Arc<AtomicU32>,
    skew: Arc<AtomicI64>,
}

/// Where no master's clock has been heard yet.
const SKEW_UNKNOWN: i64 = i64::MIN;

impl Worker {
    /// Starts the worker on the runtime; on `stop` it ends its children.
    ///
    /// # Errors
    /// The folder of the runs cannot be made.
    pub fn start(
        mut config: Config,
        repository: Arc<Repository>,
        clock: Clock,
        stop: CancellationToken,
    ) -> std::io::Result<(Self, tokio::task::JoinHandle<()>)> {
        // Children run in folders of their own: what they are told must hold from there.
        config.runs = std::path::absolute(&config.runs)?;
        std::fs::create_dir_all(&config.runs)?;
        runs::prune(&config.runs);
        let (events, inbox) = mpsc::channel(limits::EVENTS_MAX);
        let (live, skew) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicI64::new(SKEW_UNKNOWN)));
        let worker = Self {
            config: Arc::new(config),
            events: events.clone(),
            clock,
            live: Arc::clone(&live),
            skew: Arc::clone(&skew),
        };
        let shown = (live, skew);
        let actor = Actor::new(Arc::clone(&worker.config), repository, clock, events, shown);
        Ok((worker, tokio::spawn(actor.run(inbox, stop))))
    }

    /// What is opened on `Service::Control`.
    pub fn control_handler(&self) -> StreamHandler {
        let (events, clock) = (self.events.clone(), self.clock);
        Arc::new(move |peer, stream| Box::pin(session::run(peer, stream, events.clone(), clock)))
    }

    /// What is opened on `Service::Logs`.
    pub fn log_handler(&self) -> StreamHandler {
        let config = Arc::clone(&self.config);
        Arc::new(move |_peer, stream| {
            Box::pin(logs::serve(config.runs.clone(), config.name.clone(), stream))
        })
    }

    /// The lines of this node's own shards.
    pub async fn logs(&self, ask: LogAsk, to: mpsc::Sender<LogLine>) {
        logs::send(self.config.runs.clone(), self.config.name.clone(), ask, to).await;
    }

    /// Shards with a process, for the node's record.
    pub fn running_shards(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }

    /// How far this node's wall clock is ahead of the master's, for the node's record.
    pub fn clock_ahead_ms(&self) -> Option<i64> {
        Some(self.skew.load(Ordering::Relaxed)).filter(|ms| *ms != SKEW_UNKNOWN)
    }
}

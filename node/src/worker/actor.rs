//! The worker's one task: takes events, asks the book what follows, and carries it out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use onrush_api::backend::LogStream;
use onrush_scenario::shard::{FromShard, OutputStream, Problem, ProblemKind, ShardSpec, ToShard};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::book::{Act, Book, Happening};
use super::child::{self, Child, ChildEvent};
use super::limits::{BUILD_LIMIT_US, LEASE_KILL_US, PROBES_FIRST, STOP_LIMIT_US, TICK};
use super::logs::RunLogs;
use super::offset::{Estimator, Exchange, to_local};
use super::outbox::Outbox;
use super::{fetch, runs};
use crate::clock::Clock;
use crate::control_wire::{FromWorker, Phase, ShardKey, ShardOrder, ToWorker};
use crate::repository::Repository;

/// This node's clocks when a message arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) mono_us: u64,
    pub(crate) unix_us: u64,
}

/// Session id, or why it is refused: the highest term seen, and words.
type Admission = Result<u64, (u64, String)>;

pub(crate) enum Event {
    Hello {
        hello: ToWorker,
        to: mpsc::Sender<FromWorker>,
        answer: oneshot::Sender<Admission>,
    },
    Order {
        session: u64,
        order: ToWorker,
        at: Stamp,
    },
    Closed {
        session: u64,
    },
    /// Files are there and the child runs, or why not.
    Launched {
        key: ShardKey,
        child: Result<Child, String>,
    },
    Child {
        key: ShardKey,
        event: ChildEvent,
    },
}

struct Session {
    id: u64,
    term: u64,
    leader: u64,
    to: mpsc::Sender<FromWorker>,
}

/// One shard's belongings.
struct Run {
    folder: PathBuf,
    outbox: Outbox,
    logs: Option<RunLogs>,
    child: Option<Child>,
    /// The last frame sent in this session; none before the master asked.
    sent: Option<u64>,
    /// When the child is killed unless it is ready, by the monotonic clock.
    build_until: Option<u64>,
    kill_at: Option<u64>,
    /// Sent once there is a child to tell.
    spec: Option<Box<ShardSpec>>,
}

pub(super) struct Actor {
    config: Arc<Config>,
    repository: Arc<Repository>,
    clock: Clock,
    events: mpsc::Sender<Event>,
    live: Arc<AtomicU32>,
    book: Book,
    runs: BTreeMap<ShardKey, Run>,
    session: Option<Session>,
    sessions: u64,
    estimator: Estimator,
    /// By the monotonic clock.
    lease_until: u64,
}

impl Actor {
    pub(super) fn new(
        config: Arc<Config>,
        repository: Arc<Repository>,
        clock: Clock,
        events: mpsc::Sender<Event>,
        live: Arc<AtomicU32>,
    ) -> Self {
        let mut actor = Self {
            config,
            repository,
            clock,
            events,
            live,
            book: Book::default(),
            runs: BTreeMap::new(),
            session: None,
            sessions: 0,
            estimator: Estimator::default(),
            lease_until: 0,
        };
        for (run, outbox, report) in runs::recall(&actor.config.runs) {
            tracing::info!(run = %run.key, newest = report.newest, "found frames of an earlier life");
            actor.book.recall(report);
            let folder = run.folder;
            actor.runs.insert(run.key, Run::new(folder, outbox, None, None));
        }
        actor
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Event>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = inbox.recv() => match event {
                    Some(event) => self.handle(event),
                    None => break,
                },
                _ = tick.tick() => self.on_tick(),
            }
        }
        for run in self.runs.values().filter_map(|run| run.child.as_ref()) {
            run.kill();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Hello { hello, to, answer } => {
                let admission = self.admit(&hello, to);
                let admitted = admission.is_ok();
                // A session that went away meanwhile ends with its stream.
                let _ = answer.send(admission);
                if admitted {
                    self.perform(vec![Act::Report]);
                }
            }
            Event::Order { session, order, at } => {
                let known = self.session.as_ref().filter(|known| known.id == session);
                let Some(known) = known else { return };
                if self.book.follows(known.term, known.leader) {
                    self.obey(order, at);
                }
            }
            Event::Closed { session } => {
                if self.session.as_ref().is_some_and(|known| known.id == session) {
                    self.session = None;
                }
            }
            Event::Launched { key, child } => self.launched(&key, child),
            Event::Child { key, event } => self.child_event(&key, event),
        }
    }

    fn admit(&mut self, hello: &ToWorker, to: mpsc::Sender<FromWorker>) -> Admission {
        self.book.hello(hello).map_err(|reason| (self.book.term(), reason))?;
        let ToWorker::Hello { term, leader, .. } = *hello else {
            return Err((self.book.term(), "a session begins with hello".to_owned()));
        };
        self.sessions += 1;
        self.session = Some(Session { id: self.sessions, term, leader, to });
        self.estimator = Estimator::default();
        for run in self.runs.values_mut() {
            run.sent = None;
        }
        for _ in 0..PROBES_FIRST {
            self.probe();
        }
        Ok(self.sessions)
    }

    fn probe(&self) {
        self.tell_master(FromWorker::Probe { sent_us: self.clock.now_us() });
    }

    /// Whether it was queued; the master asks again for what it misses.
    fn tell_master(&self, message: FromWorker) -> bool {
        self.session.as_ref().is_some_and(|session| session.to.try_send(message).is_ok())
    }

    fn obey(&mut self, order: ToWorker, at: Stamp) {
        match order {
            ToWorker::Heartbeat { mono_us, lease_ms, .. } => {
                let sent = self
                    .estimator
                    .best()
                    .map_or(at.mono_us, |best| to_local(mono_us, best.mono).min(at.mono_us));
                let until = sent.saturating_add(lease_ms.saturating_mul(1_000));
                self.lease_until = self.lease_until.max(until);
                self.renew_leases();
                self.probe();
                // A report that found the queue full, or was lost with a session, is made up for.
                self.report();
            }
            ToWorker::Probed { sent_us, mono_us, unix_us } => self.estimator.add(Exchange {
                sent: sent_us,
                received: at.mono_us,
                local_unix: at.unix_us,
                remote_mono: mono_us,
                remote_unix: unix_us,
            }),
            order => {
                let acts = self.book.obey(order);
                self.perform(acts);
            }
        }
    }

    fn lease(&self) -> ToShard {
        let left = self.lease_until.saturating_sub(self.clock.now_us());
        ToShard::Lease { until_unix_us: self.clock.unix_us().saturating_add(left) }
    }

    fn renew_leases(&self) {
        for child in self.runs.values().filter_map(|run| run.child.as_ref()) {
            // A child that does not listen is ended by its own lease.
            let _ = child.tell(self.lease());
        }
    }

    fn perform(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Launch(order) => self.launch(*order),
                Act::Start { key, at_unix_us } => self.start(&key, at_unix_us),
                Act::Stop { key, reason } => self.stop(&key, reason),
                Act::Kill { key } => {
                    if let Some(child) = self.runs.get(&key).and_then(|run| run.child.as_ref()) {
                        child.kill();
                    }
                }
                Act::Resend { key, cursor } => {
                    if let Some(run) = self.runs.get_mut(&key) {
                        run.sent = Some(cursor);
                    }
                    self.pump(&key);
                }
                Act::Free { key, cursor } => {
                    if let Some(run) = self.runs.get_mut(&key)
                        && let Err(error) = run.outbox.free(cursor)
                    {
                        tracing::warn!(%key, %error, "spool not freed");
                    }
                }
                Act::Discard { key } => self.discard(&key),
                Act::Report => self.report(),
            }
        }
    }

    fn report(&mut self) {
        let shards = self.book.reports();
        self.live.store(u32::try_from(self.book.live()).unwrap_or(u32::MAX), Ordering::Relaxed);
        // Where the queue is full, the next heartbeat brings another.
        self.tell_master(FromWorker::Report { shards });
    }

    fn launch(&mut self, order: ShardOrder) {
        let key = order.key.clone();
        match self.prepare_run(order) {
            Ok(run) => {
                let (events, repository) = (self.events.clone(), Arc::clone(&self.repository));
                let (config, folder) = (Arc::clone(&self.config), run.1.folder.clone());
                let (files, key_of_task) = (run.0, key.clone());
                self.runs.insert(key, run.1);
                tokio::spawn(async move {
                    let key = key_of_task;
                    let child =
                        bring_up(&config, &repository, &files, &folder, &events, &key).await;
                    // The actor may have stopped; then so does the child, with its stdin.
                    let _ = events.send(Event::Launched { key, child }).await;
                });
            }
            Err(reason) => self.happened(&key, Happening::Unable(reason)),
        }
    }

    /// The run's folder, spool and logs, and the files that its shard needs.
    fn prepare_run(
        &self,
        order: ShardOrder,
    ) -> Result<(BTreeMap<String, onrush_raft::types::ContentId>, Run), String> {
        let folder = runs::folder(&self.config.runs, &order.key)?;
        let root = folder.join(runs::FILES);
        std::fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        let outbox = Outbox::open(&folder.join(runs::SPOOL)).map_err(|error| error.to_string())?;
        let logs = RunLogs::open(&folder).map_err(|error| format!("its logs: {error}"))?;
        let spec = ShardSpec {
            job: order.key.job.0,
            shard: order.key.shard,
            epoch: order.key.epoch,
            segments_total: order.segments_total,
            segments: order.segments,
            threads: 0,
            seed: order.seed,
            root,
            simulation: order.simulation,
            parameters: order.parameters,
            environment: order.environment,
            record_arrivals: order.record_arrivals.then(|| folder.join("arrivals.csv")),
            max_duration_us: order.max_duration_ms.map(|ms| ms.saturating_mul(1_000)),
            leased: true,
        };
        Ok((order.files, Run::new(folder, outbox, Some(logs), Some(Box::new(spec)))))
    }

    fn launched(&mut self, key: &ShardKey, child: Result<Child, String>) {
        let wanted = self.book.report(key).is_some_and(|report| report.phase.is_live());
        match (child, self.runs.get_mut(key)) {
            (Ok(child), Some(run)) if wanted && run.kill_at.is_none() => {
                run.build_until = Some(self.clock.now_us() + BUILD_LIMIT_US);
                if let Some(spec) = run.spec.take()
                    && let Err(reason) = child.tell(ToShard::Spec(spec))
                {
                    child.kill();
                    return self.happened(key, Happening::Unable(reason));
                }
                run.child = Some(child);
            }
            (Ok(child), _) => {
                child.kill();
                self.happened(key, Happening::Exited("stopped before it was ready".to_owned()));
            }
            (Err(reason), _) => self.happened(key, Happening::Unable(reason)),
        }
    }

    fn start(&mut self, key: &ShardKey, master_us: u64) {
        let offset = self.estimator.best().map_or(0, |best| best.unix);
        let at_unix_us = to_local(master_us, offset);
        let lease = self.lease();
        let Some(child) = self.runs.get(key).and_then(|run| run.child.as_ref()) else { return };
        let told = child.tell(lease).and_then(|()| child.tell(ToShard::Start { at_unix_us }));
        if let Err(error) = told {
            tracing::warn!(%key, %error, "shard not started");
            child.kill();
        }
    }

    fn stop(&mut self, key: &ShardKey, reason: String) {
        let Some(run) = self.runs.get_mut(key) else { return };
        run.kill_at = Some(self.clock.now_us() + STOP_LIMIT_US);
        if let Some(child) = &run.child {
            // If it does not listen, the kill follows.
            let _ = child.tell(ToShard::Stop { graceful: false, reason });
        } else {
            // Files are still on their way: the process that would use them is not kept.
            self.happened(key, Happening::Exited("stopped before it was ready".to_owned()));
        }
    }

    fn discard(&mut self, key: &ShardKey) {
        let Some(mut run) = self.runs.remove(key) else { return };
        if let Some(logs) = &mut run.logs {
            logs.close(self.clock.unix_ms());
        }
        let over = runs::is_over(&run.folder);
        let report = crate::control_wire::ShardReport {
            key: key.clone(),
            phase: Phase::Gone { reason: "released".to_owned() },
            newest: run.outbox.newest(),
        };
        let kept = if over { Ok(()) } else { runs::keep_report(&run.folder, &report) };
        if let Err(error) = kept.and_then(|()| runs::discard(&run.folder)) {
            tracing::warn!(%key, %error, "the run's folder stays");
        }
    }

    fn child_event(&mut self, key: &ShardKey, event: ChildEvent) {
        match event {
            ChildEvent::Line { stream, line } => {
                let stream = match stream {
                    OutputStream::Stdout => LogStream::Stdout,
                    OutputStream::Stderr => LogStream::Stderr,
                };
                let at = self.clock.unix_ms();
                if let Some(logs) = self.runs.get_mut(key).and_then(|run| run.logs.as_mut()) {
                    logs.write(stream, at, &line);
                }
            }
            ChildEvent::Frame { seq, shard, epoch, body } => {
                let Some(run) = self.runs.get_mut(key) else { return };
                let own = (shard, epoch) == (key.shard, key.epoch);
                let kept = if own {
                    run.outbox.append(seq, &body).map_err(|error| error.to_string())
                } else {
                    Err(format!("a frame of shard {shard} in epoch {epoch}"))
                };
                match kept {
                    Ok(()) => {
                        self.happened(key, Happening::Framed(seq));
                        self.pump(key);
                    }
                    // Going on would measure what is never reported.
                    Err(reason) => self.give_up(key, reason),
                }
            }
            ChildEvent::Said(FromShard::Ready(plan)) => {
                if let Some(run) = self.runs.get_mut(key) {
                    run.build_until = None;
                }
                self.happened(key, Happening::Ready(Box::new(plan)));
            }
            ChildEvent::Said(FromShard::Finished { reason }) => {
                self.happened(key, Happening::Finished(reason));
            }
            ChildEvent::Said(FromShard::Failed(problem)) => {
                self.happened(key, Happening::Failed(problem));
            }
            ChildEvent::Said(FromShard::Output { .. }) => {}
            ChildEvent::Exited { reason } => {
                if let Some(run) = self.runs.get_mut(key) {
                    run.child = None;
                    if let Some(logs) = &mut run.logs {
                        logs.close(self.clock.unix_ms());
                    }
                }
                self.happened(key, Happening::Exited(reason));
                self.keep_report(key);
            }
        }
    }

    fn give_up(&mut self, key: &ShardKey, reason: String) {
        tracing::error!(%key, %reason, "shard given up");
        if let Some(child) = self.runs.get(key).and_then(|run| run.child.as_ref()) {
            child.kill();
        }
        self.happened(key, Happening::Exited(reason));
    }

    fn happened(&mut self, key: &ShardKey, happening: Happening) {
        let acts = self.book.happened(key, happening);
        let changed = !acts.is_empty();
        self.perform(acts);
        let without_child = self.runs.get(key).is_none_or(|run| run.child.is_none());
        if changed && without_child {
            self.keep_report(key);
        }
    }

    /// Once the process is gone, nothing of the report changes any more.
    fn keep_report(&self, key: &ShardKey) {
        let (Some(run), Some(report)) = (self.runs.get(key), self.book.report(key)) else { return };
        if report.phase.is_live() {
            return;
        }
        if let Err(error) = runs::keep_report(&run.folder, &report) {
            tracing::warn!(%key, %error, "report not kept");
        }
    }

    /// Sends what was not sent in this session, as far as there is room.
    fn pump(&mut self, key: &ShardKey) {
        let (Some(session), Some(run)) = (&self.session, self.runs.get_mut(key)) else { return };
        let Some(mut sent) = run.sent else { return };
        while sent < run.outbox.newest() {
            let Ok(permit) = session.to.try_reserve() else { break };
            match run.outbox.frame(sent + 1) {
                Ok(Some(body)) => {
                    sent += 1;
                    permit.send(FromWorker::Frame { key: key.clone(), seq: sent, body });
                }
                // Freed: the master has it.
                Ok(None) => sent += 1,
                Err(error) => {
                    tracing::error!(%key, %error, "frame not readable");
                    break;
                }
            }
        }
        run.sent = Some(sent);
    }

    fn on_tick(&mut self) {
        let now = self.clock.now_us();
        let keys: Vec<ShardKey> = self.runs.keys().cloned().collect();
        for key in keys {
            self.pump(&key);
            let Some(run) = self.runs.get_mut(&key) else { continue };
            let Some(child) = &run.child else { continue };
            let running = self.book.report(&key).is_some_and(|r| r.phase == Phase::Running);
            if run.build_until.is_some_and(|until| now > until) {
                run.build_until = None;
                child.kill();
                self.happened(&key, Happening::Failed(too_long()));
            } else if run.kill_at.is_some_and(|at| now > at) {
                run.kill_at = None;
                child.kill();
            } else if running && now > self.lease_until.saturating_add(LEASE_KILL_US) {
                child.kill();
            }
        }
    }
}

impl Run {
    fn new(
        folder: PathBuf,
        outbox: Outbox,
        logs: Option<RunLogs>,
        spec: Option<Box<ShardSpec>>,
    ) -> Self {
        Self {
            folder,
            outbox,
            logs,
            child: None,
            sent: None,
            build_until: None,
            kill_at: None,
            spec,
        }
    }
}

async fn bring_up(
    config: &Config,
    repository: &Repository,
    files: &BTreeMap<String, onrush_raft::types::ContentId>,
    folder: &std::path::Path,
    events: &mpsc::Sender<Event>,
    key: &ShardKey,
) -> Result<Child, String> {
    let root = folder.join(runs::FILES);
    fetch::fetch(repository, files, &root).await?;
    let tagged = key.clone();
    let tag = move |event| Event::Child { key: tagged.clone(), event };
    child::spawn(&config.command, &root, events.clone(), tag)
        .map_err(|error| format!("{} could not be started: {error}", config.command.join(" ")))
}

fn too_long() -> Problem {
    Problem {
        kind: ProblemKind::ScriptLimit,
        message: format!("the simulation was not built within {} s", BUILD_LIMIT_US / 1_000_000),
        file: None,
        line: None,
        column: None,
        excerpt: None,
    }
}

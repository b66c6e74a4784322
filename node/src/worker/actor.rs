//! The worker's one task: takes events, asks the book what follows, and carries it out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use onrush_scenario::shard::{ShardSpec, ToShard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::book::{Act, Book};
use super::child::{Child, ChildEvent};
use super::lease::{Heartbeat, Lease};
use super::limits::{PROBES_FIRST, REPORT_EVERY_US, TICK};
use super::logs::RunLogs;
use super::offset::{Estimator, Exchange, SkewWatch};
use super::outbox::Outbox;
use super::pulse::Pulse;
use super::runs::{self, Left};
use super::sender::Sender;
use crate::clock::Clock;
use crate::control_wire::{FromWorker, ShardKey, ToWorker};
use crate::repository::Repository;

/// This node's clocks when a message arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) mono_us: u64,
    pub(crate) unix_us: u64,
}

/// Session id, or why it is refused: the highest term seen, and words.
type Admission = Result<u64, (u64, String)>;

/// To load its simulation, until it is ready: who is in no hurry waits for those before it.
pub(super) type LoadTurn = Option<OwnedSemaphorePermit>;

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
        child: Result<(Child, LoadTurn), String>,
    },
    Child {
        key: ShardKey,
        event: ChildEvent,
    },
}

pub(super) struct Session {
    id: u64,
    term: u64,
    leader: u64,
    pub(super) to: mpsc::Sender<FromWorker>,
}

/// One shard's belongings.
pub(super) struct Run {
    pub(super) folder: PathBuf,
    pub(super) outbox: Outbox,
    pub(super) logs: Option<RunLogs>,
    pub(super) child: Option<Child>,
    /// The second of the run that frame 0 would be of.
    pub(super) second_of_0: Option<i64>,
    pub(super) sender: Sender,
    pub(super) pulse: Pulse,
    /// When the child is killed unless it is ready, by the monotonic clock.
    pub(super) build_until: Option<u64>,
    pub(super) kill_at: Option<u64>,
    /// The start that its process was given, by the monotonic clock.
    pub(super) start_us: Option<i64>,
    /// Sent once there is a child to tell.
    pub(super) spec: Option<Box<ShardSpec>>,
    /// Held until it is ready, or its process has ended.
    pub(super) turn: LoadTurn,
}

pub(super) struct Actor {
    pub(super) config: Arc<Config>,
    pub(super) repository: Arc<Repository>,
    pub(super) clock: Clock,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) live: Arc<AtomicU32>,
    /// As the node's record shows it.
    pub(super) skew: Arc<AtomicI64>,
    pub(super) watch: SkewWatch,
    pub(super) book: Book,
    pub(super) runs: BTreeMap<ShardKey, Run>,
    /// Of the shards in no hurry, one loads its simulation at a time.
    pub(super) turns: Arc<Semaphore>,
    pub(super) session: Option<Session>,
    pub(super) sessions: u64,
    pub(super) estimator: Estimator,
    pub(super) lease: Lease,
    /// When a heartbeat last brought a report, by the monotonic clock.
    reported_us: u64,
    /// Folders of released shards that could not be cleared yet.
    pub(super) left: Vec<Left>,
    /// When they are tried again, by the monotonic clock.
    pub(super) clear_again_us: u64,
}

impl Actor {
    pub(super) fn new(
        config: Arc<Config>,
        repository: Arc<Repository>,
        clock: Clock,
        events: mpsc::Sender<Event>,
        (live, skew): (Arc<AtomicU32>, Arc<AtomicI64>),
    ) -> Self {
        let mut actor = Self {
            config,
            repository,
            clock,
            events,
            live,
            skew,
            watch: SkewWatch::default(),
            book: Book::default(),
            runs: BTreeMap::new(),
            turns: Arc::new(Semaphore::new(1)),
            session: None,
            sessions: 0,
            estimator: Estimator::default(),
            lease: Lease::default(),
            reported_us: 0,
            left: Vec::new(),
            clear_again_us: 0,
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
        // Looks that were missed are not made up for: they are counted.
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = inbox.recv() => match event {
                    Some(event) => self.handle(event),
                    None => break,
                },
                // Without runs there are no deadlines.
                _ = tick.tick(), if self.has_deadlines() => self.on_tick(),
            }
        }
        for run in self.runs.values().filter_map(|run| run.child.as_ref()) {
            run.kill();
        }
    }

    fn has_deadlines(&self) -> bool {
        !self.runs.is_empty() || !self.left.is_empty()
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
        self.lease.new_session();
        self.reported_us = 0;
        for run in self.runs.values_mut() {
            run.sender.session_began();
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
                self.lease.heard(Heartbeat { mono_us, lease_ms, arrived_us: at.mono_us });
                self.renew_leases();
                self.probe();
                if at.mono_us.saturating_sub(self.reported_us) >= REPORT_EVERY_US {
                    self.reported_us = at.mono_us;
                    // A report that found the queue full, or was lost with a session, is made up for.
                    self.report();
                }
            }
            ToWorker::Probed { sent_us, mono_us, unix_us } => {
                self.estimator.add(Exchange {
                    sent: sent_us,
                    received: at.mono_us,
                    local_unix: at.unix_us,
                    remote_mono: mono_us,
                    remote_unix: unix_us,
                });
                // The session's first heartbeat may have waited for this.
                self.renew_leases();
                self.watch_skew();
            }
            // It comes again; the clocks are compared in a moment.
            ToWorker::Start { .. } if self.estimator.best().is_none() => {}
            order => {
                let acts = self.book.obey(order);
                self.perform(acts);
            }
        }
    }

    pub(super) fn lease(&self) -> ToShard {
        let until = i64::try_from(self.lease.until_us()).unwrap_or(i64::MAX);
        ToShard::Lease { until_boot_us: self.clock.to_boot_us(until) }
    }

    fn renew_leases(&mut self) {
        let offset = self.estimator.best();
        if !offset.is_some_and(|offset| self.lease.renew(&offset)) {
            return;
        }
        for child in self.runs.values().filter_map(|run| run.child.as_ref()) {
            // A child that does not listen is ended by its own lease.
            let _ = child.tell(self.lease());
        }
    }

    pub(super) fn perform(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Launch(order) => self.launch(*order),
                Act::Start { key, at_us, take_over } => self.start(&key, at_us, take_over),
                Act::Yield { key, to, epoch, segments } => {
                    if let Some(child) = self.runs.get(&key).and_then(|run| run.child.as_ref()) {
                        // One that does not listen keeps what it has until its lease ends it.
                        let _ = child.tell(ToShard::Yield { to, epoch, segments, at_us: None });
                    }
                }
                Act::Load { key, changes } => {
                    if let Some(child) = self.runs.get(&key).and_then(|run| run.child.as_ref()) {
                        // As above.
                        let _ = child.tell(ToShard::Load { changes });
                    }
                }
                Act::HoldBack { key, users } => {
                    if let Some(child) = self.runs.get(&key).and_then(|run| run.child.as_ref()) {
                        // It comes again until the child has said that it follows.
                        let _ = child.tell(ToShard::HoldBack { users, of: Vec::new() });
                    }
                }
                Act::Stop { key, reason } => self.stop(&key, reason),
                Act::Kill { key } => {
                    if let Some(child) = self.runs.get(&key).and_then(|run| run.child.as_ref()) {
                        child.kill();
                    }
                }
                Act::Resend { key, cursor } => {
                    if let Some(run) = self.runs.get_mut(&key) {
                        run.sender.resend(cursor);
                    }
                    self.pump(&key);
                }
                Act::Free { key, cursor } => self.free(&key, cursor),
                Act::Discard { key } => self.discard(&key),
                Act::Report => self.report(),
            }
        }
    }

    fn watch_skew(&mut self) {
        let Some(offset) = self.estimator.best() else { return };
        let ahead_ms = offset.skew_ms();
        self.skew.store(ahead_ms, Ordering::Relaxed);
        match self.watch.look(ahead_ms) {
            Some(true) => tracing::warn!(
                ahead_ms,
                "this machine's wall clock differs from the master's: dates of jobs and logs will \
                 not agree; runs and figures do not depend on it"
            ),
            Some(false) => tracing::info!(ahead_ms, "this machine's wall clock agrees again"),
            None => {}
        }
    }

    fn report(&mut self) {
        let mut shards = self.book.reports();
        if let Some(offset) = self.estimator.best() {
            for report in &mut shards {
                let start_us = self.runs.get(&report.key).and_then(|run| run.start_us);
                report.start_us = start_us.map(|at| offset.to_remote(at));
            }
        }
        self.live.store(u32::try_from(self.book.live()).unwrap_or(u32::MAX), Ordering::Relaxed);
        // Where the queue is full, the next heartbeat brings another.
        self.tell_master(FromWorker::Report { shards });
    }
}

impl Run {
    pub(super) fn new(
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
            second_of_0: None,
            sender: Sender::default(),
            pulse: Pulse::default(),
            build_until: None,
            kill_at: None,
            start_us: None,
            spec,
            turn: None,
        }
    }
}

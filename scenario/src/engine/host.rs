//! One engine thread as its protocols and users see it: clock, recorder, script, throttles.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use rand::rngs::SmallRng;

use super::clock::Clock;
use super::shared::{NEVER, Shared};
use super::thread::FromThread;
use crate::expr::{EvalCtx, Hooks};
use crate::protocol::{ConnectionEvent, Host, Response};
use crate::session::Session;
use crate::shard::OutputStream;
use crate::stats::record::{PathId, Recorder};
use crate::stats::sample::Sample;
use crate::time::Micros;
use crate::value::Value;
use crate::vu::{Fault, World};

/// Lines of its own that a thread logs per second; the rest are counted.
const NOTES_PER_SECOND_MAX: u32 = 20;

pub(super) struct ThreadHost {
    pub clock: Clock,
    /// The clock as it was last read: what happens in one go happens at one time.
    pub seen_now: Cell<Micros>,
    pub shared: Arc<Shared>,
    pub recorder: RefCell<Recorder>,
    pub hooks: RefCell<Box<dyn Hooks>>,
    pub rng: RefCell<SmallRng>,
    pub thread: usize,
    pub events: SyncSender<FromThread>,
    pub notes: Cell<u32>,
}

impl ThreadHost {
    /// To be called once a second.
    pub(super) fn renew_notes(&self) {
        let suppressed = self.notes.replace(0).saturating_sub(NOTES_PER_SECOND_MAX);
        if suppressed > 0 {
            self.output(format!("… and {suppressed} more lines in this second"));
        }
    }

    fn output(&self, line: String) {
        // A full channel loses log lines, never measurements.
        let _ = self.events.try_send(FromThread::Output { stream: OutputStream::Stderr, line });
    }
}

async fn wait_for(clock: Clock, at: Micros) {
    if at == NEVER {
        std::future::pending::<()>().await;
    }
    let wait = clock.until(at);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

impl Host for ThreadHost {
    fn now(&self) -> Micros {
        let now = self.clock.now();
        self.seen_now.set(now);
        now
    }

    fn unix_ms(&self) -> i64 {
        self.clock.unix_ms_at(self.seen_now.get())
    }

    fn with_eval(&self, evaluate: &mut dyn FnMut(&mut EvalCtx<'_>)) {
        let mut hooks = self.hooks.borrow_mut();
        let mut rng = self.rng.borrow_mut();
        evaluate(&mut EvalCtx { hooks: &mut **hooks, rng: &mut rng, unix_ms: self.unix_ms() });
    }

    fn permit(&self, scenario: u32) -> Option<LocalBoxFuture<'static, ()>> {
        if !self.shared.throttled(scenario) {
            return None;
        }
        let (clock, shared) = (self.clock, Arc::clone(&self.shared));
        let wait = async move {
            wait_for(clock, shared.own_slot(scenario, clock.now())).await;
            wait_for(clock, shared.global_slot(clock.now())).await;
        };
        Some(wait.boxed_local())
    }

    fn request(&self, groups: &[Arc<str>], name: &str) -> PathId {
        self.recorder.borrow_mut().path_id(groups, name)
    }

    fn sent(&self, request: PathId) {
        self.recorder.borrow_mut().sent(request);
    }

    fn response(&self, request: PathId, response: Response<'_>) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.response(
            request,
            response.failure.is_none(),
            response.time,
            response.code,
            response.bytes_sent,
            response.bytes_received,
        );
        if let Some(message) = response.failure {
            recorder.error(Some(request), message, false);
        }
    }

    fn wants_sample(&self, request: PathId, failure: &str) -> bool {
        self.recorder.borrow().wants_sample(request, failure)
    }

    fn sample(&self, request: PathId, failure: &str, sample: Sample) {
        let sample = Sample { at_us: self.seen_now.get(), ..sample };
        self.recorder.borrow_mut().sample(request, failure, sample);
    }

    fn unbuilt(&self, _groups: &[Arc<str>], name: &str, message: &str) {
        self.recorder.borrow_mut().error(None, &format!("{name}: {message}"), true);
    }

    fn connection(&self, event: ConnectionEvent) {
        let mut recorder = self.recorder.borrow_mut();
        match event {
            ConnectionEvent::Opened => recorder.connection_opened(),
            ConnectionEvent::Closed => recorder.connection_closed(),
            ConnectionEvent::Failed => recorder.connection_failed(),
            ConnectionEvent::LocalFault => recorder.local_error(),
        }
    }

    fn note(&self, line: &str) {
        self.notes.set(self.notes.get().saturating_add(1));
        if self.notes.get() <= NOTES_PER_SECOND_MAX {
            self.output(line.to_owned());
        }
    }
}

/// What virtual users reach on this thread.
pub(super) struct WorldOf<'a>(pub &'a ThreadHost);

impl World for WorldOf<'_> {
    fn feed(
        &mut self,
        feeder: u32,
        count: Option<i64>,
        session: &mut Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<(), Fault> {
        let feeder = self.0.shared.feeders.get(feeder as usize);
        let feeder =
            feeder.ok_or_else(|| Fault::Crash("the simulation has no such feeder".to_owned()))?;
        Ok(feeder.feed(count, session, eval)?)
    }

    fn round_robin(&mut self, slot: u32) -> u64 {
        let counter = self.0.shared.round_robins.get(slot as usize);
        counter.map_or(0, |counter| counter.fetch_add(1, Ordering::Relaxed))
    }

    fn counter(&mut self, slot: u32) -> Result<u64, Fault> {
        self.0.shared.next_of_counter(slot)
    }

    fn queue_put(&mut self, slot: u32, value: Value) -> Result<(), String> {
        self.0.shared.queues.put(slot, value)?;
        self.0.shared.wake_all();
        Ok(())
    }

    fn queue_poll(&mut self, slot: u32) -> Option<Value> {
        self.0.shared.queues.poll(slot)
    }

    fn queue_size(&mut self, slot: u32) -> usize {
        self.0.shared.queues.size(slot)
    }

    fn group_left(&mut self, path: &[Arc<str>], ok: bool, duration: Micros, cumulated: Micros) {
        let mut recorder = self.0.recorder.borrow_mut();
        let id = recorder.group_id(path);
        recorder.group(id, ok, duration, cumulated);
    }

    fn sent(&mut self, groups: &[Arc<str>], name: &str) {
        let mut recorder = self.0.recorder.borrow_mut();
        let id = recorder.path_id(groups, name);
        recorder.sent(id);
    }

    fn response(&mut self, groups: &[Arc<str>], name: &str, time: Micros, failure: Option<&str>) {
        let id = self.0.request(groups, name);
        let response = Response { failure, time, code: 0, bytes_sent: 0, bytes_received: 0 };
        Host::response(self.0, id, response);
    }

    fn unbuilt(&mut self, groups: &[Arc<str>], name: &str, message: &str) {
        Host::unbuilt(self.0, groups, name, message);
    }

    fn note(&mut self, line: &str) {
        Host::note(self.0, line);
    }
}

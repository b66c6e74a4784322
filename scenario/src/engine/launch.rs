//! The engine's threads, started: each loads the script for itself, says so, waits for the start and
//! runs its users. And where what the script says on a thread goes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::Event;
use super::arrivals::{Begin, Share};
use super::clock::Clock;
use super::host::ThreadHost;
use super::load::{self, Consoles, Loaded};
use super::shared::{Shared, problem};
use super::split;
use super::thread::{FromThread, Setting, Worker};
use crate::script::{Console, SilentConsole};
use crate::shard::{OutputStream, Problem, ProblemKind, ShardSpec};
use crate::stats::record::Recorder;
use crate::time::Micros;

/// More engine threads than this help nobody.
const THREADS_MAX: u32 = 256;

/// What the script says on this thread: while it is loaded, before and after the run.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) lines: RefCell<Vec<(OutputStream, String)>>,
}

impl Lines {
    pub(super) fn tell(&self, on_event: &mut dyn FnMut(Event)) {
        for (stream, line) in self.lines.take() {
            on_event(Event::Output { stream, line });
        }
    }
}

/// Lines of the script that are kept until they are told.
const LINES_MAX: usize = 1_000;

impl Console for Lines {
    fn line(&self, stream: OutputStream, line: &str) {
        let mut lines = self.lines.borrow_mut();
        if lines.len() < LINES_MAX {
            lines.push((stream, line.to_owned()));
        }
    }
}

/// What the script's functions say while it runs.
struct ThreadConsole(SyncSender<FromThread>);

impl Console for ThreadConsole {
    fn line(&self, stream: OutputStream, line: &str) {
        // A full channel loses log lines, never measurements.
        let _ = self.0.try_send(FromThread::Output { stream, line: line.to_owned() });
    }
}

pub(super) fn thread_count(spec: &ShardSpec) -> u32 {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let cores = u32::try_from(cores).unwrap_or(THREADS_MAX);
    if spec.threads == 0 { cores } else { spec.threads }.min(THREADS_MAX)
}

/// The signal to begin, once the start is known.
#[derive(Clone, Copy)]
pub(super) struct Go {
    pub(super) clock: Clock,
    pub(super) first_second: u32,
    pub(super) known_from: Micros,
    pub(super) begin: Option<Begin>,
}

pub(super) struct Hand {
    pub(super) go: SyncSender<Go>,
    pub(super) thread: JoinHandle<()>,
}

/// How many threads may load the simulation at the same time: all of them before a job starts; where
/// load is generated meanwhile, which they would hold up, the fewer the less is lost by waiting.
fn lanes(threads: u32, takes_over: bool, unhurried: bool) -> u32 {
    let lanes = match (takes_over, unhurried) {
        (_, true) => threads / 4,
        (true, false) => threads / 2,
        (false, false) => threads,
    };
    lanes.max(1)
}

pub(super) fn spawn(
    spec: &ShardSpec,
    unix_ms: i64,
    shared: &Arc<Shared>,
    events: &SyncSender<FromThread>,
) -> Result<Vec<Hand>, Problem> {
    let lanes = lanes(shared.threads, spec.takes_over, spec.unhurried);
    let lanes: Vec<Arc<Mutex<()>>> = (0..lanes).map(|_| Arc::default()).collect();
    (0..shared.threads)
        .zip(lanes.iter().cycle())
        .map(|(number, lane)| {
            let (go, wait) = mpsc::sync_channel(1);
            let (spec, shared, events) = (spec.clone(), Arc::clone(shared), events.clone());
            let lane = Arc::clone(lane);
            let thread = thread::Builder::new()
                .name(format!("engine-{number}"))
                .spawn(move || engine_thread(&spec, number, unix_ms, shared, &lane, &events, &wait))
                .map_err(|error| {
                    problem(ProblemKind::Internal, format!("cannot start a thread: {error}"))
                })?;
            Ok(Hand { go, thread })
        })
        .collect()
}

fn engine_thread(
    spec: &ShardSpec,
    number: u32,
    unix_ms: i64,
    shared: Arc<Shared>,
    lane: &Mutex<()>,
    events: &SyncSender<FromThread>,
    wait: &Receiver<Go>,
) {
    let seed = split::thread_seed(spec, number);
    let consoles = Consoles {
        loading: Rc::new(SilentConsole),
        running: Rc::new(ThreadConsole(events.clone())),
    };
    let loading = lane.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = load::load(spec, unix_ms, seed, consoles, &shared.store);
    drop(loading);
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(problem) => {
            let _ = events.send(FromThread::Loaded(Err(problem)));
            return;
        }
    };
    if events.send(FromThread::Loaded(Ok(()))).is_err() {
        return;
    }
    // The coordinator went away before there was a start.
    let Ok(go) = wait.recv() else { return };
    if let Err(error) = run_worker(spec, number, seed, loaded, Arc::clone(&shared), events, go) {
        let message = format!("engine thread {number}: {error}");
        shared.request_stop(false, Err(problem(ProblemKind::Internal, message)));
        let _ = events.send(FromThread::Ended);
    }
}

fn run_worker(
    spec: &ShardSpec,
    number: u32,
    seed: u64,
    loaded: Loaded,
    shared: Arc<Shared>,
    events: &SyncSender<FromThread>,
    go: Go,
) -> std::io::Result<()> {
    let names: Vec<Arc<str>> =
        loaded.program.scenarios.iter().map(|it| Arc::clone(&it.name)).collect();
    let setting = Setting {
        share: Share {
            segments: shared.segments().clone(),
            thread: u64::from(number),
            threads: u64::from(shared.threads),
        },
        seed: spec.seed,
        first_second: go.first_second,
        known_from: go.known_from,
        begin: go.begin,
        record_starts: spec.record_arrivals.is_some(),
    };
    let host = Rc::new(ThreadHost {
        clock: go.clock,
        seen_now: std::cell::Cell::new(0),
        shared,
        recorder: RefCell::new(Recorder::new(&names)),
        hooks: RefCell::new(loaded.hooks),
        rng: RefCell::new(SmallRng::seed_from_u64(seed)),
        thread: number as usize,
        events: events.clone(),
        notes: std::cell::Cell::new(0),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, Worker::new(loaded.program, host, setting).run())
}

#[cfg(test)]
mod tests {
    use super::lanes;

    #[test]
    fn the_simulation_is_loaded_on_fewer_threads_where_load_runs() {
        let of = |takes_over, unhurried| {
            [1, 2, 7, 8, 64].map(|threads| lanes(threads, takes_over, unhurried))
        };
        assert_eq!(of(false, false), [1, 2, 7, 8, 64]);
        assert_eq!(of(true, false), [1, 1, 3, 4, 32]);
        assert_eq!(of(true, true), [1, 1, 1, 2, 16]);
        assert_eq!(of(false, true), of(true, true));
    }
}

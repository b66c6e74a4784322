//! What the threads of one shard share: stop, lease, progress of the populations, rendez-vous,
//! throttles, feeders. Atomics on the hot path; locks only where requests pass a throttle.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::pacing::Gate;
use super::queues::Queues;
use crate::feed::{Division, Feeder, Refused};
use crate::inject::LoadChange;
use crate::inject::closed::HoldBack;
use crate::inject::division::Segments;
use crate::script::GlobalStore;
use crate::shard::{EndReason, Problem, ProblemKind};
use crate::time::Micros;
use crate::vu::Fault;

/// A moment that never comes.
pub(super) const NEVER: Micros = u64::MAX;

const RUNNING: u8 = 0;
const GRACEFUL: u8 = 1;
const AT_ONCE: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    No,
    /// No new users; those in flight end before their next action.
    Graceful,
    AtOnce,
}

/// One population's progress over all threads of the shard.
#[derive(Debug)]
pub(super) struct PopulationState {
    /// When it starts; [`NEVER`] while its parent lives.
    pub start_at: AtomicU64,
    pub active: AtomicI64,
    /// Threads that will start no more users of it.
    pub exhausted: AtomicU32,
}

#[derive(Debug, Default)]
pub(super) struct RendezVousState {
    arrived: AtomicU32,
    open: AtomicBool,
}

/// What a shard holds from a moment on.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub from: Micros,
    pub segments: Segments,
    /// The taker.
    pub to: u32,
    /// Its own: this shard's numbers of closed users begin anew with it.
    pub epoch: u64,
    /// Users of the closed model beyond what is left, by population and thread; [`NOT_SAID`] until
    /// the thread has said it.
    pub surplus: Arc<[AtomicU64]>,
}

/// Of users that a thread has not counted yet.
pub(super) const NOT_SAID: u64 = u64::MAX;

impl Kept {
    /// By population, once all threads have said it.
    pub(super) fn surplus(&self, threads: u32) -> Option<Vec<u64>> {
        let of = |population: &[AtomicU64]| {
            population.iter().try_fold(0_u64, |sum, it| {
                let users = Some(it.load(Ordering::Acquire)).filter(|it| *it != NOT_SAID)?;
                Some(sum.saturating_add(users))
            })
        };
        self.surplus.chunks(threads.max(1) as usize).map(of).collect()
    }
}

/// What a shard holds back that takes over, by population. None: nothing is known yet.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    pub users: Option<Vec<u64>>,
    pub of: Option<Segments>,
}

impl HeldBack {
    pub(super) fn of(&self, population: usize) -> HoldBack {
        let users = match &self.users {
            Some(users) => users.get(population).copied().unwrap_or(0),
            None => HoldBack::EVERYTHING,
        };
        HoldBack { users, of: self.of.clone() }
    }
}

pub(super) struct Shared {
    pub store: Arc<GlobalStore>,
    /// At the start; see [`Shared::segments_at`].
    segments: Segments,
    /// What is left, and from when on, each time that segments were given away.
    kept: ArcSwap<Vec<Kept>>,
    /// All that have been decided, in order, and how many they are.
    load: ArcSwap<Vec<LoadChange>>,
    loads: AtomicUsize,
    /// The latest word, and how many there have been.
    held_back: ArcSwap<HeldBack>,
    hold_backs: AtomicUsize,
    pub threads: u32,
    pub populations: Vec<PopulationState>,
    pub feeders: Vec<Feeder>,
    pub round_robins: Vec<AtomicU64>,
    /// The numbers of each counter: divided among the shards of a job as records of feeders are.
    counters: Vec<Division>,
    pub queues: Queues,
    rendez_vous: Vec<(u32, RendezVousState)>,
    /// Users that wait at one of them.
    pub held: AtomicI64,
    /// Per population, then the simulation's own.
    throttles: Vec<Option<Mutex<Gate>>>,
    global_throttle: Option<Mutex<Gate>>,
    stop: AtomicU8,
    end: Mutex<Option<Result<EndReason, Problem>>>,
    /// Load may be generated until then, in run time; [`NEVER`] without leases.
    pub lease_until: AtomicU64,
    of_threads: Vec<OfThread>,
}

/// What one thread writes all the time, on cache lines of its own: side by side, the threads would
/// take them from one another with every turn.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OfThread {
    waker: Notify,
    /// Changed with every user's turn, for the watchdog.
    beats: AtomicU64,
}

/// What [`Shared`] is made of.
pub(super) struct Parts {
    pub store: Arc<GlobalStore>,
    pub segments: Segments,
    /// It holds everything back until it is told.
    pub takes_over: bool,
    pub threads: u32,
    pub populations: Vec<PopulationState>,
    pub feeders: Vec<Feeder>,
    pub round_robins: u32,
    pub counters: u32,
    pub queues: u32,
    pub rendez_vous: Vec<u32>,
    pub throttles: Vec<Option<Gate>>,
    pub global_throttle: Option<Gate>,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            store: parts.store,
            counters: (0..parts.counters).map(|_| Division::numbers(&parts.segments)).collect(),
            segments: parts.segments,
            kept: ArcSwap::default(),
            load: ArcSwap::default(),
            loads: AtomicUsize::new(0),
            held_back: ArcSwap::from_pointee(HeldBack {
                users: (!parts.takes_over).then(Vec::new),
                of: None,
            }),
            hold_backs: AtomicUsize::new(0),
            threads: parts.threads,
            populations: parts.populations,
            feeders: parts.feeders,
            round_robins: (0..parts.round_robins).map(|_| AtomicU64::new(0)).collect(),
            queues: Queues::new(parts.queues),
            rendez_vous: parts
                .rendez_vous
                .into_iter()
                .map(|users| (users, RendezVousState::default()))
                .collect(),
            held: AtomicI64::new(0),
            throttles: parts.throttles.into_iter().map(|gate| gate.map(Mutex::new)).collect(),
            global_throttle: parts.global_throttle.map(Mutex::new),
            stop: AtomicU8::new(RUNNING),
            end: Mutex::new(None),
            lease_until: AtomicU64::new(NEVER),
            of_threads: (0..parts.threads).map(|_| OfThread::default()).collect(),
        })
    }

    pub(super) fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Each change of what this shard holds, in order.
    pub(super) fn kept(&self) -> Arc<Vec<Kept>> {
        self.kept.load_full()
    }

    pub(super) fn segments_at(&self, now: Micros) -> Segments {
        let kept = self.kept.load();
        let last = kept.iter().rev().find(|kept| kept.from <= now);
        last.map_or_else(|| self.segments.clone(), |kept| kept.segments.clone())
    }

    /// `next` is not before any earlier change, and lies ahead of every thread's present.
    pub(super) fn keep(&self, next: Kept) {
        let mut all = Vec::clone(&self.kept.load());
        all.push(next);
        self.kept.store(Arc::new(all));
        self.wake_all();
    }

    /// How many changes of the load are known.
    pub(super) fn loads(&self) -> usize {
        self.loads.load(Ordering::Acquire)
    }

    pub(super) fn load_changes(&self) -> Arc<Vec<LoadChange>> {
        self.load.load_full()
    }

    /// `changes` are those known before, and more.
    pub(super) fn change_load(&self, changes: Vec<LoadChange>) {
        let count = changes.len();
        self.load.store(Arc::new(changes));
        self.loads.store(count, Ordering::Release);
        self.wake_all();
    }

    /// How many words of it there have been.
    pub(super) fn hold_backs(&self) -> usize {
        self.hold_backs.load(Ordering::Acquire)
    }

    pub(super) fn held_back(&self) -> Arc<HeldBack> {
        self.held_back.load_full()
    }

    pub(super) fn hold_back(&self, held_back: HeldBack) {
        self.held_back.store(Arc::new(held_back));
        self.hold_backs.fetch_add(1, Ordering::AcqRel);
        self.wake_all();
    }

    pub(super) fn stop(&self) -> Stop {
        match self.stop.load(Ordering::Acquire) {
            RUNNING => Stop::No,
            GRACEFUL => Stop::Graceful,
            _ => Stop::AtOnce,
        }
    }

    /// The first reason wins; a stop at once overtakes a graceful one.
    pub(super) fn request_stop(&self, graceful: bool, end: Result<EndReason, Problem>) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
        self.stop.fetch_max(if graceful { GRACEFUL } else { AT_ONCE }, Ordering::AcqRel);
        self.wake_all();
    }

    pub(super) fn crash(&self, message: String) {
        self.request_stop(false, Err(problem(ProblemKind::Crash, message)));
    }

    pub(super) fn end(&self) -> Option<Result<EndReason, Problem>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn wake_all(&self) {
        self.of_threads.iter().for_each(|it| it.waker.notify_one());
    }

    pub(super) fn waker(&self, thread: usize) -> &Notify {
        &self.of_threads[thread].waker
    }

    /// Called by that thread only, so that a plain store does.
    pub(super) fn beat(&self, thread: usize) {
        let beats = &self.of_threads[thread].beats;
        beats.store(beats.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn beats(&self) -> impl Iterator<Item = u64> {
        self.of_threads.iter().map(|it| it.beats.load(Ordering::Relaxed))
    }

    /// # Errors
    /// It is not reserved yet, or was given away.
    pub(super) fn next_of_counter(&self, slot: u32) -> Result<u64, Fault> {
        let Some(counter) = self.counters.get(slot as usize) else { return Ok(0) };
        match counter.take(1) {
            Ok(mut number) => Ok(number.next().unwrap_or(u64::MAX)),
            Err(Refused::NotYet) => Err(Fault::NotYet),
            Err(Refused::Empty | Refused::GivenAway) => Err(Fault::GivenAway),
        }
    }

    /// What the users of the whole job share out among themselves: feeders, then counters.
    pub(super) fn sequences(&self) -> impl Iterator<Item = &Division> {
        self.feeders.iter().map(Feeder::division).chain(&self.counters)
    }

    /// A user arrives at a rendez-vous: true when it need not wait.
    pub(super) fn arrive(&self, slot: u32) -> bool {
        let Some((users, state)) = self.rendez_vous.get(slot as usize) else { return true };
        if state.open.load(Ordering::Acquire) {
            return true;
        }
        if state.arrived.fetch_add(1, Ordering::AcqRel) + 1 < *users {
            return false;
        }
        state.open.store(true, Ordering::Release);
        self.wake_all();
        true
    }

    /// Nobody is left who could complete them.
    pub(super) fn open_all(&self) {
        self.rendez_vous.iter().for_each(|(_, state)| state.open.store(true, Ordering::Release));
        self.wake_all();
    }

    pub(super) fn is_open(&self, slot: u32) -> bool {
        self.rendez_vous
            .get(slot as usize)
            .is_none_or(|(_, state)| state.open.load(Ordering::Acquire))
    }

    pub(super) fn throttled(&self, scenario: u32) -> bool {
        self.global_throttle.is_some() || self.own_throttle(scenario).is_some()
    }

    fn own_throttle(&self, scenario: u32) -> Option<&Mutex<Gate>> {
        self.throttles.get(scenario as usize)?.as_ref()
    }

    /// When the scenario's own throttle lets one more request pass; [`NEVER`] when it is over.
    pub(super) fn own_slot(&self, scenario: u32, now: Micros) -> Micros {
        self.own_throttle(scenario).map_or(now, |gate| self.slot(gate, now))
    }

    /// The same of the simulation's throttle.
    pub(super) fn global_slot(&self, now: Micros) -> Micros {
        self.global_throttle.as_ref().map_or(now, |gate| self.slot(gate, now))
    }

    fn slot(&self, gate: &Mutex<Gate>, now: Micros) -> Micros {
        let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let segments = self.segments_at(now);
        gate.slot(now, |limit| segments.closed_share(limit)).unwrap_or(NEVER)
    }
}

pub(super) fn problem(kind: ProblemKind, message: String) -> Problem {
    Problem { kind, message, file: None, line: None, column: None, excerpt: None }
}

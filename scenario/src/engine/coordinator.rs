//! The life of a run on the caller's thread: load, start the engine threads, obey the owner, start
//! children populations, cut frames, end.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use super::arrivals::Begin;
use super::clock::{self, Clock};
use super::frames::Framer;
use super::health::{self, Health};
use super::launch::{Go, Hand, Lines, spawn, thread_count};
use super::load::{self, Consoles, Loaded};
use super::pacing::Gate;
use super::reserve::{Place, Reserve};
use super::shared::{NEVER, Parts, PopulationState, Shared, Stop, problem};
use super::split;
use super::stages::{Staged, next_tick};
use super::surplus::Words;
use super::thread::{FromThread, Second};
use super::watchdog::{HUNG, Watchdog};
use super::{Control, Event, LATE_START_MAX_US};
use crate::expr::{Hooks, Moment};
use crate::inject::division::Segments;
use crate::inject::throttle::Limits;
use crate::inject::{InjectionSpec, ThrottleStep};
use crate::ir::Simulation;
use crate::script::GlobalStore;
use crate::shard::{EndReason, OutputStream, Plan, Problem, ProblemKind, ShardSpec, TakeOver};
use crate::stats::frame::{FeederDelta, GeneratorHealth};
use crate::time::{MICROS_PER_SECOND, Micros, second_of};

/// The owner's wishes, leases and the progress of the populations are looked at this often.
const TURN: Duration = Duration::from_millis(10);
/// Messages of the threads that may wait for the coordinator.
const EVENTS_MAX: usize = 1_024;
/// Turns without a message after which a thread that is gone counts as dead.
const SILENCE_MAX: u32 = 50;
/// From the order to give segments away to the moment at which they change hands: every engine thread
/// has heard of it by then, and so has the taker, whose users start on time.
pub(super) const GIVE_AHEAD_US: Micros = 1_000_000;
/// The same where the moment was chosen by another, and heard of late.
const GIVE_AHEAD_MIN_US: Micros = 200_000;

pub(super) fn run(
    spec: &ShardSpec,
    control: &Receiver<Control>,
    on_event: &mut dyn FnMut(Event),
    local: bool,
) -> Result<EndReason, Problem> {
    health::raise_open_files();
    let segments = Segments::new(spec.segments_total, &spec.segments)
        .map_err(|message| problem(ProblemKind::Internal, message))?;
    let present = || i64::try_from(clock::unix_us() / 1_000).unwrap_or(i64::MAX);
    let unix_ms = spec.unix_ms.unwrap_or_else(present);
    let lines: Rc<Lines> = Rc::default();
    let consoles =
        Consoles { loading: Rc::clone(&lines) as Rc<_>, running: Rc::clone(&lines) as Rc<_> };
    let store: Arc<GlobalStore> = Arc::default();
    let loaded = load::load(spec, unix_ms, spec.seed, consoles, &store);
    if spec.part.is_none() {
        lines.tell(on_event);
    } else {
        // The shard has said it when it loaded the script, before it divided itself.
        lines.lines.take();
    }
    let loaded = loaded?;
    let feeders = load::feeders(spec, &loaded.simulation, &segments)?;
    let plan = load::plan(spec, &loaded, &feeders, &segments)?;
    let threads = thread_count(spec);
    let processes = split::processes(spec, &loaded, &segments);
    if processes > 1 {
        // The script must see one time in all of them, or they would make different plans.
        let spec = &ShardSpec { unix_ms: Some(unix_ms), ..spec.clone() };
        // Each of them loads it for itself.
        drop((loaded, feeders));
        return split::run(spec, &segments, (processes, threads), control, on_event, local);
    }
    let shared = Shared::new(parts(spec, &loaded, store, feeders, segments));
    let (events, from_threads) = mpsc::sync_channel(EVENTS_MAX);
    let crew = spawn(spec, unix_ms, &shared, &events)?;
    drop(events);
    let profiles = load::profiles(spec, &loaded);
    let mut run = Run {
        spec,
        plan,
        shared,
        from_threads,
        crew,
        hung: 0,
        max_duration: load::max_duration(spec, &loaded.simulation),
        staged: loaded
            .program
            .scenarios
            .iter()
            .map(|it| Staged { after: it.after.clone(), duration_us: it.inject.duration_us() })
            .collect(),
        given_until: 0,
        words: Words::default(),
        closed: closed(&loaded),
        lease: None,
        health: Health::default(),
        health_now: GeneratorHealth::default(),
        profiles,
        ahead: spec.leased.then(|| load::ahead(spec, &loaded)),
        reserve: None,
        script: None,
        lines,
        on_event,
    };
    // A script without these functions is not kept: the engine threads have their own.
    let Loaded { hooks, simulation, program } = loaded;
    run.script = Some(hooks).filter(|hooks| hooks.has_moments());
    drop((simulation, program));
    let outcome = run.through(control, local);
    run.dismiss();
    if outcome.is_ok() {
        run.after();
    }
    outcome
}

/// Which populations are of the closed model.
fn closed(loaded: &Loaded) -> Vec<bool> {
    let scenarios = loaded.program.scenarios.iter();
    scenarios.map(|it| matches!(it.inject, InjectionSpec::Closed(_))).collect()
}

fn parts(
    spec: &ShardSpec,
    loaded: &Loaded,
    store: Arc<GlobalStore>,
    feeders: Vec<crate::feed::Feeder>,
    segments: Segments,
) -> Parts {
    let Simulation { throttle, .. } = &loaded.simulation;
    // Throttles that are not valid were refused when the program was compiled.
    let gate = |steps: &[ThrottleStep]| {
        Limits::new(steps).ok().filter(|_| !steps.is_empty()).map(Gate::new)
    };
    let scenarios = &loaded.program.scenarios;
    Parts {
        store,
        segments,
        takes_over: spec.takes_over,
        threads: thread_count(spec),
        populations: scenarios
            .iter()
            .map(|it| PopulationState {
                start_at: AtomicU64::new(if it.after.is_empty() { 0 } else { NEVER }),
                active: AtomicI64::new(0),
                exhausted: AtomicU32::new(0),
            })
            .collect(),
        feeders,
        round_robins: loaded.program.round_robins,
        counters: loaded.program.counters,
        queues: loaded.program.queues,
        rendez_vous: loaded.program.rendez_vous.clone(),
        throttles: scenarios.iter().map(|it| gate(&it.throttle)).collect(),
        global_throttle: gate(throttle),
    }
}

struct Run<'a> {
    spec: &'a ShardSpec,
    plan: Plan,
    shared: Arc<Shared>,
    from_threads: Receiver<FromThread>,
    crew: Vec<Hand>,
    /// Threads that do not come back.
    hung: usize,
    max_duration: Option<Micros>,
    staged: Vec<Staged>,
    /// Segments change hands then, to this shard or from it, the last time so far.
    given_until: Micros,
    words: Words,
    /// Which populations are of the closed model.
    closed: Vec<bool>,
    /// The latest lease, by [`clock::boot_us`].
    lease: Option<i64>,
    health: Health,
    health_now: GeneratorHealth,
    profiles: Vec<load::Profile>,
    /// What the first frames reserve without being asked; none without a cluster.
    ahead: Option<u64>,
    reserve: Option<Reserve>,
    /// Until its last function has run.
    script: Option<Box<dyn Hooks>>,
    lines: Rc<Lines>,
    on_event: &'a mut dyn FnMut(Event),
}

#[path = "handover.rs"]
mod handover;

impl Run<'_> {
    fn through(&mut self, control: &Receiver<Control>, local: bool) -> Result<EndReason, Problem> {
        self.await_loaded()?;
        // Before this shard is ready: no shard of the job starts until all have done this.
        self.moment(Moment::Before)?;
        (self.on_event)(Event::Ready(self.plan.clone()));
        let (start_us, take_over) = if local {
            (clock::boot_us(), None)
        } else {
            match self.await_start(control) {
                Ok(start) => start,
                Err(end) => {
                    self.script = None;
                    return Ok(end);
                }
            }
        };
        let clock = Clock::starting_at(start_us);
        self.renew_lease(clock);
        self.reserve(take_over.as_ref());
        let go = self.go(clock, take_over.as_ref());
        self.resume_stages(take_over.as_ref(), go.begin);
        for hand in &self.crew {
            // A thread that is gone has said why.
            let _ = hand.go.send(go);
        }
        self.drive(clock, go.first_second, control, local)
    }

    fn go(&self, clock: Clock, take_over: Option<&TakeOver>) -> Go {
        let now = clock.now();
        let Some(take_over) = take_over else {
            let known_from = if now > LATE_START_MAX_US { now } else { 0 };
            return Go { clock, first_second: second_of(now), known_from, begin: None };
        };
        // What lies too far back is missed, not caught up.
        let from = take_over.from_us.unwrap_or(now).max(now.saturating_sub(LATE_START_MAX_US));
        let begin = Some(Begin { at: from, epoch: self.spec.epoch });
        Go { clock, first_second: second_of(from.min(now)), known_from: from, begin }
    }

    /// Where the shard's records and numbers begin, and how far they go for now.
    fn reserve(&mut self, take_over: Option<&TakeOver>) {
        let Some(ahead) = self.ahead else { return };
        let begin = |index: usize| {
            let Some(take_over) = take_over else { return 0 };
            let feeder = u32::try_from(index).ok();
            let known = take_over.feeders.iter().find(|it| Some(it.feeder) == feeder);
            let unseen = ahead.saturating_mul(take_over.unseen.into());
            known.map_or(0, |it| it.record).saturating_add(unseen)
        };
        let sequences = self.shared.sequences().enumerate();
        let begins: Vec<u64> = sequences
            .map(|(index, sequence)| {
                sequence.set_position(begin(index));
                begin(index)
            })
            .collect();
        let reserve = Reserve::new(&begins, ahead);
        self.grant(&reserve.reserved());
        self.reserve = Some(reserve);
    }

    fn grant(&self, granted: &[u64]) {
        self.shared.sequences().zip(granted).for_each(|(it, number)| it.grant(*number));
    }

    fn moment(&mut self, moment: Moment) -> Result<(), Problem> {
        let Some(script) = &mut self.script else { return Ok(()) };
        let outcome = script.moment(moment);
        self.lines.tell(self.on_event);
        outcome
    }

    /// The results stand, whatever becomes of it.
    fn after(&mut self) {
        if let Err(problem) = self.moment(Moment::After) {
            let place = problem.file.as_ref().zip(problem.line);
            let place = place.map(|(file, line)| format!(" ({file}:{line})")).unwrap_or_default();
            let line = format!("{}{place}", problem.message);
            (self.on_event)(Event::Output { stream: OutputStream::Stderr, line });
        }
    }

    fn await_loaded(&mut self) -> Result<(), Problem> {
        let mut left = self.crew.len();
        let mut silence = 0;
        while left > 0 {
            match self.from_threads.recv_timeout(TURN) {
                Ok(FromThread::Loaded(outcome)) => {
                    outcome?;
                    left -= 1;
                }
                Ok(FromThread::Output { stream, line }) => {
                    (self.on_event)(Event::Output { stream, line });
                }
                Err(RecvTimeoutError::Timeout) if silence < SILENCE_MAX => {
                    silence += u32::from(self.finished() > 0);
                }
                Ok(_) => {}
                Err(_) => {
                    let message = "an engine thread died while loading".to_owned();
                    return Err(problem(ProblemKind::Internal, message));
                }
            }
        }
        Ok(())
    }

    fn finished(&self) -> usize {
        self.crew.iter().filter(|hand| hand.thread.is_finished()).count()
    }

    /// The start's time, or how the run ended before it began.
    fn await_start(
        &mut self,
        control: &Receiver<Control>,
    ) -> Result<(i64, Option<TakeOver>), EndReason> {
        loop {
            match control.recv() {
                Ok(Control::Start { at_boot_us, clock_error_us, take_over }) => {
                    self.health_now.clock_error_us = clock_error_us;
                    return Ok((at_boot_us, take_over));
                }
                Ok(Control::Committed { .. } | Control::Yield { .. }) => {}
                // Nothing was due yet: it holds from its instant on.
                Ok(Control::Load { changes }) => _ = self.change_load(changes, 0),
                Ok(Control::HoldBack { users, of }) => self.hold_back(users, &of),
                Ok(Control::Lease { until_boot_us }) => self.lease = Some(until_boot_us),
                Ok(Control::Stop { reason, .. }) => return Err(EndReason::Stopped(reason)),
                Err(_) => return Err(EndReason::Stopped("the owner went away".to_owned())),
            }
        }
    }

    fn drive(
        &mut self,
        clock: Clock,
        first_second: u32,
        control: &Receiver<Control>,
        local: bool,
    ) -> Result<EndReason, Problem> {
        let crew = self.crew.len();
        let planned = self.planned();
        let mut framer = Framer::new(self.spec.shard, self.spec.epoch, crew, first_second, planned);
        let mut starts = self.open_arrivals()?;
        self.health.sample(&mut self.health_now);
        let (mut alive, mut silence) = (crew, 0);
        let mut watchdog = Watchdog::new(self.shared.threads, clock.now());
        let mut alive_at = clock.now();
        while alive > self.hung {
            if clock.now() >= alive_at {
                alive_at = clock.now() + MICROS_PER_SECOND;
                (self.on_event)(Event::Alive);
            }
            match self.from_threads.recv_timeout(TURN) {
                Ok(FromThread::Second(second)) => {
                    self.write_starts(&mut starts, &second)?;
                    framer.add(*second);
                    self.hand_out(&mut framer);
                }
                Ok(FromThread::Output { stream, line }) => {
                    (self.on_event)(Event::Output { stream, line });
                }
                Ok(FromThread::Ended) => alive -= 1,
                Ok(FromThread::Loaded(_)) => {}
                // Who has gone without a word has panicked; what it measured since its last second
                // is gone as well.
                Err(_) => {
                    silence += u32::from(self.finished() > crew - alive);
                    if silence > SILENCE_MAX {
                        let end =
                            problem(ProblemKind::Internal, "an engine thread died".to_owned());
                        self.shared.request_stop(false, Err(end));
                        alive = crew - self.finished();
                    }
                }
            }
            let has_new_load = self.obey(control, clock, local);
            let has_begun = self.advance(clock.now());
            self.tell_surplus(clock.now());
            if has_new_load || has_begun {
                framer.plan(self.planned());
            }
            // A thread that has ended beats no more either; it is not waited for.
            self.hung = watchdog.hung(self.shared.beats(), clock.now());
            if self.hung > 0 && self.finished() < crew {
                let end = problem(ProblemKind::ScriptLimit, HUNG.to_owned());
                self.shared.request_stop(false, Err(end));
            }
        }
        self.health.sample(&mut self.health_now);
        let feeders = self.feeders(framer.next_second());
        for mut frame in framer.take_rest(self.health_now, &feeders) {
            frame.stages = self.stages();
            (self.on_event)(Event::Frame(Box::new(frame)));
        }
        if let Some(writer) = &mut starts {
            writer.flush().map_err(|error| self.arrivals_problem(&error))?;
        }
        self.shared.end().unwrap_or(Ok(EndReason::Completed))
    }

    fn hand_out(&mut self, framer: &mut Framer) {
        while framer.is_complete() {
            self.health.sample(&mut self.health_now);
            let feeders = self.feeders(framer.next_second());
            if let Some(mut frame) = framer.take_complete(self.health_now, feeders) {
                frame.stages = self.stages();
                (self.on_event)(Event::Frame(Box::new(frame)));
            }
        }
    }

    /// What the frame of `second` says of feeders and counters.
    fn feeders(&mut self, second: u32) -> Vec<FeederDelta> {
        let places = self
            .shared
            .sequences()
            .map(|it| Place { position: it.position(), wanted: it.wanted() });
        match &mut self.reserve {
            Some(reserve) => reserve.cut(second, places),
            None => Vec::new(),
        }
    }

    /// True when the load is another.
    fn obey(&mut self, control: &Receiver<Control>, clock: Clock, local: bool) -> bool {
        let mut replanned = false;
        loop {
            match control.try_recv() {
                Ok(Control::Start { .. }) => {}
                Ok(Control::Committed { second }) => {
                    let granted = self.reserve.as_mut().and_then(|it| it.committed(second));
                    if let Some(granted) = granted {
                        self.grant(&granted);
                    }
                }
                Ok(Control::Yield { to, epoch, segments, at_us }) => {
                    self.give_away((to, epoch), &segments, at_us, clock.now());
                }
                Ok(Control::Load { changes }) => {
                    replanned |= self.change_load(changes, clock.now());
                }
                Ok(Control::HoldBack { users, of }) => self.hold_back(users, &of),
                Ok(Control::Lease { until_boot_us }) => {
                    // One that has run out stays so: the load may have been given to another.
                    self.end_without_lease(clock.now());
                    self.lease = Some(until_boot_us);
                    self.renew_lease(clock);
                }
                Ok(Control::Stop { graceful, reason }) => {
                    self.shared.request_stop(graceful, Ok(EndReason::Stopped(reason)));
                }
                Err(TryRecvError::Empty) => return replanned,
                Err(TryRecvError::Disconnected) => {
                    if !local {
                        let end = EndReason::Stopped("the owner went away".to_owned());
                        self.shared.request_stop(false, Ok(end));
                    }
                    return replanned;
                }
            }
        }
    }

    fn renew_lease(&self, clock: Clock) {
        if !self.spec.leased {
            return;
        }
        let until = self.lease.map_or(0, |until| clock.signed_of(until));
        self.shared.lease_until.store(u64::try_from(until).unwrap_or(0), Ordering::Release);
    }

    fn end_without_lease(&self, now: Micros) {
        if now >= self.shared.lease_until.load(Ordering::Acquire) {
            self.shared.request_stop(false, Ok(EndReason::LeaseExpired));
        }
    }

    /// Ends the run when its time or its work is over, and starts children whose parents are done.
    /// True when a population begins.
    fn advance(&self, now: Micros) -> bool {
        if self.max_duration.is_some_and(|max| now >= max) {
            self.shared.request_stop(false, Ok(EndReason::MaxDuration));
        }
        self.end_without_lease(now);
        let populations = &self.shared.populations;
        if self.shared.stop() == Stop::Graceful {
            if populations.iter().all(|it| it.active.load(Ordering::Acquire) <= 0) {
                self.shared.request_stop(false, Ok(EndReason::Completed));
            }
            return false;
        }
        let mut has_begun = false;
        let is_done = |it: &PopulationState| {
            it.exhausted.load(Ordering::Acquire) == self.shared.threads
                && it.active.load(Ordering::Acquire) <= 0
        };
        for (population, staged) in populations.iter().zip(&self.staged) {
            let mut awaited = staged.after.iter().filter_map(|&it| populations.get(it as usize));
            let waits = population.start_at.load(Ordering::Acquire) == NEVER;
            // Whoever takes segments over was told which of them had begun by then.
            if waits && now >= self.given_until && awaited.all(is_done) {
                population.start_at.store(next_tick(now), Ordering::Release);
                self.shared.wake_all();
                has_begun = true;
            }
        }
        self.free_the_held(populations);
        if populations.iter().all(is_done) {
            self.shared.request_stop(false, Ok(EndReason::Completed));
        }
        has_begun
    }

    /// Who took over has fewer users than the rendez-vous may count on, and so may everybody under
    /// another load than was written: when none is left who could
    /// complete it, those who wait go on.
    fn free_the_held(&self, populations: &[PopulationState]) {
        let held = self.shared.held.load(Ordering::Acquire);
        if !(self.spec.takes_over || self.shared.loads() > 0) || held <= 0 {
            return;
        }
        let over =
            |it: &PopulationState| it.exhausted.load(Ordering::Acquire) == self.shared.threads;
        let closed = |index: usize| self.closed.get(index).copied().unwrap_or(false);
        let none_comes =
            populations.iter().enumerate().all(|(index, it)| over(it) || closed(index));
        let active: i64 = populations.iter().map(|it| it.active.load(Ordering::Acquire)).sum();
        if none_comes && active == held {
            self.shared.open_all();
        }
    }

    fn open_arrivals(&self) -> Result<Option<BufWriter<File>>, Problem> {
        let Some(folder) = &self.spec.record_arrivals else { return Ok(None) };
        let open = || -> std::io::Result<BufWriter<File>> {
            std::fs::create_dir_all(folder)?;
            let mut writer = BufWriter::new(File::create(folder.join("arrivals.csv"))?);
            writeln!(writer, "scenario,user,scheduled_us,actual_us")?;
            Ok(writer)
        };
        open().map(Some).map_err(|error| self.arrivals_problem(&error))
    }

    fn write_starts(
        &self,
        writer: &mut Option<BufWriter<File>>,
        second: &Second,
    ) -> Result<(), Problem> {
        let Some(writer) = writer else { return Ok(()) };
        for start in &second.starts {
            let scenario = self.plan.scenarios.get(usize::from(start.scenario));
            let scenario = scenario.map_or("", |(name, _)| name.as_str()).replace('"', "\"\"");
            let (user, scheduled, actual) = (start.user, start.scheduled, start.actual);
            writeln!(writer, "\"{scenario}\",{user},{scheduled},{actual}")
                .map_err(|error| self.arrivals_problem(&error))?;
        }
        Ok(())
    }

    fn arrivals_problem(&self, error: &std::io::Error) -> Problem {
        problem(ProblemKind::Internal, format!("cannot write arrivals.csv: {error}"))
    }

    /// Sends everybody home, whatever happened.
    fn dismiss(&mut self) {
        self.shared.request_stop(false, Ok(EndReason::Completed));
        for hand in self.crew.drain(..) {
            drop(hand.go);
            while !hand.thread.is_finished() && self.hung == 0 {
                // Its last words must not block it.
                let _ = self.from_threads.recv_timeout(TURN);
            }
            // One that hangs ends with the process.
            if hand.thread.is_finished() {
                let _ = hand.thread.join();
            }
        }
    }
}

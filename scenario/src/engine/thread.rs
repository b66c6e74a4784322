//! One engine thread: a single-threaded runtime, its own script and clients, its users as plain
//! data in a slab. Hot path.
//!
//! Arrivals are started on their absolute schedule and never wait for responses; what is late is
//! started at once and its lateness recorded.

use std::any::Any;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use smallvec::SmallVec;

use super::LATE_START_MAX_US;
use super::actions::Actions;
use super::arrivals::{Begin, Due, Profile, Share, Source, scenario_seed, whole};
use super::host::{ThreadHost, WorldOf};
use super::pacer::Pacer;
use super::queues::Takers;
use super::shared::{NEVER, Shared, Stop};
use crate::expr::EvalCtx;
use crate::inject::Load;
use crate::inject::closed::HoldBack;
use crate::program::Program;
use crate::protocol::{Host as _, User};
use crate::session::Session;
use crate::shard::{EndReason, OutputStream, Problem};
use crate::stats::record::Partial;
use crate::time::{MICROS_PER_SECOND, Micros, second_of};
use crate::vu::{ActionDone, Ctx, Input, Output, Vu};

/// Users started in one turn before connections get theirs.
const STARTS_PER_TURN_MAX: u32 = 256;
/// Users resumed in one turn before connections get theirs.
const RESUMES_PER_TURN_MAX: u32 = 1_024;

/// What a thread tells the coordinator.
#[derive(Debug)]
pub(super) enum FromThread {
    Loaded(Result<(), Problem>),
    Output {
        stream: OutputStream,
        line: String,
    },
    Second(Box<Second>),
    /// The thread has ended; its last second came before.
    Ended,
}

/// What one thread did in one second of the run.
#[derive(Debug)]
pub(super) struct Second {
    pub second: u32,
    pub partial: Partial,
    pub loop_lag_max: Micros,
    /// In the thread's first second: from the common start to its first turn.
    pub start_late: Option<Micros>,
    pub starts: Vec<Started>,
}

/// One line of `arrivals.csv`.
#[derive(Debug)]
pub(super) struct Started {
    pub scenario: u16,
    pub user: u64,
    pub scheduled: Micros,
    pub actual: Micros,
}

struct Entry {
    vu: Vu,
    scenario: u16,
    /// By protocol: connections, cookies and the like.
    states: SmallVec<[Option<Box<dyn Any>>; 1]>,
}

struct Population {
    name: Arc<str>,
    source: Option<Source>,
    exhausted: bool,
    /// Changes of what the shard holds that the source knows.
    kept: usize,
    /// What was said of users beyond what is left: of how many changes, and how many in all.
    surplus: (usize, u64),
}

pub(super) struct Worker {
    program: Program,
    host: Rc<ThreadHost>,
    share: Share,
    seed: u64,
    populations: Vec<Population>,
    users: Vec<Option<Box<Entry>>>,
    free: Vec<u32>,
    actions: Actions,
    timers: BinaryHeap<Reverse<(Micros, u32)>>,
    waiting: Vec<(u32, u32)>,
    takers: Takers,
    second: u32,
    loop_lag_max: Micros,
    start_late: Option<Micros>,
    /// Arrivals before this moment are dropped: the shard did not know of its start yet.
    known_from: Micros,
    begin: Option<Begin>,
    /// As far as this thread's sources follow it, and how many changes that are.
    load: Load,
    loads: usize,
    /// Words of what is held back that its sources follow.
    hold_backs: usize,
    record_starts: bool,
    starts: Vec<Started>,
    /// Closed model: users that follow upon ended ones.
    replacements: VecDeque<(usize, Due)>,
    blank: Session,
}

/// What a worker is made of, beside its program and host.
pub(super) struct Setting {
    pub share: Share,
    pub seed: u64,
    pub first_second: u32,
    pub known_from: Micros,
    /// Present: the shard begins in mid-run.
    pub begin: Option<Begin>,
    pub record_starts: bool,
}

impl Worker {
    pub(super) fn new(program: Program, host: Rc<ThreadHost>, setting: Setting) -> Self {
        let populations = program
            .scenarios
            .iter()
            .map(|it| Population {
                name: Arc::clone(&it.name),
                source: None,
                exhausted: false,
                kept: 0,
                surplus: (0, 0),
            })
            .collect();
        let actions = Actions::new(Arc::clone(&host.shared), host.thread);
        Self {
            program,
            host,
            share: setting.share,
            seed: setting.seed,
            populations,
            users: Vec::new(),
            free: Vec::new(),
            actions,
            timers: BinaryHeap::new(),
            waiting: Vec::new(),
            takers: Takers::default(),
            second: setting.first_second,
            loop_lag_max: 0,
            start_late: None,
            known_from: setting.known_from,
            begin: setting.begin,
            load: Load::default(),
            loads: 0,
            hold_backs: 0,
            record_starts: setting.record_starts,
            starts: Vec::new(),
            replacements: VecDeque::new(),
            blank: Session::new("".into(), 0),
        }
    }

    /// Runs until the shard stops.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub(super) async fn run(mut self) -> std::io::Result<()> {
        let mut pacer = Pacer::new(self.host.clock)?;
        let host = Rc::clone(&self.host);
        let shared: &Shared = &host.shared;
        // `now` is 0 all the time before the common start: who is due at 0 must wait for it.
        while host.clock.signed() < 0 && shared.stop() != Stop::AtOnce {
            tokio::select! {
                waited = pacer.wait_until(0) => waited?,
                () = shared.waker(host.thread).notified() => {}
            }
        }
        self.start_late = self.begin.is_none().then(|| host.now());
        loop {
            let now = host.now();
            shared.beat(host.thread);
            self.cut_seconds(now);
            if now >= shared.lease_until.load(Ordering::Acquire) {
                shared.request_stop(false, Ok(EndReason::LeaseExpired));
            }
            let stop = shared.stop();
            if stop == Stop::AtOnce {
                self.cut_last();
                return Ok(());
            }
            let mut more = false;
            if stop == Stop::No {
                more |= self.start_arrivals(now);
            } else {
                self.abandon_waiting();
            }
            more |= self.resume_some(now);
            more |= stop == Stop::No && !self.replacements.is_empty();
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            let next = self.next_at(now, stop);
            tokio::select! {
                waited = pacer.wait_until(next) => {
                    waited?;
                    let late = host.now().saturating_sub(next);
                    self.loop_lag_max = self.loop_lag_max.max(late);
                }
                () = shared.waker(host.thread).notified() => {}
            }
        }
    }

    /// When the thread must look again, whatever arrives meanwhile.
    fn next_at(&mut self, now: Micros, stop: Stop) -> Micros {
        let mut next = u64::from(self.second + 1) * MICROS_PER_SECOND;
        if let Some(Reverse((at, _))) = self.timers.peek() {
            next = next.min(*at);
        }
        if stop == Stop::No {
            for (index, population) in self.populations.iter_mut().enumerate() {
                match &mut population.source {
                    Some(source) => next = next.min(source.next_at(now).unwrap_or(NEVER)),
                    None if !population.exhausted => {
                        let state = &self.host.shared.populations[index];
                        next = next.min(state.start_at.load(Ordering::Acquire));
                    }
                    None => {}
                }
            }
        }
        next.min(self.host.shared.lease_until.load(Ordering::Acquire))
    }

    /// Starts the users that are due; true when more are.
    fn start_arrivals(&mut self, now: Micros) -> bool {
        if self.host.shared.loads() != self.loads {
            self.follow_load(now);
        }
        if self.host.shared.hold_backs() != self.hold_backs {
            self.follow_hold_back(now);
        }
        let mut left = STARTS_PER_TURN_MAX;
        while let Some((index, due)) = self.replacements.pop_front() {
            self.start_user(index, due);
            left -= 1;
            if left == 0 {
                return true;
            }
        }
        for index in 0..self.populations.len() {
            self.open_source(index, now);
            self.keep(index);
            while let Some(due) =
                self.populations[index].source.as_mut().and_then(|source| source.due(now))
            {
                self.start_user(index, due);
                left -= 1;
                if left == 0 {
                    return true;
                }
            }
            self.tell_surplus(index);
            let population = &mut self.populations[index];
            if let Some(source) = &mut population.source
                && self.replacements.is_empty()
                && source.next_at(now).is_none()
                && !population.exhausted
            {
                population.exhausted = true;
                self.host.shared.populations[index].exhausted.fetch_add(1, Ordering::AcqRel);
            }
        }
        false
    }

    fn open_source(&mut self, index: usize, now: Micros) {
        let population = &mut self.populations[index];
        if population.source.is_some() {
            return;
        }
        let start = self.host.shared.populations[index].start_at.load(Ordering::Acquire);
        if start > now {
            return;
        }
        let scenario = &self.program.scenarios[index];
        let seed = scenario_seed(self.seed, &population.name);
        let share = if scenario.no_shard { self.share.whole() } else { self.share.clone() };
        let profile = Profile { inject: &scenario.inject, seed, load: &self.load };
        let mut source = Source::new(profile, share, start);
        if let Some(begin) = self.begin {
            let scenario = u16::try_from(index).unwrap_or(u16::MAX);
            let before = source.begin(profile, begin);
            self.host.recorder.borrow_mut().planned_before(scenario, before);
            source.hold_back(self.held_back(index), now);
        }
        self.populations[index].source = Some(source);
    }

    /// What the shard holds back of a population.
    fn held_back(&self, index: usize) -> HoldBack {
        let mut held_back = self.host.shared.held_back().of(index);
        if self.program.scenarios[index].no_shard {
            held_back.of = held_back.of.map(|of| whole(&of));
        }
        held_back
    }

    fn follow_hold_back(&mut self, now: Micros) {
        self.hold_backs = self.host.shared.hold_backs();
        for index in 0..self.populations.len() {
            let held_back = self.held_back(index);
            if let Some(source) = &mut self.populations[index].source {
                source.hold_back(held_back, now);
            }
        }
    }

    /// Says how many users are here beyond what is left, of each time that segments were given away.
    fn tell_surplus(&mut self, index: usize) {
        let population = &mut self.populations[index];
        let given = population.source.as_ref().map_or(&[][..], Source::given);
        let users = given.iter().fold(0, |sum: u64, it| sum.saturating_add(*it));
        if std::mem::replace(&mut population.surplus, (given.len(), users)) == population.surplus {
            return;
        }
        let shared = &self.host.shared;
        let place = index * shared.threads as usize + self.host.thread;
        for (kept, users) in shared.kept().iter().zip(given) {
            if let Some(told) = kept.surplus.get(place) {
                told.store(*users, Ordering::Release);
            }
        }
    }

    /// Tells the source what the shard has given away. It learns of it ahead of time: what it has
    /// handed out until now was due before.
    fn keep(&mut self, index: usize) {
        let population = &mut self.populations[index];
        let Some(source) = &mut population.source else { return };
        let kept = self.host.shared.kept();
        if kept.len() == population.kept {
            return;
        }
        let scenario = &self.program.scenarios[index];
        let seed = scenario_seed(self.seed, &population.name);
        let profile = Profile { inject: &scenario.inject, seed, load: &self.load };
        for change in kept.iter().skip(population.kept) {
            let share = Share { segments: change.segments.clone(), ..self.share.clone() };
            let share = if scenario.no_shard { share.whole() } else { share };
            let begin = Begin { at: change.from, epoch: change.epoch };
            source.keep(profile, share, begin);
        }
        population.kept = kept.len();
    }

    /// The load has changed, or will: ahead of time, if this shard was told in time. Who is due since
    /// an instant that lies back a little is started at once; further back, not at all.
    fn follow_load(&mut self, now: Micros) {
        let changes = self.host.shared.load_changes();
        let Some(first) = changes.get(self.loads) else { return };
        (self.load, self.loads) = (Load::new(&changes), changes.len());
        if first.at_us < now {
            self.known_from = self.known_from.max(now.saturating_sub(LATE_START_MAX_US));
        }
        for (index, population) in self.populations.iter_mut().enumerate() {
            let Some(source) = &mut population.source else { continue };
            let inject = &self.program.scenarios[index].inject;
            let seed = scenario_seed(self.seed, &population.name);
            source.load(Profile { inject, seed, load: &self.load }, first.at_us);
            // It has said that it starts nobody any more.
            while population.exhausted && source.due(now).is_some() {
                source.dropped();
                self.host.recorder.borrow_mut().dropped();
            }
        }
    }

    fn start_user(&mut self, index: usize, due: Due) {
        let now = self.host.now();
        if due.scheduled < self.known_from {
            self.host.recorder.borrow_mut().dropped();
            self.closed_replacement_is_not_made(index);
            return;
        }
        let scenario = u16::try_from(index).unwrap_or(u16::MAX);
        self.host.shared.populations[index].active.fetch_add(1, Ordering::AcqRel);
        {
            let mut recorder = self.host.recorder.borrow_mut();
            recorder.user_started(scenario);
            recorder.lateness(now.saturating_sub(due.scheduled));
        }
        if self.record_starts {
            let (user, scheduled) = (due.user, due.scheduled);
            self.starts.push(Started { scenario, user, scheduled, actual: now });
        }
        let session = Session::new(Arc::clone(&self.populations[index].name), due.user);
        let vu = Vu::new(session, self.program.scenarios[index].entry);
        let mut states = SmallVec::new();
        states.resize_with(self.program.protocols.len(), || None);
        let entry = Box::new(Entry { vu, scenario, states });
        let key = match self.free.pop() {
            Some(key) => {
                self.users[key as usize] = Some(entry);
                key
            }
            None => {
                self.users.push(Some(entry));
                u32::try_from(self.users.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.resume(key, Input::Start, now);
    }

    /// A dropped arrival of the closed model does not count as running.
    fn closed_replacement_is_not_made(&mut self, index: usize) {
        if let Some(source) = &mut self.populations[index].source {
            source.dropped();
        }
    }

    /// Resumes users whose action or sleep is over; true when more are.
    fn resume_some(&mut self, now: Micros) -> bool {
        let mut left = RESUMES_PER_TURN_MAX;
        self.actions.collect();
        while left > 0 {
            let Some((key, polled)) = self.actions.poll_one() else { break };
            left -= 1;
            if let Poll::Ready(done) = polled {
                self.take_back(key, done);
            }
        }
        while left > 0 {
            match self.timers.peek() {
                Some(Reverse((at, key))) if *at <= now => {
                    let key = *key;
                    self.timers.pop();
                    left -= 1;
                    self.resume(key, Input::Woke, now);
                }
                _ => break,
            }
        }
        if self.waiting.iter().any(|(slot, _)| self.host.shared.is_open(*slot)) {
            let shared = Arc::clone(&self.host.shared);
            let (open, closed) =
                self.waiting.drain(..).partition(|(slot, _)| shared.is_open(*slot));
            self.waiting = closed;
            let open: Vec<(u32, u32)> = open;
            self.host.shared.held.fetch_sub(open.len() as i64, Ordering::AcqRel);
            for (_, key) in open {
                self.resume(key, Input::Woke, now);
            }
        }
        for key in self.takers.awake(&self.host.shared.queues, now) {
            self.resume(key, Input::Woke, now);
        }
        // Who woke may have begun an action, which has its first turn in the next one.
        left == 0 || self.actions.has_ready()
    }

    fn take_back(&mut self, key: u32, done: crate::protocol::Done) {
        let now = self.host.seen_now.get();
        let crate::protocol::Done { user, failed, response_time, slot } = done;
        if let Some(entry) = self.users[key as usize].as_mut()
            && let Some(state) = entry.states.get_mut(slot)
        {
            *state = user.state;
        }
        let done = ActionDone { session: user.session, failed, response_time };
        self.resume(key, Input::Done(done), now);
    }

    fn resume(&mut self, key: u32, input: Input, now: Micros) {
        let Some(mut entry) = self.users.get_mut(key as usize).and_then(Option::take) else {
            return;
        };
        self.host.shared.beat(self.host.thread);
        let output = {
            let host = &*self.host;
            let mut hooks = host.hooks.borrow_mut();
            let mut rng = host.rng.borrow_mut();
            let unix_ms = host.unix_ms();
            let eval = EvalCtx { hooks: &mut **hooks, rng: &mut rng, unix_ms };
            let mut world = WorldOf(host);
            let mut ctx = Ctx { now, eval, world: &mut world };
            entry.vu.resume(&self.program, input, &mut ctx)
        };
        self.carry_out(key, entry, output, now);
    }

    fn carry_out(&mut self, key: u32, entry: Box<Entry>, output: Output, now: Micros) {
        let ends = self.host.shared.stop() != Stop::No;
        match output {
            Output::Stop(message) => {
                let end = Ok(EndReason::StoppedByScript(message));
                self.host.shared.request_stop(false, end);
                self.user_ended(key, entry, now);
            }
            Output::Crash(message) => {
                self.host.shared.crash(message);
                self.user_ended(key, entry, now);
            }
            Output::Ended => self.user_ended(key, entry, now),
            _ if ends => self.user_ended(key, entry, now),
            Output::Sleep(at) => {
                self.users[key as usize] = Some(entry);
                self.timers.push(Reverse((at, key)));
            }
            Output::RendezVous(slot) => {
                self.users[key as usize] = Some(entry);
                if self.host.shared.arrive(slot) {
                    self.timers.push(Reverse((now, key)));
                } else {
                    self.waiting.push((slot, key));
                    self.host.shared.held.fetch_add(1, Ordering::AcqRel);
                }
            }
            Output::Queue { slot, until } => {
                self.users[key as usize] = Some(entry);
                self.takers.push(slot, until, key);
            }
            Output::Act(action) => self.act(key, entry, action),
        }
    }

    fn act(&mut self, key: u32, mut entry: Box<Entry>, action: u32) {
        let action = self.program.action(action).expect("the program names its own actions");
        let slot = action.slot();
        let user = User {
            session: std::mem::replace(&mut entry.vu.session, self.blank.clone()),
            scenario: u32::from(entry.scenario),
            state: entry.states.get_mut(slot).and_then(Option::take),
        };
        self.users[key as usize] = Some(entry);
        let work = Rc::clone(action).run(user, Rc::clone(&self.host) as Rc<_>);
        self.actions.start(key, work);
    }

    fn user_ended(&mut self, key: u32, entry: Box<Entry>, now: Micros) {
        let index = usize::from(entry.scenario);
        self.host.recorder.borrow_mut().user_ended(entry.scenario);
        drop(entry);
        self.free.push(key);
        let source = self.populations[index].source.as_mut();
        if let Some(due) = source.and_then(|source| source.ended(now)) {
            self.replacements.push_back((index, due));
        }
        self.tell_surplus(index);
        self.host.shared.populations[index].active.fetch_sub(1, Ordering::AcqRel);
    }

    /// Graceful stop: users that sleep or wait have no action in flight.
    fn abandon_waiting(&mut self) {
        let sleeping = std::mem::take(&mut self.timers).into_iter().map(|Reverse((_, key))| key);
        let held = std::mem::take(&mut self.waiting).into_iter().map(|(_, key)| key);
        let now = self.host.now();
        let taking = self.takers.abandon();
        for key in sleeping.chain(held).chain(taking).collect::<Vec<_>>() {
            if let Some(entry) = self.users.get_mut(key as usize).and_then(Option::take) {
                self.user_ended(key, entry, now);
            }
        }
    }

    fn cut_seconds(&mut self, now: Micros) {
        while second_of(now) > self.second {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let second = Second {
            second: self.second,
            partial: self.host.recorder.borrow_mut().take_second(),
            loop_lag_max: std::mem::take(&mut self.loop_lag_max),
            start_late: self.start_late.take(),
            starts: std::mem::take(&mut self.starts),
        };
        self.second += 1;
        self.host.renew_notes();
        // The coordinator outlives its threads; if it is gone, so is the run.
        let _ = self.host.events.send(FromThread::Second(Box::new(second)));
    }

    fn cut_last(&mut self) {
        self.cut();
        let _ = self.host.events.send(FromThread::Ended);
    }
}

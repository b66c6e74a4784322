//! One user of a scenario, once, with everything it does told as it happens: `onrush debug`.
//! The same machine, protocols and checks as a run; only the clock leaps over pauses, and nothing
//! is measured. Refuses to go on for ever: a bound on requests and on time ends endless loops.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::clock::{self, Clock};
use super::load::{self, Consoles, Loaded};
use super::queues::Queues;
use super::shared::problem;
use crate::check::Checked;
use crate::expr::{EvalCtx, Hooks, Moment};
use crate::feed::Feeder;
use crate::inject::division::Segments;
use crate::program::Program;
use crate::protocol::{ConnectionEvent, Exchange, Host, Response, User};
use crate::script::{Console, GlobalStore};
use crate::session::Session;
use crate::shard::{OutputStream, Problem, ProblemKind, ShardSpec};
use crate::stats::record::{PathId, Recorder};
use crate::time::Micros;
use crate::value::Value;
use crate::vu::{ActionDone, Ctx, Fault, Input, Output, Vu, World};

/// How a user is looked at.
#[derive(Clone, Debug)]
pub struct Options {
    /// Absent: one user of each scenario, one after the other.
    pub scenario: Option<String>,
    /// Pauses take their time; otherwise the clock leaps over them.
    pub sit_out: bool,
    pub requests_max: u64,
    /// Wall time of all of it.
    pub time_max: Duration,
}

/// What happens to the user.
#[derive(Clone, Debug)]
pub enum Event {
    /// A line of the script's console.
    Output(OutputStream, String),
    Started {
        scenario: String,
    },
    Changed {
        by: By,
        changes: Vec<Change>,
    },
    Paused(Micros),
    GroupLeft {
        path: Vec<Arc<str>>,
        ok: bool,
        duration: Micros,
    },
    Exchange(Box<Exchange>),
    Checked(Checked),
    /// A request as a report would count it.
    Counted {
        name: String,
        failure: Option<String>,
        time: Micros,
    },
    /// Not even a request.
    Unbuilt {
        name: String,
        message: String,
    },
    Note(String),
    Ended {
        scenario: String,
        failed: bool,
        why: Ended,
    },
}

/// Who changed the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    Feeder(String),
    /// Checks of a request.
    Checks,
    /// Functions, loops' counters, and the like.
    Steps,
}

/// Of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub attribute: String,
    /// Absent: removed.
    pub value: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Completed,
    /// `stopLoadGenerator`
    Stopped(String),
    RequestsMax(u64),
    TimeMax(Duration),
}

/// What came of all users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub requests: u64,
    pub failed: u64,
    pub unbuilt: u64,
}

type Sink = Rc<RefCell<Box<dyn FnMut(Event)>>>;

struct Lines(Sink);

impl Console for Lines {
    fn line(&self, stream: OutputStream, line: &str) {
        (self.0.borrow_mut())(Event::Output(stream, line.to_owned()));
    }
}

/// # Errors
/// Why the simulation cannot run, or that it crashed.
pub fn debug(
    spec: &ShardSpec,
    options: &Options,
    on_event: Box<dyn FnMut(Event)>,
) -> Result<Totals, Problem> {
    let internal = |error: std::io::Error| problem(ProblemKind::Internal, error.to_string());
    let sink: Sink = Rc::new(RefCell::new(on_event));
    let lines = Rc::new(Lines(Rc::clone(&sink)));
    let consoles =
        Consoles { loading: Rc::clone(&lines) as Rc<_>, running: Rc::clone(&lines) as Rc<_> };
    let start = clock::boot_us();
    let unix_ms = i64::try_from(clock::unix_us() / 1_000).unwrap_or(i64::MAX);
    let store: Arc<GlobalStore> = Arc::default();
    let loaded = load::load(spec, spec.unix_ms.unwrap_or(unix_ms), spec.seed, consoles, &store)?;
    let segments = Segments::all();
    let feeders = load::feeders(spec, &loaded.simulation, &segments)?;
    let Loaded { program, mut hooks, .. } = loaded;
    let names: Vec<Arc<str>> = program.scenarios.iter().map(|it| Arc::clone(&it.name)).collect();
    let chosen = choose(&names, options.scenario.as_deref())?;
    hooks.moment(Moment::Before)?;
    let host = Rc::new(Stage {
        clock: Clock::starting_at(start),
        leapt: Cell::new(0),
        sink,
        recorder: RefCell::new(Recorder::new(&names)),
        names: RefCell::default(),
        hooks: RefCell::new(hooks),
        rng: RefCell::new(SmallRng::seed_from_u64(spec.seed)),
        feeders,
        rounds: RefCell::new(vec![0; program.round_robins as usize]),
        counters: RefCell::new(vec![0; program.counters as usize]),
        queues: Queues::new(program.queues),
        known: RefCell::new(Session::new("".into(), 0)),
        totals: Cell::default(),
    });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal)?;
    let all = async {
        for index in chosen {
            host.play(&program, index, options).await?;
        }
        host.hooks.borrow_mut().moment(Moment::After)?;
        Ok(host.totals.get())
    };
    tokio::task::LocalSet::new().block_on(&runtime, all)
}

fn choose(names: &[Arc<str>], wanted: Option<&str>) -> Result<Vec<usize>, Problem> {
    let Some(wanted) = wanted else { return Ok((0..names.len()).collect()) };
    match names.iter().position(|name| &**name == wanted) {
        Some(index) => Ok(vec![index]),
        None => {
            let message = format!("no scenario {wanted:?}; there are: {}", names.join(", "));
            Err(problem(ProblemKind::Script, message))
        }
    }
}

/// The one user's world and host.
struct Stage {
    clock: Clock,
    /// Pauses that were leapt over.
    leapt: Cell<Micros>,
    sink: Sink,
    recorder: RefCell<Recorder>,
    names: RefCell<Vec<(PathId, String)>>,
    hooks: RefCell<Box<dyn Hooks>>,
    rng: RefCell<SmallRng>,
    feeders: Vec<Feeder>,
    rounds: RefCell<Vec<u64>>,
    counters: RefCell<Vec<u64>>,
    queues: Queues,
    /// The session as it was last told.
    known: RefCell<Session>,
    totals: Cell<Totals>,
}

impl Stage {
    fn tell(&self, event: Event) {
        (self.sink.borrow_mut())(event);
    }

    fn count(&self, change: impl FnOnce(&mut Totals)) {
        let mut totals = self.totals.get();
        change(&mut totals);
        self.totals.set(totals);
    }

    /// Tells what is different from what was last told.
    fn compare(&self, session: &Session, by: By) {
        let before = self.known.replace(session.clone());
        let set = session.attributes().filter(|(name, value)| before.get(name) != Some(value));
        let set = set.map(|(name, value)| (name.to_string(), Some(value.to_string())));
        let gone = before.attributes().filter(|(name, _)| !session.contains(name));
        let changes: Vec<Change> = set
            .chain(gone.map(|(name, _)| (name.to_string(), None)))
            .map(|(attribute, value)| Change { attribute, value })
            .collect();
        if !changes.is_empty() {
            self.tell(Event::Changed { by, changes });
        }
    }

    async fn play(
        self: &Rc<Self>,
        program: &Program,
        index: usize,
        options: &Options,
    ) -> Result<(), Problem> {
        let scenario = &program.scenarios[index];
        self.tell(Event::Started { scenario: scenario.name.to_string() });
        self.known.replace(Session::new(Arc::clone(&scenario.name), 0));
        let mut vu = Vu::new(Session::new(Arc::clone(&scenario.name), 0), scenario.entry);
        let mut states: Vec<_> = (0..program.protocols.len()).map(|_| None).collect();
        let mut input = Input::Start;
        let why = loop {
            let output = self.resume(&mut vu, program, input);
            self.compare(&vu.session, By::Steps);
            if self.totals.get().requests >= options.requests_max {
                break Ended::RequestsMax(options.requests_max);
            }
            if Duration::from_micros(self.clock.now()) >= options.time_max {
                break Ended::TimeMax(options.time_max);
            }
            input = match output {
                Output::Ended => break Ended::Completed,
                Output::Stop(message) => break Ended::Stopped(message),
                Output::Crash(message) => return Err(problem(ProblemKind::Crash, message)),
                Output::Sleep(at) => {
                    self.sleep_until(at, options.sit_out).await;
                    Input::Woke
                }
                Output::RendezVous(_) => {
                    self.tell(Event::Note("rendezVous: a single user does not wait".to_owned()));
                    Input::Woke
                }
                Output::Queue { until, .. } => {
                    let alone = "sharedQueue: a single user waits for a value that nobody puts";
                    self.tell(Event::Note(alone.to_owned()));
                    if until == Micros::MAX {
                        break Ended::Completed;
                    }
                    self.sleep_until(until, options.sit_out).await;
                    Input::Woke
                }
                Output::Act(action) => {
                    let action = program.action(action).expect("the program names its own actions");
                    let slot = action.slot();
                    let user = User {
                        session: vu.session.clone(),
                        scenario: u32::try_from(index).unwrap_or(u32::MAX),
                        state: states.get_mut(slot).and_then(Option::take),
                    };
                    let done = Rc::clone(action).run(user, Rc::clone(self) as Rc<_>).await;
                    if let Some(state) = states.get_mut(slot) {
                        *state = done.user.state;
                    }
                    self.compare(&done.user.session, By::Checks);
                    Input::Done(ActionDone {
                        session: done.user.session,
                        failed: done.failed,
                        response_time: done.response_time,
                    })
                }
            };
        };
        let (scenario, failed) = (scenario.name.to_string(), vu.session.is_failed());
        self.tell(Event::Ended { scenario, failed, why });
        Ok(())
    }

    fn resume(&self, vu: &mut Vu, program: &Program, input: Input) -> Output {
        let mut hooks = self.hooks.borrow_mut();
        let mut rng = self.rng.borrow_mut();
        let unix_ms = self.unix_ms();
        let eval = EvalCtx { hooks: &mut **hooks, rng: &mut rng, unix_ms };
        let mut world = Around(self);
        vu.resume(program, input, &mut Ctx { now: self.now(), eval, world: &mut world })
    }

    async fn sleep_until(&self, at: Micros, sit_out: bool) {
        let wait = at.saturating_sub(self.now());
        if wait == 0 {
            // A long loop hands its turn over; that is no pause.
            return;
        }
        self.tell(Event::Paused(wait));
        if sit_out {
            tokio::time::sleep(Duration::from_micros(wait)).await;
        } else {
            self.leapt.set(self.leapt.get().saturating_add(wait));
        }
    }
}

impl Host for Stage {
    fn now(&self) -> Micros {
        self.clock.now().saturating_add(self.leapt.get())
    }

    fn unix_ms(&self) -> i64 {
        self.clock.unix_ms_at(self.now())
    }

    fn with_eval(&self, evaluate: &mut dyn FnMut(&mut EvalCtx<'_>)) {
        let mut hooks = self.hooks.borrow_mut();
        let mut rng = self.rng.borrow_mut();
        let unix_ms = self.unix_ms();
        evaluate(&mut EvalCtx { hooks: &mut **hooks, rng: &mut rng, unix_ms });
    }

    fn permit(&self, _scenario: u32) -> Option<LocalBoxFuture<'static, ()>> {
        None
    }

    fn request(&self, groups: &[Arc<str>], name: &str) -> PathId {
        let id = self.recorder.borrow_mut().path_id(groups, name);
        let mut names = self.names.borrow_mut();
        if !names.iter().any(|(known, _)| *known == id) {
            names.push((id, full_name(groups, name)));
        }
        id
    }

    fn sent(&self, _request: PathId) {
        self.count(|totals| totals.requests += 1);
    }

    fn response(&self, request: PathId, response: Response<'_>) {
        if response.failure.is_some() {
            self.count(|totals| totals.failed += 1);
        }
        let names = self.names.borrow();
        let name = names.iter().find(|(id, _)| *id == request).map(|(_, name)| name.clone());
        let failure = response.failure.map(str::to_owned);
        self.tell(Event::Counted { name: name.unwrap_or_default(), failure, time: response.time });
    }

    fn unbuilt(&self, groups: &[Arc<str>], name: &str, message: &str) {
        self.count(|totals| totals.unbuilt += 1);
        let (name, message) = (full_name(groups, name), message.to_owned());
        self.tell(Event::Unbuilt { name, message });
    }

    fn connection(&self, _event: ConnectionEvent) {}

    fn note(&self, line: &str) {
        self.tell(Event::Note(line.to_owned()));
    }

    fn observes(&self) -> bool {
        true
    }

    fn exchange(&self, exchange: Exchange) {
        self.tell(Event::Exchange(Box::new(exchange)));
    }

    fn checked(&self, check: Checked) {
        self.tell(Event::Checked(check));
    }
}

fn full_name(groups: &[Arc<str>], name: &str) -> String {
    let mut full = groups.join(" / ");
    if !full.is_empty() {
        full.push_str(" / ");
    }
    full + name
}

/// 0, 1, 2 … of each slot.
fn next_of(slots: &RefCell<Vec<u64>>, slot: u32) -> u64 {
    slots.borrow_mut().get_mut(slot as usize).map_or(0, |next| {
        *next += 1;
        *next - 1
    })
}

struct Around<'a>(&'a Stage);

impl World for Around<'_> {
    fn feed(
        &mut self,
        feeder: u32,
        count: Option<i64>,
        session: &mut Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<(), Fault> {
        let found = self.0.feeders.get(feeder as usize);
        let feeder =
            found.ok_or_else(|| Fault::Crash("the simulation has no such feeder".to_owned()))?;
        self.0.compare(session, By::Steps);
        feeder.feed(count, session, eval)?;
        self.0.compare(session, By::Feeder(feeder.name().to_owned()));
        Ok(())
    }

    fn round_robin(&mut self, slot: u32) -> u64 {
        next_of(&self.0.rounds, slot)
    }

    fn counter(&mut self, slot: u32) -> Result<u64, Fault> {
        Ok(next_of(&self.0.counters, slot))
    }

    fn queue_put(&mut self, slot: u32, value: Value) -> Result<(), String> {
        self.0.queues.put(slot, value)
    }

    fn queue_poll(&mut self, slot: u32) -> Option<Value> {
        self.0.queues.poll(slot)
    }

    fn queue_size(&mut self, slot: u32) -> usize {
        self.0.queues.size(slot)
    }

    fn group_left(&mut self, path: &[Arc<str>], ok: bool, duration: Micros, _cumulated: Micros) {
        self.0.tell(Event::GroupLeft { path: path.to_vec(), ok, duration });
    }

    fn sent(&mut self, _groups: &[Arc<str>], _name: &str) {
        self.0.count(|totals| totals.requests += 1);
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

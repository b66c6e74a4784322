//! The runtime of one loaded simulation: evaluation within limits, and the calls of its functions.
//! On the hot path: [`ScriptHost::call`].
//!
//! QuickJS interrupts interpreted code only; one long native built-in runs to its end. Whoever runs
//! untrusted scripts therefore watches the process as well.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rquickjs::{
    CatchResultExt as _, CaughtError, Class, Context, Ctx, Function, Module, Object, Persistent,
    Promise, Runtime, Value as JsValue,
};

use super::commonjs;
use super::modules::{Graph, GraphLoader, GraphResolver, SharedGraph};
use super::natives::{self, Shared};
use super::problem::{self, Thrown};
use super::session::JsSession;
use super::store::GlobalStore;
use super::typescript::Place;
use super::values::{HostPrototypes, from_js, to_js};
use super::{Console, Limits, LoadOptions, Loaded, Sources};
use crate::expr::{FnId, HookArgs, HookOutcome, Hooks, Moment};
use crate::ir::{self, Simulation};
use crate::session::Session;
use crate::shard::{Problem, ProblemKind};

/// Cycles are rare in lambdas and everything else is freed by reference count, so the collector
/// runs only when this much has been allocated since it last did.
const GC_THRESHOLD_BYTES: usize = 16 << 20;

/// Promise jobs run after one call; more is a loop that feeds itself.
const JOBS_PER_CALL_MAX: u32 = 10_000;

/// Bytes of the graph as JSON; see [`ir::limits`] for the number of steps.
const GRAPH_BYTES_MAX: usize = 32 << 20;

/// Imported before the simulation, so that nothing of it can see the native object.
const BOOT: &str = "import \"@gatling.io/core\"; delete globalThis.__onrush;";

/// Stops code that runs too long. The clock is read only when QuickJS asks, every 10,000 steps of
/// the interpreter, so that short calls cost nothing: the first question starts the time.
#[derive(Default)]
struct Watch {
    limit: Cell<Duration>,
    since: Cell<Option<Instant>>,
    tripped: Cell<bool>,
}

impl Watch {
    fn arm(&self, limit: Duration) {
        self.limit.set(limit);
        self.since.set(None);
        self.tripped.set(false);
    }

    fn must_stop(&self) -> bool {
        let now = Instant::now();
        let Some(since) = self.since.get() else {
            self.since.set(Some(now));
            return false;
        };
        let over = now.duration_since(since) > self.limit.get();
        if over {
            self.tripped.set(true);
        }
        over
    }
}

/// Owns the QuickJS runtime; not `Send`: each engine thread loads its own.
pub struct ScriptHost {
    // Fields drop in this order: what refers to the runtime before the runtime.
    functions: Vec<Persistent<Function<'static>>>,
    /// Where each function is written, for the text of a time-out.
    places: Vec<String>,
    /// The simulation's exports of these names, where they are functions.
    before: Option<Persistent<Function<'static>>>,
    after: Option<Persistent<Function<'static>>>,
    engine: Option<Engine>,
    limits: Limits,
    entry: String,
}

struct Engine {
    context: Context,
    runtime: Runtime,
    watch: Rc<Watch>,
    rejections: Rc<RefCell<BTreeMap<u64, Thrown>>>,
    graph: SharedGraph,
    shared: Rc<Shared>,
}

impl fmt::Debug for ScriptHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptHost").field("functions", &self.places).finish_non_exhaustive()
    }
}

impl ScriptHost {
    /// For exported IR, which has no functions.
    fn empty() -> Self {
        Self {
            functions: Vec::new(),
            places: Vec::new(),
            before: None,
            after: None,
            engine: None,
            limits: Limits::default(),
            entry: String::new(),
        }
    }

    /// Seeds `Math.random` for the calls to come: different per engine thread.
    pub fn reseed(&mut self, seed: u64) {
        if let Some(engine) = &self.engine {
            engine.shared.reseed(seed);
        }
    }

    /// From now on the script shares that store; what it has put while loading moves there.
    pub fn set_store(&mut self, store: Arc<GlobalStore>) {
        if let Some(engine) = &self.engine {
            let own = engine.shared.store.replace(Arc::clone(&store));
            store.adopt(&own);
        }
    }

    pub fn set_console(&mut self, console: Rc<dyn Console>) {
        if let Some(engine) = &self.engine {
            *engine.shared.console.borrow_mut() = console;
        }
    }

    fn invoke<'js>(
        &self,
        ctx: &Ctx<'js>,
        function: Function<'js>,
        session: &Session,
        prototypes: &Rc<HostPrototypes>,
        args: HookArgs<'_>,
    ) -> rquickjs::Result<HookOutcome> {
        let wrapped = || {
            let native = JsSession::new(session.clone(), Rc::clone(prototypes));
            Class::instance(ctx.clone(), native)
        };
        let result: JsValue<'js> = match args {
            HookArgs::Session => function.call((wrapped()?,))?,
            HookArgs::Value(value) => function.call((to_js(ctx, value, prototypes)?,))?,
            HookArgs::NameAndValue(name, value) => {
                function.call((name, to_js(ctx, value, prototypes)?))?
            }
            HookArgs::ValueAndSession(value) => {
                function.call((to_js(ctx, value, prototypes)?, wrapped()?))?
            }
        };
        outcome(ctx, &result)
    }
}

/// A session, a value, or what the promise of one of them settles to.
fn outcome<'js>(ctx: &Ctx<'js>, result: &JsValue<'js>) -> rquickjs::Result<HookOutcome> {
    if let Some(object) = result.as_object() {
        if let Some(session) = object.as_class::<JsSession>() {
            return Ok(HookOutcome::Session(session.borrow().session.clone()));
        }
        if let Some(promise) = result.as_promise() {
            let settled: JsValue<'js> = promise.finish()?;
            return outcome(ctx, &settled);
        }
    }
    from_js(ctx, result).map(HookOutcome::Value)
}

impl Hooks for ScriptHost {
    fn call(
        &mut self,
        function: FnId,
        session: &Session,
        args: HookArgs<'_>,
    ) -> Result<HookOutcome, String> {
        let index = usize::try_from(function).unwrap_or(usize::MAX);
        let (Some(engine), Some(found)) = (&self.engine, self.functions.get(index)) else {
            return Err(format!("function {function} is not defined"));
        };
        engine.watch.arm(self.limits.call);
        let prototypes = &engine.shared.host;
        engine.context.with(|ctx| {
            let result = found
                .clone()
                .restore(&ctx)
                .and_then(|function| self.invoke(&ctx, function, session, prototypes, args));
            run_jobs(&ctx);
            result.map_err(|error| {
                let thrown = caught(&ctx, error);
                if engine.watch.tripped.get() {
                    let place = self.places.get(index).map_or("", String::as_str);
                    let limit = self.limits.call.as_secs_f64();
                    return format!(
                        "function at {place} ran longer than {limit} s and was stopped"
                    );
                }
                thrown.text
            })
        })
    }

    fn has_moments(&self) -> bool {
        self.before.is_some() || self.after.is_some()
    }

    fn moment(&mut self, moment: Moment) -> Result<(), Problem> {
        let (name, function) = match moment {
            Moment::Before => ("before", self.before.take()),
            Moment::After => ("after", self.after.take()),
        };
        let (Some(engine), Some(function)) = (&self.engine, function) else { return Ok(()) };
        engine.watch.arm(self.limits.load);
        engine.context.with(|ctx| {
            let result = function.restore(&ctx).and_then(|function| {
                let result: JsValue<'_> = function.call(())?;
                run_jobs(&ctx);
                match result.as_promise() {
                    Some(promise) => promise.finish::<JsValue<'_>>().map(drop),
                    None => Ok(()),
                }
            });
            let Err(error) = result else { return Ok(()) };
            let mut thrown = caught(&ctx, error);
            if engine.watch.tripped.get() {
                let limit = self.limits.load.as_secs_f64();
                let message = format!("{name}() ran longer than {limit} s and was stopped");
                return Err(problem::plain(ProblemKind::ScriptLimit, message, &self.entry));
            }
            thrown.text = format!("{name}(): {}", thrown.text);
            Err(thrown.into_problem(&engine.graph.borrow(), &self.entry))
        })
    }
}

/// Runs what promises have queued, up to a bound.
fn run_jobs(ctx: &Ctx<'_>) {
    for _ in 0..JOBS_PER_CALL_MAX {
        if !ctx.execute_pending_job() {
            break;
        }
    }
}

fn caught(ctx: &Ctx<'_>, error: rquickjs::Error) -> Thrown {
    match Err::<(), _>(error).catch(ctx) {
        Err(CaughtError::Exception(exception)) => {
            Thrown::new(ctx, exception.into_object().as_value())
        }
        Err(CaughtError::Value(value)) => Thrown::new(ctx, &value),
        Err(CaughtError::Error(rquickjs::Error::WouldBlock)) => {
            Thrown::text("the promise never settles: a simulation has no timers and no network")
        }
        Err(CaughtError::Error(error)) => Thrown::text(&format!("Error: {error}")),
        Ok(()) => Thrown::text("Error"),
    }
}

pub(super) fn load(
    sources: &Arc<dyn Sources>,
    entry: &str,
    options: &LoadOptions,
    console: Rc<dyn Console>,
) -> Result<Loaded, Problem> {
    if entry.ends_with(".json") {
        return load_exported(&**sources, entry);
    }
    let internal = |error: rquickjs::Error| {
        problem::plain(ProblemKind::Internal, format!("the script engine: {error}"), entry)
    };
    let shared = Rc::new(Shared::new(Arc::clone(sources), options, console));
    let engine = Engine::start(sources, &options.limits, shared).map_err(internal)?;
    engine.watch.arm(options.limits.load);
    let started = Instant::now();
    let evaluated = engine.context.with(|ctx| engine.evaluate(&ctx, entry));
    // A native built-in cannot be interrupted, but what it took still counts.
    let over = started.elapsed() > options.limits.load;
    if over || engine.watch.tripped.get() {
        let limit = options.limits.load.as_secs_f64();
        let message = format!("building the simulation took longer than {limit} s");
        return Err(problem::plain(ProblemKind::ScriptLimit, message, entry));
    }
    let parts = evaluated.map_err(|problem| limit_of_memory(problem, &options.limits))?;
    let host = ScriptHost {
        functions: parts.functions,
        places: parts.places,
        before: parts.before,
        after: parts.after,
        engine: Some(engine),
        limits: options.limits,
        entry: entry.to_owned(),
    };
    Ok(Loaded { simulation: parts.simulation, host })
}

fn limit_of_memory(mut problem: Problem, limits: &Limits) -> Problem {
    if problem.message.contains("out of memory") || problem.message.contains("Allocation failed") {
        let mebibytes = limits.memory_bytes >> 20;
        problem.kind = ProblemKind::ScriptLimit;
        problem.message = format!("the script used more than its limit of {mebibytes} MiB");
    }
    problem
}

struct Parts {
    simulation: Simulation,
    functions: Vec<Persistent<Function<'static>>>,
    places: Vec<String>,
    before: Option<Persistent<Function<'static>>>,
    after: Option<Persistent<Function<'static>>>,
}

impl Engine {
    fn start(
        sources: &Arc<dyn Sources>,
        limits: &Limits,
        shared: Rc<Shared>,
    ) -> rquickjs::Result<Self> {
        let runtime = Runtime::new()?;
        runtime.set_memory_limit(limits.memory_bytes);
        runtime.set_max_stack_size(limits.stack_bytes);
        runtime.set_gc_threshold(GC_THRESHOLD_BYTES);
        let watch = Rc::new(Watch::default());
        let asked = Rc::clone(&watch);
        runtime.set_interrupt_handler(Some(Box::new(move || asked.must_stop())));
        let graph = Rc::new(RefCell::new(Graph::new(Arc::clone(sources))));
        runtime.set_loader(GraphResolver(Rc::clone(&graph)), GraphLoader(Rc::clone(&graph)));
        let rejections = Rc::new(RefCell::new(BTreeMap::new()));
        let book: Rc<RefCell<BTreeMap<u64, Thrown>>> = Rc::clone(&rejections);
        runtime.set_host_promise_rejection_tracker(Some(Box::new(
            move |ctx, promise, reason, handled| {
                let mut hasher = DefaultHasher::new();
                promise.hash(&mut hasher);
                if handled {
                    book.borrow_mut().remove(&hasher.finish());
                } else {
                    let thrown = Thrown::new(&ctx, &reason);
                    book.borrow_mut().insert(hasher.finish(), thrown);
                }
            },
        )));
        let context = Context::full(&runtime)?;
        Ok(Self { context, runtime, watch, rejections, graph, shared })
    }

    fn evaluate(&self, ctx: &Ctx<'_>, entry: &str) -> Result<Parts, Problem> {
        let fail = |error: rquickjs::Error| self.failed(ctx, error, entry);
        let native = natives::object(ctx, &self.shared).map_err(fail)?;
        commonjs::natives(ctx, &native, &self.graph).map_err(fail)?;
        ctx.globals().set("__onrush", native.clone()).map_err(fail)?;
        self.run_module(ctx, "onrush:boot", BOOT).map_err(fail)?;
        let run: Function<'_> = native.get("commonjs").map_err(fail)?;
        self.graph.borrow_mut().commonjs = Some(Persistent::save(ctx, run));
        self.shared.host.fill(ctx, &native).map_err(fail)?;
        let text = self.graph.borrow_mut().text(entry)?;
        let exports = self.run_module(ctx, entry, &text).map_err(fail)?;
        run_jobs(ctx);
        self.unhandled(entry)?;
        let moment = |name: &str| {
            let found: JsValue<'_> = exports.get(name)?;
            Ok(found.as_function().map(|it| Persistent::save(ctx, it.clone())))
        };
        let (before, after) = (moment("before").map_err(fail)?, moment("after").map_err(fail)?);
        let build: Function<'_> = native.get("build").map_err(fail)?;
        let graph: String = build.call((exports, entry)).map_err(fail)?;
        run_jobs(ctx);
        self.unhandled(entry)?;
        let simulation = parse(&graph, entry)?;
        native
            .get::<_, Function<'_>>("thaw")
            .and_then(|thaw| thaw.call::<_, ()>(()))
            .map_err(fail)?;
        let (functions, places) = self.functions(ctx, &native).map_err(fail)?;
        Ok(Parts { simulation, functions, places, before, after })
    }

    fn run_module<'js>(
        &self,
        ctx: &Ctx<'js>,
        name: &str,
        text: &str,
    ) -> rquickjs::Result<Object<'js>> {
        let module = Module::declare(ctx.clone(), name, text)?;
        let (module, promise): (_, Promise<'js>) = module.eval()?;
        promise.finish::<()>()?;
        module.namespace()
    }

    fn failed(&self, ctx: &Ctx<'_>, error: rquickjs::Error, entry: &str) -> Problem {
        let thrown = caught(ctx, error);
        let mut graph = self.graph.borrow_mut();
        let stored = graph.problem.take();
        stored.unwrap_or_else(|| thrown.into_problem(&graph, entry))
    }

    /// The first rejection that nothing has handled.
    fn unhandled(&self, entry: &str) -> Result<(), Problem> {
        match self.rejections.borrow_mut().pop_first() {
            Some((_, mut thrown)) => {
                thrown.text = format!("unhandled promise rejection: {}", thrown.text);
                Err(thrown.into_problem(&self.graph.borrow(), entry))
            }
            None => Ok(()),
        }
    }

    fn functions<'js>(
        &self,
        ctx: &Ctx<'js>,
        native: &Object<'js>,
    ) -> rquickjs::Result<(Vec<Persistent<Function<'static>>>, Vec<String>)> {
        let table: Vec<Function<'js>> = native.get("functions")?;
        let origins: Vec<Object<'js>> = native.get("origins")?;
        let places = origins.iter().map(|origin| self.place(origin)).collect();
        Ok((table.into_iter().map(|function| Persistent::save(ctx, function)).collect(), places))
    }

    /// `sim.js:12:5`, in the file as written.
    fn place(&self, function: &Object<'_>) -> String {
        let number = |name| function.get::<_, u32>(name).unwrap_or(1);
        let file: String = function.get("fileName").unwrap_or_default();
        let evaluated = Place { line: number("lineNumber"), column: number("columnNumber") };
        let place = self.graph.borrow().original(&file, evaluated);
        format!("{file}:{}:{}", place.line, place.column)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // See `HostPrototypes`: the collector cannot break this cycle by itself.
        self.shared.host.clear();
        self.graph.borrow_mut().commonjs = None;
        self.runtime.run_gc();
    }
}

fn parse(graph: &str, entry: &str) -> Result<Simulation, Problem> {
    if graph.len() > GRAPH_BYTES_MAX {
        let message = format!(
            "the simulation's graph is {} MiB; the limit is {} MiB",
            graph.len() >> 20,
            GRAPH_BYTES_MAX >> 20
        );
        return Err(problem::plain(ProblemKind::ScriptLimit, message, entry));
    }
    let simulation: Simulation = serde_json::from_str(graph).map_err(|error| {
        let message = format!("the SDK built a graph that does not parse: {error}");
        problem::plain(ProblemKind::Internal, message, entry)
    })?;
    validated(simulation, entry)
}

fn validated(simulation: Simulation, entry: &str) -> Result<Simulation, Problem> {
    match ir::validate(&simulation) {
        Ok(()) => Ok(simulation),
        Err(message) => Err(problem::plain(ProblemKind::Script, message, entry)),
    }
}

/// Exported IR: the same graph, without functions.
fn load_exported(sources: &dyn Sources, entry: &str) -> Result<Loaded, Problem> {
    let missing = |message| problem::plain(ProblemKind::FileMissing, message, entry);
    let bytes = sources
        .read(entry)
        .map_err(missing)?
        .ok_or_else(|| missing(format!("simulation file {entry} not found")))?;
    let simulation: Simulation = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("{entry} is not a simulation graph: {error}");
        problem::plain(ProblemKind::FileInvalid, message, entry)
    })?;
    if simulation.functions > 0 {
        let message = format!(
            "{entry} refers to {} script functions, which a graph alone does not hold; run the \
             script it was exported from",
            simulation.functions
        );
        return Err(problem::plain(ProblemKind::FileInvalid, message, entry));
    }
    let simulation = validated(simulation, entry)?;
    Ok(Loaded { simulation, host: ScriptHost::empty() })
}

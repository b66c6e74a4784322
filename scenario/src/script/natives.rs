//! The few things the SDK cannot do in JavaScript: parameters, resources, expression language,
//! console, seeded randomness. Handed to `sdk/base.js` as one object and then taken off the global
//! scope, so a simulation cannot reach it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use rquickjs::function::{Function, Opt};
use rquickjs::{Array, Class, Ctx, Exception, Object, Result, Value as JsValue};

use super::session::JsSession;
use super::store::{self, GlobalStore};
use super::values::{HostPrototypes, from_js, to_js};
use super::{Console, LoadOptions, Sources, sources};
use crate::charset::Charset;
use crate::check::{CheckSpec, CompiledChecks};
use crate::el::Template;
use crate::expr::{EvalCtx, NoHooks};
use crate::feed::{Feeder, FeederSpec, Files};
use crate::pebble;
use crate::shard::OutputStream;
use crate::value::Value;

/// Parsed templates kept for bodies used as functions; beyond this many, the cache starts over.
const TEMPLATES_MAX: usize = 256;

/// What natives share with the host that owns the runtime.
pub(super) struct Shared {
    pub(super) sources: Arc<dyn Sources>,
    pub(super) options: LoadOptions,
    pub(super) console: RefCell<Rc<dyn Console>>,
    pub(super) rng: RefCell<SmallRng>,
    /// Filled once `sdk/base.js` has run.
    pub(super) host: Rc<HostPrototypes>,
    templates: RefCell<HashMap<String, Template>>,
    pebbles: RefCell<HashMap<String, pebble::Template>>,
    pub(super) store: RefCell<Arc<GlobalStore>>,
    /// Inside `GlobalStore.update`, whose function must leave the store alone.
    updating: Cell<bool>,
}

impl Shared {
    pub(super) fn new(
        sources: Arc<dyn Sources>,
        options: &LoadOptions,
        console: Rc<dyn Console>,
    ) -> Self {
        Self {
            sources,
            options: options.clone(),
            console: RefCell::new(console),
            rng: RefCell::new(SmallRng::seed_from_u64(options.seed)),
            host: Rc::default(),
            templates: RefCell::default(),
            pebbles: RefCell::default(),
            store: RefCell::default(),
            updating: Cell::new(false),
        }
    }

    pub(super) fn reseed(&self, seed: u64) {
        *self.rng.borrow_mut() = SmallRng::seed_from_u64(seed);
    }

    fn log(&self, stream: OutputStream, text: &str) {
        let console = Rc::clone(&self.console.borrow());
        for line in text.split('\n') {
            console.line(stream, line);
        }
    }

    fn pebble(&self, text: &str) -> std::result::Result<pebble::Template, String> {
        if let Some(found) = self.pebbles.borrow().get(text) {
            return Ok(found.clone());
        }
        let parsed = pebble::Template::parse(text)?;
        let mut pebbles = self.pebbles.borrow_mut();
        if pebbles.len() >= TEMPLATES_MAX {
            pebbles.clear();
        }
        pebbles.insert(text.to_owned(), parsed.clone());
        Ok(parsed)
    }

    fn template(&self, text: &str) -> std::result::Result<Template, String> {
        if let Some(found) = self.templates.borrow().get(text) {
            return Ok(found.clone());
        }
        let parsed = Template::parse(text)?;
        let mut templates = self.templates.borrow_mut();
        if templates.len() >= TEMPLATES_MAX {
            templates.clear();
        }
        templates.insert(text.to_owned(), parsed.clone());
        Ok(parsed)
    }
}

/// The object that the SDK gets.
pub(super) fn object<'js>(ctx: &Ctx<'js>, shared: &Rc<Shared>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    environment(ctx, &native, shared)?;
    resources(ctx, &native, shared)?;
    expressions(ctx, &native, shared)?;
    global_store(ctx, &native, shared)?;
    feeders(ctx, &native, shared)?;
    let random = {
        let shared = Rc::clone(shared);
        move || shared.rng.borrow_mut().random::<f64>()
    };
    native.set("random", Function::new(ctx.clone(), random)?)?;
    let java_text =
        |ctx: Ctx<'js>, value: JsValue<'js>| from_js(&ctx, &value).map(|value| value.to_string());
    native.set("javaText", Function::new(ctx.clone(), java_text)?)?;
    let frozen = {
        let shared = Rc::clone(shared);
        #[expect(clippy::cast_precision_loss, reason = "JavaScript's numbers are doubles")]
        move || shared.options.unix_ms.map(|ms| ms as f64)
    };
    native.set("frozenMillis", Function::new(ctx.clone(), frozen)?)?;
    Ok(native)
}

fn environment<'js>(ctx: &Ctx<'js>, native: &Object<'js>, shared: &Rc<Shared>) -> Result<()> {
    let parameter = {
        let shared = Rc::clone(shared);
        move |name: String| shared.options.parameters.get(&name).cloned()
    };
    native.set("parameter", Function::new(ctx.clone(), parameter)?)?;
    let variable = {
        let shared = Rc::clone(shared);
        move |name: String| shared.options.environment.get(&name).cloned()
    };
    native.set("environment", Function::new(ctx.clone(), variable)?)?;
    for (name, stream) in [("out", OutputStream::Stdout), ("err", OutputStream::Stderr)] {
        let shared = Rc::clone(shared);
        let log = move |text: String| shared.log(stream, &text);
        native.set(name, Function::new(ctx.clone(), log)?)?;
    }
    Ok(())
}

fn resources<'js>(ctx: &Ctx<'js>, native: &Object<'js>, shared: &Rc<Shared>) -> Result<()> {
    let missing = {
        let shared = Rc::clone(shared);
        move |path: String| sources::resource(&*shared.sources, &path).err()
    };
    // The text of what is wrong with a resource, or nothing.
    native.set("resourceProblem", Function::new(ctx.clone(), missing)?)?;
    let text = {
        let shared = Rc::clone(shared);
        move |ctx: Ctx<'js>, path: String, charset: Opt<Option<String>>| {
            let bytes = read(&ctx, &shared, &path)?;
            decode(&bytes, charset.0.flatten().as_deref())
                .map_err(|error| Exception::throw_message(&ctx, &format!("{path}: {error}")))
        }
    };
    native.set("resourceText", Function::new(ctx.clone(), text)?)?;
    let bytes = {
        let shared = Rc::clone(shared);
        move |ctx: Ctx<'js>, path: String| {
            let array = Array::new(ctx.clone())?;
            for (index, byte) in read(&ctx, &shared, &path)?.iter().enumerate() {
                array.set(index, i32::from(byte.cast_signed()))?;
            }
            Ok::<_, rquickjs::Error>(array)
        }
    };
    native.set("resourceBytes", Function::new(ctx.clone(), bytes)?)
}

fn read(ctx: &Ctx<'_>, shared: &Shared, path: &str) -> Result<bytes::Bytes> {
    sources::resource(&*shared.sources, path).map_err(|error| Exception::throw_message(ctx, &error))
}

fn decode(bytes: &[u8], charset: Option<&str>) -> std::result::Result<String, String> {
    let label = charset.unwrap_or("utf-8");
    let charset = Charset::named(label).ok_or_else(|| format!("unknown charset {label}"))?;
    let text = charset.decode(bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

fn expressions<'js>(ctx: &Ctx<'js>, native: &Object<'js>, shared: &Rc<Shared>) -> Result<()> {
    // What is wrong with an expression-language string, or nothing.
    native.set(
        "elProblem",
        Function::new(ctx.clone(), |text: String| Template::parse(&text).err())?,
    )?;
    // What is wrong with a regular expression, or nothing.
    let regex = |pattern: String| crate::java_regex::Regex::whole(&pattern).err();
    native.set("regexProblem", Function::new(ctx.clone(), regex)?)?;
    // What is wrong with a check's patterns, or nothing.
    native.set("checkProblem", Function::new(ctx.clone(), |spec: String| check_problem(&spec))?)?;
    let evaluate = {
        let shared = Rc::clone(shared);
        move |ctx: Ctx<'js>, text: String, session: Class<'js, JsSession>| {
            evaluate(&ctx, &shared, &text, &session)
        }
    };
    native.set("elValue", Function::new(ctx.clone(), evaluate)?)
}

type Store = HashMap<String, Value>;

/// One native for all of the store: `(key, value, function)`, of which the last two may be missing.
/// `f` sees the locked map.
fn with_store<'js, T>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    f: impl FnOnce(&mut Store) -> std::result::Result<T, String>,
) -> Result<T> {
    if shared.updating.get() {
        let text = "the function of GlobalStore.update must not use the GlobalStore";
        return Err(Exception::throw_message(ctx, text));
    }
    let store = Arc::clone(&shared.store.borrow());
    let outcome = f(&mut store.lock());
    outcome.map_err(|error| Exception::throw_message(ctx, &error))
}

fn global_store<'js>(ctx: &Ctx<'js>, native: &Object<'js>, shared: &Rc<Shared>) -> Result<()> {
    let get = {
        let shared = Rc::clone(shared);
        move |ctx: Ctx<'js>, key: String| {
            let found = with_store(&ctx, &shared, |map| Ok(map.get(&key).cloned()))?;
            given(&ctx, &shared, found)
        }
    };
    native.set("storeGet", Function::new(ctx.clone(), get)?)?;
    let put = {
        let shared = Rc::clone(shared);
        move |ctx: Ctx<'js>, key: String, value: JsValue<'js>| {
            let value = from_js(&ctx, &value)?;
            let before = with_store(&ctx, &shared, |map| store::set(map, key, value))?;
            given(&ctx, &shared, before)
        }
    };
    native.set("storePut", Function::new(ctx.clone(), put)?)?;
    let update = {
        let shared = Rc::clone(shared);
        move |ctx: Ctx<'js>, key: String, f: Function<'js>| update(&ctx, &shared, key, &f)
    };
    native.set("storeUpdate", Function::new(ctx.clone(), update)?)?;
    let clear = {
        let shared = Rc::clone(shared);
        move |ctx: Ctx<'js>| {
            with_store(&ctx, &shared, |map| {
                map.clear();
                Ok(())
            })
        }
    };
    native.set("storeClear", Function::new(ctx.clone(), clear)?)
}

/// A missing value is `undefined`.
fn given<'js>(ctx: &Ctx<'js>, shared: &Shared, value: Option<Value>) -> Result<JsValue<'js>> {
    value.map_or_else(
        || Ok(JsValue::new_undefined(ctx.clone())),
        |value| to_js(ctx, &value, &shared.host),
    )
}

/// Other threads wait meanwhile.
fn update<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    key: String,
    f: &Function<'js>,
) -> Result<JsValue<'js>> {
    let mut outcome = Ok(JsValue::new_undefined(ctx.clone()));
    with_store(ctx, shared, |map| {
        shared.updating.set(true);
        let made = given(ctx, shared, map.get(&key).cloned())
            .and_then(|old| f.call::<_, JsValue<'js>>((old,)))
            .and_then(|new| from_js(ctx, &new));
        shared.updating.set(false);
        match made {
            Ok(value) => {
                outcome = given(ctx, shared, Some(value.clone()).filter(|it| !it.is_null()));
                store::set(map, key, value).map(|_| ())
            }
            Err(error) => {
                outcome = Err(error);
                Ok(())
            }
        }
    })?;
    outcome
}

fn feeders<'js>(ctx: &Ctx<'js>, native: &Object<'js>, shared: &Rc<Shared>) -> Result<()> {
    let count = {
        let shared = Rc::clone(shared);
        move |ctx: Ctx<'js>, spec: String| {
            records_of(&shared, &spec).map_err(|error| Exception::throw_message(&ctx, &error))
        }
    };
    native.set("recordsCount", Function::new(ctx.clone(), count)?)?;
    // What is wrong with a Pebble template, or nothing.
    let problem = |text: String| pebble::Template::parse(&text).err();
    native.set("pebbleProblem", Function::new(ctx.clone(), problem)?)?;
    let pebble = {
        let shared = Rc::clone(shared);
        move |ctx: Ctx<'js>, text: String, session: Class<'js, JsSession>| {
            let rendered = shared.pebble(&text).and_then(|it| it.render(&session.borrow().session));
            rendered.map_err(|error| Exception::throw_message(&ctx, &error))
        }
    };
    native.set("pebbleValue", Function::new(ctx.clone(), pebble)?)
}

fn records_of(shared: &Shared, spec: &str) -> std::result::Result<f64, String> {
    let spec: FeederSpec = serde_json::from_str(spec).map_err(|error| error.to_string())?;
    let files = SourceFiles(Arc::clone(&shared.sources));
    let feeder = Feeder::load(&spec, &files).map_err(|problem| problem.message)?;
    #[expect(clippy::cast_precision_loss, reason = "a feeder has at most 2^32 records")]
    let count = feeder.records() as f64;
    Ok(count)
}

/// A simulation's data files, while it is loaded.
struct SourceFiles(Arc<dyn Sources>);

impl Files for SourceFiles {
    fn open(&self, path: &str) -> std::io::Result<Option<Box<dyn std::io::Read>>> {
        let content = self.0.read(path).map_err(std::io::Error::other)?;
        Ok(content.map(|bytes| Box::new(std::io::Cursor::new(bytes)) as Box<_>))
    }
}

fn check_problem(spec: &str) -> Option<String> {
    match serde_json::from_str::<CheckSpec>(spec) {
        Ok(spec) => CompiledChecks::compile(&[spec], &[]).err(),
        Err(error) => Some(format!("the check does not parse: {error}")),
    }
}

/// Bodies used as functions: `bodyString().is(ElFileBody("x.json"))`.
fn evaluate<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    text: &str,
    session: &Class<'js, JsSession>,
) -> Result<JsValue<'js>> {
    let template = shared.template(text).map_err(|error| Exception::throw_message(ctx, &error))?;
    let mut rng = shared.rng.borrow_mut();
    let mut hooks = NoHooks;
    let mut eval = EvalCtx { hooks: &mut hooks, rng: &mut rng, unix_ms: wall_clock_ms() };
    let value = template
        .eval(&session.borrow().session, &mut eval)
        .map_err(|error| Exception::throw_message(ctx, &error))?;
    to_js(ctx, &value, &shared.host)
}

/// The one reading of the wall clock here: a script has `Date.now()` anyway.
fn wall_clock_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

//! From a shard's spec to a loaded simulation, its feeders and its plan. Each engine thread loads
//! the script for itself; the coordinator loads it first, and its findings are the user's.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::arrivals::scenario_seed;
use super::frames::PlannedUsers;
use super::reserve::{AHEAD_MIN, SECONDS_AHEAD};
use super::shared::problem;
use crate::expr::{Hooks, NoHooks};
use crate::feed::{Feeder, Files};
use crate::inject::division::Segments;
use crate::inject::throttle::Limits;
use crate::inject::{self, InjectionSpec, Load, LoadChange, closed, schedule};
use crate::ir::{Population, Simulation, VERSION};
use crate::program::{Program, ScenarioProgram};
use crate::protocol::Protocols;
use crate::script::{self, Console, DirSources, GlobalStore, LoadOptions, Sources};
use crate::shard::{Plan, Problem, ProblemKind, ShardSpec};
use crate::stats::frame::PlanRevision;
use crate::time::{MICROS_PER_SECOND, Micros};

/// A simulation on one thread.
pub(super) struct Loaded {
    pub simulation: Simulation,
    pub hooks: Box<dyn Hooks>,
    pub program: Program,
}

/// # Errors
/// Why the simulation cannot run, with the place where there is one.
pub(super) fn load(
    spec: &ShardSpec,
    unix_ms: i64,
    seed: u64,
    console: Consoles,
    store: &Arc<GlobalStore>,
) -> Result<Loaded, Problem> {
    let sources: Arc<dyn Sources> = Arc::new(DirSources::new(&spec.root));
    let (simulation, hooks) =
        if Path::new(&spec.simulation).extension().is_some_and(|it| it == "json") {
            (load_json(&*sources, &spec.simulation)?, Box::new(NoHooks) as Box<dyn Hooks>)
        } else {
            let options = LoadOptions {
                parameters: spec.parameters.clone(),
                environment: spec.environment.clone(),
                seed: spec.seed,
                unix_ms: Some(unix_ms),
                ..LoadOptions::default()
            };
            let loaded = script::load(&sources, &spec.simulation, &options, console.loading)?;
            let mut host = loaded.host;
            host.reseed(seed);
            host.set_console(console.running);
            host.set_store(Arc::clone(store));
            (loaded.simulation, Box::new(host) as Box<dyn Hooks>)
        };
    let protocols =
        Protocols::new(&sources).map_err(|message| problem(ProblemKind::Internal, message))?;
    let program = Program::compile(&simulation, protocols).map_err(|error| {
        let mut problem = problem(ProblemKind::Script, error.to_string());
        problem.file = Some(spec.simulation.clone());
        problem
    })?;
    Ok(Loaded { simulation, hooks, program })
}

/// Where the script's console goes while it is loaded, and afterwards.
pub(super) struct Consoles {
    pub loading: Rc<dyn Console>,
    pub running: Rc<dyn Console>,
}

/// An exported graph: no script, so no functions.
fn load_json(sources: &dyn Sources, path: &str) -> Result<Simulation, Problem> {
    let here = |kind, message: String| {
        let mut problem = problem(kind, message);
        problem.file = Some(path.to_owned());
        problem
    };
    let bytes = sources
        .read(path)
        .map_err(|message| here(ProblemKind::FileInvalid, message))?
        .ok_or_else(|| here(ProblemKind::FileMissing, format!("{path} is not there")))?;
    let simulation: Simulation = serde_json::from_slice(&bytes).map_err(|error| {
        let mut problem = here(ProblemKind::FileInvalid, error.to_string());
        problem.line = u32::try_from(error.line()).ok();
        problem.column = u32::try_from(error.column()).ok();
        problem
    })?;
    if simulation.version != VERSION {
        let found = simulation.version;
        let message = format!("the graph has version {found}, this engine runs version {VERSION}");
        return Err(here(ProblemKind::FileInvalid, message));
    }
    if simulation.functions > 0 {
        let message = "a graph without its script cannot have functions".to_owned();
        return Err(here(ProblemKind::FileInvalid, message));
    }
    Ok(simulation)
}

/// The data files of a simulation: below its folder, never outside.
pub(super) struct DataFiles {
    pub root: PathBuf,
}

impl Files for DataFiles {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn io::Read>>> {
        let root = self.root.canonicalize()?;
        let found = match root.join(path).canonicalize() {
            Ok(found) => found,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if !found.starts_with(&root) {
            return Err(io::Error::other("leads outside the project"));
        }
        if !found.is_file() {
            return Ok(None);
        }
        Ok(Some(Box::new(io::BufReader::new(File::open(found)?))))
    }
}

/// # Errors
/// A data file that is missing or malformed.
pub(super) fn feeders(
    spec: &ShardSpec,
    simulation: &Simulation,
    segments: &Segments,
) -> Result<Vec<Feeder>, Problem> {
    let files = DataFiles { root: spec.root.clone() };
    let load = |(index, feeder)| {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Ok(Feeder::load(feeder, &files)?.divided(segments, spec.seed, index))
    };
    simulation.feeders.iter().enumerate().map(load).collect()
}

/// The end that `maxDuration`, the spec and the throttle set, whichever comes first.
pub(super) fn max_duration(spec: &ShardSpec, simulation: &Simulation) -> Option<Micros> {
    let own = spec.max_duration_us.or(simulation.max_duration_us);
    let throttle = Limits::new(&simulation.throttle).ok().map(|limits| limits.duration_us());
    let throttle = throttle.filter(|_| !simulation.throttle.is_empty());
    match (own, throttle) {
        (Some(own), Some(throttle)) => Some(own.min(throttle)),
        (own, throttle) => own.or(throttle),
    }
}

/// # Errors
/// When the graph cannot be hashed or a rendez-vous can never open on this shard.
pub(super) fn plan(
    spec: &ShardSpec,
    loaded: &Loaded,
    feeders: &[Feeder],
    segments: &Segments,
) -> Result<Plan, Problem> {
    let simulation = &loaded.simulation;
    let internal = |error: serde_json::Error| problem(ProblemKind::Internal, error.to_string());
    refuse_split_rendez_vous(spec, loaded, segments)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.update(&serde_json::to_vec(simulation).map_err(internal)?);
    for feeder in feeders {
        hasher.update(feeder.name().as_bytes());
        hasher.update(&feeder.records().to_le_bytes());
    }
    Ok(Plan {
        plan_hash: hasher.finalize().to_hex().to_string(),
        simulation: simulation.name.clone(),
        scenarios: loaded
            .program
            .scenarios
            .iter()
            .map(|it| (it.name.to_string(), it.inject.planned_users()))
            .collect(),
        undivided: loaded
            .program
            .scenarios
            .iter()
            .filter(|it| it.no_shard)
            .map(|it| it.name.to_string())
            .collect(),
        injection_us: simulation.populations.iter().map(injection_us).max().unwrap_or(0),
        stages: followers(&loaded.program),
        max_duration_us: max_duration(spec, simulation),
        assertions: serde_json::to_value(&simulation.assertions).map_err(internal)?,
    })
}

fn followers(program: &Program) -> u32 {
    let count = program.scenarios.iter().filter(|it| !it.after.is_empty()).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The profile of a scenario, kept to tell what it comes to under another load.
pub(super) struct Profile {
    scenario: Arc<str>,
    inject: InjectionSpec,
    seed: u64,
}

pub(super) fn profiles(spec: &ShardSpec, loaded: &Loaded) -> Vec<Profile> {
    let of = |it: &ScenarioProgram| Profile {
        scenario: Arc::clone(&it.name),
        inject: it.inject.clone(),
        seed: scenario_seed(spec.seed, &it.name),
    };
    loaded.program.scenarios.iter().map(of).collect()
}

/// What the profiles of the open model say. `starts`: when each population began, since the common
/// start; one that has not is planned as if it did after all changes of the load.
pub(super) fn planned_users(
    profiles: &[Profile],
    starts: &[Option<Micros>],
    changes: &[LoadChange],
) -> Vec<PlannedUsers> {
    let load = Load::new(changes);
    let begun = starts.iter().flatten().filter(|start| **start > 0).count();
    let revision = PlanRevision {
        loads: u16::try_from(changes.len()).unwrap_or(u16::MAX),
        begun: u16::try_from(begun).unwrap_or(u16::MAX),
    };
    let of = |(it, start): (&Profile, &Option<Micros>)| {
        let load = load.since(start.unwrap_or(Micros::MAX));
        let all = inject::load::planned_users(&it.inject, &load, it.seed);
        PlannedUsers { scenario: it.scenario.to_string(), all, revision }
    };
    profiles.iter().zip(starts).map(of).collect()
}

/// What each shard of the job reserves of feeders and counters before its first frame is committed:
/// a pure function of the simulation, so that who takes over knows it. Two records for each user
/// that the whole job starts in the time that a reservation covers.
pub(super) fn ahead(spec: &ShardSpec, loaded: &Loaded) -> u64 {
    const COVERED_US: Micros = SECONDS_AHEAD * MICROS_PER_SECOND;
    /// Nobody counts further.
    const USERS_MAX: usize = 5_000_000;
    let Loaded { simulation, program, .. } = loaded;
    if simulation.feeders.is_empty() && program.counters == 0 {
        return 0;
    }
    fn users(spec: &ShardSpec, population: &Population) -> u64 {
        let name = population.scenario.name.as_str().into();
        let own = match &population.inject {
            InjectionSpec::Open(steps) => {
                let all = schedule(steps, scenario_seed(spec.seed, &name));
                all.take(USERS_MAX).take_while(|arrival| arrival.at_us < COVERED_US).count() as u64
            }
            InjectionSpec::Closed(steps) => closed::Profile::new(steps).most(),
        };
        population.children.iter().map(|it| users(spec, it)).fold(own, u64::max)
    }
    let users = simulation.populations.iter().map(|it| users(spec, it));
    AHEAD_MIN.saturating_add(users.fold(0, u64::saturating_add).saturating_mul(2))
}

fn injection_us(population: &Population) -> Micros {
    let mut total = population.inject.duration_us();
    // Those of one stage run beside each other.
    for stage in population.children.chunk_by(|a, b| a.stage == b.stage) {
        total = total.saturating_add(stage.iter().map(injection_us).max().unwrap_or(0));
    }
    total
}

/// A rendez-vous counts the users of one shard; in a divided job it must be able to open on its
/// own, otherwise it would hold its users for ever.
fn refuse_split_rendez_vous(
    spec: &ShardSpec,
    loaded: &Loaded,
    segments: &Segments,
) -> Result<(), Problem> {
    let whole = segments.owned().len() == segments.total() as usize;
    let Some(&users) = loaded.program.rendez_vous.iter().max() else { return Ok(()) };
    let planned: Option<u64> = loaded
        .program
        .scenarios
        .iter()
        .map(|it| it.inject.planned_users().map(|count| segments.closed_share(count)))
        .sum();
    // Who takes over opens it when nobody is left who could.
    if spec.takes_over || whole || planned.is_none_or(|planned| planned >= u64::from(users)) {
        return Ok(());
    }
    let mut problem = problem(
        ProblemKind::Script,
        format!(
            "rendezVous({users}) cannot open in a job that is divided: this shard starts {} \
             users; run it on {}",
            planned.unwrap_or(0),
            if spec.part.is_some() { "fewer --processes" } else { "fewer nodes or whole on one" },
        ),
    );
    problem.file = Some(spec.simulation.clone());
    Err(problem)
}

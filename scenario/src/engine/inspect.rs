//! A simulation without running it: loaded as a run loads it, then its graph, its plan, its files,
//! and what is wrong with them. What `onrush check` shows. Opens no connection.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::clock;
use super::load::{self, Consoles, DataFiles};
use super::shared::problem;
use crate::feed::{FeederSource, FeederSpec, Strategy, files};
use crate::inject::division::Segments;
use crate::ir::{Population, Simulation, bodies};
use crate::protocol;
use crate::script::{Console, GlobalStore};
use crate::shard::{OutputStream, Plan, Problem, ProblemKind, ShardSpec};
use crate::step::Step;

/// What a simulation is and needs.
#[derive(Debug)]
pub struct Inspection {
    pub simulation: Simulation,
    pub plan: Plan,
    pub files: Vec<FileUse>,
    /// The run would start, and fail in these places.
    pub problems: Vec<Problem>,
    /// What the script wrote while it was loaded.
    pub output: Vec<(OutputStream, String)>,
}

/// A file beside the script that a run reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileUse {
    /// As the script says: `csv(users.csv)`, `body order.json`.
    pub name: String,
    /// Inside the simulation's folder.
    pub path: String,
    pub bytes: u64,
    /// Of feeders.
    pub records: Option<u64>,
}

#[derive(Default)]
struct Kept(Mutex<Vec<(OutputStream, String)>>);

impl Console for Kept {
    fn line(&self, stream: OutputStream, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((stream, line.to_owned()));
    }
}

/// # Errors
/// Why the simulation would not start, with the place where there is one.
pub fn inspect(spec: &ShardSpec) -> Result<Inspection, Problem> {
    let console = Rc::new(Kept::default());
    let consoles =
        Consoles { loading: Rc::clone(&console) as Rc<_>, running: Rc::clone(&console) as Rc<_> };
    let unix_ms =
        spec.unix_ms.unwrap_or_else(|| i64::try_from(clock::unix_us() / 1_000).unwrap_or(i64::MAX));
    let store: Arc<GlobalStore> = Arc::default();
    let loaded = load::load(spec, unix_ms, spec.seed, consoles, &store)?;
    let segments = Segments::new(spec.segments_total, &spec.segments)
        .map_err(|message| problem(ProblemKind::Internal, message))?;
    let feeders = load::feeders(spec, &loaded.simulation, &segments)?;
    let plan = load::plan(spec, &loaded, &feeders, &segments)?;
    let places = Places(DataFiles { root: spec.root.clone() });
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (feeder, spec) in feeders.iter().zip(&loaded.simulation.feeders) {
        let path = match &spec.source {
            FeederSource::Separated { path, .. }
            | FeederSource::Json { path }
            | FeederSource::Sitemap { path } => path,
            FeederSource::JsonUrl { .. }
            | FeederSource::Records(_)
            | FeederSource::Script { .. } => continue,
        };
        if let Some((path, bytes)) = places.find(path) {
            let name = crate::tree::feeder(spec);
            let used = FileUse { name, path, bytes, records: Some(feeder.records()) };
            if !found.contains(&used) {
                found.push(used);
            }
        }
    }
    for path in body_files(&loaded.simulation) {
        match places.find(&path) {
            Some((place, bytes)) => found.push(FileUse {
                name: format!("body {path}"),
                path: place,
                bytes,
                records: None,
            }),
            None => problems.push(problem(
                ProblemKind::FileMissing,
                format!("Resource {path} not found: every request with this body would fail"),
            )),
        }
    }
    let records: Vec<u64> = feeders.iter().map(crate::feed::Feeder::records).collect();
    each_population(&loaded.simulation.populations, &mut |population| {
        problems.extend(starving(&loaded.simulation, &records, population));
    });
    let output = std::mem::take(&mut *console.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Inspection { simulation: loaded.simulation, plan, files: found, problems, output })
}

struct Places(DataFiles);

impl Places {
    /// Where a file is, and its size.
    fn find(&self, path: &str) -> Option<(String, u64)> {
        files::candidates(path).ok()?.into_iter().find_map(|candidate| {
            let root = self.0.root.canonicalize().ok()?;
            let full = root.join(&candidate).canonicalize().ok()?;
            let metadata = full.metadata().ok().filter(std::fs::Metadata::is_file)?;
            full.starts_with(&root).then_some((candidate, metadata.len()))
        })
    }
}

fn each_population<'a>(populations: &'a [Population], visit: &mut dyn FnMut(&'a Population)) {
    for population in populations {
        visit(population);
        each_population(&population.children, visit);
    }
}

/// Bodies that are read from files whose names no user changes, each once.
fn body_files(simulation: &Simulation) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    each_population(&simulation.populations, &mut |population| {
        let mut open: Vec<&[Step]> = vec![&population.scenario.steps];
        while let Some(steps) = open.pop() {
            for step in steps {
                if let Step::Action(action) = step {
                    found.extend(protocol::describe(action).files);
                }
                bodies(step, &mut open);
            }
        }
    });
    found.sort();
    found.dedup();
    found
}

/// Feeders in queue order that have fewer records than users who surely take one.
fn starving(simulation: &Simulation, records: &[u64], population: &Population) -> Vec<Problem> {
    let Some(users) = population.inject.planned_users() else { return Vec::new() };
    let name = &population.scenario.name;
    let short = |step: &Step| {
        let Step::Feed(feed) = step else { return None };
        let index = usize::try_from(feed.feeder).ok()?;
        let (spec, records): (&FeederSpec, u64) =
            (simulation.feeders.get(index)?, *records.get(index)?);
        if spec.strategy != Strategy::Queue || records >= users {
            return None;
        }
        let feeder = spec.source.name();
        let message = format!(
            "{feeder} has {records} records in queue order, but {name} starts {users} users and \
             each takes one: the run would end with \"Feeder {feeder} crashed: feeder is now \
             empty.\"; use circular() or random(), or add records"
        );
        Some(problem(ProblemKind::Crash, message))
    };
    population.scenario.steps.iter().filter_map(short).collect()
}

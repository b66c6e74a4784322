//! From the graph to what virtual users run: one flat array of operations with jump targets, built
//! once per engine thread. Pure; whatever cannot be right is refused here, before any load.

use std::rc::Rc;
use std::sync::Arc;

use crate::expr::{Compiled, Expr, FnId};
use crate::inject::throttle::Limits;
use crate::inject::{InjectionSpec, ThrottleStep};
use crate::ir::{ActionSpec, Population, ProtocolSpec, Simulation};
use crate::protocol::{Action, Bound, Protocols};
use crate::step::{Op, PauseKind, Step};

/// Nesting of blocks; the IR's JSON cannot go much deeper either.
const DEPTH_MAX: u32 = 64;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("scenario {scenario}: {message}")]
    Invalid { scenario: String, message: String },
    #[error("No scenario configured, make sure to call setUp.")]
    NoScenario,
    #[error("Scenario names must be unique but found duplicates: List({0})")]
    DuplicateScenario(String),
    #[error("Scenario {0} is empty")]
    EmptyScenario(String),
    #[error("Scenario name cannot be empty")]
    UnnamedScenario,
    #[error("{0}")]
    Protocol(String),
}

/// A simulation, ready to run on one thread.
pub struct Program {
    ops: Vec<Op>,
    pub scenarios: Vec<ScenarioProgram>,
    actions: Vec<Rc<dyn Action>>,
    /// Users each rendez-vous holds back.
    pub rendez_vous: Vec<u32>,
    pub round_robins: u32,
    pub counters: u32,
    pub queues: u32,
    pub protocols: Protocols,
}

/// One population: parents come before their children.
pub struct ScenarioProgram {
    pub name: Arc<str>,
    pub entry: u32,
    pub inject: InjectionSpec,
    pub throttle: Vec<ThrottleStep>,
    /// Run whole on one node.
    pub no_shard: bool,
    /// Indices of the populations after which it starts.
    pub after: Vec<u32>,
}

impl Program {
    /// # Errors
    /// What is wrong with the graph, and in which scenario.
    pub fn compile(simulation: &Simulation, protocols: Protocols) -> Result<Self, Error> {
        if simulation.populations.is_empty() {
            return Err(Error::NoScenario);
        }
        let mut compiler = Compiler {
            simulation,
            program: Self {
                ops: Vec::new(),
                scenarios: Vec::new(),
                actions: Vec::new(),
                rendez_vous: Vec::new(),
                round_robins: 0,
                counters: 0,
                queues: 0,
                protocols,
            },
            scenario: String::new(),
            pauses: PauseKind::Constant,
            bound: Vec::new(),
            depth: 0,
        };
        for population in &simulation.populations {
            compiler.population(population, &[])?;
        }
        Ok(compiler.program)
    }

    pub(crate) fn op(&self, pc: u32) -> &Op {
        self.ops.get(pc as usize).unwrap_or(&Op::End)
    }

    /// The action that [`crate::vu::Output::Act`] names.
    #[must_use]
    pub fn action(&self, index: u32) -> Option<&Rc<dyn Action>> {
        self.actions.get(index as usize)
    }
}

/// By name.
type BoundProtocols = Vec<(String, Box<dyn Bound>)>;

/// What the slices compile with.
pub(crate) struct Compiler<'a> {
    simulation: &'a Simulation,
    program: Program,
    /// Of the scenario in hand, for error texts.
    scenario: String,
    pauses: PauseKind,
    /// Protocols of the scenario in hand, bound to their configuration.
    bound: BoundProtocols,
    depth: u32,
}

impl Compiler<'_> {
    fn population(&mut self, population: &Population, after: &[u32]) -> Result<(), Error> {
        let name = population.scenario.name.as_str();
        if name.is_empty() {
            return Err(Error::UnnamedScenario);
        }
        if self.program.scenarios.iter().any(|other| &*other.name == name) {
            return Err(Error::DuplicateScenario(name.to_owned()));
        }
        if population.scenario.steps.is_empty() {
            return Err(Error::EmptyScenario(name.to_owned()));
        }
        name.clone_into(&mut self.scenario);
        population.inject.validate().map_err(|message| self.invalid(&message))?;
        for steps in [&population.throttle, &self.simulation.throttle] {
            Limits::new(steps).map_err(|message| self.invalid(&message))?;
        }
        let throttled = !population.throttle.is_empty() || !self.simulation.throttle.is_empty();
        let pauses = population.pauses.as_ref().or(self.simulation.pauses.as_ref());
        self.pauses = match pauses {
            _ if throttled => PauseKind::Disabled,
            Some(kind) => kind.clone(),
            None => PauseKind::Constant,
        };
        self.bound = self.bind(&population.protocols)?;
        let entry = self.here();
        self.steps(&population.scenario.steps)?;
        self.emit(Op::End);
        let index = u32::try_from(self.program.scenarios.len()).unwrap_or(u32::MAX);
        self.program.scenarios.push(ScenarioProgram {
            name: name.into(),
            entry,
            inject: population.inject.clone(),
            throttle: population.throttle.clone(),
            no_shard: population.no_shard,
            after: after.to_vec(),
        });
        let (mut after, mut stage) = (vec![index], 0);
        for child in &population.children {
            if child.stage > stage {
                let so_far = u32::try_from(self.program.scenarios.len()).unwrap_or(u32::MAX);
                (after, stage) = ((index..so_far).collect(), child.stage);
            }
            self.population(child, &after)?;
        }
        Ok(())
    }

    /// A population's own configuration of a protocol replaces the simulation's.
    fn bind(&self, own: &[ProtocolSpec]) -> Result<BoundProtocols, Error> {
        let all = self.simulation.protocols.iter().chain(own);
        if let Some(unknown) = all.clone().find(|it| !self.program.protocols.knows(&it.protocol)) {
            return Err(self.invalid(&format!("protocol {} is not known", unknown.protocol)));
        }
        let mut bound = Vec::new();
        for name in self.program.protocols.names() {
            let config = all.clone().rfind(|it| it.protocol == name).map(|it| &*it.spec);
            let protocol = self.program.protocols.bind(name, config).map_err(Error::Protocol)?;
            bound.push((name.to_owned(), protocol));
        }
        Ok(bound)
    }

    pub(crate) fn steps(&mut self, steps: &[Step]) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.invalid(&format!("blocks are nested deeper than {DEPTH_MAX}")));
        }
        steps.iter().try_for_each(|step| step.compile(self))?;
        self.depth -= 1;
        Ok(())
    }

    pub(crate) fn here(&self) -> u32 {
        u32::try_from(self.program.ops.len()).unwrap_or(u32::MAX)
    }

    /// Where the operation stands.
    pub(crate) fn emit(&mut self, op: Op) -> u32 {
        let at = self.here();
        self.program.ops.push(op);
        at
    }

    pub(crate) fn op_mut(&mut self, at: u32) -> &mut Op {
        &mut self.program.ops[at as usize]
    }

    pub(crate) fn expr(&self, expr: &Expr) -> Result<Compiled, Error> {
        if let Expr::Fn(function) = expr {
            self.function(*function)?;
        }
        Compiled::new(expr).map_err(|message| self.invalid(&message))
    }

    pub(crate) fn function(&self, function: FnId) -> Result<(), Error> {
        if function >= self.simulation.functions {
            let known = self.simulation.functions;
            let message = format!("function {function} is not one of the script's {known}");
            return Err(self.invalid(&message));
        }
        Ok(())
    }

    pub(crate) fn feeder(&self, feeder: u32) -> Result<(), Error> {
        let known = self.simulation.feeders.len();
        if feeder as usize >= known {
            let message = format!("feeder {feeder} is not one of the simulation's {known}");
            return Err(self.invalid(&message));
        }
        Ok(())
    }

    pub(crate) fn action(&mut self, spec: &ActionSpec) -> Result<u32, Error> {
        let Some((_, bound)) = self.bound.iter().find(|(name, _)| *name == spec.protocol) else {
            return Err(self.invalid(&format!("protocol {} is not known", spec.protocol)));
        };
        let action =
            bound.action(&spec.name, &spec.spec).map_err(|message| self.invalid(&message))?;
        let index = u32::try_from(self.program.actions.len()).unwrap_or(u32::MAX);
        self.program.actions.push(action);
        Ok(index)
    }

    pub(crate) fn rendez_vous(&mut self, users: u32) -> u32 {
        self.program.rendez_vous.push(users);
        u32::try_from(self.program.rendez_vous.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn round_robin(&mut self) -> u32 {
        self.program.round_robins += 1;
        self.program.round_robins - 1
    }

    pub(crate) fn counter(&mut self, slot: u32) {
        self.program.counters = self.program.counters.max(slot.saturating_add(1));
    }

    pub(crate) fn queue(&mut self, slot: u32) {
        self.program.queues = self.program.queues.max(slot.saturating_add(1));
    }

    pub(crate) fn default_pause(&self) -> &PauseKind {
        &self.pauses
    }

    pub(crate) fn invalid(&self, message: &str) -> Error {
        Error::Invalid { scenario: self.scenario.clone(), message: message.to_owned() }
    }
}

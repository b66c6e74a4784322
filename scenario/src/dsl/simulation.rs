//! Scenarios with their users, and the simulation they make.

use std::time::Duration;

use super::chain::Chain;
use super::profile::micros;
use crate::feed::{FeederSource, FeederSpec, Strategy};
use crate::inject::{ClosedStep, InjectionSpec, OpenStep};
use crate::ir::{self, Population, ProtocolSpec, Scenario, Simulation, VERSION};
use crate::stats::assertion::{AssertionSpec, Condition, Scope, Target};
use crate::value::ValueMap;

/// A source of records.
#[derive(Clone, Debug)]
pub struct Feeder(FeederSpec);

/// A feeder of one simulation: scenarios that use the same one share its records.
#[derive(Clone, Copy, Debug)]
pub struct FeederRef(pub(super) u32);

fn feeder(source: FeederSource) -> Feeder {
    Feeder(FeederSpec { source, strategy: Strategy::Queue, unzip: false, transform: None })
}

pub fn csv(path: impl Into<String>) -> Feeder {
    feeder(FeederSource::Separated {
        path: path.into(),
        separator: ',',
        quote: '"',
        headers: Vec::new(),
    })
}

pub fn json_file(path: impl Into<String>) -> Feeder {
    feeder(FeederSource::Json { path: path.into() })
}

#[must_use]
pub fn records(records: Vec<ValueMap>) -> Feeder {
    feeder(FeederSource::Records(records))
}

impl Feeder {
    #[must_use]
    pub fn circular(mut self) -> Self {
        self.0.strategy = Strategy::Circular;
        self
    }

    #[must_use]
    pub fn random(mut self) -> Self {
        self.0.strategy = Strategy::Random;
        self
    }

    #[must_use]
    pub fn shuffle(mut self) -> Self {
        self.0.strategy = Strategy::Shuffle;
        self
    }
}

/// A scenario that still wants its users.
#[derive(Clone, Debug)]
pub struct ScenarioBuilder(Scenario);

pub fn scenario(name: impl Into<String>, chain: Chain) -> ScenarioBuilder {
    ScenarioBuilder(Scenario { name: name.into(), steps: chain.steps })
}

impl ScenarioBuilder {
    pub fn inject_open(self, steps: impl IntoIterator<Item = OpenStep>) -> PopulationBuilder {
        self.inject(InjectionSpec::Open(steps.into_iter().collect()))
    }

    pub fn inject_closed(self, steps: impl IntoIterator<Item = ClosedStep>) -> PopulationBuilder {
        self.inject(InjectionSpec::Closed(steps.into_iter().collect()))
    }

    fn inject(self, inject: InjectionSpec) -> PopulationBuilder {
        PopulationBuilder(Population {
            scenario: self.0,
            inject,
            protocols: Vec::new(),
            throttle: Vec::new(),
            pauses: None,
            children: Vec::new(),
            no_shard: false,
            stage: 0,
        })
    }
}

#[derive(Clone, Debug)]
pub struct PopulationBuilder(Population);

impl PopulationBuilder {
    /// In place of the simulation's own.
    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<ProtocolSpec>) -> Self {
        self.0.protocols.push(protocol.into());
        self
    }

    /// Starts when every user of this one has ended.
    #[must_use]
    pub fn and_then(mut self, child: Self) -> Self {
        self.0.children.push(child.0);
        self
    }
}

/// What a figure is asserted of.
#[derive(Clone, Debug)]
pub struct Asserted(Scope, Target);

#[must_use]
pub fn global(target: Target) -> Asserted {
    Asserted(Scope::Global, target)
}

#[must_use]
pub fn for_all(target: Target) -> Asserted {
    Asserted(Scope::ForAll, target)
}

/// Groups, outermost first, and the request.
#[must_use]
pub fn details(path: &[&str], target: Target) -> Asserted {
    Asserted(Scope::Details(path.iter().map(|&part| part.to_owned()).collect()), target)
}

impl Asserted {
    fn holds(self, condition: Condition) -> AssertionSpec {
        AssertionSpec { scope: self.0, target: self.1, condition }
    }

    #[must_use]
    pub fn lt(self, bound: f64) -> AssertionSpec {
        self.holds(Condition::Lt(bound))
    }

    #[must_use]
    pub fn lte(self, bound: f64) -> AssertionSpec {
        self.holds(Condition::Lte(bound))
    }

    #[must_use]
    pub fn gt(self, bound: f64) -> AssertionSpec {
        self.holds(Condition::Gt(bound))
    }

    #[must_use]
    pub fn gte(self, bound: f64) -> AssertionSpec {
        self.holds(Condition::Gte(bound))
    }

    #[must_use]
    pub fn is(self, value: f64) -> AssertionSpec {
        self.holds(Condition::Is(value))
    }
}

/// A simulation in the making.
#[derive(Clone, Debug)]
pub struct SimulationBuilder(Simulation);

pub fn simulation(name: impl Into<String>) -> SimulationBuilder {
    SimulationBuilder(Simulation {
        version: VERSION,
        name: name.into(),
        populations: Vec::new(),
        protocols: Vec::new(),
        assertions: Vec::new(),
        feeders: Vec::new(),
        max_duration_us: None,
        throttle: Vec::new(),
        pauses: None,
        functions: 0,
    })
}

impl SimulationBuilder {
    /// To be fed from by the steps of any scenario of this simulation.
    pub fn feeder(&mut self, feeder: Feeder) -> FeederRef {
        let index = u32::try_from(self.0.feeders.len()).unwrap_or(u32::MAX);
        self.0.feeders.push(feeder.0);
        FeederRef(index)
    }

    #[must_use]
    pub fn population(mut self, population: PopulationBuilder) -> Self {
        self.0.populations.push(population.0);
        self
    }

    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<ProtocolSpec>) -> Self {
        self.0.protocols.push(protocol.into());
        self
    }

    #[must_use]
    pub fn assertion(mut self, assertion: AssertionSpec) -> Self {
        self.0.assertions.push(assertion);
        self
    }

    #[must_use]
    pub fn max_duration(mut self, duration: Duration) -> Self {
        self.0.max_duration_us = Some(micros(duration));
        self
    }

    /// # Errors
    /// What is wrong with it, in the words that a script would get.
    pub fn build(self) -> Result<Simulation, String> {
        ir::validate(&self.0)?;
        for population in &self.0.populations {
            population.inject.validate()?;
        }
        Ok(self.0)
    }
}

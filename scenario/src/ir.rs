//! The simulation graph: what evaluating a script, or the Rust DSL, gives, and what a shard runs.
//! JSON, versioned ([`VERSION`]); a protocol's action is `{protocol, name, spec}`, and only that
//! protocol reads its `spec`. Durations are integer microseconds (`…_us`).
//!
//! The vertical slices own their parts: steps in `step/`, injection in `inject/`, feeders in
//! `feed/`, checks in `check/`, assertions in `stats/assertion.rs`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::expr::Expr;
use crate::feed::FeederSpec;
use crate::inject::{InjectionSpec, ThrottleStep};
use crate::stats::assertion::AssertionSpec;
use crate::step::{PauseKind, Step};
use crate::time::Micros;

/// Version of the IR's JSON. A node refuses a graph of a version it does not know.
pub const VERSION: u32 = 1;

/// A whole simulation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    pub version: u32,
    /// The file's stem, or the name given in the DSL.
    pub name: String,
    pub populations: Vec<Population>,
    #[serde(default)]
    pub protocols: Vec<ProtocolSpec>,
    #[serde(default)]
    pub assertions: Vec<AssertionSpec>,
    /// Feeders by index; `feed` steps refer to them, so that two scenarios may share one.
    #[serde(default)]
    pub feeders: Vec<FeederSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_us: Option<Micros>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throttle: Vec<ThrottleStep>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pauses: Option<PauseKind>,
    /// How many script functions the graph refers to (`{"fn": i}`, i < functions).
    #[serde(default)]
    pub functions: u32,
}

/// A scenario with its injection profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    pub scenario: Scenario,
    pub inject: InjectionSpec,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<ProtocolSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throttle: Vec<ThrottleStep>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pauses: Option<PauseKind>,
    /// `andThen`: started when every user of this one has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Self>,
    /// As a child: which call of `andThen` brought it. It waits for the parent and for all children of
    /// lower stages, with theirs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stage: u32,
    /// `noShard`: run whole on one node.
    #[serde(default)]
    pub no_shard: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(stage: &u32) -> bool {
    *stage == 0
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    pub steps: Vec<Step>,
}

/// A protocol's configuration; `spec` is read by the protocol of that name alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolSpec {
    pub protocol: String,
    pub spec: Box<RawValue>,
}

/// A protocol's action inside a scenario; `name` is what it is counted under.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    pub protocol: String,
    pub name: Expr,
    #[serde(deserialize_with = "buffered_raw")]
    pub spec: Box<RawValue>,
}

/// Steps are tagged objects, which serde reads through a buffer; a `RawValue` cannot be taken from
/// that buffer directly.
fn buffered_raw<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Box<RawValue>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    serde_json::value::to_raw_value(&value).map_err(serde::de::Error::custom)
}

/// Steps of all scenarios together; more is a loop of the script that builds without end.
pub const STEPS_MAX: usize = 100_000;

/// What Gatling checks before it starts. The SDK checks the same where a script has a place to
/// point at; this holds for exported graphs and the Rust DSL as well.
///
/// # Errors
/// In Gatling's words, where it has some.
pub fn validate(simulation: &Simulation) -> Result<(), String> {
    if simulation.version != VERSION {
        let version = simulation.version;
        return Err(format!("the graph has version {version}; this is version {VERSION}"));
    }
    if simulation.populations.is_empty() {
        return Err("No scenario configured, make sure to call setUp.".to_owned());
    }
    let mut names = Vec::new();
    let mut steps = 0;
    for population in &simulation.populations {
        check_population(simulation, population, &mut names, &mut steps)?;
    }
    let mut twice: Vec<&str> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        if names.iter().take(index).any(|earlier| earlier == name) && !twice.contains(name) {
            twice.push(name);
        }
    }
    if !twice.is_empty() {
        let list = twice.join(", ");
        return Err(format!("Scenario names must be unique but found duplicates: List({list})"));
    }
    Ok(())
}

fn check_population<'a>(
    simulation: &Simulation,
    population: &'a Population,
    names: &mut Vec<&'a str>,
    steps: &mut usize,
) -> Result<(), String> {
    let scenario = &population.scenario;
    if scenario.name.is_empty() {
        return Err("Scenario name cannot be empty".to_owned());
    }
    if scenario.steps.is_empty() {
        return Err(format!("Scenario {} is empty", scenario.name));
    }
    names.push(&scenario.name);
    check_steps(simulation, &scenario.steps, steps)?;
    for child in &population.children {
        check_population(simulation, child, names, steps)?;
    }
    Ok(())
}

/// Depth-first without recursion: a script may nest as deep as it likes.
fn check_steps(simulation: &Simulation, root: &[Step], steps: &mut usize) -> Result<(), String> {
    let mut open: Vec<&[Step]> = vec![root];
    while let Some(body) = open.pop() {
        *steps += body.len();
        if *steps > STEPS_MAX {
            return Err(format!("the simulation has more than {STEPS_MAX} steps"));
        }
        for step in body {
            if let Step::Feed(feed) = step {
                let known = simulation.feeders.len();
                if usize::try_from(feed.feeder).map_or(true, |index| index >= known) {
                    return Err(format!("feeder {} is not among the {known} given", feed.feeder));
                }
            }
            bodies(step, &mut open);
        }
    }
    Ok(())
}

/// The blocks inside a step, in their order.
pub(crate) fn bodies<'a>(step: &'a Step, open: &mut Vec<&'a [Step]>) {
    match step {
        Step::Group(step) => open.push(&step.body),
        Step::Repeat(step) => open.push(&step.body),
        Step::Foreach(step) => open.push(&step.body),
        Step::Loop(step) => open.push(&step.body),
        Step::TryMax(step) => open.push(&step.body),
        Step::DoIf(step) => open.extend([&*step.then, &*step.or_else]),
        Step::DoIfEquals(step) => open.extend([&*step.then, &*step.or_else]),
        Step::DoSwitch(step) => {
            open.extend(step.cases.iter().map(|case| &*case.then));
            open.push(&step.or_else);
        }
        Step::RandomSwitch(step) => {
            open.extend(step.cases.iter().map(|case| &*case.then));
            open.push(&step.or_else);
        }
        Step::UniformRandomSwitch(step) => open.extend(step.cases.iter().map(Vec::as_slice)),
        Step::RoundRobinSwitch(step) => open.extend(step.cases.iter().map(Vec::as_slice)),
        _ => {}
    }
}

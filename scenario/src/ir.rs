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
    pub children: Vec<Population>,
    /// `noShard`: run whole on one node.
    #[serde(default)]
    pub no_shard: bool,
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

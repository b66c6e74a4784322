//! The structural steps of a scenario, one slice a file; this file assembles the enum.
//! JSON: `{"step": "pause", …}`. Bodies are lists of steps.

use serde::{Deserialize, Serialize};

use crate::expr::{Expr, FnId};
use crate::ir::ActionSpec;
use crate::time::Micros;

/// One step. Gatling: <https://docs.gatling.io/concepts/scenario/>.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// A protocol's action: `exec(http("x").get("/"))`.
    Action(ActionSpec),
    /// `exec(session => …)`.
    Hook {
        function: FnId,
    },
    /// A number is seconds; `{"lit": n}` therefore holds seconds as well. `max` makes it a range.
    Pause {
        duration: Expr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Expr>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<PauseKind>,
    },
    Pace {
        duration: Expr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Expr>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<String>,
    },
    RendezVous {
        users: u32,
    },
    Feed {
        /// Index into the simulation's feeders.
        feeder: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<Expr>,
    },
    Group {
        name: Expr,
        body: Vec<Step>,
    },
    Repeat {
        times: Expr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<String>,
        body: Vec<Step>,
    },
    Foreach {
        seq: Expr,
        attribute: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<String>,
        body: Vec<Step>,
    },
    /// `during`, `forever`, `asLongAs`, `doWhile` and their combinations: `condition` true (absent:
    /// always) and `duration` not over (absent: no limit). `check_first` is false for `doWhile…`.
    Loop {
        /// How it reads in the script, for error texts and the tree: `during`, `asLongAs`, …
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        condition: Option<Expr>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<Expr>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<String>,
        exit_asap: bool,
        check_first: bool,
        body: Vec<Step>,
    },
    /// `doIf`, `doIfOrElse`.
    DoIf {
        condition: Expr,
        then: Vec<Step>,
        or_else: Vec<Step>,
    },
    /// `doIfEquals`, `doIfEqualsOrElse`.
    DoIfEquals {
        actual: Expr,
        expected: Expr,
        then: Vec<Step>,
        or_else: Vec<Step>,
    },
    DoSwitch {
        value: Expr,
        cases: Vec<SwitchCase>,
        or_else: Vec<Step>,
    },
    /// Weights are percentages; the remainder goes to `or_else`.
    RandomSwitch {
        cases: Vec<WeightedCase>,
        or_else: Vec<Step>,
    },
    UniformRandomSwitch {
        cases: Vec<Vec<Step>>,
    },
    RoundRobinSwitch {
        cases: Vec<Vec<Step>>,
    },
    /// `exitBlockOnFail` is `tryMax(1)`.
    TryMax {
        times: Expr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<String>,
        body: Vec<Step>,
    },
    ExitHereIfFailed,
    ExitHere,
    ExitHereIf {
        condition: Expr,
    },
    StopLoadGenerator {
        message: Expr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        condition: Option<Expr>,
    },
    CrashLoadGenerator {
        message: Expr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        condition: Option<Expr>,
    },
    SetInSession {
        value: Expr,
        attribute: String,
    },
    /// Gatling's fake request, for tests of the tool itself.
    Dummy {
        name: Expr,
        response_time_ms: Expr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        success: Option<Expr>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_update: Option<FnId>,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchCase {
    pub key: Expr,
    pub then: Vec<Step>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedCase {
    pub percent: f64,
    pub then: Vec<Step>,
}

/// How a pause's nominal duration becomes the actual one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PauseKind {
    Disabled,
    Constant,
    Exponential,
    NormalWithPercentage {
        std_dev: f64,
    },
    NormalWithStdDev {
        std_dev_us: Micros,
    },
    /// The function returns milliseconds.
    Custom {
        function: FnId,
    },
    UniformPercentage {
        plus_or_minus: f64,
    },
    UniformDuration {
        plus_or_minus_us: Micros,
    },
}

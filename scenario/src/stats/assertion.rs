//! Assertions: parsed from the IR, judged on a finished summary, worded as Gatling words them.
//! <https://docs.gatling.io/concepts/assertions/>

use serde::{Deserialize, Serialize};

/// JSON: `{"scope": …, "target": …, "condition": …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssertionSpec {
    pub scope: Scope,
    pub target: Target,
    pub condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Global,
    ForAll,
    /// Groups, then the request; or a path of groups.
    Details(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    MinResponseTime,
    MaxResponseTime,
    MeanResponseTime,
    StdDevResponseTime,
    /// 0 to 100; `percentile1()` … `percentile4()` are 50, 75, 95, 99.
    PercentileResponseTime(f64),
    AllCount,
    AllPercent,
    FailedCount,
    FailedPercent,
    SuccessfulCount,
    SuccessfulPercent,
    MeanRequestsPerSec,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Lt(f64),
    Lte(f64),
    Gt(f64),
    Gte(f64),
    Is(f64),
    In(Vec<f64>),
    /// `around` and `deviatesAround` become this when the script is loaded.
    Between {
        min: f64,
        max: f64,
        inclusive: bool,
    },
}

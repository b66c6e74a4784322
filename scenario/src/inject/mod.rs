//! Injection profiles: pure functions from time to arrivals. One file per profile step; `division`
//! says which segment owns which arrival.

pub mod division;

use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// JSON: `{"open": [step…]}` or `{"closed": [step…]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InjectionSpec {
    Open(Vec<OpenStep>),
    Closed(Vec<ClosedStep>),
}

/// <https://docs.gatling.io/concepts/injection/#open-model>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "profile", rename_all = "snake_case")]
pub enum OpenStep {
    AtOnceUsers {
        users: u64,
    },
    NothingFor {
        duration_us: Micros,
    },
    RampUsers {
        users: u64,
        duration_us: Micros,
    },
    ConstantUsersPerSec {
        rate: f64,
        duration_us: Micros,
        #[serde(default)]
        randomized: bool,
    },
    RampUsersPerSec {
        from: f64,
        to: f64,
        duration_us: Micros,
        #[serde(default)]
        randomized: bool,
    },
    StressPeakUsers {
        users: u64,
        duration_us: Micros,
    },
    IncrementUsersPerSec {
        increment: f64,
        times: u32,
        level_us: Micros,
        #[serde(default)]
        ramp_us: Micros,
        #[serde(default)]
        start: f64,
    },
}

/// <https://docs.gatling.io/concepts/injection/#closed-model>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "profile", rename_all = "snake_case")]
pub enum ClosedStep {
    ConstantConcurrentUsers {
        users: u64,
        duration_us: Micros,
    },
    RampConcurrentUsers {
        from: u64,
        to: u64,
        duration_us: Micros,
    },
    IncrementConcurrentUsers {
        increment: u64,
        times: u32,
        level_us: Micros,
        #[serde(default)]
        ramp_us: Micros,
        #[serde(default)]
        start: u64,
    },
}

/// <https://docs.gatling.io/concepts/injection/#throttling>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "throttle", rename_all = "snake_case")]
pub enum ThrottleStep {
    Reach { rps: u64, duration_us: Micros },
    Hold { duration_us: Micros },
    Jump { rps: u64 },
}

/// One start of a user, planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Global number of the arrival in its scenario, from 0.
    pub k: u64,
    /// Since the start of the population.
    pub at_us: Micros,
}

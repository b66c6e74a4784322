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

/// The plan of an open profile, lazily: arrivals in order of time. `seed` is the job's, mixed with
/// the scenario's name by the caller; only randomised steps draw from it.
#[must_use]
pub fn schedule(_steps: &[OpenStep], _seed: u64) -> Schedule {
    Schedule {}
}

#[derive(Debug)]
pub struct Schedule {}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        None
    }
}

impl InjectionSpec {
    /// # Errors
    /// What is wrong with the profile, in Gatling's words.
    pub fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    /// Users that the whole job will start; none for the closed model, which does not know.
    #[must_use]
    pub fn planned_users(&self) -> Option<u64> {
        None
    }

    /// Of the whole profile.
    #[must_use]
    pub fn duration_us(&self) -> Micros {
        0
    }
}

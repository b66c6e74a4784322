//! Injection profiles: pure functions from time to arrivals. One file per profile step; `division`
//! says which segment owns which arrival. Nothing here starts a user or reads a clock.
//!
//! Formulas: Gatling's source, each named in its file; to the millisecond the offsets are those
//! there. Users that share a millisecond are spread inside it (`spread`).

mod at_once;
pub mod closed;
mod constant_rate;
pub mod curve;
pub mod division;
mod erf;
mod increment_rate;
pub mod load;
pub mod open;
mod ramp_rate;
mod ramp_users;
mod randomized;
mod spread;
mod stress_peak;
pub mod throttle;

pub use load::{Load, LoadChange};
pub use open::{Arrival, Schedule, schedule};

use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// Longest profile, one step or all together: ten years.
pub const DURATION_US_MAX: Micros = 10 * 366 * 86_400 * 1_000_000;
/// Most users that one step may start, and the highest rate: well inside what a double counts.
pub const USERS_MAX: u64 = 1_000_000_000_000;

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
#[expect(clippy::enum_variant_names, reason = "the names of Gatling's functions")]
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

impl InjectionSpec {
    /// # Errors
    /// What is wrong with the profile, in Gatling's words where it has some.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            Self::Open(steps) => open::validate(steps),
            Self::Closed(steps) => closed::validate(steps),
        }
    }

    /// Users that the whole job will start; none for the closed model, which does not know.
    #[must_use]
    pub fn planned_users(&self) -> Option<u64> {
        match self {
            Self::Open(steps) => {
                Some(open::plan(steps).iter().map(|step| step.users).fold(0, u64::saturating_add))
            }
            Self::Closed(_) => None,
        }
    }

    /// Of the whole profile.
    #[must_use]
    pub fn duration_us(&self) -> Micros {
        match self {
            Self::Open(steps) => open::plan(steps)
                .iter()
                .map(|step| step.duration_us)
                .fold(0, Micros::saturating_add),
            Self::Closed(steps) => closed::Profile::new(steps).duration_us(),
        }
    }
}

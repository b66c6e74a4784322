//! `constantUsersPerSec(r).during(D)`: `round(whole seconds of D * r)` users, ramped over D. Below
//! one second the real duration counts (Gatling: nobody).

use super::open::StepPlan;
use super::{ramp_users, randomized};
use crate::time::{MICROS_PER_SECOND, Micros};

pub(super) fn plan(rate: f64, duration_us: Micros, random: bool) -> StepPlan {
    let seconds = seconds(duration_us);
    if random {
        return randomized::plan(rate, rate, seconds, duration_us);
    }
    ramp_users::plan(users(rate * seconds + 0.5), duration_us)
}

/// The whole seconds of a duration, or all of it where there is none.
#[expect(clippy::cast_precision_loss, reason = "durations are below 2^53 µs")]
pub(super) fn seconds(duration_us: Micros) -> f64 {
    let whole = duration_us / MICROS_PER_SECOND;
    if whole > 0 { whole as f64 } else { duration_us as f64 / MICROS_PER_SECOND as f64 }
}

/// Rounded down; a step's count is bounded by validation.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
pub(super) fn users(count: f64) -> u64 {
    count.floor() as u64
}

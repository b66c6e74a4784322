//! `stressPeakUsers(n).during(D)`: a smooth step, user i = 1..n at
//! `k * (erfinv(2i/(n+2) - 1) + t0)` ms with `t0 = |erfinv(2/(n+2) - 1)|` and `k = D / (2 t0)`.
//! Gatling truncates that to the millisecond, this to the microsecond. D = 0 is `atOnceUsers(n)`.

use super::open::StepPlan;
use super::{at_once, erf};
use crate::time::{MICROS_PER_MILLI, Micros};

#[expect(clippy::cast_precision_loss, reason = "counts and durations are below 2^53")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to D")]
pub(super) fn plan(users: u64, duration_us: Micros) -> StepPlan {
    let millis = duration_us / MICROS_PER_MILLI;
    if millis == 0 {
        return StepPlan { duration_us, ..at_once::plan(users) };
    }
    let at = move |i: f64| erf::inverse(2.0 * i / (users as f64 + 2.0) - 1.0);
    StepPlan::new(users, duration_us, move || {
        let t0 = at(1.0).abs();
        let k = millis as f64 / (2.0 * t0);
        let mut last = 0;
        Box::new((1..=users).map(move |i| {
            let at_us = (k * (at(i as f64) + t0) * MICROS_PER_MILLI as f64).max(0.0) as u64;
            // Rounding of the last digit must not reorder arrivals.
            last = at_us.clamp(last, millis * MICROS_PER_MILLI);
            last
        }))
    })
}

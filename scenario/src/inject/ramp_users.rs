//! `rampUsers(n).during(D)`: n users over the whole seconds of D, then over the milliseconds of
//! each second. D = 0 is `atOnceUsers(n)`. Below one second Gatling starts nobody (no whole second
//! to put them in); here they are spread over the milliseconds there are.

use super::open::StepPlan;
use super::{at_once, spread};
use crate::time::{MICROS_PER_MILLI, MICROS_PER_SECOND, Micros};

pub(super) fn plan(users: u64, duration_us: Micros) -> StepPlan {
    let seconds = duration_us / MICROS_PER_SECOND;
    let millis = duration_us / MICROS_PER_MILLI;
    if millis == 0 {
        return StepPlan { duration_us, ..at_once::plan(users) };
    }
    if seconds == 0 {
        return StepPlan::new(users, duration_us, move || {
            Box::new(spread::over_millis(users, millis))
        });
    }
    StepPlan::by_second(users, duration_us, move || spread::counts(users, seconds))
}

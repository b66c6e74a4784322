//! `atOnceUsers(n)`: all at offset 0.

use super::open::StepPlan;

pub(super) fn plan(users: u64) -> StepPlan {
    StepPlan::new(users, 0, move || {
        Box::new(std::iter::repeat_n(0, usize::try_from(users).unwrap_or(usize::MAX)))
    })
}

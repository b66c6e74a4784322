//! How users come. <https://docs.gatling.io/concepts/injection/>

use std::time::Duration;

use crate::inject::{ClosedStep, OpenStep};
use crate::time::Micros;

/// A step that still wants its duration.
pub struct Timed<T>(Box<dyn FnOnce(Micros) -> T>);

impl<T> Timed<T> {
    fn new(make: impl FnOnce(Micros) -> T + 'static) -> Self {
        Self(Box::new(make))
    }

    pub fn during(self, duration: Duration) -> T {
        (self.0)(micros(duration))
    }
}

impl<T> std::fmt::Debug for Timed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Timed")
    }
}

pub(super) fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

#[must_use]
pub fn at_once_users(users: u64) -> OpenStep {
    OpenStep::AtOnceUsers { users }
}

#[must_use]
pub fn nothing_for(duration: Duration) -> OpenStep {
    OpenStep::NothingFor { duration_us: micros(duration) }
}

#[must_use]
pub fn ramp_users(users: u64) -> Timed<OpenStep> {
    Timed::new(move |duration_us| OpenStep::RampUsers { users, duration_us })
}

#[must_use]
pub fn stress_peak_users(users: u64) -> Timed<OpenStep> {
    Timed::new(move |duration_us| OpenStep::StressPeakUsers { users, duration_us })
}

#[must_use]
pub fn constant_users_per_sec(rate: f64) -> Timed<OpenStep> {
    Timed::new(move |duration_us| OpenStep::ConstantUsersPerSec {
        rate,
        duration_us,
        randomized: false,
    })
}

#[must_use]
pub fn ramp_users_per_sec(from: f64, to: f64) -> Timed<OpenStep> {
    Timed::new(move |duration_us| OpenStep::RampUsersPerSec {
        from,
        to,
        duration_us,
        randomized: false,
    })
}

impl OpenStep {
    /// Users of a rate come at random moments, as many as before; other steps stay as they are.
    #[must_use]
    pub fn randomized(mut self) -> Self {
        if let Self::ConstantUsersPerSec { randomized, .. }
        | Self::RampUsersPerSec { randomized, .. } = &mut self
        {
            *randomized = true;
        }
        self
    }
}

#[must_use]
pub fn constant_concurrent_users(users: u64) -> Timed<ClosedStep> {
    Timed::new(move |duration_us| ClosedStep::ConstantConcurrentUsers { users, duration_us })
}

#[must_use]
pub fn ramp_concurrent_users(from: u64, to: u64) -> Timed<ClosedStep> {
    Timed::new(move |duration_us| ClosedStep::RampConcurrentUsers { from, to, duration_us })
}

//! The only clock read of this crate: everything else is handed its time.
//!
//! What decides is [`boot_us`]: it never steps, all processes of a machine read the same of it, and
//! it counts the time in which the machine was suspended, which `CLOCK_MONOTONIC` leaves out: a
//! lease that runs out meanwhile has run out, and a run that is behind its plan knows it. The wall
//! clock is read once, for the dates that users see.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::time::{MICROS_PER_SECOND, Micros};

/// Monotonic time since the common start of the job, tied to the wall clock once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The common start by [`boot_us`]; it may lie before the machine's.
    start_us: i64,
    /// Wall clock at the start, microseconds.
    start_unix_us: u64,
}

/// Microseconds since this machine was started, by `CLOCK_BOOTTIME`.
#[must_use]
pub fn boot_us() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.saturating_mul(MICROS_PER_SECOND.cast_signed()).saturating_add(now.tv_nsec / 1_000)
}

/// Wall clock, microseconds since 1970.
#[must_use]
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Clock {
    /// A clock whose zero is `start_us` of [`boot_us`].
    #[must_use]
    pub fn starting_at(start_us: i64) -> Self {
        let passed = boot_us().saturating_sub(start_us);
        Self { start_us, start_unix_us: unix_us().saturating_add_signed(passed.saturating_neg()) }
    }

    /// Microseconds since the start; negative before it.
    #[must_use]
    pub fn signed(&self) -> i64 {
        self.signed_of(boot_us())
    }

    /// A moment of [`boot_us`] as microseconds since the start.
    #[must_use]
    pub fn signed_of(&self, at_boot_us: i64) -> i64 {
        at_boot_us.saturating_sub(self.start_us)
    }

    /// Microseconds since the start; 0 before it.
    #[must_use]
    pub fn now(&self) -> Micros {
        u64::try_from(self.signed()).unwrap_or(0)
    }

    /// Wall clock, milliseconds since 1970, at a moment of the run: a step of the system's clock
    /// does not move a run.
    #[must_use]
    pub fn unix_ms_at(&self, at: Micros) -> i64 {
        i64::try_from(self.start_unix_us.saturating_add(at) / 1_000).unwrap_or(i64::MAX)
    }

    /// How long to wait for `at`; zero when it has passed.
    #[must_use]
    pub fn until(&self, at: Micros) -> Duration {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        Duration::from_micros(u64::try_from(at.saturating_sub(self.signed())).unwrap_or(0))
    }
}

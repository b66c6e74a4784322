//! The only clock read of this crate: everything else is handed its time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::Micros;

/// Monotonic time since the common start of the job, tied to the wall clock once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    /// Wall clock at `origin`, microseconds.
    unix_us: u64,
    /// Microseconds from `origin` to the common start; negative when it lies before.
    start_offset_us: i64,
}

/// Wall clock, microseconds since 1970.
#[must_use]
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Clock {
    /// A clock whose zero is `start_unix_us`.
    #[must_use]
    pub fn starting_at(start_unix_us: u64) -> Self {
        let unix = unix_us();
        let start_offset_us =
            i64::try_from(i128::from(start_unix_us) - i128::from(unix)).unwrap_or(0);
        Self { origin: Instant::now(), unix_us: unix, start_offset_us }
    }

    fn since_origin(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// Microseconds since the start; negative before it.
    #[must_use]
    pub fn signed(&self) -> i64 {
        self.since_origin().saturating_sub(self.start_offset_us)
    }

    /// Microseconds since the start; 0 before it.
    #[must_use]
    pub fn now(&self) -> Micros {
        u64::try_from(self.signed()).unwrap_or(0)
    }

    /// Wall clock by the monotonic one: a step of the system's clock does not move a run.
    #[must_use]
    pub fn unix_us(&self) -> u64 {
        self.unix_us.saturating_add(u64::try_from(self.since_origin()).unwrap_or(0))
    }

    /// Wall clock, milliseconds since 1970, at a moment of the run.
    #[must_use]
    pub fn unix_ms_at(&self, at: Micros) -> i64 {
        let start = self.unix_us.saturating_add_signed(self.start_offset_us);
        i64::try_from(start.saturating_add(at) / 1_000).unwrap_or(i64::MAX)
    }

    /// How long to wait for `at`; zero when it has passed.
    #[must_use]
    pub fn until(&self, at: Micros) -> Duration {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        Duration::from_micros(u64::try_from(at.saturating_sub(self.signed())).unwrap_or(0))
    }
}

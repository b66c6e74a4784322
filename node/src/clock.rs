//! The node's only reading of clocks. Everything else takes `now` as a parameter or holds a
//! [`Clock`]; nothing here decides anything.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall and monotonic time. Cheap to clone; all clones share their origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock {
    /// Milliseconds since the Unix epoch by this machine's clock; 0 where it is set before 1970.
    pub fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Microseconds since the Unix epoch by this machine's clock: what shards start by.
    pub fn unix_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// [`Clock::now`] in whole microseconds.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.now().as_micros()).unwrap_or(u64::MAX)
    }

    /// Time since this clock was made: never steps, never goes back.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// [`Clock::now`] in whole milliseconds.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX)
    }
}

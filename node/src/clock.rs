//! The node's only reading of clocks. Everything else takes `now` as a parameter or holds a
//! [`Clock`]; nothing here decides anything.
//!
//! Decisions and figures are differences of the monotonic clock. The wall clock is for people: it
//! may step at any time, and a difference of two of its readings says nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onrush_scenario::engine::clock::boot_us;

/// Wall and monotonic time. Cheap to clone; all clones share their origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// By [`boot_us`], which goes on while the machine is suspended: what a lease needs.
    origin_us: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { origin_us: boot_us() }
    }
}

impl Clock {
    /// Milliseconds since the Unix epoch by this machine's clock; 0 where it is set before 1970.
    pub fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Microseconds since the Unix epoch by this machine's clock.
    pub fn unix_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Time since this clock was made, suspended time included: never steps, never goes back.
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.now_us())
    }

    /// [`Clock::now`] in whole microseconds.
    pub fn now_us(&self) -> u64 {
        u64::try_from(boot_us().saturating_sub(self.origin_us)).unwrap_or(0)
    }

    /// [`Clock::now`] in whole milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_us() / 1_000
    }

    /// A moment of this clock by the one that all processes of the machine share. It may lie
    /// before the clock's origin.
    pub fn to_boot_us(self, at_us: i64) -> i64 {
        self.origin_us.saturating_add(at_us)
    }
}

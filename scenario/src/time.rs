//! Time as the pure parts see it: microseconds since the start of the run, handed in as a value.
//! Nothing here reads a clock; `engine/clock.rs` is the only file that does.

/// Microseconds since the common start of the job (or of the local run).
pub type Micros = u64;

pub const MICROS_PER_MILLI: Micros = 1_000;
pub const MICROS_PER_SECOND: Micros = 1_000_000;

/// The zero-based second of the run that `at` falls in: the unit of frames and ticks.
#[must_use]
pub fn second_of(at: Micros) -> u32 {
    u32::try_from(at / MICROS_PER_SECOND).unwrap_or(u32::MAX)
}

/// Gatling's reports and checks speak integer milliseconds.
#[must_use]
pub fn to_millis(at: Micros) -> u64 {
    at / MICROS_PER_MILLI
}

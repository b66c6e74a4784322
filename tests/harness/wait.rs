//! Waiting on conditions, never on fixed times: every wait has a limit and says what it waited for.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Polls `probe` until it gives a value.
///
/// # Panics
/// When `limit` passes first: the message names `what` and the last thing `probe` complained about.
pub fn until<T>(what: &str, limit: Duration, probe: impl FnMut() -> anyhow::Result<T>) -> T {
    within(what, limit, probe).unwrap_or_else(|error| panic!("{error:#}"))
}

/// As [`until`], for those who go on after it.
///
/// # Errors
/// When `limit` passes first: names `what` and the last thing `probe` complained about.
pub fn within<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        let error = match probe() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        anyhow::ensure!(
            start.elapsed() < limit,
            "gave up waiting for {what} after {limit:?}: {error:#}"
        );
        std::thread::sleep(POLL);
    }
}

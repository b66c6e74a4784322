//! Whether the machine itself held a run up: what other programs take from it is no fault of the
//! cluster, and no fault that was made.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the probe sleeps at a time.
const NAP: Duration = Duration::from_millis(20);
/// Held up for so long at once, a leader misses its heartbeats.
const STALL: Duration = Duration::from_millis(400);
/// A second in which it was held up for so long is one in which a generator may be late, too …
const LATE: Duration = Duration::from_millis(80);
/// … and so many of them may put a verdict in doubt.
const LATE_SECONDS_MAX: usize = 2;

/// What the probe found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    pub longest: Duration,
    late_seconds: BTreeSet<u64>,
}

impl Stalls {
    /// It woke up so much later than it wanted, so long after the beginning.
    fn add(&mut self, after: Duration, late: Duration) {
        self.longest = self.longest.max(late);
        if late >= LATE {
            self.late_seconds.insert(after.as_secs());
        }
    }

    /// Nothing can be asked of a run that depends on time.
    #[must_use]
    pub fn held_up(&self) -> bool {
        self.longest >= STALL || self.late_seconds.len() > LATE_SECONDS_MAX
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "the machine was busy with something else: held up for up to {} ms, in {} seconds",
            self.longest.as_millis(),
            self.late_seconds.len()
        )
    }
}

/// Looks at the machine as long as a run lasts.
#[derive(Debug)]
pub struct Probe {
    stop: Arc<AtomicBool>,
    stalls: Arc<Mutex<Stalls>>,
    thread: Option<JoinHandle<()>>,
}

impl Probe {
    #[must_use]
    pub fn start() -> Self {
        let (stop, stalls) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let (ends, found): (_, Arc<Mutex<Stalls>>) = (Arc::clone(&stop), Arc::clone(&stalls));
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            while !ends.load(Ordering::Relaxed) {
                let asleep = Instant::now();
                // How late it wakes is what is looked for.
                std::thread::sleep(NAP);
                let late = asleep.elapsed().saturating_sub(NAP);
                found.lock().unwrap_or_else(PoisonError::into_inner).add(begun.elapsed(), late);
            }
        });
        Self { stop, stalls, thread: Some(thread) }
    }

    #[must_use]
    pub fn stalls(&self) -> Stalls {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A probe that panicked has found what it has found.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stall_and_many_short_ones_hold_a_run_up() {
        let of = |late: &[(u64, u64)]| {
            let mut stalls = Stalls::default();
            for (second, ms) in late {
                stalls.add(Duration::from_secs(*second), Duration::from_millis(*ms));
            }
            stalls.held_up()
        };
        assert!(!of(&[]) && !of(&[(1, 399), (1, 100), (2, 100), (3, 79)]));
        assert!(of(&[(1, 400)]) && of(&[(1, 80), (2, 80), (3, 80)]));
    }

    #[test]
    fn the_probe_looks_until_it_is_dropped() {
        let probe = Probe::start();
        crate::wait::until("a look", Duration::from_secs(10), || {
            anyhow::ensure!(probe.stalls().longest > Duration::ZERO, "none yet");
            Ok(())
        });
    }
}

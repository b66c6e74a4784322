//! Whether the machine itself held a run up: what other programs take from it is no fault of the
//! cluster, and no fault that was made. A run says so itself, by a verdict in doubt.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

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

/// The reason of a verdict, where other machines on the same hardware put a run in doubt.
const STOLEN: &str = "the hypervisor took CPU time away";

/// Whether a verdict is that of a run in which everything was well: passed, or in doubt because of
/// the hypervisor, which no test has a hand in. Counts are right in both.
#[must_use]
pub fn passed_or_stolen(verdict: &Value) -> bool {
    let stolen = || verdict["reason"].as_str().is_some_and(|reason| reason.ends_with(STOLEN));
    verdict["value"] == "passed" || verdict["value"] == "inconclusive" && stolen()
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

    /// That a finished job passed as far as the machine lets it be judged: its verdict is passed,
    /// or in doubt because the machine held it up, and every assertion holds.
    ///
    /// # Errors
    /// The verdict, or the assertion.
    pub fn passed(&self, verdict: &Value, summary: &Value) -> anyhow::Result<()> {
        let reason = verdict["reason"].as_str().unwrap_or_default();
        let late = verdict["value"] == "inconclusive" && reason.contains(" was saturated in ");
        ensure!(
            passed_or_stolen(verdict) || late && self.stalls().held_up(),
            "verdict {verdict}; {}",
            self.stalls().text()
        );
        let assertions = summary["assertions"].as_array().context("assertions")?;
        let failed = assertions.iter().find(|it| it["passed"] != true);
        ensure!(failed.is_none(), "an assertion failed: {failed:?}");
        Ok(())
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
    use serde_json::json;

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
    fn what_the_machine_took_is_no_fault_of_a_run_and_all_else_is() {
        let probe = || Probe { stop: Arc::default(), stalls: Arc::default(), thread: None };
        let (quiet, held_up) = (probe(), probe());
        held_up.stalls.lock().unwrap().add(Duration::ZERO, STALL);
        let saturated = |why| format!("the generator was saturated in 4 of 14 seconds: {why}");
        let stolen = saturated("the hypervisor took CPU time away");
        let late = saturated("users were started late");
        let table = [
            (&quiet, "passed", "the assertion holds", true, true),
            (&quiet, "passed", "the assertion holds", false, false),
            (&quiet, "inconclusive", &stolen, true, true),
            (&quiet, "inconclusive", &stolen, false, false),
            (&quiet, "inconclusive", &late, true, false),
            (&held_up, "inconclusive", &late, true, true),
            (&held_up, "inconclusive", "no request was sent", true, false),
            (&held_up, "failed", "1 of 1 assertion failed", false, false),
            (&held_up, "none", "the simulation has no assertions", true, false),
        ];
        for (machine, value, reason, holds, expected) in table {
            let verdict = json!({"value": value, "reason": reason});
            let summary = json!({"assertions": [{"passed": holds}]});
            assert_eq!(machine.passed(&verdict, &summary).is_ok(), expected, "{verdict} {holds}");
        }
        assert!(quiet.passed(&json!({"value": "passed"}), &json!({})).is_err());
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

//! Whether the machine itself held a run up: what other programs take from it is no fault of the
//! cluster, and no fault that was made. A run says so itself, by a verdict in doubt.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;
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

/// How long a watcher of a processor sleeps at a time, and the shortest pause that is kept.
const TICK: Duration = Duration::from_millis(2);
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// What waited in a pause is worked off so long after it; also what clocks may differ by.
const PAUSE_MARGIN_MS: u64 = 20;

/// A time in which a processor did not run whoever wanted to: milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    pub cpu: usize,
    pub from_ms: u64,
    pub to_ms: u64,
}

impl Pause {
    /// Of a watcher that woke so late; rounded so that it is not shorter than it was.
    fn ended(cpu: usize, now: Duration, late: Duration) -> Option<Self> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let pause =
            Self { cpu, from_ms: ms(now.saturating_sub(late)), to_ms: ms(now).saturating_add(1) };
        (late >= PAUSE_MIN).then_some(pause)
    }
}

/// The longest pause that a moment falls in, in seconds: what was planned before it may have come
/// after it, as much as is planned for so long.
#[must_use]
pub fn longest_at(pauses: &[Pause], at_ms: u64) -> f64 {
    let near = |pause: &&Pause| {
        pause.from_ms.saturating_sub(PAUSE_MARGIN_MS) <= at_ms
            && at_ms <= pause.to_ms + PAUSE_MARGIN_MS
    };
    let longest = pauses.iter().filter(near).map(|it| it.to_ms - it.from_ms).max();
    longest.map_or(0.0, |ms| ms as f64 / 1_000.0)
}

/// Watches each processor by itself and keeps when it paused: finer than [`Probe`], and dearer.
#[derive(Debug)]
pub struct Pauses {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Pause>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pauses {
    #[must_use]
    pub fn watch() -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let watcher = |cpu| {
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            std::thread::spawn(move || watch(cpu, &stop, &seen))
        };
        let threads = (0..cpus).map(watcher).collect();
        Self { stop, seen, threads }
    }

    #[must_use]
    pub fn seen(&self) -> Vec<Pause> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn watch(cpu: usize, stop: &AtomicBool, seen: &Mutex<Vec<Pause>>) {
    let mut only = CpuSet::new();
    only.set(cpu);
    // Where it may not be bound it watches whichever it is given.
    let _ = sched_setaffinity(None, &only);
    while !stop.load(Ordering::Relaxed) {
        let asleep = Instant::now();
        // How late it wakes is what is looked for.
        std::thread::sleep(TICK);
        let late = asleep.elapsed().saturating_sub(TICK);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Some(pause) = Pause::ended(cpu, now, late) {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(pause);
        }
    }
}

impl Drop for Pauses {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has seen what it has seen.
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
    fn a_pause_holds_up_what_was_planned_within_it_and_nothing_far_from_it() {
        let pause = |cpu, from_ms, to_ms| Pause { cpu, from_ms, to_ms };
        let seen = [pause(0, 1_000, 1_030), pause(1, 1_020, 1_025), pause(1, 5_000, 5_004)];
        let at = |ms| longest_at(&seen, ms);
        assert_eq!([at(979), at(980), at(1_050), at(1_051)], [0.0, 0.03, 0.03, 0.0]);
        assert_eq!([at(1_045), at(5_000)], [0.03, 0.004]);
    }

    #[test]
    fn a_pause_ends_when_the_watcher_runs_again_and_short_ones_are_none() {
        let ended = Duration::from_micros(9_999_400);
        assert_eq!(Pause::ended(1, ended, Duration::from_micros(1_999)), None);
        let pause = Pause::ended(1, ended, Duration::from_millis(30)).unwrap();
        assert_eq!(pause, Pause { cpu: 1, from_ms: 9_969, to_ms: 10_000 });
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

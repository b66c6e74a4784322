//! Notices an engine thread that does not come back: a script's own code is interrupted after its
//! limit, but a native loop (a regular expression that backtracks for ever, a huge array) cannot
//! be. Pure.

use crate::time::Micros;

/// So long inside one user's turn, and a thread is given up.
pub(super) const HUNG_AFTER: Micros = 30_000_000;
/// Time is counted in steps of at most this: a process that was stopped as a whole has not hung.
const STEP_MAX: Micros = 50_000;

pub(super) const HUNG: &str = "an engine thread has been inside one function of the script, or one \
    check, for 30 s; a native loop (a regular expression that backtracks for ever, a huge array) \
    cannot be interrupted, so the run was ended";

/// What has been seen of the threads' beats.
#[derive(Debug)]
pub(super) struct Watchdog {
    seen: Vec<(u64, Micros)>,
    last: Micros,
}

impl Watchdog {
    pub(super) fn new(threads: u32, now: Micros) -> Self {
        Self { seen: vec![(0, 0); threads as usize], last: now }
    }

    /// How many threads have hung. Their beats change with every turn.
    pub(super) fn hung(&mut self, beats: impl Iterator<Item = u64>, now: Micros) -> usize {
        let step = now.saturating_sub(self.last).min(STEP_MAX);
        self.last = now;
        let mut hung = 0;
        for (beat, (seen, still)) in beats.zip(&mut self.seen) {
            *still = if beat == *seen { still.saturating_add(step) } else { 0 };
            *seen = beat;
            hung += usize::from(*still >= HUNG_AFTER);
        }
        hung
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_hangs_when_it_alone_stands_still() {
        let mut dog = Watchdog::new(2, 0);
        let mut now = 0;
        for turn in 1..=600 {
            now += STEP_MAX;
            let hung = dog.hung([turn, 7].into_iter(), now);
            assert_eq!(hung, usize::from(turn > 600), "{turn}");
        }
        assert_eq!(dog.hung([601, 7].into_iter(), now + STEP_MAX), 1);
        assert_eq!(dog.hung([602, 8].into_iter(), now + 2 * STEP_MAX), 0);
    }

    #[test]
    fn a_process_that_was_stopped_has_not_hung() {
        let mut dog = Watchdog::new(1, 0);
        assert_eq!(dog.hung([1].into_iter(), 10), 0);
        assert_eq!(dog.hung([1].into_iter(), 10 * HUNG_AFTER), 0);
    }
}

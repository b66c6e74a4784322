//! Whether a shard's process hangs. Pure.
//!
//! Time is counted in looks of the actor, not by a clock: while this node itself stands still,
//! nothing is heard of its children either, and that must not be held against them.

use super::limits::SILENT_LOOKS_MAX;

#[derive(Debug, Default)]
pub(super) struct Pulse {
    silent: u32,
    /// Its last frame is here: what follows (the script's last function) may take its time.
    is_over: bool,
}

impl Pulse {
    /// The process said something; `last`: its last frame.
    pub(super) fn heard(&mut self, last: bool) {
        self.silent = 0;
        self.is_over |= last;
    }

    /// One look at a process that runs. True when it has been silent for too many.
    pub(super) fn look(&mut self) -> bool {
        self.silent = if self.is_over { 0 } else { self.silent.saturating_add(1) };
        self.silent >= SILENT_LOOKS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once a process that hung left its job running for ever.
    #[test]
    fn a_process_that_says_nothing_for_so_many_looks_hangs() {
        let mut pulse = Pulse::default();
        for _ in 1..SILENT_LOOKS_MAX {
            assert!(!pulse.look());
        }
        pulse.heard(false);
        assert!(!pulse.look());
        let looks = (0..SILENT_LOOKS_MAX).filter(|_| pulse.look()).count();
        assert_eq!(looks, 2);
    }

    #[test]
    fn after_the_last_frame_it_may_take_its_time() {
        let mut pulse = Pulse::default();
        pulse.heard(true);
        assert!((0..10 * SILENT_LOOKS_MAX).all(|_| !pulse.look()));
    }
}

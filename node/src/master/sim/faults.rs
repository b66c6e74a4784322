//! What goes wrong in one simulation, and how often: drawn from its seed, so that some seeds are
//! calm enough for nothing to be lost and others are not.

use rand::Rng;
use rand::rngs::StdRng;

/// Faults happen until then; whatever they left must end soon after.
pub(super) const UNTIL_MS: u64 = 55_000;

/// Probabilities; those of the second group are per step.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) lost_proposal: f64,
    pub(super) late_proposal: f64,
    pub(super) lost_answer: f64,
    pub(super) repeated_proposal: f64,
    /// Of a task of the master.
    pub(super) panic: f64,
    /// Of a message.
    pub(super) delayed: f64,
    pub(super) repeated: f64,
    /// Of a frame inside a session, where another one follows to show it.
    pub(super) lost_frame: f64,

    pub(super) break_session: f64,
    /// A worker that nobody reaches for a while.
    pub(super) cut_off: f64,
    pub(super) leader_falls: f64,
    pub(super) kill_worker: f64,
    /// Of a worker that was killed.
    pub(super) lose_spool: f64,
    pub(super) kill_child: f64,
    /// A frame that cannot be read back.
    pub(super) damage: f64,
    /// Two nodes at once, or the master's and another.
    pub(super) kill_two: f64,
    /// Of the processes of a shard that takes over, from its preparation to some seconds after it
    /// began; per step.
    pub(super) kill_taker: f64,
    /// Of each process, in the last second of the plan; per step.
    pub(super) kill_late: f64,
    /// A node that is drained, or is not any more.
    pub(super) drain: f64,
    /// Of a new leader: it has not applied all that is committed.
    pub(super) behind: f64,
}

impl Faults {
    pub(super) fn drawn(rng: &mut StdRng) -> Self {
        let mut any =
            |most: f64| if rng.random_bool(0.5) { rng.random_range(0.0..most) } else { 0.0 };
        let mut faults = Self {
            lost_proposal: any(0.05),
            late_proposal: any(0.05),
            lost_answer: any(0.1),
            repeated_proposal: any(0.1),
            panic: any(0.05),
            delayed: any(0.04),
            repeated: any(0.05),
            lost_frame: any(0.03),
            break_session: any(0.03),
            leader_falls: any(0.008),
            ..Self::default()
        };
        // Two of three lose nothing: there the totals are the plan, to the last arrival.
        if rng.random_bool(0.33) {
            let mut any =
                |most: f64| if rng.random_bool(0.5) { rng.random_range(0.0..most) } else { 0.0 };
            faults.cut_off = any(0.003);
            faults.kill_worker = any(0.003);
            faults.lose_spool = any(0.8);
            faults.kill_child = any(0.003);
            faults.damage = any(0.001);
            faults.kill_two = any(0.001);
            faults.kill_taker = any(0.03);
            faults.kill_late = any(0.02);
        }
        if rng.random_bool(0.4) {
            faults.drain = rng.random_range(0.0..0.01);
        }
        if rng.random_bool(0.5) {
            faults.behind = 0.7;
        }
        faults
    }

    /// Nobody dies and no session ends: messages are late, nodes are drained, and that is all.
    pub(super) fn are_harmless(&self) -> bool {
        let sessions = self.break_session + self.cut_off + self.leader_falls;
        let deaths = self.kill_worker + self.kill_child + self.kill_two + self.kill_taker;
        sessions + deaths + self.kill_late + self.damage == 0.0
    }
}

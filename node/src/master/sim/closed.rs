//! The closed population of a shard's process, beside the arrivals of its open one: the engine's own
//! tracker, with users that live by formula.

use onrush_scenario::inject::ClosedStep;
use onrush_scenario::inject::closed::{HoldBack, Tracker};
use onrush_scenario::inject::division::Segments;
use onrush_scenario::shard::Surplus;

use super::engine::SECONDS;
use crate::control_wire::ShardOrder;

/// Of the whole job, at once.
pub(super) const USERS: u64 = 24;
/// A user lives for up to this.
const SESSION_MS: u64 = 4_000;

#[derive(Debug)]
pub(super) struct Population {
    tracker: Tracker,
    segments_total: u32,
    /// When each user ends, of the plan.
    users: Vec<u64>,
    /// Drawn for the next one's life.
    random: u64,
    takes_over: bool,
    /// To whom segments were given, and what was said of it.
    given: Vec<(u32, Option<u64>)>,
}

impl Population {
    pub(super) fn new(order: &ShardOrder) -> Self {
        let segments = Segments::new(order.segments_total, &order.segments).expect("the ledger's");
        let duration_us = SECONDS * 1_000_000;
        let steps = [ClosedStep::ConstantConcurrentUsers { users: USERS, duration_us }];
        let mut tracker = Tracker::new(&steps, segments, 0, 1);
        if order.takes_over {
            tracker.hold_back(HoldBack { users: HoldBack::EVERYTHING, of: None }, 0);
        }
        Self {
            tracker,
            segments_total: order.segments_total,
            users: Vec::new(),
            random: u64::from(order.key.shard) + 1,
            takes_over: order.takes_over,
            given: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, from_ms: u64) {
        self.tracker.begin(from_ms * 1_000, 1);
    }

    pub(super) fn advance(&mut self, plan_ms: u64) {
        let now = plan_ms * 1_000;
        let ended = self.users.extract_if(.., |at| *at <= plan_ms).count();
        let replaced = (0..ended).filter_map(|_| self.tracker.user_ended(now)).count();
        let due = std::iter::from_fn(|| self.tracker.due(now)).count();
        for _ in 0..replaced + due {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.users.push(plan_ms + 50 + (self.random >> 33) % SESSION_MS);
        }
    }

    pub(super) fn keep(&mut self, to: u32, left: &[u32], at_ms: u64) {
        let left = Segments::new(self.segments_total, left).expect("fewer than before");
        self.tracker.keep(left, at_ms * 1_000, 1);
        self.given.push((to, None));
    }

    pub(super) fn hold_back(&mut self, users: &[u64], plan_ms: u64) {
        assert!(self.takes_over, "nobody else is told");
        let users = users.first().copied().unwrap_or(0);
        self.tracker.hold_back(HoldBack { users, of: None }, plan_ms * 1_000);
    }

    /// What is new since it was last asked.
    pub(super) fn words(&mut self) -> Vec<Surplus> {
        let mut words = Vec::new();
        for ((to, said), users) in self.given.iter_mut().zip(self.tracker.given()) {
            if said.replace(*users) != Some(*users) {
                let users = if *users > 0 { vec![*users] } else { vec![] };
                words.push(Surplus { to: *to, users });
            }
        }
        words
    }

    pub(super) fn alive(&self) -> u64 {
        self.users.len() as u64
    }
}

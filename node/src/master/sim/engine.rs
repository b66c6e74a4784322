//! A shard's process by formula: which arrivals it starts and which frames it cuts, both known
//! beforehand. Arrival k of the plan comes at t(k) and belongs to segment k mod S; a shard starts
//! those of its segments from its `from_ms` on, and each frame lists what was started in its second.

use bytes::Bytes;
use onrush_scenario::shard::{EndReason, Plan};
use onrush_scenario::stats::frame::{FRAME_VERSION, Frame, ScenarioDelta, Totals};

use crate::control_wire::{ShardKey, ShardOrder};

/// Of the plan. Prime to the number of workers, so that seconds differ.
const PER_SECOND: u64 = 5;
pub(super) const SECONDS: u64 = 30;

/// Arrivals of the whole plan: numbers 0 to this.
pub(super) const ARRIVALS: u64 = PER_SECOND * SECONDS;

/// t(k), from the common start.
pub(super) fn at_ms(arrival: u64) -> u64 {
    arrival * 1_000 / PER_SECOND
}

pub(super) fn plan() -> Plan {
    Plan {
        plan_hash: "same".into(),
        simulation: "main".into(),
        scenarios: vec![],
        injection_us: SECONDS * 1_000_000,
        staged: false,
        max_duration_us: None,
        assertions: serde_json::Value::Null,
    }
}

/// How a frame names an arrival.
pub(super) fn name(arrival: u64) -> String {
    format!("a{arrival}")
}

pub(super) fn number(name: &str) -> u64 {
    name.strip_prefix('a').and_then(|digits| digits.parse().ok()).expect("an arrival's name")
}

/// A frame as it was cut.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) seq: u64,
    pub(super) second: u64,
    pub(super) arrivals: Vec<u64>,
    pub(super) body: Bytes,
}

#[derive(Debug)]
pub(super) struct Child {
    key: ShardKey,
    segments: Vec<u32>,
    segments_total: u32,
    /// Of the plan: earlier arrivals are not its own.
    from_ms: u64,
    /// The common start; none before the master said it.
    start_ms: Option<u64>,
    /// Of the plan: arrivals before it were started.
    done_ms: u64,
    /// Started since the last frame.
    pending: Vec<u64>,
    frames: u64,
    users: u64,
}

impl Child {
    pub(super) fn new(order: &ShardOrder, from_ms: u64) -> Self {
        Self {
            key: order.key.clone(),
            segments: order.segments.clone(),
            segments_total: order.segments_total,
            from_ms,
            start_ms: None,
            done_ms: from_ms,
            pending: Vec::new(),
            frames: 0,
            users: 0,
        }
    }

    pub(super) fn start(&mut self, at_ms: u64) {
        self.start_ms.get_or_insert(at_ms);
    }

    /// What it did up to now: frames, and how it ended if it did.
    pub(super) fn advance(&mut self, now_ms: u64) -> (Vec<Cut>, Option<EndReason>) {
        let Some(start) = self.start_ms else { return (Vec::new(), None) };
        let plan_ms = now_ms.saturating_sub(start);
        let mut cuts = Vec::new();
        while self.second() + 1 < SECONDS && plan_ms >= (self.second() + 1) * 1_000 {
            cuts.push(self.cut(false));
        }
        if plan_ms >= SECONDS * 1_000 {
            cuts.push(self.cut(true));
            return (cuts, Some(EndReason::Completed));
        }
        self.begin_until(plan_ms);
        (cuts, None)
    }

    /// Ends now; the last frame is cut where there was a start.
    pub(super) fn stop(&mut self, now_ms: u64) -> Vec<Cut> {
        let (mut cuts, end) = self.advance(now_ms);
        if end.is_none() && self.start_ms.is_some() {
            let second = self.second();
            cuts.push(self.frame(second, true));
        }
        cuts
    }

    /// What was started and is in no frame.
    pub(super) fn in_flight(&self) -> &[u64] {
        &self.pending
    }

    /// The second of the plan that the next frame is about.
    fn second(&self) -> u64 {
        (self.from_ms / 1_000 + self.frames).min(SECONDS - 1)
    }

    fn begin_until(&mut self, plan_ms: u64) {
        let first = (0..ARRIVALS).skip_while(|k| at_ms(*k) < self.done_ms);
        let due = first.take_while(|k| at_ms(*k) < plan_ms);
        let segment = |k: &u64| u32::try_from(k % u64::from(self.segments_total)).expect("few");
        let own: Vec<u64> = due.filter(|k| self.segments.contains(&segment(k))).collect();
        self.pending.extend(own);
        self.done_ms = self.done_ms.max(plan_ms);
    }

    fn cut(&mut self, last: bool) -> Cut {
        let second = self.second();
        self.begin_until((second + 1) * 1_000);
        self.frame(second, last)
    }

    fn frame(&mut self, second: u64, last: bool) -> Cut {
        let arrivals = std::mem::take(&mut self.pending);
        self.frames += 1;
        self.users += arrivals.len() as u64;
        let totals = Totals { frames: self.frames, users_started: self.users, ..Totals::default() };
        let started =
            |k: &u64| ScenarioDelta { name: name(*k), started: 1, ..ScenarioDelta::default() };
        let frame = Frame {
            version: FRAME_VERSION,
            shard: self.key.shard,
            epoch: self.key.epoch,
            seq: self.frames,
            second: u32::try_from(second).expect("few"),
            scenarios: arrivals.iter().map(started).collect(),
            totals: last.then_some(totals),
            ..Frame::default()
        };
        Cut { seq: self.frames, second, arrivals, body: frame.encode().into() }
    }
}

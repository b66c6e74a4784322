//! A shard's process by formula: which arrivals it starts, which records they take and which frames
//! it cuts, all known beforehand. Arrival k of the plan comes at t(k) and belongs to segment k mod S;
//! a shard starts those of its segments from where it begins on, and each frame lists what was
//! started in its second.

use bytes::Bytes;
use onrush_scenario::engine::stages::{self, Known, Staged, next_tick};
use onrush_scenario::shard::{EndReason, Plan, Surplus, TakeOver, Yielded};
use onrush_scenario::stats::frame::{
    FRAME_VERSION, FeederDelta, Frame, ScenarioDelta, StageDelta, Totals,
};

use super::closed::Population;
use super::records::Records;
use crate::control_wire::{ShardKey, ShardOrder};

/// Of the plan. Prime to the number of workers, so that seconds differ.
const PER_SECOND: u64 = 5;
pub(super) const SECONDS: u64 = 30;
/// What each user takes of the only feeder.
const RECORDS_PER_USER: u64 = 3;
/// What a shard that begins in mid-run catches up, when it hears of it late.
const LATE_MS: u64 = 2_000;
/// From the wish to give segments away to the moment from which they are another's.
const GIVE_AHEAD_MS: u64 = 1_000;
/// The scenario that says how many users there are in all; those that come are rows of their own.
const WHOLE: &str = "all";

/// Arrivals of the whole plan: numbers 0 to this.
pub(super) const ARRIVALS: u64 = PER_SECOND * SECONDS;

/// Of a staged plan: these come first; the others follow when the users of these have ended.
const FIRST: u64 = 100;
/// Users of the first population go on for up to this after its last arrival.
pub(super) const LINGER_MS: u64 = 4_000;

/// t(k), from the begin of a population whose first arrival is k = 0.
fn after_ms(arrival: u64) -> u64 {
    arrival * 1_000 / PER_SECOND
}

fn populations() -> Vec<Staged> {
    let of = |after: &[u32], arrivals| {
        let duration_us = after_ms(arrivals) * 1_000;
        Staged { after: after.to_vec(), duration_us }
    };
    vec![of(&[], FIRST), of(&[0], ARRIVALS - FIRST)]
}

pub(super) fn plan(staged: bool) -> Plan {
    Plan {
        plan_hash: "same".into(),
        simulation: "main".into(),
        scenarios: vec![(WHOLE.to_owned(), Some(ARRIVALS))],
        injection_us: SECONDS * 1_000_000,
        stages: staged.into(),
        undivided: vec![],
        max_duration_us: None,
        assertions: serde_json::Value::Null,
    }
}

/// How a frame names an arrival.
fn name(arrival: u64) -> String {
    format!("a{arrival}")
}

/// None: the row is not about one arrival.
pub(super) fn number(name: &str) -> Option<u64> {
    (name != WHOLE).then(|| {
        let digits = name.strip_prefix('a').and_then(|digits| digits.parse().ok());
        digits.expect("an arrival's name")
    })
}

/// A frame as it was cut.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) seq: u64,
    pub(super) second: u64,
    pub(super) arrivals: Vec<u64>,
    /// Users that ended in it.
    pub(super) ended: u64,
    pub(super) body: Bytes,
}

/// Since when by the plan, and which segments.
type Held = (u64, Vec<u32>);

#[derive(Debug)]
pub(super) struct Child {
    key: ShardKey,
    segments_total: u32,
    /// Those it began with, and what was left each time it gave some away.
    held: Vec<Held>,
    /// Of the plan: earlier arrivals are not its own.
    from_ms: u64,
    /// The second of its first frame.
    first_second: u64,
    /// The common start; none before the master said it.
    start_ms: Option<u64>,
    /// Of the plan: arrivals before it were started.
    done_ms: u64,
    /// Started since the last frame.
    pending: Vec<u64>,
    /// Started and not ended.
    alive: u64,
    pub(super) records: Records,
    closed: Population,
    totals: Totals,
    staged: bool,
    /// Since when the second population runs, of the plan.
    stage_ms: Option<u64>,
    /// When the users of the first one have ended, where this shard starts any.
    first_ends_ms: u64,
    /// It does not begin before: who takes segments over was told that it has not.
    given_ms: u64,
}

impl Child {
    /// In a staged plan, `lingers_ms` is how long users of the first population go on.
    pub(super) fn new(order: &ShardOrder, lingers_ms: Option<u64>) -> Self {
        Self {
            staged: lingers_ms.is_some(),
            stage_ms: None,
            first_ends_ms: after_ms(FIRST) + lingers_ms.unwrap_or(0),
            given_ms: 0,
            key: order.key.clone(),
            segments_total: order.segments_total,
            held: vec![(0, order.segments.clone())],
            from_ms: 0,
            first_second: 0,
            start_ms: None,
            done_ms: 0,
            pending: Vec::new(),
            alive: 0,
            records: Records::new(order.segments_total, order.segments.clone()),
            closed: Population::new(order),
            totals: Totals::default(),
        }
    }

    pub(super) fn segments(&self) -> &[u32] {
        &self.held[0].1
    }

    /// Whether it is too late to begin where the giver left off.
    pub(super) fn start(&mut self, at_ms: u64, take_over: Option<&TakeOver>, now_ms: u64) -> bool {
        if self.start_ms.is_some() {
            return false;
        }
        self.start_ms = Some(at_ms);
        let Some(take_over) = take_over else { return false };
        let plan_ms = now_ms.saturating_sub(at_ms);
        let from = take_over.from_us.map_or(plan_ms, |us| us.div_ceil(1_000));
        self.from_ms = from.max(plan_ms.saturating_sub(LATE_MS));
        self.done_ms = self.from_ms;
        self.first_second = self.from_ms.min(plan_ms) / 1_000;
        self.records.begin(take_over);
        self.closed.begin(self.from_ms);
        self.resume(take_over);
        self.from_ms > from
    }

    /// As the engine does it.
    fn resume(&mut self, take_over: &TakeOver) {
        if !self.staged {
            return;
        }
        let known = Known { began_us: &take_over.stages, until_us: take_over.known_us };
        let begun = stages::begun(&populations(), known, self.from_ms * 1_000);
        self.stage_ms = begun[1].map(|us| us / 1_000);
        self.given_ms = self.from_ms;
        if self.from_ms >= after_ms(FIRST) {
            self.first_ends_ms = 0;
        }
    }

    /// The second population begins when the users of the first one have ended.
    fn follow(&mut self, plan_ms: u64) {
        let waits = self.staged && self.stage_ms.is_none();
        if waits && plan_ms >= self.given_ms && plan_ms >= self.first_ends_ms {
            self.stage_ms = Some(next_tick(plan_ms * 1_000) / 1_000);
        }
    }

    /// When the last arrivals have come; none: not known yet.
    fn ends_ms(&self) -> Option<u64> {
        if !self.staged {
            return Some(SECONDS * 1_000);
        }
        Some(self.stage_ms? + after_ms(ARRIVALS - FIRST))
    }

    /// t(k), from the common start; none: not known yet.
    fn at_ms(&self, arrival: u64) -> Option<u64> {
        if self.staged && arrival >= FIRST {
            return Some(self.stage_ms? + after_ms(arrival - FIRST));
        }
        Some(after_ms(arrival))
    }

    /// The common start, once it was told.
    pub(super) fn start_ms(&self) -> Option<u64> {
        self.start_ms
    }

    /// What it did up to now: frames, and how it ended if it did.
    pub(super) fn advance(&mut self, now_ms: u64) -> (Vec<Cut>, Option<EndReason>) {
        let Some(start) = self.start_ms else { return (Vec::new(), None) };
        let plan_ms = now_ms.saturating_sub(start);
        // Who takes over begins at a moment that may lie ahead.
        if now_ms >= start && plan_ms >= self.from_ms {
            self.closed.advance(plan_ms);
        }
        let mut cuts = Vec::new();
        let ends_ms = self.ends_ms().unwrap_or(u64::MAX);
        while (self.second() + 1) * 1_000 < ends_ms && plan_ms >= (self.second() + 1) * 1_000 {
            let second = self.second();
            self.begin_until((second + 1) * 1_000);
            cuts.push(self.frame(second, false));
        }
        self.begin_until(plan_ms.min(ends_ms));
        let has_given_all = self.held_at(plan_ms).is_empty() && self.closed.alive() == 0;
        self.follow(plan_ms);
        if plan_ms >= ends_ms || has_given_all {
            let second = self.second();
            cuts.push(self.frame(second, true));
            return (cuts, Some(EndReason::Completed));
        }
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

    /// Gives segments away from a moment on that lies ahead.
    pub(super) fn give(&mut self, to: u32, segments: &[u32], now_ms: u64) -> Option<Yielded> {
        let at_ms = now_ms.saturating_sub(self.start_ms?) + GIVE_AHEAD_MS;
        let (_, held) = self.held.last()?;
        let left: Vec<u32> = held.iter().copied().filter(|it| !segments.contains(it)).collect();
        self.held.push((at_ms, left.clone()));
        self.closed.keep(to, &left, at_ms);
        let record = self.records.keep(left);
        self.given_ms = at_ms;
        let stages = if self.staged { vec![self.began_us()] } else { vec![] };
        Some(Yielded { to, at_us: at_ms * 1_000, records: vec![record], stages })
    }

    pub(super) fn hold_back(&mut self, users: &[u64], now_ms: u64) {
        let plan_ms = now_ms.saturating_sub(self.start_ms.unwrap_or(now_ms));
        self.closed.hold_back(users, plan_ms);
    }

    /// What is new of its users that are others' by now.
    pub(super) fn surplus(&mut self) -> Vec<Surplus> {
        self.closed.words()
    }

    /// Users of the closed population.
    pub(super) fn users(&self) -> u64 {
        self.closed.alive()
    }

    fn began_us(&self) -> Option<u64> {
        self.stage_ms.map(|ms| ms * 1_000)
    }

    /// What was started and is in no frame.
    pub(super) fn in_flight(&self) -> &[u64] {
        &self.pending
    }

    /// The second of the plan that the next frame is about.
    fn second(&self) -> u64 {
        self.first_second + self.totals.frames
    }

    fn held_at(&self, plan_ms: u64) -> &[u32] {
        let held = self.held.iter().rev().find(|(since, _)| *since <= plan_ms);
        held.map_or(&[], |(_, segments)| segments)
    }

    fn segment(&self, arrival: u64) -> u32 {
        u32::try_from(arrival % u64::from(self.segments_total)).expect("few")
    }

    fn begin_until(&mut self, plan_ms: u64) {
        let is_due = |k: &u64| {
            let at_ms = self.at_ms(*k).filter(|at| (self.done_ms..plan_ms).contains(at));
            at_ms.is_some_and(|at| self.held_at(at).contains(&self.segment(*k)))
        };
        let own: Vec<u64> = (0..ARRIVALS).filter(is_due).collect();
        self.records.want(own.len() as u64 * RECORDS_PER_USER);
        self.pending.extend(own);
        self.done_ms = self.done_ms.max(plan_ms);
    }

    fn frame(&mut self, second: u64, last: bool) -> Cut {
        let arrivals = std::mem::take(&mut self.pending);
        // A user lives until the next frame.
        let ended = self.alive + if last { arrivals.len() as u64 } else { 0 };
        self.alive += arrivals.len() as u64;
        self.alive -= ended;
        let is_first = self.totals.frames == 0;
        self.totals.frames += 1;
        self.totals.users_started += arrivals.len() as u64;
        self.totals.users_ended += ended;
        let (seq, started) = (self.totals.frames, |k: &u64| ScenarioDelta {
            name: name(*k),
            started: 1,
            planned: Some(1),
            ..ScenarioDelta::default()
        });
        let all = &self.held[0].1;
        let own = (0..ARRIVALS).filter(|k| all.contains(&self.segment(*k)));
        let before =
            own.clone().filter(|k| self.at_ms(*k).is_some_and(|at| at < self.from_ms)).count()
                as u64;
        let whole = ScenarioDelta {
            name: WHOLE.to_owned(),
            ended,
            active: self.alive,
            planned: Some(ARRIVALS),
            before: if is_first { before } else { 0 },
            ..ScenarioDelta::default()
        };
        let (position, reserved) = self.records.cut(seq);
        let stage = StageDelta { stage: 0, began_us: self.began_us() };
        let frame = Frame {
            version: FRAME_VERSION,
            shard: self.key.shard,
            epoch: self.key.epoch,
            seq,
            second: u32::try_from(second).expect("few"),
            scenarios: arrivals.iter().map(started).chain([whole]).collect(),
            totals: last.then_some(self.totals),
            feeders: vec![FeederDelta { feeder: 0, position, reserved }],
            stages: if self.staged { vec![stage] } else { vec![] },
            ..Frame::default()
        };
        Cut { seq, second, arrivals, ended, body: frame.encode().into() }
    }
}

//! The records that a shard's users take of the only feeder: numbers of the whole job, of which a
//! shard's own are those of its segments, as far as they were reserved by frames that are committed.

use std::collections::VecDeque;

use onrush_scenario::shard::TakeOver;

/// Numbers that a shard reserves without a frame.
const AHEAD: u64 = 60;
/// Numbers that a frame reserves beyond what is used and was asked for in vain.
const FRAME_AHEAD: u64 = 120;

#[derive(Debug)]
pub(super) struct Records {
    total: u64,
    /// From which number on, and which segments.
    held: Vec<(u64, Vec<u32>)>,
    position: u64,
    granted: u64,
    reserved: u64,
    /// Reserved by frames that are not committed yet.
    waiting: VecDeque<(u64, u64)>,
    /// Records that users wait for.
    owed: u64,
    /// Taken since they were last asked for.
    used: Vec<u64>,
}

impl Records {
    pub(super) fn new(total: u32, segments: Vec<u32>) -> Self {
        Self {
            total: u64::from(total),
            held: vec![(0, segments)],
            position: 0,
            granted: AHEAD,
            reserved: AHEAD,
            waiting: VecDeque::new(),
            owed: 0,
            used: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, take_over: &TakeOver) {
        let known = take_over.feeders.iter().find(|it| it.feeder == 0).map_or(0, |it| it.record);
        self.position = known + AHEAD * u64::from(take_over.unseen);
        self.granted = self.position + AHEAD;
        self.reserved = self.granted;
    }

    pub(super) fn want(&mut self, count: u64) {
        self.owed += count;
        self.take();
    }

    /// Numbers from the one that is given on are only those of the segments that are left.
    pub(super) fn keep(&mut self, left: Vec<u32>) -> u64 {
        self.held.push((self.reserved, left));
        self.reserved
    }

    /// Where the shard is, and how far it reserves with this frame.
    pub(super) fn cut(&mut self, seq: u64) -> (u64, u64) {
        let wanted = self.next(self.position).map_or(self.position, |next| next + 1);
        let wanted = if self.owed > 0 { wanted } else { self.position };
        self.reserved = self.reserved.max(wanted + FRAME_AHEAD);
        self.waiting.push_back((seq, self.reserved));
        (self.position, self.reserved)
    }

    pub(super) fn committed(&mut self, seq: u64) {
        while self.waiting.front().is_some_and(|(of, _)| *of <= seq) {
            self.granted = self.waiting.pop_front().map_or(self.granted, |(_, reserved)| reserved);
        }
        self.take();
    }

    pub(super) fn take_used(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.used)
    }

    fn take(&mut self) {
        while self.owed > 0 {
            let Some(next) = self.next(self.position).filter(|next| *next < self.granted) else {
                return;
            };
            self.used.push(next);
            self.position = next + 1;
            self.owed -= 1;
        }
    }

    /// The shard's next own number from this one on; none where it has given all away.
    fn next(&self, from: u64) -> Option<u64> {
        let owns = |number: u64| {
            let held = self.held.iter().rev().find(|(since, _)| *since <= number);
            held.is_some_and(|(_, segments)| {
                segments.iter().any(|segment| u64::from(*segment) == number % self.total)
            })
        };
        let last = self.held.last().map_or(0, |(since, _)| *since);
        (from..from.max(last) + self.total).find(|number| owns(*number))
    }
}

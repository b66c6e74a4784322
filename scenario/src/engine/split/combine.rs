//! The frames of a shard's processes → the frames of the shard. Pure.

use std::collections::{BTreeMap, VecDeque};

use crate::stats::fit::Folded;
use crate::stats::frame::{
    FeederDelta, Frame, FrameHeader, GeneratorHealth, Totals, merge_partials, merge_stages,
};
use crate::stats::merge::beside;
use crate::stats::record::Partial;

/// Joins the processes' seconds: one is complete when every process has told of it or has ended.
pub(super) struct Combiner {
    parts: Vec<Part>,
    next: Option<u32>,
    seq: u64,
    totals: Totals,
}

#[derive(Default)]
struct Part {
    frames: VecDeque<Frame>,
    ended: bool,
}

impl Combiner {
    pub(super) fn new(parts: usize) -> Self {
        let parts = std::iter::repeat_with(Part::default).take(parts).collect();
        Self { parts, next: None, seq: 0, totals: Totals::default() }
    }

    pub(super) fn add(&mut self, part: usize, frame: Frame) {
        let part = &mut self.parts[part];
        // Only its last one has totals: with it the shard's last second is complete.
        part.ended |= frame.totals.is_some();
        part.frames.push_back(frame);
    }

    /// The process says no more.
    pub(super) fn ended(&mut self, part: usize) {
        self.parts[part].ended = true;
    }

    /// The shard's next second, once it is complete. The last frame carries the totals.
    pub(super) fn take(&mut self) -> Option<Frame> {
        let waits = |it: &Part| it.frames.is_empty() && !it.ended;
        if self.parts.iter().any(waits) {
            return None;
        }
        // Who began late begins later; the others' seconds must not wait for it.
        let first =
            self.parts.iter().filter_map(|it| it.frames.front()).map(|it| it.second).min()?;
        let second = self.next.map_or(first, |next| next.min(first));
        self.next = Some(second + 1);
        let due = |it: &mut Part| match it.frames.front() {
            Some(frame) if frame.second <= second => it.frames.pop_front(),
            _ => None,
        };
        let frames: Vec<Frame> = self.parts.iter_mut().filter_map(due).collect();
        self.seq += 1;
        let mut frame = joined(frames, second, self.seq);
        self.totals.add_frame(&frame);
        let done = self.parts.iter().all(|it| it.ended && it.frames.is_empty());
        frame.totals = done.then_some(self.totals);
        Some(frame)
    }
}

fn joined(frames: Vec<Frame>, second: u32, seq: u64) -> Frame {
    let mut feeders: BTreeMap<u32, FeederDelta> = BTreeMap::new();
    let (mut generator, mut folded) = (GeneratorHealth::default(), Folded::default());
    for frame in &frames {
        folded.add(&frame.folded);
        for feeder in &frame.feeders {
            feeders.entry(feeder.feeder).or_insert(*feeder).widen(feeder);
        }
        generator = beside(&generator, &frame.generator);
    }
    let stages = merge_stages(frames.iter().flat_map(|frame| &frame.stages));
    let (shard, epoch) = frames.first().map_or((0, 0), |frame| (frame.shard, frame.epoch));
    let rows = frames.into_iter().map(|frame| Partial {
        requests: frame.requests,
        groups: frame.groups,
        scenarios: frame.scenarios,
        errors: frame.errors,
        connections: frame.connections,
        ..Partial::default()
    });
    let header = FrameHeader { shard, epoch, seq, second };
    let mut joined = merge_partials(header, rows.collect());
    (joined.generator, joined.folded) = (generator, folded);
    joined.feeders = feeders.into_values().collect();
    joined.stages = stages;
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::frame::{FRAME_VERSION, RequestDelta, ScenarioDelta, Times};

    fn frame(second: u32, requests: u64, active: u64) -> Frame {
        Frame {
            version: FRAME_VERSION,
            shard: 4,
            epoch: 2,
            seq: u64::from(second) + 1,
            second,
            requests: vec![RequestDelta {
                path: vec!["get".into()],
                sent: requests,
                ok: Times::of((0..requests).map(|it| 1_000 + it)),
                ..RequestDelta::default()
            }],
            scenarios: vec![ScenarioDelta {
                name: "s".into(),
                started: requests,
                active,
                active_max: active,
                ..ScenarioDelta::default()
            }],
            feeders: vec![FeederDelta { feeder: 0, position: requests, reserved: requests + 9 }],
            generator: GeneratorHealth { cpu_percent: 60.0, open_files: 9, ..Default::default() },
            ..Frame::default()
        }
    }

    #[test]
    fn a_second_is_complete_when_all_have_told_of_it_or_have_ended() {
        let mut combiner = Combiner::new(2);
        combiner.add(0, frame(0, 3, 2));
        assert_eq!(combiner.take(), None);
        combiner.add(1, frame(0, 4, 1));
        combiner.add(1, frame(1, 5, 0));
        let first = combiner.take().unwrap();
        assert_eq!((first.shard, first.epoch, first.seq, first.second), (4, 2, 1, 0));
        assert_eq!((first.requests[0].sent, first.requests[0].ok.count), (7, 7));
        assert_eq!((first.scenarios[0].active, first.scenarios[0].active_max), (3, 3));
        // Numbers of the whole job: the processes' records lie among each other.
        assert_eq!(first.feeders, [FeederDelta { feeder: 0, position: 4, reserved: 13 }]);
        assert_eq!((first.generator.cpu_percent, first.generator.open_files), (120.0, 18));
        assert_eq!(first.totals, None);
        assert_eq!(combiner.take(), None);
        combiner.ended(0);
        combiner.ended(1);
        let last = combiner.take().unwrap();
        assert_eq!((last.seq, last.second, last.requests[0].sent), (2, 1, 5));
        let totals = last.totals.unwrap();
        assert_eq!((totals.frames, totals.requests_ok, totals.users_started), (2, 12, 12));
        assert_eq!(combiner.take(), None);
    }

    /// Whatever is heard first: that a process is done, or the other's last second.
    #[test]
    fn the_last_second_carries_the_totals_before_anybody_has_gone() {
        let last = |second, requests| Frame {
            totals: Some(Totals::default()),
            ..frame(second, requests, 0)
        };
        for together in [true, false] {
            let mut combiner = Combiner::new(2);
            combiner.add(0, last(0, 3));
            if !together {
                combiner.ended(0);
            }
            combiner.add(1, frame(0, 4, 1));
            assert_eq!(combiner.take().unwrap().totals, None);
            combiner.add(1, last(1, 5));
            let totals = combiner.take().unwrap().totals.unwrap();
            assert_eq!((totals.frames, totals.requests_ok), (2, 12));
            combiner.ended(1);
            assert_eq!(combiner.take(), None);
        }
    }

    #[test]
    fn who_begins_later_loses_nothing_and_holds_nobody_up() {
        let mut combiner = Combiner::new(2);
        combiner.add(0, frame(3, 1, 0));
        combiner.add(1, frame(5, 2, 0));
        assert_eq!(combiner.take().map(|it| (it.second, it.requests[0].sent)), Some((3, 1)));
        combiner.add(0, frame(4, 1, 0));
        assert_eq!(combiner.take().map(|it| (it.second, it.requests[0].sent)), Some((4, 1)));
        combiner.add(0, frame(5, 1, 0));
        assert_eq!(combiner.take().map(|it| (it.second, it.requests[0].sent)), Some((5, 3)));
    }
}

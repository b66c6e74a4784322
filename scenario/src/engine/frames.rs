//! From the seconds of the threads to the frames of the shard. Pure, but for the health readings
//! that the caller hands in.

use std::collections::{BTreeMap, BTreeSet};

use super::thread::Second;
use crate::stats::frame::{
    FeederDelta, Frame, FrameHeader, GeneratorHealth, PlanRevision, ScenarioDelta, Totals,
    merge_partials,
};

/// Collects the threads' seconds; a frame is cut when all threads have told of its second.
pub(super) struct Framer {
    shard: u32,
    epoch: u64,
    threads: usize,
    seq: u64,
    /// The next second to be framed.
    next: u32,
    pending: BTreeMap<u32, Vec<Second>>,
    totals: Totals,
    planned: Vec<PlannedUsers>,
    /// No frame has said it yet, since it changed.
    is_untold: bool,
}

/// What the profile of a scenario says, in the open model.
#[derive(Clone, Debug)]
pub(super) struct PlannedUsers {
    pub scenario: String,
    /// Of the whole job.
    pub all: Option<u64>,
    pub revision: PlanRevision,
}

impl Framer {
    pub(super) fn new(
        shard: u32,
        epoch: u64,
        threads: usize,
        first_second: u32,
        planned: Vec<PlannedUsers>,
    ) -> Self {
        Self {
            shard,
            epoch,
            threads,
            seq: 0,
            next: first_second,
            pending: BTreeMap::new(),
            totals: Totals::default(),
            planned,
            is_untold: false,
        }
    }

    /// Another one than before.
    pub(super) fn plan(&mut self, planned: Vec<PlannedUsers>) {
        (self.planned, self.is_untold) = (planned, true);
    }

    pub(super) fn add(&mut self, second: Second) {
        self.pending.entry(second.second).or_default().push(second);
    }

    /// The next complete second, if there is one.
    pub(super) fn take_complete(
        &mut self,
        health: GeneratorHealth,
        feeders: Vec<FeederDelta>,
    ) -> Option<Frame> {
        self.is_complete().then(|| self.cut(health, feeders))
    }

    /// The second of the next frame.
    pub(super) fn next_second(&self) -> u32 {
        self.next
    }

    pub(super) fn is_complete(&self) -> bool {
        self.pending.get(&self.next).is_some_and(|parts| parts.len() >= self.threads)
    }

    /// All threads have ended: everything left; the last frame carries the totals.
    pub(super) fn take_rest(
        &mut self,
        health: GeneratorHealth,
        feeders: &[FeederDelta],
    ) -> Vec<Frame> {
        let last = self.pending.keys().next_back().copied().unwrap_or(self.next);
        let mut frames = Vec::new();
        while self.next <= last {
            frames.push(self.cut(health, feeders.to_vec()));
        }
        if let Some(frame) = frames.last_mut() {
            frame.totals = Some(self.totals);
        }
        frames
    }

    fn cut(&mut self, health: GeneratorHealth, feeders: Vec<FeederDelta>) -> Frame {
        let parts = self.pending.remove(&self.next).unwrap_or_default();
        let start_late = parts.iter().filter_map(|part| part.start_late).max().unwrap_or(0);
        let lag = parts.iter().map(|part| part.loop_lag_max).max().unwrap_or(0);
        self.seq += 1;
        let header =
            FrameHeader { shard: self.shard, epoch: self.epoch, seq: self.seq, second: self.next };
        let partials = parts.into_iter().map(|part| part.partial).collect();
        let mut frame = merge_partials(header, partials);
        self.next += 1;
        frame.feeders = feeders;
        if std::mem::take(&mut self.is_untold) {
            // Of scenarios without a user in this second, too.
            let known: BTreeSet<String> =
                frame.scenarios.iter().map(|it| it.name.clone()).collect();
            let absent = self.planned.iter().filter(|it| !known.contains(&it.scenario));
            let row = |it: &PlannedUsers| ScenarioDelta {
                name: it.scenario.clone(),
                ..ScenarioDelta::default()
            };
            frame.scenarios.extend(absent.map(row));
            frame.scenarios.sort_by(|a, b| a.name.cmp(&b.name));
        }
        for scenario in &mut frame.scenarios {
            let planned = self.planned.iter().find(|it| it.scenario == scenario.name);
            scenario.planned = planned.and_then(|it| it.all);
            scenario.revision = planned.map_or_else(PlanRevision::default, |it| it.revision);
        }
        let generator = &mut frame.generator;
        generator.cpu_percent = health.cpu_percent;
        generator.steal_percent = health.steal_percent;
        generator.rss_bytes = health.rss_bytes;
        generator.open_files = health.open_files;
        generator.loop_lag_max_us = lag;
        generator.start_late_us = start_late;
        generator.clock_error_us = health.clock_error_us;
        self.totals.add_frame(&frame);
        frame
    }
}

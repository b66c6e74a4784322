//! The master's buffer of frames between a worker's spool and a committed tick. Pure: what arrives
//! and the time are parameters. It refuses to decide what was counted: the ledger's cursors do, and
//! whatever this holds may be thrown away and asked for again.
//!
//! For each (job, shard, epoch) it keeps the frames that follow the committed cursor without a gap.
//! A job has at most one section on its way to the ledger; what comes back settles it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use onrush_raft::ledger::job::{
    Assignment, AssignmentState, CursorMove, Job, Reserved, Stages, TickSection,
};
use onrush_raft::ledger::limits::{SEQUENCES_MAX, SHARDS_MAX, STAGES_MAX, TICK_BYTES_MAX};
use onrush_raft::ledger::outcome::TickOutcome;
use onrush_raft::types::JobId;
use onrush_scenario::stats::frame::Frame;
use onrush_scenario::stats::merge::{ShardDelta, Tick, merge};
use onrush_scenario::time::MICROS_PER_SECOND;

use crate::control_wire::ShardKey;

/// How long a second waits for slow shards, from the arrival of its first frame.
pub const STRAGGLER_WAIT_MS: u64 = 1_200;
/// Frames kept per shard; what is beyond is asked for again once there is room.
pub const FRAMES_PER_SHARD_MAX: usize = 120;
/// Frames of one section: one of each shard of the widest job, or what merges after a fail-over.
pub const FRAMES_PER_SECTION_MAX: usize = SHARDS_MAX;
/// Encoded frames of one section, before they are merged: bounds the work on it. At least one frame
/// always goes.
pub const SECTION_BYTES_MAX: usize = 4 << 20;

/// A frame as it arrived. Its content is the engine's; only what orders it is read here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub seq: u64,
    pub second: u32,
    /// It carries the shard's totals: nothing follows it.
    pub last: bool,
    pub body: Bytes,
    pub arrived_ms: u64,
}

impl Held {
    /// None where the bytes are no frame, or another one.
    #[must_use]
    pub fn read(seq: u64, body: Bytes, arrived_ms: u64) -> Option<Self> {
        let head = Frame::head(&body).ok().filter(|head| head.seq == seq)?;
        let (second, last) = (head.second, head.last);
        Some(Self { seq, second, last, body, arrived_ms })
    }
}

/// What became of a frame that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    Kept,
    /// At or below what is known already.
    Duplicate,
    /// Frames are missing before it: ask again for what follows `after`.
    Gap {
        after: u64,
    },
    /// The ledger has no such active assignment.
    Unknown,
    /// No room; ask again after the next commit.
    Full,
}

/// What a section is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub job: JobId,
    pub cursors: Vec<CursorMove>,
    /// In the order of their seconds; those of a shard in its own order.
    pub frames: Vec<Taken>,
    /// More frames could have gone than a section holds: the next one should not wait.
    pub cut: bool,
}

/// A frame of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub shard: u32,
    pub epoch: u64,
    pub body: Bytes,
}

impl Taken {
    /// Its content, which nobody has looked at before. One that cannot be read is missed when the
    /// shard's totals are compared with what was merged, and the verdict says so.
    fn frame(&self) -> Option<Frame> {
        let frame = Frame::decode(&self.body);
        frame
            .inspect_err(|error| {
                let (shard, epoch) = (self.shard, self.epoch);
                tracing::error!(shard, epoch, %error, "a frame that cannot be read is left out");
            })
            .ok()
    }
}

impl Batch {
    /// The section to be proposed. How large the frames are together is known only once they are
    /// merged: while it is more than a tick may have, the newer half is left for the next section.
    /// A frame by itself always fits.
    pub fn section(&mut self) -> TickSection {
        loop {
            let frames = self.frames.iter().filter_map(Taken::frame);
            let tick = merge(frames);
            let payload = tick.encode();
            let fits = payload.len() <= TICK_BYTES_MAX && tick.check().is_ok();
            if fits || self.frames.len() < 2 {
                return TickSection {
                    job: self.job.clone(),
                    cursors: self.cursors.clone(),
                    payload,
                    reserved: reserved(&tick),
                };
            }
            self.halve();
        }
    }

    fn halve(&mut self) {
        for left in self.frames.split_off(self.frames.len().div_ceil(2)) {
            let of_shard =
                self.cursors.iter_mut().find(|it| (it.shard, it.epoch) == (left.shard, left.epoch));
            if let Some(cursor) = of_shard {
                cursor.to -= 1;
            }
        }
        self.cursors.retain(|cursor| cursor.to > cursor.from);
        self.cut = true;
    }
}

/// What the shards of a tick have reserved and begun with it; nothing where the job has neither
/// feeders nor populations that follow on others.
fn reserved(tick: &Tick) -> Vec<Reserved> {
    let mut all: BTreeMap<(u32, u64), Reserved> = BTreeMap::new();
    for second in &tick.seconds {
        for delta in &second.shards {
            if delta.feeders.is_empty() && delta.stages.is_empty() {
                continue;
            }
            let (shard, epoch) = (delta.shard, delta.epoch);
            let of_shard = all.entry((shard, epoch)).or_insert_with(|| Reserved {
                shard,
                epoch,
                ..Reserved::default()
            });
            reserve(&mut of_shard.numbers, delta);
            begin(&mut of_shard.stages, delta, second.second);
        }
    }
    all.into_values().collect()
}

fn reserve(numbers: &mut Vec<u64>, delta: &ShardDelta) {
    for feeder in &delta.feeders {
        let index = feeder.feeder as usize;
        if index < SEQUENCES_MAX {
            numbers.resize(numbers.len().max(index + 1), 0);
            numbers[index] = numbers[index].max(feeder.reserved);
        }
    }
}

fn begin(stages: &mut Stages, delta: &ShardDelta, second: u32) {
    for stage in &delta.stages {
        let index = stage.stage as usize;
        if index < STAGES_MAX {
            stages.began_us.resize(stages.began_us.len().max(index + 1), None);
            stages.began_us[index] = stages.began_us[index].or(stage.began_us);
            stages.known_us = stages.known_us.max((u64::from(second) + 1) * MICROS_PER_SECOND);
        }
    }
}

/// How far a shard is, by the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub shard: u32,
    pub epoch: u64,
    pub cursor: u64,
    /// It runs, so that a second is not whole without it. A lost one's frames may come or not.
    pub awaited: bool,
}

/// Those of a job whose frames are taken: all that are not done.
#[must_use]
pub fn cursors(job: &Job) -> Vec<Cursor> {
    let of = |a: &Assignment| Cursor {
        shard: a.shard,
        epoch: a.epoch,
        cursor: a.cursor,
        awaited: a.state == AssignmentState::Active && a.has_begun(),
    };
    job.assignments.iter().filter(|a| a.takes_frames()).map(of).collect()
}

#[derive(Debug, Default)]
struct ShardBuffer {
    committed: u64,
    awaited: bool,
    /// Contiguous: the front is `committed + 1`.
    frames: VecDeque<Held>,
}

impl ShardBuffer {
    fn newest(&self) -> u64 {
        self.frames.back().map_or(self.committed, |held| held.seq)
    }

    fn ended(&self) -> bool {
        self.frames.back().is_some_and(|held| held.last)
    }

    fn drop_through(&mut self, cursor: u64) {
        while self.frames.front().is_some_and(|held| held.seq <= cursor) {
            self.frames.pop_front();
        }
        if self.frames.front().is_some_and(|held| held.seq != cursor + 1) {
            self.frames.clear();
        }
        self.committed = cursor;
    }
}

#[derive(Debug, Default)]
struct JobBuffer {
    shards: BTreeMap<(u32, u64), ShardBuffer>,
    in_flight: bool,
}

#[derive(Debug, Default)]
pub struct Aggregator {
    jobs: BTreeMap<JobId, JobBuffer>,
}

impl Aggregator {
    /// Takes over the ledger's cursors of a job: what they cover is dropped, shards that are
    /// not among them are forgotten. A section on its way stays so until it is settled.
    pub fn sync(&mut self, job: &JobId, cursors: &[Cursor]) {
        let buffer = self.jobs.entry(job.clone()).or_default();
        let known: BTreeSet<(u32, u64)> = cursors.iter().map(|it| (it.shard, it.epoch)).collect();
        buffer.shards.retain(|key, _| known.contains(key));
        for Cursor { shard, epoch, cursor, awaited } in cursors {
            let shard = buffer.shards.entry((*shard, *epoch)).or_default();
            shard.awaited = *awaited;
            if shard.committed != *cursor {
                shard.drop_through(*cursor);
            }
        }
    }

    /// Forgets jobs that are not wanted any more.
    pub fn retain(&mut self, wanted: impl Fn(&JobId) -> bool) {
        self.jobs.retain(|job, _| wanted(job));
    }

    pub fn offer(&mut self, key: &ShardKey, held: Held) -> Offer {
        let shard =
            self.jobs.get_mut(&key.job).and_then(|job| job.shards.get_mut(&(key.shard, key.epoch)));
        let Some(shard) = shard else { return Offer::Unknown };
        let newest = shard.newest();
        if held.seq <= newest {
            Offer::Duplicate
        } else if held.seq != newest + 1 {
            Offer::Gap { after: newest }
        } else if shard.frames.len() >= FRAMES_PER_SHARD_MAX {
            Offer::Full
        } else {
            shard.frames.push_back(held);
            Offer::Kept
        }
    }

    /// The newest frame known of a shard, committed or buffered: what a resumed session starts from.
    #[must_use]
    pub fn newest(&self, key: &ShardKey) -> Option<u64> {
        let job = self.jobs.get(&key.job)?;
        job.shards.get(&(key.shard, key.epoch)).map(ShardBuffer::newest)
    }

    /// The sections that may go now, one per job at most; each counts as on its way until
    /// [`Aggregator::settle`] or [`Aggregator::unknown`].
    pub fn take(&mut self, now_ms: u64) -> Vec<Batch> {
        let mut batches = Vec::new();
        for (job, buffer) in &mut self.jobs {
            if buffer.in_flight {
                continue;
            }
            let Some(through) = ready_through(buffer, now_ms) else { continue };
            let batch = collect(job, buffer, through);
            if !batch.frames.is_empty() {
                buffer.in_flight = true;
                batches.push(batch);
            }
        }
        batches
    }

    /// The ledger's word on a section.
    pub fn settle(&mut self, job: &JobId, moves: &[CursorMove], outcome: &TickOutcome) {
        let Some(buffer) = self.jobs.get_mut(job) else { return };
        buffer.in_flight = false;
        let stored = match outcome {
            TickOutcome::Accepted { .. } => moves,
            TickOutcome::Refused { cursors } => cursors.as_slice(),
        };
        for cursor in stored {
            if let Some(shard) = buffer.shards.get_mut(&(cursor.shard, cursor.epoch)) {
                shard.drop_through(cursor.to);
            }
        }
    }

    /// Whether the section was committed is not known: the next `sync` with the ledger tells, and
    /// if it is committed later still, compare-and-set refuses one of the two.
    pub fn unknown(&mut self, job: &JobId) {
        if let Some(buffer) = self.jobs.get_mut(job) {
            buffer.in_flight = false;
        }
    }
}

/// The last second that may go: all shards have delivered it, or it has waited long enough.
fn ready_through(buffer: &JobBuffer, now_ms: u64) -> Option<u32> {
    let shards = || buffer.shards.values();
    let complete = shards()
        .filter(|shard| shard.awaited && !shard.ended())
        .map(|shard| shard.frames.back().map(|held| held.second))
        .min();
    let all_ended = complete.is_none();
    let waited = shards()
        .flat_map(|shard| &shard.frames)
        .filter(|held| all_ended || now_ms >= held.arrived_ms.saturating_add(STRAGGLER_WAIT_MS))
        .map(|held| held.second)
        .max();
    waited.max(complete.flatten())
}

/// Takes frames evenly, oldest second first, within the bounds of a section.
fn collect(job: &JobId, buffer: &JobBuffer, through: u32) -> Batch {
    let mut next: Vec<_> = buffer
        .shards
        .iter()
        .map(|((shard, epoch), held)| (*shard, *epoch, held, 0_usize))
        .collect();
    let mut frames: Vec<Taken> = Vec::new();
    let (mut bytes, mut cut) = (0, false);
    loop {
        let oldest = next
            .iter_mut()
            .filter_map(|entry| {
                let held = entry.2.frames.get(entry.3)?;
                (held.second <= through).then_some((held.second, entry))
            })
            .min_by_key(|(second, entry)| (*second, entry.0, entry.1));
        let Some((_, entry)) = oldest else { break };
        let held = &entry.2.frames[entry.3];
        let full =
            frames.len() >= FRAMES_PER_SECTION_MAX || bytes + held.body.len() > SECTION_BYTES_MAX;
        if !frames.is_empty() && full {
            cut = true;
            break;
        }
        bytes += held.body.len();
        frames.push(Taken { shard: entry.0, epoch: entry.1, body: held.body.clone() });
        entry.3 += 1;
    }
    let cursors = next
        .iter()
        .filter(|entry| entry.3 > 0)
        .map(|(shard, epoch, held, taken)| CursorMove {
            shard: *shard,
            epoch: *epoch,
            from: held.committed,
            to: held.committed + *taken as u64,
        })
        .collect();
    Batch { job: job.clone(), cursors, frames, cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobId {
        JobId("job_a".into())
    }

    fn key(shard: u32) -> ShardKey {
        ShardKey { job: job(), shard, epoch: 1 }
    }

    fn at(shard: u32, cursor: u64) -> Cursor {
        Cursor { shard, epoch: 1, cursor, awaited: true }
    }

    fn held(seq: u64, now: u64) -> Held {
        let second = u32::try_from(seq).unwrap() - 1;
        let body = Bytes::from(format!("f{seq}"));
        Held { seq, second, last: false, body, arrived_ms: now }
    }

    fn two_shards() -> Aggregator {
        let mut all = Aggregator::default();
        all.sync(&job(), &[at(0, 0), at(1, 0)]);
        all
    }

    fn moved(shard: u32, from: u64, to: u64) -> CursorMove {
        CursorMove { shard, epoch: 1, from, to }
    }

    #[test]
    fn a_second_goes_as_soon_as_all_shards_delivered_it() {
        let mut all = two_shards();
        assert_eq!(all.offer(&key(0), held(1, 0)), Offer::Kept);
        assert_eq!(all.take(1), vec![]);
        assert_eq!(all.offer(&key(1), held(1, 2)), Offer::Kept);
        let batches = all.take(2);
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].cursors, vec![moved(0, 0, 1), moved(1, 0, 1)]);
        let taken = |shard| Taken { shard, epoch: 1, body: Bytes::from("f1") };
        assert_eq!(batches[0].frames, vec![taken(0), taken(1)]);
        assert!(!batches[0].cut);
    }

    #[test]
    fn a_slow_shard_is_waited_for_1200_ms_and_then_amends_its_second_later() {
        let mut all = two_shards();
        all.offer(&key(0), held(1, 100));
        assert_eq!(all.take(1_299), vec![]);
        let batches = all.take(1_300);
        assert_eq!(batches[0].cursors, vec![moved(0, 0, 1)]);
        all.settle(&job(), &batches[0].cursors, &TickOutcome::Accepted { number: 1 });
        all.offer(&key(1), held(1, 1_400));
        all.offer(&key(0), held(2, 1_400));
        // Shard 1 has not delivered second 1, shard 0's second 0 is committed: 0 goes.
        assert_eq!(all.take(1_400)[0].cursors, vec![moved(1, 0, 1)]);
    }

    #[test]
    fn one_section_at_a_time() {
        let mut all = two_shards();
        for shard in [0, 1] {
            all.offer(&key(shard), held(1, 0));
        }
        let first = all.take(0);
        for shard in [0, 1] {
            all.offer(&key(shard), held(2, 1));
        }
        assert_eq!(all.take(5_000), vec![]);
        all.settle(&job(), &first[0].cursors, &TickOutcome::Accepted { number: 1 });
        assert_eq!(all.take(5_000)[0].cursors, vec![moved(0, 1, 2), moved(1, 1, 2)]);
    }

    #[test]
    fn repeats_are_dropped_and_gaps_named() {
        let mut all = two_shards();
        all.offer(&key(0), held(1, 0));
        assert_eq!(all.offer(&key(0), held(1, 0)), Offer::Duplicate);
        assert_eq!(all.offer(&key(0), held(3, 0)), Offer::Gap { after: 1 });
        assert_eq!(all.offer(&key(7), held(1, 0)), Offer::Unknown);
    }

    #[test]
    fn a_refused_section_takes_the_ledgers_cursors() {
        let mut all = two_shards();
        for seq in 1..=3 {
            all.offer(&key(0), held(seq, 0));
            all.offer(&key(1), held(seq, 0));
        }
        let batch = all.take(0).remove(0);
        assert_eq!(batch.cursors, vec![moved(0, 0, 3), moved(1, 0, 3)]);
        let cursors = vec![moved(0, 2, 2), moved(1, 0, 0)];
        all.settle(&job(), &batch.cursors, &TickOutcome::Refused { cursors });
        assert_eq!(all.take(0)[0].cursors, vec![moved(0, 2, 3), moved(1, 0, 3)]);
    }

    #[test]
    fn an_unknown_outcome_is_resolved_by_the_ledger() {
        let mut all = two_shards();
        all.offer(&key(0), held(1, 0));
        all.offer(&key(1), held(1, 0));
        all.take(0);
        all.unknown(&job());
        all.sync(&job(), &[at(0, 1), at(1, 1)]);
        assert_eq!(all.take(9_000), vec![]);
        assert_eq!(all.newest(&key(0)), Some(1));
    }

    #[test]
    fn a_cursor_behind_the_buffer_asks_for_all_again() {
        let mut all = two_shards();
        all.sync(&job(), &[at(0, 5), at(1, 5)]);
        all.offer(&key(0), held(6, 0));
        all.sync(&job(), &[at(0, 3), at(1, 5)]);
        assert_eq!(all.newest(&key(0)), Some(3));
        assert_eq!(all.offer(&key(0), held(7, 0)), Offer::Gap { after: 3 });
    }

    #[test]
    fn an_ended_shard_is_not_waited_for() {
        let mut all = two_shards();
        all.offer(&key(0), Held { last: true, ..held(1, 0) });
        all.offer(&key(1), held(1, 0));
        all.offer(&key(1), held(2, 0));
        assert_eq!(all.take(0)[0].cursors, vec![moved(0, 0, 1), moved(1, 0, 2)]);
    }

    #[test]
    fn sections_are_bounded() {
        let mut all = two_shards();
        let large =
            |seq| Held { body: Bytes::from(vec![0; SECTION_BYTES_MAX / 5]), ..held(seq, 0) };
        for seq in 1..=FRAMES_PER_SHARD_MAX as u64 {
            assert_eq!(all.offer(&key(0), large(seq)), Offer::Kept);
            assert_eq!(all.offer(&key(1), held(seq, 0)), Offer::Kept);
        }
        assert_eq!(all.offer(&key(0), held(121, 0)), Offer::Full);
        let batch = all.take(0).remove(0);
        assert_eq!(batch.cursors, vec![moved(0, 0, 4), moved(1, 0, 4)]);
        assert!(batch.cut);
    }

    /// Sections once had 64 frames at most, one a second: the ticks of a job with 200 shards came
    /// later and later, two seconds in three.
    #[test]
    fn one_section_holds_a_second_of_the_widest_job() {
        let mut all = Aggregator::default();
        let shards = u32::try_from(SHARDS_MAX).unwrap();
        let cursors: Vec<_> = (0..shards).map(|shard| at(shard, 0)).collect();
        all.sync(&job(), &cursors);
        for shard in 0..shards {
            all.offer(&key(shard), held(1, 0));
            all.offer(&key(shard), held(2, 1));
        }
        let batch = all.take(1).remove(0);
        assert_eq!(batch.cursors.len(), SHARDS_MAX);
        assert!(batch.cut, "the next second is there as well");
    }

    #[test]
    fn what_merges_to_more_than_a_tick_holds_goes_in_parts() {
        use onrush_scenario::stats::frame::{ErrorDelta, FRAME_VERSION};

        // Nothing of it is alike, so neither merging nor packing makes it small.
        let mut noise = 1_u64;
        let mut text = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{noise:016x}")
        };
        let mut all = two_shards();
        for seq in 1..=4 {
            for shard in [0, 1] {
                let message = (0..30_000).map(|_| text()).collect();
                let error = ErrorDelta { message, count: 1, ..ErrorDelta::default() };
                let (version, errors) = (FRAME_VERSION, vec![error]);
                let frame = Frame { version, shard, epoch: 1, seq, errors, ..Frame::default() };
                all.offer(&key(shard), Held { body: frame.encode().into(), ..held(seq, 0) });
            }
        }
        let mut batch = all.take(0).remove(0);
        assert_eq!(batch.frames.len(), 8);
        let section = batch.section();
        assert!(section.payload.len() <= TICK_BYTES_MAX, "{}", section.payload.len());
        assert_eq!(section.cursors, vec![moved(0, 0, 1), moved(1, 0, 1)]);
        assert!(batch.cut);
        all.settle(&job(), &batch.cursors, &TickOutcome::Accepted { number: 1 });
        assert_eq!(all.take(0)[0].cursors, vec![moved(0, 1, 4), moved(1, 1, 4)]);
    }
}

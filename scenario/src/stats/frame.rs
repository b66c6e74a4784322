//! What one shard measured in one second, and how it crosses to the node: postcard, versioned.
//! Histograms travel sparse and lossless: the bucket values of a 3-digit HDR histogram with their
//! counts, beside exact count, sum, minimum and maximum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::Folded;
use super::record::Partial;
use super::sample::{Sample, error_rows, merge_errors};
use super::times;
use crate::time::Micros;

/// Bumped when the layout changes; nodes of another version refuse the shard at `Ready`.
pub const FRAME_VERSION: u16 = 7;

/// The largest encoded frame: alone in a tick, it fits the ledger, with room for what a tick adds.
/// The one limit of who writes frames ([`Frame::encode_within`]) and of all who read them.
pub const FRAME_BYTES_MAX: usize = 704 << 10;
/// Request paths (or groups) of one frame: what the recorders of all threads may have interned.
const PATHS_MAX: usize = 100_000;
/// Groups around a request, and the request.
const PATH_PARTS_MAX: usize = 64;

/// The measurements of one shard in one second of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub version: u16,
    pub shard: u32,
    pub epoch: u64,
    /// 1, 2, 3 … without gaps, per shard and epoch.
    pub seq: u64,
    /// Zero-based second of the run, by the common start.
    pub second: u32,
    /// Only in the last frame of the shard: what all frames of this epoch must add up to.
    pub totals: Option<Totals>,
    pub requests: Vec<RequestDelta>,
    pub groups: Vec<GroupDelta>,
    pub scenarios: Vec<ScenarioDelta>,
    pub errors: Vec<ErrorDelta>,
    pub feeders: Vec<FeederDelta>,
    pub stages: Vec<StageDelta>,
    pub connections: ConnectionDelta,
    pub generator: GeneratorHealth,
    /// What its writer could not tell apart within [`FRAME_BYTES_MAX`].
    pub folded: Folded,
}

/// What orders frames and says whose they are: the first of their bytes, read without the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    pub shard: u32,
    pub epoch: u64,
    pub seq: u64,
    pub second: u32,
    /// It carries the shard's totals: nothing follows it.
    pub last: bool,
}

/// Responses that ended in this second, by request path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestDelta {
    /// Names of the enclosing groups, then the request's.
    pub path: Vec<String>,
    pub sent: u64,
    pub ok: Times,
    pub ko: Times,
    /// HTTP status (or another protocol's code) → count. 0: no response.
    pub codes: Vec<(u16, u64)>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

/// Groups left in this second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupDelta {
    pub path: Vec<String>,
    /// Exit minus enter.
    pub duration_ok: Times,
    pub duration_ko: Times,
    /// Sum of the response times inside, pauses excluded (Gatling's default group metric).
    pub cumulated_ok: Times,
    pub cumulated_ko: Times,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenarioDelta {
    pub name: String,
    pub started: u64,
    pub ended: u64,
    /// Users alive at the end of this second on this shard.
    pub active: u64,
    /// The most that were alive at once in this second.
    pub active_max: u64,
    /// Users the whole job will start in this scenario, where the profile says (open model).
    pub planned: Option<u64>,
    /// Of a shard that began in mid-run: arrivals of its segments that were planned before it
    /// began. Whoever held the segments started them, or they are missed.
    pub before: u64,
    /// What `planned` knows: who knows more counts.
    pub revision: PlanRevision,
}

/// How much a plan takes into account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanRevision {
    /// Changes of the load.
    pub loads: u16,
    /// Populations that follow on others (`andThen`) and have begun: what a change makes of the
    /// arrivals of one depends on when it did.
    pub begun: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorDelta {
    /// Path of the request, or empty where no request was sent.
    pub path: Vec<String>,
    pub message: String,
    pub count: u64,
    /// True for a request that could not be built: an error line, not a request.
    pub crash: bool,
    /// The first request that failed so; where one was kept.
    pub sample: Option<Box<Sample>>,
}

/// Numbers of records in the whole job; whose they are is said by the segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeederDelta {
    pub feeder: u32,
    /// The next record of this shard's division.
    pub position: u64,
    /// The shard hands out no record from this number on before this frame is committed, so that
    /// whoever takes over knows where nothing was used.
    pub reserved: u64,
}

/// A population that follows on others (`andThen`), as it was at the end of the frame's second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageDelta {
    /// Its place among those that follow on others.
    pub stage: u32,
    /// Since when it runs, microseconds since the common start; none: those before it still do.
    pub began_us: Option<u64>,
}

impl StageDelta {
    /// Takes in what another process, or a later frame, says of the same population: it runs from
    /// where it began first.
    pub fn widen(&mut self, other: &Self) {
        self.began_us = [self.began_us, other.began_us].into_iter().flatten().min();
    }
}

/// What several lists say of the same populations, ascending.
#[must_use]
pub fn merge_stages<'a>(all: impl Iterator<Item = &'a StageDelta>) -> Vec<StageDelta> {
    let mut merged: BTreeMap<u32, StageDelta> = BTreeMap::new();
    for stage in all {
        merged.entry(stage.stage).or_insert(*stage).widen(stage);
    }
    merged.into_values().collect()
}

impl FeederDelta {
    /// Takes in what another process, or a later frame, says of the same feeder.
    pub fn widen(&mut self, other: &Self) {
        self.position = self.position.max(other.position);
        self.reserved = self.reserved.max(other.reserved);
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionDelta {
    pub opened: u64,
    pub closed: u64,
    pub failed: u64,
}

/// What tells a slow target from a slow generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorHealth {
    /// Of the shard's process, in percent of one core.
    pub cpu_percent: f32,
    /// Share of the machine's time taken by the hypervisor, in percent.
    pub steal_percent: f32,
    pub loop_lag_max_us: u64,
    /// Scheduled start to actual start of the users started in this second.
    pub lateness_p99_us: u64,
    pub lateness_max_us: u64,
    /// Arrivals given up because the generator could not start them (never silently).
    pub dropped: u64,
    /// Socket errors of the generator's own making: no port, no descriptor.
    pub local_errors: u64,
    pub open_files: u32,
    pub rss_bytes: u64,
    /// In a shard's first frame: from the common start, by its own clock, to its engine's first turn.
    pub start_late_us: u64,
    /// How far its idea of the common start may be from the master's.
    pub clock_error_us: u64,
}

/// Cumulated over the shard's life in one epoch: the proof that nothing was lost or doubled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub frames: u64,
    pub requests_ok: u64,
    pub requests_ko: u64,
    pub users_started: u64,
    pub users_ended: u64,
    pub errors: u64,
}

/// A sparse histogram of microseconds with exact moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    pub count: u64,
    pub sum_us: u64,
    /// Sum of squares, exact, for the standard deviation.
    pub sum_sq_us: u128,
    pub min_us: Micros,
    pub max_us: Micros,
    /// (increase of the bucket's lowest value over the previous bucket's, count), ascending.
    pub buckets: Vec<(u64, u64)>,
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the frame has version {found}, this node reads version {FRAME_VERSION}")]
    Version { found: u16 },
    #[error("the frame has {0} bytes, the limit is {FRAME_BYTES_MAX}")]
    TooLarge(usize),
    #[error("the frame cannot be decoded: {0}")]
    Malformed(#[from] postcard::Error),
    #[error("the frame is followed by {0} more bytes")]
    Trailing(usize),
    #[error("the frame's {what} has {count} entries, the limit is {limit}")]
    TooMany { what: &'static str, count: usize, limit: usize },
    #[error(transparent)]
    Times(#[from] times::Error),
}

/// Who cut a frame, and which one it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    pub shard: u32,
    pub epoch: u64,
    pub seq: u64,
    pub second: u32,
}

/// One frame of what all engine threads measured in the same second. Rows are sorted by path and
/// name, so that the order of `partials` does not matter. The caller adds what threads do not know:
/// `feeders`, `stages`, `totals`, `planned`, and the process's part of `generator`.
#[must_use]
pub fn merge_partials(header: FrameHeader, partials: Vec<Partial>) -> Frame {
    let mut requests: BTreeMap<Vec<String>, RequestDelta> = BTreeMap::new();
    let mut groups: BTreeMap<Vec<String>, GroupDelta> = BTreeMap::new();
    let mut scenarios: BTreeMap<String, ScenarioDelta> = BTreeMap::new();
    let mut errors = BTreeMap::new();
    let (mut connections, mut generator) = (ConnectionDelta::default(), GeneratorHealth::default());
    let mut lateness = Times::default();
    for partial in partials {
        merge_requests(&mut requests, partial.requests);
        merge_groups(&mut groups, partial.groups);
        for delta in partial.scenarios {
            let sum = scenarios.entry(delta.name.clone()).or_default();
            sum.add_parallel(&delta);
        }
        merge_errors(&mut errors, partial.errors);
        connections.add(&partial.connections);
        generator.dropped += partial.dropped;
        generator.local_errors += partial.local_errors;
        lateness.merge(&partial.lateness);
    }
    generator.lateness_max_us = lateness.max_us;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between the minimum and the maximum of u64 samples"
    )]
    {
        generator.lateness_p99_us = lateness.percentile_us(99.0) as u64;
    }
    Frame {
        version: FRAME_VERSION,
        shard: header.shard,
        epoch: header.epoch,
        seq: header.seq,
        second: header.second,
        requests: requests.into_values().collect(),
        groups: groups.into_values().collect(),
        scenarios: scenarios.into_values().collect(),
        errors: error_rows(errors),
        feeders: Vec::new(),
        stages: Vec::new(),
        connections,
        generator,
        totals: None,
        folded: Folded::default(),
    }
}

/// Adds rows to those of the same path.
pub(super) fn merge_requests(
    into: &mut BTreeMap<Vec<String>, RequestDelta>,
    deltas: Vec<RequestDelta>,
) {
    for delta in deltas {
        match into.get_mut(&delta.path) {
            Some(sum) => sum.add(&delta),
            None => {
                into.insert(delta.path.clone(), delta);
            }
        }
    }
}

/// Adds rows to those of the same path.
pub(super) fn merge_groups(into: &mut BTreeMap<Vec<String>, GroupDelta>, deltas: Vec<GroupDelta>) {
    for delta in deltas {
        match into.get_mut(&delta.path) {
            Some(sum) => sum.add(&delta),
            None => {
                into.insert(delta.path.clone(), delta);
            }
        }
    }
}

impl RequestDelta {
    /// Adds the samples of the same request.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.ok.merge(&other.ok);
        self.ko.merge(&other.ko);
        for &(code, count) in &other.codes {
            match self.codes.binary_search_by_key(&code, |entry| entry.0) {
                Ok(at) => self.codes[at].1 += count,
                Err(at) => self.codes.insert(at, (code, count)),
            }
        }
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
    }
}

impl GroupDelta {
    /// Adds the samples of the same group.
    pub fn add(&mut self, other: &Self) {
        self.duration_ok.merge(&other.duration_ok);
        self.duration_ko.merge(&other.duration_ko);
        self.cumulated_ok.merge(&other.cumulated_ok);
        self.cumulated_ko.merge(&other.cumulated_ko);
    }
}

impl ScenarioDelta {
    /// Adds what ran beside it (another thread, another shard) in the same second. The sum of
    /// maxima is an upper bound: they need not have been reached at the same instant.
    pub fn add_parallel(&mut self, other: &Self) {
        if self.name.is_empty() {
            self.name.clone_from(&other.name);
        }
        self.started += other.started;
        self.ended += other.ended;
        self.active += other.active;
        self.active_max += other.active_max;
        self.replan(other);
        self.before += other.before;
    }

    /// Takes the plan of who knows more.
    pub(super) fn replan(&mut self, other: &Self) {
        let plan = |of: &Self| (of.revision, of.planned);
        (self.revision, self.planned) = plan(self).max(plan(other));
    }
}

impl ConnectionDelta {
    pub fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.failed += other.failed;
    }
}

impl Totals {
    /// Adds what a frame says; a shard keeps these and sends them in its last frame.
    pub fn add_frame(&mut self, frame: &Frame) {
        self.frames += 1;
        for request in &frame.requests {
            self.requests_ok += request.ok.count;
            self.requests_ko += request.ko.count;
        }
        for scenario in &frame.scenarios {
            self.users_started += scenario.started;
            self.users_ended += scenario.ended;
        }
        self.errors += frame.errors.iter().map(|error| error.count).sum::<u64>();
    }

    /// Adds the totals of another shard or epoch.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.requests_ok += other.requests_ok;
        self.requests_ko += other.requests_ko;
        self.users_started += other.users_started;
        self.users_ended += other.users_ended;
        self.errors += other.errors;
    }
}

impl Frame {
    /// Postcard, the version first.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a frame holds nothing that cannot be encoded")
    }

    /// Of the frame in `bytes`, whose content is not looked at: that is for who merges it.
    ///
    /// # Errors
    /// Another version, too many bytes, or too few.
    pub fn head(bytes: &[u8]) -> Result<FrameHead, Error> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(Error::TooLarge(bytes.len()));
        }
        let (version, rest) = postcard::take_from_bytes::<u16>(bytes)?;
        if version != FRAME_VERSION {
            return Err(Error::Version { found: version });
        }
        type Head = (u32, u64, u64, u32, Option<Totals>);
        let ((shard, epoch, seq, second, totals), _) = postcard::take_from_bytes::<Head>(rest)?;
        Ok(FrameHead { shard, epoch, seq, second, last: totals.is_some() })
    }

    /// The frame in `bytes`, checked: version, size, number of rows, histograms in canonical form.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(Error::TooLarge(bytes.len()));
        }
        let (version, _) = postcard::take_from_bytes::<u16>(bytes)?;
        if version != FRAME_VERSION {
            return Err(Error::Version { found: version });
        }
        let (frame, rest) = postcard::take_from_bytes::<Self>(bytes)?;
        if !rest.is_empty() {
            return Err(Error::Trailing(rest.len()));
        }
        check_rows(&frame.requests, &frame.groups, &frame.errors)?;
        Ok(frame)
    }
}

/// Bounds and canonical form of decoded rows; shared with ticks.
pub(super) fn check_rows(
    requests: &[RequestDelta],
    groups: &[GroupDelta],
    errors: &[ErrorDelta],
) -> Result<(), Error> {
    let within = |what, count, limit| {
        if count > limit { Err(Error::TooMany { what, count, limit }) } else { Ok(()) }
    };
    within("list of requests", requests.len(), PATHS_MAX)?;
    within("list of groups", groups.len(), PATHS_MAX)?;
    within("list of errors", errors.len(), PATHS_MAX)?;
    let paths = requests.iter().map(|r| &r.path).chain(groups.iter().map(|g| &g.path));
    for path in paths.chain(errors.iter().map(|e| &e.path)) {
        within("path", path.len(), PATH_PARTS_MAX)?;
    }
    for request in requests {
        request.ok.validate()?;
        request.ko.validate()?;
    }
    for group in groups {
        group.duration_ok.validate()?;
        group.duration_ko.validate()?;
        group.cumulated_ok.validate()?;
        group.cumulated_ko.validate()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Frame {
        Frame {
            version: FRAME_VERSION,
            shard: 3,
            epoch: 2,
            seq: 7,
            second: 41,
            requests: vec![RequestDelta {
                path: vec!["g".into(), "r".into()],
                sent: 2,
                ok: Times::of([1_500, 20_007]),
                ko: Times::default(),
                codes: vec![(200, 2)],
                bytes_sent: 10,
                bytes_received: 300,
            }],
            scenarios: vec![ScenarioDelta {
                name: "s".into(),
                planned: Some(5),
                ..Default::default()
            }],
            ..Frame::default()
        }
    }

    /// The wire layout: whoever changes it must raise `FRAME_VERSION`.
    #[test]
    fn golden_bytes() {
        let hex: String = sample().encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, GOLDEN);
        assert_eq!(Frame::decode(&sample().encode()).unwrap(), sample());
    }
    const GOLDEN: &str = "070302072900010201670172020283a80181bef8bf01dc0ba79c0102dc0b01\
        c490010100000000000001c801020aac0200010173000000000105000000000000000000000000000000000000\
        00000000000000000000";

    #[test]
    fn the_head_is_read_without_the_rest() {
        let head = FrameHead { shard: 3, epoch: 2, seq: 7, second: 41, last: false };
        assert_eq!(Frame::head(&sample().encode()).unwrap(), head);
        let last = Frame { totals: Some(Totals { frames: 7, ..Totals::default() }), ..sample() };
        let bytes = last.encode();
        assert_eq!(Frame::head(&bytes).unwrap(), FrameHead { last: true, ..head });
        assert_eq!(Frame::head(&bytes[..12]).unwrap(), FrameHead { last: true, ..head });
        assert!(matches!(Frame::head(&bytes[..4]), Err(Error::Malformed(_))));
        assert!(matches!(Frame::head(&[99]), Err(Error::Version { found: 99 })));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let bytes = sample().encode();
        assert!(matches!(Frame::decode(&[]), Err(Error::Malformed(_))));
        assert!(matches!(Frame::decode(&bytes[..bytes.len() - 1]), Err(Error::Malformed(_))));
        let mut long = bytes.clone();
        long.push(0);
        assert!(matches!(Frame::decode(&long), Err(Error::Trailing(1))));
        let mut other = bytes;
        other[0] = 99;
        assert!(matches!(Frame::decode(&other), Err(Error::Version { found: 99 })));
        assert!(matches!(Frame::decode(&vec![0; FRAME_BYTES_MAX + 1]), Err(Error::TooLarge(_))));
        let mut lying = sample();
        lying.requests[0].ok.count = 9;
        assert!(matches!(Frame::decode(&lying.encode()), Err(Error::Times(_))));
        let mut deep = sample();
        deep.requests[0].path = vec![String::new(); 65];
        assert!(matches!(Frame::decode(&deep.encode()), Err(Error::TooMany { what: "path", .. })));
        // A list that claims 2^60 entries: refused for want of bytes, nothing is reserved for it.
        let bomb = [&[7, 0, 0, 0, 0, 0][..], &[0xff; 8], &[0x0f]].concat();
        assert!(matches!(Frame::decode(&bomb), Err(Error::Malformed(_))));
    }
}

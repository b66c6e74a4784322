//! Ticks: the merged frames of one job. Merging is exact, commutative and associative, so a late
//! frame amends its own second in a later tick. Per-shard counts and generator health are kept
//! apart, for the per-node part of the report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::Folded;
use super::frame::{
    self, ConnectionDelta, ErrorDelta, FeederDelta, Frame, GeneratorHealth, GroupDelta,
    RequestDelta, ScenarioDelta, StageDelta, Totals, check_rows, merge_groups, merge_requests,
    merge_stages,
};
use super::sample::{error_rows, merge_errors};

/// Bumped when the layout changes; first in the decoded payload.
pub const TICK_VERSION: u16 = 7;
/// The largest tick that is unpacked.
pub const TICK_BYTES_MAX: usize = 64 << 20;

/// The payload of a tick: what shards measured, by second, ascending.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    pub version: u16,
    pub seconds: Vec<SecondDelta>,
}

/// One second (or an amendment of it), merged over the shards; rows ascending by path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecondDelta {
    pub second: u32,
    pub requests: Vec<RequestDelta>,
    pub groups: Vec<GroupDelta>,
    pub errors: Vec<ErrorDelta>,
    pub connections: ConnectionDelta,
    /// Ascending by shard and epoch.
    pub shards: Vec<ShardDelta>,
}

/// What is kept apart for each shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardDelta {
    pub shard: u32,
    pub epoch: u64,
    pub frames: u64,
    pub last_seq: u64,
    pub requests_ok: u64,
    pub requests_ko: u64,
    pub errors: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Users of this shard, ascending by name.
    pub scenarios: Vec<ScenarioDelta>,
    pub feeders: Vec<FeederDelta>,
    pub stages: Vec<StageDelta>,
    pub generator: GeneratorHealth,
    pub totals: Option<Totals>,
    pub folded: Folded,
}

/// Why bytes are not a tick.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the tick cannot be unpacked: {0}")]
    Unpack(#[source] std::io::Error),
    #[error("the tick has version {found}, this node reads version {TICK_VERSION}")]
    Version { found: u16 },
    #[error("the tick cannot be decoded: {0}")]
    Malformed(#[from] postcard::Error),
    #[error("the tick is followed by {0} more bytes")]
    Trailing(usize),
    #[error(transparent)]
    Rows(#[from] frame::Error),
}

/// The tick that holds exactly these frames, in whatever order they are given.
#[must_use]
pub fn merge(frames: impl IntoIterator<Item = Frame>) -> Tick {
    let mut by_second: BTreeMap<u32, Vec<SecondDelta>> = BTreeMap::new();
    for frame in frames {
        by_second.entry(frame.second).or_default().push(SecondDelta::of(frame));
    }
    let seconds = by_second.into_values().filter_map(SecondDelta::sum).collect();
    Tick { version: TICK_VERSION, seconds }
}

impl Tick {
    /// The sum of two ticks.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let mut by_second: BTreeMap<u32, Vec<SecondDelta>> = BTreeMap::new();
        for second in self.seconds.into_iter().chain(other.seconds) {
            by_second.entry(second.second).or_default().push(second);
        }
        let seconds = by_second.into_values().filter_map(SecondDelta::sum).collect();
        Self { version: TICK_VERSION, seconds }
    }

    /// Postcard, packed with zstd.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let plain = postcard::to_stdvec(self).expect("a tick holds nothing that cannot be encoded");
        zstd::bulk::compress(&plain, 1).expect("packing into memory does not fail")
    }

    /// The tick in `bytes`, checked as frames are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let plain = unpack(bytes).map_err(Error::Unpack)?;
        let (version, _) = postcard::take_from_bytes::<u16>(&plain)?;
        if version != TICK_VERSION {
            return Err(Error::Version { found: version });
        }
        let (tick, rest) = postcard::take_from_bytes::<Self>(&plain)?;
        if !rest.is_empty() {
            return Err(Error::Trailing(rest.len()));
        }
        tick.check()?;
        Ok(tick)
    }

    /// Whether [`Self::decode`] will take it: the parts it was merged of may have been too many.
    ///
    /// # Errors
    /// What there is too much of.
    pub fn check(&self) -> Result<(), Error> {
        for second in &self.seconds {
            check_rows(&second.requests, &second.groups, &second.errors)?;
        }
        Ok(())
    }
}

/// Streams, so that what is reserved grows with what is really there; stops at the limit.
fn unpack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read;

    let limit = TICK_BYTES_MAX as u64;
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::new(bytes)?.take(limit + 1).read_to_end(&mut plain)?;
    if plain.len() > TICK_BYTES_MAX {
        let text = format!("it is larger than {TICK_BYTES_MAX} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text));
    }
    Ok(plain)
}

impl SecondDelta {
    fn of(frame: Frame) -> Self {
        let mut shard = ShardDelta {
            shard: frame.shard,
            epoch: frame.epoch,
            frames: 1,
            last_seq: frame.seq,
            errors: frame.errors.iter().map(|error| error.count).sum(),
            scenarios: frame.scenarios,
            feeders: frame.feeders,
            stages: frame.stages,
            generator: frame.generator,
            totals: frame.totals,
            folded: frame.folded,
            ..ShardDelta::default()
        };
        for request in &frame.requests {
            shard.requests_ok += request.ok.count;
            shard.requests_ko += request.ko.count;
            shard.bytes_sent += request.bytes_sent;
            shard.bytes_received += request.bytes_received;
        }
        Self {
            second: frame.second,
            requests: frame.requests,
            groups: frame.groups,
            errors: frame.errors,
            connections: frame.connections,
            shards: vec![shard],
        }
    }

    /// The sum of deltas of the same second; none of nothing.
    fn sum(deltas: Vec<Self>) -> Option<Self> {
        let second = deltas.first()?.second;
        let (mut requests, mut groups) = (BTreeMap::new(), BTreeMap::new());
        let mut errors = BTreeMap::new();
        let mut shards: BTreeMap<(u32, u64), ShardDelta> = BTreeMap::new();
        let mut connections = ConnectionDelta::default();
        for delta in deltas {
            merge_requests(&mut requests, delta.requests);
            merge_groups(&mut groups, delta.groups);
            merge_errors(&mut errors, delta.errors);
            connections.add(&delta.connections);
            for shard in delta.shards {
                match shards.get_mut(&(shard.shard, shard.epoch)) {
                    Some(sum) => sum.add(shard),
                    None => {
                        shards.insert((shard.shard, shard.epoch), shard);
                    }
                }
            }
        }
        Some(Self {
            second,
            requests: requests.into_values().collect(),
            groups: groups.into_values().collect(),
            errors: error_rows(errors),
            connections,
            shards: shards.into_values().collect(),
        })
    }
}

impl ShardDelta {
    /// Adds another frame of the same shard, epoch and second. Gauges are the later frame's.
    fn add(&mut self, other: Self) {
        let mut scenarios: BTreeMap<String, ScenarioDelta> =
            std::mem::take(&mut self.scenarios).into_iter().map(|s| (s.name.clone(), s)).collect();
        for delta in other.scenarios {
            let Some(sum) = scenarios.get_mut(&delta.name) else {
                scenarios.insert(delta.name.clone(), delta);
                continue;
            };
            sum.started += delta.started;
            sum.ended += delta.ended;
            sum.active = match self.last_seq.cmp(&other.last_seq) {
                std::cmp::Ordering::Less => delta.active,
                std::cmp::Ordering::Equal => sum.active.max(delta.active),
                std::cmp::Ordering::Greater => sum.active,
            };
            sum.active_max = sum.active_max.max(delta.active_max);
            sum.replan(&delta);
            sum.before += delta.before;
        }
        self.scenarios = scenarios.into_values().collect();
        let mut feeders: BTreeMap<u32, FeederDelta> =
            self.feeders.iter().map(|feeder| (feeder.feeder, *feeder)).collect();
        for feeder in other.feeders {
            feeders.entry(feeder.feeder).or_insert(feeder).widen(&feeder);
        }
        self.feeders = feeders.into_values().collect();
        self.stages = merge_stages(self.stages.iter().chain(&other.stages));
        self.generator = worst(&self.generator, &other.generator);
        self.folded.add(&other.folded);
        self.frames += other.frames;
        self.last_seq = self.last_seq.max(other.last_seq);
        self.requests_ok += other.requests_ok;
        self.requests_ko += other.requests_ko;
        self.errors += other.errors;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        let key = |t: &Option<Totals>| t.map(|t| (t.frames, t.requests_ok, t.requests_ko));
        if key(&other.totals) > key(&self.totals) {
            self.totals = other.totals;
        }
    }
}

/// Of two processes that run one shard together: what each uses adds up, of the rest the worst.
pub(crate) fn beside(a: &GeneratorHealth, b: &GeneratorHealth) -> GeneratorHealth {
    GeneratorHealth {
        cpu_percent: a.cpu_percent + b.cpu_percent,
        open_files: a.open_files.saturating_add(b.open_files),
        rss_bytes: a.rss_bytes.saturating_add(b.rss_bytes),
        ..worst(a, b)
    }
}

/// The worst of each figure; what was dropped or failed adds up.
pub(super) fn worst(a: &GeneratorHealth, b: &GeneratorHealth) -> GeneratorHealth {
    GeneratorHealth {
        cpu_percent: a.cpu_percent.max(b.cpu_percent),
        steal_percent: a.steal_percent.max(b.steal_percent),
        loop_lag_max_us: a.loop_lag_max_us.max(b.loop_lag_max_us),
        lateness_p99_us: a.lateness_p99_us.max(b.lateness_p99_us),
        lateness_max_us: a.lateness_max_us.max(b.lateness_max_us),
        dropped: a.dropped + b.dropped,
        local_errors: a.local_errors + b.local_errors,
        open_files: a.open_files.max(b.open_files),
        rss_bytes: a.rss_bytes.max(b.rss_bytes),
        start_late_us: a.start_late_us.max(b.start_late_us),
        clock_error_us: a.clock_error_us.max(b.clock_error_us),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::frame::Times;
    use crate::stats::sample::{Excerpt, Sample};

    fn frame(shard: u32, seq: u64, second: u32, samples: &[u64]) -> Frame {
        let request = |name: &str, ok: Vec<u64>, ko: Vec<u64>| RequestDelta {
            path: vec![name.into()],
            sent: (ok.len() + ko.len()) as u64,
            codes: if ok.is_empty() { vec![] } else { vec![(200, ok.len() as u64)] },
            ok: Times::of(ok),
            ko: Times::of(ko),
            ..RequestDelta::default()
        };
        let (odd, even): (Vec<u64>, Vec<u64>) = samples.iter().partition(|s| *s % 2 == 1);
        Frame {
            version: frame::FRAME_VERSION,
            shard,
            epoch: 1,
            seq,
            second,
            errors: vec![ErrorDelta {
                message: "e".into(),
                count: odd.len() as u64,
                sample: odd.first().map(|&at_us| {
                    Box::new(Sample {
                        at_us,
                        sent: Excerpt::new("GET /", vec![("a".into(), "b".into())], "c", false),
                        received: None,
                    })
                }),
                ..ErrorDelta::default()
            }],
            requests: vec![request("a", even, odd.clone()), request("b", odd, vec![])],
            scenarios: vec![ScenarioDelta {
                name: "s".into(),
                started: 1,
                active: seq,
                active_max: seq + 1,
                ..ScenarioDelta::default()
            }],
            ..Frame::default()
        }
    }

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let one = (0u32..3, 0u32..4, prop::collection::vec(0u64..90_000, 0..12));
        prop::collection::vec(one, 0..12).prop_map(|parts| {
            let numbered = parts.into_iter().enumerate();
            numbered.map(|(i, (shard, s, samples))| frame(shard, i as u64, s, &samples)).collect()
        })
    }

    fn unhex(text: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    /// The layout in the ledger and in sealed segments: whoever changes it must raise
    /// `TICK_VERSION`. The packing is pinned by what it must unpack, not by what it makes.
    #[test]
    fn golden_bytes() {
        let tick = merge([frame(0, 7, 41, &[1_501, 20_008]), frame(1, 3, 42, &[90_000])]);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let packed = hex(&tick.encode());
        assert_eq!(hex(&postcard::to_stdvec(&tick).unwrap()), GOLDEN, "packed: {packed}");
        assert_eq!(Tick::decode(&tick.encode()).unwrap(), tick);
        assert_eq!(Tick::decode(&unhex(PACKED)).unwrap(), tick, "packed: {packed}");
    }
    const GOLDEN: &str = "070229020101610201a89c01c0ccf1be01a89c01a89c0101a09c010101dd0b\
        c9c18901dd0bdd0b01dd0b0101c8010100000101620101dd0bc9c18901dd0bdd0b01dd0b0100000000000001c8\
        010100000001000165010001dd0b05474554202f01016101620163000000000001000101070201010000010173\
        0100070800000000000000000000000000000000000000000000000000002a02010161010190bf0580e2b0961e\
        90bf0590bf050180bf050100000000000001c80101000001016200000000000000000000000000000000000100\
        016500000000000001010101030100000000010173010003040000000000000000000000000000000000000000\
        000000000000";
    const PACKED: &str = "28b52ffd60060085040022081a239029e9bf0b1f72da3ff2ad9456e12b0ee2\
        a3a2e2737cb0d5fb8bfe1b1f22dbb6ed24030086f96f9bfbfaf674cee9583a26683c2c4e3af6eab110407d81e8\
        ab78adde30481c1099debdb9b7ebdb9f7c7aa797de0c0925bdbf39be3db767c8a512b93da37a24200a0f006051\
        0e12a63a0dacca31886903630400cb730f729a4630d68b1a2dd400eebac4c88402";

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_exact(a in frames(), b in frames(), c in frames()) {
            let all = merge(a.iter().chain(&b).chain(&c).cloned());
            let (x, y, z) = (merge(a.clone()), merge(b.clone()), merge(c.clone()));
            // Sequence numbers start anew in each list, so gauges of equal numbers may tie: the
            // greater one wins wherever it is.
            let left = x.clone().merged(y.clone()).merged(z.clone());
            let right = z.merged(x.merged(y));
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(&left, &all);
            let of_frames: u64 = a.iter().chain(&b).chain(&c)
                .flat_map(|f| &f.requests).map(|r| r.ok.count + r.ko.count).sum();
            let of_tick: u64 = left.seconds.iter()
                .flat_map(|s| &s.requests).map(|r| r.ok.count + r.ko.count).sum();
            let of_shards: u64 = left.seconds.iter()
                .flat_map(|s| &s.shards).map(|s| s.requests_ok + s.requests_ko).sum();
            prop_assert_eq!(of_frames, of_tick);
            prop_assert_eq!(of_frames, of_shards);
            prop_assert_eq!(Tick::decode(&left.encode()).unwrap(), left);
        }
    }

    #[test]
    fn what_is_no_tick_is_refused() {
        let tick = merge([frame(0, 1, 0, &[1, 2, 3])]);
        assert!(matches!(Tick::decode(b"no"), Err(Error::Unpack(_))));
        let other = Tick { version: 9, ..tick.clone() };
        assert!(matches!(Tick::decode(&other.encode()), Err(Error::Version { found: 9 })));
        let bomb = zstd::bulk::compress(&vec![0; TICK_BYTES_MAX + 1], 1).unwrap();
        assert!(matches!(Tick::decode(&bomb), Err(Error::Unpack(_))));
        let mut lying = tick;
        lying.seconds[0].requests[0].ko.sum_us = 0;
        assert!(matches!(Tick::decode(&lying.encode()), Err(Error::Rows(_))));
    }
}

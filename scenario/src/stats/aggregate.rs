//! All ticks of a job added up: what the live view and the summary are taken from. Ticks may come
//! in any order; memory is bounded by the caps on names and errors and by the series' buckets.

use std::collections::{BTreeMap, BTreeSet};

use super::fit::Folded;
use super::frame::{
    ConnectionDelta, Frame, GeneratorHealth, GroupDelta, PlanRevision, RequestDelta, Times, Totals,
};
use super::merge::{SecondDelta, ShardDelta, Tick, merge, worst};
use super::record::OTHER;
use super::sample::{ErrorKey, Sample, earlier};
use super::series::Recent;
use super::verdict;

/// Request paths (and, apart, group paths) that are told apart in a job.
pub const PATHS_MAX: usize = 1_000;
/// Kinds of errors (path, message) that are told apart in a job.
pub const ERRORS_MAX: usize = 2_000;
/// Feeders and counters of a shard that are remembered.
const SEQUENCES_MAX: usize = 1_024;
/// The last seconds, kept for the live view.
const LIVE_SECONDS: u32 = 5;
/// Flagged seconds that are remembered one by one.
const FLAGGED_MAX: usize = 200_000;

#[derive(Clone, Debug, Default)]
pub(super) struct RequestTotal {
    pub(super) sum: RequestDelta,
    pub(super) first_second: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct ErrorTotal {
    pub(super) count: u64,
    pub(super) first_second: u32,
    pub(super) last_second: u32,
    pub(super) sample: Option<Box<Sample>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct ScenarioTotal {
    pub(super) started: u64,
    pub(super) ended: u64,
    /// As who knows most of it says.
    pub(super) planned: (PlanRevision, Option<u64>),
    /// By shard and epoch: (second, alive at its end).
    active: BTreeMap<(u32, u64), (u32, u64)>,
}

impl ScenarioTotal {
    /// Users alive, by the latest word of each shard.
    pub(super) fn active(&self) -> u64 {
        self.active.values().map(|(_, active)| active).sum()
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct ShardTotal {
    pub(super) sum: ShardDelta,
    pub(super) seen: Totals,
    pub(super) first_second: u32,
    pub(super) last_second: u32,
    pub(super) flagged: u64,
    /// By scenario of the open model: users of the whole job, as it said last.
    planned: BTreeMap<String, (PlanRevision, u64)>,
    arrivals: Arrivals,
    positions: Vec<u64>,
}

/// A shard's part of the open model, as far as its frames tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Planned before it began: none but for a shard that took over.
    pub before: u64,
    pub started: u64,
    /// Its own, and given up because it could not start them.
    pub dropped: u64,
    /// Its first and its last second with figures.
    pub first_second: u32,
    pub last_second: u32,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Aggregate {
    pub(super) requests: BTreeMap<Vec<String>, RequestTotal>,
    pub(super) groups: BTreeMap<Vec<String>, GroupDelta>,
    pub(super) errors: BTreeMap<ErrorKey, ErrorTotal>,
    pub(super) errors_total: u64,
    pub(super) scenarios: BTreeMap<String, ScenarioTotal>,
    pub(super) shards: BTreeMap<(u32, u64), ShardTotal>,
    pub(super) connections: ConnectionDelta,
    pub(super) ok: Times,
    pub(super) ko: Times,
    pub(super) series: Recent,
    pub(super) live: BTreeMap<u32, Tick>,
    /// First and last second with a user, a request or an error.
    pub(super) active_seconds: Option<(u32, u32)>,
    pub(super) flagged: BTreeSet<u32>,
    pub(super) reasons: BTreeMap<&'static str, BTreeSet<u32>>,
    pub(super) measured: Option<(u32, u32)>,
    /// What frames could not tell apart: in how many seconds of shards, the most rows of one of them,
    /// and examples.
    pub(super) folded: FoldedTotal,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FoldedTotal {
    pub(super) seconds: u64,
    pub(super) rows_max: u64,
    pub(super) examples: u64,
}

impl Aggregate {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds frames that crossed no log: a run on one machine.
    pub fn apply_frames(&mut self, frames: impl IntoIterator<Item = Frame>) {
        self.apply(&merge(frames));
    }

    /// Adds a tick.
    pub fn apply(&mut self, tick: &Tick) {
        for second in &tick.seconds {
            self.apply_second(second);
        }
    }

    fn apply_second(&mut self, delta: &SecondDelta) {
        let second = delta.second;
        for request in &delta.requests {
            self.ok.merge(&request.ok);
            self.ko.merge(&request.ko);
            self.apply_request(second, request);
        }
        for group in &delta.groups {
            let path = capped(&self.groups, &group.path);
            let sum = self.groups.entry(path).or_default();
            sum.add(group);
        }
        for error in &delta.errors {
            let mut key = (error.path.clone(), error.message.clone(), error.crash);
            let fits = self.errors.len() < ERRORS_MAX || self.errors.contains_key(&key);
            if !fits {
                key = (Vec::new(), OTHER.to_owned(), false);
            }
            let fresh =
                ErrorTotal { first_second: second, last_second: second, ..ErrorTotal::default() };
            let total = self.errors.entry(key).or_insert(fresh);
            total.count += error.count;
            total.first_second = total.first_second.min(second);
            total.last_second = total.last_second.max(second);
            // What is counted under (other) has no one example.
            if fits {
                let first = earlier(total.sample.as_deref(), error.sample.as_deref());
                if first != total.sample.as_deref() {
                    total.sample.clone_from(&error.sample);
                }
            }
            self.errors_total += error.count;
        }
        for shard in &delta.shards {
            self.apply_shard(second, shard);
        }
        self.connections.add(&delta.connections);
        self.series.add(delta);
        self.measured = Some(widened(self.measured, second));
        if is_active(delta) {
            self.active_seconds = Some(widened(self.active_seconds, second));
        }
        let one = Tick { version: super::merge::TICK_VERSION, seconds: vec![delta.clone()] };
        let known = self.live.remove(&second);
        self.live.insert(
            second,
            match known {
                Some(known) => known.merged(one),
                None => one,
            },
        );
        let newest = self.live.last_key_value().map_or(0, |(second, _)| *second);
        self.live = self.live.split_off(&newest.saturating_sub(LIVE_SECONDS));
    }

    fn apply_request(&mut self, second: u32, request: &RequestDelta) {
        let path = capped(&self.requests, &request.path);
        let total = self
            .requests
            .entry(path)
            .or_insert_with(|| RequestTotal { first_second: second, ..RequestTotal::default() });
        total.first_second = total.first_second.min(second);
        total.sum.add(request);
    }

    fn apply_shard(&mut self, second: u32, delta: &ShardDelta) {
        let key = (delta.shard, delta.epoch);
        for scenario in &delta.scenarios {
            let total = self.scenarios.entry(scenario.name.clone()).or_default();
            total.started += scenario.started;
            total.ended += scenario.ended;
            total.planned = total.planned.max((scenario.revision, scenario.planned));
            let latest = total.active.entry(key).or_default();
            *latest = (*latest).max((second, scenario.active));
        }
        let fresh = ShardTotal { first_second: second, ..ShardTotal::default() };
        let total = self.shards.entry(key).or_insert(fresh);
        let open = || delta.scenarios.iter().filter(|s| s.planned.is_some());
        for scenario in open() {
            let said = (scenario.revision, scenario.planned.unwrap_or(0));
            let known = total.planned.entry(scenario.name.clone()).or_default();
            *known = (*known).max(said);
        }
        total.arrivals.before += open().map(|s| s.before).sum::<u64>();
        total.arrivals.started += open().map(|s| s.started).sum::<u64>();
        total.first_second = total.first_second.min(second);
        total.last_second = total.last_second.max(second);
        for feeder in &delta.feeders {
            let index = feeder.feeder as usize;
            if index < SEQUENCES_MAX {
                total.positions.resize(total.positions.len().max(index + 1), 0);
                total.positions[index] = total.positions[index].max(feeder.position);
            }
        }
        let (sum, seen) = (&mut total.sum, &mut total.seen);
        sum.generator = worst(&sum.generator, &delta.generator);
        if delta.folded != Folded::default() {
            self.folded.seconds += 1;
            self.folded.rows_max = self.folded.rows_max.max(delta.folded.rows);
            self.folded.examples += delta.folded.examples;
        }
        sum.bytes_sent += delta.bytes_sent;
        sum.bytes_received += delta.bytes_received;
        sum.totals = delta.totals.or(sum.totals);
        seen.frames += delta.frames;
        seen.requests_ok += delta.requests_ok;
        seen.requests_ko += delta.requests_ko;
        seen.errors += delta.errors;
        seen.users_started += delta.scenarios.iter().map(|s| s.started).sum::<u64>();
        seen.users_ended += delta.scenarios.iter().map(|s| s.ended).sum::<u64>();
        let why = verdict::flags(&delta.generator);
        if !why.is_empty() && self.flagged.len() < FLAGGED_MAX {
            total.flagged += 1;
            self.flagged.insert(second);
            for why in why {
                self.reasons.entry(why).or_default().insert(second);
            }
        }
    }

    /// What was merged, over all shards: to be compared with what the shards say they did.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for shard in self.shards.values() {
            sum.add(&shard.seen);
        }
        sum
    }

    /// What one shard's frames add up to in an epoch.
    #[must_use]
    pub fn shard_totals(&self, shard: u32, epoch: u64) -> Option<Totals> {
        self.shards.get(&(shard, epoch)).map(|total| total.seen)
    }

    /// Whether all frames of a shard are here: it said what it did in all, and that is what was merged.
    #[must_use]
    pub fn has_said_all(&self, shard: u32, epoch: u64) -> bool {
        self.shards.get(&(shard, epoch)).is_some_and(|total| total.sum.totals == Some(total.seen))
    }

    /// What one shard's frames say of the open model in an epoch; none without a frame.
    #[must_use]
    pub fn arrivals(&self, shard: u32, epoch: u64) -> Option<Arrivals> {
        let total = self.shards.get(&(shard, epoch))?;
        let (first_second, last_second) = (total.first_second, total.last_second);
        let dropped = total.sum.generator.dropped;
        Some(Arrivals { dropped, first_second, last_second, ..total.arrivals })
    }

    /// Users that the whole job starts in a scenario, as far as is known of its load.
    #[must_use]
    pub fn planned(&self, scenario: &str) -> Option<u64> {
        self.scenarios.get(scenario)?.planned.1
    }

    /// The same as one shard says, and under how many changes of the load; none where it has not said
    /// so.
    #[must_use]
    pub fn planned_by(&self, shard: u32, epoch: u64, scenario: &str) -> Option<(u64, usize)> {
        let (revision, users) = self.shards.get(&(shard, epoch))?.planned.get(scenario)?;
        Some((*users, revision.loads.into()))
    }

    /// The next number of each feeder and counter, as of a shard's last frame.
    #[must_use]
    pub fn positions(&self, shard: u32, epoch: u64) -> &[u64] {
        self.shards.get(&(shard, epoch)).map_or(&[], |total| &total.positions)
    }

    /// The last second with figures of anybody.
    #[must_use]
    pub fn last_second(&self) -> Option<u32> {
        self.measured.map(|(_, last)| last)
    }

    /// Users of a lost shard are not active any more.
    pub fn abandon(&mut self, shard: u32, epoch: u64) {
        for scenario in self.scenarios.values_mut() {
            scenario.active.remove(&(shard, epoch));
        }
    }

    /// The worst of every shard's generator.
    #[must_use]
    pub(super) fn health(&self) -> GeneratorHealth {
        let all = self.shards.values().map(|shard| shard.sum.generator);
        all.fold(GeneratorHealth::default(), |sum, health| worst(&sum, &health))
    }

    /// Whole seconds from the first start to the last event, at least 1.
    #[must_use]
    pub fn window_s(&self) -> u64 {
        self.active_seconds.map_or(1, |(first, last)| u64::from(last - first) + 1)
    }
}

/// `path`, or `(other)` when it is new and the table is full.
fn capped<V>(table: &BTreeMap<Vec<String>, V>, path: &Vec<String>) -> Vec<String> {
    if table.len() < PATHS_MAX || table.contains_key(path) {
        path.clone()
    } else {
        vec![OTHER.to_owned()]
    }
}

fn widened(range: Option<(u32, u32)>, second: u32) -> (u32, u32) {
    range.map_or((second, second), |(first, last)| (first.min(second), last.max(second)))
}

fn is_active(delta: &SecondDelta) -> bool {
    let users = delta.shards.iter().flat_map(|shard| &shard.scenarios);
    !delta.requests.is_empty()
        || !delta.groups.is_empty()
        || !delta.errors.is_empty()
        || users.map(|s| s.started + s.ended).sum::<u64>() > 0
}

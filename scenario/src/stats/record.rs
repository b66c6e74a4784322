//! What an engine thread counts while it runs: one [`Recorder`] per thread, no lock, no allocation
//! once a name has been seen and its histograms have grown. Hot path.
//!
//! Refuses to grow with its input: names beyond [`PATHS_MAX`] and error kinds beyond
//! [`ERRORS_MAX`] are counted under `(other)`.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hdrhistogram::Histogram;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use super::frame::{
    ConnectionDelta, ErrorDelta, GroupDelta, PlanRevision, RequestDelta, ScenarioDelta, Times,
};
use super::paths::{Paths, cut};
use super::sample::{SAMPLES_MAX, Sample};
use super::times::MAX_TIME_US;
use crate::time::Micros;

/// Request paths (and, apart, group paths) that are told apart per thread.
pub const PATHS_MAX: usize = 1_000;
/// Kinds of errors (path, message) that are told apart per thread.
pub const ERRORS_MAX: usize = 200;
/// Longer names are cut, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// Longer messages are cut, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 512;
/// What everything beyond the caps is counted under.
pub const OTHER: &str = "(other)";

/// Histograms begin with this range and grow when a longer time is seen.
const FIRST_RANGE_US: u64 = 4_000_000;

/// A request's path (its groups and its name), interned in one [`Recorder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(u32);

/// A group's path, interned in one [`Recorder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(u32);

/// What one thread measured in one second, to be handed to [`super::frame::merge_partials`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    pub requests: Vec<RequestDelta>,
    pub groups: Vec<GroupDelta>,
    pub scenarios: Vec<ScenarioDelta>,
    pub errors: Vec<ErrorDelta>,
    pub connections: ConnectionDelta,
    /// Scheduled start to actual start of the users started in this second.
    pub lateness: Times,
    pub dropped: u64,
    pub local_errors: u64,
}

/// Exact moments and a histogram that is allocated with the first sample.
#[derive(Default)]
struct Samples {
    histogram: Option<Box<Histogram<u32>>>,
    count: u64,
    sum_us: u64,
    sum_sq_us: u128,
    min_us: u64,
    max_us: u64,
}

impl Samples {
    fn record(&mut self, time_us: Micros) {
        let us = time_us.min(MAX_TIME_US);
        let histogram = self.histogram.get_or_insert_with(|| {
            let mut new = Histogram::new_with_bounds(1, FIRST_RANGE_US, 3)
                .expect("1 µs to 4 s with 3 digits is a valid range");
            new.auto(true);
            Box::new(new)
        });
        histogram.record(us).expect("the histogram grows up to the clamped maximum");
        self.min_us = if self.count == 0 { us } else { self.min_us.min(us) };
        self.max_us = self.max_us.max(us);
        self.count += 1;
        self.sum_us += us;
        self.sum_sq_us += u128::from(us) * u128::from(us);
    }

    /// The samples so far; afterwards there are none, but the histogram's memory stays.
    fn take(&mut self) -> Times {
        if self.count == 0 {
            return Times::default();
        }
        let mut buckets = Vec::new();
        if let Some(histogram) = &mut self.histogram {
            let mut last = 0;
            for entry in histogram.iter_recorded() {
                let low = histogram.lowest_equivalent(entry.value_iterated_to());
                buckets.push((low - last, u64::from(entry.count_at_value())));
                last = low;
            }
            histogram.reset();
        }
        let times = Times {
            count: self.count,
            sum_us: self.sum_us,
            sum_sq_us: self.sum_sq_us,
            min_us: self.min_us,
            max_us: self.max_us,
            buckets,
        };
        *self = Self { histogram: self.histogram.take(), ..Self::default() };
        times
    }
}

#[derive(Default)]
struct RequestSlot {
    touched: bool,
    sent: u64,
    ok: Samples,
    ko: Samples,
    codes: SmallVec<[(u16, u64); 8]>,
    bytes_sent: u64,
    bytes_received: u64,
}

#[derive(Default)]
struct GroupSlot {
    touched: bool,
    duration_ok: Samples,
    duration_ko: Samples,
    cumulated_ok: Samples,
    cumulated_ko: Samples,
}

struct ErrorSlot {
    path: Option<PathId>,
    message: Box<str>,
    crash: bool,
    count: u64,
    /// It has its example, here or handed over.
    sampled: bool,
    sample: Option<Box<Sample>>,
}

#[derive(Default)]
struct ScenarioSlot {
    name: String,
    started: u64,
    ended: u64,
    active: u64,
    active_max: u64,
    before: u64,
}

/// The counters of one engine thread. Times are microseconds.
#[derive(Default)]
pub struct Recorder {
    paths: Paths,
    requests: Vec<RequestSlot>,
    touched_requests: Vec<u32>,
    group_paths: Paths,
    groups: Vec<GroupSlot>,
    touched_groups: Vec<u32>,
    errors: Vec<ErrorSlot>,
    errors_by_hash: FxHashMap<u64, SmallVec<[u32; 1]>>,
    /// Examples so far.
    samples: usize,
    scenarios: Vec<ScenarioSlot>,
    connections: ConnectionDelta,
    lateness: Samples,
    dropped: u64,
    local_errors: u64,
}

impl Recorder {
    /// A recorder for users of these scenarios; their index is the `scenario` of the other methods.
    #[must_use]
    pub fn new(scenarios: &[Arc<str>]) -> Self {
        let scenarios = scenarios
            .iter()
            .map(|name| ScenarioSlot { name: name.as_ref().to_owned(), ..ScenarioSlot::default() })
            .collect();
        Self { scenarios, ..Self::default() }
    }

    /// The request's number in this recorder; valid as long as the recorder lives.
    pub fn path_id(&mut self, groups: &[Arc<str>], name: &str) -> PathId {
        let (id, new) = self.paths.intern(groups, Some(name));
        if new {
            self.requests.push(RequestSlot::default());
        }
        PathId(id)
    }

    /// The number of the group whose path (outermost first, itself last) is `groups`.
    pub fn group_id(&mut self, groups: &[Arc<str>]) -> GroupId {
        let (id, new) = self.group_paths.intern(groups, None);
        if new {
            self.groups.push(GroupSlot::default());
        }
        GroupId(id)
    }

    fn request(&mut self, id: PathId) -> &mut RequestSlot {
        let slot = &mut self.requests[id.0 as usize];
        if !slot.touched {
            slot.touched = true;
            self.touched_requests.push(id.0);
        }
        slot
    }

    /// A request was put on the wire.
    pub fn sent(&mut self, id: PathId) {
        self.request(id).sent += 1;
    }

    /// A request has ended, well or not. `code` is the HTTP status, 0 without a response.
    pub fn response(
        &mut self,
        id: PathId,
        ok: bool,
        time_us: Micros,
        code: u16,
        bytes_sent: u64,
        bytes_received: u64,
    ) {
        let slot = self.request(id);
        if ok { &mut slot.ok } else { &mut slot.ko }.record(time_us);
        match slot.codes.iter_mut().find(|entry| entry.0 == code) {
            Some(entry) => entry.1 += 1,
            None => slot.codes.push((code, 1)),
        }
        slot.bytes_sent += bytes_sent;
        slot.bytes_received += bytes_received;
    }

    /// One line of the errors table: why a request is KO, or (`crash`) why none could be built.
    pub fn error(&mut self, path: Option<PathId>, message: &str, crash: bool) {
        let message = cut(message, MESSAGE_BYTES_MAX);
        let at = match self.find_error(path, message, crash) {
            Some(at) => at,
            None if self.errors.len() < ERRORS_MAX => self.add_error(path, message, crash),
            None => match self.find_error(None, OTHER, false) {
                Some(at) => at,
                None => self.add_error(None, OTHER, false),
            },
        };
        self.errors[at as usize].count += 1;
    }

    /// Whether an example of this failure is wanted: the first of its kind, of a bounded number.
    #[must_use]
    pub fn wants_sample(&self, path: PathId, message: &str) -> bool {
        self.samples < SAMPLES_MAX
            && self
                .find_error(Some(path), cut(message, MESSAGE_BYTES_MAX), false)
                .is_some_and(|at| !self.errors[at as usize].sampled)
    }

    /// The example of a failure that has been counted.
    pub fn sample(&mut self, path: PathId, message: &str, sample: Sample) {
        let at = self.find_error(Some(path), cut(message, MESSAGE_BYTES_MAX), false);
        if let Some(slot) = at.and_then(|at| self.errors.get_mut(at as usize)) {
            slot.sampled = true;
            slot.sample = Some(Box::new(sample));
            self.samples += 1;
        }
    }

    fn find_error(&self, path: Option<PathId>, message: &str, crash: bool) -> Option<u32> {
        let candidates = self.errors_by_hash.get(&error_hash(path, message, crash))?;
        candidates.iter().copied().find(|&at| {
            let slot = &self.errors[at as usize];
            slot.path == path && slot.crash == crash && *slot.message == *message
        })
    }

    fn add_error(&mut self, path: Option<PathId>, message: &str, crash: bool) -> u32 {
        let at = u32::try_from(self.errors.len()).expect("capped at ERRORS_MAX + 1");
        self.errors.push(ErrorSlot {
            path,
            message: message.into(),
            crash,
            count: 0,
            sampled: false,
            sample: None,
        });
        self.errors_by_hash.entry(error_hash(path, message, crash)).or_default().push(at);
        at
    }

    /// A group was left: exit minus enter, and the sum of the response times inside.
    pub fn group(&mut self, id: GroupId, ok: bool, duration_us: Micros, cumulated_us: Micros) {
        let slot = &mut self.groups[id.0 as usize];
        if !slot.touched {
            slot.touched = true;
            self.touched_groups.push(id.0);
        }
        let (duration, cumulated) = if ok {
            (&mut slot.duration_ok, &mut slot.cumulated_ok)
        } else {
            (&mut slot.duration_ko, &mut slot.cumulated_ko)
        };
        duration.record(duration_us);
        cumulated.record(cumulated_us);
    }

    /// A virtual user has begun. A scenario that was not given to [`Recorder::new`] is ignored.
    pub fn user_started(&mut self, scenario: u16) {
        if let Some(slot) = self.scenarios.get_mut(usize::from(scenario)) {
            slot.started += 1;
            slot.active += 1;
            slot.active_max = slot.active_max.max(slot.active);
        }
    }

    pub fn user_ended(&mut self, scenario: u16) {
        if let Some(slot) = self.scenarios.get_mut(usize::from(scenario)) {
            slot.ended += 1;
            slot.active = slot.active.saturating_sub(1);
        }
    }

    pub fn connection_opened(&mut self) {
        self.connections.opened += 1;
    }

    pub fn connection_closed(&mut self) {
        self.connections.closed += 1;
    }

    pub fn connection_failed(&mut self) {
        self.connections.failed += 1;
    }

    /// How long after its scheduled time a user was started.
    pub fn lateness(&mut self, late_us: Micros) {
        self.lateness.record(late_us);
    }

    /// Arrivals of this shard's segments that were planned before it began.
    pub fn planned_before(&mut self, scenario: u16, arrivals: u64) {
        if let Some(slot) = self.scenarios.get_mut(usize::from(scenario)) {
            slot.before += arrivals;
        }
    }

    /// An arrival was given up because the generator could not start it.
    pub fn dropped(&mut self) {
        self.dropped += 1;
    }

    /// A socket error of the generator's own making: no port, no descriptor.
    pub fn local_error(&mut self) {
        self.local_errors += 1;
    }

    /// Users alive on this thread, over all scenarios.
    #[must_use]
    pub fn users_active(&self) -> u64 {
        self.scenarios.iter().map(|slot| slot.active).sum()
    }

    /// What was measured since the last call; the counters start anew, users alive stay.
    pub fn take_second(&mut self) -> Partial {
        Partial {
            requests: self.take_requests(),
            groups: self.take_groups(),
            scenarios: self.take_scenarios(),
            errors: self.take_errors(),
            connections: std::mem::take(&mut self.connections),
            lateness: self.lateness.take(),
            dropped: std::mem::take(&mut self.dropped),
            local_errors: std::mem::take(&mut self.local_errors),
        }
    }

    fn take_requests(&mut self) -> Vec<RequestDelta> {
        let mut rows = Vec::with_capacity(self.touched_requests.len());
        for id in self.touched_requests.drain(..) {
            let slot = &mut self.requests[id as usize];
            slot.touched = false;
            slot.codes.sort_unstable();
            rows.push(RequestDelta {
                path: self.paths.parts[id as usize].clone(),
                sent: std::mem::take(&mut slot.sent),
                ok: slot.ok.take(),
                ko: slot.ko.take(),
                codes: slot.codes.drain(..).collect(),
                bytes_sent: std::mem::take(&mut slot.bytes_sent),
                bytes_received: std::mem::take(&mut slot.bytes_received),
            });
        }
        rows
    }

    fn take_groups(&mut self) -> Vec<GroupDelta> {
        let mut rows = Vec::with_capacity(self.touched_groups.len());
        for id in self.touched_groups.drain(..) {
            let slot = &mut self.groups[id as usize];
            slot.touched = false;
            rows.push(GroupDelta {
                path: self.group_paths.parts[id as usize].clone(),
                duration_ok: slot.duration_ok.take(),
                duration_ko: slot.duration_ko.take(),
                cumulated_ok: slot.cumulated_ok.take(),
                cumulated_ko: slot.cumulated_ko.take(),
            });
        }
        rows
    }

    fn take_scenarios(&mut self) -> Vec<ScenarioDelta> {
        let take = |slot: &mut ScenarioSlot| {
            let delta = ScenarioDelta {
                name: slot.name.clone(),
                started: std::mem::take(&mut slot.started),
                ended: std::mem::take(&mut slot.ended),
                active: slot.active,
                active_max: slot.active_max,
                planned: None,
                before: std::mem::take(&mut slot.before),
                revision: PlanRevision::default(),
            };
            slot.active_max = slot.active;
            delta
        };
        self.scenarios.iter_mut().map(take).collect()
    }

    fn take_errors(&mut self) -> Vec<ErrorDelta> {
        let paths = &self.paths.parts;
        let taken = self.errors.iter_mut().filter(|slot| slot.count > 0);
        taken
            .map(|slot| ErrorDelta {
                path: slot.path.map(|id| paths[id.0 as usize].clone()).unwrap_or_default(),
                message: slot.message.as_ref().to_owned(),
                count: std::mem::take(&mut slot.count),
                crash: slot.crash,
                sample: slot.sample.take(),
            })
            .collect()
    }
}

fn error_hash(path: Option<PathId>, message: &str, crash: bool) -> u64 {
    let mut hasher = FxHasher::default();
    (path, message, crash).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::frame::{Frame, FrameHeader, Totals, merge_partials};

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|&name| name.into()).collect()
    }

    #[test]
    fn a_second_holds_what_was_recorded_and_the_next_starts_anew() {
        let mut recorder = Recorder::new(&names(&["buy"]));
        let id = recorder.path_id(&names(&["shop"]), "cart");
        assert_eq!(recorder.path_id(&names(&["shop"]), "cart"), id);
        assert_ne!(recorder.path_id(&[], "cart"), id);
        recorder.user_started(0);
        recorder.user_started(0);
        recorder.user_ended(0);
        recorder.sent(id);
        recorder.response(id, true, 1_500, 200, 10, 100);
        recorder.response(id, false, 9_000_000, 503, 10, 20);
        recorder.error(Some(id), "status.find.is(200), found 503", false);
        let group = recorder.group_id(&names(&["shop"]));
        recorder.group(group, false, 10_000_000, 9_001_500);
        recorder.lateness(40);
        let second = recorder.take_second();
        assert_eq!(second.requests.len(), 1);
        let row = &second.requests[0];
        assert_eq!(row.path, ["shop", "cart"]);
        assert_eq!((row.sent, row.bytes_sent, row.bytes_received), (1, 20, 120));
        assert_eq!(row.codes, [(200, 1), (503, 1)]);
        assert_eq!((row.ok.clone(), row.ko.clone()), (Times::of([1_500]), Times::of([9_000_000])));
        assert_eq!(second.groups[0].cumulated_ko, Times::of([9_001_500]));
        assert_eq!(second.errors[0].path, ["shop", "cart"]);
        let users = &second.scenarios[0];
        assert_eq!((users.started, users.ended, users.active, users.active_max), (2, 1, 1, 2));
        let next = recorder.take_second();
        assert!(next.requests.is_empty() && next.errors.is_empty() && next.groups.is_empty());
        assert_eq!((next.scenarios[0].active, next.scenarios[0].active_max), (1, 1));
    }

    #[test]
    fn names_and_errors_beyond_the_caps_are_other() {
        let mut recorder = Recorder::new(&[]);
        for i in 0..PATHS_MAX + 50 {
            let id = recorder.path_id(&[], &format!("/item/{i}"));
            recorder.response(id, true, 1, 200, 0, 0);
            recorder.error(Some(id), "x", false);
        }
        let second = recorder.take_second();
        assert_eq!(second.requests.len(), PATHS_MAX + 1);
        assert_eq!(second.requests[PATHS_MAX].path, [OTHER]);
        assert_eq!(second.requests[PATHS_MAX].ok.count, 50);
        assert_eq!(second.errors.len(), ERRORS_MAX + 1);
        assert_eq!(second.errors[ERRORS_MAX].message, OTHER);
        assert_eq!(second.errors[ERRORS_MAX].count, (PATHS_MAX + 50 - ERRORS_MAX) as u64);
    }

    #[test]
    fn the_first_failure_of_a_kind_is_asked_for_an_example() {
        let mut recorder = Recorder::new(&[]);
        let id = recorder.path_id(&[], "cart");
        assert!(!recorder.wants_sample(id, "no"));
        for at_us in [7, 9] {
            recorder.error(Some(id), "no", false);
            if recorder.wants_sample(id, "no") {
                recorder.sample(id, "no", Sample { at_us, ..Sample::default() });
            }
        }
        let errors = recorder.take_second().errors;
        assert_eq!((errors[0].count, errors[0].sample.as_ref().unwrap().at_us), (2, 7));
        recorder.error(Some(id), "no", false);
        assert!(!recorder.wants_sample(id, "no"), "once in a run");
        assert_eq!(recorder.take_second().errors[0].sample, None);
        for kind in 0..SAMPLES_MAX + 9 {
            let message = format!("kind {kind}");
            recorder.error(Some(id), &message, false);
            if recorder.wants_sample(id, &message) {
                recorder.sample(id, &message, Sample::default());
            }
        }
        let sampled = recorder.take_second().errors.iter().filter(|it| it.sample.is_some()).count();
        assert_eq!(sampled, SAMPLES_MAX - 1);
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        let mut recorder = Recorder::new(&[]);
        let id = recorder.path_id(&[], &"é".repeat(400));
        assert_eq!(recorder.path_id(&[], &"é".repeat(300)), id);
        recorder.sent(id);
        assert_eq!(recorder.take_second().requests[0].path[0], "é".repeat(256));
    }

    #[test]
    fn the_order_of_threads_does_not_matter() {
        let mut threads: Vec<_> = (0..3).map(|_| Recorder::new(&names(&["a", "b"]))).collect();
        for (i, recorder) in threads.iter_mut().enumerate() {
            for j in 0..=i {
                let id = recorder.path_id(&[], &format!("r{j}"));
                recorder.response(id, true, 1_000 * (i as u64 + 1), 200, 1, 1);
                recorder.user_started(1);
            }
        }
        let partials: Vec<_> = threads.iter_mut().map(Recorder::take_second).collect();
        let header = FrameHeader { shard: 1, epoch: 2, seq: 3, second: 4 };
        let frame = merge_partials(header, partials.clone());
        assert_eq!(merge_partials(header, partials.into_iter().rev().collect()), frame);
        let counts: Vec<_> = frame.requests.iter().map(|r| r.ok.count).collect();
        assert_eq!(counts, [3, 2, 1]);
        let mut totals = Totals::default();
        totals.add_frame(&frame);
        assert_eq!((totals.requests_ok, totals.users_started, totals.frames), (6, 6, 1));
        assert_eq!(Frame::decode(&frame.encode()).unwrap(), frame);
    }

    proptest! {
        #[test]
        fn recorded_times_are_the_samples(
            samples in prop::collection::vec(0u64..200_000_000_000, 0..100)
        ) {
            let mut recorder = Recorder::new(&[]);
            let id = recorder.path_id(&[], "r");
            for &sample in &samples {
                recorder.response(id, true, sample, 200, 0, 0);
            }
            let rows = recorder.take_second().requests;
            let times = rows.first().map(|row| row.ok.clone()).unwrap_or_default();
            prop_assert_eq!(times, Times::of(samples));
        }
    }
}

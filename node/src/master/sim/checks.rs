//! What truly happened, beside what the ledger says happened. Each promise is one check with a name
//! of its own; a check that fails names the seed and the command that shows it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use onrush_raft::ledger::job::{Assignment, AssignmentState, Job, JobStatus, Tick as Stored};
use onrush_raft::types::JobId;
use onrush_scenario::stats::aggregate::Aggregate;
use onrush_scenario::stats::frame::Totals;
use onrush_scenario::stats::merge::Tick;

use super::closed;
use super::engine::{self, ARRIVALS, Cut};
use super::masters::Master;
use super::workers::Worker;
use super::world::{UNIX_MS, World, peer};
use crate::control_wire::ShardKey;
use crate::master::coordinator::Task;
use crate::master::losses::{self, Losses};
use crate::master::place;

/// A task of a master takes no longer: whatever it waits for is answered or given up before.
const UNDER_WAY_MS: u64 = 20_000;

/// From the moment at which segments change hands: the longest session, and messages.
const FILLED_MS: u64 = 8_000;

pub(super) struct Record {
    seed: u64,
    /// Frames as they were cut, by shard.
    cuts: BTreeMap<ShardKey, Vec<Cut>>,
    /// Who started an arrival, in a frame or not.
    starts: BTreeMap<(JobId, u64), BTreeSet<ShardKey>>,
    /// Who took a record.
    records: BTreeMap<(JobId, u64), ShardKey>,
    acknowledged: BTreeMap<ShardKey, u64>,
    /// Why a shard may be lost.
    causes: BTreeMap<ShardKey, &'static str>,
    /// Segments whose taker heard of its start too late to begin where its giver left off.
    pub(super) late: BTreeSet<(JobId, u32)>,
    pub(super) sealed: BTreeMap<(JobId, u64, u64), Vec<Arc<Stored>>>,
    /// Looks at jobs with takers that had all their users again.
    pub(super) filled: u64,
}

impl Record {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            cuts: BTreeMap::new(),
            starts: BTreeMap::new(),
            records: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            causes: BTreeMap::new(),
            late: BTreeSet::new(),
            sealed: BTreeMap::new(),
            filled: 0,
        }
    }

    #[track_caller]
    pub(super) fn hold(&self, check: &str, holds: bool, what: impl FnOnce() -> String) {
        assert!(
            holds,
            "seed {seed}: {check}: {}\nONRUSH_SIM_SEED={seed} cargo test -p onrush-node --locked \
             master::sim",
            what(),
            seed = self.seed
        );
    }

    pub(super) fn cut(&mut self, key: &ShardKey, cut: &Cut) {
        self.started(key, &cut.arrivals);
        self.cuts.entry(key.clone()).or_default().push(cut.clone());
    }

    pub(super) fn started(&mut self, key: &ShardKey, arrivals: &[u64]) {
        for arrival in arrivals {
            self.starts.entry((key.job.clone(), *arrival)).or_default().insert(key.clone());
        }
    }

    pub(super) fn used(&mut self, key: &ShardKey, records: &[u64]) {
        for record in records {
            let known = self.records.insert((key.job.clone(), *record), key.clone());
            self.hold("no record is used twice", known.is_none(), || {
                format!("{record}: by {} and by {key}", known.expect("there is one"))
            });
        }
    }

    pub(super) fn cause(&mut self, key: &ShardKey, why: &'static str) {
        self.causes.entry(key.clone()).or_insert(why);
    }

    /// A worker that heard nothing for a lease may be given up.
    pub(super) fn leases(&mut self, workers: &[Worker], now: u64) {
        for worker in workers.iter().filter(|worker| now > worker.lease_until) {
            for key in worker.shards() {
                self.cause(&key, "no master was heard for a lease");
            }
        }
    }
}

impl World {
    pub(super) fn check_asked(&self, key: &ShardKey, cursor: u64) {
        let acknowledged = self.record.acknowledged.get(key).copied().unwrap_or(0);
        self.record.hold("acknowledged frames are never asked for", cursor >= acknowledged, || {
            format!("{key}: asked for what follows {cursor}, acknowledged up to {acknowledged}")
        });
    }

    pub(super) fn check_acknowledged(&mut self, key: &ShardKey, cursor: u64) {
        let job = self.raft.ledger.job(&key.job);
        let held = job.and_then(|job| assignment(job, key)).map_or(0, |held| held.cursor);
        self.record.hold("only what is committed is acknowledged", cursor <= held, || {
            format!("{key}: acknowledged up to {cursor}, committed up to {held}")
        });
        let acknowledged = self.record.acknowledged.entry(key.clone()).or_default();
        *acknowledged = cursor.max(*acknowledged);
    }

    /// Nothing is under way for ever.
    pub(super) fn watch_tasks(&self, master: &mut Master) {
        let tasks: BTreeSet<Task> = master.coordinator.under_way().cloned().collect();
        master.since.retain(|task, _| tasks.contains(task));
        for task in tasks {
            let since = *master.since.entry(task.clone()).or_insert(self.now);
            let age = self.now - since;
            self.record.hold("nothing is under way for ever", age <= UNDER_WAY_MS, || {
                format!("term {}: {task:?} for {age} ms", master.term)
            });
        }
    }

    pub(super) fn check_end(&self) {
        for job in self.raft.ledger.jobs() {
            let told = Told::read(job, &self.record.sealed);
            self.each_frame_once_or_declared_lost(job, &told);
            self.totals_are_equal(job, &told);
            self.arrivals_are_the_plan_minus_what_is_declared(job, &told);
            self.nothing_is_left_open(job);
            self.no_loss_without_a_cause(job);
            self.void_shards_measured_nothing(job);
        }
        self.no_arrival_twice();
    }

    pub(super) fn what_is_left(&self) -> Option<String> {
        for worker in self.workers.iter().filter(|worker| worker.is_up()) {
            if let Some(key) = worker.shards().first() {
                return Some(format!("{} still has {key}", peer(worker.index)));
            }
        }
        let mut tasks = self.masters.iter().flat_map(|master| master.coordinator.under_way());
        tasks.next().map(|task| format!("{task:?} is under way"))
    }

    fn each_frame_once_or_declared_lost(&self, job: &Job, told: &Told) {
        const CHECK: &str = "each frame is in one accepted tick or declared lost";
        for held in &job.assignments {
            let key = key(job, held);
            let cuts = self.cuts(&key);
            let counted = told.frames.get(&(held.shard, held.epoch));
            let committed = usize::try_from(held.cursor).expect("few");
            self.record.hold(CHECK, committed <= cuts.len(), || {
                format!("{key}: {committed} committed of {} cut", cuts.len())
            });
            let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
            for cut in &cuts[..committed] {
                *expected.entry(cut.second).or_default() += 1;
            }
            let empty = BTreeMap::new();
            let counted = counted.unwrap_or(&empty);
            self.record.hold(CHECK, *counted == expected, || {
                format!("{key}: by second {counted:?}, cut were {expected:?}")
            });
            let lost = matches!(held.state, AssignmentState::Lost { .. });
            self.record.hold(CHECK, lost || committed == cuts.len(), || {
                let events: Vec<_> = job.events.iter().map(|event| &event.what).collect();
                format!(
                    "{key}: {committed} of {} frames, {:?}: {events:#?}",
                    cuts.len(),
                    held.state
                )
            });
        }
        let known = |id: &(u32, u64)| job.assignments.iter().any(|a| (a.shard, a.epoch) == *id);
        let stranger = told.frames.keys().find(|id| !known(id));
        self.record.hold(CHECK, stranger.is_none(), || format!("of no assignment: {stranger:?}"));
    }

    fn totals_are_equal(&self, job: &Job, told: &Told) {
        let mut expected = Totals::default();
        for held in &job.assignments {
            let cuts = self.cuts(&key(job, held));
            let committed = usize::try_from(held.cursor).expect("few").min(cuts.len());
            expected.frames += committed as u64;
            for cut in &cuts[..committed] {
                expected.users_started += cut.arrivals.len() as u64;
                expected.users_ended += cut.ended;
            }
        }
        let totals = told.aggregate.totals();
        self.record.hold("totals are equal", totals == expected, || {
            format!("{}: ticks have {totals:?}, frames had {expected:?}", job.id)
        });
    }

    fn arrivals_are_the_plan_minus_what_is_declared(&self, job: &Job, told: &Told) {
        const CHECK: &str = "arrivals are the plan minus what is declared";
        let twice = told.arrivals.iter().find(|(_, count)| **count != 1);
        self.record.hold(CHECK, twice.is_none(), || format!("{}: {twice:?}", job.id));
        if job.status != JobStatus::Finished {
            return;
        }
        let segments_total = u64::from(place::segments_total(job));
        for arrival in (0..ARRIVALS).filter(|k| !told.arrivals.contains_key(k)) {
            let segment = u32::try_from(arrival % segments_total).expect("few");
            let mut lost = losses::lost(job).map(|(lost, _)| lost);
            let declared = lost.any(|lost| lost.segments.contains(&segment));
            let late = self.record.late.contains(&(job.id.clone(), segment));
            self.record.hold(CHECK, declared || late, || {
                format!("{}: arrival {arrival} of segment {segment} is missing: {job:#?}", job.id)
            });
        }
        let plan = engine::plan(self.staged);
        let losses = Losses { job, plan: Some(&plan), aggregate: &told.aggregate };
        let parts = losses.parts(ToString::to_string);
        let missed: u64 = parts.iter().map(|part| part.arrivals_missed).sum();
        let started = told.aggregate.totals().users_started;
        self.record.hold(CHECK, started + missed == ARRIVALS, || {
            let rows: Vec<String> = job
                .assignments
                .iter()
                .map(|a| {
                    let arrivals = told.aggregate.arrivals(a.shard, a.epoch);
                    let (state, begins, giver) = (&a.state, &a.begins, a.takes_over);
                    format!("{} of {giver:?}: {state:?} {begins:?} {arrivals:?}", a.shard)
                })
                .collect();
            format!("{}: {started} started, {missed} missed of {ARRIVALS}: {rows:#?}", job.id)
        });
    }

    fn no_arrival_twice(&self) {
        let twice = self.record.starts.iter().find(|(_, by)| by.len() != 1);
        self.record.hold("no arrival is started twice", twice.is_none(), || format!("{twice:?}"));
    }

    fn void_shards_measured_nothing(&self, job: &Job) {
        for void in job.assignments.iter().filter(|a| a.is_void()) {
            let key = key(job, void);
            let nothing = void.cursor == 0 && self.cuts(&key).is_empty();
            self.record.hold("a shard that never began measures nothing", nothing, || {
                format!("{key}: {} frames, {} committed", self.cuts(&key).len(), void.cursor)
            });
        }
    }

    /// By the ledger, at any time: of those that held a segment, one took over from another, and
    /// not before that one had it.
    pub(super) fn check_holders(&self) {
        const CHECK: &str = "a segment has one holder at a time";
        for job in self.raft.ledger.live_jobs() {
            let since = |a: &Assignment| a.begins.as_ref().map_or(0, |begins| begins.at_us);
            for giver in &job.assignments {
                let mut taken = BTreeSet::new();
                for taker in job.takers(giver).filter(|taker| taker.has_begun()) {
                    let after = giver.has_begun() && since(taker) >= since(giver);
                    self.record.hold(CHECK, after, || format!("{taker:?} before {giver:?}"));
                    let own = taker.segments.iter().all(|it| giver.segments.contains(it));
                    let once = taker.segments.iter().all(|it| taken.insert(*it));
                    self.record.hold(CHECK, own && once, || format!("{taker:?} from {giver:?}"));
                }
            }
        }
    }

    /// At any time: whoever has them, those that others still have included.
    pub(super) fn check_users(&mut self) {
        let mut users: BTreeMap<JobId, u64> = BTreeMap::new();
        for (key, count) in self.workers.iter().flat_map(Worker::users) {
            *users.entry(key.job.clone()).or_default() += count;
        }
        for (job, count) in users {
            let holds = count <= closed::USERS;
            self.record.hold("never more users of the closed model than planned", holds, || {
                format!("{job}: {count}")
            });
            self.check_filled(&job, count);
        }
    }

    /// Where nothing goes wrong but that segments change hands: a while after they did, all users
    /// are there again.
    fn check_filled(&mut self, id: &JobId, count: u64) {
        let Some(job) = self.raft.ledger.job(id) else { return };
        let Some(start_at) = job.start_at.filter(|_| job.status == JobStatus::Running) else {
            return;
        };
        let plan_ms = (self.now + UNIX_MS).saturating_sub(start_at);
        let is_quiet = job.abort.is_none()
            && job.assignments.iter().all(|a| {
                let begun_ms = a.begins.as_ref().map_or(0, |begins| begins.at_us / 1_000);
                !matches!(a.state, AssignmentState::Lost { .. })
                    && a.has_begun()
                    && plan_ms > begun_ms + FILLED_MS
            });
        let in_time = plan_ms < engine::SECONDS * 1_000;
        if is_quiet && in_time && self.faults.are_harmless() {
            self.record.filled += u64::from(job.assignments.iter().any(|a| a.begins.is_some()));
            self.record.hold("as many users as planned", count == closed::USERS, || {
                format!("{id}: {count} at {plan_ms}: {job:#?}")
            });
        }
    }

    /// However it ended: what became of each shard is known, or nothing ever ran.
    fn nothing_is_left_open(&self, job: &Job) {
        let ran = job.start_at.is_some();
        let open = job.assignments.iter().find(|held| ran && held.state == AssignmentState::Active);
        self.record.hold("what became of each shard is known", open.is_none(), || {
            format!("{}: {open:?}", job.id)
        });
    }

    fn no_loss_without_a_cause(&self, job: &Job) {
        for held in &job.assignments {
            let key = key(job, held);
            let AssignmentState::Lost { reason } = &held.state else { continue };
            if held.is_void() {
                continue;
            }
            let caused = self.record.causes.contains_key(&key);
            self.record
                .hold("no shard is lost without a cause", caused, || format!("{key}: {reason}"));
        }
    }

    fn cuts(&self, key: &ShardKey) -> &[Cut] {
        self.record.cuts.get(key).map_or(&[], Vec::as_slice)
    }
}

/// What a job's ticks say.
struct Told {
    aggregate: Aggregate,
    /// By shard and epoch: second → frames.
    frames: BTreeMap<(u32, u64), BTreeMap<u64, u64>>,
    arrivals: BTreeMap<u64, u64>,
}

impl Told {
    fn read(job: &Job, sealed: &BTreeMap<(JobId, u64, u64), Vec<Arc<Stored>>>) -> Self {
        let mut told = Self {
            aggregate: Aggregate::new(),
            frames: BTreeMap::new(),
            arrivals: BTreeMap::new(),
        };
        let of_blob = |blob: &onrush_raft::ledger::job::SealedTicks| {
            sealed.get(&(job.id.clone(), blob.from, blob.to)).cloned().unwrap_or_default()
        };
        for tick in job.sealed.iter().flat_map(of_blob).chain(job.ticks.iter().cloned()) {
            let tick = Tick::decode(&tick.payload).expect("our own");
            told.aggregate.apply(&tick);
            for second in &tick.seconds {
                for shard in &second.shards {
                    let of_shard = told.frames.entry((shard.shard, shard.epoch)).or_default();
                    *of_shard.entry(u64::from(second.second)).or_default() += shard.frames;
                    for users in &shard.scenarios {
                        let Some(number) = engine::number(&users.name) else { continue };
                        *told.arrivals.entry(number).or_default() += users.started;
                    }
                }
            }
        }
        told
    }
}

fn key(job: &Job, held: &Assignment) -> ShardKey {
    ShardKey { job: job.id.clone(), shard: held.shard, epoch: held.epoch }
}

fn assignment<'a>(job: &'a Job, key: &ShardKey) -> Option<&'a Assignment> {
    job.assignments.iter().find(|held| (held.shard, held.epoch) == (key.shard, key.epoch))
}

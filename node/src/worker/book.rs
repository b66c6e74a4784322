//! What this node was ordered to run, and how far each shard is. Pure: orders and the children's
//! events go in, [`Act`]s come out. It refuses orders of a lower term than the highest it has seen,
//! and of a lower epoch of a shard than it knows: two masters can never both drive a job.

use std::collections::{BTreeMap, BTreeSet};

use onrush_scenario::shard::{
    EndReason, LoadChange, LoadHeard, Plan, Problem, Surplus, TakeOver, Yielded,
};

use crate::control_wire::{
    CONTROL_VERSION, ClosedUsers, Phase, ShardKey, ShardOrder, ShardReport, ToWorker,
};

/// Shards known at a time, ended ones that wait for their release included.
pub const SHARDS_MAX: usize = 64;

/// What the shell is to carry out, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Fetch the files and start the child.
    Launch(Box<ShardOrder>),
    /// `at_us`: by the master's monotonic clock.
    Start { key: ShardKey, at_us: i64, take_over: Option<TakeOver> },
    /// Ask the child to give segments away.
    Yield { key: ShardKey, to: u32, epoch: u64, segments: Vec<u32> },
    /// Tell the child how the load changes.
    Load { key: ShardKey, changes: Vec<LoadChange> },
    /// Tell the child how many users it is to leave out.
    HoldBack { key: ShardKey, users: Vec<u64> },
    /// Ask the child to end; kill it if it has not within a second.
    Stop { key: ShardKey, reason: String },
    /// End the child's process group now.
    Kill { key: ShardKey },
    /// Send the frames after `cursor` in this session.
    Resend { key: ShardKey, cursor: u64 },
    /// Frames up to `cursor` are committed.
    Free { key: ShardKey, cursor: u64 },
    /// Remove all but the logs.
    Discard { key: ShardKey },
    /// Tell the master how all shards are.
    Report,
}

/// What happens to a shard on this node.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    Ready(Box<Plan>),
    /// The newest frame in the spool.
    Framed(u64),
    /// It has given segments away.
    Yielded(Yielded),
    /// It follows changes of the load.
    Load(LoadHeard),
    /// Users that it still has of segments that it gave away.
    Surplus(Surplus),
    /// What it holds back, by population.
    HeldBack(Vec<u64>),
    Finished(EndReason),
    Failed(Problem),
    /// Files could not be fetched, or no process started.
    Unable(String),
    /// The process is gone, for whatever reason.
    Exited(String),
    /// Frames after `newest` cannot be read back from the spool: the master must not wait for them.
    Damaged {
        newest: u64,
        reason: String,
    },
}

#[derive(Debug)]
struct Entry {
    phase: Phase,
    newest: u64,
    stopping: bool,
    /// Takers for whom it was asked to give segments away.
    asked: BTreeSet<u32>,
    yields: Vec<Yielded>,
    /// Changes of the load that it was told.
    loads_told: usize,
    load: LoadHeard,
    closed: ClosedUsers,
}

impl Entry {
    fn of(phase: Phase) -> Self {
        Self {
            phase,
            newest: 0,
            stopping: false,
            asked: BTreeSet::new(),
            yields: Vec::new(),
            loads_told: 0,
            load: LoadHeard::default(),
            closed: ClosedUsers::default(),
        }
    }
}

impl Entry {
    fn report(&self, key: &ShardKey) -> ShardReport {
        ShardReport {
            key: key.clone(),
            phase: self.phase.clone(),
            newest: self.newest,
            start_us: None,
            yields: self.yields.clone(),
            load: self.load,
            closed: self.closed.clone(),
        }
    }
}

#[derive(Debug, Default)]
pub struct Book {
    term: u64,
    leader: u64,
    shards: BTreeMap<ShardKey, Entry>,
}

impl Book {
    /// The first message of a session.
    ///
    /// # Errors
    /// A lower term than the highest seen, another leader of the same term, another version, or
    /// something other than `Hello`: the session is refused.
    pub fn hello(&mut self, message: &ToWorker) -> Result<(), String> {
        let ToWorker::Hello { version, term, leader } = message else {
            return Err("a session begins with hello".to_owned());
        };
        if *version != CONTROL_VERSION {
            return Err(format!(
                "control protocol {version} is not this node's, {CONTROL_VERSION}"
            ));
        }
        if !self.follows(*term, *leader) {
            return Err(format!("term {term} is over: this node has seen term {}", self.term));
        }
        (self.term, self.leader) = (*term, *leader);
        Ok(())
    }

    /// Whether orders of this master count.
    #[must_use]
    pub fn follows(&self, term: u64, leader: u64) -> bool {
        term > self.term || (term == self.term && (self.leader == leader || self.term == 0))
    }

    #[must_use]
    pub fn term(&self) -> u64 {
        self.term
    }

    /// A shard found on disk after a restart of the node.
    pub fn recall(&mut self, report: ShardReport) {
        let ShardReport { key, phase, newest, yields, load, closed, start_us: _ } = report;
        self.shards.insert(key, Entry { newest, yields, load, closed, ..Entry::of(phase) });
    }

    #[must_use]
    pub fn reports(&self) -> Vec<ShardReport> {
        self.shards.iter().map(|(key, entry)| entry.report(key)).collect()
    }

    #[must_use]
    pub fn report(&self, key: &ShardKey) -> Option<ShardReport> {
        Some(self.shards.get(key)?.report(key))
    }

    /// How many shards have a process, or are about to.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shards.values().filter(|entry| entry.phase.is_live()).count()
    }

    /// Whether a shard generates load here.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        self.shards.values().any(|entry| entry.phase == Phase::Running)
    }

    /// An order of the session's master; the session was checked with [`Book::follows`].
    pub fn obey(&mut self, order: ToWorker) -> Vec<Act> {
        match order {
            ToWorker::Prepare(order) => self.prepare(order),
            ToWorker::Start { key, at_us, take_over } => match self.shards.get_mut(&key) {
                Some(entry) if matches!(entry.phase, Phase::Ready { .. }) && !entry.stopping => {
                    entry.phase = Phase::Running;
                    vec![Act::Start { key, at_us, take_over }, Act::Report]
                }
                _ => Vec::new(),
            },
            ToWorker::Stop { key, reason } => match self.shards.get_mut(&key) {
                Some(entry) if entry.phase.is_live() && !entry.stopping => {
                    entry.stopping = true;
                    vec![Act::Stop { key, reason }]
                }
                _ => Vec::new(),
            },
            ToWorker::Yield { key, to, epoch, segments } => match self.shards.get_mut(&key) {
                Some(entry) if entry.phase == Phase::Running && !entry.asked.contains(&to) => {
                    entry.asked.insert(to);
                    vec![Act::Yield { key, to, epoch, segments }]
                }
                _ => Vec::new(),
            },
            ToWorker::Load { key, changes } => match self.shards.get_mut(&key) {
                Some(entry)
                    if matches!(entry.phase, Phase::Ready { .. } | Phase::Running)
                        && changes.len() > entry.loads_told =>
                {
                    entry.loads_told = changes.len();
                    vec![Act::Load { key, changes }]
                }
                _ => Vec::new(),
            },
            // Until the child has said so: what its pipe had no room for comes again.
            ToWorker::HoldBack { key, users } => match self.shards.get(&key) {
                Some(entry)
                    if matches!(entry.phase, Phase::Ready { .. } | Phase::Running)
                        && entry.closed.held_back.as_ref() != Some(&users) =>
                {
                    vec![Act::HoldBack { key, users }]
                }
                _ => Vec::new(),
            },
            ToWorker::Resume { key, cursor } if self.shards.contains_key(&key) => {
                vec![Act::Resend { key, cursor }]
            }
            ToWorker::Ack { key, cursor } if self.shards.contains_key(&key) => {
                vec![Act::Free { key, cursor }]
            }
            ToWorker::Release { key } => self.release(&key),
            ToWorker::Resume { .. }
            | ToWorker::Ack { .. }
            | ToWorker::Hello { .. }
            | ToWorker::Heartbeat { .. }
            | ToWorker::Probed { .. } => Vec::new(),
        }
    }

    fn prepare(&mut self, order: Box<ShardOrder>) -> Vec<Act> {
        let key = order.key.clone();
        let same = |other: &ShardKey| other.job == key.job && other.shard == key.shard;
        if self.shards.keys().any(|other| same(other) && other.epoch >= key.epoch) {
            return Vec::new();
        }
        let older: Vec<ShardKey> = self.shards.keys().filter(|k| same(k)).cloned().collect();
        let mut acts: Vec<Act> = older.iter().flat_map(|key| self.release(key)).collect();
        acts.retain(|act| *act != Act::Report);
        let phase = if self.shards.len() < SHARDS_MAX {
            acts.push(Act::Launch(order));
            Phase::Preparing
        } else {
            Phase::Unable { reason: format!("it has {SHARDS_MAX} shards already") }
        };
        self.shards.insert(key, Entry::of(phase));
        acts.push(Act::Report);
        acts
    }

    fn release(&mut self, key: &ShardKey) -> Vec<Act> {
        let Some(entry) = self.shards.remove(key) else { return Vec::new() };
        let mut acts = Vec::new();
        if entry.phase.is_live() {
            acts.push(Act::Kill { key: key.clone() });
        }
        acts.extend([Act::Discard { key: key.clone() }, Act::Report]);
        acts
    }

    /// What the child, or its absence, says. Of a shard already released nothing follows.
    pub fn happened(&mut self, key: &ShardKey, happening: Happening) -> Vec<Act> {
        let Some(entry) = self.shards.get_mut(key) else { return Vec::new() };
        if let Happening::Framed(newest) = happening {
            entry.newest = entry.newest.max(newest);
            return Vec::new();
        }
        if let Happening::Damaged { newest, reason } = happening {
            (entry.newest, entry.phase) = (newest, Phase::Gone { reason });
            return vec![Act::Kill { key: key.clone() }, Act::Report];
        }
        if !entry.phase.is_live() {
            return Vec::new();
        }
        if let Happening::Yielded(yielded) = happening {
            entry.yields.push(yielded);
            return vec![Act::Report];
        }
        if let Happening::Load(heard) = happening {
            entry.load = heard;
            return vec![Act::Report];
        }
        if let Happening::Surplus(word) = happening {
            entry.closed.surplus.retain(|known| known.to != word.to);
            entry.closed.surplus.push(word);
            return vec![Act::Report];
        }
        if let Happening::HeldBack(users) = happening {
            let before = entry.closed.held_back.replace(users);
            return if before == entry.closed.held_back { vec![] } else { vec![Act::Report] };
        }
        entry.phase = match happening {
            Happening::Ready(plan) if entry.phase == Phase::Preparing => {
                Phase::Ready { plan: json(&plan) }
            }
            Happening::Ready(_)
            | Happening::Framed(_)
            | Happening::Yielded(_)
            | Happening::Load(_)
            | Happening::Surplus(_)
            | Happening::HeldBack(_)
            | Happening::Damaged { .. } => {
                return Vec::new();
            }
            Happening::Finished(reason) => Phase::Ended { reason: json(&reason) },
            Happening::Failed(problem) => Phase::Failed { problem: json(&problem) },
            Happening::Unable(reason) => Phase::Unable { reason },
            Happening::Exited(reason) => Phase::Gone { reason },
        };
        vec![Act::Report]
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("the shard's messages came as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use onrush_raft::types::JobId;

    fn key(epoch: u64) -> ShardKey {
        ShardKey { job: JobId("job_1".into()), shard: 0, epoch }
    }

    fn order(epoch: u64) -> Box<ShardOrder> {
        Box::new(ShardOrder {
            key: key(epoch),
            segments_total: 720,
            segments: vec![0],
            seed: 1,
            simulation: "main.js".into(),
            files: BTreeMap::new(),
            parameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            submitted_at: 1,
            record_arrivals: false,
            max_duration_ms: None,
            takes_over: false,
            unhurried: false,
        })
    }

    fn plan() -> Box<Plan> {
        Box::new(Plan {
            plan_hash: "h".into(),
            simulation: "main".into(),
            scenarios: vec![],
            undivided: vec![],
            injection_us: 0,
            stages: 0,
            max_duration_us: None,
            assertions: serde_json::Value::Null,
        })
    }

    fn hello(term: u64, leader: u64) -> ToWorker {
        ToWorker::Hello { version: CONTROL_VERSION, term, leader }
    }

    #[test]
    fn lower_terms_are_refused() {
        let mut book = Book::default();
        assert_eq!(book.hello(&hello(5, 1)), Ok(()));
        assert_eq!(
            book.hello(&hello(4, 2)),
            Err("term 4 is over: this node has seen term 5".into())
        );
        assert!(book.hello(&hello(5, 2)).is_err());
        assert_eq!(book.hello(&hello(6, 2)), Ok(()));
        assert!(!book.follows(5, 1));
        assert!(book.follows(6, 2));
    }

    #[test]
    fn a_shard_goes_its_way_once() {
        let mut book = Book::default();
        let launch = vec![Act::Launch(order(1)), Act::Report];
        assert_eq!(book.obey(ToWorker::Prepare(order(1))), launch);
        assert_eq!(book.obey(ToWorker::Prepare(order(1))), vec![]);
        let start = ToWorker::Start { key: key(1), at_us: 7, take_over: None };
        assert_eq!(book.obey(start.clone()), vec![]);
        assert_eq!(book.happened(&key(1), Happening::Ready(plan())), vec![Act::Report]);
        let started = vec![Act::Start { key: key(1), at_us: 7, take_over: None }, Act::Report];
        assert_eq!(book.obey(start.clone()), started);
        assert_eq!(book.obey(start), vec![]);
        assert_eq!(book.happened(&key(1), Happening::Framed(3)), vec![]);
        let end = Happening::Finished(EndReason::Completed);
        assert_eq!(book.happened(&key(1), end), vec![Act::Report]);
        assert_eq!(book.happened(&key(1), Happening::Exited("exit 0".into())), vec![]);
        let phase = Phase::Ended { reason: "\"completed\"".into() };
        assert_eq!(
            book.reports(),
            vec![ShardReport {
                key: key(1),
                phase,
                newest: 3,
                start_us: None,
                yields: vec![],
                load: LoadHeard::default(),
                closed: ClosedUsers::default(),
            }]
        );
        let discard = vec![Act::Discard { key: key(1) }, Act::Report];
        assert_eq!(book.obey(ToWorker::Release { key: key(1) }), discard);
        assert_eq!(book.reports(), vec![]);
    }

    /// However often the order comes, and whichever master gives it.
    #[test]
    fn each_change_of_the_load_is_told_once() {
        let mut book = Book::default();
        let change = |at_us| LoadChange { at_us, factor: 2_000 };
        let order =
            |changes: &[LoadChange]| ToWorker::Load { key: key(1), changes: changes.to_vec() };
        book.obey(ToWorker::Prepare(self::order(1)));
        assert_eq!(book.obey(order(&[change(1)])), vec![]);
        book.happened(&key(1), Happening::Ready(plan()));
        let told = |changes: Vec<_>| vec![Act::Load { key: key(1), changes }];
        assert_eq!(book.obey(order(&[change(1)])), told(vec![change(1)]));
        assert_eq!(book.obey(order(&[change(1)])), vec![]);
        book.obey(ToWorker::Start { key: key(1), at_us: 7, take_over: None });
        let both = [change(1), change(2)];
        assert_eq!(book.obey(order(&both)), told(both.to_vec()));
        // Of an earlier master, late.
        assert_eq!(book.obey(order(&both[..1])), vec![]);
        let heard = LoadHeard { changes: 2, late_us: 3 };
        assert_eq!(book.happened(&key(1), Happening::Load(heard)), vec![Act::Report]);
        assert_eq!(book.report(&key(1)).unwrap().load, heard);
        book.happened(&key(1), Happening::Finished(EndReason::Completed));
        assert_eq!(book.obey(order(&[change(1), change(2), change(3)])), vec![]);
    }

    #[test]
    fn a_higher_epoch_takes_the_place_of_a_lower_one_and_never_the_reverse() {
        let mut book = Book::default();
        book.obey(ToWorker::Prepare(order(1)));
        assert_eq!(
            book.obey(ToWorker::Prepare(order(2))),
            vec![
                Act::Kill { key: key(1) },
                Act::Discard { key: key(1) },
                Act::Launch(order(2)),
                Act::Report
            ]
        );
        assert_eq!(book.obey(ToWorker::Prepare(order(1))), vec![]);
    }

    #[test]
    fn a_death_without_a_word_is_reported() {
        let mut book = Book::default();
        book.obey(ToWorker::Prepare(order(1)));
        let exit = Happening::Exited("killed by signal 9".into());
        assert_eq!(book.happened(&key(1), exit), vec![Act::Report]);
        let phase = Phase::Gone { reason: "killed by signal 9".into() };
        assert_eq!(book.report(&key(1)).unwrap().phase, phase);
    }

    #[test]
    fn stop_is_carried_out_once_and_forbids_a_start() {
        let mut book = Book::default();
        book.obey(ToWorker::Prepare(order(1)));
        book.happened(&key(1), Happening::Ready(plan()));
        let stop = ToWorker::Stop { key: key(1), reason: "aborted".into() };
        let acts = vec![Act::Stop { key: key(1), reason: "aborted".into() }];
        assert_eq!(book.obey(stop.clone()), acts);
        assert_eq!(book.obey(stop), vec![]);
        assert_eq!(book.obey(ToWorker::Start { key: key(1), at_us: 1, take_over: None }), vec![]);
    }

    /// Once the master waited for ever for a frame that the spool could not give back.
    #[test]
    fn frames_that_cannot_be_read_are_not_promised_any_more() {
        let mut book = Book::default();
        book.obey(ToWorker::Prepare(order(1)));
        book.happened(&key(1), Happening::Framed(9));
        book.happened(&key(1), Happening::Finished(EndReason::Completed));
        let damaged = Happening::Damaged { newest: 4, reason: "frame 5 is damaged".into() };
        let acts = vec![Act::Kill { key: key(1) }, Act::Report];
        assert_eq!(book.happened(&key(1), damaged), acts);
        let phase = Phase::Gone { reason: "frame 5 is damaged".into() };
        assert_eq!(
            book.reports(),
            vec![ShardReport {
                key: key(1),
                phase,
                newest: 4,
                start_us: None,
                yields: vec![],
                load: LoadHeard::default(),
                closed: ClosedUsers::default(),
            }]
        );
    }

    #[test]
    fn what_is_to_be_held_back_is_told_until_the_shard_follows_it() {
        let mut book = Book::default();
        let order = |users: &[u64]| ToWorker::HoldBack { key: key(1), users: users.to_vec() };
        let told = |users: &[u64]| vec![Act::HoldBack { key: key(1), users: users.to_vec() }];
        book.obey(ToWorker::Prepare(self::order(1)));
        assert_eq!(book.obey(order(&[])), vec![]);
        book.happened(&key(1), Happening::Ready(plan()));
        assert_eq!(book.obey(order(&[5])), told(&[5]));
        assert_eq!(book.obey(order(&[5])), told(&[5]));
        let heard = |users: &[u64]| Happening::HeldBack(users.to_vec());
        assert_eq!(book.happened(&key(1), heard(&[5])), vec![Act::Report]);
        assert_eq!(book.happened(&key(1), heard(&[5])), vec![]);
        assert_eq!(book.obey(order(&[5])), vec![]);
        assert_eq!(book.obey(order(&[])), told(&[]));
        // As a giver: the latest word for each taker.
        let word = |to, users: &[u64]| Surplus { to, users: users.to_vec() };
        for (to, users) in [(7, &[9][..]), (8, &[4]), (7, &[])] {
            let said = book.happened(&key(1), Happening::Surplus(word(to, users)));
            assert_eq!(said, vec![Act::Report]);
        }
        let surplus = vec![word(8, &[4]), word(7, &[])];
        let closed = ClosedUsers { surplus, held_back: Some(vec![5]) };
        assert_eq!(book.reports()[0].closed, closed);
    }

    #[test]
    fn orders_for_unknown_shards_do_nothing() {
        let mut book = Book::default();
        assert_eq!(book.obey(ToWorker::Resume { key: key(1), cursor: 0 }), vec![]);
        assert_eq!(book.obey(ToWorker::Ack { key: key(1), cursor: 0 }), vec![]);
        assert_eq!(book.obey(ToWorker::Release { key: key(1) }), vec![]);
    }
}

//! All that a master remembers within its term, and what follows from it: whose frames were asked
//! for and from where, what was acknowledged, what is under way, when the next ticks may go. Pure:
//! what the sessions say, how tasks ended, the ledger and the time go in, [`Action`]s come out. It
//! refuses to decide what was counted (the ledger's cursors do) and what jobs need ([`reconcile`]).
//!
//! Each of its rules stands against a way to lose or double what was measured:
//!
//! - A shard is asked for its frames once per session, from the newest that is known here; again
//!   when a gap shows, or an order was not queued.
//! - Only what the ledger holds is acknowledged: never what was merely proposed.
//! - What is under way is not started twice, and nothing stays so: each task is settled by its end,
//!   whether it succeeded, failed or panicked.

use std::collections::{BTreeMap, BTreeSet};

use onrush_api::backend::MemberView;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::job::{Job, JobCommand, JobStatus};
use onrush_raft::ledger::outcome::TickOutcome;
use onrush_raft::types::{JobId, PeerName, UnixMs};

use super::aggregate::{Aggregator, Batch, Held, Offer, cursors};
use super::place::Candidate;
use super::reconcile::{Ending, Intent, Node, View, reconcile};
use super::start::OwnStarts;
use crate::control_wire::{FromWorker, ShardKey, ShardReport, ToWorker};
use crate::membership::members::ALIVE;

/// Entries of ticks, of all jobs together, are this far apart. A job has a second to tell once a
/// second: with as long a pause between entries it would wait for up to another one.
pub const TICK_PERIOD_MS: u64 = 500;
/// What failed is not started again before this.
pub const RETRY_MS: u64 = 200;
/// Ended jobs looked at for ticks that are not sealed, newest first.
const ENDED_LOOKED_AT: usize = 200;

/// What a session tells the coordinator.
#[derive(Debug)]
pub enum Heard {
    Report {
        peer: PeerName,
        shards: Vec<ShardReport>,
    },
    Frame {
        peer: PeerName,
        key: ShardKey,
        held: Held,
    },
    /// The session ended; orders that were not written are gone.
    Down {
        peer: PeerName,
    },
    /// A worker follows a higher term: this one is over.
    Deposed {
        term: u64,
    },
}

impl Heard {
    /// What a message of the session to `peer` tells the master of `term`. None where it tells
    /// nothing, or cannot be read.
    #[must_use]
    pub fn of(peer: &PeerName, term: u64, message: FromWorker, now_ms: u64) -> Option<Self> {
        let peer = peer.clone();
        match message {
            FromWorker::Report { shards } => Some(Self::Report { peer, shards }),
            FromWorker::Frame { key, seq, body } => {
                Held::read(seq, body, now_ms).map(|held| Self::Frame { peer, key, held })
            }
            FromWorker::Refused { term: higher, .. } if higher > term => {
                Some(Self::Deposed { term: higher })
            }
            FromWorker::Refused { .. } | FromWorker::Probe { .. } => None,
        }
    }
}

/// What is under way, so that no round starts it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    Ticks,
    /// A command, told apart by what it is about.
    Propose(String),
    Conclude(JobId),
    Seal(JobId),
}

/// What a task is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Merge each batch and propose them all.
    Ticks(Vec<Batch>),
    Propose(JobCommand),
    /// Sum up, keep the report, and finish the job in one command.
    Conclude {
        job: JobId,
        ending: Ending,
    },
    /// Put ticks `from..=to` into a blob.
    Seal {
        job: JobId,
        from: u64,
        to: u64,
    },
}

/// How a task ended.
#[derive(Debug)]
pub enum Ended {
    Done,
    /// Of the ticks: each batch as it was proposed, and its outcome; none where it is not known.
    Ticks(Vec<(Batch, Option<TickOutcome>)>),
    /// It failed, or panicked: what it did is not known.
    Failed,
}

/// What the shell is to carry out, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a session to this member, and again whenever it ends.
    Open {
        peer: PeerName,
    },
    Close {
        peer: PeerName,
    },
    /// Where it cannot be queued, [`Coordinator::not_queued`] is to know.
    Order {
        peer: PeerName,
        order: ToWorker,
    },
    /// Whatever becomes of it, [`Coordinator::ended`] is to know.
    Start {
        task: Task,
        work: Work,
    },
}

/// What a round looks at.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// By the monotonic clock.
    pub now_us: u64,
    pub unix_ms: UnixMs,
    pub ledger: &'a Ledger,
    /// All that was committed before this term is in the ledger.
    pub caught_up: bool,
    pub own: &'a PeerName,
    /// Gossip's view of everyone.
    pub members: &'a [MemberView],
    /// Peers whose kernel says that nobody listens where they did.
    pub dead: &'a BTreeSet<PeerName>,
    /// When the last heartbeat was sent in each session, by the monotonic clock.
    pub beats: &'a BTreeMap<PeerName, u64>,
}

/// A member to which a session is kept. What it knows of shards holds for one session: with the
/// session it is forgotten.
#[derive(Debug, Default)]
struct Link {
    opened_ms: u64,
    /// Shards whose frames were asked for.
    resumed: BTreeSet<ShardKey>,
    /// The cursors that were acknowledged.
    acknowledged: BTreeMap<ShardKey, u64>,
}

#[derive(Debug, Default)]
pub struct Coordinator {
    links: BTreeMap<PeerName, Link>,
    /// Of the sessions that are open and were reported in.
    reports: BTreeMap<PeerName, Vec<ShardReport>>,
    /// Since when gossip calls a member alive that has no session.
    coming: BTreeMap<PeerName, u64>,
    aggregator: Aggregator,
    starts: OwnStarts,
    /// With the time from which it may be started again, once it failed.
    under_way: BTreeMap<Task, Option<u64>>,
    /// Jobs with a section on its way.
    proposed: Vec<JobId>,
    next_ticks_ms: u64,
    deposed: Option<u64>,
}

impl Sight<'_> {
    fn now_ms(&self) -> u64 {
        self.now_us / 1_000
    }
}

impl Coordinator {
    /// The higher term that a worker follows: nothing is to be done any more.
    #[must_use]
    pub fn deposed(&self) -> Option<u64> {
        self.deposed
    }

    /// What was started and has not ended.
    pub fn under_way(&self) -> impl Iterator<Item = &Task> {
        self.under_way.iter().filter(|(_, retry)| retry.is_none()).map(|(task, _)| task)
    }

    pub fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Report { peer, shards } => {
                self.reports.insert(peer, shards);
            }
            Heard::Frame { peer, key, held } => match self.aggregator.offer(&key, held) {
                // Asked for again by the next round, from what is known then.
                Offer::Gap { .. } | Offer::Full => {
                    if let Some(link) = self.links.get_mut(&peer) {
                        link.resumed.remove(&key);
                    }
                }
                Offer::Kept | Offer::Duplicate | Offer::Unknown => {}
            },
            Heard::Down { peer } => self.forget_session(&peer),
            Heard::Deposed { term } => self.deposed = Some(term),
        }
    }

    fn forget_session(&mut self, peer: &PeerName) {
        self.reports.remove(peer);
        if let Some(link) = self.links.get_mut(peer) {
            link.resumed.clear();
            link.acknowledged.clear();
        }
    }

    /// There was no room for an order. Most come again by themselves; those that are given once
    /// per session are to be given again.
    pub fn not_queued(&mut self, peer: &PeerName, order: &ToWorker) {
        let Some(link) = self.links.get_mut(peer) else { return };
        match order {
            ToWorker::Resume { key, .. } => {
                link.resumed.remove(key);
            }
            ToWorker::Ack { key, .. } => {
                link.acknowledged.remove(key);
            }
            _ => {}
        }
    }

    /// A task that [`Action::Start`] named is over.
    pub fn ended(&mut self, task: Task, ended: Ended, now_ms: u64) {
        match ended {
            Ended::Done => {
                self.under_way.remove(&task);
            }
            Ended::Failed if task != Task::Ticks => {
                self.under_way.insert(task, Some(now_ms.saturating_add(RETRY_MS)));
            }
            Ended::Failed => self.ticks_ended(Vec::new(), now_ms),
            Ended::Ticks(settled) => self.ticks_ended(settled, now_ms),
        }
    }

    fn ticks_ended(&mut self, settled: Vec<(Batch, Option<TickOutcome>)>, now_ms: u64) {
        self.under_way.remove(&Task::Ticks);
        for (batch, outcome) in settled {
            let Some(outcome) = outcome else { continue };
            self.proposed.retain(|job| *job != batch.job);
            self.aggregator.settle(&batch.job, &batch.cursors, &outcome);
            // More was there than a section holds: the next one follows at once.
            if batch.cut && matches!(outcome, TickOutcome::Accepted { .. }) {
                self.next_ticks_ms = now_ms;
            }
        }
        for job in std::mem::take(&mut self.proposed) {
            self.aggregator.unknown(&job);
        }
    }

    /// What is to be done now. Called after anything was heard, ended or committed, and from time
    /// to time.
    pub fn round(&mut self, sight: &Sight<'_>) -> Vec<Action> {
        // A forming cluster has no jobs, and may still be dissolved into another: its terms must
        // not stay in the workers' memory, where they would outrank those of the other.
        if !sight.ledger.is_open() || self.deposed.is_some() {
            return Vec::new();
        }
        let mut actions = Vec::new();
        self.under_way.retain(|_, retry| retry.is_none_or(|at| sight.now_ms() < at));
        let live: Vec<&Job> = sight.ledger.live_jobs().map(AsRef::as_ref).collect();
        self.keep_sessions(sight, &mut actions);
        // What an earlier master committed may have been carried out: a shard would be prepared a
        // second time, or begin where another is.
        if !sight.caught_up {
            return actions;
        }
        self.follow_cursors(&live, &mut actions);
        self.propose_ticks(sight.now_ms(), &mut actions);
        let unsealed: Vec<&Job> = sight
            .ledger
            .jobs()
            .take(ENDED_LOOKED_AT)
            .map(AsRef::as_ref)
            .filter(|job| job.status.is_terminal() && !job.ticks.is_empty())
            .collect();
        let nodes = self.nodes(sight);
        self.starts.retain(|(id, _), _| live.iter().any(|job| &job.id == id));
        let view = View {
            now: sight.unix_ms,
            now_us: sight.now_us,
            starts: &self.starts,
            live: &live,
            unsealed: &unsealed,
            nodes: &nodes,
            reports: &self.reports,
        };
        let intents = reconcile(&view);
        self.starts.extend(intents.iter().filter_map(|intent| own_start(intent, sight)));
        for intent in intents {
            self.take_up(intent, &mut actions);
        }
        actions
    }

    /// One session to each bound member; none to those that were removed.
    fn keep_sessions(&mut self, sight: &Sight<'_>, actions: &mut Vec<Action>) {
        let members: BTreeSet<&PeerName> = sight
            .ledger
            .members()
            .filter(|member| member.bound && !member.removed)
            .map(|member| &member.peer)
            .collect();
        let gone: Vec<PeerName> =
            self.links.keys().filter(|peer| !members.contains(peer)).cloned().collect();
        for peer in gone {
            self.forget_session(&peer);
            self.links.remove(&peer);
            actions.push(Action::Close { peer });
        }
        // A session that was closed may have been heard once more.
        self.reports.retain(|peer, _| members.contains(peer));
        for peer in members {
            if !self.links.contains_key(peer) {
                let link = Link { opened_ms: sight.now_ms(), ..Link::default() };
                self.links.insert(peer.clone(), link);
                actions.push(Action::Open { peer: peer.clone() });
            }
        }
    }

    /// Takes the ledger's cursors, acknowledges them, and asks each shard once per session for what
    /// follows.
    fn follow_cursors(&mut self, live: &[&Job], actions: &mut Vec<Action>) {
        self.aggregator.retain(|id| live.iter().any(|job| &job.id == id));
        for job in live {
            if !matches!(job.status, JobStatus::Running | JobStatus::Finalizing) {
                continue;
            }
            self.aggregator.sync(&job.id, &cursors(job));
            for assignment in &job.assignments {
                let key = ShardKey {
                    job: job.id.clone(),
                    shard: assignment.shard,
                    epoch: assignment.epoch,
                };
                let known = self
                    .reports
                    .get(&assignment.node)
                    .is_some_and(|reports| reports.iter().any(|report| report.key == key));
                let Some(link) = self.links.get_mut(&assignment.node).filter(|_| known) else {
                    continue;
                };
                let peer = &assignment.node;
                let acknowledged = link.acknowledged.get(&key).copied().unwrap_or(0);
                if assignment.cursor > acknowledged {
                    link.acknowledged.insert(key.clone(), assignment.cursor);
                    let order = ToWorker::Ack { key: key.clone(), cursor: assignment.cursor };
                    actions.push(Action::Order { peer: peer.clone(), order });
                }
                if assignment.takes_frames() && link.resumed.insert(key.clone()) {
                    let cursor = self.aggregator.newest(&key).unwrap_or(assignment.cursor);
                    let order = ToWorker::Resume { key, cursor };
                    actions.push(Action::Order { peer: peer.clone(), order });
                }
            }
        }
        for link in self.links.values_mut() {
            link.resumed.retain(|key| live.iter().any(|job| job.id == key.job));
            link.acknowledged.retain(|key, _| live.iter().any(|job| job.id == key.job));
        }
    }

    fn propose_ticks(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if self.under_way.contains_key(&Task::Ticks) || now_ms < self.next_ticks_ms {
            return;
        }
        let batches = self.aggregator.take(now_ms);
        if batches.is_empty() {
            return;
        }
        self.next_ticks_ms = now_ms.saturating_add(TICK_PERIOD_MS);
        self.proposed = batches.iter().map(|batch| batch.job.clone()).collect();
        self.start(Task::Ticks, Work::Ticks(batches), actions);
    }

    fn nodes(&mut self, sight: &Sight<'_>) -> BTreeMap<PeerName, Node> {
        let now = sight.now_ms();
        let (reports, coming) = (&self.reports, &mut self.coming);
        let members: BTreeMap<&str, &MemberView> =
            sight.members.iter().map(|member| (member.peer.as_str(), member)).collect();
        let alive = |peer: &str| members.get(peer).is_some_and(|member| member.health == ALIVE);
        coming.retain(|peer, _| alive(&peer.0) && !reports.contains_key(peer));
        for peer in members.keys().filter(|peer| alive(peer)) {
            let peer = PeerName((*peer).to_owned());
            if !reports.contains_key(&peer) {
                coming.entry(peer).or_insert(now);
            }
        }
        let draining: BTreeSet<&PeerName> = sight
            .ledger
            .members()
            .filter(|member| member.draining && !member.removed)
            .map(|member| &member.peer)
            .collect();
        let node = |(peer, link): (&PeerName, &Link)| {
            let known = members.get(peer.0.as_str());
            let candidate = Candidate {
                peer: peer.clone(),
                name: known.map_or_else(|| peer.0.clone(), |member| member.name.clone()),
                labels: known.map(|member| member.labels.clone()).unwrap_or_default(),
                cores: known.map_or(1, |member| member.cores),
                is_master: peer == sight.own,
                present: self.reports.contains_key(peer),
                draining: known.is_some_and(|member| member.leaving) || draining.contains(peer),
            };
            // Until this master's first heartbeat, an earlier one's may still count.
            let beat = sight.beats.get(peer).map_or(link.opened_ms, |at| link.opened_ms.max(*at));
            let silent_ms = now.saturating_sub(beat);
            let coming_ms = self.coming.get(peer).map(|since| now.saturating_sub(*since));
            let dead = sight.dead.contains(peer);
            (peer.clone(), Node { candidate, silent_ms, coming_ms, dead })
        };
        self.links.iter().map(node).collect()
    }

    fn take_up(&mut self, intent: Intent, actions: &mut Vec<Action>) {
        match intent {
            Intent::Order { peer, order } => actions.push(Action::Order { peer, order }),
            Intent::Propose(command) => {
                self.start(Task::Propose(subject(&command)), Work::Propose(command), actions);
            }
            Intent::Conclude { job, ending } => {
                self.start(Task::Conclude(job.clone()), Work::Conclude { job, ending }, actions);
            }
            Intent::Seal { job, from, to } => {
                self.start(Task::Seal(job.clone()), Work::Seal { job, from, to }, actions);
            }
        }
    }

    fn start(&mut self, task: Task, work: Work, actions: &mut Vec<Action>) {
        if !self.under_way.contains_key(&task) {
            self.under_way.insert(task.clone(), None);
            actions.push(Action::Start { task, work });
        }
    }
}

/// The moment that a start means which is proposed now, whatever happens to the wall clock.
fn own_start(intent: &Intent, sight: &Sight<'_>) -> Option<((JobId, UnixMs), i64)> {
    let Intent::Propose(JobCommand::Start { id, start_at, .. }) = intent else { return None };
    let ahead_us = start_at.saturating_sub(sight.unix_ms).saturating_mul(1_000);
    let at_us = i64::try_from(sight.now_us.saturating_add(ahead_us)).unwrap_or(i64::MAX);
    Some(((id.clone(), *start_at), at_us))
}

/// What a command is about: a second one about the same waits for the first.
fn subject(command: &JobCommand) -> String {
    match command {
        JobCommand::ShardDone { id, shard, epoch, .. }
        | JobCommand::ShardLost { id, shard, epoch, .. }
        | JobCommand::Begin { id, shard, epoch, .. } => format!("{id}/{shard}-{epoch}"),
        JobCommand::Prepare { id, .. }
        | JobCommand::Requeue { id, .. }
        | JobCommand::Reassign { id, .. }
        | JobCommand::Start { id, .. }
        | JobCommand::Finalize { id }
        | JobCommand::Submit { id, .. }
        | JobCommand::Finish { id, .. }
        | JobCommand::Abort { id, .. }
        | JobCommand::Seal { id, .. }
        | JobCommand::Load { id, .. }
        | JobCommand::Note { id, .. } => id.0.clone(),
        JobCommand::LoadAt { id, .. } => format!("{id}/load"),
        JobCommand::Ticks { .. } => "ticks".to_owned(),
    }
}

//! One term of this node as master: sessions to all members, a round on every change and five times
//! a second. A round looks at the ledger and the reports, asks [`reconcile`] what is to be done, and
//! starts it; what is on its way is not started twice. With the term, everything here is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use onrush_raft::consensus::PROPOSAL_BYTES_MAX;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::job::{AssignmentState, Job, JobCommand, JobStatus, TickSection};
use onrush_raft::ledger::outcome::{Outcome, TickOutcome};
use onrush_raft::types::{JobId, PeerName, UnixMs};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::aggregate::{Aggregator, Batch, Offer};
use super::finish;
use super::place::Candidate;
use super::reconcile::{Intent, Node, View, reconcile};
use super::session::{self, Heard, Session};
use super::start::OwnStarts;
use crate::control_wire::{ShardKey, ShardReport, ToWorker};
use crate::membership::handle::{ClusterError, ClusterHandle};
use crate::membership::members::ALIVE;
use crate::repository::Repository;

/// A round at least this often.
const ROUND: Duration = Duration::from_millis(200);
/// Entries of ticks, of all jobs together, are this far apart. A job has a second to tell once a
/// second: with as long a pause between entries it would wait for up to another one.
const TICK_PERIOD_MS: u64 = 500;
/// Ended jobs looked at for ticks that are not sealed, newest first.
const ENDED_LOOKED_AT: usize = 200;
/// Of a section beside its payload: the job's id and a cursor for each of its shards.
const SECTION_HEAD_BYTES_MAX: usize = 48 * 1_024;
/// Frames and reports that wait for a round.
const HEARD_MAX: usize = 4_096;

/// What is on its way, so that no round starts it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// A command, told apart by its text.
    Propose(String),
    Conclude(JobId),
    Seal(JobId),
}

enum Done {
    Task(Task),
    /// Each section's outcome; none where it is not known.
    Ticks(Vec<(Batch, Option<TickOutcome>)>),
    Failed(JoinError),
}

pub(super) struct Reign {
    cluster: ClusterHandle,
    repository: Arc<Repository>,
    command: session::Command,
    sessions: BTreeMap<PeerName, Session>,
    reports: BTreeMap<PeerName, Vec<ShardReport>>,
    /// Since when gossip calls a member alive that has no session.
    coming: BTreeMap<PeerName, u64>,
    /// Shards whose frames were asked for in the present session.
    resumed: BTreeSet<ShardKey>,
    aggregator: Aggregator,
    starts: OwnStarts,
    under_way: BTreeSet<Task>,
    tasks: JoinSet<Done>,
    ticks_under_way: bool,
    next_ticks_ms: u64,
    heard: mpsc::Sender<Heard>,
}

impl Reign {
    /// Rules until the future is dropped or a worker knows a higher term.
    pub(super) async fn run(cluster: ClusterHandle, repository: Arc<Repository>, term: u64) {
        let Some(leader) = cluster.raft_id() else { return };
        let command = session::Command { term, leader, clock: cluster.clock() };
        let (heard, mut inbox) = mpsc::channel(HEARD_MAX);
        let mut applied = cluster.applied();
        let mut reign = Self {
            cluster,
            repository,
            command,
            sessions: BTreeMap::new(),
            reports: BTreeMap::new(),
            coming: BTreeMap::new(),
            resumed: BTreeSet::new(),
            aggregator: Aggregator::default(),
            starts: OwnStarts::new(),
            under_way: BTreeSet::new(),
            tasks: JoinSet::new(),
            ticks_under_way: false,
            next_ticks_ms: 0,
            heard,
        };
        tracing::info!(term, "this node is master");
        let mut round = tokio::time::interval(ROUND);
        loop {
            tokio::select! {
                _ = round.tick() => {}
                changed = applied.changed() => if changed.is_err() { return },
                Some(done) = reign.tasks.join_next() => reign.done(done),
                heard = inbox.recv() => match heard {
                    Some(Heard::Deposed { term: higher }) => {
                        tracing::info!(term, higher, "a worker follows a later master");
                        return;
                    }
                    Some(heard) => reign.hear(heard),
                    None => return,
                },
            }
            while let Ok(heard) = inbox.try_recv() {
                reign.hear(heard);
            }
            reign.round();
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Report { peer, shards } => {
                self.reports.insert(peer, shards);
            }
            Heard::Down { peer } => {
                for report in self.reports.remove(&peer).unwrap_or_default() {
                    self.resumed.remove(&report.key);
                }
            }
            Heard::Frame { key, held } => match self.aggregator.offer(&key, held) {
                // Asked for again by the next round, from what is known then.
                Offer::Gap { .. } | Offer::Full => {
                    self.resumed.remove(&key);
                }
                Offer::Kept | Offer::Duplicate | Offer::Unknown => {}
            },
            Heard::Deposed { .. } => {}
        }
    }

    fn round(&mut self) {
        let ledger = self.cluster.ledger();
        // A forming cluster has no jobs, and may still be dissolved into another: its terms must
        // not stay in the workers' memory, where they would outrank those of the other.
        if !ledger.is_open() {
            return;
        }
        let live: Vec<&Job> = ledger.live_jobs().map(AsRef::as_ref).collect();
        self.keep_sessions(&ledger);
        self.resume(&live);
        self.propose_ticks();
        let unsealed: Vec<&Job> = ledger
            .jobs()
            .take(ENDED_LOOKED_AT)
            .map(AsRef::as_ref)
            .filter(|job| job.status.is_terminal() && !job.ticks.is_empty())
            .collect();
        let nodes = self.nodes();
        self.starts.retain(|(id, _), _| live.iter().any(|job| &job.id == id));
        let clock = self.command.clock;
        let (now, now_us) = (clock.unix_ms(), clock.now_us());
        let view = View {
            now,
            now_us,
            starts: &self.starts,
            live: &live,
            unsealed: &unsealed,
            nodes: &nodes,
            reports: &self.reports,
        };
        let intents = reconcile(&view);
        let meant = intents.iter().filter_map(|intent| own_start(intent, (now, now_us)));
        let meant: Vec<_> = meant.collect();
        self.starts.extend(meant);
        for intent in intents {
            self.carry_out(&ledger, intent);
        }
    }

    /// One session to each bound member; none to those that were removed.
    fn keep_sessions(&mut self, ledger: &Ledger) {
        let members: BTreeSet<PeerName> = ledger
            .members()
            .filter(|member| member.bound && !member.removed)
            .map(|member| member.peer.clone())
            .collect();
        self.sessions.retain(|peer, _| members.contains(peer));
        self.reports.retain(|peer, _| members.contains(peer));
        for peer in members {
            let (command, heard) = (self.command, &self.heard);
            let mesh = || self.cluster.mesh();
            self.sessions
                .entry(peer.clone())
                .or_insert_with(|| Session::start(command, mesh(), peer, heard.clone()));
        }
    }

    fn nodes(&mut self) -> BTreeMap<PeerName, Node> {
        let (now, own) = (self.command.clock.now_ms(), self.cluster.peer());
        let members = self.cluster.members();
        let (reports, coming) = (&self.reports, &mut self.coming);
        coming.retain(|peer, _| {
            let alive = members.iter().any(|it| it.peer == peer.0 && it.health == ALIVE);
            alive && !reports.contains_key(peer)
        });
        for member in members.iter().filter(|member| member.health == ALIVE) {
            let peer = PeerName(member.peer.clone());
            if !reports.contains_key(&peer) {
                coming.entry(peer).or_insert(now);
            }
        }
        let node = |(peer, session): (&PeerName, &Session)| {
            let known = members.iter().find(|member| member.peer == peer.0);
            let candidate = Candidate {
                peer: peer.clone(),
                name: known.map_or_else(|| peer.0.clone(), |member| member.name.clone()),
                labels: known.map(|member| member.labels.clone()).unwrap_or_default(),
                cores: known.map_or(1, |member| member.cores),
                is_master: *peer == own,
                present: self.reports.contains_key(peer),
            };
            let coming_ms = self.coming.get(peer).map(|since| now.saturating_sub(*since));
            (peer.clone(), Node { candidate, silent_ms: session.silent_ms(now), coming_ms })
        };
        self.sessions.iter().map(node).collect()
    }

    /// Takes the ledger's cursors, and asks each shard once per session for what follows.
    fn resume(&mut self, live: &[&Job]) {
        self.aggregator.retain(|id| live.iter().any(|job| &job.id == id));
        self.resumed.retain(|key| live.iter().any(|job| job.id == key.job));
        for job in live {
            if !matches!(job.status, JobStatus::Running | JobStatus::Finalizing) {
                continue;
            }
            let active =
                || job.assignments.iter().filter(|a| matches!(a.state, AssignmentState::Active));
            let cursors: Vec<_> = active().map(|a| (a.shard, a.epoch, a.cursor)).collect();
            self.aggregator.sync(&job.id, &cursors);
            for assignment in active() {
                let key = ShardKey {
                    job: job.id.clone(),
                    shard: assignment.shard,
                    epoch: assignment.epoch,
                };
                let known = self
                    .reports
                    .get(&assignment.node)
                    .is_some_and(|reports| reports.iter().any(|report| report.key == key));
                let session = self.sessions.get(&assignment.node);
                if let (true, Some(session)) = (known, session)
                    && !self.resumed.contains(&key)
                {
                    let cursor = self.aggregator.newest(&key).unwrap_or(assignment.cursor);
                    if session.order(ToWorker::Resume { key: key.clone(), cursor }) {
                        self.resumed.insert(key);
                    }
                }
            }
        }
    }

    fn propose_ticks(&mut self) {
        let now = self.command.clock.now_ms();
        if self.ticks_under_way || now < self.next_ticks_ms {
            return;
        }
        let batches = self.aggregator.take(now);
        if batches.is_empty() {
            return;
        }
        self.ticks_under_way = true;
        self.next_ticks_ms = now + TICK_PERIOD_MS;
        let (cluster, term) = (Arc::clone(&self.cluster), self.command.term);
        self.tasks.spawn(async move {
            // A wide job's frames are some hundred milliseconds of work, which nobody should wait
            // for.
            let merging = tokio::task::spawn_blocking(move || {
                let mut batches = batches;
                let sections: Vec<_> = batches.iter_mut().map(Batch::section).collect();
                (batches, sections)
            });
            let (batches, sections) = match merging.await {
                Ok(merged) => merged,
                Err(error) => return Done::Failed(error),
            };
            let mut outcomes = Vec::new();
            for sections in entries(sections.into_iter()) {
                let count = sections.len();
                let command = Command::Job(JobCommand::Ticks { sections });
                let proposed = cluster.propose_as_master(term, command).await;
                outcomes.extend(each(proposed.map(|applied| applied.outcome), count));
            }
            Done::Ticks(batches.into_iter().zip(outcomes).collect())
        });
    }

    fn done(&mut self, done: Result<Done, JoinError>) {
        match done {
            Ok(Done::Task(task)) => {
                self.under_way.remove(&task);
            }
            Ok(Done::Ticks(settled)) => {
                self.ticks_under_way = false;
                let more = |(batch, outcome): &(Batch, Option<TickOutcome>)| {
                    batch.cut && matches!(outcome, Some(TickOutcome::Accepted { .. }))
                };
                // More was there than a section holds: the next one follows at once.
                if settled.iter().any(more) {
                    self.next_ticks_ms = self.command.clock.now_ms();
                }
                for (batch, outcome) in settled {
                    let Some(outcome) = outcome else {
                        self.aggregator.unknown(&batch.job);
                        continue;
                    };
                    let acks = self.aggregator.settle(&batch.job, &batch.cursors, &outcome);
                    acks.into_iter().for_each(|(key, cursor)| self.acknowledge(key, cursor));
                }
            }
            Ok(Done::Failed(error)) | Err(error) => {
                // A panic in a task is a bug; what it held is started again.
                tracing::error!(%error, "a task of the master ended");
                self.under_way.clear();
                self.ticks_under_way = false;
                let ledger = self.cluster.ledger();
                ledger.live_jobs().for_each(|job| self.aggregator.unknown(&job.id));
            }
        }
    }

    fn acknowledge(&self, key: ShardKey, cursor: u64) {
        let ledger = self.cluster.ledger();
        let node = ledger.job(&key.job).and_then(|job| {
            let held =
                job.assignments.iter().find(|a| (a.shard, a.epoch) == (key.shard, key.epoch));
            held.map(|a| a.node.clone())
        });
        if let Some(session) = node.and_then(|node| self.sessions.get(&node)) {
            let _ = session.order(ToWorker::Ack { key, cursor });
        }
    }

    fn carry_out(&mut self, ledger: &Ledger, intent: Intent) {
        let (cluster, repository) = (Arc::clone(&self.cluster), Arc::clone(&self.repository));
        let term = self.command.term;
        match intent {
            Intent::Order { peer, order } => {
                if let Some(session) = self.sessions.get(&peer) {
                    let _ = session.order(order);
                }
            }
            Intent::Propose(command) => {
                let task = Task::Propose(subject(&command));
                self.spawn(task, async move {
                    let proposed = cluster.propose_as_master(term, Command::Job(command)).await;
                    proposed.map(|_| ()).map_err(|error| error.to_string())
                });
            }
            Intent::Conclude { job, ending } => {
                let Some(row) = ledger.job(&job).cloned() else { return };
                self.spawn(Task::Conclude(job), async move {
                    let ended = finish::conclude(&cluster, &repository, term, &row, &ending).await;
                    ended.map_err(|error| error.to_string())
                });
            }
            Intent::Seal { job, from, to } => {
                let Some(row) = ledger.job(&job).cloned() else { return };
                self.spawn(Task::Seal(job), async move {
                    let sealed = finish::seal(&cluster, &repository, term, &row, (from, to)).await;
                    sealed.map_err(|error| error.to_string())
                });
            }
        }
    }

    fn spawn(
        &mut self,
        task: Task,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        if !self.under_way.insert(task.clone()) {
            return;
        }
        self.tasks.spawn(async move {
            if let Err(error) = work.await {
                tracing::warn!(?task, %error, "not carried out; the next round decides anew");
                tokio::time::sleep(ROUND).await;
            }
            Done::Task(task)
        });
    }
}

/// The moment that a start means which is proposed now, whatever happens to the wall clock.
fn own_start(intent: &Intent, (now, now_us): (UnixMs, u64)) -> Option<((JobId, UnixMs), i64)> {
    let Intent::Propose(JobCommand::Start { id, start_at, .. }) = intent else { return None };
    let ahead_us = start_at.saturating_sub(now).saturating_mul(1_000);
    let at_us = i64::try_from(now_us.saturating_add(ahead_us)).unwrap_or(i64::MAX);
    Some(((id.clone(), *start_at), at_us))
}

/// Sections in as few log entries as their size allows.
fn entries(sections: impl Iterator<Item = TickSection>) -> Vec<Vec<TickSection>> {
    let (mut entries, mut room): (Vec<Vec<TickSection>>, usize) = (Vec::new(), 0);
    for section in sections {
        let bytes = section.payload.len() + SECTION_HEAD_BYTES_MAX;
        match entries.last_mut().filter(|_| bytes <= room) {
            Some(entry) => entry.push(section),
            None => {
                entries.push(vec![section]);
                room = PROPOSAL_BYTES_MAX;
            }
        }
        room = room.saturating_sub(bytes);
    }
    entries
}

/// The outcome of each of `count` sections of one entry.
fn each(outcome: Result<Outcome, ClusterError>, count: usize) -> Vec<Option<TickOutcome>> {
    match outcome {
        Ok(Outcome::Ticks(outcomes)) if outcomes.len() == count => {
            return outcomes.into_iter().map(Some).collect();
        }
        Ok(other) => tracing::error!(?other, "ticks with an outcome that is not theirs"),
        Err(error) => tracing::warn!(%error, "ticks not committed; asking the ledger"),
    }
    vec![None; count]
}

/// What a command is about: a second one about the same waits for the first.
fn subject(command: &JobCommand) -> String {
    match command {
        JobCommand::ShardDone { id, shard, epoch, .. }
        | JobCommand::ShardLost { id, shard, epoch, .. } => format!("{id}/{shard}-{epoch}"),
        JobCommand::Prepare { id, .. }
        | JobCommand::Requeue { id, .. }
        | JobCommand::Start { id, .. }
        | JobCommand::Finalize { id }
        | JobCommand::Submit { id, .. }
        | JobCommand::Finish { id, .. }
        | JobCommand::Abort { id, .. }
        | JobCommand::Seal { id, .. }
        | JobCommand::Note { id, .. } => id.0.clone(),
        JobCommand::Ticks { .. } => "ticks".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onrush_raft::codec::{self, kind};
    use onrush_raft::ledger::command::Proposal;
    use onrush_raft::ledger::job::CursorMove;
    use onrush_raft::ledger::limits::SHARDS_MAX;

    /// Once the ticks of all jobs went as one entry: three wide jobs together were refused as too
    /// large, each second anew.
    #[test]
    fn many_large_sections_go_as_several_entries() {
        let step = CursorMove { shard: 0, epoch: 1, from: 0, to: 1 };
        let section = |job: usize, bytes: usize| TickSection {
            job: JobId(format!("job_{job:026}")),
            cursors: vec![step; SHARDS_MAX],
            payload: vec![7; bytes],
        };
        let sizes = [700, 400, 400, 1, 1, 768, 1].map(|kib| kib * 1_024);
        let all = sizes.into_iter().enumerate().map(|(job, bytes)| section(job, bytes));
        let entries = entries(all);
        let counts: Vec<usize> = entries.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 4, 2]);
        for sections in entries {
            let command = Command::Job(JobCommand::Ticks { sections });
            let proposal = Proposal { at: 1, by: "master@n".into(), command };
            let bytes = codec::encode(kind::PROPOSAL, &proposal).unwrap().len();
            assert!(bytes <= PROPOSAL_BYTES_MAX, "{bytes} bytes");
        }
    }
}

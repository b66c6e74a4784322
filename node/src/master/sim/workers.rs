//! The shell around a worker's book and senders: children are started, killed and read, frames kept
//! in a spool, sessions taken. A worker that is killed comes back with its spools, or without.

use std::collections::BTreeMap;

use bytes::Bytes;
use onrush_scenario::shard::{EndReason, LoadHeard, Surplus, Yielded};
use rand::Rng;

use super::engine::{self, Child, Cut};
use super::network::TO_MASTER_MAX;
use super::world::World;
use crate::control_wire::{FromWorker, Phase, RESTARTED, ShardKey, ShardReport, ToWorker};
use crate::worker::book::{Act, Book, Happening};
use crate::worker::sender::{Damage, Sender, Spool};

#[derive(Default)]
pub(super) struct Shelf {
    frames: BTreeMap<u64, Bytes>,
    newest: u64,
    damaged: Option<u64>,
}

impl Spool for Shelf {
    type Error = String;

    fn newest(&self) -> u64 {
        self.newest
    }

    fn frame(&self, seq: u64) -> Result<Option<Bytes>, String> {
        if self.damaged == Some(seq) && self.frames.contains_key(&seq) {
            return Err(format!("frame {seq} in the spool is damaged"));
        }
        Ok(self.frames.get(&seq).cloned())
    }
}

#[derive(Default)]
struct Run {
    shelf: Shelf,
    sender: Sender,
    child: Option<Child>,
    ready_at: Option<u64>,
    /// What the child says of segments that it gave away, and when it is heard.
    yielded: Vec<(u64, Yielded)>,
    /// The same of users that are still there.
    surplus: Vec<(u64, Surplus)>,
    /// The newest frame that was sent did not arrive: what is sent next will show it.
    hidden: bool,
}

pub(super) struct Worker {
    pub(super) index: usize,
    /// It is a member.
    pub(super) joined: bool,
    pub(super) back_at: Option<u64>,
    pub(super) cut_until: u64,
    pub(super) lease_until: u64,
    pub(super) book: Book,
    runs: BTreeMap<ShardKey, Run>,
    session: Option<u64>,
}

impl Worker {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            joined: false,
            back_at: None,
            cut_until: 0,
            lease_until: 0,
            book: Book::default(),
            runs: BTreeMap::new(),
            session: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.back_at.is_none()
    }

    pub(super) fn is_reachable(&self, now: u64) -> bool {
        self.is_up() && now >= self.cut_until
    }

    pub(super) fn shards(&self) -> Vec<ShardKey> {
        self.runs.keys().cloned().collect()
    }

    /// Users of the closed population, by shard.
    pub(super) fn users(&self) -> impl Iterator<Item = (&ShardKey, u64)> {
        self.runs.iter().map(|(key, run)| (key, run.child.as_ref().map_or(0, Child::users)))
    }

    /// Shards that have a process now.
    pub(super) fn with_child(&self) -> Vec<ShardKey> {
        self.runs
            .iter()
            .filter(|(_, run)| run.child.is_some())
            .map(|(key, _)| key.clone())
            .collect()
    }
}

impl World {
    pub(super) fn receive(&mut self, stream: u64, order: ToWorker) {
        let Some(index) = self.streams.iter().find(|it| it.id == stream).map(|it| it.worker) else {
            return;
        };
        let worker = &mut self.workers[index];
        match order {
            ToWorker::Hello { .. } if worker.session == Some(stream) => {}
            ToWorker::Hello { .. } => match worker.book.hello(&order) {
                Ok(()) => {
                    worker.session = Some(stream);
                    worker.runs.values_mut().for_each(|run| run.sender.session_began());
                    self.report(index);
                }
                Err(reason) => {
                    let term = worker.book.term();
                    self.say(stream, FromWorker::Refused { term, reason });
                }
            },
            _ if worker.session != Some(stream) => {}
            ToWorker::Heartbeat { mono_us, lease_ms, .. } => {
                worker.lease_until = worker.lease_until.max(mono_us / 1_000 + lease_ms);
                self.report(index);
            }
            order => {
                let acts = worker.book.obey(order);
                self.perform(index, acts);
            }
        }
    }

    fn report(&mut self, index: usize) {
        let worker = &self.workers[index];
        if let Some(session) = worker.session {
            let mut shards = worker.book.reports();
            for report in &mut shards {
                let child = worker.runs.get(&report.key).and_then(|run| run.child.as_ref());
                let start_ms = child.and_then(Child::start_ms);
                report.start_us = start_ms.map(|ms| i64::try_from(ms * 1_000).expect("soon"));
            }
            self.say(session, FromWorker::Report { shards });
        }
    }

    pub(super) fn happened(&mut self, index: usize, key: &ShardKey, happening: Happening) {
        let acts = self.workers[index].book.happened(key, happening);
        self.perform(index, acts);
    }

    fn perform(&mut self, index: usize, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Launch(order) => {
                    let ready_at = Some(self.now + self.rng.random_range(50..900));
                    let linger = 0..engine::LINGER_MS;
                    let lingers_ms = self.staged.then(|| self.rng.random_range(linger));
                    let child = Some(Child::new(&order, lingers_ms));
                    let run = Run { child, ready_at, ..Run::default() };
                    self.workers[index].runs.insert(order.key, run);
                }
                Act::Start { key, at_us, take_over } => {
                    let (at, now) = (u64::try_from(at_us / 1_000).unwrap_or(0), self.now);
                    let Some(child) = self.child(index, &key) else { continue };
                    if child.start(at, take_over.as_ref(), now) {
                        let late = child.segments().iter().map(|it| (key.job.clone(), *it));
                        let late: Vec<_> = late.collect();
                        self.record.late.extend(late);
                    }
                }
                Act::Yield { key, to, segments, .. } => self.give(index, &key, to, &segments),
                Act::Load { key, changes } => {
                    let changes = u32::try_from(changes.len()).unwrap_or(u32::MAX);
                    let heard = LoadHeard { changes, late_us: 0 };
                    self.happened(index, &key, Happening::Load(heard));
                }
                Act::HoldBack { key, users } => {
                    let now = self.now;
                    let Some(child) = self.child(index, &key) else { continue };
                    child.hold_back(&users, now);
                    self.happened(index, &key, Happening::HeldBack(users));
                }
                Act::Stop { key, reason } => {
                    self.excuse(index, &key);
                    self.end_child(index, &key, EndReason::Stopped(reason));
                }
                Act::Kill { key } => {
                    self.excuse(index, &key);
                    self.kill_child(index, &key);
                }
                Act::Resend { key, cursor } => {
                    self.check_asked(&key, cursor);
                    if let Some(run) = self.workers[index].runs.get_mut(&key) {
                        run.sender.resend(cursor);
                    }
                }
                Act::Free { key, cursor } => {
                    self.check_acknowledged(&key, cursor);
                    if let Some(run) = self.workers[index].runs.get_mut(&key) {
                        run.shelf.frames.retain(|seq, _| *seq > cursor);
                        run.child.iter_mut().for_each(|child| child.records.committed(cursor));
                    }
                    self.note_records(index, &key);
                }
                Act::Discard { key } => {
                    self.workers[index].runs.remove(&key);
                }
                Act::Report => self.report(index),
            }
        }
    }

    fn child(&mut self, index: usize, key: &ShardKey) -> Option<&mut Child> {
        self.workers[index].runs.get_mut(key)?.child.as_mut()
    }

    /// The master has no use for a process that has not begun.
    fn excuse(&mut self, index: usize, key: &ShardKey) {
        if self.child(index, key).is_some_and(|child| child.start_ms().is_none()) {
            self.record.cause(key, "it was ended before it began");
        }
    }

    fn give(&mut self, index: usize, key: &ShardKey, to: u32, segments: &[u32]) {
        let (now, heard) = (self.now, self.now + self.rng.random_range(0..300));
        let Some(run) = self.workers[index].runs.get_mut(key) else { return };
        let Some(child) = &mut run.child else { return };
        // One after the other, as a pipe has them.
        let heard = run.yielded.last().map_or(heard, |(before, _)| heard.max(*before));
        run.yielded.extend(child.give(to, segments, now).map(|yielded| (heard, yielded)));
    }

    fn hear_yields(&mut self, index: usize, key: &ShardKey, until: u64) {
        let Some(run) = self.workers[index].runs.get_mut(key) else { return };
        let is_due = |(at, _): &(u64, Yielded)| *at <= until;
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut run.yielded).into_iter().partition(is_due);
        run.yielded = later;
        for (_, yielded) in due {
            self.happened(index, key, Happening::Yielded(yielded));
        }
    }

    fn hear_surplus(&mut self, index: usize, key: &ShardKey) {
        let (now, delay) = (self.now, self.rng.random_range(0..300));
        let Some(run) = self.workers[index].runs.get_mut(key) else { return };
        let words = run.child.as_mut().map(Child::surplus).unwrap_or_default();
        let heard = run.surplus.last().map_or(now, |(at, _)| now.max(*at)) + delay;
        run.surplus.extend(words.into_iter().map(|word| (heard, word)));
        for (_, word) in run.surplus.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            self.happened(index, key, Happening::Surplus(word));
        }
    }

    fn note_records(&mut self, index: usize, key: &ShardKey) {
        let used = self.child(index, key).map(|child| child.records.take_used());
        self.record.used(key, &used.unwrap_or_default());
    }

    /// It ends in order: the last frame, then why.
    fn end_child(&mut self, index: usize, key: &ShardKey, reason: EndReason) {
        let now = self.now;
        let Some(child) = self.child(index, key) else { return };
        let cuts = child.stop(now);
        self.note_records(index, key);
        self.hear_yields(index, key, u64::MAX);
        self.workers[index].runs.entry(key.clone()).and_modify(|run| run.child = None);
        self.keep(index, key, cuts);
        self.happened(index, key, Happening::Finished(reason));
    }

    /// It ends without a word. Whether there was one.
    pub(super) fn kill_child(&mut self, index: usize, key: &ShardKey) -> bool {
        let now = self.now;
        let Some(run) = self.workers[index].runs.get_mut(key) else { return false };
        let Some(mut child) = run.child.take() else { return false };
        // Nothing would show it any more. A stream loses what it carries only when it breaks.
        if std::mem::take(&mut run.hidden) {
            self.break_streams(|stream| stream.worker == index);
        }
        let (cuts, _) = child.advance(now);
        self.record.started(key, child.in_flight());
        self.record.used(key, &child.records.take_used());
        self.keep(index, key, cuts);
        true
    }

    fn keep(&mut self, index: usize, key: &ShardKey, cuts: Vec<Cut>) {
        for cut in cuts {
            let damaged = self.rng.random_bool(self.faults.damage);
            self.record.cut(key, &cut);
            let Some(run) = self.workers[index].runs.get_mut(key) else { return };
            assert_eq!(cut.seq, run.shelf.newest + 1, "the engine's frames have no gaps");
            run.shelf.newest = cut.seq;
            run.shelf.frames.insert(cut.seq, cut.body);
            if damaged {
                run.shelf.damaged = Some(cut.seq);
                self.record.cause(key, "a frame is damaged");
            }
            self.happened(index, key, Happening::Framed(cut.seq));
        }
    }

    pub(super) fn work(&mut self) {
        for index in 0..self.workers.len() {
            if self.workers[index].back_at.is_some_and(|at| at <= self.now) {
                self.workers[index].back_at = None;
            }
            for key in self.workers[index].with_child() {
                self.run_child(index, &key);
            }
            if self.workers[index].is_up() {
                self.workers[index].shards().iter().for_each(|key| self.pump(index, key));
            }
        }
    }

    fn run_child(&mut self, index: usize, key: &ShardKey) {
        let now = self.now;
        let worker = &mut self.workers[index];
        let lease_until = worker.lease_until;
        let Some(run) = worker.runs.get_mut(key) else { return };
        if run.ready_at.is_some_and(|at| at <= now) {
            run.ready_at = None;
            let plan = Box::new(engine::plan(self.staged));
            return self.happened(index, key, Happening::Ready(plan));
        }
        let running = worker.book.report(key).is_some_and(|it| it.phase == Phase::Running);
        if running && now > lease_until {
            self.record.cause(key, "its lease ran out");
            return self.end_child(index, key, EndReason::LeaseExpired);
        }
        self.hear_yields(index, key, now);
        let Some(child) = self.child(index, key) else { return };
        let (cuts, end) = child.advance(now);
        self.note_records(index, key);
        self.hear_surplus(index, key);
        self.keep(index, key, cuts);
        if let Some(reason) = end {
            self.hear_yields(index, key, u64::MAX);
            self.workers[index].runs.entry(key.clone()).and_modify(|run| run.child = None);
            self.happened(index, key, Happening::Finished(reason));
        }
    }

    fn pump(&mut self, index: usize, key: &ShardKey) {
        let worker = &mut self.workers[index];
        let Some(session) = worker.session else { return };
        let stream = self.streams.iter().find(|it| it.id == session);
        let free = stream.filter(|it| !it.is_broken()).map(|it| it.room_up());
        let mut room = free.unwrap_or(TO_MASTER_MAX);
        let Some(run) = worker.runs.get_mut(key) else { return };
        let mut sent = Vec::new();
        let place = || {
            room = room.checked_sub(1)?;
            Some(())
        };
        let end = run.sender.pump(&run.shelf, place, |(), seq, body| sent.push((seq, body)));
        let more_follows = run.child.is_some();
        for (seq, body) in sent {
            let hidden = more_follows && self.rng.random_bool(self.faults.lost_frame);
            self.workers[index].runs.entry(key.clone()).and_modify(|run| run.hidden = hidden);
            if hidden {
                continue;
            }
            self.say(session, FromWorker::Frame { key: key.clone(), seq, body });
        }
        if let Err(Damage { newest, error }) = end {
            self.happened(index, key, Happening::Damaged { newest, reason: error });
        }
    }

    /// The node with all its children; what its disk has, it has again when it comes back.
    pub(super) fn kill_worker(&mut self, index: usize, back_at: u64, lose_spools: bool) {
        self.break_streams(|stream| stream.worker == index);
        let mut found = BTreeMap::new();
        for key in self.workers[index].shards() {
            self.record.cause(&key, "its node was killed");
            self.kill_child(index, &key);
            let kept = self.workers[index].book.report(&key).filter(|it| !it.phase.is_live());
            let Some(run) = self.workers[index].runs.remove(&key) else { continue };
            let reason = RESTARTED.to_owned();
            let (gone, newest) = (Phase::Gone { reason }, run.shelf.newest);
            let (start_us, yields, load, closed) = Default::default();
            let key_of_report = key.clone();
            let fresh = ShardReport {
                key: key_of_report,
                phase: gone,
                newest,
                start_us,
                yields,
                load,
                closed,
            };
            let report = kept.unwrap_or(fresh);
            if !lose_spools {
                let run = Run { shelf: run.shelf, ..Run::default() };
                found.insert(key, (run, report));
            }
        }
        let joined = self.workers[index].joined;
        let mut worker = Worker { joined, back_at: Some(back_at), ..Worker::new(index) };
        for (key, (run, report)) in found {
            worker.book.recall(report);
            worker.runs.insert(key, run);
        }
        self.workers[index] = worker;
    }
}

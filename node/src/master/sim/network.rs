//! Control streams between masters and workers: messages of one session arrive in order, each not
//! before its time, some twice. A session breaks for each side on its own: what is on its way is
//! gone, the worker hears of it with the next session, the master after some silence. Messages of
//! different sessions pass each other.

use std::collections::VecDeque;

use rand::Rng;

use super::world::World;
use crate::control_wire::{CONTROL_VERSION, FromWorker, ToWorker};
use crate::master::coordinator::Heard;

/// Orders that wait in one session.
const ORDERS_MAX: usize = 4;
/// Messages that wait to be written to the master.
pub(super) const TO_MASTER_MAX: usize = 6;
/// Until a master that hears nothing calls a session dead.
const SILENCE_MS: u64 = 2_500;
const REDIAL_MS: u64 = 300;

pub(super) struct Stream {
    pub(super) id: u64,
    pub(super) term: u64,
    pub(super) worker: usize,
    down: VecDeque<(u64, ToWorker)>,
    up: VecDeque<(u64, FromWorker)>,
    last_down: u64,
    last_up: u64,
    /// When the master notices that it is broken.
    broken: Option<u64>,
}

impl Stream {
    pub(super) fn new(id: u64, term: u64, worker: usize) -> Self {
        let hello = ToWorker::Hello { version: CONTROL_VERSION, term, leader: term };
        let (down, up) = (VecDeque::from([(0, hello)]), VecDeque::new());
        Self { id, term, worker, down, up, last_down: 0, last_up: 0, broken: None }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Messages to the master that may be queued now.
    pub(super) fn room_up(&self) -> usize {
        TO_MASTER_MAX.saturating_sub(self.up.len())
    }

    fn break_until(&mut self, noticed: u64) {
        self.broken = Some(self.broken.map_or(noticed, |at| at.min(noticed)));
        self.down.clear();
        self.up.clear();
    }
}

fn next<T>(queue: &mut VecDeque<(u64, T)>, now: u64) -> Option<T> {
    let due = queue.front().is_some_and(|(at, _)| *at <= now);
    if due { queue.pop_front().map(|(_, message)| message) } else { None }
}

impl World {
    pub(super) fn delay(&mut self) -> u64 {
        if self.rng.random_bool(self.faults.delayed) {
            self.rng.random_range(200..2_000)
        } else {
            self.rng.random_range(1..60)
        }
    }

    /// Whether there was room.
    pub(super) fn order(&mut self, term: u64, worker: usize, order: ToWorker) -> bool {
        let (delay, twice) = (self.delay(), self.rng.random_bool(self.faults.repeated));
        let now = self.now;
        let Some(stream) = self.stream_of(term, worker) else { return false };
        let beats = matches!(order, ToWorker::Heartbeat { .. });
        if !beats && stream.down.len() >= ORDERS_MAX {
            return false;
        }
        if stream.is_broken() {
            return true;
        }
        stream.last_down = stream.last_down.max(now + delay);
        let due = stream.last_down;
        if twice {
            stream.down.push_back((due, order.clone()));
        }
        stream.down.push_back((due, order));
        true
    }

    pub(super) fn say(&mut self, stream: u64, message: FromWorker) {
        let (delay, twice) = (self.delay(), self.rng.random_bool(self.faults.repeated));
        let now = self.now;
        let Some(stream) = self.streams.iter_mut().find(|it| it.id == stream) else { return };
        // Frames have found their place before; a report comes again.
        let is_report = matches!(message, FromWorker::Report { .. });
        if stream.is_broken() || is_report && stream.room_up() == 0 {
            return;
        }
        stream.last_up = stream.last_up.max(now + delay);
        let due = stream.last_up;
        if twice {
            stream.up.push_back((due, message.clone()));
        }
        stream.up.push_back((due, message));
    }

    pub(super) fn stream_of(&mut self, term: u64, worker: usize) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|it| it.term == term && it.worker == worker)
    }

    pub(super) fn break_streams(&mut self, which: impl Fn(&Stream) -> bool) {
        for index in 0..self.streams.len() {
            if which(&self.streams[index]) {
                let noticed = self.now + self.rng.random_range(0..SILENCE_MS);
                self.streams[index].break_until(noticed);
            }
        }
    }

    pub(super) fn deliver(&mut self) {
        let now = self.now;
        let ids: Vec<u64> = self.streams.iter().map(|stream| stream.id).collect();
        for id in ids {
            while let Some(order) = self.due(id, |it| next(&mut it.down, now)) {
                self.receive(id, order);
            }
            while let Some(message) = self.due(id, |it| next(&mut it.up, now)) {
                self.hear(id, message);
            }
        }
        self.notice_breaks();
    }

    fn due<T>(&mut self, id: u64, next: impl FnOnce(&mut Stream) -> Option<T>) -> Option<T> {
        next(self.streams.iter_mut().find(|stream| stream.id == id)?)
    }

    fn hear(&mut self, id: u64, message: FromWorker) {
        let now = self.now;
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) else { return };
        let (term, peer) = (stream.term, super::world::peer(stream.worker));
        if let FromWorker::Refused { .. } = &message {
            stream.break_until(now);
        }
        let Some(master) = self.masters.iter_mut().find(|master| master.term == term) else {
            return;
        };
        if let Some(heard) = Heard::of(&peer, term, message, now) {
            master.coordinator.heard(heard);
            master.stirred = true;
        }
    }

    fn notice_breaks(&mut self) {
        let now = self.now;
        let mut noticed = Vec::new();
        self.streams.retain(|stream| {
            let over = stream.broken.is_some_and(|at| at <= now);
            if over {
                noticed.push((stream.term, stream.worker));
            }
            !over
        });
        for (term, worker) in noticed {
            let redial = now + REDIAL_MS + self.rng.random_range(0..100);
            if let Some(master) = self.masters.iter_mut().find(|master| master.term == term) {
                let peer = super::world::peer(worker);
                master.dials.entry(peer.clone()).and_modify(|at| *at = redial);
                master.coordinator.heard(Heard::Down { peer });
                master.stirred = true;
            }
        }
    }
}

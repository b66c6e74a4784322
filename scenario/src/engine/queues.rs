//! The values of `sharedQueue`s, shared by the threads of one shard, and the users of one thread that
//! wait for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::time::{MICROS_PER_SECOND, Micros};
use crate::value::Value;

/// Values that one queue may hold; more is a simulation that puts and never takes.
const VALUES_MAX: usize = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: Vec<Mutex<VecDeque<Value>>>,
    /// Grows with every value put, so that a thread knows when to look.
    puts: AtomicU64,
}

impl Queues {
    pub(super) fn new(count: u32) -> Self {
        Self { queues: (0..count).map(|_| Mutex::default()).collect(), puts: AtomicU64::new(0) }
    }

    fn with<T>(&self, slot: u32, f: impl FnOnce(&mut VecDeque<Value>) -> T) -> Option<T> {
        let queue = self.queues.get(slot as usize)?;
        Some(f(&mut queue.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(super) fn put(&self, slot: u32, value: Value) -> Result<(), String> {
        let put = self.with(slot, |queue| {
            let room = queue.len() < VALUES_MAX;
            if room {
                queue.push_back(value);
            }
            room
        });
        if put == Some(false) {
            return Err(format!("the queue is full: it holds {VALUES_MAX} values"));
        }
        self.puts.fetch_add(1, Ordering::Release);
        Ok(())
    }

    pub(super) fn poll(&self, slot: u32) -> Option<Value> {
        self.with(slot, VecDeque::pop_front).flatten()
    }

    pub(super) fn size(&self, slot: u32) -> usize {
        self.with(slot, |queue| queue.len()).unwrap_or(0)
    }
}

/// The users of one thread that wait for a value, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Takers {
    waiting: VecDeque<(u32, Micros, u32)>,
    seen: u64,
    next_look: Micros,
}

impl Takers {
    pub(super) fn push(&mut self, slot: u32, until: Micros, key: u32) {
        self.waiting.push_back((slot, until, key));
        // Something may have been put since the user looked.
        self.seen = u64::MAX;
    }

    /// Who may look again: as many as there are values, and, once a second, whose time is over.
    pub(super) fn awake(&mut self, queues: &Queues, now: Micros) -> Vec<u32> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let puts = queues.puts.load(Ordering::Acquire);
        if puts == self.seen && now < self.next_look {
            return Vec::new();
        }
        self.seen = puts;
        self.next_look = now + MICROS_PER_SECOND;
        let mut left: Vec<usize> =
            (0_u32..).zip(&queues.queues).map(|(it, _)| queues.size(it)).collect();
        let mut awake = Vec::new();
        self.waiting.retain(|&(slot, until, key)| {
            let values = left.get_mut(slot as usize);
            let served = values.is_some_and(|values| {
                let some = *values > 0;
                *values = values.saturating_sub(1);
                some
            });
            if served || now >= until {
                awake.push(key);
            }
            !served && now < until
        });
        awake
    }

    /// Nobody waits any longer.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = u32> + use<> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, _, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_wake_as_there_are_values_and_the_late_ones_after_a_second() {
        let queues = Queues::new(2);
        let mut takers = Takers::default();
        for key in 0..3 {
            takers.push(0, if key == 2 { 5 } else { Micros::MAX }, key);
        }
        assert_eq!(takers.awake(&queues, 1), [] as [u32; 0]);
        queues.put(1, Value::Int(9)).unwrap();
        assert_eq!(takers.awake(&queues, 2), [] as [u32; 0]);
        queues.put(0, Value::Int(1)).unwrap();
        assert_eq!(takers.awake(&queues, 3), [0]);
        assert_eq!(queues.poll(0), Some(Value::Int(1)));
        assert_eq!(takers.awake(&queues, 1_000_003), [2]);
        assert_eq!(takers.abandon().collect::<Vec<_>>(), [1]);
        assert_eq!((queues.size(0), queues.size(1), queues.poll(7)), (0, 1, None));
    }
}

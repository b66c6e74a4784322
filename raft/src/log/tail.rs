//! The newest entries in memory: all that are not yet durable, and some that are. Pure.

use std::collections::VecDeque;

use bytes::Bytes;

use super::TAIL_BYTES_MAX;

#[derive(Debug)]
struct Slot {
    index: u64,
    /// The operation that writes it.
    op: u64,
    bytes: Bytes,
}

/// A suffix of the log, without holes.
#[derive(Debug, Default)]
pub(super) struct Tail {
    slots: VecDeque<Slot>,
    bytes: usize,
}

impl Tail {
    pub(super) fn first(&self) -> Option<u64> {
        self.slots.front().map(|slot| slot.index)
    }

    pub(super) fn push(&mut self, index: u64, op: u64, bytes: Bytes) {
        self.bytes += bytes.len();
        self.slots.push_back(Slot { index, op, bytes });
    }

    /// Drops everything after `last`; everything when absent.
    pub(super) fn truncate_after(&mut self, last: Option<u64>) {
        while self.slots.back().is_some_and(|slot| last.is_none_or(|last| slot.index > last)) {
            self.bytes -= self.slots.pop_back().map_or(0, |slot| slot.bytes.len());
        }
    }

    /// Drops everything up to `upto`, inclusive.
    pub(super) fn purge(&mut self, upto: u64) {
        while self.slots.front().is_some_and(|slot| slot.index <= upto) {
            self.pop_front();
        }
    }

    /// Drops the oldest entries beyond the bound that operation `durable` and earlier ones wrote.
    pub(super) fn shrink(&mut self, durable: u64) {
        while self.bytes > TAIL_BYTES_MAX
            && self.slots.front().is_some_and(|slot| slot.op <= durable)
        {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        self.bytes -= self.slots.pop_front().map_or(0, |slot| slot.bytes.len());
    }

    /// Those of `from..to` that are here, oldest first.
    pub(super) fn range(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        let first = self.first().unwrap_or(to);
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let slots = self.slots.iter().skip(skip).take_while(move |slot| slot.index < to);
        slots.map(|slot| (slot.index, &slot.bytes))
    }
}

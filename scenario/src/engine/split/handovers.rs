//! What the processes of a shard say of segments that they give away → the shard's word. Pure.

use std::collections::{BTreeSet, VecDeque};

use crate::shard::Yielded;

/// Hand-overs that not all processes have spoken of, in the order in which they were asked for.
#[derive(Default)]
pub(super) struct Handovers(VecDeque<Handover>);

struct Handover {
    /// Processes that have not spoken yet.
    silent: BTreeSet<usize>,
    word: Yielded,
}

impl Handovers {
    /// `of`: the processes that hold some of the segments.
    pub(super) fn asked(&mut self, to: u32, at_us: u64, of: impl Iterator<Item = usize>) {
        let word = Yielded { to, at_us, ..Yielded::default() };
        self.0.push_back(Handover { silent: of.collect(), word });
    }

    /// Each of them starts nothing from its own moment on, and may use what it has reserved: the
    /// taker begins behind the last of all. What lies between is missed, and never done twice.
    pub(super) fn heard(&mut self, process: usize, said: &Yielded) {
        let Some(open) = self.0.iter_mut().find(|it| it.word.to == said.to) else { return };
        if open.silent.remove(&process) {
            open.word.at_us = open.word.at_us.max(said.at_us);
            widen(&mut open.word.records, &said.records);
        }
    }

    /// It has done all that was its own; `reserved`: what it said of its records last.
    pub(super) fn ended(&mut self, process: usize, reserved: &[u64]) {
        for open in self.0.iter_mut().filter(|it| it.silent.contains(&process)) {
            open.silent.remove(&process);
            widen(&mut open.word.records, reserved);
        }
    }

    /// The shard's next word, once all have spoken.
    pub(super) fn take(&mut self) -> Option<Yielded> {
        let spoken = self.0.front()?.silent.is_empty();
        spoken.then(|| self.0.pop_front()).flatten().map(|it| it.word)
    }
}

fn widen(records: &mut Vec<u64>, other: &[u64]) {
    records.resize(records.len().max(other.len()), 0);
    records.iter_mut().zip(other).for_each(|(a, b)| *a = (*a).max(*b));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(to: u32, at_us: u64, records: &[u64]) -> Yielded {
        Yielded { to, at_us, records: records.to_vec(), stages: vec![] }
    }

    #[test]
    fn the_taker_begins_behind_the_last_of_all() {
        let mut open = Handovers::default();
        open.asked(7, 5_000_000, [0, 1, 2].into_iter());
        open.heard(0, &said(7, 5_000_000, &[900, 40]));
        open.heard(2, &said(7, 5_400_000, &[1_000, 30]));
        assert_eq!(open.take(), None);
        // Another one's word, and one that speaks again.
        open.heard(1, &said(8, 9_000_000, &[9_999, 9_999]));
        open.heard(2, &said(7, 9_000_000, &[9_999, 9_999]));
        open.heard(1, &said(7, 5_000_000, &[950, 50]));
        assert_eq!(open.take(), Some(said(7, 5_400_000, &[1_000, 50])));
        assert_eq!(open.take(), None);
    }

    #[test]
    fn words_are_given_in_their_order_and_without_who_has_ended() {
        let mut open = Handovers::default();
        open.asked(7, 5_000_000, [0, 1].into_iter());
        open.asked(8, 6_000_000, [1].into_iter());
        open.heard(0, &said(7, 5_000_000, &[900]));
        assert_eq!(open.take(), None);
        // What it reserved may have been used, whatever it was asked.
        open.ended(1, &[1_200, 3]);
        assert_eq!(open.take(), Some(said(7, 5_000_000, &[1_200, 3])));
        assert_eq!(open.take(), Some(said(8, 6_000_000, &[1_200, 3])));
        assert_eq!(open.take(), None);
    }
}

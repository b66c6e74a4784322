//! How far a shard of a cluster may go in what the users of the whole job share out among
//! themselves (records of feeders, numbers of counters). Pure.
//!
//! Each frame reserves ahead; a reservation counts once its frame is committed. Should the node be
//! lost, the shard that takes its segments over begins behind the last committed reservation: no
//! record is used twice, and what lies between is a gap that the report states. The reservation
//! covers a fail-over at the fastest pace seen, so that users wait for one only in a burst beyond it.

use std::collections::VecDeque;

use crate::stats::frame::FeederDelta;

/// Seconds of use, at the fastest pace so far, that are reserved: the life of a lease, and what a
/// frame takes to be committed.
pub(super) const SECONDS_AHEAD: u64 = 9;
/// Numbers of the whole job that are reserved at least.
pub(super) const AHEAD_MIN: u64 = 1_000;

/// Where one sequence stands, in numbers of the whole job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The next number.
    pub position: u64,
    /// Behind the most that was asked for in vain.
    pub wanted: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sequence {
    last: u64,
    fastest: u64,
    reserved: u64,
}

#[derive(Debug)]
pub(super) struct Reserve {
    sequences: Vec<Sequence>,
    /// Reserved by frames that are not committed yet.
    waiting: VecDeque<(u32, Vec<u64>)>,
}

impl Reserve {
    /// `begins`: the first number of each sequence; `ahead`: how much of it is reserved without a
    /// frame, the same for every shard of the job.
    pub(super) fn new(begins: &[u64], ahead: u64) -> Self {
        let first = |&begin: &u64| Sequence {
            last: begin,
            fastest: 0,
            reserved: begin.saturating_add(ahead),
        };
        Self { sequences: begins.iter().map(first).collect(), waiting: VecDeque::new() }
    }

    /// Up to where each sequence is reserved, whether that is committed or not.
    pub(super) fn reserved(&self) -> Vec<u64> {
        self.sequences.iter().map(|it| it.reserved).collect()
    }

    /// What the frame of `second` says and reserves.
    pub(super) fn cut(
        &mut self,
        second: u32,
        places: impl Iterator<Item = Place>,
    ) -> Vec<FeederDelta> {
        let mut deltas = Vec::with_capacity(self.sequences.len());
        for ((feeder, sequence), place) in (0..).zip(&mut self.sequences).zip(places) {
            let Place { position, wanted } = place;
            sequence.fastest = sequence.fastest.max(position.saturating_sub(sequence.last));
            sequence.last = position;
            let ahead = AHEAD_MIN.max(sequence.fastest.saturating_mul(SECONDS_AHEAD));
            let reserved = position.max(wanted).saturating_add(ahead);
            sequence.reserved = sequence.reserved.max(reserved);
            deltas.push(FeederDelta { feeder, position, reserved: sequence.reserved });
        }
        if !deltas.is_empty() {
            self.waiting.push_back((second, self.reserved()));
        }
        deltas
    }

    /// The load rises so many times, by a factor from `before` to `now`: the pace will, too.
    pub(super) fn faster(&mut self, before: u32, now: u32) {
        for sequence in &mut self.sequences {
            let pace = u128::from(sequence.fastest) * u128::from(now) / u128::from(before.max(1));
            sequence.fastest = sequence.fastest.max(u64::try_from(pace).unwrap_or(u64::MAX));
        }
    }

    /// The frames up to `second` are committed: what may be used from now on, where that is more.
    pub(super) fn committed(&mut self, second: u32) -> Option<Vec<u64>> {
        let mut granted = None;
        while self.waiting.front().is_some_and(|(of, _)| *of <= second) {
            granted = self.waiting.pop_front().map(|(_, reserved)| reserved);
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64, wanted: u64) -> std::iter::Once<Place> {
        std::iter::once(Place { position, wanted })
    }

    #[test]
    fn a_reservation_counts_once_its_frame_is_committed() {
        let mut reserve = Reserve::new(&[0], 1_500);
        assert_eq!(reserve.reserved(), [1_500]);
        let delta = |position, reserved| vec![FeederDelta { feeder: 0, position, reserved }];
        assert_eq!(reserve.cut(0, at(100, 0)), delta(100, 1_500));
        // 900 in a second: nine times that is reserved.
        assert_eq!(reserve.cut(1, at(1_000, 0)), delta(1_000, 9_100));
        assert_eq!(reserve.cut(2, at(1_100, 0)), delta(1_100, 9_200));
        assert_eq!(reserve.committed(0), Some(vec![1_500]));
        assert_eq!(reserve.committed(0), None);
        assert_eq!(reserve.committed(2), Some(vec![9_200]));
    }

    /// A load that rises uses more in its first second than was reserved by the pace so far.
    #[test]
    fn a_rising_load_reserves_ahead_of_itself() {
        let mut reserve = Reserve::new(&[0], 1_000);
        assert_eq!(reserve.cut(0, at(500, 0))[0].reserved, 5_000);
        reserve.faster(1_000, 10_000);
        assert_eq!(reserve.cut(1, at(1_000, 0))[0].reserved, 1_000 + 9 * 5_000);
        reserve.faster(10_000, 500);
        assert_eq!(reserve.cut(2, at(1_500, 0))[0].reserved, 1_500 + 9 * 5_000);
    }

    /// Or a user that takes more at once than is ever reserved would wait for ever.
    #[test]
    fn what_was_asked_for_in_vain_is_reserved() {
        let mut reserve = Reserve::new(&[10], 1_000);
        let reserved = reserve.cut(0, at(10, 50_010))[0].reserved;
        assert_eq!(reserved, 51_010);
        assert_eq!(reserve.committed(0), Some(vec![51_010]));
    }

    #[test]
    fn a_sequence_at_its_end_overflows_nothing() {
        let mut reserve = Reserve::new(&[0], u64::MAX);
        assert_eq!(reserve.cut(0, at(u64::MAX, u64::MAX))[0].reserved, u64::MAX);
    }
}

//! Which record is next: an atomic count of this shard's own records, the number in the whole job
//! that it stands for, and the place in the source where the strategy finds that number.
//!
//! In a cluster a shard hands out only what it has reserved ([`Division::grant`]): should its node
//! be lost, whoever takes over begins behind that, and no record is used twice.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::Strategy;
use crate::inject::division::Segments;

#[derive(Debug)]
pub(crate) struct Division {
    segments: Segments,
    /// How many of its own records this shard has handed out.
    taken: AtomicU64,
    /// How many it may hand out.
    own: u64,
    /// How many of them are reserved; all without a cluster.
    granted: AtomicU64,
    /// The most that was asked for beyond what is reserved.
    wanted: AtomicU64,
    place: Place,
}

/// Why there is no next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// They are all used.
    Empty,
    /// It is not reserved yet: to be asked for again in a moment.
    NotYet,
}

#[derive(Debug)]
enum Place {
    InOrder,
    Circular { len: u64 },
    Random { len: u64, seed: u64 },
    Shuffled(Box<[u32]>),
}

/// Splitmix64 of two numbers: the same on every node and in every version.
pub(super) fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Division {
    /// `len` is at least 1 and at most `u32::MAX` (loading sees to it).
    pub(super) fn new(strategy: Strategy, len: u64, segments: &Segments, seed: u64) -> Self {
        let (place, all) = match strategy {
            Strategy::Queue => (Place::InOrder, len),
            Strategy::Circular => (Place::Circular { len }, u64::MAX),
            Strategy::Random => (Place::Random { len, seed }, u64::MAX),
            Strategy::Shuffle => {
                let mut order: Vec<u32> = (0..u32::try_from(len).unwrap_or(u32::MAX)).collect();
                order.shuffle(&mut SmallRng::seed_from_u64(seed));
                (Place::Shuffled(order.into()), len)
            }
        };
        let own = segments.closed_share(all);
        Self {
            segments: segments.clone(),
            taken: AtomicU64::new(0),
            own,
            granted: AtomicU64::new(u64::MAX),
            wanted: AtomicU64::new(0),
            place,
        }
    }

    /// The numbers 0, 1, 2 … without end.
    pub(crate) fn numbers(segments: &Segments) -> Self {
        Self::new(Strategy::Queue, u64::MAX, segments, 0)
    }

    /// The places of the next `count` own records, all or none of them.
    pub(crate) fn take(&self, count: u64) -> Result<impl Iterator<Item = u64>, Refused> {
        let taken = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
            let next = taken.checked_add(count)?;
            (next <= self.own.min(self.granted.load(Ordering::Acquire))).then_some(next)
        });
        match taken {
            Ok(first) => {
                Ok((first..first + count).filter_map(|j| self.place(self.segments.nth(j)?)))
            }
            Err(taken) => Err(self.refused(taken, count)),
        }
    }

    #[cold]
    fn refused(&self, taken: u64, count: u64) -> Refused {
        match taken.checked_add(count).filter(|next| *next <= self.own) {
            Some(next) => {
                self.wanted.fetch_max(next, Ordering::AcqRel);
                Refused::NotYet
            }
            None => Refused::Empty,
        }
    }

    fn place(&self, number: u64) -> Option<u64> {
        match &self.place {
            Place::InOrder => Some(number),
            Place::Circular { len } => Some(number % len),
            Place::Random { len, seed } => Some(mix(*seed, number) % len),
            Place::Shuffled(order) => {
                order.get(usize::try_from(number).ok()?).copied().map(u64::from)
            }
        }
    }

    /// The number, in the whole job, of the next record; `u64::MAX` when there is none.
    pub(crate) fn position(&self) -> u64 {
        self.number(self.taken.load(Ordering::Acquire))
    }

    /// The number behind the most that was asked for in vain.
    pub(crate) fn wanted(&self) -> u64 {
        match self.wanted.load(Ordering::Acquire) {
            0 => 0,
            wanted => self.number(wanted),
        }
    }

    fn number(&self, own: u64) -> u64 {
        self.segments.nth(own).unwrap_or(u64::MAX)
    }

    pub(crate) fn set_position(&self, number: u64) {
        self.taken.store(self.segments.closed_share(number), Ordering::Release);
    }

    /// Records with lower numbers may be handed out from now on. What was granted once stays so.
    pub(crate) fn grant(&self, number: u64) {
        self.granted.store(self.segments.closed_share(number), Ordering::Release);
    }
}

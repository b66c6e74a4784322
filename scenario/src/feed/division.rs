//! Which record is next: an atomic count of this shard's own records, the number in the whole job
//! that it stands for, and the place in the source where the strategy finds that number.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::Strategy;
use crate::inject::division::Segments;

#[derive(Debug)]
pub(super) struct Division {
    segments: Segments,
    /// How many of its own records this shard has handed out.
    taken: AtomicU64,
    /// How many it may hand out.
    own: u64,
    place: Place,
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
        Self { segments: segments.clone(), taken: AtomicU64::new(0), own, place }
    }

    /// The places of the next `count` own records, all or none of them.
    pub(super) fn take(&self, count: u64) -> Option<impl Iterator<Item = u64>> {
        let first = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                taken.checked_add(count).filter(|&next| next <= self.own)
            })
            .ok()?;
        Some((first..first + count).filter_map(|j| self.place(self.segments.nth(j)?)))
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

    pub(super) fn position(&self) -> u64 {
        self.segments.nth(self.taken.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
    }

    pub(super) fn set_position(&self, number: u64) {
        self.taken.store(self.segments.closed_share(number), Ordering::Relaxed);
    }
}

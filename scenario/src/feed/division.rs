//! Which record is next: an atomic count of this shard's own records, the number in the whole job
//! that it stands for, and the place in the source where the strategy finds that number.
//!
//! In a cluster a shard hands out only what it has reserved ([`Division::grant`]): should its node
//! be lost, whoever takes over begins behind that, and no record is used twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::Strategy;
use crate::inject::division::Segments;

pub(crate) struct Division {
    /// Replaced when segments are given away; the old one is closed then.
    held: ArcSwap<Held>,
    /// How many records there are in all.
    all: u64,
    /// The number behind what is reserved; all without a cluster.
    granted: AtomicU64,
    /// The number behind the most that was asked for beyond it.
    wanted: AtomicU64,
    place: Place,
}

/// The records of the segments that this shard has now.
#[derive(Debug)]
struct Held {
    segments: Segments,
    /// How many of its own records this shard has handed out, those of earlier holdings included
    /// as far as they are of these segments; with [`CLOSED`].
    taken: AtomicU64,
    /// How many it may hand out.
    own: u64,
    /// How many of them are reserved.
    granted: AtomicU64,
}

/// Set in [`Held::taken`] once others hold part of the segments: nothing more is taken there.
const CLOSED: u64 = 1 << 63;

impl Held {
    fn new(segments: &Segments, all: u64, taken: u64, granted: u64) -> Self {
        let own = segments.closed_share(all).min(CLOSED - 1);
        Self {
            segments: segments.clone(),
            taken: AtomicU64::new(taken.min(own)),
            own,
            granted: AtomicU64::new(segments.closed_share(granted)),
        }
    }
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

impl std::fmt::Debug for Division {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Division").field("held", &self.held.load()).finish_non_exhaustive()
    }
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
        Self {
            held: ArcSwap::from_pointee(Held::new(segments, all, 0, u64::MAX)),
            all,
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
        loop {
            let held = self.held.load_full();
            let taken = held.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                let next = taken.checked_add(count)?;
                (next <= held.own.min(held.granted.load(Ordering::Acquire))).then_some(next)
            });
            match taken {
                Ok(first) => {
                    let numbers = first..first + count;
                    return Ok(numbers.filter_map(move |j| self.place(held.segments.nth(j)?)));
                }
                // Segments are being given away: what is left is there in a moment.
                Err(taken) if taken & CLOSED != 0 => std::hint::spin_loop(),
                Err(taken) => return Err(self.refused(&held, taken, count)),
            }
        }
    }

    #[cold]
    fn refused(&self, held: &Held, taken: u64, count: u64) -> Refused {
        match taken.checked_add(count).filter(|next| *next <= held.own) {
            Some(next) => {
                let number = held.segments.nth(next).unwrap_or(u64::MAX);
                self.wanted.fetch_max(number, Ordering::AcqRel);
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
        let held = self.held.load();
        held.segments.nth(held.taken.load(Ordering::Acquire) & !CLOSED).unwrap_or(u64::MAX)
    }

    /// The number behind the most that was asked for in vain.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Acquire)
    }

    /// Begins with the first own record whose number is not below this one; before anything is
    /// taken.
    pub(crate) fn set_position(&self, number: u64) {
        let held = self.held.load();
        held.taken.store(held.segments.closed_share(number).min(held.own), Ordering::Release);
    }

    /// Records with lower numbers may be handed out from now on. What was granted once stays so.
    pub(crate) fn grant(&self, number: u64) {
        self.granted.store(number, Ordering::Release);
        let held = self.held.load();
        held.granted.store(held.segments.closed_share(number), Ordering::Release);
    }

    /// Keeps these segments and gives the others away: the number from which on their records are
    /// the taker's.
    pub(crate) fn keep(&self, segments: &Segments) -> u64 {
        let held = self.held.load_full();
        let taken = held.taken.fetch_or(CLOSED, Ordering::AcqRel) & !CLOSED;
        let number = held.segments.nth(taken).unwrap_or(u64::MAX);
        let granted = self.granted.load(Ordering::Acquire);
        let kept = segments.closed_share(number);
        self.held.store(Arc::new(Held::new(segments, self.all, kept, granted)));
        number
    }
}

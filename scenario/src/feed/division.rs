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
    /// One, and one more each time that segments were given away: used up in this order.
    parts: ArcSwap<Vec<Arc<Part>>>,
    /// How many records there are in all.
    all: u64,
    /// The number behind the most that was asked for beyond what is reserved.
    wanted: AtomicU64,
    place: Place,
}

/// The records of the segments that this shard has from a number on.
#[derive(Debug)]
struct Part {
    segments: Segments,
    /// Its first number.
    from: u64,
    /// How many of its own records are used, as if it had been there from the beginning.
    taken: AtomicU64,
    /// How many it may hand out.
    own: AtomicU64,
    /// How many of them are reserved; all without a cluster.
    granted: AtomicU64,
}

impl Part {
    fn new(segments: &Segments, all: u64, from: u64, granted: u64) -> Self {
        let own = segments.closed_share(all);
        Self {
            segments: segments.clone(),
            from,
            taken: AtomicU64::new(segments.closed_share(from).min(own)),
            own: AtomicU64::new(own),
            granted: AtomicU64::new(segments.closed_share(granted)),
        }
    }

    /// Its first of the next `count` own records. All that is granted is its own.
    fn take(&self, count: u64) -> Result<u64, Refused> {
        let (own, granted) = (&self.own, &self.granted);
        let taken = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
            let next = taken.checked_add(count)?;
            let most = own.load(Ordering::Acquire).min(granted.load(Ordering::Acquire));
            (next <= most).then_some(next)
        });
        taken.map_err(|taken| match taken.checked_add(count) {
            Some(next) if next <= own.load(Ordering::Acquire) => Refused::NotYet,
            _ => Refused::Empty,
        })
    }

    fn position(&self) -> u64 {
        self.segments.nth(self.taken.load(Ordering::Acquire)).unwrap_or(self.from)
    }

    fn is_used_up(&self) -> bool {
        self.taken.load(Ordering::Acquire) >= self.own.load(Ordering::Acquire)
    }
}

/// Why there is no next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// They are all used.
    Empty,
    /// It is not reserved yet: to be asked for again in a moment.
    NotYet,
    /// This shard has given all its segments away, and used what it kept for its last users.
    GivenAway,
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
        f.debug_struct("Division").field("parts", &self.parts.load()).finish_non_exhaustive()
    }
}

impl Division {
    /// `len` is at most `u32::MAX` (loading sees to it); of none there is nothing to draw either.
    pub(super) fn new(strategy: Strategy, len: u64, segments: &Segments, seed: u64) -> Self {
        let endless = if len == 0 { 0 } else { u64::MAX };
        let (place, all) = match strategy {
            Strategy::Queue => (Place::InOrder, len),
            Strategy::Circular => (Place::Circular { len }, endless),
            Strategy::Random => (Place::Random { len, seed }, endless),
            Strategy::Shuffle => {
                let mut order: Vec<u32> = (0..u32::try_from(len).unwrap_or(u32::MAX)).collect();
                order.shuffle(&mut SmallRng::seed_from_u64(seed));
                (Place::Shuffled(order.into()), len)
            }
        };
        let whole = Arc::new(Part::new(segments, all, 0, u64::MAX));
        let parts = ArcSwap::from_pointee(vec![whole]);
        Self { parts, all, wanted: AtomicU64::new(0), place }
    }

    /// The numbers 0, 1, 2 … without end.
    pub(crate) fn numbers(segments: &Segments) -> Self {
        Self::new(Strategy::Queue, u64::MAX, segments, 0)
    }

    /// The places of the next `count` own records, all or none of them.
    pub(crate) fn take(&self, count: u64) -> Result<impl Iterator<Item = u64>, Refused> {
        let parts = self.parts.load();
        let mut refused = Refused::Empty;
        for part in parts.iter() {
            match part.take(count) {
                Ok(first) => {
                    let part = Arc::clone(part);
                    let own = first..first + count;
                    return Ok(own.filter_map(move |j| self.place(part.segments.nth(j)?)));
                }
                Err(Refused::Empty) => {}
                Err(other) => {
                    self.want(part, count);
                    refused = other;
                    break;
                }
            }
        }
        let given = parts.last().is_some_and(|last| last.segments.owned().is_empty());
        Err(if refused == Refused::Empty && given && parts.len() > 1 {
            Refused::GivenAway
        } else {
            refused
        })
    }

    #[cold]
    fn want(&self, part: &Part, count: u64) {
        let next = part.taken.load(Ordering::Acquire).saturating_add(count);
        self.wanted.fetch_max(part.segments.nth(next).unwrap_or(part.from), Ordering::AcqRel);
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

    /// The number, in the whole job, of the next record.
    pub(crate) fn position(&self) -> u64 {
        let parts = self.parts.load();
        let next = parts.iter().find(|part| !part.is_used_up()).or_else(|| parts.last());
        next.map_or(0, |part| part.position())
    }

    /// The number behind the most that was asked for in vain.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Acquire)
    }

    /// Begins with the first own record whose number is not below this one; before anything is
    /// taken.
    pub(crate) fn set_position(&self, number: u64) {
        for part in self.parts.load().iter() {
            part.taken.store(part.segments.closed_share(number), Ordering::Release);
        }
    }

    /// Records with lower numbers may be handed out from now on. What was granted once stays so.
    pub(crate) fn grant(&self, number: u64) {
        for part in self.parts.load().iter() {
            part.granted.store(part.segments.closed_share(number), Ordering::Release);
        }
    }

    /// From `number` on, which is not granted yet, only the records of these segments are its own.
    pub(crate) fn keep(&self, segments: &Segments, number: u64) {
        let mut parts = Vec::clone(&self.parts.load());
        if let Some(last) = parts.last() {
            last.own.fetch_min(last.segments.closed_share(number), Ordering::AcqRel);
        }
        parts.push(Arc::new(Part::new(segments, self.all, number, 0)));
        self.parts.store(Arc::new(parts));
    }
}

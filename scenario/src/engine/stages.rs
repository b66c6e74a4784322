//! When populations that follow on others (`andThen`) begin on a shard that takes over. Pure.
//!
//! A population begins when all users of those before it have ended, which only the shard knows that
//! ran them. Its frames say so; of what a lost shard did after its last frame, nothing is known. No
//! arrival may be started twice: where a population may have begun, it counts as begun at the
//! earliest moment at which it can have, and what was planned until the take-over is missed.

use crate::time::{MICROS_PER_SECOND, Micros};

/// A population, as far as its begin depends on it.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Those that it follows on, which come before it.
    pub after: Vec<u32>,
    pub duration_us: Micros,
}

/// What is known of those that follow on others.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Of each of them, in order: since when it runs, if it did.
    pub began_us: &'a [Option<Micros>],
    /// They were so until then.
    pub until_us: Micros,
}

/// For each population, when it began or has to count as begun before `at`, in microseconds since
/// the common start; none for those that wait for those before them on the shard that takes over, too.
#[must_use]
pub fn begun(populations: &[Staged], known: Known<'_>, at: Micros) -> Vec<Option<Micros>> {
    let mut starts: Vec<Option<Micros>> = Vec::with_capacity(populations.len());
    let mut of_followers = known.began_us.iter();
    for Staged { after, .. } in populations {
        let start = if after.is_empty() {
            Some(0)
        } else if let Some(Some(start)) = of_followers.next() {
            Some(*start)
        } else {
            let end = |&before: &u32| {
                let start = starts.get(before as usize).copied().flatten()?;
                Some(start.saturating_add(populations[before as usize].duration_us))
            };
            // None where one of them has not begun itself.
            let ends = after.iter().map(end).try_fold(0, |last: Micros, end| Some(last.max(end?)));
            ends.map(|end| next_tick(end).max(known.until_us)).filter(|earliest| *earliest < at)
        };
        starts.push(start);
    }
    starts
}

/// A population begins with the whole second after those before it have ended.
#[must_use]
pub fn next_tick(now: Micros) -> Micros {
    (now / MICROS_PER_SECOND).saturating_add(1).saturating_mul(MICROS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Micros = MICROS_PER_SECOND;

    /// Ten seconds, then two that follow on it for five, then one on both of these.
    fn populations() -> Vec<Staged> {
        let of =
            |after: &[u32], seconds| Staged { after: after.to_vec(), duration_us: seconds * S };
        vec![of(&[], 10), of(&[0], 5), of(&[0], 5), of(&[1, 2], 3)]
    }

    fn starts(began_us: &[Option<Micros>], until_us: Micros, at: Micros) -> Vec<Option<u64>> {
        let seconds = |start: Option<Micros>| start.map(|us| us / S);
        let starts = begun(&populations(), Known { began_us, until_us }, at);
        starts.into_iter().map(seconds).collect()
    }

    #[test]
    fn what_is_known_to_have_begun_goes_on() {
        let got = starts(&[Some(12 * S), Some(12 * S), None], 13 * S, 14 * S);
        assert_eq!(got, [Some(0), Some(12), Some(12), None]);
    }

    #[test]
    fn what_cannot_have_begun_waits_for_those_before_it() {
        // Arrivals of the first one are still to come.
        assert_eq!(starts(&[None; 3], 8 * S, 9 * S), [Some(0), None, None, None]);
        // It was known to run still when the segments changed hands.
        assert_eq!(starts(&[None; 3], 20 * S, 20 * S), [Some(0), None, None, None]);
    }

    #[test]
    fn what_may_have_begun_unseen_has_begun_at_the_earliest_moment() {
        assert_eq!(starts(&[None; 3], 15 * S, 20 * S), [Some(0), Some(15), Some(15), None]);
        // Nothing was ever heard: the first one's profile ends at 10 s.
        assert_eq!(starts(&[], 0, 14 * S), [Some(0), Some(11), Some(11), None]);
        assert_eq!(starts(&[], 0, 30 * S), [Some(0), Some(11), Some(11), Some(17)]);
        assert_eq!(
            starts(&[Some(12 * S), None, None], 15 * S, 22 * S),
            [Some(0), Some(12), Some(15), Some(21)]
        );
    }
}

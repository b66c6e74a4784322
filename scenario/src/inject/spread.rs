//! Gatling's `Shard`: T users over B buckets. The cumulative count after bucket b is
//! `ceil(T/B * (b+1))`, T after the last: the first bucket is never empty. In doubles, as there, so
//! that the same bucket gets the same count.

use crate::time::{MICROS_PER_MILLI, MICROS_PER_SECOND, Micros};

const MILLIS_PER_SECOND: u64 = 1_000;

/// The count of each bucket.
#[expect(clippy::cast_precision_loss, reason = "counts are below USERS_MAX, well below 2^53")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to total")]
pub(super) fn counts(total: u64, buckets: u64) -> impl Iterator<Item = u64> + Send {
    let each = total as f64 / buckets as f64;
    let mut done = 0;
    (1..=buckets).map(move |bucket| {
        let cumulative = if bucket == buckets {
            total
        } else {
            ((each * bucket as f64).ceil() as u64).clamp(done, total)
        };
        let count = cumulative - done;
        done = cumulative;
        count
    })
}

/// Offsets of `users` over `millis` one-millisecond buckets. Who shares a millisecond is spread
/// inside it: to the millisecond these are Gatling's offsets, and 5,000 users a second are not
/// 1,000 clumps of five.
pub(super) fn over_millis(users: u64, millis: u64) -> impl Iterator<Item = Micros> + Send {
    counts(users, millis)
        .zip(0_u64..)
        .flat_map(|(count, ms)| (0..count).map(move |k| ms * MICROS_PER_MILLI + inside(k, count)))
}

/// The k-th of `count` offsets inside a millisecond; k < count, and counts are below `USERS_MAX`,
/// so the product fits.
fn inside(k: u64, count: u64) -> Micros {
    k * MICROS_PER_MILLI / count
}

/// Offsets of the users of each second (given as counts by second, from the `first` on), spread
/// inside it.
pub(super) fn by_second(
    seconds: impl Iterator<Item = u64> + Send,
    first: u64,
) -> impl Iterator<Item = Micros> + Send {
    seconds.zip(first..).filter(|&(users, _)| users > 0).flat_map(|(users, second)| {
        over_millis(users, MILLIS_PER_SECOND).map(move |at| second * MICROS_PER_SECOND + at)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_bucket_is_never_empty() {
        for (total, buckets, expected) in [
            (10, 3, vec![4, 3, 3]),
            (3, 5, vec![1, 1, 0, 1, 0]),
            (1, 4, vec![1, 0, 0, 0]),
            (0, 3, vec![0, 0, 0]),
            (7, 1, vec![7]),
        ] {
            assert_eq!(counts(total, buckets).collect::<Vec<_>>(), expected, "{total}/{buckets}");
        }
    }

    #[test]
    fn users_of_a_second_are_spread_over_its_milliseconds() {
        // ceil(3/1000 * b) reaches 2 at b = 334 and 3 at b = 667: buckets 333 and 666.
        let at: Vec<_> = by_second([3, 0, 1].into_iter(), 0).collect();
        assert_eq!(at, [0, 333_000, 666_000, 2_000_000]);
    }

    #[test]
    fn users_of_a_millisecond_are_spread_inside_it() {
        let at: Vec<_> = by_second([5_000].into_iter(), 0).collect();
        assert_eq!(at, (0..5_000).map(|k| k * 200).collect::<Vec<_>>());
        // 7 in 3 ms are 3, 2 and 2.
        let at: Vec<_> = over_millis(7, 3).collect();
        assert_eq!(at, [0, 333, 666, 1_000, 1_500, 2_000, 2_500]);
    }

    proptest! {
        /// To the millisecond the offsets are those of Gatling's buckets, in order.
        #[test]
        fn the_milliseconds_are_the_buckets(users in 0_u64..20_000, millis in 1_u64..2_000) {
            let at: Vec<_> = over_millis(users, millis).collect();
            let buckets: Vec<u64> = counts(users, millis)
                .zip(0_u64..)
                .flat_map(|(count, ms)| (0..count).map(move |_| ms))
                .collect();
            prop_assert!(at.is_sorted());
            let floors: Vec<u64> = at.iter().map(|at| at / MICROS_PER_MILLI).collect();
            prop_assert_eq!(floors, buckets);
        }

        #[test]
        fn nobody_is_lost(total in 0_u64..1_000_000, buckets in 1_u64..5_000) {
            prop_assert_eq!(counts(total, buckets).sum::<u64>(), total);
        }
    }
}

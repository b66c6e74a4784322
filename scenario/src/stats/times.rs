//! Arithmetic on [`Times`]: sparse histograms of microseconds with exact moments.
//! Merging is exact, commutative and associative; percentiles are exact to the bucket width
//! (3 significant digits). Refuses input that is not in canonical form: see [`Times::validate`].

use super::frame::Times;
use crate::time::Micros;

/// Longer times are recorded as this: 24 h.
pub const MAX_TIME_US: Micros = 24 * 3_600 * 1_000_000;

/// Below this, every microsecond has its own bucket; above, buckets have 1,024 steps per octave.
const SUB_BUCKETS: u64 = 2_048;

/// Width of the 3-digit HDR bucket that holds `value`.
fn width(value: u64) -> u64 {
    let bits = u64::from((value | (SUB_BUCKETS - 1)).ilog2());
    1 << (bits - u64::from(SUB_BUCKETS.ilog2() - 1))
}

/// Lowest value of the 3-digit HDR bucket that holds `value`.
pub(crate) fn lowest_equivalent(value: u64) -> u64 {
    value & !(width(value) - 1)
}

/// Why decoded times are not what this code wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a histogram's buckets are not ascending, or one is empty")]
    Order,
    #[error("a histogram has a bucket that is no bucket of a 3-digit histogram up to 24 h")]
    Bucket,
    #[error("a histogram's count, sum, minimum or maximum contradicts its buckets")]
    Moments,
}

impl Times {
    /// The times of `samples`, for tests and small inputs.
    #[must_use]
    pub fn of(samples: impl IntoIterator<Item = Micros>) -> Self {
        let mut times = Self::default();
        for sample in samples {
            let us = sample.min(MAX_TIME_US);
            let one = Self {
                count: 1,
                sum_us: us,
                sum_sq_us: u128::from(us) * u128::from(us),
                min_us: us,
                max_us: us,
                buckets: vec![(lowest_equivalent(us), 1)],
            };
            times.merge(&one);
        }
        times
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Buckets as (lowest value, count), ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Micros, u64)> + '_ {
        self.buckets.iter().scan(0u64, |low, &(step, count)| {
            *low = low.saturating_add(step);
            Some((*low, count))
        })
    }

    /// Adds `other`'s samples: exact, in any order.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        self.count = self.count.saturating_add(other.count);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.sum_sq_us = self.sum_sq_us.saturating_add(other.sum_sq_us);
        self.min_us = self.min_us.min(other.min_us);
        self.max_us = self.max_us.max(other.max_us);
        let mut merged = Vec::with_capacity(self.buckets.len() + other.buckets.len());
        let mut last = 0;
        let mut push = |low: u64, count: u64| {
            merged.push((low - last, count));
            last = low;
        };
        {
            let (mut a, mut b) = (self.iter().peekable(), other.iter().peekable());
            loop {
                match (a.peek().copied(), b.peek().copied()) {
                    (Some(x), Some(y)) if x.0 == y.0 => {
                        push(x.0, x.1.saturating_add(y.1));
                        a.next();
                        b.next();
                    }
                    (Some(x), Some(y)) if x.0 < y.0 => {
                        push(x.0, x.1);
                        a.next();
                    }
                    (_, Some(y)) => {
                        push(y.0, y.1);
                        b.next();
                    }
                    (Some(x), None) => {
                        push(x.0, x.1);
                        a.next();
                    }
                    (None, None) => break,
                }
            }
        }
        self.buckets = merged;
    }

    /// Sum of two.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        sum.merge(other);
        sum
    }

    /// Mean in microseconds; 0 without samples.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub fn mean_us(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum_us as f64 / self.count as f64 }
    }

    /// Population standard deviation in microseconds; 0 without samples.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rounded once, after the exact difference")]
    pub fn std_dev_us(&self) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        // n·Σx² − (Σx)² in integers: no cancellation. 24 h in µs squared, times 2^53, fits in u128.
        let (n, sum) = (u128::from(self.count), u128::from(self.sum_us));
        let spread = n.saturating_mul(self.sum_sq_us).saturating_sub(sum.saturating_mul(sum));
        (spread as f64).sqrt() / self.count as f64
    }

    /// The sample of this rank (0: the smallest), to the bucket: its middle, within min and max.
    fn at_rank(&self, rank: u64) -> Micros {
        let mut seen = 0u64;
        for (low, count) in self.iter() {
            seen = seen.saturating_add(count);
            if seen > rank {
                return (low + width(low) / 2).clamp(self.min_us, self.max_us);
            }
        }
        self.max_us
    }

    /// The percentile (0 to 100; values outside are brought inside) in microseconds, as Gatling
    /// does it: linear between neighbouring samples, each standing at (rank + 0.5) / count.
    /// 0 without samples.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks below 2^53, positions clamped to 0..count"
    )]
    pub fn percentile_us(&self, percent: f64) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let last = self.count - 1;
        let position = percent.clamp(0.0, 100.0) / 100.0 * self.count as f64 - 0.5;
        if position.is_nan() || position <= 0.0 {
            return self.min_us as f64;
        }
        if position >= last as f64 {
            return self.max_us as f64;
        }
        let rank = position.floor();
        let (low, high) = (self.at_rank(rank as u64), self.at_rank(rank as u64 + 1));
        low as f64 + (position - rank) * (high as f64 - low as f64)
    }

    /// How many samples are below `bound`; those of a bucket that reaches it are not.
    #[must_use]
    pub fn count_below(&self, bound: Micros) -> u64 {
        self.iter()
            .filter(|(low, _)| (low + width(*low) - 1).clamp(self.min_us, self.max_us) < bound)
            .map(|(_, count)| count)
            .sum()
    }

    /// Refuses what [`Times::merge`] and the recorder can never produce.
    pub fn validate(&self) -> Result<(), Error> {
        if self.buckets.is_empty() {
            return if *self == Self::default() { Ok(()) } else { Err(Error::Moments) };
        }
        let (mut low, mut total) = (0u64, 0u64);
        for (i, &(step, count)) in self.buckets.iter().enumerate() {
            if count == 0 || (step == 0 && i > 0) {
                return Err(Error::Order);
            }
            low = low.checked_add(step).ok_or(Error::Bucket)?;
            if low > MAX_TIME_US || lowest_equivalent(low) != low {
                return Err(Error::Bucket);
            }
            total = total.checked_add(count).ok_or(Error::Moments)?;
        }
        let first = self.buckets[0].0;
        let (n, sum) = (u128::from(self.count), u128::from(self.sum_us));
        let sound = total == self.count
            && lowest_equivalent(self.min_us) == first
            && lowest_equivalent(self.max_us) == low
            && self.max_us <= MAX_TIME_US
            && sum >= n * u128::from(self.min_us)
            && sum <= n * u128::from(self.max_us)
            && self.sum_sq_us <= sum * u128::from(self.max_us);
        if sound { Ok(()) } else { Err(Error::Moments) }
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_are_those_of_the_hdr_crate() {
        let mut hdr = Histogram::<u64>::new_with_bounds(1, MAX_TIME_US, 3).unwrap();
        hdr.auto(false);
        for v in [0, 1, 2_047, 2_048, 2_049, 4_095, 4_096, 20_007, 1_000_001, MAX_TIME_US] {
            assert_eq!(lowest_equivalent(v), hdr.lowest_equivalent(v), "{v}");
            assert_eq!(width(v), hdr.equivalent_range(v), "{v}");
        }
    }

    #[test]
    fn percentiles_are_gatlings() {
        // Measured with Gatling 3.16.0: p25 23, p75 175, p95 500.
        let times = Times::of([10, 20, 30, 40, 100, 200, 500].map(|ms| ms * 1_000));
        let ms = |p| (times.percentile_us(p) / 1_000.0).round();
        assert_eq!(
            [ms(0.0), ms(25.0), ms(50.0), ms(75.0), ms(95.0), ms(100.0)],
            [10.0, 23.0, 40.0, 175.0, 500.0, 500.0]
        );
        assert_eq!(ms(f64::NAN), 10.0);
    }

    #[test]
    fn moments_are_exact() {
        let times = Times::of([2_000, 4_000, 4_000, 4_000, 5_000, 5_000, 7_000, 9_000]);
        assert_eq!(
            (times.count, times.sum_us, times.min_us, times.max_us),
            (8, 40_000, 2_000, 9_000)
        );
        assert_eq!(times.mean_us(), 5_000.0);
        assert_eq!(times.std_dev_us(), 2_000.0);
        assert_eq!(times.count_below(4_500), 4);
    }

    #[test]
    fn times_that_lie_are_refused() {
        let good = Times::of([100, 5_000, 5_000]);
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(Times::default().validate(), Ok(()));
        type Lie = fn(&mut Times);
        let lies: [(Lie, Error); 8] = [
            (|t| t.count = 4, Error::Moments),
            (|t| t.sum_us = 1, Error::Moments),
            (|t| t.sum_us = u64::MAX, Error::Moments),
            (|t| t.min_us = 99, Error::Moments),
            (|t| t.buckets[1].0 += 1, Error::Bucket),
            (|t| t.buckets[1].0 = u64::MAX, Error::Bucket),
            (|t| t.buckets[0].1 = 0, Error::Order),
            (|t| t.buckets.clear(), Error::Moments),
        ];
        for (i, (lie, error)) in lies.into_iter().enumerate() {
            let mut times = good.clone();
            lie(&mut times);
            assert_eq!(times.validate(), Err(error), "lie {i}");
        }
    }

    proptest! {
        #[test]
        fn merge_is_exact_in_any_order(
            a in prop::collection::vec(0u64..100_000_000, 0..60),
            b in prop::collection::vec(0u64..100_000, 0..60),
            c in prop::collection::vec(0u64..3_000, 0..60),
        ) {
            let all = Times::of(a.iter().chain(&b).chain(&c).copied());
            let (a, b, c) = (Times::of(a), Times::of(b), Times::of(c));
            prop_assert_eq!(&a.merged(&b).merged(&c), &all);
            prop_assert_eq!(&c.merged(&a.merged(&b)), &all);
            prop_assert_eq!(all.validate(), Ok(()));
        }

        #[test]
        fn percentiles_stay_within_half_a_thousandth(
            mut samples in prop::collection::vec(1u64..1_000_000_000, 1..200),
            percent in 0.0f64..100.0,
        ) {
            let times = Times::of(samples.iter().copied());
            samples.sort_unstable();
            let n = samples.len();
            let x = (percent / 100.0 * n as f64 - 0.5).clamp(0.0, (n - 1) as f64);
            let (i, part) = (x.floor() as usize, x.fract());
            let next = samples[(i + 1).min(n - 1)] as f64;
            let exact = samples[i] as f64 + part * (next - samples[i] as f64);
            prop_assert!((times.percentile_us(percent) - exact).abs() <= next / 2_000.0 + 1.0);
        }
    }
}

//! `.randomized()`: *not* a random count but exactly `floor((a+b)/2 * D)` users, at sorted uniforms
//! mapped through the inverse of the profile's distribution (constant: `u*D`; ramp:
//! `D/(b-a) * (sqrt((1-u)a² + u b²) - a)`), to the microsecond.
//!
//! The uniforms come already sorted, one by one, so a million arrivals need no memory; they are
//! drawn from the job's seed, so every shard draws the same.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::constant_rate::users;
use super::open::StepPlan;
use crate::time::{MICROS_PER_SECOND, Micros};

pub(super) fn plan(from: f64, to: f64, seconds: f64, duration_us: Micros) -> StepPlan {
    let count = users((from + to) / 2.0 * seconds);
    StepPlan::seeded(count, duration_us, move |seed| {
        let uniforms =
            SortedUniforms { rng: SmallRng::seed_from_u64(seed), last: 0.0, left: count };
        Box::new(uniforms.map(move |u| micros(position(from, to, u) * seconds).min(duration_us)))
    })
}

/// Where in the profile, 0 to 1, a share `u` of the users has started.
#[expect(clippy::float_cmp, reason = "a constant rate is given as the same number twice")]
fn position(from: f64, to: f64, u: f64) -> f64 {
    if from == to {
        return u;
    }
    let squares = (1.0 - u) * from * from + u * to * to;
    ((squares.sqrt() - from) / (to - from)).clamp(0.0, 1.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
#[expect(clippy::cast_precision_loss, reason = "1e6 is exact")]
fn micros(seconds: f64) -> Micros {
    (seconds * MICROS_PER_SECOND as f64) as Micros
}

/// The order statistics of `left` uniforms, ascending: of n that remain above `last`, the smallest
/// is distributed like `1 - (1 - last) * v^(1/n)`.
struct SortedUniforms {
    rng: SmallRng,
    last: f64,
    left: u64,
}

impl Iterator for SortedUniforms {
    type Item = f64;

    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    fn next(&mut self) -> Option<f64> {
        let remaining = self.left;
        self.left = remaining.checked_sub(1)?;
        let v: f64 = self.rng.random();
        let next = 1.0 - (1.0 - self.last) * v.powf(1.0 / remaining as f64);
        self.last = next.clamp(self.last, 1.0);
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_nominal_number_in_order_and_by_the_seed() {
        let plan = plan(2.0, 8.0, 60.0, 60_000_000);
        assert_eq!(plan.users, 300);
        let first: Vec<_> = plan.starts(1).collect();
        assert_eq!(first.len(), 300);
        assert!(first.is_sorted() && *first.last().unwrap() <= 60_000_000);
        assert_eq!(first, plan.starts(1).collect::<Vec<_>>());
        assert_ne!(first, plan.starts(2).collect::<Vec<_>>());
    }

    #[test]
    fn a_ramp_is_denser_at_its_fast_end() {
        // From 0 to r, three quarters of the users start in the second half.
        let plan = plan(0.0, 100.0, 100.0, 100_000_000);
        let late = plan.starts(3).filter(|&at| at >= 50_000_000).count();
        assert!((3600..3900).contains(&late), "{late}");
        let mean = self::plan(9.0, 9.0, 1000.0, 1_000_000_000).starts(4).sum::<u64>() / 9000;
        assert!((490_000_000..510_000_000).contains(&mean), "{mean}");
    }
}

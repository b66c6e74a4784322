//! `rampUsersPerSec(a).to(b).during(D)`: second s wants `(b-a)/(2D) * (2s+1) + a` users plus the
//! fraction carried from before; the integer part (after rounding to 10 decimals, half up) starts
//! in it, the last fraction is dropped. In decimal arithmetic: sums of fractions must not drift.

use super::open::StepPlan;
use super::{constant_rate, randomized, spread};
use crate::time::{MICROS_PER_MILLI, MICROS_PER_SECOND, Micros};

/// Rates count to this many decimals, as Gatling's rounding does.
const DECIMALS: i128 = 10_000_000_000;

pub(super) fn plan(from: f64, to: f64, duration_us: Micros, random: bool) -> StepPlan {
    let seconds = constant_rate::seconds(duration_us);
    if random {
        return randomized::plan(from, to, seconds, duration_us);
    }
    let whole = duration_us / MICROS_PER_SECOND;
    if whole == 0 {
        // Gatling starts nobody; too short for a slope to be seen.
        let users = constant_rate::users((from + to) / 2.0 * seconds);
        let millis = (duration_us / MICROS_PER_MILLI).max(1);
        return StepPlan::new(users, duration_us, move || {
            Box::new(spread::over_millis(users, millis))
        });
    }
    let ramp = Ramp { from: decimal(from), to: decimal(to), seconds: whole };
    StepPlan::by_second(ramp.started_by(whole), duration_us, move || {
        (0..whole).map(move |s| ramp.started_by(s + 1) - ramp.started_by(s))
    })
}

#[derive(Clone, Copy, Debug)]
struct Ramp {
    /// In units of 1 / [`DECIMALS`].
    from: i128,
    to: i128,
    /// At least 1.
    seconds: u64,
}

#[expect(clippy::cast_possible_truncation, reason = "rates are bounded by validation")]
#[expect(clippy::cast_precision_loss, reason = "1e10 is exact")]
fn decimal(rate: f64) -> i128 {
    // By way of the shortest decimal text, as `BigDecimal(rate)` reads it.
    let text = format!("{rate:.10}");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or((rate * DECIMALS as f64) as i128)
}

impl Ramp {
    /// Users started in the first `seconds` seconds: the integer part of the sum of what each of
    /// them wants, `a*n + (b-a)*n²/(2D)`. Non-decreasing.
    fn started_by(&self, seconds: u64) -> u64 {
        let (n, d) = (i128::from(seconds), i128::from(self.seconds));
        let numerator = self.from * 2 * d * n + (self.to - self.from) * n * n;
        let denominator = 2 * d * DECIMALS;
        let (mut whole, rest) = (numerator / denominator, numerator % denominator);
        // Half up at the tenth decimal: a rest of 1 - 0.5e-10 or more is a whole one.
        if (denominator - rest) * 2 * DECIMALS <= denominator {
            whole += 1;
        }
        u64::try_from(whole).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(from: f64, to: f64, seconds: u64) -> Vec<u64> {
        let ramp = Ramp { from: decimal(from), to: decimal(to), seconds };
        (0..seconds).map(|s| ramp.started_by(s + 1) - ramp.started_by(s)).collect()
    }

    #[test]
    fn fractions_are_carried_and_the_last_is_dropped() {
        // Wants 1.5, 2.5, 3.5, 4.5: 1, then 3 (2.5 + 0.5), 3, 5.
        assert_eq!(counts(1.0, 5.0, 4), [1, 3, 3, 5]);
        // Wants 0.5, 1.5, 2.5: 4.5 in all.
        assert_eq!(counts(0.0, 3.0, 3), [0, 2, 2]);
        assert_eq!(counts(5.0, 1.0, 4), [4, 4, 2, 2]);
        assert_eq!(counts(2.0, 2.0, 3), [2, 2, 2]);
        assert_eq!(counts(0.1, 0.1, 10), [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        // Thirds: 1/3 a second, exact although 1/3 has no decimal form.
        assert_eq!(counts(0.0, 2.0, 3), [0, 1, 2]);
    }

    #[test]
    fn the_total_is_the_area_rounded_down() {
        assert_eq!(plan(0.0, 10.0, 60_000_000, false).users, 300);
        assert_eq!(plan(1.0, 2.0, 5_000_000, false).users, 7);
        assert_eq!(plan(10.0, 20.0, 500_000, false).users, 7);
    }
}

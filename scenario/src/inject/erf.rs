//! The inverse error function, for `stressPeakUsers`.

use std::f64::consts::PI;

/// Of `x` in (-1, 1), cut at ± (1 - 1e-12): more users than that lets apart are refused.
pub(super) fn inverse(x: f64) -> f64 {
    let magnitude = x.abs().min(1.0 - 1e-12);
    if magnitude == 0.0 {
        return 0.0;
    }
    // Winitzki's approximation, good to 2e-3, then Newton: each step doubles the digits.
    let a = 8.0 * (PI - 3.0) / (3.0 * PI * (4.0 - PI));
    let log = (-magnitude * magnitude).ln_1p();
    let half = 2.0 / (PI * a) + log / 2.0;
    let mut guess = ((half * half - log / a).sqrt() - half).sqrt();
    for _ in 0..4 {
        let slope = 2.0 / PI.sqrt() * (-guess * guess).exp();
        guess -= (erf(guess) - magnitude) / slope;
    }
    guess.copysign(x)
}

/// Kummer's series: all terms positive, so nothing cancels. For `x` from 0 to 6.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    let mut n = 1.0;
    // Terms fall once n > x²; 200 are far more than x = 6 needs.
    while n < 200.0 && term > sum * 1e-17 {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    (2.0 / PI.sqrt() * (-x * x).exp() * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        for (x, expected) in [
            (0.5, 0.476_936_276_204_469_9),
            (-0.5, -0.476_936_276_204_469_9),
            (0.9, 1.163_087_153_676_674),
            (0.999, 2.326_753_765_513_525),
            (0.999_999, 3.458_910_737_279_5),
            (0.0, 0.0),
        ] {
            assert!((inverse(x) - expected).abs() < 1e-9, "{x}: {}", inverse(x));
        }
        assert!(inverse(1.0).is_finite());
        assert!(inverse(-1.0).is_finite());
    }
}

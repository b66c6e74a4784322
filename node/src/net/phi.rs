//! Phi-accrual failure suspicion over a node's answers to pings. A hint and a display: it refuses to
//! decide anything. Pure: time comes in as milliseconds of a monotonic clock.
//!
//! Hayashibara et al. 2004, with the logistic approximation of the normal tail that Akka uses.

use std::collections::VecDeque;

/// Intervals remembered.
const WINDOW: usize = 200;
/// No network is steadier than this, whatever the window says.
const SIGMA_MIN_MS: f64 = 300.0;
/// A pause (garbage, scheduling) that is not yet suspicious.
const ACCEPTABLE_PAUSE_MS: f64 = 3_000.0;
/// Assumed interval before two arrivals were seen: that of the pings.
const FIRST_INTERVAL_MS: f64 = 4_000.0;
/// Reported at most; beyond it the figure says nothing more.
pub(super) const PHI_MAX: f64 = 99.0;
/// At or above it a node is shown as suspect.
pub const SUSPECT: f64 = 8.0;

/// One node's detector.
#[derive(Clone, Debug, Default)]
pub(super) struct Phi {
    last_ms: Option<u64>,
    intervals: VecDeque<f64>,
}

impl Phi {
    /// An answer arrived.
    pub(super) fn heartbeat(&mut self, now_ms: u64) {
        if let Some(last) = self.last_ms {
            if self.intervals.len() == WINDOW {
                self.intervals.pop_front();
            }
            self.intervals.push_back(to_f64(now_ms.saturating_sub(last)));
        }
        self.last_ms = Some(now_ms);
    }

    /// The connection was lost or made anew: silence before it says nothing about the time after.
    pub(super) fn reset(&mut self, now_ms: u64) {
        self.intervals.clear();
        self.last_ms = Some(now_ms);
    }

    /// −log10 of the chance that so long a silence is harmless; 0 before the first arrival.
    pub(super) fn phi(&self, now_ms: u64) -> f64 {
        let Some(last) = self.last_ms else { return 0.0 };
        let silence = to_f64(now_ms.saturating_sub(last));
        let (mean, sigma) = self.distribution();
        let y = (silence - mean - ACCEPTABLE_PAUSE_MS) / sigma;
        let e = (-y * (1.5976 + 0.070_566 * y * y)).exp();
        let tail = if y > 0.0 { e / (1.0 + e) } else { 1.0 - 1.0 / (1.0 + e) };
        (-tail.log10()).clamp(0.0, PHI_MAX)
    }

    fn distribution(&self) -> (f64, f64) {
        if self.intervals.is_empty() {
            return (FIRST_INTERVAL_MS, FIRST_INTERVAL_MS / 4.0);
        }
        let count = to_f64(self.intervals.len() as u64);
        let mean = self.intervals.iter().sum::<f64>() / count;
        let variance =
            self.intervals.iter().map(|each| (each - mean) * (each - mean)).sum::<f64>() / count;
        (mean, variance.sqrt().max(SIGMA_MIN_MS))
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of uptime fit a double exactly")]
fn to_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady() -> Phi {
        let mut phi = Phi::default();
        for beat in 0..50 {
            phi.heartbeat(beat * 2_000);
        }
        phi
    }

    #[test]
    fn silence_of_one_period_is_nothing_and_of_seven_seconds_is_suspect() {
        let phi = steady();
        let last = 49 * 2_000;
        assert!(phi.phi(last + 2_000) < 0.01);
        assert!(phi.phi(last + 4_900) < 1.0);
        assert!(phi.phi(last + 7_000) > SUSPECT);
        assert!(phi.phi(last + 60_000) >= PHI_MAX);
    }

    #[test]
    fn it_only_grows_with_silence() {
        let phi = steady();
        let values: Vec<f64> = (0..200).map(|step| phi.phi(98_000 + step * 100)).collect();
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn unknown_nodes_are_not_suspect_and_a_reset_forgives() {
        assert!(Phi::default().phi(1_000_000) < f64::EPSILON);
        let mut phi = steady();
        phi.reset(500_000);
        assert!(phi.phi(500_500) < 0.01);
    }
}

//! How far the master's clocks are ahead of this node's: Cristian's algorithm over the exchanges of
//! the session, the one with the shortest round trip counting. Pure.

use std::collections::VecDeque;

/// Exchanges remembered; at four a second, how soon a stepped wall clock is noticed.
pub const SAMPLES_MAX: usize = 16;

/// One exchange; microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// This node's monotonic clock when it asked and when it had the answer.
    pub sent: u64,
    pub received: u64,
    /// This node's wall clock when it had the answer.
    pub local_unix: u64,
    /// The master's clocks when it answered.
    pub remote_mono: u64,
    pub remote_unix: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    round_trip: u64,
    mono: i128,
    unix: i128,
}

/// Master minus here, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    pub mono: i128,
    pub unix: i128,
    /// The estimate is at most half of it wrong.
    pub round_trip: u64,
}

#[derive(Debug, Default)]
pub struct Estimator {
    samples: VecDeque<Sample>,
}

impl Estimator {
    pub fn add(&mut self, exchange: Exchange) {
        let round_trip = exchange.received.saturating_sub(exchange.sent);
        let half = i128::from(round_trip / 2);
        let sample = Sample {
            round_trip,
            mono: i128::from(exchange.remote_mono) - (i128::from(exchange.received) - half),
            unix: i128::from(exchange.remote_unix) - (i128::from(exchange.local_unix) - half),
        };
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// None before the first exchange.
    #[must_use]
    pub fn best(&self) -> Option<Offset> {
        let best = self.samples.iter().min_by_key(|sample| sample.round_trip)?;
        Some(Offset { mono: best.mono, unix: best.unix, round_trip: best.round_trip })
    }
}

impl Offset {
    /// A moment of the master's monotonic clock, by this node's; negative before its origin.
    #[must_use]
    pub fn to_local(self, remote: i64) -> i64 {
        i64::try_from(i128::from(remote) - self.mono).unwrap_or(0)
    }

    /// A moment of this node's monotonic clock, by the master's.
    #[must_use]
    pub fn to_remote(self, local: i64) -> i64 {
        i64::try_from(i128::from(local) + self.mono).unwrap_or(0)
    }

    /// How far this node's wall clock is ahead of the master's, milliseconds: whole tenths of a
    /// second, so that a record is not published anew for each exchange.
    #[must_use]
    pub fn skew_ms(&self) -> i64 {
        let tenths = (self.unix.abs() + 50_000) / 100_000 * -self.unix.signum();
        i64::try_from(tenths * 100).unwrap_or(i64::MAX)
    }
}

/// Wall clocks that differ by more are warned of.
pub const SKEW_WARN_MS: u64 = 500;

/// Says when a skew is worth a word: once when it comes, again when it moves, once when it goes.
#[derive(Debug, Default)]
pub struct SkewWatch {
    told_ms: Option<i64>,
}

impl SkewWatch {
    /// True: warn; false: it has gone.
    pub fn look(&mut self, skew_ms: i64) -> Option<bool> {
        let large = |ms: i64| ms.unsigned_abs() > SKEW_WARN_MS;
        match self.told_ms {
            None if !large(skew_ms) => None,
            Some(_) if !large(skew_ms) => {
                self.told_ms = None;
                Some(false)
            }
            Some(told) if !large(skew_ms.saturating_sub(told)) => None,
            _ => {
                self.told_ms = Some(skew_ms);
                Some(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_counts() {
        let mut estimator = Estimator::default();
        assert_eq!(estimator.best(), None);
        // The master is 1 000 ahead in monotonic and 50 behind in wall time. A slow answer lies.
        estimator.add(Exchange {
            sent: 0,
            received: 900,
            local_unix: 10_900,
            remote_mono: 1_100,
            remote_unix: 10_050,
        });
        estimator.add(Exchange {
            sent: 2_000,
            received: 2_200,
            local_unix: 12_200,
            remote_mono: 3_100,
            remote_unix: 12_050,
        });
        let best = estimator.best().unwrap();
        assert_eq!(best, Offset { mono: 1_000, unix: -50, round_trip: 200 });
        assert_eq!((best.to_local(12_050), best.to_remote(11_050)), (11_050, 12_050));
        // Before this node was started.
        assert_eq!(best.to_local(5), -995);
        assert_eq!(
            (best.skew_ms(), Offset { unix: 3_600_000_000, ..best }.skew_ms()),
            (0, -3_600_000)
        );
    }

    #[test]
    fn a_skew_is_told_of_when_it_comes_moves_and_goes() {
        let mut watch = SkewWatch::default();
        let told = [0, 500, 600, 900, -700, -700, 3_600_000, 400, 0].map(|ms| watch.look(ms));
        let (warn, gone) = (Some(true), Some(false));
        assert_eq!(told, [None, None, warn, None, warn, None, warn, gone, None]);
        let skew = |unix| Offset { unix, ..Offset::default() }.skew_ms();
        assert_eq!([40_000, 60_000, -540_000].map(skew), [0, -100, 500]);
    }

    #[test]
    fn old_exchanges_are_forgotten() {
        let mut estimator = Estimator::default();
        for at in 0..=SAMPLES_MAX as u64 {
            let (sent, received) = (at * 100, at * 100 + at);
            estimator.add(Exchange {
                sent,
                received,
                local_unix: received,
                remote_mono: received,
                remote_unix: received,
            });
        }
        assert_eq!(estimator.best().unwrap().round_trip, 1);
    }
}

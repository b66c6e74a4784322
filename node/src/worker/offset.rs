//! How far the master's clocks are ahead of this node's: Cristian's algorithm over the exchanges of
//! the session, the one with the shortest round trip counting. Pure.

use std::collections::VecDeque;

/// Exchanges remembered; at two a second, how soon a stepped wall clock is noticed.
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

/// A time of the master's clock, by this node's.
#[must_use]
pub fn to_local(remote: u64, offset: i128) -> u64 {
    u64::try_from(i128::from(remote) - offset).unwrap_or(0)
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
        assert_eq!(to_local(12_050, best.unix), 12_100);
        assert_eq!(to_local(5, best.mono), 0);
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

//! The spacing of throttled requests. Pure.

use crate::inject::throttle::Limits;
use crate::time::{MICROS_PER_SECOND, Micros};

/// A throttle in use: hands out the moments at which requests may leave, first come first served.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    second: u64,
    used: u64,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, second: 0, used: 0 }
    }

    /// When the next request may leave, not before `now`; none when the throttle is over. `share`
    /// gives the shard's part of a limit. Within a second the k-th allowed one leaves at
    /// k/limit of the second.
    pub(super) fn slot(&mut self, now: Micros, share: impl Fn(u64) -> u64) -> Option<Micros> {
        let present = now / MICROS_PER_SECOND;
        if present > self.second {
            (self.second, self.used) = (present, 0);
        }
        while self.second * MICROS_PER_SECOND < self.limits.duration_us() {
            let limit = share(self.limits.limit_at(self.second));
            if self.used < limit {
                let at = self.second * MICROS_PER_SECOND + self.used * MICROS_PER_SECOND / limit;
                self.used += 1;
                return Some(at.max(now));
            }
            (self.second, self.used) = (self.second + 1, 0);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::ThrottleStep;

    const S: Micros = MICROS_PER_SECOND;

    #[test]
    fn a_gate_spaces_requests_and_closes_at_the_end() {
        let steps = [ThrottleStep::Jump { rps: 2 }, ThrottleStep::Hold { duration_us: 2 * S }];
        let mut gate = Gate::new(Limits::new(&steps).unwrap());
        let slots: Vec<_> = (0..5).map(|_| gate.slot(0, |limit| limit)).collect();
        assert_eq!(slots, [Some(0), Some(S / 2), Some(S), Some(S * 3 / 2), None]);
    }
}

//! Until when this node's shards may generate load: a duration from the moment at which the master
//! sent its heartbeat, by this node's monotonic clock. Pure.

use super::offset::Offset;

/// A heartbeat as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The master's monotonic clock when it sent it.
    pub mono_us: u64,
    pub lease_ms: u64,
    /// This node's monotonic clock.
    pub arrived_us: u64,
}

#[derive(Debug, Default)]
pub struct Lease {
    until_us: u64,
    /// The session's newest heartbeat, until it has renewed the lease.
    newest: Option<Heartbeat>,
}

impl Lease {
    /// Heartbeats of an earlier session, by another master's clock perhaps, count no more.
    pub fn new_session(&mut self) {
        self.newest = None;
    }

    pub fn heard(&mut self, heartbeat: Heartbeat) {
        self.newest = Some(heartbeat);
    }

    /// Counts the newest heartbeat, once the clocks have been compared: one that waited in a buffer,
    /// of the network or of a node that was stopped, is as old as it is. Whether there was one.
    pub fn renew(&mut self, offset: &Offset) -> bool {
        let Some(Heartbeat { mono_us, lease_ms, arrived_us }) = self.newest.take() else {
            return false;
        };
        let sent = offset.to_local(i64::try_from(mono_us).unwrap_or(i64::MAX));
        let sent = u64::try_from(sent).unwrap_or(0).min(arrived_us);
        self.until_us = self.until_us.max(sent.saturating_add(lease_ms.saturating_mul(1_000)));
        true
    }

    /// By this node's monotonic clock.
    #[must_use]
    pub fn until_us(&self) -> u64 {
        self.until_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD: Offset = Offset { mono: 1_000_000, unix: 0, round_trip: 200 };

    fn heartbeat(mono_us: u64, arrived_us: u64) -> Heartbeat {
        Heartbeat { mono_us, lease_ms: 6_000, arrived_us }
    }

    #[test]
    fn a_lease_counts_from_when_the_heartbeat_was_sent() {
        let mut lease = Lease::default();
        lease.heard(heartbeat(11_000_000, 10_000_100));
        assert!(lease.renew(&AHEAD));
        assert_eq!(lease.until_us(), 16_000_000);
        // Each once.
        assert!(!lease.renew(&AHEAD));
        // A later one that was sent earlier takes nothing away.
        lease.heard(heartbeat(9_000_000, 10_500_000));
        assert!(lease.renew(&AHEAD));
        assert_eq!(lease.until_us(), 16_000_000);
    }

    /// Once the first heartbeat of a session counted from its arrival, before any clock was compared:
    /// a node that was stopped for a minute with it in its buffer had a lease again.
    #[test]
    fn a_first_heartbeat_that_waited_for_a_minute_renews_nothing() {
        let mut lease = Lease::default();
        lease.heard(heartbeat(11_000_000, 70_000_000));
        assert_eq!(lease.until_us(), 0);
        assert!(lease.renew(&AHEAD));
        assert_eq!(lease.until_us(), 16_000_000);
    }

    #[test]
    fn the_clock_of_an_earlier_master_counts_no_more() {
        let mut lease = Lease::default();
        lease.heard(heartbeat(90_000_000, 10_000_000));
        lease.new_session();
        assert!(!lease.renew(&AHEAD));
        assert_eq!(lease.until_us(), 0);
    }
}

//! Who fails the handshake, and when it is worth a word. Pure: failures and the time come in.
//!
//! A peer that stops while it shakes hands looks like one with another secret: only that it goes on
//! tells them apart. So it takes several failures without a success between them, or one that went
//! on for the whole of its time.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Failures in a row that are no accident.
const FAILURES: u32 = 3;
/// A failure after so long a silence begins a new row.
const ROW_MS: u64 = 60_000;
/// One address is complained of at most this often.
const AGAIN_MS: u64 = 10_000;
/// Addresses remembered.
const ADDRESSES_MAX: usize = 256;

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    failures: u32,
    last_ms: u64,
    said_ms: Option<u64>,
}

/// The failed handshakes, by address without port: strangers dial from a new one each time.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    rows: BTreeMap<IpAddr, Row>,
}

impl Strangers {
    /// A handshake failed at once, or hung until its time was over; whether that is to be said now.
    pub(super) fn failed(&mut self, address: IpAddr, hung: bool, now_ms: u64) -> bool {
        self.rows.retain(|_, row| now_ms.saturating_sub(row.last_ms) < ROW_MS);
        if self.rows.len() >= ADDRESSES_MAX && !self.rows.contains_key(&address) {
            return false;
        }
        let row = self.rows.entry(address).or_default();
        row.failures = row.failures.saturating_add(if hung { FAILURES } else { 1 });
        row.last_ms = now_ms;
        let again = row.said_ms.is_none_or(|at| now_ms.saturating_sub(at) >= AGAIN_MS);
        let say = row.failures >= FAILURES && again;
        if say {
            row.said_ms = Some(now_ms);
        }
        say
    }

    /// A handshake succeeded.
    pub(super) fn forget(&mut self, address: IpAddr) {
        self.rows.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Once a single broken handshake, of a node that was just stopped, was called a wrong secret.
    #[test]
    fn a_peer_that_goes_away_is_no_stranger() {
        let mut strangers = Strangers::default();
        assert!(!strangers.failed(PEER, false, 0));
        assert!(!strangers.failed(PEER, false, 250));
        strangers.forget(PEER);
        assert!(!strangers.failed(PEER, false, 500));
        // A minute later it is another story.
        assert!(!strangers.failed(PEER, false, 100_000));
        assert!(!strangers.failed(PEER, false, 200_000));
        assert!(!strangers.failed(PEER, false, 300_000));
    }

    #[test]
    fn one_that_goes_on_is_named_from_time_to_time() {
        let mut strangers = Strangers::default();
        let all = (0..40_000_u64).step_by(1_000);
        let at: Vec<u64> = all.filter(|now| strangers.failed(PEER, false, *now)).collect();
        assert_eq!(at, [2_000, 12_000, 22_000, 32_000]);
    }

    /// Once it took three of them, of ten seconds each, until a wrong secret was called one.
    #[test]
    fn one_that_hangs_is_named_at_once() {
        let mut strangers = Strangers::default();
        assert!(!strangers.failed(PEER, false, 0));
        assert!(strangers.failed(PEER, true, 10_000));
        assert!(!strangers.failed(PEER, true, 19_999));
        assert!(strangers.failed(PEER, true, 20_000));
    }

    #[test]
    fn many_addresses_cost_no_memory() {
        let mut strangers = Strangers::default();
        for n in 0..1_000_u32 {
            strangers.failed(IpAddr::V4(n.into()), false, 1);
        }
        assert_eq!(strangers.rows.len(), ADDRESSES_MAX);
    }
}

//! The table of peers, step by step.

use super::*;

fn peers() -> (PeerId, PeerId) {
    let (a, b) = (PeerId::random(), PeerId::random());
    if a < b { (a, b) } else { (b, a) }
}

fn table(local: PeerId) -> Table {
    Table::new(local, "onrush".to_owned(), NodeRecord::default())
}

fn connection(id: usize, dialled: Option<&str>, since_ms: u64) -> Connection {
    let dialled = dialled.map(|text| text.parse().unwrap());
    let remote = Some([10, 0, 0, 7].into());
    Connection { id: ConnectionId::new_unchecked(id), dialled, remote, since_ms }
}

fn record(seq: u64) -> NodeRecord {
    NodeRecord { incarnation: 1, seq, ..NodeRecord::default() }
}

fn said() -> Said {
    let (protocol_min, protocol_max) = (hello::PROTOCOL_MIN, hello::PROTOCOL_MAX);
    Said { protocol_min, protocol_max, cluster_name: "onrush".to_owned() }
}

#[test]
fn a_peer_is_let_in_after_connection_record_and_hello() {
    let (local, peer) = peers();
    let mut table = table(local);
    table.connected(peer, connection(1, None, 0));
    assert_eq!(table.linked().len(), 1);
    assert!(table.admitted().is_empty());
    assert_eq!(table.heard(peer, record(1), 10), Heard::First);
    assert!(table.admitted().is_empty());
    assert_eq!(table.said(peer, said(), 20), None);
    assert!(table.admitted().contains(&peer));
    assert!(table.closed(peer, ConnectionId::new_unchecked(1)));
    assert!(table.admitted().is_empty());
}

/// Once such a hello was thrown away, and nobody said it again as long as the connection lived.
#[test]
fn a_hello_that_is_heard_before_its_connection_counts_and_one_of_an_older_connection_does_not() {
    let (local, peer) = peers();
    let mut table = table(local);
    table.heard(peer, record(1), 10);
    assert_eq!(table.said(peer, said(), 10), None);
    assert!(table.admitted().is_empty(), "there is no connection");
    table.connected(peer, connection(1, None, 12));
    assert!(table.admitted().contains(&peer));
    table.closed(peer, ConnectionId::new_unchecked(1));
    table.said(peer, said(), 20);
    table.connected(peer, connection(2, None, 20 + EARLY_HELLO_MS + 1));
    assert!(table.admitted().is_empty(), "its own hello is to come");
    table.closed(peer, ConnectionId::new_unchecked(2));
    table.connected(peer, connection(3, None, 21));
    assert!(table.admitted().is_empty(), "it was good for one connection");
}

#[test]
fn old_records_change_nothing() {
    let (local, peer) = peers();
    let mut table = table(local);
    assert_eq!(table.heard(peer, record(5), 0), Heard::First);
    assert_eq!(table.heard(peer, record(5), 1), Heard::Stale);
    assert_eq!(table.heard(peer, record(4), 2), Heard::Stale);
    assert_eq!(table.heard(local, record(9), 2), Heard::Own);
    assert_eq!(table.heard(peer, record(6), 3), Heard::New);
    // It was started again, and may know of nobody.
    let again = NodeRecord { incarnation: 2, ..record(1) };
    assert_eq!(table.heard(peer, again, 4), Heard::First);
    assert_eq!(table.len(), 2);
}

/// Records come ever more rarely as nodes become many; pings do not.
#[test]
fn a_node_that_answers_pings_is_not_suspect() {
    let (local, peer) = peers();
    let mut table = table(local);
    table.connected(peer, connection(1, None, 0));
    table.heard(peer, record(1), 0);
    let phi = |table: &Table, now| table.view(now)[&PeerName(peer.to_string())].phi;
    for beat in 1..30 {
        table.ponged(peer, 100, beat * 4_000);
        assert!(phi(&table, beat * 4_000 + 4_000) < crate::net::PHI_SUSPECT, "beat {beat}");
    }
    assert!(phi(&table, 29 * 4_000 + 12_000) > crate::net::PHI_SUSPECT);
}

#[test]
fn everyone_is_judged_anew_when_this_node_changes_cluster() {
    let (local, peer) = peers();
    let mut table = table(local);
    let bound = |id: &str| NodeRecord {
        cluster: Some(id.into()),
        cluster_state: "open".to_owned(),
        ..record(1)
    };
    table.connected(peer, connection(1, None, 0));
    table.heard(peer, bound("bb"), 0);
    assert_eq!(table.said(peer, said(), 20), None);
    table.set_own(bound("aa"));
    assert!(table.admitted().is_empty());
    assert!(table.view(0)[&PeerName(peer.to_string())].refused.is_some());
    table.set_own(bound("bb"));
    assert_eq!(table.admitted().len(), 1);
}

#[test]
fn of_two_connections_the_one_that_the_smaller_dialled_stays() {
    let (small, large) = peers();
    let mut at_small = table(small);
    at_small.connected(large, connection(1, Some("127.0.0.1:1"), 0));
    at_small.connected(large, connection(2, None, 10));
    let mut at_large = table(large);
    at_large.connected(small, connection(8, None, 0));
    at_large.connected(small, connection(9, Some("127.0.0.1:2"), 10));
    assert!(at_large.surplus(400).is_empty());
    assert_eq!(at_large.surplus(510), [ConnectionId::new_unchecked(9)]);
    assert!(at_small.surplus(6_000).is_empty());
}

#[test]
fn of_two_dials_of_the_same_side_the_older_stays() {
    for (local, peer) in [peers(), (peers().1, peers().0)] {
        let mut table = table(local);
        table.connected(peer, connection(1, Some("127.0.0.1:1"), 0));
        table.connected(peer, connection(2, Some("127.0.0.1:1"), 10));
        assert_eq!(table.surplus(6_000), [ConnectionId::new_unchecked(2)]);
    }
}

#[test]
fn the_table_is_bounded() {
    let mut table = table(PeerId::random());
    for _ in 0..PEERS_MAX {
        assert_eq!(table.heard(PeerId::random(), record(1), 0), Heard::First);
    }
    assert_eq!(table.heard(PeerId::random(), record(1), 0), Heard::Full);
    table.forget(FORGET_AFTER_MS);
    assert_eq!(table.heard(PeerId::random(), record(1), 0), Heard::First);
}

/// Its shards are given to others at once, so it must be sure: only the host where it has been may
/// say so, at every address that it names, and not while a connection lives.
#[test]
fn a_peer_has_ended_when_its_host_says_that_nobody_listens_at_any_of_its_addresses() {
    let (local, peer) = peers();
    let mut table = table(local);
    let name = PeerName(peer.to_string());
    let ended = |table: &Table| table.view(0)[&name].ended;
    let (here, there) = ("10.0.0.7:1".parse().unwrap(), "10.0.0.7:2".parse().unwrap());
    let elsewhere: SocketAddr = "10.0.0.8:1".parse().unwrap();
    let named = |seq, addresses: &[SocketAddr]| NodeRecord {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        ..record(seq)
    };
    table.connected(peer, connection(1, None, 0));
    table.heard(peer, named(1, &[here, there]), 1);
    table.dialled(here, true);
    assert!(!ended(&table), "a connection lives");
    table.closed(peer, ConnectionId::new_unchecked(1));
    assert!(!ended(&table), "what was refused before does not count");
    table.dialled(here, true);
    assert!(!ended(&table), "the other address was not tried");
    table.dialled(there, true);
    assert!(ended(&table));
    table.dialled(there, false);
    assert!(!ended(&table), "something answers there");
    table.dialled(there, true);
    table.connected(peer, connection(2, None, 2));
    table.closed(peer, ConnectionId::new_unchecked(2));
    assert!(!ended(&table), "it was back meanwhile");
    table.heard(peer, named(2, &[elsewhere]), 3);
    table.dialled(elsewhere, true);
    assert!(!ended(&table), "it was never seen at that host");
}

//! Tests of `autopilot`.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use super::*;

/// A leader with voters and learners; all of them well unless said otherwise.
fn input(voters: &[RaftId], learners: &[RaftId], others: &[RaftId]) -> Input {
    let set = |ids: &[RaftId]| ids.iter().copied().collect::<BTreeSet<_>>();
    let mut nodes = BTreeMap::new();
    for &id in voters.iter().chain(learners) {
        nodes.insert(id, well());
    }
    for &id in others {
        nodes.insert(id, NodeView { ack_age_ms: None, lag: None, ..well() });
    }
    Input {
        now_ms: 0,
        me: voters[0],
        forming: false,
        membership: Membership {
            index: 9,
            voter_sets: vec![set(voters)],
            learners: set(learners),
            committed: true,
        },
        quorum_ack_ms: Some(0),
        nodes,
        settings: Settings::default(),
    }
}

fn well() -> NodeView {
    NodeView {
        connected: true,
        ack_age_ms: Some(10),
        lag: Some(0),
        blob_synced: true,
        compatible: true,
        standby: false,
        zone: String::new(),
    }
}

fn zones(input: &mut Input, zones: &[(RaftId, &str)]) {
    for (id, zone) in zones {
        (*zone).clone_into(&mut input.nodes.get_mut(id).unwrap().zone);
    }
}

fn standbys(input: &mut Input, ids: &[RaftId]) {
    for (id, node) in &mut input.nodes {
        node.standby = ids.contains(id);
    }
}

fn said(ids: &[RaftId]) -> Option<Change> {
    Some(Change::Standbys { ids: ids.iter().copied().collect() })
}

fn kill(input: &mut Input, ids: &[RaftId]) {
    for id in ids {
        let node = input.nodes.get_mut(id).unwrap();
        (node.connected, node.ack_age_ms) = (false, Some(60_000));
    }
}

/// What is decided after the situation has lasted for `ms`.
fn after(ms: u64, input: &Input) -> Option<Change> {
    let mut pilot = Autopilot::default();
    let mut input = input.clone();
    pilot.observe(&input);
    input.now_ms += ms;
    pilot.decide(&input)
}

fn voters(change: Option<Change>) -> Vec<RaftId> {
    match change {
        Some(Change::Voters { voters, .. }) => voters.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

/// It lost its log and came back under another id, which has caught up: nobody answers for the old
/// one, so there is nothing to wait for.
#[test]
fn a_voter_that_gave_its_id_up_is_replaced_at_once() {
    let mut input = input(&[1, 2, 3], &[9], &[]);
    standbys(&mut input, &[9]);
    input.nodes.remove(&2);
    assert_eq!(after(9_000, &input), None, "the new one must be stable first");
    assert_eq!(voters(after(10_000, &input)), [1, 3, 9]);
    input.nodes.remove(&3);
    assert_eq!(after(10_000, &input), None, "no majority of the present voters");
}

#[test]
fn targets() {
    let table: Vec<usize> = (0..9).map(target).collect();
    assert_eq!(table, [1, 1, 1, 3, 3, 5, 5, 5, 5]);
}

#[test]
fn a_cluster_grows_one_step_at_a_time() {
    let learners =
        |ids: &[RaftId]| Some(Change::AddLearners { ids: ids.iter().copied().collect() });
    assert_eq!(after(0, &input(&[1], &[], &[])), None);
    assert_eq!(after(0, &input(&[1], &[], &[4])), learners(&[4]));
    let mut two = input(&[1], &[4], &[]);
    assert_eq!(after(60_000, &two), said(&[4]));
    standbys(&mut two, &[4]);
    assert_eq!(after(60_000, &two), None, "two nodes: one voter");
    assert_eq!(after(0, &input(&[1], &[4], &[5, 6])), learners(&[5, 6]));
    let mut three = input(&[1], &[4, 5], &[]);
    assert_eq!(after(9_999, &three), said(&[4, 5]));
    standbys(&mut three, &[4, 5]);
    assert_eq!(after(9_999, &three), None);
    assert_eq!(voters(after(10_000, &three)), [1, 4, 5]);
    let mut forming = input(&[1], &[4, 5], &[]);
    forming.forming = true;
    assert_eq!(after(499, &forming), None, "there are no files to keep yet");
    assert_eq!(voters(after(500, &forming)), [1, 4, 5]);
    let mut four = input(&[1, 4, 5], &[6], &[]);
    standbys(&mut four, &[6]);
    assert_eq!(after(60_000, &four), None, "four nodes: three voters");
    assert_eq!(voters(after(10_000, &input(&[1, 4, 5], &[6, 7], &[]))), [1, 4, 5, 6, 7]);
    assert_eq!(after(0, &input(&[1, 2, 3, 4, 5], &[6, 7], &[8])), learners(&[8]));
}

/// Once the eighth node and all after it were left without the log, and answered nothing.
#[test]
fn every_member_gets_the_log_and_a_few_of_them_the_files() {
    let others: Vec<RaftId> = (2..=50).collect();
    let change = after(0, &input(&[1], &[], &others));
    assert_eq!(change, Some(Change::AddLearners { ids: others.into_iter().collect() }));
    let mut large = input(&[1, 2, 3, 4, 5], &[6, 7, 8, 9, 10], &[]);
    assert_eq!(after(0, &large), said(&[6, 7]));
    standbys(&mut large, &[8, 9]);
    assert_eq!(after(60_000, &large), None, "who has the files keeps them");
    kill(&mut large, &[9]);
    assert_eq!(after(119_999, &large), None);
    assert_eq!(after(120_000, &large), said(&[6, 8]));
    standbys(&mut large, &[6, 8, 9]);
    assert_eq!(after(0, &large), said(&[6, 8]), "no more than there shall be");
    // A standby that has taken a seat is none any more.
    let mut seated = input(&[1, 2, 3, 4, 5], &[6, 7, 8], &[]);
    standbys(&mut seated, &[5, 6]);
    assert_eq!(after(0, &seated), said(&[6, 7]));
    // One that does not answer does not become one.
    let mut silent = input(&[1, 2, 3, 4, 5], &[6, 7, 8], &[]);
    kill(&mut silent, &[6]);
    assert_eq!(after(0, &silent), said(&[7, 8]));
}

#[test]
fn voters_and_standbys_are_spread_over_zones() {
    let mut view = input(&[1], &[4, 5, 6, 7], &[]);
    zones(&mut view, &[(1, "a"), (4, "a"), (5, "a"), (6, "b"), (7, "b")]);
    assert_eq!(voters(after(10_000, &view)), [1, 4, 6], "one of each, then the oldest");
    zones(&mut view, &[(7, "c")]);
    assert_eq!(voters(after(10_000, &view)), [1, 6, 7]);
    let mut view = input(&[1, 2, 3, 4, 5], &[6, 7, 8, 9], &[]);
    zones(&mut view, &[(1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "b")]);
    zones(&mut view, &[(6, "a"), (7, "a"), (8, "c"), (9, "d")]);
    assert_eq!(after(0, &view), said(&[8, 9]));
}

/// A cluster that was begun in one zone and grew into others.
#[test]
fn a_crowded_zone_gives_seats_to_others_but_not_the_leaders() {
    let mut view = input(&[1, 2, 3], &[4, 5], &[]);
    zones(&mut view, &[(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "c")]);
    standbys(&mut view, &[4, 5]);
    view.nodes.insert(6, NodeView { connected: false, ..well() });
    // Five nodes: two more voters come first.
    assert_eq!(voters(after(10_000, &view)), [1, 2, 3, 4, 5]);
    for id in [5, 6] {
        view.nodes.remove(&id);
        view.membership.learners.remove(&id);
    }
    assert_eq!(after(9_999, &view), None);
    assert_eq!(voters(after(10_000, &view)), [1, 2, 4]);
    // Two in a zone of three beside one each: nothing is better.
    let mut view = input(&[1, 2, 4], &[3], &[]);
    zones(&mut view, &[(1, "a"), (2, "a"), (3, "a"), (4, "b")]);
    standbys(&mut view, &[3]);
    assert_eq!(after(60_000, &view), None);
    zones(&mut view, &[(3, "b")]);
    assert_eq!(after(60_000, &view), None);
    zones(&mut view, &[(3, "")]);
    assert_eq!(after(60_000, &view), None, "who says no zone changes nothing");
}

#[test]
fn only_the_caught_up_are_promoted() {
    let spoil: [fn(&mut NodeView); 4] = [
        |node| node.lag = Some(201),
        |node| node.blob_synced = false,
        |node| node.compatible = false,
        |node| node.ack_age_ms = Some(1_501),
    ];
    for (n, spoil) in spoil.into_iter().enumerate() {
        let mut view = input(&[1], &[4, 5], &[]);
        spoil(view.nodes.get_mut(&5).unwrap());
        let change = after(10_000, &view);
        assert!(!matches!(change, Some(Change::Voters { .. })), "{n}: {change:?}");
    }
    // Well for long enough, but not continuously.
    let mut pilot = Autopilot::default();
    let mut view = input(&[1], &[4, 5], &[]);
    standbys(&mut view, &[4, 5]);
    pilot.decide(&view);
    view.now_ms = 6_000;
    view.nodes.get_mut(&5).unwrap().lag = Some(999);
    pilot.decide(&view);
    view.now_ms = 7_000;
    view.nodes.get_mut(&5).unwrap().lag = Some(0);
    pilot.decide(&view);
    view.now_ms = 16_999;
    assert_eq!(pilot.decide(&view), None);
    view.now_ms = 17_000;
    assert_eq!(voters(pilot.decide(&view)), [1, 4, 5]);
}

#[test]
fn a_dead_voter_gives_its_seat_to_a_standby() {
    let mut view = input(&[1, 2, 3], &[4], &[]);
    standbys(&mut view, &[4]);
    kill(&mut view, &[3]);
    assert_eq!(after(119_999, &view), None);
    assert_eq!(voters(after(120_000, &view)), [1, 2, 4]);
    let mut view = input(&[1, 2, 3], &[], &[]);
    kill(&mut view, &[3]);
    assert_eq!(after(86_400_000, &view), None, "never below three");
    let mut view = input(&[1, 2, 3], &[4, 5], &[]);
    view.nodes.get_mut(&4).unwrap().zone = "a".to_owned();
    view.nodes.get_mut(&1).unwrap().zone = "a".to_owned();
    kill(&mut view, &[3]);
    assert_eq!(voters(after(120_000, &view)), [1, 2, 5], "another zone first");
}

#[test]
fn five_shrink_to_three_only_when_nothing_else_helps() {
    let mut view = input(&[1, 2, 3, 4, 5], &[], &[]);
    kill(&mut view, &[4, 5]);
    assert_eq!(after(599_999, &view), None);
    assert_eq!(voters(after(600_000, &view)), [1, 2, 3]);
    let mut view = input(&[1, 2, 3, 4, 5], &[6], &[]);
    kill(&mut view, &[4, 5]);
    assert_eq!(voters(after(600_000, &view)), [1, 2, 3, 5, 6]);
}

#[test]
fn nothing_is_changed_without_a_quorum_or_in_the_middle_of_a_change() {
    let grown = input(&[1], &[4, 5], &[]);
    let mut busy = grown.clone();
    busy.membership.committed = false;
    assert_eq!(after(10_000, &busy), None);
    let mut deaf = grown.clone();
    deaf.quorum_ack_ms = Some(1_501);
    assert_eq!(after(10_000, &deaf), None);
    deaf.quorum_ack_ms = None;
    assert_eq!(after(10_000, &deaf), None);

    let mut joint = grown;
    joint.membership.voter_sets.push(BTreeSet::from([1, 4, 5]));
    assert_eq!(voters(after(0, &joint)), [1, 4, 5]);
    kill(&mut joint, &[4, 5]);
    assert_eq!(after(0, &joint), None, "a majority of the new half must be heard");
}

#[test]
fn learners_that_are_dead_or_forgotten_are_let_go() {
    let mut view = input(&[1, 2, 3], &[4, 5], &[]);
    standbys(&mut view, &[4]);
    view.nodes.remove(&5);
    let change = after(0, &view);
    assert!(matches!(change, Some(Change::RemoveNode { id: 5, .. })), "{change:?}");
    let mut view = input(&[1, 2, 3], &[4, 5], &[]);
    standbys(&mut view, &[4]);
    kill(&mut view, &[5]);
    assert_eq!(after(86_399_999, &view), None);
    assert!(matches!(after(86_400_000, &view), Some(Change::RemoveNode { id: 5, .. })));
}

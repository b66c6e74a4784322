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
        zone: String::new(),
    }
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
    let learner = |id| Some(Change::AddLearner { id });
    assert_eq!(after(0, &input(&[1], &[], &[])), None);
    assert_eq!(after(0, &input(&[1], &[], &[4])), learner(4));
    assert_eq!(after(60_000, &input(&[1], &[4], &[])), None, "two nodes: one voter");
    assert_eq!(after(0, &input(&[1], &[4], &[5, 6])), learner(5));
    assert_eq!(after(9_999, &input(&[1], &[4, 5], &[])), None);
    assert_eq!(voters(after(10_000, &input(&[1], &[4, 5], &[]))), [1, 4, 5]);
    let mut forming = input(&[1], &[4, 5], &[]);
    forming.forming = true;
    assert_eq!(voters(after(500, &forming)), [1, 4, 5]);
    assert_eq!(after(60_000, &input(&[1, 4, 5], &[6], &[])), None, "four nodes: three voters");
    assert_eq!(voters(after(10_000, &input(&[1, 4, 5], &[6, 7], &[]))), [1, 4, 5, 6, 7]);
    assert_eq!(after(60_000, &input(&[1, 2, 3, 4, 5], &[6, 7], &[8])), None, "standbys are full");
    assert_eq!(after(0, &input(&[1, 2, 3, 4, 5], &[6], &[8])), learner(8));
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
    view.nodes.remove(&5);
    let change = after(0, &view);
    assert!(matches!(change, Some(Change::RemoveNode { id: 5, .. })), "{change:?}");
    let mut view = input(&[1, 2, 3], &[4, 5], &[]);
    kill(&mut view, &[5]);
    assert_eq!(after(86_399_999, &view), None);
    assert!(matches!(after(86_400_000, &view), Some(Change::RemoveNode { id: 5, .. })));
}

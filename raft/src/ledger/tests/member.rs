//! Who belongs to the cluster, and as what.

use super::*;

#[test]
fn a_cluster_opens_or_dissolves_never_both() {
    let genesis = |expect: u32| MemberCommand::Genesis {
        cluster: "c1".into(),
        name: "test".to_owned(),
        expect,
        min_open: expect / 2 + 1,
        founder: "p1".into(),
        founder_name: "n1".to_owned(),
    };
    let mut log = Log { ledger: Ledger::default(), index: 1, at: 0 };
    log.ledger.set_membership(0, vec![BTreeSet::from([1])]);
    let create = Command::Project(ProjectCommand::Create { name: "x".into() });
    let mut member = |command| log.run(Command::Member(command));
    assert_eq!(member(MemberCommand::Open), Err(Rejection::Forming));
    member(genesis(3)).unwrap();
    member(genesis(3)).unwrap();
    assert_eq!(conflict(member(MemberCommand::Open)), "1 of 2 nodes are bound to the cluster");
    let join = MemberCommand::Allocate { peer: "p2".into(), name: "n2".to_owned() };
    let Ok(Outcome::Allocated(id)) = member(join.clone()) else { panic!("not allocated") };
    assert_eq!(member(join), Ok(Outcome::Allocated(id)));
    member(MemberCommand::Bound { raft_ids: [id].into() }).unwrap();
    assert_eq!(conflict(member(MemberCommand::Open)), "1 of 3 voters are there");
    assert_eq!(
        conflict(member(MemberCommand::Remove { raft_id: 1 })),
        "member 1 votes: a standby must take its seat first"
    );
    assert_eq!(log.run(create.clone()), Err(Rejection::Forming));
    let mut other = Log { ledger: log.ledger.clone(), index: log.index, at: 0 };

    log.run(Command::Member(MemberCommand::OpenNow)).unwrap();
    let dissolve = Command::Member(MemberCommand::Dissolve { into: "c0".into() });
    assert_eq!(conflict(log.run(dissolve.clone())), "an open cluster is never dissolved");
    log.run(create).unwrap();

    other.run(dissolve).unwrap();
    assert_eq!(other.ledger.cluster().state, ClusterState::Dissolved { into: "c0".into() });
    let open = other.run(Command::Member(MemberCommand::OpenNow));
    assert_eq!(conflict(open), "this cluster was dissolved into c0");
}

#[test]
fn standbys_are_these_and_nobody_else() {
    let mut log = Log { ledger: Ledger::open_single(), index: 10, at: 0 };
    let mut ids = Vec::new();
    for peer in ["p2", "p3", "p4"] {
        let join = MemberCommand::Allocate { peer: peer.into(), name: peer.to_owned() };
        let Ok(Outcome::Allocated(id)) = log.run(Command::Member(join)) else { panic!("{peer}") };
        ids.push(id);
    }
    let all = |ids: &[u64]| ids.iter().copied().collect();
    let mut member = |command| log.run(Command::Member(command));
    // One that is no member refuses all.
    let unknown = member(MemberCommand::Bound { raft_ids: all(&[ids[0], 999]) });
    assert!(matches!(unknown, Err(Rejection::NotFound { .. })), "{unknown:?}");
    member(MemberCommand::Bound { raft_ids: all(&ids) }).unwrap();
    member(MemberCommand::Standbys { raft_ids: all(&ids[..2]) }).unwrap();
    member(MemberCommand::Standbys { raft_ids: all(&ids[1..]) }).unwrap();
    let unknown = member(MemberCommand::Standbys { raft_ids: all(&[999]) });
    assert!(matches!(unknown, Err(Rejection::NotFound { .. })), "{unknown:?}");
    let keeps: Vec<bool> = ids.iter().map(|id| log.ledger.keeps_files(*id)).collect();
    assert_eq!(keeps, [false, true, true]);
    let roles: Vec<&str> = ids.iter().map(|id| log.ledger.role(*id).word()).collect();
    assert_eq!(roles, ["worker", "standby", "standby"]);
    assert!(ids.iter().all(|id| log.ledger.member(*id).unwrap().bound));
    assert_eq!((log.ledger.role(1), log.ledger.keeps_files(1)), (Role::Voter, true));
    log.run(Command::Member(MemberCommand::Remove { raft_id: ids[2] })).unwrap();
    assert!(!log.ledger.keeps_files(ids[2]));
}

/// A node that lost what it kept under its id must not get that id again: it could vote twice.
#[test]
fn a_bound_node_gets_another_id_only_for_the_one_it_gave_up() {
    let mut log = Log { ledger: Ledger::open_single(), index: 10, at: 0 };
    let (peer, name) = (|| "p2".into(), || "n2".to_owned());
    let join = Command::Member(MemberCommand::Allocate { peer: peer(), name: name() });
    let rejoin = |left| Command::Member(MemberCommand::Rejoin { peer: peer(), name: name(), left });
    let Ok(Outcome::Allocated(first)) = log.run(join.clone()) else { panic!("not allocated") };
    log.run(Command::Member(MemberCommand::Bound { raft_ids: [first].into() })).unwrap();
    assert_eq!(log.run(join), Ok(Outcome::Bound(first)));
    let Ok(Outcome::Allocated(second)) = log.run(rejoin(first)) else { panic!("not allocated") };
    assert!(second > first && log.ledger.member(first).unwrap().removed);
    // Said twice, as an answer may be lost.
    assert_eq!(log.run(rejoin(first)), Ok(Outcome::Allocated(second)));
    log.run(Command::Member(MemberCommand::Bound { raft_ids: [second].into() })).unwrap();
    assert_eq!(log.run(rejoin(first)), Ok(Outcome::Bound(second)), "a question that came late");
    assert!(!log.ledger.member(second).unwrap().removed);
}

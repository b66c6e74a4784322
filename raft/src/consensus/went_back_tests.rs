//! Voters whose folder went back in time, peers that contradict what is committed, and a Raft that
//! ended: nobody else's consensus suffers, nothing acknowledged is lost, and the reason is told.

#![expect(clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stdout, reason = "`--nocapture` shows what a node says")]

use std::path::Path;

use super::tests::{Cluster, LIMIT, eventually};
use super::*;
use crate::records::VoteRec;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(item.file_name());
        if item.path().is_dir() {
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

/// Puts `copy` in the place of the node's folder.
fn put_back(cluster: &Cluster, id: RaftId, from: &Path) {
    let dir = cluster.config(id).dir;
    std::fs::remove_dir_all(&dir).unwrap();
    copy(from, &dir);
}

async fn create(cluster: &Cluster, names: std::ops::Range<u64>) {
    for i in names {
        cluster.create(&format!("p{i}")).await;
    }
}

async fn reason(node: &Consensus) -> String {
    let said = tokio::time::timeout(LIMIT, node.fatal()).await;
    said.unwrap_or_else(|_| {
        let admitted = node.inner.gate.is_admitted();
        panic!("it never said that it must stop; admitted: {admitted}; {:#?}", node.status())
    })
}

/// Three voters with five projects, two of them copied then, and five more projects; which one was
/// not copied, and the copies.
async fn three_with_copies() -> (Cluster, RaftId, Vec<(RaftId, tempfile::TempDir)>) {
    let cluster = Cluster::form(3).await;
    create(&cluster, 0..5).await;
    cluster.agree().await;
    let leader = cluster.leader().await.status().node;
    let mut copies = Vec::new();
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.stop(id).await;
        let kept = tempfile::tempdir().unwrap();
        copy(&cluster.config(id).dir, kept.path());
        copies.push((id, kept));
        cluster.start(id).await;
        cluster.agree().await;
    }
    create(&cluster, 5..10).await;
    // An entry whose acknowledgement never arrived was never counted on: nothing is lost with it.
    eventually("all to have acknowledged all", || async {
        let status = cluster.leader().await.status();
        let all = status.peers.iter().all(|peer| peer.lag == Some(0));
        all.then_some(())
    })
    .await;
    cluster.agree().await;
    (cluster, leader, copies)
}

/// Once this panicked the leader's consensus, in a process that lived on as "leader".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_with_an_older_copy_of_its_folder_is_refused_and_the_others_go_on() {
    let (cluster, _, copies) = three_with_copies().await;
    let (id, kept) = &copies[0];
    cluster.stop(*id).await;
    put_back(&cluster, *id, kept.path());
    let old = cluster.start(*id).await;
    let why = reason(&old).await;
    println!("{why}");
    assert!(why.starts_with("this node's log went back: node "), "{why}");
    assert_eq!(old.status().state, "shutdown");
    cluster.stop(*id).await;

    create(&cluster, 10..12).await;
    let ledger = cluster.agree().await;
    assert!((0..12).all(|i| Cluster::has(&ledger, &format!("p{i}"))));
    // The reason holds after a restart.
    let Err(error) = cluster.open(*id).await else { panic!("it opened") };
    assert!(matches!(error, OpenError::WentBack { .. }), "{error}");
    cluster.end().await;
}

/// The leader is out of reach while the voter starts: it notices by the first conflict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_meets_a_log_that_went_back_does_not_count_on_it() {
    let (cluster, _, copies) = three_with_copies().await;
    let leader = cluster.leader().await.status().node;
    let (id, kept) = copies.iter().find(|(id, _)| *id != leader).unwrap();
    cluster.stop(*id).await;
    put_back(&cluster, *id, kept.path());
    cluster.partition(&[*id], &[leader]);
    let old = cluster.start(*id).await;
    eventually("admission by the third", || async {
        (old.inner.gate.is_admitted() || old.status().state == "shutdown").then_some(())
    })
    .await;
    cluster.heal();
    let why = reason(&old).await;
    println!("{why}");
    create(&cluster, 10..12).await;
    let reign = cluster.leader().await;
    assert!(reign.inner.log.poisoned().borrow().is_none());
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_voters_with_older_copies_lose_nothing_and_say_so() {
    let (cluster, third, copies) = three_with_copies().await;
    let mut newer = Vec::new();
    for (id, kept) in &copies {
        cluster.stop(*id).await;
        let now = tempfile::tempdir().unwrap();
        copy(&cluster.config(*id).dir, now.path());
        newer.push((*id, now));
        put_back(&cluster, *id, kept.path());
    }
    for (id, _) in &newer {
        cluster.start(*id).await;
    }
    for (id, now) in &newer {
        let node = lock(&cluster.net.up).get(id).cloned().unwrap();
        println!("{}", reason(&node).await);
        cluster.stop(*id).await;
        put_back(&cluster, *id, now.path());
    }
    let last = lock(&cluster.net.up).get(&third).cloned().unwrap();
    assert!(Cluster::has(&last.ledger(), "p9"));
    assert!(last.inner.log.poisoned().borrow().is_none());
    // With the folders they had, they are as good as before.
    for (id, _) in &newer {
        cluster.start(*id).await;
    }
    create(&cluster, 10..11).await;
    let ledger = cluster.agree().await;
    assert!((0..11).all(|i| Cluster::has(&ledger, &format!("p{i}"))));
    cluster.end().await;
}

/// After a stop of all nodes nobody remembers who acknowledged what: the one that has more shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_older_copies_do_not_outvote_the_third_after_a_stop_of_all() {
    let (cluster, third, copies) = three_with_copies().await;
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    for (id, kept) in &copies {
        put_back(&cluster, *id, kept.path());
    }
    for id in 1..=3 {
        cluster.start(id).await;
    }
    for (id, _) in &copies {
        let node = lock(&cluster.net.up).get(id).cloned().unwrap();
        println!("{}", reason(&node).await);
    }
    let third = lock(&cluster.net.up).get(&third).cloned().unwrap();
    assert!(Cluster::has(&third.ledger(), "p9"));
    assert!(third.inner.log.poisoned().borrow().is_none());
    cluster.end().await;
}

/// F22, with the key and the id kept: it could vote a second time in a term.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_whose_folder_is_gone_takes_no_part() {
    let (cluster, _, _) = three_with_copies().await;
    let leader = cluster.leader().await.status().node;
    let id = (1..=3).find(|id| *id != leader).unwrap();
    cluster.stop(id).await;
    std::fs::remove_dir_all(cluster.config(id).dir).unwrap();
    let wiped = cluster.start(id).await;
    create(&cluster, 10..11).await;
    let why = reason(&wiped).await;
    println!("{why}");
    let reign = cluster.leader().await;
    assert!(reign.inner.log.poisoned().borrow().is_none());
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_contradict_what_is_committed_are_refused() {
    let cluster = Cluster::form(1).await;
    create(&cluster, 0..3).await;
    let node = cluster.leader().await;
    let vote = VoteRec { term: 99, node: 5, committed: true };
    let entry = |term, index| {
        let leader_id = LeaderId { term, node_id: 5 };
        let id = crate::records::LogId { leader_id, index };
        let blank = openraft::entry::RaftEntry::new_blank(id);
        crate::records::EntryRec::from(&blank)
    };
    let append = |entries: Vec<crate::records::EntryRec>| {
        let request = wire::Request::Append { vote, prev: None, entries, commit: None };
        wire::Frame { to: 1, request }.encode().unwrap()
    };
    let error = node.handle(5, append(vec![entry(99, 0)])).await.unwrap_err();
    assert!(error.starts_with("the log of its leader went back"), "{error}");
    let error = node.handle(5, append(vec![entry(99, 0), entry(99, 7)])).await.unwrap_err();
    assert!(error.contains("cannot follow in a log of term 99"), "{error}");
    let error = node.handle(5, append(vec![entry(100, 0)])).await.unwrap_err();
    assert!(error.contains("cannot follow in a log of term 99"), "{error}");
    create(&cluster, 3..4).await;
    cluster.end().await;
}

/// The task that is Raft is gone without a word: this node must not look as if it led.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raft_that_panics_is_told_as_the_end_of_this_node() {
    let cluster = Cluster::form(1).await;
    let node = cluster.leader().await;
    let ended = node.inner.raft.with_raft_state(|_| panic!("a bug in consensus")).await;
    assert!(ended.map(|(): ()| ()).is_err());
    assert_eq!(reason(&node).await, "consensus has ended: its task panicked");
    assert_eq!(*node.leadership().borrow(), Leadership { term: 1, ..Leadership::default() });
    assert_eq!(node.status().state, "shutdown");
    cluster.end().await;
}

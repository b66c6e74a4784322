//! Forming, membership, and what the status commands show: healthy, one voter down, no quorum.

use std::time::Duration;

use anyhow::ensure;
use harness::cluster::{Cluster, FORMING_LIMIT, Node};
use harness::process::{Process, onrush};
use harness::wait::until;

fn stdout(arguments: &[&str]) -> String {
    let output = onrush(arguments);
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn status_and_members_read_well_healthy_with_one_voter_down_and_without_a_quorum() {
    let mut cluster = Cluster::start(3);
    let (leader, survivor) = (cluster.leader(), cluster.follower());
    let address = cluster.nodes[survivor].address();
    let status = || stdout(&["--address", &address, "raft", "status"]);
    let members = || stdout(&["--address", &address, "cluster", "members"]);
    println!("--- healthy\n{}\n{}", status(), members());
    assert!(status().contains("HEALTHY"), "{}", status());
    assert!(members().contains("3 nodes: 3 alive"), "{}", members());

    cluster.nodes[leader].kill();
    until("the survivors to elect another master and to miss the dead one", FORMING_LIMIT, || {
        let (text, members) = (status(), members());
        ensure!(text.contains("DEGRADED") && text.contains("Quorum ack"), "{text}");
        ensure!(members.contains("2 alive"), "{members}");
        Ok(())
    });
    println!("--- one voter down\n{}\n{}", status(), members());

    let other = (0..3).find(|&index| index != leader && index != survivor).expect("the third");
    cluster.nodes[other].kill();
    until("the last one to see that the quorum is lost", FORMING_LIMIT, || {
        let text = status();
        ensure!(text.contains("NO-QUORUM") || text.contains("NO QUORUM"), "{text}");
        Ok(())
    });
    println!("--- no quorum\n{}\n{}", status(), members());
    let (code, body) = cluster.nodes[survivor]
        .rest()
        .post("/api/v1/projects", r#"{"name":"late"}"#)
        .expect("the node answers");
    println!("--- a write without a quorum: {code} {body}");
    assert_eq!(code, 503, "{body}");

    cluster.start_node(leader);
    cluster.start_node(other);
    cluster.await_formed();
    assert!(status().contains("HEALTHY"), "{}", status());
}

#[test]
fn a_fourth_node_joins_and_a_node_with_another_secret_does_not() {
    let cluster = Cluster::start(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |name: &str, wrong_secret: bool| {
        let mut secret = cluster.secret.clone();
        if wrong_secret {
            secret = folder.path().join("other-secret");
            let made = onrush(["secret".as_ref(), "new".as_ref(), secret.as_os_str()]);
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let node = Node::new(name, folder.path().join(name));
        let log = folder.path().join(format!("{name}.log"));
        Process::start(&mut cluster.command_of(&node, &secret), &log)
    };
    let joiner = start("joiner", false);
    let stranger = start("stranger", true);
    let members = || stdout(&["--address", &cluster.nodes[0].address(), "cluster", "members"]);
    until("the second node to join", FORMING_LIMIT, || {
        let text = members();
        ensure!(text.contains("joiner") && text.contains("2 alive"), "{text}{}", joiner.tail(5));
        Ok(())
    });
    until("the stranger to be told why", Duration::from_secs(30), || {
        let text = stranger.tail(50);
        ensure!(text.contains("secret"), "{text}");
        Ok(())
    });
    println!("--- wrong secret\n{}", stranger.tail(4));
    assert!(!members().contains("stranger"), "{}", members());
}

//! Forming, membership, and what the status commands show: healthy, one voter down, no quorum.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::cluster::{Cluster, FORMING_LIMIT, Node};
use harness::process::{Process, onrush};
use harness::wait::until;

/// An orderly stop takes a few ten milliseconds; this leaves room for a busy machine.
const STOP_MAX: Duration = Duration::from_secs(2);

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

/// The fourth of four nodes does not vote. Forgotten while it lives, it comes back as a new member;
/// forgotten once it is dead, it is off the list for good.
#[test]
fn a_node_is_forgotten_for_good_only_once_it_is_dead() {
    let cluster = Cluster::start(3);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Node::new("fourth", folder.path().join("fourth"));
    let log = folder.path().join("fourth.log");
    let mut process = Process::start(&mut cluster.command_of(&node, &cluster.secret), &log);
    let rest = cluster.nodes[0].rest();
    let raft_id = || -> anyhow::Result<u64> {
        let members = rest.get("/api/v1/cluster/members")?;
        let all = members["items"].as_array().context("items")?;
        let fourth = all.iter().find(|member| member["name"] == "fourth").context("no fourth")?;
        ensure!(fourth["role"] == "standby" && fourth["health"] == "alive", "{fourth}");
        fourth["raft_id"].as_u64().context("raft_id")
    };
    let forget =
        |name: &str| stdout(&["--address", &cluster.nodes[0].address(), "cluster", "forget", name]);
    let first = until("the fourth to be a member", FORMING_LIMIT, raft_id);
    println!("--- forget\n{}", forget("fourth"));
    let second = until("it to be a new member", FORMING_LIMIT, || {
        let id = raft_id().with_context(|| process.tail(6))?;
        ensure!(id > first, "it is still member {id}");
        Ok(id)
    });
    println!("member {first}, then {second}");

    process.kill();
    until("it to be forgotten for good", FORMING_LIMIT, || {
        forget("fourth");
        let members = rest.get("/api/v1/cluster/members")?;
        let all = members["items"].as_array().context("items")?;
        let listed = all.iter().find(|member| member["name"] == "fourth");
        ensure!(listed.is_none_or(|member| member["raft_id"].is_null()), "{listed:?}");
        Ok(())
    });
    let refused = forget("n1");
    assert!(refused.contains("votes: a standby must take its seat first"), "{refused}");
}

/// An upgrade of a whole cluster at once: each node is told to stop and its successor is started in
/// the same moment. Once a stopping node took up to five seconds (an API connection that asked for
/// nothing, a leadership that nobody could take), and its successor gave up: "data directory in use".
#[test]
fn a_node_that_is_replaced_at_once_goes_quickly_and_its_successor_waits() {
    let mut cluster = Cluster::start(3);
    let silent: Vec<TcpStream> = cluster
        .nodes
        .iter()
        .map(|node| TcpStream::connect(("127.0.0.1", node.api_port)).expect("the API listens"))
        .collect();
    let took = cluster.replace_nodes(&[0, 1, 2]);
    drop(silent);
    println!("--- stopped in {took:?}");
    assert!(took.iter().all(|took| *took < STOP_MAX), "{took:?}{}", cluster.logs());
    cluster.await_formed();
    let one = cluster.leader();
    let took = cluster.replace_nodes(&[one]);
    println!("--- the master, alone, in {took:?}");
    assert!(took[0] < STOP_MAX, "{took:?}{}", cluster.logs());
    cluster.await_formed();
}

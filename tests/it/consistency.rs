//! What a client may believe: reads that never go back, refusals that come soon and say why, and a
//! voter that has forgotten what it promised.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use harness::cluster::{Cluster, FORMING_LIMIT, Node};
use harness::process::{Process, onrush};
use harness::wait::until;

/// Promised for every refusal.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);
const JOB: &str = r#"{"simulation":{"file":"shop.js"}}"#;

fn create(node: &Node, name: &str) -> (u16, String) {
    node.rest().post("/api/v1/projects", &format!(r#"{{"name":"{name}"}}"#)).expect("an answer")
}

/// Each write goes through one node and is read back at once through the next. Once ten of sixty were
/// not there yet, for up to 134 ms.
#[test]
fn what_one_node_acknowledged_every_node_shows() {
    let cluster = Cluster::start(3);
    let (mut missing, mut slowest) = (0, Duration::ZERO);
    for i in 0..60 {
        let (writer, reader) = (&cluster.nodes[i % 3], &cluster.nodes[(i + 1) % 3]);
        let (code, body) = create(writer, &format!("p{i}"));
        assert_eq!(code, 201, "{body}");
        let began = Instant::now();
        let read = reader.rest().get(&format!("/api/v1/projects/p{i}"));
        slowest = slowest.max(began.elapsed());
        missing += usize::from(read.is_err());
    }
    println!(
        "--- 60 writes, each read through another node: {missing} missing, {slowest:?} at most"
    );
    assert_eq!(missing, 0);
}

fn refused(what: &str, began: Instant, (code, body): (u16, String)) -> String {
    let took = began.elapsed();
    println!("--- {what}: {code} after {took:?}: {body}");
    assert_eq!(code, 503, "{body}");
    assert!(took < REFUSED_WITHIN, "{what} took {took:?}");
    body
}

#[test]
fn nothing_is_taken_in_without_a_quorum_and_the_reason_comes_soon() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    for index in (0..3).filter(|index| *index != leader) {
        cluster.nodes[index].kill();
    }
    let node = &cluster.nodes[leader];
    let file = vec![7; 100_000];
    for what in ["at once", "later"] {
        let began = Instant::now();
        let upload = node.rest().put("/api/v1/projects/default/files/shop.js", &file);
        let body = refused(&format!("an upload {what}"), began, upload.expect("an answer"));
        assert!(body.contains("1 of 3 voters reachable"), "{body}");
        let began = Instant::now();
        let job = node.rest().post("/api/v1/projects/default/jobs", JOB).expect("an answer");
        let body = refused(&format!("a submission {what}"), began, job);
        assert!(body.contains("voters"), "{body}");
    }
    // What it has, it shows, and says that it may be old.
    let output = onrush(["--address", &node.address(), "project", "list"]);
    let said = String::from_utf8_lossy(&output.stderr);
    println!("--- a list without a quorum: {said}");
    assert!(output.status.success() && said.contains("stale"), "{said}");
}

#[test]
fn a_cluster_that_forms_says_what_it_waits_for() {
    let mut cluster = Cluster::started(3);
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    let node = &cluster.nodes[0];
    until("the API to answer", FORMING_LIMIT, || node.rest().text("/healthz"));
    let began = Instant::now();
    let upload = node.rest().put("/api/v1/projects/default/files/shop.js", b"x");
    let body = refused("an upload", began, upload.expect("an answer"));
    assert!(body.contains("of 3"), "{body}");
    let began = Instant::now();
    let job = node.rest().post("/api/v1/projects/default/jobs", JOB).expect("an answer");
    let body = refused("a submission", began, job);
    assert!(body.contains("of 3"), "{body}");
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(status.success(), "{status}");
}

/// Starts a node and waits for its end; gives its exit code and what it said.
fn end_of(cluster: &Cluster, index: usize, log: &str) -> (Option<i32>, String) {
    let log = cluster.dir.join(log);
    let mut process = Process::start(&mut cluster.command(index), &log);
    let status = until("the node to end by itself", FORMING_LIMIT, || {
        process.ended().with_context(|| process.tail(5))
    });
    (status.code(), process.tail(4))
}

/// Its older copy knows neither its votes nor its acknowledgements of later. Once it panicked the
/// leader's consensus, in a process that lived on as healthy, ready and "leader".
#[test]
fn a_voter_with_an_older_copy_is_refused_and_comes_back_as_a_new_member() {
    let mut cluster = Cluster::start(3);
    let old = cluster.follower();
    let data_dir = cluster.nodes[old].data_dir.clone();
    let kept = cluster.dir.join("kept");
    cluster.nodes[old].kill();
    copy(&data_dir, &kept);
    cluster.start_node(old);
    cluster.await_formed();
    for i in 0..20 {
        assert_eq!(create(&cluster.nodes[old], &format!("p{i}")).0, 201);
    }
    cluster.nodes[old].kill();
    std::fs::remove_dir_all(&data_dir).expect("removed");
    copy(&kept, &data_dir);

    let (code, said) = end_of(&cluster, old, "older.log");
    println!("--- the older copy ends with {code:?}\n{said}");
    assert!(said.contains("log went back") && said.contains("onrush node replace"), "{said}");
    assert_eq!(code, Some(70));
    let (code, said) = end_of(&cluster, old, "again.log");
    println!("--- and again with {code:?}\n{said}");
    assert!(said.contains("log went back") && said.contains("onrush node replace"), "{said}");
    assert_eq!(code, Some(78));
    let leader = cluster.leader();
    assert_eq!(create(&cluster.nodes[leader], "goes-on").0, 201);

    let dir = data_dir.to_string_lossy().into_owned();
    let replaced = onrush(["node", "replace", "--data-dir", &dir]);
    println!("--- {}", String::from_utf8_lossy(&replaced.stderr));
    assert!(replaced.status.success(), "{}", String::from_utf8_lossy(&replaced.stderr));
    cluster.start_node(old);
    let name = cluster.nodes[old].name.clone();
    let role = until("it to vote again, under another id", FORMING_LIMIT, || {
        let members = cluster.nodes[leader].rest().get("/api/v1/cluster/members")?;
        let all = members["items"].as_array().context("items")?;
        ensure!(all.len() == 3, "{} members", all.len());
        let member =
            all.iter().find(|member| member["name"] == name.as_str()).context("no such")?;
        ensure!(member["role"] == "voter", "{}", member["role"]);
        Ok(member["raft_id"].clone())
    });
    println!("--- it votes as node {role}");
    cluster.await_formed();
    let projects = cluster.nodes[old].rest().get("/api/v1/projects?limit=100").expect("a list");
    assert_eq!(projects["items"].as_array().map(Vec::len), Some(22), "{projects}");
}

/// Its log is gone and its identity is not (F22), or one bit of the log is another.
#[test]
fn a_log_that_is_lost_or_damaged_refuses_with_advice() {
    let mut cluster = Cluster::start(1);
    let needle = "a-name-that-is-in-the-log";
    assert_eq!(create(&cluster.nodes[0], needle).0, 201);
    cluster.nodes[0].kill();
    let log = cluster.nodes[0].data_dir.join("raft/log.redb");
    let whole = std::fs::read(&log).expect("the log");
    let mut bytes = whole.clone();
    let places: Vec<usize> = (0..bytes.len() - needle.len())
        .filter(|at| bytes[*at..].starts_with(needle.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "the entry is there");
    places.iter().for_each(|at| bytes[*at] ^= 1);
    std::fs::write(&log, bytes).expect("written");
    let (code, said) = end_of(&cluster, 0, "damaged.log");
    println!("--- damaged: {code:?}\n{said}");
    assert!(said.contains("log.redb") && said.contains("onrush node replace"), "{said}");
    assert_eq!(code, Some(78));
    std::fs::remove_file(&log).expect("removed");
    let (code, said) = end_of(&cluster, 0, "lost.log");
    println!("--- lost: {code:?}\n{said}");
    assert!(said.contains("the log is gone") && said.contains("onrush node replace"), "{said}");
    assert_eq!(code, Some(78));
    std::fs::write(&log, whole).expect("written");
    cluster.start_node(0);
    cluster.await_formed();
}

#[test]
fn a_short_token_is_refused_before_the_node_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (token, data) = (folder.path().join("token"), folder.path().join("data"));
    std::fs::write(&token, "short\n").expect("written");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, private).expect("set");
    let node = ["node".as_ref(), "--data-dir".as_ref(), data.as_os_str()];
    let output = onrush(node.into_iter().chain(["--api-token-file".as_ref(), token.as_os_str()]));
    let said = String::from_utf8_lossy(&output.stderr);
    println!("--- {said}");
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("the token has 5 characters; it must have 16 to 512"), "{said}");
    assert!(!data.exists(), "nothing was made");
}

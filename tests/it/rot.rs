//! Bytes that a disk has changed behind the back of a node that runs.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use harness::cluster::{Cluster, FORMING_LIMIT, await_status};
use harness::process::onrush;
use harness::wait::until;

const FILES: &str = "/api/v1/projects/default/files";
const ENDED: [&str; 4] = ["finished", "failed", "aborted", "lost"];

/// Where a node keeps a content.
fn blob(data_dir: &Path, id: &str) -> PathBuf {
    data_dir.join("blobs").join(&id[..2]).join(id)
}

/// Flips a byte of what a node keeps.
fn flip(path: &Path, at: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("one's own file");
    let file = fs::File::options().read(true).write(true).open(path).expect("the blob is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], at).expect("a byte");
}

/// Uploads it, waits until every node has it, and gives the content's id.
fn store(cluster: &Cluster, path: &str, content: &[u8]) -> String {
    let (status, text) =
        cluster.nodes[0].rest().put(&format!("{FILES}/{path}"), content).expect("an answer");
    assert!(status == 201 || status == 200, "{status} {text}");
    let file: serde_json::Value = serde_json::from_str(&text).expect("a file");
    let id = file["digest"].as_str().and_then(|it| it.strip_prefix("blake3:")).expect("a digest");
    until("every node to have it", FORMING_LIMIT, || {
        for node in &cluster.nodes {
            ensure!(blob(&node.data_dir, id).is_file(), "{} lacks it", node.name);
        }
        Ok(())
    });
    id.to_owned()
}

fn lines(cluster: &Cluster, index: usize, with: &str) -> usize {
    cluster.log_of(index).lines().filter(|line| line.contains(with)).count()
}

/// Once a damaged file was served with 200.
#[test]
fn a_flipped_byte_is_fetched_again_and_never_served() {
    let cluster = Cluster::start(3);
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let id = store(&cluster, "users.csv", &content);
    for (index, at) in [(0, 0), (1, 1_500_000), (2, 2_999_999)] {
        let path = blob(&cluster.nodes[index].data_dir, &id);
        flip(&path, at);
        let (status, body) =
            cluster.nodes[index].rest().bytes(&format!("{FILES}/users.csv")).expect("an answer");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        assert!(body == content, "node {index} serves other bytes than were stored");
        assert!(fs::read(&path).expect("it is there") == content, "node {index} is not repaired");
        assert_eq!(lines(&cluster, index, "repaired"), 1, "{}", cluster.log_of(index));
    }
    // Its hashes, too, may be what is damaged: then nothing need be fetched.
    let path = blob(&cluster.nodes[0].data_dir, &id);
    flip(&path.with_extension("man"), 40);
    damaged_hashes_and_damage_everywhere(cluster, &id, &content);
}

fn damaged_hashes_and_damage_everywhere(mut cluster: Cluster, id: &str, content: &[u8]) {
    cluster.nodes[0].kill();
    cluster.start_node(0);
    cluster.await_formed();
    let rest = cluster.nodes[0].rest();
    let (status, body) = rest.bytes(&format!("{FILES}/users.csv")).expect("an answer");
    assert!(status == 200 && body == content, "{status}");

    // All copies: an error that says so, never the damaged bytes.
    for node in &cluster.nodes {
        flip(&blob(&node.data_dir, id), 1_000_000);
    }
    for (index, node) in cluster.nodes.iter().enumerate() {
        let (status, body) = node.rest().bytes(&format!("{FILES}/users.csv")).expect("an answer");
        let text = String::from_utf8_lossy(&body).into_owned();
        println!("all copies damaged, node {index}: {status} {text}");
        assert_eq!(status, 503, "{status}");
        assert!(text.contains("is damaged on this node's disk"), "{text}");
    }
    let (status, text) = rest.put(&format!("{FILES}/users.csv"), content).expect("an answer");
    assert_eq!(status, 200, "{text}");
    until("what was uploaded again to be everywhere", FORMING_LIMIT, || {
        for node in &cluster.nodes {
            let (status, body) = node.rest().bytes(&format!("{FILES}/users.csv"))?;
            ensure!(status == 200 && body == content, "{}: {status}", node.name);
        }
        Ok(())
    });
}

/// Once a job passed with a data file that was not the one it was submitted with, and none ran with
/// a damaged simulation.
#[test]
fn a_job_gets_what_it_was_submitted_with_or_says_why_not() {
    let cluster = Cluster::start(3);
    let script = br#"
        import { atOnceUsers, csv, exec, scenario, simulation } from "@gatling.io/core";
        export default simulation((setUp) => {
          const s = scenario("s").feed(csv("names.csv")).exec((session) => {
            console.log("got " + session.get("name"));
            return session;
          });
          setUp(s.injectOpen(atOnceUsers(3)));
        });
    "#;
    let names = b"name\nalice\nbob\ncarol\n";
    let script = store(&cluster, "s.gatling.js", script);
    let names = store(&cluster, "resources/names.csv", names);
    for (index, node) in cluster.nodes.iter().enumerate() {
        // Each node has one of both damaged, and no file is damaged everywhere.
        let id = if index == 0 { &script } else { &names };
        flip(&blob(&node.data_dir, id), 8);
    }
    let run = || {
        let body = r#"{"simulation":{"file":"s.gatling.js"}}"#;
        let (status, text) =
            cluster.nodes[0].rest().post("/api/v1/projects/default/jobs", body).expect("an answer");
        assert!(status == 201 || status == 202, "{status} {text}");
        let job: serde_json::Value = serde_json::from_str(&text).expect("a job");
        let id = job["id"].as_str().expect("an id").to_owned();
        let job = await_status(&|| cluster.nodes[0].rest(), &id, &ENDED, FORMING_LIMIT);
        (id, job)
    };
    let (id, job) = run();
    assert_eq!(job["status"], "finished", "{job}");
    let address = cluster.nodes[0].address();
    until("all names to be in the logs", FORMING_LIMIT, || {
        let logs = onrush(["--address", &address, "job", "logs", &id]);
        let text = String::from_utf8_lossy(&logs.stdout).into_owned();
        for name in ["alice", "bob", "carol"] {
            ensure!(text.contains(&format!("got {name}")), "{text}");
        }
        Ok(())
    });
    for index in 0..3 {
        assert_eq!(lines(&cluster, index, "repaired"), 1, "{}", cluster.log_of(index));
    }

    for node in &cluster.nodes {
        flip(&blob(&node.data_dir, &names), 8);
    }
    let (_, job) = run();
    let reason = job["verdict"]["reason"].as_str().context("a reason").unwrap_or_default();
    println!("all copies damaged: {} {reason}", job["status"]);
    assert_eq!(job["status"], "failed", "{job}");
    assert!(job.to_string().contains("damaged"), "{job}");
}

//! Bad input: each gets one clear message that names the cause and the place, the right exit code
//! or problem type, and leaves nothing half-done. `--nocapture` prints the table.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::cluster::{Cluster, Node};
use harness::process::{Process, binary, onrush};
use harness::wait::until;

/// A simulation given as text, beside the given files.
fn folder(source: &str, files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("bad.gatling.js"), source).expect("written");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("created");
        std::fs::write(path, content).expect("written");
    }
    folder
}

/// Runs a simulation in a folder of its own.
fn run(source: &str, files: &[(&str, &[u8])]) -> (Option<i32>, String) {
    let folder = folder(source, files);
    let results = folder.path().join("results");
    let output = Command::new(binary("onrush"))
        .args(["run", "bad.gatling.js", "--results"])
        .arg(&results)
        .current_dir(folder.path())
        .output()
        .expect("onrush starts");
    let code = output.status.code();
    if matches!(code, Some(64..=66)) {
        assert!(!results.exists(), "a run that never started leaves no results");
    }
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn simulation(body: &str) -> String {
    format!(
        "import {{ simulation, scenario, exec, atOnceUsers, csv, feed, global }} from \"@gatling.io/core\";\n\
         import {{ http, status }} from \"@gatling.io/http\";\n\
         export default simulation((setUp) => {{\n{body}\n}});\n"
    )
}

/// One row: what is wrong, the simulation, files beside it, exit code, what the message must name.
struct Row {
    input: &'static str,
    source: String,
    files: Vec<(&'static str, &'static [u8])>,
    code: i32,
    names: &'static [&'static str],
}

fn rows() -> Vec<Row> {
    let visit = "setUp(scenario(\"s\").exec(http(\"r\").get(\"http://127.0.0.1:1/\")).injectOpen(atOnceUsers(1)));";
    let row = |input, source, code, names| Row { input, source, files: vec![], code, names };
    let feeding = "setUp(scenario(\"s\").feed(csv(\"users.csv\")).exec(http(\"r\").get(\"http://127.0.0.1:1/\"))\
                   .injectOpen(atOnceUsers(1)));";
    vec![
        row("syntax error", simulation("const x = ;"), 65, &["bad.gatling.js:4:11"]),
        row(
            "unknown function",
            simulation("setUp(scenrio(\"s\"));"),
            65,
            &["bad.gatling.js:4", "scenrio"],
        ),
        row(
            "no default export",
            "const a = 1;\n".to_owned(),
            65,
            &["bad.gatling.js", "export default simulation"],
        ),
        row(
            "throwing setUp",
            simulation("throw new Error(\"boom\");"),
            65,
            &["bad.gatling.js:4", "boom"],
        ),
        row("endless loop", simulation("while (true) {}"), 65, &["bad.gatling.js", "10 s"]),
        row(
            "not implemented",
            simulation("const j = exec(http(\"x\").sparkle());"),
            65,
            &["sparkle", "bad.gatling.js:4"],
        ),
        row(
            "forbidden import",
            format!("import fs from \"fs\";\n{}", simulation(visit)),
            65,
            &["\"fs\"", "bad.gatling.js:1"],
        ),
        row("missing data file", simulation(feeding), 66, &["users.csv", "bad.gatling.js:4"]),
        Row {
            input: "malformed data file",
            source: simulation(feeding),
            files: vec![("resources/users.csv", b"name,age\n\"ann,3\nbob,4\n")],
            code: 65,
            names: &["users.csv", "quote"],
        },
        row("no setUp", simulation(""), 65, &["No scenario configured, make sure to call setUp."]),
    ]
}

#[test]
fn a_bad_simulation_is_refused_with_its_place_and_leaves_nothing() {
    for row in rows() {
        let (code, message) = run(&row.source, &row.files);
        println!("{} | exit {code:?} |\n{message}", row.input);
        assert_eq!(code, Some(row.code), "{}: {message}", row.input);
        for name in row.names {
            assert!(message.contains(name), "{}: no {name:?} in:\n{message}", row.input);
        }
        assert!(!message.contains("panicked"), "{}: {message}", row.input);
    }
}

/// Once a data file that is missing was 66 for `run`, and 65 for a job.
#[test]
fn a_job_ends_with_the_code_of_a_run() {
    let cluster = Cluster::start(1);
    for row in rows() {
        let folder = folder(&row.source, &row.files);
        let output = Command::new(binary("onrush"))
            .args(["--address", &cluster.nodes[0].address()])
            .args(["job", "submit", "bad.gatling.js", "--follow"])
            .current_dir(folder.path())
            .output()
            .expect("onrush starts");
        // Progress is on stderr, how the job was on stdout.
        let both = [output.stderr, output.stdout].concat();
        let message = String::from_utf8_lossy(&both);
        println!("{} | exit {:?} |\n{message}", row.input, output.status.code());
        assert_eq!(output.status.code(), Some(row.code), "{}: {message}", row.input);
        for name in row.names {
            assert!(message.contains(name), "{}: no {name:?} in:\n{message}", row.input);
        }
    }
}

#[test]
fn an_unknown_host_is_a_failed_request_that_says_so() {
    let source = simulation(
        "setUp(scenario(\"s\").exec(http(\"r\").get(\"http://no-such-host.invalid/\")).injectOpen(atOnceUsers(1)))\
         .assertions(global().failedRequests().count().is(0));",
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("host.gatling.js"), source).expect("written");
    let output = Command::new(binary("onrush"))
        .args(["run", "host.gatling.js"])
        .current_dir(folder.path())
        .output()
        .expect("onrush starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    println!("unknown host | exit {:?} |\n{text}", output.status.code());
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("no-such-host.invalid"), "{text}");
}

#[test]
fn usage_errors_exit_with_64_and_name_the_flag() {
    for (arguments, name) in [
        (&["run", "x.gatling.js", "--thread", "2"][..], "--threads"),
        (&["node", "--contact-points", "localhost"], "port"),
        (&["job", "sbmit"], "submit"),
    ] {
        let output = onrush(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {message}");
        assert!(message.contains(name), "{arguments:?}: {message}");
    }
    let output = onrush(["run", "nowhere.gatling.js"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(66), "{message}");
    assert!(message.contains("nowhere.gatling.js"), "{message}");
}

/// Starts a node that must refuse to run, and gives exit code and output.
fn refused(command: &mut Command, folder: &Path) -> (Option<i32>, String) {
    let mut process = Process::start(command, &folder.join("refused.log"));
    let status = until("the node to refuse", Duration::from_secs(20), || {
        process.ended().ok_or_else(|| anyhow::anyhow!("it runs: {}", process.tail(5)))
    });
    (status.code(), process.tail(50))
}

#[test]
fn a_node_refuses_a_port_in_use_and_a_locked_or_foreign_data_directory() {
    let mut cluster = Cluster::start(1);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = folder.path().join("own");
    let refuses = |what: &str, node: &Node, words: &[&str]| {
        let (code, message) =
            refused(&mut cluster.command_of(node, &cluster.secret), folder.path());
        println!("{what} | exit {code:?} |\n{message}");
        assert_eq!(code, Some(78), "{message}");
        for word in words {
            assert!(message.contains(word), "{what}: no {word:?} in {message}");
        }
    };
    let first = &cluster.nodes[0];

    let mut node = Node::new("late", own);
    node.api_port = first.api_port;
    refuses("port in use", &node, &[&first.api_port.to_string(), "in use"]);

    let node = Node::new("twin", first.data_dir.clone());
    refuses("locked data directory", &node, &[&first.pid().to_string()]);

    // A data directory of another cluster meets a running cluster: it must not join it.
    let other = Cluster::start(1);
    let taken = cluster.nodes[0].data_dir.clone();
    cluster.nodes[0].kill();
    let log = folder.path().join("foreign.log");
    let foreign =
        Process::start(&mut other.command_of(&Node::new("foreign", taken), &other.secret), &log);
    let rest = other.nodes[0].rest();
    until("the foreign node to say so", Duration::from_secs(30), || {
        let text = foreign.tail(40);
        anyhow::ensure!(text.contains("another open cluster of this name is reachable"), "{text}");
        let members = rest.get("/api/v1/cluster/members")?;
        let items = members["items"].as_array().into_iter().flatten();
        let role =
            items.filter(|item| item["name"] == "foreign").map(|item| item["role"].as_str()).next();
        anyhow::ensure!(role == Some(Some("foreign")), "{members}");
        Ok(())
    });
    println!("data directory of another cluster |\n{}", foreign.tail(6));
}

#[test]
fn the_api_answers_bad_requests_with_problems() {
    let cluster = Cluster::start(1);
    let rest = cluster.nodes[0].rest();
    let (status, body) =
        rest.post("/api/v1/projects/default/jobs", "{not json").expect("reachable");
    println!("body that is not JSON | {status} | {body}");
    assert_eq!(status, 400);
    assert!(body.contains("invalid-request"), "{body}");
    let error = rest
        .get("/api/v1/jobs/job_01JD0000000000000000000000")
        .expect_err("no such job")
        .to_string();
    println!("unknown job | {error}");
    assert!(error.contains("404") && error.contains("not-found"), "{error}");
    let output = onrush([
        "--address",
        &cluster.nodes[0].address(),
        "job",
        "show",
        "job_01JD0000000000000000000000",
    ]);
    let message = String::from_utf8_lossy(&output.stderr);
    println!("unknown job (CLI) | exit {:?} | {message}", output.status.code());
    assert_eq!(output.status.code(), Some(66), "{message}");
}

//! `onrush run`: one machine, no cluster.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::acceptance::Target;
use harness::cluster::repository;
use harness::process::{binary, signal};
use serde_json::Value;

fn summary(results: &Path) -> Value {
    let text = std::fs::read_to_string(results.join("summary.json")).expect("summary.json");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_report_counts_what_the_target_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let small = ["shop.gatling.js", "shop.gatling.ts", "exact.gatling.js"];
    for simulation in small.into_iter().chain(["large/journey.gatling.js"]) {
        target.reset();
        let results = folder.path().join(simulation);
        let output = Command::new(binary("onrush"))
            .arg("run")
            .arg(repository().join("tests/simulations").join(simulation))
            .args([&format!("target={}", target.url()), "rate=40", "duration=3", "--results"])
            .arg(&results)
            .output()
            .expect("onrush starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let code = output.status.code();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(code, Some(0 | 4)), "{text}{told}");
        assert!(!text.contains('\x1b'), "no colours without a terminal: {text}");
        let counted = target.rest().get("/__counts").expect("counts");
        let summary = summary(&results);
        let all = summary["rows"].as_array().expect("rows").iter();
        let requests: u64 = all
            .filter(|row| row["kind"] == "request")
            .map(|row| row["stats"]["all"]["count"].as_u64().expect("count"))
            .sum();
        assert_eq!(counted["total"].as_u64(), Some(requests), "{simulation}: {text}");
        assert!(results.join("index.html").is_file());
        let verdict = &summary["verdict"];
        assert_eq!(code == Some(0), verdict["value"] == "passed", "{text}");
        target.machine.passed(verdict, &summary).expect("it passes");
    }
}

/// A run on the target that has begun: the target has counted some of its requests.
fn begun(simulation: &Path, target: &Target, results: &Path) -> Child {
    let child = Command::new(binary("onrush"))
        .arg("run")
        .arg(simulation)
        .args([&format!("target={}", target.url()), "rate=20", "duration=60", "--results"])
        .arg(results)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("onrush starts");
    harness::wait::until("some load", Duration::from_secs(20), || {
        anyhow::ensure!(counted(target)? > 20, "{} requests so far", counted(target)?);
        Ok(())
    });
    child
}

fn counted(target: &Target) -> anyhow::Result<u64> {
    Ok(target.rest().get("/__counts")?["total"].as_u64().unwrap_or_default())
}

/// What a report says of all requests, once it is seen to say that the run was aborted: "Passed" is
/// nothing to say of a part of the plan.
fn aborted(results: &Path) -> u64 {
    let summary = summary(results);
    let said = (&summary["status"], &summary["verdict"]["value"]);
    assert_eq!(said, (&"aborted".into(), &"none".into()));
    let started = summary["scenarios"][0]["started"].as_u64().expect("started");
    let reason = format!("interrupted; {started} of 1200 planned users started");
    assert_eq!(summary["verdict"]["reason"], reason);
    let page = std::fs::read_to_string(results.join("index.html")).expect("a report");
    assert!(page.contains("■</span> Aborted"), "{page}");
    let rows = summary["rows"].as_array().expect("rows");
    let all = rows.iter().find(|row| row["kind"] == "global").expect("a row of all");
    all["stats"]["all"]["count"].as_u64().expect("a count")
}

/// Of SIGHUP, too: that is how a terminal goes.
#[test]
fn a_signal_ends_the_test_gracefully_with_a_report() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    for name in ["INT", "HUP"] {
        target.reset();
        let results = folder.path().join(name);
        let exact = repository().join("tests/simulations/exact.gatling.js");
        let mut child = begun(&exact, &target, &results);
        // Nobody reads what it says any more.
        drop(child.stderr.take());
        signal(child.id(), name);
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(3), "aborted by the operator: {name}");
        assert_eq!(aborted(&results), counted(&target).expect("counts"), "{name}");
    }
}

/// Once all of it was thrown away.
#[test]
fn a_second_ctrl_c_ends_users_and_leaves_what_was_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let simulation = folder.path().join("slow.gatling.js");
    let text = r#"
        import { constantUsersPerSec, getParameter, scenario, simulation } from "@gatling.io/core";
        import { http } from "@gatling.io/http";
        export default simulation((setUp) => {
          const visit = scenario("visit")
            .exec(http("quick").get("/echo"), http("slow").get("/delay/10000"));
          setUp(visit.injectOpen(constantUsersPerSec(20).during(60)))
            .protocols(http.baseUrl(getParameter("target")));
        });"#;
    std::fs::write(&simulation, text).expect("a simulation");
    let results = folder.path().join("results");
    let mut child = begun(&simulation, &target, &results);
    signal(child.id(), "INT");
    let stderr = BufReader::new(child.stderr.take().expect("its stderr"));
    let mut lines = stderr.lines().map(|line| line.expect("a line"));
    // A second signal of a kind that was not seen yet would be one with the first.
    let stopping = lines.find(|line| line.starts_with("stopping: "));
    assert!(stopping.is_some(), "it says that it stops");
    signal(child.id(), "INT");
    let rest: Vec<String> = lines.collect();
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130), "{rest:?}");
    let summary_rows = summary(&results)["rows"].as_array().expect("rows").clone();
    let row = |name: &str| {
        let found = summary_rows.iter().find(|row| row["path"] == serde_json::json!([name]));
        found.and_then(|row| row["stats"]["all"]["count"].as_u64()).unwrap_or_default()
    };
    // No slow one had its answer: each that was answered is a quick one.
    assert_eq!(aborted(&results), row("quick"));
    let users = summary(&results)["scenarios"][0]["started"].as_u64().expect("started");
    assert_eq!(row("quick"), users);
}

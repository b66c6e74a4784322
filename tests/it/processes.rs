//! A shard that divides itself into processes: the same counts, and more users than one process may
//! hold sockets.

use std::path::Path;
use std::process::{Command, Output};

use harness::acceptance::Target;
use harness::cluster::repository;
use harness::process::binary;
use serde_json::Value;

/// As a shell would start it, with that many descriptors at most for each process.
fn run(descriptors: u32, results: &Path, simulation: &Path, arguments: &[&str]) -> Output {
    let limited = format!("ulimit -n {descriptors} && exec \"$@\"");
    Command::new("sh")
        .args(["-c", &limited, "sh"])
        .arg(binary("onrush"))
        .arg("run")
        .arg(simulation)
        .args(arguments)
        .arg("--results")
        .arg(results)
        .output()
        .expect("onrush starts")
}

fn summary(results: &Path, output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    let text = std::fs::read_to_string(results.join("summary.json"));
    assert!(text.is_ok(), "no summary: {said}");
    serde_json::from_str(&text.unwrap_or_default()).expect("JSON")
}

fn stats(summary: &Value, side: &str) -> u64 {
    let rows = summary["rows"].as_array().expect("rows");
    let requests = rows.iter().filter(|row| row["kind"] == "request");
    requests.map(|row| row["stats"][side]["count"].as_u64().expect("count")).sum()
}

#[test]
fn three_processes_measure_what_one_would() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let results = folder.path().join("results");
    let simulation = repository().join("tests/simulations/exact.gatling.js");
    let url = format!("target={}", target.url());
    let arguments = [&url, "rate=60", "duration=3", "--processes", "3"];
    let output = run(1_024, &results, &simulation, &arguments);
    let summary = summary(&results, &output);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let counted = target.rest().get("/__counts").expect("counts")["total"].as_u64();
    assert_eq!(counted, Some(stats(&summary, "all")));
    assert_eq!(summary["verdict"]["value"], "passed");
    assert_eq!(summary["shards"][0]["totals_match"], true, "{}", summary["shards"]);
    let started = summary["scenarios"].as_array().expect("scenarios").iter();
    let of = |field: &str| -> u64 { started.clone().filter_map(|it| it[field].as_u64()).sum() };
    assert!(of("started") > 0, "{summary}");
    assert_eq!(of("started"), of("planned"), "every user of the plan, once");
}

#[test]
fn more_users_than_one_process_may_hold_sockets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let simulation = folder.path().join("many.gatling.js");
    let script = r#"
        import { simulation, scenario, constantConcurrentUsers, exec, pause, getParameter } from "@gatling.io/core";
        import { http } from "@gatling.io/http";
        export default simulation((setUp) => {
          const users = scenario("many").exec(http("hello").get("/")).pause(30);
          setUp(users.injectClosed(constantConcurrentUsers(300).during(2)))
            .protocols(http.baseUrl(getParameter("target"))).maxDuration(3);
        });"#;
    std::fs::write(&simulation, script).expect("written");
    let url = format!("target={}", target.url());
    let counts = |name: &str, processes: &str| {
        target.reset();
        let results = folder.path().join(name);
        let output = run(250, &results, &simulation, &[&url, "--processes", processes]);
        let summary = summary(&results, &output);
        (stats(&summary, "ok"), stats(&summary, "ko"), summary)
    };
    // What it is for: one process runs out, and says so.
    let (_, ko, summary) = counts("one", "1");
    assert!(ko > 0, "{summary}");
    let (ok, ko, summary) = counts("as-needed", "0");
    assert_eq!((ok, ko), (300, 0), "{summary}");
    let counted = target.rest().get("/__counts").expect("counts")["total"].as_u64();
    assert_eq!(counted, Some(300));
}

#[test]
fn the_script_sees_one_time_in_all_processes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let simulation = folder.path().join("timed.gatling.js");
    let script = r#"
        import { simulation, scenario, atOnceUsers, getParameter } from "@gatling.io/core";
        import { http } from "@gatling.io/http";
        export default simulation((setUp) => {
          const hello = scenario(`run ${Date.now()}`).exec(http("hello").get("/"));
          setUp(hello.injectOpen(atOnceUsers(20))).protocols(http.baseUrl(getParameter("target")));
        });"#;
    std::fs::write(&simulation, script).expect("written");
    let results = folder.path().join("results");
    let url = format!("target={}", target.url());
    let output = run(1_024, &results, &simulation, &[&url, "--processes", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = summary(&results, &output);
    assert_eq!(stats(&summary, "ok"), 20, "{summary}");
}

//! A shard that divides itself into processes: the same counts, and more users than one process may
//! hold sockets.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use harness::acceptance::{Load, Target, counts_by_name, recorded_arrivals, submit};
use harness::chaos::baseline::children;
use harness::cluster::{Cluster, await_status, repository};
use harness::process::{binary, onrush};
use serde_json::{Value, json};

use crate::load::{ENDED, reached};

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
    let verdict = &summary["verdict"];
    let code = if verdict["value"] == "passed" { 0 } else { 4 };
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    let counted = target.rest().get("/__counts").expect("counts")["total"].as_u64();
    assert_eq!(counted, Some(stats(&summary, "all")));
    target.machine.passed(verdict, &summary).expect("it passes");
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

/// Once a shard in several processes kept all that it had: its node could not be drained, and one that
/// joined got nothing of it.
#[test]
fn what_several_processes_hold_is_given_away_as_one() {
    let _machine = crate::whole_machine();
    let mut cluster = Cluster::planned(3);
    for index in 0..3 {
        // Fewer than a third of the users: a process for each core.
        cluster.nodes[index].place.before = vec!["prlimit".into(), "--nofile=600:600".into()];
        cluster.start_node(index);
    }
    cluster.await_formed();
    let target = Target::start(&cluster.dir);
    let load = Load { users_per_sec: 100, seconds: 20 };
    let (leader, drained) = (cluster.leader(), cluster.follower());
    let address = cluster.nodes[leader].address();
    let job = submit(&address, &target, load, &["--record-arrivals"]).expect("submitted");
    let rest = cluster.nodes[leader].rest();
    reached(&rest, &job, 3);
    let shard = children(cluster.nodes[drained].pid());
    let processes = shard.first().map_or(0, |shard| children(*shard).len());
    let cores = std::thread::available_parallelism().map_or(1, |it| it.get());
    assert_eq!(processes, if cores > 1 { 2 } else { 0 }, "of {shard:?}");
    let name = &cluster.nodes[drained].name;
    let told = onrush(["--address", &address, "cluster", "drain", name]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let ended = await_status(&|| rest.clone(), &job, &ENDED, Duration::from_secs(90));
    let summary = rest.get(&format!("/api/v1/jobs/{job}/summary")).expect("a summary");
    let passed = target.machine.passed(&ended["verdict"], &summary);
    assert!(passed.is_ok(), "{passed:?}: {ended}{}", cluster.logs());
    assert_eq!((&summary["coverage"], &summary["lost"]), (&json!(1.0), &json!([])));
    let users = u64::from(load.users_per_sec * load.seconds);
    let counts = target.counts().expect("the target answers");
    assert!(counts.values().all(|count| *count == users), "{users} users: {counts:?}");
    assert_eq!(counts_by_name(&summary).expect("rows"), counts);
    // Each user once, and none there any more a few seconds later.
    let arrivals = recorded_arrivals(&cluster, &job).expect("every node's arrivals");
    let mut all: Vec<u64> = arrivals.iter().map(|row| row.user).collect();
    all.sort_unstable();
    assert_eq!(all, (0..users).collect::<Vec<_>>());
    let there = arrivals.iter().filter(|row| row.node == drained).map(|row| row.scheduled_us);
    let last_s = there.max().expect("it began some") / 1_000_000;
    println!("{processes} processes; the last user of the drained node at {last_s} s");
    assert!(last_s < 12, "the drained node began users until {last_s} s");
}

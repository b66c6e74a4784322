//! A shard whose recorder is full, on a real node.

use std::fs;
use std::time::Duration;

use harness::acceptance::{Target, counts_by_name};
use harness::cluster::{Cluster, await_status};
use harness::process::onrush;
use serde_json::Value;

/// A thousand requests in as many groups, all names as long as they may be; one in five fails, each
/// in a way of its own.
const WIDE: &str = r#"
    import { atOnceUsers, exec, getParameter, group, scenario, simulation } from "@gatling.io/core";
    import { http, status } from "@gatling.io/http";
    const long = (n) => String(n).padStart(4, "0") + "x".repeat(508);
    const one = (n) => group(long(n)).on(
      http(long(n)).get("/echo").check(status().is(n % 5 === 0 ? 1000 + n : 200)));
    export default simulation((setUp) => {
      const all = Array.from({ length: 1000 }, (_, n) => one(n));
      setUp(scenario("wide").exec(...all).injectOpen(atOnceUsers(3)))
        .protocols(http.baseUrl(getParameter("target")));
    });
"#;

/// Once the shard wrote frames of up to 16 MiB and its node read 704 KiB: it was killed.
#[test]
fn a_job_with_a_full_recorder_runs_and_counts_exactly() {
    let cluster = Cluster::start(1);
    let target = Target::start(&cluster.dir);
    let path = cluster.dir.join("wide.gatling.js");
    fs::write(&path, WIDE).expect("the script is written");
    let (path, url) = (path.display().to_string(), format!("target={}", target.url()));
    let node = &cluster.nodes[0];
    let address = node.address();
    let submitted =
        onrush(["--address", &address, "job", "submit", "--json", "--detach", &path, &url]);
    let text = String::from_utf8_lossy(&submitted.stdout).into_owned();
    let said = String::from_utf8_lossy(&submitted.stderr);
    assert!(submitted.status.success(), "{text}{said}");
    let job: Value = serde_json::from_str(&text).expect("a job");
    let id = job["id"].as_str().expect("an id");
    let ended = ["finished", "failed", "aborted", "lost"];
    let job = await_status(&|| node.rest(), id, &ended, Duration::from_secs(120));
    assert_eq!(job["status"], "finished", "{job}{}", cluster.logs());
    let summary = node.rest().get(&format!("/api/v1/jobs/{id}/summary")).expect("a summary");
    let requests: u64 = counts_by_name(&summary).expect("counts").values().sum();
    assert_eq!(requests, 3_000, "each user sends each request once");
    let global = &summary["rows"][0]["stats"];
    assert_eq!((&global["all"]["count"], &global["ko"]["count"]), (&3_000.into(), &600.into()));
    assert_eq!(summary["errors_total"], 600);
    let seen = &target.rest().get("/__counts").expect("the target answers")["total"];
    assert_eq!(*seen, 3_000, "the target's own count");
    let notices = summary["notices"].to_string();
    assert!(notices.contains("more than a frame of 704 KiB holds"), "{notices}");
    println!("{notices}");
}

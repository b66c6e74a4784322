//! `onrush run`: one machine, no cluster.

use std::process::Command;
use std::time::Duration;

use harness::acceptance::Target;
use harness::cluster::repository;
use harness::process::{binary, signal};
use serde_json::Value;

fn summary(results: &std::path::Path) -> Value {
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

#[test]
fn ctrl_c_ends_the_test_gracefully_with_a_report() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let results = folder.path().join("results");
    let mut child = Command::new(binary("onrush"))
        .arg("run")
        .arg(repository().join("tests/simulations/exact.gatling.js"))
        .args([&format!("target={}", target.url()), "rate=20", "duration=60", "--results"])
        .arg(&results)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("onrush starts");
    harness::wait::until("some load", Duration::from_secs(20), || {
        let total = target.rest().get("/__counts")?["total"].as_u64().unwrap_or_default();
        anyhow::ensure!(total > 20, "{total} requests so far");
        Ok(())
    });
    signal(child.id(), "INT");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(3), "aborted by the operator");
    let counted = target.rest().get("/__counts").expect("counts")["total"].as_u64();
    let rows = summary(&results)["rows"].as_array().expect("rows").clone();
    let all = rows
        .iter()
        .find(|row| row["kind"] == "global")
        .or_else(|| rows.first())
        .expect("a first row");
    assert_eq!(all["stats"]["all"]["count"].as_u64(), counted);
}

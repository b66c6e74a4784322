//! The way that a newcomer takes first: `scripts/quickstart.sh`, less the build.

use std::path::Path;
use std::process::{Command, Output};

use harness::cluster::{free_base, repository};
use harness::machine::Probe;
use harness::process::{binary, onrush};
use harness::rest::Rest;

struct Quickstart {
    dir: tempfile::TempDir,
    port: u16,
}

impl Quickstart {
    fn run(&self, more: &[&str]) -> Output {
        Command::new(repository().join("scripts/quickstart.sh"))
            .args(["--dir", &self.dir.path().join("it").to_string_lossy()])
            .args(["--port", &self.port.to_string()])
            .args(more)
            .env("ONRUSH_SKIP_BUILD", "1")
            .env("CARGO_TARGET_DIR", target_dir())
            .env("NO_COLOR", "1")
            .output()
            .expect("the script starts")
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.run(&["--stop"]);
    }
}

/// The folder above that of the binaries.
fn target_dir() -> std::path::PathBuf {
    let binary = binary("onrush");
    binary.parent().and_then(Path::parent).expect("a profile inside a target folder").to_owned()
}

#[test]
fn the_quickstart_ends_with_a_report_and_a_running_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let quickstart = Quickstart { dir, port: free_base(&[1, 10, 11, 20, 21, 40]) };
    let machine = Probe::start();
    let output = quickstart.run(&["--seconds", "4"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 4)), "{said}\n{told}");
    for wanted in ["Products", "VERDICT", "leader", "try       "] {
        assert!(said.contains(wanted), "{wanted} is not in:\n{said}\n{told}");
    }
    let folder = quickstart.dir.path().join("it");
    let report = std::fs::read_to_string(folder.join("report.html")).expect("the report");
    assert!(report.contains("<svg") && report.contains("Products"));

    let address = format!("http://127.0.0.1:{}", quickstart.port);
    let jobs = onrush(["--address", &address, "job", "list", "--json"]);
    let jobs: serde_json::Value = serde_json::from_slice(&jobs.stdout).expect("JSON");
    assert_eq!(jobs["items"][0]["title"], "quickstart", "{jobs}");
    let verdict = &jobs["items"][0]["verdict"];
    assert_eq!(code == Some(0), verdict["value"] == "passed", "{jobs}");
    let id = jobs["items"][0]["id"].as_str().expect("an id");
    let summary = Rest::at(&address, None).get(&format!("/api/v1/jobs/{id}/summary"));
    machine.passed(verdict, &summary.expect("a summary")).expect("it passes");

    let stopped = quickstart.run(&["--stop"]);
    assert!(stopped.status.success() && !folder.exists());
    assert!(!onrush(["--address", &address, "job", "list"]).status.success());
}

#[test]
fn the_quickstart_removes_nothing_that_it_did_not_make() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("it")).unwrap();
    std::fs::write(dir.path().join("it/thesis.txt"), "years of work").unwrap();
    let quickstart = Quickstart { dir, port: 1 };
    for more in [&["--stop"][..], &[]] {
        let refused = quickstart.run(more);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("is not empty"), "{refused:?}");
    }
    assert!(quickstart.dir.path().join("it/thesis.txt").is_file());
}

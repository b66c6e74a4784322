//! Simulations in Rust: the same graph as the script's, as a program, and exported.

use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::Arc;

use harness::acceptance::Target;
use harness::cluster::repository;
use harness::process::binary;
use onrush_scenario::dsl::Parameters;
use onrush_scenario::ir::Simulation;
use onrush_scenario::protocol::http::spec::{HttpProtocolSpec, RequestSpec};
use onrush_scenario::script::{DirSources, LoadOptions, SilentConsole, Sources, load};
use serde_json::Value;

#[path = "../bin/browse.rs"]
#[expect(dead_code, reason = "its main is the program's")]
mod browse;

/// The graph with each `spec` as its protocol reads it: a script leaves out what is a default.
fn as_read(simulation: &Simulation) -> Value {
    fn specs(value: &mut Value) {
        match value {
            Value::Object(entries) => {
                if entries.contains_key("protocol")
                    && let Some(spec) = entries.get_mut("spec")
                {
                    let read = match RequestSpec::deserialize(&*spec) {
                        Ok(request) => serde_json::to_value(request),
                        Err(_) => HttpProtocolSpec::deserialize(&*spec)
                            .map(|it| serde_json::to_value(it).expect("a protocol is JSON")),
                    };
                    *spec = read.expect("http reads it");
                    return;
                }
                entries.values_mut().for_each(specs);
            }
            Value::Array(items) => items.iter_mut().for_each(specs),
            _ => {}
        }
    }
    use serde::Deserialize as _;
    let mut value = serde_json::to_value(simulation).expect("a graph is JSON");
    specs(&mut value);
    value
}

#[test]
fn the_rust_and_the_script_give_the_same_graph() {
    let folder = repository().join("tests/simulations");
    let sources: Arc<dyn Sources> = Arc::new(DirSources::new(folder));
    let options = LoadOptions::default();
    let script = load(&sources, "browse.gatling.js", &options, Rc::new(SilentConsole))
        .expect("the script loads");
    let rust = browse::browse(&Parameters::default()).expect("the program builds it");
    let (script, rust) = (as_read(&script.simulation), as_read(&rust));
    let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
    assert!(script == rust, "script:\n{}\nrust:\n{}", pretty(&script), pretty(&rust));
}

fn ok(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}{error}");
    text
}

#[test]
fn a_program_runs_and_exports_what_onrush_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let resources = folder.path().join("resources");
    std::fs::create_dir(&resources).expect("a folder");
    let users = repository().join("tests/simulations/resources/users.csv");
    std::fs::copy(users, resources.join("users.csv")).expect("the users");
    let program = |arguments: &[&str]| {
        let mut command = Command::new(binary("onrush-browse"));
        let given = [&format!("target={}", target.url()), "rate=8", "duration=4"];
        command.current_dir(folder.path()).args(arguments).args(given);
        command.output().expect("the program starts")
    };
    let counted = || target.rest().get("/__counts").expect("counts")["total"].as_u64();
    let text = ok(&program(&["run"]));
    let first = text.lines().next().unwrap_or_default();
    let requests = counted().expect("a number");
    assert!(first.starts_with(&format!("Global: {requests} requests, 0 failed")), "{text}");
    let left = std::fs::read_dir(folder.path()).expect("the folder").flatten();
    assert!(!left.into_iter().any(|it| it.file_name().to_string_lossy().starts_with(".onrush")));

    ok(&program(&["export", "browse.json"]));
    target.reset();
    let mut run = Command::new(binary("onrush"));
    run.current_dir(folder.path()).args(["run", "browse.json", "--results", "results"]);
    ok(&run.output().expect("onrush starts"));
    let summary = std::fs::read(folder.path().join("results/summary.json")).expect("a summary");
    let summary: Value = serde_json::from_slice(&summary).expect("JSON");
    assert_eq!(summary["rows"][0]["stats"]["all"]["count"].as_u64(), counted());
    assert_eq!(summary["run"]["simulation"], "browse");
}

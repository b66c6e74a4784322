//! The tools around a simulation: check, debug, new and convert, held against golden outputs; what
//! they make is loaded and run. `UPDATE_GOLDEN=1` accepts what is different.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::acceptance::Target;
use harness::cluster::repository;
use harness::process::binary;
use serde_json::Value;

/// Where goldens say the target is.
const PLACE: &str = "http://127.0.0.1:7480";

fn onrush(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("onrush"));
    command.current_dir(folder).args(arguments).output().expect("onrush starts")
}

fn stdout(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains('\x1b'), "no colours without a terminal: {text}");
    text
}

fn ok(output: &Output) -> String {
    let text = stdout(output);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}{error}");
    text
}

fn golden_folder() -> PathBuf {
    repository().join("tests/golden/tools")
}

fn equals_golden(name: &str, found: &str) {
    let path = golden_folder().join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the golden is written");
    }
    let expected = std::fs::read_to_string(&path).expect("a golden");
    assert!(found == expected, "{name} is different; UPDATE_GOLDEN=1 accepts:\n{found}");
}

#[test]
fn check_shows_the_tree_the_plan_the_files_and_the_assertions() {
    let folder = repository().join("tests/simulations");
    let shown = ok(&onrush(&folder, &["check", "shop.gatling.ts"]));
    equals_golden("check-shop.txt", &shown);
    let json = ok(&onrush(&folder, &["check", "shop.gatling.ts", "rate=3", "--json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["scenarios"][0]["injection"]["users"], 30);
    assert_eq!(json["files"][0]["records"], 8);
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(0));
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, content: &str| {
        std::fs::write(folder.path().join(name), content).expect("a file");
    };
    let head = "import { atOnceUsers, csv, exec, feed, scenario, simulation, ElFileBody } from \
                '@gatling.io/core';\nimport { http } from '@gatling.io/http';\n";
    let tail = "export default simulation((setUp) => setUp(s.injectOpen(atOnceUsers(3))));\n";
    write("users.csv", "user\nada\n");
    let fails = |name: &str, code: i32, words: &str| {
        let output = onrush(folder.path(), &["check", name]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(words), "{error}");
    };
    write("typo.gatling.js", &format!("{head}const s = scenario('s').exce();\n{tail}"));
    fails("typo.gatling.js", 65, "typo.gatling.js:3:");
    let missing = "http('x').get('http://x/').body(ElFileBody('no.json'))";
    let script = format!("{head}const s = scenario('s').exec({missing});\n{tail}");
    write("body.gatling.js", &script);
    fails("body.gatling.js", 66, "Resource no.json not found");
    let script = format!(
        "{head}const s = scenario('s').exec(feed(csv('users.csv')), http('x').get('http://x/'));\n\
         {tail}"
    );
    write("short.gatling.js", &script);
    fails("short.gatling.js", 1, "csv(users.csv) has 1 records in queue order");
    fails("nothing.gatling.js", 66, "nothing.gatling.js");
    let json = onrush(folder.path(), &["check", "typo.gatling.js", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["problems"][0]["line"], 3);
}

/// Times, dates and the target's port differ from run to run.
fn steady(text: &str, url: &str) -> String {
    let host = url.trim_start_matches("http://");
    let text = text.replace(url, PLACE).replace(host, PLACE.trim_start_matches("http://"));
    let steady = |line: &str| match line {
        line if line.contains("< date: ") => "  < date: (now)".to_owned(),
        line if line.starts_with("  < ") && line.contains("  in ") => {
            line.split("  in ").next().unwrap_or_default().to_owned() + "  in (time)"
        }
        line if line.starts_with("  group ") => {
            line.split(" in ").next().unwrap_or_default().to_owned() + " in (time)"
        }
        line => line.to_owned(),
    };
    text.lines().map(steady).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn debug_shows_requests_responses_session_and_checks_without_secrets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let simulations = repository().join("tests/simulations");
    let url = format!("target={}", target.url());
    let arguments = ["debug", "shop.gatling.js", &url, "--seed-rng", "11", "--body-max", "300"];
    let shown = ok(&onrush(&simulations, &arguments));
    equals_golden("debug-shop.txt", &steady(&shown, &target.url()));
    let all = [&arguments[..], &["--show-secrets"]].concat();
    let open = ok(&onrush(&simulations, &all));
    assert!(shown.contains("****") && !open.contains("****"), "{open}");
    let json = ok(&onrush(&simulations, &[&arguments[..], &["--json"]].concat()));
    let events = json.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let sent = events.filter(|event| event["event"] == "exchange").count();
    assert_eq!(shown.matches("\n  > GET ").count() + shown.matches("\n  > POST ").count(), sent);
}

#[test]
fn debug_ends_endless_loops_and_fails_with_the_user() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let script = format!(
        "import {{ atOnceUsers, forever, scenario, simulation }} from '@gatling.io/core';\n\
         import {{ http, status }} from '@gatling.io/http';\n\
         const s = scenario('s').exec(forever().on(\n\
         http('x').get('{}/status/503').check(status().is(200))));\n\
         export default simulation((setUp) => setUp(s.injectOpen(atOnceUsers(3))));\n",
        target.url()
    );
    std::fs::write(folder.path().join("loop.gatling.js"), script).expect("a file");
    let output = onrush(folder.path(), &["debug", "loop.gatling.js", "--requests-max", "3"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.matches("✗ status.find.is(200), found 503").count(), 3, "{text}");
    assert!(text.contains("was ended after 3 requests"), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "3 requests, 3 failed\n");
}

#[test]
fn a_new_project_runs_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (flag, file) in [("--ts", "src/example.gatling.ts"), ("--js", "src/example.gatling.js")] {
        let name = flag.trim_start_matches('-');
        ok(&onrush(folder.path(), &["new", name, flag]));
        let project = folder.path().join(name);
        let package = std::fs::read(project.join("package.json")).expect("package.json");
        let package: Value = serde_json::from_slice(&package).expect("JSON");
        assert_eq!((&package["name"], &package["private"]), (&name.into(), &true.into()));
        let checked = ok(&onrush(&project, &["check", file]));
        assert!(checked.ends_with("Problems: none\n"), "{checked}");
        ok(&onrush(&project, &["run", file, "duration=1", "--results", "results"]));
        let target = Target::start(folder.path());
        let target = format!("target={}", target.url());
        let debugged = stdout(&onrush(&project, &["debug", file, &target]));
        assert!(debugged.contains("\nHome\n  > GET http://127.0.0.1:"), "{debugged}");
    }
    let again = onrush(folder.path(), &["new", "ts"]);
    assert_eq!(again.status.code(), Some(64));
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(error, "onrush: ts is not empty; name a folder that is, or a new one\n");
}

#[test]
fn what_is_converted_is_golden_loads_and_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = Target::start(folder.path());
    let inputs =
        [("curl", "shop.curl"), ("har", "shop.har"), ("postman", "shop.postman_collection.json")];
    for (kind, input) in inputs {
        let text = std::fs::read_to_string(golden_folder().join(input)).expect("the input");
        let text = text.replace(PLACE, &target.url());
        let own = folder.path().join(kind);
        std::fs::create_dir(&own).expect("a folder");
        std::fs::write(own.join(input), text).expect("the input is written");
        ok(&onrush(&own, &["convert", kind, input]));
        let made = std::fs::read_to_string(own.join("shop.gatling.js")).expect("a simulation");
        equals_golden(&format!("from-{kind}.gatling.js"), &made.replace(&target.url(), PLACE));
        let checked = ok(&onrush(&own, &["check", "shop.gatling.js"]));
        assert!(checked.ends_with("Problems: none\n"), "{checked}");
        let before = target.rest().get("/__counts").expect("counts")["total"].as_u64();
        let debugged = ok(&onrush(&own, &["debug", "shop.gatling.js", "password=x"]));
        let after = target.rest().get("/__counts").expect("counts")["total"].as_u64();
        let sent = debugged.lines().filter(|line| is_head(line)).count() as u64;
        assert_eq!(after, before.map(|before| before + sent), "{debugged}");
        let again = onrush(&own, &["convert", kind, input]);
        assert_eq!(again.status.code(), Some(64), "what is there stays");
    }
}

/// `  > GET http://…`
fn is_head(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.len() == 3 && words[0] == ">" && !words[1].ends_with(':') && words[2].contains("://")
}

#[test]
fn what_cannot_be_converted_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("x"), "{\"a\": 1}").expect("a file");
    for (kind, words) in [
        ("har", "x: not a HAR: missing field `log` at line 1 column 8"),
        ("postman", "x: not a Postman collection: missing field `info` at line 1 column 8"),
        ("curl", "x: line 1: not a curl command: {\"a\": 1}"),
    ] {
        let output = onrush(folder.path(), &["convert", kind, "x"]);
        assert_eq!(output.status.code(), Some(65));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(onrush(folder.path(), &["convert", "har", "y"]).status.code(), Some(66));
}

//! Loading as a whole: golden graphs of the example simulations, bad input with its exact words,
//! and what script functions see and give.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::expr::{HookArgs, HookOutcome, Hooks as _};
use crate::session::Session;
use crate::shard::ProblemKind;
use crate::value::Value;

mod bad_input;
mod functions;
mod modules;
mod packages;
mod sdk;
mod typescript;

#[derive(Default)]
struct Recorder(RefCell<Vec<String>>);

impl Console for Recorder {
    fn line(&self, stream: OutputStream, line: &str) {
        let mark = if stream == OutputStream::Stdout { "out" } else { "err" };
        self.0.borrow_mut().push(format!("{mark}: {line}"));
    }
}

fn quiet() -> Rc<dyn Console> {
    Rc::new(SilentConsole)
}

fn try_load(files: &[(&str, &str)], options: &LoadOptions) -> Result<Loaded, Problem> {
    let mut sources = MemorySources::default();
    for (path, content) in files {
        sources = sources.with(path, content.as_bytes().to_vec());
    }
    load(&sources.shared(), files[0].0, options, quiet())
}

/// A whole simulation around `body`, with everything imported.
fn around(body: &str) -> String {
    format!(
        "import * as core from '@gatling.io/core';\nimport * as pkg from '@gatling.io/http';\n\
         const {{ scenario, simulation, exec, atOnceUsers, pause }} = core;\n\
         const {{ http, status }} = pkg;\n{body}\n\
         export default simulation((setUp) => setUp(\n\
         scenario('s').exec(chain).injectOpen(atOnceUsers(1))));\n"
    )
}

fn graph(body: &str) -> serde_json::Value {
    let loaded = try_load(&[("sim.js", &around(body))], &LoadOptions::default()).unwrap();
    serde_json::to_value(&loaded.simulation).unwrap()
}

fn steps(body: &str) -> serde_json::Value {
    graph(body)["populations"][0]["scenario"]["steps"].clone()
}

fn problem(source: &str) -> Problem {
    problem_of(&[("sim.js", source)])
}

fn problem_of(files: &[(&str, &str)]) -> Problem {
    try_load(files, &LoadOptions::default()).expect_err("the script is bad")
}

/// A host whose function 0 is `lambda`.
fn lambda(lambda: &str) -> ScriptHost {
    let body = format!("const chain = exec({lambda});");
    try_load(&[("sim.js", &around(&body))], &LoadOptions::default()).unwrap().host
}

fn session() -> Session {
    let mut session = Session::new("s".into(), 7);
    session.set("i", Value::Int(41));
    session.set("list", Value::list(vec!["a".into(), "b".into()]));
    session.set("map", serde_json::from_str(r#"{"k":"v","n":{"x":[1,2.5]}}"#).unwrap());
    session
}

fn run(source: &str) -> Result<Session, String> {
    match lambda(source).call(0, &session(), HookArgs::Session)? {
        HookOutcome::Session(session) => Ok(session),
        HookOutcome::Value(value) => Err(format!("value {value}")),
    }
}

/// Function `id` of a host, called with a session; what it gave must be a session.
fn changed(host: &mut ScriptHost, id: u32) -> Session {
    let outcome = host.call(id, &session(), HookArgs::Session).unwrap();
    let HookOutcome::Session(after) = outcome else {
        unreachable!("not a session: {outcome:?}");
    };
    after
}

/// What `source`, an expression over `s`, leaves in the session.
fn value_of(source: &str) -> Value {
    let changed = run(&format!("s => s.set('out', {source})")).unwrap();
    changed.get("out").unwrap().clone()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

/// Folder and file of each simulation that is kept in the repository.
fn examples() -> Vec<(PathBuf, String)> {
    let folders = ["simulations", "simulations/large"].map(|it| root().join(it));
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.contains(".gatling.") {
                found.push((folder.clone(), name));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn example_simulations_give_their_golden_graphs() {
    let examples = examples();
    let target = "http://127.0.0.1:7480".to_owned();
    let parameters = [("target".to_owned(), target)].into_iter().collect();
    let options =
        LoadOptions { parameters, unix_ms: Some(1_764_000_000_000), ..LoadOptions::default() };
    for (folder, name) in &examples {
        let sources: Arc<dyn Sources> = Arc::new(DirSources::new(folder.clone()));
        let loaded = load(&sources, name, &options, quiet()).unwrap();
        let found = serde_json::to_string_pretty(&loaded.simulation).unwrap() + "\n";
        let golden = root().join("golden/ir").join(format!("{name}.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(
            found == expected,
            "{name} differs from {golden:?}; UPDATE_GOLDEN=1 accepts:\n{found}"
        );
    }
    let kept = std::fs::read_dir(root().join("golden/ir")).unwrap().count();
    assert_eq!((kept, examples.len()), (11, 11), "one graph for each simulation");
}

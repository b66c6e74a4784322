//! The surface of Gatling's SDK, held against the packages' typings: `tests/gatling/names.txt` has
//! their names, `docs/gatling-parity.md` a row for each, and `tests/gatling/examples.txt` an example
//! that uses each and what came of it; those of the http package are in `http`. `UPDATE_GOLDEN=1`
//! writes the outcomes anew.

mod http;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use super::{Event, run_local};
use crate::protocol::http::test_server::{Reply, Seen, Server};
use crate::shard::{EndReason, OutputStream, ShardSpec};
use crate::stats::aggregate::Aggregate;
use crate::stats::frame::Frame;
use crate::stats::summarize::Context;

const OUTCOME: &str = "---";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// `core pause`, `http Http.get`.
fn names() -> BTreeSet<String> {
    let text = read("tests/gatling/names.txt");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Name → status and what is said of it, from the table in the documents.
fn rows() -> BTreeMap<String, (String, String)> {
    let text = read("docs/gatling-parity.md");
    let mut rows = BTreeMap::new();
    let mut package = "";
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## @gatling.io/") {
            package = title.split(' ').next().unwrap();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, status, how, _] = cells[..] else { continue };
        if let Some(name) = name.strip_prefix('`').and_then(|it| it.strip_suffix('`')) {
            let before = rows.insert(format!("{package} {name}"), (status.into(), how.into()));
            assert!(before.is_none(), "{package} {name} has two rows");
        }
    }
    rows
}

struct Example {
    title: String,
    names: Vec<String>,
    code: String,
    outcome: String,
}

/// Sections `=== title: names`, code, `---`, outcome. Names are of `package`, or `other:name`.
fn examples_of(path: &str, package: &str) -> Vec<Example> {
    let text = format!("\n{}", read(path));
    let sections = text.split("\n=== ").skip(1);
    sections
        .map(|section| {
            let section = format!("{section}\n");
            let (head, rest) = section.split_once('\n').unwrap();
            let (title, names) = head.split_once(": ").unwrap_or((head, ""));
            let (code, outcome) = rest.split_once(&format!("{OUTCOME}\n")).unwrap_or((rest, ""));
            let full = |name: &str| {
                let (package, name) = name.split_once(':').unwrap_or((package, name));
                format!("{package} {name}")
            };
            Example {
                title: title.to_owned(),
                names: names.split_whitespace().map(full).collect(),
                code: format!("{}\n", code.trim_end()),
                outcome: format!("{}\n", outcome.trim_end()),
            }
        })
        .collect()
}

fn examples() -> Vec<Example> {
    examples_of("tests/gatling/examples.txt", "core")
}

/// Runs the examples of a file and compares what came of them, or writes it there.
fn hold(path: &str, package: &str, outcome_of: impl Fn(&str, &str) -> String) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut written = String::new();
    for example in examples_of(path, package) {
        let found = outcome_of(&example.title, &example.code);
        let Example { title, code, outcome, .. } = &example;
        if update {
            let own = format!("{package} ");
            let short = |name: &String| match name.strip_prefix(&own) {
                Some(name) => name.to_owned(),
                None => name.replacen(' ', ":", 1),
            };
            let names: Vec<String> = example.names.iter().map(short).collect();
            let list =
                if names.is_empty() { String::new() } else { format!(": {}", names.join(" ")) };
            written.push_str(&format!("=== {title}{list}\n{code}{OUTCOME}\n{found}"));
        } else {
            assert!(
                found == *outcome,
                "{path}: {title}\n{code}\nfound:\n{found}\nexpected:\n{outcome}"
            );
        }
    }
    if update {
        std::fs::write(repository().join(path), written).unwrap();
    }
}

#[test]
fn every_name_of_the_typings_has_a_row_and_every_row_is_a_name() {
    let (names, rows) = (names(), rows());
    let missing: Vec<_> = names.iter().filter(|name| !rows.contains_key(*name)).collect();
    assert!(missing.is_empty(), "no row in docs/gatling-parity.md for {missing:?}");
    let unknown: Vec<_> = rows.keys().filter(|name| !names.contains(*name)).collect();
    assert!(unknown.is_empty(), "rows of names that the typings do not have: {unknown:?}");
    for (name, (status, how)) in &rows {
        assert!(
            ["supported", "differs", "refused"].contains(&status.as_str()),
            "{name} is {status:?}"
        );
        assert!(status == "supported" || !how.is_empty(), "{name} is {status}: say how or why");
    }
}

#[test]
fn every_row_of_core_that_is_not_refused_has_an_example() {
    let shown = examples().into_iter().flat_map(|it| it.names).collect();
    every_row_is_shown("core", &shown);
}

fn every_row_is_shown(package: &str, shown: &BTreeSet<String>) {
    let rows = rows();
    let package = format!("{package} ");
    let without: Vec<_> = rows
        .iter()
        .filter(|(name, (status, _))| name.starts_with(&package) && status != "refused")
        .map(|(name, _)| name)
        .filter(|name| !shown.contains(*name))
        .collect();
    assert!(without.is_empty(), "no example of {without:?}");
    let unknown: Vec<_> = shown.iter().filter(|name| !rows.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "examples of names that have no row: {unknown:?}");
}

#[test]
fn refused_names_of_core_fail_when_loaded_with_their_reason_and_place() {
    for (name, (_, how)) in rows().iter().filter(|(_, (status, _))| status == "refused") {
        let Some(name) = name.strip_prefix("core ") else { continue };
        let code = format!("\n\nconst chain = exec({name}());");
        let found = outcome_of(&code);
        let expected = format!("! {name} {how} (sim.js:");
        assert!(found.starts_with(&expected), "{found}\nwanted {expected}");
    }
}

#[test]
fn every_example_does_what_it_did() {
    hold("tests/gatling/examples.txt", "core", |_, code| outcome_of(code));
}

/// `out` logs a text with expressions or what a function gives; `get` is a plain request.
const PRELUDE: &str = "\
const out = (f) => typeof f !== 'string' ? exec((s) => { console.log(String(f(s))); return s; })
  : setInSession(f, 'shown').exec((s) => { console.log(String(s.get('shown'))); return s.remove('shown'); });
const get = (path) => http(path).get(BASE + path);
";

fn script(code: &str, base: &str) -> String {
    let head = "import * as core from '@gatling.io/core'; import * as pkg from '@gatling.io/http'; \
        import './globals.js'; Object.assign(globalThis, core, pkg);";
    let tail = if code.contains("export default") {
        ""
    } else {
        "export default simulation((setUp) => setUp(scenario('s').exec(chain)\
         .injectOpen(atOnceUsers(1))));\n"
    };
    format!("{head}\nconst BASE = '{base}';\n{PRELUDE}{code}{tail}")
}

fn answer(seen: &Seen, _: usize) -> Reply {
    let json = r#"{"a":1,"i":3,"d":1.5,"b":true,"s":"text","l":[1,"x"],"m":{"k":[2]},"nil":null}"#;
    match seen.target.split('/').next_back().unwrap_or_default() {
        "text" => Reply::with(200, &["X-Test: v1"], "hello world"),
        "json" => Reply::with(200, &["content-type: application/json"], json),
        "jsonp" => Reply::with(200, &[], r#"cb({"a":{"b":[1,2]}});"#),
        "feeder" => Reply::with(200, &[], r#"[{"a":"fetched","b":1}]"#),
        "xml" => Reply::with(
            200,
            &["content-type: application/xml"],
            r#"<r xmlns:n="urn:n"><i id="1">one</i><i id="2">two &amp; <b>x</b></i><n:j>ns</n:j></r>"#,
        ),
        "html" => Reply::with(
            200,
            &["content-type: text/html"],
            r#"<a href="/x"> first </a><a href="/y">second</a><form><input type="hidden" name="t"
            value="v"></form><form><input type="text" name="o" value="2"></form>"#,
        ),
        "echo" => Reply::with(200, &[], &seen.body),
        _ => Reply::with(404, &[], ""),
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let resources = folder.path().join("resources");
    std::fs::create_dir(&resources).unwrap();
    let csv = b"a,b\n1,x\n2,y\n";
    let json = br#"[{"a":"j1","b":[1]},{"a":"j2","b":{"k":null}}]"#;
    for (name, content) in [
        ("u.csv", csv.to_vec()),
        ("u.tsv", b"a\tb\n3\tz\n".to_vec()),
        ("u.ssv", b"a;b\n4;w\n".to_vec()),
        ("u.hash", b"a#b\n5#v\n".to_vec()),
        ("u.csv.gz", gzip(csv)),
        ("u.json", json.to_vec()),
        ("u.json.gz", gzip(json)),
        ("body.txt", b"file #{v}".to_vec()),
        ("map.xml", b"<urlset><url><loc>http://a/1</loc></url></urlset>".to_vec()),
        ("body.peb", b"pebble {{ v | upper }}".to_vec()),
        ("latin.txt", b"\xe9".to_vec()),
    ] {
        std::fs::write(resources.join(name), content).unwrap();
    }
    folder
}

/// What a simulation logs, how it ends, what it counts and which assertions hold, as lines.
fn outcome_of(code: &str) -> String {
    outcome_at(&Server::start(answer), code).concat()
}

pub(crate) fn outcome_at(server: &Server, code: &str) -> Vec<String> {
    let folder = folder();
    let root = folder.path();
    std::fs::write(root.join("sim.js"), script(code, &server.base())).unwrap();
    std::fs::write(root.join("globals.js"), "").unwrap();
    let spec = ShardSpec {
        job: "j".to_owned(),
        shard: 0,
        epoch: 1,
        segments_total: 720,
        segments: (0..720).collect(),
        threads: 1,
        seed: 7,
        root: root.to_owned(),
        simulation: "sim.js".to_owned(),
        parameters: BTreeMap::from([("p".to_owned(), "given".to_owned())]),
        environment: BTreeMap::from([("E".to_owned(), "env".to_owned())]),
        unix_ms: None,
        record_arrivals: None,
        max_duration_us: None,
        leased: false,
        ..ShardSpec::default()
    };
    let (_control, orders) = mpsc::channel();
    let (mut lines, mut frames, mut plan) = (Vec::<String>::new(), Vec::<Frame>::new(), None);
    let end = run_local(&spec, &orders, &mut |event| match event {
        Event::Ready(ready) => plan = Some(ready),
        Event::Alive | Event::Yielded(_) | Event::Load(_) => {}
        Event::Surplus(_) | Event::HeldBack(_) => {}
        Event::Frame(frame) => frames.push(*frame),
        Event::Output { stream: OutputStream::Stdout, line } => lines.push(line),
        Event::Output { .. } => {}
    });
    match end {
        Ok(EndReason::Completed) => {}
        Ok(other) => lines.push(format!("! {other:?}")),
        Err(problem) => {
            let place = problem.file.as_ref().zip(problem.line);
            let place = place.map(|(file, line)| format!(" ({file}:{line})"));
            lines.push(format!("! {}{}", problem.message, place.unwrap_or_default()));
        }
    }
    if let Some(plan) = plan {
        let mut aggregate = Aggregate::new();
        aggregate.apply_frames(frames);
        lines.extend(counted(&aggregate, &plan.assertions));
    }
    lines.iter().map(|line| line.replace(&server.base(), "BASE") + "\n").collect()
}

/// Counts, errors by text, and whether each assertion holds; nothing that depends on the moment.
fn counted(aggregate: &Aggregate, assertions: &serde_json::Value) -> Vec<String> {
    let assertions: Vec<_> = serde_json::from_value(assertions.clone()).unwrap();
    let context = Context { assertions: &assertions, judge: true, ..Context::default() };
    let summary = aggregate.summary(context);
    let totals = aggregate.totals();
    let mut errors: Vec<String> = summary
        .errors
        .iter()
        .map(|error| format!("- {} x{}", error.message, error.count))
        .collect();
    errors.sort();
    let (ok, ko, users) = (totals.requests_ok, totals.requests_ko, totals.users_started);
    let mut lines = vec![format!("= {ok} OK, {ko} KO, {users} users")];
    lines.append(&mut errors);
    lines.extend(
        summary
            .assertions
            .iter()
            .map(|it| format!("? {}: {} {} : {}", it.path, it.target, it.condition, it.passed)),
    );
    lines
}

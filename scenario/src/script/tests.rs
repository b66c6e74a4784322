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
    match try_load(&[("sim.js", &around(body))], &LoadOptions::default()) {
        Ok(loaded) => serde_json::to_value(&loaded.simulation).unwrap(),
        Err(problem) => panic!("{problem:#?}"),
    }
}

fn steps(body: &str) -> serde_json::Value {
    graph(body)["populations"][0]["scenario"]["steps"].clone()
}

fn problem(source: &str) -> Problem {
    problem_of(&[("sim.js", source)])
}

fn problem_of(files: &[(&str, &str)]) -> Problem {
    match try_load(files, &LoadOptions::default()) {
        Ok(_) => panic!("loaded: {}", files[0].1),
        Err(problem) => problem,
    }
}

/// A host whose function 0 is `lambda`.
fn lambda(lambda: &str) -> ScriptHost {
    let body = format!("const chain = exec({lambda});");
    match try_load(&[("sim.js", &around(&body))], &LoadOptions::default()) {
        Ok(loaded) => loaded.host,
        Err(problem) => panic!("{problem:#?}"),
    }
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

/// What `source`, an expression over `s`, leaves in the session.
fn value_of(source: &str) -> Value {
    let changed = run(&format!("s => s.set('out', {source})")).unwrap();
    changed.get("out").unwrap().clone()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

#[test]
fn example_simulations_give_their_golden_graphs() {
    for name in ["shop.gatling.js", "shop.gatling.ts"] {
        let sources: Arc<dyn Sources> = Arc::new(DirSources::new(root().join("simulations")));
        let loaded = load(&sources, name, &LoadOptions::default(), quiet());
        let loaded = loaded.unwrap_or_else(|problem| panic!("{name}: {problem:#?}"));
        let found = serde_json::to_string_pretty(&loaded.simulation).unwrap() + "\n";
        let golden = root().join("golden/ir").join(format!("{name}.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        assert!(
            found == expected,
            "{name} differs from {golden:?}; UPDATE_GOLDEN=1 accepts:\n{found}"
        );
    }
}

// ---- what the SDK writes -----------------------------------------------------------------------

#[test]
fn steps_of_every_kind() {
    for (body, expected) in [
        ("pause(1)", r#"[{"step":"pause","duration":{"lit":1}}]"#),
        (
            "pause({amount: 500, unit: 'milliseconds'}, 2, 'Exponential')",
            r#"[{"step":"pause","duration":{"lit":0.5},"max":{"lit":2},"kind":{"type":"exponential"}}]"#,
        ),
        ("pause('#{d}')", r##"[{"step":"pause","duration":{"el":"#{d}"}}]"##),
        (
            "core.pace('#{a}', '#{b}')",
            r##"[{"step":"pace","duration":{"el":"#{a}"},"counter":"#{b}"}]"##,
        ),
        (
            "core.repeat(3, 'n').on(pause(1))",
            r#"[{"step":"repeat","times":{"lit":3},"counter":"n","body":[{"step":"pause","duration":{"lit":1}}]}]"#,
        ),
        (
            "core.during(10, 'n', false).on(pause(1))",
            r#"[{"step":"loop","name":"during","duration":{"lit":10},"counter":"n","exit_asap":false,"check_first":true,"body":[{"step":"pause","duration":{"lit":1}}]}]"#,
        ),
        (
            "core.doWhileDuring('#{go}', 5).on(core.exitHere())",
            r##"[{"step":"loop","name":"doWhileDuring","condition":{"el":"#{go}"},"duration":{"lit":5},"exit_asap":false,"check_first":false,"body":[{"step":"exit_here"}]}]"##,
        ),
        (
            "core.doIfEqualsOrElse('#{a}', 1).then(core.exitHere()).orElse(core.exitHereIfFailed())",
            r##"[{"step":"do_if_equals","actual":{"el":"#{a}"},"expected":{"lit":1},"then":[{"step":"exit_here"}],"or_else":[{"step":"exit_here_if_failed"}]}]"##,
        ),
        (
            "core.randomSwitchOrElse().on(core.percent(60).then(core.exitHere())).orElse(core.rendezVous(2))",
            r#"[{"step":"random_switch","cases":[{"percent":60.0,"then":[{"step":"exit_here"}]}],"or_else":[{"step":"rendez_vous","users":2}]}]"#,
        ),
        (
            "core.exitBlockOnFail().on(exec(s => s))",
            r#"[{"step":"try_max","times":{"lit":1},"body":[{"step":"hook","function":0}]}]"#,
        ),
        (
            "core.dummy('d', 5).withSuccess(false)",
            r#"[{"step":"dummy","name":{"lit":"d"},"response_time_ms":{"lit":5},"success":{"lit":false}}]"#,
        ),
        (
            "core.stopLoadGeneratorIf('m', '#{x}')",
            r##"[{"step":"stop_load_generator","message":{"lit":"m"},"condition":{"el":"#{x}"}}]"##,
        ),
    ] {
        let chain = format!("const chain = exec({body});");
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(steps(&chain), expected, "{body}");
    }
}

#[test]
fn chained_methods_are_the_functions() {
    let chained = steps("const chain = exec(core.exitHere()).pause(1).repeat(2).on(pause(3));");
    let nested =
        steps("const chain = exec(core.exitHere(), pause(1), core.repeat(2).on(pause(3)));");
    assert_eq!(chained, nested);
}

#[test]
fn builders_are_immutable() {
    let found = steps(
        "const base = http('a').get('/'); base.check(status().is(200)); base.header('X', 'y');
         const chain = exec(base);",
    );
    assert_eq!(found[0]["spec"].get("checks"), None);
    assert_eq!(found[0]["spec"].get("headers"), None);
}

#[test]
fn a_request_with_everything() {
    let found = steps(
        "const chain = exec(http('#{n}').post(s => '/x').queryParam('q', 1)
           .multivaluedQueryParam('m', ['a', 2]).queryParamMap({k: '#{v}'}).header('A', 'b')
           .asJson().formParam('f', '#{v}').formUpload('up', 'a.txt').silent().requestTimeout(2)
           .basicAuth('u', 'p').disableFollowRedirect().ignoreProtocolChecks()
           .check(core.regex('a(.)').captureGroups(2).findAll().transform(x => x).saveAs('r'),
                  core.css('a', 'href').count().gt(2), core.jmesPath('x').ofInt().isEL('#{i}'))
           .checkIf('#{c}').then(core.substring('z').notExists().name('zed'))
           .resources(http('r').get('/r')));",
    );
    let request: crate::protocol::http::spec::RequestSpec =
        serde_json::from_value(found[0]["spec"].clone()).unwrap();
    assert_eq!((request.query.len(), request.checks.len(), request.parts.len()), (3, 4, 1));
    assert_eq!(request.default_type.as_deref(), Some("application/json"));
    let checks = &found[0]["spec"]["checks"];
    assert_eq!(checks[0]["extractor"]["groups"], serde_json::json!({"count": 2}));
    assert_eq!(checks[0]["arity"], "find_all");
    assert_eq!(checks[0]["transforms"], serde_json::json!([{"function": 1}]));
    assert_eq!(checks[2]["validator"], serde_json::json!({"is": {"el": "#{i}"}}));
    assert_eq!(checks[3]["condition"], serde_json::json!({"el": "#{c}"}));
    assert_eq!(checks[3]["name"], "zed");
}

#[test]
fn profiles_throttles_and_assertions() {
    let source = "
import { scenario, simulation, exitHere, rampUsersPerSec, incrementUsersPerSec, nothingFor, global,
  details, forAll, reachRps, holdFor, jumpToRps, rampConcurrentUsers, stressPeakUsers } from '@gatling.io/core';
import { http } from '@gatling.io/http';
export default simulation(setUp => setUp(
  scenario('a').exec(exitHere()).injectOpen(nothingFor(1), rampUsersPerSec(1).to(2.5).during(3).randomized(),
    incrementUsersPerSec(1).times(2).eachLevelLasting(3).startingFrom(4).separatedByRampsLasting(5),
    stressPeakUsers(9).during({amount: 1, unit: 'minutes'}))
   .andThen(scenario('b').exec(exitHere()).injectClosed(rampConcurrentUsers(1).to(2).during(3))))
  .protocols(http.baseUrls('http://a', 'http://b').shareConnections()).maxDuration(60)
  .throttle(reachRps(10).in(2), holdFor(3), jumpToRps(4)).uniformPauses(2)
  .assertions(global().responseTime().percentile4().lt(5), forAll().failedRequests().count().in(0, 1),
    details('g', 'r').requestsPerSec().deviatesAround(9, 0.25), global().responseTime().mean().around(5, 1, false)));";
    let loaded = try_load(&[("x/p.gatling.js", source)], &LoadOptions::default());
    let found = serde_json::to_value(loaded.unwrap().simulation).unwrap();
    assert_eq!(found["name"], "p");
    let open = &found["populations"][0]["inject"]["open"];
    assert_eq!(open[1]["randomized"], true);
    assert_eq!(open[2]["ramp_us"], 5_000_000);
    assert_eq!(open[3]["duration_us"], 60_000_000);
    assert_eq!(found["populations"][0]["children"][0]["scenario"]["name"], "b");
    assert_eq!(found["pauses"]["plus_or_minus_us"], 2_000_000);
    assert_eq!(
        found["throttle"][0],
        serde_json::json!({"throttle":"reach","rps":10,"duration_us":2_000_000})
    );
    let between = serde_json::json!({"between": {"min": 7.0, "max": 11.0, "inclusive": true}});
    assert_eq!(found["assertions"][2]["condition"], between);
    assert_eq!(found["assertions"][0]["target"]["percentile_response_time"], 99.0);
}

#[test]
fn one_feeder_object_is_one_feeder() {
    let source = around(
        "const shared = core.csv('u.csv').circular();
         const chain = exec(core.feed(shared), core.feed(shared, 2), core.feed(core.csv('u.csv')),
           core.feed(core.arrayFeeder([{a: 1}]).random()));",
    );
    let files = [("sim.js", source.as_str()), ("resources/u.csv", "a\n1\n")];
    let simulation = try_load(&files, &LoadOptions::default()).unwrap().simulation;
    assert_eq!(simulation.feeders.len(), 3);
    let found = serde_json::to_value(&simulation).unwrap();
    let indices: Vec<_> = found["populations"][0]["scenario"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["feeder"].as_u64().unwrap())
        .collect();
    assert_eq!(indices, [0, 0, 1, 2]);
}

#[test]
fn every_graph_reads_back() {
    let first = graph("const chain = exec(http('a').get('/').check(status().is(200)), s => s);");
    let text = first.to_string();
    let again: crate::ir::Simulation = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), first);
}

#[test]
fn an_exported_graph_loads_and_one_with_functions_does_not() {
    let plain = graph("const chain = exec(pause(1));").to_string();
    assert!(try_load(&[("g.json", &plain)], &LoadOptions::default()).is_ok());
    let hooked = graph("const chain = exec(s => s);").to_string();
    let problem = problem_of(&[("g.json", &hooked)]);
    assert_eq!(problem.kind, ProblemKind::FileInvalid);
    assert!(problem.message.contains("refers to 1 script functions"), "{}", problem.message);
}

// ---- modules, parameters, determinism ----------------------------------------------------------

#[test]
fn modules_json_typescript_and_cycles() {
    let files = [
        (
            "src/sim.ts",
            "import { chain } from './lib/chain';\nimport data from './data.json';\n\
             import { scenario, simulation, atOnceUsers } from '@gatling.io/core';\n\
             import type { ScenarioBuilder } from '@gatling.io/core';\n\
             const s: ScenarioBuilder = scenario(data.name).exec(chain);\n\
             export default simulation((setUp) => { setUp(s.injectOpen(atOnceUsers(data.users))); });\n",
        ),
        (
            "src/lib/chain.ts",
            "import { pause } from '@gatling.io/core';\nimport { two } from '../two.js';\nexport const one = 1;\nexport const chain = pause(two() + one);\n",
        ),
        (
            "src/two.js",
            "import { one } from './lib/chain';\nexport const two = () => 2;\nexport const lazy = () => one;\n",
        ),
        ("src/data.json", "{\"name\": \"from json\", \"users\": 3}"),
    ];
    let simulation = try_load(&files, &LoadOptions::default()).unwrap().simulation;
    assert_eq!(simulation.name, "sim");
    assert_eq!(simulation.populations[0].scenario.name, "from json");
}

#[test]
fn typescript_constructs() {
    let source = "
import { scenario, simulation, atOnceUsers, pause, type Session } from '@gatling.io/core';
enum Speed { Slow = 3, Fast = 1 }
const enum Kind { A = 'a' }
class Shop<T extends string> { constructor(private readonly name: T, public delay: number) {} title(): T { return this.name; } }
interface Unused { x: number }
const shop = new Shop<string>('typed', Speed.Slow);
function id<T>(value: T): T { return value satisfies T; }
const f = (s: Session): Session => s.set('k', Kind.A as string)!;
export default simulation((setUp) => { setUp(scenario(id(shop.title())).exec(pause(shop.delay), f as any).injectOpen(atOnceUsers(1))); });
";
    let mut loaded = try_load(&[("sim.ts", source)], &LoadOptions::default()).unwrap();
    assert_eq!(loaded.simulation.populations[0].scenario.name, "typed");
    let HookOutcome::Session(after) = loaded.host.call(0, &session(), HookArgs::Session).unwrap()
    else {
        panic!("not a session");
    };
    assert_eq!(after.get("k"), Some(&Value::from("a")));
}

#[test]
fn errors_in_typescript_point_at_the_typescript() {
    let source = "interface A {\n  x: number\n}\n\ntype B = A;\nconst f = (a: B): number => {\n  throw new Error('deep');\n};\nf({ x: 1 });\n";
    let problem = problem_of(&[("sim.ts", source)]);
    assert_eq!(problem.message, "Error: deep");
    assert_eq!(problem.line, Some(7));
    assert!(problem.excerpt.unwrap().contains("throw new Error('deep');"));
    let problem = problem_of(&[("sim.ts", "const x: number = ;\n")]);
    assert!(problem.message.starts_with("SyntaxError: "), "{}", problem.message);
    assert_eq!((problem.line, problem.column), (Some(1), Some(19)));
}

#[test]
fn parameters_environment_and_java_system() {
    let mut options = LoadOptions::default();
    options.parameters.insert("rate".into(), "5".into());
    options.environment.insert("HOME".into(), "/h".into());
    let source = around(
        "const S = Java.type('java.lang.System');
         const all = [core.getParameter('rate'), core.getParameter('no', 'd'), String(core.getParameter('no')),
           core.getEnvironmentVariable('HOME'), S.getProperty('rate'), S.getenv('HOME'), S.getProperty('x', 'y')];
         const chain = exec(http(all.join(' ')).get('/'));",
    );
    let loaded = try_load(&[("sim.js", &source)], &options).unwrap();
    let found = serde_json::to_value(&loaded.simulation).unwrap();
    let name = &found["populations"][0]["scenario"]["steps"][0]["name"]["lit"];
    assert_eq!(name, "5 d undefined /h 5 /h y");
}

#[test]
fn evaluation_is_deterministic() {
    let source = around(
        "const chain = exec(http(`${Math.random()} ${Date.now()} ${new Date().toISOString()}`).get('/'));",
    );
    let options = LoadOptions { seed: 3, unix_ms: Some(1_000), ..LoadOptions::default() };
    let load = |options: &LoadOptions| {
        let loaded = try_load(&[("sim.js", &source)], options).unwrap();
        serde_json::to_string(&loaded.simulation).unwrap()
    };
    assert_eq!(load(&options), load(&options));
    assert!(load(&options).contains(" 1000 1970-01-01T00:00:01.000Z"));
    assert_ne!(load(&options), load(&LoadOptions { seed: 4, ..options.clone() }));
}

#[test]
fn the_console_is_heard_line_by_line() {
    let recorder = Rc::new(Recorder::default());
    let source = around(
        "console.log('a\\nb', {x: [1, 'y']}); console.error(new Error('e')); const chain = exec(s => { console.log(s); return s; });",
    );
    let sources = MemorySources::default().with("sim.js", source).shared();
    let console = Rc::clone(&recorder);
    let mut loaded = load(&sources, "sim.js", &LoadOptions::default(), console).unwrap();
    let mut plain = Session::new("s".into(), 1);
    plain.set("k", "v".into());
    loaded.host.call(0, &plain, HookArgs::Session).unwrap();
    let expected = [
        "out: a",
        "out: b { x: [1, \"y\"] }",
        "err: Error: e",
        "out: Session(s, 1, Map(k -> v), OK)",
    ];
    assert_eq!(*recorder.0.borrow(), expected);
}

#[test]
fn top_level_await_works() {
    let source = around("const n = await Promise.resolve(2); const chain = exec(pause(n));");
    assert!(try_load(&[("sim.js", &source)], &LoadOptions::default()).is_ok());
}

// ---- functions of the session ------------------------------------------------------------------

#[test]
fn sessions_are_immutable_and_answer_all_of_the_api() {
    let after = run("s => { const t = s.set('a', 1); if (s.contains('a') || !t.contains('a')) throw 1; return t.setAll({b: 'x', c: [1, {d: null}]}).remove('list').removeAll('map', 'i'); }").unwrap();
    assert_eq!(after.to_string(), "Session(s, 7, Map(a -> 1, b -> x, c -> [1, {d=null}]), OK)");
    assert!(run("s => s.markAsFailed()").unwrap().is_failed());
    assert!(!run("s => s.markAsFailed().markAsSucceeded()").unwrap().is_failed());
    assert_eq!(run("s => s.reset()").unwrap().to_string(), "Session(s, 7, Map(), OK)");
    for (source, expected) in [
        ("s.get('missing') === null", Value::Bool(true)),
        ("s.get('missing') + 1", Value::Int(1)),
        ("s.userId() + s.scenario()", "7s".into()),
        ("s.groups()", Value::list(vec![])),
        ("s.isFailed()", Value::Bool(false)),
        (
            "s.setByteArray('b', [1, 255, -1]).get('b')",
            Value::list(vec![Value::Int(1), Value::Int(255), Value::Int(255)]),
        ),
    ] {
        assert_eq!(value_of(source), expected, "{source}");
    }
}

#[test]
fn values_of_a_session_answer_javascript_and_host_idioms() {
    for (source, expected) in [
        ("s.get('list')[1] + s.get('list').length", Value::from("b2")),
        ("s.get('list').get(0) + s.get('list').size()", "a2".into()),
        ("s.get('list').map(x => x + x).join()", "aa,bb".into()),
        ("Array.isArray(s.get('list'))", Value::Bool(true)),
        ("JSON.stringify(s.get('list'))", r#"["a","b"]"#.into()),
        ("s.get('map').k + s.get('map').get('k')", "vv".into()),
        ("s.get('map').get('absent')", Value::Null),
        ("s.get('map').n.x.get(1)", Value::Double(2.5)),
        ("Object.keys(s.get('map')).join() + s.get('map').size()", "k,n2".into()),
        ("JSON.stringify(s.get('map'))", r#"{"k":"v","n":{"x":[1,2.5]}}"#.into()),
    ] {
        assert_eq!(value_of(source), expected, "{source}");
    }
}

#[test]
fn values_come_back_faithfully() {
    for (source, expected) in [
        ("undefined", Value::Null),
        ("2 ** 31", Value::Int(1 << 31)),
        ("1700000000000", Value::Int(1_700_000_000_000)),
        ("0.5", Value::Double(0.5)),
        ("2 ** 60", Value::Double(2f64.powi(60))),
        ("12n", Value::Int(12)),
        ("new Date(0)", "1970-01-01T00:00:00.000Z".into()),
        ("new Set(['a'])", Value::list(vec!["a".into()])),
        ("new Uint8Array([7])", Value::list(vec![Value::Int(7)])),
        (
            "[new Map([['a', 1]]).size, 'é\u{1F600}']",
            Value::list(vec![Value::Int(1), "é\u{1F600}".into()]),
        ),
    ] {
        assert_eq!(value_of(source), expected, "{source}");
    }
}

#[test]
fn what_a_function_throws_is_its_text() {
    for (source, expected) in [
        ("s => { throw new Error('boom'); }", "Error: boom"),
        ("s => nowhere", "ReferenceError: nowhere is not defined"),
        ("s => { throw undefined; }", "uncaught undefined"),
        ("s => s.set('f', () => 1)", "TypeError: a function is no value a session can hold"),
        (
            "s => { const a = []; a.push(a); return s.set('a', a); }",
            "RangeError: the value is nested too deeply or refers to itself",
        ),
        ("async s => { throw new Error('late'); }", "Error: late"),
    ] {
        assert_eq!(run(source).unwrap_err(), expected, "{source}");
    }
    // The host goes on after any of them.
    assert!(run("async s => s.set('ok', 1)").unwrap().contains("ok"));
}

#[test]
fn arguments_of_each_shape() {
    let mut host = lambda("s => s, (a, b) => 0");
    assert!(host.call(9, &session(), HookArgs::Session).is_err());
    let mut call = |source: &str, args: HookArgs<'_>| {
        host = lambda(source);
        match host.call(0, &session(), args).unwrap() {
            HookOutcome::Value(value) => value,
            HookOutcome::Session(_) => Value::Null,
        }
    };
    let five = Value::Int(5);
    assert_eq!(call("x => x * 2", HookArgs::Value(&five)), Value::Int(10));
    assert_eq!(call("(x, s) => x + s.get('i')", HookArgs::ValueAndSession(&five)), Value::Int(46));
    assert_eq!(call("(k, v) => k + v", HookArgs::NameAndValue("n", &five)), "n5".into());
    assert_eq!(call("s => s.get('i') > 0", HookArgs::Session), Value::Bool(true));
}

#[test]
fn bodies_are_functions_of_the_session() {
    let source = around(
        "const a = core.StringBody('i=#{i}'); const b = core.ElFileBody('x.txt');
         const chain = exec(s => s.set('a', a(s)).set('b', b(s)), http('x').get('/').check(core.bodyString().is(b)));",
    );
    let files = [("sim.js", source.as_str()), ("resources/x.txt", "file #{map.k}")];
    let mut host = try_load(&files, &LoadOptions::default()).unwrap().host;
    // Function 0 is the body itself, given to `is` before `exec` saw its arguments.
    let expected = host.call(0, &session(), HookArgs::Session).unwrap();
    assert!(matches!(expected, HookOutcome::Value(text) if text == Value::from("file v")));
    let HookOutcome::Session(after) = host.call(1, &session(), HookArgs::Session).unwrap() else {
        panic!("not a session");
    };
    assert_eq!(after.get("a"), Some(&Value::from("i=41")));
    assert_eq!(after.get("b"), Some(&Value::from("file v")));
}

#[test]
fn a_function_that_never_ends_is_stopped_with_its_place() {
    let limits = Limits { call: Duration::from_millis(50), ..Limits::default() };
    let options = LoadOptions { limits, ..LoadOptions::default() };
    let source =
        around("const chain = exec(\n  (s) => { for (;;) { try { for (;;) {} } catch {} } });");
    let mut host = try_load(&[("sim.js", &source)], &options).unwrap().host;
    let error = host.call(0, &session(), HookArgs::Session).unwrap_err();
    assert_eq!(error, "function at sim.js:6:3 ran longer than 0.05 s and was stopped");
}

#[test]
fn a_session_kept_beyond_its_call_does_no_harm() {
    let mut host = lambda(
        "s => { globalThis.kept = globalThis.kept ?? s.set('x', s.get('list')); return globalThis.kept; }",
    );
    for _ in 0..2 {
        host.call(0, &session(), HookArgs::Session).unwrap();
    }
    drop(host);
}

// ---- bad input ---------------------------------------------------------------------------------

/// Each message in full, with its place.
#[test]
fn bad_scripts_say_what_and_where() {
    let simulation =
        "import { simulation, scenario, exec, pause, atOnceUsers } from '@gatling.io/core';\n";
    for (source, message, line, column) in [
        ("const x = ;", "SyntaxError: unexpected token in expression: ';'", Some(1), None),
        ("\nfoo();", "ReferenceError: foo is not defined", Some(2), Some(1)),
        (
            "export const a = 1;",
            "sim.js has no default export (found: a); expected: export default simulation((setUp) => { ... })",
            None,
            None,
        ),
        (
            "export default 5;",
            "the default export of sim.js is 5, not a simulation; expected: export default simulation((setUp) => { ... })",
            None,
            None,
        ),
        (
            "import fs from 'fs';",
            "import \"fs\" is not available in Onrush; allowed are \"@gatling.io/core\", \"@gatling.io/http\" and files of the project by relative path (\"./x.js\", \"../y.ts\", \"./data.json\")",
            Some(1),
            Some(16),
        ),
        (
            "import '../../etc/x.js';",
            "import \"../../etc/x.js\" leads outside the project",
            Some(1),
            Some(8),
        ),
        (
            "import './none.js';",
            "cannot find module \"./none.js\" (imported by sim.js)",
            Some(1),
            Some(8),
        ),
        (
            "import { nope } from '@gatling.io/core';",
            "SyntaxError: Could not find export 'nope' in module '@gatling.io/core'",
            Some(1),
            Some(10),
        ),
        (
            "fetch('http://x');",
            "fetch(...) is not available in Onrush: requests are sent by the scenario's http actions",
            Some(1),
            None,
        ),
        ("throw undefined;", "uncaught undefined", None, None),
        (
            "Promise.reject(new Error('lost'));",
            "unhandled promise rejection: Error: lost",
            Some(1),
            None,
        ),
        (
            "await new Promise(() => {});",
            "the promise never settles: a simulation has no timers and no network",
            None,
            None,
        ),
        (
            "const f = () => f(); f();",
            "RangeError: Maximum call stack size exceeded",
            Some(1),
            None,
        ),
    ] {
        let problem = problem(source);
        assert_eq!(problem.message, message, "{source}");
        assert_eq!(problem.line, line, "{source}: {problem:?}");
        if column.is_some() {
            assert_eq!(problem.column, column, "{source}");
        }
    }
    for (rest, message, column) in [
        (
            "export default simulation(() => { throw new Error('in setUp'); });",
            "Error: in setUp",
            None,
        ),
        (
            "export default simulation(() => {});",
            "No scenario configured, make sure to call setUp.",
            None,
        ),
        (
            "export default simulation((setUp) => { setUp(); });",
            "No scenario configured, make sure to call setUp.",
            Some(40),
        ),
        ("scenario('');", "Scenario name cannot be empty", Some(1)),
        (
            "export default simulation((setUp) => { setUp(scenario('x').injectOpen(atOnceUsers(1))); });",
            "Scenario x is empty",
            None,
        ),
        (
            "const p = scenario('x').exec(pause(1)).injectOpen(atOnceUsers(1)); export default simulation((setUp) => { setUp(p, p); });",
            "Scenario names must be unique but found duplicates: List(x)",
            None,
        ),
        (
            "const p = scenario('x').exec(pause(1)).injectOpen(atOnceUsers(1)); export default simulation((setUp) => { setUp(p); setUp(p); });",
            "Can only call setUp once",
            None,
        ),
        ("atOnceUsers(-1);", "atOnceUsers must be a whole number of at least 0, found -1", Some(1)),
        ("exec(pause('#{unclosed'));", "", None),
        ("exec(5);", "exec(...) takes actions, chains or session functions, found 5", Some(1)),
        ("exec(pause(1)).pauze(2);", "a chain has no method pauze(...)", None),
        (
            "pause(-1);",
            "the duration of pause must be a finite duration of at least 0, found -1",
            Some(1),
        ),
    ] {
        let problem = problem(&format!("{simulation}{rest}"));
        if message.is_empty() {
            assert!(problem.message.contains("#{unclosed"), "{rest}: {}", problem.message);
        } else {
            assert_eq!(problem.message, message, "{rest}");
        }
        if !rest.contains("() => {})") {
            assert_eq!(problem.line, Some(2), "{rest}: {problem:?}");
        }
        if column.is_some() {
            assert_eq!(problem.column, column, "{rest}");
        }
    }
}

#[test]
fn bad_use_of_the_sdk_is_refused_by_name() {
    for (call, message) in [
        ("core.csv('x.csv')", "Could not locate feeder file: Resource x.csv not found"),
        ("core.readResourceAsString('x')", "Resource x not found"),
        ("pkg.ws('a').connect('/')", "ws(...) is not supported yet"),
        ("pkg.ws.checkTextMessage('a')", "ws.checkTextMessage(...) is not supported yet"),
        ("pkg.sse('a')", "sse(...) is not supported yet"),
        ("core.xpath('//a')", "xpath(...) is not supported yet"),
        ("core.GlobalStore.put('a', 1)", "GlobalStore.put(...) is not supported yet"),
        ("http.enableHttp2()", "enableHttp2(...) is not supported yet"),
        ("http('a').get('/').digestAuth('u', 'p')", "digestAuth(...) is not supported yet"),
        ("http('a').get('/').foo()", "an http request has no method foo(...)"),
        (
            "http('a').foo('/')",
            "http(...) without a method such as .get(...) has no method foo(...)",
        ),
        (
            "exec(http('a'))",
            "exec(...) takes actions, chains or session functions, found http(...) without a method such as .get(...)",
        ),
        (
            "exec(core.repeat(3))",
            "exec(...) takes actions, chains or session functions, found repeat without .on(...)",
        ),
        ("http('a').get('/').header('a b', 'c')", "\"a b\" is no name of a header"),
        (
            "http('a').get('/').header('a', 'b\\r\\nc')",
            "the value of header a contains a line break",
        ),
        ("http('a').get('/').check(5)", "check(...) takes checks, found 5"),
        ("status().findAll()", "a check has no method findAll(...)"),
        (
            "core.randomSwitch().on(core.percent(60).then(pause(1)), core.percent(60).then(pause(1)))",
            "Weights sum 120.0 mustn't be bigger than 100%",
        ),
        (
            "core.constantUsersPerSec(1).during(0)",
            "can't inject a non 0 rate (1.0) for a 0 duration",
        ),
        (
            "core.constantUsersPerSec(Infinity)",
            "constantUsersPerSec must be a finite number of at least 0, found Infinity",
        ),
        ("core.rendezVous(0)", "rendezVous must be a whole number of at least 1, found 0"),
        (
            "core.global().responseTime().percentile(101).lt(1)",
            "percentile(...) must be from 0 to 100, found 101",
        ),
        (
            "scenario('x').injectOpen(core.rampUsers(3))",
            "injectOpen(...) takes open injection steps, found rampUsers without .during(...)",
        ),
        (
            "Java.type('java.util.Random')",
            "Java.type(\"java.util.Random\") is not available in Onrush: there is no JVM",
        ),
    ] {
        let problem = problem(&around(&format!("const chain = exec(pause(1));\n  {call};")));
        assert_eq!(problem.message, message, "{call}");
        assert_eq!((problem.file.as_deref(), problem.line), (Some("sim.js"), Some(6)), "{call}");
        assert!(problem.excerpt.as_ref().unwrap().contains('^'), "{call}: {problem:?}");
        let missing = message.contains("not found");
        assert_eq!(problem.kind == ProblemKind::FileMissing, missing, "{call}");
    }
}

#[test]
fn limits_of_time_memory_and_size() {
    let limits =
        Limits { load: Duration::from_secs(1), memory_bytes: 16 << 20, ..Limits::default() };
    let options = LoadOptions { limits, ..LoadOptions::default() };
    for (source, message) in [
        ("while (true) {}", "building the simulation took longer than 1 s"),
        (
            "for (;;) { try { for (;;) {} } catch {} }",
            "building the simulation took longer than 1 s",
        ),
        ("await 0; while (true) {}", "building the simulation took longer than 1 s"),
        (
            "const a = []; for (;;) a.push('x'.repeat(1 << 20) + a.length);",
            "the script used more than its limit of 16 MiB",
        ),
    ] {
        let Err(problem) = try_load(&[("sim.js", source)], &options) else {
            panic!("loaded: {source}");
        };
        assert_eq!(problem.message, message, "{source}");
        assert_eq!(problem.kind, ProblemKind::ScriptLimit, "{source}");
    }
    let many = around(
        "const chain = exec(...[1, 2].map(() => exec(...Array.from({length: 60000}, () => pause(1)))));",
    );
    let message = problem(&many).message;
    assert_eq!(message, "the simulation has more than 100000 steps");
}

#[test]
fn a_missing_module_names_the_chain() {
    let problem = problem_of(&[
        ("sim.js", "import './a.js';"),
        ("a.js", "import './lib/b.js';"),
        ("lib/b.js", "\nimport '../gone';"),
    ]);
    let expected = "cannot find module \"../gone\" (imported by lib/b.js, imported by a.js, imported by sim.js)";
    assert_eq!(problem.message, expected);
    assert_eq!((problem.file.as_deref(), problem.line), (Some("lib/b.js"), Some(2)));
    assert_eq!(problem.kind, ProblemKind::FileMissing);
    let problem = problem_of(&[("sim.js", "import './d.json';"), ("d.json", "{\n  x\n}")]);
    assert_eq!((problem.file.as_deref(), problem.line), (Some("d.json"), Some(2)));
    assert_eq!(problem.kind, ProblemKind::FileInvalid);
}

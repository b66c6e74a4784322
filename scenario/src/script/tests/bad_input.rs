//! Bad input: each message in full, with its place. Refuses nothing itself.

use super::*;

#[expect(clippy::too_many_lines, reason = "a table")]
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
            "import \"fs\" is not available in Onrush (sim.js); allowed are \"@gatling.io/core\", \"@gatling.io/http\", packages in node_modules, of Node's own modules assert, buffer, crypto, events, path, string_decoder, util, and files of the project by relative path (\"./x.js\", \"../y.ts\", \"./data.json\")",
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
        ("pkg.ws('a').close(70000)", "the code of close must be at most 4999, found 70000"),
        ("http.localAddress('eth0')", "localAddresses(...) takes IP addresses, found \"eth0\""),
        ("http.sign(1)", "sign takes (request, session) => request, found 1"),
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
        let problem = try_load(&[("sim.js", source)], &options).expect_err(source);
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

#[test]
fn patterns_that_do_not_compile_are_refused_where_they_are_written() {
    for check in [
        "core.regex('a(')",
        "core.regex('(?<name>a)(?<name>b)')",
        "core.css('div[')",
        "core.jsonPath('#{unclosed')",
    ] {
        let request = format!("http('a').get('/').check({check})");
        let problem = problem(&around(&format!("const chain = exec(\n{request});")));
        assert_eq!(problem.line, Some(6), "{check}: {problem:?}");
    }
}

//! The module graph, TypeScript, parameters, and evaluation that is the same everywhere.

use super::*;

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

/// TypeScript imports its own files by the names of their outputs.
#[test]
fn an_import_of_a_script_that_is_not_there_means_its_typescript() {
    let chain = |seconds: u32| {
        format!("import {{ pause }} from '@gatling.io/core'; export default pause({seconds});")
    };
    let (one, two, three) = (chain(1), chain(2), chain(3));
    let sim = "import { exec, scenario, simulation, atOnceUsers } from '@gatling.io/core';
        import a from './lib/typed.js'; import b from './lib/typed.mjs'; import c from './both.js';
        export default simulation((setUp) =>
          setUp(scenario('s').exec(a, b, c).injectOpen(atOnceUsers(1))));";
    let files = [
        ("sim.ts", sim),
        ("lib/typed.ts", &one),
        ("lib/typed.mts", &two),
        ("both.ts", &one),
        ("both.js", &three),
    ];
    let loaded = try_load(&files, &LoadOptions::default()).unwrap();
    let graph = serde_json::to_string(&loaded.simulation).unwrap();
    let at = |seconds: u32| graph.find(&format!("\"lit\":{seconds}}}")).unwrap_or(usize::MAX);
    assert!(at(1) < at(2) && at(2) < at(3) && at(3) < usize::MAX, "{graph}");
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
    let after = changed(&mut loaded.host, 0);
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
        "out: Session(s, 2, Map(k -> v), OK)",
    ];
    assert_eq!(*recorder.0.borrow(), expected);
}

#[test]
fn top_level_await_works() {
    let source = around("const n = await Promise.resolve(2); const chain = exec(pause(n));");
    assert!(try_load(&[("sim.js", &source)], &LoadOptions::default()).is_ok());
}

//! What TypeScript's compiler and Gatling's bundler (esbuild 0.28) know: decorators, `export =`,
//! `import x = require("…")`, `tsconfig.json`.

use super::*;

/// What the script says while it is loaded.
fn said(entry: &str, files: &[(&str, &str)]) -> Vec<String> {
    let mut sources = MemorySources::default();
    for (path, content) in files {
        sources = sources.with(path, content.as_bytes().to_vec());
    }
    let recorder: Rc<Recorder> = Rc::default();
    let console = Rc::clone(&recorder) as Rc<dyn Console>;
    let loaded = load(&sources.shared(), entry, &LoadOptions::default(), console);
    let mut lines = recorder.0.take();
    if let Err(problem) = loaded {
        let (file, line) = (problem.file.unwrap_or_default(), problem.line.unwrap_or_default());
        let column = problem.column.unwrap_or_default();
        lines.push(format!("! {} ({file}:{line}:{column})", problem.message));
    }
    lines.iter().map(|line| line.trim_start_matches("out: ").to_owned()).collect()
}

/// A simulation that does `body` first.
fn simulation(body: &str) -> String {
    format!(
        "{body}\nimport {{ exec, scenario, simulation, atOnceUsers }} from '@gatling.io/core';\n\
         export default simulation((setUp) => setUp(\
         scenario('s').exec(exec((s) => s)).injectOpen(atOnceUsers(1))));\n"
    )
}

const LEGACY: &str = r#"{"compilerOptions": {"experimentalDecorators": true}}"#;

/// The expected lines are those of esbuild's output in Node.
#[test]
fn decorators_of_the_proposal_run_in_its_order() {
    let source = include_str!("decorated.ts");
    let sim = simulation(&format!("{source}\nconsole.log(log.join('\\n'));"));
    let expected = include_str!("decorated.txt");
    assert_eq!(said("sim.ts", &[("sim.ts", &sim)]).join("\n"), expected.trim_end());
    // `experimentalDecorators` is for TypeScript alone.
    let script = "const log = [];
        function d(value, context) { log.push(context.kind + ' ' + context.name); }
        @d class A { @d m() {} @d x = 1; accessor y = 2; }
        console.log(log.join(), new A().x, new A().y);";
    let files = [("sim.js", &*simulation(script)), ("tsconfig.json", LEGACY)];
    assert_eq!(said("sim.js", &files), ["method m,field x,class A 1 2"]);
}

#[test]
fn decorated_classes_are_exported_replaced_and_abstract() {
    let lib = "const tag = (label: string) => (c: any, x: any): any => class extends c {
          static label = label + ':' + x.name; };
        export @tag('a') class A { own = (A as any).label; }
        @tag('b') export class B {}
        @tag('c') export abstract class C { abstract m(): void; abstract x: number; k = 1; }
        export default @tag('d') class D { static make() { return new D(); } }
        // class
        export const E = @tag('e') class {};";
    let named = "const tag = (c: any, x: any) => { (globalThis as any).seen = x.name; };
        @tag export default class {}";
    let sim = "import D, { A, B, C, E } from './lib'; import N from './named';
        console.log([A, B, C, D, E].map((it: any) => it.label).join(), new (C as any)().k);
        console.log(new A().own, D.make() instanceof D, (globalThis as any).seen, N.name);";
    let files = [("sim.ts", &*simulation(sim)), ("lib.ts", lib), ("named.ts", named)];
    let found = said("sim.ts", &files);
    assert_eq!(found, ["a:A,b:B,c:C,d:D,e:E 1", "a:A true default default"]);
}

/// As TypeScript's own transform has them.
#[test]
fn experimental_decorators_get_target_key_and_descriptor() {
    let sim = "const log: string[] = [];
        const d = (label: string): any => (target: any, key?: any, third?: any) => {
          log.push([label, typeof target, String(key), typeof third].join(' ')); };
        const twice = (t: any, k: string, descriptor: any) => {
          const f = descriptor.value; descriptor.value = function (n: number) { return 2 * f.call(this, n); }; };
        const sealed = (c: any) => class extends c { sealed = true; } as any;
        @d('class') @sealed class A { @d('x') x = 1; @d('m') @twice m(@d('p') n: number) { return n + this.x; }
          @d('a') accessor acc = 3; @d('s') static s() {} constructor(@d('c') private q = 1) {} }
        const a: any = new A();
        console.log(log.join('; ')); console.log(a.m(1), a.sealed, a.acc);";
    let files = [("src/sim.ts", &*simulation(sim)), ("tsconfig.json", LEGACY)];
    let expected = [
        "x object x undefined; p object m number; m object m object; a object acc object; \
         s function s object; c function undefined number; class function undefined undefined",
        "4 true 3",
    ];
    let found = said("src/sim.ts", &files);
    assert_eq!(found, expected);
}

#[test]
fn errors_in_rewritten_files_point_at_the_file_as_written() {
    let text = "const d = (v: any, c: any) => {};\nclass A {\n  @d /* e */ m() { return 1; } @d x = oops();\n}\nnew A();\n";
    let found = said("sim.ts", &[("sim.ts", &simulation(text))]);
    assert_eq!(found, ["! ReferenceError: oops is not defined (sim.ts:3:39)"]);
    let script = text.replace(": any", "");
    let found = said("sim.js", &[("sim.js", &simulation(&script))]);
    assert_eq!(found, ["! ReferenceError: oops is not defined (sim.js:3:39)"]);
    let text = "const d = 1 as any;\n class A { @d m() {} }";
    let found = said("sim.ts", &[("sim.ts", &simulation(text))]);
    assert_eq!(found, ["! TypeError: a decorator must be a function, found number (sim.ts:2:11)"]);
}

/// As esbuild has it: one value, or all that an ES module exports.
#[test]
fn import_require_and_export_assignment_are_one_value() {
    let value = "import c = require('cjs'); import dual = require('dual'); import data = require('./d.json');
        import esm = require('./esm'); import { a } from './esm'; import events = require('events');
        import core = require('@gatling.io/core');
        import type T = require('./none');
        interface Shape { one: number }
        const whole = { one: 1, two: c(2), dual: dual.k, data, esm: Object.keys(esm), a,
          node: typeof events.EventEmitter, core: typeof core.exec };
        export = whole;";
    let sim = "import value = require('./value'); import * as ns from './value';
        import def, { one, two as t, type Shape } from './value'; import { default as again } from './value';
        export { one as uno } from './value'; import js from './uses.js';
        import type Kept = require('./kind'); export import kind = require('./kind'); import { f } from './f.cjs';
        console.log(JSON.stringify(value)); console.log(value === def, ns === def, again === def, one, t, js);
        console.log(kind(3), f());";
    let files = [
        ("src/sim.ts", &*simulation(sim)),
        ("src/value.ts", value),
        ("src/d.json", r#"{"x": 1}"#),
        ("src/esm.ts", "export const a = 'a'; export default 1;"),
        ("src/uses.js", "import { one } from './value.ts'; export default one + 1;"),
        (
            "src/kind.ts",
            "function kind(n: number) { return n * n; }\nnamespace kind { export type K = 1 }\nexport = kind;",
        ),
        ("src/f.cts", "interface I { x: 1 }\nexport = { f: () => 'f' };"),
        ("node_modules/cjs/package.json", "{}"),
        ("node_modules/cjs/index.js", "module.exports = (n) => n + 0.5;"),
        (
            "node_modules/dual/package.json",
            r#"{"exports": {"import": "./i.mjs", "require": "./r.cjs"}}"#,
        ),
        ("node_modules/dual/i.mjs", "export const k = 'import';"),
        ("node_modules/dual/r.cjs", "exports.k = 'require';"),
    ];
    let expected = [
        r#"{"one":1,"two":2.5,"dual":"require","data":{"x":1},"esm":["a","default"],"a":"a","node":"function","core":"function"}"#,
        "true true true 1 2.5 2",
        "9 f",
    ];
    assert_eq!(said("src/sim.ts", &files), expected);
    // A type is no value, and a simulation may be exported so as well.
    let sim = "import { exec, scenario, simulation, atOnceUsers } from '@gatling.io/core';
        import './type';
        export = simulation((setUp) => setUp(scenario('whole').exec(exec((s) => s)).injectOpen(atOnceUsers(1))));";
    let files = [("sim.ts", sim), ("type.ts", "interface T { x: number }\nexport = T;")];
    let loaded = try_load(&files, &LoadOptions::default()).unwrap();
    assert_eq!(loaded.simulation.populations[0].scenario.name, "whole");
}

#[test]
fn tsconfig_says_what_names_mean() {
    let config = r#"{ "extends": "./base.json", "compilerOptions": { "baseUrl": "./src", } }"#;
    let base = r#"{ /* all */ "compilerOptions": { "paths": { "@lib/*": ["./lib/*"], "@far": ["../../far"] } } }"#;
    let sim = "import { a } from '@lib/a.js'; import up from 'events'; import dot from '.';
        console.log(a, up, dot);";
    let files = [
        ("src/sim.ts", &*simulation(sim)),
        ("tsconfig.json", config),
        ("base.json", base),
        ("src/lib/a.ts", "import b from '@lib/deep/b'; export const a = 'a' + b;"),
        ("src/lib/deep/b.js", "export default 'b';"),
        ("src/events.ts", "export default 'events';"),
        ("src/index.ts", "export default 'index';"),
    ];
    assert_eq!(said("src/sim.ts", &files), ["ab events index"]);
    for (body, expected) in [
        (
            "\nimport '@lib/none';",
            "project by relative path (\"./x.js\", \"../y.ts\", \"./data.json\"); by the paths of tsconfig.json it would be src/lib/none (src/sim.ts:2:8)",
        ),
        ("import '@far';", "it would be outside of the project (src/sim.ts:1:8)"),
    ] {
        let sim = simulation(body);
        let files = [("src/sim.ts", &*sim), ("tsconfig.json", config), ("base.json", base)];
        let found = said("src/sim.ts", &files);
        assert!(found.len() == 1 && found[0].ends_with(expected), "{found:?}");
    }
    let files = [("src/sim.ts", &*simulation("")), ("tsconfig.json", "{\n nonsense")];
    let found = said("src/sim.ts", &files);
    assert!(found[0].starts_with("! tsconfig.json is not JSON, even with comments: "), "{found:?}");
    assert!(found[0].ends_with(" (tsconfig.json:2:2)"), "{found:?}");
}

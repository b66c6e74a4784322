//! Packages of `node_modules` and Node's own modules, as a simulation sees them.

use super::*;

/// What the script says while it is loaded.
fn said(body: &str, files: &[(&str, &str)]) -> Vec<String> {
    let script = format!("{body}\nconst chain = exec((s) => s);\n{TAIL}");
    let mut sources = MemorySources::default().with("load/sim.js", script.into_bytes());
    for (path, content) in files {
        sources = sources.with(path, content.as_bytes().to_vec());
    }
    let recorder: Rc<Recorder> = Rc::default();
    let console = Rc::clone(&recorder) as Rc<dyn Console>;
    let loaded = load(&sources.shared(), "load/sim.js", &LoadOptions::default(), console);
    let mut lines = recorder.0.take();
    if let Err(problem) = loaded {
        let place = problem.file.zip(problem.line);
        let place = place.map(|(file, line)| format!(" ({file}:{line})")).unwrap_or_default();
        lines.push(format!("! {}{place}", problem.message));
    }
    lines.iter().map(|line| line.trim_start_matches("out: ").to_owned()).collect()
}

const TAIL: &str = "import { exec, scenario, simulation, atOnceUsers } from '@gatling.io/core';\n\
    export default simulation((setUp) => setUp(\
    scenario('s').exec(chain).injectOpen(atOnceUsers(1))));\n";

#[test]
fn packages_are_es_modules_commonjs_and_json() {
    let files = [
        ("node_modules/esm/package.json", r#"{"type": "module", "exports": "./index.js"}"#),
        (
            "node_modules/esm/index.js",
            "export { twice } from './lib/twice.js'; export default 'esm';",
        ),
        ("node_modules/esm/lib/twice.js", "export const twice = (n) => 2 * n;"),
        ("node_modules/@s/cjs/package.json", r#"{"main": "./main"}"#),
        (
            "node_modules/@s/cjs/main.js",
            "const { inner } = require('./lib');\nexports.inner = inner;\nexports.class = 1;\n\
             exports.env = process.env.NODE_ENV;\nexports.here = __filename;\n\
             exports.esm = typeof require('inner').whole;\nexports.data = require('./data.json').a;",
        ),
        ("node_modules/@s/cjs/lib/index.js", "exports.inner = require('../cycle').name + '!';"),
        ("node_modules/@s/cjs/cycle.js", "require('./lib'); exports.name = 'cycle';"),
        ("node_modules/@s/cjs/data.json", r#"{"a": [1]}"#),
        ("node_modules/@s/cjs/node_modules/inner/package.json", "{}"),
        ("node_modules/@s/cjs/node_modules/inner/index.js", "module.exports = { whole: () => 1 };"),
        ("node_modules/compiled/package.json", r#"{"main": "c.js", "module": "m.js"}"#),
        ("node_modules/compiled/c.js", "exports.default = 'not this one';"),
        ("node_modules/compiled/m.js", "export default 'by module'; export const a = 1;"),
        (
            "node_modules/babel/package.json",
            r#"{"exports": {"./f": {"require": "./none.js", "default": "./f.cjs"}}}"#,
        ),
        (
            "node_modules/babel/f.cjs",
            "Object.defineProperty(exports, '__esModule', { value: true });\n\
             exports.default = 'its default'; exports.b = 'b';",
        ),
    ];
    let body = "import esm, { twice } from 'esm';\nimport whole, { inner } from '@s/cjs';\n\
        import compiled from 'compiled'; import def, { b } from 'babel/f';\n\
        console.log(esm, twice(2), inner, compiled, def, b);\nconsole.log(whole);";
    let whole = "{ inner: \"cycle!\", class: 1, env: \"production\", \
                 here: \"node_modules/@s/cjs/main.js\", esm: \"function\", data: [1] }";
    assert_eq!(said(body, &files), ["esm 4 cycle! by module its default b", whole]);
}

#[test]
fn of_nodes_own_modules_some_are_there() {
    let body = "import { EventEmitter } from 'events'; import path from 'node:path';\n\
        import { strict as assert } from 'assert'; import { randomUUID, randomBytes } from 'crypto';\n\
        import { format, inspect } from 'util'; import { StringDecoder } from 'string_decoder';\n\
        const emitter = new EventEmitter(); let got; emitter.once('x', (v) => { got = v; });\n\
        emitter.emit('x', 1); emitter.emit('x', 2);\n\
        assert.deepEqual({ a: [1] }, { a: [1] });\n\
        console.log(got, path.join('a', '../b'), format('%s=%d', 'n', 1), inspect({ a: ['x'] }));\n\
        console.log(Buffer.from('h\u{e9}', 'utf8').toString('base64'), Buffer.from('6869', 'hex').toString());\n\
        console.log(randomBytes(4).length, randomUUID().length, crypto.getRandomValues(new Uint8Array(3)).length);\n\
        console.log(new StringDecoder('utf8').write(Buffer.from([0x68, 0xe2])), randomUUID() === randomUUID());\n\
        assert.equal(1, '1');";
    let found = said(body, &[]);
    assert_eq!(
        found,
        [
            "1 b n=1 { a: [ 'x' ] }",
            "aMOp hi",
            "4 36 3",
            "h false",
            "! AssertionError: 1 === '1' (load/sim.js:11)",
        ]
    );
    let again = "console.log(crypto.randomUUID());";
    assert_eq!(said(again, &[]), said(again, &[]), "from the job's seed");
}

#[test]
fn what_a_package_lacks_is_told_by_name_and_chain() {
    let files = [
        ("node_modules/a/package.json", r#"{"exports": {"./x": "./x.js"}}"#),
        ("node_modules/b/package.json", "{}"),
        ("node_modules/b/index.js", "\nexports.fs = require('fs');"),
        ("node_modules/c/package.json", r#"{"type": "module"}"#),
        ("node_modules/c/index.js", "import { readFile } from 'node:fs/promises';"),
        ("node_modules/d/package.json", "{}"),
        ("node_modules/d/index.js", "require('c');"),
        ("node_modules/e/package.json", "{}"),
        ("node_modules/e/index.js", "try { require('fs'); } catch { exports.ok = 'without'; }"),
        ("node_modules/f/package.json", "{ no"),
    ];
    let node = "assert, buffer, crypto, events, path, string_decoder, util";
    for (body, expected) in [
        (
            "import 'none';",
            "! import \"none\" is not available in Onrush (load/sim.js); allowed are".to_owned(),
        ),
        (
            "import 'a';",
            "! package a (node_modules/a) has nothing for \"a\" (load/sim.js:1)".into(),
        ),
        (
            "import 'b';",
            format!(
                "! Error: require(\"fs\") finds nothing (node_modules/b/index.js, imported by \
                 load/sim.js); allowed are packages in node_modules, files of the same package, \
                 and of Node's own modules {node} (node_modules/b/index.js:2)"
            ),
        ),
        (
            "import 'c';",
            "! import \"node:fs/promises\" is not available in Onrush (node_modules/c/index.js, \
             imported by load/sim.js); allowed are"
                .to_owned(),
        ),
        (
            "import 'd';",
            "! Error: require(\"node_modules/c/index.js\") finds an ES module \
             (node_modules/c/index.js, imported by node_modules/d/index.js, imported by \
             load/sim.js); import it instead"
                .to_owned(),
        ),
        ("import { ok } from 'e'; console.log(ok);", "without".to_owned()),
        ("import 'f';", "! node_modules/f/package.json is not JSON".to_owned()),
        ("import 'onrush:commonjs';", "! import \"onrush:commonjs\" is not available".to_owned()),
        ("require('x');", "! require(...) is for CommonJS files of packages".to_owned()),
    ] {
        let found = said(body, &files);
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{found:?}\n{expected}");
    }
}

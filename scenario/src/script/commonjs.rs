//! CommonJS files of packages, and the modules of Node that Onrush has in their place: what
//! `sdk/commonjs.js` cannot do itself, and the ES module that stands for such a file when it is
//! imported.

use std::rc::Rc;

use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, Exception, Function, Module, Object, Result, Value};

use super::modules::{Graph, SharedGraph, SourceFile};
use super::packages::Kind;
use super::resolve::{Target, Unresolved};
use super::rewrite::WHOLE;

/// Node's modules that there are, as CommonJS; `node:` is part of their paths here.
const NODE: &[(&str, &str)] = &[
    ("node:assert", include_str!("sdk/node/assert.js")),
    ("node:buffer", include_str!("sdk/node/buffer.js")),
    ("node:crypto", include_str!("sdk/node/crypto.js")),
    ("node:events", include_str!("sdk/node/events.js")),
    ("node:path", include_str!("sdk/node/path.js")),
    ("node:string_decoder", include_str!("sdk/node/string_decoder.js")),
    ("node:util", include_str!("sdk/node/util.js")),
];

/// The parameters of a CommonJS file, on its first line.
const OPENING: &str =
    "(function (exports, require, module, __filename, __dirname, global, process) {";

/// `events` and `node:events` are one module.
pub(super) fn node(name: &str) -> Option<&'static str> {
    let bare = name.strip_prefix("node:").unwrap_or(name);
    let found = NODE.iter().find(|(path, _)| path.strip_prefix("node:") == Some(bare));
    found.map(|(path, _)| *path)
}

pub(super) fn is_node(path: &str) -> bool {
    path.starts_with("node:")
}

/// `assert, buffer, …`, for messages.
pub(super) fn node_names() -> String {
    let names: Vec<&str> = NODE.iter().filter_map(|(path, _)| path.strip_prefix("node:")).collect();
    names.join(", ")
}

impl Graph {
    /// The file that `require(name)` means in the file `base`.
    fn required(&mut self, base: &str, name: &str) -> std::result::Result<String, String> {
        let resolver = Rc::clone(&self.resolver);
        let hint = match resolver.resolve(base, name, Kind::Require) {
            Ok(Target::Own(found)) => return Ok(found),
            Ok(Target::File(found)) => {
                self.imported(&found.path, base);
                return Ok(found.path);
            }
            Err(Unresolved::Package(text)) => return Err(text),
            Err(Unresolved::Config(invalid)) => return Err(invalid.message),
            Err(Unresolved::Missing(hint)) => hint,
            Err(Unresolved::Outside) => String::new(),
        };
        let chain = self.chain(base);
        Err(format!(
            "require(\"{name}\") finds nothing ({chain}); allowed are packages in node_modules, \
             files of the same package, and of Node's own modules {}{hint}",
            node_names()
        ))
    }

    fn commonjs_text(&mut self, path: &str) -> std::result::Result<String, String> {
        if let Some((_, text)) = NODE.iter().find(|(name, _)| *name == path) {
            return Ok((*text).to_owned());
        }
        let text = self.read(path).map_err(|problem| problem.message)?;
        if self.is_commonjs(path, &text) || path.ends_with(".json") {
            return Ok(text);
        }
        Err(format!(
            "require(\"{path}\") finds an ES module ({}); import it instead",
            self.chain(path)
        ))
    }

    pub(super) fn keep(&mut self, path: &str, text: &str) {
        let file = SourceFile { text: text.to_owned(), map: None };
        self.files.insert(path.to_owned(), file);
    }
}

/// What `sdk/commonjs.js` needs.
pub(super) fn natives<'js>(
    ctx: &Ctx<'js>,
    native: &Object<'js>,
    graph: &SharedGraph,
) -> Result<()> {
    let text_of = |graph: &SharedGraph, ctx: &Ctx<'js>, path: &str| {
        let text = graph.borrow_mut().commonjs_text(path);
        text.map_err(|error| Exception::throw_message(ctx, &error))
    };
    let path = {
        let graph = Rc::clone(graph);
        move |ctx: Ctx<'js>, base: String, name: String| {
            let found = graph.borrow_mut().required(&base, &name);
            found.map_err(|error| Exception::throw_message(&ctx, &error))
        }
    };
    native.set("requirePath", Function::new(ctx.clone(), path)?)?;
    let json = {
        let graph = Rc::clone(graph);
        move |ctx: Ctx<'js>, path: String| -> Result<Value<'js>> {
            let text = text_of(&graph, &ctx, &path)?;
            ctx.json_parse(text)
        }
    };
    native.set("jsonFile", Function::new(ctx.clone(), json)?)?;
    let compile = {
        let graph = Rc::clone(graph);
        move |ctx: Ctx<'js>, path: String| -> Result<Value<'js>> {
            let text = text_of(&graph, &ctx, &path)?;
            // A first line for the shell is a comment there.
            let comment = if text.starts_with("#!") { "//" } else { "" };
            let mut options = EvalOptions::default();
            options.strict = false;
            options.filename = Some(path);
            ctx.eval_with_options(format!("{OPENING}{comment}{text}\n}})"), options)
        }
    };
    native.set("compile", Function::new(ctx.clone(), compile)?)
}

/// The module that an import of a CommonJS file gets: the file runs now, because the names of its
/// exports must be known before anything is linked.
pub(super) fn declare<'js>(ctx: &Ctx<'js>, path: &str, run: &Function<'js>) -> Result<Module<'js>> {
    let exports: Object<'js> = run.call((path,))?;
    let names: Vec<String> = exports.get("names")?;
    let quoted = serde_json::Value::from(path);
    let mut text = format!(
        "import {{ get }} from \"onrush:commonjs\";\nconst it = get({quoted});\nexport default it.whole;\n\
         const $all = it.all;\nexport {{ $all as \"{WHOLE}\" }};\n"
    );
    for (index, name) in names.iter().filter(|name| is_identifier(name)).enumerate() {
        text.push_str(&format!("const $e{index} = it.named.{name};\n"));
        text.push_str(&format!("export {{ $e{index} as {name} }};\n"));
    }
    Module::declare(ctx.clone(), path, text)
}

fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    let starts = letters.next().is_some_and(|it| it.is_alphabetic() || it == '_' || it == '$');
    starts && letters.all(|it| it.is_alphanumeric() || it == '_' || it == '$')
}

//! The module graph: which file an import means, its text, and its type of source. Built-in modules
//! come from the embedded SDK; all else from [`Sources`], by relative path or as a package of
//! `node_modules`. Absolute paths, URLs and most of Node's own modules are refused with what is allowed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::{Ctx, Error, Function, Module, Persistent, Result};

use super::packages::{self, Kind};
use super::sources::{Sources, normalize};
use super::typescript::{self, Place, PositionMap};
use super::{commonjs, problem};
use crate::protocol::{SDK_PARTS, SDKS};
use crate::shard::{Problem, ProblemKind};

/// The SDK's own parts; only built-in modules may import the `onrush:` ones.
const CORE_MODULES: &[(&str, &str)] = &[
    ("@gatling.io/core", include_str!("core.js")),
    ("onrush:base", include_str!("sdk/base.js")),
    ("onrush:structure", include_str!("sdk/structure.js")),
    ("onrush:checks", include_str!("sdk/checks.js")),
    ("onrush:bodies", include_str!("sdk/bodies.js")),
    ("onrush:feeders", include_str!("sdk/feeders.js")),
    ("onrush:jvm", include_str!("sdk/jvm.js")),
    ("onrush:commonjs", include_str!("sdk/commonjs.js")),
    ("onrush:filters", include_str!("sdk/filters.js")),
    ("onrush:profiles", include_str!("sdk/profiles.js")),
    ("onrush:simulation", include_str!("sdk/simulation.js")),
];

/// One file of the simulation as loaded.
pub(super) struct SourceFile {
    pub(super) text: String,
    /// For TypeScript: from the generated JavaScript back to `text`.
    pub(super) map: Option<PositionMap>,
}

/// Everything known of the graph so far; shared by the resolver, the loader and the error mapping.
pub(super) struct Graph {
    pub(super) sources: Arc<dyn Sources>,
    pub(super) files: BTreeMap<String, SourceFile>,
    /// Module → who imported it first.
    importers: BTreeMap<String, String>,
    /// The first import or syntax problem; QuickJS itself keeps only its text.
    pub(super) problem: Option<Problem>,
    /// Runs a CommonJS file, in `sdk/commonjs.js`. To be cleared before the runtime goes.
    pub(super) commonjs: Option<Persistent<Function<'static>>>,
}

pub(super) type SharedGraph = Rc<RefCell<Graph>>;

pub(super) fn is_builtin(module: &str) -> bool {
    module == "onrush:boot" || commonjs::is_node(module) || builtin(module).is_some()
}

/// Whether a simulation has that name from Onrush, whatever its `node_modules` holds.
#[must_use]
pub fn is_builtin_name(name: &str, kind: Kind) -> bool {
    let own = kind == Kind::Import && !name.starts_with("onrush:") && builtin(name).is_some();
    own || commonjs::node(name).is_some()
}

fn builtin(module: &str) -> Option<&'static str> {
    let mut parts = CORE_MODULES.iter().chain(SDK_PARTS);
    let core = parts.find(|(name, _)| *name == module).map(|(_, source)| *source);
    core.or_else(|| {
        let protocol = module.strip_prefix("@gatling.io/")?;
        SDKS.iter().find(|(name, _)| *name == protocol).map(|(_, source)| *source)
    })
}

impl Graph {
    pub(super) fn new(sources: Arc<dyn Sources>) -> Self {
        Self {
            sources,
            files: BTreeMap::new(),
            importers: BTreeMap::new(),
            problem: None,
            commonjs: None,
        }
    }

    /// Where a place of the evaluated text is in the file as written.
    pub(super) fn original(&self, file: &str, place: Place) -> Place {
        match self.files.get(file).and_then(|file| file.map.as_ref()) {
            Some(map) => map.original(place),
            None => place,
        }
    }

    fn resolve(&mut self, base: &str, name: &str) -> std::result::Result<String, Problem> {
        // The module that stands for a CommonJS file is the SDK's own as well.
        let own = is_builtin(base) || (name == "onrush:commonjs" && self.stands_for(base));
        if builtin(name).is_some() && (own || !name.starts_with("onrush:")) {
            return Ok(name.to_owned());
        }
        if !name.starts_with("./") && !name.starts_with("../") {
            return self.package(base, name);
        }
        let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
        if normalize(folder, name).is_none() {
            let text = format!("import \"{name}\" leads outside the project");
            return Err(self.import_problem(base, name, ProblemKind::Script, &text));
        }
        if let Some(found) = packages::relative(&*self.sources, base, name) {
            self.imported(&found, base);
            return Ok(found);
        }
        let text = format!("cannot find module \"{name}\" (imported by {})", self.chain(base));
        Err(self.import_problem(base, name, ProblemKind::FileMissing, &text))
    }

    /// A name that is no path: Node's, or a package.
    fn package(&mut self, base: &str, name: &str) -> std::result::Result<String, Problem> {
        if let Some(found) = commonjs::node(name) {
            return Ok(found.to_owned());
        }
        match packages::resolve(&*self.sources, base, name, Kind::Import) {
            Ok(Some(found)) => {
                self.imported(&found.path, base);
                Ok(found.path)
            }
            Ok(None) => {
                let text = refused(name, &self.chain(base));
                Err(self.import_problem(base, name, ProblemKind::Script, &text))
            }
            Err(text) => Err(self.import_problem(base, name, ProblemKind::FileMissing, &text)),
        }
    }

    pub(super) fn imported(&mut self, path: &str, base: &str) {
        self.importers.entry(path.to_owned()).or_insert_with(|| base.to_owned());
    }

    /// Whether the module of this path is one that [`commonjs::declare`] made.
    fn stands_for(&self, path: &str) -> bool {
        commonjs::is_node(path)
            || self.files.get(path).is_some_and(|file| self.is_commonjs(path, &file.text))
    }

    pub(super) fn is_commonjs(&self, path: &str, text: &str) -> bool {
        packages::is_commonjs(&*self.sources, path)
            .unwrap_or_else(|| !typescript::is_module(path, text))
    }

    /// `a.js, imported by b.js, imported by sim.js`.
    pub(super) fn chain(&self, base: &str) -> String {
        let mut text = base.to_owned();
        let mut at = base;
        // Cycles are allowed, so the walk is bounded by the number of modules.
        for _ in 0..self.importers.len() {
            let Some(next) = self.importers.get(at) else {
                break;
            };
            text.push_str(", imported by ");
            text.push_str(next);
            at = next;
        }
        text
    }

    /// A problem at the import statement: the first line of `base` that quotes `name`.
    fn import_problem(&self, base: &str, name: &str, kind: ProblemKind, text: &str) -> Problem {
        let place = self.files.get(base).and_then(|file| quoted_at(&file.text, name));
        problem::at(self, kind, text.to_owned(), base, place)
    }

    /// Whether the loader must run the file to know what it exports.
    fn is_to_be_run(&mut self, path: &str) -> std::result::Result<bool, Problem> {
        if commonjs::is_node(path) {
            return Ok(true);
        }
        let may_be = packages::is_commonjs(&*self.sources, path) != Some(false);
        if builtin(path).is_some() || !may_be {
            return Ok(false);
        }
        let text = self.read(path)?;
        Ok(self.is_commonjs(path, &text))
    }

    /// A file of the simulation as it is written; kept for messages.
    pub(super) fn read(&mut self, path: &str) -> std::result::Result<String, Problem> {
        let missing = |message| problem::plain(ProblemKind::FileMissing, message, path);
        let bytes = match self.sources.read(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(missing(format!("simulation file {path} not found"))),
            Err(message) => return Err(missing(message)),
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let message = format!("{path} is not UTF-8 text: {error}");
            problem::plain(ProblemKind::Script, message, path)
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        self.keep(path, &text);
        Ok(text)
    }

    /// The text to evaluate for `path`: TypeScript stripped, JSON as a default export.
    pub(super) fn text(&mut self, path: &str) -> std::result::Result<String, Problem> {
        if let Some(source) = builtin(path) {
            return Ok(source.to_owned());
        }
        let text = self.read(path)?;
        if has_extension(path, &["json"]) {
            return self.json(path, &text);
        }
        if has_extension(path, &["ts", "mts", "tsx"]) {
            return self.typescript(path, &text);
        }
        Ok(text)
    }

    fn json(&self, path: &str, text: &str) -> std::result::Result<String, Problem> {
        match serde_json::from_str::<serde_json::Value>(text) {
            // A JSON text is an expression of JavaScript, whatever its strings hold.
            Ok(_) => Ok(format!("export default {text};")),
            Err(error) => {
                let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
                let place = Place { line: fit(error.line()), column: fit(error.column()) };
                let message = format!("{path} is not JSON: {error}");
                Err(problem::at(self, ProblemKind::FileInvalid, message, path, Some(place)))
            }
        }
    }

    fn typescript(&mut self, path: &str, text: &str) -> std::result::Result<String, Problem> {
        match typescript::strip(path, text) {
            Ok(stripped) => {
                if let Some(file) = self.files.get_mut(path) {
                    file.map = Some(stripped.map);
                }
                Ok(stripped.code)
            }
            Err(error) => {
                Err(problem::at(self, ProblemKind::Script, error.message, path, error.place))
            }
        }
    }
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
}

/// The first place where `text` quotes `name`.
pub(super) fn quoted_at(text: &str, name: &str) -> Option<Place> {
    for (index, line) in text.lines().enumerate() {
        for quote in ['"', '\''] {
            if let Some(offset) = line.find(&format!("{quote}{name}{quote}")) {
                let column = line.get(..offset).map_or(0, |before| before.chars().count()) + 1;
                let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
                return Some(Place { line: fit(index + 1), column: fit(column) });
            }
        }
    }
    None
}

fn refused(name: &str, chain: &str) -> String {
    let mut allowed: Vec<String> = vec!["\"@gatling.io/core\"".to_owned()];
    allowed.extend(SDKS.iter().map(|(protocol, _)| format!("\"@gatling.io/{protocol}\"")));
    format!(
        "import \"{name}\" is not available in Onrush ({chain}); allowed are {}, packages in \
         node_modules, of Node's own modules {}, and files of the project by relative path \
         (\"./x.js\", \"../y.ts\", \"./data.json\")",
        allowed.join(", "),
        commonjs::node_names()
    )
}

pub(super) struct GraphResolver(pub(super) SharedGraph);

impl Resolver for GraphResolver {
    fn resolve<'js>(
        &mut self,
        _ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        let mut graph = self.0.borrow_mut();
        graph.resolve(base, name).map_err(|problem| {
            let message = problem.message.clone();
            graph.problem.get_or_insert(problem);
            Error::new_resolving_message(base, name, message)
        })
    }
}

pub(super) struct GraphLoader(pub(super) SharedGraph);

impl Loader for GraphLoader {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        let failed = |problem: Problem| {
            let message = problem.message.clone();
            self.0.borrow_mut().problem.get_or_insert(problem);
            Error::new_loading_message(name, message)
        };
        let runs = self.0.borrow_mut().is_to_be_run(name);
        if runs.map_err(failed)? {
            let run = self.0.borrow().commonjs.clone();
            let run = run.ok_or_else(|| Error::new_loading_message(name, "no CommonJS yet"))?;
            return commonjs::declare(ctx, name, &run.restore(ctx)?);
        }
        let text = self.0.borrow_mut().text(name);
        Module::declare(ctx.clone(), name, text.map_err(failed)?)
    }
}

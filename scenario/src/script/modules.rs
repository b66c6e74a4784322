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
use super::resolve::{self, Target, Unresolved};
use super::rewrite::{self, Dialect, Lookup, Shape, Shifts};
use super::sources::Sources;
use super::tsconfig::Invalid;
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
    ("onrush:decorators", include_str!("sdk/decorators.js")),
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
    pub(super) resolver: Rc<resolve::Resolver>,
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

/// Whether the SDK has a module of that name.
pub(super) fn is_sdk(name: &str) -> bool {
    builtin(name).is_some()
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
            resolver: Rc::new(resolve::Resolver::new(Arc::clone(&sources))),
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
        let (name, kind) = match name.strip_prefix(rewrite::REQUIRE) {
            Some(name) if !is_sdk(name) => (name, Kind::Require),
            Some(name) => (name, Kind::Import),
            None => (name, Kind::Import),
        };
        let resolved = self.resolver.resolve(base, name, kind);
        match resolved {
            Ok(Target::Own(name)) => Ok(name),
            Ok(Target::File(found)) => {
                self.imported(&found.path, base);
                Ok(found.path)
            }
            Err(unresolved) => Err(self.unresolved(base, name, unresolved)),
        }
    }

    fn unresolved(&self, base: &str, name: &str, unresolved: Unresolved) -> Problem {
        let (kind, text) = match unresolved {
            Unresolved::Outside => {
                (ProblemKind::Script, format!("import \"{name}\" leads outside the project"))
            }
            Unresolved::Missing(hint) if packages::is_relative(name) => {
                let chain = self.chain(base);
                let text = format!("cannot find module \"{name}\" (imported by {chain}){hint}");
                (ProblemKind::FileMissing, text)
            }
            Unresolved::Missing(hint) => {
                (ProblemKind::Script, refused(name, &self.chain(base)) + &hint)
            }
            Unresolved::Package(text) => (ProblemKind::FileMissing, text),
            Unresolved::Config(invalid) => return self.misconfigured(invalid),
        };
        self.import_problem(base, name, kind, &text)
    }

    /// A `tsconfig.json` that cannot be read.
    fn misconfigured(&self, invalid: Invalid) -> Problem {
        let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let place =
            invalid.place.map(|(line, column)| Place { line: fit(line), column: fit(column) });
        problem::at(self, ProblemKind::FileInvalid, invalid.message, &invalid.file, place)
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
        let typed = has_extension(path, TYPESCRIPT);
        if !typed && packages::in_package(path) {
            return Ok(text);
        }
        let dialect = self.dialect(path, typed)?;
        let Some((rewritten, shifts)) =
            rewrite::rewrite(path, &text, dialect, &Importer(self, path))
        else {
            return if typed { self.typescript(path, &text, dialect, None) } else { Ok(text) };
        };
        if typed {
            return self.typescript(path, &rewritten, dialect, Some(shifts));
        }
        self.map(path, PositionMap::default().after(Some(shifts)));
        Ok(rewritten)
    }

    /// Decorators are those of the proposal, unless `tsconfig.json` has others for TypeScript.
    fn dialect(&self, path: &str, typed: bool) -> std::result::Result<Dialect, Problem> {
        let config = self.resolver.config(path).map_err(|invalid| self.misconfigured(invalid))?;
        let config = config.filter(|_| typed);
        Ok(config.map_or_else(Dialect::default, |config| Dialect {
            legacy_decorators: config.legacy_decorators,
            decorator_metadata: config.decorator_metadata,
        }))
    }

    fn map(&mut self, path: &str, map: PositionMap) {
        if let Some(file) = self.files.get_mut(path) {
            file.map = Some(map);
        }
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

    fn typescript(
        &mut self,
        path: &str,
        text: &str,
        dialect: Dialect,
        shifts: Option<Shifts>,
    ) -> std::result::Result<String, Problem> {
        match typescript::strip(path, text, dialect) {
            Ok(stripped) => {
                self.map(path, stripped.map.after(shifts));
                Ok(stripped.code)
            }
            Err(error) => {
                let written = |place| shifts.as_ref().map_or(place, |it| it.original(place));
                let place = error.place.map(written);
                Err(problem::at(self, ProblemKind::Script, error.message, path, place))
            }
        }
    }
}

const TYPESCRIPT: &[&str] = &["ts", "mts", "cts", "tsx"];

/// The graph as the imports of one file see it.
struct Importer<'g>(&'g Graph, &'g str);

impl Importer<'_> {
    fn file(&self, name: &str, kind: Kind) -> Option<Target> {
        let Self(graph, base) = self;
        let kind = if is_sdk(name) { Kind::Import } else { kind };
        graph.resolver.resolve(base, name, kind).ok()
    }

    fn text(&self, path: &str) -> Option<String> {
        let bytes = self.0.sources.read(path).ok()??;
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl Lookup for Importer<'_> {
    fn required(&self, name: &str) -> Option<Shape> {
        let path = match self.file(name, Kind::Require)? {
            Target::Own(name) if commonjs::is_node(&name) => return Some(Shape::Whole),
            Target::Own(_) => return Some(Shape::Names),
            Target::File(found) => found.path,
        };
        if has_extension(&path, &["json"]) {
            return Some(Shape::Json);
        }
        let text = self.text(&path)?;
        let whole = if has_extension(&path, TYPESCRIPT) {
            rewrite::exports_whole(&path, &text)
        } else {
            self.0.is_commonjs(&path, &text)
        };
        Some(if whole { Shape::Whole } else { Shape::Names })
    }

    fn is_assigned(&self, name: &str) -> bool {
        let Some(Target::File(found)) = self.file(name, Kind::Import) else { return false };
        has_extension(&found.path, TYPESCRIPT)
            && self.text(&found.path).is_some_and(|it| rewrite::exports_whole(&found.path, &it))
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

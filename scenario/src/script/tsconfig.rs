//! `tsconfig.json` and `jsconfig.json`: what names mean by `paths` and `baseUrl`, and which
//! decorators a file has; `extends` too, as the TypeScript compiler reads them. Pure: reads only
//! what [`Sources`] holds. Of a file it is the nearest one above, packages have none.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::packages::{self, Kind, folders, join};
use super::sources::{Sources, normalize};

/// In this order in one folder.
const NAMES: [&str; 2] = ["tsconfig.json", "jsconfig.json"];
/// Configurations that extend each other.
const DEPTH_MAX: usize = 16;
/// The folder of the configuration that a file has, in those that it extends.
const CONFIG_DIR: &str = "${configDir}";
/// Declarations hold no code.
const DECLARATIONS: [&str; 3] = [".d.ts", ".d.mts", ".d.cts"];

/// A configuration that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub file: String,
    pub message: String,
    /// Line and column, both from 1.
    pub place: Option<(usize, usize)>,
}

/// One `compilerOptions`, with those it extends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The file itself and all that it extends.
    pub files: Vec<String>,
    /// What it extends and is not there.
    pub missing: Vec<String>,
    /// `experimentalDecorators`.
    pub(super) legacy_decorators: bool,
    /// `emitDecoratorMetadata`.
    pub(super) decorator_metadata: bool,
    base_url: Option<Folder>,
    paths: Vec<(String, Vec<String>)>,
    /// Of the file that has the `paths`.
    paths_folder: String,
    /// Of the file itself.
    folder: String,
}

/// A folder of the project, or one outside.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Folder {
    Inside(String),
    Outside,
}

/// What a configuration says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    pub file: String,
    /// The path as mapped, without an ending.
    pub target: String,
}

impl Config {
    /// The file that `name`, which is no relative path, means; `None` leaves it to `node_modules`.
    #[must_use]
    pub fn resolve(&self, sources: &dyn Sources, name: &str) -> Option<Mapped> {
        let mut targets = self.targets(name);
        if let Some(Folder::Inside(folder)) = &self.base_url {
            targets.extend(normalize(folder, name));
        }
        targets.into_iter().find_map(|target| {
            let file = packages::probe(sources, "", &target)?;
            Some(Mapped { file, target })
        })
    }

    /// Paths in the project that the pattern of `paths` gives for a name: that of the longest text
    /// before its `*`, an exact one first.
    fn targets(&self, name: &str) -> Vec<String> {
        let Some((substitutes, star)) = self.pattern(name) else { return Vec::new() };
        let declared = |path: &&String| !DECLARATIONS.iter().any(|ending| path.ends_with(ending));
        let folder = match &self.base_url {
            Some(Folder::Inside(folder)) => folder,
            Some(Folder::Outside) => return Vec::new(),
            None => &self.paths_folder,
        };
        let filled = substitutes.iter().filter(declared).map(|path| path.replacen('*', star, 1));
        filled.filter_map(|path| placed(folder, &path, &self.folder)).collect()
    }

    fn pattern<'a>(&'a self, name: &'a str) -> Option<(&'a Vec<String>, &'a str)> {
        if let Some((_, exact)) = self.paths.iter().find(|(pattern, _)| pattern == name) {
            return Some((exact, ""));
        }
        let fits = self.paths.iter().filter_map(|(pattern, substitutes)| {
            let (before, after) = pattern.split_once('*')?;
            let star = name.strip_prefix(before)?.strip_suffix(after)?;
            Some((before.len(), substitutes, star))
        });
        // The first of equals, as the compiler takes it.
        let longest = fits.rev().max_by_key(|(length, ..)| *length)?;
        Some((longest.1, longest.2))
    }

    /// Where a name was looked for, for the message that nothing was found.
    #[must_use]
    pub fn hint(&self, name: &str) -> String {
        let own = self.files.first().map_or("", String::as_str);
        let mut text = String::new();
        if self.pattern(name).is_some() {
            let targets = self.targets(name);
            let targets = if targets.is_empty() {
                "outside of the project".to_owned()
            } else {
                targets.join(", ")
            };
            text = format!("; by the paths of {own} it would be {targets}");
        }
        if !self.missing.is_empty() {
            let missing = self.missing.join(", ");
            text.push_str(&format!("; {own} extends {missing}, which is not there"));
        }
        text
    }
}

/// The configurations of a project, each read once.
#[derive(Debug, Default)]
pub struct Configs {
    of_folder: RefCell<BTreeMap<String, Option<Rc<Config>>>>,
}

impl Configs {
    /// The configuration of a file.
    ///
    /// # Errors
    /// One that is no JSON, even with comments, or whose options have another type.
    pub fn of(&self, sources: &dyn Sources, path: &str) -> Result<Option<Rc<Config>>, Invalid> {
        if packages::in_package(path) {
            return Ok(None);
        }
        for folder in folders(path) {
            if let Some(known) = self.of_folder.borrow().get(folder) {
                return Ok(known.clone());
            }
            let names = NAMES.iter().map(|name| join(folder, name));
            let found = names.into_iter().find(|path| packages::is_file(sources, path));
            if let Some(found) = found {
                let config = Rc::new(read(sources, &found)?);
                self.of_folder.borrow_mut().insert(folder.to_owned(), Some(Rc::clone(&config)));
                return Ok(Some(config));
            }
        }
        self.of_folder.borrow_mut().insert(folder_of(path).to_owned(), None);
        Ok(None)
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn read(sources: &dyn Sources, path: &str) -> Result<Config, Invalid> {
    let mut config = Config { folder: folder_of(path).to_owned(), ..Config::default() };
    overlay(&mut config, sources, path, &mut Vec::new())?;
    Ok(config)
}

/// Puts what `path` says over what is there, after what it extends.
fn overlay(
    config: &mut Config,
    sources: &dyn Sources,
    path: &str,
    above: &mut Vec<String>,
) -> Result<(), Invalid> {
    let invalid = |message: String| Invalid { file: path.to_owned(), message, place: None };
    if above.iter().any(|it| it == path) || above.len() == DEPTH_MAX {
        return Err(invalid(format!("{path} extends itself: {}", above.join(" extends "))));
    }
    let content = parse(sources, path)?;
    config.files.push(path.to_owned());
    above.push(path.to_owned());
    for name in names(content.get("extends"))
        .ok_or_else(|| invalid(format!("{path}: extends takes a path or a list of them")))?
    {
        match extended(sources, path, name, &config.folder) {
            Some(base) => overlay(config, sources, &base, above)?,
            None => config.missing.push(format!("\"{name}\"")),
        }
    }
    above.pop();
    options(config, &content, path).map_err(invalid)
}

/// JSON with comments and commas before closing brackets, as the compiler takes it.
fn parse(sources: &dyn Sources, path: &str) -> Result<Value, Invalid> {
    let invalid = |message, place| Invalid { file: path.to_owned(), message, place };
    let bytes = sources.read(path).map_err(|message| invalid(message, None))?.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').to_owned();
    let stripped = json_strip_comments::strip(&mut text);
    stripped.map_err(|error| invalid(format!("{path} is not JSON: {error}"), None))?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).map_err(|error| {
        let place = Some((error.line(), error.column()));
        invalid(format!("{path} is not JSON, even with comments: {error}"), place)
    })
}

/// One text, a list of them, or none.
fn names(value: Option<&Value>) -> Option<Vec<&str>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(one)) => Some(vec![one]),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
        Some(_) => None,
    }
}

/// The file that `extends` names: a path, with `.json` where it has none, or one of a package.
fn extended(sources: &dyn Sources, from: &str, name: &str, config_dir: &str) -> Option<String> {
    let json = |path: String| {
        let ended = format!("{path}.json");
        [path, ended].into_iter().find(|it| packages::is_file(sources, it))
    };
    if packages::is_relative(name) || name.starts_with(CONFIG_DIR) {
        let path = placed(folder_of(from), name, config_dir)?;
        return json(path.clone()).or_else(|| json(join(&path, NAMES[0])));
    }
    if let Ok(Some(found)) = packages::resolve(sources, from, name, Kind::Require)
        && found.path.ends_with(".json")
    {
        return Some(found.path);
    }
    folders(from).find_map(|above| {
        let path = normalize(above, &format!("node_modules/{name}"))?;
        let manifest = packages::manifest(sources, &join(&path, "package.json")).ok().flatten();
        let named = manifest.as_ref().and_then(|it| it.get("tsconfig")).and_then(Value::as_str);
        let named = named.and_then(|named| json(normalize(&path, named)?));
        named.or_else(|| json(path.clone())).or_else(|| json(join(&path, NAMES[0])))
    })
}

fn options(config: &mut Config, content: &Value, path: &str) -> Result<(), String> {
    let Some(options) = content.get("compilerOptions").filter(|it| !it.is_null()) else {
        return Ok(());
    };
    let wrong = |option: &str, takes: &str| format!("{path}: {option} takes {takes}");
    let set = |option: &str| options.get(option).filter(|it| !it.is_null());
    let flag = |option: &str| match set(option) {
        Some(value) => value.as_bool().map(Some).ok_or_else(|| wrong(option, "true or false")),
        None => Ok(None),
    };
    if let Some(on) = flag("experimentalDecorators")? {
        config.legacy_decorators = on;
    }
    if let Some(on) = flag("emitDecoratorMetadata")? {
        config.decorator_metadata = on;
    }
    let folder = folder_of(path);
    if let Some(value) = set("baseUrl") {
        let text = value.as_str().ok_or_else(|| wrong("baseUrl", "a path"))?;
        let inside = placed(folder, text, &config.folder);
        config.base_url = Some(inside.map_or(Folder::Outside, Folder::Inside));
    }
    if let Some(value) = set("paths") {
        let map = value.as_object().ok_or_else(|| wrong("paths", "lists of paths by pattern"))?;
        let all = map.iter().map(|(pattern, list)| {
            let list = list.as_array().and_then(|it| it.iter().map(Value::as_str).collect());
            let list: Vec<&str> =
                list.ok_or_else(|| wrong(&format!("\"{pattern}\" in paths"), "a list of paths"))?;
            Ok((pattern.clone(), list.into_iter().map(str::to_owned).collect()))
        });
        config.paths = all.collect::<Result<_, String>>()?;
        folder.clone_into(&mut config.paths_folder);
    }
    Ok(())
}

/// A path of a configuration in the project; `None` is outside.
fn placed(folder: &str, path: &str, config_dir: &str) -> Option<String> {
    match path.strip_prefix(CONFIG_DIR) {
        Some(rest) => normalize(config_dir, rest.trim_start_matches('/')),
        None => normalize(folder, path),
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemorySources;
    use super::*;

    fn project(config: &str) -> MemorySources {
        let mut sources = MemorySources::default().with("tsconfig.json", config.to_owned());
        for path in [
            "src/lib/a.ts",
            "src/lib/exact.ts",
            "src/events.ts",
            "other/b/index.ts",
            "types/x.d.ts",
        ] {
            sources = sources.with(path, "");
        }
        sources
    }

    fn found(sources: &MemorySources, name: &str) -> Option<String> {
        let config = Configs::default().of(sources, "src/sim.ts").unwrap().unwrap();
        config.resolve(sources, name).map(|it| it.file)
    }

    #[test]
    fn names_are_paths_by_the_longest_pattern_and_base_url() {
        let sources = project(
            r#"{ // comments, and commas at ends
              "compilerOptions": { "paths": {
                "@/*": ["./nowhere/*", "./src/*"], "@/lib/deep/*": ["./src/*",], "x": ["types/x.d.ts"],
                "exact": ["./src/lib/exact.ts"], "*/end": ["./other/*"], "up": ["../../out"], }, /* x */ } }"#,
        );
        for (name, expected) in [
            ("@/lib/a", Some("src/lib/a.ts")),
            ("@/lib/a.js", Some("src/lib/a.ts")),
            // Only the longest pattern is asked.
            ("@/lib/deep/lib/a", Some("src/lib/a.ts")),
            ("@/lib/deep/a", None),
            ("exact", Some("src/lib/exact.ts")),
            ("b/end", Some("other/b/index.ts")),
            ("x", None),
            ("up", None),
            ("events", None),
        ] {
            assert_eq!(found(&sources, name).as_deref(), expected, "{name}");
        }
        let config = Configs::default().of(&sources, "sim.ts").unwrap().unwrap();
        assert_eq!(
            config.hint("@/none"),
            "; by the paths of tsconfig.json it would be nowhere/none, src/none"
        );
        assert_eq!(
            config.hint("up"),
            "; by the paths of tsconfig.json it would be outside of the project"
        );
        // With a baseUrl, paths are relative to it, and what no pattern finds is looked for there.
        let sources = project(
            r#"{"compilerOptions": {"baseUrl": "src", "paths": {"l/*": ["lib/*", "../other/*"]}}}"#,
        );
        for (name, expected) in [
            ("l/a", Some("src/lib/a.ts")),
            ("l/b", Some("other/b/index.ts")),
            ("lib/a", Some("src/lib/a.ts")),
            ("events", Some("src/events.ts")),
            ("other/b", None),
        ] {
            assert_eq!(found(&sources, name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_extended_comes_first_and_keeps_its_own_folder() {
        let base = r#"{"compilerOptions": {"experimentalDecorators": true,
            "paths": {"p/*": ["../src/lib/*"], "q": ["${configDir}/src/events.ts"]}}}"#;
        let sources = project(r#"{"extends": ["@tsc/plain", "conf", "./base/t", "./none"]}"#)
            .with("node_modules/@tsc/plain/package.json", "{}")
            .with(
                "node_modules/@tsc/plain/tsconfig.json",
                r#"{"compilerOptions": {"emitDecoratorMetadata": true, "paths": {"n": ["./n"]}}}"#,
            )
            .with("node_modules/conf/package.json", r#"{"tsconfig": "c.json"}"#)
            .with("node_modules/conf/c.json", "// nothing")
            .with("base/t.json", base);
        let config = Configs::default().of(&sources, "src/sim.ts").unwrap().unwrap();
        assert_eq!(
            config.files,
            [
                "tsconfig.json",
                "node_modules/@tsc/plain/tsconfig.json",
                "node_modules/conf/c.json",
                "base/t.json"
            ]
        );
        assert!(config.legacy_decorators && config.decorator_metadata);
        assert_eq!(found(&sources, "p/a").as_deref(), Some("src/lib/a.ts"));
        assert_eq!(found(&sources, "q").as_deref(), Some("src/events.ts"));
        // `paths` are replaced as a whole.
        assert_eq!(found(&sources, "n"), None);
        assert_eq!(config.hint("n"), "; tsconfig.json extends \"./none\", which is not there");
    }

    #[test]
    fn a_file_has_the_nearest_one_and_packages_have_none() {
        let sources = project(r#"{"compilerOptions": {"baseUrl": "."}}"#)
            .with("src/jsconfig.json", r#"{"compilerOptions": {"baseUrl": "./lib"}}"#)
            .with("node_modules/p/index.js", "");
        let configs = Configs::default();
        let of = |path: &str| configs.of(&sources, path).unwrap().map(|it| it.files[0].clone());
        assert_eq!(of("src/lib/a.ts").as_deref(), Some("src/jsconfig.json"));
        assert_eq!(of("other/b/index.ts").as_deref(), Some("tsconfig.json"));
        assert_eq!(of("node_modules/p/index.js"), None);
        assert_eq!(found(&sources, "a").as_deref(), Some("src/lib/a.ts"));
        assert_eq!(Configs::default().of(&MemorySources::default(), "a/b.ts"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (config, message, place) in [
            (
                "{\n  \"compilerOptions\": {\n    \"paths\": [}",
                "tsconfig.json is not JSON, even with comments: expected value",
                Some((3, 15)),
            ),
            (r#"{"extends": 1}"#, "tsconfig.json: extends takes a path or a list of them", None),
            (
                r#"{"compilerOptions": {"paths": {"a": "b"}}}"#,
                "tsconfig.json: \"a\" in paths takes a list of paths",
                None,
            ),
            (
                r#"{"extends": "./tsconfig.json"}"#,
                "tsconfig.json extends itself: tsconfig.json",
                None,
            ),
        ] {
            let sources = project(config);
            let error = Configs::default().of(&sources, "src/sim.ts").unwrap_err();
            assert!(error.message.starts_with(message), "{error:?}");
            assert_eq!((error.file.as_str(), error.place), ("tsconfig.json", place), "{config}");
        }
    }
}

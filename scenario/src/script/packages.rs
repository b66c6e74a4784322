//! Packages in `node_modules`: which file a name means, by `exports`, `module` and `main` of its
//! `package.json`, and whether a file is CommonJS. Pure: reads only what [`Sources`] holds.

use serde_json::{Map, Value};

use super::sources::{Sources, normalize};

const FOLDER: &str = "node_modules";
/// What a path may leave out, in this order; a folder's index comes after its manifest.
const ENDINGS: [&str; 8] = ["", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".json"];
const INDEXES: [&str; 6] =
    ["/index.js", "/index.mjs", "/index.cjs", "/index.ts", "/index.mts", "/index.cts"];
/// TypeScript imports its own files by the names of their outputs.
const TYPED: [(&str, &str); 3] = [(".js", ".ts"), (".mjs", ".mts"), (".cjs", ".cts")];
/// Nested conditions and fallbacks of `exports`.
const DEPTH_MAX: usize = 16;

/// How a module is asked for: conditions of `exports` differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Import,
    Require,
}

impl Kind {
    fn holds(self, condition: &str) -> bool {
        match condition {
            "default" => true,
            "import" | "module" => self == Self::Import,
            "require" => self == Self::Require,
            _ => false,
        }
    }
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: String,
    /// The `package.json` that was read to find it.
    pub manifest: String,
}

/// `@scope/name/sub/path` is a name and a path.
fn split(name: &str) -> Option<(&str, &str)> {
    let slashes = if name.starts_with('@') { 2 } else { 1 };
    let end = name.match_indices('/').nth(slashes - 1).map_or(name.len(), |(at, _)| at);
    let (package, rest) = name.split_at(end);
    let valid = !package.is_empty()
        && package.matches('/').count() == slashes - 1
        && !package.starts_with(['.', '/'])
        && !package.contains([':', '\\']);
    valid.then(|| (package, rest.trim_start_matches('/')))
}

/// `./x`, `../x`, and the folders themselves.
pub(super) fn is_relative(name: &str) -> bool {
    matches!(name, "." | "..") || name.starts_with("./") || name.starts_with("../")
}

/// The folder that holds a path, and those above it; the root is empty.
pub(super) fn folders(path: &str) -> impl Iterator<Item = &str> {
    fn above(path: &str) -> &str {
        path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
    std::iter::successors(Some(above(path)), |folder| (!folder.is_empty()).then(|| above(folder)))
}

pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

pub(super) fn is_file(sources: &dyn Sources, path: &str) -> bool {
    matches!(sources.read(path), Ok(Some(_)))
}

pub(super) fn manifest(sources: &dyn Sources, path: &str) -> Result<Option<Value>, String> {
    let Some(bytes) = sources.read(path)? else { return Ok(None) };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|error| format!("{path} is not JSON: {error}"))
}

/// The file that `name`, which is no relative path, means in the file `from`. `None` when no folder
/// above has such a package.
///
/// # Errors
/// The package is there, and does not have what is asked for.
pub fn resolve(
    sources: &dyn Sources,
    from: &str,
    name: &str,
    kind: Kind,
) -> Result<Option<Found>, String> {
    let Some((package, rest)) = split(name) else { return Ok(None) };
    for above in folders(from).filter(|it| !it.ends_with(FOLDER)) {
        let folder = join(above, &format!("{FOLDER}/{package}"));
        let path = join(&folder, "package.json");
        let Some(content) = manifest(sources, &path)? else { continue };
        let file = match content.get("exports").filter(|it| !it.is_null()) {
            Some(exports) => exported(sources, exports, &folder, rest, kind),
            None if rest.is_empty() => main(sources, &content, &folder, kind),
            None => probe(sources, &folder, rest),
        };
        return match file {
            Some(file) => Ok(Some(Found { path: file, manifest: path })),
            None => Err(format!("package {package} ({folder}) has nothing for \"{name}\"")),
        };
    }
    Ok(None)
}

/// The file that a relative path means in the file `from`: the same for the script engine and for
/// whoever brings it the files.
#[must_use]
pub fn relative(sources: &dyn Sources, from: &str, name: &str) -> Option<String> {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    probe(sources, folder, name)
}

/// The files that a path may mean, without what a folder's manifest says.
pub fn candidates(path: &str) -> impl Iterator<Item = String> {
    files_of(path).chain(indexes_of(path))
}

fn files_of(path: &str) -> impl Iterator<Item = String> {
    let typed = TYPED
        .iter()
        .filter_map(move |(ending, typed)| Some(format!("{}{typed}", path.strip_suffix(ending)?)));
    ENDINGS.iter().map(move |ending| format!("{path}{ending}")).chain(typed)
}

fn indexes_of(path: &str) -> impl Iterator<Item = String> {
    INDEXES.iter().map(move |index| format!("{path}{index}"))
}

/// A file, one with an ending added, or a folder by its manifest or index.
pub(super) fn probe(sources: &dyn Sources, folder: &str, name: &str) -> Option<String> {
    let path = normalize(folder, name)?;
    if let Some(found) = files_of(&path).find(|it| is_file(sources, it)) {
        return Some(found);
    }
    let own = manifest(sources, &join(&path, "package.json")).ok().flatten();
    if let Some(main) = own.as_ref().and_then(|it| it.get("main")).and_then(Value::as_str)
        && let Some(found) = file(sources, &path, main)
    {
        return Some(found);
    }
    indexes_of(&path).find(|it| is_file(sources, it))
}

fn file(sources: &dyn Sources, folder: &str, name: &str) -> Option<String> {
    let path = normalize(folder, name)?;
    candidates(&path).find(|it| is_file(sources, it))
}

fn main(sources: &dyn Sources, content: &Value, folder: &str, kind: Kind) -> Option<String> {
    let fields: &[&str] =
        if kind == Kind::Import { &["module", "main"] } else { &["main", "module"] };
    let named = fields.iter().filter_map(|field| content.get(*field)?.as_str());
    named.chain(["index"]).find_map(|name| file(sources, folder, name))
}

/// By Node's rules: the longest pattern that fits, then the first condition that holds.
fn exported(
    sources: &dyn Sources,
    exports: &Value,
    folder: &str,
    rest: &str,
    kind: Kind,
) -> Option<String> {
    let wanted = if rest.is_empty() { ".".to_owned() } else { format!("./{rest}") };
    let by_path = exports.as_object().filter(|it| it.keys().any(|key| key.starts_with('.')));
    let (target, star) = match by_path {
        Some(map) => entry(map, &wanted)?,
        None => (exports, String::new()),
    };
    if by_path.is_none() && wanted != "." {
        return None;
    }
    let chosen = condition(target, kind, DEPTH_MAX)?;
    let path = normalize(folder, &chosen.strip_prefix("./")?.replace('*', &star))?;
    let inside = path.starts_with(&format!("{folder}/"));
    (inside && is_file(sources, &path)).then_some(path)
}

/// What stands for a path, and what its `*` is.
fn entry<'a>(map: &'a Map<String, Value>, wanted: &str) -> Option<(&'a Value, String)> {
    if let Some(found) = map.get(wanted).filter(|_| !wanted.contains('*')) {
        return Some((found, String::new()));
    }
    let fits = map.iter().filter_map(|(key, value)| {
        let (before, after) = key.split_once('*')?;
        let star = wanted.strip_prefix(before)?.strip_suffix(after)?;
        (!star.is_empty()).then_some((before.len(), value, star))
    });
    let (_, value, star) = fits.max_by_key(|(length, ..)| *length)?;
    Some((value, star.to_owned()))
}

fn condition(target: &Value, kind: Kind, depth: usize) -> Option<&str> {
    let deeper = depth.checked_sub(1)?;
    match target {
        Value::String(path) => Some(path),
        Value::Array(list) => list.iter().find_map(|it| condition(it, kind, deeper)),
        Value::Object(map) => {
            let mut held = map.iter().filter(|(key, _)| kind.holds(key));
            held.find_map(|(_, value)| condition(value, kind, deeper))
        }
        _ => None,
    }
}

/// The nearest `package.json` of a file in a package, which says whether its `.js` are modules.
#[must_use]
pub fn manifest_of(sources: &dyn Sources, path: &str) -> Option<String> {
    let inside = folders(path).take_while(|it| !it.ends_with(FOLDER));
    inside.map(|folder| join(folder, "package.json")).find(|it| is_file(sources, it))
}

/// `None`: its text decides.
#[must_use]
pub(super) fn is_commonjs(sources: &dyn Sources, path: &str) -> Option<bool> {
    let (_, ending) = path.rsplit_once('.')?;
    match ending {
        "cjs" => return Some(true),
        "js" if in_package(path) => {}
        _ => return Some(false),
    }
    let content = manifest(sources, &manifest_of(sources, path)?).ok().flatten()?;
    (content.get("type").and_then(Value::as_str) == Some("module")).then_some(false)
}

pub(super) fn in_package(path: &str) -> bool {
    path.split('/').any(|part| part == FOLDER)
}

#[cfg(test)]
mod tests {
    use super::super::MemorySources;
    use super::*;

    fn sources() -> MemorySources {
        let exports = r#"{"exports": {
            ".": {"node": "./node.js", "import": {"types": "./x.d.ts", "default": "./esm.mjs"},
                  "default": "./cjs.js"},
            "./sub": "./lib/sub.js", "./lib/*": "./lib/*.js", "./lib/deep/*": null,
            "./out": "../../../secret.js"}}"#;
        let mut sources = MemorySources::default()
            .with("node_modules/new/package.json", exports)
            .with("node_modules/old/package.json", r#"{"main": "lib/main", "module": "m.js"}"#)
            .with("node_modules/@scope/plain/package.json", "{}")
            .with("load/node_modules/old/package.json", r#"{"main": "./near.js"}"#)
            .with("node_modules/mod/package.json", r#"{"type": "module"}"#);
        for path in [
            "secret.js",
            "node_modules/new/node.js",
            "node_modules/new/esm.mjs",
            "node_modules/new/cjs.js",
            "node_modules/new/lib/sub.js",
            "node_modules/new/lib/a.js",
            "node_modules/old/lib/main.js",
            "node_modules/old/m.js",
            "node_modules/old/extra/index.js",
            "node_modules/@scope/plain/index.js",
            "node_modules/@scope/plain/x.json",
            "load/node_modules/old/near.js",
        ] {
            sources = sources.with(path, "{}");
        }
        sources
    }

    #[test]
    fn names_are_files_by_their_packages_manifest() {
        let sources = sources();
        let found = |from: &str, name: &str, kind| {
            let found = resolve(&sources, from, name, kind);
            found.map(|it| it.map(|it| it.path.replace("node_modules", "~")))
        };
        for (name, import, require) in [
            ("new", "~/new/esm.mjs", "~/new/cjs.js"),
            ("new/sub", "~/new/lib/sub.js", "~/new/lib/sub.js"),
            ("new/lib/a", "~/new/lib/a.js", "~/new/lib/a.js"),
            ("old", "~/old/m.js", "~/old/lib/main.js"),
            ("old/lib/main", "~/old/lib/main.js", "~/old/lib/main.js"),
            ("old/extra", "~/old/extra/index.js", "~/old/extra/index.js"),
            ("@scope/plain", "~/@scope/plain/index.js", "~/@scope/plain/index.js"),
            ("@scope/plain/x.json", "~/@scope/plain/x.json", "~/@scope/plain/x.json"),
        ] {
            assert_eq!(found("sim.js", name, Kind::Import).unwrap().unwrap(), import);
            assert_eq!(found("a/b/sim.js", name, Kind::Require).unwrap().unwrap(), require);
        }
        let near = found("load/sim.js", "old", Kind::Import).unwrap().unwrap();
        assert_eq!(near, "load/~/old/near.js");
        for name in ["none", "@scope", "../x", "node:fs", "https://x", ""] {
            assert_eq!(found("sim.js", name, Kind::Import), Ok(None), "{name}");
        }
        for name in ["new/lib/deep/x", "new/cjs.js", "new/out", "old/nothing"] {
            let error = found("sim.js", name, Kind::Import).unwrap_err();
            assert!(error.contains(&format!("has nothing for \"{name}\"")), "{error}");
        }
    }

    #[test]
    fn files_are_commonjs_by_ending_and_manifest() {
        let sources = sources();
        for (path, expected) in [
            ("sim.js", Some(false)),
            ("lib/a.cjs", Some(true)),
            ("node_modules/new/esm.mjs", Some(false)),
            ("node_modules/mod/a.js", Some(false)),
            ("node_modules/new/lib/a.js", None),
        ] {
            assert_eq!(is_commonjs(&sources, path), expected, "{path}");
        }
        let found = manifest_of(&sources, "node_modules/new/lib/a.js");
        assert_eq!(found.as_deref(), Some("node_modules/new/package.json"));
    }
}

//! What a simulation needs, found on this machine, and sent where the repository lacks it: the
//! simulation, the modules and JSON files it imports by relative paths and by those of
//! `tsconfig.json`, the files of packages that they import, and the `resources` folder. Nothing else
//! is uploaded, and what is uploaded is said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, LazyLock};

use anyhow::Context as _;
use onrush_api::client::Client;
use onrush_api::routes::files::File;
use onrush_scenario::script::packages::{self, Kind};
use onrush_scenario::script::resolve::{Resolver, Target};
use onrush_scenario::script::{DirSources, Sources};

use super::exit::{Exit, fail};
use super::output::bytes;
use super::{Global, tell};

/// Modules of one simulation.
const MODULES_MAX: usize = 4_000;
/// Files of one folder.
const FILES_MAX: usize = 4_000;
const DEPTH_MAX: usize = 16;
/// A module larger than this is not read for its imports.
const MODULE_BYTES_MAX: u64 = 16 << 20;
/// How far above the simulation its project's folder is looked for.
const PARENTS_MAX: usize = 4;
const RESOURCES: &str = "resources";
const ROOT_MARKS: [&str; 3] = [RESOURCES, "package.json", "onrush.toml"];

/// One file to be sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Upload {
    pub local: PathBuf,
    /// In the project's repository.
    pub path: String,
}

/// A simulation with all it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Path of the simulation in the repository.
    pub simulation: String,
    /// By path in the repository.
    pub uploads: Vec<Upload>,
}

/// Collects a simulation's files. Paths in the repository are relative to the nearest folder above
/// it with `resources`, `package.json` or `onrush.toml`, or else to its own folder.
pub fn collect(simulation: &Path, extra: &[PathBuf]) -> anyhow::Result<Bundle> {
    let entry = simulation.canonicalize().map_err(|error| {
        fail(Exit::NoInput, format!("cannot read {}: {error}", simulation.display()))
    })?;
    if !entry.is_file() {
        return Err(fail(Exit::NoInput, format!("{} is not a file", simulation.display())));
    }
    let root = root_of(&entry);
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    modules(&root, &entry, &mut found)?;
    let mut uploads = Vec::new();
    let resources = root.join(RESOURCES);
    if resources.is_dir() {
        folder(&resources, RESOURCES, &mut uploads)?;
    }
    for path in extra {
        let full = path.canonicalize().map_err(|error| {
            fail(Exit::NoInput, format!("cannot read {}: {error}", path.display()))
        })?;
        let name = inside(&root, &full).or_else(|| Some(path.file_name()?.to_str()?.to_owned()));
        let name = name.with_context(|| format!("{} has no name", path.display()))?;
        if full.is_dir() {
            folder(&full, &name, &mut uploads)?;
        } else {
            uploads.push(Upload { local: full, path: name });
        }
    }
    found.extend(uploads.into_iter().map(|upload| (upload.path, upload.local)));
    let simulation = inside(&root, &entry)
        .with_context(|| format!("the path of {} is not valid UTF-8", simulation.display()))?;
    let uploads = found.into_iter().map(|(path, local)| Upload { local, path }).collect();
    Ok(Bundle { simulation, uploads })
}

fn root_of(entry: &Path) -> PathBuf {
    let own = entry.parent().unwrap_or(entry).to_owned();
    let marked = |folder: &&Path| ROOT_MARKS.iter().any(|mark| folder.join(mark).exists());
    own.ancestors().take(PARENTS_MAX).find(marked).map_or_else(|| own.clone(), Path::to_owned)
}

/// `path` below `root`, with slashes.
fn inside(root: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path
        .strip_prefix(root)
        .ok()?
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    parts.map(|parts| parts.join("/")).filter(|path| !path.is_empty())
}

/// The entry and what it imports, and so on.
fn modules(root: &Path, entry: &Path, found: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    let project = Project::new(root);
    let mut waiting = vec![(entry.to_owned(), entry.to_owned())];
    let mut seen = BTreeSet::new();
    while let Some((module, importer)) = waiting.pop() {
        if !seen.insert(module.clone()) {
            continue;
        }
        if seen.len() > MODULES_MAX {
            return Err(fail(Exit::BadScript, format!("more than {MODULES_MAX} modules")));
        }
        let path = inside(root, &module).ok_or_else(|| {
            let message = format!(
                "{} imports {}, which is outside of {}; move it there",
                importer.display(),
                module.display(),
                root.display()
            );
            fail(Exit::BadScript, message)
        })?;
        for file in project.besides(&path)? {
            found.insert(file.clone(), root.join(file));
        }
        found.insert(path.clone(), module.clone());
        let small = module.metadata().is_ok_and(|meta| meta.len() <= MODULE_BYTES_MAX);
        if module.extension().is_some_and(|ending| ending == "json") || !small {
            continue;
        }
        let text = std::fs::read(&module)
            .map_err(|error| fail(Exit::NoInput, format!("{}: {error}", module.display())))?;
        for (kind, import) in imports(&String::from_utf8_lossy(&text)) {
            // What is not there is left to the script engine: it names line and column.
            let target = project.find(&path, &import, kind, found);
            waiting.extend(target.map(|target| (target, module.clone())));
        }
    }
    Ok(())
}

/// A project, whose files are found as the script engine finds them.
struct Project<'a> {
    root: &'a Path,
    sources: Arc<DirSources>,
    resolver: Resolver,
}

impl<'a> Project<'a> {
    fn new(root: &'a Path) -> Self {
        let sources = Arc::new(DirSources::new(root));
        let resolver = Resolver::new(Arc::clone(&sources) as Arc<dyn Sources>);
        Self { root, sources, resolver }
    }

    /// What says how a file is read: the manifest of its package, or the nearest `tsconfig.json`
    /// with those that it extends.
    fn besides(&self, path: &str) -> anyhow::Result<Vec<String>> {
        if path.split('/').any(|part| part == "node_modules") {
            return Ok(packages::manifest_of(&*self.sources, path).into_iter().collect());
        }
        let config = self.resolver.config(path).map_err(|invalid| {
            let place = invalid.place.map(|(line, column)| format!(":{line}:{column}"));
            let (file, place) = (invalid.file, place.unwrap_or_default());
            fail(Exit::BadScript, format!("{file}{place}: {}", invalid.message))
        })?;
        Ok(config.map(|config| config.files.clone()).unwrap_or_default())
    }

    /// The file that a name means. What the script engine has itself needs none, and what is not
    /// there is left to it; a relative path that leads outside is found, to be refused.
    fn find(
        &self,
        from: &str,
        name: &str,
        kind: Kind,
        found: &mut BTreeMap<String, PathBuf>,
    ) -> Option<PathBuf> {
        match self.resolver.resolve(from, name, kind) {
            Ok(Target::Own(_)) => None,
            Ok(Target::File(file)) => {
                found.extend(file.with.into_iter().map(|it| (it.clone(), self.root.join(it))));
                Some(self.root.join(file.path))
            }
            Err(_) if name.starts_with('.') => {
                let path = self.root.join(from).parent()?.join(name);
                let mut outside = packages::candidates(path.to_str()?).map(PathBuf::from);
                outside.find(|it| it.is_file())?.canonicalize().ok()
            }
            Err(_) => None,
        }
    }
}

/// Module names in `import … from "./x"`, `export … from`, `import "./x"`, `import("./x")` and
/// `require("x")`. Comments may add a name too many; a file that is not there is not an error here.
fn imports(text: &str) -> Vec<(Kind, String)> {
    static IMPORT: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
        let pattern = r#"(\bfrom|\bimport|\bimport\s*\(|\brequire\s*\()\s*["']([^"'\n]+)["']"#;
        regex::Regex::new(pattern).ok()
    });
    let Some(pattern) = IMPORT.as_ref() else { return Vec::new() };
    let kind = |word: &str| if word.starts_with('r') { Kind::Require } else { Kind::Import };
    pattern.captures_iter(text).map(|found| (kind(&found[1]), found[2].to_owned())).collect()
}

/// All files below a folder, hidden ones and installed packages left out.
pub fn folder(local: &Path, prefix: &str, uploads: &mut Vec<Upload>) -> anyhow::Result<()> {
    let mut waiting = vec![(local.to_owned(), prefix.to_owned(), 0)];
    while let Some((folder, prefix, depth)) = waiting.pop() {
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| fail(Exit::NoInput, format!("{}: {error}", folder.display())))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(fail(Exit::NoInput, format!("{:?}: not UTF-8", entry.path())));
            };
            if name.starts_with('.') || name == "node_modules" {
                continue;
            }
            let path = format!("{prefix}/{name}");
            let kind = entry.path().metadata().with_context(|| path.clone())?;
            if kind.is_dir() {
                if depth >= DEPTH_MAX {
                    return Err(fail(Exit::NoInput, format!("{path}: folders are too deep")));
                }
                waiting.push((entry.path(), path, depth + 1));
            } else if kind.is_file() {
                uploads.push(Upload { local: entry.path(), path });
            }
            if uploads.len() > FILES_MAX {
                let message = format!("{} has more than {FILES_MAX} files", local.display());
                return Err(fail(Exit::NoInput, message));
            }
        }
    }
    Ok(())
}

/// Sends what the repository lacks, and says so.
pub async fn send(
    global: &Global,
    client: &Client,
    project: &str,
    uploads: &[Upload],
) -> anyhow::Result<Vec<File>> {
    let mut sent = Vec::new();
    for upload in uploads {
        let digest = digest_of(upload.local.clone()).await?;
        if client.file_digest(project, &upload.path).await?.as_deref() == Some(&*digest) {
            if !global.quiet {
                tell(format!("  unchanged {}", upload.path));
            }
            continue;
        }
        let stored = client.put_file(project, &upload.path, &upload.local, Some(&digest)).await;
        // The error says what is wrong, not of which of the files.
        let file = stored.inspect_err(|_| tell(format!("  refused   {}", upload.path)))?;
        if !global.quiet {
            tell(format!("  uploaded  {} ({}, v{})", file.path, bytes(file.size), file.version));
        }
        sent.push(file);
    }
    Ok(sent)
}

/// BLAKE3 in hex.
async fn digest_of(local: PathBuf) -> anyhow::Result<String> {
    let shown = local.display().to_string();
    let hashed = tokio::task::spawn_blocking(move || {
        let mut hasher = blake3::Hasher::new();
        std::io::copy(&mut std::fs::File::open(local)?, &mut hasher)?;
        Ok::<_, std::io::Error>(hasher.finalize().to_hex().to_string())
    });
    hashed.await?.map_err(|error| fail(Exit::NoInput, format!("cannot read {shown}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) -> PathBuf {
        let full = root.join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(&full, text).unwrap();
        full
    }

    fn paths(bundle: &Bundle) -> Vec<&str> {
        bundle.uploads.iter().map(|upload| upload.path.as_str()).collect()
    }

    #[test]
    fn imports_are_found_and_others_left() {
        let text = "import { a } from \"./a.js\";\nimport './b';\nexport * from '../c.ts'\n\
                    import x from \"@gatling.io/core\"; const y = import(\"./d.json\");";
        let found: Vec<String> = imports(text).into_iter().map(|(_, name)| name).collect();
        assert_eq!(found, ["./a.js", "./b", "../c.ts", "@gatling.io/core", "./d.json"]);
        let found = imports("const a = require('./a'), b = require( \"b\" );");
        assert_eq!(found, [(Kind::Require, "./a".to_owned()), (Kind::Require, "b".to_owned())]);
    }

    #[test]
    fn of_packages_only_the_files_that_are_imported_are_brought() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "package.json", "{}");
        let entry = write(root, "load/sim.js", "import 'used'; import './own.js';");
        write(root, "load/own.js", "import { x } from '@s/deep/sub'");
        write(root, "node_modules/used/package.json", r#"{"main": "lib"}"#);
        write(root, "node_modules/used/lib/index.js", "require('./a'); require('inner')");
        write(root, "node_modules/used/lib/a.js", "require('fs'); require('../data.json')");
        write(root, "node_modules/used/data.json", "{}");
        write(root, "node_modules/used/lib/not.js", "");
        write(root, "node_modules/used/node_modules/inner/package.json", "{}");
        write(root, "node_modules/used/node_modules/inner/index.js", "");
        write(root, "node_modules/@s/deep/package.json", r#"{"exports": {"./sub": "./s.mjs"}}"#);
        write(root, "node_modules/@s/deep/s.mjs", "export const x = 1;");
        write(root, "node_modules/unused/package.json", "{}");
        let bundle = collect(&entry, &[]).unwrap();
        let shown: Vec<String> =
            paths(&bundle).iter().map(|path| path.replace("node_modules", "~")).collect();
        assert_eq!(
            shown,
            [
                "load/own.js",
                "load/sim.js",
                "~/@s/deep/package.json",
                "~/@s/deep/s.mjs",
                "~/used/data.json",
                "~/used/lib/a.js",
                "~/used/lib/index.js",
                "~/used/~/inner/index.js",
                "~/used/~/inner/package.json",
                "~/used/package.json",
            ]
        );
    }

    /// What the engine would load, and nothing that it has itself.
    #[test]
    fn imports_mean_the_files_that_the_engine_takes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let sim = "import './both'; import './folder'; import './other.mjs'; import 'events';
            import './main';
            import { a } from '@gatling.io/core'; import { b } from '@gatling.io/http'; import 'dep';";
        let entry = write(root, "sim.ts", sim);
        for path in ["both.ts", "both.mjs", "folder/index.mjs", "folder/index.ts", "other.mts"] {
            write(root, path, "");
        }
        write(root, "main/package.json", r#"{"main": "m"}"#);
        write(root, "main/m.ts", "");
        for name in ["@gatling.io/core", "@gatling.io/http", "events", "util"] {
            write(root, &format!("node_modules/{name}/package.json"), r#"{"main": "m.js"}"#);
            write(root, &format!("node_modules/{name}/m.js"), "");
        }
        write(root, "node_modules/dep/package.json", "{}");
        write(root, "node_modules/dep/index.js", "require('node:util'); require('events')");
        let bundle = collect(&entry, &[]).unwrap();
        assert_eq!(
            paths(&bundle),
            [
                "both.mjs",
                "folder/index.mjs",
                "main/m.ts",
                "main/package.json",
                "node_modules/dep/index.js",
                "node_modules/dep/package.json",
                "other.mts",
                "sim.ts",
            ]
        );
    }

    /// What names mean by `tsconfig.json` comes along, and so does what says so.
    #[test]
    fn names_mapped_by_tsconfig_bring_their_files_and_the_configurations() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "package.json", "{}");
        write(root, "tsconfig.json", r#"{"extends": ["./base", "@tsc/n"], /* none */}"#);
        let base = r#"{"compilerOptions": {"baseUrl": "./src", "paths": {"@/*": ["lib/*"]}}}"#;
        write(root, "base.json", base);
        write(root, "node_modules/@tsc/n/tsconfig.json", "{}");
        write(root, "other/tsconfig.json", "{}");
        let entry = write(
            root,
            "src/sim.ts",
            "import { a } from '@/a'; import e from 'events'; import x = require('./x');
             import { http } from '@gatling.io/http';",
        );
        write(root, "src/@gatling.io/http.ts", "");
        write(root, "src/lib/a.ts", "import b from 'folder'");
        write(root, "src/lib/b.ts", "");
        write(root, "src/folder/package.json", r#"{"main": "m"}"#);
        write(root, "src/folder/m.ts", "");
        write(root, "src/events.ts", "");
        write(root, "src/x.ts", "export = 1;");
        let bundle = collect(&entry, &[]).unwrap();
        assert_eq!(
            paths(&bundle),
            [
                "base.json",
                "node_modules/@tsc/n/tsconfig.json",
                "src/events.ts",
                "src/folder/m.ts",
                "src/folder/package.json",
                "src/lib/a.ts",
                "src/sim.ts",
                "src/x.ts",
                "tsconfig.json",
            ]
        );
        write(root, "tsconfig.json", "{\n  \"extends\": }");
        let error = collect(&entry, &[]).unwrap_err().to_string();
        assert!(error.starts_with("tsconfig.json:2:"), "{error}");
    }

    #[test]
    fn a_simulation_brings_its_modules_and_resources() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let entry = write(root, "src/shop.js", "import './lib/flow.js'; import d from './d.json'");
        write(root, "src/lib/flow.js", "import '../shop.js'; import './typed.js'");
        write(root, "src/lib/typed.ts", "");
        write(root, "src/d.json", "{}");
        write(root, "src/unrelated.js", "");
        write(root, "resources/users.csv", "a");
        write(root, "resources/.hidden", "a");
        write(root, "resources/deep/x.json", "1");
        let extra = write(root, "more/extra.csv", "1");
        let bundle = collect(&entry, &[extra]).unwrap();
        assert_eq!(bundle.simulation, "src/shop.js");
        assert_eq!(
            paths(&bundle),
            [
                "more/extra.csv",
                "resources/deep/x.json",
                "resources/users.csv",
                "src/d.json",
                "src/lib/flow.js",
                "src/lib/typed.ts",
                "src/shop.js"
            ]
        );
    }

    /// The engine asks for a file by the path that the simulation gives it.
    #[test]
    fn a_linked_folder_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "package.json", "{}");
        let entry = write(root, "src/sim.js", "import './lib/x.js'");
        write(root, "shared/x.js", "import './y.js'");
        write(root, "shared/y.js", "");
        std::os::unix::fs::symlink("../shared", root.join("src/lib")).unwrap();
        let bundle = collect(&entry, &[]).unwrap();
        assert_eq!(paths(&bundle), ["src/lib/x.js", "src/lib/y.js", "src/sim.js"]);
    }

    #[test]
    fn a_lone_simulation_is_uploaded_alone() {
        let dir = tempfile::tempdir().unwrap();
        let entry = write(dir.path(), "a/b/c/d/e/lone.js", "import './missing.js'");
        let bundle = collect(&entry, &[]).unwrap();
        assert_eq!(paths(&bundle), ["lone.js"]);
        assert!(collect(&dir.path().join("none.js"), &[]).is_err());
    }

    #[test]
    fn imports_outside_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "outside.js", "");
        write(dir.path(), "p/package.json", "{}");
        let entry = write(dir.path(), "p/sim.js", "import '../outside.js'");
        let error = collect(&entry, &[]).unwrap_err().to_string();
        assert!(error.contains("is outside of"), "{error}");
    }
}

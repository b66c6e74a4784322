//! Which file a name means in a file: the same for the script engine and for whoever brings it the
//! files. Pure: reads only what [`Sources`] holds.

use std::rc::Rc;
use std::sync::Arc;

use super::packages::{self, Kind};
use super::sources::{Sources, normalize};
use super::tsconfig::{Config, Configs, Invalid};
use super::{commonjs, modules};

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A module that the engine has itself, whatever `node_modules` holds.
    Own(String),
    File(Found),
}

/// A file of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: String,
    /// Manifests and configurations without which the name means another file.
    pub with: Vec<String>,
}

/// Why a name means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// A relative path that leaves the project.
    Outside,
    /// Nothing is there; for the message, where else it was looked for.
    Missing(String),
    /// The package is there, and does not have it.
    Package(String),
    Config(Invalid),
}

/// Resolves names in the files of one project.
pub struct Resolver {
    sources: Arc<dyn Sources>,
    configs: Configs,
}

impl Resolver {
    #[must_use]
    pub fn new(sources: Arc<dyn Sources>) -> Self {
        Self { sources, configs: Configs::default() }
    }

    /// The file, or module of the engine, that `name` means in the file `from`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn resolve(&self, from: &str, name: &str, kind: Kind) -> Result<Target, Unresolved> {
        if packages::is_relative(name) {
            return self.relative(from, name).map(Target::File);
        }
        if kind == Kind::Import && !name.starts_with("onrush:") && modules::is_sdk(name) {
            return Ok(Target::Own(name.to_owned()));
        }
        let config = self.config(from).map_err(Unresolved::Config)?;
        if let Some(config) = &config
            && let Some(mapped) = config.resolve(&*self.sources, name)
        {
            let mut with = config.files.clone();
            with.extend(self.manifest_in(&mapped.target));
            return Ok(Target::File(Found { path: mapped.file, with }));
        }
        if let Some(own) = commonjs::node(name) {
            return Ok(Target::Own(own.to_owned()));
        }
        let found = packages::resolve(&*self.sources, from, name, kind);
        match found.map_err(Unresolved::Package)? {
            Some(found) => Ok(Target::File(Found { path: found.path, with: vec![found.manifest] })),
            None => {
                let hint = config.map(|config| config.hint(name)).unwrap_or_default();
                Err(Unresolved::Missing(hint))
            }
        }
    }

    /// What the nearest `tsconfig.json` of a file says.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn config(&self, path: &str) -> Result<Option<Rc<Config>>, Invalid> {
        self.configs.of(&*self.sources, path)
    }

    fn relative(&self, from: &str, name: &str) -> Result<Found, Unresolved> {
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        let target = normalize(folder, name).ok_or(Unresolved::Outside)?;
        match packages::relative(&*self.sources, from, name) {
            Some(path) => Ok(Found { path, with: self.manifest_in(&target).into_iter().collect() }),
            None => Err(Unresolved::Missing(String::new())),
        }
    }

    /// A folder says in its manifest which file it means.
    fn manifest_in(&self, folder: &str) -> Option<String> {
        let manifest = packages::join(folder, "package.json");
        packages::is_file(&*self.sources, &manifest).then_some(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemorySources;
    use super::*;

    #[test]
    fn names_are_the_sdks_then_mapped_then_nodes_then_packages() {
        let sources = MemorySources::default()
            .with("tsconfig.json", r#"{"compilerOptions": {"baseUrl": "src"}}"#)
            .with("src/events.ts", "")
            .with("src/@gatling.io/core.ts", "")
            .with("src/lib/package.json", r#"{"main": "m"}"#)
            .with("src/lib/m.ts", "")
            .with("node_modules/p/package.json", "{}")
            .with("node_modules/p/index.js", "")
            .shared();
        let resolver = Resolver::new(sources);
        let found = |path: &str, with: &[&str]| {
            let with = with.iter().map(|it| (*it).to_owned()).collect();
            Ok(Target::File(Found { path: path.to_owned(), with }))
        };
        let own = |name: &str| Ok(Target::Own(name.to_owned()));
        let resolve = |from: &str, name: &str| resolver.resolve(from, name, Kind::Import);
        assert_eq!(resolve("src/sim.ts", "@gatling.io/core"), own("@gatling.io/core"));
        assert_eq!(resolve("src/sim.ts", "events"), found("src/events.ts", &["tsconfig.json"]));
        assert_eq!(resolve("src/sim.ts", "path"), own("node:path"));
        assert_eq!(
            resolve("sim.ts", "lib"),
            found("src/lib/m.ts", &["tsconfig.json", "src/lib/package.json"])
        );
        assert_eq!(
            resolve("sim.ts", "p"),
            found("node_modules/p/index.js", &["node_modules/p/package.json"])
        );
        assert_eq!(resolve("node_modules/p/index.js", "events"), own("node:events"));
        assert_eq!(resolve("src/lib/m.ts", "."), found("src/lib/m.ts", &["src/lib/package.json"]));
        assert_eq!(resolve("src/sim.ts", "../../x"), Err(Unresolved::Outside));
        assert_eq!(resolve("src/sim.ts", "./x"), Err(Unresolved::Missing(String::new())));
    }
}

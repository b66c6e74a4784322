//! Where a simulation's files come from: bytes by path, nothing outside the root.
//! Holds no cache and follows no network; a path that leaves the root is refused before any read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// The files of one simulation. Paths are relative to its root, `/`-separated and normalised
/// ([`normalize`]): no `.`, no `..`, no leading slash.
pub trait Sources: Send + Sync {
    /// `Ok(None)` where there is no such file.
    ///
    /// # Errors
    /// Why an existing file cannot be read.
    fn read(&self, path: &str) -> Result<Option<Bytes>, String>;
}

/// Joins `name` to the folder `base` and resolves `.` and `..`; `None` when it leaves the root.
#[must_use]
pub fn normalize(base: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    if name.starts_with('/') || name.contains('\0') {
        return None;
    }
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// Finds a resource as Gatling does: in `resources/`, then as a path of its own. A path that
/// already begins with `resources/` is found either way.
///
/// # Errors
/// `Resource x not found`, or why it cannot be read.
pub fn resource(sources: &dyn Sources, path: &str) -> Result<Bytes, String> {
    let not_found = || format!("Resource {path} not found");
    let plain = normalize("", path).ok_or_else(not_found)?;
    for candidate in [format!("resources/{plain}"), plain] {
        if let Some(bytes) = sources.read(&candidate)? {
            return Ok(bytes);
        }
    }
    Err(not_found())
}

/// Files held in memory: tests, and simulations sent as one bundle.
#[derive(Clone, Debug, Default)]
pub struct MemorySources {
    files: BTreeMap<String, Bytes>,
}

impl MemorySources {
    #[must_use]
    pub fn with(mut self, path: &str, content: impl Into<Bytes>) -> Self {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    #[must_use]
    pub fn shared(self) -> Arc<dyn Sources> {
        Arc::new(self)
    }
}

impl Sources for MemorySources {
    fn read(&self, path: &str) -> Result<Option<Bytes>, String> {
        Ok(self.files.get(path).cloned())
    }
}

/// Files below a folder. Symbolic links may not lead out of it.
#[derive(Clone, Debug)]
pub struct DirSources {
    root: PathBuf,
}

impl DirSources {
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn open(&self, path: &Path) -> std::io::Result<Option<Bytes>> {
        let root = self.root.canonicalize()?;
        let found = match root.join(path).canonicalize() {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !found.starts_with(&root) {
            return Err(std::io::Error::other("leads outside the project"));
        }
        if !found.is_file() {
            return Ok(None);
        }
        std::fs::read(found).map(|content| Some(content.into()))
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

impl Sources for DirSources {
    fn read(&self, path: &str) -> Result<Option<Bytes>, String> {
        self.open(Path::new(path)).map_err(|error| format!("cannot read {path}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_root() {
        assert_eq!(normalize("a/b", "../c.js").as_deref(), Some("a/c.js"));
        assert_eq!(normalize("", "./x/../y.js").as_deref(), Some("y.js"));
        assert_eq!(normalize("a", "../../etc/x.js"), None);
        assert_eq!(normalize("", "/etc/passwd"), None);
    }

    #[test]
    fn resources_are_found_with_and_without_their_folder() {
        let sources = MemorySources::default().with("resources/users.csv", "a");
        for path in ["users.csv", "resources/users.csv"] {
            assert!(resource(&sources, path).is_ok(), "{path}");
        }
        assert_eq!(resource(&sources, "x.csv").unwrap_err(), "Resource x.csv not found");
        assert_eq!(resource(&sources, "../x").unwrap_err(), "Resource ../x not found");
    }

    #[test]
    fn a_link_that_leaves_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        std::fs::write(root.join("open"), "o").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), root.join("link")).unwrap();
        let sources = DirSources::new(&root);
        assert_eq!(sources.read("open").unwrap().unwrap(), "o");
        assert_eq!(sources.read("absent").unwrap(), None);
        assert!(sources.read("link").unwrap_err().contains("outside the project"));
    }
}

//! The files of a shard: pulled into the repository, then linked into the run's folder under their
//! names. It refuses names that would lie outside the folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use onrush_raft::types::ContentId;

use crate::repository::Repository;

/// # Errors
/// In words for the job's log: the file, and what is wrong with it.
pub async fn fetch(
    repository: &Repository,
    files: &BTreeMap<String, ContentId>,
    folder: &Path,
) -> Result<(), String> {
    for (name, content) in files {
        let to = inside(folder, name)?;
        let pulled = repository.ensure(content, &[]).await;
        pulled.map_err(|error| format!("file {name}: {error}"))?;
        let from = repository.store().path(content).map_err(|error| error.to_string())?;
        let placed = tokio::task::spawn_blocking(move || place(&from, &to)).await;
        let placed = placed.map_err(|error| error.to_string())?;
        placed.map_err(|error| format!("file {name}: {error}"))?;
    }
    Ok(())
}

/// `folder/name`, where `name` is a plain relative path.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let relative = Path::new(name);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain || name.contains('\0') {
        return Err(format!("{name:?} is not a path inside the job's files"));
    }
    Ok(folder.join(relative))
}

/// A hard link where the file system allows it: a 10 GB data file is on the disk once.
fn place(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::remove_file(to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_folder() {
        let folder = Path::new("/run/files");
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a\0b", "."] {
            assert!(inside(folder, bad).is_err(), "{bad:?}");
        }
        assert_eq!(inside(folder, "data/users.csv").unwrap(), folder.join("data/users.csv"));
    }

    #[test]
    fn a_file_is_linked_over_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("blob"), dir.path().join("files/a/b.js"));
        fs::write(&from, "new").unwrap();
        place(&from, &to).unwrap();
        place(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
    }
}

//! The files of a shard: pulled into the repository, then placed, verified, in the run's folder under
//! their names. It refuses names that would lie outside the folder.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use onrush_raft::types::ContentId;

use crate::repository::Repository;

/// # Errors
/// In words for the job's log: the file, and what is wrong with it.
pub async fn fetch(
    repository: &Arc<Repository>,
    files: &BTreeMap<String, ContentId>,
    folder: &Path,
) -> Result<(), String> {
    for (name, content) in files {
        let to = inside(folder, name)?;
        let placed = repository.place(content, &to).await;
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
}

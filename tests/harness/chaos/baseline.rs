//! What a node holds while nothing is to do: descriptors, child processes, files that are under way.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Connections come and go: so many descriptors more than at the beginning are no leak.
const DESCRIPTORS_MORE: usize = 48;

/// Open descriptors of a process.
///
/// # Errors
/// It has ended.
pub fn descriptors(pid: u32) -> anyhow::Result<usize> {
    let folder = format!("/proc/{pid}/fd");
    Ok(std::fs::read_dir(&folder).context(folder)?.count())
}

/// Child processes, zombies included.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|&child| parent(child) == Some(pid)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may have blanks and brackets.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Files below a node's data directory that are there only while something is under way. What a pull
/// left behind is not among them: it may be resumed for a day.
#[must_use]
pub fn under_way(data_dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![data_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if inside == "tmp" || name == "spool" {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// # Errors
/// What a node holds more than it should.
pub fn is_back(pid: u32, data_dir: &Path, descriptors_before: usize) -> anyhow::Result<()> {
    let children = children(pid);
    ensure!(children.is_empty(), "it has children: {children:?}");
    let open = descriptors(pid)?;
    let most = descriptors_before + DESCRIPTORS_MORE;
    ensure!(
        open <= most,
        "{open} descriptors are open, {descriptors_before} were at the beginning"
    );
    let files = under_way(data_dir);
    ensure!(files.is_empty(), "files are left of what was under way: {files:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["blobs/ab/abcd", "blobs/part/abce", "raft/log", "runs/j1/0-1/stdout.log"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        assert_eq!(under_way(dir.path()), Vec::<PathBuf>::new());
        let own = std::process::id();
        let open = descriptors(own).unwrap();
        for file in ["blobs/tmp/1-1", "raft/snapshots/tmp/1", "runs/j1/0-1/spool"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        assert_eq!(under_way(dir.path()).len(), 3);
        let error = is_back(own, dir.path(), open).unwrap_err().to_string();
        assert!(error.contains("children") || error.contains("under way"), "{error}");
    }

    #[test]
    fn children_are_found_by_their_parent() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children(std::process::id()).contains(&child.id()));
    }
}

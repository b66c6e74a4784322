//! Finding a data file as Gatling does: under `resources/`, then as a path of its own. Paths stay
//! inside the simulation's folder. Files are read by the implementer of [`Files`];
//! a document of the network is fetched here.

use std::io;
use std::time::Duration;

use super::unzip;
use crate::shard::{Problem, ProblemKind};

/// Where data files come from. Paths are relative to the simulation's folder, `/`-separated.
pub trait Files {
    /// Opens a file; none where there is no such file. Only called with paths that do not leave
    /// the folder by their spelling; following links out of it is the implementer's to refuse.
    ///
    /// # Errors
    /// What the operating system says of it.
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn io::Read>>>;

    /// Fetches a document of the network, for `jsonUrl`.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        fetch(url)
    }
}

/// Bytes of a document that a feeder fetches.
const DOCUMENT_BYTES_MAX: u64 = 1 << 30;
/// Longest wait for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(FETCH_TIMEOUT)).build();
    let agent: ureq::Agent = config.into();
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    let body = response.body_mut().with_config().limit(DOCUMENT_BYTES_MAX);
    body.read_to_vec().map_err(|error| error.to_string())
}

/// The places to look for `path`, in order.
///
/// # Errors
/// A path that leaves the folder.
pub fn candidates(path: &str) -> Result<Vec<String>, Problem> {
    let mut parts: Vec<&str> = Vec::new();
    let outside = || {
        invalid(path, format!("{path} is outside the simulation's folder: put the file into it"))
    };
    if path.starts_with(['/', '\\']) || path.contains('\0') {
        return Err(outside());
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(outside)?;
            }
            part => parts.push(part),
        }
    }
    let plain = parts.join("/");
    // `csv("resources/x.csv")` is wrong on Gatling, but common.
    Ok(if parts.first() == Some(&"resources") {
        vec![plain.clone(), format!("resources/{plain}")]
    } else {
        vec![format!("resources/{plain}"), plain]
    })
}

/// # Errors
/// A file that is missing, outside the folder, unreadable, or not the archive it should be.
pub(super) fn open(
    files: &dyn Files,
    path: &str,
    unzipped: bool,
) -> Result<Box<dyn io::Read>, Problem> {
    for candidate in candidates(path)? {
        let opened =
            files.open(&candidate).map_err(|error| unreadable(&candidate, &error.to_string()))?;
        if let Some(input) = opened {
            return if unzipped { unzip::open(input, path) } else { Ok(input) };
        }
    }
    Err(problem(
        ProblemKind::FileMissing,
        path,
        format!("Could not locate feeder file: Resource {path} not found"),
    ))
}

fn problem(kind: ProblemKind, file: &str, message: String) -> Problem {
    Problem { kind, message, file: Some(file.to_owned()), line: None, column: None, excerpt: None }
}

pub(super) fn invalid(file: &str, message: String) -> Problem {
    problem(ProblemKind::FileInvalid, file, message)
}

/// With the place, both from 1.
pub(super) fn invalid_at(file: &str, line: u64, column: Option<u64>, message: String) -> Problem {
    Problem {
        line: u32::try_from(line).ok(),
        column: column.and_then(|column| u32::try_from(column).ok()),
        ..invalid(file, message)
    }
}

pub(super) fn unreadable(file: &str, error: &str) -> Problem {
    invalid(file, format!("{file} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_first_then_the_path_itself() {
        assert_eq!(candidates("a/b.csv").unwrap(), ["resources/a/b.csv", "a/b.csv"]);
        assert_eq!(
            candidates("./resources/x.csv").unwrap(),
            ["resources/x.csv", "resources/resources/x.csv"]
        );
        assert_eq!(candidates("a/../x.csv").unwrap()[1], "x.csv");
        for outside in ["../x.csv", "a/../../x.csv", "/etc/passwd", "x\0"] {
            assert!(candidates(outside).unwrap_err().message.contains("outside"), "{outside}");
        }
    }
}

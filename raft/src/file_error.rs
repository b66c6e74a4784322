//! What is wrong with a file of the raft folder: which one, and why.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub(crate) struct FileError {
    pub(crate) path: PathBuf,
    pub(crate) why: String,
}

impl FileError {
    pub(crate) fn new(path: &Path, why: impl ToString) -> Self {
        Self { path: path.to_owned(), why: why.to_string() }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::other(error.to_string())
    }
}

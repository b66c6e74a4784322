//! The file repository's names: paths of a project, pointing to immutable content.

use serde::{Deserialize, Serialize};

use crate::types::{ContentId, ProjectName, RaftId, UnixMs};

/// One version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    pub project: ProjectName,
    pub path: String,
    /// 1, 2, 3 …
    pub version: u64,
    pub content: ContentId,
    pub size: u64,
    pub uploaded_by: String,
    pub uploaded_at: UnixMs,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileCommand {
    /// Refused unless `holders` contains a majority of the voters at the time of apply: whoever
    /// gets the acknowledgement may lose any minority and still read the file.
    Put { project: ProjectName, path: String, content: ContentId, size: u64, holders: Vec<RaftId> },
    /// All versions, or one. Refused while a job that has not ended pins the content.
    Delete { project: ProjectName, path: String, version: Option<u64> },
}

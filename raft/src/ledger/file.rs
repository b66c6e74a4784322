//! The file repository's names: paths of a project, pointing to immutable content. Never touches
//! the content itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, Rejection};
use super::{At, Ledger, limits};
use crate::types::{ContentId, DIGEST_PREFIX, ProjectName, RaftId, UnixMs};

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
    /// gets the acknowledgement may lose any minority and still read the file. The content that
    /// the newest version has already makes no new version.
    Put {
        project: ProjectName,
        path: String,
        content: ContentId,
        size: u64,
        holders: Vec<RaftId>,
        condition: Precondition,
    },
    /// All versions, or one. Refused while a job that has not ended pins the content.
    Delete { project: ProjectName, path: String, version: Option<u64>, condition: Precondition },
}

/// What a write asks of the version that is there, the newest where none is named (RFC 9110,
/// section 13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precondition {
    /// It is one of these.
    pub if_match: Option<Tags>,
    /// It is none of these.
    pub if_none_match: Option<Tags>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tags {
    /// Whatever is there.
    Any,
    These(Vec<ContentId>),
}

impl Tags {
    fn holds(&self, content: &ContentId) -> bool {
        match self {
            Self::Any => true,
            Self::These(contents) => contents.contains(content),
        }
    }
}

impl Precondition {
    /// # Errors
    /// When it does not hold for what is there under `path`.
    pub fn check(&self, path: &str, there: Option<&FileVersion>) -> Result<(), Rejection> {
        let refuse = |what: String| Err(Rejection::PreconditionFailed(what));
        match there {
            Some(file) if self.if_none_match.as_ref().is_some_and(|it| it.holds(&file.content)) => {
                refuse(format!("{path} exists, as version {}", file.version))
            }
            Some(file) if self.if_match.as_ref().is_some_and(|it| !it.holds(&file.content)) => {
                refuse(format!("{path} has the digest {DIGEST_PREFIX}{}", file.content))
            }
            None if self.if_match.is_some() => refuse(format!("{path} does not exist")),
            _ => Ok(()),
        }
    }
}

type Versions = BTreeMap<u64, Arc<FileVersion>>;

/// Project → path → versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileTable(BTreeMap<ProjectName, Arc<BTreeMap<String, Arc<Versions>>>>);

impl FileTable {
    pub(super) fn versions(&self, project: &ProjectName, path: &str) -> Option<&Versions> {
        self.0.get(project)?.get(path).map(Arc::as_ref)
    }

    pub(super) fn newest<'a>(
        &'a self,
        project: &ProjectName,
    ) -> impl Iterator<Item = &'a Arc<FileVersion>> + use<'a> {
        let files = self.0.get(project).into_iter().flat_map(|files| files.values());
        files.filter_map(|versions| versions.last_key_value().map(|(_, newest)| newest))
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = &ContentId> {
        let files = self.0.values().flat_map(|files| files.values());
        files.flat_map(|versions| versions.values()).map(|version| &version.content)
    }

    pub(super) fn count(&self, project: &ProjectName) -> usize {
        self.0.get(project).map_or(0, |files| files.len())
    }

    fn insert(&mut self, version: FileVersion) {
        let files = Arc::make_mut(self.0.entry(version.project.clone()).or_default());
        let versions = Arc::make_mut(files.entry(version.path.clone()).or_default());
        versions.insert(version.version, Arc::new(version));
    }

    fn remove(&mut self, project: &ProjectName, path: &str, version: Option<u64>) {
        let Some(files) = self.0.get_mut(project).map(Arc::make_mut) else { return };
        if let (Some(version), Some(versions)) = (version, files.get_mut(path)) {
            Arc::make_mut(versions).remove(&version);
        }
        if version.is_none() || files.get(path).is_some_and(|versions| versions.is_empty()) {
            files.remove(path);
        }
        if files.is_empty() {
            self.0.remove(project);
        }
    }
}

impl Ledger {
    pub(super) fn apply_file(
        &mut self,
        at: At<'_>,
        command: &FileCommand,
    ) -> Result<Outcome, Rejection> {
        match command {
            FileCommand::Put { project, path, content, size, holders, condition } => {
                self.require_project(project)?;
                check_path(path)?;
                check_content(content)?;
                self.check_holders(holders)?;
                condition.check(path, self.newest_file(project, path).map(Arc::as_ref))?;
                self.put_file(at, project, path, content, *size)
            }
            FileCommand::Delete { project, path, version, condition } => {
                self.require_project(project)?;
                self.delete_file(project, path, *version, condition)
            }
        }
    }

    fn put_file(
        &mut self,
        at: At<'_>,
        project: &ProjectName,
        path: &str,
        content: &ContentId,
        size: u64,
    ) -> Result<Outcome, Rejection> {
        let newest = self.newest_file(project, path);
        if let Some(newest) = newest.filter(|newest| &newest.content == content) {
            let file = FileVersion::clone(newest);
            return Ok(Outcome::Stored { file, replayed: false });
        }
        let version = newest.map_or(1, |newest| newest.version + 1);
        let kept = self.files.versions(project, path).map_or(0, BTreeMap::len);
        let files = self.files.count(project);
        limits::count("versions of one file", kept + 1, limits::VERSIONS_PER_FILE_MAX)?;
        if kept == 0 {
            limits::count("files in one project", files + 1, limits::FILES_PER_PROJECT_MAX)?;
        }
        let file = FileVersion {
            project: project.clone(),
            path: path.to_owned(),
            version,
            content: content.clone(),
            size,
            uploaded_by: at.by.to_owned(),
            uploaded_at: at.at,
        };
        self.files.insert(file.clone());
        Ok(Outcome::Stored { file, replayed: false })
    }

    fn newest_file(&self, project: &ProjectName, path: &str) -> Option<&Arc<FileVersion>> {
        let versions = self.files.versions(project, path)?;
        versions.last_key_value().map(|(_, newest)| newest)
    }

    fn delete_file(
        &mut self,
        project: &ProjectName,
        path: &str,
        version: Option<u64>,
        condition: &Precondition,
    ) -> Result<Outcome, Rejection> {
        let missing = || {
            let path: String = path.chars().take(120).collect();
            let version = version.map(|v| format!(" version {v}")).unwrap_or_default();
            Rejection::NotFound { what: format!("file {path}{version} of project {project}") }
        };
        let versions = self.files.versions(project, path).ok_or_else(missing)?;
        if version.is_some_and(|version| !versions.contains_key(&version)) {
            return Err(missing());
        }
        let there = match version {
            Some(version) => versions.get(&version),
            None => versions.last_key_value().map(|(_, newest)| newest),
        };
        condition.check(path, there.map(Arc::as_ref))?;
        let doomed = versions.values().filter(|v| version.is_none_or(|want| want == v.version));
        for file in doomed {
            let pinned = |job: &&Arc<super::job::Job>| {
                &job.project == project && job.spec.files.values().any(|c| c == &file.content)
            };
            if let Some(job) = self.jobs.live().find(pinned) {
                return Err(Rejection::Conflict(format!(
                    "version {} of {path} is in use by {}, which has not ended",
                    file.version, job.id
                )));
            }
        }
        self.files.remove(project, path, version);
        Ok(Outcome::Done)
    }

    /// A majority of every voter set must hold the content.
    fn check_holders(&self, holders: &[RaftId]) -> Result<(), Rejection> {
        limits::count("holders", holders.len(), limits::MEMBERS_MAX)?;
        if self.voter_sets.is_empty() {
            return Err(Rejection::NeedHolders { have: 0, need: 1 });
        }
        for voters in &self.voter_sets {
            let have = voters.iter().filter(|id| holders.contains(id)).count();
            let need = voters.len() / 2 + 1;
            if have < need {
                let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                return Err(Rejection::NeedHolders { have: short(have), need: short(need) });
            }
        }
        Ok(())
    }
}

/// Relative, with `/` between non-empty parts, none of them `.` or `..`.
pub fn check_path(path: &str) -> Result<(), Rejection> {
    limits::text("the path", path, limits::PATH_BYTES_MAX)?;
    let bad_part = |part: &str| part.is_empty() || part == "." || part == "..";
    let bad_char = |c: char| c.is_control() || c == '\\';
    if path.split('/').any(bad_part) || path.contains(bad_char) {
        return Err(Rejection::Invalid(format!(
            "path {path:?} is not valid: it must be relative, with / between its parts, without \
             ., .., backslashes and control characters"
        )));
    }
    Ok(())
}

/// 64 lower-case hex digits.
pub fn check_content(content: &ContentId) -> Result<(), Rejection> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if content.0.len() == 64 && content.0.bytes().all(hex) {
        return Ok(());
    }
    let shown: String = content.0.chars().take(80).collect();
    Err(Rejection::Invalid(format!("content id {shown:?} is not 64 lower-case hex digits")))
}

//! Projects: tenants. Every cluster has the project `default`, which cannot be deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, Rejection};
use super::{At, Ledger, limits};
use crate::types::{ProjectName, UnixMs};

/// The project that every cluster has from the start.
pub const DEFAULT_PROJECT: &str = "default";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub name: ProjectName,
    pub created_by: String,
    pub created_at: UnixMs,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProjectCommand {
    Create {
        name: ProjectName,
    },
    /// Refused while it has files or jobs that have not ended. Its ended jobs go with it.
    Delete {
        name: ProjectName,
    },
}

/// The projects of a new cluster.
pub(super) fn initial() -> BTreeMap<ProjectName, Arc<Project>> {
    let name = ProjectName::from(DEFAULT_PROJECT);
    let project = Project { name: name.clone(), created_by: "onrush".to_owned(), created_at: 0 };
    BTreeMap::from([(name, Arc::new(project))])
}

/// `[a-z0-9][a-z0-9-]{0,62}`
fn is_valid(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|&b| letter(b))
        && bytes.len() <= 63
        && bytes.iter().all(|&b| letter(b) || b == b'-')
}

impl Ledger {
    pub(super) fn apply_project(
        &mut self,
        at: At<'_>,
        command: &ProjectCommand,
    ) -> Result<Outcome, Rejection> {
        match command {
            ProjectCommand::Create { name } => self.create_project(at, name),
            ProjectCommand::Delete { name } => self.delete_project(name),
        }
    }

    fn create_project(&mut self, at: At<'_>, name: &ProjectName) -> Result<Outcome, Rejection> {
        if !is_valid(&name.0) {
            return Err(Rejection::Invalid(format!(
                "project name {:?} is not valid: 1 to 63 of a-z, 0-9 and -, not starting with -",
                name.0.chars().take(80).collect::<String>()
            )));
        }
        if self.projects.contains_key(name) {
            return Err(Rejection::Exists { what: format!("project {name}") });
        }
        limits::count("projects", self.projects.len() + 1, limits::PROJECTS_MAX)?;
        let (created_by, created_at) = (at.by.to_owned(), at.at);
        let project = Project { name: name.clone(), created_by, created_at };
        Arc::make_mut(&mut self.projects).insert(name.clone(), Arc::new(project));
        Ok(Outcome::Done)
    }

    fn delete_project(&mut self, name: &ProjectName) -> Result<Outcome, Rejection> {
        self.require_project(name)?;
        if name.0 == DEFAULT_PROJECT {
            return Err(Rejection::Conflict(format!("project {name} cannot be deleted")));
        }
        let files = self.files.count(name);
        if files > 0 {
            return Err(Rejection::Conflict(format!("project {name} still has {files} files")));
        }
        let live = self.jobs.live().filter(|job| &job.project == name).count();
        if live > 0 {
            return Err(Rejection::Conflict(format!(
                "project {name} still has {live} jobs that have not ended"
            )));
        }
        self.jobs.forget_project(name);
        self.keys.forget_project(name);
        Arc::make_mut(&mut self.projects).remove(name);
        Ok(Outcome::Done)
    }

    pub(super) fn require_project(&self, name: &ProjectName) -> Result<(), Rejection> {
        if self.projects.contains_key(name) {
            return Ok(());
        }
        let shown: String = name.0.chars().take(80).collect();
        Err(Rejection::NotFound { what: format!("project {shown}") })
    }
}

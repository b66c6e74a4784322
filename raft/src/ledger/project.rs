//! Projects: tenants. Every cluster has the project `default`.

use serde::{Deserialize, Serialize};

use crate::types::{ProjectName, UnixMs};

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
    /// Refused while it has files or jobs that have not ended.
    Delete {
        name: ProjectName,
    },
}

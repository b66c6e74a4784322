//! Projects: `/api/v1/projects`. A project is a tenant: its files, jobs, logs and reports.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::project::{self as domain, ProjectCommand};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dto::{self, rfc3339};
use crate::error::{Problem, ProblemBody};
use crate::extract::{By, IdempotencyKey, Json as Body, Path, Query};
use crate::page::{self, Page, Paging};
use crate::state::ApiState;

const LIST: &str = "projects";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, delete))
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    pub name: String,
    pub created_by: String,
    pub created_at: String,
    /// Files in its repository, versions not counted.
    pub files: usize,
    /// Jobs that have not ended.
    pub live_jobs: usize,
}

impl Project {
    fn of(ledger: &Ledger, project: &domain::Project) -> Self {
        Self {
            name: project.name.to_string(),
            created_by: project.created_by.clone(),
            created_at: rfc3339(project.created_at),
            files: ledger.files(&project.name).count(),
            live_jobs: ledger.live_jobs().filter(|job| job.project == project.name).count(),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// `[a-z0-9][a-z0-9-]{0,62}`
    pub name: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Items per page, 1 to 500; 50 when absent.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// All projects, by name
#[utoipa::path(
    get, path = "/api/v1/projects", tag = "projects", params(ListQuery),
    responses((status = 200, body = Page<Project>), (status = "default", body = ProblemBody))
)]
async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let paging = Paging::parse(LIST, query.limit.as_deref(), query.cursor.as_deref())?;
    let ledger = state.ledger();
    let rest = ledger
        .projects()
        .filter(|project| paging.after.as_ref().is_none_or(|after| project.name.0 > *after))
        .map(|project| Project::of(&ledger, project));
    let page = page::page_of(LIST, &paging, rest, |project| project.name.clone());
    Ok(page::respond(page, "/api/v1/projects", &raw.unwrap_or_default()))
}

/// Make a project
#[utoipa::path(
    post, path = "/api/v1/projects", tag = "projects", request_body = NewProject,
    params(IdempotencyKey),
    responses((status = 201, body = Project), (status = "default", body = ProblemBody))
)]
async fn create(
    State(state): State<ApiState>,
    By(by): By,
    Body(body): Body<NewProject>,
) -> Result<Response, Problem> {
    let name = dto::project_name("/name", &body.name)?;
    let command = Command::Project(ProjectCommand::Create { name: name.clone() });
    let applied = state.propose(&by, command).await?;
    dto::caught_up(&state, applied.index).await?;
    let ledger = state.ledger();
    let project = dto::find_project(&ledger, &name.0)?;
    let location = format!("/api/v1/projects/{name}");
    let body = Json(Project::of(&ledger, &project));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

/// One project
#[utoipa::path(
    get, path = "/api/v1/projects/{project}", tag = "projects",
    params(("project" = String, Path, description = "Name of the project")),
    responses((status = 200, body = Project), (status = "default", body = ProblemBody))
)]
async fn show(
    State(state): State<ApiState>,
    Path(project): Path<String>,
) -> Result<Json<Project>, Problem> {
    let ledger = state.ledger();
    let project = dto::find_project(&ledger, &project)?;
    Ok(Json(Project::of(&ledger, &project)))
}

/// Delete an empty project
///
/// Refused while it has files, or jobs that have not ended.
#[utoipa::path(
    delete, path = "/api/v1/projects/{project}", tag = "projects",
    params(("project" = String, Path, description = "Name of the project"), IdempotencyKey),
    responses((status = 204), (status = "default", body = ProblemBody))
)]
async fn delete(
    State(state): State<ApiState>,
    By(by): By,
    Path(project): Path<String>,
) -> Result<StatusCode, Problem> {
    let name = dto::project_name("/project", &project)?;
    let command = Command::Project(ProjectCommand::Delete { name });
    state.propose(&by, command).await?;
    Ok(StatusCode::NO_CONTENT)
}

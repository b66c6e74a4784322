//! Jobs: the list, one job, abort, shards and the audit trail. Submission is in `submit`, the load
//! of a running job in `load`, the results in `results`, the live streams in `ticks` and `logs`.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::job::{AssignmentState, Job as Row, JobCommand, JobStatus, VerdictValue};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dto::{find_job, find_project, job_id};
use crate::error::{Kind, Problem, ProblemBody};
use crate::extract::{By, IdempotencyKey, OptionalJson, Path, Query};
use crate::page::{self, Page, Paging};
use crate::state::ApiState;
use dto::{Job, JobEvent, Shard, ShardState};

pub mod dto;
pub mod load;
mod logs;
mod results;
pub mod submit;
pub mod ticks;

const LIST: &str = "jobs";
const EVENTS: &str = "job-events";
const REASON_BYTES_MAX: usize = 1_024;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(submit::submit))
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(abort))
        .routes(routes!(load::change_load))
        .routes(routes!(submit::rerun))
        .routes(routes!(shards))
        .routes(routes!(events))
        .merge(results::routes())
        .merge(ticks::routes())
        .merge(logs::routes())
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    project: Option<String>,
    /// One or more, with commas: `running,queued`.
    status: Option<String>,
    /// One or more, with commas.
    verdict: Option<String>,
    /// Path of the simulation.
    simulation: Option<String>,
    /// `key:value`, or a key alone.
    label: Option<String>,
    /// Submitted at or after this time (RFC 3339).
    since: Option<String>,
    /// Submitted before this time (RFC 3339).
    until: Option<String>,
    /// Text in id, title or simulation.
    q: Option<String>,
    /// Items per page, 1 to 500; 50 when absent.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What a list asks for, understood.
struct Filter {
    project: Option<String>,
    status: Option<Vec<JobStatus>>,
    verdict: Option<Vec<VerdictValue>>,
    simulation: Option<String>,
    label: Option<(String, Option<String>)>,
    since: Option<u64>,
    until: Option<u64>,
    q: Option<String>,
}

impl Filter {
    fn parse(query: ListQuery) -> Result<Self, Problem> {
        Ok(Self {
            project: query.project,
            status: query.status.map(|text| names("?status", &text)).transpose()?,
            verdict: query.verdict.map(|text| names("?verdict", &text)).transpose()?,
            simulation: query.simulation,
            label: query.label.map(|text| match text.split_once(':') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (text, None),
            }),
            since: query.since.map(|text| time("?since", &text)).transpose()?,
            until: query.until.map(|text| time("?until", &text)).transpose()?,
            q: query.q.map(|text| text.to_lowercase()),
        })
    }

    fn admits(&self, job: &Row) -> bool {
        let spec = &job.spec;
        let has = |text: &str, q: &str| text.to_lowercase().contains(q);
        self.project.as_ref().is_none_or(|name| job.project.0 == *name)
            && self.status.as_ref().is_none_or(|all| all.contains(&job.status))
            && self.verdict.as_ref().is_none_or(|all| all.contains(&job.verdict.value))
            && self.simulation.as_ref().is_none_or(|path| spec.simulation == *path)
            && self.label.as_ref().is_none_or(|(key, value)| {
                spec.labels.get(key).is_some_and(|v| value.as_ref().is_none_or(|want| v == want))
            })
            && self.since.is_none_or(|ms| job.submitted_at >= ms)
            && self.until.is_none_or(|ms| job.submitted_at < ms)
            && self.q.as_ref().is_none_or(|q| {
                has(&job.id.0, q) || has(&spec.title, q) || has(&spec.simulation, q)
            })
    }
}

fn names<T: serde::de::DeserializeOwned>(pointer: &str, text: &str) -> Result<Vec<T>, Problem> {
    let one = |name: &str| {
        serde_json::from_value(serde_json::Value::from(name.trim())).map_err(|error| {
            let text = error.to_string();
            Problem::field(pointer, format!("{}: {text}", &pointer[1..]))
        })
    };
    text.split(',').map(one).collect()
}

fn time(pointer: &str, text: &str) -> Result<u64, Problem> {
    // In a query, + is a space: an offset typed as it is arrives so.
    let time: Result<jiff::Timestamp, _> = text.replace(' ', "+").parse();
    let ms = time.ok().and_then(|time| u64::try_from(time.as_millisecond()).ok());
    ms.ok_or_else(|| {
        Problem::field(pointer, format!("{text:?} is no RFC 3339 time like 2026-11-23T10:00:00Z"))
    })
}

/// Jobs of all projects, newest first; ended ones are in the same list
#[utoipa::path(
    get, path = "/api/v1/jobs", tag = "jobs", params(ListQuery),
    responses((status = 200, body = Page<Job>), (status = "default", body = ProblemBody))
)]
async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let paging = Paging::parse(LIST, query.limit.as_deref(), query.cursor.as_deref())?;
    let after: Option<u64> = paging.after.as_deref().and_then(|key| key.parse().ok());
    let filter = Filter::parse(query)?;
    let ledger = state.ledger();
    if let Some(project) = &filter.project {
        find_project(&ledger, project)?;
    }
    let rest = ledger
        .jobs()
        .filter(|job| after.is_none_or(|after| job.number < after) && filter.admits(job))
        .map(|job| Job::of(job));
    let page = page::page_of(LIST, &paging, rest, |job| job.number.to_string());
    Ok(page::respond(page, "/api/v1/jobs", &raw.unwrap_or_default()))
}

/// One job
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job")),
    responses((status = 200, body = Job), (status = "default", body = ProblemBody))
)]
async fn show(State(state): State<ApiState>, Path(id): Path<String>) -> Result<Json<Job>, Problem> {
    Ok(Json(Job::of(&*find_job(&state.ledger(), &id)?)))
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AbortRequest {
    /// Goes into the audit trail and the report.
    #[serde(default)]
    pub reason: String,
}

/// End a job early
///
/// Acknowledged once the wish is committed; the shards end within a second. What was measured until
/// then is reported.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/abort", tag = "jobs", request_body = AbortRequest,
    params(("id" = String, Path, description = "Id of the job"), IdempotencyKey),
    responses((status = 202, body = Job), (status = "default", body = ProblemBody))
)]
async fn abort(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    By(by): By,
    OptionalJson(request): OptionalJson<AbortRequest>,
) -> Result<(StatusCode, Json<Job>), Problem> {
    if request.reason.len() > REASON_BYTES_MAX {
        let detail = format!("a reason has {REASON_BYTES_MAX} bytes at most");
        return Err(Problem::field("/reason", detail));
    }
    let command = JobCommand::Abort { id: job_id(&id)?, reason: request.reason };
    let applied = match state.propose(&by, Command::Job(command)).await {
        Ok(applied) => applied,
        Err(problem) if problem.kind() == Kind::Conflict => {
            // The ledger refuses to abort only what has ended.
            let detail = format!("{}: it has ended already", problem.detail());
            return Err(Problem::new(Kind::AlreadyFinished, detail));
        }
        Err(problem) => return Err(problem),
    };
    super::dto::caught_up(&state, applied.index).await?;
    let job = find_job(&state.ledger(), &id)?;
    Ok((StatusCode::ACCEPTED, Json(Job::of(&job))))
}

/// Lists that are short by nature and come whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Items<T> {
    pub items: Vec<T>,
}

/// The parts of a job, by node and epoch
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/shards", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job")),
    responses((status = 200, body = Items<Shard>), (status = "default", body = ProblemBody))
)]
async fn shards(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Items<Shard>>, Problem> {
    let ledger = state.ledger();
    let job = find_job(&ledger, &id)?;
    let items = job
        .assignments
        .iter()
        .map(|assignment| {
            let (shard_state, reason) = match &assignment.state {
                AssignmentState::Active => (ShardState::Active, None),
                AssignmentState::Done { .. } => (ShardState::Done, None),
                AssignmentState::Lost { reason } => (ShardState::Lost, Some(reason.clone())),
            };
            let member = ledger.member_of_peer(&assignment.node);
            Shard {
                shard: assignment.shard,
                epoch: assignment.epoch,
                node: member.map_or_else(|| assignment.node.to_string(), |m| m.name.clone()),
                peer: assignment.node.to_string(),
                segments: assignment.segments.len(),
                cursor: assignment.cursor,
                state: shard_state,
                reason,
            }
        })
        .collect();
    Ok(Json(Items { items }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Items per page, 1 to 500; 50 when absent.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Everything that happened to a job, oldest first
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job"), EventsQuery),
    responses((status = 200, body = Page<JobEvent>), (status = "default", body = ProblemBody))
)]
async fn events(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let paging = Paging::parse(EVENTS, query.limit.as_deref(), query.cursor.as_deref())?;
    let skip: usize = paging.after.as_deref().and_then(|key| key.parse().ok()).unwrap_or(0);
    let job = find_job(&state.ledger(), &id)?;
    let numbered = job.events.iter().zip(1_usize..).skip(skip);
    let page = page::page_of(EVENTS, &paging, numbered, |(_, number)| number.to_string());
    let items = page.items.into_iter().map(|(event, _)| JobEvent::of(event)).collect();
    let page = Page { items, next_cursor: page.next_cursor };
    let path = format!("/api/v1/jobs/{}/events", job.id);
    Ok(page::respond(page, &path, &raw.unwrap_or_default()))
}

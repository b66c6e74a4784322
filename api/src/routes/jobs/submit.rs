//! Submission: `POST /api/v1/projects/{project}/jobs` and `…/jobs/{id}/rerun`. What can be judged
//! without running is judged here; the content of every file is pinned at this moment.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command};
use onrush_raft::ledger::job::{JobCommand, JobSpec};
use onrush_raft::ledger::outcome::Outcome;
use onrush_raft::types::{ContentId, ProjectName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dto::{Division, Job, OnNodeLoss};
use crate::backend::MemberView;
use crate::error::{FieldError, Kind, Problem, ProblemBody};
use crate::extract::{By, IdempotencyKey, Json as Body, OptionalJson, Path, REPLAYED_HEADER};
use crate::routes::dto;
use crate::state::ApiState;

/// A job runs for a week at most.
const DURATION_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;
const FILES_MAX: usize = 4_096;
const ENDINGS: [&str; 5] = [".js", ".mjs", ".ts", ".mts", ".json"];
/// Label of a node that says where it is.
const ZONE_LABEL: &str = "zone";
/// Label of a job that was made from another.
const RERUN_LABEL: &str = "rerun-of";

/// Which simulation to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulationRef {
    /// Path in the project's files: `.js`, `.ts`, or `.json` (exported graph).
    pub file: String,
    /// The newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// A submission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    pub simulation: SimulationRef,
    /// Read by `getParameter`.
    #[serde(default, alias = "params", deserialize_with = "distinct_keys")]
    pub parameters: BTreeMap<String, String>,
    /// Read by `getEnvironmentVariable`.
    #[serde(default, deserialize_with = "distinct_keys")]
    pub environment: BTreeMap<String, String>,
    /// What the shards get besides the simulation: paths, or folders with a slash at the end.
    /// When absent: everything in the simulation's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    #[serde(default)]
    pub title: String,
    #[serde(default, deserialize_with = "distinct_keys")]
    pub labels: BTreeMap<String, String>,
    /// How many nodes generate the load; 0: all that are alive.
    #[serde(default)]
    pub nodes: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division: Option<Division>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_node_loss: Option<OnNodeLoss>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_ms: Option<u64>,
    /// Of randomised profiles and feeders; drawn when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Record each user's scheduled and actual start.
    #[serde(default)]
    pub record_arrivals: bool,
    /// Prefer nodes other than the master.
    #[serde(default)]
    pub avoid_master: bool,
    /// Zone → its part of the load, beside the others': `{"eu": 70, "us": 30}`. Nodes started with
    /// `--label zone=eu` share what zone `eu` has; nodes of other zones take no part. Not with `nodes`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "distinct_keys"
    )]
    pub zone_shares: BTreeMap<String, u32>,
}

/// What a rerun changes; the rest is the first job's, its files' contents included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RerunRequest {
    /// Added to the first job's, or in place of them.
    #[serde(default, alias = "params", deserialize_with = "distinct_keys")]
    pub parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default, deserialize_with = "distinct_keys")]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub nodes: Option<u32>,
    #[serde(default)]
    pub max_duration_ms: Option<u64>,
    #[serde(default)]
    pub seed: Option<u64>,
}

/// A map in which a key that comes twice is an error, not a silent choice.
fn distinct_keys<'de, D: serde::Deserializer<'de>, V: Deserialize<'de>>(
    input: D,
) -> Result<BTreeMap<String, V>, D::Error> {
    struct Distinct<V>(std::marker::PhantomData<V>);
    impl<'de, V: Deserialize<'de>> serde::de::Visitor<'de> for Distinct<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut access: A,
        ) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = access.next_entry::<String, V>()? {
                if map.contains_key(&key) {
                    return Err(serde::de::Error::custom(format!("duplicate key `{key}`")));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }
    input.deserialize_map(Distinct(std::marker::PhantomData))
}

/// Submit a job
///
/// With an `Idempotency-Key`, repeating the request gives the job it first made.
#[utoipa::path(
    post, path = "/api/v1/projects/{project}/jobs", tag = "jobs",
    params(
        ("project" = String, Path, description = "Name of the project"),
        IdempotencyKey,
    ),
    request_body = JobRequest,
    responses((status = 201, body = Job), (status = "default", body = ProblemBody))
)]
pub(super) async fn submit(
    State(state): State<ApiState>,
    Path(project): Path<String>,
    By(by): By,
    Body(request): Body<JobRequest>,
) -> Result<Response, Problem> {
    let spec = {
        let ledger = state.ledger();
        let project = dto::find_project(&ledger, &project)?;
        spec_of(&ledger, &project.name, request)?
    };
    check_capacity(&state, &spec)?;
    make(&state, &by, project.as_str().into(), spec).await
}

/// Run a job again
///
/// With the same content of every file, whatever happened to their names since.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/rerun", tag = "jobs",
    params(
        ("id" = String, Path, description = "Id of the job"),
        IdempotencyKey,
    ),
    request_body = RerunRequest,
    responses((status = 201, body = Job), (status = "default", body = ProblemBody))
)]
pub(super) async fn rerun(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    By(by): By,
    OptionalJson(request): OptionalJson<RerunRequest>,
) -> Result<Response, Problem> {
    let job = dto::find_job(&state.ledger(), &id)?;
    let mut errors = Vec::new();
    check_duration(&mut errors, request.max_duration_ms);
    if !errors.is_empty() {
        return Err(Problem::fields(errors));
    }
    check_contents(&state.ledger(), &job)?;
    let mut spec = job.spec.clone();
    spec.parameters.extend(request.parameters);
    spec.labels.extend(request.labels);
    spec.labels.insert(RERUN_LABEL.to_owned(), id);
    spec.title = request.title.unwrap_or(spec.title);
    spec.nodes = request.nodes.unwrap_or(spec.nodes);
    spec.max_duration_ms = request.max_duration_ms.or(spec.max_duration_ms);
    spec.seed = request.seed.unwrap_or(spec.seed);
    check_capacity(&state, &spec)?;
    make(&state, &by, job.project.clone(), spec).await
}

/// The contents of an ended job may have been deleted with their names.
fn check_contents(ledger: &Ledger, job: &onrush_raft::ledger::job::Job) -> Result<(), Problem> {
    let kept = ledger.referenced();
    match job.spec.files.iter().find(|(_, content)| !kept.contains(*content)) {
        None => Ok(()),
        Some((path, content)) => Err(Problem::new(
            Kind::Conflict,
            format!("{path} ({}) was deleted since", dto::digest_text(content)),
        )),
    }
}

async fn make(
    state: &ApiState,
    by: &Caller,
    project: ProjectName,
    spec: JobSpec,
) -> Result<Response, Problem> {
    let id = dto::new_job_id();
    let command = JobCommand::Submit { id: id.clone(), project, spec };
    let applied = state.propose(by, Command::Job(command)).await?;
    let (id, replayed) = match applied.outcome {
        Outcome::Submitted { id, replayed } => (id, replayed),
        _ => (id, false),
    };
    dto::caught_up(state, applied.index).await?;
    let job = dto::find_job(&state.ledger(), &id.0)?;
    let location = format!("/api/v1/jobs/{id}");
    let body = Json(Job::of(&job));
    let mut response = (StatusCode::CREATED, [(header::LOCATION, location)], body).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// A job that asks for more nodes than are free waits; one that asks for more than there are would
/// wait for ever, and is refused.
fn check_capacity(state: &ApiState, spec: &JobSpec) -> Result<(), Problem> {
    let (nodes, members) = (spec.nodes, state.backend.members());
    // Nodes that are only seen, such as those of another cluster, take no shard.
    let there = |member: &&MemberView| member.raft_id.is_some() && member.health != "dead";
    let of_zone = |zone: &String| {
        members.iter().filter(there).any(|member| member.labels.get(ZONE_LABEL) == Some(zone))
    };
    if let Some(zone) = spec.zone_shares.keys().find(|zone| !of_zone(zone)) {
        let detail = format!("no node of the cluster was started with --label zone={zone}");
        let problem = Problem::new(Kind::NoCapacity, detail.clone());
        return Err(problem.at(format!("/zone_shares/{zone}"), detail));
    }
    let alive = members.iter().filter(there).count();
    if usize::try_from(nodes).is_ok_and(|asked| asked <= alive.max(1)) {
        return Ok(());
    }
    let detail = format!("asked for {nodes} nodes, the cluster has {alive}");
    Err(Problem::new(Kind::NoCapacity, detail.clone()).at("/nodes", detail))
}

fn check_duration(errors: &mut Vec<FieldError>, ms: Option<u64>) {
    if ms.is_some_and(|ms| !(1..=DURATION_MS_MAX).contains(&ms)) {
        errors.push(FieldError {
            pointer: "/max_duration_ms".to_owned(),
            detail: format!("max_duration_ms must be from 1 to {DURATION_MS_MAX} (7 days)"),
        });
    }
}

/// Judges a request against the ledger, and pins its files.
fn spec_of(
    ledger: &Ledger,
    project: &ProjectName,
    request: JobRequest,
) -> Result<JobSpec, Problem> {
    let mut errors = Vec::new();
    let mut refuse = |pointer: &str, detail: String| {
        errors.push(FieldError { pointer: pointer.to_owned(), detail });
    };
    let simulation = request.simulation.file.clone();
    if let Err(problem) = dto::file_path("/simulation/file", &simulation) {
        refuse("/simulation/file", problem.detail().to_owned());
    } else if !ENDINGS.iter().any(|ending| simulation.ends_with(ending)) {
        refuse(
            "/simulation/file",
            format!("{simulation} is no simulation: it must end in {}", ENDINGS.join(", ")),
        );
    }
    for (pointer, map) in [("/labels", &request.labels), ("/parameters", &request.parameters)] {
        if map.keys().any(String::is_empty) {
            refuse(pointer, "a name is empty".to_owned());
        }
    }
    check_duration(&mut errors, request.max_duration_ms);
    if !errors.is_empty() {
        return Err(Problem::fields(errors));
    }
    let files = pin_files(ledger, project, &request)?;
    Ok(JobSpec {
        simulation,
        files,
        parameters: request.parameters,
        environment: request.environment,
        title: request.title,
        labels: request.labels,
        nodes: request.nodes,
        division: request.division.map(Into::into).unwrap_or_default(),
        on_node_loss: request.on_node_loss.map(Into::into).unwrap_or_default(),
        max_duration_ms: request.max_duration_ms,
        seed: request.seed.unwrap_or_else(draw_seed),
        record_arrivals: request.record_arrivals,
        avoid_master: request.avoid_master,
        zone_shares: request.zone_shares,
    })
}

/// 48 random bits: JSON readers keep such a number exact.
fn draw_seed() -> u64 {
    let random = ulid::Ulid::new().random();
    u64::try_from(random & ((1 << 48) - 1)).unwrap_or_default()
}

fn pin_files(
    ledger: &Ledger,
    project: &ProjectName,
    request: &JobRequest,
) -> Result<BTreeMap<String, ContentId>, Problem> {
    let SimulationRef { file, version } = &request.simulation;
    let simulation = ledger.file(project, file, *version).ok_or_else(|| {
        let version = version.map(|v| format!(" version {v}")).unwrap_or_default();
        let detail = format!("file {file}{version} of project {project} does not exist");
        Problem::new(Kind::NotFound, detail.clone()).at("/simulation/file", detail)
    })?;
    let mut pinned = BTreeMap::new();
    let folder = file.rsplit_once('/').map(|(folder, _)| format!("{folder}/"));
    let wanted = match &request.files {
        Some(list) => list.clone(),
        None => vec![folder.unwrap_or_else(|| "/".to_owned())],
    };
    for (index, path) in wanted.iter().enumerate() {
        if let Some(prefix) = path.strip_suffix('/') {
            let inside = |file: &str| prefix.is_empty() || file.starts_with(path.as_str());
            let found = ledger.files(project).filter(|file| inside(&file.path));
            pinned.extend(found.map(|file| (file.path.clone(), file.content.clone())));
            continue;
        }
        let found = ledger.file(project, path, None).ok_or_else(|| {
            let detail = format!("file {path} of project {project} does not exist");
            Problem::new(Kind::NotFound, detail.clone()).at(format!("/files/{index}"), detail)
        })?;
        pinned.insert(path.clone(), found.content.clone());
    }
    pinned.insert(file.clone(), simulation.content.clone());
    if pinned.len() > FILES_MAX {
        let detail = format!("the job would get {} files; at most {FILES_MAX}", pinned.len());
        return Err(Problem::field("/files", detail));
    }
    Ok(pinned)
}

//! `PATCH /api/v1/jobs/{id}/load`: more or less of it, while the job runs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::job::load::{FACTOR_MAX, FACTOR_MIN, FACTOR_ONE, times};
use onrush_raft::ledger::job::{Job as Row, JobCommand, JobStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dto::Job;
use crate::error::{Kind, Problem, ProblemBody};
use crate::extract::{By, IdempotencyKey, Json as Body, Path};
use crate::routes::dto::{caught_up, find_job};
use crate::state::ApiState;

/// What is to change; what is absent stays. At least one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadRequest {
    /// Of what the simulation says: of the rates of the open model, of the concurrency of the closed
    /// one. 0.1 to 10, with three decimals at most. While the job is paused it counts from the end of
    /// the pause on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.1, maximum = 10.0)]
    pub factor: Option<f64>,
    /// True: nobody new is started; the profile's clock goes on, and so do users under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// Change the load of a running job
///
/// Holds on all shards from one instant on, one and a half to three seconds ahead, which the master
/// sets: `load.changes[].at_s` of the job, once it is known. Asking for what is so already changes
/// nothing and is answered with 200.
#[utoipa::path(
    patch, path = "/api/v1/jobs/{id}/load", tag = "jobs", request_body = LoadRequest,
    params(("id" = String, Path, description = "Id of the job"), IdempotencyKey),
    responses(
        (status = 202, body = Job),
        (status = 200, body = Job, description = "It is so already"),
        (status = "default", body = ProblemBody)
    )
)]
pub(super) async fn change_load(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    By(by): By,
    Body(request): Body<LoadRequest>,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let factor = request.factor.map(thousandths).transpose()?;
    if factor.is_none() && request.paused.is_none() {
        let detail = "give a factor, paused, or both";
        return Err(Problem::field("", detail.to_owned()));
    }
    let before = find_job(&state.ledger(), &id)?;
    refuse(&before)?;
    let command = JobCommand::Load { id: before.id.clone(), factor, paused: request.paused };
    let applied = match state.propose(&by, Command::Job(command)).await {
        Ok(applied) => applied,
        // It may have ended since.
        Err(problem) if problem.kind() == Kind::Conflict => {
            refuse(&*find_job(&state.ledger(), &id)?)?;
            return Err(problem);
        }
        Err(problem) => return Err(problem),
    };
    caught_up(&state, applied.index).await?;
    let job = find_job(&state.ledger(), &id)?;
    let is_new = job.loads.len() > before.loads.len();
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(Job::of(&job))))
}

/// Why this job's load cannot change, whatever is asked.
fn refuse(job: &Row) -> Result<(), Problem> {
    let id = &job.id;
    if job.status.is_terminal() {
        let detail = format!("{id} is {}: it has ended already", job.status.as_str());
        return Err(Problem::new(Kind::AlreadyFinished, detail));
    }
    if job.status != JobStatus::Running {
        let status = job.status.as_str();
        let detail = format!("{id} is {status}: the load of a job can be changed while it runs");
        return Err(Problem::new(Kind::Conflict, detail));
    }
    Ok(())
}

fn thousandths(factor: f64) -> Result<u32, Problem> {
    let one = f64::from(FACTOR_ONE);
    let (low, high) = (f64::from(FACTOR_MIN) / one, f64::from(FACTOR_MAX) / one);
    if !(low..=high).contains(&factor) {
        let detail = format!(
            "a factor is {} to {}, not {factor}; to start nobody new, pause",
            times(FACTOR_MIN),
            times(FACTOR_MAX)
        );
        return Err(Problem::field("/factor", detail));
    }
    let whole = (factor * one).round();
    if (factor * one - whole).abs() > 1e-6 {
        let detail = format!("a factor has three decimals at most, not {factor}");
        return Err(Problem::field("/factor", detail));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "100 to 10,000")]
    Ok(whole as u32)
}

//! A job's results: the summary and the report. Final where the job has ended; until then made of
//! the ticks so far, so that there is a report from the first second on.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, VARY,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use onrush_raft::ledger::job::Job as Row;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{Kind, Problem, ProblemBody};
use crate::extract::Path;
use crate::routes::dto::find_job;
use crate::state::ApiState;

/// The artifacts' names, as the master stores them with the finished job.
const HTML_ARTIFACT: &str = "index.html";
const JSON_ARTIFACT: &str = "summary.json";
/// Scripts and styles are inline; nothing is loaded from anywhere.
const REPORT_CSP: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src \
                          'unsafe-inline'; img-src data:; frame-ancestors 'none'";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(summary))
        .routes(routes!(report))
        .routes(routes!(report_html))
        .routes(routes!(report_json))
        .routes(routes!(artifact))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Json,
}

/// `onrush.summary/v1`: all figures of a job
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/summary", tag = "results",
    params(("id" = String, Path, description = "Id of the job")),
    responses(
        (status = 200, body = serde_json::Value, content_type = "application/json"),
        (status = "default", body = ProblemBody)
    )
)]
async fn summary(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    result(&state, &id, Form::Json).await
}

/// The report, as HTML or JSON by `Accept`
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/report", tag = "results",
    params(("id" = String, Path, description = "Id of the job")),
    responses(
        (status = 200, content((String = "text/html"), (serde_json::Value = "application/json"))),
        (status = "default", body = ProblemBody)
    )
)]
async fn report(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let mut response = result(&state, &id, negotiate(accept)?).await?;
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// The first media type that there is, in the order of the client's weights.
fn negotiate(accept: &str) -> Result<Form, Problem> {
    let mut wanted: Vec<(f32, &str)> = accept
        .split(',')
        .map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            (weight.unwrap_or(1.0), media)
        })
        .filter(|(weight, _)| *weight > 0.0)
        .collect();
    wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
    wanted
        .into_iter()
        .find_map(|(_, media)| match media {
            "text/html" | "application/xhtml+xml" | "text/*" | "*/*" | "" => Some(Form::Html),
            "application/json" | "application/*" => Some(Form::Json),
            _ => None,
        })
        .ok_or_else(|| {
            Problem::new(Kind::NotAcceptable, "the report is text/html or application/json")
        })
}

/// The report as HTML
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/report.html", tag = "results",
    params(("id" = String, Path, description = "Id of the job")),
    responses(
        (status = 200, content_type = "text/html", body = String),
        (status = "default", body = ProblemBody)
    )
)]
async fn report_html(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    result(&state, &id, Form::Html).await
}

/// The report as JSON: the summary
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/report.json", tag = "results",
    params(("id" = String, Path, description = "Id of the job")),
    responses(
        (status = 200, body = serde_json::Value, content_type = "application/json"),
        (status = "default", body = ProblemBody)
    )
)]
async fn report_json(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    result(&state, &id, Form::Json).await
}

/// A stored result by name
///
/// What a job's `artifacts` lists.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/artifacts/{name}", tag = "results",
    params(
        ("id" = String, Path, description = "Id of the job"),
        ("name" = String, Path, description = "Name of the artifact"),
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", body = String),
        (status = "default", body = ProblemBody)
    )
)]
async fn artifact(
    State(state): State<ApiState>,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let job = find_job(&state.ledger(), &id)?;
    match stored(&state, &job, &name).await? {
        Some(response) => Ok(response),
        None => {
            let known: Vec<&str> = job.artifacts.keys().map(String::as_str).collect();
            let shown: String = name.chars().take(80).filter(|c| !c.is_control()).collect();
            Err(Problem::new(
                Kind::NotFound,
                format!("{} has no artifact {shown:?}; it has: {}", job.id, known.join(", ")),
            ))
        }
    }
}

async fn result(state: &ApiState, id: &str, form: Form) -> Result<Response, Problem> {
    let job = find_job(&state.ledger(), id)?;
    let name = match form {
        Form::Html => HTML_ARTIFACT,
        Form::Json => JSON_ARTIFACT,
    };
    if let Some(response) = stored(state, &job, name).await? {
        return Ok(response);
    }
    let summary = state.backend.summary(&job.id).await?;
    let mut response = match form {
        Form::Json => axum::Json(&*summary).into_response(),
        Form::Html => crate::report::html(&summary).into_response(),
    };
    dress(&mut response, name);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn stored(state: &ApiState, job: &Row, name: &str) -> Result<Option<Response>, Problem> {
    let Some(content) = job.artifacts.get(name) else { return Ok(None) };
    let (size, stream) = state.backend.open_blob(content, None).await?;
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{content}\"")) {
        headers.insert(ETAG, tag);
    }
    dress(&mut response, name);
    Ok(Some(response))
}

/// Type and policy by the artifact's name.
fn dress(response: &mut Response, name: &str) {
    let media = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "json" => "application/json",
        "csv" => "text/csv; charset=utf-8",
        "md" | "txt" => "text/plain; charset=utf-8",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(REPORT_CSP));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_negotiated_by_weight() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(negotiate(browser).unwrap(), Form::Html);
        assert_eq!(negotiate("*/*").unwrap(), Form::Html);
        assert_eq!(negotiate("application/json").unwrap(), Form::Json);
        assert_eq!(negotiate("text/html;q=0.1, application/json;q=0.5").unwrap(), Form::Json);
        assert_eq!(negotiate("image/png, application/json").unwrap(), Form::Json);
        assert_eq!(negotiate("image/png").unwrap_err().kind(), Kind::NotAcceptable);
    }
}

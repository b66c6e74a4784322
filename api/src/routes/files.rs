//! Files of a project's repository: `/api/v1/projects/{project}/files/{path}`. Bodies are streamed
//! in both directions and never held in memory; an upload is acknowledged once a majority of the
//! voters has it on disk and its name is committed.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_MATCH, IF_NONE_MATCH, LOCATION, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use futures::stream::StreamExt;
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command};
use onrush_raft::ledger::file::{FileCommand, FileVersion, Precondition, Tags};
use onrush_raft::ledger::outcome::{Outcome, Rejection};
use onrush_raft::types::{ContentId, ProjectName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dto::{self, digest_text, rfc3339};
use crate::backend::{Applied, BackendError, StoredBlob};
use crate::error::{Kind, Problem, ProblemBody, internal};
use crate::extract::{By, IdempotencyKey, Path, Query, REPLAYED_HEADER};
use crate::page::{self, Page, Paging};
use crate::state::ApiState;

const LIST: &str = "files";
/// The voters may change between storing a blob and committing its name; then it is stored again.
const PUT_ATTEMPTS_MAX: usize = 3;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get_file, head_file, put, delete))
}

/// One version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct File {
    pub project: String,
    pub path: String,
    /// 1, 2, 3 …
    pub version: u64,
    /// Bytes.
    pub size: u64,
    /// `blake3:` and 64 hex digits.
    pub digest: String,
    pub media_type: String,
    pub uploaded_by: String,
    pub uploaded_at: String,
}

impl File {
    fn of(file: &FileVersion) -> Self {
        Self {
            project: file.project.to_string(),
            path: file.path.clone(),
            version: file.version,
            size: file.size,
            digest: digest_text(&file.content),
            media_type: media_type(&file.path).to_owned(),
            uploaded_by: file.uploaded_by.clone(),
            uploaded_at: rfc3339(file.uploaded_at),
        }
    }
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "js" | "mjs" => "text/javascript",
        "ts" | "mts" => "text/typescript",
        "json" => "application/json",
        "csv" => "text/csv",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only paths that begin so.
    prefix: Option<String>,
    /// All versions of each file instead of the newest.
    #[serde(default)]
    versions: bool,
    /// Items per page, 1 to 500; 50 when absent.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Files of a project, by path
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/files", tag = "files",
    params(("project" = String, Path, description = "Name of the project"), ListQuery),
    responses((status = 200, body = Page<File>), (status = "default", body = ProblemBody))
)]
async fn list(
    State(state): State<ApiState>,
    Path(project): Path<String>,
    Query(query): Query<ListQuery>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let paging = Paging::parse(LIST, query.limit.as_deref(), query.cursor.as_deref())?;
    let after = paging.after.as_deref().and_then(parse_key);
    let ledger = state.ledger();
    let project = dto::find_project(&ledger, &project)?;
    let prefix = query.prefix.unwrap_or_default();
    let rest = ledger
        .files(&project.name)
        .filter(|file| file.path.starts_with(&prefix))
        .flat_map(|newest| {
            let all = ledger.file_versions(&project.name, &newest.path);
            all.filter(|file| query.versions || file.version == newest.version)
        })
        .filter(|file| after.as_ref().is_none_or(|at| (&*file.path, file.version) > (at.0, at.1)))
        .map(|file| File::of(file));
    let page = page::page_of(LIST, &paging, rest, |file| format!("{}/{}", file.version, file.path));
    let path = format!("/api/v1/projects/{}/files", project.name);
    Ok(page::respond(page, &path, &raw.unwrap_or_default()))
}

/// A list key: version, slash, path.
fn parse_key(key: &str) -> Option<(&str, u64)> {
    let (version, path) = key.split_once('/')?;
    Some((path, version.parse().ok()?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionQuery {
    /// The newest when absent.
    version: Option<u64>,
}

fn find_file(
    ledger: &Ledger,
    project: &str,
    path: &str,
    version: Option<u64>,
) -> Result<FileVersion, Problem> {
    let project = dto::find_project(ledger, project)?;
    dto::file_path("/path", path)?;
    let found = ledger.file(&project.name, path, version).map(|file| FileVersion::clone(file));
    found.ok_or_else(|| {
        let version = version.map(|v| format!(" version {v}")).unwrap_or_default();
        Problem::not_found(format_args!("file {path}{version} of project {}", project.name))
    })
}

/// A file's content
///
/// Takes one byte range.
#[utoipa::path(
    get, path = "/api/v1/projects/{project}/files/{*path}", tag = "files",
    params(
        ("project" = String, Path, description = "Name of the project"),
        ("path" = String, Path, description = "Path of the file, with its slashes"),
        VersionQuery,
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", body = String),
        (status = 206, content_type = "application/octet-stream", body = String),
        (status = 304),
        (status = "default", body = ProblemBody)
    )
)]
async fn get_file(
    State(state): State<ApiState>,
    Path((project, path)): Path<(String, String)>,
    Query(query): Query<VersionQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let file = find_file(&state.ledger(), &project, &path, query.version)?;
    if matches_tag(&headers, &file) {
        return Ok((StatusCode::NOT_MODIFIED, tag_headers(&file)).into_response());
    }
    let range = match headers.get(RANGE) {
        None => None,
        Some(value) => Some(parse_range(value, file.size)?),
    };
    let (_, stream) = state.backend.open_blob(&file.content, range.clone()).await?;
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().extend(file_headers(&file));
    let length = range.as_ref().map_or(file.size, |range| range.end - range.start);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(range) = range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, file.size);
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
    }
    Ok(response)
}

/// Whether a file is there, its size and digest
#[utoipa::path(
    head, path = "/api/v1/projects/{project}/files/{*path}", tag = "files",
    params(
        ("project" = String, Path, description = "Name of the project"),
        ("path" = String, Path, description = "Path of the file, with its slashes"),
        VersionQuery,
    ),
    responses((status = 200), (status = "default"))
)]
async fn head_file(
    State(state): State<ApiState>,
    Path((project, path)): Path<(String, String)>,
    Query(query): Query<VersionQuery>,
) -> Result<Response, Problem> {
    let file = find_file(&state.ledger(), &project, &path, query.version)?;
    let mut headers = file_headers(&file);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(file.size));
    Ok((headers, Body::empty()).into_response())
}

fn tag_headers(file: &FileVersion) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", file.content)) {
        headers.insert(ETAG, tag);
    }
    headers.insert("onrush-file-version", HeaderValue::from(file.version));
    headers
}

fn file_headers(file: &FileVersion) -> HeaderMap {
    let mut headers = tag_headers(file);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(&file.path)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Never shown inline: a file is somebody's upload.
    let name = file.path.rsplit('/').next().unwrap_or("file");
    let safe: String =
        name.chars().map(|c| if c.is_ascii_graphic() && c != '"' { c } else { '_' }).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{safe}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    headers
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<String>> {
    let value = headers.get(name)?.to_str().ok()?;
    let clean = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    Some(value.split(',').map(clean).collect())
}

fn matches_tag(headers: &HeaderMap, file: &FileVersion) -> bool {
    tags(headers, IF_NONE_MATCH)
        .is_some_and(|tags| tags.iter().any(|tag| tag == "*" || *tag == file.content.0))
}

/// One range; of several, the first.
fn parse_range(value: &HeaderValue, size: u64) -> Result<Range<u64>, Problem> {
    let refuse = |why: &str| {
        Problem::new(Kind::RangeNotSatisfiable, format!("{why}; the file has {size} bytes"))
    };
    let text = value.to_str().unwrap_or_default();
    let set = text.strip_prefix("bytes=").ok_or_else(|| refuse("a range begins with bytes="))?;
    let first = set.split(',').next().unwrap_or_default().trim();
    let bad = || refuse(&format!("the range {first:?} cannot be read"));
    let (start, end) = first.split_once('-').ok_or_else(bad)?;
    let range = match (start, end) {
        ("", last) => {
            let last: u64 = last.parse().map_err(|_| bad())?;
            size.saturating_sub(last)..size
        }
        (start, "") => start.parse().map_err(|_| bad())?..size,
        (start, end) => {
            let end: u64 = end.parse().map_err(|_| bad())?;
            start.parse().map_err(|_| bad())?..end.saturating_add(1).min(size)
        }
    };
    if range.start >= range.end {
        return Err(refuse(&format!("the range {first:?} holds nothing")));
    }
    Ok(range)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PutQuery {
    /// Refuses the upload when the content's digest is another.
    digest: Option<String>,
}

/// Upload a file: a new version where the name exists
///
/// Acknowledged once a majority of the voters has it on disk. The same content as the newest
/// version makes no new one. `If-None-Match: *` refuses to overwrite, `If-Match` to overwrite
/// another content than the one named: both hold at the moment at which the name is committed.
#[utoipa::path(
    put, path = "/api/v1/projects/{project}/files/{*path}", tag = "files",
    params(
        ("project" = String, Path, description = "Name of the project"),
        ("path" = String, Path, description = "Path of the file, with its slashes"),
        PutQuery,
        IdempotencyKey,
    ),
    request_body(content = String, content_type = "application/octet-stream"),
    responses(
        (status = 201, body = File), (status = 200, body = File, description = "Was there already"),
        (status = "default", body = ProblemBody)
    )
)]
async fn put(
    State(state): State<ApiState>,
    Path((project, path)): Path<(String, String)>,
    Query(query): Query<PutQuery>,
    By(by): By,
    request: Request,
) -> Result<Response, Problem> {
    state.write_barrier().await?;
    let project = dto::find_project(&state.ledger(), &project)?.name.clone();
    dto::file_path("/path", &path)?;
    let expected = query.digest.map(|text| dto::parse_digest("?digest", &text)).transpose()?;
    let headers = request.headers();
    let condition = condition(headers);
    let again = by.idempotency_key.as_ref();
    if !again.is_some_and(|key| state.ledger().has_done(&project, key)) {
        // Before the body is taken in; decided when the name is committed.
        condition.check(&path, state.ledger().file(&project, &path, None).map(Arc::as_ref))?;
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = request.into_body().into_data_stream().map_err(std::io::Error::other).boxed();
    let stored = state.backend.put_blob(body, announced, expected).await?;
    let before = state.ledger().file(&project, &path, None).map(|file| file.version);
    let applied = commit_name(&state, &by, &project, &path, stored, &condition).await?;
    dto::caught_up(&state, applied.index).await?;
    let Outcome::Stored { file, replayed } = applied.outcome else {
        return Err(internal("the ledger gave no version for a file"));
    };
    let was_there = before == Some(file.version) && !replayed;
    let status = if was_there { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = (status, tag_headers(&file), Json(File::of(&file))).into_response();
    let location = format!("/api/v1/projects/{project}/files/{path}?version={}", file.version);
    if let Ok(value) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, value);
    }
    if replayed {
        response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Names the stored blob; when the voters have changed meanwhile, stores it with the new ones.
async fn commit_name(
    state: &ApiState,
    by: &Caller,
    project: &ProjectName,
    path: &str,
    mut stored: StoredBlob,
    condition: &Precondition,
) -> Result<Applied, Problem> {
    for attempt in 1.. {
        let command = Command::File(FileCommand::Put {
            project: project.clone(),
            path: path.to_owned(),
            content: stored.content.clone(),
            size: stored.size,
            holders: stored.holders.clone(),
            condition: condition.clone(),
        });
        let proposed = state.backend.propose(by, command);
        match tokio::time::timeout(crate::WRITE_TIMEOUT, proposed).await {
            Ok(Ok(applied)) => {
                crate::freshness::wrote(applied.index);
                return Ok(applied);
            }
            Ok(Err(BackendError::Rejected(Rejection::NeedHolders { .. })))
                if attempt < PUT_ATTEMPTS_MAX =>
            {
                let (_, again) = state.backend.open_blob(&stored.content, None).await?;
                let (size, expected) = (Some(stored.size), Some(stored.content.clone()));
                stored = state.backend.put_blob(again, size, expected).await?;
            }
            Ok(answer) => return Ok(answer?),
            Err(_) => break,
        }
    }
    Err(Problem::new(Kind::QuorumLost, "the content is stored, but its name was not committed"))
}

/// `If-Match` and `If-None-Match` of a write. What is no digest of a file is nobody's tag.
fn condition(headers: &HeaderMap) -> Precondition {
    let tags = |name| {
        let tags = tags(headers, name)?;
        if tags.iter().any(|tag| tag == "*") {
            return Some(Tags::Any);
        }
        Some(Tags::These(tags.into_iter().map(ContentId).collect()))
    };
    Precondition { if_match: tags(IF_MATCH), if_none_match: tags(IF_NONE_MATCH) }
}

/// Delete a file with all its versions, or one version
///
/// Refused while a job that has not ended runs with the content. `If-Match` deletes only the content
/// that it names.
#[utoipa::path(
    delete, path = "/api/v1/projects/{project}/files/{*path}", tag = "files",
    params(
        ("project" = String, Path, description = "Name of the project"),
        ("path" = String, Path, description = "Path of the file, with its slashes"),
        VersionQuery,
        IdempotencyKey,
    ),
    responses((status = 204), (status = "default", body = ProblemBody))
)]
async fn delete(
    State(state): State<ApiState>,
    Path((project, path)): Path<(String, String)>,
    Query(query): Query<VersionQuery>,
    By(by): By,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let project = dto::find_project(&state.ledger(), &project)?.name.clone();
    dto::file_path("/path", &path)?;
    let (version, condition) = (query.version, condition(&headers));
    let command = FileCommand::Delete { project, path, version, condition };
    match state.propose(&by, Command::File(command)).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(problem) if problem.kind() == Kind::Conflict => {
            Err(Problem::new(Kind::FileInUse, problem.detail()))
        }
        Err(problem) => Err(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str, size: u64) -> Option<Range<u64>> {
        parse_range(&HeaderValue::from_str(text).unwrap(), size).ok()
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        assert_eq!(range("bytes=0-", 10), Some(0..10));
        assert_eq!(range("bytes=2-4", 10), Some(2..5));
        assert_eq!(range("bytes=2-400", 10), Some(2..10));
        assert_eq!(range("bytes=-3", 10), Some(7..10));
        assert_eq!(range("bytes=-30", 10), Some(0..10));
        assert_eq!(range(&format!("bytes=0-,{}", "5-1,".repeat(1000)), 10), Some(0..10));
        for bad in ["bytes=10-", "bytes=5-1", "bytes=", "bytes=x-y", "lines=1-2", "bytes=-0"] {
            assert_eq!(range(bad, 10), None, "{bad}");
        }
        assert_eq!(range("bytes=0-", 0), None);
    }

    #[test]
    fn media_types_follow_the_ending() {
        assert_eq!(media_type("a/b.ts"), "text/typescript");
        assert_eq!(media_type("b"), "application/octet-stream");
        assert_eq!(media_type("x.html"), "application/octet-stream");
    }
}

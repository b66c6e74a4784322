//! One method per route.

use std::path::Path;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use http::Method;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};
use onrush_scenario::stats::summary::Summary;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio_util::io::ReaderStream;

use super::transport::{self, Ask, Client};
use super::{Error, events};
use crate::backend::{LogStream, MemberView};
use crate::error::Kind;
use crate::page::Page;
use crate::routes::cluster::Cluster;
use crate::routes::files::File;
use crate::routes::jobs::dto::{Job, JobEvent, Shard};
use crate::routes::jobs::load::LoadRequest;
use crate::routes::jobs::submit::JobRequest;
use crate::routes::jobs::{AbortRequest, Items};
use crate::routes::projects::{NewProject, Project};
use crate::routes::raft::{StateDigest, Status};
use crate::routes::version::Version;

/// Read in pieces of this size when a file is sent.
const UPLOAD_CHUNK: usize = 64 << 10;
/// Everything but what is safe in a path.
const IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');
/// In a query value, also what separates pairs.
const IN_QUERY: &AsciiSet = &IN_PATH.add(b'&').add(b'+').add(b'=');

/// A streamed answer.
pub type Body = BoxStream<'static, std::io::Result<Bytes>>;

/// What a list of jobs is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub project: Option<String>,
    pub status: Option<String>,
    pub verdict: Option<String>,
    pub simulation: Option<String>,
    pub label: Option<String>,
    pub since: Option<String>,
    pub q: Option<String>,
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

/// Which lines of a job's log.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    pub shard: Option<u32>,
    pub stream: Option<LogStream>,
    pub tail: Option<u64>,
    pub follow: bool,
}

pub(super) fn with_query(path: &str, pairs: &[(&str, Option<String>)]) -> String {
    let given = pairs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let text: Vec<String> =
        given.map(|(name, value)| format!("{name}={}", in_query(value))).collect();
    if text.is_empty() { path.to_owned() } else { format!("{path}?{}", text.join("&")) }
}

fn in_query(text: &str) -> String {
    utf8_percent_encode(text, IN_QUERY).to_string()
}

fn in_path(text: &str) -> String {
    utf8_percent_encode(text, IN_PATH).to_string()
}

fn file_at(project: &str, path: &str, version: Option<u64>) -> String {
    let path = format!("/api/v1/projects/{}/files/{}", in_path(project), in_path(path));
    with_query(&path, &[("version", version.map(|v| v.to_string()))])
}

pub(super) fn job_at(id: &str, rest: &str) -> String {
    format!("/api/v1/jobs/{}{rest}", in_path(&id.replace('/', "%2F")))
}

/// The chunks of an answer.
pub(super) fn body_stream(body: Incoming) -> Body {
    let frames = TryStreamExt::map_err(BodyStream::new(body), std::io::Error::other);
    frames.try_filter_map(|frame| async move { Ok(frame.into_data().ok()) }).boxed()
}

impl Client {
    /// # Errors
    /// See [`Error`], here and below.
    pub async fn version(&self) -> Result<Version, Error> {
        self.json(&Ask::get("/api/v1/version")).await
    }

    pub async fn cluster(&self) -> Result<Cluster, Error> {
        self.json(&Ask::get("/api/v1/cluster")).await
    }

    pub async fn members(&self) -> Result<Items<MemberView>, Error> {
        self.json(&Ask::get("/api/v1/cluster/members")).await
    }

    pub async fn raft_status(&self, stale: bool) -> Result<Status, Error> {
        let stale = stale.then(|| "true".to_owned());
        self.json(&Ask::get(with_query("/api/v1/raft/status", &[("stale", stale)]))).await
    }

    pub async fn raft_digest(&self) -> Result<StateDigest, Error> {
        self.json(&Ask::get("/api/v1/raft/digest")).await
    }

    /// A document as it is, for `--json`.
    pub async fn raw<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.json(&Ask::get(path)).await
    }

    pub async fn projects(
        &self,
        limit: Option<usize>,
        cursor: Option<String>,
    ) -> Result<Page<Project>, Error> {
        let limit = limit.map(|n| n.to_string());
        let pairs = [("limit", limit), ("cursor", cursor)];
        self.json(&Ask::get(with_query("/api/v1/projects", &pairs))).await
    }

    pub async fn create_project(&self, name: &str) -> Result<Project, Error> {
        let body = NewProject { name: name.to_owned() };
        self.json(&Ask::post("/api/v1/projects", &body)?.once()).await
    }

    /// `node`: its name or its peer id.
    pub async fn forget_member(&self, node: &str) -> Result<(), Error> {
        self.send(&Ask::delete(format!("/api/v1/cluster/members/{}", in_path(node)))).await?;
        Ok(())
    }

    /// `node`: its name or its peer id.
    pub async fn drain_member(&self, node: &str, draining: bool) -> Result<(), Error> {
        let path = format!("/api/v1/cluster/members/{}/drain", in_path(node));
        let method = if draining { Method::PUT } else { Method::DELETE };
        self.send(&Ask { method, ..Ask::get(path) }.once()).await?;
        Ok(())
    }

    pub async fn delete_project(&self, name: &str) -> Result<(), Error> {
        self.send(&Ask::delete(format!("/api/v1/projects/{}", in_path(name))).once()).await?;
        Ok(())
    }

    pub async fn files(
        &self,
        project: &str,
        prefix: Option<String>,
        versions: bool,
        limit: Option<usize>,
        cursor: Option<String>,
    ) -> Result<Page<File>, Error> {
        let path = format!("/api/v1/projects/{}/files", in_path(project));
        let pairs = [
            ("prefix", prefix),
            ("versions", versions.then(|| "true".to_owned())),
            ("limit", limit.map(|n| n.to_string())),
            ("cursor", cursor),
        ];
        self.json(&Ask::get(with_query(&path, &pairs))).await
    }

    /// The digest (64 hex digits) of the newest version; none where there is no such file.
    pub async fn file_digest(&self, project: &str, path: &str) -> Result<Option<String>, Error> {
        let ask = Ask { method: Method::HEAD, ..Ask::get(file_at(project, path, None)) };
        match self.send(&ask).await {
            Ok((_, response)) => {
                let tag = response.headers().get(http::header::ETAG);
                let text = tag.and_then(|tag| tag.to_str().ok()).unwrap_or_default();
                Ok(Some(text.trim_matches('"').to_owned()))
            }
            Err(error) if error.kind() == Some(Kind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Streams a local file into the repository.
    pub async fn put_file(
        &self,
        project: &str,
        path: &str,
        local: &Path,
        digest: Option<&str>,
    ) -> Result<File, Error> {
        let digest = digest.map(|hex| format!("blake3:{hex}"));
        let target = with_query(&file_at(project, path, None), &[("digest", digest)]);
        let ask = Ask { method: Method::PUT, ..Ask::get(target) }.once();
        let local = local.to_owned();
        let open = move || {
            let local = local.clone();
            let opened = async move {
                let file = tokio::fs::File::open(&local).await?;
                let length = file.metadata().await?.len();
                let chunks = ReaderStream::with_capacity(file, UPLOAD_CHUNK).map_ok(Frame::data);
                Ok((Some(length), BodyExt::boxed(StreamBody::new(chunks))))
            };
            Box::pin(opened) as futures::future::BoxFuture<'static, _>
        };
        let (address, response) = self.upload(&ask, open).await?;
        transport::read_json(&address, response).await
    }

    /// Size and content.
    pub async fn get_file(
        &self,
        project: &str,
        path: &str,
        version: Option<u64>,
    ) -> Result<Body, Error> {
        let (_, response) = self.send(&Ask::get(file_at(project, path, version))).await?;
        Ok(body_stream(response.into_body()))
    }

    pub async fn delete_file(
        &self,
        project: &str,
        path: &str,
        version: Option<u64>,
    ) -> Result<(), Error> {
        self.send(&Ask::delete(file_at(project, path, version)).once()).await?;
        Ok(())
    }

    /// Safe to repeat: the key makes it one job.
    pub async fn submit(
        &self,
        project: &str,
        request: &JobRequest,
        idempotency_key: &str,
    ) -> Result<Job, Error> {
        let path = format!("/api/v1/projects/{}/jobs", in_path(project));
        self.json(&Ask::post(path, request)?.once_as(idempotency_key)).await
    }

    pub async fn jobs(&self, filter: &JobFilter) -> Result<Page<Job>, Error> {
        let pairs = [
            ("project", filter.project.clone()),
            ("status", filter.status.clone()),
            ("verdict", filter.verdict.clone()),
            ("simulation", filter.simulation.clone()),
            ("label", filter.label.clone()),
            ("since", filter.since.clone()),
            ("q", filter.q.clone()),
            ("limit", filter.limit.map(|n| n.to_string())),
            ("cursor", filter.cursor.clone()),
        ];
        self.json(&Ask::get(with_query("/api/v1/jobs", &pairs))).await
    }

    pub async fn job(&self, id: &str) -> Result<Job, Error> {
        self.json(&Ask::get(job_at(id, ""))).await
    }

    pub async fn shards(&self, id: &str) -> Result<Items<Shard>, Error> {
        self.json(&Ask::get(job_at(id, "/shards"))).await
    }

    pub async fn events(&self, id: &str) -> Result<Page<JobEvent>, Error> {
        self.json(&Ask::get(job_at(id, "/events?limit=500"))).await
    }

    pub async fn abort(&self, id: &str, reason: &str) -> Result<Job, Error> {
        let body = AbortRequest { reason: reason.to_owned() };
        self.json(&Ask::post(job_at(id, "/abort"), &body)?.once()).await
    }

    pub async fn change_load(&self, id: &str, request: &LoadRequest) -> Result<Job, Error> {
        let ask = Ask::post(job_at(id, "/load"), request)?;
        self.json(&Ask { method: Method::PATCH, ..ask }.once()).await
    }

    pub async fn summary(&self, id: &str) -> Result<Summary, Error> {
        self.json(&Ask::get(job_at(id, "/summary"))).await
    }

    /// `html` or `json`.
    pub async fn report(&self, id: &str, form: &str) -> Result<Body, Error> {
        let (_, response) = self.send(&Ask::get(job_at(id, &format!("/report.{form}")))).await?;
        Ok(body_stream(response.into_body()))
    }

    /// A job as it happens; resumes on another node by itself.
    #[must_use]
    pub fn watch(&self, id: &str, which: &str) -> events::EventStream<'_> {
        events::EventStream::of_job(self, id, which)
    }

    /// A job's log; resumes on another node by itself.
    #[must_use]
    pub fn logs(&self, id: &str, filter: &LogFilter) -> events::LogStreamEvents<'_> {
        events::LogStreamEvents::of_job(self, id, filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_encoded() {
        assert_eq!(
            file_at("default", "data/a b#é.csv", Some(2)),
            "/api/v1/projects/default/files/data/a%20b%23%C3%A9.csv?version=2"
        );
        assert_eq!(
            with_query("/x", &[("a", Some("1&b=2".to_owned())), ("c", None)]),
            "/x?a=1%26b%3D2"
        );
        assert_eq!(job_at("../x", ""), "/api/v1/jobs/..%252Fx");
    }
}

//! A job as it happens: `GET /api/v1/jobs/{id}/ticks`, server-sent events. A tick's event id is the
//! tick's number in the log, so a reader that lost its node resumes at any other one, and sees each
//! second once. Ticks that have left the ledger are not replayed: `resync` says so, and the summary
//! has them.
//!
//! Events: `job` (the job, at the start and whenever its status changes), `tick` (one committed
//! second), `live` (the state so far), `resync`, `bye` (this node stops; go to another), `end`.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::Stream;
use onrush_raft::ledger::job as domain;
use onrush_raft::types::JobId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dto::{Job, JobStatus, VerdictValue};
use crate::error::{Kind, Problem, ProblemBody};
use crate::extract::{Path, Query};
use crate::routes::dto::find_job;
use crate::state::ApiState;
use crate::stream::{self, Event};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(ticks))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TicksQuery {
    /// Only these events, with commas: `tick,live`. All when absent; `end` and `bye` always come.
    events: Option<String>,
    /// Ticks after this number; what `Last-Event-ID` says goes before it.
    after: Option<u64>,
}

/// One committed tick.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TickEvent {
    pub job: String,
    /// 1, 2, 3 … without gaps.
    pub tick: u64,
    pub committed_at: String,
}

/// Ticks that this node no longer keeps one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resync {
    /// The first and the last tick that were left out.
    pub from: u64,
    pub to: u64,
    /// Where their sum is.
    pub summary: String,
}

/// The node stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bye {
    /// Addresses of other nodes' APIs.
    pub addresses: Vec<String>,
}

/// What is left to say once nothing more will come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct End {
    pub status: JobStatus,
    pub verdict: VerdictValue,
}

/// A job as it happens
///
/// Resumes after `Last-Event-ID`, on any node.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/ticks", tag = "jobs",
    params(
        ("id" = String, Path, description = "Id of the job"),
        ("last-event-id" = Option<u64>, Header, description = "Number of the last tick seen"),
        TicksQuery,
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = "default", body = ProblemBody)
    )
)]
async fn ticks(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<TicksQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find_job(&state.ledger(), &id)?;
    let wanted = Wanted::parse(query.events.as_deref())?;
    let after = match stream::last_event_id(&headers) {
        None => query.after.unwrap_or(0),
        Some(text) => text.parse().map_err(|_| {
            Problem::new(Kind::InvalidRequest, "Last-Event-ID must be the number of a tick")
        })?,
    };
    Ok(stream::respond(events(state, job.id.clone(), after, wanted)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    job: bool,
    tick: bool,
    live: bool,
}

impl Wanted {
    fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(Self { job: true, tick: true, live: true }) };
        let mut wanted = Self { job: false, tick: false, live: false };
        for name in text.split(',') {
            match name.trim() {
                "job" => wanted.job = true,
                "tick" => wanted.tick = true,
                "live" => wanted.live = true,
                other => {
                    return Err(Problem::field(
                        "?events",
                        format!("events are job, tick and live, not {other:?}"),
                    ));
                }
            }
        }
        Ok(wanted)
    }
}

/// Where a stream is.
struct Watch {
    state: ApiState,
    applied: watch::Receiver<u64>,
    id: JobId,
    wanted: Wanted,
    /// Number of the last tick that was sent or skipped.
    tick: u64,
    /// What the last `job` event showed.
    shown: Option<domain::Job>,
    ready: VecDeque<Event>,
    ended: bool,
}

fn events(
    state: ApiState,
    id: JobId,
    after: u64,
    wanted: Wanted,
) -> impl Stream<Item = Event> + Send + 'static {
    let applied = state.backend.applied();
    let watch = Watch {
        state,
        applied,
        id,
        wanted,
        tick: after,
        shown: None,
        ready: VecDeque::new(),
        ended: false,
    };
    futures::stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((event, watch))
    })
}

impl Watch {
    /// The next event; none after `end` or `bye`.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            // Seen before the ledger is read: a change after the read wakes the next turn.
            self.applied.mark_unchanged();
            self.read().await;
            if !self.ready.is_empty() {
                continue;
            }
            let stop = self.state.config.shutdown.clone();
            let gone = tokio::select! {
                changed = self.applied.changed() => changed.is_err(),
                () = stop.cancelled() => true,
            };
            if gone {
                self.say_bye();
            }
        }
    }

    /// Turns what is new in the ledger into events.
    async fn read(&mut self) {
        let Some(job) = self.state.ledger().job(&self.id).map(Arc::clone) else {
            self.ended = true;
            return;
        };
        if self.wanted.job && self.shown.as_ref().is_none_or(|shown| changed(shown, &job)) {
            self.ready.push_back(Event::json("job", None, &Job::of(&job)));
            self.shown = Some(domain::Job { ticks: Vec::new(), ..domain::Job::clone(&job) });
        }
        let news = job.last_tick > self.tick || (self.tick == 0 && job.last_tick == 0);
        self.push_ticks(&job);
        if news && self.wanted.live {
            self.push_live().await;
        }
        if job.status.is_terminal() {
            let end = End { status: job.status.into(), verdict: job.verdict.value.into() };
            self.ready.push_back(Event::json("end", None, &end));
            self.ended = true;
        }
    }

    fn push_ticks(&mut self, job: &domain::Job) {
        let oldest = job.ticks.first().map_or(job.last_tick + 1, |tick| tick.number);
        if oldest > self.tick + 1 && self.wanted.tick {
            let summary = format!("/api/v1/jobs/{}/summary", job.id);
            let resync = Resync { from: self.tick + 1, to: oldest - 1, summary };
            self.ready.push_back(Event::json("resync", Some((oldest - 1).to_string()), &resync));
        }
        for tick in job.ticks.iter().filter(|tick| tick.number > self.tick) {
            if self.wanted.tick {
                let event = row(job, tick);
                self.ready.push_back(Event::json("tick", Some(tick.number.to_string()), &event));
            }
        }
        self.tick = self.tick.max(job.last_tick);
    }

    async fn push_live(&mut self) {}

    fn say_bye(&mut self) {
        let own = self.state.backend.identity().peer;
        let members = self.state.backend.members();
        let others = members.into_iter().filter(|m| m.peer != own && m.health == "alive");
        let bye = Bye { addresses: others.filter_map(|member| member.api).collect() };
        self.ready.push_back(Event::json("bye", None, &bye));
        self.ended = true;
    }
}

fn changed(a: &domain::Job, b: &domain::Job) -> bool {
    a.status != b.status || a.verdict != b.verdict || a.abort != b.abort || a.epoch != b.epoch
}

fn row(job: &domain::Job, tick: &domain::Tick) -> TickEvent {
    TickEvent {
        job: job.id.to_string(),
        tick: tick.number,
        committed_at: crate::routes::dto::rfc3339(tick.committed_at),
    }
}

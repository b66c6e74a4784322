//! A job as it happens: `GET /api/v1/jobs/{id}/ticks`, server-sent events. A tick's event id is the
//! tick's number in the log, so a reader that lost its node resumes at any other one, and sees each
//! second once. Ticks that have left the ledger are not replayed: `resync` says so, and the summary
//! has them.
//!
//! Events: `job` (the job, at the start and whenever its status changes), `tick` (one committed
//! second), `event` (what happened to the job, as in its audit trail; all of it at the start),
//! `live` (the state so far), `resync`, `bye` (this node stops; go to another), `end`.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::Stream;
use onrush_raft::ledger::job as domain;
use onrush_raft::types::JobId;
use onrush_scenario::stats::frame::{RequestDelta, Times};
use onrush_scenario::stats::merge::{SecondDelta, Tick};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dto::{Job, JobEvent, JobStatus, VerdictValue};
use crate::error::{Kind, Problem, ProblemBody};
use crate::extract::{Path, Query};
use crate::routes::dto::find_job;
use crate::state::ApiState;
use crate::stream::{self, Event};

/// Requests of one second that a tick event lists.
const ROWS_MAX: usize = 50;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(ticks))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TicksQuery {
    /// Only these events, with commas: `tick,live`. All (job, tick, event, live) when absent; `end`
    /// and `bye` always come.
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
    /// What it adds: usually one second, more after a fail-over; late frames amend an earlier one.
    pub seconds: Vec<Second>,
}

/// What a tick adds to one second of the run. Times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Second {
    /// Zero-based, by the common start.
    pub second: u32,
    pub users_started: u64,
    pub users_ended: u64,
    /// Alive at the end of the second, on the shards of this tick.
    pub users_active: u64,
    pub ok: u64,
    pub ko: u64,
    pub errors: u64,
    pub p50_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Busiest first, at most 50.
    pub requests: Vec<RequestRow>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestRow {
    /// Groups, then the request.
    pub path: Vec<String>,
    pub ok: u64,
    pub ko: u64,
    pub p50_us: u64,
    pub p95_us: u64,
    pub max_us: u64,
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
    event: bool,
    live: bool,
}

impl Wanted {
    fn all(yes: bool) -> Self {
        Self { job: yes, tick: yes, event: yes, live: yes }
    }

    fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(Self::all(true)) };
        let mut wanted = Self::all(false);
        for name in text.split(',') {
            match name.trim() {
                "job" => wanted.job = true,
                "tick" => wanted.tick = true,
                "event" => wanted.event = true,
                "live" => wanted.live = true,
                other => {
                    return Err(Problem::field(
                        "?events",
                        format!("events are job, tick, event and live, not {other:?}"),
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
    /// What the last `event` event told, and when it was.
    told: Option<domain::JobEvent>,
    /// What the last `job` event showed.
    shown: Option<domain::Job>,
    /// The state so far was sent once, whether or not there are ticks yet.
    greeted: bool,
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
        told: None,
        shown: None,
        greeted: false,
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
        self.push_events(&job);
        let first = !std::mem::replace(&mut self.greeted, true);
        let news = first || job.last_tick > self.tick;
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

    /// Those that follow the last one told; the trail may have been cut in its middle meanwhile.
    fn push_events(&mut self, job: &domain::Job) {
        if !self.wanted.event {
            return;
        }
        let told = self.told.as_ref();
        let after = told.and_then(|told| job.events.iter().rposition(|event| event == told));
        for event in job.events.iter().skip(after.map_or(0, |index| index + 1)) {
            self.ready.push_back(Event::json("event", None, &JobEvent::of(event)));
        }
        self.told = job.events.last().cloned();
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

    async fn push_live(&mut self) {
        match self.state.backend.live(&self.id).await {
            Ok(view) => self.ready.push_back(Event::json("live", None, &view)),
            // The next tick tries again; the ticks themselves are not affected.
            Err(error) => tracing::debug!(job = %self.id, %error, "no live view"),
        }
    }

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
    let seconds = match Tick::decode(&tick.payload) {
        Ok(content) => content.seconds.iter().map(second).collect(),
        Err(error) => {
            tracing::warn!(job = %job.id, tick = tick.number, %error, "a tick cannot be read");
            Vec::new()
        }
    };
    TickEvent {
        job: job.id.to_string(),
        tick: tick.number,
        committed_at: crate::routes::dto::rfc3339(tick.committed_at),
        seconds,
    }
}

fn second(delta: &SecondDelta) -> Second {
    let mut all = Times::default();
    let mut row = Second { second: delta.second, ..Second::default() };
    for request in &delta.requests {
        all.merge(&request.ok);
        all.merge(&request.ko);
        row.ok += request.ok.count;
        row.ko += request.ko.count;
        row.bytes_sent += request.bytes_sent;
        row.bytes_received += request.bytes_received;
    }
    row.errors = delta.errors.iter().map(|error| error.count).sum();
    (row.p50_us, row.p95_us) = (percentile(&all, 50.0), percentile(&all, 95.0));
    (row.p99_us, row.max_us) = (percentile(&all, 99.0), all.max_us);
    for scenario in delta.shards.iter().flat_map(|shard| &shard.scenarios) {
        row.users_started += scenario.started;
        row.users_ended += scenario.ended;
        row.users_active += scenario.active;
    }
    let mut busiest: Vec<&RequestDelta> = delta.requests.iter().collect();
    busiest.sort_by_key(|request| std::cmp::Reverse(request.ok.count + request.ko.count));
    row.requests = busiest.into_iter().take(ROWS_MAX).map(request_row).collect();
    row
}

fn request_row(request: &RequestDelta) -> RequestRow {
    let times = request.ok.merged(&request.ko);
    RequestRow {
        path: request.path.clone(),
        ok: request.ok.count,
        ko: request.ko.count,
        p50_us: percentile(&times, 50.0),
        p95_us: percentile(&times, 95.0),
        max_us: times.max_us,
    }
}

/// Whole microseconds.
fn percentile(times: &Times, percent: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a percentile of response times is neither negative nor beyond u64"
    )]
    let us = times.percentile_us(percent).round() as u64;
    us
}

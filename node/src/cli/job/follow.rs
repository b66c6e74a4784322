//! Following a job to its end: progress on stderr, and its verdict as the exit code. An interrupt
//! stops following, never the job.

use std::time::{Duration, Instant};

use onrush_api::client::{Client, JobUpdate};
use onrush_api::routes::jobs::dto::{Job, JobStatus, VerdictValue};
use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::{Global, output, tell};

/// A line of progress so often.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Progress,
    Nothing,
}

/// The exit code of a job that has ended.
#[must_use]
pub(super) fn exit_of(job: &Job) -> Exit {
    match (job.status, job.verdict.value) {
        (JobStatus::Finished, VerdictValue::Passed | VerdictValue::None) => Exit::Ok,
        (JobStatus::Finished, VerdictValue::Failed) => Exit::AssertionsFailed,
        (JobStatus::Finished, VerdictValue::Inconclusive) | (JobStatus::Lost, _) => {
            Exit::Inconclusive
        }
        (JobStatus::Aborted, _) => Exit::Aborted,
        _ => match problem_kind(job) {
            Some("script" | "script_limit" | "file_invalid") => Exit::BadScript,
            Some("file_missing") => Exit::NoInput,
            _ => Exit::Error,
        },
    }
}

/// What kept a failed job from running, where its digest says so.
fn problem_kind(job: &Job) -> Option<&str> {
    job.digest.as_ref()?.get("problem")?.get("kind")?.as_str()
}

/// Follows to the end, and tells how it was.
pub(super) async fn to_the_end(
    global: &Global,
    client: &Client,
    job: Job,
    show: Show,
    timeout: Option<Duration>,
) -> anyhow::Result<Exit> {
    if let Ok(members) = client.members().await {
        client.learn(members.items.into_iter().filter_map(|member| member.api));
    }
    let id = job.id.clone();
    let limit = timeout.unwrap_or(Duration::MAX);
    let watching = watch(global, client, job, show);
    let ended = tokio::select! {
        ended = watching => Some(ended?),
        () = tokio::time::sleep(limit) => None,
        _ = tokio::signal::ctrl_c() => None,
    };
    let Some(job) = ended else {
        tell(format!(
            "{id} goes on; onrush job watch {id} follows it, onrush job abort {id} ends it"
        ));
        return Ok(Exit::TimedOut);
    };
    if global.is_json() {
        output::json(&job)?;
    } else {
        super::view::outcome(&job, &client.address())?;
    }
    Ok(exit_of(&job))
}

async fn watch(
    global: &Global,
    client: &Client,
    job: Job,
    show: Show,
) -> Result<Job, onrush_api::client::Error> {
    let loud = show == Show::Progress && !global.quiet;
    let mut updates = client.watch(&job.id, if loud { "job,live" } else { "job" });
    let mut status = None;
    let mut last_line: Option<Instant> = None;
    while let Some(update) = updates.next().await? {
        match update {
            JobUpdate::Job(now) if loud && status != Some(now.status) => {
                status = Some(now.status);
                let nodes = match now.shards {
                    0 => String::new(),
                    1 => " on 1 node".to_owned(),
                    n => format!(" on {n} nodes"),
                };
                tell(format!("{} is {}{nodes}", now.id, now.status.name()));
            }
            JobUpdate::Live(view)
                if loud && last_line.is_none_or(|at| at.elapsed() >= LINE_EVERY) =>
            {
                last_line = Some(Instant::now());
                tell(line(&view));
            }
            _ => {}
        }
    }
    client.job(&job.id).await
}

/// `t=85s users=1204 rps=18214 ko=0.31% p50=12ms p95=41ms p99=88ms max=1.24s`.
fn line(view: &Value) -> String {
    let number = |name: &str| view[name].as_u64().unwrap_or(0);
    let time = |name: &str| output::micros(view["last"][name].as_u64().unwrap_or(0));
    format!(
        "t={}s users={} rps={} ko={:.2}% p50={} p95={} p99={} max={} total={}",
        number("second") + 1,
        number("users_active"),
        number("rps"),
        view["ko_percent"].as_f64().unwrap_or(0.0),
        time("p50_us"),
        time("p95_us"),
        time("p99_us"),
        time("max_us"),
        number("count"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_view_is_one_line() {
        let view = serde_json::json!({
            "second": 84, "users_active": 1204, "rps": 18214, "ko_percent": 0.309, "count": 5,
            "last": {"p50_us": 12_000, "p95_us": 41_500, "p99_us": 88_000, "max_us": 1_245_000}
        });
        assert_eq!(
            line(&view),
            "t=85s users=1204 rps=18214 ko=0.31% p50=12ms p95=41ms p99=88ms max=1.24s total=5"
        );
    }
}

//! Following a job to its end: progress on stderr, and its verdict as the exit code. An interrupt
//! stops following, never the job.

use std::time::Duration;

use onrush_api::client::{Client, JobUpdate};
use onrush_api::report;
use onrush_api::routes::jobs::dto::{Job, JobEvent, JobStatus, VerdictValue};
use onrush_scenario::shard::ProblemKind;

use crate::cli::exit::Exit;
use crate::cli::progress::{Header, Mode, Progress};
use crate::cli::{Global, local, output, say, tell};

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
        // As `onrush run` ends, by the same problem.
        _ => problem_kind(job).map_or(Exit::Error, local::exit_of),
    }
}

/// What a shard of a failed job could not do: the master keeps it with the job's facts.
fn problem_kind(job: &Job) -> Option<ProblemKind> {
    serde_json::from_value(job.digest.as_ref()?.get("problem")?.get("kind")?.clone()).ok()
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
        if job.started_at.is_some() {
            // The job has ended; a summary that cannot be had now changes nothing about that.
            match client.summary(&job.id).await {
                Ok(summary) => say(report::text(&summary).trim_end())?,
                Err(error) => tell(format!("the summary cannot be read: {error}")),
            }
        }
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
    let mut progress = Progress::new(if loud { Mode::Auto } else { Mode::None });
    let mut header = header(&job);
    let mut updates = client.watch(&job.id, if loud { "job,event,live" } else { "job" });
    let mut told = Told::default();
    while let Some(update) = updates.next().await? {
        match update {
            JobUpdate::Job(now) if loud => {
                if header.state != now.status.name() {
                    progress.say(&format!("{} is {}", now.id, now.status.name()));
                }
                header = self::header(&now);
            }
            JobUpdate::Event(event) if loud => {
                told.hear(event).iter().for_each(|line| progress.say(line));
            }
            JobUpdate::Live(view) if loud && header.state != JobStatus::Queued.name() => {
                progress.update(&header, &view);
            }
            _ => {}
        }
    }
    progress.clear();
    client.job(&job.id).await
}

/// What has been said of the job's audit trail.
#[derive(Default)]
struct Told {
    events: Vec<JobEvent>,
    master: Option<String>,
}

impl Told {
    /// What of an event is news: which master drives the job now, and what befell its shards. A node
    /// that was asked anew tells the trail from its beginning.
    fn hear(&mut self, event: JobEvent) -> Vec<String> {
        if self.events.contains(&event) {
            return Vec::new();
        }
        let mut lines = Vec::new();
        if let Some(master) = event.by.strip_prefix("master@") {
            let before = self.master.replace(master.to_owned());
            if before.is_some_and(|before| before != master) {
                lines.push(format!("{master} is master now; the load goes on"));
            }
        }
        let news = [" lost after ", " segments of ", " takes over ", "queued again", "load "];
        if news.iter().any(|part| event.what.contains(part)) {
            lines.push(event.what.clone());
        }
        self.events.push(event);
        lines
    }
}

fn header(job: &Job) -> Header {
    let nodes = match job.running_on {
        0 => "no node yet".to_owned(),
        1 => "1 node".to_owned(),
        n => format!("{n} nodes"),
    };
    let title = if job.title.is_empty() { &job.simulation } else { &job.title };
    let planned_us = job.plan.as_ref().and_then(|plan| plan["injection_us"].as_u64());
    Header {
        title: title.clone(),
        place: format!("{} · {nodes}", job.id),
        planned_s: planned_us.map(|us| us / 1_000_000),
        state: job.status.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str, verdict: &str, problem: &str) -> Job {
        let job = onrush_raft::ledger::job::Job {
            id: "job_1".into(),
            project: "default".into(),
            number: 1,
            spec: onrush_raft::ledger::job::JobSpec::default(),
            status: serde_json::from_value(status.into()).unwrap(),
            verdict: onrush_raft::ledger::job::Verdict {
                value: serde_json::from_value(verdict.into()).unwrap(),
                reason: String::new(),
            },
            submitted_by: "ana".to_owned(),
            submitted_at: 0,
            start_at: Some(1),
            ended_at: Some(2),
            abort: None,
            plan: None,
            epoch: 1,
            failed_preparations: 0,
            assignments: Vec::new(),
            ticks: Vec::new(),
            last_tick: 0,
            sealed: Vec::new(),
            artifacts: std::collections::BTreeMap::new(),
            digest: Some(format!(r#"{{"problem": {problem}}}"#)),
            events: Vec::new(),
            loads: Vec::new(),
        };
        Job::of(&job)
    }

    #[test]
    fn the_verdict_is_the_exit_code() {
        for (status, verdict, exit) in [
            ("finished", "passed", Exit::Ok),
            ("finished", "none", Exit::Ok),
            ("finished", "failed", Exit::AssertionsFailed),
            ("finished", "inconclusive", Exit::Inconclusive),
            ("lost", "none", Exit::Inconclusive),
            ("aborted", "none", Exit::Aborted),
            ("failed", "none", Exit::Error),
        ] {
            assert_eq!(exit_of(&job(status, verdict, "null")), exit, "{status} {verdict}");
        }
        for (kind, exit) in [
            ("script", Exit::BadScript),
            ("script_limit", Exit::BadScript),
            ("file_invalid", Exit::BadScript),
            ("file_missing", Exit::NoInput),
            ("crash", Exit::Error),
            ("internal", Exit::Internal),
        ] {
            let problem = format!(r#"{{"kind": "{kind}"}}"#);
            assert_eq!(exit_of(&job("failed", "none", &problem)), exit, "{kind}");
        }
    }
}

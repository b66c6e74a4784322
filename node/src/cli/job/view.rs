//! Jobs as tables.

use std::collections::BTreeMap;
use std::fmt::Display;

use onrush_api::page::Page;
use onrush_api::routes::jobs::dto::{Job, JobEvent, JobStatus, Shard, ShardState, VerdictValue};

use crate::cli::output::{self, duration, time};
use crate::cli::{Global, say};

pub(super) fn list(global: &Global, page: &Page<Job>) -> anyhow::Result<()> {
    let header =
        ["ID", "SIMULATION", "TITLE", "STATUS", "VERDICT", "SUBMITTED", "DURATION", "NODES", "BY"];
    let rows = page.items.iter().map(|job| {
        let verdict = if job.status.is_terminal() { job.verdict.value.name() } else { "" };
        vec![
            job.id.clone(),
            job.simulation.clone(),
            job.title.clone(),
            job.status.name().to_owned(),
            verdict.to_owned(),
            time(&job.submitted_at),
            job.duration_ms.map(duration).unwrap_or_default(),
            job.shards.to_string(),
            job.submitted_by.clone(),
        ]
    });
    output::table(&header, rows)?;
    if page.next_cursor.is_some() {
        output::hint(global, "there are more; give --limit or a filter");
    }
    Ok(())
}

pub(super) fn job(
    job: &Job,
    shards: &[Shard],
    events: &[JobEvent],
    address: &str,
) -> anyhow::Result<()> {
    let verdict = match job.verdict.value {
        VerdictValue::None => String::new(),
        value => format!(" · {}", value.name()),
    };
    say(format!("{}  {}{verdict}", job.id, job.status.name()))?;
    if !job.verdict.reason.is_empty() {
        say(format!("  why         {}", job.verdict.reason))?;
    }
    if let Some(wish) = &job.abort {
        say(format!("  abort       {wish}"))?;
    }
    say(format!("  simulation  {} (project {})", job.simulation, job.project))?;
    if !job.title.is_empty() {
        say(format!("  title       {}", job.title))?;
    }
    pairs("labels", &job.labels)?;
    pairs("parameters", &job.parameters)?;
    pairs("zone shares", &job.zone_shares)?;
    say(format!("  submitted   {} by {}", time(&job.submitted_at), job.submitted_by))?;
    if let Some(at) = &job.started_at {
        say(format!("  started     {}", time(at)))?;
    }
    if let Some(at) = &job.ended_at {
        let took = job.duration_ms.map(|ms| format!(" after {}", duration(ms)));
        say(format!("  ended       {}{}", time(at), took.unwrap_or_default()))?;
    }
    for change in &job.load.changes {
        let what = if change.paused { "paused".to_owned() } else { format!("×{}", change.factor) };
        let from = change.at_s.map_or_else(|| "soon".to_owned(), |at| format!("{at} s of the run"));
        say(format!("  load        {what} from {from} on, asked for by {}", change.asked_by))?;
    }
    say(format!("  seed        {}", job.seed))?;
    say(format!("  report      {address}{}", job.links.report))?;
    if !shards.is_empty() {
        say("")?;
        let header = ["SHARD", "NODE", "EPOCH", "SEGMENTS", "STATE", "FRAMES", "REASON"];
        output::table(&header, shards.iter().map(shard_row))?;
    }
    if !events.is_empty() {
        say("")?;
        let rows =
            events.iter().map(|event| vec![time(&event.at), event.by.clone(), event.what.clone()]);
        output::table(&["WHEN", "WHO", "WHAT"], rows)?;
    }
    Ok(())
}

fn pairs(name: &str, values: &BTreeMap<String, impl Display>) -> anyhow::Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
    say(format!("  {name:<11} {}", shown.join(" ")))
}

fn shard_row(shard: &Shard) -> Vec<String> {
    let state = match shard.state {
        ShardState::Active => "active",
        ShardState::Done => "done",
        ShardState::Lost => "lost",
    };
    vec![
        shard.shard.to_string(),
        shard.node.clone(),
        shard.epoch.to_string(),
        shard.segments.to_string(),
        state.to_owned(),
        shard.cursor.to_string(),
        shard.reason.clone().unwrap_or_default(),
    ]
}

/// How a job ended, in a few lines on stdout.
pub(super) fn outcome(job: &Job, address: &str) -> anyhow::Result<()> {
    let reason = &job.verdict.reason;
    let took = job.duration_ms.map(|ms| format!(" after {}", duration(ms))).unwrap_or_default();
    say(format!("{} {}{took}", job.id, job.status.name()))?;
    if job.status == JobStatus::Finished {
        let because = if reason.is_empty() { String::new() } else { format!(" — {reason}") };
        say(format!("verdict  {}{because}", job.verdict.value.name().to_uppercase()))?;
    } else if !reason.is_empty() {
        say(format!("why      {reason}"))?;
    }
    // A job that never ran has no results.
    if job.started_at.is_some() {
        say(format!("report   {address}{}", job.links.report))?;
        say(format!("summary  {address}{}", job.links.summary))?;
    }
    Ok(())
}

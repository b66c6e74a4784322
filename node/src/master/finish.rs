//! The end of a job: sum it up, keep the report in the repository, finish it in one command. Any
//! master may do it again: the same job and ticks give the same blobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use onrush_api::report;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::job::{
    Job, JobCommand, JobStatus, SealedTicks, Verdict as JobVerdict, VerdictValue as JobValue,
};
use onrush_raft::types::PeerName;
use onrush_scenario::stats::summary::{Summary, Verdict, VerdictValue};
use serde_json::{Value, json};

use super::reconcile::Ending;
use super::tally::{self, Tally};
use crate::membership::handle::{ClusterError, ClusterHandle};
use crate::repository::{self, Repository};

/// Of a reason kept in the ledger; the logs have the whole.
const REASON_BYTES_MAX: usize = 8 << 10;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Tally(#[from] tally::Error),
    #[error(transparent)]
    Repository(#[from] repository::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("ticks {from} to {to} are not in the ledger any more")]
    NotThere { from: u64, to: u64 },
}

/// Ends a job as `ending` says.
///
/// # Errors
/// The ticks are not readable, the report cannot be kept, or the command was not carried out: the
/// next round tries again.
pub(super) async fn conclude(
    cluster: &ClusterHandle,
    repository: &Arc<Repository>,
    term: u64,
    job: &Job,
    ending: &Ending,
) -> Result<(), Error> {
    let mut artifacts = BTreeMap::new();
    let mut facts = serde_json::Map::new();
    if let Some(kind) = ending.problem {
        facts.insert("problem".to_owned(), json!({ "kind": kind }));
    }
    let reason = clip(&ending.reason);
    let mut verdict = JobVerdict { value: JobValue::None, reason: reason.to_owned() };
    // A job that never ran has nothing to report but its reason.
    if job.start_at.is_some() {
        let mut tally = Tally::default();
        tally.catch_up(job, repository).await?;
        let ledger = cluster.ledger();
        let name = |peer: &PeerName| {
            ledger.member_of_peer(peer).map_or_else(|| peer.0.clone(), |m| m.name.clone())
        };
        let summary = tally.summary(job, ending.status, reason, name);
        let html = repository.put_bytes(report::html(&summary).into()).await?;
        artifacts.insert("index.html".to_owned(), html.content);
        let json = repository.put_bytes(report::json(&summary).into()).await?;
        artifacts.insert("summary.json".to_owned(), json.content);
        facts.extend(small_facts(&summary, tally.seconds()));
        if ending.status == JobStatus::Finished {
            verdict = to_ledger(&summary.verdict);
        }
    }
    let finish = JobCommand::Finish {
        id: job.id.clone(),
        status: ending.status,
        verdict,
        artifacts,
        digest: (!facts.is_empty()).then(|| Value::Object(facts).to_string()),
    };
    cluster.propose_as_master(term, Command::Job(finish)).await?;
    Ok(())
}

/// Moves ticks `from..=to` out of the ledger into a blob.
///
/// # Errors
/// As [`conclude`].
pub(super) async fn seal(
    cluster: &ClusterHandle,
    repository: &Arc<Repository>,
    term: u64,
    job: &Job,
    (from, to): (u64, u64),
) -> Result<(), Error> {
    let bytes = tally::segment(job, from, to).ok_or(Error::NotThere { from, to })?;
    let content = repository.put_bytes(bytes.into()).await?.content;
    let sealed = SealedTicks { from, to, content };
    let command = JobCommand::Seal { id: job.id.clone(), sealed };
    cluster.propose_as_master(term, Command::Job(command)).await?;
    Ok(())
}

fn clip(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

fn to_ledger(verdict: &Verdict) -> JobVerdict {
    let value = match verdict.value {
        VerdictValue::Passed => JobValue::Passed,
        VerdictValue::Failed => JobValue::Failed,
        VerdictValue::Inconclusive => JobValue::Inconclusive,
        VerdictValue::None => JobValue::None,
    };
    JobVerdict { value, reason: clip(&verdict.reason).to_owned() }
}

/// What lists show of an ended job.
fn small_facts(summary: &Summary, seconds: u32) -> impl Iterator<Item = (String, Value)> {
    let all = summary.rows.first().map(|row| &row.stats);
    let facts = [
        ("duration_ms", json!(u64::from(seconds) * 1_000)),
        ("requests", json!(all.map(|stats| stats.all.count))),
        ("ko", json!(all.map(|stats| stats.ko.count))),
        ("per_second", json!(all.map(|stats| stats.all.per_second))),
        ("mean_us", json!(all.and_then(|stats| stats.all.mean_us))),
        ("p95_us", json!(all.and_then(|stats| stats.all.p95_us))),
        ("p99_us", json!(all.and_then(|stats| stats.all.p99_us))),
        ("users_peak", json!(summary.users_peak)),
        ("coverage", json!(summary.coverage)),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value))
}

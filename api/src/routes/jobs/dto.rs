//! Jobs on the wire, and how they are made of the ledger's rows.

use std::collections::BTreeMap;

use onrush_raft::ledger::job as domain;
use onrush_raft::ledger::job::load::FACTOR_ONE;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::routes::dto::{digest_text, rfc3339};

/// REST's own copy of a domain enum: same names, so that the wire does not move with the ledger.
macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl From<domain::$name> for $name {
            fn from(value: domain::$name) -> Self {
                match value { $(domain::$name::$variant => Self::$variant),* }
            }
        }

        impl From<$name> for domain::$name {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant),* }
            }
        }
    };
}

mirror! {
    /// `queued → preparing → running → finalizing → finished`, or `aborted`, `failed` (could not
    /// run), `lost` (no quorum or no shards for too long).
    JobStatus { Queued, Preparing, Running, Finalizing, Finished, Aborted, Failed, Lost }
}
mirror! {
    /// Apart from the status: what the test said about the target.
    VerdictValue { Passed, Failed, Inconclusive, None }
}
mirror! {
    /// `split`: one test, divided among the nodes. `copy`: each node runs the whole simulation.
    Division { Split, Copy }
}
mirror! {
    /// What happens to a lost node's share of the load.
    OnNodeLoss { Rebalance, Degrade, Fail }
}

impl JobStatus {
    #[must_use]
    pub fn is_terminal(self) -> bool {
        domain::JobStatus::from(self).is_terminal()
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Finalizing => "finalizing",
            Self::Finished => "finished",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

impl VerdictValue {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::None => "none",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    pub value: VerdictValue,
    /// Why, in words; empty where there is nothing to say.
    pub reason: String,
}

/// One execution of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// `job_` and a ULID.
    pub id: String,
    pub project: String,
    /// Submission number in the cluster: 1, 2, 3 …
    pub number: u64,
    /// Path of the simulation in the project's files.
    pub simulation: String,
    pub title: String,
    pub labels: BTreeMap<String, String>,
    pub status: JobStatus,
    pub verdict: Verdict,
    /// The wish to end it, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<String>,
    pub submitted_by: String,
    pub submitted_at: String,
    /// The common start of the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// From the start of the load to the end, where it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Nodes that were asked for; 0: all that are alive.
    pub nodes: u32,
    /// Shards of the last preparation, and those that took segments over since.
    pub shards: usize,
    /// Nodes that have, or had, one of them.
    #[serde(default)]
    pub running_on: usize,
    pub division: Division,
    pub on_node_loss: OnNodeLoss,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_ms: Option<u64>,
    pub seed: u64,
    pub record_arrivals: bool,
    pub avoid_master: bool,
    /// Zone → its part of the load, where it was asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zone_shares: BTreeMap<String, u32>,
    /// Values of names like `password` or `token` are shown as `***`.
    pub parameters: BTreeMap<String, String>,
    pub environment: BTreeMap<String, String>,
    /// Path → digest: the content the shards get, as it was at submission.
    pub files: BTreeMap<String, String>,
    /// The shards' common plan, once all were ready: scenarios, expected users, assertions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub plan: Option<serde_json::Value>,
    /// A few figures of the result, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub digest: Option<serde_json::Value>,
    /// What its load is multiplied by, as it was last asked for.
    #[serde(default)]
    pub load: Load,
    /// Number of the last committed tick; each is one second of the run or an amendment of one.
    pub ticks: u64,
    /// Names of the stored results.
    pub artifacts: Vec<String>,
    pub links: Links,
}

/// The load of a job, against what its simulation says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    /// 1: as it was written.
    pub factor: f64,
    /// Nobody new is started.
    pub paused: bool,
    /// In order.
    pub changes: Vec<LoadChange>,
}

/// What the load is from an instant on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoadChange {
    pub factor: f64,
    pub paused: bool,
    /// Seconds since the common start of the load; absent until the master has set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_s: Option<f64>,
    pub asked_at: String,
    pub asked_by: String,
}

impl Default for Load {
    fn default() -> Self {
        Self { factor: 1.0, paused: false, changes: Vec::new() }
    }
}

impl Load {
    fn of(job: &domain::Job) -> Self {
        let factor = |thousandths: u32| f64::from(thousandths) / f64::from(FACTOR_ONE);
        let (now, paused) = job.load();
        let change = |it: &domain::LoadChange| LoadChange {
            factor: factor(it.factor),
            paused: it.paused,
            at_s: it.at_us.map(seconds),
            asked_at: rfc3339(it.asked_at),
            asked_by: it.asked_by.clone(),
        };
        Self { factor: factor(now), paused, changes: job.loads.iter().map(change).collect() }
    }
}

#[expect(clippy::cast_precision_loss, reason = "runs last less than 2^53 µs")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Paths below the node's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Links {
    #[serde(rename = "self")]
    pub itself: String,
    pub report: String,
    pub summary: String,
    pub ticks: String,
    pub logs: String,
    pub events: String,
    pub shards: String,
    /// Of `PATCH` only.
    #[serde(default)]
    pub load: String,
}

impl Links {
    fn of(id: &str) -> Self {
        let base = format!("/api/v1/jobs/{id}");
        Self {
            report: format!("{base}/report.html"),
            summary: format!("{base}/summary"),
            ticks: format!("{base}/ticks"),
            logs: format!("{base}/logs"),
            events: format!("{base}/events"),
            shards: format!("{base}/shards"),
            load: format!("{base}/load"),
            itself: base,
        }
    }
}

impl Job {
    #[must_use]
    pub fn of(job: &domain::Job) -> Self {
        let spec = &job.spec;
        Self {
            id: job.id.to_string(),
            project: job.project.to_string(),
            number: job.number,
            simulation: spec.simulation.clone(),
            title: spec.title.clone(),
            labels: spec.labels.clone(),
            status: job.status.into(),
            verdict: Verdict {
                value: job.verdict.value.into(),
                reason: job.verdict.reason.clone(),
            },
            abort: job.abort.clone(),
            submitted_by: job.submitted_by.clone(),
            submitted_at: rfc3339(job.submitted_at),
            started_at: job.start_at.map(rfc3339),
            ended_at: job.ended_at.map(rfc3339),
            duration_ms: duration_ms(job),
            nodes: spec.nodes,
            shards: job.assignments.iter().filter(|a| !a.is_void()).count(),
            running_on: running_on(job),
            division: spec.division.into(),
            on_node_loss: spec.on_node_loss.into(),
            max_duration_ms: spec.max_duration_ms,
            seed: spec.seed,
            record_arrivals: spec.record_arrivals,
            avoid_master: spec.avoid_master,
            zone_shares: spec.zone_shares.clone(),
            parameters: masked(&spec.parameters),
            environment: masked(&spec.environment),
            files: spec
                .files
                .iter()
                .map(|(path, content)| (path.clone(), digest_text(content)))
                .collect(),
            plan: job.plan.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            digest: job.digest.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            load: Load::of(job),
            ticks: job.last_tick,
            artifacts: job.artifacts.keys().cloned().collect(),
            links: Links::of(&job.id.0),
        }
    }
}

/// Hides what is a secret by its name.
fn masked(values: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    const SECRET_WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "apikey", "api_key"];
    let hide = |name: &str| {
        let name = name.to_ascii_lowercase().replace('-', "_");
        SECRET_WORDS.iter().any(|word| name.contains(word))
    };
    let shown = |(name, value): (&String, &String)| {
        (name.clone(), if hide(name) { "***".to_owned() } else { value.clone() })
    };
    values.iter().map(shown).collect()
}

/// One shard's part of a job, from one epoch on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shard {
    pub shard: u32,
    pub epoch: u64,
    /// Name of the node, or its peer id where the name is not known here.
    pub node: String,
    pub peer: String,
    /// How many of the job's segments it holds.
    pub segments: usize,
    /// Sequence number of its last frame that is in a committed tick.
    pub cursor: u64,
    pub state: ShardState,
    /// Why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    /// It has work, or will have.
    Active,
    /// All it did is committed.
    Done,
    /// Given up; what it did after the cursor is missing.
    Lost,
}

/// A node may have several: those that it was given in mid-run are shards of their own.
fn running_on(job: &domain::Job) -> usize {
    let nodes = job.assignments.iter().filter(|a| !a.is_void()).map(|a| &a.node);
    nodes.collect::<std::collections::BTreeSet<_>>().len()
}

/// How long an ended job ran, by its own measurements: the two dates may be of clocks that differ.
fn duration_ms(job: &domain::Job) -> Option<u64> {
    let facts: serde_json::Value = serde_json::from_str(job.digest.as_deref()?).ok()?;
    facts.get("duration_ms")?.as_u64()
}

/// One line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobEvent {
    pub at: String,
    pub by: String,
    pub what: String,
}

impl JobEvent {
    pub(super) fn of(event: &domain::JobEvent) -> Self {
        Self { at: rfc3339(event.at), by: event.by.clone(), what: event.what.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_by_name() {
        let values =
            [("users", "5"), ("API-KEY", "x"), ("adminPassword", "y"), ("AUTH_TOKEN", "z")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()));
        let shown = masked(&values.into());
        assert_eq!(shown["users"], "5");
        assert_eq!(shown["API-KEY"], "***");
        assert_eq!(shown["adminPassword"], "***");
        assert_eq!(shown["AUTH_TOKEN"], "***");
    }

    #[test]
    fn enums_are_the_ledgers_own_names() {
        for status in [domain::JobStatus::Queued, domain::JobStatus::Lost] {
            let mirrored = JobStatus::from(status);
            assert_eq!(
                serde_json::to_string(&mirrored).unwrap(),
                serde_json::to_string(&status).unwrap()
            );
            assert_eq!(format!("\"{}\"", mirrored.name()), serde_json::to_string(&status).unwrap());
        }
    }
}

//! Jobs and reports for the tests of the master's pure parts.

use std::collections::BTreeMap;

use onrush_raft::ledger::job::{
    Assignment, AssignmentState, Job, JobSpec, JobStatus, Stages, Verdict,
};
use onrush_raft::types::{JobId, PeerName, ProjectName};

/// Job `job_<number>` of project `default`, with no assignments.
pub(crate) fn job(number: u64, status: JobStatus) -> Job {
    Job {
        id: JobId(format!("job_{number}")),
        project: ProjectName("default".into()),
        number,
        spec: JobSpec { simulation: "main.js".into(), ..JobSpec::default() },
        status,
        verdict: Verdict::default(),
        submitted_by: "test".into(),
        submitted_at: 0,
        start_at: None,
        ended_at: None,
        abort: None,
        plan: None,
        epoch: 1,
        failed_preparations: 0,
        assignments: Vec::new(),
        ticks: Vec::new(),
        last_tick: 0,
        sealed: Vec::new(),
        artifacts: BTreeMap::new(),
        digest: None,
        events: Vec::new(),
        loads: Vec::new(),
    }
}

/// Shards 0, 1 … on these nodes, active in epoch 1, one segment each.
pub(crate) fn assigned(nodes: &[&str]) -> Vec<Assignment> {
    nodes
        .iter()
        .zip(0..)
        .map(|(node, shard)| Assignment {
            shard,
            epoch: 1,
            node: PeerName((*node).into()),
            segments: vec![shard],
            cursor: 0,
            state: AssignmentState::Active,
            reserved: Vec::new(),
            stages: Stages::default(),
            takes_over: None,
            begins: None,
        })
        .collect()
}

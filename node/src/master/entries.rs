//! Sections of ticks as log entries: how many go into one, and what became of each. Pure.

use onrush_raft::consensus::PROPOSAL_BYTES_MAX;
use onrush_raft::ledger::job::TickSection;
use onrush_raft::ledger::outcome::{Outcome, TickOutcome};

use crate::membership::handle::ClusterError;

/// Of a section beside its payload: the job's id and a cursor for each of its shards.
const SECTION_HEAD_BYTES_MAX: usize = 48 * 1_024;

/// Sections in as few log entries as their size allows.
pub(super) fn entries(sections: impl Iterator<Item = TickSection>) -> Vec<Vec<TickSection>> {
    let (mut entries, mut room): (Vec<Vec<TickSection>>, usize) = (Vec::new(), 0);
    for section in sections {
        let bytes = section.payload.len() + SECTION_HEAD_BYTES_MAX;
        match entries.last_mut().filter(|_| bytes <= room) {
            Some(entry) => entry.push(section),
            None => {
                entries.push(vec![section]);
                room = PROPOSAL_BYTES_MAX;
            }
        }
        room = room.saturating_sub(bytes);
    }
    entries
}

/// The outcome of each of `count` sections of one entry.
pub(super) fn each(
    outcome: Result<Outcome, ClusterError>,
    count: usize,
) -> Vec<Option<TickOutcome>> {
    match outcome {
        Ok(Outcome::Ticks(outcomes)) if outcomes.len() == count => {
            return outcomes.into_iter().map(Some).collect();
        }
        Ok(other) => tracing::error!(?other, "ticks with an outcome that is not theirs"),
        Err(error) => tracing::warn!(%error, "ticks not committed; asking the ledger"),
    }
    vec![None; count]
}

#[cfg(test)]
mod tests {
    use super::*;
    use onrush_raft::codec::{self, kind};
    use onrush_raft::ledger::command::{Command, Proposal};
    use onrush_raft::ledger::job::{CursorMove, JobCommand};
    use onrush_raft::ledger::limits::SHARDS_MAX;
    use onrush_raft::types::JobId;

    /// Once the ticks of all jobs went as one entry: three wide jobs together were refused as too
    /// large, each second anew.
    #[test]
    fn many_large_sections_go_as_several_entries() {
        let step = CursorMove { shard: 0, epoch: 1, from: 0, to: 1 };
        let section = |job: usize, bytes: usize| TickSection {
            job: JobId(format!("job_{job:026}")),
            cursors: vec![step; SHARDS_MAX],
            payload: vec![7; bytes],
            reserved: Vec::new(),
        };
        let sizes = [700, 400, 400, 1, 1, 768, 1].map(|kib| kib * 1_024);
        let all = sizes.into_iter().enumerate().map(|(job, bytes)| section(job, bytes));
        let entries = entries(all);
        let counts: Vec<usize> = entries.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 4, 2]);
        for sections in entries {
            let command = Command::Job(JobCommand::Ticks { sections });
            let proposal = Proposal { at: 1, by: "master@n".into(), command };
            let bytes = codec::encode(kind::PROPOSAL, &proposal).unwrap().len();
            assert!(bytes <= PROPOSAL_BYTES_MAX, "{bytes} bytes");
        }
    }
}

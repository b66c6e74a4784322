//! The rows of all jobs.
//!
//! Jobs that have not ended live in a small table of their own: it is the one that every tick
//! copies on write. Ended jobs move to the other once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Job;
use crate::types::{JobId, ProjectName};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct JobTable {
    last_number: u64,
    /// Job id → number: text keys are shared, so that a copy of the table allocates no text.
    numbers: Arc<BTreeMap<Arc<str>, u64>>,
    live: Arc<BTreeMap<u64, Arc<Job>>>,
    ended: Arc<BTreeMap<u64, Arc<Job>>>,
}

impl JobTable {
    pub(in crate::ledger) fn get(&self, id: &JobId) -> Option<&Arc<Job>> {
        self.by_number(*self.numbers.get(id.0.as_str())?)
    }

    fn by_number(&self, number: u64) -> Option<&Arc<Job>> {
        self.live.get(&number).or_else(|| self.ended.get(&number))
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn next_number(&self) -> u64 {
        self.last_number + 1
    }

    /// Not ended, oldest first.
    pub(in crate::ledger) fn live(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.live.values()
    }

    /// All, newest first.
    pub(in crate::ledger) fn newest_first(&self) -> impl Iterator<Item = &Arc<Job>> {
        let mut live = self.live.iter().rev().peekable();
        let mut ended = self.ended.iter().rev().peekable();
        std::iter::from_fn(move || {
            let from_live = match (live.peek(), ended.peek()) {
                (Some((a, _)), Some((b, _))) => a > b,
                (live, _) => live.is_some(),
            };
            let next = if from_live { live.next() } else { ended.next() };
            next.map(|(_, job)| job)
        })
    }

    pub(super) fn insert(&mut self, job: Job) {
        self.last_number = self.last_number.max(job.number);
        Arc::make_mut(&mut self.numbers).insert(job.id.0.as_str().into(), job.number);
        Arc::make_mut(&mut self.live).insert(job.number, Arc::new(job));
    }

    /// The row to change. The caller has found that it exists and is live or ended.
    pub(super) fn change(&mut self, number: u64, change: impl FnOnce(&mut Job)) {
        let table = if self.live.contains_key(&number) { &mut self.live } else { &mut self.ended };
        let Some(row) = Arc::make_mut(table).get_mut(&number) else { return };
        change(Arc::make_mut(row));
        if row.status.is_terminal()
            && let Some(row) = Arc::make_mut(&mut self.live).remove(&number)
        {
            Arc::make_mut(&mut self.ended).insert(number, row);
        }
    }

    pub(in crate::ledger) fn forget_project(&mut self, project: &ProjectName) {
        let doomed: Vec<(u64, JobId)> = self
            .newest_first()
            .filter(|job| &job.project == project)
            .map(|job| (job.number, job.id.clone()))
            .collect();
        for (number, id) in doomed {
            Arc::make_mut(&mut self.numbers).remove(id.0.as_str());
            Arc::make_mut(&mut self.live).remove(&number);
            Arc::make_mut(&mut self.ended).remove(&number);
        }
    }
}

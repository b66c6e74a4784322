//! The rows of all jobs, and the idempotency keys that made them.
//!
//! Jobs that have not ended live in a small table of their own: it is the one that every tick
//! copies on write. Ended jobs move to the other once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Job;
use crate::ledger::limits;
use crate::types::{JobId, ProjectName, UnixMs};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct JobTable {
    last_number: u64,
    /// Job id → number: text keys are shared, so that a copy of the table allocates no text.
    numbers: Arc<BTreeMap<Arc<str>, u64>>,
    live: Arc<BTreeMap<u64, Arc<Job>>>,
    ended: Arc<BTreeMap<u64, Arc<Job>>>,
    keys: Arc<BTreeMap<ProjectName, Keys>>,
}

/// The idempotency keys of one project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Keys {
    by_key: BTreeMap<Arc<str>, Key>,
    /// (made at, job number) → key: the order in which they are forgotten.
    by_age: BTreeMap<(UnixMs, u64), Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    job: u64,
    at: UnixMs,
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

    /// The job that `key` made in this project, if it is still remembered at `now`.
    pub(super) fn keyed(&self, project: &ProjectName, key: &str, now: UnixMs) -> Option<&Arc<Job>> {
        let key = self.keys.get(project)?.by_key.get(key)?;
        if key.at.saturating_add(limits::IDEMPOTENCY_MS) < now {
            return None;
        }
        self.by_number(key.job)
    }

    /// Remembers `key`, and forgets those that are too old or too many.
    pub(super) fn remember(&mut self, project: &ProjectName, key: &str, job: u64, at: UnixMs) {
        let keys = Arc::make_mut(&mut self.keys).entry(project.clone()).or_default();
        let key: Arc<str> = key.into();
        if let Some(old) = keys.by_key.insert(Arc::clone(&key), Key { job, at }) {
            keys.by_age.remove(&(old.at, old.job));
        }
        keys.by_age.insert((at, job), key);
        while let Some((&(made_at, number), _)) = keys.by_age.first_key_value() {
            let too_old = made_at.saturating_add(limits::IDEMPOTENCY_MS) < at;
            if !too_old && keys.by_age.len() <= limits::IDEMPOTENCY_KEYS_PER_PROJECT_MAX {
                break;
            }
            if let Some(key) = keys.by_age.remove(&(made_at, number)) {
                keys.by_key.remove(&key);
            }
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
        if self.keys.contains_key(project) {
            Arc::make_mut(&mut self.keys).remove(project);
        }
    }
}

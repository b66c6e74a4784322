//! The load of a running job, changed: the wish as it was asked, and then the instant, which the
//! master sets. All shards follow from that instant on, whichever master tells them.

use super::{Job, JobStatus, LoadChange};
use crate::ledger::outcome::{Outcome, Rejection};
use crate::ledger::{At, Ledger, limits};
use crate::types::JobId;

/// A factor of one, in thousandths.
pub const FACTOR_ONE: u32 = 1_000;
pub const FACTOR_MIN: u32 = 100;
pub const FACTOR_MAX: u32 = 10_000;

impl Ledger {
    pub(super) fn load(
        &mut self,
        at: At<'_>,
        id: &JobId,
        factor: Option<u32>,
        paused: Option<bool>,
    ) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &[JobStatus::Running])?;
        job.refuse_if_aborting()?;
        if let Some(factor) = factor.filter(|it| !(FACTOR_MIN..=FACTOR_MAX).contains(it)) {
            return Err(Rejection::Invalid(format!(
                "a factor of {}; {} to {} work",
                times(factor),
                times(FACTOR_MIN),
                times(FACTOR_MAX)
            )));
        }
        let (before, was_paused) = job.load();
        let (factor, paused) = (factor.unwrap_or(before), paused.unwrap_or(was_paused));
        if (factor, paused) == (before, was_paused) {
            return Ok(Outcome::Done);
        }
        limits::count("changes of the load", job.loads.len() + 1, limits::LOAD_CHANGES_MAX)?;
        let (asked_at, asked_by) = (at.at, at.by.to_owned());
        let change = LoadChange { factor, paused, asked_at, asked_by, at_us: None };
        let number = job.number;
        self.jobs.change(number, |job| {
            job.record(at, change.asked());
            job.loads.push(change);
        });
        Ok(Outcome::Done)
    }

    pub(super) fn load_at(
        &mut self,
        at: At<'_>,
        id: &JobId,
        change: u32,
        at_us: u64,
    ) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &[JobStatus::Running])?;
        job.refuse_if_aborting()?;
        let index = usize::try_from(change).ok().and_then(|number| number.checked_sub(1));
        let known = index.and_then(|index| Some((index, job.loads.get(index)?)));
        let Some((index, known)) = known else {
            return Err(Rejection::NotFound { what: format!("change {change} of {id}'s load") });
        };
        match known.at_us {
            Some(known) if known == at_us => return Ok(Outcome::Done),
            Some(known) => {
                let text = format!("change {change} of {id}'s load holds from {known} µs already");
                return Err(Rejection::Conflict(text));
            }
            None => {}
        }
        let before = index.checked_sub(1).map_or(Some(0), |before| job.loads[before].at_us);
        if before.is_none_or(|before| before > at_us) {
            let text = format!("change {change} of {id}'s load would come before an earlier one");
            return Err(Rejection::Conflict(text));
        }
        let number = job.number;
        self.jobs.change(number, |job| {
            let change = &mut job.loads[index];
            change.at_us = Some(at_us);
            let what = change.holds();
            job.record(at, what);
        });
        Ok(Outcome::Done)
    }
}

impl Job {
    /// What was last asked: the factor in thousandths, and whether it is paused.
    #[must_use]
    pub fn load(&self) -> (u32, bool) {
        self.loads.last().map_or((FACTOR_ONE, false), |last| (last.factor, last.paused))
    }

    /// Changes with an instant, in order; what is asked and has none yet comes behind them.
    pub fn decided_loads(&self) -> impl Iterator<Item = (u64, &LoadChange)> {
        self.loads.iter().map_while(|change| Some((change.at_us?, change)))
    }
}

impl LoadChange {
    /// Of what the profiles say, in thousandths.
    #[must_use]
    pub fn in_force(&self) -> u32 {
        if self.paused { 0 } else { self.factor }
    }

    /// `×2`, `paused`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.paused { "paused".to_owned() } else { format!("×{}", times(self.factor)) }
    }

    /// The event of the wish.
    #[must_use]
    pub fn asked(&self) -> String {
        format!("load {} asked for", self.name())
    }

    /// The event of the instant; nothing before there is one.
    #[must_use]
    pub fn holds(&self) -> String {
        let Some(at_us) = self.at_us else { return String::new() };
        let (seconds, millis) = (at_us / 1_000_000, at_us / 1_000 % 1_000);
        format!("load {} from {seconds}.{millis:03} s of the run on", self.name())
    }
}

/// Thousandths as a decimal number: `2`, `0.5`, `1.125`.
#[must_use]
pub fn times(factor: u32) -> String {
    let text = format!("{}.{:03}", factor / FACTOR_ONE, factor % FACTOR_ONE);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

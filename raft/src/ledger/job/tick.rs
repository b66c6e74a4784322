//! Cursors and ticks: each frame of a shard is inside exactly one accepted section (T2).
//!
//! A section names, per shard, the cursor that its author saw (`from`) and the one after it
//! (`to`). It is accepted only if every `from` is the stored cursor, so a section proposed twice,
//! by a master of before, or after a lost answer is refused whole, with the cursors as they are.
//! The payload is never looked at.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Assignment, AssignmentState, CursorMove, Job, JobStatus, Tick, TickSection};
use crate::ledger::outcome::{Outcome, Rejection, TickOutcome};
use crate::ledger::{At, Ledger, limits};
use crate::types::JobId;

/// Frames are taken while a job runs and while its last ones are collected.
const TAKES_FRAMES: [JobStatus; 2] = [JobStatus::Running, JobStatus::Finalizing];

impl Ledger {
    pub(super) fn ticks(
        &mut self,
        at: At<'_>,
        sections: &[TickSection],
    ) -> Result<Outcome, Rejection> {
        limits::count("sections", sections.len(), limits::SECTIONS_MAX)?;
        let outcomes = sections.iter().map(|section| self.section(at, section)).collect();
        Ok(Outcome::Ticks(outcomes))
    }

    fn section(&mut self, at: At<'_>, section: &TickSection) -> TickOutcome {
        let Ok(job) = self.require_job(&section.job) else {
            return TickOutcome::Refused { cursors: Vec::new() };
        };
        if !job.takes(section) {
            return TickOutcome::Refused { cursors: job.cursors() };
        }
        let (job_number, number) = (job.number, job.last_tick + 1);
        let tick = Tick {
            number,
            cursors: section.cursors.clone(),
            payload: section.payload.clone(),
            committed_at: at.at,
        };
        self.jobs.change(job_number, |job| {
            for step in &section.cursors {
                if let Some(assignment) = job.find_mut(step.shard, step.epoch) {
                    assignment.cursor = step.to;
                }
            }
            for reserved in &section.reserved {
                if let Some(assignment) = job.find_mut(reserved.shard, reserved.epoch) {
                    assignment.reserved.clone_from(&reserved.numbers);
                    assignment.stages.clone_from(&reserved.stages);
                }
            }
            job.last_tick = number;
            job.ticks.push(Arc::new(tick));
        });
        TickOutcome::Accepted { number }
    }

    pub(super) fn shard_done(
        &mut self,
        at: At<'_>,
        id: &JobId,
        (shard, epoch): (u32, u64),
        (final_seq, completed): (u64, bool),
    ) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &TAKES_FRAMES)?;
        let assignment = job.require_assignment(shard, epoch)?;
        let done = AssignmentState::Done { final_seq, completed };
        if assignment.state == done {
            return Ok(Outcome::Done);
        }
        if assignment.is_over() {
            let text = format!("shard {shard} of {id} in epoch {epoch} is over already");
            return Err(Rejection::Conflict(text));
        }
        if assignment.cursor != final_seq {
            return Err(Rejection::Conflict(format!(
                "shard {shard} of {id} said {final_seq} frames, {} are committed",
                assignment.cursor
            )));
        }
        self.end_shard(at, job.number, (shard, epoch), done);
        Ok(Outcome::Done)
    }

    pub(super) fn shard_lost(
        &mut self,
        at: At<'_>,
        id: &JobId,
        (shard, epoch): (u32, u64),
        reason: &str,
    ) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &TAKES_FRAMES)?;
        limits::text("the reason", reason, limits::REASON_BYTES_MAX)?;
        match &job.require_assignment(shard, epoch)?.state {
            AssignmentState::Lost { .. } => return Ok(Outcome::Done),
            AssignmentState::Done { .. } => {
                let text = format!("shard {shard} of {id} in epoch {epoch} is done already");
                return Err(Rejection::Conflict(text));
            }
            AssignmentState::Active => {}
        }
        let lost = AssignmentState::Lost { reason: reason.to_owned() };
        self.end_shard(at, job.number, (shard, epoch), lost);
        Ok(Outcome::Done)
    }

    fn end_shard(
        &mut self,
        at: At<'_>,
        number: u64,
        (shard, epoch): (u32, u64),
        state: AssignmentState,
    ) {
        self.jobs.change(number, |job| {
            let Some(assignment) = job.find_mut(shard, epoch) else { return };
            let cursor = assignment.cursor;
            let what = match &state {
                AssignmentState::Lost { reason } => {
                    format!("shard {shard} lost after frame {cursor}: {reason}")
                }
                _ => format!("shard {shard} done after frame {cursor}"),
            };
            assignment.state = state;
            job.record(at, what);
        });
    }
}

impl Job {
    fn find(&self, shard: u32, epoch: u64) -> Option<&Assignment> {
        self.assignments.iter().find(|a| a.shard == shard && a.epoch == epoch)
    }

    pub(super) fn find_mut(&mut self, shard: u32, epoch: u64) -> Option<&mut Assignment> {
        self.assignments.iter_mut().find(|a| a.shard == shard && a.epoch == epoch)
    }

    pub(super) fn require_assignment(
        &self,
        shard: u32,
        epoch: u64,
    ) -> Result<&Assignment, Rejection> {
        self.find(shard, epoch).ok_or_else(|| Rejection::NotFound {
            what: format!("shard {shard} of {} in epoch {epoch}", self.id),
        })
    }

    /// Whether every step of the section starts at the stored cursor and moves it.
    fn takes(&self, section: &TickSection) -> bool {
        let mut seen = BTreeSet::new();
        // A lost shard's frames are taken as long as the job lasts: its node may come back.
        let follows = |step: &CursorMove| {
            let cursor = self.find(step.shard, step.epoch).filter(|a| a.takes_frames());
            cursor.is_some_and(|a| a.cursor == step.from) && step.to > step.from
        };
        TAKES_FRAMES.contains(&self.status)
            && !section.cursors.is_empty()
            && self.ticks.len() < limits::UNSEALED_TICKS_MAX
            && section.payload.len() <= limits::TICK_BYTES_MAX
            && section.reserved.iter().all(|it| {
                it.numbers.len() <= limits::SEQUENCES_MAX
                    && it.stages.began_us.len() <= limits::STAGES_MAX
            })
            && section.reserved.len() <= section.cursors.len()
            && section
                .cursors
                .iter()
                .all(|step| follows(step) && seen.insert((step.shard, step.epoch)))
    }

    /// The stored cursors of all assignments; `from` and `to` are the same.
    #[must_use]
    pub fn cursors(&self) -> Vec<CursorMove> {
        let cursor = |a: &Assignment| CursorMove {
            shard: a.shard,
            epoch: a.epoch,
            from: a.cursor,
            to: a.cursor,
        };
        self.assignments.iter().map(cursor).collect()
    }
}

impl Assignment {
    /// Done or lost: nothing more is expected of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state != AssignmentState::Active
    }

    /// Its frames are counted: a lost one's as well, should its node come back in time.
    #[must_use]
    pub fn takes_frames(&self) -> bool {
        !matches!(self.state, AssignmentState::Done { .. })
    }
}

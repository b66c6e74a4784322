//! Segments that change hands while a job runs: those of a lost shard, and those that a living one
//! gives away. The taker is a new shard of a new epoch; whoever held the segments before keeps its
//! row, so that what it measured stays its own and nothing is counted twice.

use std::collections::BTreeSet;

use super::apply::assigned;
use super::{Assignment, AssignmentState, Begins, Job, JobStatus, NewAssignment, Stages};
use crate::ledger::outcome::{Outcome, Rejection};
use crate::ledger::{At, Ledger, limits};
use crate::types::{JobId, PeerName};

impl Ledger {
    pub(super) fn reassign(
        &mut self,
        at: At<'_>,
        id: &JobId,
        assignments: &[NewAssignment],
    ) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &[JobStatus::Running])?;
        job.refuse_if_aborting()?;
        job.check_reassignment(assignments)?;
        let (number, epoch) = (job.number, job.epoch + 1);
        let names: Vec<String> = assignments.iter().map(|new| self.node_name(&new.node)).collect();
        self.jobs.change(number, |job| {
            job.epoch = epoch;
            for (new, name) in assignments.iter().zip(names) {
                let giver = new.takes_over.unwrap_or_default();
                let (count, shard) = (new.segments.len(), new.shard);
                let what = format!(
                    "{count} segments of shard {giver} go to {name} as shard {shard} of epoch {epoch}"
                );
                job.assignments.push(assigned(new, epoch));
                job.record(at, what);
            }
        });
        Ok(Outcome::Epoch(epoch))
    }

    /// As people know it.
    pub(super) fn node_name(&self, peer: &PeerName) -> String {
        self.member_of_peer(peer).map_or_else(|| peer.to_string(), |member| member.name.clone())
    }

    pub(super) fn begin(
        &mut self,
        at: At<'_>,
        id: &JobId,
        (shard, epoch): (u32, u64),
        begins: &Begins,
    ) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &[JobStatus::Running])?;
        job.refuse_if_aborting()?;
        limits::count("feeders and counters", begins.records.len(), limits::SEQUENCES_MAX)?;
        limits::count("populations", begins.stages.began_us.len(), limits::STAGES_MAX)?;
        let taker = job.require_assignment(shard, epoch)?;
        match &taker.begins {
            Some(known) if known == begins => return Ok(Outcome::Done),
            Some(known) => {
                let text = format!("shard {shard} of {id} begins at {} µs already", known.at_us);
                return Err(Rejection::Conflict(text));
            }
            None => {}
        }
        if !job.may_begin(taker) {
            let text = format!("shard {shard} of {id} is not one that is about to take over");
            return Err(Rejection::Conflict(text));
        }
        let (number, giver) = (job.number, taker.takes_over.unwrap_or_default());
        let instead: Vec<u32> = job.instead_of(taker).map(|other| other.shard).collect();
        let segments = job.left_for(taker);
        self.jobs.change(number, |job| {
            for other in instead {
                let reason =
                    format!("shard {giver} had given its segments to shard {shard} before");
                job.record(at, format!("shard {other} lost after frame 0: {reason}"));
                let other = job.assignments.iter_mut().find(|a| a.shard == other);
                other
                    .into_iter()
                    .for_each(|a| a.state = AssignmentState::Lost { reason: reason.clone() });
            }
            if let Some(taker) = job.find_mut(shard, epoch) {
                (taker.begins, taker.segments) = (Some(begins.clone()), segments);
            }
            let (seconds, millis) = (begins.at_us / 1_000_000, begins.at_us / 1_000 % 1_000);
            let what = format!(
                "shard {shard} takes over from shard {giver} at {seconds}.{millis:03} s of the run"
            );
            job.record(at, what);
        });
        Ok(Outcome::Done)
    }
}

impl Job {
    fn check_reassignment(&self, all: &[NewAssignment]) -> Result<(), Rejection> {
        let invalid = |text: String| Err(Rejection::Invalid(text));
        if all.is_empty() {
            return invalid("no assignments".to_owned());
        }
        limits::count("shards", self.assignments.len() + all.len(), limits::SHARDS_MAX)?;
        let mut shards: BTreeSet<u32> = self.assignments.iter().map(|a| a.shard).collect();
        let mut taken: BTreeSet<(u32, u32)> = BTreeSet::new();
        for new in all {
            limits::text("the node's peer id", &new.node.0, limits::NAME_BYTES_MAX)?;
            if !shards.insert(new.shard) {
                return invalid(format!("shard {} is there already", new.shard));
            }
            let Some(giver) = new.takes_over.and_then(|shard| self.shard(shard)) else {
                return invalid(format!("shard {} takes over from no shard of the job", new.shard));
            };
            if new.segments.is_empty() {
                return invalid(format!("shard {} has no segments", new.shard));
            }
            let free: BTreeSet<u32> = self.transferable(giver).into_iter().collect();
            for segment in &new.segments {
                if !free.contains(segment) || !taken.insert((giver.shard, *segment)) {
                    return Err(Rejection::Conflict(format!(
                        "segment {segment} is not shard {}'s to give to shard {}",
                        giver.shard, new.shard
                    )));
                }
            }
        }
        Ok(())
    }

    /// A shard of this job; their numbers are never given twice while it runs.
    #[must_use]
    pub fn shard(&self, shard: u32) -> Option<&Assignment> {
        self.assignments.iter().find(|a| a.shard == shard)
    }

    /// The number for the next shard.
    #[must_use]
    pub fn next_shard(&self) -> u32 {
        self.assignments.iter().map(|a| a.shard + 1).max().unwrap_or(0)
    }

    /// Those to whom a shard's segments went, or are to go.
    pub fn takers<'a>(&'a self, giver: &Assignment) -> impl Iterator<Item = &'a Assignment> {
        let giver = giver.shard;
        self.assignments.iter().filter(move |a| a.takes_over == Some(giver) && !a.is_void())
    }

    /// Whether this shard is about to take over. Of one that was lost before it began, the giver's
    /// word still counts: from the moment that it has named on, it does not have the segments any
    /// more, and whoever takes them takes them from the lost one. That others were to have them
    /// meanwhile does not change it, as long as none of them has begun.
    #[must_use]
    pub fn may_begin(&self, taker: &Assignment) -> bool {
        let Some(giver) = taker.takes_over.and_then(|shard| self.shard(shard)) else {
            return false;
        };
        if taker.is_void() {
            return !giver.is_over() && !self.left_for(taker).is_empty();
        }
        !taker.is_over()
    }

    /// Of the segments of a shard that has not begun: those that no other one has begun with.
    fn left_for(&self, taker: &Assignment) -> Vec<u32> {
        let giver = taker.takes_over.and_then(|shard| self.shard(shard));
        let others = giver.into_iter().flat_map(|giver| self.takers(giver));
        let taken: BTreeSet<u32> = others
            .filter(|other| other.shard != taker.shard && other.has_begun())
            .flat_map(|other| other.segments.iter().copied())
            .collect();
        taker.segments.iter().copied().filter(|segment| !taken.contains(segment)).collect()
    }

    /// Shards that were to have what the giver of a lost one has given to that one: they come too
    /// late, and their segments are to be taken from the lost one.
    fn instead_of<'a>(&'a self, taker: &'a Assignment) -> impl Iterator<Item = &'a Assignment> {
        let giver = taker.takes_over.and_then(|shard| self.shard(shard));
        let others = giver.into_iter().flat_map(|giver| self.takers(giver));
        others.filter(|other| {
            other.shard != taker.shard
                && !other.has_begun()
                && other.segments.iter().any(|segment| taker.segments.contains(segment))
        })
    }

    /// What another shard may take from this one.
    #[must_use]
    pub fn transferable(&self, giver: &Assignment) -> Vec<u32> {
        if matches!(giver.state, AssignmentState::Done { .. }) || giver.is_void() {
            return Vec::new();
        }
        let gone: BTreeSet<u32> =
            self.takers(giver).flat_map(|a| a.segments.iter().copied()).collect();
        giver.segments.iter().copied().filter(|segment| !gone.contains(segment)).collect()
    }

    /// Segments of a lost shard that nobody has taken over.
    #[must_use]
    pub fn vacant(&self, assignment: &Assignment) -> Vec<u32> {
        match assignment.state {
            AssignmentState::Lost { .. } => self.transferable(assignment),
            _ => Vec::new(),
        }
    }

    /// The shard of the start from which these segments came, over however many hands.
    #[must_use]
    pub fn origin(&self, assignment: &Assignment) -> u32 {
        let mut shard = assignment.shard;
        let mut giver = assignment.takes_over;
        while let Some(next) = giver {
            shard = next;
            giver = self.shard(next).and_then(|a| a.takes_over).filter(|further| *further < next);
        }
        shard
    }

    /// Where a shard would begin at `at_us` that takes over from a lost one: not before that one
    /// was to have the segments (until then whoever gave them to it starts their users), and behind
    /// all that those who held its segments are known to have reserved. Each of them that had begun
    /// and has said nothing yet may have used what a shard reserves before its first frame.
    #[must_use]
    pub fn begins(&self, taker: &Assignment, at_us: u64) -> Begins {
        let origin = self.origin(taker);
        let held = |a: &&Assignment| {
            a.epoch < taker.epoch
                && (a.takes_over.is_none() || a.begins.is_some())
                && self.origin(a) == origin
                && a.segments.iter().any(|segment| taker.segments.contains(segment))
        };
        let giver = taker.takes_over.and_then(|shard| self.shard(shard));
        let since = giver.and_then(|giver| giver.begins.as_ref());
        let at_us = since.map_or(at_us, |since| since.at_us.max(at_us));
        let stages = giver.map(Assignment::stages).unwrap_or_default();
        let mut begins = Begins { at_us, stages, ..Begins::default() };
        for holder in self.assignments.iter().filter(held) {
            let mut known = &holder.reserved;
            if known.is_empty() {
                begins.unseen += 1 + holder.begins.as_ref().map_or(0, |it| it.unseen);
                let Some(own) = &holder.begins else { continue };
                known = &own.records;
            }
            if begins.records.len() < known.len() {
                begins.records.resize(known.len(), 0);
            }
            for (record, reserved) in begins.records.iter_mut().zip(known) {
                *record = (*record).max(*reserved);
            }
        }
        begins
    }
}

impl Assignment {
    /// By its last frame, or as it was to find them.
    fn stages(&self) -> Stages {
        if self.stages.began_us.is_empty() {
            return self.begins.as_ref().map(|begins| begins.stages.clone()).unwrap_or_default();
        }
        self.stages.clone()
    }

    /// It was to take segments over and was lost before it began: they are still its giver's, and
    /// another may take them.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.takes_over.is_some()
            && self.begins.is_none()
            && matches!(self.state, AssignmentState::Lost { .. })
    }

    /// It generates load, or may: of those that take over, only what has begun does.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.takes_over.is_none() || self.begins.is_some()
    }
}

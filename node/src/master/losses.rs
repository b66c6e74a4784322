//! What a job's losses come to: users, arrivals, records and seconds, by lost shard, and the share
//! of the planned load that is in the figures. Pure: a function of the ledger's row and of what the
//! ticks add up to, so it is exact as soon as all frames are in.

use onrush_raft::ledger::job::{Assignment, AssignmentState, Job, JobStatus};
use onrush_raft::types::PeerName;
use onrush_scenario::inject::division::Segments;
use onrush_scenario::shard::Plan;
use onrush_scenario::stats::aggregate::{Aggregate, Arrivals};
use onrush_scenario::stats::summary::LostPart;

use super::place;

/// A job with what is measured of it.
pub struct Losses<'a> {
    pub job: &'a Job,
    pub plan: Option<&'a Plan>,
    pub aggregate: &'a Aggregate,
}

impl Losses<'_> {
    /// One for each shard that was lost after it began.
    pub fn parts(&self, name: impl Fn(&PeerName) -> String) -> Vec<LostPart> {
        lost(self.job).map(|(assignment, reason)| self.part(assignment, reason, &name)).collect()
    }

    fn part(
        &self,
        lost: &Assignment,
        reason: &str,
        name: &impl Fn(&PeerName) -> String,
    ) -> LostPart {
        let seen = self.aggregate.shard_totals(lost.shard, lost.epoch).unwrap_or_default();
        let made_up = self.job.vacant(lost).is_empty() || self.was_over(lost);
        let (first, last) = self.silence(lost);
        LostPart {
            shard: lost.shard,
            node: name(&lost.node),
            reason: reason.to_owned(),
            users_in_flight: seen.users_started.saturating_sub(seen.users_ended),
            arrivals_missed: self.missed(lost),
            records_skipped: self.skipped(lost),
            seconds: u64::from(last.saturating_sub(first)),
            disturbed: Some((first, last.max(first))),
            made_up,
        }
    }

    fn arrivals(&self, of: &Assignment) -> Option<Arrivals> {
        self.aggregate.arrivals(of.shard, of.epoch)
    }

    /// Users that its segments start in the whole of the open profiles.
    fn share(&self, of: &Assignment) -> u64 {
        if let Some(arrivals) = self.arrivals(of) {
            return arrivals.share;
        }
        self.share_of(&of.segments)
    }

    fn share_of(&self, segments: &[u32]) -> u64 {
        let total = place::segments_total(self.job);
        let Ok(segments) = Segments::new(total, segments) else { return 0 };
        let planned = self.plan.iter().flat_map(|plan| &plan.scenarios);
        planned.filter_map(|(_, users)| *users).map(|users| segments.closed_share(users)).sum()
    }

    /// Planned for it until others took over, less what it started: in the open model.
    fn missed(&self, lost: &Assignment) -> u64 {
        let own = self.arrivals(lost).unwrap_or_default();
        let taken = self.job.takers(lost).filter(|taker| taker.has_begun());
        // What its takers found planned before them was its own to start; of what nobody took, all.
        let (before, theirs) = taken.fold((0, 0), |(before, theirs), taker| {
            let arrivals = self.arrivals(taker);
            let known = arrivals.map_or(0, |it| it.before);
            (before + known, theirs + arrivals.map_or(0, |it| it.share))
        });
        let rest = self.share(lost).saturating_sub(theirs);
        (before + rest).saturating_sub(own.before).saturating_sub(own.started)
    }

    /// Between the last number it is known to have reached and the first of its takers.
    fn skipped(&self, lost: &Assignment) -> u64 {
        let total = place::segments_total(self.job);
        let taken = self.job.takers(lost).filter_map(|taker| Some((taker, taker.begins.as_ref()?)));
        let mut skipped = 0;
        for (taker, begins) in taken {
            let Ok(segments) = Segments::new(total, &taker.segments) else { continue };
            let reached = self.aggregate.positions(lost.shard, lost.epoch);
            for (from, to) in reached.iter().zip(&begins.records) {
                skipped += segments.closed_share(*to).saturating_sub(segments.closed_share(*from));
            }
        }
        skipped
    }

    /// From its first second without figures to the one in which the last of its takers began.
    fn silence(&self, lost: &Assignment) -> (u32, u32) {
        let second = |at_us: u64| u32::try_from(at_us / 1_000_000).unwrap_or(u32::MAX);
        let begun = lost.begins.as_ref().map_or(0, |begins| second(begins.at_us));
        let from = self.arrivals(lost).map_or(begun, |it| it.last_second + 1);
        let end = self.aggregate.last_second().map_or(0, |last| last + 1);
        let taken = self.job.takers(lost).filter_map(|taker| taker.begins.as_ref());
        let to = taken.map(|begins| second(begins.at_us)).max();
        match to {
            Some(to) if self.job.vacant(lost).is_empty() => (from, to.max(from)),
            _ => (from, end.max(from)),
        }
    }

    /// Nothing of the profiles was to come when it was lost, as far as its frames go.
    fn was_over(&self, lost: &Assignment) -> bool {
        let Some(plan) = self.plan else { return false };
        if plan.staged {
            return false;
        }
        let until = self.arrivals(lost).map_or(0, |it| u64::from(it.last_second) + 1);
        until.saturating_mul(1_000_000) >= plan.injection_us
    }

    /// Share of the planned load that is in the figures: 1 when nothing was lost.
    #[expect(clippy::cast_precision_loss, reason = "a share of counts below 2^53")]
    pub fn coverage(&self, status: JobStatus) -> f64 {
        let whole = || self.job.assignments.iter().filter(|a| a.takes_over.is_none());
        let open = self.plan.is_some_and(|plan| {
            !plan.scenarios.is_empty() && plan.scenarios.iter().all(|(_, users)| users.is_some())
        });
        let cut_short = status.is_terminal() && status != JobStatus::Finished;
        let planned: u64 = whole().map(|a| self.share(a)).sum();
        if open && planned > 0 {
            let missing = if cut_short {
                let started = self.aggregate.totals().users_started;
                planned.saturating_sub(started) + self.in_flight()
            } else {
                let missed: u64 = lost(self.job).map(|(a, _)| self.missed(a)).sum();
                missed + self.in_flight()
            };
            return 1.0 - missing.min(planned) as f64 / planned as f64;
        }
        let plan_s = self.plan.map_or(0, |plan| plan.injection_us.div_ceil(1_000_000));
        let run_s = self.aggregate.last_second().map_or(0, |last| u64::from(last) + 1);
        let seconds = if cut_short { plan_s } else { run_s }.max(1) as f64;
        let segments: usize = whole().map(|a| a.segments.len()).sum();
        let silent = |a: &Assignment| {
            let (from, to) = self.silence(a);
            f64::from(to.saturating_sub(from)) * a.segments.len() as f64
        };
        let missing: f64 = lost(self.job).map(|(a, _)| silent(a)).sum();
        let late = if cut_short { (seconds - run_s as f64).max(0.0) } else { 0.0 };
        let all = seconds * segments.max(1) as f64;
        (1.0 - missing / all - late / seconds).clamp(0.0, 1.0)
    }

    fn in_flight(&self) -> u64 {
        let users = |a: &Assignment| {
            let seen = self.aggregate.shard_totals(a.shard, a.epoch).unwrap_or_default();
            seen.users_started.saturating_sub(seen.users_ended)
        };
        lost(self.job).map(|(a, _)| users(a)).sum()
    }
}

/// Shards that were lost after they began, and why.
pub fn lost(job: &Job) -> impl Iterator<Item = (&Assignment, &str)> {
    job.assignments.iter().filter_map(|a| match &a.state {
        AssignmentState::Lost { reason } if a.has_begun() => Some((a, reason.as_str())),
        _ => None,
    })
}

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
    /// One for each shard that was lost after it began, for each that gave segments to others which
    /// began late, and for each that began late itself.
    pub fn parts(&self, name: impl Fn(&PeerName) -> String) -> Vec<LostPart> {
        let all = || self.job.assignments.iter();
        let lost = lost(self.job).map(|(lost, reason)| self.part(lost, reason, &name));
        let given = all().filter(|giver| self.between(giver) > 0);
        let tardy = all().filter(|shard| self.untold(shard) > 0);
        lost.chain(given.map(|giver| self.late(giver, &name)))
            .chain(tardy.map(|shard| self.tardy(shard, &name)))
            .collect()
    }

    /// Arrivals that were planned before the order to start reached a shard. Those of a lost one are
    /// among what it missed in all.
    fn untold(&self, shard: &Assignment) -> u64 {
        if matches!(shard.state, AssignmentState::Lost { .. }) {
            return 0;
        }
        let dropped = self.arrivals(shard).map_or(0, |it| it.dropped);
        if dropped == 0 { 0 } else { dropped.min(self.missed(shard)) }
    }

    fn tardy(&self, shard: &Assignment, name: &impl Fn(&PeerName) -> String) -> LostPart {
        let from = shard.begins.as_ref().map_or(0, |begins| second(begins.at_us));
        let to = self.arrivals(shard).map_or(from, |it| it.first_second.max(from));
        let reason = "the order to start reached it late";
        missing(shard, name, reason, self.untold(shard), (from, to))
    }

    /// What was planned after a shard gave its segments away, and before its takers began.
    fn late(&self, giver: &Assignment, name: &impl Fn(&PeerName) -> String) -> LostPart {
        let begun = |taker: &Assignment| {
            let began = self.arrivals(taker)?.first_second;
            Some((second(taker.begins.as_ref()?.at_us), began))
        };
        let all: Vec<(u32, u32)> = self.job.takers(giver).filter_map(begun).collect();
        let first = all.iter().map(|(from, _)| *from).min().unwrap_or(0);
        let last = all.iter().map(|(_, to)| *to).max().unwrap_or(0).max(first);
        let reason = "who took its segments over began late";
        missing(giver, name, reason, self.between(giver), (first, last))
    }

    /// Arrivals that were neither those of a shard that did all that it had, nor of who took its
    /// segments over from it. None of a run that ended before its profiles did.
    fn between(&self, giver: &Assignment) -> u64 {
        let took = self.job.takers(giver).any(Assignment::has_begun);
        let Some(own) = self.arrivals(giver).filter(|_| took) else { return 0 };
        let given: usize = self.job.takers(giver).map(|taker| taker.segments.len()).sum();
        let AssignmentState::Done { completed, .. } = giver.state else { return 0 };
        if !completed && given != giver.segments.len() && !self.was_over(giver) {
            return 0;
        }
        self.missed(giver).saturating_sub(own.dropped)
    }

    fn part(
        &self,
        lost: &Assignment,
        reason: &str,
        name: &impl Fn(&PeerName) -> String,
    ) -> LostPart {
        let seen = self.aggregate.shard_totals(lost.shard, lost.epoch).unwrap_or_default();
        let made_up =
            self.job.vacant(lost).is_empty() || self.was_over(lost) || self.is_whole(lost);
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

    /// Scenarios of the open model, with the users that the profile says.
    fn open(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self.plan.iter().flat_map(|plan| &plan.scenarios);
        all.filter_map(|(name, users)| Some((name.as_str(), (*users)?)))
    }

    /// Users that its segments start in the whole of the open profiles, under the load as it is
    /// known.
    fn share(&self, of: &Assignment) -> u64 {
        self.open().map(|(scenario, written)| self.share_in(of, scenario, written)).sum()
    }

    fn share_in(&self, of: &Assignment, scenario: &str, written: u64) -> u64 {
        let known = self.aggregate.planned(scenario).unwrap_or(written);
        if !self.is_known_to_each_alone() {
            return self.of_segments(&of.segments, scenario, known);
        }
        // Who has the segments now knows more of when it began.
        let (mut left, mut taken) = (of.segments.clone(), 0);
        for taker in self.job.takers(of).filter(|taker| taker.has_begun()) {
            left.retain(|segment| !taker.segments.contains(segment));
            taken += self.share_in(taker, scenario, written);
        }
        // It may have been lost before it heard of a change that others followed.
        let changes = self.job.decided_loads().count();
        let said = self.aggregate.planned_by(of.shard, of.epoch, scenario);
        let own = said.filter(|(_, heard)| *heard >= changes).map_or(known, |(users, _)| users);
        taken + self.of_segments(&left, scenario, own)
    }

    /// What a change of the load makes of a population that follows on others depends on when it
    /// began, which it does on each shard by itself.
    fn is_known_to_each_alone(&self) -> bool {
        !self.job.loads.is_empty() && self.plan.is_some_and(|plan| plan.stages > 0)
    }

    fn of_segments(&self, segments: &[u32], scenario: &str, users: u64) -> u64 {
        let Ok(segments) = Segments::new(place::segments_total(self.job), segments) else {
            return 0;
        };
        if !self.plan.is_some_and(|it| it.undivided.iter().any(|it| it == scenario)) {
            return segments.closed_share(users);
        }
        if segments.owns(0) { users } else { 0 }
    }

    /// Users that the whole job was to start in a scenario, where no shard alone knows it.
    pub fn planned_in(&self, scenario: &str) -> Option<u64> {
        let (_, written) = self.open().find(|(name, _)| *name == scenario)?;
        let whole = self.job.assignments.iter().filter(|a| a.takes_over.is_none());
        self.is_known_to_each_alone()
            .then(|| whole.map(|a| self.share_in(a, scenario, written)).sum())
    }

    /// Planned for it until others took over, less what it started: in the open model.
    fn missed(&self, of: &Assignment) -> u64 {
        let started = self.arrivals(of).unwrap_or_default().started;
        self.until_taken(of).saturating_sub(self.before(of)).saturating_sub(started)
    }

    /// Of the arrivals of its segments: those planned before its takers began, which were its own
    /// to start, and of what nobody took, all.
    fn until_taken(&self, of: &Assignment) -> u64 {
        let taken = self.job.takers(of).filter(|taker| taker.has_begun());
        let (before, theirs) = taken.fold((0, 0), |(before, theirs), taker| {
            (before + self.before(taker), theirs + self.share(taker))
        });
        before + self.share(of).saturating_sub(theirs)
    }

    /// Of the arrivals of its segments: those planned before it began.
    fn before(&self, of: &Assignment) -> u64 {
        let Some(giver) = of.takes_over.and_then(|shard| self.job.shard(shard)) else { return 0 };
        if let Some(arrivals) = self.arrivals(of) {
            return arrivals.before;
        }
        // It has said nothing, so it has started nothing: until others took over from it, what was
        // planned counts as its giver's, if that was lost. One that was not has started its own.
        let all = self.until_taken(of);
        if matches!(giver.state, AssignmentState::Lost { .. }) {
            return all;
        }
        let own = self.arrivals(giver).unwrap_or_default();
        let (mut started, mut silent) = (own.before + own.started + own.dropped, Vec::new());
        for taker in self.job.takers(giver).filter(|taker| taker.has_begun()) {
            started += self.share(taker);
            match self.arrivals(taker) {
                Some(arrivals) => started = started.saturating_sub(arrivals.before),
                None => silent.push(taker),
            }
        }
        // All of them together have so many before them: the first ones as many as they can.
        let mut rest = started.saturating_sub(self.share(giver));
        for other in silent.iter().take_while(|other| other.shard != of.shard) {
            rest = rest.saturating_sub(self.until_taken(other));
        }
        all.min(rest)
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

    /// Nothing of the profiles was to come when it was lost, as far as its frames go; or when it was
    /// to begin.
    fn was_over(&self, lost: &Assignment) -> bool {
        let Some(plan) = self.plan else { return false };
        if plan.stages > 0 {
            return false;
        }
        let begun = lost.begins.as_ref().map_or(0, |begins| begins.at_us);
        let until = self.arrivals(lost).map_or(0, |it| u64::from(it.last_second) + 1);
        until.saturating_mul(1_000_000).max(begun) >= plan.injection_us
    }

    /// It had done all that was its own, and only the word of it came late: every one of its frames
    /// is here, and none of its users is missing. How many users of the closed model there were to
    /// come, no count tells.
    fn is_whole(&self, lost: &Assignment) -> bool {
        let open = self.plan.is_some_and(|plan| {
            !plan.scenarios.is_empty() && plan.scenarios.iter().all(|(_, users)| users.is_some())
        });
        let users = self.aggregate.shard_totals(lost.shard, lost.epoch);
        let ended = users.is_some_and(|seen| seen.users_started == seen.users_ended);
        open && ended
            && self.aggregate.has_said_all(lost.shard, lost.epoch)
            && self.missed(lost) == 0
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
                let late = |a: &Assignment| self.between(a) + self.untold(a);
                let late: u64 = self.job.assignments.iter().map(late).sum();
                missed + late + self.in_flight()
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

/// Of a shard that was not lost: arrivals that nobody started between two seconds.
fn missing(
    shard: &Assignment,
    name: &impl Fn(&PeerName) -> String,
    reason: &str,
    arrivals_missed: u64,
    (from, to): (u32, u32),
) -> LostPart {
    LostPart {
        shard: shard.shard,
        node: name(&shard.node),
        reason: reason.to_owned(),
        users_in_flight: 0,
        arrivals_missed,
        records_skipped: 0,
        seconds: u64::from(to - from),
        disturbed: Some((from, to)),
        made_up: true,
    }
}

fn second(at_us: u64) -> u32 {
    u32::try_from(at_us / 1_000_000).unwrap_or(u32::MAX)
}

/// Shards that were lost after they began, and why.
pub fn lost(job: &Job) -> impl Iterator<Item = (&Assignment, &str)> {
    job.assignments.iter().filter_map(|a| match &a.state {
        AssignmentState::Lost { reason } if a.has_begun() => Some((a, reason.as_str())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use onrush_raft::ledger::job::{Begins, LoadChange};
    use onrush_scenario::stats::frame::{
        FRAME_VERSION, Frame, PlanRevision, ScenarioDelta, Totals,
    };

    use super::super::fixture::{assigned, job};
    use super::*;

    /// Ten arrivals in ten seconds, all of them of one share that goes from hand to hand.
    fn handed_on(states: &[AssignmentState]) -> (Job, Plan) {
        let mut job = job(1, JobStatus::Running);
        job.assignments = assigned(&vec!["a"; states.len()]);
        for (a, state) in job.assignments.iter_mut().zip(states) {
            a.segments = (0..10).collect();
            a.state = state.clone();
            a.takes_over = a.shard.checked_sub(1);
            a.begins = a.takes_over.map(|_| Begins { at_us: 4_000_000, ..Begins::default() });
        }
        let plan = Plan {
            plan_hash: "h".into(),
            simulation: "s".into(),
            scenarios: vec![("s".into(), Some(10))],
            undivided: vec![],
            injection_us: 10_000_000,
            stages: 0,
            max_duration_us: None,
            assertions: serde_json::Value::Null,
        };
        (job, plan)
    }

    fn frame(shard: u32, second: u32, before: u64, started: u64) -> Frame {
        let users = ScenarioDelta {
            name: "s".into(),
            started,
            ended: started,
            planned: Some(10),
            before,
            ..ScenarioDelta::default()
        };
        let (version, scenarios) = (FRAME_VERSION, vec![users]);
        Frame { version, shard, epoch: 1, seq: 1, second, scenarios, ..Frame::default() }
    }

    /// The first of two was lost before it heard that the load was doubled in the middle: ten planned
    /// arrivals became fifteen, and it misses its share of these.
    #[test]
    fn who_was_lost_before_a_change_misses_what_the_change_made_of_its_share() {
        let (mut job, plan) = handed_on(&[lost(), done()]);
        let change = |factor, at_us| LoadChange {
            factor,
            paused: false,
            asked_at: 0,
            asked_by: "a".into(),
            at_us: Some(at_us),
        };
        job.loads = vec![change(2_000, 5_000_000)];
        let segments = place::segments_total(&job);
        for (a, half) in job.assignments.iter_mut().zip([0_u32, 1]) {
            a.segments = (0..segments).filter(|it| it % 2 == half).collect();
            (a.takes_over, a.begins) = (None, None);
        }
        let of = |mut frame: Frame, loads, planned| {
            let users = &mut frame.scenarios[0];
            (users.revision, users.planned) = (PlanRevision { loads, begun: 0 }, Some(planned));
            frame
        };
        let frames = [of(frame(0, 3, 0, 2), 0, 10), of(frame(1, 9, 0, 7), 1, 15)];
        // Shares of fifteen are 8 and 7.
        assert_eq!(missed(&job, &plan, &frames), [(0, 6)]);
        let mut aggregate = Aggregate::new();
        aggregate.apply_frames(frames.iter().cloned());
        let losses = Losses { job: &job, plan: Some(&plan), aggregate: &aggregate };
        assert!((losses.coverage(JobStatus::Finished) - 9.0 / 15.0).abs() < 1e-9);
        // Nobody lost: all of the new plan is there.
        job.assignments[0].state = done();
        let losses = Losses { job: &job, plan: Some(&plan), aggregate: &aggregate };
        assert!((losses.coverage(JobStatus::Finished) - 1.0).abs() < 1e-9);
    }

    /// A population that follows on another, which began one second later on the second shard: of the
    /// same change each makes something else. The first was lost after it, and the third has gone on.
    #[test]
    fn what_a_change_makes_of_a_population_that_follows_is_counted_for_each_shard() {
        let (mut job, plan) = handed_on(&[lost(), done(), done()]);
        let plan = Plan { stages: 1, ..plan };
        job.loads = vec![LoadChange {
            factor: 2_000,
            paused: false,
            asked_at: 0,
            asked_by: "a".into(),
            at_us: Some(5_000_000),
        }];
        let (even, odd): (Vec<u32>, _) =
            (0..place::segments_total(&job)).partition(|it| it % 2 == 0);
        for (a, (segments, taken)) in
            job.assignments.iter_mut().zip([(&even, None), (&odd, None), (&even, Some(0))])
        {
            a.segments.clone_from(segments);
            a.takes_over = taken;
            a.begins = taken.map(|_| Begins { at_us: 6_000_000, ..Begins::default() });
        }
        // Sixteen arrivals where it began at four seconds, fifteen where it began at five.
        let of = |mut frame: Frame, loads, begun, planned| {
            let users = &mut frame.scenarios[0];
            (users.revision, users.planned) = (PlanRevision { loads, begun }, Some(planned));
            frame
        };
        let frames = [
            of(frame(0, 4, 0, 1), 0, 1, 10),
            of(frame(1, 9, 0, 7), 1, 1, 15),
            of(frame(2, 9, 3, 5), 1, 1, 16),
        ];
        // Half of sixteen is eight: one was started, three were planned until six seconds.
        assert_eq!(missed(&job, &plan, &frames), [(0, 2)]);
        let mut aggregate = Aggregate::new();
        aggregate.apply_frames(frames);
        let losses = Losses { job: &job, plan: Some(&plan), aggregate: &aggregate };
        assert_eq!(losses.planned_in("s"), Some(8 + 7));
        assert!((losses.coverage(JobStatus::Finished) - 13.0 / 15.0).abs() < 1e-9);
    }

    fn missed(job: &Job, plan: &Plan, frames: &[Frame]) -> Vec<(u32, u64)> {
        let mut aggregate = Aggregate::new();
        aggregate.apply_frames(frames.iter().cloned());
        let losses = Losses { job, plan: Some(plan), aggregate: &aggregate };
        let parts = losses.parts(ToString::to_string);
        parts.iter().map(|part| (part.shard, part.arrivals_missed)).collect()
    }

    fn lost() -> AssignmentState {
        AssignmentState::Lost { reason: "gone".into() }
    }

    fn done() -> AssignmentState {
        AssignmentState::Done { final_seq: 1, completed: true }
    }

    /// Once what the giver had not started and what came before the last of them were both missed.
    #[test]
    fn what_a_taker_without_a_frame_missed_is_counted_once() {
        let (job, plan) = handed_on(&[lost(), lost(), done()]);
        let frames = [frame(0, 3, 0, 4), frame(2, 7, 7, 3)];
        assert_eq!(missed(&job, &plan, &frames), [(0, 3), (1, 0)]);
        // The giver lived, and has started what was its own.
        let (job, plan) = handed_on(&[done(), lost(), done()]);
        assert_eq!(missed(&job, &plan, &frames), [(1, 3)]);
    }

    /// Once a shard whose node was silent when its load ended put the verdict in doubt although all
    /// of it was counted.
    #[test]
    fn a_lost_shard_of_which_nothing_is_missing_is_made_up_for() {
        let made_up = |frames: &[Frame], stages: u32| {
            let (job, plan) = handed_on(&[lost()]);
            let mut aggregate = Aggregate::new();
            aggregate.apply_frames(frames.iter().cloned());
            let plan = Plan { stages, ..plan };
            let losses = Losses { job: &job, plan: Some(&plan), aggregate: &aggregate };
            let parts = losses.parts(ToString::to_string);
            assert_eq!(
                losses.coverage(JobStatus::Finished) < 1.0,
                frames[0].scenarios[0].started < 10
            );
            (parts[0].made_up, parts[0].arrivals_missed)
        };
        let last = |started: u64| {
            let totals =
                Totals { users_started: started, users_ended: started, ..Totals::default() };
            Frame { totals: Some(Totals { frames: 1, ..totals }), ..frame(0, 7, 0, started) }
        };
        for stages in [0, 1] {
            assert_eq!(made_up(&[last(10)], stages), (true, 0));
            // Its last word is not here, or not all users are.
            assert_eq!(made_up(&[frame(0, 7, 0, 10)], stages), (false, 0));
            assert_eq!(made_up(&[last(9)], stages), (false, 1));
        }
    }

    /// Once what a shard could not start, because a link was cut when the job began, was in no figure
    /// but the generator's.
    #[test]
    fn what_was_planned_before_a_shard_heard_of_its_start_is_missed() {
        let (job, plan) = handed_on(&[done()]);
        let mut late = frame(0, 3, 0, 7);
        late.generator.dropped = 3;
        assert_eq!(missed(&job, &plan, &[late.clone()]), [(0, 3)]);
        let mut aggregate = Aggregate::new();
        aggregate.apply_frames([late.clone()]);
        let losses = Losses { job: &job, plan: Some(&plan), aggregate: &aggregate };
        let part = &losses.parts(ToString::to_string)[0];
        assert_eq!((part.seconds, part.disturbed, part.made_up), (3, Some((0, 3)), true));
        assert!((losses.coverage(JobStatus::Finished) - 0.7).abs() < 1e-9);
        // Of a lost shard it is a part of what it missed.
        let (job, plan) = handed_on(&[lost()]);
        assert_eq!(missed(&job, &plan, &[late]), [(0, 3)]);
    }

    #[test]
    fn a_taker_that_was_to_begin_after_the_profiles_leaves_nothing() {
        for (at_us, made_up) in [(9_999_999, false), (10_000_000, true)] {
            let (mut job, plan) = handed_on(&[lost(), lost()]);
            job.assignments[1].begins = Some(Begins { at_us, ..Begins::default() });
            let aggregate = Aggregate::new();
            let losses = Losses { job: &job, plan: Some(&plan), aggregate: &aggregate };
            let parts = losses.parts(ToString::to_string);
            assert_eq!(parts[1].made_up, made_up, "{at_us}");
        }
    }

    /// Once nobody said so: the giver was not lost.
    #[test]
    fn what_lies_between_a_giver_that_lives_and_a_late_taker_is_missed() {
        let (job, plan) = handed_on(&[done(), done()]);
        assert_eq!(missed(&job, &plan, &[frame(0, 3, 0, 4), frame(1, 6, 6, 4)]), [(0, 2)]);
        assert_eq!(missed(&job, &plan, &[frame(0, 3, 0, 4), frame(1, 4, 4, 6)]), []);
        // It gave a part of them. Once it was asked where its profiles end, which nobody knows of
        // those that follow on others.
        let (mut job, plan) = handed_on(&[done(), done()]);
        job.assignments[0].segments = (0..20).collect();
        let plan = Plan { stages: 1, ..plan };
        let frames = [frame(0, 3, 0, 4), frame(1, 6, 6, 4)];
        assert_eq!(missed(&job, &plan, &frames), [(0, 2)]);
        // It ended early, by the script's own wish.
        job.assignments[0].state = AssignmentState::Done { final_seq: 1, completed: false };
        assert_eq!(missed(&job, &plan, &frames), []);
    }
}

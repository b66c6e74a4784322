//! When a running job started, by this master's monotonic clock. Pure.
//!
//! The ledger has the start as a date, for people: between its commit and now, or between two
//! masters, wall clocks may have stepped. So the time that counts is, in this order,
//! 1. what this master meant when it committed the start;
//! 2. what the job's shards say, each of which has kept the start on a clock that does not step;
//! 3. where no shard can know it: the date, as far as what is committed does not contradict it.

use std::collections::BTreeMap;

use onrush_raft::ledger::job::{Assignment, AssignmentState, Job};
use onrush_raft::types::{JobId, UnixMs};

use super::reconcile::{START_DELAY_MS, View};

/// A start of this master's own, by job and the date that the ledger has of it, and the moment that
/// was meant by the monotonic clock, microseconds.
pub type OwnStarts = BTreeMap<(JobId, UnixMs), i64>;

/// More than this beyond the committed frames, the date is not believed.
const UNSEEN_MAX_MS: i64 = 60_000;

/// None: not known yet, because a node that may know is about to be heard.
#[must_use]
pub fn of(view: &View<'_>, job: &Job) -> Option<i64> {
    let start_at = job.start_at?;
    if let Some(own) = view.starts.get(&(job.id.clone(), start_at)) {
        return Some(*own);
    }
    let mut told: Vec<i64> = view
        .reports
        .values()
        .flatten()
        .filter(|report| report.key.job == job.id)
        .filter_map(|report| report.start_us)
        .collect();
    if !told.is_empty() {
        // They differ by half a round trip; one that is far off does not decide.
        told.sort_unstable();
        return Some(told[(told.len() - 1) / 2]);
    }
    let awaited = job.assignments.iter().any(|a| {
        let node = view.nodes.get(&a.node);
        a.state == AssignmentState::Active
            && node.is_some_and(|node| !node.candidate.present && !node.is_lost())
    });
    (!awaited).then(|| by_date(view, job, start_at))
}

/// By the date, within what is certain: the job did not start before it could have, and the frames
/// that are committed have been measured.
fn by_date(view: &View<'_>, job: &Job, start_at: UnixMs) -> i64 {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    // A shard that took over counts its frames from where it began.
    let from = |a: &Assignment| a.begins.as_ref().map_or(0, |begins| begins.at_us / 1_000_000);
    let measured = job.assignments.iter().filter(|a| a.cursor > 0);
    let seconds = measured.map(|a| from(a).saturating_add(a.cursor)).max().unwrap_or(0);
    let least = signed(seconds.saturating_mul(1_000)) - signed(START_DELAY_MS);
    let age = signed(view.now).saturating_sub(signed(start_at));
    let believed = age >= least && age <= least.saturating_add(UNSEEN_MAX_MS);
    let age = if believed { age } else { least };
    signed(view.now_us).saturating_sub(age.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{assigned, job};
    use super::super::place::Candidate;
    use super::super::reconcile::{LOST_MS, Node};
    use super::*;
    use crate::control_wire::{Phase, ShardKey, ShardReport};
    use onrush_raft::ledger::job::{Begins, JobStatus};
    use onrush_raft::types::PeerName;
    use onrush_scenario::shard::LoadHeard;

    /// The master's clocks: an hour and a second; some date.
    const NOW_US: u64 = 3_601_000_000;
    const NOW: UnixMs = 1_795_408_360_000;

    struct Scene {
        job: Job,
        starts: OwnStarts,
        nodes: BTreeMap<PeerName, Node>,
        reports: BTreeMap<PeerName, Vec<ShardReport>>,
        now: UnixMs,
    }

    /// A job that started 10 s ago by the date, on nodes a, b and c, all of them heard.
    fn scene() -> Scene {
        let mut job = job(1, JobStatus::Running);
        job.assignments = assigned(&["a", "b", "c"]);
        job.start_at = Some(NOW - 10_000);
        let node = || Node {
            candidate: Candidate { present: true, ..Candidate::default() },
            silent_ms: 0,
            coming_ms: None,
            dead: false,
        };
        let nodes = ["a", "b", "c"].map(|name| (PeerName(name.into()), node())).into();
        Scene { job, starts: OwnStarts::new(), nodes, reports: BTreeMap::new(), now: NOW }
    }

    impl Scene {
        fn says(&mut self, name: &str, shard: u32, start_us: Option<i64>) {
            let key = ShardKey { job: self.job.id.clone(), shard, epoch: 1 };
            let report = ShardReport {
                key,
                phase: Phase::Running,
                newest: 0,
                start_us,
                yields: vec![],
                load: LoadHeard::default(),
                closed: Default::default(),
            };
            self.reports.insert(PeerName(name.into()), vec![report]);
        }

        fn age_ms(&self) -> Option<i64> {
            let view = View {
                now: self.now,
                now_us: NOW_US,
                starts: &self.starts,
                live: &[],
                unsealed: &[],
                nodes: &self.nodes,
                reports: &self.reports,
            };
            of(&view, &self.job).map(|start| (3_601_000_000 - start) / 1_000)
        }
    }

    /// Once a step of the master's clock between commit and order moved the start by as much.
    #[test]
    fn what_this_master_committed_is_what_it_meant() {
        let mut scene = scene();
        scene.starts.insert((scene.job.id.clone(), NOW - 10_000), 3_599_500_000);
        for step in [0, 3_600_000, -3_600_000] {
            scene.now = NOW.saturating_add_signed(step);
            assert_eq!(scene.age_ms(), Some(1_500));
        }
        // Another start of the same job, by another master, is not this one.
        scene.now = NOW;
        scene.job.start_at = Some(NOW - 9_000);
        assert_eq!(scene.age_ms(), Some(9_000));
    }

    #[test]
    fn a_later_master_has_the_start_from_the_shards() {
        let mut scene = scene();
        scene.says("a", 0, Some(3_589_000_000));
        scene.says("b", 1, Some(3_589_000_300));
        scene.says("c", 2, None);
        // An hour behind by its own date.
        scene.now = NOW - 3_600_000;
        assert_eq!(scene.age_ms(), Some(12_000));
        // Started before this machine was.
        scene.says("a", 0, Some(-1_000_000));
        scene.says("b", 1, Some(-1_000_000));
        assert_eq!(scene.age_ms(), Some(3_602_000));
    }

    #[test]
    fn the_date_counts_where_nobody_knows_better_and_nothing_contradicts_it() {
        let mut scene = scene();
        assert_eq!(scene.age_ms(), Some(10_000));
        let stepped = |scene: &mut Scene, by: i64| {
            scene.now = NOW.saturating_add_signed(by);
            scene.age_ms()
        };
        // No frame is committed: the job cannot have run for an hour, and it is not to come.
        assert_eq!(stepped(&mut scene, 3_600_000), Some(-1_500));
        assert_eq!(stepped(&mut scene, -3_600_000), Some(-1_500));
        // Thirty seconds are.
        scene.job.assignments[1].cursor = 30;
        assert_eq!(stepped(&mut scene, -3_600_000), Some(28_500));
        assert_eq!(stepped(&mut scene, 3_600_000), Some(28_500));
        assert_eq!(stepped(&mut scene, 25_000), Some(35_000));
        // Five frames of a shard that took over after 27.4 s are 32 seconds.
        let begins = Begins { at_us: 27_400_000, ..Begins::default() };
        scene.job.assignments[2].cursor = 5;
        scene.job.assignments[2].begins = Some(begins);
        assert_eq!(stepped(&mut scene, -3_600_000), Some(30_500));
    }

    #[test]
    fn a_node_that_may_know_the_start_is_waited_for_until_it_is_lost() {
        let mut scene = scene();
        let set = |scene: &mut Scene, silent_ms| {
            let node = scene.nodes.get_mut(&PeerName("b".into())).unwrap();
            (node.candidate.present, node.silent_ms) = (false, silent_ms);
        };
        set(&mut scene, 3_000);
        assert_eq!(scene.age_ms(), None);
        set(&mut scene, LOST_MS + 1);
        assert_eq!(scene.age_ms(), Some(10_000));
    }
}

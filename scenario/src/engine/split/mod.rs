//! A shard whose users need more sockets than one process may hold runs in several processes: each
//! is a shard of its own with a part of the segments, and what they measure is joined here, second
//! by second, so that the owner sees one shard. How many is decided by pure functions; `crew` runs
//! them.

mod combine;
mod crew;
mod handovers;

pub(super) use crew::run;

use super::load::Loaded;
use super::{arrivals::scenario_seed, health};
use crate::inject::division::Segments;
use crate::inject::{InjectionSpec, closed};
use crate::ir::{Population, Simulation};
use crate::shard::ShardSpec;

/// Descriptors of a process that are not its users': pipes, timers, polls, files, name resolution.
const DESCRIPTORS_SPARED: u64 = 128;
/// More processes than this are not started, whatever the limit.
const PROCESSES_MAX: u64 = 64;

/// Users that may hold a connection at the same time, as far as the profiles tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Peak {
    /// Closed model: that many at once.
    closed: u64,
    /// Open model: that many in all, so no more at once.
    open: u64,
}

/// How many processes the shard takes; 1: this one does.
pub(super) fn processes(spec: &ShardSpec, loaded: &Loaded, segments: &Segments) -> u32 {
    let owned = segments.owned().len() as u64;
    if spec.part.is_some() {
        return 1;
    }
    let wanted = match spec.processes {
        0 => {
            let cores = std::thread::available_parallelism().map_or(1, |it| it.get()) as u64;
            let mut peak = peak(&loaded.simulation, segments);
            if shares(loaded) {
                peak.open = 0;
            }
            needed(peak, health::open_files_max(), cores)
        }
        asked => u64::from(asked),
    };
    u32::try_from(wanted.min(PROCESSES_MAX).min(owned).max(1)).unwrap_or(1)
}

/// Whether its users have something in common that processes would have each for themselves: then
/// one that need not be divided is not.
fn shares(loaded: &Loaded) -> bool {
    let program = &loaded.program;
    program.queues > 0
        || program.round_robins > 0
        || !program.rendez_vous.is_empty()
        || program.scenarios.iter().any(|it| !it.after.is_empty())
        || loaded.hooks.has_moments()
}

/// The closed model says how many there are at once. The open model says only how many there are
/// in all: then a process for each core is what could help.
fn needed(peak: Peak, descriptors: u64, cores: u64) -> u64 {
    let each = descriptors.saturating_sub(DESCRIPTORS_SPARED).max(1);
    let surely = peak.closed.div_ceil(each);
    let perhaps = peak.closed.saturating_add(peak.open).div_ceil(each);
    surely.max(perhaps.min(cores))
}

fn peak(simulation: &Simulation, segments: &Segments) -> Peak {
    beside(&simulation.populations, segments)
}

/// Of populations that run beside each other.
fn beside(populations: &[Population], segments: &Segments) -> Peak {
    let all = populations.iter().map(|it| peak_of(it, segments));
    all.fold(Peak::default(), |sum, it| Peak {
        closed: sum.closed.saturating_add(it.closed),
        open: sum.open.saturating_add(it.open),
    })
}

/// Its children begin when its users are gone, stage by stage.
fn peak_of(population: &Population, segments: &Segments) -> Peak {
    let own = match &population.inject {
        InjectionSpec::Closed(steps) => {
            let most = closed::Profile::new(steps).most();
            Peak { closed: segments.closed_share(most), open: 0 }
        }
        open @ InjectionSpec::Open(_) => {
            let users = open.planned_users().unwrap_or(0);
            Peak { closed: 0, open: segments.closed_share(users) }
        }
    };
    let stages = population.children.chunk_by(|a, b| a.stage == b.stage);
    stages.map(|stage| beside(stage, segments)).fold(own, |most, it| Peak {
        closed: most.closed.max(it.closed),
        open: most.open.max(it.open),
    })
}

/// What each process is told: its segments, interleaved, and its share of the cores.
fn specs(spec: &ShardSpec, segments: &Segments, processes: u32, threads: u32) -> Vec<ShardSpec> {
    let count = processes as usize;
    (0..processes)
        .map(|part| ShardSpec {
            part: Some(part),
            segments: segments.owned().iter().copied().skip(part as usize).step_by(count).collect(),
            threads: (threads / processes + u32::from(part < threads % processes)).max(1),
            record_arrivals: spec.record_arrivals.as_ref().map(|it| it.join(part_name(part))),
            ..spec.clone()
        })
        .collect()
}

fn part_name(part: u32) -> String {
    format!("process-{part}")
}

/// Of an engine thread: what is drawn on it is drawn on no other one.
pub(super) fn thread_seed(spec: &ShardSpec, thread: u32) -> u64 {
    let part = spec.part.unwrap_or(0);
    let own = format!("{}/{}/{}/{part}/{thread}", spec.seed, spec.shard, spec.epoch);
    scenario_seed(spec.seed, &own.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    #[test]
    fn the_closed_model_gets_what_it_needs_and_the_open_one_a_process_a_core() {
        let of = |closed, open| needed(Peak { closed, open }, 1_128, 2);
        assert_eq!(of(0, 0), 0);
        assert_eq!(of(1_000, 0), 1);
        assert_eq!(of(1_001, 0), 2);
        assert_eq!(of(5_500, 0), 6);
        assert_eq!(of(0, 1_000_000), 2);
        assert_eq!(of(999, 2), 2);
        assert_eq!(needed(Peak { closed: 3, open: 0 }, 0, 2), 3);
    }

    #[test]
    fn populations_that_follow_each_other_are_not_there_at_once() {
        let population = |users: u64, stage: u32, children: Vec<Json>| {
            json!({ "scenario": { "name": format!("s{users}"), "steps": [] }, "stage": stage,
                "inject": { "closed": [
                    { "profile": "constant_concurrent_users", "users": users, "duration_us": 1 }] },
                "children": children })
        };
        let next =
            vec![population(40, 0, vec![]), population(30, 0, vec![]), population(60, 1, vec![])];
        let all = json!({ "version": 1, "name": "s", "populations": [population(50, 0, next), population(7, 0, vec![])] });
        let simulation: Simulation = serde_json::from_value(all).unwrap();
        assert_eq!(peak(&simulation, &Segments::all()), Peak { closed: 77, open: 0 });
    }

    #[test]
    fn the_parts_own_what_the_shard_owned() {
        let segments = Segments::new(12, &[1, 3, 4, 6, 7, 9, 11]).unwrap();
        let spec = ShardSpec { shard: 2, segments_total: 12, ..ShardSpec::default() };
        let parts = specs(&spec, &segments, 3, 2);
        let owned: Vec<_> = parts.iter().map(|it| it.segments.clone()).collect();
        assert_eq!(owned, [vec![1, 6, 11], vec![3, 7], vec![4, 9]]);
        assert!(parts.iter().all(|it| it.threads == 1 && it.shard == 2));
        let threads = specs(&spec, &segments, 3, 8).iter().map(|it| it.threads).collect::<Vec<_>>();
        assert_eq!(threads, [3, 3, 2]);
        let seeds: Vec<_> = parts.iter().map(|it| thread_seed(it, 0)).collect();
        assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2] && seeds[0] != seeds[2]);
    }
}

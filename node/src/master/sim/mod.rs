//! Whole clusters in one thread: the real coordinator, reconciler, aggregator, ledger, worker's book
//! and sender over a model of Raft, of streams and of time, with an engine that works by formula.
//! Workers, children and masters are killed, sessions break, messages are late or come twice,
//! spools are lost; whatever happens, [`checks`] hold.
//!
//! `ONRUSH_SIM_SEED=n` runs one seed, `ONRUSH_SIM_SEEDS=n` as many as that, from `ONRUSH_SIM_FROM`.

mod checks;
mod closed;
mod engine;
mod faults;
mod masters;
mod network;
mod raft;
mod records;
mod workers;
mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

const SEEDS: u64 = 150;
/// Far more than the mesh itself carries.
const WIDE: usize = 1_000;
/// From the end of the faults until all jobs have ended: one preparation and one run, and more.
const END_MS: u64 = faults::UNTIL_MS + 90_000;
/// From the end of all jobs until no worker has anything of them.
const PUT_AWAY_MS: u64 = 20_000;

/// How the job over all nodes ended, and whether all that was planned is in its ticks.
fn run(world: &mut World) -> String {
    while !world.is_over() {
        world.step();
        world.record.hold("a job always ends", world.now < END_MS, || {
            let live: Vec<_> = world.raft.ledger.live_jobs().collect();
            format!("{} ms after the last fault: {live:#?}", world.now - faults::UNTIL_MS)
        });
    }
    world.check_end();
    let end = world.now.max(faults::UNTIL_MS) + PUT_AWAY_MS;
    while let Some(left) = world.what_is_left() {
        world.step();
        let in_time = world.now < end;
        world.record.hold("nothing is left behind", in_time, || left);
    }
    world.outcome()
}

/// The outcome, and looks at jobs that were full again after a hand-over; or, behind what the panic
/// has said, what the ledger knows of the jobs.
fn attempt(seed: u64) -> Result<(String, u64), String> {
    let mut world = World::new(seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut world))).map_err(|_| world.story())?;
    Ok((outcome, world.record.filled))
}

#[test]
fn nothing_is_lost_doubled_or_stuck_whatever_dies() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let one = number("ONRUSH_SIM_SEED");
    let (asked, from) = (number("ONRUSH_SIM_SEEDS"), number("ONRUSH_SIM_FROM").unwrap_or(0));
    let seeds = one.map_or_else(|| from..from + asked.unwrap_or(SEEDS), |seed| seed..seed + 1);
    let (mut outcomes, mut failed) = (BTreeMap::<String, u64>::new(), Vec::new());
    let mut filled = 0;
    for seed in seeds {
        match attempt(seed) {
            Ok((outcome, looks)) => {
                *outcomes.entry(outcome).or_default() += 1;
                filled += looks;
            }
            Err(story) => {
                if failed.is_empty() {
                    let _ = writeln!(std::io::stderr(), "{story}");
                }
                failed.push(seed);
            }
        }
    }
    let _ = writeln!(std::io::stdout(), "{outcomes:?}");
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
    // A simulation that loses everything, or nothing, tries nothing.
    assert!(one.or(asked).is_some() || outcomes.len() > 3, "{outcomes:?}");
    assert!(one.or(asked).is_some() || filled > 0, "no job was full again after a hand-over");
}

/// A job over a thousand workers, the master's node and four others killed in mid-run. What a round
/// takes is told, with `--nocapture`.
#[test]
fn a_thousand_workers_are_driven_and_counted_exactly() {
    let mut world = World::wide(WIDE);
    while world.raft.ledger.live_jobs().all(|job| job.start_at.is_none()) {
        world.step();
    }
    let kills_at = world.now + 8_000;
    while world.now < kills_at {
        world.step();
    }
    let led = world.masters.first().map_or(0, |master| master.node);
    for index in [led, (led + 1) % WIDE, (led + 7) % WIDE, (led + 70) % WIDE, (led + 700) % WIDE] {
        world.kill_node(index);
    }
    let outcome = run(&mut world);
    assert_eq!(outcome, "finished, with losses");
    let mut rounds = std::mem::take(&mut world.rounds);
    rounds.sort_unstable();
    let at = |percent: usize| rounds[(rounds.len() - 1) * percent / 100];
    let _ = writeln!(
        std::io::stdout(),
        "{} rounds over {WIDE} workers: p50 {:?}, p99 {:?}, at most {:?}",
        rounds.len(),
        at(50),
        at(99),
        at(100)
    );
}

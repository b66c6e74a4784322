//! Wall clocks that step. What counts time in a node is not the wall clock.

use super::{CERTAIN_AT_ONCE_MS, Fault, Heal, Needs};
use crate::chaos::account::Holds;
use crate::chaos::schedule::{Strike, Takes};
use crate::chaos::world::{World, choose};

const STEPS: [&str; 4] = ["-10", "+10", "+3600", "-3600"];

pub(super) static FAULTS: [Fault; 1] = [Fault {
    name: "clock-step",
    what: "a node's wall clock steps by 10 s or an hour, forwards or backwards, and back later",
    needs: Needs::Clocks,
    takes: Takes::Nothing,
    lasts_ms: &[4_000, 12_000],
    holds: |_| Holds::Untouched,
    made_up_within_ms: CERTAIN_AT_ONCE_MS,
    strike,
}];

fn strike(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let free = world.free();
    let node = choose(&free, strike.pick).ok_or_else(|| anyhow::anyhow!("no node is free"))?;
    let step = STEPS[usize::try_from(strike.pick / 16 % 4)?];
    let name = world.name(node).to_owned();
    let file = world.clock_file(node);
    world.timeline.note(format!("the clock of {name} steps by {step} s"));
    std::fs::write(&file, format!("{step}\n"))?;
    Ok(Box::new(move |world| {
        world.timeline.note(format!("the clock of {name} steps back"));
        std::fs::write(&file, "+0\n")?;
        Ok(())
    }))
}

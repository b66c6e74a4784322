//! Processes that are killed, stopped, started again.

use super::{
    CERTAIN_AT_ONCE_MS, CERTAIN_BY_LEASE_MS, CERTAIN_BY_SILENCE_MS, Fault, Heal, Needs,
    by_the_lease,
};
use crate::chaos::account::Holds;
use crate::chaos::schedule::{Strike, Takes};
use crate::chaos::world::{World, choose};

const DOWN_MS: &[u64] = &[1_000, 3_000, 8_000];
const STOPPED_MS: &[u64] = &[2_000, 4_000, 10_000, 30_000];

pub(super) static FAULTS: [Fault; 9] = [
    Fault {
        name: "kill-master",
        what: "SIGKILL of the master, with its shard; started again later",
        needs: Needs::Nothing,
        takes: Takes::Nodes(1),
        lasts_ms: DOWN_MS,
        holds: |_| Holds::MadeUp,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: |world, _| {
            let master = world.master()?;
            Ok(kill(world, vec![master]))
        },
    },
    Fault {
        name: "kill-worker",
        what: "SIGKILL of a node that does not lead, with its shard; started again later",
        needs: Needs::Nothing,
        takes: Takes::Nodes(1),
        lasts_ms: DOWN_MS,
        holds: |_| Holds::MadeUp,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: |world, strike| {
            let worker = world.worker(strike.pick)?;
            Ok(kill(world, vec![worker]))
        },
    },
    Fault {
        name: "kill-two",
        what: "SIGKILL of the master and of another node at one moment",
        needs: Needs::Nodes(5),
        takes: Takes::Nodes(2),
        lasts_ms: DOWN_MS,
        holds: |_| Holds::MadeUp,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: |world, strike| {
            let both = vec![world.master()?, world.worker(strike.pick)?];
            Ok(kill(world, both))
        },
    },
    Fault {
        name: "kill-all",
        what: "SIGKILL of all nodes at one moment; all are started again",
        needs: Needs::Nothing,
        takes: Takes::Alone,
        lasts_ms: &[200, 2_000, 9_000],
        holds: |_| Holds::Accounted,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: |world, _| {
            let all = world.free();
            Ok(kill(world, all))
        },
    },
    Fault {
        name: "restart-node",
        what: "SIGTERM of a node, and a successor on its data directory at once",
        needs: Needs::Nothing,
        takes: Takes::Nodes(1),
        lasts_ms: &[3_000],
        holds: |_| Holds::MadeUp,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: restart,
    },
    Fault {
        name: "stop-master",
        what: "SIGSTOP of the master, SIGCONT later; its shard is not stopped",
        needs: Needs::Nothing,
        takes: Takes::Nodes(1),
        lasts_ms: STOPPED_MS,
        holds: by_the_lease,
        made_up_within_ms: CERTAIN_BY_LEASE_MS,
        strike: |world, _| {
            let master = world.master()?;
            Ok(stop(world, master))
        },
    },
    Fault {
        name: "stop-worker",
        what: "SIGSTOP of a node that does not lead, SIGCONT later; its shard is not stopped",
        needs: Needs::Nothing,
        takes: Takes::Nodes(1),
        lasts_ms: STOPPED_MS,
        holds: by_the_lease,
        made_up_within_ms: CERTAIN_BY_LEASE_MS,
        strike: |world, strike| {
            let worker = world.worker(strike.pick)?;
            Ok(stop(world, worker))
        },
    },
    Fault {
        name: "kill-shard",
        what: "SIGKILL of a shard's process alone; its node lives",
        needs: Needs::Nothing,
        takes: Takes::Nothing,
        lasts_ms: &[100],
        holds: |_| Holds::MadeUp,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: |world, strike| {
            if let Some((node, pid)) = a_shard(world, strike.pick) {
                let whom = format!("the shard of {}", world.name(node));
                world.signal(pid, "KILL", &whom);
            }
            Ok(nothing())
        },
    },
    Fault {
        name: "stop-shard",
        what: "SIGSTOP of a shard's process alone: it hangs, and nobody ends it; SIGCONT later",
        needs: Needs::Nothing,
        takes: Takes::Nothing,
        lasts_ms: &[1_000, 3_000, 25_000],
        holds: |ms| if ms <= 3_000 { Holds::Exact } else { Holds::MadeUp },
        made_up_within_ms: CERTAIN_BY_SILENCE_MS,
        strike: stop_shard,
    },
];

fn nothing() -> Heal {
    Box::new(|_| Ok(()))
}

fn kill(world: &mut World, nodes: Vec<usize>) -> Heal {
    nodes.iter().for_each(|&node| world.kill(node));
    Box::new(move |world| {
        nodes.into_iter().for_each(|node| world.start_again(node));
        Ok(())
    })
}

fn restart(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let free = world.free();
    let node = choose(&free, strike.pick).ok_or_else(|| anyhow::anyhow!("no node is free"))?;
    let name = world.name(node).to_owned();
    world.timeline.note(format!("SIGTERM of {name}, and a successor"));
    world.struck.insert(node);
    let took = world.cluster.replace_nodes(&[node]);
    world.timeline.note(format!("{name}'s first process has ended after {took:?}"));
    Ok(Box::new(move |world| {
        world.struck.remove(&node);
        Ok(())
    }))
}

fn stop(world: &mut World, node: usize) -> Heal {
    let pid = world.cluster.nodes[node].pid();
    let name = world.name(node).to_owned();
    world.struck.insert(node);
    world.signal(pid, "STOP", &name);
    Box::new(move |world| {
        world.signal(pid, "CONT", &name);
        world.struck.remove(&node);
        Ok(())
    })
}

/// A node that has a shard, and the shard's pid.
fn a_shard(world: &mut World, pick: u64) -> Option<(usize, u32)> {
    let mut shards: Vec<(usize, u32)> = Vec::new();
    for node in world.free() {
        shards.extend(world.shards(node).into_iter().map(|pid| (node, pid)));
    }
    let at: Vec<usize> = (0..shards.len()).collect();
    let found = choose(&at, pick).map(|at| shards[at]);
    if found.is_none() {
        world.timeline.note("no node has a shard");
    }
    found
}

fn stop_shard(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let Some((node, pid)) = a_shard(world, strike.pick) else { return Ok(nothing()) };
    let whom = format!("the shard of {}", world.name(node));
    world.signal(pid, "STOP", &whom);
    Ok(Box::new(move |world| {
        // It may have been ended meanwhile, and its number be another's.
        let still = world.running().into_iter().any(|node| world.shards(node).contains(&pid));
        if still {
            world.signal(pid, "CONT", &whom);
        }
        Ok(())
    }))
}

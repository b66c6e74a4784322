//! Links that are cut, in both directions or in one, that lose packets, or carry them late. No fault
//! here touches the way to the target: the load itself can always go on.

use super::{CERTAIN_AT_ONCE_MS, CERTAIN_BY_LEASE_MS, Fault, Heal, Needs, by_the_lease};
use crate::chaos::account::Holds;
use crate::chaos::schedule::{Strike, Takes};
use crate::chaos::world::{World, choose};
use crate::random::Random;

const CUT_MS: &[u64] = &[2_000, 3_500, 4_500, 5_000, 9_000, 20_000];

pub(super) static FAULTS: [Fault; 9] = [
    Fault {
        name: "cut-master",
        what: "the master is cut off from all other nodes, and not from the target",
        needs: Needs::Nothing,
        takes: Takes::Nodes(1),
        lasts_ms: CUT_MS,
        holds: by_the_lease,
        made_up_within_ms: CERTAIN_BY_LEASE_MS,
        strike: |world, _| {
            let master = world.master()?;
            isolate(world, &[master])
        },
    },
    Fault {
        name: "cut-worker",
        what: "a node that does not lead is cut off from all other nodes, and not from the target",
        needs: Needs::Nothing,
        takes: Takes::Nodes(1),
        lasts_ms: CUT_MS,
        holds: by_the_lease,
        made_up_within_ms: CERTAIN_BY_LEASE_MS,
        strike: |world, strike| {
            let worker = world.worker(strike.pick)?;
            isolate(world, &[worker])
        },
    },
    Fault {
        name: "cut-link",
        what: "the link between the master and another node is cut; both reach the others",
        needs: Needs::Nothing,
        takes: Takes::Nodes(1),
        lasts_ms: CUT_MS,
        holds: by_the_lease,
        made_up_within_ms: CERTAIN_BY_LEASE_MS,
        strike: |world, strike| {
            let (master, worker) = (world.master()?, world.worker(strike.pick)?);
            links(world, &[(master, worker), (worker, master)], &[worker])
        },
    },
    Fault {
        name: "cut-one-way",
        what: "what one node sends to the others is lost, what they send to it arrives; or the other \
               way round",
        needs: Needs::Nothing,
        takes: Takes::Nodes(1),
        lasts_ms: CUT_MS,
        holds: by_the_lease,
        made_up_within_ms: CERTAIN_BY_LEASE_MS,
        strike: one_way,
    },
    Fault {
        name: "split",
        what: "a minority of the nodes is cut off from the majority",
        needs: Needs::Nothing,
        takes: Takes::Minority,
        lasts_ms: CUT_MS,
        holds: by_the_lease,
        made_up_within_ms: CERTAIN_BY_LEASE_MS,
        strike: split,
    },
    Fault {
        name: "bridge",
        what: "two halves that cannot reach each other, and one node that reaches both",
        needs: Needs::Nothing,
        takes: Takes::Minority,
        lasts_ms: CUT_MS,
        holds: by_the_lease,
        made_up_within_ms: CERTAIN_BY_LEASE_MS,
        strike: bridge,
    },
    Fault {
        name: "loss",
        what: "all links lose a tenth of their packets",
        needs: Needs::Hosts,
        takes: Takes::Nothing,
        lasts_ms: &[5_000, 12_000],
        holds: |_| Holds::Untouched,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: |world, _| {
            world.timeline.note("all links lose a tenth of their packets");
            let pairs = all_pairs(world.cluster.nodes.len());
            for (from, to) in &pairs {
                world.net.lose(*from, *to)?;
            }
            Ok(Box::new(move |world| {
                world.timeline.note("no link loses packets any more");
                pairs.iter().try_for_each(|(from, to)| world.net.keep(*from, *to))
            }))
        },
    },
    Fault {
        name: "delay",
        what: "all that the nodes send takes 100 ms ± 20 ms longer",
        needs: Needs::Delays,
        takes: Takes::Nothing,
        lasts_ms: &[5_000, 12_000],
        holds: |_| Holds::Untouched,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: |world, _| {
            world.timeline.note("all that the nodes send is delayed");
            let nodes = world.cluster.nodes.len();
            (0..nodes).try_for_each(|node| world.net.delay(node, true))?;
            Ok(Box::new(move |world| {
                world.timeline.note("nothing is delayed any more");
                (0..nodes).try_for_each(|node| world.net.delay(node, false))
            }))
        },
    },
    Fault {
        name: "kill-connections",
        what: "all connections between two nodes are ended (ss -K)",
        needs: Needs::KillsConnections,
        takes: Takes::Nothing,
        lasts_ms: &[100],
        holds: |_| Holds::Untouched,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: |world, strike| {
            let (one, other) = (world.master()?, world.worker(strike.pick)?);
            world.timeline.note(format!("connections of {} end", world.names(&[one, other])));
            world.net.kill_connections(one, other)?;
            Ok(Box::new(|_| Ok(())))
        },
    },
];

fn all_pairs(nodes: usize) -> Vec<(usize, usize)> {
    let from = |a: usize| (0..nodes).filter(move |b| *b != a).map(move |b| (a, b));
    (0..nodes).flat_map(from).collect()
}

/// Cuts directed links; `away` are the nodes that are not to be asked meanwhile.
fn links(world: &mut World, cut: &[(usize, usize)], away: &[usize]) -> anyhow::Result<Heal> {
    let shown: Vec<String> =
        cut.iter().map(|(from, to)| format!("{}→{}", world.name(*from), world.name(*to))).collect();
    let shown = shown.join(" ");
    world.timeline.note(format!("cut: {shown}"));
    world.struck.extend(away);
    cut.iter().try_for_each(|(from, to)| world.net.cut(*from, *to))?;
    let (cut, away) = (cut.to_vec(), away.to_vec());
    Ok(Box::new(move |world| {
        world.timeline.note(format!("healed: {shown}"));
        away.iter().for_each(|node| {
            world.struck.remove(node);
        });
        cut.iter().try_for_each(|(from, to)| world.net.join(*from, *to))
    }))
}

/// Everything between `inside` and the rest, in both directions.
pub(in crate::chaos) fn isolate(world: &mut World, inside: &[usize]) -> anyhow::Result<Heal> {
    let crosses = |(a, b): &(usize, usize)| inside.contains(a) != inside.contains(b);
    let cut: Vec<(usize, usize)> =
        all_pairs(world.cluster.nodes.len()).into_iter().filter(crosses).collect();
    links(world, &cut, inside)
}

fn one_way(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let free = world.free();
    let node = choose(&free, strike.pick).ok_or_else(|| anyhow::anyhow!("no node is free"))?;
    let deaf = strike.pick % 7 < 3;
    let pairs = all_pairs(world.cluster.nodes.len()).into_iter();
    let cut: Vec<(usize, usize)> =
        pairs.filter(|(from, to)| if deaf { *to == node } else { *from == node }).collect();
    links(world, &cut, &[node])
}

/// The free nodes, in an order that the pick decides.
fn shuffled(world: &World, pick: u64) -> Vec<usize> {
    let mut random = Random::new(pick);
    let mut keyed: Vec<(u64, usize)> =
        world.free().into_iter().map(|node| (random.draw(), node)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, node)| node).collect()
}

fn split(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let order = shuffled(world, strike.pick);
    let minority = (world.cluster.nodes.len() - 1) / 2;
    isolate(world, &order[..minority.min(order.len())])
}

fn bridge(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let order = shuffled(world, strike.pick);
    let half = (order.len() - 1) / 2;
    let (one, rest) = order.split_at(half);
    let other = &rest[1..];
    let crosses = |(a, b): &(usize, usize)| {
        (one.contains(a) && other.contains(b)) || (one.contains(b) && other.contains(a))
    };
    let cut: Vec<(usize, usize)> =
        all_pairs(world.cluster.nodes.len()).into_iter().filter(crosses).collect();
    links(world, &cut, one)
}

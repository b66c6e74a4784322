//! Nodes that join, are drained, and clients that upload meanwhile.

use std::time::Duration;

use anyhow::ensure;

use super::{CERTAIN_AT_ONCE_MS, Fault, Heal, Needs};
use crate::chaos::account::Holds;
use crate::chaos::history::PROJECT;
use crate::chaos::schedule::{Strike, Takes};
use crate::chaos::world::World;
use crate::chaos::{Finding, Harm};
use crate::wait::within;

const UPLOAD_BYTES: usize = 24 << 20;
const LEAVING_LIMIT: Duration = Duration::from_secs(30);

pub(super) static FAULTS: [Fault; 3] = [
    Fault {
        name: "join",
        what: "one more node joins while the job runs; later it is killed, and forgotten",
        needs: Needs::OddNodes,
        takes: Takes::Alone,
        lasts_ms: &[6_000],
        holds: |_| Holds::Accounted,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: join,
    },
    Fault {
        name: "drain",
        what: "a node is drained: it hands over its part with nothing missed; undrained later",
        needs: Needs::Subcommand("drain"),
        takes: Takes::Nodes(1),
        lasts_ms: &[5_000, 12_000],
        holds: |_| Holds::Untouched,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: drain,
    },
    Fault {
        name: "upload",
        what: "a file of 24 MiB is put through a random node, and read back from another",
        needs: Needs::Nothing,
        takes: Takes::Nothing,
        lasts_ms: &[4_000],
        holds: |_| Holds::Exact,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: upload,
    },
];

fn join(world: &mut World, _: &Strike) -> anyhow::Result<Heal> {
    let node = world.add_node()?;
    world.struck.insert(node);
    Ok(Box::new(move |world| {
        let joined = within("the new node to know the master", LEAVING_LIMIT, || {
            let status = world.cluster.nodes[node].rest().get("/api/v1/raft/status?stale=true")?;
            ensure!(status["leader"].is_u64(), "{status}");
            Ok(())
        });
        if let Err(error) = joined {
            world.findings.push(Finding::new(Harm::Stuck, format!("{error:#}")));
        }
        leave(world, node)
    }))
}

/// The node that joined last goes, and is forgotten; where it cannot be, the cluster is used up.
fn leave(world: &mut World, node: usize) -> anyhow::Result<()> {
    let name = world.name(node).to_owned();
    world.kill(node);
    world.struck.remove(&node);
    if let Some(gone) = world.cluster.nodes.pop() {
        world.net.release(&gone.data_dir);
    }
    let forgotten = within("the node to be forgotten", LEAVING_LIMIT, || {
        let (status, body) =
            world.any()?.rest().delete(&format!("/api/v1/cluster/members/{name}"))?;
        ensure!((200..300).contains(&status) || status == 404, "{status} {body}");
        Ok(())
    });
    match forgotten {
        Ok(()) => world.timeline.note(format!("{name} is forgotten")),
        Err(error) => {
            world.timeline.note(format!("{name} is not forgotten: {error:#}"));
            world.spent = true;
        }
    }
    Ok(())
}

fn drain(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let node = world.worker(strike.pick)?;
    let name = world.name(node).to_owned();
    world.timeline.note(format!("drain of {name}"));
    world.onrush(&["cluster", "drain", &name])?;
    Ok(Box::new(move |world| {
        world.timeline.note(format!("undrain of {name}"));
        world.onrush(&["cluster", "undrain", &name])?;
        Ok(())
    }))
}

fn upload(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let through = world.worker(strike.pick)?;
    let rest = world.cluster.nodes[through].rest();
    let name = format!("large-{}", strike.pick % 1_000);
    world.timeline.note(format!("upload of {UPLOAD_BYTES} bytes through {}", world.name(through)));
    let path = format!("/api/v1/projects/{PROJECT}/files/{name}");
    // Of the pick, so that two uploads are two contents.
    let line = format!("{:020}\n", strike.pick);
    let bytes = line.repeat(UPLOAD_BYTES / line.len()).into_bytes();
    let length = bytes.len();
    let to = path.clone();
    let sent = std::thread::spawn(move || rest.put(&to, &bytes));
    Ok(Box::new(move |world| {
        let answer = sent.join().map_err(|_| anyhow::anyhow!("the upload panicked"))?;
        world.timeline.note(format!("the upload's answer: {answer:?}"));
        // What was refused, or never answered, was not promised.
        if answer.is_ok_and(|(status, _)| (200..300).contains(&status)) {
            let read =
                within("the file", LEAVING_LIMIT, || Ok(world.any()?.rest().text(&path)?.len()));
            let read = read.map_err(|error| format!("{error:#}"));
            if read != Ok(length) {
                let text = format!("{path} was acknowledged with {length} bytes: {read:?}");
                world.findings.push(Finding::new(Harm::Lost, text));
            }
            world.any()?.rest().delete(&path)?;
        }
        Ok(())
    }))
}

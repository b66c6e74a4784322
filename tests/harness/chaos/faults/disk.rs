//! Disks that fill up, bytes that flip, and data directories that are older than they should be.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{CERTAIN_AT_ONCE_MS, CERTAIN_BY_LEASE_MS, Fault, Heal, Needs};
use crate::chaos::account::Holds;
use crate::chaos::history::PROJECT;
use crate::chaos::schedule::{Strike, Takes};
use crate::chaos::world::{World, choose};
use crate::chaos::{Finding, Harm};
use crate::cluster::Node;
use crate::process::binary;
use crate::wait::within;

pub(super) static FAULTS: [Fault; 3] = [
    Fault {
        name: "disk-full",
        what: "the disk of one node is filled to the last byte; freed later",
        needs: Needs::Hosts,
        takes: Takes::Alone,
        lasts_ms: &[4_000, 12_000],
        holds: |_| Holds::MadeUp,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: fill,
    },
    Fault {
        name: "flipped-byte",
        what: "a byte of a stored file flips on one node: no node gives the wrong content",
        needs: Needs::Nothing,
        takes: Takes::Nothing,
        lasts_ms: &[1_500],
        holds: |_| Holds::Untouched,
        made_up_within_ms: CERTAIN_AT_ONCE_MS,
        strike: flip,
    },
    Fault {
        name: "old-copy",
        what: "a voter is started on an older copy of its data directory, and refuses; later it gets the \
               true one back, or is replaced",
        needs: Needs::Nothing,
        takes: Takes::Alone,
        lasts_ms: &[8_000],
        holds: |_| Holds::MadeUp,
        made_up_within_ms: CERTAIN_BY_LEASE_MS,
        strike: old_copy,
    },
];

fn fill(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let free = world.free();
    let node = choose(&free, strike.pick).context("no node is free")?;
    let name = world.name(node).to_owned();
    let filler = world.cluster.nodes[node].data_dir.join("filler");
    world.struck.insert(node);
    let mut file = std::fs::File::create(&filler)?;
    let mut bytes = 0_u64;
    let mut piece = vec![0_u8; 1 << 20];
    while !piece.is_empty() {
        match file.write(&piece) {
            Ok(count) if count > 0 => bytes += count as u64,
            // No room for so much: perhaps for less.
            _ => piece.truncate(piece.len() / 2),
        }
    }
    world.timeline.note(format!("the disk of {name} is full, by {bytes} bytes more"));
    Ok(Box::new(move |world| {
        std::fs::remove_file(&filler)?;
        world.timeline.note(format!("the disk of {name} has room again"));
        world.find_the_dead();
        world.struck.remove(&node);
        if !world.cluster.nodes[node].is_running() {
            world.start_again(node);
        }
        Ok(())
    }))
}

const CONTENT_BYTES: usize = 70_000;

fn flip(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    let path = format!("/api/v1/projects/{PROJECT}/files/flipped-{}", strike.pick % 100_000);
    // Of the pick, so that each has a blob of its own.
    let content = format!("{:020} ", strike.pick).repeat(CONTENT_BYTES / 21);
    let (status, body) = world.any()?.rest().put(&path, content.as_bytes())?;
    ensure!((200..300).contains(&status), "{path}: {status} {body}");
    let file: serde_json::Value = serde_json::from_str(&body)?;
    let digest =
        file["digest"].as_str().context("digest")?.trim_start_matches("blake3:").to_owned();
    let holders: Vec<(usize, PathBuf)> = world
        .free()
        .into_iter()
        .map(|at| {
            let blobs = world.cluster.nodes[at].data_dir.join("blobs");
            (at, blobs.join(&digest[..2]).join(&digest))
        })
        .filter(|(_, blob)| blob.is_file())
        .collect();
    let at: Vec<usize> = (0..holders.len()).collect();
    let (node, blob) = &holders[choose(&at, strike.pick).context("no node holds the file")?];
    flip_byte(blob, strike.pick % content.len() as u64)?;
    world.timeline.note(format!("a byte of {path} flips on {}", world.name(*node)));
    Ok(Box::new(move |world| {
        for at in world.free() {
            let read = world.cluster.nodes[at].rest().text(&path);
            let name = world.name(at).to_owned();
            match read {
                Ok(text) if text == content => {}
                Ok(_) => {
                    let text = format!("{name} gave a damaged {path} with 200");
                    world.findings.push(Finding::new(Harm::Broken, text));
                }
                Err(error) => {
                    world.timeline.note(format!("{name} does not give {path}: {error:#}"));
                }
            }
        }
        world.any()?.rest().delete(&path)?;
        Ok(())
    }))
}

fn flip_byte(path: &Path, at: u64) -> anyhow::Result<()> {
    // Blobs are read-only for all but root.
    let mut permissions = std::fs::metadata(path)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(path, permissions)?;
    let mut file = std::fs::File::options().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&[byte[0] ^ 0x20])?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status()?;
    ensure!(status.success(), "cp -a {} {}", from.display(), to.display());
    Ok(())
}

/// Empties a folder, which may be a disk of its own.
fn empty(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            std::fs::remove_dir_all(&path)?;
        } else {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Writes that the cluster acknowledges while the node is away, so that its copy becomes an old one.
const WRITES_BETWEEN: u64 = 20;
/// A node that was started has what the others have after this; one that is to refuse has refused.
const STARTED_LIMIT: Duration = Duration::from_secs(20);
/// Exit codes of a node whose log went back: at first, and at each start after that.
const WENT_BACK: [i32; 2] = [70, 78];

fn old_copy(world: &mut World, strike: &Strike) -> anyhow::Result<Heal> {
    // One that does not vote has promised nothing: it catches up, and nobody counts on it before.
    let node = world.follower(strike.pick)?;
    let name = world.name(node).to_owned();
    let data_dir = world.cluster.nodes[node].data_dir.clone();
    let (old, new) = (world.cluster.dir.join("copy-old"), world.cluster.dir.join("copy-new"));
    for folder in [&old, &new] {
        let _ = std::fs::remove_dir_all(folder);
    }
    world.kill(node);
    copy(&data_dir, &old)?;
    world.start_again(node);
    world.struck.insert(node);
    for number in 0..WRITES_BETWEEN {
        let path = format!("/api/v1/projects/{PROJECT}/files/old-copy-{}", strike.pick % 1_000);
        let (status, body) =
            world.any()?.rest().put(&path, format!("{number} of {}", strike.pick).as_bytes())?;
        ensure!((200..300).contains(&status), "a write with all nodes up: {status} {body}");
    }
    // What it has not acknowledged it cannot forget.
    let written = applied_index(world.any()?)?;
    within(&format!("{name} to have all of it"), STARTED_LIMIT, || {
        let has = applied_index(&world.cluster.nodes[node])?;
        ensure!(has >= written, "it is at {has} of {written}");
        Ok(())
    })?;
    world.kill(node);
    copy(&data_dir, &new)?;
    empty(&data_dir)?;
    copy(&old, &data_dir)?;
    world.timeline.note(format!("{name} is started on its older copy"));
    world.refusing.insert(node);
    world.cluster.start_node(node);
    let replaced = strike.pick % 2 == 1;
    Ok(Box::new(move |world| {
        let refused = refuses(world, node);
        world.refusing.remove(&node);
        if let Err(error) = refused {
            world.findings.push(Finding::new(Harm::Broken, format!("{error:#}")));
        }
        the_others_write(world);
        world.kill(node);
        if replaced {
            world.timeline.note(format!("onrush node replace on {name}"));
            replace(&data_dir)?;
        } else {
            world.timeline.note(format!("{name} gets its newest copy back"));
            empty(&data_dir)?;
            copy(&new, &data_dir)?;
        }
        world.start_again(node);
        Ok(())
    }))
}

fn applied_index(node: &Node) -> anyhow::Result<u64> {
    node.rest().get("/api/v1/raft/digest")?["applied_index"].as_u64().context("applied_index")
}

/// It does not go on with what it has forgotten, and says so by its exit code.
fn refuses(world: &mut World, node: usize) -> anyhow::Result<()> {
    let name = world.name(node).to_owned();
    let status = within(&format!("{name} to refuse its older copy"), STARTED_LIMIT, || {
        world.cluster.nodes[node].ended().context("it goes on with it")
    })?;
    world.timeline.note(format!("{name} has refused its older copy: {status}"));
    let code = status.code().unwrap_or_default();
    ensure!(WENT_BACK.contains(&code), "{name} refused its older copy with {status}");
    Ok(())
}

/// As the node advises.
fn replace(data_dir: &Path) -> anyhow::Result<()> {
    let output = Command::new(binary("onrush"))
        .args(["node", "replace", "--data-dir"])
        .arg(data_dir)
        .output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "onrush node replace: {complaint}");
    Ok(())
}

/// The others are a majority: they write.
fn the_others_write(world: &mut World) {
    let path = format!("/api/v1/projects/{PROJECT}/files/beside-old-copy");
    for at in world.free() {
        let answer = world.cluster.nodes[at].rest().put(&path, format!("by {at}").as_bytes());
        if !answer.as_ref().is_ok_and(|(status, _)| (200..300).contains(status)) {
            let text = format!(
                "{} refuses a write beside a node with an older copy: {answer:?}",
                world.name(at)
            );
            world.findings.push(Finding::new(Harm::Broken, text));
        }
    }
}

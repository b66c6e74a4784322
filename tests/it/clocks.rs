//! Wall clocks that step while jobs run, on real nodes: libfaketime moves the clock of one of them.
//! The monotonic clock is left alone, as a step leaves it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::acceptance::{Load, Target, submit, verify};
use harness::cluster::{Cluster, FORMING_LIMIT, await_status};
use harness::process::signal;
use harness::rest::Rest;
use harness::wait::until;
use serde_json::Value;

/// What the nodes are started with: `libfaketime`, installed by `scripts/test.sh`.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("the folder of libraries");
    let path = |folder: fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    let found = folders.flatten().map(path).find(|path| path.is_file());
    found.expect("libfaketimeMT.so.1: install the package faketime, as scripts/test.sh does")
}

/// The file that says how far the clock of node `name` is off.
fn clock_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.clock"))
}

fn step(cluster: &Cluster, index: usize, seconds: i64) {
    let clock = clock_of(&cluster.dir, &cluster.nodes[index].name);
    let next = clock.with_extension("next");
    fs::write(&next, format!("{seconds:+}\n")).expect("the clock is set");
    fs::rename(&next, &clock).expect("the clock is set");
}

/// A cluster whose wall clocks can be stepped one by one.
fn cluster(size: usize) -> Cluster {
    let library = library();
    let mut cluster = Cluster::planned(size);
    for index in 0..size {
        step(&cluster, index, 0);
        let clock = clock_of(&cluster.dir, &cluster.nodes[index].name);
        let variables = [
            ("LD_PRELOAD", library.as_path()),
            ("FAKETIME_TIMESTAMP_FILE", clock.as_path()),
            ("FAKETIME_NO_CACHE", Path::new("1")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", Path::new("1")),
        ];
        let text = |(name, value): (&str, &Path)| (name.to_owned(), value.display().to_string());
        cluster.nodes[index].environment = variables.map(text).to_vec();
        cluster.start_node(index);
    }
    cluster.await_formed();
    cluster
}

fn until_ticks(rest: &Rest, job: &str, ticks: u64) {
    until("the load to run", FORMING_LIMIT, || {
        let found = rest.get(&format!("/api/v1/jobs/{job}"))?;
        ensure!(found["ticks"].as_u64() >= Some(ticks), "{found}");
        Ok(())
    });
}

fn until_ended(rest: &Rest, job: &str) -> Value {
    let ended = ["finished", "failed", "aborted", "lost"];
    await_status(&|| rest.clone(), job, &ended, FORMING_LIMIT)
}

/// How far each node says that its clock is ahead, by name, once that of `name` is so.
fn until_skewed(rest: &Rest, name: &str, ahead_ms: i64) {
    until("the skew to be shown", FORMING_LIMIT, || {
        let members = rest.get("/api/v1/cluster/members")?;
        let all = members["items"].as_array().or(members.as_array()).context("members")?;
        let of = |member: &&Value| member["name"] == name;
        let member = all.iter().find(of).with_context(|| members.to_string())?;
        let seen = member["clock_ahead_ms"].as_i64().context("it has not measured it")?;
        ensure!(seen.abs_diff(ahead_ms) <= 300, "{name} is {seen} ms ahead");
        Ok(())
    });
}

/// Once a step back by ten seconds ended the shard, "cut off from every master", and one of the
/// master gave a run of an hour.
#[test]
fn steps_of_wall_clocks_touch_neither_load_nor_figures() {
    let cluster = cluster(3);
    let target = Target::start(&cluster.dir);
    let load = Load { users_per_sec: 30, seconds: 12 };
    let (master, worker) = (cluster.leader(), cluster.follower());
    let rest = cluster.nodes[master].rest();
    let job = submit(&cluster.nodes[master].address(), &target, load, &[]).expect("submitted");
    // Between the commit of the start and the start, if it is met.
    let _ = await_status(&|| rest.clone(), &job, &["running"], FORMING_LIMIT);
    step(&cluster, master, -3_600);
    until_ticks(&rest, &job, 2);
    step(&cluster, worker, -10);
    until_ticks(&rest, &job, 5);
    step(&cluster, master, 3_600);
    until_skewed(&rest, &cluster.nodes[worker].name, -3_610_000);
    let ended = until_ended(&rest, &job);
    let found = verify(&rest, &target, load, &job);
    assert!(found.is_ok(), "{found:#?}\n{ended}{}", cluster.logs());
    let took = ended["duration_ms"].as_u64().unwrap_or_default();
    assert!((12_000..=16_000).contains(&took), "duration_ms {took}");
    let summary = rest.get(&format!("/api/v1/jobs/{job}/summary")).expect("a summary");
    let seconds: Vec<u64> = summary["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| event["second"].as_u64().expect("a second"))
        .collect();
    assert!(seconds.len() >= 3 && seconds.iter().all(|at| *at <= 16), "event seconds {seconds:?}");
    assert!(seconds.is_sorted(), "event seconds {seconds:?}");
    let run = &summary["run"];
    let dates = ["started_unix_ms", "ended_unix_ms"].map(|name| run[name].as_u64().unwrap_or(0));
    assert_eq!(dates[1] - dates[0], took, "{run}");
    println!("duration_ms {took}, event seconds {seconds:?}");
}

/// Once the child's lease was a date: its node's clock an hour ahead, and the node stopped, it went
/// on for an hour.
#[test]
fn a_lease_ends_in_its_time_whatever_date_it_is() {
    let cluster = cluster(3);
    let target = Target::start(&cluster.dir);
    let load = Load { users_per_sec: 30, seconds: 40 };
    let (master, worker) = (cluster.leader(), cluster.follower());
    let rest = cluster.nodes[master].rest();
    let more = ["--on-node-loss", "degrade"];
    let job = submit(&cluster.nodes[master].address(), &target, load, &more).expect("submitted");
    until_ticks(&rest, &job, 2);
    step(&cluster, worker, 3_600);
    until_skewed(&rest, &cluster.nodes[worker].name, 3_600_000);
    let node = &cluster.nodes[worker];
    let children = || children_of(node.pid());
    assert_eq!(children().len(), 1, "one shard");
    let stopped = std::time::Instant::now();
    signal(node.pid(), "STOP");
    // A stopped parent reaps nobody: its child stays as a zombie.
    until("the shard to end with its lease", Duration::from_secs(15), || {
        let alive = children().into_iter().filter(|(_, state)| *state != 'Z').count();
        ensure!(alive == 0, "{alive} still run");
        Ok(())
    });
    let took = stopped.elapsed();
    signal(node.pid(), "CONT");
    assert!(took < Duration::from_secs(8), "the shard of a stopped node ran on for {took:?}");
    println!("the shard ended {took:?} after its node was stopped");
    let (status, body) =
        rest.post(&format!("/api/v1/jobs/{job}/abort"), "{}").expect("the master answers");
    assert!(status < 300, "{status} {body}");
    let _ = until_ended(&rest, &job);
}

/// Pid and state of each child of a process.
fn children_of(pid: u32) -> Vec<(u32, char)> {
    let of = |entry: fs::DirEntry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let (state, parent) = (fields.next()?.chars().next()?, fields.next()?.parse::<u32>().ok()?);
        (parent == pid).then_some((child, state))
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}

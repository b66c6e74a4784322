//! A shard, end to end, over its pipes, in this process: spec in, frames out.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::net::UnixStream;

use super::*;
use crate::shard::pipe::{Sent, read_from_shard, write_to_shard};
use crate::shard::{EndReason, ShardSpec};
use crate::stats::frame::Totals;

const GRAPH: &str = r#"{ "version": 1, "name": "sim", "populations": [{
    "scenario": { "name": "s", "steps": [
        { "step": "dummy", "name": { "lit": "d" }, "response_time_ms": { "lit": 20 } }] },
    "inject": { "open": [{ "profile": "ramp_users", "users": 30, "duration_us": 1000000 }] } }] }"#;

fn spec(root: &std::path::Path) -> ShardSpec {
    std::fs::write(root.join("sim.json"), GRAPH).unwrap();
    ShardSpec {
        job: "j".to_owned(),
        shard: 4,
        epoch: 2,
        segments_total: 2,
        segments: vec![1],
        threads: 1,
        seed: 1,
        root: root.to_owned(),
        simulation: "sim.json".to_owned(),
        parameters: BTreeMap::new(),
        environment: BTreeMap::new(),
        unix_ms: None,
        record_arrivals: None,
        max_duration_us: None,
        leased: true,
        ..ShardSpec::default()
    }
}

/// Runs the child's side on a thread; gives the parent's ends of its pipes.
fn child() -> (UnixStream, UnixStream) {
    let (parent_in, child_in) = UnixStream::pair().unwrap();
    let (parent_out, child_out) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        let mut out = BufWriter::new(child_out);
        let (orders, spec) = listen(BufReader::new(child_in));
        match spec.recv() {
            Ok(Ok(spec)) => converse(&spec, &orders, &mut out),
            Ok(Err(message)) => say(&mut out, &FromShard::Failed(internal(message))),
            Err(_) => ExitCode::SUCCESS,
        }
    });
    (parent_in, parent_out)
}

fn now() -> i64 {
    engine::clock::boot_us()
}

#[test]
fn a_shard_says_ready_then_frames_then_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (mut to, mut from) = child();
    write_to_shard(&mut to, &ToShard::Spec(Box::new(spec(folder.path())))).unwrap();
    let ready = read_from_shard(&mut from).unwrap();
    assert!(
        matches!(ready, Some(Sent::Message(FromShard::Ready(plan))) if plan.injection_us == 1_000_000)
    );
    write_to_shard(&mut to, &ToShard::Lease { until_boot_us: now() + 20_000_000 }).unwrap();
    write_to_shard(
        &mut to,
        &ToShard::Start { at_boot_us: now() + 100_000, clock_error_us: 0, take_over: None },
    )
    .unwrap();
    let mut totals = Totals::default();
    let mut last = None;
    let reason = loop {
        match read_from_shard(&mut from).unwrap().unwrap() {
            Sent::Frame(frame) => {
                assert_eq!((frame.shard, frame.epoch, frame.seq), (4, 2, totals.frames + 1));
                totals.add_frame(&frame);
                last = frame.totals;
            }
            Sent::Message(FromShard::Finished { reason }) => break reason,
            Sent::Message(other) => {
                assert!(matches!(other, FromShard::Output { .. } | FromShard::Alive), "{other:?}");
            }
        }
    };
    assert_eq!(reason, EndReason::Completed);
    assert_eq!(last, Some(totals));
    assert_eq!((totals.users_started, totals.requests_ok), (15, 15));
    assert!(read_from_shard(&mut from).unwrap().is_none());
}

#[test]
fn a_closed_stdin_stops_the_run_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut to, mut from) = child();
    let mut spec = spec(folder.path());
    spec.leased = false;
    write_to_shard(&mut to, &ToShard::Spec(Box::new(spec))).unwrap();
    assert!(matches!(
        read_from_shard(&mut from).unwrap(),
        Some(Sent::Message(FromShard::Ready(_)))
    ));
    write_to_shard(
        &mut to,
        &ToShard::Start { at_boot_us: now(), clock_error_us: 0, take_over: None },
    )
    .unwrap();
    drop(to);
    loop {
        match read_from_shard(&mut from).unwrap().unwrap() {
            Sent::Message(FromShard::Finished { reason: EndReason::Stopped(reason) }) => {
                assert_eq!(reason, "the owner went away");
                return;
            }
            Sent::Message(FromShard::Finished { reason }) => {
                assert_eq!(reason, EndReason::Stopped(String::new()));
            }
            _ => {}
        }
    }
}

#[test]
fn what_is_no_spec_and_what_cannot_run_are_told() {
    let (mut to, mut from) = child();
    write_to_shard(&mut to, &ToShard::Start { at_boot_us: 0, clock_error_us: 0, take_over: None })
        .unwrap();
    let failed = read_from_shard(&mut from).unwrap();
    assert!(matches!(failed, Some(Sent::Message(FromShard::Failed(problem)))
        if problem.message == "the first message must be the spec"));
    let folder = tempfile::tempdir().unwrap();
    let (mut to, mut from) = child();
    let mut spec = spec(folder.path());
    spec.simulation = "none.json".to_owned();
    write_to_shard(&mut to, &ToShard::Spec(Box::new(spec))).unwrap();
    let failed = read_from_shard(&mut from).unwrap();
    assert!(matches!(failed, Some(Sent::Message(FromShard::Failed(problem)))
        if problem.kind == ProblemKind::FileMissing));
    let (mut to, mut from) = child();
    to.write_all(&[0xff; 8]).unwrap();
    let failed = read_from_shard(&mut from).unwrap();
    assert!(matches!(failed, Some(Sent::Message(FromShard::Failed(_)))));
}

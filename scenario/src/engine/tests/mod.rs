//! Runs of whole shards in this process, against a small server or with dummies.

mod handover;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use super::{Control, Event, clock, run, run_local};
use crate::protocol::http::test_server::{Reply, Server};
use crate::shard::{
    EndReason, LoadChange, Plan, Problem, ProblemKind, ShardSpec, Surplus, TakeOver,
};
use crate::stats::frame::{Frame, Totals};

fn spec(root: &Path, simulation: &serde_json::Value) -> ShardSpec {
    std::fs::write(root.join("sim.json"), simulation.to_string()).unwrap();
    ShardSpec {
        job: "j".to_owned(),
        shard: 0,
        epoch: 1,
        segments_total: 720,
        segments: (0..720).collect(),
        threads: 2,
        seed: 7,
        root: root.to_owned(),
        simulation: "sim.json".to_owned(),
        parameters: BTreeMap::new(),
        environment: BTreeMap::new(),
        unix_ms: None,
        record_arrivals: None,
        max_duration_us: None,
        leased: false,
        ..ShardSpec::default()
    }
}

fn simulation(steps: serde_json::Value, inject: serde_json::Value) -> serde_json::Value {
    json!({
        "version": 1,
        "name": "sim",
        "populations": [{ "scenario": { "name": "s", "steps": steps }, "inject": inject }],
    })
}

fn dummy(ms: u64) -> serde_json::Value {
    json!({ "step": "dummy", "name": { "lit": "d" }, "response_time_ms": { "lit": ms } })
}

#[derive(Default)]
struct Outcome {
    plan: Option<Plan>,
    frames: Vec<Frame>,
}

impl Outcome {
    fn take(&mut self, event: Event) {
        match event {
            Event::Ready(plan) => self.plan = Some(plan),
            Event::Alive | Event::Yielded(_) | Event::Load(_) => {}
            Event::Surplus(_) | Event::HeldBack(_) => {}
            Event::Frame(frame) => self.frames.push(*frame),
            Event::Output { .. } => {}
        }
    }

    fn totals(&self) -> Totals {
        self.frames.last().and_then(|frame| frame.totals).expect("the last frame has totals")
    }

    /// Contiguous, one per second, adding up to the totals of the last one.
    fn check_frames(&self) {
        let mut sum = Totals::default();
        for (index, frame) in self.frames.iter().enumerate() {
            assert_eq!(frame.seq, index as u64 + 1);
            assert_eq!(frame.second, self.frames[0].second + index as u32);
            sum.add_frame(frame);
        }
        assert_eq!(sum, self.totals());
    }
}

fn run_here(spec: &ShardSpec) -> (Result<EndReason, Problem>, Outcome) {
    let (_control, orders) = mpsc::channel();
    let mut outcome = Outcome::default();
    let end = run_local(spec, &orders, &mut |event| outcome.take(event));
    (end, outcome)
}

#[test]
fn an_open_profile_starts_exactly_its_users_and_every_request_is_counted() {
    let server = Server::start(|_, _| Reply::with(200, &[], "hello"));
    let folder = tempfile::tempdir().unwrap();
    let get = json!({ "step": "action", "protocol": "http", "name": { "lit": "get" },
        "spec": { "method": "GET", "url": { "lit": format!("{}/x", server.base()) } } });
    let inject =
        json!({ "open": [{ "profile": "ramp_users", "users": 100, "duration_us": 2_000_000 }] });
    let mut spec = spec(folder.path(), &simulation(json!([get.clone(), get]), inject));
    spec.record_arrivals = Some(folder.path().join("out"));
    let (end, outcome) = run_here(&spec);
    assert_eq!(end, Ok(EndReason::Completed));
    outcome.check_frames();
    let totals = outcome.totals();
    assert_eq!((totals.users_started, totals.users_ended), (100, 100));
    assert_eq!((totals.requests_ok, totals.requests_ko, totals.errors), (200, 0, 0));
    assert_eq!(server.seen().len(), 200);
    let opened: u64 = outcome.frames.iter().map(|frame| frame.connections.opened).sum();
    assert_eq!(opened, 100);
    let arrivals = std::fs::read_to_string(folder.path().join("out/arrivals.csv")).unwrap();
    let mut users: Vec<u64> = arrivals
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    users.sort_unstable();
    assert_eq!(users, (0..100).collect::<Vec<u64>>());
    let plan = outcome.plan.unwrap();
    assert_eq!(plan.scenarios, [("s".to_owned(), Some(100))]);
    assert_eq!(plan.injection_us, 2_000_000);
}

#[test]
fn two_shards_share_the_users_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let inject = json!({ "open": [{ "profile": "at_once_users", "users": 1000 }] });
    let mut spec = spec(folder.path(), &simulation(json!([dummy(1)]), inject));
    let mut started = Vec::new();
    let mut hashes = Vec::new();
    for half in 0..2 {
        spec.segments = (0..720).filter(|segment| segment % 2 == half).collect();
        let (end, outcome) = run_here(&spec);
        assert_eq!(end, Ok(EndReason::Completed));
        started.push(outcome.totals().users_started);
        hashes.push(outcome.plan.unwrap().plan_hash);
    }
    assert_eq!(started.iter().sum::<u64>(), 1000);
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn the_closed_model_replaces_users_and_ends_with_its_profile() {
    let folder = tempfile::tempdir().unwrap();
    let inject = json!({ "closed": [
        { "profile": "constant_concurrent_users", "users": 10, "duration_us": 2_000_000 }] });
    let spec = spec(folder.path(), &simulation(json!([dummy(100)]), inject));
    let (end, outcome) = run_here(&spec);
    assert_eq!(end, Ok(EndReason::Completed));
    outcome.check_frames();
    let most = outcome
        .frames
        .iter()
        .flat_map(|frame| &frame.scenarios)
        .map(|scenario| scenario.active_max)
        .max()
        .unwrap();
    assert!(most <= 10, "{most}");
    let started = outcome.totals().users_started;
    assert!((100..=200).contains(&started), "{started}");
    assert_eq!(outcome.totals().users_ended, started);
}

#[test]
fn the_maximum_duration_ends_the_run_and_forgets_what_is_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let inject = json!({ "open": [{ "profile": "at_once_users", "users": 3 }] });
    let mut spec = spec(folder.path(), &simulation(json!([dummy(60_000)]), inject));
    spec.max_duration_us = Some(500_000);
    let (end, outcome) = run_here(&spec);
    assert_eq!(end, Ok(EndReason::MaxDuration));
    let totals = outcome.totals();
    assert_eq!((totals.users_started, totals.requests_ok, totals.requests_ko), (3, 0, 0));
}

#[test]
fn children_start_at_a_whole_second_after_their_parent() {
    let folder = tempfile::tempdir().unwrap();
    let at_once = json!({ "open": [{ "profile": "at_once_users", "users": 2 }] });
    let simulation = json!({
        "version": 1,
        "name": "sim",
        "populations": [{
            "scenario": { "name": "parent", "steps": [dummy(50)] },
            "inject": at_once,
            "children": [
                { "scenario": { "name": "child", "steps": [dummy(1)] }, "inject": at_once },
                // Of a second `andThen`: after the child, too.
                { "scenario": { "name": "last", "steps": [dummy(1)] }, "inject": at_once,
                    "stage": 1 },
            ],
        }],
    });
    let mut spec = spec(folder.path(), &simulation);
    spec.record_arrivals = Some(folder.path().to_owned());
    let (end, outcome) = run_here(&spec);
    assert_eq!(end, Ok(EndReason::Completed));
    assert_eq!(outcome.totals().users_ended, 6);
    let arrivals = std::fs::read_to_string(folder.path().join("arrivals.csv")).unwrap();
    let scheduled = |name: &str| -> Vec<&str> {
        let lines = arrivals.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.split(',').nth(2).unwrap()).collect()
    };
    assert_eq!(scheduled("\"child\""), ["1000000", "1000000"]);
    assert_eq!(scheduled("\"last\""), ["2000000", "2000000"]);
}

#[test]
fn a_graceful_stop_lets_the_action_in_flight_end_and_nothing_follow() {
    let folder = tempfile::tempdir().unwrap();
    let pause = json!({ "step": "pause", "duration": { "lit": 60 } });
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_millis(400));
        Reply::with(200, &[], "")
    });
    let get = json!({ "step": "action", "protocol": "http", "name": { "lit": "get" },
        "spec": { "method": "GET", "url": { "lit": server.base() } } });
    let inject = json!({ "open": [
        { "profile": "at_once_users", "users": 4 },
        { "profile": "nothing_for", "duration_us": 5_000_000 },
        { "profile": "at_once_users", "users": 4 }] });
    let spec = spec(folder.path(), &simulation(json!([get, pause]), inject));
    let (control, orders) = mpsc::channel();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        control.send(Control::Stop { graceful: true, reason: "enough".to_owned() }).unwrap();
        std::thread::sleep(Duration::from_secs(5));
    });
    let mut outcome = Outcome::default();
    let end = run_local(&spec, &orders, &mut |event| outcome.take(event));
    assert_eq!(end, Ok(EndReason::Stopped("enough".to_owned())));
    let totals = outcome.totals();
    assert_eq!((totals.users_started, totals.users_ended, totals.requests_ok), (4, 4, 4));
}

#[test]
fn load_ends_with_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    let inject = json!({ "open": [
        { "profile": "constant_users_per_sec", "rate": 100.0, "duration_us": 10_000_000 }] });
    let mut spec = spec(folder.path(), &simulation(json!([dummy(1)]), inject));
    spec.leased = true;
    let (control, orders) = mpsc::channel();
    let now = clock::boot_us();
    control.send(Control::Lease { until_boot_us: now + 1_500_000 }).unwrap();
    control
        .send(Control::Start { at_boot_us: now + 500_000, clock_error_us: 0, take_over: None })
        .unwrap();
    let mut outcome = Outcome::default();
    let end = run(&spec, &orders, &mut |event| outcome.take(event));
    assert_eq!(end, Ok(EndReason::LeaseExpired));
    outcome.check_frames();
    // One second of the profile lies inside the lease; loading may take part of it.
    assert!(outcome.totals().users_started <= 101, "{:?}", outcome.totals());
}

/// Users due at 0 were once started while the clock still stood before the common start.
#[test]
fn no_user_starts_before_the_common_start() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let times = std::sync::Arc::clone(&seen);
    let server = Server::start(move |_, _| {
        times.lock().unwrap().push(clock::boot_us());
        Reply::with(200, &[], "")
    });
    let folder = tempfile::tempdir().unwrap();
    let get = json!({ "step": "action", "protocol": "http", "name": { "lit": "r" },
        "spec": { "method": "GET", "url": { "lit": server.base() } } });
    let inject = json!({ "open": [{ "profile": "at_once_users", "users": 4 }] });
    let spec = spec(folder.path(), &simulation(json!([get]), inject));
    let (control, orders) = mpsc::channel();
    // Long enough after loading, which takes milliseconds.
    let start = clock::boot_us() + 1_500_000;
    control
        .send(Control::Start { at_boot_us: start, clock_error_us: 300, take_over: None })
        .unwrap();
    let mut outcome = Outcome::default();
    assert_eq!(run(&spec, &orders, &mut |event| outcome.take(event)), Ok(EndReason::Completed));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|&at| at >= start), "start {start}, requests {seen:?}");
    assert!(outcome.frames[0].requests[0].ok.min_us > 0);
    assert_eq!(outcome.frames[0].generator.clock_error_us, 300);
}

#[test]
fn without_a_lease_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let inject = json!({ "open": [{ "profile": "at_once_users", "users": 5 }] });
    let mut spec = spec(folder.path(), &simulation(json!([dummy(1)]), inject));
    spec.leased = true;
    let (control, orders) = mpsc::channel();
    control
        .send(Control::Start { at_boot_us: clock::boot_us(), clock_error_us: 0, take_over: None })
        .unwrap();
    let mut outcome = Outcome::default();
    let end = run(&spec, &orders, &mut |event| outcome.take(event));
    assert_eq!(end, Ok(EndReason::LeaseExpired));
    assert_eq!(outcome.totals().users_started, 0);
}

#[test]
fn arrivals_before_a_late_start_are_dropped_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let inject = json!({ "open": [
        { "profile": "ramp_users", "users": 11, "duration_us": 11_000_000 }] });
    let spec = spec(folder.path(), &simulation(json!([dummy(1)]), inject));
    let (control, orders) = mpsc::channel();
    control
        .send(Control::Start {
            at_boot_us: clock::boot_us() - 9_500_000,
            clock_error_us: 0,
            take_over: None,
        })
        .unwrap();
    let mut outcome = Outcome::default();
    let end = run(&spec, &orders, &mut |event| outcome.take(event));
    assert_eq!(end, Ok(EndReason::Completed));
    outcome.check_frames();
    let dropped: u64 = outcome.frames.iter().map(|frame| frame.generator.dropped).sum();
    assert_eq!(dropped + outcome.totals().users_started, 11);
    assert!(dropped >= 10 && outcome.frames[0].second >= 9, "{dropped}");
    assert!(outcome.frames[0].generator.start_late_us >= 9_500_000);
}

/// Forty users a second for five seconds; `later` is told with the frame of that second.
fn under_a_load(
    first: &[LoadChange],
    later: (u32, &[LoadChange]),
) -> (Outcome, Vec<crate::shard::LoadHeard>) {
    let folder = tempfile::tempdir().unwrap();
    let inject = json!({ "open": [
        { "profile": "constant_users_per_sec", "rate": 40.0, "duration_us": 5_000_000 }] });
    let spec = spec(folder.path(), &simulation(json!([dummy(1)]), inject));
    let (control, orders) = mpsc::channel();
    if !first.is_empty() {
        control.send(Control::Load { changes: first.to_vec() }).unwrap();
    }
    let at_boot_us = clock::boot_us() + 500_000;
    control.send(Control::Start { at_boot_us, clock_error_us: 0, take_over: None }).unwrap();
    let (mut outcome, mut heard) = (Outcome::default(), Vec::new());
    let end = run(&spec, &orders, &mut |event| match event {
        Event::Load(what) => heard.push(what),
        Event::Frame(frame) => {
            if frame.second == later.0 {
                // Twice: the second time it is nothing new.
                for _ in 0..2 {
                    control.send(Control::Load { changes: later.1.to_vec() }).unwrap();
                }
            }
            outcome.take(Event::Frame(frame));
        }
        other => outcome.take(other),
    });
    assert_eq!(end, Ok(EndReason::Completed));
    outcome.check_frames();
    (outcome, heard)
}

#[test]
fn a_load_holds_from_its_instant_on_and_is_in_what_is_planned() {
    let change = |at_us, factor| LoadChange { at_us, factor };
    let both = [change(1_000_000, 2_000), change(4_000_000, 0)];
    let (outcome, heard) = under_a_load(&both[..1], (0, &both));
    assert_eq!(heard.iter().map(|it| it.changes).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(heard[0].late_us, 0);
    let of = |frame: &Frame| {
        let users = &frame.scenarios[0];
        (users.revision.loads, users.planned)
    };
    assert_eq!(of(&outcome.frames[0]), (1, Some(360)));
    let mut rows = outcome.frames.iter().filter(|frame| !frame.scenarios.is_empty());
    assert_eq!(of(rows.next_back().unwrap()), (2, Some(280)));
    assert_eq!(outcome.totals().users_started, 280);
}

/// What was due since the instant comes at once, but for what lies too far back; all is counted.
#[test]
fn a_load_that_is_heard_late_is_followed_from_then_on() {
    let late = [LoadChange { at_us: 500_000, factor: 2_000 }];
    let (outcome, heard) = under_a_load(&[], (0, &late));
    assert_eq!((heard.len(), heard[0].changes), (1, 1));
    assert!(heard[0].late_us > 400_000, "{heard:?}");
    let dropped: u64 = outcome.frames.iter().map(|frame| frame.generator.dropped).sum();
    assert_eq!(outcome.totals().users_started + dropped, 20 + 360);
    let last = outcome.frames.iter().rev().find_map(|frame| frame.scenarios.first());
    assert_eq!(last.unwrap().planned, Some(380));
}

#[test]
fn stop_and_crash_end_the_whole_run() {
    let folder = tempfile::tempdir().unwrap();
    let inject = json!({ "open": [{ "profile": "at_once_users", "users": 1 }] });
    let stop = json!({ "step": "stop_load_generator", "message": { "lit": "done" } });
    let stopping = spec(folder.path(), &simulation(json!([dummy(1), stop]), inject.clone()));
    let (end, outcome) = run_here(&stopping);
    assert_eq!(end, Ok(EndReason::StoppedByScript("done".to_owned())));
    assert_eq!(outcome.totals().requests_ok, 1);
    let crash = json!({ "step": "crash_load_generator", "message": { "lit": "boom" } });
    let crashing = spec(folder.path(), &simulation(json!([crash]), inject));
    let (end, outcome) = run_here(&crashing);
    let problem = end.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Crash);
    assert_eq!(problem.message, "Run crashed from code using crashLoadGenerator: boom");
    outcome.check_frames();
}

#[test]
fn a_rendez_vous_releases_its_users_together() {
    let folder = tempfile::tempdir().unwrap();
    let inject =
        json!({ "open": [{ "profile": "ramp_users", "users": 10, "duration_us": 1_000_000 }] });
    let steps = json!([{ "step": "rendez_vous", "users": 10 }, dummy(0)]);
    let mut spec = spec(folder.path(), &simulation(steps, inject));
    let (end, outcome) = run_here(&spec);
    assert_eq!(end, Ok(EndReason::Completed));
    assert_eq!(outcome.totals().requests_ok, 10);
    spec.segments = vec![0, 1];
    let problem = run_here(&spec).0.unwrap_err();
    assert!(problem.message.starts_with("rendezVous(10) cannot open"), "{}", problem.message);
}

#[test]
fn a_throttle_spaces_the_requests() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let folder = tempfile::tempdir().unwrap();
    let get = json!({ "step": "action", "protocol": "http", "name": { "lit": "get" },
        "spec": { "method": "GET", "url": { "lit": server.base() } } });
    let inject = json!({ "open": [{ "profile": "at_once_users", "users": 50 }] });
    let mut graph = simulation(json!([get]), inject);
    graph["throttle"] = json!([
        { "throttle": "jump", "rps": 10 }, { "throttle": "hold", "duration_us": 2_000_000 }]);
    let (end, outcome) = run_here(&spec(folder.path(), &graph));
    assert_eq!(end, Ok(EndReason::MaxDuration));
    let sent: Vec<u64> = outcome
        .frames
        .iter()
        .take(2)
        .map(|frame| frame.requests.iter().map(|request| request.sent).sum())
        .collect();
    assert_eq!(sent, [10, 10]);
}

#[test]
fn a_graph_that_cannot_run_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let inject = json!({ "open": [{ "profile": "at_once_users", "users": 1 }] });
    let empty = spec(folder.path(), &simulation(json!([]), inject));
    let problem = run_here(&empty).0.unwrap_err();
    assert_eq!(
        (problem.kind, problem.message.as_str()),
        (ProblemKind::Script, "Scenario s is empty")
    );
    let mut missing = empty;
    missing.simulation = "other.json".to_owned();
    assert_eq!(run_here(&missing).0.unwrap_err().kind, ProblemKind::FileMissing);
}

#[test]
fn a_script_runs_with_its_functions_feeders_and_checks() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/users/ada" | "/users/bob" => Reply::with(200, &[], r#"{"id": 7}"#),
        "/items/8" => Reply::with(200, &[], "ok"),
        _ => Reply::with(404, &[], ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        import { simulation, scenario, exec, atOnceUsers, csv, feed, jmesPath } from "@gatling.io/core";
        import { http, status } from "@gatling.io/http";
        export default simulation((setUp) => {
            const users = csv("users.csv").circular();
            const s = scenario("s").exec(
                feed(users),
                http("user").get("/users/#{name}").check(jmesPath("id").ofInt().saveAs("id")),
                exec((session) => session.set("next", session.get("id") + 1)),
                http("item").get((session) => `/items/${session.get("next")}`).check(status().is(200)),
            );
            setUp(s.injectOpen(atOnceUsers(6))).protocols(http.baseUrl("BASE"));
        });
    "#
    .replace("BASE", &server.base());
    std::fs::create_dir(folder.path().join("resources")).unwrap();
    std::fs::write(folder.path().join("resources/users.csv"), "name\nada\nbob\n").unwrap();
    let inject = json!({ "open": [{ "profile": "at_once_users", "users": 1 }] });
    let mut spec = spec(folder.path(), &simulation(json!([dummy(1)]), inject));
    std::fs::write(folder.path().join("sim.gatling.js"), script).unwrap();
    spec.simulation = "sim.gatling.js".to_owned();
    let (end, outcome) = run_here(&spec);
    assert_eq!(end, Ok(EndReason::Completed));
    let errors: Vec<_> = outcome.frames.iter().flat_map(|frame| &frame.errors).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let totals = outcome.totals();
    assert_eq!((totals.requests_ok, totals.requests_ko, totals.users_ended), (12, 0, 6));
    let ada = server.seen().iter().filter(|seen| seen.target == "/users/ada").count();
    assert_eq!(ada, 3);
}

/// Little's law, users = throughput × time, holds for what is reported: users without pauses
/// always have one request in flight, so that their response times fill the run.
#[test]
fn users_are_throughput_times_response_time() {
    const USERS: u64 = 8;
    const TIMES: u64 = 50;
    let arrivals = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let stamps = std::sync::Arc::clone(&arrivals);
    let server = Server::start(move |_, _| {
        stamps.lock().unwrap().push(std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(10));
        Reply::with(200, &[], "")
    });
    let folder = tempfile::tempdir().unwrap();
    let get = json!({ "step": "action", "protocol": "http", "name": { "lit": "get" },
        "spec": { "method": "GET", "url": { "lit": server.base() } } });
    let steps = json!([{ "step": "repeat", "times": { "lit": TIMES }, "body": [get] }]);
    let inject = json!({ "open": [{ "profile": "at_once_users", "users": USERS }] });
    let began = std::time::Instant::now();
    let (end, outcome) = run_here(&spec(folder.path(), &simulation(steps, inject)));
    let whole = u64::try_from(began.elapsed().as_micros()).unwrap();
    assert_eq!(end, Ok(EndReason::Completed));
    let (count, sum) = outcome
        .frames
        .iter()
        .flat_map(|frame| &frame.requests)
        .fold((0, 0), |(count, sum), it| (count + it.ok.count, sum + it.ok.sum_us));
    assert_eq!(count, USERS * TIMES);
    let arrivals = arrivals.lock().unwrap();
    let first = arrivals.iter().min().unwrap();
    let spread = arrivals.iter().max().unwrap().duration_since(*first);
    let spread = u64::try_from(spread.as_micros()).unwrap();
    // No user has more than one request in flight, and none is idle for a fifth of its time.
    assert!(sum <= USERS * whole, "{sum} µs in {whole} µs");
    assert!(sum * 10 >= USERS * spread * 8, "{sum} µs in {spread} µs between first and last");
}

//! The load of a running job, changed: on all shards at one instant, to the arrival.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::acceptance::{
    Load as Asked, Target, counts_by_name, recorded_arrivals, submit, submit_file,
};
use harness::cluster::{Cluster, FORMING_LIMIT, await_status};
use harness::process::onrush;
use harness::rest::Rest;
use harness::wait::until;
use onrush_scenario::inject::load::{Arrivals, planned_users};
use onrush_scenario::inject::{InjectionSpec, Load, LoadChange, OpenStep};
use serde_json::{Value, json};

pub(crate) const ENDED: [&str; 4] = ["finished", "failed", "aborted", "lost"];

fn steps(asked: Asked) -> Vec<OpenStep> {
    vec![OpenStep::ConstantUsersPerSec {
        rate: asked.users_per_sec.into(),
        duration_us: u64::from(asked.seconds) * 1_000_000,
        randomized: false,
    }]
}

/// Waits until the run's committed figures have reached a second.
pub(crate) fn reached(rest: &Rest, job: &str, second: u64) {
    until(&format!("second {second} of {job}"), Duration::from_secs(60), || {
        let found = rest.get(&format!("/api/v1/jobs/{job}"))?;
        let ticks = found["ticks"].as_u64().context("ticks")?;
        ensure!(found["status"] == "running", "it is {}: {}", found["status"], found["verdict"]);
        ensure!(ticks > second, "{ticks} ticks");
        Ok(())
    });
}

/// Asks over REST, and gives the instant in seconds.
fn patch(rest: &Rest, job: &str, body: &Value) -> u64 {
    let path = format!("/api/v1/jobs/{job}/load");
    let (status, text) = rest.patch(&path, &body.to_string()).expect("the node answers");
    assert_eq!(status, 202, "{text}");
    let changes = |job: &Value| job["load"]["changes"].as_array().cloned().unwrap_or_default();
    let asked = serde_json::from_str::<Value>(&text).expect("a job");
    let index = changes(&asked).len() - 1;
    until("the instant", FORMING_LIMIT, || {
        let found = rest.get(&format!("/api/v1/jobs/{job}"))?;
        seconds(&changes(&found)[index])
    })
}

fn seconds(change: &Value) -> anyhow::Result<u64> {
    let at = change["at_s"].as_f64().with_context(|| change.to_string())?;
    ensure!(at.fract() == 0.0, "{at} is no whole second");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole second")]
    Ok(at as u64)
}

fn refused(rest: &Rest, job: &str, body: &str, status: u16, text: &str) {
    let (found, answer) =
        rest.patch(&format!("/api/v1/jobs/{job}/load"), body).expect("the node answers");
    assert!(found == status && answer.contains(text), "{found} {answer}");
}

/// Twice as much, a pause, half as much: three shards start what the arithmetic says, arrival by
/// arrival, and report it so.
#[test]
fn the_load_changes_on_all_shards_at_one_instant() {
    let _machine = crate::whole_machine();
    let cluster = Cluster::start(3);
    let target = Target::start(&cluster.dir);
    let asked = Asked { users_per_sec: 60, seconds: 36 };
    let address = cluster.nodes[0].address();
    let job = submit(&address, &target, asked, &["--record-arrivals"]).expect("submitted");
    let rest = cluster.nodes[cluster.follower()].rest();
    reached(&rest, &job, 3);
    refused(&rest, &job, r#"{"factor":11}"#, 400, "/factor");
    refused(&rest, &job, "{}", 400, "give a factor, paused, or both");

    let told = onrush(["--address", &address, "job", "load", &job, "--factor", "2", "--json"]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success(), "{text}{}", String::from_utf8_lossy(&told.stderr));
    let double = serde_json::from_str::<Value>(&text).expect("a job")["load"]["changes"][0].clone();
    let double = seconds(&double).expect("the instant");
    reached(&rest, &job, double + 2);
    let pause = patch(&rest, &job, &json!({"paused": true}));
    // Asked again, it is so already.
    let again = rest.patch(&format!("/api/v1/jobs/{job}/load"), r#"{"paused":true}"#);
    assert_eq!(again.expect("the node answers").0, 200);
    reached(&rest, &job, pause + 1);
    let half = patch(&rest, &job, &json!({"factor": 0.5, "paused": false}));
    let ended = await_status(&|| rest.clone(), &job, &ENDED, Duration::from_secs(90));
    has_passed(&cluster, &target, &ended);
    refused(&rest, &job, r#"{"factor":2}"#, 409, "already-finished");

    let change = |at: u64, factor| LoadChange { at_us: at * 1_000_000, factor };
    let load = Load::new(&[change(double, 2_000), change(pause, 0), change(half, 500)]);
    let planned = is_what_was_planned(&rest, &job, &target, asked, &load);
    is_arrival_by_arrival(&cluster, &job, asked, &load, double);
    let shown = onrush(["--address", &address, "job", "show", &job]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for line in [format!("×2 from {double} s of the run on"), "load paused asked for".to_owned()] {
        assert!(shown.contains(&line), "{shown}");
    }
    println!("×2 from {double} s, paused from {pause} s, ×0.5 from {half} s: {planned} users");
}

fn has_passed(cluster: &Cluster, target: &Target, job: &Value) {
    let id = job["id"].as_str().expect("an id");
    let summary = cluster.nodes[0].rest().get(&format!("/api/v1/jobs/{id}/summary"));
    let passed = target.machine.passed(&job["verdict"], &summary.expect("a summary"));
    assert!(passed.is_ok(), "{passed:?}: {job}{}", cluster.logs());
}

/// Report and target against the arithmetic; gives the number of users.
fn is_what_was_planned(rest: &Rest, job: &str, target: &Target, asked: Asked, load: &Load) -> u64 {
    let planned = planned_users(&InjectionSpec::Open(steps(asked)), load, 0).expect("open");
    let rate = u64::from(asked.users_per_sec);
    let due: Vec<u64> = (0..u64::from(asked.seconds))
        .map(|second| rate * u64::from(load.factor_at(second * 1_000_000)) / 1_000)
        .collect();
    assert_eq!(due.iter().sum::<u64>(), planned);
    let summary = rest.get(&format!("/api/v1/jobs/{job}/summary")).expect("a summary");
    let scenario = &summary["scenarios"][0];
    assert_eq!((&scenario["planned"], &scenario["started"]), (&json!(planned), &json!(planned)));
    assert_eq!((&summary["coverage"], &summary["lost"]), (&json!(1.0), &json!([])));
    let started: Vec<u64> =
        serde_json::from_value(summary["series"]["started"].clone()).expect("a column");
    assert_eq!(started[..due.len()], due, "users by second");
    let counts = target.counts().expect("the target answers");
    assert!(counts.values().all(|count| *count == planned), "{planned} users: {counts:?}");
    assert_eq!(counts_by_name(&summary).expect("rows"), counts);
    let steps = summary["load"].as_array().expect("changes");
    assert_eq!(
        (steps.len(), &steps[0]["factor"], &steps[1]["paused"]),
        (3, &json!(2.0), &json!(true))
    );
    let events = summary["events"].to_string();
    assert!(events.contains("load ×2") && !events.contains("asked for"), "{events}");
    let html = rest.text(&format!("/api/v1/jobs/{job}/report.html")).expect("a report");
    assert!(html.contains("×2 from ") && html.contains("paused from "), "the report says so");
    planned
}

/// What all shards recorded is the plan; each of them took the step in time.
fn is_arrival_by_arrival(cluster: &Cluster, job: &str, asked: Asked, load: &Load, double: u64) {
    let arrivals = recorded_arrivals(cluster, job).expect("every node's arrivals");
    let plan: Vec<(u64, u64)> = Arrivals::new(&steps(asked), 0, load, 0)
        .map(|arrival| (arrival.k, arrival.at_us))
        .collect();
    let mut scheduled: Vec<(u64, u64)> =
        arrivals.iter().map(|row| (row.user, row.scheduled_us)).collect();
    scheduled.sort_unstable();
    assert!(scheduled == plan, "{} arrivals, {} in the plan", scheduled.len(), plan.len());
    for node in 0..cluster.nodes.len() {
        let of = |second: u64| {
            let second = second * 1_000_000..(second + 1) * 1_000_000;
            arrivals
                .iter()
                .filter(move |row| row.node == node && second.contains(&row.scheduled_us))
        };
        let (before, after) = (of(double - 1).count(), of(double).count());
        assert_eq!(after, before * 2, "node {node}");
        let mut late: Vec<u64> =
            of(double).map(|row| row.started_us.saturating_sub(row.scheduled_us)).collect();
        late.sort_unstable();
        println!("node {node}: {before}, then {after} users a second, late at most {late:?} µs");
        assert!(late[late.len() / 2] < 50_000, "node {node}: {late:?}");
    }
}

/// A node is lost after the load was doubled: who takes over follows it, and what was planned is what
/// was started and what was missed.
#[test]
fn who_takes_over_follows_the_load() {
    let _machine = crate::whole_machine();
    let mut cluster = Cluster::start(3);
    let target = Target::start(&cluster.dir);
    let asked = Asked { users_per_sec: 30, seconds: 40 };
    let (leader, lost) = (cluster.leader(), cluster.follower());
    let job = submit(&cluster.nodes[leader].address(), &target, asked, &[]).expect("submitted");
    let rest = cluster.nodes[leader].rest();
    reached(&rest, &job, 2);
    let double = patch(&rest, &job, &json!({"factor": 2.0}));
    reached(&rest, &job, double + 1);
    cluster.nodes[lost].kill();
    let ended = await_status(&|| rest.clone(), &job, &ENDED, Duration::from_secs(120));
    assert_eq!(ended["status"], "finished", "{ended}{}", cluster.logs());
    let summary = rest.get(&format!("/api/v1/jobs/{job}/summary")).expect("a summary");
    let load = Load::new(&[LoadChange { at_us: double * 1_000_000, factor: 2_000 }]);
    let planned = planned_users(&InjectionSpec::Open(steps(asked)), &load, 0).expect("open");
    let scenario = &summary["scenarios"][0];
    assert_eq!(scenario["planned"], json!(planned), "{scenario}");
    let missed: u64 = summary["lost"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|part| part["arrivals_missed"].as_u64())
        .sum();
    let started = scenario["started"].as_u64().expect("a count");
    println!("×2 from {double} s: {planned} planned, {started} started, {missed} missed");
    assert_eq!(started + missed, planned, "{}", summary["lost"]);
    assert!(missed > 0 && missed < planned / 2, "{missed} missed of {planned}");
}

/// Thirty a second for three seconds, then as many for ten: `second` follows on `first`.
const STAGED: &str = r#"
    import { constantUsersPerSec, getParameter, global, scenario, simulation } from "@gatling.io/core";
    import { http } from "@gatling.io/http";
    const visit = (name) => scenario(name)
      .exec(http(name).get("/echo").header("x-request-name", name));
    export default simulation((setUp) => {
      const load = (seconds) => constantUsersPerSec(30).during(seconds);
      setUp(visit("first").injectOpen(load(3)).andThen(visit("second").injectOpen(load(10))))
        .protocols(http.baseUrl(getParameter("target")))
        .assertions(global().failedRequests().count().is(0));
    });
"#;

/// Once the load of a job with `andThen` could not be changed: no shard alone knows when the populations
/// that follow begin.
#[test]
fn a_population_that_follows_on_another_follows_the_load() {
    let _machine = crate::whole_machine();
    let cluster = Cluster::start(3);
    let target = Target::start(&cluster.dir);
    let path = cluster.dir.join("staged.gatling.js");
    std::fs::write(&path, STAGED).expect("the script is written");
    let address = cluster.nodes[0].address();
    let url = format!("target={}", target.url());
    let job = &submit_file(&address, &path, &["--record-arrivals", &url]).expect("submitted");
    let rest = cluster.nodes[0].rest();
    reached(&rest, job, 5);
    let double = patch(&rest, job, &json!({"factor": 2.0}));
    let ended = await_status(&|| rest.clone(), job, &ENDED, Duration::from_secs(90));
    has_passed(&cluster, &target, &ended);

    // Each shard's begins by itself: what came of it is arithmetic from there on.
    let arrivals = recorded_arrivals(&cluster, job).expect("every node's arrivals");
    let mut planned = 0;
    for (node, name) in cluster.nodes.iter().enumerate().map(|(at, node)| (at, &node.name)) {
        let own = || arrivals.iter().filter(move |row| row.node == node);
        let second = own().filter(|row| row.scheduled_us >= 4_000_000);
        let begun = second.clone().map(|row| row.scheduled_us).min().expect("it began") / 1_000_000;
        let load = Load::new(&[LoadChange { at_us: double * 1_000_000, factor: 2_000 }]);
        let steps = steps(Asked { users_per_sec: 30, seconds: 10 });
        let all = planned_users(&InjectionSpec::Open(steps), &load.since(begun * 1_000_000), 0);
        let share = all.expect("open") / 3;
        println!("{name}: from {begun} s on, ×2 from {double} s: {share} users");
        assert_eq!((own().count() as u64, second.count() as u64), (30 + share, share), "{name}");
        planned += share;
    }
    assert!(planned > 300, "{planned}");
    let summary = rest.get(&format!("/api/v1/jobs/{job}/summary")).expect("a summary");
    assert_eq!((&summary["coverage"], &summary["lost"]), (&json!(1.0), &json!([])));
    for (row, users) in [(0, 90), (1, planned)] {
        let row = &summary["scenarios"][row];
        assert_eq!((&row["planned"], &row["started"]), (&json!(users), &json!(users)), "{row}");
    }
    let counts = target.counts().expect("the target answers");
    assert_eq!(counts.get("second"), Some(&planned), "{counts:?}");
    assert_eq!(counts_by_name(&summary).expect("rows"), counts);
}

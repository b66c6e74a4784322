//! What the cluster promises, at the size that a test run can afford. `tests/acceptance.sh` runs
//! the same at full size.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use harness::acceptance::{
    Load, Target, exactness, master_loss, master_pause, restart_of_all, submit_file,
};
use harness::cluster::{Cluster, FORMING_LIMIT, await_status};
use harness::process::onrush;
use harness::wait::until;

#[test]
fn three_nodes_send_exactly_what_one_would_and_report_exactly_what_was_sent() {
    let text = exactness(Load { users_per_sec: 50, seconds: 6 }).expect("exact");
    println!("{text}");
}

#[test]
fn the_load_goes_on_and_every_sample_counts_once_when_the_master_dies() {
    let mut cluster = Cluster::start(5);
    let target = Target::start(&cluster.dir);
    let load = Load { users_per_sec: 60, seconds: 15 };
    let loss =
        master_loss(&mut cluster, &target, load, Duration::from_secs(4)).expect("no sample lost");
    println!("first tick {:?} after the kill, {} requests", loss.first_tick, loss.outcome.requests);
}

#[test]
fn jobs_files_reports_and_history_survive_the_death_of_all_nodes() {
    let text = restart_of_all(Load { users_per_sec: 20, seconds: 3 }).expect("all is there");
    println!("{text}");
}

#[test]
fn a_master_that_stands_still_and_comes_back_drives_nothing_any_more() {
    let _machine = crate::whole_machine();
    let mut cluster = Cluster::start(5);
    let target = Target::start(&cluster.dir);
    let load = Load { users_per_sec: 40, seconds: 25 };
    let (after, pause) = (Duration::from_secs(4), Duration::from_secs(15));
    let text = master_pause(&mut cluster, &target, load, after, pause).expect("one master");
    println!("{text}");
}

/// A script that looks at the clock while it is loaded makes the same plan on every node: all shards
/// see the moment of the submission.
#[test]
fn all_shards_see_one_date_while_the_script_is_loaded() {
    let cluster = Cluster::start(3);
    let path = cluster.dir.join("dated.gatling.js");
    let script = r#"
        import { atOnceUsers, scenario, simulation } from "@gatling.io/core";
        console.log("loaded at " + new Date().toISOString() + " " + Date.now());
        export default simulation((setUp) => {
          setUp(scenario("run of " + Date.now()).pause(0.1).injectOpen(atOnceUsers(6)));
        });
    "#;
    fs::write(&path, script).expect("the script is written");
    let node = &cluster.nodes[0];
    let address = node.address();
    let id = &submit_file(&address, &path, &[]).expect("submitted");
    let ended = ["finished", "failed", "aborted", "lost"];
    let job = await_status(&|| node.rest(), id, &ended, FORMING_LIMIT);
    assert_eq!(job["status"], "finished", "{job}");
    let lines = until("the lines of all shards", FORMING_LIMIT, || {
        let logs = onrush(["--address", &address, "job", "logs", id]);
        let text = String::from_utf8_lossy(&logs.stdout).into_owned();
        let of = |line: &str| line.split_once("loaded at ").map(|(_, date)| date.trim().to_owned());
        let lines: Vec<String> = text.lines().filter_map(of).collect();
        ensure!(lines.len() == 3, "{text}{}", String::from_utf8_lossy(&logs.stderr));
        Ok(lines)
    });
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    let submitted_at = job["submitted_at"].as_str().expect("a time");
    let second = &submitted_at[.."2026-01-01T00:00:00".len()];
    assert!(lines[0].starts_with(second), "loaded at {}, submitted at {submitted_at}", lines[0]);
}

/// Ten per second each for the whole job; the second population follows on the first one, whenever
/// the users of that have ended on each node.
const STAGED: &str = r#"
    import { constantUsersPerSec, getParameter, global, scenario, simulation } from "@gatling.io/core";
    import { http, status } from "@gatling.io/http";
    const visit = (name) => scenario(name)
      .exec((session) => session.set("arrival", session.userId()))
      .exec(http(name).get("/echo?arrival=#{arrival}").header("x-request-name", name))
      .pause(0.5);
    export default simulation((setUp) => {
      const load = (seconds) => constantUsersPerSec(30).during(seconds);
      setUp(visit("first").injectOpen(load(3)).andThen(visit("second").injectOpen(load(14))))
        .protocols(http.baseUrl(getParameter("target")))
        .assertions(global().failedRequests().count().is(0));
    });
"#;

/// Once a population that followed on another stayed where it was, and was lost with its node.
#[test]
fn a_population_that_follows_on_another_goes_on_elsewhere_when_its_node_is_killed() {
    let mut cluster = Cluster::start(3);
    let target = Target::start(&cluster.dir);
    let path = cluster.dir.join("staged.gatling.js");
    fs::write(&path, STAGED).expect("the script is written");
    let victim = cluster.follower();
    let node = cluster.leader();
    let (address, rest) = (cluster.nodes[node].address(), cluster.nodes[node].rest());
    let url = format!("target={}", target.url());
    let id = submit_file(&address, &path, &[&url]).expect("submitted");
    until("users of the second population on all nodes", FORMING_LIMIT, || {
        let ids = target.ids()?;
        let second = ids.get("second").map_or(0, |ids| ids.distinct);
        ensure!(second >= 90, "{second} of them");
        Ok(())
    });
    cluster.nodes[victim].kill();
    let ended = ["finished", "failed", "aborted", "lost"];
    let job = await_status(&|| rest.clone(), &id, &ended, Duration::from_secs(90));
    assert_eq!(job["status"], "finished", "{job}\n{}", cluster.logs());
    let summary = rest.get(&format!("/api/v1/jobs/{id}/summary")).expect("a summary");
    let lost = summary["lost"].as_array().expect("losses");
    assert!(!lost.is_empty() && lost.iter().all(|part| part["made_up"] == true), "{lost:?}");
    let sum = |field: &str| lost.iter().filter_map(|part| part[field].as_u64()).sum::<u64>();
    let shards = summary["shards"].as_array().expect("shards");
    let started: u64 = shards.iter().filter_map(|shard| shard["users_started"].as_u64()).sum();
    let (missed, planned) = (sum("arrivals_missed"), 30 * (3 + 14));
    assert_eq!(started + missed, planned, "{missed} missed: {summary}");
    assert!((1..=60).contains(&missed), "a kill is known at once: {missed} missed of {planned}");
    let ids = target.ids().expect("the target answers");
    for (name, planned) in [("first", 90), ("second", 420)] {
        let seen = &ids[name];
        assert!(seen.doubled.is_empty(), "{name}: {:?}", seen.doubled);
        // What was started in the dead node's last second is in no frame.
        assert!(seen.distinct <= planned && seen.distinct + missed >= planned, "{name}: {seen:?}");
    }
    assert_eq!(ids["first"].distinct, 90);
}

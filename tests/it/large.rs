//! Simulations as teams write them, on a cluster, against services that check each request: tokens,
//! the order of steps, bodies, headers.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use harness::acceptance::{Target, counts_by_name};
use harness::cluster::{Cluster, FORMING_LIMIT, await_status, repository};
use harness::process::{binary, onrush};
use harness::wait::until;
use serde_json::Value;

const RATE: u64 = 5;
const SECONDS: u64 = 2;

/// A simulation and the users that its open profiles plan, for [`RATE`] and [`SECONDS`]; closed
/// profiles come on top where `closed` says so.
const SIMULATIONS: [(&str, u64, bool); 5] = [
    ("bank.gatling.js", 2 * RATE * SECONDS, false),
    ("tickets.gatling.ts", 2 * RATE + RATE * SECONDS, false),
    ("cms.gatling.js", 2 * RATE * SECONDS + (1 + RATE) * SECONDS / 2, false),
    ("crud.gatling.ts", RATE * SECONDS + 3, false),
    ("journey.gatling.js", 2 * RATE * SECONDS, true),
];

fn submit(address: &str, target: &Target, simulation: &str) -> anyhow::Result<String> {
    let output = Command::new(binary("onrush"))
        .args(["--address", address, "job", "submit", "--json", "--detach"])
        .arg(repository().join("tests/simulations/large").join(simulation))
        .arg(format!("target={}", target.url()))
        .args([format!("rate={RATE}"), format!("duration={SECONDS}")])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}{text}", String::from_utf8_lossy(&output.stderr));
    let job: Value = serde_json::from_str(&text).with_context(|| text.to_string())?;
    Ok(job["id"].as_str().context("the job has an id")?.to_owned())
}

/// By the name of the request that the simulation sent: what a redirect led to is sent by the same.
fn by_origin(reported: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in reported {
        let origin = name.split(" Redirect ").next().unwrap_or_default().to_owned();
        *sums.entry(origin).or_default() += count;
    }
    sums
}

fn hold(cluster: &Cluster, target: &Target, of: (&str, u64, bool)) -> anyhow::Result<String> {
    let (simulation, planned, closed) = of;
    let node = &cluster.nodes[0];
    target.reset();
    let job = submit(&node.address(), target, simulation)?;
    let ended = ["finished", "failed", "aborted", "lost"];
    let found = await_status(&|| node.rest(), &job, &ended, FORMING_LIMIT);
    let seen = target.rest().get("/__counts")?;
    let violations = &seen["violations"];
    ensure!(violations.as_object().is_some_and(|it| it.is_empty()), "violations: {violations:#}");
    let summary = node.rest().get(&format!("/api/v1/jobs/{job}/summary"))?;
    let errors = &summary["errors"];
    ensure!(found["status"] == "finished", "status {}: {errors:#}", found["status"]);
    target
        .machine
        .passed(&found["verdict"], &summary)
        .with_context(|| format!("{errors:#}, {:#}", summary["assertions"]))?;
    let reported = by_origin(counts_by_name(&summary)?);
    let counted: BTreeMap<String, u64> = serde_json::from_value(seen["by_name"].clone())?;
    ensure!(reported == counted, "the report counts {reported:?}, the target {counted:?}");
    let started: Vec<u64> = serde_json::from_value(summary["series"]["started"].clone())?;
    let started: u64 = started.iter().sum();
    let as_planned = if closed { started > planned } else { started == planned };
    ensure!(as_planned, "{started} users started, {planned} are planned");
    ensure!(summary["coverage"].as_f64() == Some(1.0), "coverage {}", summary["coverage"]);
    Ok(format!("{started} users, {} requests by {} names", seen["total"], counted.len()))
}

#[test]
fn large_simulations_send_what_they_say_and_report_what_was_sent() {
    let _machine = crate::whole_machine();
    let cluster = Cluster::start(3);
    let target = Target::start(&cluster.dir);
    for of in SIMULATIONS {
        let start = Instant::now();
        let text = hold(&cluster, &target, of).with_context(|| of.0).expect("as it says");
        println!("{}: {text}, {:?}", of.0, start.elapsed());
    }
    packages_travel_and_each_shard_begins_and_ends(&cluster).expect("as it says");
}

/// On the same cluster: a package of `node_modules` is sent with the job, and `before` and `after`
/// run on every node.
fn packages_travel_and_each_shard_begins_and_ends(cluster: &Cluster) -> anyhow::Result<()> {
    let project = cluster.dir.join("project");
    for (path, text) in [
        ("package.json", "{}"),
        ("node_modules/greet/package.json", r#"{"main": "lib"}"#),
        ("node_modules/greet/lib/index.js", "exports.greet = (name) => 'hello ' + name;"),
        ("node_modules/greet/lib/unused.js", "throw new Error('not sent')"),
        (
            "load/sim.js",
            "import { GlobalStore, atOnceUsers, exec, scenario, simulation } from '@gatling.io/core';
             import { greet } from 'greet';
             export const before = () => GlobalStore.put('who', greet('nodes'));
             export const after = () => console.log('after: ' + GlobalStore.get('who'));
             export default simulation((setUp) => setUp(scenario('s').exec(exec((s) => {
               if (GlobalStore.get('who') !== 'hello nodes') throw new Error('before has not run');
               return s;
             })).pause(0.1).injectOpen(atOnceUsers(6))));",
        ),
    ] {
        let full = project.join(path);
        fs::create_dir_all(full.parent().context("a folder")?)?;
        fs::write(full, text)?;
    }
    let node = &cluster.nodes[0];
    let address = node.address();
    let submit = ["--address", &address, "job", "submit", "--json", "--detach"].map(OsStr::new);
    let script = project.join("load/sim.js");
    let submitted = onrush(submit.into_iter().chain([script.as_os_str()]));
    let text = String::from_utf8_lossy(&submitted.stdout).into_owned();
    let told = String::from_utf8_lossy(&submitted.stderr).into_owned();
    ensure!(told.contains("node_modules/greet/lib/index.js") && !told.contains("unused"), "{told}");
    let job: Value = serde_json::from_str(&text).with_context(|| text + &told)?;
    let id = job["id"].as_str().context("an id")?;
    let ended = ["finished", "failed", "aborted", "lost"];
    let job = await_status(&|| node.rest(), id, &ended, FORMING_LIMIT);
    ensure!(job["status"] == "finished", "{job:#}");
    until("the last words of all shards", FORMING_LIMIT, || {
        let logs = onrush(["--address", &address, "job", "logs", id]);
        let text = String::from_utf8_lossy(&logs.stdout).into_owned();
        ensure!(text.matches("after: hello nodes").count() == 3, "{text}");
        ensure!(!text.contains("before has not run"), "{text}");
        Ok(())
    });
    Ok(())
}

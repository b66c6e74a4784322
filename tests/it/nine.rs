//! A cluster of nine: five vote, two stand by, and two only work. Each of them answers everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use harness::acceptance::{Load, Target, submit, verify};
use harness::cluster::{Cluster, FORMING_LIMIT, await_status, repository};
use harness::rest::Rest;
use harness::scale::{answers_alike, await_alike, log_index, roles};
use harness::wait::until;
use serde_json::{Value, json};

/// How long an idle cluster is looked at.
const IDLE: Duration = Duration::from_secs(6);
/// What is left to do is done in steps, one a second.
const QUIET: Duration = Duration::from_millis(2_500);

/// Once the eighth and ninth were left without the log, answered with empty lists, and made an entry
/// ten times a second.
#[test]
fn nine_nodes_answer_alike_do_nothing_when_idle_and_go_on_without_their_master() {
    let _machine = crate::whole_machine();
    let began = Instant::now();
    let mut cluster = Cluster::started(9);
    await_alike(&cluster);
    println!("every node answers alike after {:.1} s", began.elapsed().as_secs_f64());
    let parts = [("leader", 1), ("standby", 2), ("voter", 4), ("worker", 2)];
    let parts: BTreeMap<String, usize> = parts.map(|(role, count)| (role.to_owned(), count)).into();
    until("the parts to be given out", FORMING_LIMIT, || {
        let found = roles(&cluster)?;
        ensure!(found == parts, "{found:?}{}", cluster.logs());
        answers_alike(&cluster)
    });
    let worker = index_of(&cluster, "worker");
    let rest = cluster.nodes[worker].rest();
    every_route(&mut cluster, &rest);
    writes_nothing(&cluster);

    let target = Target::start(&cluster.dir);
    let load = Load { users_per_sec: 40, seconds: 14 };
    let address = cluster.nodes[worker].address();
    let job = submit(&address, &target, load, &["--avoid-master"]).expect("submitted");
    let ticks = rest.lines(&format!("/api/v1/jobs/{job}/ticks")).expect("a stream");
    let mut seen: Vec<u64> = Vec::new();
    let (mut event, mut last) = (String::new(), String::new());
    for line in ticks {
        if let Some(name) = line.strip_prefix("event:") {
            name.trim().clone_into(&mut event);
            event.clone_into(&mut last);
        }
        let Some(data) = line.strip_prefix("data:").filter(|_| event == "tick") else { continue };
        let tick: Value = serde_json::from_str(data.trim()).expect("JSON");
        seen.push(tick["tick"].as_u64().expect("a number"));
        if seen.len() == 4 {
            let master = cluster.leader();
            cluster.nodes[master].kill();
        }
    }
    assert_eq!(last, "end", "{}", cluster.logs());
    assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>(), "each tick once, in order");
    let verified = verify(&rest, &target, load, &job);
    println!("{verified:?}, {} ticks", seen.len());
    assert!(verified.is_ok(), "{verified:?}{}", cluster.logs());
}

/// Some node with this part, by its own word.
fn index_of(cluster: &Cluster, role: &str) -> usize {
    until(&format!("a {role}"), FORMING_LIMIT, || {
        for (index, node) in cluster.nodes.iter().enumerate() {
            if node.rest().get("/api/v1/raft/status?stale=true")?["role"] == role {
                return Ok(index);
            }
        }
        anyhow::bail!("none says so")
    })
}

/// No entry without a change: once all is quiet, it stays so.
fn writes_nothing(cluster: &Cluster) {
    let mut last = log_index(cluster).expect("an index");
    let mut since = Instant::now();
    until("the log to be quiet for a while", FORMING_LIMIT, || {
        let index = log_index(cluster)?;
        if index != std::mem::replace(&mut last, index) {
            since = Instant::now();
        }
        ensure!(since.elapsed() >= QUIET, "entry {index} is new");
        Ok(())
    });
    let before = last;
    // How long it stays quiet is what is looked for.
    std::thread::sleep(IDLE);
    let after = log_index(cluster).expect("an index");
    assert_eq!(after, before, "entries of an idle cluster in {IDLE:?}{}", cluster.logs());
}

const FILE: &str = "/api/v1/projects/{project}/files/{path}";
const PROJECT: &str = "/api/v1/projects/{project}";
const JOB: &str = "/api/v1/jobs/{id}";
const FOLDER: &str = "/api/v1/projects/nine/files";

/// Routes that were called through one node, and answered as they should.
struct Routes<'a> {
    rest: &'a Rest,
    called: BTreeSet<(String, String)>,
}

impl Routes<'_> {
    fn ok(&mut self, method: &str, route: &str, answer: anyhow::Result<u16>) {
        let status = answer.with_context(|| format!("{method} {route}")).expect("an answer");
        assert!((200..300).contains(&status), "{method} {route}: {status}");
        self.called.insert((method.to_owned(), route.to_owned()));
    }

    fn get(&mut self, route: &str, path: &str) {
        let answer = self.rest.bytes(path).map(|(status, _)| status);
        self.ok("get", route, answer);
    }
}

/// Calls every route that the OpenAPI document has, through one node, and holds that it answers as it
/// should.
fn every_route(cluster: &mut Cluster, rest: &Rest) {
    let mut routes = Routes { rest, called: BTreeSet::new() };
    for route in [
        "/",
        "/api/v1/cluster",
        "/api/v1/cluster/members",
        "/api/v1/jobs",
        "/api/v1/openapi.json",
        "/api/v1/projects",
        "/api/v1/raft/digest",
        "/api/v1/raft/status",
        "/api/v1/version",
        "/healthz",
        "/readyz",
    ] {
        routes.get(route, route);
    }
    files(&mut routes);
    jobs(cluster, &mut routes);
    members(cluster, &mut routes);
    routes.ok("delete", FILE, rest.delete(&format!("{FOLDER}/data/big.bin")).map(first));
    let brief = rest.post("/api/v1/projects", r#"{"name":"brief"}"#).map(first);
    routes.ok("post", "/api/v1/projects", brief);
    routes.ok("delete", PROJECT, rest.delete("/api/v1/projects/brief").map(first));

    let document = rest.get("/api/v1/openapi.json").expect("the document");
    let paths = document["paths"].as_object().expect("paths");
    let methods = |(path, operations): (&String, &Value)| -> Vec<(String, String)> {
        let methods = operations.as_object().into_iter().flat_map(|it| it.keys().cloned());
        methods.map(|method| (method, path.clone())).collect()
    };
    let all: BTreeSet<(String, String)> = paths.iter().flat_map(methods).collect();
    let missing: Vec<_> = all.difference(&routes.called).collect();
    assert!(missing.is_empty(), "not called: {missing:?}");
    println!("{} routes through a worker", all.len());
}

fn files(routes: &mut Routes<'_>) {
    let rest = routes.rest;
    let created = rest.post("/api/v1/projects", r#"{"name":"nine"}"#).map(first);
    routes.ok("post", "/api/v1/projects", created);
    routes.get(PROJECT, "/api/v1/projects/nine");
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let path = format!("{FOLDER}/data/big.bin");
    routes.ok("put", FILE, rest.put(&path, &big).map(first));
    routes.ok("head", FILE, rest.head(&path));
    let (status, read) = rest.bytes(&path).expect("the file");
    assert!(read == big, "{} bytes of {}", read.len(), big.len());
    routes.ok("get", FILE, Ok(status));
    routes.get("/api/v1/projects/{project}/files", FOLDER);
    let simulations = repository().join("tests/simulations");
    for name in ["exact.gatling.js", "resources/visitors.csv"] {
        let content = std::fs::read(simulations.join(name)).expect("a file");
        routes.ok("put", FILE, rest.put(&format!("{FOLDER}/{name}"), &content).map(first));
    }
}

fn jobs(cluster: &Cluster, routes: &mut Routes<'_>) {
    let rest = routes.rest;
    let target = Target::start(&cluster.dir);
    let submit = |seconds: u32| -> anyhow::Result<(u16, String)> {
        let parameters =
            json!({"target": target.url(), "rate": "20", "duration": seconds.to_string()});
        let request = json!({"simulation": {"file": "exact.gatling.js"}, "parameters": parameters});
        let (status, body) = rest.post("/api/v1/projects/nine/jobs", &request.to_string())?;
        let job: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
        Ok((status, job["id"].as_str().with_context(|| body.clone())?.to_owned()))
    };
    let (status, id) = submit(3).expect("a job");
    routes.ok("post", "/api/v1/projects/{project}/jobs", Ok(status));
    let job = format!("/api/v1/jobs/{id}");
    let lines = rest.lines(&format!("{job}/ticks")).map(Iterator::count);
    assert!(lines.as_ref().is_ok_and(|count| *count > 0), "{lines:?}");
    routes.ok("get", "/api/v1/jobs/{id}/ticks", lines.map(|_| 200));
    let ended = ["finished", "failed", "aborted", "lost"];
    let found = await_status(&|| rest.clone(), &id, &ended, FORMING_LIMIT);
    assert_eq!(found["status"], "finished", "{found}{}", cluster.logs());
    assert_eq!(target.counts().expect("counts").values().sum::<u64>(), 20 * 3 * 4);
    routes.get(JOB, &job);
    for part in ["events", "logs", "report", "report.html", "report.json", "shards", "summary"] {
        routes.get(&format!("{JOB}/{part}"), &format!("{job}/{part}"));
    }
    routes.get("/api/v1/jobs/{id}/artifacts/{name}", &format!("{job}/artifacts/summary.json"));
    let (status, body) = rest.post(&format!("{job}/rerun"), "").expect("an answer");
    routes.ok("post", "/api/v1/jobs/{id}/rerun", Ok(status));
    let again: Value = serde_json::from_str(&body).expect("a job");
    await_end(rest, again["id"].as_str().expect("an id"));
    // Another's load is changed, then it is aborted.
    let (_, long) = submit(60).expect("a job");
    let _ = await_status(&|| rest.clone(), &long, &["running"], FORMING_LIMIT);
    let path = format!("/api/v1/jobs/{long}");
    let patched = rest.patch(&format!("{path}/load"), r#"{"factor":2}"#).map(first);
    routes.ok("patch", "/api/v1/jobs/{id}/load", patched);
    let aborted = rest.post(&format!("{path}/abort"), "{}").map(first);
    routes.ok("post", "/api/v1/jobs/{id}/abort", aborted);
    await_end(rest, &long);
}

fn members(cluster: &mut Cluster, routes: &mut Routes<'_>) {
    let rest = routes.rest;
    let members = rest.get("/api/v1/cluster/members").expect("members");
    let mut all = members["items"].as_array().expect("items").iter();
    let other = all.find(|member| member["role"] == "standby").expect("a standby");
    let other = other["name"].as_str().expect("a name");
    let drain = format!("/api/v1/cluster/members/{other}/drain");
    let route = "/api/v1/cluster/members/{id}/drain";
    routes.ok("put", route, rest.put(&drain, b"").map(first));
    routes.ok("delete", route, rest.delete(&drain).map(first));
    // One that has gone is forgotten, and joins again as a new member.
    let index = cluster.nodes.iter().position(|node| node.name == other).expect("a node");
    cluster.nodes[index].kill();
    let forgotten = until("its end to be known", FORMING_LIMIT, || {
        let (status, said) = rest.delete(&format!("/api/v1/cluster/members/{other}"))?;
        ensure!(status != 409, "{said}");
        Ok(status)
    });
    routes.ok("delete", "/api/v1/cluster/members/{id}", Ok(forgotten));
    cluster.start_node(index);
    until("it to be a member again", FORMING_LIMIT, || answers_alike(cluster));
}

fn await_end(rest: &Rest, job: &str) {
    let _ = await_status(
        &|| rest.clone(),
        job,
        &["finished", "failed", "aborted", "lost"],
        FORMING_LIMIT,
    );
}

fn first((status, _): (u16, String)) -> u16 {
    status
}

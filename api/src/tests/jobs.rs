//! Jobs over REST: submission, lists, abort, rerun, shards, the audit trail, results.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use onrush_raft::ledger::job::{JobCommand, JobStatus};
use serde_json::{Value, json};

use crate::fake::{Answer, Fake, call, digest, get, post, put};

const JOBS: &str = "/api/v1/projects/default/jobs";
const FILES: &str = "/api/v1/projects/default/files";

async fn with_files(router: &Router) {
    for path in ["shop.js", "resources/users.csv", "src/b.js", "src/lib/c.js"] {
        put(router, &format!("{FILES}/{path}"), path).await.ok();
    }
}

async fn submit(router: &Router, body: Value) -> Answer {
    post(router, JOBS, &body).await
}

async fn submitted(router: &Router, title: &str) -> String {
    let job = submit(router, json!({"simulation": {"file": "shop.js"}, "title": title})).await;
    job.ok()["id"].as_str().unwrap().to_owned()
}

fn field<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    list["items"].as_array().unwrap().iter().map(|job| job[name].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_job_pins_its_files() {
    let router = Fake::new().router();
    with_files(&router).await;
    let answer = submit(
        &router,
        json!({
            "simulation": {"file": "src/b.js"}, "parameters": {"users": "5", "token": "s3cret"},
            "labels": {"team": "x"}, "nodes": 1, "division": "copy", "max_duration_ms": 60_000
        }),
    )
    .await;
    assert_eq!(answer.status, 201);
    let job = answer.ok();
    let id = job["id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/api/v1/jobs/{id}"));
    assert_eq!(job["status"], "queued");
    assert_eq!(job["verdict"]["value"], "none");
    assert_eq!(job["parameters"], json!({"token": "***", "users": "5"}));
    let files: Vec<&String> = job["files"].as_object().unwrap().keys().collect();
    assert_eq!(files, ["src/b.js", "src/lib/c.js"]);
    assert_eq!(job["submitted_at"], "2026-11-23T03:37:39.120Z");
    put(&router, &format!("{FILES}/src/b.js"), "changed").await.ok();
    let again = get(&router, &format!("/api/v1/jobs/{id}")).await.ok();
    assert_eq!(again["files"]["src/b.js"], format!("blake3:{}", digest(b"src/b.js")));
    let picked = json!({"simulation": {"file": "shop.js"}, "files": ["resources/"]});
    let job = submit(&router, picked).await.ok();
    let files: Vec<&String> = job["files"].as_object().unwrap().keys().collect();
    assert_eq!(files, ["resources/users.csv", "shop.js"]);
}

#[tokio::test]
async fn a_submission_is_judged_field_by_field() {
    let router = Fake::new().router();
    with_files(&router).await;
    let refused = async |body: Value, code: &str, pointer: &str| {
        let problem = submit(&router, body).await.problem(code);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    };
    let sim = |file: &str| json!({"simulation": {"file": file}});
    refused(sim("none.js"), "not-found", "/simulation/file").await;
    refused(sim("../x.js"), "invalid-request", "/simulation/file").await;
    refused(sim("resources/users.csv"), "invalid-request", "/simulation/file").await;
    let with = |name: &str, value: Value| {
        let mut body = sim("shop.js");
        body[name] = value;
        body
    };
    refused(with("files", json!(["nope.csv"])), "not-found", "/files/0").await;
    refused(with("nodes", json!(2)), "no-capacity", "/nodes").await;
    refused(with("zone_shares", json!({"eu": 1})), "no-capacity", "/zone_shares/eu").await;
    refused(with("zone_shares", json!({"eu": "1"})), "invalid-request", "/zone_shares/eu").await;
    refused(with("nodes", json!(-1)), "invalid-request", "/nodes").await;
    refused(with("max_duration_ms", json!(0)), "invalid-request", "/max_duration_ms").await;
    refused(with("on_node_loss", json!("pray")), "invalid-request", "/on_node_loss").await;
    refused(with("labels", json!({"": "x"})), "invalid-request", "/labels").await;
    refused(with("node", json!(1)), "invalid-request", "/node").await;
    let twice = "{\"simulation\":{\"file\":\"shop.js\"},\"parameters\":{\"a\":\"1\",\"a\":\"2\"}}";
    let json = [("content-type", "application/json")];
    let problem = call(&router, &format!("POST {JOBS}"), &json, twice).await;
    let problem = problem.problem("invalid-request");
    assert!(problem["detail"].as_str().unwrap().contains("duplicate key `a`"), "{problem}");
    let nobody = post(&router, "/api/v1/projects/nobody/jobs", &sim("shop.js")).await;
    nobody.problem("not-found");
}

#[tokio::test]
async fn the_same_key_gives_the_same_job() {
    let router = Fake::new().router();
    with_files(&router).await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "k1")];
    let body = json!({"simulation": {"file": "shop.js"}}).to_string();
    let to = format!("POST {JOBS}");
    let first = call(&router, &to, &headers, body.clone()).await;
    let second = call(&router, &to, &headers, body).await;
    assert_eq!(first.ok()["id"], second.ok()["id"]);
    assert_eq!(second.status, 201);
    assert_eq!(second.headers["idempotency-replayed"], "true");
    let other = json!({"simulation": {"file": "src/b.js"}}).to_string();
    call(&router, &to, &headers, other).await.problem("idempotency-mismatch");
    let empty = [("content-type", "application/json"), ("idempotency-key", "")];
    call(&router, &to, &empty, "{}").await.problem("invalid-request");
}

#[tokio::test]
async fn lists_are_filtered_and_paged_newest_first() {
    let fake = Fake::new();
    let router = fake.router();
    with_files(&router).await;
    let mut ids = Vec::new();
    for title in ["one", "two", "three"] {
        ids.push(submitted(&router, title).await);
    }
    fake.run(&ids[0]);
    let all = get(&router, "/api/v1/jobs").await.ok();
    assert_eq!(field(&all, "title"), ["three", "two", "one"]);
    let first = get(&router, "/api/v1/jobs?limit=2").await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = get(&router, &format!("/api/v1/jobs?limit=2&cursor={cursor}")).await.ok();
    assert_eq!(field(&rest, "title"), ["one"]);
    assert!(rest.get("next_cursor").is_none());
    let of = async |query: &str| get(&router, &format!("/api/v1/jobs?{query}")).await.ok();
    assert_eq!(field(&of("status=running").await, "title"), ["one"]);
    assert_eq!(field(&of("status=running,queued").await, "title").len(), 3);
    assert_eq!(field(&of("q=TWO").await, "title"), ["two"]);
    assert_eq!(field(&of("simulation=shop.js&project=default").await, "title").len(), 3);
    assert!(field(&of("since=2027-01-01T00:00:00Z").await, "title").is_empty());
    assert!(field(&of("label=team").await, "title").is_empty());
    for bad in ["status=flying", "since=yesterday", "limit=501", "cursor=zz", "colour=red"] {
        get(&router, &format!("/api/v1/jobs?{bad}")).await.problem("invalid-request");
    }
    get(&router, "/api/v1/jobs?project=nobody").await.problem("not-found");
}

#[tokio::test]
async fn ids_that_are_none_never_reach_the_ledger() {
    let router = Fake::new().router();
    for id in ["..%2Fx", "%00", "job_1", "%F0%9F%A6%80", &"x".repeat(10_000)] {
        get(&router, &format!("/api/v1/jobs/{id}")).await.problem("invalid-request");
    }
    let unknown = "/api/v1/jobs/job_01JD3Z6Q0V8G5X2M4N7P9R1S3T";
    for part in ["", "/shards", "/events", "/logs", "/summary", "/report.html", "/ticks"] {
        get(&router, &format!("{unknown}{part}")).await.problem("not-found");
    }
    post(&router, &format!("{unknown}/abort"), &json!({})).await.problem("not-found");
}

#[tokio::test]
async fn a_job_is_aborted_once() {
    let fake = Fake::new();
    let router = fake.router();
    with_files(&router).await;
    let id = submitted(&router, "x").await;
    fake.run(&id);
    let to = format!("POST /api/v1/jobs/{id}/abort");
    let wished = call(&router, &to, &[], Body::empty()).await;
    assert_eq!(wished.status, 202);
    assert!(wished.ok()["abort"].is_string());
    fake.end(&id, JobStatus::Aborted, BTreeMap::new());
    call(&router, &to, &[], Body::empty()).await.problem("already-finished");
    let long = json!({"reason": "x".repeat(2_000)});
    let answer = post(&router, &format!("/api/v1/jobs/{id}/abort"), &long).await;
    answer.problem("invalid-request");
}

async fn patch_load(router: &Router, id: &str, body: &Value) -> Answer {
    let to = format!("PATCH /api/v1/jobs/{id}/load");
    call(router, &to, &[("content-type", "application/json")], body.to_string()).await
}

#[tokio::test]
async fn the_load_of_a_running_job_is_changed() {
    let fake = Fake::new();
    let router = fake.router();
    with_files(&router).await;
    let id = submitted(&router, "x").await;
    let twice = json!({"factor": 2});
    let early = patch_load(&router, &id, &twice).await.problem("conflict");
    assert!(early["detail"].as_str().unwrap().contains("is queued"), "{early}");
    fake.run(&id);
    let asked = patch_load(&router, &id, &twice).await;
    assert_eq!(asked.status, 202);
    let load = asked.ok()["load"].clone();
    assert_eq!((&load["factor"], &load["paused"]), (&json!(2.0), &json!(false)));
    assert!(load["changes"][0].get("at_s").is_none());
    assert_eq!(patch_load(&router, &id, &twice).await.status, 200);
    fake.job(JobCommand::LoadAt { id: id.as_str().into(), change: 1, at_us: 7_000_000 });
    let both = patch_load(&router, &id, &json!({"factor": 0.125, "paused": true})).await.ok();
    assert_eq!(both["load"]["changes"][0]["at_s"], 7.0);
    assert_eq!(both["load"]["changes"][1]["factor"], 0.125);
    assert_eq!((&both["load"]["factor"], &both["load"]["paused"]), (&json!(0.125), &json!(true)));

    for factor in [json!(0.09), json!(10.001), json!(0), json!(-1), json!(1.0005), json!("2")] {
        let problem = patch_load(&router, &id, &json!({"factor": factor})).await;
        let problem = problem.problem("invalid-request");
        assert_eq!(problem["errors"][0]["pointer"], "/factor", "{problem}");
    }
    for body in [json!({}), json!({"rate": 2}), json!({"paused": "yes"})] {
        patch_load(&router, &id, &body).await.problem("invalid-request");
    }
    let unknown = "job_01JD3Z6Q0V8G5X2M4N7P9R1S3T";
    patch_load(&router, unknown, &twice).await.problem("not-found");
    fake.job(JobCommand::Abort { id: id.as_str().into(), reason: String::new() });
    let aborting = patch_load(&router, &id, &json!({"factor": 3})).await.problem("conflict");
    assert!(aborting["detail"].as_str().unwrap().contains("is being aborted"), "{aborting}");
    fake.end(&id, JobStatus::Aborted, BTreeMap::new());
    patch_load(&router, &id, &twice).await.problem("already-finished");
}

#[tokio::test]
async fn a_rerun_keeps_the_content_and_takes_the_changes() {
    let fake = Fake::new();
    let router = fake.router();
    with_files(&router).await;
    let id = submitted(&router, "first").await;
    fake.run(&id);
    fake.end(&id, JobStatus::Aborted, BTreeMap::new());
    put(&router, &format!("{FILES}/shop.js"), "changed").await.ok();
    let changes = json!({"parameters": {"users": "7"}, "title": "second"});
    let again = post(&router, &format!("/api/v1/jobs/{id}/rerun"), &changes).await;
    assert_eq!(again.status, 201);
    let again = again.ok();
    assert_eq!(again["files"]["shop.js"], format!("blake3:{}", digest(b"shop.js")));
    assert_eq!(again["parameters"]["users"], "7");
    assert_eq!(again["labels"]["rerun-of"], id);
}

#[tokio::test]
async fn shards_and_the_audit_trail_are_shown() {
    let fake = Fake::new();
    let router = fake.router();
    with_files(&router).await;
    let id = submitted(&router, "x").await;
    fake.run(&id);
    let shards = get(&router, &format!("/api/v1/jobs/{id}/shards")).await.ok();
    assert_eq!(shards["items"][0]["node"], "node-1");
    assert_eq!(shards["items"][0]["segments"], 720);
    assert_eq!(shards["items"][0]["state"], "active");
    let mut seen = Vec::new();
    let mut next = format!("/api/v1/jobs/{id}/events?limit=1");
    loop {
        let page = get(&router, &next).await.ok();
        seen.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/api/v1/jobs/{id}/events?limit=1&cursor={cursor}");
    }
    let job = get(&router, &format!("/api/v1/jobs/{id}")).await.ok();
    assert_eq!((&job["status"], &job["shards"]), (&json!("running"), &json!(1)));
    assert!(seen.len() >= 3, "{seen:?}");
    assert!(seen.iter().all(|event| event["what"].is_string() && event["at"].is_string()));
}

#[tokio::test]
async fn results_are_made_while_it_runs_and_stored_at_the_end() {
    let fake = Fake::new();
    let router = fake.router();
    with_files(&router).await;
    let id = submitted(&router, "x").await;
    fake.run(&id);
    let base = format!("/api/v1/jobs/{id}");
    let so_far = get(&router, &format!("{base}/summary")).await;
    assert_eq!(so_far.ok()["schema"], "onrush.summary/v1");
    assert_eq!(so_far.headers["cache-control"], "no-store");
    let page = get(&router, &format!("{base}/report")).await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let html = fake.store(b"<!doctype html>done");
    let artifacts = BTreeMap::from([("index.html".to_owned(), html.clone())]);
    fake.end(&id, JobStatus::Aborted, artifacts);
    let page = get(&router, &format!("{base}/report.html")).await;
    assert_eq!(page.text, "<!doctype html>done");
    assert_eq!(page.headers["etag"], format!("\"{html}\""));
    let json = [("accept", "application/json")];
    let body = call(&router, &format!("GET {base}/report"), &json, Body::empty()).await;
    assert_eq!(body.ok()["schema"], "onrush.summary/v1");
    let png = [("accept", "image/png")];
    let refused = call(&router, &format!("GET {base}/report"), &png, Body::empty()).await;
    refused.problem("not-acceptable");
    assert_eq!(get(&router, &format!("{base}/artifacts/index.html")).await.status, 200);
    get(&router, &format!("{base}/artifacts/x.bin")).await.problem("not-found");
}

//! What holds for all routes: problems everywhere, the token, headers, reads through the leader.

use axum::body::Body;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::member::MemberCommand;
use serde_json::json;

use crate::fake::{Fake, Fault, call, get, post};

const TOKEN: &str = "onr_0123456789abcdef";

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let router = Fake::new().router();
    let problem = get(&router, "/api/v1/nothing").await.problem("not-found");
    assert_eq!(problem["instance"], "/api/v1/nothing");
    let answer = call(&router, "DELETE /api/v1/version", &[], Body::empty()).await;
    let problem = answer.problem("method-not-allowed");
    assert!(problem["detail"].as_str().unwrap().contains("allowed: GET"), "{problem}");
    assert!(answer.headers.contains_key("allow"));
}

#[tokio::test]
async fn bad_bodies_are_told_by_place() {
    let router = Fake::new().router();
    let to = "POST /api/v1/projects";
    let json = [("content-type", "application/json")];
    let problem = call(&router, to, &json, "{\"name\":").await.problem("invalid-request");
    assert!(problem["detail"].as_str().unwrap().contains("at byte"), "{problem}");
    let problem = call(&router, to, &json, "{\"nam\":\"x\"}").await.problem("invalid-request");
    assert_eq!(problem["errors"][0]["pointer"], "/nam");
    call(&router, to, &[], "{}").await.problem("unsupported-media-type");
    call(&router, to, &json, vec![b' '; (1 << 20) + 1]).await.problem("too-large");
    let announced = [("content-type", "application/json"), ("content-length", "2147483648")];
    call(&router, to, &announced, "{}").await.problem("too-large");
}

#[tokio::test]
async fn without_the_token_nothing_but_the_probes_answers() {
    let router = Fake::new().router_with(Some(TOKEN));
    let missing = get(&router, "/api/v1/version").await;
    assert_eq!(missing.headers["www-authenticate"], "Bearer realm=\"onrush\"");
    let wrong = [("authorization", "Bearer onr_0123456789abcdeX")];
    let wrong = call(&router, "GET /api/v1/version", &wrong, Body::empty()).await;
    assert_eq!(missing.problem("unauthenticated"), wrong.problem("unauthenticated"));
    let basic = [("authorization", "Basic b25yXzAxMjM0")];
    call(&router, "GET /", &basic, Body::empty()).await.problem("unauthenticated");
    get(&router, "/nothing").await.problem("unauthenticated");
    let right = format!("bearer {TOKEN}");
    let right = [("authorization", right.as_str())];
    call(&router, "GET /api/v1/version", &right, Body::empty()).await.ok();
    assert_eq!(get(&router, "/healthz").await.text, "ok\n");
    assert_eq!(get(&router, "/readyz").await.text, "ready\n");
}

#[tokio::test]
async fn a_foreign_host_name_is_refused_where_there_is_no_token() {
    let router = Fake::new().router();
    let evil = [("host", "evil.test:7440")];
    call(&router, "GET /api/v1/version", &evil, Body::empty()).await.problem("wrong-host");
    let own = [("host", "127.0.0.1:7440")];
    call(&router, "GET /api/v1/version", &own, Body::empty()).await.ok();
}

#[tokio::test]
async fn every_answer_says_who_gave_it_and_how_new_it_is() {
    let fake = Fake::new();
    let answer = get(&fake.router(), "/api/v1/nothing").await;
    assert_eq!(answer.headers["onrush-node"], "node-1");
    assert_eq!(answer.headers["onrush-leader"], "node-1");
    assert_eq!(answer.headers["onrush-index"], "2");
    fake.set(Fault::NoLeader);
    let answer = get(&fake.router(), "/api/v1/version").await;
    assert!(!answer.headers.contains_key("onrush-leader"));
}

#[tokio::test]
async fn the_digest_is_of_one_state() {
    let router = Fake::new().router();
    let first = get(&router, "/api/v1/raft/digest").await.ok();
    assert_eq!(first, get(&router, "/api/v1/raft/digest").await.ok());
    assert_eq!((&first["node"], &first["applied_index"]), (&json!("node-1"), &json!(2)));
    assert_eq!(first["digest"].as_str().map(str::len), Some(64));
    post(&router, "/api/v1/projects", &json!({"name": "team-x"})).await.ok();
    let second = get(&router, "/api/v1/raft/digest").await.ok();
    assert_ne!(
        (&first["digest"], 3),
        (&second["digest"], second["applied_index"].as_u64().unwrap())
    );
}

#[tokio::test]
async fn reads_through_the_leader_need_one() {
    let fake = Fake::new();
    let router = fake.router();
    get(&router, "/api/v1/jobs?consistency=leader&limit=5").await.ok();
    get(&router, "/api/v1/jobs?consistency=maybe").await.problem("invalid-request");
    fake.set(Fault::NoLeader);
    let answer = get(&router, "/api/v1/jobs?consistency=leader").await;
    answer.problem("no-leader");
    assert_eq!(answer.headers["retry-after"], "1");
    get(&router, "/api/v1/jobs?consistency=stale").await.ok();
    get(&router, "/readyz").await.problem("no-leader");
}

#[tokio::test]
async fn writes_on_a_minority_end_in_time() {
    let fake = Fake::new();
    fake.set(Fault::NoQuorum);
    let start = tokio::time::Instant::now();
    let answer = post(&fake.router(), "/api/v1/projects", &json!({"name": "team-x"})).await;
    answer.problem("quorum-lost");
    assert!(start.elapsed().as_secs() < 7);
}

#[tokio::test]
async fn a_panic_is_an_internal_problem_without_its_words() {
    let fake = Fake::new();
    fake.set(Fault::Panic);
    let answer = post(&fake.router(), "/api/v1/projects", &json!({"name": "team-x"})).await;
    let problem = answer.problem("internal");
    assert!(!problem.to_string().contains("secret"), "{problem}");
}

#[tokio::test]
async fn projects_are_made_listed_and_deleted() {
    let router = Fake::new().router();
    let made = post(&router, "/api/v1/projects", &json!({"name": "team-x"})).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.headers["location"], "/api/v1/projects/team-x");
    post(&router, "/api/v1/projects", &json!({"name": "team-x"})).await.problem("conflict");
    post(&router, "/api/v1/projects", &json!({"name": "Team X"})).await.problem("invalid-request");
    let list = get(&router, "/api/v1/projects").await.ok();
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["default", "team-x"]);
    let gone = call(&router, "DELETE /api/v1/projects/team-x", &[], Body::empty()).await;
    assert_eq!(gone.status, 204);
    get(&router, "/api/v1/projects/team-x").await.problem("not-found");
    get(&router, "/api/v1/projects/..%2Fx").await.problem("invalid-request");
}

#[tokio::test]
async fn the_leaders_view_is_preferred_and_its_absence_is_said() {
    let fake = Fake::new();
    let router = fake.router();
    assert_eq!(get(&router, "/api/v1/raft/status").await.ok()["term"], 4);
    let own = get(&router, "/api/v1/raft/status?stale=true").await.ok();
    assert_eq!((&own["term"], &own["stale"]), (&json!(3), &json!(false)));
    fake.set(Fault::NoLeader);
    let own = get(&router, "/api/v1/raft/status").await.ok();
    assert_eq!(own["stale"], true);
    // Its voters are all alive to this node: an election is what is missing.
    assert_eq!(own["health"], "electing");
    assert_eq!(own["leaderless_ms"], 12_400);
    assert!(own["warning"].as_str().unwrap().contains("no leader"));
    get(&router, "/api/v1/raft/status?stale=maybe").await.problem("invalid-request");
}

#[tokio::test]
async fn the_page_works_without_scripts_and_escapes_names() {
    let answer = get(&Fake::new().router(), "/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("<h1>&lt;onrush&gt;</h1>"), "{}", answer.text);
    assert!(!answer.text.contains("<script"));
    assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src"));
    let view = get(&Fake::new().router(), "/api/v1/cluster").await.ok();
    assert_eq!(view["health"], "healthy");
    assert_eq!(view["members"]["alive"], 1);
    let members = get(&Fake::new().router(), "/api/v1/cluster/members").await.ok();
    assert_eq!(members["items"][0]["name"], "node-1");
}

/// The fake's ledger has the founder, who votes, and nobody else.
#[tokio::test]
async fn only_members_that_do_not_vote_are_forgotten() {
    let fake = Fake::new();
    let router = fake.router();
    let forget = async |node: &str| {
        let ask = format!("DELETE /api/v1/cluster/members/{node}");
        call(&router, &ask, &[], Body::empty()).await
    };
    let refused = forget("node-1").await.problem("conflict");
    let detail = refused["detail"].as_str().unwrap();
    assert_eq!(detail, "member 1 votes: a standby must take its seat first");
    let unknown = forget("node-9").await.problem("not-found");
    assert_eq!(unknown["detail"], "node node-9 does not exist");
    let (peer, name) = ("peer-2".into(), "two".to_owned());
    fake.apply(&"two".into(), Command::Member(MemberCommand::Allocate { peer, name })).unwrap();
    assert_eq!(forget("two").await.status, 204);
    forget("peer-2").await.problem("not-found");
}

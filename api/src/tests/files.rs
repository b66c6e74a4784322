//! The file repository over REST.

use axum::body::Body;

use crate::fake::{Fake, Fault, call, digest, get, put};

const BASE: &str = "/api/v1/projects/default/files";

#[tokio::test]
async fn a_file_is_uploaded_versioned_and_downloaded() {
    let router = Fake::new().router();
    let first = put(&router, &format!("{BASE}/data/users.csv"), "a,b\n1,2\n").await;
    assert_eq!(first.status, 201);
    let file = first.ok();
    assert_eq!(file["version"], 1);
    assert_eq!(file["size"], 8);
    assert_eq!(file["path"], "data/users.csv");
    assert_eq!(file["digest"], format!("blake3:{}", digest(b"a,b\n1,2\n")));
    let same = put(&router, &format!("{BASE}/data/users.csv"), "a,b\n1,2\n").await;
    assert_eq!((same.status.as_u16(), &same.ok()["version"]), (200, &1.into()));
    put(&router, &format!("{BASE}/data/users.csv"), "other").await.ok();
    let newest = get(&router, &format!("{BASE}/data/users.csv")).await;
    assert_eq!(newest.text, "other");
    assert_eq!(newest.headers["content-disposition"], "attachment; filename=\"users.csv\"");
    assert_eq!(newest.headers["content-type"], "text/csv");
    let old = get(&router, &format!("{BASE}/data/users.csv?version=1")).await;
    assert_eq!(old.text, "a,b\n1,2\n");
    get(&router, &format!("{BASE}/data/users.csv?version=9")).await.problem("not-found");
    let head = call(&router, &format!("HEAD {BASE}/data/users.csv"), &[], Body::empty()).await;
    assert_eq!(head.headers["etag"], format!("\"{}\"", digest(b"other")));
    assert_eq!((head.headers["content-length"].to_str().unwrap(), &*head.text), ("5", ""));
}

#[tokio::test]
async fn ranges_and_tags_are_honoured() {
    let router = Fake::new().router();
    let at = format!("GET {BASE}/a.txt");
    put(&router, &format!("{BASE}/a.txt"), "0123456789").await.ok();
    let part = call(&router, &at, &[("range", "bytes=2-4")], Body::empty()).await;
    assert_eq!((part.status.as_u16(), &*part.text), (206, "234"));
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    let beyond = call(&router, &at, &[("range", "bytes=10-")], Body::empty()).await;
    beyond.problem("range-not-satisfiable");
    let tag = format!("\"{}\"", digest(b"0123456789"));
    let same = call(&router, &at, &[("if-none-match", &tag)], Body::empty()).await;
    assert_eq!((same.status.as_u16(), &*same.text), (304, ""));
}

#[tokio::test]
async fn preconditions_and_digests_guard_an_upload() {
    let router = Fake::new().router();
    let at = format!("PUT {BASE}/a.txt");
    call(&router, &at, &[("if-match", "*")], "x").await.problem("precondition-failed");
    call(&router, &at, &[("if-none-match", "*")], "x").await.ok();
    call(&router, &at, &[("if-none-match", "*")], "y").await.problem("precondition-failed");
    let other = format!("\"{}\"", digest(b"z"));
    call(&router, &at, &[("if-match", &other)], "y").await.problem("precondition-failed");
    let right = format!("{at}?digest=blake3:{}", digest(b"y"));
    call(&router, &right, &[], "y").await.ok();
    call(&router, &right, &[], "not y").await.problem("digest-mismatch");
    call(&router, &format!("{at}?digest=12"), &[], "y").await.problem("invalid-request");
}

/// Once the second try of an upload whose answer was lost brought it back over what others had
/// written meanwhile.
#[tokio::test]
async fn the_same_key_writes_a_file_once() {
    let router = Fake::new().router();
    let at = format!("{BASE}/a.txt");
    let to = format!("PUT {at}");
    let keyed = [("idempotency-key", "k"), ("if-none-match", "*")];
    let first = call(&router, &to, &keyed, "one").await;
    assert_eq!((first.status.as_u16(), first.headers.get("idempotency-replayed")), (201, None));
    call(&router, &to, &[], "two").await.ok();
    let second = call(&router, &to, &keyed, "one").await;
    assert_eq!((second.status.as_u16(), second.ok()), (201, first.ok()));
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(second.headers["location"], first.headers["location"]);
    assert_eq!(get(&router, &at).await.text, "two");
    call(&router, &to, &keyed, "three").await.problem("idempotency-mismatch");
    // The same with deleting, and it may say what it deletes.
    let gone = format!("DELETE {at}");
    let (old, new) = (format!("\"{}\"", digest(b"one")), format!("\"{}\"", digest(b"two")));
    call(&router, &gone, &[("if-match", &old)], "").await.problem("precondition-failed");
    let keyed = [("idempotency-key", "d"), ("if-match", new.as_str())];
    assert_eq!(call(&router, &gone, &keyed, "").await.status, 204);
    call(&router, &to, &[], "four").await.ok();
    assert_eq!(call(&router, &gone, &keyed, "").await.status, 204);
    assert_eq!(get(&router, &at).await.text, "four");
}

#[tokio::test]
async fn bad_names_never_reach_the_repository() {
    let router = Fake::new().router();
    for path in ["..%2Fx", "a/%2e%2e/b", "%2Fabs", "C:%5Cx", "a%00b", "CON", "x%e2%80%aey"] {
        put(&router, &format!("{BASE}/{path}"), "x").await.problem("invalid-request");
    }
    put(&router, &format!("{BASE}/{}", "x".repeat(300)), "x").await.problem("invalid-request");
    put(&router, &format!("{BASE}/a%ffb"), "x").await.problem("invalid-request");
    assert_eq!(get(&router, BASE).await.ok()["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn lists_are_paged_by_path_and_version() {
    let router = Fake::new().router();
    for (path, body) in [("a/1", "x"), ("a/1", "y"), ("a/2", "x"), ("b", "x")] {
        put(&router, &format!("{BASE}/{path}"), body).await.ok();
    }
    let mut seen = Vec::new();
    let mut next = format!("{BASE}?prefix=a/&versions=true&limit=2");
    loop {
        let page = get(&router, &next).await;
        let body = page.ok();
        let items = body["items"].as_array().unwrap().clone();
        seen.extend(items.iter().map(|f| format!("{}@{}", f["path"], f["version"])));
        let Some(link) = page.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        next = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!(seen, ["\"a/1\"@1", "\"a/1\"@2", "\"a/2\"@1"]);
    for bad in ["limit=0", "limit=1e9", "limit=-1", "cursor=6162", "offset=3"] {
        get(&router, &format!("{BASE}?{bad}")).await.problem("invalid-request");
    }
}

#[tokio::test]
async fn voters_that_change_meanwhile_are_served_again() {
    let fake = Fake::new();
    let router = fake.router();
    fake.set(Fault::FewHolders(2));
    put(&router, &format!("{BASE}/a"), "x").await.ok();
    fake.set(Fault::FewHolders(3));
    put(&router, &format!("{BASE}/b"), "x").await.problem("quorum-lost");
    fake.set(Fault::DiskFull);
    put(&router, &format!("{BASE}/c"), "x").await.problem("insufficient-storage");
}

#[tokio::test]
async fn deleting_takes_versions_or_all() {
    let router = Fake::new().router();
    for body in ["x", "y"] {
        put(&router, &format!("{BASE}/a"), body).await.ok();
    }
    let delete = async |path: &str| {
        call(&router, &format!("DELETE {BASE}/{path}"), &[], Body::empty()).await
    };
    assert_eq!(delete("a?version=2").await.status, 204);
    assert_eq!(get(&router, &format!("{BASE}/a")).await.text, "x");
    assert_eq!(delete("a").await.status, 204);
    delete("a").await.problem("not-found");
}

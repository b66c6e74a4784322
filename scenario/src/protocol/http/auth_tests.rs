//! Digest authentication and OAuth 1.0 signatures over the wire.

use serde_json::{Value as Json, json};

use super::test_server::{Reply, Seen, Server};
use super::tests::{base, get, run};

const CHALLENGE: &str =
    "www-authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\", opaque=\"o\"";

/// Lets in whoever brings an answer, but nobody to `/no`.
fn guarded() -> Server {
    Server::start(|seen, _| match (seen.header("authorization"), seen.target.as_str()) {
        (Some(answer), "/old") if answer.contains("nonce=\"n1\"") => {
            let stale = "www-authenticate: Digest realm=\"r\", nonce=\"n2\", qop=auth, stale=true";
            Reply::with(401, &[stale], "")
        }
        (Some(_), "/hop") => Reply::with(302, &["location: /in"], ""),
        (Some(_), target) if target != "/no" => Reply::with(200, &[], ""),
        _ => Reply::with(401, &[CHALLENGE], ""),
    })
}

fn digest(url: &str, password: &str) -> Json {
    let mut request = get(url);
    request["digest_auth"] = json!({ "user": { "lit": "u" }, "password": { "el": password } });
    request
}

/// Of each request, the part of its answer that is no hash.
fn answers(seen: &[Seen]) -> Vec<String> {
    let of = |seen: &Seen| {
        let said = seen.header("authorization").unwrap_or("-").to_owned();
        let masked = said.split(", ").map(|part| match part.split_once('=') {
            Some((name @ ("cnonce" | "response"), _)) => name.to_owned(),
            _ => part.to_owned(),
        });
        masked.collect::<Vec<_>>().join(", ")
    };
    seen.iter().map(of).collect()
}

fn answer(uri: &str, nonce: &str, count: u32, opaque: &str) -> String {
    format!(
        "Digest username=\"u\", realm=\"r\", uri=\"{uri}\", algorithm=MD5, nonce=\"{nonce}\", \
         nc={count:08x}, cnonce, qop=auth, response{opaque}"
    )
}

const OPAQUE: &str = ", opaque=\"o\"";

#[test]
fn a_challenge_is_counted_and_answered_and_used_at_once_from_then_on() {
    let server = guarded();
    let mut post = digest("/b", "p");
    post["method"] = json!("POST");
    let ran = run(base(&server), &[digest("/a?x=1", "p"), digest("/a", "p"), post, get("/a")]);
    assert_eq!(
        ran.log,
        [
            "r 401 OK",
            "r 200 OK",
            "r 200 OK",
            "r 200 OK",
            "r 401 status.find.in([200, 209], 304), found 401"
        ]
    );
    let expected = [
        "-".to_owned(),
        answer("/a?x=1", "n1", 1, OPAQUE),
        answer("/a", "n1", 2, OPAQUE),
        answer("/b", "n1", 3, OPAQUE),
        "-".to_owned(),
    ];
    let seen = server.seen();
    assert_eq!(answers(&seen), expected);
    assert!(seen.iter().all(|it| it.connection == 0));
}

#[test]
fn a_wrong_password_is_one_request_once_the_challenge_is_known() {
    let server = guarded();
    let ran = run(base(&server), &[digest("/no", "x"), digest("/no", "x")]);
    let refused = "r 401 status.find.in([200, 209], 304), found 401";
    assert_eq!(ran.log, ["r 401 OK", refused, refused]);
    let expected = ["-".into(), answer("/no", "n1", 1, OPAQUE), answer("/no", "n1", 2, OPAQUE)];
    assert_eq!(answers(&server.seen()), expected);
    assert!(ran.failed);
}

#[test]
fn a_stale_nonce_is_replaced_once_a_request() {
    let server = guarded();
    let ran = run(base(&server), &[digest("/in", "p"), digest("/old", "p")]);
    assert_eq!(ran.log, ["r 401 OK", "r 200 OK", "r 401 OK", "r 200 OK"]);
    assert_eq!(answers(&server.seen())[3], answer("/old", "n2", 1, ""));
    let stale = Server::start(|_, number| {
        let nonce = format!("www-authenticate: Digest realm=\"r\", nonce=\"{number}\", stale=true");
        Reply::with(401, &[&nonce], "")
    });
    let ran = run(base(&stale), &[digest("/", "p")]);
    assert_eq!(ran.log, ["r 401 OK", "r 401 status.find.in([200, 209], 304), found 401"]);
}

#[test]
fn an_own_header_wins_and_redirects_are_signed_on_the_same_origin() {
    let server = guarded();
    let mut own = digest("/a", "p");
    own["headers"] = json!([{ "name": "Authorization", "value": { "lit": "own" } }]);
    let ran = run(base(&server), &[own, digest("/hop", "p")]);
    assert_eq!(ran.log, ["r 200 OK", "r 401 OK", "r 302 OK", "r Redirect 1 200 OK"]);
    let expected =
        ["own".into(), "-".into(), answer("/hop", "n1", 1, OPAQUE), answer("/in", "n1", 2, OPAQUE)];
    assert_eq!(answers(&server.seen()), expected);
}

#[test]
fn the_protocols_password_serves_and_a_requests_own_takes_its_place() {
    let server = guarded();
    let mut config = base(&server);
    config["digest_auth"] = digest("", "p")["digest_auth"].clone();
    let mut basic = get("/a");
    basic["basic_auth"] = json!({ "user": { "lit": "u" }, "password": { "lit": "p" } });
    let ran = run(config, &[get("/a"), basic]);
    assert_eq!(ran.log, ["r 401 OK", "r 200 OK", "r 200 OK"]);
    assert_eq!(answers(&server.seen())[2], "Basic dTpw");
    let mut missing = digest("/a", "#{gone}");
    missing["name"] = json!("item");
    let ran = run(base(&server), &[missing]);
    assert_eq!(ran.log, ["unbuilt item: No attribute named 'gone' is defined"]);
}

fn keys(in_parameters: bool) -> Json {
    json!({ "consumer_key": { "lit": "ck" }, "consumer_secret": { "lit": "cs" },
        "token": { "lit": "tk" }, "token_secret": { "lit": "ts" }, "in_parameters": in_parameters })
}

/// The names and the fixed values of a list of parameters.
fn masked(text: &str, separator: &str) -> Vec<String> {
    let one = |part: &str| match part.split_once('=') {
        Some((name @ ("oauth_nonce" | "oauth_timestamp" | "oauth_signature"), _)) => {
            name.to_owned()
        }
        _ => part.replace('"', ""),
    };
    text.split(separator).map(one).collect()
}

const SIGNED: [&str; 7] = [
    "oauth_consumer_key=ck",
    "oauth_token=tk",
    "oauth_signature_method=HMAC-SHA1",
    "oauth_signature",
    "oauth_timestamp",
    "oauth_nonce",
    "oauth_version=1.0",
];

#[test]
fn oauth_signs_in_the_header_and_no_further_hop() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/hop" => Reply::with(302, &["location: /in"], ""),
        _ => Reply::with(200, &[], ""),
    });
    let mut config = base(&server);
    config["oauth1"] = keys(false);
    let mut own = get("/a");
    own["headers"] = json!([{ "name": "Authorization", "value": { "lit": "own" } }]);
    let mut off = get("/off");
    off["ignore_protocol_signature"] = json!(true);
    let ran = run(config, &[own, get("/hop"), off]);
    assert!(!ran.failed);
    let seen = server.seen();
    let said: Vec<Option<&str>> = seen.iter().map(|it| it.header("authorization")).collect();
    for signed in &said[..2] {
        assert_eq!(masked(signed.unwrap().strip_prefix("OAuth ").unwrap(), ", "), SIGNED);
    }
    assert_eq!(said[2..], [None, None]);
    assert_eq!(seen[0].headers.iter().filter(|(name, _)| name == "authorization").count(), 1);
}

#[test]
fn oauth_signs_in_the_query_or_in_the_form() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let mut config = base(&server);
    config["oauth1"] = keys(true);
    let form = json!({ "method": "POST", "url": { "lit": "/f" },
        "form": [{ "one": { "name": { "lit": "f" }, "value": { "lit": "g" } } }] });
    let ran = run(config, &[get("/q?x=1"), get("/n"), form]);
    assert!(!ran.failed);
    let seen = server.seen();
    let signed = |first: &str| -> Vec<String> {
        [first].into_iter().chain(SIGNED).filter(|it| !it.is_empty()).map(str::to_owned).collect()
    };
    assert_eq!(masked(seen[0].target.strip_prefix("/q?").unwrap(), "&"), signed("x=1"));
    assert_eq!(masked(seen[1].target.strip_prefix("/n?").unwrap(), "&"), signed(""));
    assert_eq!(masked(std::str::from_utf8(&seen[2].body).unwrap(), "&"), signed("f=g"));
    assert_eq!(seen[2].target, "/f");
    assert!(seen.iter().all(|it| it.header("authorization").is_none()));
}

//! Where requests go: what a request, a `Location` and a page name, as Gatling 3.16.0 sent it.

use serde_json::{Value as Json, json};

use super::test_server::{Reply, Seen, Server};
use super::tests::{base, get, run};

fn line(seen: &Seen) -> String {
    format!("{} {}", seen.method, seen.target)
}

fn lines(server: &Server) -> Vec<String> {
    server.seen().iter().map(line).collect()
}

/// Follows one `Location`; what was asked for then, and the last line of the log.
fn followed(location: &[u8]) -> (Option<String>, String) {
    let location = location.to_vec();
    let server = Server::start(move |seen, _| match seen.target.as_str() {
        "/dir/from?q=1" => {
            let head = b"HTTP/1.1 302 X\r\ncontent-length: 0\r\nlocation: ";
            Reply::Raw([&head[..], &location, b"\r\n\r\n"].concat())
        }
        _ => Reply::with(200, &[], ""),
    });
    let ran = run(base(&server), &[get("/dir/from?q=1")]);
    let target = server.seen().get(1).map(|seen| seen.target.clone());
    (target, ran.log.last().unwrap().clone())
}

/// Once a `?` without anything behind it.
#[test]
fn parameters_without_values_leave_no_trace() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let with = |url: &str, query: Json| json!({ "method": "GET", "url": { "lit": url }, "query": [query] });
    let none = || json!({ "many": { "name": { "lit": "a" }, "values": [] } });
    let requests = [
        with("/a", none()),
        with("/b?x=1", none()),
        with("/c?", none()),
        with("/d", json!({ "map": [] })),
        with("/e?", json!({ "one": { "name": { "lit": "k" }, "value": { "lit": "" } } })),
    ];
    run(base(&server), &requests);
    assert_eq!(lines(&server), ["GET /a", "GET /b?x=1", "GET /c?", "GET /d", "GET /e?k="]);
}

/// Once `[ ] { } |` and their like were encoded.
#[test]
fn a_location_is_sent_as_it_is() {
    for byte in (b'!'..=b'~').filter(|byte| !b"#?/".contains(byte)) {
        let (path, query) = (format!("/to/a{}b", byte as char), format!("q{}r", byte as char));
        let (target, _) = followed(format!("{path}?{query}#f{}", byte as char).as_bytes());
        assert_eq!(target, Some(format!("{path}?{query}")));
    }
}

/// Once they went to the server, as parts of a path.
#[test]
fn a_location_for_another_program_is_a_ko() {
    for location in ["javascript:alert(1)", "mailto:a@b.c", "data:text/html,x", "tel:1", "https:x"]
    {
        let (target, said) = followed(location.as_bytes());
        assert_eq!(target, None);
        let why = format!("'{location}' could not be parsed into a proper Uri, missing host");
        assert_eq!(said, format!("r 302 {why}"));
    }
    for (location, expected) in [
        ("http:foo", "/dir/foo"),
        ("http:/foo", "/foo"),
        ("view-source:x", "/dir/view-source:x"),
        ("a.b:c", "/dir/a.b:c"),
        ("1:2", "/dir/1:2"),
        ("/to/trail  ", "/to/trail"),
    ] {
        assert_eq!(followed(location.as_bytes()).0.as_deref(), Some(expected), "{location}");
    }
}

fn post(url: &str, headers: &[(&str, &str)]) -> Json {
    let header = |(name, value): &(&str, &str)| json!({ "name": name, "value": { "lit": value } });
    let headers: Vec<Json> = headers.iter().map(header).collect();
    json!({ "method": "POST", "url": { "lit": url }, "headers": headers,
        "body": { "text": { "lit": "b" } } })
}

/// Once it was made of the page that came before, or not at all.
#[test]
fn the_origin_is_that_of_an_own_referer() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/307" => Reply::with(307, &["location: /to"], ""),
        "/page" => Reply::with(200, &["content-type: text/html"], ""),
        _ => Reply::with(200, &[], ""),
    });
    let own = |referer| post("/o", &[("Referer", referer)]);
    let requests = [
        own("http://ref.test:81/x"),
        own("https://Ref.test:443/x"),
        own("ws://u@ref.test:1/x"),
        own("ref.test/x"),
        own("http:///x"),
        get("/page"),
        post("/o", &[]),
        post("/307", &[("Origin", "http://own.test")]),
        post("/307", &[]),
    ];
    run(base(&server), &requests);
    let origins: Vec<_> =
        server.seen().iter().map(|it| it.header("origin").map(str::to_owned)).collect();
    let page = server.base();
    let expected = [
        Some("http://ref.test:81"),
        Some("https://Ref.test"),
        Some("http://ref.test:1"),
        None,
        None,
        None,
        Some(page.as_str()),
        Some("http://own.test"),
        None,
        Some(page.as_str()),
        None,
    ];
    assert_eq!(origins, expected.map(|it| it.map(str::to_owned)));
}

/// Once the address of the first hop decided for all.
#[test]
fn a_silent_uri_is_that_of_each_hop() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/silent/a" => Reply::with(302, &["location: /loud"], ""),
        "/from" => Reply::with(302, &["location: /silent/ko"], ""),
        "/silent/ko" => Reply::with(500, &[], ""),
        _ => Reply::with(200, &[], ""),
    });
    let config = json!({ "base_urls": [server.base()], "silent_uri": ".*/silent/.*" });
    let ran = run(config, &[get("/silent/a"), get("/from")]);
    assert_eq!(ran.log, ["r Redirect 1 200 OK", "r 302 OK"]);
    assert!(!ran.failed);
}

#[test]
fn an_own_coding_in_chunks_is_kept() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let request = post("/", &[("Transfer-Encoding", "chunked")]);
    let ran = run(base(&server), &[request]);
    assert_eq!(ran.log, ["r 200 OK"]);
    // The server reads as many bytes as the length says, which Gatling sends, too.
    let seen = server.seen().remove(0);
    assert_eq!((seen.header("transfer-encoding"), &seen.body[..]), (Some("chunked"), &b"1"[..]));
}

/// Once it was encoded; and what a style sheet names behind an import without `url(…)` was not
/// fetched.
#[test]
fn what_a_page_names_is_sent_as_it_is() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/page" => {
            let page = "<link rel=stylesheet href=/a.css><img src='/[x]{y}|.png?q=[a]{b}|c'>\
                <img src='/é.png'><img src='/../up.png'><img src='/a b.png'>";
            Reply::with(200, &["content-type: text/html; charset=utf-8"], page)
        }
        "/a.css" => {
            let sheet = "@import \"plain.css\"; b { background: url(/bg.png) }
                i { background: url(/no.png) }";
            Reply::with(200, &["content-type: text/css"], sheet)
        }
        _ => Reply::with(200, &[], ""),
    });
    let config = json!({ "base_urls": [server.base()], "infer_html_resources": {} });
    let ran = run(config, &[get("/page")]);
    assert!(ran.log.iter().all(|line| line.ends_with("200 OK")), "{:?}", ran.log);
    let mut targets: Vec<String> = server.seen().into_iter().map(|seen| seen.target).collect();
    targets.sort_unstable();
    // The server reads each byte as a character.
    let mut expected = [
        "/page",
        "/a.css",
        "/[x]{y}|.png?q=[a]{b}|c",
        "/Ã©.png",
        "/../up.png",
        "/a%20b.png",
        "/bg.png",
    ];
    expected.sort_unstable();
    assert_eq!(targets, expected);
}

//! HTTP's actions beside plain requests, on one user: cookies, cache, inferred resources, several
//! requests at once, polling.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::test_server::{Reply, Seen, Server};
use super::tests::{base, get, run, run_with};
use crate::session::Session;
use crate::value::Value;

/// How long a test waits for what is to come at once.
const PATIENCE: Duration = Duration::from_secs(20);

fn add(name: &str, value: &str, more: Json) -> Json {
    let mut cookie = json!({ "name": { "lit": name }, "value": { "el": value } });
    for (key, value) in more.as_object().unwrap() {
        cookie[key] = value.clone();
    }
    json!({ "add_cookie": cookie })
}

fn cookies_sent(server: &Server) -> Vec<String> {
    server.seen().iter().map(|it| it.header("cookie").unwrap_or("-").to_owned()).collect()
}

#[test]
fn cookies_are_added_read_and_flushed() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/set" => Reply::with(200, &["set-cookie: q=\"6\"; Path=/; Max-Age=100"], ""),
        _ => Reply::with(200, &[], ""),
    });
    let key = |name: &str, save_as: Option<&str>| json!({ "get_cookie_value": { "name": { "lit": name }, "save_as": save_as } });
    let actions = [
        add("k", "#{v}", json!({})),
        add("x", "1", json!({ "path": "/x" })),
        add("gone", "1", json!({ "max_age": 0 })),
        add("other", "1", json!({ "domain": ".Shop.Test" })),
        add("kept", "1", json!({ "max_age": 60 })),
        get("/"),
        get("/x"),
        get("/set"),
        key("q", Some("saved")),
        key("k", None),
        json!({ "flush": "session_cookies" }),
        get("/"),
        json!({ "flush": "cookie_jar" }),
        get("/"),
    ];
    let mut session = Session::new("s".into(), 0);
    session.set("v", Value::from("el"));
    let ran = run_with(base(&server), &actions, session);
    let expected = ["k=el; kept=1", "x=1; k=el; kept=1", "k=el; kept=1", "kept=1; q=\"6\"", "-"];
    assert_eq!(cookies_sent(&server), expected);
    assert_eq!(ran.session.get("saved"), Some(&Value::from("6")));
    assert_eq!(ran.session.get("k"), Some(&Value::from("el")));
    assert!(!ran.failed);
}

#[test]
fn a_cookie_that_is_not_there_fails_the_user_and_says_so() {
    let missing = json!({ "get_cookie_value": { "name": { "lit": "A" }, "path": "/p",
        "domain": { "lit": "127.0.0.1" } } });
    let broken = add("a", "1; Domain=evil.test", json!({ "domain": "a.test" }));
    let ran = run(json!({}), &[missing, broken]);
    let expected = [
        "s: getCookieValue failed: No cookie matching (name=A, domain=127.0.0.1, \
         path=Some(/p), secure=None)",
        "s: addCookie failed: the value of cookie a holds a character that no cookie may hold",
    ];
    assert_eq!(ran.notes, expected);
    assert!(ran.failed);
}

#[test]
fn the_cache_is_flushed_with_its_redirects() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/old" => Reply::with(301, &["location: /new"], ""),
        _ => Reply::with(200, &["cache-control: max-age=100"], ""),
    });
    let flush = json!({ "flush": "http_cache" });
    run(base(&server), &[get("/old"), get("/old"), flush, get("/old")]);
    let targets: Vec<_> = server.seen().into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["/old", "/new", "/old", "/new"]);
}

#[test]
fn a_redirect_that_is_remembered_takes_no_credentials_to_another_origin() {
    let to = Server::start(|seen, _| match seen.header("authorization") {
        Some(_) => Reply::with(200, &[], ""),
        None => Reply::with(401, &["www-authenticate: Digest realm=\"r\", nonce=\"n\""], ""),
    });
    let location = format!("location: {}/new", to.base());
    let from = Server::start(move |seen, _| match seen.target.as_str() {
        "/moved" => Reply::with(308, &["location: /here"], ""),
        "/here" => Reply::with(200, &[], ""),
        _ => Reply::with(301, &[&location], ""),
    });
    let who = json!({ "user": { "lit": "u" }, "password": { "lit": "p" } });
    let own = json!([{ "name": "Host", "value": { "lit": "secret.test" } },
        { "name": "Cookie", "value": { "lit": "s=1" } }, { "name": "X-Own", "value": { "lit": "v" } }]);
    for kind in ["basic_auth", "digest_auth", "headers"] {
        let mut request = get("/old");
        request["headers"] = own.clone();
        request[kind] = who.clone();
        if kind == "headers" {
            request["headers"] =
                json!([{ "name": "Authorization", "value": { "lit": "Bearer t" } }]);
        }
        let ran = run(base(&from), &[request.clone(), request.clone()]);
        assert_eq!(ran.log.len(), 3, "{:?}", ran.log);
        request["url"] = json!({ "lit": "/moved" });
        run(base(&from), &[request.clone(), request]);
    }
    let seen = to.seen();
    assert_eq!(seen.len(), 6);
    let host = to.address.to_string();
    for seen in &seen {
        assert_eq!(seen.header("authorization"), None);
        assert_eq!((seen.header("host"), seen.header("cookie")), (Some(&*host), None));
    }
    assert_eq!(seen[1].header("x-own"), Some("v"));
    // At the same origin they stay.
    let here: Vec<_> = from.seen().into_iter().filter(|it| it.target == "/here").collect();
    assert_eq!(here.len(), 6);
    assert!(here.iter().all(|it| it.header("cookie").is_none()));
    assert_eq!(here[1].header("authorization"), Some("Basic dTpw"));
    assert_eq!(here[5].header("authorization"), Some("Bearer t"));
}

const PAGE: &str = r#"<link rel=stylesheet href=/css/a.css><img src=/i.png><img src=/i.png>
    <script src=/s.js></script><img src="http://127.0.0.1:1/never.png">"#;

fn site(seen: &Seen, _: usize) -> Reply {
    match seen.target.as_str() {
        "/page" if seen.header("if-none-match").is_some() => Reply::with(304, &[], ""),
        "/page" => Reply::with(200, &["content-type: text/html", "etag: \"1\""], PAGE),
        "/moved" => Reply::with(302, &["location: /page"], ""),
        "/css/a.css" => Reply::with(
            200,
            &["content-type: text/css", "cache-control: max-age=100"],
            "@import url(b.css); @import url(a.css); @import url(/i.png);",
        ),
        "/ko" => Reply::with(404, &["content-type: text/html"], PAGE),
        _ => Reply::with(200, &[], ""),
    }
}

fn infers(server: &Server) -> Json {
    json!({ "base_urls": [server.base()], "infer_html_resources": { "deny": [".*never.*"] } })
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn the_resources_that_a_page_and_its_style_sheets_name_are_fetched() {
    let server = Server::start(site);
    let own = json!({ "name": { "lit": "own" }, "spec": get("/i.png") });
    let page = json!({ "name": "page", "method": "GET", "url": { "lit": "/moved" },
        "resources": [own] });
    let ran = run(infers(&server), &[page]);
    let expected = [
        "a.css 200 OK",
        "b.css 200 OK",
        "i.png 200 OK",
        "own 200 OK",
        "page 302 OK",
        "page Redirect 1 200 OK",
        "s.js 200 OK",
    ];
    assert_eq!(sorted(ran.log), expected);
    let seen = server.seen();
    let css = seen.iter().find(|it| it.target == "/css/a.css").unwrap();
    assert_eq!(css.header("accept"), Some("text/css,*/*;q=0.1"));
    assert_eq!(css.header("referer"), Some(format!("{}/page", server.base()).as_str()));
    assert_eq!(run(infers(&server), &[get("/ko")]).log.len(), 1);
    assert_eq!(run(base(&server), &[get("/page")]).log, ["r 200 OK"]);
}

#[test]
fn a_page_that_does_not_come_again_has_the_resources_it_had() {
    let server = Server::start(site);
    let ran = run(infers(&server), &[get("/page"), get("/page")]);
    let count = |line: &str| ran.log.iter().filter(|it| *it == line).count();
    assert_eq!((count("r 200 OK"), count("r 304 OK")), (1, 1));
    assert_eq!(count("i.png 200 OK"), 2);
    // The style sheet is fresh in the cache; what it imports is not.
    assert_eq!((count("a.css 200 OK"), count("b.css 200 OK")), (1, 2));
    assert!(!ran.failed, "{:?}", ran.log);
}

#[test]
fn allowed_addresses_and_silent_resources() {
    let server = Server::start(site);
    let config = json!({ "base_urls": [server.base()], "infer_names": "path",
        "infer_html_resources": { "allow": [".*/css/.*"] } });
    let ran = run(config.clone(), &[get("/page")]);
    assert_eq!(ran.log, ["r 200 OK", "/css/a.css 200 OK", "/css/b.css 200 OK"]);
    let mut quiet = config;
    quiet["silent_resources"] = json!(true);
    assert_eq!(run(quiet, &[get("/page")]).log, ["r 200 OK"]);
    assert_eq!(server.seen().len(), 6);
}

/// What a page names is bounded, and so are style sheets that import ever others.
#[test]
fn what_a_page_names_has_an_end() {
    let server = Server::start(|seen, _| match seen.target.split_once('?') {
        Some(("/page", count)) => {
            let count: usize = count.parse().unwrap();
            let page: String = (0..count).map(|it| format!("<img src=/i{it}.png>")).collect();
            Reply::with(200, &["content-type: text/html"], page)
        }
        Some(("/a.css", number)) => {
            let next = number.parse::<usize>().unwrap() + 1;
            let css =
                if next > 1_200 { String::new() } else { format!("@import url(a.css?{next})") };
            Reply::with(200, &["content-type: text/css"], css)
        }
        Some(("/sheets", _)) => {
            let page = "<link rel=stylesheet href=/a.css?0>";
            Reply::with(200, &["content-type: text/html"], page)
        }
        Some(("/large", _)) => {
            let page = format!("<img src=/i.png>{}", " ".repeat(5 << 20));
            Reply::with(200, &["content-type: text/html"], page)
        }
        _ => Reply::with(200, &[], ""),
    });
    let config = json!({ "base_urls": [server.base()], "infer_html_resources": {} });
    let ran = run(config.clone(), &[get("/page?1200")]);
    assert_eq!(ran.log.len(), 1 + 1_000);
    let expected = format!(
        "inferHtmlResources: {}/page?1200 names more than 1000 resources; the first are fetched",
        server.base()
    );
    assert_eq!(ran.notes, [expected]);
    let ran = run(config.clone(), &[get("/sheets?")]);
    assert_eq!(ran.log.len(), 1 + 1_000);
    let expected = "inferHtmlResources: one request has led to 1000 resources; no further ones are \
                    fetched for it";
    assert_eq!(ran.notes, [expected]);
    let ran = run(config, &[get("/large?"), get("/large?")]);
    assert_eq!(ran.log.len(), 2);
    let expected = format!(
        "inferHtmlResources: {}/large? is larger than the 4 MiB that are looked through",
        server.base()
    );
    assert_eq!(ran.notes, [expected]);
}

/// Comes back when so many have come, so that they are all under way at once.
fn meeting(count: usize) -> impl Fn() + Send + Sync {
    let (come, all) = (Mutex::new(0), Condvar::new());
    move || {
        let mut come = come.lock().unwrap();
        *come += 1;
        all.notify_all();
        let waited = all.wait_timeout_while(come, PATIENCE, |come| *come < count).unwrap();
        assert!(!waited.1.timed_out(), "{} of {count} came", *waited.0);
    }
}

fn concurrent(requests: &[(&str, &str)]) -> Json {
    let all = requests.iter().map(|(name, url)| {
        let saves = json!([{ "extractor": { "kind": "body_string" },
            "save_as": name }]);
        let mut spec = get(url);
        spec["checks"] = saves;
        json!({ "name": { "lit": name }, "spec": spec })
    });
    json!({ "concurrent": all.collect::<Vec<_>>() })
}

#[test]
fn concurrent_requests_go_at_once_and_keep_their_saves() {
    let meet = meeting(3);
    let server = Server::start(move |_, _| {
        meet();
        Reply::with(200, &[], "body")
    });
    let ran = run(base(&server), &[concurrent(&[("a", "/1"), ("b", "/2"), ("c", "/3")])]);
    assert_eq!(sorted(ran.log), ["a 200 OK", "b 200 OK", "c 200 OK"]);
    assert!(["a", "b", "c"].iter().all(|it| ran.session.get(it) == Some(&Value::from("body"))));
    assert!(!ran.failed);
    assert_eq!(connections_of(&server), [0, 1, 2]);
}

fn connections_of(server: &Server) -> Vec<usize> {
    let mut connections: Vec<_> = server.seen().iter().map(|it| it.connection).collect();
    connections.sort_unstable();
    connections.dedup();
    connections
}

#[test]
fn what_silent_requests_take_is_not_the_groups() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let mut all = concurrent(&[("a", "/1"), ("b", "/2")]);
    assert!(run(base(&server), &[all.clone()]).response_time > 0);
    all["concurrent"][0]["spec"]["silent"] = json!(true);
    assert!(run(base(&server), &[all.clone()]).response_time > 0);
    all["concurrent"][1]["spec"]["silent"] = json!(true);
    assert_eq!(run(base(&server), &[all]).response_time, 0);
}

#[test]
fn one_bad_concurrent_request_fails_the_user_and_the_others_go_on() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/bad" => Reply::with(500, &[], ""),
        _ => Reply::with(200, &[], ""),
    });
    let mut actions = concurrent(&[("a", "/bad"), ("b", "/2")]);
    let unbuildable = json!({ "name": { "lit": "c" },
        "spec": { "method": "GET", "url": { "el": "/#{none}" } } });
    actions["concurrent"].as_array_mut().unwrap().push(unbuildable);
    let ran = run(base(&server), &[actions]);
    assert!(ran.failed);
    let unbuilt = "unbuilt c: No attribute named 'none' is defined".to_owned();
    assert!(
        ran.log.contains(&unbuilt) && ran.log.contains(&"b 200 OK".to_owned()),
        "{:?}",
        ran.log
    );
}

/// The limit is per host: two hosts have twice as many requests under way.
#[test]
fn connections_per_host_are_limited() {
    let meet: &'static _ = Box::leak(Box::new(meeting(4)));
    let start = || {
        Server::start(move |_, _| {
            meet();
            Reply::with(200, &[], "")
        })
    };
    let servers = [start(), start()];
    let config = json!({ "max_connections_per_host": 2 });
    let urls: Vec<String> = servers.iter().map(Server::base).collect();
    let all: Vec<_> = (0..12).map(|it| ("r", urls[it % 2].as_str())).collect();
    let ran = run(config, &[concurrent(&all)]);
    assert_eq!(ran.log, ["r 200 OK"; 12]);
    assert!(servers.iter().all(|it| it.seen().len() == 6 && connections_of(it) == [0, 1]));
}

fn poll(every_ms: u64, url: Json) -> Json {
    json!({ "poll": { "poller": "p", "start": { "every": { "lit": every_ms as f64 / 1_000.0 },
        "request": { "name": { "lit": "polled" }, "spec": { "method": "GET", "url": url,
            "checks": [{ "extractor": { "kind": "body_string" },
                "save_as": "v" }] } } } } })
}

#[test]
fn a_poller_runs_beside_its_user_and_ends_with_it() {
    let polled: &'static Mutex<Vec<String>> = Box::leak(Box::default());
    let until = |enough: fn(&[String]) -> bool| {
        let began = Instant::now();
        while !enough(&polled.lock().unwrap()) {
            assert!(began.elapsed() < PATIENCE, "{:?}", polled.lock().unwrap());
            std::thread::yield_now();
        }
    };
    let server = Server::start(move |seen, _| {
        match seen.target.as_str() {
            "/third" => until(|polled| polled.len() >= 3),
            "/again" => until(|polled| polled.iter().filter(|it| *it == "/before").count() == 2),
            target => polled.lock().unwrap().push(target.to_owned()),
        }
        Reply::with(200, &[], "ok")
    });
    let mut session = Session::new("s".into(), 0);
    session.set("v", Value::from("before"));
    let stop = json!({ "poll": { "poller": "p" } });
    let start = poll(10, json!({ "el": "/#{v}" }));
    let actions = [start.clone(), get("/third"), stop.clone(), start.clone(), get("/again")];
    let ran = run_with(base(&server), &actions, session);
    assert_eq!(polled.lock().unwrap()[..3], ["/before", "/ok", "/ok"]);
    assert_eq!(ran.session.get("v"), Some(&Value::from("before")));
    assert!(!ran.failed);
    let ran = run(base(&server), &[stop, start.clone(), start]);
    let expected = [
        "s: poll p failed: there is no poller of that name to stop",
        "s: poll p failed: a poller of that name is running already",
    ];
    assert_eq!(ran.notes, expected);
    assert!(ran.failed);
}

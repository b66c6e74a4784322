//! Event streams of a script against a small server in this process.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::engine::gatling_tests::outcome_at;
use crate::protocol::http::test_server::{Reply, Seen, Server};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\nSet-Cookie: seen=1; Path=/\r\n";

/// A stream that goes on as `do=…` of its query says.
pub(crate) fn talk(seen: &Seen) -> Reply {
    let kind = match told(seen) {
        status @ ("204" | "404") => return Reply::with(status.parse().unwrap(), &[], ""),
        "plain" => return Reply::with(200, &["content-type: text/plain"], "data: x\n\n"),
        "untyped" => return Reply::with(200, &[], "data: x\n\n"),
        other => other,
    };
    match (kind, seen.header("last-event-id")) {
        ("gone", Some(_)) => return Reply::with(204, &[], ""),
        ("broken", Some(_)) => return Reply::with(503, &[], ""),
        _ => {}
    }
    let seen = seen.clone();
    Reply::Take(Box::new(move |stream| drop(serve(&seen, stream))))
}

fn told(seen: &Seen) -> &str {
    let told = seen.target.split_once("do=").map(|(_, it)| it.split('&').next().unwrap());
    told.unwrap_or("tick")
}

/// Until the client has gone.
fn serve(seen: &Seen, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = |more: &str| {
        write!(
            stream,
            "HTTP/1.1 200 X\r\nContent-Type: text/event-stream;charset=UTF-8\r\n{more}\r\n"
        )?;
        stream.try_clone()
    };
    let first = "retry: 300\nid: 7\ndata: first\n\n";
    match (told(seen), seen.header("last-event-id")) {
        ("gone" | "broken" | "length", None) => {
            let mut stream = head(&format!("Content-Length: {}\r\n", first.len() + 10))?;
            stream.write_all(first.as_bytes())?;
            stream.write_all(b"data: cut")
        }
        ("close", _) => head("")?.write_all(first.as_bytes()),
        ("lost" | "end", None) => {
            let mut stream = head(CHUNKED)?;
            chunk(&mut stream, first.as_bytes())?;
            stream.write_all(if told(seen) == "end" { b"0\r\n\r\n" } else { b"5\r\ncut" })
        }
        ("cut", _) => {
            let mut stream = head(CHUNKED)?;
            let events = "\u{feff}data: ä\r\ndata: b\r\n\r\n: x\n\nevent: e\rid: 1\r\rdata: {}\n\n";
            let events = format!("{events}data: last\n\n");
            events.as_bytes().iter().try_for_each(|byte| chunk(&mut stream, &[*byte]))?;
            wait(&stream)
        }
        ("endless", _) => {
            let mut stream = head("")?;
            stream.write_all(b"data: ")?;
            loop {
                stream.write_all(&[b'x'; 64 << 10])?;
            }
        }
        ("gzip", _) => {
            let mut stream = head(&format!("Content-Encoding: gzip\r\n{CHUNKED}"))?;
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            for event in ["data: one\n\n", "data: two\n\n"] {
                encoder.write_all(event.as_bytes())?;
                encoder.flush()?;
                chunk(&mut stream, &std::mem::take(encoder.get_mut()))?;
            }
            wait(&stream)
        }
        _ => {
            let mut stream = head(CHUNKED)?;
            chunk(&mut stream, greeting(seen).as_bytes())?;
            for number in 1.. {
                chunk(&mut stream, format!("id: {number}\ndata: tick {number}\n\n").as_bytes())?;
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }
    }
}

fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let size = format!("{:x}\r\n", bytes.len());
    stream.write_all(&[size.as_bytes(), bytes, b"\r\n"].concat())
}

fn wait(mut stream: &TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

/// What came with the request, as an event.
fn greeting(seen: &Seen) -> String {
    let names = ["accept", "cache-control", "cookie", "last-event-id", "x"];
    let mut data = serde_json::json!({
        "at": seen.method.clone() + " " + &seen.target,
        "body": String::from_utf8_lossy(&seen.body),
    });
    for name in names {
        data[name] = seen.header(name).into();
    }
    format!("event: hello\nid: 0\ndata: {data}\n\n")
}

fn outcome_on(server: &Server, protocol: &str, chain: &str) -> String {
    let code = format!(
        "const event = (name) => sse.checkMessage(name);\n\
         const data = () => jsonPath('$.data');\n\
         const tick = (name) => event(name).matching(data().transform((t) => t.slice(0, 4)).is('tick'));\n\
         export default simulation((setUp) => setUp(scenario('s').exec({chain})\
         .injectOpen(atOnceUsers(1))).protocols(http.baseUrl(BASE){protocol}));\n"
    );
    outcome_at(server, &code).concat()
}

fn outcome(protocol: &str, chain: &str) -> String {
    outcome_on(&Server::start(|seen, _| talk(seen)), protocol, chain)
}

#[test]
fn events_are_checked_under_the_names_of_their_checks() {
    let found = outcome(
        ".acceptHeader('text/html')",
        r##"
        (s) => s.set("no", false).set("q", 7),
        sse("connect").get("/a").header("x", "1").queryParam("q", "#{q}")
          .await(5).on(event("hello").check(
            jsonPath("$.event").is("hello"), jsonPath("$.id").is("0"), jsonPath("$.retry").notExists(),
            jsonPath("$.data.at").saveAs("at"), jsonPath("$.data.accept").saveAs("accept"),
            jsonPath("$.data.cache-control").saveAs("cache"), jsonPath("$.data.x").is("1"))),
        out("#{at} #{accept} #{cache}"),
        sse("other", "own").post(() => BASE + "/b").body(StringBody("by #{q}"))
          .header("accept", "text/event-stream;v=2")
          .await("5").on(
            event((s) => `posted ${s.get("q")}`).check(jsonPath("$.data").ofMap().transform((it) =>
              [it.at, it.body, it.accept, it.cookie].join()).saveAs("posted")),
            tick("then").check(data().is("tick 1")))
          .await((s) => 5).on(tick("last").check(data().is("tick 2"))),
        out("#{posted}"),
        sse("set").sseName("own").setCheck()
          .await(5).on(tick("one").check(data().saveAs("one")), tick("two").checkIf("#{no}")
            .then(data().is("never")).checkIf((session) => session.get("no")).then(data().is("never"))
            .checkIf((message, session) => message.includes("tick")).then(jsonPath("$.id").saveAs("id")))
          .await(5).on(tick("three").check(data().saveAs("three"))),
        (s) => { const n = (key) => Number(s.get(key).slice(5));
          console.log(n("three") - n("one"), Number(s.get("id")) - n("one")); return s; },
        sse("nothing").setCheck(),
        sse("set").setCheck().await(5).on(tick("tick")),
        sse("close").close(), sse("close", "own").close()"##,
    );
    assert_eq!(
        found,
        "GET /a?q=7 text/event-stream no-cache\n\
         POST /b,by 7,text/event-stream;v=2,seen=1\n2 1\n= 12 OK, 0 KO, 1 users\n"
    );
}

#[test]
fn what_is_no_event_stream_is_ko_and_stays_closed() {
    let found = outcome(
        "",
        r##"
        sse("c").get("/?do=404"), sse("set").setCheck().await(1).on(event("never")),
        sse("close").close(), sse("close").close(),
        sse("c").get("/?do=plain"), sse("c").get("/?do=untyped"), sse("c").get("/?do=204"),
        sse("c").get("/?do=tick").await(5).on(event("hello")),
        sse("again").get("/"),
        sse("c", "other").get("#{none}"),
        (s) => { console.log(s.isFailed()); return s; }"##,
    );
    assert_eq!(
        found,
        "true\n= 2 OK, 4 KO, 1 users\n\
         - Server returned http response with code 204 x1\n\
         - Server returned http response with code 404 x1\n\
         - Server returned http response with content-type null x1\n\
         - Server returned http response with content-type text/plain x1\n\
         - again: Unable to create a new SSE stream with name gatling.http.sse: already exists x1\n\
         - c: No attribute named 'none' is defined x1\n\
         - close: Client issued close order but SSE stream was already crashed: Server returned http \
         response with code 404 x1\n\
         - close: Couldn't fetch open sse x1\n\
         - set: Server returned http response with code 404 x1\n"
    );
}

#[test]
fn checks_fail_and_time_out_and_what_follows_is_skipped() {
    let found = outcome(
        "",
        r##"
        sse("c").get("/").await(5).on(event("hello").check(jsonPath("$.data.x").is("y")), event("skipped"))
          .await(5).on(event("skipped")),
        sse("set").setCheck().await(0.05).on(tick("tick"), event("late").matching(data().is("never")))
          .await(5).on(event("skipped")),
        sse("set").setCheck().await(5).on(tick("alive")),
        sse("set", "none").setCheck().await(1).on(event("skipped")),
        sse("set").setCheck().await("#{none}").on(event("skipped"))"##,
    );
    assert_eq!(
        found,
        "= 3 OK, 2 KO, 1 users\n\
         - Check late timeout x1\n\
         - jsonPath($.data.x).find.is(y), found null x1\n\
         - set: Couldn't fetch open sse x1\n\
         - set: No attribute named 'none' is defined x1\n"
    );
}

#[test]
fn events_come_in_any_pieces_and_unmatched_ones_are_kept() {
    let chain = |more: &str| {
        format!(
            r##"
        sse("c").get("/?do=cut").await(5).on(event("last").matching(data().is("last"))),
        sse.processUnmatchedMessages((messages, session) => {{
          console.log(messages.map((m) => m.message()).join(), messages.every((m) => m.timestamp() > 1e12));
          return session;
        }}),
        sse("c", "own").get("/").await(5).on(event("hello")), {more}
        sse.processUnmatchedMessages((s) => "own", (messages, session) =>
          session.set("ticks", messages.length > 0 && messages.every((m) => m.message().includes("tick")))),
        out("#{{ticks}}")"##
        )
    };
    let wait = r#"sse("set", "own").setCheck().await(5).on(event("ten")
        .matching(jsonPath("$.id").transform(Number).gt(10))), "#;
    assert_eq!(
        outcome(".sseUnmatchedInboundMessageBufferSize(2)", &chain(wait)),
        "{\"event\":\"e\",\"id\":\"1\"},{\"data\":{}} true\ntrue\n= 5 OK, 0 KO, 1 users\n"
    );
    let all = outcome(".sseUnmatchedInboundMessageBufferSize(9)", &chain(wait));
    assert!(all.starts_with("{\"data\":\"ä\\nb\"},{\"event\":\"e\""), "{all}");
    assert_eq!(outcome("", &chain("")), " true\nfalse\n= 4 OK, 0 KO, 1 users\n");
}

#[test]
fn a_lost_stream_is_opened_again_when_the_server_says_and_from_where_it_was() {
    for lost in ["length", "lost"] {
        let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let seen_at = Arc::clone(&times);
        let server = Server::start(move |seen, _| {
            seen_at.lock().unwrap().push(Instant::now());
            talk(seen)
        });
        let chain = format!(
            r##"
            sse("c").get("/?do={lost}").await(5).on(event("first").check(jsonPath("$.retry").is("300")))
              .await(2).on(event("hello").check(jsonPath("$.data.last-event-id").is("7"))),
            sse("set").setCheck().await(5).on(tick("tick")),
            sse("close").close()"##
        );
        assert_eq!(outcome_on(&server, "", &chain), "= 5 OK, 0 KO, 1 users\n", "{lost}");
        let times = times.lock().unwrap();
        assert_eq!(times.len(), 2, "{lost}");
        assert!(times[1] - times[0] >= Duration::from_millis(300), "{lost}");
    }
}

#[test]
fn a_server_ends_a_stream_in_good_order_or_by_what_it_answers_then() {
    let found = |kind: &str| {
        let chain = format!(
            r##"
            sse("c").get("/?do={kind}").await(5).on(event("first"), event("never")),
            sse("set").setCheck().await(5).on(event("never")),
            sse("close").close(),
            (s) => s.markAsSucceeded(), sse("c").get("/").await(5).on(event("hello"))"##
        );
        outcome("", &chain)
    };
    let expected = |text: &str| {
        format!(
            "= 4 OK, 1 KO, 1 users\n\
             - SSE crashed while waiting for check: {text} x1\n\
             - close: Client issued close order but SSE stream was already crashed: {text} x1\n\
             - set: {text} x1\n"
        )
    };
    for kind in ["close", "end", "gone"] {
        assert_eq!(found(kind), expected("End of stream"), "{kind}");
    }
    assert_eq!(found("broken"), expected("Server returned http response with code 503"));
}

#[test]
fn an_event_without_an_end_ends_its_stream() {
    let found = outcome(
        "",
        r##"sse("c").get("/?do=endless").await(60).on(event("e")), sse("close").close()"##,
    );
    assert_eq!(
        found,
        "= 1 OK, 1 KO, 1 users\n\
         - SSE crashed while waiting for check: an event is larger than 16 MiB x1\n\
         - close: Client issued close order but SSE stream was already crashed: an event is larger \
         than 16 MiB x1\n"
    );
}

#[test]
fn compressed_events_come_as_they_are_sent() {
    let found = outcome(
        ".acceptEncodingHeader('gzip')",
        r##"sse("c").get("/?do=gzip").await(5).on(
          event("one").check(data().is("one")), event("two").check(data().is("two")))"##,
    );
    assert_eq!(found, "= 3 OK, 0 KO, 1 users\n");
}

#[test]
fn a_stream_ends_with_its_user_or_when_it_is_closed() {
    let open = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |seen, _| {
        if seen.target == "/open" {
            return Reply::with(200, &[], open.load(Ordering::SeqCst).to_string());
        }
        let (seen, open) = (seen.clone(), Arc::clone(&open));
        Reply::Take(Box::new(move |stream| {
            open.fetch_add(1, Ordering::SeqCst);
            drop(serve(&seen, stream));
            open.fetch_sub(1, Ordering::SeqCst);
        }))
    });
    let code = r##"
        const hello = sse.checkMessage("hello");
        const left = (count) => exec((s) => s.remove("n"))
          .asLongAs((s) => s.get("n") !== count).on(http("open").get("/open").check(bodyString().saveAs("n")));
        const first = scenario("first").exec(
          sse("c", "a").get("/a").await(5).on(hello), sse("c", "b").get("/b").await(5).on(hello), left("2"),
          sse("close", "a").close(), left("1"), out("one is left"));
        const then = scenario("then").exec(left("0"), out("none is left"));
        export default simulation((setUp) => setUp(first.injectOpen(atOnceUsers(1))
          .andThen(then.injectOpen(atOnceUsers(1)))).protocols(http.baseUrl(BASE)));
    "##;
    let found = outcome_at(&server, code);
    assert_eq!(found[..2], ["one is left\n", "none is left\n"], "{found:?}");
    assert!(found[2].ends_with(" OK, 0 KO, 2 users\n"), "{found:?}");
}

#[test]
fn wrong_scripts_fail_when_loaded() {
    for (chain, why) in [
        (r#"sse("x").get("/").check(status().is(200))"#, "! an SSE connect has no check(...)"),
        (r#"sse("x").get("/").await(1).on()"#, "! on(...) needs at least one check"),
        (r#"sse("x").get("/").await(1).on(substring("a"))"#, "! on(...) takes checks of messages"),
        (r#"sse("x").get("/").await(1).on(ws.checkTextMessage("a"))"#, "! on(...) takes checks"),
        (r#"sse("x").get("/").await(1)"#, "! exec(...) takes actions"),
        (r#"sse("x").get("/").await(1).on(event("t").check(status().is(1)))"#, "! "),
        (
            r#"sse("x").get("/").await(1).on(event("t").silent())"#,
            "! a check of events has no method silent",
        ),
        (
            r#"sse("x").put("/")"#,
            "! sse(...) without an action such as .get(...) has no method put",
        ),
        (r#"sse("x")"#, "! exec(...) takes actions"),
        (r#"sse.processUnmatchedMessages(1)"#, "! sse.processUnmatchedMessages takes a function"),
        (r#"sse()"#, "! the name of an SSE request"),
    ] {
        let found = outcome("", chain);
        assert!(found.starts_with(why), "{chain}: {found}");
    }
}

//! WebSockets of a script against a small server in this process.

use std::io::Write as _;
use std::net::TcpStream;

use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use serde_json::{Value as Json, json};

use super::handshake;
use crate::engine::gatling_tests::outcome_at;
use crate::protocol::http::test_server::{Reply, Seen, Server};
use crate::protocol::http::tests::run;

/// The handshake; then it does as it is told, and echoes everything else.
pub(crate) fn talk(seen: &Seen) -> Reply {
    let seen = seen.clone();
    Reply::Take(Box::new(move |stream| serve(&seen, stream)))
}

fn answer(seen: &Seen, _: usize) -> Reply {
    if seen.target.starts_with("/ok") { talk(seen) } else { Reply::with(404, &[], "") }
}

fn serve(seen: &Seen, mut stream: TcpStream) {
    let value = |name: &str| seen.header(name).unwrap_or_default();
    let accept = handshake::answer_to(value("sec-websocket-key"));
    let mut head = format!(
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSet-Cookie: seen=1; Path=/\r\n"
    );
    if let Some(subprotocol) = seen.header("sec-websocket-protocol") {
        head.push_str("Sec-WebSocket-Protocol: ");
        head.push_str(subprotocol);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
    let greeting = format!("{} cookie={} x={}", seen.target, value("cookie"), value("x"));
    let _ = socket.send(Message::text(greeting));
    while let Ok(message) = socket.read() {
        let told = match &message {
            Message::Text(text) => text.as_str().to_owned(),
            Message::Binary(bytes) => {
                let back: Vec<u8> = bytes.iter().rev().copied().collect();
                socket.send(Message::Binary(back.into())).unwrap();
                continue;
            }
            _ => continue,
        };
        match told.as_str() {
            "close" => {
                let frame = CloseFrame { code: 1001.into(), reason: "bye".into() };
                socket.close(Some(frame)).unwrap();
            }
            "drop" => return,
            // As long as its client lets it.
            "stall" => stall(socket.get_ref()),
            "beat" => socket.send(Message::text("2")).unwrap(),
            "burst" => (0..5).for_each(|n| socket.send(Message::text(format!("m{n}"))).unwrap()),
            told => socket.send(Message::text(format!("echo {told}"))).unwrap(),
        }
    }
}

/// Reads nothing until the client has gone.
fn stall(stream: &TcpStream) {
    use rustix::event::{PollFd, PollFlags, poll};

    let mut fds = [PollFd::new(stream, PollFlags::HUP)];
    while !fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
        poll(&mut fds, None).unwrap();
    }
}

fn outcome(protocol: &str, chain: &str) -> String {
    let server = Server::start(answer);
    let base = server.base().replace("http", "ws");
    let code = format!(
        "const WS = '{base}';\n\
         const text = (name) => ws.checkTextMessage(name);\n\
         export default simulation((setUp) => setUp(scenario('s').exec({chain})\
         .injectOpen(atOnceUsers(1))).protocols(http.wsBaseUrl(WS){protocol}));\n"
    );
    outcome_at(&server, &code).concat()
}

#[test]
fn frames_are_sent_and_checked_under_their_own_names() {
    let found = outcome(
        "",
        r##"
        (s) => s.set("no", false),
        ws("connect").connect("/ok?a=b").header("x", "1").queryParam("q", "#{none}".length)
          .subprotocol("chat")
          .onConnected(exec(out("#{hello}"), ws("in chain").sendText("one")))
          .await(2).on(text("hello").check(regex("(.*)").saveAs("hello"))),
        ws("second", "other").connect(() => WS + "/ok")
          .await(2).on(text("cookie").check(regex("cookie=(\\S+)").is("seen=1"))),
        ws("send").sendText((s) => "burst")
          .await(2).on(
            text("m1").matching(substring("m1")).check(bodyString().saveAs("m")),
            text("m3").matching(regex("m(\\d)").is("3")).check(bodyLength().is(2)))
          .await("2").on(text((s) => "m4 after " + s.get("m"))
            .checkIf((message, session) => message === "m4").then(bodyString().saveAs("last"))
            .checkIf("#{no}").then(bodyString().is("never"))
            .checkIf((session) => session.get("m") === "never").then(bodyString().is("never"))),
        out("#{m} #{last}"),
        ws("json").sendText('{"a":[1,2]}').await(2).on(text("json").check(
          substring("echo"), regex("echo (.*)").saveAs("j"))),
        ws("bytes").sendBytes([1, 2, -1]).await(2).on(
          ws.checkBinaryMessage("back").check(bodyBytes().is([-1, 2, 1]), bodyLength().is(3))),
        ws("silent").sendBytes((s) => [7]).await(2).on(
          ws.checkBinaryMessage("never counted").silent().check(bodyLength().saveAs("one"))),
        out("#{one}"),
        ws("close").close(), ws("close").wsName("other").close(1001, "enough")"##,
    );
    assert_eq!(found, "/ok?a=b&q=7 cookie= x=1\nm1 m4\n1\n= 16 OK, 0 KO, 1 users\n");
}

#[test]
fn what_fails_is_ko_under_the_name_of_the_check() {
    let found = outcome(
        "",
        r##"
        ws("not there").connect("/none"),
        ws("send to it").sendText("x"),
        ws("c", "a").connect("/ok").await(2).on(text("greeting")),
        ws("send", "a").sendText("x").await(2).on(
          text("wrong").check(bodyString().is("y")), text("skipped")),
        ws("send", "a").sendText("x").await(0.05).on(text("late").matching(bodyString().is("y"))),
        ws("send", "a").sendText("drop").await(2).on(text("crash")),
        ws("none", "b").sendText("x"),
        (s) => { console.log(s.isFailed()); return s; }"##,
    );
    assert_eq!(
        found,
        "true\n= 5 OK, 5 KO, 1 users\n\
         - Check late timeout x1\n\
         - Client issued text frame but server has closed the WebSocket and max reconnects is \
         reached x1\n\
         - Invalid handshake response getStatus: 404 Not Found x1\n\
         - WebSocket crashed while waiting for check: Premature close x1\n\
         - bodyString.find.is(y), failed x1\n\
         - none: Couldn't fetch open webSocket x1\n"
    );
}

#[test]
fn unmatched_messages_are_kept_and_some_are_answered_unasked() {
    let found = outcome(
        ".wsUnmatchedInboundMessageBufferSize(3).wsAutoReplySocketIo4()\
         .wsAutoReplyTextFrame((f) => f === 'm4' ? 'four' : null)",
        r##"
        ws("connect").connect("/ok").await(2).on(text("greeting")),
        ws("beat").sendText("beat").await(2).on(text("beaten").check(bodyString().is("echo 3"))),
        ws("burst").sendText("burst").await(2).on(text("four").matching(bodyString().is("echo four"))),
        ws.processUnmatchedMessages((messages, session) => {
          console.log(messages.map((m) => m.message()).join(), messages.every((m) =>
            isWsInboundMessageText(m) && !isWsInboundMessageBinary(m) && m.timestamp() > 1e12));
          return session.set("seen", messages.length);
        }),
        ws("idle").sendText("burst"), pause(0.2),
        ws.processUnmatchedMessages("gatling.http.webSocket", (messages, session) =>
          session.set("then", messages.map((m) => m.message()).join())),
        out("#{seen} #{then}")"##,
    );
    assert_eq!(found, " true\n0 m3,m4,echo four\n= 7 OK, 0 KO, 1 users\n");
}

#[test]
fn a_socket_that_its_server_closed_is_opened_again_where_that_is_allowed() {
    let chain = r##"
        ws("connect").connect("/ok").await(2).on(text("greeting")),
        ws("send").sendText("close"), pause(0.2),
        ws("again").sendText("hi").await(2).on(text("echo").check(bodyString().is("echo hi"))),
        ws("send").sendText("close"), pause(0.2),
        ws("close").close()"##;
    assert_eq!(outcome(".wsReconnect()", chain), "= 8 OK, 0 KO, 1 users\n");
    assert_eq!(outcome(".wsMaxReconnects(1)", chain), "= 8 OK, 0 KO, 1 users\n");
    assert_eq!(
        outcome("", chain),
        "= 3 OK, 2 KO, 1 users\n\
         - Client issued text frame but server has closed the WebSocket and max reconnects is \
         reached x2\n"
    );
}

#[test]
fn a_server_that_stops_reading_does_not_keep_its_users() {
    let server = Server::start(|seen, _| talk(seen));
    let config = json!({ "ws_base_urls": [server.base().replace("http", "ws")],
        "request_timeout_us": 150_000 });
    let act = |name: &str, op: Json| json!({ "name": name, "ws": { "socket": { "lit": "s" }, "op": op } });
    let request = json!({ "method": "GET", "url": { "lit": "/" } });
    let send = |text: &str| json!({ "send_text": { "content": { "lit": text } } });
    let mut actions = vec![act("c", json!({ "connect": { "request": request } }))];
    actions.push(act("stall", send("stall")));
    let large = "x".repeat(1 << 20);
    actions.extend((0..40).map(|_| act("large", send(&large))));
    actions.push(act("close", json!({ "close": { "code": 1000, "reason": "" } })));
    let ran = run(config, &actions);
    let stuck = "WebSocket frame could not be sent within 150 ms";
    // Whoever hands it over is the one that waits, or the task that sends it.
    let told = |line: &String| line.contains(stuck) || line.contains("server has closed");
    assert_eq!(ran.log[..2], ["c 101 OK", "stall 0 OK"]);
    assert!(ran.log.iter().any(told), "{:?}", ran.log);
    assert!(ran.log.last().unwrap().contains(stuck), "{:?}", ran.log);
    assert!(ran.failed);
}

#[test]
fn wrong_scripts_fail_when_loaded() {
    for (chain, why) in [
        (r#"ws("x").connect("/ok").check(status().is(101))"#, "! a WebSocket connect has no check"),
        (r#"ws("x").connect("/").await(1).on()"#, "! on(...) needs at least one check"),
        (r#"ws("x").connect("/").await(1).on(substring("a"))"#, "! on(...) takes checks of mess"),
        (r#"ws("x").connect("/").await(1).on(text("t").check(status().is(1)))"#, "! "),
        (r#"ws("x").sendText("t").await(1)"#, "! "),
        (r#"ws.processUnmatchedMessages(1)"#, "! ws.processUnmatchedMessages takes a function"),
    ] {
        let found = outcome("", chain);
        assert!(found.starts_with(why), "{chain}: {found}");
    }
}

//! Examples of failed requests: what they show, and what they must not.

use std::io::Write as _;

use serde_json::json;

use super::test_server::{Reply, Seen, Server};
use super::tests::{base, get, run, run_with};
use crate::session::Session;
use crate::value::Value;

const SECRET: &str = "s3cr3t-0123456789";

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn shop(seen: &Seen, _: usize) -> Reply {
    match seen.target.as_str() {
        "/down" => Reply::with(503, &["content-type: text/plain"], "try again\r\nlater"),
        "/packed" => Reply::with(500, &["content-encoding: gzip"], packed(&"why? ".repeat(9_000))),
        "/image" => Reply::with(500, &[], [0xff_u8, 0xd8, 0xff]),
        "/echo" => {
            let set = format!("set-cookie: sid={SECRET}; Path=/");
            let body = format!("{{\"token\":\"{SECRET}\",\"seen\":\"{SECRET}\"}}");
            Reply::with(401, &[&set, "x-request-id: 7"], body)
        }
        "/long" => Reply::with(500, &[], format!("{}{SECRET} and more", "x".repeat(1_020))),
        "/closes" => Reply::Close,
        _ => Reply::with(200, &[], "x".repeat(5_000)),
    }
}

#[test]
fn an_example_shows_the_request_and_what_came_back() {
    let server = Server::start(shop);
    let post = json!({ "method": "POST", "url": { "lit": "/down" },
        "body": { "text": { "lit": "a=1" } },
        "headers": [{ "name": "X-Shop", "value": { "lit": "7" } }] });
    let wants_201 = json!({ "method": "GET", "url": { "lit": "/fine" },
        "checks": [{ "extractor": { "kind": "status" }, "validator": { "is": { "lit": 201 } } }] });
    let ran = run(base(&server), &[post, get("/packed"), get("/image"), get("/closes"), wants_201]);
    let [down, packed, image, closes, fine] = &ran.samples[..] else {
        unreachable!("{:?} {:?}", ran.samples, ran.log)
    };
    assert_eq!(down.sent.head, format!("POST {}/down", server.base()));
    assert!(down.sent.headers.contains(&("X-Shop".into(), "7".into())), "{:?}", down.sent.headers);
    assert_eq!((down.sent.body.as_str(), down.sent.cut), ("a=1", false));
    let received = down.received.as_ref().unwrap();
    assert_eq!(received.head, "503 Service Unavailable");
    assert_eq!((received.body.as_str(), received.cut), ("try again\r\nlater", false));
    assert!(received.headers.contains(&("content-type".into(), "text/plain".into())));
    let received = packed.received.as_ref().unwrap();
    assert!(received.body.starts_with("why? why? ") && received.body.len() <= 1_024);
    assert!(received.cut);
    assert_eq!(image.received.as_ref().unwrap().body, "(not text)");
    assert_eq!(closes.received, None);
    // Nobody asked for the body of what is no error: it was never in memory.
    let received = fine.received.as_ref().unwrap();
    assert_eq!((received.head.as_str(), received.body.as_str()), ("200 OK", ""));
    assert!(received.cut);
}

#[test]
fn no_secret_is_in_an_example() {
    let server = Server::start(shop);
    let mut session = Session::new("s".into(), 0);
    session.set("accessToken", Value::from(SECRET));
    let post = json!({ "method": "POST", "url": { "el": "/echo" },
        "body": { "text": { "lit": format!("user=ada&password={SECRET}&note={SECRET}") } },
        "headers": [{ "name": "Authorization", "value": { "lit": format!("Bearer {SECRET}") } },
            { "name": "X-Trace", "value": { "lit": format!("of {SECRET}") } }] });
    let ran = run_with(base(&server), &[post.clone(), post], session);
    assert_eq!(ran.samples.len(), 2);
    for sample in &ran.samples {
        let text = format!("{sample:?}");
        assert!(!text.contains("s3cr3t"), "{text}");
        assert!(text.contains("Bearer ****") && text.contains("of ****"), "{text}");
        assert!(text.contains("user=ada&password=****&note=****"), "{text}");
        assert!(text.contains("sid=****; Path=/") && text.contains("x-request-id"), "{text}");
    }
    let cookie = |(name, value): &(String, String)| name == "cookie" && value == "sid=****";
    assert!(ran.samples[1].sent.headers.iter().any(cookie), "{:?}", ran.samples[1].sent.headers);
}

/// Once the body was cut first, and the half of a secret at its end was shown.
#[test]
fn a_secret_at_a_cut_is_masked() {
    let server = Server::start(shop);
    let mut session = Session::new("s".into(), 0);
    session.set("accessToken", Value::from(SECRET));
    let ran = run_with(base(&server), &[get("/long")], session);
    let received = ran.samples[0].received.as_ref().unwrap();
    assert_eq!((&received.body[1_018..], received.cut), ("xx****", true));
}

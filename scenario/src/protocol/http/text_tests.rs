//! Text that is not ASCII: in bodies, forms, parts, header values and cookies. The expected bytes are
//! those that Gatling 3.16.0 sent.

use serde_json::{Value as Json, json};

use super::test_server::{Reply, Server};
use super::tests::{base, get, run, run_with};
use crate::session::Session;
use crate::value::Value;

fn session() -> Session {
    let mut session = Session::new("s".into(), 0);
    session.set("id", Value::from("ü€"));
    session.set("charset", Value::from("ISO-8859-1"));
    session
}

fn post(content_type: Json, body: Json) -> Json {
    let content_type = json!({ "name": "Content-Type", "value": content_type });
    let mut request = json!({ "method": "POST", "url": { "lit": "/" }, "headers": [content_type] });
    let fields = request.as_object_mut().unwrap();
    fields.extend(body.as_object().unwrap().clone());
    request
}

/// What comes out of a body with that content type.
fn sent(content_type: Json, body: Json) -> Vec<u8> {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let ran = run_with(base(&server), &[post(content_type, body)], session());
    assert_eq!(ran.log, ["r 200 OK"]);
    server.seen().remove(0).body
}

/// Once UTF-8, whatever the content type said.
#[test]
fn bodies_are_in_the_charset_of_their_content_type() {
    let text = json!({ "body": { "text": { "el": "é€#{id}" } } });
    let literal = json!({ "body": { "text": { "lit": "é€" } } });
    let file = json!({ "body": { "el_file": { "lit": "body.json" } } });
    for (content_type, expected) in [
        ("text/plain", "é€ü€".as_bytes()),
        ("text/plain; charset=ISO-8859-1", b"\xe9?\xfc?"),
        ("text/plain; CHARSET='latin1'", b"\xe9?\xfc?"),
        ("text/plain; charset=windows-1252", b"\xe9\x80\xfc\x80"),
        ("text/plain; charset=us-ascii", b"????"),
        ("text/plain; charset=UTF-16LE", b"\xe9\0\xac\x20\xfc\0\xac\x20"),
        ("text/plain; charset=", "é€ü€".as_bytes()),
    ] {
        assert_eq!(sent(json!({ "lit": content_type }), text.clone()), expected, "{content_type}");
    }
    let latin1 = json!({ "lit": "text/plain; charset=ISO-8859-1" });
    assert_eq!(sent(latin1.clone(), literal), b"\xe9?");
    assert_eq!(sent(latin1.clone(), file), b"{\"id\":\"\xfc?\"}");
    let computed = json!({ "el": "text/plain; charset=#{charset}" });
    assert_eq!(sent(computed, text), b"\xe9?\xfc?");
    let bytes = json!({ "body": { "bytes": { "lit": [195, 169] } } });
    assert_eq!(sent(latin1, bytes), "é".as_bytes());
}

#[test]
fn forms_are_in_the_charset_of_their_content_type() {
    let field = |name: &str, value: &str| json!({ "one": { "name": { "lit": name }, "value": { "el": value } } });
    let form = json!({ "form": [field("é k~*-._", "é€ 'x#{id}"), field("e", "")] });
    for (charset, expected) in [
        ("UTF-8", "%C3%A9+k%7E*-._=%C3%A9%E2%82%AC+%27x%C3%BC%E2%82%AC&e="),
        ("ISO-8859-1", "%E9+k%7E*-._=%E9%3F+%27x%FC%3F&e="),
        ("us-ascii", "%3F+k%7E*-._=%3F%3F+%27x%3F%3F&e="),
    ] {
        let kind = format!("application/x-www-form-urlencoded; charset={charset}");
        let body = sent(json!({ "lit": kind }), form.clone());
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}

/// Once sent in UTF-8 under the name of what it was not.
#[test]
fn a_charset_that_there_is_not_is_told() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let body = json!({ "body": { "text": { "lit": "é" } } });
    let request = post(json!({ "el": "text/plain; charset=#{id}" }), body);
    let mut session = session();
    session.set("id", Value::from("nope"));
    let ran = run_with(base(&server), &[request], session);
    assert_eq!(
        ran.log,
        [
            "unbuilt r: the content type \"text/plain; charset=nope\" names a charset that there is not"
        ]
    );
    assert!(server.seen().is_empty());
}

#[test]
fn parts_are_in_their_own_charset_and_their_heads_in_ascii() {
    let server = Server::start(|_, _| Reply::with(200, &[], ""));
    let part = |name: &str, more: Json| {
        let mut part = json!({ "name": { "lit": name }, "body": { "text": { "lit": "é€" } } });
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        part
    };
    let kind = json!({ "lit": "text/plain" });
    let request = json!({ "method": "POST", "url": { "lit": "/" },
        "headers": [{ "name": "Content-Type",
            "value": { "lit": "multipart/form-data; charset=ISO-8859-1; boundary=B" } }],
        "form": [{ "one": { "name": { "lit": "é" }, "value": { "lit": "é" } } }],
        "parts": [
            part("a", json!({ "charset": "latin1" })),
            part("b", json!({ "charset": "latin1", "content_type": kind })),
            part("c", json!({ "charset": "latin1", "file_name": { "lit": "é.txt" } })),
            part("d", json!({ "file_name": { "lit": "é.txt" }, "content_id": { "lit": "é" } })),
        ] });
    let ran = run(base(&server), &[request]);
    assert_eq!(ran.log, ["r 200 OK"]);
    let parts = [
        &b"Content-Disposition: form-data; name=\"?\"\r\n\r\n\xc3\xa9"[..],
        b"Content-Disposition: form-data; name=\"a\"\r\n\r\n\xe9?",
        b"Content-Disposition: form-data; name=\"b\"\r\n\
          Content-Type: text/plain; charset=ISO-8859-1\r\n\r\n\xe9?",
        b"Content-Disposition: form-data; name=\"c\"; filename=\"\xe9.txt\"\r\n\
          Content-Type: text/plain; charset=ISO-8859-1\r\n\r\n\xe9?",
        b"Content-Disposition: form-data; name=\"d\"; filename=\"\xc3\xa9.txt\"\r\n\
          Content-Type: text/plain\r\nContent-ID: ?\r\n\r\n\xc3\xa9\xe2\x82\xac",
    ];
    let mut expected = Vec::new();
    for part in parts {
        expected.extend([b"--B\r\n", part, b"\r\n"].concat());
    }
    expected.extend_from_slice(b"--B--\r\n");
    let body = server.seen().remove(0).body;
    assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&expected));
    assert_eq!(body, expected);
}

/// Bytes of a head are characters of ISO 8859-1, both ways: once those that are not UTF-8 came back
/// as U+FFFD.
#[test]
fn values_of_headers_and_cookies_are_the_bytes_that_came() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "/give" => Reply::Raw(
            b"HTTP/1.1 200 X\r\nx-a: caf\xe9\r\nx-b: caf\xc3\xa9\r\nset-cookie: c=caf\xe9\r\n\
              etag: \"\xe9\"\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
        ),
        _ => Reply::with(200, &[], ""),
    });
    let save = |name: &str| json!({ "extractor": { "kind": "header", "name": { "lit": name } }, "save_as": name });
    let give = json!({ "method": "GET", "url": { "lit": "/give" },
        "checks": [save("x-a"), save("x-b")] });
    let back = |name: &str| json!({ "name": name, "value": { "el": format!("#{{{name}}}|é€") } });
    let echo = json!({ "method": "GET", "url": { "lit": "/give" }, "headers": [back("x-a"), back("x-b")] });
    let ran = run(base(&server), &[give, echo, get("/give")]);
    assert_eq!(ran.log.len(), 3);
    assert_eq!(ran.session.get("x-a"), Some(&Value::from("café")));
    assert_eq!(ran.session.get("x-b"), Some(&Value::from("cafÃ©")));
    // The server reads each byte as a character.
    let seen = server.seen();
    assert_eq!(seen[1].header("x-a"), Some("café|é?"));
    assert_eq!(seen[1].header("x-b"), Some("cafÃ©|é?"));
    assert_eq!(seen[1].header("cookie"), Some("c=café"));
    assert_eq!(seen[2].header("if-none-match"), Some("\"é\""));
}

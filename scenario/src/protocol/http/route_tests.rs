//! Ways to a target: proxies, the PROXY protocol, names that the simulation resolves.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value as Json, json};

use super::test_server::{Reply, Server};
use super::tests::{base, get, run};

/// What came before the bytes went on to the target.
type Log = Arc<Mutex<Vec<String>>>;

/// Serves each connection with `handshake`, and then passes bytes on to where it says.
fn relay(
    handshake: impl Fn(&mut TcpStream, &Log) -> Option<SocketAddr> + Send + Sync + 'static,
) -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (log, handshake) = (Log::default(), Arc::new(handshake));
    let told = Arc::clone(&log);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, log) = (stream.unwrap(), Arc::clone(&told));
            let handshake = Arc::clone(&handshake);
            thread::spawn(move || {
                let Some(to) = handshake(&mut stream, &log) else { return };
                let target = TcpStream::connect(to).unwrap();
                let (mut from, mut back) =
                    (stream.try_clone().unwrap(), target.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut back, &mut stream));
                let _ = std::io::copy(&mut from, &mut (&target));
                let _ = target.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    (address, log)
}

fn line(stream: &mut TcpStream) -> String {
    let mut out = Vec::new();
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        out.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    String::from_utf8(out).unwrap().trim_end().to_owned()
}

fn exactly<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut out = [0; N];
    stream.read_exact(&mut out).unwrap();
    out
}

fn proxy(kind: &str, address: SocketAddr) -> Json {
    json!({ "kind": kind, "host": address.ip().to_string(), "port": address.port() })
}

fn credentials() -> Json {
    json!({ "user": { "lit": "u" }, "password": { "lit": "p" } })
}

fn fine() -> Server {
    Server::start(|_, _| Reply::with(200, &[], ""))
}

#[test]
fn an_http_proxy_is_sent_absolute_urls() {
    let (target, via) = (fine(), fine());
    let mut config = base(&target);
    config["proxy"] = proxy("http", via.address);
    config["proxy"]["credentials"] = credentials();
    let post = json!({ "method": "POST", "url": { "lit": "/b" } });
    let ran = run(config, &[get("/a?x=1"), post]);
    assert_eq!(ran.log, ["r 200 OK", "r 200 OK"]);
    let seen = via.seen();
    assert_eq!(seen[0].target, format!("{}/a?x=1", target.base()));
    assert_eq!(seen[1].target, format!("{}/b", target.base()));
    let names: Vec<&str> = seen[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["accept", "proxy-authorization", "host"]);
    assert_eq!(seen[0].header("proxy-authorization"), Some("Basic dTpw"));
    assert_eq!(seen[0].header("host"), Some(target.address.to_string().as_str()));
    assert!(seen.iter().all(|it| it.connection == 0));
    assert!(target.seen().is_empty());
}

#[test]
fn no_proxy_for_spares_hosts_and_a_requests_own_proxy_comes_first() {
    let (target, via, own) = (fine(), fine(), fine());
    let mut config = base(&target);
    config["proxy"] = proxy("http", via.address);
    let mut request = get("/own");
    request["proxy"] = proxy("http", own.address);
    assert!(!run(config.clone(), &[get("/a"), request.clone()]).failed);
    assert_eq!((via.seen().len(), own.seen().len(), target.seen().len()), (1, 1, 0));
    config["no_proxy_for"] = json!(["127.0.0.1"]);
    assert!(!run(config, &[get("/a"), request]).failed);
    assert_eq!((via.seen().len(), own.seen().len(), target.seen().len()), (1, 1, 2));
    assert_eq!(target.seen()[0].target, "/a");
}

/// The lines of a request without a body.
fn head(stream: &mut TcpStream) -> Vec<String> {
    std::iter::from_fn(|| Some(line(stream)).filter(|it| !it.is_empty())).collect()
}

#[test]
fn a_web_socket_goes_through_a_tunnel_of_an_http_proxy() {
    let target = Server::start(|seen, _| super::ws::tests::talk(seen));
    let to = target.address;
    let (address, log) = relay(move |stream, log| {
        log.lock().unwrap().push(head(stream).join("\n"));
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        Some(to)
    });
    let mut with = proxy("http", address);
    with["credentials"] = credentials();
    let config = json!({ "ws_base_urls": [format!("ws://{to}")], "proxy": with });
    let request = json!({ "request": get("/ok?a=b") });
    let connect = json!({ "ws": { "socket": { "lit": "s" }, "op": { "connect": request } } });
    assert_eq!(run(config, &[connect]).log, ["r 101 OK"]);
    let asked = format!("CONNECT {to} HTTP/1.1\nhost: {to}\nproxy-authorization: Basic dTpw");
    assert_eq!(*log.lock().unwrap(), [asked]);
    let seen = target.seen();
    assert_eq!((seen.len(), seen[0].target.as_str()), (1, "/ok?a=b"));
    assert_eq!(seen[0].header("proxy-authorization"), None);
}

#[test]
fn a_tunnel_is_asked_for_and_what_the_proxy_says_is_the_ko() {
    let (address, log) = relay(|stream, log| {
        log.lock().unwrap().push(head(stream).join("\n"));
        stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap();
        None
    });
    let mut with = proxy("http", address);
    with["credentials"] = credentials();
    with["connect_headers"] = json!([{ "name": "x-c", "value": { "lit": "d" } }]);
    let ran = run(json!({ "proxy": with }), &[get("https://deny.test/a")]);
    let expected = format!(
        "r 0 http, basic, /{address} => deny.test/<unresolved>:443, \
         status: 407 Proxy Authentication Required"
    );
    assert_eq!(ran.log, [expected]);
    let head = "CONNECT deny.test:443 HTTP/1.1\nhost: deny.test\n\
                proxy-authorization: Basic dTpw\nx-c: d";
    assert_eq!(*log.lock().unwrap(), [head]);
}

#[test]
fn a_proxy_that_is_silent_ends_with_the_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let config = json!({ "proxy": proxy("http", address), "connect_timeout_us": 100_000 });
    let ran = run(config, &[get("https://a.test:8443/")]);
    let expected = format!("r 0 http, none, /{address} => a.test/<unresolved>:8443, timeout");
    assert_eq!(ran.log, [expected]);
}

#[test]
fn socks_5_with_names_and_passwords() {
    let target = fine();
    let to = target.address;
    let (address, log) = relay(move |stream, log| {
        let [_, methods] = exactly::<2>(stream);
        let mut offered = vec![0; usize::from(methods)];
        stream.read_exact(&mut offered).unwrap();
        if offered.contains(&2) {
            stream.write_all(&[5, 2]).unwrap();
            let [_, length] = exactly::<2>(stream);
            let mut user = vec![0; usize::from(length)];
            stream.read_exact(&mut user).unwrap();
            let [length] = exactly::<1>(stream);
            let mut password = vec![0; usize::from(length)];
            stream.read_exact(&mut password).unwrap();
            log.lock().unwrap().push(String::from_utf8([user, password].concat()).unwrap());
            stream.write_all(&[1, 0]).unwrap();
        } else {
            stream.write_all(&[5, 0]).unwrap();
        }
        let [_, _, _, kind] = exactly::<4>(stream);
        let name = if kind == 3 {
            let [length] = exactly::<1>(stream);
            let mut name = vec![0; usize::from(length)];
            stream.read_exact(&mut name).unwrap();
            String::from_utf8(name).unwrap()
        } else {
            format!("{:?}", exactly::<4>(stream))
        };
        let port = u16::from_be_bytes(exactly::<2>(stream));
        log.lock().unwrap().push(format!("{name}:{port}"));
        let refused = u8::from(name == "refused.test") * 5;
        stream.write_all(&[5, refused, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        (refused == 0).then_some(to)
    });
    let mut with = proxy("socks5", address);
    let plain = run(
        json!({ "proxy": with }),
        &[get("http://shop.test:81/a"), get("http://shop.test:81/b")],
    );
    assert_eq!(plain.log, ["r 200 OK", "r 200 OK"]);
    with["credentials"] = credentials();
    let ran = run(json!({ "proxy": with }), &[get(&target.base()), get("http://refused.test/")]);
    assert_eq!(ran.log[0], "r 200 OK");
    let expected = format!("r 0 socks5, password, /{address} => refused.test/<unresolved>:80, ");
    assert!(ran.log[1].starts_with(&expected), "{:?}", ran.log);
    let expected = [
        "shop.test:81".to_owned(),
        "up".to_owned(),
        format!("[127, 0, 0, 1]:{}", to.port()),
        "up".to_owned(),
        "refused.test:80".to_owned(),
    ];
    assert_eq!(*log.lock().unwrap(), expected);
    assert_eq!(target.seen()[0].target, "/a");
    assert_eq!(target.seen()[0].header("host"), Some("shop.test:81"));
}

#[test]
fn socks_4_with_an_address() {
    let target = fine();
    let to = target.address;
    let (address, log) = relay(move |stream, log| {
        let head = exactly::<9>(stream);
        log.lock().unwrap().push(format!("{head:?}"));
        stream.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).unwrap();
        Some(to)
    });
    let mut config = base(&target);
    config["proxy"] = proxy("socks4", address);
    assert_eq!(run(config, &[get("/a")]).log, ["r 200 OK"]);
    let [high, low] = to.port().to_be_bytes();
    assert_eq!(*log.lock().unwrap(), [format!("[4, 1, {high}, {low}, 127, 0, 0, 1, 0]")]);
}

#[test]
fn the_proxy_protocols_line_goes_ahead_of_everything() {
    let target = fine();
    let to = target.address;
    let (address, log) = relay(move |stream, log| {
        let peer = stream.peer_addr().unwrap();
        let line = line(stream).replace(&peer.port().to_string(), "PORT");
        log.lock().unwrap().push(line);
        Some(to)
    });
    let mut config = json!({ "base_urls": [format!("http://{address}")] });
    config["proxy_protocol_source_v4"] = json!({ "lit": "10.1.2.3" });
    assert_eq!(run(config.clone(), &[get("/a"), get("/b")]).log, ["r 200 OK", "r 200 OK"]);
    let expected = format!("PROXY TCP4 10.1.2.3 127.0.0.1 PORT {}", address.port());
    assert_eq!(*log.lock().unwrap(), [expected]);
    config["proxy_protocol_source_v4"] = json!({ "lit": "nowhere" });
    let ran = run(config, &[get("/a")]);
    let expected = "unbuilt r: the PROXY protocol's source \"nowhere\" is no IPv4 address";
    assert_eq!(ran.log, [expected]);
}

#[test]
fn names_have_the_addresses_that_the_simulation_gives() {
    let target = fine();
    let port = target.address.port();
    // The first address refuses: the second is tried.
    let aliases = json!({ "Shop.Test": ["127.0.0.9", "127.0.0.1"] });
    let config = json!({ "host_name_aliases": aliases, "per_user_name_resolution": true });
    let url = format!("http://shop.test:{port}/");
    assert_eq!(run(config, &[get(&url)]).log, ["r 200 OK"]);
    assert_eq!(target.seen()[0].header("host"), Some(format!("shop.test:{port}").as_str()));
}

#[test]
fn warm_up_is_one_request_that_nobody_counts() {
    let (target, warm) = (fine(), fine());
    let mut config = base(&target);
    config["warm_up"] = json!(format!("{}/w?x", warm.base()));
    let ran = run(config.clone(), &[get("/a"), get("/b")]);
    assert_eq!(ran.log, ["r 200 OK", "r 200 OK"]);
    let seen = warm.seen();
    assert_eq!((seen.len(), seen[0].target.as_str()), (1, "/w?x"));
    config["warm_up"] = json!("http://no-such-host.invalid/");
    assert_eq!(run(config, &[get("/a")]).log, ["r 200 OK"]);
}

#[test]
fn warm_up_goes_by_the_protocols_proxy_and_before_whatever_comes_first() {
    let (target, via) = (fine(), fine());
    let mut config = base(&target);
    config["proxy"] = proxy("http", via.address);
    config["proxy"]["credentials"] = credentials();
    config["headers"] = json!([{ "name": "x-own", "value": { "lit": "v" } }]);
    config["basic_auth"] = credentials();
    config["warm_up"] = json!("http://warm.test/w");
    let concurrent = json!({ "concurrent": [{ "name": { "lit": "c" }, "spec": get("/a") }] });
    assert_eq!(run(config.clone(), &[concurrent]).log, ["c 200 OK"]);
    let seen = via.seen();
    let targets: Vec<_> = seen.iter().map(|it| it.target.as_str()).collect();
    assert_eq!(targets, ["http://warm.test/w", &format!("{}/a", target.base())]);
    let names: Vec<&str> = seen[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["accept", "proxy-authorization", "host"]);
    config["ws_base_urls"] = json!(["ws://127.0.0.1:1"]);
    let connect = json!({ "ws": { "socket": { "lit": "s" }, "op": { "connect": { "request": get("/ws") } } } });
    assert!(run(config, &[connect]).failed);
    // Behind it is the tunnel that the socket asks for.
    assert_eq!(via.seen()[2].target, "http://warm.test/w");
}

#[test]
fn a_warm_up_without_an_answer_ends_with_the_request_timeout() {
    let (target, silent) = (fine(), Server::start(|_, _| Reply::Hang));
    let mut config = base(&target);
    config["warm_up"] = json!(silent.base());
    config["request_timeout_us"] = json!(100_000);
    let ran = run(config, &[get("/a")]);
    assert_eq!(ran.log, ["r 200 OK"]);
    assert_eq!(ran.notes, [format!("warmUp({}/): no answer after 100 ms", silent.base())]);
}

//! Examples of every row of the http package: one file a topic in `tests/gatling/http`, each with
//! sections as in `tests/gatling/examples.txt`, whose names are of http. The outcome ends with what
//! the server saw: `> METHOD target #connection | header: value … | body`, without `host`. In a
//! section whose title ends in `(any order)`, those lines are sorted and name no connection.

use super::*;
use crate::protocol::http::sse::tests as sse;
use crate::protocol::http::ws::tests as ws;

const FOLDER: &str = "tests/gatling/http";
/// Headers that are not shown: they differ from run to run.
const RANDOM: [&str; 2] = ["host", "sec-websocket-key"];
const ANY_ORDER: &str = "(any order)";

/// Runs each of `[protocol, ...steps]` by a user of its own, one after the other.
const UNDER: &str = "\
const under = (...pairs) => simulation((setUp) => setUp(pairs.map(([protocol, ...steps], i) => \
scenario(`s${i}`).exec(...steps).injectOpen(atOnceUsers(1)).protocols(protocol))\
.reduceRight((next, it) => it.andThen(next))));
";

fn files() -> Vec<String> {
    let folder = std::fs::read_dir(repository().join(FOLDER)).unwrap();
    let mut files: Vec<String> = folder
        .map(|entry| format!("{FOLDER}/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    files.sort();
    files
}

/// By the path's last part; all else is as in the examples of core.
fn pages(seen: &Seen, number: usize) -> Reply {
    let path = seen.target.split('?').next().unwrap_or_default();
    match path.split('/').next_back().unwrap_or_default() {
        "302" => Reply::with(302, &["location: /text"], ""),
        "303" => Reply::with(303, &["location: /302"], ""),
        "page" => Reply::with(200, &["content-type: text/html"], "<p>page</p>"),
        "site" => Reply::with(
            200,
            &["content-type: text/html"],
            "<img src=\"dir/ok?v=1\"><img src=/text>",
        ),
        "cached" => Reply::with(200, &["cache-control: max-age=60"], "x"),
        "cookie" => Reply::with(200, &["set-cookie: k=v; path=/"], "set"),
        "slow" => {
            std::thread::sleep(std::time::Duration::from_millis(300));
            Reply::with(200, &[], "late")
        }
        "ok" if seen.method == "HEAD" => Reply::with(200, &[], ""),
        "ok" => Reply::with(200, &[], "ok"),
        "sse" => sse::talk(seen),
        "ws" => ws::talk(seen),
        "500" => Reply::with(500, &[], "broken"),
        _ => answer(&Seen { target: path.to_owned(), ..seen.clone() }, number),
    }
}

fn wire(seen: &Seen, any_order: bool) -> String {
    let mut line = format!("> {} {}", seen.method, seen.target);
    if !any_order {
        line.push_str(&format!(" #{}", seen.connection));
    }
    for (name, value) in seen.headers.iter().filter(|(name, _)| !RANDOM.contains(&name.as_str())) {
        line.push_str(&format!(" | {name}: {value}"));
    }
    if !seen.body.is_empty() {
        let body = String::from_utf8_lossy(&seen.body);
        line.push_str(&format!(" | {}", body.escape_debug().to_string().replace("\\\"", "\"")));
    }
    match seen.header("content-type").and_then(|it| it.split_once("boundary=")) {
        Some((_, boundary)) => line.replace(boundary, "BOUNDARY"),
        None => line,
    }
}

fn outcome(title: &str, code: &str) -> String {
    let server = Server::start(pages);
    let mut lines = outcome_at(&server, &format!("{UNDER}{code}"));
    let any_order = title.ends_with(ANY_ORDER);
    let mut seen: Vec<String> = server.seen().iter().map(|seen| wire(seen, any_order)).collect();
    if any_order {
        seen.sort();
    }
    lines.extend(seen.iter().map(|line| line.replace(&server.base(), "BASE") + "\n"));
    lines.concat().replace(&server.address.to_string(), "HOST")
}

#[test]
fn every_row_of_http_that_is_not_refused_has_an_example() {
    let all = files().into_iter().map(|file| ("http", file));
    let all = all.chain([("core", "tests/gatling/examples.txt".to_owned())]);
    let shown = all.flat_map(|(package, file)| examples_of(&file, package));
    let shown = shown.flat_map(|it| it.names).collect();
    every_row_is_shown("http", &shown);
}

#[test]
fn every_example_of_http_does_what_it_did() {
    for file in files() {
        hold(&file, "http", outcome);
    }
}

/// How a simulation gets at a method of a type, and what its failure names: for types that only a
/// refused function returns, that function.
fn reached(name: &str) -> (String, String) {
    const THROUGH: [(&str, &str); 3] =
        [("Proxy", "Proxy"), ("Request", "sign"), ("RequestBody", "sign")];
    let request = "http(\"r\").get(\"/\")";
    let Some((of, method)) = name.split_once('.') else {
        return (format!("{name}(\"x\")"), name.to_owned());
    };
    match of {
        "HttpProtocolBuilder" => return (format!("http.{method}()"), method.to_owned()),
        "HttpRequestActionBuilder" | "RequestActionBuilder" | "RequestWithBodyActionBuilder" => {
            return (format!("{request}.{method}()"), method.to_owned());
        }
        _ => {}
    }
    let exact = THROUGH.iter().find(|(prefix, _)| of == *prefix);
    let found = exact.or_else(|| THROUGH.iter().find(|(prefix, _)| of.starts_with(prefix)));
    let (_, function) = found.expect("THROUGH says how to get one");
    if *function == "sign" {
        return (format!("{request}.{function}()"), (*function).to_owned());
    }
    (format!("{function}(\"x\")"), (*function).to_owned())
}

#[test]
fn refused_names_of_http_fail_when_loaded_with_their_name_and_place() {
    for (name, (_, how)) in rows().iter().filter(|(_, (status, _))| status == "refused") {
        let Some(name) = name.strip_prefix("http ") else { continue };
        let (expression, told) = reached(name);
        let found = outcome("", &format!("\n\nconst chain = exec({expression});"));
        let reason = if how.contains("glue") { how } else { "is not supported yet" };
        let told = if how.contains("glue") { told } else { format!("{told}(...)") };
        let expected = format!("! {told} {reason} (sim.js:");
        assert!(found.starts_with(&expected), "{name}: {found}\nwanted {expected}");
    }
}

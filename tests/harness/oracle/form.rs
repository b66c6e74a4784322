//! The normal form: what a run amounted to, without what differs between two runs of the same tool
//! (addresses, boundaries, clocks) or is not the simulation's doing.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::case::Case;
use super::target::{Seen, Target, USER_HEADER};

/// Of 16 random bytes in base64.
const KEY_LENGTH: usize = 24;

/// Counts of a request or group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub ok: u64,
    pub ko: u64,
    /// Groups: sums over all passes, in milliseconds.
    pub cumulated_ms: u64,
    pub duration_ms: u64,
}

/// What a tool said of its run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// `0`, `2` (an assertion failed), `crashed`, `refused` (nothing was started), `endless`.
    pub exit: String,
    /// Why it was refused or has crashed.
    pub message: Option<String>,
    pub users: BTreeMap<String, u64>,
    /// By path, groups outermost first, joined by ` / `.
    pub requests: BTreeMap<String, Tally>,
    pub groups: BTreeMap<String, Tally>,
    pub errors: BTreeMap<String, u64>,
    pub assertions: Vec<String>,
    /// Planned starts of each open population, in milliseconds.
    pub offsets: Vec<Vec<u64>>,
}

/// The normal form of a run against `target`.
#[must_use]
pub fn form(case: &Case, outcome: Outcome, target: &Target) -> Value {
    let name = |text: &str| target.named(&without_classes(text));
    let mut form = Map::new();
    form.insert("exit".to_owned(), json!(outcome.exit));
    if let Some(message) = &outcome.message {
        form.insert("message".to_owned(), json!(name(message)));
    }
    form.insert("users".to_owned(), json!(outcome.users));
    let counts = |tally: &Tally| json!(format!("{} OK, {} KO", tally.ok, tally.ko));
    let requests: Map<String, Value> =
        outcome.requests.iter().map(|(path, tally)| (name(path), counts(tally))).collect();
    form.insert("requests".to_owned(), requests.into());
    let mut groups = Map::new();
    for (path, tally) in &outcome.groups {
        let mut group = json!({"counts": counts(tally)});
        if case.times_ms.is_some() {
            group["cumulated_ms"] = json!(tally.cumulated_ms);
            group["duration_ms"] = json!(tally.duration_ms);
        }
        groups.insert(name(path), group);
    }
    form.insert("groups".to_owned(), groups.into());
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    for (text, count) in &outcome.errors {
        *errors.entry(name(text)).or_default() += count;
    }
    form.insert("errors".to_owned(), json!(errors));
    let assertions: Vec<String> =
        outcome.assertions.iter().map(|line| without_measure(&name(line))).collect();
    form.insert("assertions".to_owned(), json!(assertions));
    let mut offsets = outcome.offsets;
    offsets.sort();
    if case.random_offsets {
        let counts: Vec<usize> = offsets.iter().map(Vec::len).collect();
        form.insert("users_planned".to_owned(), json!(counts));
    } else {
        let lines: Vec<String> = offsets.iter().map(|list| spaced(list)).collect();
        form.insert("offsets_ms".to_owned(), json!(lines));
    }
    form.insert("sent".to_owned(), sent(case, target));
    Value::Object(form)
}

fn spaced(list: &[u64]) -> String {
    list.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

/// Before what a WebSocket's random key makes it.
const CHALLENGE: &str = "Invalid challenge. Actual: AAAA. Expected: ";

/// Error texts without the JVM's class names (`j.n.ConnectException: `), which ours never have, and
/// without the number that Gatling gives to each step.
fn without_classes(text: &str) -> String {
    let class = |word: &&str| {
        let Some(name) = word.trim_end().strip_suffix(':') else { return false };
        let last = name.split('.').next_back().unwrap_or_default();
        name.contains('.') && (last.ends_with("Exception") || last.ends_with("Error"))
    };
    let text: String = text.trim_end().split_inclusive(' ').filter(|word| !class(word)).collect();
    if let Some((before, _)) = text.split_once(CHALLENGE) {
        return format!("{before}{CHALLENGE}…");
    }
    match text.split_once("groupStart-") {
        Some((before, rest)) => {
            format!("{before}groupStart-N{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => text,
    }
}

/// An assertion's line without a figure that no two runs share.
fn without_measure(line: &str) -> String {
    let measured = line.contains("response time") || line.contains("requests per second");
    match line.split_once(" (actual : ") {
        Some((text, _)) if measured => format!("{text} (actual : …)"),
        _ => line.to_owned(),
    }
}

/// Requests by user, in order of arrival.
fn sent(case: &Case, target: &Target) -> Value {
    let log = target.log();
    let start = log.first().map_or_else(Instant::now, |seen| seen.at);
    let mut users: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut connections: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for seen in &log {
        let known = connections.entry(seen.user.clone()).or_default();
        if !known.contains(&seen.connection) {
            known.push(seen.connection);
        }
        let number = known.iter().position(|one| *one == seen.connection).unwrap_or_default() + 1;
        let mut request = line(seen, target);
        if !case.any_order {
            request["connection"] = json!(number);
        }
        if case.times_ms.is_some() {
            let at = seen.at.duration_since(start).as_millis();
            request["at_ms"] = json!(u64::try_from(at).unwrap_or(u64::MAX));
        }
        users.entry(seen.user.clone()).or_default().push(request);
    }
    if case.any_order {
        for requests in users.values_mut() {
            requests.sort_by_key(|request| {
                let mut timeless = request.clone();
                let at = timeless.as_object_mut().and_then(|fields| fields.shift_remove("at_ms"));
                (timeless.to_string(), at.and_then(|at| at.as_u64()))
            });
        }
    }
    json!(users)
}

fn line(seen: &Seen, target: &Target) -> Value {
    let place = if seen.other { "OTHER" } else { "" };
    let (mut headers, mut extensions) = (Vec::new(), None);
    let mut body = match std::str::from_utf8(&seen.body) {
        Ok(text) => target.named(text),
        Err(_) => format!("{} bytes, {}", seen.body.len(), hex(&seen.body)),
    };
    for (name, value) in &seen.headers {
        if name == USER_HEADER {
            continue;
        }
        let mut value = target.named(value);
        if let Some((_, boundary)) = value.split_once("boundary=") {
            let boundary = boundary.to_owned();
            // One that is no text is shown in hexadecimal.
            body = body.replace(&boundary, "BOUNDARY");
            body = body.replace(&hex(boundary.as_bytes()), "BOUNDARY");
            value = value.replace(&boundary, "BOUNDARY");
        }
        if name.eq_ignore_ascii_case("authorization") {
            value = without_nonces(&value);
        }
        if name.eq_ignore_ascii_case("sec-websocket-key") && value.len() == KEY_LENGTH {
            value = "KEY".to_owned();
        }
        if name.eq_ignore_ascii_case("sec-websocket-extensions") {
            // Apart, so that what differs there hides nothing else.
            extensions = Some(value);
            continue;
        }
        headers.push(format!("{name}: {value}"));
    }
    let path = target.named(&seen.target);
    let mut request = json!({"request": format!("{} {place}{path}", seen.method)});
    request["headers"] = json!(headers);
    if let Some(extensions) = extensions {
        request["extensions"] = json!(extensions);
    }
    if !body.is_empty() {
        request["body"] = json!(body);
    }
    if !seen.stream.is_empty() {
        let frames: Vec<String> = seen.stream.iter().map(|frame| target.named(frame)).collect();
        request["stream"] = json!(frames);
    }
    request
}

/// Digest's own random parts, and what is computed from them.
fn without_nonces(value: &str) -> String {
    let masked = |part: &str| match part.split_once('=') {
        Some((key, _)) if ["cnonce", "response"].contains(&key.trim()) => format!("{key}=…"),
        _ => part.to_owned(),
    };
    value.split(',').map(masked).collect::<Vec<_>>().join(",")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_and_measures_are_left_out() {
        let refused = "j.n.ConnectException: finishConnect(..) failed";
        assert_eq!(without_classes(refused), "finishConnect(..) failed");
        assert_eq!(without_classes("a: o.g.p.PolyglotException: Error: boom "), "a: Error: boom");
        assert_eq!(without_classes("groupStart-34 (x) / a"), "groupStart-N (x) / a");
        assert_eq!(
            without_classes("status.find.is(200), found 1: 2"),
            "status.find.is(200), found 1: 2"
        );
        let line = "Global: max of response time is less than 5.0 : true (actual : 3.0)";
        assert!(without_measure(line).ends_with("(actual : …)"));
        let line = "Global: count of all events is 5.0 : true (actual : 5.0)";
        assert_eq!(without_measure(line), line);
    }
}

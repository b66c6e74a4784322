//! A recording as a simulation in JavaScript: what all requests share goes into the protocol, long
//! bodies into files, names are made unique; every line reads as if written by hand.

use std::collections::BTreeSet;

use super::Written;
use super::recording::{Body, Item, Part, Recording, Request, slug, split_origin};

/// Longer bodies become files.
const BODY_INLINE_MAX: usize = 400;

/// Headers that the protocol has a method for.
const METHODS: [(&str, &str); 8] = [
    ("accept", "acceptHeader"),
    ("accept-charset", "acceptCharsetHeader"),
    ("accept-encoding", "acceptEncodingHeader"),
    ("accept-language", "acceptLanguageHeader"),
    ("authorization", "authorizationHeader"),
    ("content-type", "contentTypeHeader"),
    ("upgrade-insecure-requests", "upgradeInsecureRequestsHeader"),
    ("user-agent", "userAgentHeader"),
];

/// Of a single request: what is the client's rather than the request's.
const CLIENTS_OWN: [&str; 4] =
    ["accept-encoding", "accept-language", "upgrade-insecure-requests", "user-agent"];

pub(super) fn emit(recording: &Recording, stem: &str) -> Written {
    let requests = recording.each();
    let mut emitter = Emitter {
        base: base_of(recording, &requests),
        shared: shared_headers(&requests),
        stem,
        out: String::new(),
        core: BTreeSet::from(["atOnceUsers", "scenario", "simulation"]),
        http: BTreeSet::from(["http"]),
        names: Vec::new(),
        files: Vec::new(),
    };
    emitter.scenario(recording);
    let body = std::mem::take(&mut emitter.out);
    emitter.head(recording);
    emitter.out.push_str(&body);
    emitter.tail();
    Written { simulation: emitter.out, files: emitter.files, notes: recording.notes.clone() }
}

/// What URLs begin with, as an expression of JavaScript.
struct Base {
    prefix: String,
    expression: String,
}

/// The variable that the source has for it, or the origin that most requests go to.
fn base_of(recording: &Recording, requests: &[&Request]) -> Option<Base> {
    if let Some(name) = &recording.base_variable {
        return Some(Base {
            prefix: format!("#{{{name}}}"),
            expression: format!("variables[{}]", text(name)),
        });
    }
    let origins: Vec<&str> = requests
        .iter()
        .filter_map(|request| split_origin(&request.url))
        .map(|(origin, _)| origin)
        .filter(|origin| !origin.contains("#{"))
        .collect();
    let count = |origin: &&&str| origins.iter().filter(|other| other == origin).count();
    // The first of the most frequent.
    let best = origins.iter().rev().max_by_key(count)?;
    Some(Base { prefix: (*best).to_owned(), expression: text(best) })
}

/// Name and value, where all requests agree.
fn shared_headers(requests: &[&Request]) -> Vec<(String, String)> {
    let Some((first, others)) = requests.split_first() else { return Vec::new() };
    let agrees = |(name, value): &&(String, String)| {
        others.iter().all(|request| header(request, name) == Some(value))
            && (!others.is_empty() || CLIENTS_OWN.contains(&name.to_ascii_lowercase().as_str()))
            && !name.eq_ignore_ascii_case("content-type")
    };
    first.headers.iter().filter(agrees).cloned().collect()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a String> {
    let found = request.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

struct Emitter<'a> {
    base: Option<Base>,
    shared: Vec<(String, String)>,
    stem: &'a str,
    out: String,
    core: BTreeSet<&'static str>,
    http: BTreeSet<&'static str>,
    names: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
}

impl Emitter<'_> {
    fn line(&mut self, depth: usize, line: &str) {
        self.out.push_str(&"  ".repeat(depth));
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// Comment, imports, variables, protocol.
    fn head(&mut self, recording: &Recording) {
        for note in &recording.notes {
            self.line(0, &format!("// {}", one_line(note)));
        }
        if !recording.notes.is_empty() {
            self.line(0, "");
        }
        if !recording.variables.is_empty() {
            self.core.insert("getParameter");
        }
        let list = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
        let (core, http) = (list(&self.core), list(&self.http));
        self.line(0, &format!("import {{ {core} }} from \"@gatling.io/core\";"));
        self.line(0, &format!("import {{ {http} }} from \"@gatling.io/http\";"));
        self.line(0, "");
        if !recording.variables.is_empty() {
            self.line(0, "// Each can be given to a run: onrush run … name=value");
            self.line(0, "const variables = {");
            for (name, value) in &recording.variables {
                let (name, value) = (text(name), text(value));
                self.line(1, &format!("{name}: getParameter({name}, {value}),"));
            }
            self.line(0, "};");
            self.line(0, "");
        }
        self.line(0, "const httpProtocol = http");
        if let Some(base) = &self.base {
            let call = format!(".baseUrl({})", base.expression);
            self.line(1, &call);
        }
        for (name, value) in self.shared.clone() {
            let lower = name.to_ascii_lowercase();
            let call = match METHODS.iter().find(|(known, _)| *known == lower) {
                Some((_, method)) => format!(".{method}({})", text(&value)),
                None => format!(".header({}, {})", text(&name), text(&value)),
            };
            self.line(1, &call);
        }
        self.end_statement();
        self.line(0, "");
    }

    fn tail(&mut self) {
        self.line(0, "");
        self.line(0, "export default simulation((setUp) => {");
        self.line(1, "setUp(scn.injectOpen(atOnceUsers(1))).protocols(httpProtocol);");
        self.line(0, "});");
    }

    /// The last line gets its semicolon.
    fn end_statement(&mut self) {
        self.out.truncate(self.out.trim_end().len());
        self.out.push_str(";\n");
    }

    fn scenario(&mut self, recording: &Recording) {
        self.line(0, &format!("const scn = scenario({}).exec(", text(&recording.name)));
        if !recording.variables.is_empty() {
            self.core.insert("exec");
            self.line(1, "exec((session) => session.setAll(variables)),");
        }
        self.items(&recording.items, 1);
        self.line(0, ");");
    }

    fn items(&mut self, items: &[Item], depth: usize) {
        for item in items {
            match item {
                Item::Request(request) => self.request(request, depth),
                Item::PauseMs(ms) => {
                    self.core.insert("pause");
                    let call = if ms.is_multiple_of(1_000) {
                        format!("pause({}),", ms / 1_000)
                    } else {
                        format!("pause({{ amount: {ms}, unit: \"milliseconds\" }}),")
                    };
                    self.line(depth, &call);
                }
                Item::Group(name, inside) => {
                    self.core.insert("group");
                    self.line(depth, &format!("group({}).on(", text(name)));
                    self.items(inside, depth + 1);
                    self.line(depth, "),");
                }
            }
        }
    }

    fn request(&mut self, request: &Request, depth: usize) {
        let name = self.unique(&request.name);
        for hint in &request.hints {
            self.line(depth, &format!("// {}", one_line(hint)));
        }
        let url = match &self.base {
            Some(base) => request.url.strip_prefix(&base.prefix).unwrap_or(&request.url),
            None => &request.url,
        };
        let url = if url.is_empty() { "/" } else { url };
        let method = match request.method.as_str() {
            method @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => {
                format!(".{}({})", method.to_ascii_lowercase(), text(url))
            }
            other => format!(".httpRequest({}, {})", text(other), text(url)),
        };
        self.line(depth, &format!("http({}){method}", text(&name)));
        for (name, value) in &request.headers {
            if !self.shared.iter().any(|(shared, _)| shared.eq_ignore_ascii_case(name)) {
                let (name, value) = (text(name), text(value));
                self.line(depth + 1, &format!(".header({name}, {value})"));
            }
        }
        if let Some((user, password)) = &request.basic {
            let call = format!(".basicAuth({}, {})", text(user), text(password));
            self.line(depth + 1, &call);
        }
        if let Some(body) = &request.body {
            self.body(body, request, &name, depth + 1);
        }
        if request.no_redirect {
            self.line(depth + 1, ".disableFollowRedirect()");
        }
        if let Some(status) = request.status {
            self.http.insert("status");
            self.line(depth + 1, &format!(".check(status().is({status}))"));
        }
        self.out.truncate(self.out.trim_end().len());
        self.out.push_str(",\n");
    }

    fn body(&mut self, body: &Body, request: &Request, name: &str, depth: usize) {
        match body {
            Body::Text(content) if content.len() <= BODY_INLINE_MAX => {
                self.core.insert("StringBody");
                self.line(depth, &format!(".body(StringBody({}))", quoted_body(content)));
            }
            Body::Text(content) => {
                self.core.insert("ElFileBody");
                let kind = header(request, "content-type").map_or("", String::as_str);
                let extension = match kind {
                    kind if kind.contains("json") => "json",
                    kind if kind.contains("xml") => "xml",
                    _ => "txt",
                };
                let number = self.files.len() + 1;
                let file = format!("{}/{number:03}-{}.{extension}", self.stem, slug(name));
                self.line(depth, &format!(".body(ElFileBody({}))", text(&file)));
                self.files.push((format!("resources/{file}"), content.clone().into_bytes()));
            }
            Body::Form(pairs) => {
                for (name, value) in pairs {
                    let call = format!(".formParam({}, {})", text(name), text(value));
                    self.line(depth, &call);
                }
            }
            Body::Parts(parts) => {
                for part in parts {
                    let call = match part {
                        Part::Field(name, value) => {
                            format!(".formParam({}, {})", text(name), text(value))
                        }
                        Part::Upload(name, path) => {
                            format!(".formUpload({}, {})", text(name), text(path))
                        }
                    };
                    self.line(depth, &call);
                }
                self.line(depth, ".asMultipartForm()");
            }
            Body::File(path) => {
                self.core.insert("RawFileBody");
                self.line(depth, &format!(".body(RawFileBody({}))", text(path)));
            }
        }
    }

    /// A second request of the same name gets a number: a report counts by name.
    fn unique(&mut self, name: &str) -> String {
        let taken = self.names.iter().filter(|other| *other == name).count();
        self.names.push(name.to_owned());
        if taken == 0 { name.to_owned() } else { format!("{name} ({})", taken + 1) }
    }
}

/// A string of JavaScript.
fn text(content: &str) -> String {
    // JSON is a subset of JavaScript's literals; a string always serialises.
    serde_json::to_string(content).unwrap_or_default()
}

/// Bodies have many quotes, and may have many lines.
fn quoted_body(content: &str) -> String {
    if !content.contains(['"', '\n']) || content.contains('\r') {
        return text(content);
    }
    let escaped = content.replace('\\', "\\\\").replace('`', "\\`").replace("${", "\\${");
    format!("`{escaped}`")
}

/// For comments.
fn one_line(content: &str) -> String {
    content.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_quoted_as_they_read_best() {
        assert_eq!(quoted_body("a=1"), "\"a=1\"");
        assert_eq!(quoted_body("{\"a\": \"`${x}\\n\"}"), "`{\"a\": \"\\`\\${x}\\\\n\"}`");
        assert_eq!(quoted_body("a\r\nb"), "\"a\\r\\nb\"");
    }

    fn request(url: &str, headers: &[(&str, &str)]) -> Item {
        let headers = headers.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let (url, method, name) = (url.to_owned(), "GET".to_owned(), "x".to_owned());
        Item::Request(Box::new(Request { name, method, url, headers, ..Request::default() }))
    }

    #[test]
    fn what_requests_share_is_the_protocols() {
        let recording = Recording {
            name: "s".to_owned(),
            items: vec![
                request("http://a/1", &[("Accept", "*/*"), ("X", "1"), ("Y", "1")]),
                request("http://b/2", &[("accept", "*/*"), ("X", "1")]),
                request("http://a", &[("Accept", "*/*"), ("X", "1")]),
            ],
            ..Recording::default()
        };
        let written = emit(&recording, "s").simulation;
        let protocol = "const httpProtocol = http\n  .baseUrl(\"http://a\")\n  \
                        .acceptHeader(\"*/*\")\n  .header(\"X\", \"1\");\n";
        assert!(written.contains(protocol), "{written}");
        let requests = "  http(\"x\").get(\"/1\")\n    .header(\"Y\", \"1\"),\n  http(\"x \
                        (2)\").get(\"http://b/2\")";
        assert!(written.contains(requests), "{written}");
        assert!(written.contains("http(\"x (3)\").get(\"/\"),\n"), "{written}");
    }
}

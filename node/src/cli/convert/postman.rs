//! Postman collections, v2.0 and v2.1: folders become groups, `{{variables}}` attributes of the
//! session. Scripts are not converted, and named where they stand.
//! <https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html>

use serde::Deserialize;
use serde_json::Value;

use super::recording::{Body, Item, Part, Recording, Request, is_own_business, literal};

/// Folders in folders.
const DEPTH_MAX: usize = 20;

#[derive(Deserialize)]
struct Collection {
    info: Info,
    #[serde(default)]
    item: Vec<Node>,
    #[serde(default)]
    variable: Vec<Variable>,
    auth: Option<Value>,
    #[serde(default)]
    event: Vec<Value>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    name: String,
}

/// A folder, or a request.
#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    name: String,
    item: Option<Vec<Self>>,
    request: Option<PostmanRequest>,
    auth: Option<Value>,
    #[serde(default)]
    event: Vec<Value>,
    #[serde(default)]
    response: Vec<Saved>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PostmanRequest {
    Url(String),
    Full(Box<FullRequest>),
}

#[derive(Deserialize)]
struct FullRequest {
    #[serde(default)]
    method: String,
    #[serde(default)]
    url: Value,
    #[serde(default)]
    header: Value,
    body: Option<PostmanBody>,
    auth: Option<Value>,
}

#[derive(Deserialize)]
struct PostmanBody {
    #[serde(default)]
    mode: String,
    #[serde(default)]
    raw: String,
    #[serde(default)]
    urlencoded: Vec<Variable>,
    #[serde(default)]
    formdata: Vec<Variable>,
    #[serde(default)]
    graphql: Value,
    #[serde(default)]
    file: Value,
    #[serde(default)]
    options: Value,
}

#[derive(Default, Deserialize)]
struct Variable {
    #[serde(default, alias = "id", alias = "name")]
    key: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    disabled: bool,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    src: Value,
}

#[derive(Deserialize)]
struct Saved {
    code: Option<u16>,
}

/// # Errors
/// What is wrong with the file, with line and column.
pub(super) fn read(bytes: &[u8]) -> Result<Recording, String> {
    let collection: Collection = serde_json::from_slice(bytes)
        .map_err(|error| format!("not a Postman collection: {error}"))?;
    let name = Some(collection.info.name).filter(|name| !name.is_empty());
    let variables = collection.variable.iter().filter(|it| !it.disabled && !it.key.is_empty());
    let mut reader = Reader {
        known: variables.map(|it| (it.key.clone(), plain(&it.value))).collect(),
        notes: Vec::new(),
    };
    if has_scripts(&collection.event) {
        reader.notes.push("the collection's scripts are not converted".to_owned());
    }
    let items = reader.items(&collection.item, collection.auth.as_ref(), 0)?;
    let mut recording = Recording {
        name: name.unwrap_or_else(|| "Converted from Postman".to_owned()),
        items,
        variables: reader.known,
        notes: reader.notes,
        ..Recording::default()
    };
    if recording.requests() == 0 {
        return Err("no request in it".to_owned());
    }
    recording.base_variable = common_variable(&recording);
    Ok(recording)
}

/// The variable that every URL begins with.
fn common_variable(recording: &Recording) -> Option<String> {
    let name = |request: &Request| {
        let rest = request.url.strip_prefix("#{")?;
        rest.split_once('}').map(|(name, _)| name.to_owned())
    };
    let mut names = recording.each().into_iter().map(name);
    let first = names.next()??;
    names.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

fn has_scripts(events: &[Value]) -> bool {
    events.iter().any(|event| match &event["script"]["exec"] {
        Value::Array(lines) => {
            lines.iter().any(|line| line.as_str().is_some_and(|it| !it.trim().is_empty()))
        }
        Value::String(text) => !text.trim().is_empty(),
        _ => false,
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

struct Reader {
    /// Variables and what they begin with.
    known: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Reader {
    fn items(
        &mut self,
        nodes: &[Node],
        auth: Option<&Value>,
        depth: usize,
    ) -> Result<Vec<Item>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("folders are nested deeper than {DEPTH_MAX}"));
        }
        let mut items = Vec::new();
        for node in nodes {
            let auth = node.auth.as_ref().or(auth);
            if let Some(inside) = &node.item {
                let inside = self.items(inside, auth, depth + 1)?;
                if !inside.is_empty() {
                    items.push(Item::Group(literal(&node.name), inside));
                }
            } else if let Some(request) = &node.request {
                let url_only;
                let full = match request {
                    PostmanRequest::Full(full) => full,
                    PostmanRequest::Url(url) => {
                        url_only = FullRequest {
                            method: "GET".to_owned(),
                            url: Value::String(url.clone()),
                            header: Value::Null,
                            body: None,
                            auth: None,
                        };
                        &url_only
                    }
                };
                items.push(Item::Request(Box::new(self.request(node, full, auth)?)));
            }
        }
        Ok(items)
    }

    fn request(
        &mut self,
        node: &Node,
        full: &FullRequest,
        auth: Option<&Value>,
    ) -> Result<Request, String> {
        let url = self.url(&full.url);
        if url.is_empty() {
            return Err(format!("the request {:?} has no URL", node.name));
        }
        let mut request = Request {
            name: literal(&node.name),
            method: if full.method.is_empty() { "GET".into() } else { full.method.to_uppercase() },
            url,
            status: node.response.first().and_then(|saved| saved.code),
            ..Request::default()
        };
        if let Value::Array(headers) = &full.header {
            for header in headers {
                let Ok(header) = Variable::deserialize(header) else { continue };
                if !header.disabled && !is_own_business(&header.key) {
                    let value = self.template(&plain(&header.value));
                    request.headers.push((header.key, value));
                }
            }
        }
        self.auth(full.auth.as_ref().or(auth), &mut request);
        if let Some(body) = &full.body {
            self.body(body, &mut request);
        }
        if has_scripts(&node.event) {
            request.hints.push("its scripts in the collection are not converted".to_owned());
        }
        Ok(request)
    }

    fn url(&mut self, url: &Value) -> String {
        let raw = match url {
            Value::String(raw) => raw.clone(),
            other => plain(&other["raw"]),
        };
        let mut text = self.template(raw.split('#').next().unwrap_or_default());
        for variable in url["variable"].as_array().into_iter().flatten() {
            let Ok(variable) = Variable::deserialize(variable) else { continue };
            let value = self.template(&plain(&variable.value));
            let place = format!("/:{}", variable.key);
            text = text.replace(&place, &format!("/{value}"));
        }
        if text.is_empty() || text.starts_with("#{") || text.contains("://") {
            return text;
        }
        format!("http://{text}")
    }

    fn auth(&mut self, auth: Option<&Value>, request: &mut Request) {
        let Some(auth) = auth else { return };
        let kind = auth["type"].as_str().unwrap_or_default();
        // v2.1 has a list of pairs, v2.0 an object.
        let entry = |name: &str| match &auth[kind] {
            Value::Array(pairs) => {
                let found = pairs.iter().find(|pair| pair["key"] == name);
                found.map(|pair| plain(&pair["value"])).unwrap_or_default()
            }
            object => plain(&object[name]),
        };
        match kind {
            "basic" => {
                let (user, password) = (entry("username"), entry("password"));
                request.basic = Some((self.template(&user), self.template(&password)));
            }
            "bearer" => {
                let value = format!("Bearer {}", self.template(&entry("token")));
                request.headers.push(("Authorization".to_owned(), value));
            }
            "apikey" if entry("in") != "query" => {
                let value = self.template(&entry("value"));
                request.headers.push((entry("key"), value));
            }
            "" | "noauth" => {}
            other => {
                request.hints.push(format!("its {other} authentication is not converted"));
            }
        }
    }

    fn body(&mut self, body: &PostmanBody, request: &mut Request) {
        let mut typed = |kind: &str| {
            let known =
                request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
            if !known {
                request.headers.push(("Content-Type".to_owned(), kind.to_owned()));
            }
        };
        match body.mode.as_str() {
            "raw" if !body.raw.is_empty() => {
                match body.options["raw"]["language"].as_str() {
                    Some("json") => typed("application/json"),
                    Some("xml") => typed("application/xml"),
                    _ => {}
                }
                request.body = Some(Body::Text(self.template(&body.raw)));
            }
            "urlencoded" => {
                let pairs = body.urlencoded.iter().filter(|pair| !pair.disabled);
                let pairs = pairs.map(|it| (it.key.clone(), self.template(&plain(&it.value))));
                request.body = Some(Body::Form(pairs.collect()));
            }
            "formdata" => {
                let parts = body.formdata.iter().filter(|part| !part.disabled);
                let parts = parts.map(|part| self.part(part)).collect();
                request.body = Some(Body::Parts(parts));
            }
            "graphql" => {
                typed("application/json");
                request.body = Some(Body::Text(self.template(&body.graphql.to_string())));
            }
            "file" => {
                let path = plain(&body.file["src"]);
                self.notes.push(format!("put {path} into resources/"));
                request.body = Some(Body::File(path));
            }
            _ => {}
        }
    }

    fn part(&mut self, part: &Variable) -> Part {
        if part.kind != "file" {
            return Part::Field(part.key.clone(), self.template(&plain(&part.value)));
        }
        let path = match &part.src {
            Value::Array(all) => all.first().map(plain).unwrap_or_default(),
            one => plain(one),
        };
        self.notes.push(format!("put {path} into resources/"));
        Part::Upload(part.key.clone(), path)
    }

    /// `{{name}}` as `#{name}`; a name that the collection does not have becomes a parameter.
    fn template(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, tail)) = after.split_once("}}") else { break };
            out.push_str(&literal(before));
            let name = name.trim();
            out.push_str(&match name {
                "$guid" | "$randomUUID" => "#{randomUuid()}".to_owned(),
                "$timestamp" => "#{currentTimeMillis()}".to_owned(),
                "$randomInt" => "#{randomInt(0,1001)}".to_owned(),
                _ => self.variable(name),
            });
            rest = tail;
        }
        out + &literal(rest)
    }

    fn variable(&mut self, name: &str) -> String {
        // What the expression language cannot have in a name.
        let safe = name.replace(['.', '#', '{', '}', '(', ')', '$'], "_");
        if safe != name
            && let Some((known, _)) = self.known.iter_mut().find(|(known, _)| known == name)
        {
            known.clone_from(&safe);
        }
        if !self.known.iter().any(|(known, _)| *known == safe) {
            self.notes.push(format!(
                "the collection does not say what {{{{{name}}}}} is: give it to a run, \
                 {safe}=value"
            ));
            self.known.push((safe.clone(), String::new()));
        }
        format!("#{{{safe}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_expressions() {
        let mut reader = Reader { known: vec![("a.b".into(), "1".into())], notes: Vec::new() };
        let text = reader.template("{{a.b}}/#{x}/{{ c }}/{{$guid}}/{{open");
        assert_eq!(text, "#{a_b}/\\#{x}/#{c}/#{randomUuid()}/{{open");
        assert_eq!(reader.known, [("a_b".into(), "1".into()), ("c".into(), String::new())]);
        let note = "the collection does not say what {{c}} is: give it to a run, c=value";
        assert_eq!(reader.notes, [note]);
    }
}

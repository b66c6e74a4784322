//! HTTP for people to read: a request of the graph in a line, and what went over the wire.

use serde_json::value::RawValue;

use super::connection::{Answer, Connection, Failure};
use super::decode;
use super::fields::Fields;
use super::h1::Outgoing;
use super::kinds::ActionKind;
use super::request::Built;
use super::spec::{Body, RequestSpec};
use crate::charset::of_latin1;
use crate::expr::Expr;
use crate::protocol::{Description, Message};
use crate::secrets::Secrets;
use crate::session::Session;
use crate::stats::sample::{BODY_BYTES_MAX, Excerpt, Sample};
use crate::value::Value;

/// What is masked of a body: more than what is kept, so that few secrets lie across the end.
pub(super) const MASKED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// `POST /login · 2 checks`, and the files that its bodies name outright.
pub(crate) fn describe(spec: &RawValue) -> Description {
    let spec = match ActionKind::parse(spec.get()) {
        Ok(ActionKind::Request(spec)) => spec,
        Ok(ActionKind::Other(kind)) => {
            let mut files = Vec::new();
            kind.requests().for_each(|it| files_of(it, &mut files));
            return Description { text: kind.describe(), files };
        }
        Err(_) => return Description { text: "http".to_owned(), files: Vec::new() },
    };
    let mut text = format!("{} {}", spec.method, spec.url);
    for (count, one, many) in
        [(spec.checks.len(), "check", "checks"), (spec.resources.len(), "resource", "resources")]
    {
        match count {
            0 => {}
            1 => text.push_str(&format!(" · 1 {one}")),
            count => text.push_str(&format!(" · {count} {many}")),
        }
    }
    let mut files = Vec::new();
    files_of(&spec, &mut files);
    Description { text, files }
}

fn files_of(spec: &RequestSpec, files: &mut Vec<String>) {
    let bodies = spec.body.iter().chain(spec.parts.iter().map(|part| &part.body));
    for body in bodies {
        if let Body::ElFile(path) | Body::RawFile(path) = body
            && let Some(path) = literal(path)
        {
            files.push(path);
        }
    }
    for resource in &spec.resources {
        files_of(&resource.spec, files);
    }
}

/// The text, where no user changes it.
fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Lit(Value::Str(text)) => Some(text.to_string()),
        Expr::El(text) if !text.contains("#{") => Some(text.clone()),
        _ => None,
    }
}

/// `request`: what goes over the wire, where it could be written.
pub(super) fn sent(built: &Built, request: Option<&Outgoing>) -> Message {
    let head = request.map(|it| of_latin1(&it.head).into_owned()).unwrap_or_default();
    let lines = head.split("\r\n").skip(1).take_while(|line| !line.is_empty());
    let pair = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    Message {
        head: format!("{} {}", built.method, built.url),
        headers: lines.filter_map(pair).collect(),
        body: built.body.clone().unwrap_or_default(),
    }
}

pub(super) fn received(
    outcome: &Result<(Answer, Box<Connection>), Failure>,
) -> Result<Message, String> {
    let (answer, _) = outcome.as_ref().map_err(Failure::text)?;
    let body = match decode::decode(&answer.body, decode::coding(&answer.headers)) {
        Ok(body) => body.into_owned().into(),
        Err(_) => answer.body.clone(),
    };
    Ok(Message { head: answer.status.to_string(), headers: pairs(&answer.headers), body })
}

/// What a failed request leaves behind.
pub(super) struct Evidence<'a> {
    pub built: &'a Built,
    pub request: Option<&'a Outgoing>,
    pub answer: Option<&'a Answer>,
    pub session: &'a Session,
}

impl Evidence<'_> {
    /// Cold: made for the first failure of a kind.
    pub(super) fn sample(&self) -> Sample {
        let mut secrets = Secrets::new(false);
        for (name, value) in self.session.attributes() {
            secrets.attribute(name, &value.to_string());
        }
        let sent = sent(self.built, self.request);
        let received = self.answer.map(|answer| {
            let headers = pairs(&answer.headers);
            let coding = decode::coding(&answer.headers);
            let body = decode::beginning(&answer.body, coding, MASKED_BYTES_MAX + 1);
            let head = answer.status.to_string();
            excerpt(&secrets, &head, &headers, &body, answer.body_cut)
        });
        let sent = excerpt(&secrets, &sent.head, &sent.headers, &sent.body, false);
        Sample { at_us: 0, sent, received }
    }
}

fn excerpt(
    secrets: &Secrets,
    head: &str,
    headers: &[(String, String)],
    body: &[u8],
    more: bool,
) -> Excerpt {
    let beginning = &body[..body.len().min(MASKED_BYTES_MAX)];
    let more = more || beginning.len() < body.len();
    // A character at the cut may be half there.
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() || error.valid_up_to() >= BODY_BYTES_MAX => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "(not text)",
    };
    let mask = |(name, value): &(String, String)| (name.clone(), secrets.header(name, value));
    let headers = headers.iter().map(mask).collect();
    Excerpt::new(&secrets.text(head), headers, &secrets.text(text), more)
}

pub(super) fn pairs(headers: &Fields) -> Vec<(String, String)> {
    let text = |value| of_latin1(value).into_owned();
    headers.iter().map(|(name, value)| (name.to_owned(), text(value))).collect()
}

//! Services that check what they get: tokens that were never given, steps out of order, bodies and
//! headers that are wrong. Such a request is a violation: counted, and answered by 422. A test that
//! finds none knows that the load generator sent what the simulation says.

mod bank;
mod cms;
mod crud;
mod tickets;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use serde_json::Value;

use super::shop;

pub(super) type Answer = Response<Full<Bytes>>;
/// An answer, or what is wrong with the request.
type Checked = Result<Answer, String>;

/// All that the services remember. A reset forgets it.
#[derive(Debug, Default)]
struct State {
    bank: bank::Bank,
    cms: cms::Cms,
    crud: crud::Crud,
    tickets: tickets::Tickets,
}

#[derive(Debug, Default)]
pub(super) struct Strict(Mutex<State>);

/// The first parts of the paths that are answered here.
const SERVICES: [&str; 4] = ["bank", "cms", "crud", "tickets"];

/// A request with its body.
struct Call {
    method: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Strict {
    pub(super) fn serves(path: &str) -> bool {
        SERVICES.contains(&path.trim_start_matches('/').split('/').next().unwrap_or_default())
    }

    pub(super) fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// The answer, and the violation if there was one.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> (Answer, Option<String>) {
        let (parts, body) = request.into_parts();
        let Some(body) = shop::body_of(body).await else {
            return (shop::error(413, "too large"), Some("a body is too large".to_owned()));
        };
        let call = Call {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            body,
        };
        let path = call.path.trim_matches('/').split('/').collect::<Vec<_>>();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = match path[0] {
            "bank" => state.bank.answer(&call, &path[1..]),
            "cms" => state.cms.answer(&call, &path[1..]),
            "crud" => state.crud.answer(&call, &path[1..]),
            _ => state.tickets.answer(&call, &path[1..]),
        };
        match answered {
            Ok(answer) => (answer, None),
            Err(what) => {
                let what = format!("{} {}: {what}", call.method, call.path);
                (shop::error(422, &what), Some(what))
            }
        }
    }
}

impl Call {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    fn expect_header(&self, name: &str, value: &str) -> Result<(), String> {
        let found = self.header(name);
        expect(found == value, || format!("header {name} is {found:?}, not {value:?}"))
    }

    /// The path of the page that the request says it comes from.
    fn referer(&self) -> &str {
        let url = self.header("referer");
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        path.unwrap_or_default()
    }

    fn cookie(&self, name: &str) -> String {
        let all = self.headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok());
        let mut pairs = all.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
        let found = pairs.find(|(key, _)| *key == name);
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    }

    fn bearer(&self) -> &str {
        self.header("authorization").strip_prefix("Bearer ").unwrap_or_default()
    }

    fn query(&self, name: &str) -> String {
        decoded(self.query.as_deref().unwrap_or_default(), name)
    }

    /// A field of a form; the media type must be that of a form.
    fn form(&self, name: &str) -> Result<String, String> {
        self.expect_header("content-type", "application/x-www-form-urlencoded")?;
        Ok(decoded(self.text()?, name))
    }

    fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.body).map_err(|error| format!("the body is no text: {error}"))
    }

    fn json(&self) -> Result<Value, String> {
        self.expect_header("content-type", "application/json")?;
        let found = serde_json::from_slice(&self.body);
        found.map_err(|error| format!("the body is no JSON: {error}"))
    }
}

/// The value of a pair in a query or form; empty when there is none.
fn decoded(pairs: &str, name: &str) -> String {
    let found = shop::query_value(Some(pairs), name).unwrap_or_default().as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = found.get(at) {
        let hex = found.get(at + 1..at + 3).and_then(|it| std::str::from_utf8(it).ok());
        match (byte, hex.and_then(|it| u8::from_str_radix(it, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn field<'a>(body: &'a Value, name: &str) -> Result<&'a str, String> {
    body[name].as_str().ok_or_else(|| format!("{name} is {}, not a text", body[name]))
}

fn number(body: &Value, name: &str) -> Result<u64, String> {
    body[name].as_u64().ok_or_else(|| format!("{name} is {}, not a number", body[name]))
}

fn nowhere(call: &Call) -> Checked {
    Err(format!("there is nothing at {}", call.path))
}

fn with_header(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().append(HeaderName::from_static(name), value);
    }
    answer
}

fn html(status: u16, body: String) -> Answer {
    shop::with_type(status, "text/html; charset=utf-8", Bytes::from(body))
}

/// Users and their passwords are those of the simulations' feeder.
fn is_password(user: &str, password: &str) -> bool {
    const USERS: &str = include_str!("../../../simulations/large/resources/users.csv");
    let mut rows = USERS.lines().skip(1).map(|line| line.split(','));
    rows.any(|mut row| row.next() == Some(user) && row.next() == Some(password))
}

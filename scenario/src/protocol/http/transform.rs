//! `transformResponse((response, session) => response)`: the script looks at an answer before the
//! checks do, and may change status, headers and body. The other side is in `sdk_responses.js`.

use std::cell::OnceCell;

use http::header::{HeaderName, HeaderValue};

use super::body::bytes_of;
use super::fields::Fields;
use super::response::View;
use crate::charset::{latin1, of_latin1};
use crate::check::ResponseView as _;
use crate::expr::{EvalCtx, FnId, HookArgs, HookOutcome};
use crate::session::Session;
use crate::value::{Value, ValueMap};

/// What the checks see instead.
pub(super) struct Changed {
    pub status: u16,
    pub headers: Fields,
    pub body: Vec<u8>,
}

impl Changed {
    pub(super) fn in_place_of<'a>(&'a self, view: &View<'a>) -> View<'a> {
        View {
            status: self.status,
            headers: &self.headers,
            url: view.url,
            url_text: OnceCell::new(),
            body: &self.body,
            response_time_ms: view.response_time_ms,
            http2: view.http2,
        }
    }
}

/// None: it is as it was.
///
/// # Errors
/// What the script threw, or what it gave that is no response.
pub(super) fn transformed(
    function: FnId,
    view: &View<'_>,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<Option<Changed>, String> {
    let crashed = |why: String| format!("Response transformer crashed: {why}");
    let given = Value::Map(given(view).into());
    let made = eval.hooks.call(function, session, HookArgs::ValueAndSession(&given));
    match made.map_err(crashed)? {
        HookOutcome::Value(Value::Null) => Ok(None),
        HookOutcome::Value(Value::Map(made)) => changed(&made).map(Some).map_err(crashed),
        _ => Err(crashed("it did not return a response".to_owned())),
    }
}

fn given(view: &View<'_>) -> ValueMap {
    let text = view.text();
    let reason = http::StatusCode::from_u16(view.status).ok().and_then(|it| it.canonical_reason());
    let pair = |(name, value): (&str, &[u8])| {
        let value = of_latin1(value).into_owned();
        Value::List(vec![Value::from(name), Value::from(value)].into())
    };
    let mut given = ValueMap::default();
    given.insert("status".into(), Value::Int(view.status.into()));
    given.insert("http2".into(), Value::Bool(view.http2));
    given.insert("reason".into(), Value::from(reason.unwrap_or_default()));
    given.insert(
        "headers".into(),
        Value::List(view.headers.iter().map(pair).collect::<Vec<_>>().into()),
    );
    // Of text that is UTF-8 the script knows the bytes itself.
    if text.as_bytes() != view.body {
        given.insert("bytes".into(), Value::Bytes(view.body.into()));
    }
    given.insert("text".into(), Value::from(text.into_owned()));
    given
}

fn changed(made: &ValueMap) -> Result<Changed, String> {
    let status = match made.get("status") {
        Some(Value::Int(status)) => u16::try_from(*status).ok(),
        _ => None,
    };
    let status = status.filter(|it| (100..1_000).contains(it));
    let mut headers = Fields::default();
    if let Some(Value::List(pairs)) = made.get("headers") {
        for pair in pairs.iter() {
            let Value::List(pair) = pair else { continue };
            let [Value::Str(name), Value::Str(value)] = &pair[..] else { continue };
            let name = HeaderName::from_bytes(name.as_bytes());
            let name = name.map_err(|_| format!("{} is no name of a header", pair[0]))?;
            let value = HeaderValue::from_bytes(&latin1(value));
            let value = value.map_err(|_| format!("{} is no header's value", pair[1]))?;
            headers.push(name.as_str(), value.as_bytes());
        }
    }
    let body = made.get("body").map(bytes_of).transpose()?.unwrap_or_default();
    Ok(Changed {
        status: status.ok_or("a status is a number from 100 to 999")?,
        headers,
        body: body.to_vec(),
    })
}

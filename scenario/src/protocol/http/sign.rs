//! `sign((request, session) => request)`: the script adds the headers that prove who sends a hop,
//! made of what is sent (Gatling's JVM docs, "Signature Calculator"). The other side is in
//! `sdk_responses.js`.

use http::header::{self, HeaderName, HeaderValue};

use super::request::Built;
use crate::charset::{latin1, of_latin1};
use crate::expr::{EvalCtx, FnId, HookArgs, HookOutcome};
use crate::session::Session;
use crate::value::{Value, ValueMap};

/// Adds what the script added.
///
/// # Errors
/// What the script threw, or what it gave that no header may hold.
pub(super) fn sign(
    function: FnId,
    built: &mut Built,
    session: &Session,
    eval: &mut EvalCtx<'_>,
) -> Result<(), String> {
    let crashed = |why: String| format!("Signature calculator crashed: {why}");
    let given = Value::Map(given(built).into());
    let made = eval.hooks.call(function, session, HookArgs::ValueAndSession(&given));
    match made.map_err(crashed)? {
        HookOutcome::Value(Value::List(added)) => {
            added.iter().try_for_each(|it| add(built, it)).map_err(crashed)
        }
        _ => Err(crashed("it did not return the request".to_owned())),
    }
}

fn given(built: &Built) -> ValueMap {
    let own = built.headers.iter().map(|(name, value)| (built.spelt(name), value));
    let computed = [
        (header::CONTENT_TYPE, &built.content_type),
        (header::AUTHORIZATION, &built.authorization),
    ];
    let computed = computed.iter().filter_map(|(name, it)| Some((name.as_str(), it.as_ref()?)));
    let pair = |(name, value): (&str, &HeaderValue)| {
        let value = of_latin1(value.as_bytes()).into_owned();
        Value::List(vec![Value::from(name), Value::from(value)].into())
    };
    let mut given = ValueMap::default();
    given.insert("method".into(), Value::from(built.method.as_str()));
    given.insert("url".into(), Value::from(built.url.to_string()));
    given.insert(
        "headers".into(),
        Value::List(own.chain(computed).map(pair).collect::<Vec<_>>().into()),
    );
    if let Some(body) = &built.body {
        match std::str::from_utf8(body) {
            Ok(text) => given.insert("text".into(), Value::from(text)),
            Err(_) => given.insert("bytes".into(), Value::Bytes(body.to_vec().into())),
        };
    }
    given
}

/// `[name, value, replaces]`
fn add(built: &mut Built, added: &Value) -> Result<(), String> {
    let Value::List(parts) = added else { return Err("a header is a name and a value".to_owned()) };
    let [Value::Str(spelt), Value::Str(value), Value::Bool(replaces)] = &parts[..] else {
        return Err("a header is a name and a value".to_owned());
    };
    let name = HeaderName::from_bytes(spelt.as_bytes());
    let name = name.map_err(|_| format!("{spelt} is no name of a header"))?;
    let value = HeaderValue::from_bytes(&latin1(value));
    let value = value.map_err(|_| {
        format!("the value of header {spelt} has a character that no header may hold")
    })?;
    if *replaces {
        match name {
            header::CONTENT_TYPE => built.content_type = None,
            header::AUTHORIZATION => built.authorization = None,
            _ => {}
        }
        built.headers.remove(&name);
    }
    built.spell(&name, spelt);
    built.headers.append(name, value);
    Ok(())
}

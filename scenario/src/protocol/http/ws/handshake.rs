//! The opening handshake of RFC 6455, section 4.1. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use rand::Rng as _;
use rand::rngs::SmallRng;
use sha1::{Digest as _, Sha1};

use super::super::fields::Fields;
use super::super::request::Built;
use super::super::response::header as value_of;

/// A header that is not there, as it reads in texts.
const NONE: &str = "null";
/// Of RFC 6455.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Adds what makes the request a handshake, in Gatling's order. Own headers of these names give way,
/// but for `Origin`.
///
/// # Errors
/// A subprotocol that cannot be sent.
pub(super) fn ask(built: &mut Built, subprotocol: Option<&str>) -> Result<(), String> {
    let unsent = |what: &str, it: &str| format!("{what} {it:?} cannot be sent in a header");
    let mut headers = HeaderMap::new();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static(""));
    if !built.headers.contains_key(header::ORIGIN) {
        let origin = built.url.origin();
        let value = HeaderValue::from_str(&origin).map_err(|_| unsent("origin", &origin))?;
        headers.insert(header::ORIGIN, value);
    }
    if let Some(subprotocol) = subprotocol {
        let value =
            HeaderValue::from_str(subprotocol).map_err(|_| unsent("subprotocol", subprotocol))?;
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    built.trailing = Some(Box::new(headers));
    Ok(())
}

/// Each handshake has a key of its own.
///
/// # Errors
/// None that could be brought about.
pub(super) fn renew_key(built: &mut Built, rng: &mut SmallRng) -> Result<(), String> {
    let key: [u8; 16] = rng.random();
    let key = HeaderValue::from_str(&STANDARD.encode(key)).map_err(|error| error.to_string())?;
    built.trailing.get_or_insert_default().insert(header::SEC_WEBSOCKET_KEY, key);
    Ok(())
}

/// The texts are those of Gatling's library.
///
/// # Errors
/// Why this is no WebSocket.
pub(super) fn accept(
    asked: Option<&HeaderMap>,
    status: u16,
    answer: &Fields,
) -> Result<(), String> {
    let invalid = |what: &str, found: &str| format!("Invalid handshake response {what}: {found}");
    if status != 101 {
        let code = StatusCode::from_u16(status).ok();
        let reason = code.and_then(|code| code.canonical_reason()).unwrap_or_default();
        return Err(invalid("getStatus", format!("{status} {reason}").trim_end()));
    }
    let of = |name: HeaderName| answer.text(name.as_str());
    for (name, word) in [(header::UPGRADE, "websocket"), (header::CONNECTION, "upgrade")] {
        let found = of(name.clone());
        if !found.is_some_and(|found| contains(found, word)) {
            return Err(invalid(name.as_str(), found.unwrap_or(NONE)));
        }
    }
    let key = asked.and_then(|asked| value_of(asked, header::SEC_WEBSOCKET_KEY));
    let (found, expected) = (of(header::SEC_WEBSOCKET_ACCEPT), answer_to(key.unwrap_or_default()));
    if found != Some(expected.as_str()) {
        let found = found.unwrap_or(NONE);
        return Err(format!("Invalid challenge. Actual: {found}. Expected: {expected}"));
    }
    let offered = asked.and_then(|asked| value_of(asked, header::SEC_WEBSOCKET_PROTOCOL));
    let chosen = of(header::SEC_WEBSOCKET_PROTOCOL);
    let fits = match (offered, chosen) {
        (Some(offered), Some(chosen)) => contains(offered, chosen),
        (offered, chosen) => offered == chosen,
    };
    if !fits {
        let (offered, chosen) = (offered.unwrap_or(NONE), chosen.unwrap_or(NONE));
        return Err(format!("Invalid subprotocol. Actual: {chosen}. Expected one of: {offered}"));
    }
    Ok(())
}

fn contains(list: &str, word: &str) -> bool {
    list.split(',').any(|it| it.trim().eq_ignore_ascii_case(word))
}

pub(super) fn answer_to(key: &str) -> String {
    STANDARD.encode(Sha1::digest(format!("{key}{GUID}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        assert_eq!(answer_to("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_is_no_websocket_is_refused() {
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let fits = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let up = [("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")];
        let plain = headers(&[key]);
        let good = Fields::from_iter([up[0], up[1], fits]);
        assert_eq!(accept(Some(&plain), 101, &good), Ok(()));
        let refused = |asked: &HeaderMap, status, answer: &Fields| {
            accept(Some(asked), status, answer).unwrap_err()
        };
        assert!(refused(&plain, 404, &good).ends_with("getStatus: 404 Not Found"));
        assert!(
            refused(&plain, 101, &Fields::from_iter([fits])).ends_with("response upgrade: null")
        );
        assert!(
            refused(&plain, 101, &Fields::from_iter(up)).contains("Actual: null. Expected: s3pP")
        );
        let asked = headers(&[key, ("sec-websocket-protocol", "chat, v2")]);
        let with =
            |chosen| Fields::from_iter([up[0], up[1], fits, ("sec-websocket-protocol", chosen)]);
        assert_eq!(accept(Some(&asked), 101, &with("v2")), Ok(()));
        for (asked, answer, why) in [
            (&asked, with("v3"), "Actual: v3. Expected one of: chat, v2"),
            (&asked, good, "Actual: null. Expected one of: chat, v2"),
            (&plain, with("v3"), "Actual: v3. Expected one of: null"),
        ] {
            assert_eq!(refused(asked, 101, &answer), format!("Invalid subprotocol. {why}"));
        }
    }
}

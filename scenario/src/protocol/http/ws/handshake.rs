//! The opening handshake of RFC 6455, section 4.1. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{self, HeaderValue};
use rand::Rng as _;
use rand::rngs::SmallRng;
use sha1::{Digest as _, Sha1};

use super::super::request::Built;
use super::super::response::header as value_of;

/// Of RFC 6455.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Adds what makes the request a handshake.
///
/// # Errors
/// A subprotocol that cannot be sent.
pub(super) fn ask(
    built: &mut Built,
    subprotocol: Option<&str>,
    rng: &mut SmallRng,
) -> Result<(), String> {
    let key: [u8; 16] = rng.random();
    let key = HeaderValue::from_str(&STANDARD.encode(key)).map_err(|error| error.to_string())?;
    let headers = &mut built.headers;
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    if let Some(subprotocol) = subprotocol {
        let value = HeaderValue::from_str(subprotocol)
            .map_err(|_| format!("subprotocol {subprotocol:?} cannot be sent in a header"))?;
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    Ok(())
}

/// # Errors
/// Why this is no WebSocket.
pub(super) fn accept(asked: &HeaderMap, status: u16, answer: &HeaderMap) -> Result<(), String> {
    if status != 101 {
        return Err(format!("Invalid handshake response: status {status}, expected 101"));
    }
    let is = |name, word: &str| value_of(answer, name).is_some_and(|it| contains(it, word));
    if !is(header::UPGRADE, "websocket") || !is(header::CONNECTION, "upgrade") {
        return Err("Invalid handshake response: it upgrades to no WebSocket".to_owned());
    }
    let key = value_of(asked, header::SEC_WEBSOCKET_KEY).unwrap_or_default();
    if value_of(answer, header::SEC_WEBSOCKET_ACCEPT) != Some(answer_to(key).as_str()) {
        return Err("Invalid handshake response: Sec-WebSocket-Accept does not fit".to_owned());
    }
    let offered = value_of(asked, header::SEC_WEBSOCKET_PROTOCOL);
    let chosen = value_of(answer, header::SEC_WEBSOCKET_PROTOCOL);
    if offered.is_some_and(|offered| chosen.is_none_or(|chosen| !contains(offered, chosen))) {
        let (offered, chosen) = (offered.unwrap_or_default(), chosen.unwrap_or("none"));
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
            .map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn what_is_no_websocket_is_refused() {
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let fits = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let up = [("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")];
        let plain = headers(&[key]);
        let good = headers(&[up[0], up[1], fits]);
        assert_eq!(accept(&plain, 101, &good), Ok(()));
        let refused = |asked: &HeaderMap, status, answer: &HeaderMap| {
            accept(asked, status, answer).unwrap_err()
        };
        assert!(refused(&plain, 404, &good).ends_with("status 404, expected 101"));
        assert!(refused(&plain, 101, &headers(&[fits])).contains("no WebSocket"));
        assert!(refused(&plain, 101, &headers(&up)).contains("Accept"));
        let asked = headers(&[key, ("sec-websocket-protocol", "chat, v2")]);
        let with = |chosen| headers(&[up[0], up[1], fits, ("sec-websocket-protocol", chosen)]);
        assert_eq!(accept(&asked, 101, &with("v2")), Ok(()));
        assert_eq!(
            refused(&asked, 101, &with("v3")),
            "Invalid subprotocol. Actual: v3. Expected one of: chat, v2"
        );
        assert!(refused(&asked, 101, &good).contains("Actual: none"));
    }
}

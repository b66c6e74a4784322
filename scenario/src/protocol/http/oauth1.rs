//! OAuth 1.0 signatures (RFC 5849), HMAC-SHA1. Pure.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::{Digest as _, Sha1};

use super::url::Url;

/// RFC 5849, 3.6: all but these is encoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Bytes of SHA-1's block, for HMAC (RFC 2104).
const BLOCK_BYTES: usize = 64;

/// What a request is signed with.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub consumer: String,
    pub consumer_secret: String,
    pub token: String,
    pub token_secret: String,
    /// Otherwise in the form, or in the query where there is none.
    pub in_header: bool,
}

/// What makes each signature another one.
#[derive(Clone, Copy)]
pub(super) struct Once<'a> {
    pub nonce: &'a str,
    pub unix_seconds: i64,
}

/// The parameters that sign a request, `oauth_signature` among them, in Gatling's order.
pub(super) fn signature(
    keys: &Keys,
    once: Once<'_>,
    method: &str,
    url: &Url,
    form: &str,
) -> Vec<(&'static str, String)> {
    let mut own = vec![
        ("oauth_consumer_key", keys.consumer.clone()),
        ("oauth_token", keys.token.clone()),
        ("oauth_signature_method", "HMAC-SHA1".to_owned()),
        ("oauth_timestamp", once.unix_seconds.to_string()),
        ("oauth_nonce", once.nonce.to_owned()),
        ("oauth_version", "1.0".to_owned()),
    ];
    // Two-legged: there is no token.
    own.retain(|(name, value)| *name != "oauth_token" || !value.is_empty());
    let base = base_string(method, url, form, &own);
    let key = format!("{}&{}", encoded(&keys.consumer_secret), encoded(&keys.token_secret));
    let signature = STANDARD.encode(hmac_sha1(key.as_bytes(), base.as_bytes()));
    let at = own.iter().position(|(name, _)| *name == "oauth_timestamp").unwrap_or_default();
    own.insert(at, ("oauth_signature", signature));
    own
}

/// The value of `Authorization`.
pub(super) fn header(params: &[(&str, String)]) -> String {
    let pairs: Vec<String> =
        params.iter().map(|(name, value)| format!("{name}=\"{}\"", encoded(value))).collect();
    format!("OAuth {}", pairs.join(", "))
}

/// For the query or the form; `before` is what it holds already.
pub(super) fn appended(before: &str, params: &[(&str, String)]) -> String {
    let mut out = before.to_owned();
    for (name, value) in params {
        if !out.is_empty() {
            out.push('&');
        }
        // Writing to a String cannot fail.
        let _ = write!(out, "{name}={}", encoded(value));
    }
    out
}

/// RFC 5849, 3.4.1.
fn base_string(method: &str, url: &Url, form: &str, own: &[(&'static str, String)]) -> String {
    let query = url.path_and_query.split_once('?').map_or("", |(_, query)| query);
    let mut params: Vec<(String, String)> = [query, form].into_iter().flat_map(pairs).collect();
    params.extend(own.iter().map(|(name, value)| (encoded(name), encoded(value))));
    params.sort_unstable();
    let params: Vec<String> =
        params.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let place = format!("{}{}", url.origin().to_ascii_lowercase(), url.path());
    format!("{}&{}&{}", method.to_ascii_uppercase(), encoded(&place), encoded(&params.join("&")))
}

/// Of a query or a form, encoded anew.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let decoded = |part: &str| {
        let part = part.replace('+', " ");
        encoded(&percent_decode_str(&part).decode_utf8_lossy())
    };
    text.split('&').filter(|part| !part.is_empty()).map(move |part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), decoded(value))
    })
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// RFC 2104.
fn hmac_sha1(key: &[u8], text: &[u8]) -> [u8; 20] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..20].copy_from_slice(&Sha1::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let round = |pad: u8, text: &[u8]| -> [u8; 20] {
        let mut hash = Sha1::new();
        hash.update(block.map(|byte| byte ^ pad));
        hash.update(text);
        hash.finalize().into()
    };
    round(0x5c, &round(0x36, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text, false).unwrap()
    }

    /// RFC 5849, 3.4.1.1.
    #[test]
    fn the_rfcs_base_string() {
        let own = [
            ("oauth_consumer_key", "9djdj82h48djs9d2".to_owned()),
            ("oauth_token", "kkk9d7dh3k39sjv7".to_owned()),
            ("oauth_signature_method", "HMAC-SHA1".to_owned()),
            ("oauth_timestamp", "137131201".to_owned()),
            ("oauth_nonce", "7d8f3e4a".to_owned()),
        ];
        let place = url("http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b");
        let expected = "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da\
            %26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26\
            oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D\
            137131201%26oauth_token%3Dkkk9d7dh3k39sjv7";
        assert_eq!(base_string("post", &place, "c2&a3=2+q", &own), expected);
    }

    /// RFC 5849, 1.2: the temporary credentials and the photo.
    #[test]
    fn the_rfcs_photo_request_is_signed_alike() {
        // The example leaves `oauth_version` out, so its signature is checked at the HMAC.
        let place = url("http://photos.example.net/photos?file=vacation.jpg&size=original");
        let own = [
            ("oauth_consumer_key", "dpf43f3p2l4k3l03".to_owned()),
            ("oauth_token", "nnch734d00sl2jdk".to_owned()),
            ("oauth_signature_method", "HMAC-SHA1".to_owned()),
            ("oauth_timestamp", "137131202".to_owned()),
            ("oauth_nonce", "chapoH".to_owned()),
        ];
        let base = base_string("GET", &place, "", &own);
        let key = b"kd94hf93k423kf44&pfkkdhi9sl3r4s00";
        let signature = STANDARD.encode(hmac_sha1(key, base.as_bytes()));
        assert_eq!(signature, "MdpQcU8iPSUjWoN/UDMsK2sui9I=");
    }

    /// RFC 2202, cases 2 and 6 (a key longer than a block).
    #[test]
    fn hmac() {
        let hex = |bytes: [u8; 20]| bytes.map(|byte| format!("{byte:02x}")).concat();
        let text = hmac_sha1(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(text), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long =
            hmac_sha1(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(long), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }

    /// As Gatling 3.16.0 signed it.
    #[test]
    fn the_parameters_in_their_order() {
        let keys = Keys {
            consumer: "ck".into(),
            consumer_secret: "cs".into(),
            token: "tk".into(),
            token_secret: "ts".into(),
            in_header: true,
        };
        let once = Once { nonce: "eCedgKKQHSM0PgpasDW1+A==", unix_seconds: 1_795_846_337 };
        let place = url("http://127.0.0.1:9711/a?x=1+2&a=b&q=%C3%A9%7E");
        let said = header(&signature(&keys, once, "GET", &place, ""));
        let expected = "OAuth oauth_consumer_key=\"ck\", oauth_token=\"tk\", \
            oauth_signature_method=\"HMAC-SHA1\", \
            oauth_signature=\"wqEDK3S0yc9%2FAy6drKQ18okgsjM%3D\", oauth_timestamp=\"1795846337\", \
            oauth_nonce=\"eCedgKKQHSM0PgpasDW1%2BA%3D%3D\", oauth_version=\"1.0\"";
        assert_eq!(said, expected);
        let once = Once { nonce: "iPHN/njVX/ZzbUITCEnDpA==", unix_seconds: 1_795_846_337 };
        let form = signature(&keys, once, "POST", &url("http://127.0.0.1:9711/b"), "f+g=h%2Bi");
        assert!(form.contains(&("oauth_signature", "+XWYuppNpCx2SSbXoQNXVMN0qqE=".to_owned())));
        assert_eq!(appended("f=g", &[("a", "/=".to_owned())]), "f=g&a=%2F%3D");
    }
}

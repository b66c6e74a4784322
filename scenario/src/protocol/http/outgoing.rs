//! What goes over the wire: the headers of a request in Gatling's order, the request after a
//! redirect, and what headers of an answer mean. Pure.

use std::io::Write as _;

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::cache::Validators;
use super::connection::Failure;
use super::fields::Fields;
use super::h1::Outgoing;
use super::proxy::Proxy;
use super::redirect::{drops_header, next_hop};
use super::request::Built;
use super::response::header as value_of;
use super::spec::HttpProtocolSpec;
use super::url::Url;
use crate::charset::{latin1, of_latin1};

/// Larger bodies are not copied behind the head.
const BODY_JOINS_MAX: usize = 16 << 10;
/// Of a head without surprises.
const HEAD_BYTES: usize = 256;

/// What a request takes from its user.
pub(super) struct OfUser<'a> {
    pub referer: Option<&'a Url>,
    pub cookies: &'a str,
    pub validators: &'a Validators,
}

/// In Gatling's order: own, referer, own that were computed, accept, authorization, content type
/// after a redirect, cookie, origin, host, what a stream adds, content type of a form, validators,
/// content length. What this writes takes the place of an own header.
///
/// # Errors
/// When the path cannot be sent.
pub(super) fn outgoing(
    spec: &HttpProtocolSpec,
    built: &Built,
    user: &OfUser<'_>,
) -> Result<Outgoing, Failure> {
    let target = &built.url.path_and_query;
    if target.bytes().any(|byte| matches!(byte, b' ' | b'\r' | b'\n')) {
        let text = format!("The URI contain illegal characters: {target}");
        return Err(Failure::Text(text));
    }
    let body = built.body.as_ref().map_or(&[][..], |body| body);
    let joins = if body.len() <= BODY_JOINS_MAX { body.len() } else { 0 };
    let mut head = Vec::with_capacity(HEAD_BYTES + target.len() + joins);
    head.extend_from_slice(built.method.as_str().as_bytes());
    head.push(b' ');
    if built.route.as_ref().is_some_and(|route| route.forwards(&built.url).is_some()) {
        head.extend_from_slice(built.url.origin().as_bytes());
    }
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    push_headers(&mut head, spec, built, user);
    head.extend_from_slice(b"\r\n");
    if built.headers.get(header::TRANSFER_ENCODING).is_some_and(|it| is_chunked(it.as_bytes())) {
        return Ok(Outgoing { head, body: in_one_chunk(body) });
    }
    head.extend_from_slice(&body[..joins]);
    let body = built.body.clone().filter(|_| joins == 0).unwrap_or_default();
    Ok(Outgoing { head, body })
}

pub(super) fn is_chunked(coding: &[u8]) -> bool {
    let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The user's own header says that it comes in chunks.
fn in_one_chunk(body: &[u8]) -> Bytes {
    if body.is_empty() {
        return Bytes::from_static(LAST_CHUNK);
    }
    let size = format!("{:x}\r\n", body.len());
    [size.as_bytes(), body, b"\r\n", LAST_CHUNK].concat().into()
}

/// The other way: HTTP/2 has no chunks.
pub(super) fn of_one_chunk(body: &Bytes) -> Bytes {
    let end = body.len().saturating_sub(LAST_CHUNK.len() + 2);
    let begin = body.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if begin <= end { body.slice(begin..end) } else { Bytes::new() }
}

fn push_headers(head: &mut Vec<u8>, spec: &HttpProtocolSpec, built: &Built, user: &OfUser<'_>) {
    let own = &built.headers;
    let needs_length = matches!(built.method, Method::POST | Method::PUT | Method::PATCH);
    let length = built.body.as_ref().map(Bytes::len).or_else(|| needs_length.then_some(0));
    let Validators { etag, last_modified } = user.validators;
    let referer = user.referer.filter(|_| !spec.disable_auto_referer);
    let own_referer = own.contains_key(header::REFERER);
    let mut auto_referer = referer.filter(|_| !own_referer);
    for (index, (name, value)) in own.iter().enumerate() {
        if index == built.fixed {
            push_referer(head, auto_referer.take());
        }
        let replaced = match *name {
            header::COOKIE => !user.cookies.is_empty(),
            header::CONTENT_TYPE => built.content_type.is_some(),
            header::CONTENT_LENGTH => length.is_some(),
            header::IF_NONE_MATCH => etag.is_some(),
            header::IF_MODIFIED_SINCE => last_modified.is_some(),
            _ => built.trailing.as_ref().is_some_and(|trailing| trailing.contains_key(name)),
        };
        if !replaced {
            push(head, built.spelt(name), value.as_bytes());
        }
    }
    push_referer(head, auto_referer);
    if !own.contains_key(header::ACCEPT) {
        push(head, header::ACCEPT.as_str(), b"*/*");
    }
    if let Some(value) = &built.authorization {
        push(head, header::AUTHORIZATION.as_str(), value.as_bytes());
    }
    if let Some(route) = &built.route
        && let Some(value) = route.forwards(&built.url).and_then(Proxy::authorization)
    {
        push(head, header::PROXY_AUTHORIZATION.as_str(), value.as_bytes());
    }
    let (early_type, late_type) = match &built.content_type {
        kind if built.redirected => (kind.as_ref(), None),
        kind => (None, kind.as_ref()),
    };
    if let Some(value) = early_type {
        push(head, header::CONTENT_TYPE.as_str(), value.as_bytes());
    }
    if !user.cookies.is_empty() {
        push(head, header::COOKIE.as_str(), &latin1(user.cookies));
    }
    if !spec.disable_auto_origin
        && !built.redirected
        && !matches!(built.method, Method::GET | Method::HEAD)
        && !own.contains_key(header::ORIGIN)
        && let Some(origin) = origin(own.get(header::REFERER), referer)
    {
        push(head, header::ORIGIN.as_str(), &latin1(&origin));
    }
    if !own.contains_key(header::HOST) {
        push_host(head, &built.url);
    }
    for (name, value) in built.trailing.iter().flat_map(|trailing| trailing.iter()) {
        // One that takes an own header's place does not take its spelling.
        let spelt = if own.contains_key(name) { name.as_str() } else { built.spelt(name) };
        push(head, spelt, value.as_bytes());
    }
    let optional = [
        (header::CONTENT_TYPE, late_type.map(|it| it.as_bytes().into())),
        (header::IF_NONE_MATCH, etag.as_deref().map(latin1)),
        (header::IF_MODIFIED_SINCE, last_modified.as_deref().map(latin1)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            push(head, name.as_str(), &value);
        }
    }
    if let Some(length) = length {
        // Writing to a Vec cannot fail.
        let _ = write!(head, "content-length: {length}\r\n");
    }
}

/// It is made of the Referer, the user's own one first: without that there is none.
fn origin(own: Option<&HeaderValue>, page: Option<&Url>) -> Option<String> {
    let Some(own) = own else { return page.map(Url::origin) };
    let text = of_latin1(own.as_bytes());
    let has_scheme =
        ["http://", "https://", "ws://", "wss://"].iter().any(|it| text.starts_with(it));
    has_scheme.then(|| Url::parse(&text, false).ok())?.map(|url| url.origin())
}

fn push_referer(head: &mut Vec<u8>, referer: Option<&Url>) {
    if let Some(referer) = referer {
        push(head, header::REFERER.as_str(), &latin1(&referer.to_string()));
    }
}

fn push(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    // What cannot be sent in a header is left out: it came from the target.
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return;
    }
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

fn push_host(head: &mut Vec<u8>, url: &Url) {
    head.extend_from_slice(b"host: ");
    head.extend_from_slice(&latin1(url.given_host()));
    if !url.is_default_port() {
        // Writing to a Vec cannot fail.
        let _ = write!(head, ":{}", url.port);
    }
    head.extend_from_slice(b"\r\n");
}

/// The request after a redirect.
pub(super) fn follow(mut request: Built, status: u16, to: Url, strict_302: bool) -> Built {
    let next = next_hop(status, request.method.as_str(), strict_302);
    let (keep_body, becomes_get) = (next.keep_body, next.method == "GET");
    if becomes_get {
        request.method = Method::GET;
    }
    if !keep_body {
        request.body = None;
        request.content_type = None;
    }
    let same_origin = request.url.same_origin(&to);
    request.identity = request.identity.and_then(|it| it.after_redirect(same_origin));
    request.redirected = true;
    moved(request, to, keep_body)
}

/// The request as it goes to another place. Credentials stay with their origin.
pub(super) fn moved(mut request: Built, to: Url, keep_body: bool) -> Built {
    let same_origin = request.url.same_origin(&to);
    let keeps = |name: &HeaderName| !drops_header(name.as_str(), keep_body, same_origin);
    let kept = request.headers.iter().filter(|(name, _)| keeps(name));
    let fixed = request.headers.keys().take(request.fixed).filter(|name| keeps(name)).count();
    request.headers = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    request.fixed = fixed;
    if !same_origin {
        request.authorization = None;
        request.identity = None;
    }
    request.url = to;
    request
}

/// A content type without its parameters.
pub(super) fn media_type(content_type: &str) -> &str {
    content_type.split_once(';').map_or(content_type, |(kind, _)| kind.trim())
}

pub(super) fn is_page(headers: &Fields) -> bool {
    headers
        .value(header::CONTENT_TYPE.as_str())
        .is_some_and(|it| matches!(media_type(&it), "text/html" | "application/xhtml+xml"))
}

pub(super) fn is_ajax(headers: &HeaderMap) -> bool {
    value_of(headers, "x-requested-with") == Some("XMLHttpRequest")
}

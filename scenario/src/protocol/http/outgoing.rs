//! What goes over the wire: the headers of a request in Gatling's order, the request after a
//! redirect, and what headers of an answer mean. Pure.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;

use super::cache::Validators;
use super::connection::Failure;
use super::redirect::{drops_header, next_hop};
use super::request::Built;
use super::response::header as value_of;
use super::spec::HttpProtocolSpec;
use super::url::Url;

/// In Gatling's order: own, referer, accept, authorization, cookie, origin, host, content type
/// of a form, content length.
pub(super) fn headers(
    spec: &HttpProtocolSpec,
    referer: Option<&Url>,
    built: &Built,
    cookies: &str,
    valid: &Validators,
) -> HeaderMap {
    let mut headers = built.headers.clone();
    if let Some(referer) = referer
        && !spec.disable_auto_referer
        && !headers.contains_key(header::REFERER)
    {
        put(&mut headers, header::REFERER, &referer.to_string());
    }
    if !headers.contains_key(header::ACCEPT) {
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    }
    if let Some(value) = &built.authorization {
        headers.insert(header::AUTHORIZATION, value.clone());
    }
    if !cookies.is_empty() {
        put(&mut headers, header::COOKIE, cookies);
    }
    if let Some(referer) = referer
        && !spec.disable_auto_origin
        && !matches!(built.method, Method::GET | Method::HEAD)
        && !headers.contains_key(header::ORIGIN)
    {
        put(&mut headers, header::ORIGIN, &referer.origin());
    }
    if !headers.contains_key(header::HOST) {
        put(&mut headers, header::HOST, &built.url.authority());
    }
    if let Some(kind) = &built.content_type {
        headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    if let Some(etag) = &valid.etag {
        put(&mut headers, header::IF_NONE_MATCH, etag);
    }
    if let Some(date) = &valid.last_modified {
        put(&mut headers, header::IF_MODIFIED_SINCE, date);
    }
    let needs_length = matches!(built.method, Method::POST | Method::PUT | Method::PATCH);
    let length = built.body.as_ref().map(Bytes::len);
    if let Some(length) = length.or_else(|| needs_length.then_some(0)) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    headers
}

/// The request after a redirect. Credentials stay with their origin.
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
    request.headers = request
        .headers
        .iter()
        .filter(|(name, _)| !drops_header(name.as_str(), keep_body, same_origin))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !same_origin {
        request.authorization = None;
    }
    request.url = to;
    request
}

fn put(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    // What cannot be sent in a header is left out: it came from the target.
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

pub(super) fn to_request(
    built: &Built,
    headers: HeaderMap,
) -> Result<Request<Full<Bytes>>, Failure> {
    let body = Full::new(built.body.clone().unwrap_or_default());
    let mut request = Request::new(body);
    *request.method_mut() = built.method.clone();
    *request.uri_mut() = built
        .url
        .path_and_query
        .parse()
        .map_err(|error| Failure::Text(format!("{} is not a valid url: {error}", built.url)))?;
    *request.headers_mut() = headers;
    Ok(request)
}

pub(super) fn sent_bytes(built: &Built, headers: &HeaderMap) -> u64 {
    let line = built.method.as_str().len() + built.url.path_and_query.len() + 12;
    let head: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (line + head + 2 + built.body.as_ref().map_or(0, Bytes::len)) as u64
}

pub(super) fn closes(headers: &HeaderMap) -> bool {
    value_of(headers, "connection").is_some_and(|it| it.eq_ignore_ascii_case("close"))
}

pub(super) fn is_page(headers: &HeaderMap) -> bool {
    value_of(headers, "content-type")
        .is_some_and(|it| it.starts_with("text/html") || it.starts_with("application/xhtml+xml"))
}

pub(super) fn is_ajax(headers: &HeaderMap) -> bool {
    value_of(headers, "x-requested-with") == Some("XMLHttpRequest")
}

//! A response as checks see it.

use std::borrow::Cow;
use std::cell::OnceCell;

use http::HeaderMap;
use http::header::{AsHeaderName, CONTENT_TYPE};

use super::decode;
use super::fields::Fields;
use super::url::Url;
use crate::charset::of_latin1;
use crate::check::{HeaderValues, ResponseView};

pub(super) struct View<'a> {
    pub status: u16,
    pub headers: &'a Fields,
    pub url: &'a Url,
    /// Written when it is asked for.
    pub url_text: OnceCell<String>,
    /// Content-decoded.
    pub body: &'a [u8],
    pub response_time_ms: u64,
    pub http2: bool,
}

impl ResponseView for View<'_> {
    fn status(&self) -> Option<u16> {
        Some(self.status)
    }

    fn header(&self, name: &str) -> HeaderValues<'_> {
        self.headers.get_all(&name.to_ascii_lowercase()).map(of_latin1).collect()
    }

    fn url(&self) -> &str {
        self.url_text.get_or_init(|| self.url.location())
    }

    fn body(&self) -> &[u8] {
        self.body
    }

    fn text(&self) -> Cow<'_, str> {
        decode::text(self.body, &self.headers.value(CONTENT_TYPE.as_str()).unwrap_or_default())
    }

    fn response_time_ms(&self) -> u64 {
        self.response_time_ms
    }
}

/// The first value of a header of a request, where it is text.
pub(super) fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

//! Cursor pagination: `?limit=50&cursor=…` → `{items, next_cursor}` and a `Link` header. A cursor is
//! opaque to clients and carries a check, so that a forged or mistyped one is refused rather than
//! read as another place.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::error::Problem;

pub const LIMIT_DEFAULT: usize = 50;
pub const LIMIT_MAX: usize = 500;

const CHECK_BYTES: usize = 4;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What a list's query says about paging.
#[derive(Clone, Debug, Default)]
pub struct Paging {
    pub limit: usize,
    /// Where the last page ended: the key of its last item.
    pub after: Option<String>,
}

impl Paging {
    /// `list` names the list, so that a cursor of one list is refused by another.
    ///
    /// # Errors
    /// When the limit is out of range or the cursor was not made by this list.
    pub fn parse(
        list: &'static str,
        limit: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Self, Problem> {
        let limit = match limit {
            None => LIMIT_DEFAULT,
            Some(text) => {
                text.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n)).ok_or_else(|| {
                    Problem::field(
                        "?limit",
                        format!("limit must be a number from 1 to {LIMIT_MAX}"),
                    )
                })?
            }
        };
        let after = match cursor {
            None | Some("") => None,
            Some(text) => Some(decode(list, text).ok_or_else(|| {
                Problem::field("?cursor", "the cursor was not given out by this list")
            })?),
        };
        Ok(Self { limit, after })
    }
}

/// Takes `limit` items of an iterator that already starts after the cursor.
pub fn page_of<T>(
    list: &'static str,
    paging: &Paging,
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
) -> Page<T> {
    let mut source = items.into_iter();
    let items: Vec<T> = source.by_ref().take(paging.limit).collect();
    let more = source.next().is_some();
    let next_cursor = items.last().filter(|_| more).map(|last| encode(list, &key(last)));
    Page { items, next_cursor }
}

/// The page as JSON, with `Link: <…>; rel="next"`.
pub fn respond<T: Serialize>(page: Page<T>, path: &str, query: &str) -> Response {
    let link = page.next_cursor.as_ref().map(|cursor| {
        let kept = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="))
            .map(|pair| format!("{pair}&"))
            .collect::<String>();
        format!("<{path}?{kept}cursor={cursor}>; rel=\"next\"")
    });
    let mut response = axum::Json(page).into_response();
    if let Some(value) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, value);
    }
    response
}

fn check(list: &str, key: &str) -> [u8; CHECK_BYTES] {
    let digest = Sha256::new().chain_update(list).chain_update([0]).chain_update(key).finalize();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest[..CHECK_BYTES]);
    check
}

fn encode(list: &str, key: &str) -> String {
    let check = check(list, key);
    check.iter().chain(key.as_bytes()).map(|byte| format!("{byte:02x}")).collect()
}

fn decode(list: &str, text: &str) -> Option<String> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) || !text.len().is_multiple_of(2) {
        return None;
    }
    let bytes: Vec<u8> = (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).ok())
        .collect::<Option<_>>()?;
    let (given, key) = bytes.split_at_checked(CHECK_BYTES)?;
    let key = String::from_utf8(key.to_vec()).ok()?;
    (check(list, &key) == given).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(total: u32, limit: usize) -> Vec<u32> {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let limit = limit.to_string();
            let paging = Paging::parse("t", Some(&limit), cursor.as_deref()).unwrap();
            let after: Option<u32> = paging.after.as_deref().map(|key| key.parse().unwrap());
            let rest = (0..total).filter(|n| after.is_none_or(|after| *n > after));
            let page = page_of("t", &paging, rest, |n| n.to_string());
            seen.extend(&page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return seen,
            }
        }
    }

    proptest! {
        #[test]
        fn pages_together_are_the_list(total in 0_u32..60, limit in 1_usize..20) {
            prop_assert_eq!(walk(total, limit), (0..total).collect::<Vec<_>>());
        }

        #[test]
        fn a_cursor_of_anything_is_refused_or_its_own(text in ".{0,40}") {
            if let Some(key) = decode("t", &text) {
                prop_assert_eq!(encode("t", &key), text.to_lowercase());
            }
        }
    }

    #[test]
    fn limits_and_forged_cursors_are_refused() {
        for limit in ["0", "-1", "1000000000", "x", "501"] {
            assert!(Paging::parse("t", Some(limit), None).is_err(), "{limit}");
        }
        let own = encode("jobs", "7");
        assert!(Paging::parse("jobs", None, Some(&own)).is_ok());
        assert!(Paging::parse("files", None, Some(&own)).is_err());
        assert!(Paging::parse("jobs", None, Some("00")).is_err());
        assert!(Paging::parse("jobs", None, Some("é0")).is_err());
    }

    #[test]
    fn the_link_keeps_the_other_parameters() {
        let page = Page { items: vec![1], next_cursor: Some("ab".to_owned()) };
        let response = respond(page, "/api/v1/jobs", "status=running&cursor=old&limit=1");
        assert_eq!(
            response.headers()[header::LINK],
            "</api/v1/jobs?status=running&limit=1&cursor=ab>; rel=\"next\""
        );
    }
}

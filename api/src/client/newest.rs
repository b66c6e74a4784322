//! What a client has read already: no later answer may be older, whichever node gives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

use super::Error;
use super::transport::Address;
use crate::error::{Kind, Problem};
use crate::freshness::{AGE_HEADER, INDEX_HEADER, STALE_HEADER};

#[derive(Debug, Default)]
pub(super) struct Newest {
    /// The highest log index that any answer had.
    seen: AtomicU64,
    /// The age of the oldest answer that said it was stale, milliseconds.
    stale_ms: Arc<AtomicU64>,
}

impl Newest {
    /// To be handed on with each request; none before the first answer.
    pub(super) fn index(&self) -> Option<u64> {
        Some(self.seen.load(Ordering::Relaxed)).filter(|seen| *seen > 0)
    }

    pub(super) fn stale_ms(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.stale_ms)
    }

    /// Notes how new an answer is. An error where it is older than what was seen before: as of a node
    /// without a leader, another one is asked.
    pub(super) fn judge(&self, address: &Address, headers: &HeaderMap) -> Result<(), Error> {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        let index = number(INDEX_HEADER).unwrap_or(0);
        let seen = self.seen.fetch_max(index, Ordering::Relaxed);
        if headers.get(STALE_HEADER).is_none() {
            return Ok(());
        }
        let age = number(AGE_HEADER).unwrap_or(0);
        if index < seen {
            let detail = format!(
                "{} is cut off from the master: its state of {age} ms ago is older than what was \
                 read before",
                address.url()
            );
            let body = Problem::new(Kind::NoLeader, detail).body(None);
            return Err(Error::Problem(Box::new(body)));
        }
        self.stale_ms.fetch_max(age.max(1), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// What was `finished` once was `finalizing` again, through another node.
    #[test]
    fn answers_never_go_back() {
        let address = Address::parse("a:1").unwrap();
        let newest = Newest::default();
        let judge = |index: &'static str, age: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(INDEX_HEADER, HeaderValue::from_static(index));
            if let Some(age) = age {
                headers.insert(STALE_HEADER, HeaderValue::from_static("true"));
                headers.insert(AGE_HEADER, HeaderValue::from_static(age));
            }
            newest.judge(&address, &headers).map_err(|error| error.to_string())
        };
        assert_eq!(newest.index(), None);
        assert_eq!(judge("7", None), Ok(()));
        assert_eq!(newest.index(), Some(7));
        assert_eq!(judge("7", Some("900")), Ok(()), "stale, but nothing newer was seen");
        assert_eq!(newest.stale_ms().load(Ordering::Relaxed), 900);
        let error = judge("6", Some("12000")).unwrap_err();
        assert!(error.starts_with("http://a:1 is cut off from the master"), "{error}");
        assert_eq!(judge("9", None), Ok(()));
        assert!(judge("8", Some("1")).is_err());
    }
}

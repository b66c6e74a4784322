//! One user's HTTP cache: on by default, as in Gatling. A fresh entry means that the request is
//! skipped and not counted; validators make the next request conditional; permanent redirects are
//! remembered. Headers of the request are not part of the key; the cookies are.

use indexmap::IndexMap;

/// Entries per user, of each kind; the oldest makes room.
const ENTRIES_MAX: usize = 200;

/// Of a validator and of an address that is remembered: a target cannot make a user's memory grow.
const REMEMBERED_BYTES_MAX: usize = 4_096;
const KEY_BYTES: usize = 16;

/// Method, URL and `Cookie` header, hashed: together they may be long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    #[must_use]
    pub fn of(method: &str, url: &str, cookies: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [method, url, cookies] {
            hasher.update(part.as_bytes());
            // None of them holds it.
            hasher.update(b"\n");
        }
        let mut bytes = [0; KEY_BYTES];
        hasher.finalize_xof().fill(&mut bytes);
        Self(bytes)
    }
}

/// Of a response, what the cache reads. Header values are those of the first line of each name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caching<'a> {
    pub cache_control: Option<&'a str>,
    pub expires: Option<&'a str>,
    pub pragma: Option<&'a str>,
    pub etag: Option<&'a str>,
    pub last_modified: Option<&'a str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Cache {
    fresh_until_ms: IndexMap<Key, i64>,
    validators: IndexMap<Key, Validators>,
    redirects: IndexMap<String, String>,
}

impl Caching<'_> {
    /// Nothing that the cache would remember.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let Self { cache_control, expires, pragma: _, etag, last_modified } = self;
        [cache_control, expires, etag, last_modified].into_iter().all(Option::is_none)
    }
}

impl Cache {
    /// Nothing to look up but redirects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fresh_until_ms.is_empty() && self.validators.is_empty()
    }

    #[must_use]
    pub fn knows_redirects(&self) -> bool {
        !self.redirects.is_empty()
    }

    /// True where the request is to be skipped.
    pub fn is_fresh(&mut self, key: &Key, now_ms: i64) -> bool {
        match self.fresh_until_ms.get(key) {
            Some(&until) if until > now_ms => true,
            Some(_) => {
                self.fresh_until_ms.shift_remove(key);
                false
            }
            None => false,
        }
    }

    #[must_use]
    pub fn validators(&self, key: &Key) -> Option<&Validators> {
        self.validators.get(key)
    }

    /// Remembers what a response says; whatever its status and the method, but not a redirect's.
    pub fn store(&mut self, key: &Key, response: &Caching<'_>, now_ms: i64) {
        if let Some(until) = fresh_until(response, now_ms) {
            bounded_insert(&mut self.fresh_until_ms, *key, until);
        }
        let is_short = |it: &&str| it.len() <= REMEMBERED_BYTES_MAX;
        let etag = response.etag.filter(is_short);
        let last_modified = response.last_modified.filter(is_short);
        if etag.is_some() || last_modified.is_some() {
            let validators = Validators {
                etag: etag.map(str::to_owned),
                last_modified: last_modified.map(str::to_owned),
            };
            bounded_insert(&mut self.validators, *key, validators);
        }
    }

    pub fn remember_redirect(&mut self, from: String, to: String) {
        if from.len().max(to.len()) > REMEMBERED_BYTES_MAX {
            return;
        }
        bounded_insert(&mut self.redirects, from, to);
    }

    /// Where a permanent redirect led before, whatever the method.
    #[must_use]
    pub fn redirect(&self, from: &str) -> Option<&str> {
        self.redirects.get(from).map(String::as_str)
    }

    /// `flushHttpCache()`.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn bounded_insert<K: std::hash::Hash + Eq, V>(map: &mut IndexMap<K, V>, key: K, value: V) {
    if map.len() >= ENTRIES_MAX && !map.contains_key(&key) {
        map.shift_remove_index(0);
    }
    map.insert(key, value);
}

fn fresh_until(response: &Caching<'_>, now_ms: i64) -> Option<i64> {
    if response.pragma.is_some_and(|pragma| pragma.contains("no-cache")) {
        return None;
    }
    if let Some(control) = response.cache_control {
        let mut max_age = None;
        for directive in control.split(',').map(str::trim) {
            if directive.eq_ignore_ascii_case("no-cache")
                || directive.eq_ignore_ascii_case("no-store")
            {
                return None;
            }
            if let Some((name, seconds)) = directive.split_once('=')
                && name.trim().eq_ignore_ascii_case("max-age")
            {
                max_age = seconds.trim().parse::<i64>().ok();
            }
        }
        if let Some(seconds) = max_age {
            return (seconds > 0).then(|| now_ms.saturating_add(seconds.saturating_mul(1_000)));
        }
    }
    let at = httpdate::parse_http_date(response.expires?).ok()?;
    let until = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(until.as_millis()).ok().filter(|&until| until > now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn key(url: &str) -> Key {
        Key::of("GET", url, "")
    }

    #[test]
    fn freshness_by_header() {
        let of = |cache_control, expires, pragma| {
            let response = Caching { cache_control, expires, pragma, ..Caching::default() };
            fresh_until(&response, NOW).map(|until| (until - NOW) / 1_000)
        };
        assert_eq!(of(Some("public, max-age=60"), None, None), Some(60));
        assert_eq!(of(Some("Max-Age = 60"), None, None), Some(60));
        assert_eq!(of(Some("max-age=0"), Some("Fri, 01 Jan 2100 00:00:00 GMT"), None), None);
        assert_eq!(of(Some("no-store, max-age=60"), None, None), None);
        assert_eq!(of(Some("max-age=60"), None, Some("no-cache")), None);
        assert_eq!(of(Some("s-maxage=60"), None, None), None);
        assert_eq!(of(None, Some("Tue, 14 Nov 2023 22:14:20 GMT"), None), Some(60));
        assert_eq!(of(None, Some("0"), None), None);
        assert_eq!(of(None, None, None), None);
    }

    #[test]
    fn skipped_until_it_expires_and_conditional_after() {
        let mut cache = Cache::default();
        let response =
            Caching { cache_control: Some("max-age=1"), etag: Some("\"a\""), ..Caching::default() };
        cache.store(&key("u"), &response, NOW);
        assert!(cache.is_fresh(&key("u"), NOW + 999));
        assert!(!cache.is_fresh(&key("u"), NOW + 1_000));
        assert!(!cache.is_fresh(&key("other"), NOW));
        assert_eq!(cache.validators(&key("u")).and_then(|v| v.etag.as_deref()), Some("\"a\""));
        cache.clear();
        assert!(cache.validators(&key("u")).is_none());
    }

    #[test]
    fn entries_are_small_whatever_the_target_says() {
        let mut cache = Cache::default();
        let long = "x".repeat(5_000);
        for (etag, last_modified) in [(Some(&*long), None), (None, Some(&*long))] {
            let response = Caching { etag, last_modified, ..Caching::default() };
            cache.store(&key("u"), &response, NOW);
        }
        assert!(cache.validators(&key("u")).is_none());
        cache.remember_redirect("from".into(), long.clone());
        cache.remember_redirect(long, "to".into());
        assert!(!cache.knows_redirects());
        assert!(size_of::<Key>() <= 16);
    }

    #[test]
    fn it_is_bounded_and_the_oldest_makes_room() {
        let mut cache = Cache::default();
        for index in 0..=ENTRIES_MAX {
            cache.remember_redirect(format!("u{index}"), "to".into());
        }
        assert_eq!(cache.redirect("u0"), None);
        assert_eq!(cache.redirect("u1"), Some("to"));
    }
}

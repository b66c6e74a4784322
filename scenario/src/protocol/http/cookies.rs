//! One user's cookie jar: RFC 6265, compact, without IO. What Gatling does where the RFC leaves room
//! (expired dates delete, unreadable dates give a session cookie, longest path first, an overwrite
//! renews the creation) is recorded in the tests. `Secure` cookies are sent to local hosts too.

use std::time::UNIX_EPOCH;

use http::header::SET_COOKIE;

use super::fields::Fields;
use super::url::Url;
use crate::charset::of_latin1;

/// Per user, over all domains: a hostile target cannot make a user's memory grow.
const COOKIES_MAX: usize = 3_000;
/// Per domain, as browsers have it.
const COOKIES_PER_DOMAIN_MAX: usize = 180;
/// Of name and value together (RFC 6265 section 6.1).
const COOKIE_BYTES_MAX: usize = 4_096;

/// Of a domain, and of a path (RFC 6265bis section 5.6).
const ATTRIBUTE_BYTES_MAX: usize = 1_024;

/// A stored cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    /// Lower case, without a leading dot.
    pub domain: String,
    /// Only the very host that set it.
    pub host_only: bool,
    pub path: String,
    pub secure: bool,
    /// Unix milliseconds; absent: a session cookie.
    pub expires_ms: Option<i64>,
}

/// Where a request goes, as far as cookies care.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Lower case.
    pub host: &'a str,
    pub path: &'a str,
    pub secure: bool,
}

impl<'a> Origin<'a> {
    #[must_use]
    pub fn of(url: &'a Url) -> Self {
        Self { host: &url.host, path: url.path(), secure: url.secure }
    }
}

/// The jar. Order of the vector is order of creation.
#[derive(Clone, Debug, Default)]
pub struct CookieJar {
    cookies: Vec<Cookie>,
}

impl CookieJar {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    pub fn clear(&mut self) {
        self.cookies.clear();
    }

    /// `flushSessionCookies()`.
    pub fn clear_session_cookies(&mut self) {
        self.cookies.retain(|cookie| cookie.expires_ms.is_some());
    }

    pub fn iter(&self) -> impl Iterator<Item = &Cookie> {
        self.cookies.iter()
    }

    /// Takes one `Set-Cookie` header's value.
    pub fn store(&mut self, header: &str, origin: Origin<'_>, now_ms: i64) {
        if let Some(cookie) = parse(header, origin, now_ms) {
            self.insert(cookie, now_ms);
        }
    }

    /// Takes the `Set-Cookie` headers of an answer.
    pub(super) fn store_all(&mut self, headers: &Fields, origin: Origin<'_>, now_ms: i64) {
        for header in headers.get_all(SET_COOKIE.as_str()) {
            self.store(&of_latin1(header), origin, now_ms);
        }
    }

    /// Puts a cookie in, in the place of one of the same name, domain and path. One that has
    /// expired deletes.
    pub fn insert(&mut self, cookie: Cookie, now_ms: i64) {
        self.cookies.retain(|old| {
            !(old.name == cookie.name && old.domain == cookie.domain && old.path == cookie.path)
        });
        if cookie.expires_ms.is_some_and(|expires| expires <= now_ms) {
            return;
        }
        let of_domain = self.cookies.iter().filter(|old| old.domain == cookie.domain).count();
        if of_domain >= COOKIES_PER_DOMAIN_MAX {
            // The oldest of that domain makes room.
            if let Some(oldest) = self.cookies.iter().position(|old| old.domain == cookie.domain) {
                self.cookies.remove(oldest);
            }
        } else if self.cookies.len() >= COOKIES_MAX {
            self.cookies.remove(0);
        }
        self.cookies.push(cookie);
    }

    /// The value of the cookie of that name that the host would get: the one of the longest path.
    #[must_use]
    pub fn find(
        &self,
        name: &str,
        host: &str,
        path: Option<&str>,
        secure: Option<bool>,
        now_ms: i64,
    ) -> Option<&str> {
        let fits = |cookie: &&Cookie| {
            cookie.name == name
                && cookie.goes_to(host)
                && path.is_none_or(|path| cookie.path == path)
                && secure.is_none_or(|secure| cookie.secure == secure)
                && cookie.expires_ms.is_none_or(|expires| expires > now_ms)
        };
        let found = self.cookies.iter().filter(fits).rev().max_by_key(|it| it.path.len())?;
        Some(&found.value)
    }

    /// Appends the value of the `Cookie` header; nothing where no cookie matches.
    pub fn header_into(&self, out: &mut String, origin: Origin<'_>, now_ms: i64) {
        let mut matching: Vec<&Cookie> =
            self.cookies.iter().filter(|cookie| cookie.matches(origin, now_ms)).collect();
        // Stable: among equal lengths the order of creation stays.
        matching.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        for (index, cookie) in matching.iter().enumerate() {
            if index > 0 {
                out.push_str("; ");
            }
            out.push_str(&cookie.name);
            out.push('=');
            out.push_str(&cookie.value);
        }
    }
}

impl Cookie {
    fn goes_to(&self, host: &str) -> bool {
        if self.host_only { self.domain == host } else { domain_matches(host, &self.domain) }
    }

    fn matches(&self, origin: Origin<'_>, now_ms: i64) -> bool {
        self.goes_to(origin.host)
            && path_matches(origin.path, &self.path)
            && (!self.secure || origin.secure || is_local(origin.host))
            && self.expires_ms.is_none_or(|expires| expires > now_ms)
    }
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "[::1]" || host == "::1"
}

fn is_ip_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

/// RFC 6265 section 5.1.3.
fn domain_matches(host: &str, domain: &str) -> bool {
    host == domain
        || (host.ends_with(domain)
            && host.as_bytes().get(host.len() - domain.len() - 1) == Some(&b'.')
            && !is_ip_address(host))
}

/// RFC 6265 section 5.1.4.
fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path).is_some_and(|rest| {
        rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with(['/', '?'])
    })
}

fn default_path(request_path: &str) -> &str {
    let path = request_path.split(['?', '#']).next().unwrap_or_default();
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(last) => &path[..last],
    }
}

/// RFC 6265 section 5.2; `None` where the header sets nothing.
fn parse(header: &str, origin: Origin<'_>, now_ms: i64) -> Option<Cookie> {
    let mut attributes = header.split(';');
    let (name, value) = attributes.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || name.len() + value.len() > COOKIE_BYTES_MAX {
        return None;
    }
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: origin.host.to_owned(),
        host_only: true,
        path: default_path(origin.path).to_owned(),
        secure: false,
        expires_ms: None,
    };
    let mut max_age = None;
    let mut expires = None;
    for attribute in attributes {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let value = value.trim();
        if value.len() > ATTRIBUTE_BYTES_MAX {
            continue;
        }
        match key.trim().to_ascii_lowercase().as_str() {
            "domain" => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                if domain.is_empty() {
                    continue;
                }
                // A host may not set cookies for a stranger, nor for a whole top-level domain.
                let widens = domain != origin.host && !domain.contains('.');
                if widens || !domain_matches(origin.host, &domain) {
                    return None;
                }
                cookie.host_only = false;
                cookie.domain = domain;
            }
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
            "expires" => expires = expiry_ms(value).or(expires),
            _ => {}
        }
    }
    // Max-Age wins over Expires (RFC 6265 section 5.3).
    cookie.expires_ms = match max_age {
        Some(seconds) if seconds <= 0 => Some(i64::MIN),
        Some(seconds) => Some(now_ms.saturating_add(seconds.saturating_mul(1_000))),
        None => expires,
    };
    // That of a long address may be too long as well.
    (cookie.path.len() <= ATTRIBUTE_BYTES_MAX).then_some(cookie)
}

fn expiry_ms(date: &str) -> Option<i64> {
    // Netscape's form has dashes in the date; HTTP's has spaces.
    let date = date.replace('-', " ");
    let parsed = httpdate::parse_http_date(&date).ok()?;
    match parsed.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).ok(),
        Err(_) => Some(i64::MIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn at<'a>(host: &'a str, path: &'a str) -> Origin<'a> {
        Origin { host, path, secure: false }
    }

    fn sent(jar: &CookieJar, origin: Origin<'_>) -> String {
        let mut out = String::new();
        jar.header_into(&mut out, origin, NOW);
        out
    }

    #[test]
    fn longest_path_first_then_creation_and_overwriting_renews_the_creation() {
        let mut jar = CookieJar::default();
        let here = at("shop.test", "/a/b/c");
        jar.store("one=1; Path=/", here, NOW);
        jar.store("two=2; Path=/", here, NOW);
        jar.store("deep=3; Path=/a/b", here, NOW);
        assert_eq!(sent(&jar, here), "deep=3; one=1; two=2");
        jar.store("one=4; Path=/", here, NOW);
        assert_eq!(sent(&jar, here), "deep=3; two=2; one=4");
        assert_eq!(sent(&jar, at("shop.test", "/a/bc")), "two=2; one=4");
    }

    #[test]
    fn expiry_deletes_max_age_wins_and_an_unreadable_date_gives_a_session_cookie() {
        let here = at("shop.test", "/");
        let cases = [
            ("a=1; Max-Age=0", ""),
            ("a=1; Max-Age=-5", ""),
            ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", ""),
            ("a=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT", ""),
            ("a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=1"),
            ("a=1; Expires=some day", "a=1"),
        ];
        for (header, expected) in cases {
            let mut jar = CookieJar::default();
            jar.store("a=0", here, NOW);
            jar.store(header, here, NOW);
            assert_eq!(sent(&jar, here), expected, "{header}");
        }
        let mut jar = CookieJar::default();
        jar.store("a=1; Expires=some day", here, NOW);
        jar.clear_session_cookies();
        assert!(jar.is_empty());
    }

    #[test]
    fn domains_are_matched_and_strangers_refused() {
        let mut jar = CookieJar::default();
        let here = at("www.shop.test", "/");
        jar.store("own=1", here, NOW);
        jar.store("wide=2; Domain=.Shop.Test", here, NOW);
        jar.store("stranger=3; Domain=evil.test", here, NOW);
        jar.store("top=4; Domain=test", here, NOW);
        assert_eq!(sent(&jar, here), "own=1; wide=2");
        assert_eq!(sent(&jar, at("api.shop.test", "/")), "wide=2");
        assert_eq!(sent(&jar, at("notshop.test", "/")), "");
    }

    #[test]
    fn nothing_without_a_name_or_an_equals_sign_and_secure_only_to_local_hosts_in_the_clear() {
        let mut jar = CookieJar::default();
        jar.store("nothing", at("a.test", "/"), NOW);
        jar.store("=value", at("a.test", "/"), NOW);
        assert!(jar.is_empty());
        jar.store("s=1; Secure", at("a.test", "/"), NOW);
        jar.store("s=1; Secure", at("127.0.0.1", "/"), NOW);
        assert_eq!(sent(&jar, at("a.test", "/")), "");
        assert_eq!(sent(&jar, at("127.0.0.1", "/")), "s=1");
    }

    #[test]
    fn the_default_path_is_the_folder_of_the_request() {
        let mut jar = CookieJar::default();
        jar.store("a=1", at("a.test", "/x/y?z=/w"), NOW);
        assert_eq!(sent(&jar, at("a.test", "/x/q")), "a=1");
        assert_eq!(sent(&jar, at("a.test", "/")), "");
    }

    #[test]
    fn a_hostile_target_cannot_fill_the_memory() {
        let mut jar = CookieJar::default();
        for index in 0..1_000 {
            jar.store(&format!("c{index}=1"), at("a.test", "/"), NOW);
        }
        assert_eq!(jar.iter().count(), COOKIES_PER_DOMAIN_MAX);
        assert_eq!(jar.iter().last().map(|cookie| cookie.name.as_str()), Some("c999"));
        jar.store(&format!("big={}", "x".repeat(5_000)), at("a.test", "/"), NOW);
        assert!(jar.iter().all(|cookie| cookie.name != "big"));
        let long = format!("/{}", "x".repeat(2_000));
        jar.store(&format!("path=1; Path={long}"), at("a.test", "/y/z"), NOW);
        assert_eq!(jar.iter().last().map(|cookie| cookie.path.as_str()), Some("/y"));
        jar.store("long=1", at("a.test", &format!("{long}/z")), NOW);
        assert!(jar.iter().all(|cookie| cookie.name != "long"));
    }
}

//! URLs as Gatling builds them: base and path joined by concatenation, dot segments and double
//! slashes resolved, what a URL may not hold encoded, what is encoded already left alone.

use std::fmt::Write as _;
use std::sync::Arc;

/// A parsed absolute URL, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    pub secure: bool,
    /// Lower case; IPv6 in brackets.
    pub host: Arc<str>,
    pub port: u16,
    /// Starts with `/`; without fragment.
    pub path_and_query: String,
}

impl Url {
    /// Parses an absolute URL. `encode` mends characters that a URL may not hold.
    ///
    /// # Errors
    /// What is wrong with it, with the URL.
    pub fn parse(text: &str, encode: bool) -> Result<Self, String> {
        let invalid = |why: &str| format!("Invalid URL {text}: {why}");
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("'{text}' could not be parsed into a proper Uri, missing scheme"));
        };
        let is = |other: &str| scheme.eq_ignore_ascii_case(other);
        let secure = is("https") || is("wss");
        if !secure && !is("http") && !is("ws") {
            return Err(invalid(&format!("scheme '{scheme}' is not http or https")));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        // User info is not sent; Gatling drops it as well.
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        let (host, port) = split_port(authority).map_err(|why| invalid(&why))?;
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        if host.starts_with('[') && !is_ipv6(host) {
            return Err(format!("Invalid authority field: {authority}"));
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`".contains(c))
        {
            return Err(invalid("the host holds a character that no host may hold"));
        }
        Ok(Self {
            secure,
            host: host.to_ascii_lowercase().into(),
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            path_and_query: normalise(target, encode),
        })
    }

    /// The URL that a reference (a `Location`, a link) means, seen from this one (RFC 3986, 5.2).
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn join(&self, reference: &str) -> Result<Self, String> {
        let reference = reference.trim();
        if reference.split_once("://").is_some_and(|(before, _)| is_scheme(before)) {
            return Self::parse(reference, true);
        }
        let scheme = self.scheme();
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"), true);
        }
        let path = self.path_and_query.split('?').next().unwrap_or("/");
        let target = if reference.is_empty() || reference.starts_with('#') {
            self.path_and_query.clone()
        } else if reference.starts_with('/') {
            reference.to_owned()
        } else if reference.starts_with('?') {
            format!("{path}{reference}")
        } else {
            let folder = path.rfind('/').map_or("/", |last| &path[..=last]);
            format!("{folder}{reference}")
        };
        Self::parse(&format!("{scheme}://{}{target}", self.authority()), true)
    }

    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Host, and the port where it is not the scheme's own: the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.is_default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    #[must_use]
    pub fn is_default_port(&self) -> bool {
        self.port == if self.secure { 443 } else { 80 }
    }

    /// `scheme://host[:port]`, for `Origin` and for comparing origins.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority())
    }

    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        self.secure == other.secure && self.port == other.port && self.host == other.host
    }

    /// The path alone.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or("/")
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin(), self.path_and_query)
    }
}

/// RFC 3986, 3.1: what stands before a colon otherwise is part of a path or a query.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it))
}

/// In brackets.
fn is_ipv6(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    // A zone may follow the address.
    let address = address.and_then(|it| it.split('%').next());
    address.is_some_and(|it| it.parse::<std::net::Ipv6Addr>().is_ok())
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let after_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[after_brackets..].find(':').map(|at| at + after_brackets) else {
        return Ok((authority, None));
    };
    let port = &authority[colon + 1..];
    if port.is_empty() {
        return Ok((&authority[..colon], None));
    }
    match port.parse::<u16>() {
        Ok(number) if number > 0 => Ok((&authority[..colon], Some(number))),
        _ => Err(format!("'{port}' is not a port")),
    }
}

/// Drops the fragment, resolves dot segments and double slashes, encodes.
fn normalise(target: &str, encode: bool) -> String {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) =
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut out = String::with_capacity(target.len() + 8);
    push_path(&mut out, path, encode);
    if let Some(query) = query {
        out.push('?');
        push_encoded(&mut out, query, "+", encode);
    }
    out
}

fn push_path(out: &mut String, path: &str, encode: bool) {
    let plain = !path.contains("//") && !path.contains("/.");
    if plain {
        if path.is_empty() {
            out.push('/');
        }
        return push_encoded(out, path, "%20", encode);
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut folder = false;
    for segment in path.split('/').skip(1) {
        folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    for segment in &segments {
        out.push('/');
        push_encoded(out, segment, "%20", encode);
    }
    if folder || segments.is_empty() {
        out.push('/');
    }
}

/// Encodes what a URL may not hold. A `%` stays as it is, valid or not. Without encoding a space
/// stays too: such a request is a KO.
fn push_encoded(out: &mut String, text: &str, space: &str, encode: bool) {
    for c in text.chars() {
        match c {
            // Never as they are, encoding or not: they would end the request line.
            _ if c.is_ascii_control() => push_percent(out, c),
            _ if !encode => out.push(c),
            ' ' => out.push_str(space),
            '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' | '[' | ']' => {
                push_percent(out, c);
            }
            _ if !c.is_ascii() => push_percent(out, c),
            _ => out.push(c),
        }
    }
}

fn push_percent(out: &mut String, c: char) {
    let mut buffer = [0; 4];
    for byte in c.encode_utf8(&mut buffer).bytes() {
        // Writing to a String cannot fail.
        let _ = write!(out, "%{byte:02X}");
    }
}

/// `application/x-www-form-urlencoded`, for query and form parameters: letters, digits and `*-._`
/// stay, a space becomes `+`.
pub fn push_form_encoded(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            ' ' => out.push('+'),
            '*' | '-' | '.' | '_' => out.push(c),
            _ if c.is_ascii_alphanumeric() => out.push(c),
            _ => push_percent(out, c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(text: &str) -> String {
        Url::parse(&format!("http://a.test{text}"), true).unwrap().path_and_query
    }

    #[test]
    fn literal_urls_are_mended_and_normalised() {
        for (given, expected) in [
            ("", "/"),
            ("?q=1", "/?q=1"),
            ("/a b?c d=e f", "/a%20b?c+d=e+f"),
            ("/100%", "/100%"),
            ("/%zz?x=%2", "/%zz?x=%2"),
            ("/a#frag", "/a"),
            ("/a/./b/../c", "/a/c"),
            ("/a//b", "/a/b"),
            ("/a/..", "/"),
            ("/../../a/", "/a/"),
            ("/é?ü", "/%C3%A9?%C3%BC"),
            ("/{x}|y", "/%7Bx%7D%7Cy"),
            ("/a.b/.c", "/a.b/.c"),
            ("/[x]?a[]=1", "/%5Bx%5D?a%5B%5D=1"),
        ] {
            assert_eq!(target(given), expected, "{given}");
        }
        let raw = Url::parse("http://a.test/x//{y}?z z", false).unwrap();
        assert_eq!(raw.path_and_query, "/x/{y}?z z");
    }

    #[test]
    fn authorities() {
        let url = Url::parse("https://User:pw@Shop.Test:8443/x", true).unwrap();
        assert_eq!((&*url.host, url.port, url.secure), ("shop.test", 8443, true));
        assert_eq!(url.to_string(), "https://shop.test:8443/x");
        assert_eq!(Url::parse("http://[::1]:80/", true).unwrap().authority(), "[::1]");
        assert_eq!(Url::parse("http://[::1]:81", true).unwrap().authority(), "[::1]:81");
        let unclosed = Url::parse("http://[bad/", true).unwrap_err();
        assert_eq!(unclosed, "Invalid authority field: [bad");
        let relative = Url::parse("/echo", true).unwrap_err();
        assert_eq!(relative, "'/echo' could not be parsed into a proper Uri, missing scheme");
        for (bad, why) in [
            ("htp://x", "scheme 'htp' is not http or https"),
            ("http://", "it has no host"),
            ("http://a b/", "the host holds a character that no host may hold"),
            ("http://a:99999/", "'99999' is not a port"),
        ] {
            assert_eq!(Url::parse(bad, true).unwrap_err(), format!("Invalid URL {bad}: {why}"));
        }
    }

    #[test]
    fn references_are_resolved() {
        let base = Url::parse("http://a.test:81/x/y?q=1", true).unwrap();
        for (reference, expected) in [
            ("z", "http://a.test:81/x/z"),
            ("../z", "http://a.test:81/z"),
            ("/z?k=v", "http://a.test:81/z?k=v"),
            ("?k", "http://a.test:81/x/y?k"),
            ("", "http://a.test:81/x/y?q=1"),
            ("//b.test/z", "http://b.test/z"),
            ("https://b.test", "https://b.test/"),
            ("/back?to=http://c.test", "http://a.test:81/back?to=http://c.test"),
            ("login?next=http://c.test/x", "http://a.test:81/x/login?next=http://c.test/x"),
            ("a/b://c", "http://a.test:81/x/a/b:/c"),
            ("HTTPS://B.test/X", "https://b.test/X"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), expected, "{reference}");
        }
        let wrong = base.join("file:///etc/passwd").unwrap_err();
        assert_eq!(wrong, "Invalid URL file:///etc/passwd: scheme 'file' is not http or https");
    }

    #[test]
    fn form_encoding_is_that_of_the_reference() {
        let mut out = String::new();
        push_form_encoded(&mut out, "~!*()'-._ é");
        assert_eq!(out, "%7E%21*%28%29%27-._+%C3%A9");
    }

    proptest! {
        #[test]
        fn what_is_sent_never_breaks_the_request_line(path in "\\PC{0,40}", encode: bool) {
            if let Ok(url) = Url::parse(&format!("http://a.test/{path}"), encode) {
                prop_assert!(url.path_and_query.starts_with('/'));
                // Without encoding, requests with a space are refused when they are sent.
                let sent = url.path_and_query.bytes().filter(|b| encode || *b < 0x80);
                prop_assert!(sent.into_iter().all(|b| b > b' ' - u8::from(!encode) && b < 0x7f));
            }
        }
    }
}

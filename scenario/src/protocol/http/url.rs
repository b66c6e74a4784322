//! URLs as Gatling builds them: base and path joined by concatenation, dot segments and double
//! slashes resolved, what a URL may not hold encoded, what is encoded already left alone.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::charset::Charset;

/// A parsed absolute URL, ready to be sent.
#[derive(Clone, Debug)]
pub struct Url {
    pub secure: bool,
    /// Lower case; IPv6 in brackets.
    pub host: Arc<str>,
    pub port: u16,
    /// Starts with `/`; without fragment.
    pub path_and_query: String,
    /// Nothing of it makes another URL; most have nothing.
    given: Option<Box<Given>>,
}

/// Of a URL, what is not sent, or sent as it was given.
#[derive(Clone, Debug, Default)]
struct Given {
    /// Where it is not in lower case.
    host: Option<Box<str>>,
    /// `currentLocation()` tells it, as the fragment, and nobody else.
    user_info: Option<Box<str>>,
    fragment: Option<Box<str>>,
    /// Without a path: the slash that is sent is not of it.
    bare: bool,
}

impl Url {
    /// Parses an absolute URL. `encode` mends characters that a URL may not hold.
    ///
    /// # Errors
    /// What is wrong with it, with the URL.
    pub fn parse(text: &str, encode: bool) -> Result<Self, String> {
        let invalid = |why: &str| format!("Invalid URL {text}: {why}");
        let Some((scheme, rest)) = trimmed(text).split_once("://") else {
            return Err(format!("'{text}' could not be parsed into a proper Uri, missing scheme"));
        };
        let is = |other: &str| scheme.eq_ignore_ascii_case(other);
        let secure = is("https") || is("wss");
        if !secure && !is("http") && !is("ws") {
            return Err(invalid(&format!("scheme '{scheme}' is not http or https")));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user_info, authority) = match authority.rsplit_once('@') {
            Some((user_info, authority)) => (Some(user_info.into()), authority),
            None => (None, authority),
        };
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
        let (target, fragment) = split_fragment(target);
        let shouts = host.bytes().any(|it| it.is_ascii_uppercase());
        let bare = !target.starts_with('/');
        let given = Given { host: shouts.then(|| host.into()), user_info, fragment, bare };
        Ok(Self {
            secure,
            host: if shouts { host.to_ascii_lowercase().into() } else { host.into() },
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            path_and_query: normalise(target, encode),
            given: given.boxed(),
        })
    }

    /// The URL that a reference (a `Location`, a link) means, seen from this one (RFC 3986, 5.2). It
    /// is sent as it was given, but for blanks.
    ///
    /// # Errors
    /// As [`Self::parse`], and where its scheme is one of another protocol.
    pub fn join(&self, reference: &str) -> Result<Self, String> {
        let reference = trimmed(reference);
        let scheme = self.scheme();
        if reference.starts_with("//") {
            return Self::parse(&format!("{scheme}:{}", without_blanks(reference)), false);
        }
        // One that has this URL's scheme and no host is relative (RFC 3986, 5.2.2).
        let (given, rest) = split_scheme(reference);
        if given.is_some_and(|it| !it.eq_ignore_ascii_case(scheme)) && !rest.starts_with("//") {
            return Err(format!(
                "'{reference}' could not be parsed into a proper Uri, missing host"
            ));
        }
        if rest.starts_with("//") {
            return Self::parse(&without_blanks(reference), false);
        }
        let (target, fragment) = split_fragment(rest);
        if target.is_empty() {
            return Ok(self.clone());
        }
        let path = self.path();
        let target = if target.starts_with('/') {
            target.to_owned()
        } else if target.starts_with('?') {
            format!("{path}{target}")
        } else {
            let folder = path.rfind('/').map_or("/", |last| &path[..=last]);
            format!("{folder}{target}")
        };
        let mut given = self.given.as_deref().cloned().unwrap_or_default();
        (given.fragment, given.bare) = (fragment, false);
        Ok(Self {
            secure: self.secure,
            host: Arc::clone(&self.host),
            port: self.port,
            path_and_query: normalise(&without_blanks(&target), false),
            given: given.boxed(),
        })
    }

    /// As `currentLocation()` has it: with user info and fragment.
    #[must_use]
    pub fn location(&self) -> String {
        let part = |of: fn(&Given) -> &Option<Box<str>>| {
            self.given.as_deref().and_then(|given| of(given).as_deref())
        };
        let mut out = format!("{}://", self.scheme());
        if let Some(user_info) = part(|it| &it.user_info) {
            out.push_str(user_info);
            out.push('@');
        }
        out.push_str(&self.authority());
        let bare = self.given.as_deref().is_some_and(|given| given.bare);
        out.push_str(&self.path_and_query[usize::from(bare)..]);
        if let Some(fragment) = part(|it| &it.fragment) {
            out.push('#');
            out.push_str(fragment);
        }
        out
    }

    /// The host as it was given: so it is sent.
    #[must_use]
    pub fn given_host(&self) -> &str {
        let given = self.given.as_deref().and_then(|given| given.host.as_deref());
        given.unwrap_or(&self.host)
    }

    fn key(&self) -> (bool, &str, u16, &str) {
        (self.secure, &self.host, self.port, &self.path_and_query)
    }

    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Host, and the port where it is not the scheme's own: the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.given_host();
        if self.is_default_port() { host.to_owned() } else { format!("{host}:{}", self.port) }
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

    /// Puts parameters, as they are sent, behind those that it has.
    pub(super) fn add_query(&mut self, parameters: &str) {
        let target = &mut self.path_and_query;
        match target.find('?') {
            None => target.push('?'),
            Some(at) if at + 1 < target.len() => target.push('&'),
            Some(_) => {}
        }
        target.push_str(parameters);
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

impl Given {
    fn boxed(self) -> Option<Box<Self>> {
        let Self { host, user_info, fragment, bare } = &self;
        let is_plain = host.is_none() && user_info.is_none() && fragment.is_none() && !bare;
        (!is_plain).then(|| Box::new(self))
    }
}

impl PartialEq for Url {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Url {}

impl Hash for Url {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Blanks and control characters around a URL are none of its.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Letters and digits before the first colon, where no slash comes before it. What stands before a
/// colon otherwise is part of a path or a query.
fn split_scheme(text: &str) -> (Option<&str>, &str) {
    let found = text.split_once(':').filter(|(before, _)| {
        before.starts_with(|first: char| first.is_ascii_alphabetic())
            && before.bytes().all(|it| it.is_ascii_alphanumeric())
    });
    found.map_or((None, text), |(scheme, rest)| (Some(scheme), rest))
}

/// An empty one is none.
fn split_fragment(text: &str) -> (&str, Option<Box<str>>) {
    match text.split_once('#') {
        Some((text, fragment)) if !fragment.is_empty() => (text, Some(fragment.into())),
        Some((text, _)) => (text, None),
        None => (text, None),
    }
}

/// A target may have blanks in the address that it names; in one that is sent they would end it.
fn without_blanks(text: &str) -> Cow<'_, str> {
    if !text.contains(' ') {
        return text.into();
    }
    let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    (path.replace(' ', "%20") + &query.replace(' ', "+")).into()
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

/// Resolves dot segments and double slashes, encodes.
fn normalise(target: &str, encode: bool) -> String {
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
        folder = matches!(segment, "" | ".");
        match (segment, segments.last()) {
            (".", _) => {}
            // What leads above the root stays: it is the target's to judge.
            ("..", None | Some(&"..")) => segments.push(segment),
            ("..", Some(_)) => {
                segments.pop();
                folder = true;
            }
            // Two slashes are one, yet there is a segment between them.
            _ => segments.push(segment),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    for segment in &segments {
        out.push('/');
        push_encoded(out, segment, "%20", encode);
    }
    if folder || segments.is_empty() {
        out.push('/');
    }
}

/// Encodes what a URL may not hold. A `%` stays as it is, valid or not. Without encoding all stays:
/// a request that is broken by it is a KO.
fn push_encoded(out: &mut String, text: &str, space: &str, encode: bool) {
    for c in text.chars() {
        match c {
            _ if !encode => out.push(c),
            _ if c.is_ascii_control() => push_percent(out, c),
            ' ' => out.push_str(space),
            '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' | '[' | ']' => {
                push_percent(out, c);
            }
            _ if !c.is_ascii() => push_percent(out, c),
            _ => out.push(c),
        }
    }
}

/// A path and a query with what a URL may not hold encoded.
#[must_use]
pub fn encoded(path_and_query: &str) -> String {
    let mut out = String::with_capacity(path_and_query.len() + 8);
    push_encoded(&mut out, path_and_query, "%20", true);
    out
}

fn push_percent(out: &mut String, c: char) {
    let mut buffer = [0; 4];
    c.encode_utf8(&mut buffer).bytes().for_each(|byte| push_byte(out, byte));
}

fn push_byte(out: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "%{byte:02X}");
}

/// `application/x-www-form-urlencoded`, for query and form parameters: letters, digits and `*-._`
/// stay, a space becomes `+`, and the rest what it is in that charset.
pub fn push_form_encoded(out: &mut String, text: &str, charset: Charset) {
    let stays = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '*' | '-' | '.' | '_');
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if stays(c) {
            out.push(if c == ' ' { '+' } else { c });
            rest = &rest[1..];
            continue;
        }
        // Together: a charset may have a mark at the beginning, or shifts.
        let end = rest.find(stays).unwrap_or(rest.len());
        charset.encode(&rest[..end]).iter().for_each(|byte| push_byte(out, *byte));
        rest = &rest[end..];
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
            ("/../../a/", "/../../a/"),
            ("/a/../../b", "/../b"),
            ("/..", "/.."),
            ("/a//../b", "/a/b"),
            ("/x  ", "/x"),
            ("/x?\t ", "/x?"),
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

    /// What Gatling 3.16.0 sent for each.
    #[test]
    fn every_ascii_character_in_a_url() {
        for c in (1..0x80_u8).map(char::from).filter(|c| !"#?/.\n\r".contains(*c)) {
            let percent = format!("%{:02X}", c as u32);
            let stays = !c.is_ascii_control() && !" \"<>[\\]^`{|}".contains(c);
            let path = if stays { c.to_string() } else { percent.clone() };
            let query = if c == ' ' { "+".to_owned() } else { path.clone() };
            let given = format!("/a{c}b?q{c}r#f{c}g");
            assert_eq!(target(&given), format!("/a{path}b?q{query}r"));
            let url = Url::parse(&format!("http://u{c}p@a.test{given}"), false);
            // User info ends where an authority ends; the rest of it is told as it was given.
            let url = url.unwrap();
            assert_eq!(url.path_and_query, format!("/a{c}b?q{c}r"));
            assert_eq!(url.location(), format!("http://u{c}p@a.test{given}"));
            let mut parameter = String::new();
            push_form_encoded(&mut parameter, &c.to_string(), Charset::Utf8);
            let plain = c.is_ascii_alphanumeric() || "*-._".contains(c);
            let expected = match c {
                ' ' => "+".to_owned(),
                _ if plain => c.to_string(),
                _ => percent,
            };
            assert_eq!(parameter, expected);
        }
    }

    #[test]
    fn authorities() {
        let url = Url::parse("https://User:pw@Shop.Test:8443/x", true).unwrap();
        assert_eq!((&*url.host, url.port, url.secure), ("shop.test", 8443, true));
        assert_eq!(url.to_string(), "https://Shop.Test:8443/x");
        assert_eq!(url.location(), "https://User:pw@Shop.Test:8443/x");
        assert_eq!(url, Url::parse("https://shop.test:8443/x#y", true).unwrap());
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
            ("HTTPS://B.test/X", "https://B.test/X"),
            (" /a b?c d \t", "http://a.test:81/a%20b?c+d"),
            ("/[x]{y}|?[]{}|", "http://a.test:81/[x]{y}|?[]{}|"),
            ("http:z", "http://a.test:81/x/z"),
            ("a.b:c", "http://a.test:81/x/a.b:c"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), expected, "{reference}");
        }
        assert_eq!(base.join("http://b.test?x#f").unwrap().location(), "http://b.test?x#f");
        assert_eq!(base.join("/z#f").unwrap().location(), "http://a.test:81/z#f");
        let with_fragment = base.join("#f").unwrap();
        assert_eq!(with_fragment.location(), base.location());
        let script = base.join("javascript:alert(1)").unwrap_err();
        assert!(script.ends_with("could not be parsed into a proper Uri, missing host"));
        let wrong = base.join("file:///etc/passwd").unwrap_err();
        assert_eq!(wrong, "Invalid URL file:///etc/passwd: scheme 'file' is not http or https");
    }

    #[test]
    fn form_encoding_is_that_of_the_reference() {
        let mut out = String::new();
        push_form_encoded(&mut out, "~!*()'-._ é", Charset::Utf8);
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

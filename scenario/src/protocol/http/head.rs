//! The head of an answer, from bytes: in a quick way, and, where that does not take it, in one that
//! takes what Gatling takes. Pure. Hot path.

use std::mem::MaybeUninit;

use http::StatusCode;

use super::connection::Failure;
use super::fields::Fields;

/// Of one answer, as far as they are looked for in the quick way; [`parse_leniently`] takes more.
pub(super) const HEADERS_QUICK: usize = 100;
/// What a status line begins with.
const NAME: &[u8] = b"HTTP/";

pub(super) struct Head {
    pub status: StatusCode,
    pub headers: Fields,
    /// HTTP/1.1, not 1.0.
    pub modern: bool,
}

pub(super) fn broken(what: &str) -> Failure {
    Failure::Text(format!("invalid response: {what}"))
}

/// The head at the beginning of the bytes and its length, once it is complete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_QUICK];
    let mut found = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut found, bytes, &mut slots);
    let used = match parsed {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return parse_leniently(bytes),
    };
    let status = StatusCode::from_u16(found.code.unwrap_or_default()).map_err(|_| no_status())?;
    let headers = Fields::of_head(&bytes[..used], found.headers);
    Ok(Some((Head { status, headers, modern: found.version == Some(1) }, used)))
}

fn no_status() -> Failure {
    broken("the status is not one")
}

/// [`parse`], where httparse does not take a head that Gatling takes: a status line with other blanks,
/// in lower case or of another version; more headers than are looked for quickly, a folded one, which
/// a client must take (RFC 9112, 5.2), one with blanks before its colon (5.1), or one with control
/// characters in its value. Of the target's faults they are none.
fn parse_leniently(bytes: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let line = bytes.trim_ascii_start();
    let begins = &line[..line.len().min(NAME.len())];
    if !begins.eq_ignore_ascii_case(&NAME[..begins.len()]) {
        return Err(broken("it does not begin with a version of HTTP"));
    }
    let Some(end) = memchr::memchr(b'\n', line) else { return Ok(None) };
    let (status, modern) = status_line(&line[..end])?;
    let Some(used) = head_end(bytes) else { return Ok(None) };
    let mut lines = lines(&bytes[..used]).skip_while(|line| line.trim_ascii().is_empty());
    lines.next();
    let mut headers = Fields::default();
    let mut last: Option<(String, Vec<u8>)> = None;
    for line in lines.filter(|line| !line.is_empty()) {
        if let Some((_, value)) = &mut last
            && (line.starts_with(b" ") || line.starts_with(b"\t"))
        {
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        let colon = memchr::memchr(b':', line);
        let colon = colon.ok_or_else(|| broken("a header line without a colon"))?;
        // Bytes beyond ASCII stand for themselves, as in ISO 8859-1.
        let name = line[..colon].trim_ascii().iter().copied().map(char::from).collect();
        let next = (name, line[colon + 1..].trim_ascii().to_vec());
        if let Some((name, value)) = last.replace(next) {
            headers.push(&name, &value);
        }
    }
    if let Some((name, value)) = last {
        headers.push(&name, &value);
    }
    Ok(Some((Head { status, headers, modern }, used)))
}

/// The status, and whether its version is 1.1 or a later one.
fn status_line(line: &[u8]) -> Result<(StatusCode, bool), Failure> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let version = words.next().and_then(|word| word.get(NAME.len()..)).unwrap_or_default();
    let [major, b'.', minor] = version else { return Err(broken("its version is not one")) };
    if !major.is_ascii_digit() || !minor.is_ascii_digit() {
        return Err(broken("its version is not one"));
    }
    let status = StatusCode::from_bytes(words.next().unwrap_or_default());
    Ok((status.map_err(|_| no_status())?, (major, minor) >= (&b'1', &b'1')))
}

/// Lines without their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// How long a head is, once its empty line is there.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let (mut from, mut begun) = (0, false);
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = &bytes[from..end];
        from = end + 1;
        match line {
            b"" | b"\r" if begun => return Some(from),
            b"" | b"\r" => {}
            _ => begun = true,
        }
    }
    None
}

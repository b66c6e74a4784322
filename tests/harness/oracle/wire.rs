//! HTTP/1.1 as it is on the wire, for the recording target: header names keep their case and order,
//! which no server library tells. Reads what a load generator sends; refuses the rest.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, ensure};

const HEAD_LINES_MAX: usize = 200;
const BODY_BYTES_MAX: usize = 16 << 20;

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The next request; none when the peer has closed.
pub(super) fn read(from: &mut BufReader<TcpStream>) -> anyhow::Result<Option<Request>> {
    let Some(first) = line(from)? else { return Ok(None) };
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().with_context(|| format!("no request line: {first:?}"))?.to_owned();
    let mut headers = Vec::new();
    loop {
        let text = line(from)?.context("ended within the head")?;
        if text.is_empty() {
            break;
        }
        ensure!(headers.len() < HEAD_LINES_MAX, "more than {HEAD_LINES_MAX} headers");
        let (name, value) = text.split_once(':').with_context(|| format!("no header: {text:?}"))?;
        // One space is customary; more would be the sender's own.
        let value = value.strip_prefix(' ').unwrap_or(value);
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    let chunked = request.header("transfer-encoding").is_some_and(|value| value == "chunked");
    let length = request.header("content-length").map(str::parse::<usize>).transpose()?;
    request.body = match length {
        _ if chunked => chunks(from)?,
        Some(length) => exactly(from, length)?,
        None => Vec::new(),
    };
    Ok(Some(request))
}

fn line(from: &mut BufReader<TcpStream>) -> anyhow::Result<Option<String>> {
    let mut bytes = Vec::new();
    from.read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn exactly(from: &mut BufReader<TcpStream>, length: usize) -> anyhow::Result<Vec<u8>> {
    ensure!(length <= BODY_BYTES_MAX, "a body of {length} bytes");
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn chunks(from: &mut BufReader<TcpStream>) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(from)?.context("ended within a chunk")?;
        let size = usize::from_str_radix(size.trim(), 16).context("size of a chunk")?;
        body.extend(exactly(from, size)?);
        line(from)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// An answer in the order given; `headers` lacks the length, which is added unless chunked.
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub chunked: bool,
    /// Promises the whole body and sends half of it.
    pub half: bool,
    pub without_body: bool,
}

pub(super) fn write(to: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut out = head(answer.status, &answer.headers, "");
    let bodiless = answer.status < 200 || matches!(answer.status, 204 | 304);
    if answer.chunked {
        out.push_str("transfer-encoding: chunked\r\n");
    } else if !bodiless {
        out.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    }
    let mut bytes = (out + "\r\n").into_bytes();
    if !answer.without_body && !bodiless {
        let sent = if answer.half { answer.body.len() / 2 } else { answer.body.len() };
        let body = &answer.body[..sent];
        if answer.chunked && !body.is_empty() {
            bytes.extend(format!("{sent:x}\r\n").into_bytes());
            bytes.extend(body);
            bytes.extend(b"\r\n0\r\n\r\n");
        } else if answer.chunked {
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(body);
        }
    }
    to.write_all(&bytes)
}

/// Status line and headers, and what comes behind them.
pub(super) fn head(status: u16, headers: &[(String, String)], end: &str) -> String {
    let mut out = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out + end
}

fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        302 => "Found",
        404 => "Not Found",
        500 => "Internal Server Error",
        _ => "Answer",
    }
}

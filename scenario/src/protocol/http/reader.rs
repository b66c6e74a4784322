//! From the bytes of a connection to one answer (RFC 9112): fed as they come, cut anywhere.
//! Pure. Hot path.
//!
//! Refuses what cannot be framed (lengths that contradict each other, broken chunks) and what has
//! no end: heads, chunk lines and trailers are bounded, and so is a body that is kept.

use http::header;
use http::{Method, StatusCode};

use super::connection::{Answer, Failure};
use super::decode::BODY_BYTES_MAX;
use super::fields::Fields;
use super::head::{self, Head, broken};
use super::seen::MASKED_BYTES_MAX;

const HEAD_BYTES_MAX: usize = 256 << 10;
/// 1xx answers ahead of the one: a target may say it is still there, not for ever.
const INFORMATIONAL_MAX: u8 = 32;
/// A chunk's size and its extensions.
const CHUNK_LINE_BYTES_MAX: usize = 4 << 10;
const TRAILER_BYTES_MAX: usize = 64 << 10;
/// Memory that a `Content-Length` gets before its bytes have come.
const RESERVE_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// Bytes of the body, or of the chunk, to come.
    Length(u64),
    Chunk(u64),
    ChunkLine,
    /// The line end after a chunk's data.
    ChunkEnd,
    Trailer,
    ToClose,
    Done,
}

/// One answer on its way in.
pub(super) struct Reader {
    state: State,
    /// To a HEAD request: whatever the head says, no body follows.
    bodiless: bool,
    keep: bool,
    /// Of a head or line that has been cut.
    partial: Vec<u8>,
    status: StatusCode,
    headers: Fields,
    body: Vec<u8>,
    received: u64,
    trailer_bytes: usize,
    informational: u8,
    persistent: bool,
    /// It came in frames: HTTP/2.
    framed: bool,
    /// Not all of the body was kept.
    cut: bool,
}

impl Reader {
    /// `keep` says whether the body is wanted.
    pub(super) fn new(method: &Method, keep: bool) -> Self {
        Self {
            state: State::Head,
            bodiless: method == Method::HEAD,
            keep,
            partial: Vec::new(),
            status: StatusCode::OK,
            headers: Fields::default(),
            body: Vec::new(),
            received: 0,
            trailer_bytes: 0,
            informational: 0,
            persistent: false,
            framed: false,
            cut: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Status and headers are there.
    pub(super) fn has_head(&self) -> bool {
        self.state != State::Head
    }

    pub(super) fn head(&self) -> (StatusCode, &Fields) {
        (self.status, &self.headers)
    }

    /// After this answer the connection can carry another request.
    pub(super) fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Takes what belongs to the answer; how many bytes that were.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_done() {
            let used = match self.state {
                State::Head => self.read_head(rest)?,
                State::Length(left) | State::Chunk(left) => self.data(rest, left)?,
                State::ToClose => self.data(rest, u64::MAX)?,
                State::ChunkLine | State::ChunkEnd | State::Trailer => self.line(rest)?,
                State::Done => 0,
            };
            rest = &rest[used..];
        }
        let used = bytes.len() - rest.len();
        self.received += used as u64;
        Ok(used)
    }

    /// An answer whose frames say where its body ends (HTTP/2): the body is fed after this.
    pub(super) fn begin_framed(&mut self, status: StatusCode, headers: Fields) {
        self.state = State::ToClose;
        self.framed = true;
        let lengths = headers.iter().map(|(name, value)| name.len() + value.len());
        self.received += lengths.sum::<usize>() as u64;
        (self.status, self.headers) = (status, headers);
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// Where the answer has not.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        match self.state {
            State::ToClose | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(Failure::PrematureClose),
        }
    }

    /// What has come of the body since the last time: for answers without an end.
    /// So far.
    pub(super) fn bytes_received(&self) -> u64 {
        self.received
    }

    pub(super) fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// What was read; the reader is done with.
    pub(super) fn answer(&mut self) -> Answer {
        Answer {
            status: self.status,
            headers: std::mem::take(&mut self.headers),
            body_cut: self.cut,
            body: self.take_body().into(),
            bytes_received: self.received,
            http2: self.framed,
        }
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        if self.partial.is_empty()
            && let Some((head, used)) = head::parse(bytes)?
        {
            self.begin(head)?;
            return Ok(used);
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        // A head ends with a line: without a new one there is nothing new to find.
        if bytes.contains(&b'\n') {
            if self.partial.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                self.partial.clear();
                return Ok(bytes.len());
            }
            if let Some((head, used)) = head::parse(&self.partial)? {
                self.partial = Vec::new();
                self.begin(head)?;
                return Ok(used - before);
            }
        }
        if self.partial.len() > HEAD_BYTES_MAX {
            return Err(broken("the head of the response is too long"));
        }
        Ok(bytes.len())
    }

    fn begin(&mut self, head: Head) -> Result<(), Failure> {
        // 100 Continue, 103 Early Hints: the answer is still to come.
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            self.informational += 1;
            if self.informational > INFORMATIONAL_MAX {
                return Err(broken("too many 1xx answers"));
            }
            return Ok(());
        }
        let bodiless = self.bodiless || matches!(head.status.as_u16(), 101 | 204 | 304);
        self.state = framing(&head.headers, bodiless)?;
        self.persistent = self.state != State::ToClose && stays_open(&head);
        if let State::Length(length) = self.state {
            if self.keep {
                let length = usize::try_from(length).unwrap_or(RESERVE_MAX);
                self.body.reserve_exact(length.min(RESERVE_MAX));
            }
            if length == 0 {
                self.state = State::Done;
            }
        }
        (self.status, self.headers) = (head.status, head.headers);
        Ok(())
    }

    fn data(&mut self, bytes: &[u8], left: u64) -> Result<usize, Failure> {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if self.keep {
            if self.body.len() + part > BODY_BYTES_MAX {
                let text = format!("the response is larger than {} MiB", BODY_BYTES_MAX >> 20);
                return Err(Failure::Text(text));
            }
            self.body.extend_from_slice(&bytes[..part]);
        } else {
            let wanted = if self.is_failure() { MASKED_BYTES_MAX } else { 0 };
            let kept = part.min(wanted.saturating_sub(self.body.len()));
            self.body.extend_from_slice(&bytes[..kept]);
            self.cut |= kept < part;
        }
        let left = left - part as u64;
        self.state = match self.state {
            State::Length(_) if left == 0 => State::Done,
            State::Length(_) => State::Length(left),
            State::Chunk(_) if left == 0 => State::ChunkEnd,
            State::Chunk(_) => State::Chunk(left),
            other => other,
        };
        Ok(part)
    }

    /// Nobody asked for its body, yet it may become the example of an error.
    fn is_failure(&self) -> bool {
        self.status.as_u16() >= 400
    }

    /// A line of the chunked coding.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let used = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        if self.partial.len() + used > CHUNK_LINE_BYTES_MAX {
            return Err(broken("a chunk's line is too long"));
        }
        self.partial.extend_from_slice(&bytes[..used]);
        let Some(line) = self.partial.strip_suffix(b"\n") else { return Ok(used) };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.state = match self.state {
            State::ChunkLine => match chunk_size(line)? {
                0 => State::Trailer,
                size => State::Chunk(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkLine,
            State::ChunkEnd => return Err(broken("a chunk is longer than it says")),
            _ if line.is_empty() => State::Done,
            other => other,
        };
        self.trailer_bytes += if self.state == State::Trailer { used } else { 0 };
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(broken("the trailers of the response are too long"));
        }
        self.partial.clear();
        Ok(used)
    }
}

/// RFC 9112, 6.3.
fn framing(headers: &Fields, bodiless: bool) -> Result<State, Failure> {
    if bodiless {
        return Ok(State::Done);
    }
    if let Some(last) = headers.get_all(header::TRANSFER_ENCODING.as_str()).next_back() {
        let coding = last.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Ok(State::ChunkLine);
        }
        // Of another coding a length is taken, where there is one: as Gatling does.
    }
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH.as_str()) {
        for one in value.split(|byte| *byte == b',') {
            let one = decimal(one.trim_ascii());
            if one.is_none() || (length.is_some() && length != one) {
                return Err(broken("its Content-Length is not a length"));
            }
            length = one;
        }
    }
    Ok(length.map_or(State::ToClose, State::Length))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

fn stays_open(head: &Head) -> bool {
    let says = |word: &[u8]| {
        head.headers.get_all(header::CONNECTION.as_str()).any(|value| {
            let mut words = value.split(|byte| *byte == b',');
            words.any(|one| one.trim_ascii().eq_ignore_ascii_case(word))
        })
    };
    // Two ways to frame the body are a way to smuggle another answer in.
    let doubtful = head.headers.contains(header::TRANSFER_ENCODING.as_str())
        && head.headers.contains(header::CONTENT_LENGTH.as_str());
    let upgraded = head.status == StatusCode::SWITCHING_PROTOCOLS;
    !doubtful && !upgraded && if head.modern { !says(b"close") } else { says(b"keep-alive") }
}

fn chunk_size(line: &[u8]) -> Result<u64, Failure> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    plain
        .then(|| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .flatten()
        .ok_or_else(|| broken("the size of a chunk is not one"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::head::HEADERS_QUICK;
    use super::*;

    /// Status, body, bytes left over, whether the connection stays.
    type Read = (u16, String, usize, bool);

    fn read_of(method: &Method, pieces: &[&[u8]]) -> Result<Read, String> {
        let mut reader = Reader::new(method, true);
        let mut left = 0;
        for piece in pieces {
            let used = reader.feed(piece).map_err(|failure| failure.text())?;
            left += piece.len() - used;
        }
        if !reader.is_done() {
            reader.end().map_err(|failure| failure.text())?;
        }
        let stays = reader.is_persistent();
        let answer = reader.answer();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        Ok((answer.status.as_u16(), body, left, stays))
    }

    fn read(text: &str) -> Result<Read, String> {
        read_of(&Method::GET, &[text.as_bytes()])
    }

    fn ok(status: u16, body: &str, left: usize, stays: bool) -> Result<Read, String> {
        Ok((status, body.to_owned(), left, stays))
    }

    #[test]
    fn bodies_are_framed_as_the_rfc_says() {
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(read(length), ok(200, "abc", 0, true));
        assert_eq!(read(&format!("{length}more")), ok(200, "abc", 4, true));
        assert_eq!(read_of(&Method::HEAD, &[length.as_bytes()]), ok(200, "", 3, true));
        assert_eq!(read("HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\n"), ok(204, "", 0, true));
        assert_eq!(read("HTTP/1.1 304 X\r\n\r\n"), ok(304, "", 0, true));
        assert_eq!(read("HTTP/1.1 200 X\r\n\r\nabc"), ok(200, "abc", 0, false));
        let hints = "HTTP/1.1 103 X\r\nLink: a\r\n\r\nHTTP/1.1 100 X\r\n\r\n";
        assert_eq!(read(&format!("{hints}{length}")), ok(200, "abc", 0, true));
        assert_eq!(read(&format!("\r\n{length}")), ok(200, "abc", 0, true));
    }

    #[test]
    fn chunks_are_joined_and_trailers_dropped() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
        let body = "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
        assert_eq!(read(&format!("{head}{body}")), ok(200, "abc0123456789", 0, true));
        for broken in ["x\r\n", "-1\r\n", "\r\n", "ffffffffffffffffff\r\n", "1\r\nabc\r\n"] {
            assert!(read(&format!("{head}{broken}")).unwrap_err().starts_with("invalid resp"));
        }
        assert_eq!(read(&format!("{head}3\r\nab")), Err("Premature close".to_owned()));
        let endless = format!("{head}1;{}", "x".repeat(CHUNK_LINE_BYTES_MAX));
        assert_eq!(read(&endless), Err("invalid response: a chunk's line is too long".to_owned()));
    }

    #[test]
    fn connections_stay_only_where_both_know_the_end() {
        let with = |version: &str, header: &str| {
            read(&format!("HTTP/{version} 200 X\r\nContent-Length: 0\r\n{header}\r\n\r\n"))
                .map(|(.., stays)| stays)
        };
        assert_eq!(with("1.1", "A: b"), Ok(true));
        assert_eq!(with("1.1", "Connection: x, Close"), Ok(false));
        assert_eq!(with("1.0", "A: b"), Ok(false));
        assert_eq!(with("1.0", "Connection: keep-alive"), Ok(true));
        let both =
            "HTTP/1.1 200 X\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(read(both), ok(200, "", 0, false));
    }

    #[test]
    fn what_cannot_be_framed_is_refused() {
        let refused = |text: &str| read(text).unwrap_err();
        for length in ["-1", "x", "1, 2", "99999999999999999999", "+1", ""] {
            let text = format!("HTTP/1.1 200 X\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(refused(&text), "invalid response: its Content-Length is not a length");
        }
        let same = "HTTP/1.1 200 X\r\nContent-Length: 1, 1\r\nContent-Length: 1\r\n\r\na";
        assert_eq!(read(same), ok(200, "a", 0, true));
        for garbage in
            ["SSH-2.0-OpenSSH_9\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "ICY"]
        {
            assert!(refused(garbage).starts_with("invalid response: "), "{garbage}");
        }
        let text = refused("HTTP/1.1 200 X\r\nnonsense\r\n\r\n");
        assert_eq!(text, "invalid response: a header line without a colon");
        let long = format!("HTTP/1.1 200 X\r\nA: {}", "x".repeat(HEAD_BYTES_MAX));
        assert!(refused(&long).contains("too long"));
        for early in ["", "HTTP/1.1", "HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\na"] {
            assert_eq!(refused(early), "Premature close");
        }
    }

    /// Once a KO, for a parser's policy.
    #[test]
    fn headers_that_gatling_takes_are_taken() {
        let values = |head: &str, name: &str| -> Vec<String> {
            let mut reader = Reader::new(&Method::GET, true);
            reader.feed(format!("HTTP/1.1 200 X\r\n{head}\r\n").as_bytes()).unwrap();
            let (_, headers) = reader.head();
            let all =
                headers.get_all(name).map(|value| String::from_utf8_lossy(value).into_owned());
            all.collect()
        };
        let many = "A: b\r\n".repeat(3 * HEADERS_QUICK);
        let many = format!("{many}Last: x\r\n");
        assert_eq!(values(&many, "a").len(), 3 * HEADERS_QUICK);
        assert_eq!(values(&many, "last"), ["x"]);
        assert_eq!(values("A: b\r\n  c\r\n\td \r\nB: e\r\n", "a"), ["b c d"]);
        assert_eq!(values("A: b\r\n  c\r\n\td \r\nB: e\r\n", "b"), ["e"]);
        assert_eq!(values("A : b\r\nB\t: c\r\n", "a"), ["b"]);
        assert_eq!(values("A : b\r\nB\t: c\r\n", "b"), ["c"]);
        assert_eq!(values("A: b\u{1}c\u{7f}\r\n", "a"), ["b\u{1}c\u{7f}"]);
        assert_eq!(values(" A: b\nC:\n", "a"), ["b"]);
        // They frame the body like any other.
        let chunked = "HTTP/1.1 200 X\r\nTransfer-Encoding:\r\n chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        assert_eq!(read(chunked), ok(200, "a", 0, true));
        let length = "HTTP/1.1 200 X\nContent-Length : 3\n\nabcd";
        assert_eq!(read(length), ok(200, "abc", 1, true));
    }

    /// Once KOs, for a parser's policy.
    #[test]
    fn status_lines_that_gatling_takes_are_taken() {
        let rest = "Content-Length: 3\r\n\r\nabc";
        for line in [
            "HTTP/1.1 200",
            "HTTP/1.1 200 ",
            "HTTP/1.1 200 \u{e9}",
            "HTTP/1.1  200  OK",
            "HTTP/1.1\t200\tOK",
            "http/1.1 200 OK",
            "  HTTP/1.1 200 OK",
            "HTTP/1.2 200 OK",
            "HTTP/2.0 200 OK",
        ] {
            assert_eq!(read(&format!("{line}\r\n{rest}")), ok(200, "abc", 0, true), "{line}");
        }
        assert_eq!(read(&format!("http/1.0 200 OK\r\n{rest}")), ok(200, "abc", 0, false));
    }

    #[test]
    fn a_length_counts_beside_a_coding_that_is_not_chunked() {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(read(&format!("{text}more")), ok(200, "abc", 4, false));
    }

    /// What targets send in bad faith or by mistake; each has a text of its own.
    #[test]
    fn hostile_answers_end() {
        let refused = |text: &str| read(text).unwrap_err();
        let storm = "HTTP/1.1 100 Continue\r\n\r\n".repeat(usize::from(INFORMATIONAL_MAX));
        let fine = "HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read(&format!("{storm}{fine}")), ok(200, "", 0, true));
        let one = "HTTP/1.1 103 X\r\nA: b\r\n\r\n";
        assert_eq!(refused(&format!("{storm}{one}")), "invalid response: too many 1xx answers");
        for status in ["99", "099", "1000", "-1", "2e2", ""] {
            let text = format!("HTTP/1.1 {status} X\r\n\r\n");
            assert!(refused(&text).starts_with("invalid response: "), "{status}");
        }
        assert_eq!(read("HTTP/1.1 200 OK\nContent-Length: 1\n\na"), ok(200, "a", 0, true));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let trailers = "T: x\r\n".repeat(TRAILER_BYTES_MAX / 6 + 1);
        let text = refused(&format!("{chunked}0\r\n{trailers}"));
        assert_eq!(text, "invalid response: the trailers of the response are too long");
        for framed in [chunked, "HTTP/1.1 200 X\r\n\r\n"] {
            let mut reader = Reader::new(&Method::GET, true);
            reader.feed(framed.as_bytes()).unwrap();
            let piece = vec![b'x'; 1 << 20];
            let chunk = [&b"100000\r\n"[..], &piece, b"\r\n"].concat();
            let endless = if framed == chunked { &chunk } else { &piece };
            let ended = (0..=BODY_BYTES_MAX >> 20).find_map(|_| reader.feed(endless).err());
            let text = ended.map(|failure| failure.text());
            assert_eq!(text.as_deref(), Some("the response is larger than 64 MiB"));
            assert!(reader.body.len() <= BODY_BYTES_MAX);
        }
    }

    #[test]
    fn a_body_that_nobody_wants_is_counted_and_not_kept() {
        let mut reader = Reader::new(&Method::GET, false);
        let head = b"HTTP/1.1 200 X\r\nContent-Length: 70000000\r\n\r\n";
        reader.feed(head).unwrap();
        let piece = vec![b'x'; 1 << 20];
        while !reader.is_done() {
            reader.feed(&piece).unwrap();
        }
        let answer = reader.answer();
        assert_eq!((answer.body.len(), answer.bytes_received), (0, head.len() as u64 + 70_000_000));
    }

    proptest! {
        /// Wherever the network cuts an answer, it is the same answer.
        #[test]
        fn cuts_change_nothing(
            cuts in prop::collection::vec(0_usize..160, 0..6),
            server in prop::sample::select(vec!["a", "a\r\n b", "\u{1}"]),
        ) {
            let text = format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nServer: {server}\r\n\
                 transfer-encoding: chunked\r\n\r\n3;x\r\nabc\r\n10\r\n0123456789abcdef\r\n\
                 0\r\nT: x\r\n\r\n"
            );
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read_of(&Method::GET, &pieces), ok(200, "abc0123456789abcdef", 0, true));
        }

        /// Whatever a target sends: no panic, and memory only for what came.
        #[test]
        fn garbage_ends(bytes in prop::collection::vec(any::<u8>(), 0..400), chunked in any::<bool>()) {
            let head: &[u8] = if chunked {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            } else {
                b"HTTP/1.1 "
            };
            let mut reader = Reader::new(&Method::GET, true);
            let fed = reader.feed(head).and_then(|_| reader.feed(&bytes));
            let answer = fed.and_then(|_| reader.end()).map(|()| reader.answer());
            prop_assert!(answer.map_or(0, |it| it.body.len()) <= bytes.len());
        }
    }
}

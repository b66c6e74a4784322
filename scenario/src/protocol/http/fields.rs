//! The header fields of a response, in the order in which they came (RFC 9110, 5.3): names and
//! values are parts of one buffer, and are looked for where they lie. Most are never asked for, so a
//! map, which hashes and allocates for each, would cost more than it saves. Hot path.

use std::borrow::Cow;
use std::ops::Range;

use http::HeaderMap;

use crate::charset::of_latin1;

/// Where a line is in the buffer.
#[derive(Clone, Debug)]
struct Line {
    name: Range<u32>,
    value: Range<u32>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// One bit for each length, modulo 64, that a name has: most of what is looked for is not there.
    lengths: u64,
}

impl Fields {
    /// The lines that were found in this head.
    pub(super) fn of_head(head: &[u8], found: &[httparse::Header<'_>]) -> Self {
        let mut bytes = head.to_vec();
        let mut lengths = 0;
        let place = |part: &[u8]| {
            let begin = part.as_ptr().addr() - head.as_ptr().addr();
            begin..begin + part.len()
        };
        let line = |line: &httparse::Header<'_>| {
            let name = place(line.name.as_bytes());
            bytes[name.clone()].make_ascii_lowercase();
            lengths |= bit(name.len());
            Line { name: short(&name), value: short(&place(line.value)) }
        };
        let lines = found.iter().map(line).collect();
        Self { bytes, lines, lengths }
    }

    /// Adds a line; its name, of ASCII letters, is kept in lower case.
    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        let middle = self.bytes.len();
        self.bytes[begin..].make_ascii_lowercase();
        self.bytes.extend_from_slice(value);
        let (name, value) = (begin..middle, middle..self.bytes.len());
        self.lengths |= bit(name.len());
        self.lines.push(Line { name: short(&name), value: short(&value) });
    }

    fn part(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|Line { name, value }| {
            (std::str::from_utf8(self.part(name)).unwrap_or_default(), self.part(value))
        })
    }

    /// All values of that name, which is in lower case.
    pub(super) fn get_all(&self, name: &str) -> impl DoubleEndedIterator<Item = &[u8]> {
        let length = name.len();
        let lines = if self.lengths & bit(length) == 0 { &[][..] } else { &self.lines };
        lines
            .iter()
            .filter(move |line| {
                line.name.len() == length && self.part(&line.name) == name.as_bytes()
            })
            .map(|line| self.part(&line.value))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.get_all(name).next().is_some()
    }

    /// The first value of that name, which is in lower case, where it is text: visible ASCII, blanks
    /// and tabs.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get_all(name).next().and_then(text_of)
    }

    /// The first value of that name, which is in lower case, whatever its bytes are.
    pub(super) fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get_all(name).next().map(of_latin1)
    }
}

fn bit(length: usize) -> u64 {
    1 << (length % 64)
}

/// Heads are bounded far below what this can count.
fn short(range: &Range<usize>) -> Range<u32> {
    let of = |at| u32::try_from(at).unwrap_or(u32::MAX);
    of(range.start)..of(range.end)
}

pub(super) fn text_of(value: &[u8]) -> Option<&str> {
    let plain = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    plain.then(|| std::str::from_utf8(value).ok())?
}

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        let mut fields = Self::default();
        map.iter().for_each(|(name, value)| fields.push(name.as_str(), value.as_bytes()));
        fields
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Fields {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(pairs: T) -> Self {
        let mut fields = Self::default();
        pairs.into_iter().for_each(|(name, value)| fields.push(name, value.as_bytes()));
        fields
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(fields: &Fields) -> Vec<(&str, &[u8])> {
        fields.iter().collect()
    }

    #[test]
    fn lines_keep_their_order_and_are_found_in_lower_case() {
        let fields: Fields =
            [("Set-Cookie", "a=1"), ("ETag", ""), ("set-cookie", "b=2")].into_iter().collect();
        let all: [(&str, &[u8]); 3] =
            [("set-cookie", b"a=1"), ("etag", b""), ("set-cookie", b"b=2")];
        assert_eq!(pairs(&fields), all);
        let cookies: Vec<&[u8]> = fields.get_all("set-cookie").collect();
        assert_eq!(cookies, [b"a=1", b"b=2"]);
        assert_eq!((fields.text("etag"), fields.text("cookie")), (Some(""), None));
        assert!(fields.contains("etag") && !fields.contains("etagg"));
    }

    #[test]
    fn only_visible_ascii_is_text() {
        let mut fields = Fields::default();
        fields.push("a", "caf\u{e9}".as_bytes());
        fields.push("a", b"cafe");
        fields.push("b", b"x\ty z");
        assert_eq!((fields.text("a"), fields.text("b")), (None, Some("x\ty z")));
    }

    /// As it comes over the wire, with these blanks around the values.
    fn read(lines: &[(String, String)], [before, after]: [&str; 2]) -> Fields {
        let line = |(name, value): &(String, String)| format!("{name}:{before}{value}{after}\r\n");
        let lines: String = lines.iter().map(line).collect();
        let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        let mut slots = [httparse::EMPTY_HEADER; 12];
        let mut found = httparse::Response::new(&mut slots);
        assert!(found.parse(head.as_bytes()).unwrap().is_complete());
        Fields::of_head(head.as_bytes(), found.headers)
    }

    proptest! {
        /// It answers as the map of the `http` crate does.
        #[test]
        fn it_is_a_header_map(
            lines in prop::collection::vec(
                ("[a-cA-C]{1,2}", "([!-~]([ -~]{0,2}[!-~])?)?"), 0..12),
        ) {
            let mut map = HeaderMap::new();
            for (name, value) in &lines {
                let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
                map.append(name, value.parse().unwrap());
            }
            let fields: Fields =
                lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            for blanks in [["", ""], [" \t", " "]] {
                let received = read(&lines, blanks);
                prop_assert_eq!(pairs(&received), pairs(&fields));
            }
            for name in ["a", "b", "ab", "cc"] {
                let of_map: Vec<&[u8]> = map.get_all(name).iter().map(|it| it.as_bytes()).collect();
                prop_assert_eq!(fields.get_all(name).collect::<Vec<_>>(), of_map);
                prop_assert_eq!(fields.contains(name), map.contains_key(name));
            }
            let copied = Fields::from(&map);
            let (mut copied, mut own) = (pairs(&copied), pairs(&fields));
            copied.sort_unstable();
            own.sort_unstable();
            prop_assert_eq!(copied, own);
        }
    }
}

//! Text as bytes in the charset that a name stands for. Names, and what becomes of characters that a
//! charset lacks (`?`), are Java's, not the browsers' that `encoding_rs` has: `ISO-8859-1` is that,
//! not windows-1252, and `UTF-16` is big-endian. Pure.

use std::borrow::Cow;

use encoding_rs::mem::{decode_latin1, encode_latin1_lossy, is_str_latin1};
use encoding_rs::{Encoder, EncoderResult, Encoding};

/// One that text can be written in and read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Utf8,
    Latin1,
    Ascii,
    Utf16(Order),
    Utf32(Order),
    /// By the tables of `encoding_rs`.
    Table(&'static Encoding),
}

/// Which byte of a unit comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Big,
    Little,
    /// As the mark at the beginning says; big where there is none. So it is written, UTF-16 with a
    /// mark and UTF-32 without.
    Marked,
}

/// Names that Java has and browsers lack, or read as another charset.
const NAMES: [(&str, Charset); 38] = [
    ("utf-8", Charset::Utf8),
    ("utf8", Charset::Utf8),
    ("iso-8859-1", Charset::Latin1),
    ("iso8859-1", Charset::Latin1),
    ("iso-8859-1:1987", Charset::Latin1),
    ("iso-ir-100", Charset::Latin1),
    ("8859-1", Charset::Latin1),
    ("latin1", Charset::Latin1),
    ("l1", Charset::Latin1),
    ("cp819", Charset::Latin1),
    ("ibm819", Charset::Latin1),
    ("ibm-819", Charset::Latin1),
    ("csisolatin1", Charset::Latin1),
    ("us-ascii", Charset::Ascii),
    ("ascii", Charset::Ascii),
    ("ansi-x3.4-1968", Charset::Ascii),
    ("ansi-x3.4-1986", Charset::Ascii),
    ("iso-ir-6", Charset::Ascii),
    ("iso-646.irv:1991", Charset::Ascii),
    ("iso646-us", Charset::Ascii),
    ("us", Charset::Ascii),
    ("cp367", Charset::Ascii),
    ("csascii", Charset::Ascii),
    ("utf-16", Charset::Utf16(Order::Marked)),
    ("utf16", Charset::Utf16(Order::Marked)),
    ("unicode", Charset::Utf16(Order::Marked)),
    ("utf-16be", Charset::Utf16(Order::Big)),
    ("x-utf-16be", Charset::Utf16(Order::Big)),
    ("iso-10646-ucs-2", Charset::Utf16(Order::Big)),
    ("utf-16le", Charset::Utf16(Order::Little)),
    ("x-utf-16le", Charset::Utf16(Order::Little)),
    ("utf-32", Charset::Utf32(Order::Marked)),
    ("utf32", Charset::Utf32(Order::Marked)),
    ("utf-32be", Charset::Utf32(Order::Big)),
    ("utf-32le", Charset::Utf32(Order::Little)),
    ("cp1252", Charset::Table(encoding_rs::WINDOWS_1252)),
    ("ms932", Charset::Table(encoding_rs::SHIFT_JIS)),
    ("euc-cn", Charset::Table(encoding_rs::GBK)),
];

impl Charset {
    /// By any of its names; none where we have no such charset.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let plain = name.to_ascii_lowercase().replace('_', "-");
        if let Some((_, known)) = NAMES.iter().find(|(it, _)| *it == plain) {
            return Some(*known);
        }
        let tables = [name.as_bytes(), plain.as_bytes()];
        let table = tables.into_iter().find_map(Encoding::for_label)?;
        // Of what is left, only tables can be written.
        let writes = table.output_encoding() == table && table != encoding_rs::X_USER_DEFINED;
        writes.then_some(Self::Table(table))
    }

    /// As Java calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Latin1 => "ISO-8859-1",
            Self::Ascii => "US-ASCII",
            Self::Utf16(Order::Marked) => "UTF-16",
            Self::Utf16(Order::Big) => "UTF-16BE",
            Self::Utf16(Order::Little) => "UTF-16LE",
            Self::Utf32(Order::Marked) => "UTF-32",
            Self::Utf32(Order::Big) => "UTF-32BE",
            Self::Utf32(Order::Little) => "UTF-32LE",
            Self::Table(table) => match table.name() {
                "gb18030" => "GB18030",
                "macintosh" => "x-MacRoman",
                "x-mac-cyrillic" => "x-MacCyrillic",
                "windows-874" => "x-windows-874",
                name => name,
            },
        }
    }

    /// The text in it; `?` for what it has no bytes for.
    #[must_use]
    pub fn encode(self, text: &str) -> Cow<'_, [u8]> {
        match self {
            Self::Utf8 => text.as_bytes().into(),
            Self::Utf16(order) => utf16(text, order).into(),
            Self::Utf32(Order::Little) => {
                text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect()
            }
            Self::Utf32(_) => text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
            Self::Latin1 => latin1(text),
            Self::Ascii if text.is_ascii() => text.as_bytes().into(),
            Self::Ascii => {
                let byte = |c: char| if c.is_ascii() { c as u8 } else { b'?' };
                text.chars().map(byte).collect::<Vec<_>>().into()
            }
            Self::Table(table) => in_table(table.new_encoder(), text).into(),
        }
    }

    /// The text that the bytes are; U+FFFD for what is none. ASCII is read as UTF-8, as in Gatling.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 | Self::Ascii => encoding_rs::UTF_8.decode_without_bom_handling(bytes).0,
            Self::Latin1 => decode_latin1(bytes),
            Self::Utf16(order) => of_utf16(bytes, order),
            Self::Utf32(order) => of_utf32(bytes, order).into(),
            Self::Table(table) => table.decode_without_bom_handling(bytes).0,
        }
    }
}

/// The charset that a content type names, wherever it stands in it.
#[must_use]
pub fn name_in(content_type: &str) -> Option<&str> {
    const KEY: &[u8] = b"charset=";
    let found = |window: &[u8]| window.eq_ignore_ascii_case(KEY);
    let at = content_type.as_bytes().windows(KEY.len()).position(found)?;
    let value = content_type[at + KEY.len()..].trim_start_matches([' ', '\'', '"']);
    let name = value.split([' ', '\'', '"', ';']).next().unwrap_or_default();
    (!name.is_empty()).then_some(name)
}

/// ISO 8859-1, in which HTTP's heads are: `?` for what it lacks.
#[must_use]
pub fn latin1(text: &str) -> Cow<'_, [u8]> {
    if is_str_latin1(text) {
        return encode_latin1_lossy(text);
    }
    text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect::<Vec<_>>().into()
}

/// The text of a part of a head: each byte is a character.
#[must_use]
pub fn of_latin1(bytes: &[u8]) -> Cow<'_, str> {
    decode_latin1(bytes)
}

fn utf16(text: &str, order: Order) -> Vec<u8> {
    let mark = (order == Order::Marked && !text.is_empty()).then_some(0xFEFF);
    let bytes = |unit: u16| match order {
        Order::Little => unit.to_le_bytes(),
        Order::Big | Order::Marked => unit.to_be_bytes(),
    };
    mark.into_iter().chain(text.encode_utf16()).flat_map(bytes).collect()
}

fn of_utf16(bytes: &[u8], order: Order) -> Cow<'_, str> {
    let (table, bytes) = match (order, bytes) {
        (Order::Marked, [0xFF, 0xFE, rest @ ..]) => (encoding_rs::UTF_16LE, rest),
        (Order::Marked, [0xFE, 0xFF, rest @ ..]) => (encoding_rs::UTF_16BE, rest),
        (Order::Little, bytes) => (encoding_rs::UTF_16LE, bytes),
        (Order::Big | Order::Marked, bytes) => (encoding_rs::UTF_16BE, bytes),
    };
    table.decode_without_bom_handling(bytes).0
}

fn of_utf32(bytes: &[u8], order: Order) -> String {
    let (unit, bytes): (fn([u8; 4]) -> u32, _) = match (order, bytes) {
        (Order::Marked, [0xFF, 0xFE, 0, 0, rest @ ..]) => (u32::from_le_bytes, rest),
        (Order::Marked, [0, 0, 0xFE, 0xFF, rest @ ..]) => (u32::from_be_bytes, rest),
        (Order::Little, bytes) => (u32::from_le_bytes, bytes),
        (Order::Big | Order::Marked, bytes) => (u32::from_be_bytes, bytes),
    };
    let (units, rest) = bytes.as_chunks();
    let chars = units.iter().map(|bytes| char::from_u32(unit(*bytes)));
    let cut = (!rest.is_empty()).then_some(None);
    chars.chain(cut).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn in_table(mut encoder: Encoder, text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (result, read) =
            encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut out, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return out,
            // The table's own bytes and what ends it: never more than four for each of the text's.
            EncoderResult::OutputFull => out.reserve(4 * rest.len() + 8),
            EncoderResult::Unmappable(_) => out.push(b'?'),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(name: &str) -> Charset {
        Charset::named(name).expect(name)
    }

    /// Bytes that Java's `String.getBytes` gives.
    #[test]
    fn text_is_written_as_java_writes_it() {
        for (name, expected) in [
            ("UTF-8", "é€Œ\u{85}я中".as_bytes()),
            ("iso-8859-1", b"\xe9??\x85??"),
            ("latin1", b"\xe9??\x85??"),
            ("ISO8859_1", b"\xe9??\x85??"),
            ("windows-1252", b"\xe9\x80\x8c???"),
            ("Cp1252", b"\xe9\x80\x8c???"),
            ("ISO-8859-15", b"\xe9\xa4\xbc\x85??"),
            ("us-ascii", b"??????"),
            ("utf-16", b"\xfe\xff\0\xe9\x20\xac\x01\x52\0\x85\x04\x4f\x4e\x2d"),
            ("utf-16le", b"\xe9\0\xac\x20\x52\x01\x85\0\x4f\x04\x2d\x4e"),
            ("koi8-r", b"????\xd1?"),
            ("utf-32", b"\0\0\0\xe9\0\0\x20\xac\0\0\x01\x52\0\0\0\x85\0\0\x04\x4f\0\0\x4e\x2d"),
        ] {
            assert_eq!(&*named(name).encode("é€Œ\u{85}я中"), expected, "{name}");
        }
        assert_eq!(&*named("Shift_JIS").encode("中é"), b"\x92\x86?");
        assert_eq!(&*named("gbk").encode("中"), b"\xd6\xd0");
        assert_eq!(&*named("iso-2022-jp").encode("中é中"), b"\x1b$BCf\x1b(B?\x1b$BCf\x1b(B");
        // A pair of surrogates is one character.
        assert_eq!(&*named("latin1").encode("\u{1f600}"), b"?");
        assert_eq!(&*named("utf-16be").encode("\u{1f600}"), b"\xd8\x3d\xde\0");
        assert!(["", "nonsense", "x-user-defined", "replacement"].map(Charset::named) == [None; 4]);
    }

    #[test]
    fn bytes_are_read_as_java_reads_them() {
        for (name, bytes, expected) in [
            ("ISO-8859-1", &b"caf\xe9 \x80"[..], "café \u{80}"),
            ("us-ascii", "café".as_bytes(), "café"),
            ("windows-1252", b"\x80", "€"),
            ("utf-16", b"\0a\0b", "ab"),
            ("utf-16", b"\xff\xfea\0", "a"),
            ("utf-16", b"\xfe\xff\0a", "a"),
            ("utf-16le", b"a\0", "a"),
            ("utf-16be", b"\0a\0\xe9", "aé"),
            ("utf-32", b"\0\0\0a\0\0\0\xe9", "aé"),
            ("utf-32", b"\xff\xfe\0\0a\0\0\0", "a"),
            ("utf-32le", b"a\0\0\0\xe9\0\0\0", "aé"),
            ("utf-32", b"\xff\xfe\xff", "\u{fffd}"),
            ("utf-8", b"\xef\xbb\xbfa\xe9", "\u{feff}a\u{fffd}"),
        ] {
            assert_eq!(named(name).decode(bytes), expected, "{name}");
        }
    }

    #[test]
    fn names_are_told_as_java_tells_them() {
        for (name, expected) in [
            ("latin1", "ISO-8859-1"),
            ("utf8", "UTF-8"),
            ("ascii", "US-ASCII"),
            ("unicode", "UTF-16"),
            ("sjis", "Shift_JIS"),
            ("gb18030", "GB18030"),
            ("windows-1251", "windows-1251"),
        ] {
            assert_eq!(named(name).name(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_a_charset_has_comes_back(text in "\\PC{0,40}") {
            for charset in [Charset::Utf8, Charset::Utf16(Order::Big), Charset::Utf16(Order::Marked)] {
                let bytes = charset.encode(&text);
                prop_assert_eq!(charset.decode(&bytes), text.as_str());
            }
            prop_assert_eq!(of_latin1(&latin1(&text)).chars().count(), text.chars().count());
            for name in ["gbk", "iso-2022-jp", "big5", "euc-kr", "koi8-u", "iso-8859-8"] {
                prop_assert_eq!(named(name).encode(&text).is_empty(), text.is_empty());
            }
        }
    }
}

//! JSON text → [`Value`], as Gatling's parser (Jackson) reads it: whole numbers of any size, doubles
//! that are too big are infinite, what follows the first value is not looked at. Hot path: each
//! response that a `jsonPath` or `jmesPath` check reads comes through here.

use std::borrow::Cow;
use std::sync::Arc;

use encoding_rs::{UTF_16BE, UTF_16LE};

use super::{Value, ValueMap};

/// Arrays and objects inside each other.
const DEPTH_MAX: u32 = 1_000;

/// Characters of one number.
const NUMBER_CHARS_MAX: usize = 1_000;

/// The bytes of a document, in UTF-8, UTF-16 or UTF-32: told apart by a mark at the beginning, or by
/// the zeros among the first four bytes, whatever a header says.
///
/// # Errors
/// What is wrong, and where.
pub fn parse_bytes(bytes: &[u8]) -> Result<Value, String> {
    parse(&text(bytes)?)
}

/// # Errors
/// What is wrong, and where.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, depth: 0 };
    parser.document().map_err(|what| {
        let before = &parser.bytes[..parser.at.min(text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        format!("{what} at line {line} column {column}")
    })
}

/// The text of a document's bytes, without a mark.
///
/// # Errors
/// Bytes that are no text in the encoding that they seem to have.
pub(crate) fn text(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let utf16 = |encoding: &'static encoding_rs::Encoding, bytes| {
        encoding
            .decode_without_bom_handling_and_without_replacement(bytes)
            .ok_or_else(|| format!("not a text in {}", encoding.name()))
    };
    match bytes {
        [0, 0, 0xFE, 0xFF, rest @ ..] => utf32(rest, u32::from_be_bytes),
        [0xFF, 0xFE, 0, 0, rest @ ..] => utf32(rest, u32::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(UTF_16BE, rest),
        [0xFF, 0xFE, rest @ ..] => utf16(UTF_16LE, rest),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest),
        [0, 0, 0, _, ..] => utf32(bytes, u32::from_be_bytes),
        [_, 0, 0, 0, ..] => utf32(bytes, u32::from_le_bytes),
        [0, _, ..] => utf16(UTF_16BE, bytes),
        [_, 0, ..] => utf16(UTF_16LE, bytes),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
        format!("not a text in UTF-8: the byte at offset {} is wrong", error.valid_up_to())
    })
}

fn utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Result<Cow<'static, str>, String> {
    let (units, rest) = bytes.as_chunks();
    let chars = units.iter().map(|&bytes| char::from_u32(unit(bytes)));
    let text: Option<String> = chars.collect();
    text.filter(|_| rest.is_empty())
        .map(Cow::Owned)
        .ok_or_else(|| "not a text in UTF-32".to_owned())
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

/// What is wrong; the place is where the parser stands.
type Parsed<T> = Result<T, &'static str>;

const ENDS: &str = "the document ends early";

impl<'a> Parser<'a> {
    fn document(&mut self) -> Parsed<Value> {
        self.blanks();
        if self.peek().is_none() {
            return Err("there is no content");
        }
        let value = self.value()?;
        let word = !matches!(value, Value::Str(_) | Value::List(_) | Value::Map(_));
        if word && self.peek().is_some_and(|byte| !byte.is_ascii_whitespace()) {
            return Err("an unexpected character");
        }
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Parsed<Value> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(|text| Value::Str(text.into())),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err("a value is expected"),
            None => Err(ENDS),
        }
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth >= DEPTH_MAX {
            return Err("arrays and objects are nested too deeply");
        }
        self.depth += 1;
        self.at += 1;
        let value = parse(self);
        self.depth -= 1;
        value
    }

    fn word(&mut self, word: &str, value: Value) -> Parsed<Value> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err("a value is expected");
        }
        self.at += word.len();
        Ok(value)
    }

    /// After the `[`.
    fn array(&mut self) -> Parsed<Value> {
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::list(items));
        }
        loop {
            self.blanks();
            items.push(self.value()?);
            if self.ends(b']')? {
                return Ok(Value::list(items));
            }
        }
    }

    /// After the `{`. Of two fields with one name the second counts.
    fn object(&mut self) -> Parsed<Value> {
        let mut fields = ValueMap::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::map(fields));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(if self.peek().is_none() {
                    ENDS
                } else {
                    "a name in quotes is expected"
                });
            }
            let name: Arc<str> = self.string()?.into();
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(if self.peek().is_none() { ENDS } else { "':' is expected" });
            }
            self.at += 1;
            self.blanks();
            fields.insert(name, self.value()?);
            if self.ends(b'}')? {
                return Ok(Value::map(fields));
            }
        }
    }

    /// Whether it is the end that follows, not a comma.
    fn ends(&mut self, end: u8) -> Parsed<bool> {
        self.blanks();
        let next = self.peek().ok_or(ENDS)?;
        if next != end && next != b',' {
            return Err("',' or the end of the array or object is expected");
        }
        self.at += 1;
        Ok(next == end)
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.peek();
        if self.digits()? > 1 && first == Some(b'0') {
            return Err("a number does not begin with 0");
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        if text.len() > NUMBER_CHARS_MAX {
            return Err("a number is too long");
        }
        let number =
            if whole { Value::integer(text) } else { text.parse().ok().map(Value::Double) };
        number.ok_or("a number is expected")
    }

    /// How many, at least one.
    fn digits(&mut self) -> Parsed<usize> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err("a digit is expected");
        }
        Ok(self.at - start)
    }

    /// From its first quote on.
    fn string(&mut self) -> Parsed<Cow<'a, str>> {
        self.at += 1;
        let mut unescaped = String::new();
        loop {
            let special = |&byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
            let Some(length) = self.bytes[self.at..].iter().position(special) else {
                self.at = self.bytes.len();
                return Err(ENDS);
            };
            let plain = &self.text[self.at..self.at + length];
            self.at += length;
            match self.bytes[self.at] {
                b'"' => {
                    self.at += 1;
                    if unescaped.is_empty() {
                        return Ok(Cow::Borrowed(plain));
                    }
                    unescaped.push_str(plain);
                    return Ok(Cow::Owned(unescaped));
                }
                b'\\' => {
                    unescaped.push_str(plain);
                    self.at += 1;
                    unescaped.push(self.escape()?);
                }
                _ => return Err("a control character in a text has to be escaped"),
            }
        }
    }

    /// After the backslash. Half of a surrogate pair is what Gatling sends of it: a question mark.
    fn escape(&mut self) -> Parsed<char> {
        let char = match self.peek().ok_or(ENDS)? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err("an unknown escape"),
        };
        self.at += 1;
        Ok(char)
    }

    fn unicode(&mut self) -> Parsed<char> {
        let first = self.unit()?;
        if !(0xD800..0xDC00).contains(&first) || !self.bytes[self.at..].starts_with(b"\\u") {
            return Ok(char::from_u32(first).unwrap_or('?'));
        }
        let back = self.at;
        self.at += 2;
        let second = self.unit()?;
        if !(0xDC00..0xE000).contains(&second) {
            self.at = back;
            return Ok('?');
        }
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        Ok(char::from_u32(code).unwrap_or('?'))
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Parsed<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(ENDS)?;
        let mut unit = 0;
        for &digit in digits {
            let digit = char::from(digit).to_digit(16).ok_or("a hexadecimal digit is expected")?;
            unit = unit * 16 + digit;
        }
        self.at += 4;
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        parse(text).map_or_else(|error| error, |value| value.to_json())
    }

    #[test]
    fn numbers_keep_what_jackson_keeps() {
        for (text, expected) in [
            ("9007199254740993", "9007199254740993"),
            ("9223372036854775808", "9223372036854775808"),
            ("-123456789012345678901234567890", "-123456789012345678901234567890"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1.0", "1.0"),
            ("1e5", "100000.0"),
            ("1E+2", "100.0"),
            ("0.1234567890123456789012345", "0.12345678901234568"),
            ("1e400", "Infinity"),
            ("-1e400", "-Infinity"),
            ("1e-400", "0.0"),
        ] {
            assert_eq!(again(text), expected, "{text}");
        }
        assert!(again(&"9".repeat(1_001)).contains("too long"));
    }

    #[test]
    fn documents() {
        for (text, expected) in [
            (
                " {\"a\" : [ ] , \"b\":{ }, \"c\": [1 ,true,null ]}\n",
                r#"{"a":[],"b":{},"c":[1,true,null]}"#,
            ),
            // What follows is not looked at.
            (r#"{"a":1} {"a":2}"#, r#"{"a":1}"#),
            (r#"{"a":1}]"#, r#"{"a":1}"#),
            ("1 2", "1"),
            (r#"{"b":1,"a":2,"b":3}"#, r#"{"b":3,"a":2}"#),
            (r#"["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"]"#, "[\"\\\"\\\\/\\b\\f\\n\\r\\té😀\"]"),
            (r#"["\ud83dx","\ude00","\ud83d\u0041"]"#, r#"["?x","?","?A"]"#),
            ("", "there is no content at line 1 column 1"),
            ("1x", "an unexpected character at line 1 column 2"),
            ("nul", "a value is expected at line 1 column 1"),
            ("[1,\n é]", "a value is expected at line 2 column 2"),
            ("[1,]", "a value is expected at line 1 column 4"),
            ("[1", "the document ends early at line 1 column 3"),
            ("[\"é\n\"]", "a control character in a text has to be escaped at line 1 column 4"),
            ("{\"a\"}", "':' is expected at line 1 column 5"),
            ("{'a':1}", "a name in quotes is expected at line 1 column 2"),
            ("[1 2]", "',' or the end of the array or object is expected at line 1 column 4"),
            ("[01]", "a number does not begin with 0 at line 1 column 4"),
            ("[1.]", "a digit is expected at line 1 column 4"),
            ("[-]", "a digit is expected at line 1 column 3"),
            (r#"["\u12"]"#, "a hexadecimal digit is expected at line 1 column 5"),
            (r#"["\x"]"#, "an unknown escape at line 1 column 4"),
            ("[NaN]", "a value is expected at line 1 column 2"),
            ("\"abc", "the document ends early at line 1 column 5"),
        ] {
            assert_eq!(again(text), expected, "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| again(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert_eq!(nested(1_000).len(), 2_000);
        assert!(nested(1_001).contains("too deeply"));
        assert!(nested(1_000_000).contains("too deeply"));
    }

    #[test]
    fn the_encoding_is_found_in_the_bytes() {
        let json = "{\"a\":\"é😀\"}";
        let units: Vec<u16> = json.encode_utf16().collect();
        let chars: Vec<u32> = json.chars().map(u32::from).collect();
        let mark = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
        let le: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let be: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let le32: Vec<u8> = chars.iter().flat_map(|char| char.to_le_bytes()).collect();
        let be32: Vec<u8> = chars.iter().flat_map(|char| char.to_be_bytes()).collect();
        for bytes in [
            json.as_bytes().to_vec(),
            mark(b"\xEF\xBB\xBF", json.as_bytes().to_vec()),
            le.clone(),
            be.clone(),
            mark(b"\xFF\xFE", le),
            mark(b"\xFE\xFF", be),
            le32.clone(),
            be32.clone(),
            mark(b"\xFF\xFE\0\0", le32),
            mark(b"\0\0\xFE\xFF", be32),
        ] {
            assert_eq!(parse_bytes(&bytes).map(|value| value.to_json()), Ok(json.to_owned()));
        }
        let latin = parse_bytes(b"{\"a\":\"\xe9\"}").unwrap_err();
        assert_eq!(latin, "not a text in UTF-8: the byte at offset 6 is wrong");
        assert!(parse_bytes(b"\0\0\0").is_err());
        assert!(parse_bytes(b"\xFF\xFE\x00\xD8").is_err());
    }
}

//! The characters of a path: symbols, words, names and literals. Blanks and comments between them
//! mean nothing.

use super::decimal::Decimal;
use super::item::{Atomic, double_of};

#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

const KIND_TESTS: [&str; 7] =
    ["node", "text", "comment", "processing-instruction", "element", "attribute", "document-node"];

fn starts_name(char: char) -> bool {
    char == '_' || char.is_alphabetic()
}

fn continues_name(char: char) -> bool {
    starts_name(char) || char.is_numeric() || matches!(char, '-' | '.' | '\u{b7}')
}

/// The name without a colon that `text` begins with.
fn plain_name(text: &str) -> &str {
    if !text.starts_with(starts_name) {
        return "";
    }
    &text[..text.find(|char| !continues_name(char)).unwrap_or(text.len())]
}

/// `a`, `p:a`, `Q{uri}a`, `*`, `*:a`, `p:*`: how much of `text` it is.
fn name_length(text: &str) -> usize {
    let local = |text: &str| match text.starts_with('*') {
        true => 1,
        false => plain_name(text).len(),
    };
    if text.starts_with("Q{") {
        let Some(end) = text.find('}') else { return 0 };
        return match local(&text[end + 1..]) {
            0 => 0,
            length => end + 1 + length,
        };
    }
    let first = local(text);
    match text[first..].strip_prefix(':') {
        Some(rest) if first > 0 && local(rest) > 0 => first + 1 + local(rest),
        _ => first,
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut reader = Self { text, at: 0 };
        reader.skip();
        reader
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn index(&self) -> usize {
        self.text[..self.at].chars().count()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// For error texts.
    pub(super) fn seen(&self) -> String {
        match self.rest() {
            "" => "end".to_owned(),
            rest => format!("{:?}", rest.chars().take(12).collect::<String>()),
        }
    }

    /// Over blanks and comments, which may lie in each other.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            if !self.rest().starts_with("(:") {
                return;
            }
            let mut open = 0;
            loop {
                let rest = self.rest();
                if rest.starts_with("(:") {
                    (open, self.at) = (open + 1, self.at + 2);
                } else if rest.starts_with(":)") {
                    (open, self.at) = (open - 1, self.at + 2);
                } else {
                    self.at += rest.chars().next().map_or(0, char::len_utf8);
                }
                if open == 0 || self.is_at_end() {
                    break;
                }
            }
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.rest()[..length];
        self.at += length;
        self.skip();
        taken
    }

    pub(super) fn is_before(&self, symbol: &str) -> bool {
        self.rest().starts_with(symbol)
    }

    pub(super) fn symbol(&mut self, symbol: &str) -> bool {
        // `/` is not half of `//`, nor `.` of `..`.
        let longer = matches!(symbol, "/" | "." | ":")
            && self.rest().strip_prefix(symbol).is_some_and(|rest| rest.starts_with(symbol));
        let found = !longer && self.is_before(symbol);
        if found {
            self.take(symbol.len());
        }
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), String> {
        match self.symbol(symbol) {
            true => Ok(()),
            false => Err(format!("expected {symbol:?}, found {}", self.seen())),
        }
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = plain_name(self.rest()) == word;
        if found {
            self.take(word.len());
        }
        found
    }

    /// Two words, or none.
    pub(super) fn words(&mut self, first: &str, second: &str) -> bool {
        let before = self.at;
        let found = self.word(first) && self.word(second);
        if !found {
            self.at = before;
        }
        found
    }

    /// The word, if `symbol` follows it, which is left.
    pub(super) fn word_before(&mut self, word: &str, symbol: &str) -> bool {
        let before = self.at;
        let found = self.word(word) && self.is_before(symbol);
        if !found {
            self.at = before;
        }
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), String> {
        match self.word(word) {
            true => Ok(()),
            false => Err(format!("expected {word:?}, found {}", self.seen())),
        }
    }

    pub(super) fn begins_name(&self) -> bool {
        name_length(self.rest()) > 0
    }

    pub(super) fn begins_step(&self) -> bool {
        self.begins_name() || self.rest().starts_with(['@', '.', '(', '$', '"', '\''])
    }

    /// A name with a bracket after it.
    pub(super) fn begins_call(&self) -> bool {
        let length = name_length(self.rest());
        length > 0 && !self.rest().starts_with('*') && {
            let mut after = Self { text: self.text, at: self.at + length };
            after.skip();
            after.is_before("(")
        }
    }

    pub(super) fn begins_kind_test(&self) -> bool {
        self.begins_call() && KIND_TESTS.contains(&&self.rest()[..name_length(self.rest())])
    }

    /// `child` of `child::`, with the colons.
    pub(super) fn axis_name(&mut self) -> Option<&'a str> {
        let name = plain_name(self.rest());
        let mut after = Self { text: self.text, at: self.at + name.len() };
        after.skip();
        if name.is_empty() || !after.is_before("::") {
            return None;
        }
        self.at = after.at;
        self.take(2);
        Some(name)
    }

    /// Prefix and local name, either of which may be `*`; the prefix of `Q{uri}a` is `Q{uri`.
    pub(super) fn wildcard_name(&mut self) -> Result<(String, String), String> {
        let length = name_length(self.rest());
        if length == 0 {
            return Err(format!("expected a name, found {}", self.seen()));
        }
        let name = self.take(length);
        let cut = match name.starts_with("Q{") {
            true => name.split_once('}'),
            false => name.split_once(':'),
        };
        let (prefix, local) = cut.unwrap_or(("", name));
        Ok((prefix.to_owned(), local.to_owned()))
    }

    pub(super) fn qualified_name(&mut self) -> Result<(String, String), String> {
        let seen = self.seen();
        match self.wildcard_name()? {
            (prefix, local) if prefix != "*" && local != "*" => Ok((prefix, local)),
            _ => Err(format!("expected a name, found {seen}")),
        }
    }

    /// A number or a text in quotes, if one begins here.
    pub(super) fn literal(&mut self) -> Result<Option<Atomic>, String> {
        let rest = self.rest();
        match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.text(quote).map(Some),
            Some('0'..='9') => self.number().map(Some),
            Some('.') if rest[1..].starts_with(|char: char| char.is_ascii_digit()) => {
                self.number().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// A quote is doubled inside.
    fn text(&mut self, quote: char) -> Result<Atomic, String> {
        let rest = self.rest();
        let mut text = String::new();
        let mut at = 1;
        while let Some(end) = rest[at..].find(quote) {
            text.push_str(&rest[at..at + end]);
            at += end + 1;
            if !rest[at..].starts_with(quote) {
                self.take(at);
                return Ok(Atomic::text(&text));
            }
            text.push(quote);
            at += 1;
        }
        Err(format!("the text has no closing {quote}"))
    }

    fn number(&mut self) -> Result<Atomic, String> {
        let rest = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut length = digits(rest);
        let mut whole = true;
        if rest[length..].starts_with('.') {
            whole = false;
            length += 1 + digits(&rest[length + 1..]);
        }
        let mut exponent = false;
        if rest[length..].starts_with(['e', 'E']) {
            let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
            let power = digits(&rest[length + 1 + sign..]);
            if power > 0 {
                (exponent, length) = (true, length + 1 + sign + power);
            }
        }
        let text = &rest[..length];
        let number = match () {
            () if exponent => double_of(text).map(Atomic::Double),
            () if whole => text.parse().ok().map(Atomic::Integer),
            () => Decimal::parse(text).map(Atomic::Decimal),
        };
        if rest[length..].starts_with(starts_name) && !starts_word(&rest[length..]) {
            return Err(format!("a number runs into {}", self.seen()));
        }
        self.take(length);
        number.ok_or_else(|| format!("the number {text} is too large"))
    }
}

/// Whether an operator may follow a number without a blank, as in `1to 3`.
fn starts_word(text: &str) -> bool {
    ["div", "mod", "idiv", "to", "or", "and", "eq", "ne", "lt", "le", "gt", "ge", "else", "return"]
        .contains(&plain_name(text))
}

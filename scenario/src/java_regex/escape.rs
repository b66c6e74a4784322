//! What begins with a backslash.

use super::node::{Assertion, Node};
use super::parse::{Fault, Parsed, Parser};
use super::property;
use super::set::{self, Set};

/// What an escape stands for.
pub(super) enum Escape {
    Char(u32),
    Set(Set),
    /// What no class may hold.
    Node(Node),
}

/// The horizontal white space of `\h`.
const HORIZONTAL: [(char, char); 8] = [
    ('\t', '\t'),
    (' ', ' '),
    ('\u{A0}', '\u{A0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{180E}', '\u{180E}'),
    ('\u{2000}', '\u{200A}'),
    ('\u{202F}', '\u{202F}'),
    ('\u{205F}', '\u{205F}'),
];

impl Parser {
    pub(super) fn escaped(&mut self) -> Parsed<Node> {
        Ok(match self.escape(false, false)? {
            Escape::Char(c) => Node::Set(set::folded_one(c, self.fold())),
            Escape::Set(set) => Node::Set(set),
            Escape::Node(node) => node,
        })
    }

    /// From the backslash on. `in_range`: an end of a range, where `\v` is one character.
    pub(super) fn escape(&mut self, in_class: bool, in_range: bool) -> Parsed<Escape> {
        let start = self.next;
        self.next += 1;
        let Some(token) = self.raw(0) else {
            return Err(self.fault_at(start, "unescaped trailing backslash"));
        };
        self.next += 1;
        let c = token.c;
        if token.quoted {
            return Ok(Escape::Char(c.into()));
        }
        if let Some(set) = self.predefined(c, in_range) {
            return Ok(Escape::Set(set));
        }
        if !in_class && let Some(node) = self.assertion_or_reference(c, start)? {
            return Ok(Escape::Node(node));
        }
        Ok(Escape::Char(match c {
            'p' | 'P' => return self.family(c == 'P', start).map(Escape::Set),
            'a' => 0x07,
            'e' => 0x1B,
            'f' => 0x0C,
            'n' => 0x0A,
            'r' => 0x0D,
            't' => 0x09,
            'v' => 0x0B,
            '0' => self.octal(start)?,
            'x' => self.hex(start)?,
            'u' => self.utf16(start)?,
            'c' => match self.read() {
                Some(token) => u32::from(token.c) ^ 64,
                None => return Err(self.fault_at(start, "illegal control escape sequence")),
            },
            'N' => {
                let reason = "names of characters, \\N{…}, are not supported: \\x{…} is";
                return Err(self.fault_at(start, reason));
            }
            c if c.is_ascii_alphanumeric() => {
                let reason = format!("illegal or unsupported escape sequence \\{c}");
                return Err(self.fault_at(start, reason));
            }
            c => c.into(),
        }))
    }

    fn predefined(&self, c: char, in_range: bool) -> Option<Set> {
        let set = match c.to_ascii_lowercase() {
            'd' => self.set_of_flags(set::of(&[('0', '9')]), property::digit),
            's' => self.set_of_flags(set::of(&[('\t', '\r'), (' ', ' ')]), property::white_space),
            'w' => self.set_of_flags(word(), property::word),
            'h' => {
                let ideographic = set::of(&[('\u{3000}', '\u{3000}')]);
                set::union([set::of(&HORIZONTAL), ideographic])
            }
            'v' if !(in_range && c == 'v') => set::vertical(),
            _ => return None,
        };
        Some(if c.is_ascii_uppercase() { set::negated(set) } else { set })
    }

    fn assertion_or_reference(&mut self, c: char, start: usize) -> Parsed<Option<Node>> {
        let unicode = self.flags.unicode;
        Ok(Some(match c {
            'A' => Node::Assertion(Assertion::Start),
            'z' => Node::Assertion(Assertion::End),
            'Z' => self.text_end(),
            'G' => Node::Assertion(Assertion::PreviousEnd),
            'b' if self.is_grapheme_boundary() => {
                let reason = "boundaries of grapheme clusters, \\b{g}, are not supported";
                return Err(self.fault_at(start, reason));
            }
            'b' | 'B' => Node::Assertion(Assertion::WordBoundary { negated: c == 'B', unicode }),
            'R' => line_break(),
            'X' => Node::Cluster,
            'k' => self.named_reference(start)?,
            '1'..='9' => self.reference(c),
            _ => return Ok(None),
        }))
    }

    fn is_grapheme_boundary(&self) -> bool {
        let is = |ahead, c| self.raw(ahead).is_some_and(|token| token.is(c));
        is(0, '{') && is(1, 'g')
    }

    /// As many digits as there are groups so far.
    fn reference(&mut self, first: char) -> Node {
        let mut group = first.to_digit(10).unwrap_or_default();
        while let Some(digit) = self.peek().and_then(|token| token.c.to_digit(10)) {
            let longer = group.saturating_mul(10).saturating_add(digit);
            if longer > self.groups {
                break;
            }
            group = longer;
            self.next += 1;
        }
        Node::BackReference { group, any_case: self.fold() != set::Fold::None }
    }

    fn named_reference(&mut self, start: usize) -> Parsed<Node> {
        if !self.eat('<') {
            return Err(self.fault_at(start, "\\k is not followed by the name of a group"));
        }
        let name = self.group_name()?;
        let Some(&group) = self.names.get(&name) else {
            let reason = format!("named capturing group <{name}> does not exist");
            return Err(self.fault_at(start, reason));
        };
        Ok(Node::BackReference { group, any_case: self.fold() != set::Fold::None })
    }

    /// `\0n`, `\0nn`, `\0mnn`
    fn octal(&mut self, start: usize) -> Parsed<u32> {
        let first = self.digit(8).ok_or_else(|| self.illegal("octal", start))?;
        let Some(second) = self.digit(8) else { return Ok(first) };
        let two = first * 8 + second;
        if first > 3 {
            return Ok(two);
        }
        Ok(self.digit(8).map_or(two, |third| two * 8 + third))
    }

    /// `\xhh`, `\x{h…}`
    fn hex(&mut self, start: usize) -> Parsed<u32> {
        if !self.eat('{') {
            return self.hex_digits(2).ok_or_else(|| self.illegal("hexadecimal", start));
        }
        let mut code = self.digit(16).ok_or_else(|| self.illegal("hexadecimal", start))?;
        while let Some(digit) = self.digit(16) {
            code = code * 16 + digit;
            if code > u32::from(char::MAX) {
                return Err(self.fault_at(start, "the hexadecimal code point is too big"));
            }
        }
        if !self.eat('}') {
            return Err(self.fault_at(start, "unclosed hexadecimal escape sequence"));
        }
        Ok(code)
    }

    /// `\uhhhh`; two of them may be one character.
    fn utf16(&mut self, start: usize) -> Parsed<u32> {
        let first = self.hex_digits(4).ok_or_else(|| self.illegal("Unicode", start))?;
        let after = self.next;
        if (0xD800..0xDC00).contains(&first)
            && self.eat('\\')
            && self.eat('u')
            && let Some(second @ 0xDC00..0xE000) = self.hex_digits(4)
        {
            return Ok(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00));
        }
        self.next = after;
        Ok(first)
    }

    fn hex_digits(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |code, _| Some(code * 16 + self.digit(16)?))
    }

    fn digit(&mut self, radix: u32) -> Option<u32> {
        let digit = self.peek().and_then(|token| token.c.to_digit(radix));
        self.next += usize::from(digit.is_some());
        digit
    }

    fn illegal(&self, what: &str, start: usize) -> Fault {
        self.fault_at(start, format!("illegal {what} escape sequence"))
    }

    /// After `\p` or `\P`.
    fn family(&mut self, negated: bool, start: usize) -> Parsed<Set> {
        let mut name = String::new();
        if self.eat('{') {
            loop {
                match self.raw(0) {
                    Some(token) if token.is('}') => break,
                    Some(token) => name.push(token.c),
                    None => return Err(self.fault_at(start, "unclosed character family")),
                }
                self.next += 1;
            }
            self.next += 1;
        } else if let Some(token) = self.read() {
            name.push(token.c);
        }
        if name.is_empty() {
            return Err(self.fault_at(start, "empty character family"));
        }
        let Some(set) = property::named(&name, self.reading()) else {
            return Err(self.fault_at(start, format!("unknown character property {{{name}}}")));
        };
        Ok(if negated { set::negated(set) } else { set })
    }
}

/// `\w`
pub(super) fn word() -> Set {
    set::of(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')])
}

/// `\R`
fn line_break() -> Node {
    let one = |c| Node::Set(set::of(&[(c, c)]));
    let both = Node::concat(vec![one('\r'), one('\n')]);
    Node::alternation(vec![both, Node::Set(set::vertical())])
}

//! From the text of a pattern to its tree, by the rules of `java.util.regex`.

use std::collections::HashMap;

use super::node::{Assertion, Mode, Node};
use super::property::Reading;
use super::set::{self, Fold, Set};

/// Groups and classes inside each other. More are no person's, and the stack is finite.
const DEPTH_MAX: usize = 100;

/// What is wrong, and at which character of the pattern.
#[derive(Debug)]
pub(super) struct Fault {
    pub reason: String,
    pub at: usize,
}

pub(super) type Parsed<T> = Result<T, Fault>;

/// `(?idmsuxU)`
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    any_case: bool,
    unix_lines: bool,
    multi_line: bool,
    dot_all: bool,
    unicode_case: bool,
    comments: bool,
    pub(super) unicode: bool,
}

/// A character; one between `\Q` and `\E` stands for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub c: char,
    pub quoted: bool,
    at: usize,
}

impl Token {
    pub(super) fn is(self, c: char) -> bool {
        self.c == c && !self.quoted
    }
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    pub(super) next: usize,
    /// Characters of the pattern.
    length: usize,
    pub(super) flags: Flags,
    /// Groups that have opened.
    pub(super) groups: u32,
    pub(super) names: HashMap<String, u32>,
    depth: usize,
}

/// The pattern's tree, and how many groups it has.
pub(super) fn parse(pattern: &str) -> Parsed<(Node, u32)> {
    let mut parser = Parser {
        tokens: tokens(pattern),
        next: 0,
        length: pattern.chars().count(),
        flags: Flags::default(),
        groups: 0,
        names: HashMap::new(),
        depth: 0,
    };
    let node = parser.alternation()?;
    if parser.peek().is_some() {
        return Err(parser.fault("unmatched closing ')'"));
    }
    Ok((node, parser.groups))
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars().enumerate().peekable();
    let mut quoted = false;
    while let Some((at, c)) = chars.next() {
        let second = chars.peek().map(|&(_, c)| c);
        match (c, second) {
            ('\\', Some('Q')) if !quoted => quoted = true,
            ('\\', Some('E')) if quoted => quoted = false,
            ('\\', Some(second)) if !quoted => {
                tokens.push(Token { c, quoted, at });
                tokens.push(Token { c: second, quoted, at: at + 1 });
            }
            _ => {
                tokens.push(Token { c, quoted, at });
                continue;
            }
        }
        chars.next();
    }
    tokens
}

/// The blanks of `(?x)`.
fn is_blank(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ')
}

impl Parser {
    pub(super) fn fault(&self, reason: impl Into<String>) -> Fault {
        self.fault_at(self.next, reason)
    }

    pub(super) fn fault_at(&self, token: usize, reason: impl Into<String>) -> Fault {
        let at = self.tokens.get(token).map_or(self.length, |token| token.at);
        Fault { reason: reason.into(), at }
    }

    /// The next character, whatever the flags.
    pub(super) fn raw(&self, ahead: usize) -> Option<Token> {
        self.tokens.get(self.next + ahead).copied()
    }

    /// The next character that counts.
    pub(super) fn peek(&mut self) -> Option<Token> {
        if self.flags.comments {
            self.skip_comments();
        }
        self.raw(0)
    }

    pub(super) fn is(&mut self, c: char) -> bool {
        self.peek().is_some_and(|token| token.is(c))
    }

    pub(super) fn eat(&mut self, c: char) -> bool {
        let found = self.is(c);
        self.next += usize::from(found);
        found
    }

    pub(super) fn read(&mut self) -> Option<Token> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn skip_comments(&mut self) {
        while let Some(token) = self.raw(0).filter(|token| !token.quoted) {
            match token.c {
                '#' => {
                    let ends = |c| match c {
                        '\n' => true,
                        '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => !self.flags.unix_lines,
                        _ => false,
                    };
                    let rest = &self.tokens[self.next..];
                    self.next += rest.iter().take_while(|token| !ends(token.c)).count();
                }
                c if is_blank(c) => self.next += 1,
                _ => return,
            }
        }
    }

    pub(super) fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fault(format!("more than {DEPTH_MAX} groups inside each other")));
        }
        Ok(())
    }

    pub(super) fn shallower(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn fold(&self) -> Fold {
        match (self.flags.any_case, self.flags.unicode_case) {
            (false, _) => Fold::None,
            (true, false) => Fold::Ascii,
            (true, true) => Fold::Unicode,
        }
    }

    pub(super) fn reading(&self) -> Reading {
        Reading { any_case: self.flags.any_case, unicode: self.flags.unicode }
    }

    pub(super) fn text_end(&self) -> Node {
        Node::Assertion(Assertion::TextEnd { unix: self.flags.unix_lines })
    }

    fn alternation(&mut self) -> Parsed<Node> {
        let mut branches = vec![self.sequence()?];
        while self.eat('|') {
            branches.push(self.sequence()?);
        }
        Ok(Node::alternation(branches))
    }

    fn sequence(&mut self) -> Parsed<Node> {
        let mut nodes = Vec::new();
        while let Some(token) = self.peek() {
            let line_break = token.is('\\') && self.raw(1).is_some_and(|token| token.is('R'));
            let node = match token.c {
                c if token.quoted => self.literal(c),
                '|' | ')' => break,
                '(' => match self.group()? {
                    Some(node) => node,
                    None => continue,
                },
                '[' => Node::Set(self.class()?),
                '\\' => self.escaped()?,
                '^' | '$' | '.' => self.short(token.c),
                '*' | '+' | '?' => {
                    return Err(self.fault(format!("dangling meta character '{}'", token.c)));
                }
                // Counts nothing.
                '{' => Node::Empty,
                c => self.literal(c),
            };
            nodes.push(self.quantified(node, line_break)?);
        }
        Ok(Node::concat(nodes))
    }

    fn literal(&mut self, c: char) -> Node {
        self.next += 1;
        Node::Set(set::folded_one(c.into(), self.fold()))
    }

    fn short(&mut self, c: char) -> Node {
        self.next += 1;
        let Flags { unix_lines: unix, multi_line, dot_all, .. } = self.flags;
        match c {
            '^' if multi_line => Node::Assertion(Assertion::LineStart { unix }),
            '^' => Node::Assertion(Assertion::Start),
            '$' if multi_line => Node::Assertion(Assertion::LineEnd { unix }),
            '$' => self.text_end(),
            _ if dot_all => Node::Set(set::all()),
            _ if unix => Node::Set(set::negated(set::of(&[('\n', '\n')]))),
            _ => Node::Set(set::negated(set::line_terminators())),
        }
    }

    fn quantified(&mut self, node: Node, line_break: bool) -> Parsed<Node> {
        let Some(token) = self.peek().filter(|token| !token.quoted) else { return Ok(node) };
        let (min, max) = match token.c {
            '?' => (0, Some(1)),
            '*' => (0, None),
            '+' => (1, None),
            '{' => self.counted()?,
            _ => return Ok(node),
        };
        self.next += 1;
        let mode = if self.eat('?') {
            Mode::Lazy
        } else if self.eat('+') {
            Mode::Possessive
        } else {
            Mode::Greedy
        };
        // Repeated, a line break is not gone back into: CR LF is never two.
        let node = if line_break { Node::Atomic(Box::new(node)) } else { node };
        Ok(Node::repeat(node, min, max, mode))
    }

    /// `{n}`, `{n,}`, `{n,m}`, up to the closing brace.
    fn counted(&mut self) -> Parsed<(u32, Option<u32>)> {
        let open = self.next;
        self.next += 1;
        if !self.raw(0).is_some_and(|token| !token.quoted && token.c.is_ascii_digit()) {
            return Err(self.fault_at(open, "illegal repetition"));
        }
        let min = self.number()?;
        let max = if self.eat(',') {
            if self.is('}') { None } else { Some(self.number()?) }
        } else {
            Some(min)
        };
        if !self.is('}') {
            return Err(self.fault_at(open, "unclosed counted closure"));
        }
        if max.is_some_and(|max| max < min) {
            return Err(self.fault_at(open, "illegal repetition range"));
        }
        Ok((min, max))
    }

    fn number(&mut self) -> Parsed<u32> {
        let mut number: u32 = 0;
        while let Some(digit) = self.peek().and_then(|token| token.c.to_digit(10)) {
            let longer = number.checked_mul(10).and_then(|number| number.checked_add(digit));
            number = longer
                .filter(|number| i32::try_from(*number).is_ok())
                .ok_or_else(|| self.fault("illegal repetition range"))?;
            self.next += 1;
        }
        Ok(number)
    }

    /// Nothing where it is but flags, which hold from here on.
    fn group(&mut self) -> Parsed<Option<Node>> {
        let (open, saved) = (self.next, self.flags);
        self.next += 1;
        self.deeper()?;
        let node = if self.eat('?') {
            let Some(node) = self.special(open)? else {
                self.shallower();
                return Ok(None);
            };
            node
        } else {
            self.capturing()?
        };
        if !self.eat(')') {
            return Err(self.fault_at(open, "unclosed group"));
        }
        self.flags = saved;
        self.shallower();
        Ok(Some(node))
    }

    fn capturing(&mut self) -> Parsed<Node> {
        self.groups += 1;
        Ok(Node::Group(Box::new(self.alternation()?)))
    }

    /// After `(?`.
    fn special(&mut self, open: usize) -> Parsed<Option<Node>> {
        let kind = self.raw(0).filter(|token| !token.quoted).map(|token| token.c);
        let look =
            |behind, negated, node| Some(Node::Look { behind, negated, node: Box::new(node) });
        match kind {
            Some(':') => {
                self.next += 1;
                self.alternation().map(Some)
            }
            Some(c @ ('=' | '!')) => {
                self.next += 1;
                Ok(look(false, c == '!', self.alternation()?))
            }
            Some('>') => {
                self.next += 1;
                Ok(Some(Node::Atomic(Box::new(self.alternation()?))))
            }
            Some('<') => {
                self.next += 1;
                if self.eat('=') {
                    return Ok(look(true, false, self.alternation()?));
                }
                if self.eat('!') {
                    return Ok(look(true, true, self.alternation()?));
                }
                let name = self.group_name()?;
                if self.names.insert(name.clone(), self.groups + 1).is_some() {
                    let reason = format!("named capturing group <{name}> is already defined");
                    return Err(self.fault_at(open, reason));
                }
                self.capturing().map(Some)
            }
            _ => {
                self.inline_flags()?;
                if self.eat(')') {
                    return Ok(None);
                }
                if !self.eat(':') {
                    return Err(self.fault("unknown inline modifier or group type"));
                }
                self.alternation().map(Some)
            }
        }
    }

    /// Up to and with the `>`.
    pub(super) fn group_name(&mut self) -> Parsed<String> {
        let start = self.next;
        let mut name = String::new();
        while let Some(token) = self.peek().filter(|token| token.c.is_ascii_alphanumeric()) {
            name.push(token.c);
            self.next += 1;
        }
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(self.fault_at(start, "the name of a group starts with a Latin letter"));
        }
        if !self.eat('>') {
            return Err(self.fault_at(start, "the name of a group ends with '>'"));
        }
        Ok(name)
    }

    fn inline_flags(&mut self) -> Parsed<()> {
        let mut on = true;
        while let Some(token) = self.peek().filter(|token| !token.quoted) {
            let flags = &mut self.flags;
            match token.c {
                'i' => flags.any_case = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_all = on,
                'd' => flags.unix_lines = on,
                'u' => flags.unicode_case = on,
                'x' => flags.comments = on,
                'U' => (flags.unicode, flags.unicode_case) = (on, on),
                'c' if on => {
                    return Err(self.fault("canonical equivalence, (?c), is not supported"));
                }
                'c' => {}
                '-' if on => on = false,
                _ => return Ok(()),
            }
            self.next += 1;
        }
        Ok(())
    }

    pub(super) fn set_of_flags(&self, plain: Set, unicode: fn() -> Set) -> Set {
        if self.flags.unicode { unicode() } else { plain }
    }
}

//! Expressions: tokens, and the tree they are read into, by precedence.

use super::DEPTH_MAX;
use super::filters::{FILTERS, FUNCTIONS, TESTS};
use crate::value::Value;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Lit(Value),
    /// A text with `#{…}` inside.
    Interpolated(Vec<Self>),
    Name(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Attribute(Box<Self>, Box<Self>),
    Method(Box<Self>, String, Vec<Self>),
    Call(String, Vec<Self>),
    Filter(Box<Self>, String, Vec<Self>),
    Test {
        negated: bool,
        of: Box<Self>,
        name: String,
    },
    Not(Box<Self>),
    Minus(Box<Self>),
    Binary(&'static str, Box<Self>, Box<Self>),
    Ternary(Box<Self>, Box<Self>, Box<Self>),
}

/// Operators that are words or signs, each with how tightly it binds.
const BINARY: [(&str, u8); 20] = [
    ("or", 1),
    ("and", 2),
    ("==", 3),
    ("equals", 3),
    ("!=", 3),
    (">=", 3),
    ("<=", 3),
    (">", 3),
    ("<", 3),
    ("contains", 3),
    ("is not", 3),
    ("is", 3),
    ("..", 4),
    ("~", 5),
    ("+", 6),
    ("-", 6),
    ("*", 7),
    ("/", 7),
    ("%", 7),
    ("|", 9),
];

/// Reads expressions from the text of one tag.
pub(super) struct Reader<'a> {
    rest: &'a str,
    depth: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, depth: 0 }
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub(super) fn at_end(&mut self) -> bool {
        self.skip();
        self.rest.is_empty()
    }

    pub(super) fn end(&mut self) -> Result<(), String> {
        if self.at_end() {
            return Ok(());
        }
        let shown: String = self.rest.chars().take(20).collect();
        Err(format!("Unexpected \"{shown}\""))
    }

    /// The sign, if it comes next.
    pub(super) fn eat(&mut self, sign: &str) -> bool {
        self.skip();
        let Some(rest) = self.rest.strip_prefix(sign) else { return false };
        let word = sign.ends_with(|it: char| it.is_ascii_alphabetic());
        if word && rest.starts_with(is_word) {
            return false;
        }
        self.rest = rest;
        true
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.eat(sign) {
            return Ok(());
        }
        let found: String = self.rest.chars().take(20).collect();
        Err(format!("expected \"{sign}\", found \"{found}\""))
    }

    pub(super) fn name(&mut self) -> Result<String, String> {
        self.skip();
        let end = self.rest.find(|it| !is_word(it)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|it: char| it.is_ascii_digit()) {
            let found: String = self.rest.chars().take(20).collect();
            return Err(format!("expected a name, found \"{found}\""));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    pub(super) fn expression(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        let condition = self.binary(1)?;
        let found = if self.eat("?") {
            let yes = self.expression()?;
            self.expect(":")?;
            let no = self.expression()?;
            Expr::Ternary(condition.into(), yes.into(), no.into())
        } else {
            condition
        };
        self.depth -= 1;
        Ok(found)
    }

    /// Precedence climbing.
    fn binary(&mut self, least: u8) -> Result<Expr, String> {
        let mut left = self.unary()?;
        while let Some((sign, power)) = self.operator(least) {
            left = match sign {
                "|" => {
                    let (name, arguments) = self.filter()?;
                    Expr::Filter(left.into(), name, arguments)
                }
                "is" | "is not" => {
                    let name = self.name()?;
                    if !TESTS.contains(&name.as_str()) {
                        return Err(format!("Test [{name}] does not exist."));
                    }
                    Expr::Test { negated: sign == "is not", of: left.into(), name }
                }
                _ => Expr::Binary(sign, left.into(), self.binary(power + 1)?.into()),
            };
        }
        Ok(left)
    }

    fn operator(&mut self, least: u8) -> Option<(&'static str, u8)> {
        let before = self.rest;
        for (sign, power) in BINARY {
            let eaten = match sign {
                "is not" => self.eat("is") && self.eat("not"),
                _ => self.eat(sign),
            };
            if eaten && power >= least {
                return Some((sign, power));
            }
            self.rest = before;
        }
        None
    }

    /// `name(arguments)` of a filter.
    pub(super) fn filter(&mut self) -> Result<(String, Vec<Expr>), String> {
        let name = self.name()?;
        if !FILTERS.contains(&name.as_str()) {
            return Err(format!("Filter [{name}] does not exist."));
        }
        let arguments = if self.eat("(") { self.list(")")? } else { Vec::new() };
        Ok((name, arguments))
    }

    fn unary(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        let found = if self.eat("not") {
            // Binds tighter than `and`, less than a comparison's operand.
            Expr::Not(self.binary(3)?.into())
        } else if self.eat("-") {
            Expr::Minus(self.unary()?.into())
        } else if self.eat("+") {
            self.unary()?
        } else {
            let primary = self.primary()?;
            self.members(primary)?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn members(&mut self, mut of: Expr) -> Result<Expr, String> {
        loop {
            // A range has two points.
            if !self.rest.starts_with("..") && self.eat(".") {
                let name = self.name()?;
                of = if self.rest.starts_with('(') {
                    self.expect("(")?;
                    Expr::Method(of.into(), name, self.list(")")?)
                } else {
                    Expr::Attribute(of.into(), Expr::Lit(name.into()).into())
                };
            } else if self.eat("[") {
                let key = self.expression()?;
                self.expect("]")?;
                of = Expr::Attribute(of.into(), key.into());
            } else {
                return Ok(of);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, String> {
        self.skip();
        let Some(first) = self.rest.chars().next() else {
            return Err("Unexpected end of the tag".to_owned());
        };
        match first {
            '(' => {
                self.expect("(")?;
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            '[' => {
                self.expect("[")?;
                Ok(Expr::List(self.list("]")?))
            }
            '{' => self.map(),
            '"' | '\'' => self.text(first),
            digit if digit.is_ascii_digit() => self.number(),
            _ => {
                let name = self.name()?;
                Ok(match name.as_str() {
                    "true" => Expr::Lit(Value::Bool(true)),
                    "false" => Expr::Lit(Value::Bool(false)),
                    "null" | "none" | "NULL" | "NONE" => Expr::Lit(Value::Null),
                    _ if self.eat("(") => Expr::Call(name, self.list(")")?),
                    _ => Expr::Name(name),
                })
            }
        }
    }

    fn list(&mut self, close: &str) -> Result<Vec<Expr>, String> {
        let mut items = Vec::new();
        while !self.eat(close) {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(self.expression()?);
        }
        Ok(items)
    }

    fn map(&mut self) -> Result<Expr, String> {
        self.expect("{")?;
        let mut entries = Vec::new();
        while !self.eat("}") {
            if !entries.is_empty() {
                self.expect(",")?;
            }
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
        }
        Ok(Expr::Map(entries))
    }

    fn number(&mut self) -> Result<Expr, String> {
        let digits = |text: &str| text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
        let mut end = digits(self.rest);
        let fraction = self.rest[end..].strip_prefix('.').map_or(0, digits);
        let is_double = fraction > 0;
        if is_double {
            end += 1 + fraction;
        }
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        let bad = || format!("{number} is too big a number");
        let value = if is_double {
            Value::Double(number.parse().map_err(|_| bad())?)
        } else {
            Value::Int(number.parse().map_err(|_| bad())?)
        };
        Ok(Expr::Lit(value))
    }

    fn text(&mut self, quote: char) -> Result<Expr, String> {
        let mut text = String::new();
        let mut parts = Vec::new();
        let mut rest = &self.rest[1..];
        loop {
            let Some(next) = rest.chars().next() else {
                return Err(format!("the text that begins with {quote} is never closed"));
            };
            rest = &rest[next.len_utf8()..];
            match next {
                '\\' if rest.starts_with([quote, '\\']) => {
                    text.extend(rest.chars().next());
                    rest = &rest[1..];
                }
                '#' if quote == '"' && rest.starts_with('{') => {
                    let Some(end) = rest.find('}') else {
                        return Err("#{ in a text is never closed".to_owned());
                    };
                    let mut inner = Reader { rest: &rest[1..end], depth: self.depth };
                    if !text.is_empty() {
                        parts.push(Expr::Lit(std::mem::take(&mut text).into()));
                    }
                    parts.push(inner.expression()?);
                    inner.end()?;
                    rest = &rest[end + 1..];
                }
                _ if next == quote => break,
                _ => text.push(next),
            }
        }
        self.rest = rest;
        if parts.is_empty() {
            return Ok(Expr::Lit(text.into()));
        }
        if !text.is_empty() {
            parts.push(Expr::Lit(text.into()));
        }
        Ok(Expr::Interpolated(parts))
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Functions that are neither built in nor a macro of the template.
pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

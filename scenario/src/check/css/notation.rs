//! Gatling's way to write a selector, put into CSS: the text of `:contains` in any form, quoted
//! selectors inside `:not` and `:has`, `::` for `:`, ids that begin with a digit.

/// Selectors in quotes inside selectors in quotes.
const QUOTED_MAX: usize = 8;
/// Matching goes a stack frame deeper with each combinator.
const COMBINATORS_MAX: usize = 256;

/// # Errors
/// What cannot be read, in words that follow a colon.
pub(super) fn css(selector: &str) -> Result<String, String> {
    let mut scanner = Scanner { out: String::with_capacity(selector.len() + 16), combinators: 0 };
    scanner.selector(selector, QUOTED_MAX)?;
    Ok(scanner.out)
}

struct Scanner {
    out: String,
    combinators: usize,
}

impl Scanner {
    fn selector(&mut self, text: &str, quoted_left: usize) -> Result<(), String> {
        let mut rest = text;
        let (mut in_brackets, mut between) = (false, false);
        while let Some(first) = rest.chars().next() {
            let after = &rest[first.len_utf8()..];
            let separates =
                !in_brackets && (first.is_ascii_whitespace() || matches!(first, '>' | '+' | '~'));
            self.combinators += usize::from(between && !separates);
            between = separates;
            rest = match first {
                '\\' => self.copy(rest, 1 + after.chars().next().map_or(0, char::len_utf8)),
                '"' | '\'' => self.copy(rest, string_length(rest, first)),
                ':' if !in_brackets => self.pseudo(after, quoted_left)?,
                '#' if !in_brackets => self.id(after),
                _ => {
                    in_brackets = first == '[' || in_brackets && first != ']';
                    self.copy(rest, first.len_utf8())
                }
            };
        }
        if self.combinators > COMBINATORS_MAX {
            return Err(format!("it has more than {COMBINATORS_MAX} combinators"));
        }
        Ok(())
    }

    fn copy<'a>(&mut self, text: &'a str, length: usize) -> &'a str {
        let (copied, rest) = text.split_at(length);
        self.out.push_str(copied);
        rest
    }

    /// `text` follows a colon; gives what is left.
    fn pseudo<'a>(&mut self, text: &'a str, quoted_left: usize) -> Result<&'a str, String> {
        let text = text.strip_prefix(':').unwrap_or(text);
        self.out.push(':');
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let length = text.find(|c| !is_name(c)).unwrap_or(text.len());
        let (name, rest) = (&text[..length], self.copy(text, length));
        let Some(inside) = rest.strip_prefix('(') else { return Ok(rest) };
        self.out.push('(');
        if name.eq_ignore_ascii_case("contains") {
            let (wanted, rest) = contained(inside)?;
            // Writing to a String cannot fail.
            let _ = cssparser::serialize_string(&wanted, &mut self.out);
            self.out.push(')');
            return Ok(rest);
        }
        if (name.eq_ignore_ascii_case("not") || name.eq_ignore_ascii_case("has"))
            && let Some((selector, rest)) = quoted(inside)
        {
            let left = quoted_left
                .checked_sub(1)
                .ok_or_else(|| format!("more than {QUOTED_MAX} quoted selectors in another"))?;
            self.selector(&selector, left)?;
            self.out.push(')');
            return Ok(rest);
        }
        Ok(inside)
    }

    /// `text` follows a `#`. An id is no identifier of CSS where it begins with a digit.
    fn id<'a>(&mut self, text: &'a str) -> &'a str {
        self.out.push('#');
        let goes_on = |c: char| !c.is_ascii() || c.is_ascii_alphabetic() || "_-\\".contains(c);
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(digit), _) if digit.is_ascii_digit() => {
                self.out.push_str("\\3");
                self.out.push(digit);
                self.out.push(' ');
                &text[1..]
            }
            (Some('-'), second) if !second.is_some_and(goes_on) => {
                self.out.push('\\');
                text
            }
            _ => text,
        }
    }
}

/// Of the string that `text` begins with, to the end where it is not closed.
fn string_length(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return at + 1;
        }
        if c == '\\' {
            chars.next();
        }
    }
    text.len()
}

/// What `:contains(` looks for, and what follows its parenthesis. As Gatling has it, a quoted text
/// ends where a quote and the parenthesis meet, so that `'O'Brien'` is one; any other ends at the
/// first parenthesis and keeps its spaces.
fn contained(text: &str) -> Result<(String, &str), String> {
    if let Some(found) = quoted(text) {
        return Ok(found);
    }
    let (wanted, rest) = text
        .split_once(')')
        .ok_or_else(|| "the parenthesis of :contains is not closed".to_owned())?;
    Ok((wanted.to_owned(), rest))
}

/// The inside of a quoted argument that is all between the parentheses, and what follows them.
fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.trim_ascii_start();
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut inside = String::new();
    let mut chars = text[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        let after = &text[1 + at + c.len_utf8()..];
        if c == quote
            && let Some(rest) = after.trim_ascii_start().strip_prefix(')')
        {
            return Some((inside, rest));
        }
        if c == '\\' && after.starts_with(quote) {
            chars.next();
            inside.push(quote);
        } else {
            inside.push(c);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_become_css() {
        for (written, expected) in [
            ("li > a.b#c[href^='/x:y(']", "li > a.b#c[href^='/x:y(']"),
            ("a:contains(x)", "a:contains(\"x\")"),
            ("a:contains( it's ) b", "a:contains(\" it's \") b"),
            ("a:contains('it\\'s'):first", "a:contains(\"it's\"):first"),
            ("a:contains('O'Brien')", "a:contains(\"O'Brien\")"),
            ("a:contains('a)b')", "a:contains(\"a)b\")"),
            ("a:contains(\"say \\\"x\\\"\")", "a:contains(\"say \\\"x\\\"\")"),
            ("p:contains('a'):contains('b')", "p:contains(\"a\"):contains(\"b\")"),
            ("p:contains()", "p:contains(\"\")"),
            ("p:not('.a'):has(\"b :contains('x')\")", "p:not(.a):has(b :contains(\"x\"))"),
            ("p::first", "p:first"),
            ("#1a #-2 #- #ok", "#\\31 a #\\-2 #\\- #ok"),
            ("[a='#1'] [b=':x(']", "[a='#1'] [b=':x(']"),
            ("a\\:b\\#1", "a\\:b\\#1"),
        ] {
            assert_eq!(css(written).as_deref(), Ok(expected), "{written}");
        }
        let open = css("a:contains(x").unwrap_err();
        assert_eq!(open, "the parenthesis of :contains is not closed");
        assert!(css(&"a ".repeat(256)).is_ok());
        assert_eq!(css(&"a+".repeat(258)).unwrap_err(), "it has more than 256 combinators");
    }
}

//! A document type and the entities that it declares: the text as it is with them put in. The parser
//! knows neither. Nothing outside of the document is read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use memchr::{memchr, memchr2, memmem};

use super::growth::BYTES_MAX;

/// Of entities in entities: beyond it they name each other in a circle, or might as well.
const NESTING_MAX: usize = 32;

/// Where markup of this kind ends: after `end`, or with the text.
fn after(text: &str, end: &str) -> usize {
    memmem::find(text.as_bytes(), end.as_bytes()).map_or(text.len(), |at| at + end.len())
}

/// The end of a declaration or tag; a `>` in quotes is none. Its quoted parts are handed over.
fn tag_end<'a>(text: &'a str, mut quoted: impl FnMut(&'a str)) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match quote {
            Some((open, from)) if open == byte => {
                quoted(&text[from..at]);
                quote = None;
            }
            Some(_) => {}
            None if byte == b'"' || byte == b'\'' => quote = Some((byte, at + 1)),
            None if byte == b'>' => return at + 1,
            None => {}
        }
    }
    text.len()
}

/// Where the document type begins, if there is one.
fn start(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let blank = rest.len() - rest.trim_start().len();
        let rest = &rest[blank..];
        at += blank;
        if rest.starts_with("<!DOCTYPE") {
            return Some(at);
        }
        at += match rest {
            _ if rest.starts_with("<?") => after(rest, "?>"),
            _ if rest.starts_with("<!--") => after(rest, "-->"),
            _ => return None,
        };
    }
}

/// # Errors
/// An entity that is not in the document, or entities that are too much.
pub(super) fn resolve(text: &str) -> Result<Cow<'_, str>, String> {
    let Some(start) = start(text) else { return Ok(Cow::Borrowed(text)) };
    let mut entities = Entities::default();
    let end = start + entities.declare_all(&text[start..])?;
    let (prolog, content) = (&text[..start], &text[end..]);
    let mut out = String::with_capacity(text.len());
    out.push_str(prolog);
    entities.content(content, 0, &mut out)?;
    Ok(Cow::Owned(out))
}

#[derive(Default)]
struct Entities {
    /// None: outside of the document.
    general: HashMap<String, Option<Rc<str>>>,
    parameter: HashMap<String, Option<Rc<str>>>,
    /// Bytes that have come of entities.
    bytes: usize,
}

impl Entities {
    /// Takes what the document type declares; where it ends.
    fn declare_all(&mut self, text: &str) -> Result<usize, String> {
        let mut quote = None;
        let subset = text.bytes().position(|byte| match quote {
            Some(open) => {
                quote = (open != byte).then_some(open);
                false
            }
            None => {
                quote = matches!(byte, b'"' | b'\'').then_some(byte);
                matches!(byte, b'[' | b'>')
            }
        });
        let Some(subset) = subset else { return Ok(text.len()) };
        if text.as_bytes()[subset] == b'>' {
            return Ok(subset + 1);
        }
        let inside = subset + 1 + self.subset(&text[subset + 1..], 0)?;
        Ok(inside + after(&text[inside..], ">"))
    }

    /// Declarations up to a `]`, or to the end of a parameter entity.
    fn subset(&mut self, text: &str, nesting: usize) -> Result<usize, String> {
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            at += match rest {
                _ if rest.starts_with(']') => return Ok(at),
                _ if rest.starts_with("<!--") => after(rest, "-->"),
                _ if rest.starts_with("<?") => after(rest, "?>"),
                _ if rest.starts_with("<!ENTITY") => {
                    self.declare(rest["<!ENTITY".len()..].trim_start());
                    tag_end(rest, |_| ())
                }
                _ if rest.starts_with('<') => tag_end(rest, |_| ()),
                _ if rest.starts_with('%') => {
                    let end = after(rest, ";");
                    let declared = self.parameter.get(rest[1..end].trim_end_matches(';'));
                    if let Some(Some(more)) = declared.cloned() {
                        self.grow(more.len(), nesting)?;
                        self.subset(&more, nesting + 1)?;
                    }
                    end
                }
                _ => rest.chars().next().map_or(1, char::len_utf8),
            };
        }
        Ok(at)
    }

    /// `name "value"`, `% name "value"`, `name SYSTEM "where"`: the first of a name counts.
    fn declare(&mut self, text: &str) {
        let (known, text) = match text.strip_prefix('%') {
            Some(text) => (&mut self.parameter, text.trim_start()),
            None => (&mut self.general, text),
        };
        let name = text.split(char::is_whitespace).next().unwrap_or_default();
        let rest = text[name.len()..].trim_start();
        let value = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                rest[1..].split(quote).next().map(|value| characters(value).into())
            }
            _ => None,
        };
        known.entry(name.to_owned()).or_insert(value);
    }

    fn grow(&mut self, bytes: usize, nesting: usize) -> Result<(), String> {
        // One that is empty costs, too.
        self.bytes += bytes + 1;
        if self.bytes > BYTES_MAX || nesting >= NESTING_MAX {
            return Err(format!(
                "the document's entities are more than {} MiB, or {NESTING_MAX} in each other",
                BYTES_MAX >> 20
            ));
        }
        Ok(())
    }

    /// Tags and text, with the entities put in.
    fn content(&mut self, text: &str, nesting: usize, out: &mut String) -> Result<(), String> {
        let mut rest = text;
        while let Some(at) = memchr2(b'<', b'&', rest.as_bytes()) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let used = match rest {
                _ if rest.starts_with('&') => self.reference(rest, nesting, false, out)?,
                _ if rest.starts_with("<!--") => verbatim(rest, "-->", out),
                _ if rest.starts_with("<![CDATA[") => verbatim(rest, "]]>", out),
                _ if rest.starts_with("<?") => verbatim(rest, "?>", out),
                _ => self.tag(rest, nesting, out)?,
            };
            rest = &rest[used..];
        }
        out.push_str(rest);
        Ok(())
    }

    fn tag(&mut self, text: &str, nesting: usize, out: &mut String) -> Result<usize, String> {
        let mut values = Vec::new();
        let end = tag_end(text, |value| values.push(value));
        let mut done = 0;
        for value in values {
            let from = value.as_ptr().addr() - text.as_ptr().addr();
            out.push_str(&text[done..from]);
            self.value(value, nesting, out)?;
            done = from + value.len();
        }
        out.push_str(&text[done..end]);
        Ok(end)
    }

    /// Of an attribute: what an entity brings along ends neither the value nor the tag.
    fn value(&mut self, text: &str, nesting: usize, out: &mut String) -> Result<(), String> {
        let mut rest = text;
        while let Some(at) = memchr(b'&', rest.as_bytes()) {
            push_value(&rest[..at], nesting, out);
            rest = &rest[at..];
            rest = &rest[self.reference(rest, nesting, true, out)?..];
        }
        push_value(rest, nesting, out);
        Ok(())
    }

    /// What is not declared is left to the parser.
    fn reference(
        &mut self,
        text: &str,
        nesting: usize,
        in_value: bool,
        out: &mut String,
    ) -> Result<usize, String> {
        let end = memchr(b';', text.as_bytes()).map_or(text.len(), |at| at + 1);
        let name = text[1..end].trim_end_matches(';');
        match self.general.get(name).cloned() {
            None => out.push_str(&text[..end]),
            Some(None) => return Err(format!("the entity {name} is not in the document itself")),
            Some(Some(value)) => {
                self.grow(value.len(), nesting)?;
                if in_value {
                    self.value(&value, nesting + 1, out)?;
                } else {
                    self.content(&value, nesting + 1, out)?;
                }
            }
        }
        Ok(end)
    }
}

fn verbatim(text: &str, end: &str, out: &mut String) -> usize {
    let end = after(text, end);
    out.push_str(&text[..end]);
    end
}

fn push_value(text: &str, nesting: usize, out: &mut String) {
    if nesting == 0 {
        return out.push_str(text);
    }
    for char in text.chars() {
        match char {
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            _ => out.push(char),
        }
    }
}

/// The value of a declaration: its references to characters are put in at once.
fn characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memmem::find(rest.as_bytes(), b"&#") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = memchr(b';', rest.as_bytes()).map_or(rest.len(), |at| at + 1);
        let digits = rest[2..end].trim_end_matches(';');
        let code = match digits.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        match code.ok().and_then(char::from_u32) {
            Some(char) => out.push(char),
            None => out.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_put_in_where_they_may_stand() {
        for (text, resolved) in [
            ("<r>&a;</r>", "<r>&a;</r>"),
            ("<!DOCTYPE r><r>&a;</r>", "<r>&a;</r>"),
            (
                "<?xml version='1.0'?><!-- c --><!DOCTYPE r [<!ENTITY a 'x'>]><r>&a;&amp;&#65;</r>",
                "<?xml version='1.0'?><!-- c --><r>x&amp;&#65;</r>",
            ),
            (
                "<!DOCTYPE r [<!ENTITY a '<k>m</k>'><!ENTITY b '&a;-&a;'> ]> <r>&b;</r>",
                " <r><k>m</k>-<k>m</k></r>",
            ),
            (
                "<!DOCTYPE r PUBLIC '-//X//[>' \"u\" [<!ENTITY a \"it's\"><!ELEMENT r ANY>]><r q='&a;'/>",
                "<r q='it&apos;s'/>",
            ),
            (
                "<!DOCTYPE r [<!ENTITY a 'x'>]><r><!-- &a; --><![CDATA[&a;]]><?p &a;?></r>",
                "<r><!-- &a; --><![CDATA[&a;]]><?p &a;?></r>",
            ),
            ("<!DOCTYPE r [<!ENTITY h '&#38;#60;'>]><r>&h;</r>", "<r>&#60;</r>"),
            ("<!DOCTYPE r [<!ENTITY % p \"<!ENTITY q 'pq'>\"> %p;]><r>&q;</r>", "<r>pq</r>"),
            ("<!DOCTYPE r [<!ENTITY a '1'><!ENTITY a '2'>]><r>&a;</r>", "<r>1</r>"),
            ("<!DOCTYPE r [<!ENTITY a '1'>", ""),
            ("<!DOCTYPE r [<!ENTITY", ""),
            ("<!DOCTYPE é [<!ENTITY é 'é'> é]>é<é>&é;&é</é>&", "é<é>é&é</é>&"),
        ] {
            assert_eq!(resolve(text).as_deref(), Ok(resolved), "{text}");
        }
    }

    #[test]
    fn what_is_outside_is_not_read() {
        let text = "<!DOCTYPE r [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><r>&x;</r>";
        assert_eq!(resolve(text), Err("the entity x is not in the document itself".to_owned()));
    }

    /// The classic bomb, one whose leaves are empty, and a circle: none is more work than the limit.
    #[test]
    fn entities_do_not_grow_beyond_the_limit() {
        let tenfold = |leaf: &str| {
            let mut text = format!("<!DOCTYPE r [<!ENTITY e0 '{leaf}'>");
            for level in 1..=12 {
                let inner = format!("&e{};", level - 1).repeat(10);
                text.push_str(&format!("<!ENTITY e{level} '{inner}'>"));
            }
            text + "]><r>&e12;</r>"
        };
        let circle = "<!DOCTYPE r [<!ENTITY a '&b;'><!ENTITY b '&a;'>]><r>&a;</r>".to_owned();
        let own = "<!DOCTYPE r [<!ENTITY % p '%p;%p;'>%p;]><r/>".to_owned();
        for text in [tenfold("lol"), tenfold(""), circle, own] {
            let mut entities = Entities::default();
            let mut out = String::new();
            let result = entities
                .declare_all(&text)
                .and_then(|end| entities.content(&text[end..], 0, &mut out));
            assert_eq!(
                result,
                Err("the document's entities are more than 16 MiB, or 32 in each other".to_owned())
            );
            assert!(out.len() <= BYTES_MAX && entities.bytes <= BYTES_MAX + 1_000);
        }
    }
}

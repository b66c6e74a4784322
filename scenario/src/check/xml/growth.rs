//! How large a document is, seen from its tags, before it is parsed: an answer may be made to cost
//! more than its size. What is not well-formed is left to the parser.

use memchr::{memchr, memchr3, memmem};

/// Larger documents are not looked through.
pub(super) const BYTES_MAX: usize = 16 << 20;
/// Elements in each other.
const DEPTH_MAX: usize = 2_000;
/// A few hundred bytes each.
const NODES_MAX: usize = 1_000_000;
/// Of one element, with its namespaces: each is compared with the ones before.
const ATTRIBUTES_MAX: usize = 1_000;
/// A name is looked for in the elements that are open: so many in all, about a second's work.
const LOOKS_MAX: usize = 200_000_000;

/// What of a document costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Growth {
    /// Elements, attributes, texts and the rest.
    pub nodes: usize,
    /// The most elements in each other.
    pub depth: usize,
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    growth: Growth,
    /// What each open element adds to a look for a name: itself and its namespaces.
    open: Vec<usize>,
    open_sum: usize,
    looks: usize,
}

/// # Errors
/// It is too long.
pub(super) fn size(text: &str) -> Result<(), String> {
    if text.len() > BYTES_MAX {
        let (bytes, most) = (text.len(), BYTES_MAX >> 20);
        return Err(format!("the document has {bytes} bytes, more than {most} MiB"));
    }
    Ok(())
}

/// # Errors
/// What of it is too much, with the figure.
pub(super) fn look_at(text: &str) -> Result<Growth, String> {
    size(text)?;
    let bytes = text.as_bytes();
    let growth = Growth { nodes: 1, depth: 0 };
    let mut scan = Scan { bytes, at: 0, growth, open: Vec::new(), open_sum: 0, looks: 0 };
    while let Some(text) = memchr(b'<', &bytes[scan.at..]) {
        scan.growth.nodes += usize::from(text > 0);
        scan.at += text + 1;
        scan.markup()?;
        if scan.growth.nodes > NODES_MAX {
            return Err(format!("the document has more than {NODES_MAX} nodes"));
        }
    }
    Ok(scan.growth)
}

impl Scan<'_> {
    fn markup(&mut self) -> Result<(), String> {
        let rest = &self.bytes[self.at..];
        let end = match rest {
            [b'!', b'-', b'-', ..] => "-->",
            [b'!', b'[', ..] => "]]>",
            [b'?', ..] => "?>",
            [b'/', ..] => {
                let closed = self.open.pop().unwrap_or(0);
                self.open_sum -= closed;
                ">"
            }
            _ => return self.tag(),
        };
        self.growth.nodes += usize::from(rest[0] != b'/');
        self.at = memmem::find(rest, end.as_bytes())
            .map_or(self.bytes.len(), |found| self.at + found + end.len());
        Ok(())
    }

    /// A start tag: a `>` in quotes does not end it.
    fn tag(&mut self) -> Result<(), String> {
        let (mut attributes, mut namespaces) = (0, 0);
        loop {
            let rest = &self.bytes[self.at..];
            let Some(found) = memchr3(b'>', b'"', b'\'', rest) else {
                self.at = self.bytes.len();
                break;
            };
            if rest[found] == b'>' {
                let empty = found.checked_sub(1).map(|before| rest[before]) == Some(b'/');
                self.at += found + 1;
                self.element(attributes, namespaces, empty)?;
                break;
            }
            attributes += 1;
            namespaces += usize::from(memmem::find(&rest[..found], b"xmlns").is_some());
            let quote = memchr(rest[found], &rest[found + 1..]);
            self.at = quote.map_or(self.bytes.len(), |quote| self.at + found + quote + 2);
        }
        if attributes > ATTRIBUTES_MAX {
            return Err(format!("an element has more than {ATTRIBUTES_MAX} attributes"));
        }
        self.growth.nodes += 1 + attributes;
        Ok(())
    }

    fn element(&mut self, attributes: usize, namespaces: usize, empty: bool) -> Result<(), String> {
        let depth = self.open.len() + 1;
        if depth > DEPTH_MAX {
            return Err(format!("the document has more than {DEPTH_MAX} elements in each other"));
        }
        self.growth.depth = self.growth.depth.max(depth);
        let own = 1 + namespaces;
        self.looks += (self.open_sum + own) * (1 + attributes);
        if self.looks > LOOKS_MAX {
            return Err(format!(
                "the document is too long for {depth} elements in each other with {} namespaces",
                self.open_sum + own - depth
            ));
        }
        if !empty {
            self.open.push(own);
            self.open_sum += own;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_depth_are_those_of_the_document() {
        for (text, nodes, depth) in [
            ("<r/>", 2, 1),
            ("<r><a b='>' c=\"'>'\"/>text<!-- <x> --><![CDATA[<y><y>]]><?pi <z>?></r>", 9, 2),
            ("<?xml version='1.0'?><r><a><b/></a><a/></r>", 6, 3),
            ("<r", 2, 0),
            ("</r></r><a>", 2, 1),
            ("", 1, 0),
            ("<a b='", 3, 0),
        ] {
            assert_eq!(look_at(text), Ok(Growth { nodes, depth }), "{text}");
        }
    }

    #[test]
    fn what_is_too_much_is_told_with_its_figure() {
        let nested = "<a>".repeat(DEPTH_MAX + 1);
        let flat = format!("<r>{}</r>", "<a/>".repeat(NODES_MAX));
        let wide: String = (0..=ATTRIBUTES_MAX).map(|it| format!(" a{it}=''")).collect();
        let declared: String = (0..ATTRIBUTES_MAX).map(|it| format!(" xmlns:a{it}='u'")).collect();
        let names = format!("<r{declared}>{}", "<a b='' c=''/>".repeat(100_000));
        for (text, error) in [
            (nested.as_str(), "the document has more than 2000 elements in each other"),
            (&flat, "the document has more than 1000000 nodes"),
            (&format!("<r{wide}/>"), "an element has more than 1000 attributes"),
            (&names, "the document is too long for 2 elements in each other with 1000 namespaces"),
            (&" ".repeat(BYTES_MAX + 1), "the document has 16777217 bytes, more than 16 MiB"),
        ] {
            assert_eq!(look_at(text), Err(error.to_owned()));
        }
    }
}

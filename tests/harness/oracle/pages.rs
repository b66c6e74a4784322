//! What the recording target answers, as a case's `/* pages … */` comment says it:
//!
//! ```text
//! /* pages
//! /list 200 content-type: application/json | x-two: b
//! {"items": [1, 2]}
//!
//! POST /old 302 location: /new | !delay: 50
//! */
//! ```
//!
//! A page is a line `[METHOD] PATH STATUS header: value | …` and the lines up to the next empty one.
//! A path that is given several times answers in turn, each user for itself, and stays at the last.
//! Headers that begin with `!` are orders: `!delay: MS`, `!close` (no answer), `!reset`, `!half` (the
//! connection ends within the body), `!chunked`, `!gzip`, `!deflate`, `!line` (a line end within the
//! body is `\n`, given as `¶`, for bodies with empty lines). `TARGET`, `OTHER` and `CLOSED` stand for
//! addresses. A path without a page answers `ok`; `/echo` answers with the request's body.
//!
//! The body of a page with status 101 or the order `!stream` is a script, see `script`.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

use super::script::Script;

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    /// In order, names as they are sent.
    pub headers: Vec<(String, String)>,
    /// Names without the `!`, and values.
    pub orders: BTreeMap<String, String>,
    pub body: String,
    /// What it does instead of answering with the body.
    pub script: Option<Script>,
}

/// Answers by method (empty: any) and path.
#[derive(Clone, Debug, Default)]
pub struct Pages(BTreeMap<(String, String), Vec<Page>>);

impl Pages {
    /// # Errors
    /// What is wrong with a page's first line.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut pages = Self::default();
        let Some((_, rest)) = text.split_once("/* pages\n") else { return Ok(pages) };
        let (block, _) = rest.split_once("\n*/").context("pages without an end")?;
        for page in block.split("\n\n") {
            let (first, body) = page.split_once('\n').unwrap_or((page, ""));
            let (key, mut page) = head(first).with_context(|| format!("page {first:?}"))?;
            if page.status == 101 || page.orders.contains_key("stream") {
                page.script = Some(Script::parse(body).with_context(|| first.to_owned())?);
            } else {
                page.body = body.replace('¶', "\n");
            }
            pages.0.entry(key).or_default().push(page);
        }
        Ok(pages)
    }

    /// The answer to a user's request number `turn` (from 0) to this path.
    #[must_use]
    pub fn find(&self, method: &str, path: &str, turn: usize) -> Option<&Page> {
        let exact = (method.to_owned(), path.to_owned());
        let any = (String::new(), path.to_owned());
        let answers = self.0.get(&exact).or_else(|| self.0.get(&any))?;
        answers.get(turn).or_else(|| answers.last())
    }
}

fn head(line: &str) -> anyhow::Result<((String, String), Page)> {
    let (method, rest) = match line.split_once(' ') {
        Some((method, rest)) if !method.starts_with('/') => (method, rest),
        _ => ("", line),
    };
    let mut words = rest.splitn(3, ' ');
    let path = words.next().unwrap_or_default();
    ensure!(path.starts_with('/'), "needs a path");
    let status = words.next().context("needs a status")?.parse().context("status")?;
    let mut page = Page { status, ..Page::default() };
    for header in words.next().unwrap_or_default().split(" | ").filter(|part| !part.is_empty()) {
        let (name, value) = header.split_once(':').unwrap_or((header, ""));
        let value = value.trim().to_owned();
        match name.trim().strip_prefix('!') {
            Some(order) => drop(page.orders.insert(order.to_owned(), value)),
            None => page.headers.push((name.trim().to_owned(), value)),
        }
    }
    Ok(((method.to_owned(), path.to_owned()), page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_answer_in_turn() {
        let text =
            "x\n/* pages\n/a 200 x-b: c | !delay: 5\none\ntwo\n\n/a 500\n\nPOST /b 201\n*/\n";
        let pages = Pages::parse(text).unwrap();
        let first = pages.find("GET", "/a", 0).unwrap();
        assert_eq!((first.status, first.body.as_str()), (200, "one\ntwo"));
        assert_eq!(first.headers, [("x-b".to_owned(), "c".to_owned())]);
        assert_eq!(first.orders["delay"], "5");
        assert_eq!(pages.find("GET", "/a", 7).unwrap().status, 500);
        assert!(pages.find("GET", "/b", 0).is_none());
        assert!(Pages::parse("/* pages\nhello\n*/").is_err());
    }
}

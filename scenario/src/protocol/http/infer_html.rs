//! Which resources a page and a style sheet name, as Gatling sees it: a scan of the tags, without a
//! tree. Comments, and so conditional ones, are passed over. Pure.

use std::cell::RefCell;

use html5ever::tokenizer::states::{Rawtext, Rcdata, ScriptData};
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use indexmap::IndexSet;

use super::url::Url;

/// References of one document that are looked at, in its order.
const REFERENCES_MAX: usize = 10_000;
/// Of one tag; more are no page's.
const ATTRIBUTES_MAX: usize = 2_000;

/// A resource as it is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub url: Url,
    pub css: bool,
}

/// The resources of a page, each once, in the order of the document.
pub(super) fn of_page(html: &str, page: &Url) -> Vec<Named> {
    let sink = Sink::default();
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(before_monsters(html).into());
    // A sink that runs no scripts is never interrupted.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let Scan { base, found, .. } = tokenizer.sink.0.into_inner();
    let base = base.and_then(|base| page.join(&base).ok());
    resolved(found.into_iter(), base.as_ref().unwrap_or(page))
}

/// Up to the first tag with too many attributes: the tokenizer compares each with all before it.
fn before_monsters(html: &str) -> &str {
    let (mut in_tag, mut quote, mut attributes) = (false, None, 0);
    // The byte before, and the last one that is no space.
    let (mut before, mut last) = (b' ', b' ');
    for (at, byte) in html.bytes().enumerate() {
        let is_space = byte.is_ascii_whitespace();
        match quote {
            _ if !in_tag => {
                in_tag = before == b'<' && byte.is_ascii_alphabetic();
                attributes = 0;
            }
            Some(open) if byte == open => {
                quote = None;
                attributes += 1;
            }
            Some(_) => {}
            None if byte == b'>' => in_tag = false,
            None if last == b'=' && matches!(byte, b'"' | b'\'') => quote = Some(byte),
            None if !is_space && (before == b'/' || before.is_ascii_whitespace()) => {
                attributes += 1;
            }
            None => {}
        }
        if attributes > ATTRIBUTES_MAX {
            return html.get(..at).unwrap_or_default();
        }
        before = byte;
        if !is_space {
            last = byte;
        }
    }
    html
}

/// The style sheets that a style sheet imports by `@import url(…)`. One that is imported without
/// `url(…)` is none of them, and what comes first in a `url(…)` behind it, an image maybe, counts in
/// its place: as in Gatling.
pub(super) fn of_css(css: &str, sheet: &Url) -> Vec<Named> {
    resolved(imports(css).into_iter().map(|url| (url, true)), sheet)
}

fn resolved(found: impl Iterator<Item = (String, bool)>, base: &Url) -> Vec<Named> {
    let mut all = IndexSet::new();
    for (reference, css) in found.take(REFERENCES_MAX) {
        // `data:`, `about:` and what is no reference at all name no request.
        let Some(url) = is_reference(&reference).then(|| base.join(&reference).ok()).flatten()
        else {
            continue;
        };
        all.insert(Named { url, css });
    }
    all.into_iter().collect()
}

/// Relative, or with a scheme that a request can have.
fn is_reference(text: &str) -> bool {
    let text = text.trim();
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    let scheme = scheme.filter(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_alphabetic()));
    !text.is_empty()
        && !text.starts_with('#')
        && scheme.is_none_or(|it| matches!(it, "http" | "https"))
}

#[derive(Default)]
struct Sink(RefCell<Scan>);

#[derive(Default)]
struct Scan {
    base: Option<String>,
    /// As written, and whether it is a style sheet.
    found: Vec<(String, bool)>,
    /// Of the `<style>` that is open.
    style: Option<String>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut scan = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                scan.open(&tag);
                match &*tag.name {
                    "script" => return TokenSinkResult::RawData(ScriptData),
                    "style" => {
                        scan.style = Some(String::new());
                        return TokenSinkResult::RawData(Rawtext);
                    }
                    "xmp" | "noframes" => return TokenSinkResult::RawData(Rawtext),
                    "textarea" | "title" => return TokenSinkResult::RawData(Rcdata),
                    _ => {}
                }
            }
            Token::TagToken(tag) if &*tag.name == "style" => {
                let style = scan.style.take().unwrap_or_default();
                scan.found.extend(imports(&style).into_iter().map(|url| (url, true)));
            }
            Token::CharacterTokens(text) => {
                if let Some(style) = &mut scan.style {
                    style.push_str(&text);
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Scan {
    fn open(&mut self, tag: &Tag) {
        let value = |name: &str| {
            let held = tag.attrs.iter().find(|it| &*it.name.local == name);
            held.map(|it| it.value.trim().to_owned())
        };
        let mut found = |url: Option<String>, css| self.found.extend(url.map(|url| (url, css)));
        match &*tag.name {
            "base" => {
                if self.base.is_none() {
                    self.base = value("href");
                }
            }
            "link" => match value("rel").unwrap_or_default().to_ascii_lowercase().as_str() {
                "stylesheet" => found(value("href"), true),
                "icon" | "shortcut icon" => found(value("href"), false),
                "prefetch" => {
                    let url = value("href");
                    let css = url.as_ref().is_some_and(|it| it.contains(".css"));
                    found(url, css);
                }
                _ => {}
            },
            "script" | "img" | "bgsound" | "embed" | "input" => found(value("src"), false),
            "body" => found(value("background"), false),
            "object" => found(value("data").map(|it| in_code_base(value("codebase"), &it)), false),
            "applet" => {
                let archives = value("archive").or_else(|| value("code")).unwrap_or_default();
                for archive in archives.split(',').map(str::trim) {
                    found(Some(in_code_base(value("codebase"), archive)), false);
                }
            }
            _ => {
                let style = value("style").unwrap_or_default();
                let mut rest = style.as_str();
                while let Some((url, after)) = next_url(rest) {
                    found(Some(url.to_owned()), false);
                    rest = after;
                }
            }
        }
    }
}

fn in_code_base(code_base: Option<String>, url: &str) -> String {
    match code_base {
        Some(base) if !url.starts_with("http") => {
            format!("{}/{url}", base.strip_suffix('/').unwrap_or(&base))
        }
        _ => url.to_owned(),
    }
}

/// The text of the next `url(…)`, and what follows it.
fn next_url(text: &str) -> Option<(&str, &str)> {
    let (_, after) = text.split_once("url(")?;
    let (url, rest) = after.split_once(')')?;
    let url = url.trim();
    let bare = |quote: char| url.strip_prefix(quote).and_then(|it| it.strip_suffix(quote));
    Some((bare('"').or_else(|| bare('\'')).unwrap_or(url).trim(), rest))
}

fn imports(css: &str) -> Vec<String> {
    let mut found = Vec::new();
    let css = without_comments(css);
    for statement in css.split("@import").skip(1) {
        found.extend(next_url(statement).map(|(url, _)| url.to_owned()));
    }
    found
}

fn without_comments(css: &str) -> String {
    let mut out = String::with_capacity(css.len());
    let mut rest = css;
    while let Some((before, comment)) = rest.split_once("/*") {
        out.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(html: &str) -> Vec<String> {
        let at = Url::parse("http://a.test/dir/page?q", true).unwrap();
        let found = of_page(html, &at);
        found
            .into_iter()
            .map(|it| format!("{}{}", it.url.path_and_query, if it.css { " css" } else { "" }))
            .collect()
    }

    #[test]
    fn tags_that_count() {
        let html = r#"<!doctype html><html><head><LINK REL=stylesheet HREF="/a.css">
            <link rel="shortcut icon" href="i.ico"><link rel="prefetch" href="/p"><link rel=prefetch href="/p.css?1">
            <script src="/s.js?v=1&amp;w">if (a < b) "<img src='/no'>"</script>
            <style>@import url("/st.css"); b { background: url(/no) }</style></head>
            <body background=/bg.png style="background: url(/no)"><img src=img.png>
            <p style="background: url('/x.png'), url(/y.png)">x</p><input src=/in><embed src=/em>
            <bgsound src=/bgs><object data=o codebase=/cb></object>
            <applet archive="a.jar, b.jar" codebase="/cb/"></applet><applet code=c.class></applet>
            <noscript><img src=/ns.png></noscript>"#;
        let expected = [
            "/a.css css",
            "/dir/i.ico",
            "/p",
            "/p.css?1 css",
            "/s.js?v=1&w",
            "/st.css css",
            "/bg.png",
            "/dir/img.png",
            "/x.png",
            "/y.png",
            "/in",
            "/em",
            "/bgs",
            "/cb/o",
            "/cb/a.jar",
            "/cb/b.jar",
            "/dir/c.class",
            "/ns.png",
        ];
        assert_eq!(page(html), expected);
    }

    #[test]
    fn tags_that_do_not_count() {
        let html = r##"<link rel=alternate href=/1><link rel=preload href=/2><iframe src=/3></iframe>
            <audio src=/4></audio><video src=/5><source src=/6><track src=/7></video>
            <img srcset="/8 2x"><img src="data:image/png;base64,AA"><a href=/9>x</a>
            <!--[if IE]><img src=/10><![endif]--><textarea><img src=/11></textarea>
            <img src=""><img src="#x"><img src="javascript:void(0)"><script>let a</script>"##;
        assert_eq!(page(html), Vec::<String>::new());
    }

    #[test]
    fn each_once_and_relative_to_the_base() {
        let html =
            r#"<base href="/base/"><img src=a><img src="/base/a"><img src="a"><base href=/no>"#;
        assert_eq!(page(html), ["/base/a"]);
    }

    #[test]
    fn imports_of_style_sheets() {
        let at = Url::parse("http://a.test/css/a.css", true).unwrap();
        let css = r#"@import url("b.css"); /* @import url(no.css); */ @import
            url( '../c;1.css' ) screen; @import "plain.css"; body { background: url(bg.png) }
            @import url(http://b.test/d.css);@import url("#;
        let found: Vec<_> = of_css(css, &at).into_iter().map(|it| it.url.to_string()).collect();
        let expected = [
            "http://a.test/css/b.css",
            "http://a.test/c;1.css",
            "http://a.test/css/bg.png",
            "http://b.test/d.css",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn references_with_addresses_in_their_query_are_relative() {
        assert_eq!(page("<img src='img?u=https://b.test/x'>"), ["/dir/img?u=https://b.test/x"]);
    }

    /// A target may name millions: each would be resolved and compared with all others.
    #[test]
    fn of_a_document_only_so_many_references_are_looked_at() {
        let html: String = (0..30_000).map(|it| format!("<img src=x{it}>")).collect();
        assert_eq!(page(&html).len(), 10_000);
        let css: String = (0..30_000).map(|it| format!("@import url(x{it});")).collect();
        let found = of_css(&css, &Url::parse("http://a.test/", true).unwrap());
        assert_eq!(found.len(), 10_000);
        assert_eq!(page(&"<img src=x>".repeat(30_000)), ["/dir/x"]);
    }

    #[test]
    fn a_tag_with_attributes_without_end_is_the_end_of_the_document() {
        let page_of = |attributes: &str| {
            page(&format!("<img src='/1' alt=\"a > b\"><p {attributes}><img src=/2>"))
        };
        let many = |one: fn(usize) -> String| (0..200_000).map(one).collect::<String>();
        for attributes in [
            many(|it| format!("a{it} ")),
            many(|it| format!("a{it}=\"\"")),
            many(|it| format!("a{it}='>'")),
            many(|it| format!("a{it}/")),
        ] {
            assert_eq!(page_of(&attributes), ["/1"]);
        }
        assert_eq!(page_of(&"class='a b' x=1 ".repeat(500)), ["/1", "/2"]);
        assert_eq!(page_of(&format!("title='{}'", "word ".repeat(5_000))), ["/1", "/2"]);
    }

    const TOKENS: [&str; 30] = [
        "<",
        ">",
        "/",
        "=",
        "\"",
        "'",
        "!",
        "--",
        "*",
        "(",
        ")",
        ";",
        ",",
        " ",
        "a",
        "é",
        "url(",
        "@import ",
        "<img src=",
        "<style>",
        "</style>",
        "<link rel=stylesheet href=",
        "<base href=",
        "<object data=",
        "<p style=",
        "<script>",
        "://",
        "?u=http://b",
        "..",
        "data:",
    ];

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            tokens in prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..60),
        ) {
            let text = tokens.concat();
            page(&text);
            of_css(&text, &Url::parse("http://a.test/", true).unwrap());
        }
    }
}

//! Tests of `check/css`: what is ours. What Gatling finds is in `gatling_tests`.

use std::borrow::Cow;

use proptest::prelude::*;
use rand::SeedableRng;
use scraper::ElementRef;

use super::*;
use crate::check::page::Page;
use crate::check::{HeaderValues, ResponseView};
use crate::expr::{EvalCtx, NoHooks};
use crate::session::Session;

const PAGE: &str = r#"<h1>Head</h1><div id=outer class="box a"><p class=x>one</p><div class="box b">
<p>two</p><p class=x>three</p></div><p>four</p></div><ul id=l><li class=i>L0</li><li class="i on">L1
<b>bold</b></li><li>L2</li><li class=i>L3</li></ul><form><input type=text name=t><input type=checkbox
name=c1 checked><input type=checkbox name=c2><input type=button name=bu><input name=bare><select name=s>
<option>A</option><option selected>B</option></select><button name=plain>Plain</button></form>
<p id=empty></p><p id=comment><!-- c --></p><p id=odd>it's O'Brien (x) a)b "q"</p><div id=1st>digit</div>
<svg viewBox="0 0 1 1"><linearGradient id=g /><use xlink:href="/u" /></svg>"#;

fn found(selector: &str) -> Vec<String> {
    let query = Query::new(selector).unwrap();
    let page = Page::parse(PAGE).unwrap();
    let mut texts = Vec::new();
    let mut add = |element: ElementRef<'_>| {
        let name = element.attr("name").or_else(|| element.attr("id"));
        let text = page.text_of(element).split_whitespace().collect::<Vec<_>>().join(" ");
        texts.push(name.map_or(text, |name| format!("#{name}")));
        ControlFlow::Continue(())
    };
    query.select(&page, &mut add).unwrap();
    texts
}

#[test]
fn places_count_among_what_a_step_has_found() {
    for (selector, expected) in [
        ("li:first", &["L0"][..]),
        ("li:last", &["L3"]),
        ("li:even", &["L0", "L2"]),
        ("li:odd", &["L1 bold", "L3"]),
        ("li:eq(-1)", &["L3"]),
        ("li:eq( 2 )", &["L2"]),
        ("li:eq(9)", &[]),
        ("li:eq(-9)", &[]),
        ("li:gt(-1)", &["L0", "L1 bold", "L2", "L3"]),
        ("li:lt(-1)", &[]),
        // Both count among all items, and what does not count places comes first.
        ("li:gt(0):lt(3)", &["L1 bold", "L2"]),
        ("li:eq(1).i", &["L1 bold"]),
        ("li:eq(2).i", &["L3"]),
        // From the outer element to its own children first.
        ("div > p", &["one", "two", "three", "four"]),
        ("div > p:lt(9)", &["one", "four", "two", "three"]),
        ("div p:lt(9)", &["one", "two", "three", "four"]),
        ("div:first > p", &["one", "four"]),
        ("div:eq(1) p:last", &["three"]),
        ("li:first ~ li:even", &["L1 bold", "L3"]),
        ("li:first + li", &["L1 bold"]),
        ("li:odd b", &["bold"]),
        ("li:last, li:first", &["L3", "L0"]),
        ("li:even, li:first", &["L0", "L2"]),
        // Inside another pseudo-class there is nothing to count among, but for `:has`.
        ("li:not(:first)", &[]),
        ("div:has(p:eq(3))", &["#outer"]),
        ("div:has(p:eq(4))", &[]),
        ("div:has(> p:eq(1)) > div", &["twothree"]),
        ("LI::FIRST", &["L0"]),
    ] {
        assert_eq!(found(selector), expected, "{selector}");
    }
}

#[test]
fn texts_are_found_however_they_are_written() {
    for (selector, expected) in [
        ("li:contains(bold)", &["L1 bold"][..]),
        ("li:contains('L')", &["L0", "L1 bold", "L2", "L3"]),
        ("p:contains(it's)", &["#odd"]),
        ("p:contains('O'Brien')", &["#odd"]),
        ("p:contains('it\\'s')", &["#odd"]),
        ("p:contains('a)b')", &["#odd"]),
        ("p:contains(\"\\\"q\\\"\")", &["#odd"]),
        ("p:contains( two)", &[]),
        ("p:contains('o'):contains('e')", &["one"]),
        ("p.x:contains()", &["one", "three"]),
        ("li:not(:contains(bold)):gt(0)", &["L2", "L3"]),
        ("li:not(':contains(bold)'):gt(0)", &["L2", "L3"]),
        ("ul:has(':contains(bold)') li:first", &["L0"]),
        ("ul:has(li:has(b)) > li:first", &["L0"]),
    ] {
        assert_eq!(found(selector), expected, "{selector}");
    }
}

#[test]
fn kinds_of_controls_and_names_in_any_case() {
    for (selector, expected) in [
        (":text", &["#t"][..]),
        (":checkbox", &["#c1", "#c2"]),
        (":checked", &["#c1"]),
        (":selected", &["B"]),
        (":button", &["#bu"]),
        (":input", &["#t", "#c1", "#c2", "#bu", "#bare", "#s", "#plain"]),
        (":header", &["Head"]),
        ("p:empty", &["#empty", "#comment"]),
        ("p[id]:parent", &["#odd"]),
        ("[NAME=t]", &["#t"]),
        ("input[Type='text']", &["#t"]),
        ("[ name *= 'c' ]", &["#c1", "#c2"]),
        ("[name*='']", &[]),
        ("#1st", &["#1st"]),
        ("svg[viewbox] lineargradient", &["#g"]),
        ("svg[viewBox] linearGradient", &["#g"]),
        (":is(h1, b)", &["Head", "bold"]),
    ] {
        assert_eq!(found(selector), expected, "{selector}");
    }
    let page = Page::parse(PAGE).unwrap();
    let of = |selector: &str, name: &str| {
        let mut value = None;
        let mut take = |element| {
            value = element::attribute(element, name).map(str::to_owned);
            ControlFlow::Break(())
        };
        Query::new(selector).unwrap().select(&page, &mut take).unwrap();
        value
    };
    assert_eq!(of("form input", "NAME").as_deref(), Some("t"));
    assert_eq!(of("svg", "viewbox").as_deref(), Some("0 0 1 1"));
    assert_eq!(of("use", "xlink:href").as_deref(), Some("/u"));
    assert_eq!(of("use", "href"), None);
}

#[test]
fn what_is_no_selector_is_told_in_our_words() {
    for (selector, reason) in [
        ("li > a:foo b", "there is no pseudo-class :foo, in li > a:foo"),
        ("li:foo(2)", "there is no pseudo-class :foo()"),
        ("li:eq(x), a", ":eq() takes a whole number, in li:eq(x)"),
        ("p::before", "there is no pseudo-class :before"),
        ("a:contains(x", "the parenthesis of :contains is not closed"),
        ("", "a selector is missing"),
        ("a, ", "a selector is missing"),
        ("a >", "a selector is missing after the combinator"),
        ("a.1", "it cannot go on like this, in a"),
        ("a. b", "a class is missing after the dot; it begins with no digit, in a."),
        ("a[[", "the name of an attribute is missing"),
        ("[a!=b]", "after the name of an attribute stands ], =, ~=, |=, ^=, $= or *="),
        ("a[b=1] c", "the value of an attribute is a word or in quotes, in a[b=1]"),
        ("a: b", "the name of a pseudo-class is missing after the colon"),
        ("a$", "it cannot go on like this, in a"),
        (":is(:foo) b", "there is no pseudo-class :foo, in :is(:foo)"),
    ] {
        let error = Query::new(selector).unwrap_err();
        let expected = format!("Failed to parse css selector {selector}: {reason}");
        assert!(error.starts_with(&expected), "{error}");
        assert!(!error.contains("report"), "{error}");
    }
    let long = Query::new(&"a".repeat(20_000)).unwrap_err();
    assert!(long.ends_with("aaa…: it has 20000 bytes, more than 16384"), "{long}");
}

fn el(text: &str) -> Expr {
    Expr::El(text.to_owned())
}

#[test]
fn literal_parts_are_looked_at_before_there_are_values() {
    for fine in [
        "#{selector}",
        "div#{more} > a",
        "##{id} .#{class}",
        "li:eq(#{n})",
        "li:eq(-#{n})",
        "li:nth-child(#{a}n+#{b})",
        "a[#{name}='#{value}']",
        "a[href#{operator}'x']",
        "a:contains('#{text}') b:contains(#{text})",
        "li:#{place}",
        "li:#{place}(2)",
        "#{a} #{b} > #{c}:eq(#{d})",
        "#{a} #{b} #{c} #{d} #{e}:foo",
        "tr:not(#{a})",
    ] {
        assert!(pattern(&el(fine)).is_ok(), "{fine}: {:?}", pattern(&el(fine)).err());
    }
    for (wrong, reason) in [
        ("li:foo(#{n})", "there is no pseudo-class :foo()"),
        ("#{a}[[", "the name of an attribute is missing, in #{…}[["),
        ("li:eq(#{n}):foo b", "there is no pseudo-class :foo, in li:eq(#{…}):foo"),
        ("li:contains(#{x}", "the parenthesis of :contains is not closed"),
        ("#{a} >", "a selector is missing after the combinator"),
    ] {
        let error = pattern(&el(wrong)).unwrap_err();
        assert!(
            error.starts_with(&format!("Failed to parse css selector {wrong}: {reason}")),
            "{error}"
        );
    }
}

struct Body(Cow<'static, str>);

impl ResponseView for Body {
    fn status(&self) -> Option<u16> {
        Some(200)
    }

    fn header(&self, _name: &str) -> HeaderValues<'_> {
        HeaderValues::new()
    }

    fn url(&self) -> &'static str {
        "http://h/"
    }

    fn body(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn response_time_ms(&self) -> u64 {
        1
    }
}

/// What a check of a body says; the session has `bad`.
fn said(body: impl Into<Cow<'static, str>>, selector: &str, arity: crate::check::Arity) -> String {
    let spec = crate::check::CheckSpec {
        extractor: crate::check::ExtractorSpec::Css { selector: el(selector), attribute: None },
        arity,
        transforms: Vec::new(),
        validator: crate::check::Validator::Exists,
        save_as: Some("v".to_owned()),
        name: None,
        log_actual: true,
        condition: None,
    };
    let checks = crate::check::CompiledChecks::compile(&[spec], &[]).unwrap();
    let mut session = Session::new("s".into(), 0);
    session.set("bad", "a:foo".into());
    let mut rng = rand::rngs::SmallRng::seed_from_u64(1);
    let mut ctx = EvalCtx { hooks: &mut NoHooks, rng: &mut rng, unix_ms: 0 };
    match checks.run(&Body(body.into()), &mut session, &mut ctx) {
        Ok(()) => session.get("v").map(Value::to_string).unwrap_or_default(),
        Err(message) => message,
    }
}

const FIRST: crate::check::Arity = crate::check::Arity::Find { index: 0 };

#[test]
fn a_selector_that_comes_out_wrong_fails_its_request_alone() {
    let message = said("<a>x</a>", "#{bad} b", FIRST);
    assert_eq!(
        message,
        "Failed to parse css selector a:foo b: there is no pseudo-class :foo, in a:foo"
    );
}

#[test]
fn a_page_that_is_too_deep_or_too_large_fails_its_request_alone() {
    let crashed = |reason: &str| format!("css((b,None)).find.exists preparation crashed: {reason}");
    let deep = |open: &str, count: usize| format!("{}<b>x</b>", open.repeat(count));
    for tag in ["<div>", "<b>", "<i a=1>", "<table><tr><td>", "<span><div>"] {
        let message = said(deep(tag, 60_000), "b", FIRST);
        assert_eq!(message, crashed("the page has more than 2000 elements in each other"), "{tag}");
    }
    assert_eq!(said(deep("<div>", 1_900), "div b:first", FIRST), "x");
    let formatting: String = (0..1_500).map(|n| format!("<b id={n}>")).collect();
    let message = said(format!("<p>{formatting}</p>{}", "<p>x".repeat(20_000)), "b", FIRST);
    assert_eq!(message, crashed("the page has more than 1000000 elements and texts"));
    let unclosed = format!("{}{}", "<div>".repeat(1_900), "</x>".repeat(200_000));
    let message = said(unclosed, "b", FIRST);
    assert_eq!(message, crashed("the page is too long for 1902 elements in each other"));
    let message = said(" ".repeat((16 << 20) + 1), "b", FIRST);
    assert_eq!(message, crashed("the page has 16777217 bytes, more than 16 MiB"));
}

#[test]
fn a_selector_that_costs_too_much_fails_its_request_alone() {
    let siblings = format!("<i></i>{}", "<b></b>".repeat(60_000));
    let all = crate::check::Arity::Count;
    let message = said(siblings.clone(), "u ~ b", all);
    let cost = "the page takes more than 100000000 steps from element to element";
    assert_eq!(
        message,
        format!("css((u ~ b,None)).count.transform.exists extraction crashed: {cost}")
    );
    assert_eq!(said(siblings.clone(), "i ~ b:gt(1)", all), "59998");
    assert_eq!(said(siblings, "b:nth-last-child(2n+1)", all), "30000");
    let nested = format!("{}{}", "<div>".repeat(1_900), "x".repeat(100_000));
    let message = said(nested, "div", crate::check::Arity::FindAll);
    let much = "the elements found have more than 64 MiB of text";
    assert_eq!(message, format!("css((div,None)).findAll.exists extraction crashed: {much}"));
}

/// Pieces of selectors, well put together or not.
fn selectors() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "li",
        "*",
        ".i",
        "#l",
        "#1",
        " ",
        " > ",
        " + ",
        "~",
        ",",
        "[a",
        "[a='x']",
        "[a*=x]",
        "]",
        ":",
        "::",
        ":first",
        ":last",
        ":even",
        ":eq(1)",
        ":eq(",
        ":gt(-2)",
        ":lt(2)",
        ":contains(",
        ":not(",
        ":has(",
        ":is(",
        ")",
        "'",
        "\"",
        "\\",
        "x",
        ":nth-child(2n+1)",
        ":nth-last-of-type(-n+",
        ":root",
        ":empty",
        ":parent",
        ":checked",
        "é",
        "\u{0}",
        "(",
        "> ",
        ":scope",
        "|",
        "&",
        ":host(",
        "/*",
        "\n",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

fn pages() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<div>",
        "</div>",
        "<p>",
        "<p class=i>",
        "<ul id=l>",
        "<li>",
        "<li a=x>",
        "</li>",
        "<b>",
        "</b>",
        "<table>",
        "<tr>",
        "<td>",
        "</table>",
        "<a href=x>",
        "<template>",
        "</template>",
        "<svg>",
        "<!--",
        "-->",
        "x",
        "é",
        "<",
        "&amp;",
        "&",
        "<select>",
        "<option>",
        "<form>",
        "</form>",
        "<script>",
        "</script>",
        "<title>",
        "</body>",
        "<html a=x>",
        "<input checked>",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_that_is_written_or_sent_panics(selector in selectors(), page in pages()) {
        let _ = pattern(&el(&selector));
        match Query::new(&selector) {
            Err(error) => prop_assert!(!error.contains("report"), "{}", error),
            Ok(query) => {
                let page = Page::parse(&page).unwrap();
                prop_assert!(query.select(&page, &mut |_| ControlFlow::Continue(())).is_ok());
            }
        }
    }

    /// What can be asked of each element alone is found by steps as well.
    #[test]
    fn steps_find_what_matching_finds(selector in selectors(), page in pages()) {
        let (Ok(one_by_one), Ok(page)) = (Query::new(&selector), Page::parse(&page)) else {
            return Ok(());
        };
        let by_steps = Query::by_steps_alone(&selector).unwrap();
        let all = |query: &Query| {
            let mut found = Vec::new();
            let mut add = |element: ElementRef<'_>| {
                found.push(element.id());
                ControlFlow::Continue(())
            };
            query.select(&page, &mut add).unwrap();
            found.into_iter().collect::<std::collections::HashSet<_>>()
        };
        prop_assert_eq!(all(&one_by_one), all(&by_steps));
    }
}

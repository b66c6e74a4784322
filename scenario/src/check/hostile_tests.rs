//! Answers that are made to do harm: each fails its own request, with the reason, and costs no more
//! than its limits. (Pages under css: `css/tests`; steps of paths: `xpath/tests`; entities:
//! `xml/doctype`; steps of patterns: `java_regex/tests`; heads, cookies and encodings: `protocol/http`.)

use std::borrow::Cow;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::{
    Arity, CheckSpec, CompiledChecks, ExtractorSpec, Groups, HeaderValues, JsonType, ResponseView,
    Validator,
};
use crate::expr::{EvalCtx, Expr, NoHooks};
use crate::session::Session;
use crate::value::Value;

struct Body(String);

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

fn lit(text: &str) -> Expr {
    Expr::Lit(text.into())
}

/// What all matches of a check are, or what it says, on a thread with a small stack.
fn said(extractor: ExtractorSpec, body: String) -> String {
    let spec = CheckSpec {
        extractor,
        arity: Arity::FindAll,
        transforms: Vec::new(),
        validator: Validator::Exists,
        save_as: Some("v".to_owned()),
        name: Some("it".to_owned()),
        log_actual: true,
        condition: None,
    };
    let run = move || {
        let checks = CompiledChecks::compile(&[spec], &[]).unwrap();
        let mut session = Session::new("s".into(), 0);
        let mut rng = SmallRng::seed_from_u64(1);
        let mut ctx = EvalCtx { hooks: &mut NoHooks, rng: &mut rng, unix_ms: 0 };
        match checks.run(&Body(body), &mut session, &mut ctx) {
            Ok(()) => session.get("v").map(Value::to_string).unwrap_or_default(),
            Err(message) => message,
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap();
    thread.join().unwrap()
}

fn xpath(path: &str) -> ExtractorSpec {
    ExtractorSpec::Xpath { path: lit(path), namespaces: std::collections::BTreeMap::new() }
}

#[test]
fn json_that_is_nested_without_end() {
    let json_path = |path| ExtractorSpec::JsonPath { path: lit(path), of: JsonType::String };
    let jmes_path = |path| ExtractorSpec::JmesPath { path: lit(path), of: JsonType::String };
    let jsonp = |path| ExtractorSpec::JsonpJsonPath { path: lit(path), of: JsonType::String };
    for nested in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        for extractor in [json_path("$..a"), jmes_path("a.b"), json_path("$.a")] {
            let message = said(extractor, nested.clone());
            assert!(
                message.starts_with(
                    "it preparation crashed: could not parse response into a JSON object: \
                     arrays and objects are nested too deeply"
                ),
                "{message}"
            );
        }
        let message = said(jsonp("$..a"), format!("f({nested});"));
        assert!(message.contains("arrays and objects are nested too deeply"), "{message}");
    }
    let deep = format!("{}1{}", "[".repeat(900), "]".repeat(900));
    assert!(said(json_path("$..*"), deep).ends_with(']'));
}

#[test]
fn xml_that_is_nested_without_end_or_larger_than_it_looks() {
    let crashed = |reason: &str| format!("it preparation crashed: {reason}");
    assert_eq!(
        said(xpath("//b"), "<a>".repeat(60_000)),
        crashed("the document has more than 2000 elements in each other")
    );
    assert_eq!(
        said(xpath("//b"), format!("<r>{}</r>", "<a/>".repeat(1_100_000))),
        crashed("the document has more than 1000000 nodes")
    );
    let bomb: String = (1..=9).fold("<!DOCTYPE r [<!ENTITY e0 'lol'>".to_owned(), |text, level| {
        let inner = format!("&e{};", level - 1).repeat(10);
        format!("{text}<!ENTITY e{level} '{inner}'>")
    });
    assert_eq!(
        said(xpath("//r"), bomb + "]><r>&e9;</r>"),
        crashed("the document's entities are more than 16 MiB, or 32 in each other")
    );
    // Text that elements share.
    let nested = format!("{}{}", "<a>".repeat(1_900), "x".repeat(100_000)) + &"</a>".repeat(1_900);
    assert_eq!(
        said(xpath("//a"), nested),
        "it extraction crashed: the nodes found have more than 64 MiB of text"
    );
    let siblings = format!("<r>{}</r>", "<a/>".repeat(100_000));
    assert_eq!(
        said(xpath("//a[preceding::b]"), siblings),
        "it extraction crashed: the document takes more than 50000000 steps"
    );
}

#[test]
fn an_attribute_as_long_as_the_body_is_an_attribute() {
    let long = "x".repeat(8 << 20);
    let body = format!("<a b='{long}'>t</a>");
    assert_eq!(said(xpath("string-length(/a/@b)"), body.clone()), "[8388608]");
    let css = ExtractorSpec::Css { selector: lit("a"), attribute: None };
    assert_eq!(said(css, body), "[t]");
}

#[test]
fn a_text_that_makes_a_pattern_step_back() {
    let regex = |pattern| ExtractorSpec::Regex { pattern: lit(pattern), groups: Groups::First };
    let costly = format!("{};", "a".repeat(20)).repeat(2_000);
    assert_eq!(
        said(regex("(?:a|aa)+(?<=c)|;(?!x)"), costly.clone()),
        "it extraction crashed: matching (?:a|aa)+(?<=c)|;(?!x) needed too many steps"
    );
    // In a path, too; and the linear engine knows no such text.
    let document = format!("<r>{costly}</r>");
    let fine = said(xpath("count(//r[matches(., '^(a|aa)+$')])"), document);
    assert_eq!(fine, "[0]");
}

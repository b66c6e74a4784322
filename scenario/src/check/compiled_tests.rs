//! Tests of `check/compiled`.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::check::{Groups, HeaderValues, JsonType, Transform as TransformSpec, Validator as V};
use crate::expr::{Expr, FnId, HookArgs, HookOutcome, Hooks};

struct Response {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

impl ResponseView for Response {
    fn status(&self) -> Option<u16> {
        Some(self.status)
    }

    fn header(&self, name: &str) -> HeaderValues<'_> {
        self.headers
            .iter()
            .filter(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| Cow::Borrowed(*value))
            .collect()
    }

    fn url(&self) -> &str {
        "http://h/a/42?q=1"
    }

    fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.body)
    }

    fn response_time_ms(&self) -> u64 {
        120
    }
}

/// 0: twice the value; 1: null; 2: throws; 3: `x` for a missing value; 4: the session's `s`.
struct Script;

impl Hooks for Script {
    fn call(
        &mut self,
        function: FnId,
        session: &Session,
        args: HookArgs<'_>,
    ) -> Result<HookOutcome, String> {
        let value = match args {
            HookArgs::Value(value) | HookArgs::ValueAndSession(value) => value.clone(),
            _ => Value::Null,
        };
        Ok(HookOutcome::Value(match (function, value) {
            (0, value) => Value::from(format!("{value}{value}")),
            (2, _) => return Err("Error: boom".to_owned()),
            (3, Value::Null) => "x".into(),
            (3, value) => value,
            (4, _) => session.get("s").cloned().unwrap_or_default(),
            _ => Value::Null,
        }))
    }
}

const JSON: &str = r#"{"a":{"b":[1,2.5,"x",null]},"s":"text","n":1000.0,"tiny":1.2e-7,"big":4294967297,
    "none":null,"list":[{"id":1,"z":null},{"id":2,"my-key":"v"},{"id":3}],"t":true,"d":1,"d":2}"#;

fn ok(body: &'static str) -> Response {
    Response { status: 200, headers: vec![("X-One", "zzy"), ("x-one", "b"), ("ETag", "e")], body }
}

fn el(text: &str) -> Expr {
    Expr::El(text.to_owned())
}

fn lit(value: impl Into<Value>) -> Expr {
    Expr::Lit(value.into())
}

fn spec(extractor: ExtractorSpec) -> CheckSpec {
    CheckSpec {
        extractor,
        arity: Arity::default(),
        transforms: Vec::new(),
        validator: V::Exists,
        save_as: None,
        name: None,
        log_actual: true,
        condition: None,
    }
}

fn json(path: &str, of: JsonType) -> CheckSpec {
    spec(ExtractorSpec::JsonPath { path: el(path), of })
}

fn jmes(path: &str, of: JsonType) -> CheckSpec {
    spec(ExtractorSpec::JmesPath { path: el(path), of })
}

fn regex(pattern: &str, groups: Groups) -> CheckSpec {
    spec(ExtractorSpec::Regex { pattern: el(pattern), groups })
}

fn with(check: CheckSpec, validator: V) -> CheckSpec {
    CheckSpec { validator, ..check }
}

fn at(check: CheckSpec, arity: Arity) -> CheckSpec {
    CheckSpec { arity, ..check }
}

fn run_all(response: &Response, checks: &[CheckSpec]) -> (Result<(), String>, Session) {
    let compiled = CompiledChecks::compile(checks, &[]).unwrap();
    let mut session = Session::new("s".into(), 0);
    session.set("s", "text".into());
    session.set("code", "200".into());
    let mut rng = SmallRng::seed_from_u64(3);
    let mut ctx = EvalCtx { hooks: &mut Script, rng: &mut rng, unix_ms: 0 };
    let result = compiled.run(response, &mut session, &mut ctx);
    (result, session)
}

/// The message of a single check, or `ok`.
fn message(response: &Response, check: CheckSpec) -> String {
    run_all(response, &[check]).0.map_or_else(|message| message, |()| "ok".to_owned())
}

/// What a single check saves, or why it does not.
fn saved(body: &'static str, check: CheckSpec) -> String {
    let check = CheckSpec { save_as: Some("saved".to_owned()), ..check };
    let (result, session) = run_all(&ok(body), &[check]);
    match (result, session.get("saved")) {
        (Err(message), None) => message,
        (Ok(()), Some(value)) => format!("{value} ({})", value.type_name()),
        (Ok(()), None) => "nothing saved".to_owned(),
        (Err(message), Some(value)) => format!("{message}, and yet saved {value}"),
    }
}

const FIND_1: Arity = Arity::Find { index: 1 };

#[test]
fn the_implicit_status_check() {
    for (status, expected) in [
        (200, "ok"),
        (226, "ok"),
        (304, "ok"),
        (302, "status.find.in([200, 209], 304), found 302"),
        (500, "status.find.in([200, 209], 304), found 500"),
    ] {
        let response = Response { status, ..ok("") };
        let implicit =
            run_all(&response, &[]).0.map_or_else(|message| message, |()| "ok".to_owned());
        assert_eq!(implicit, expected);
        // Also one that a false condition skips takes its place.
        let skipped = CheckSpec {
            condition: Some(lit(false)),
            ..with(spec(ExtractorSpec::Status), V::Is(lit(1)))
        };
        assert_eq!(message(&response, skipped), "ok");
    }
}

#[test]
fn texts_of_failures() {
    let status = || spec(ExtractorSpec::Status);
    let response = ok("");
    for (validator, expected) in [
        (V::Is(lit(201)), "status.find.is(201), found 200"),
        (V::Is(el("#{code}")), "ok"),
        (V::Not(lit(200)), "status.find.not(200), unexpectedly found 200"),
        (V::In(vec![lit(201), lit(202)]), "status.find.in(201,202), found 200"),
        (V::Lt(lit(100)), "status.find.lessThan(100), 200 is not less than 100"),
        (
            V::Lte(lit(100)),
            "status.find.lessThanOrEqual(100), 200 is not less than or equal to 100",
        ),
        (V::Gt(lit(300)), "status.find.greaterThan(300), 200 is not greater than 300"),
        (
            V::Gte(lit(300)),
            "status.find.greaterThanOrEqual(300), 200 is not greater than or equal to 300",
        ),
        (V::NotExists, "status.find.notExists, unexpectedly found 200"),
        (V::IsNull, "status.find.isNull, found 200"),
        (V::NotNull, "ok"),
        (V::Optional, "ok"),
        (
            V::Is(el("#{x}")),
            "Check validator resolution crashed: No attribute named 'x' is defined",
        ),
        (V::Custom { name: "mine".to_owned(), function: 2 }, "status.find.mine, Error: boom"),
        (V::Custom { name: "mine".to_owned(), function: 3 }, "ok"),
    ] {
        assert_eq!(message(&response, with(status(), validator)), expected);
    }
    let named = CheckSpec { name: Some("my check".to_owned()), ..with(status(), V::Is(lit(201))) };
    assert_eq!(message(&response, named), "my check, found 200");
    let hidden = CheckSpec { log_actual: false, ..with(status(), V::Is(lit(201))) };
    assert_eq!(message(&response, hidden), "status.find.is(201), failed");
    let hidden = CheckSpec { log_actual: false, ..with(status(), V::Not(lit(201))) };
    assert_eq!(message(&response, hidden), "ok");
}

#[test]
fn nothing_found() {
    let missing = |validator| message(&ok(JSON), with(json("$.nope", JsonType::Int), validator));
    for (validator, expected) in [
        (V::Exists, "jsonPath($.nope).find.exists, found nothing"),
        (V::Is(lit(1)), "jsonPath($.nope).find.is(1), found nothing"),
        (V::Not(lit(1)), "ok"),
        (V::NotExists, "ok"),
        (V::Optional, "ok"),
        (V::Lt(lit(1)), "jsonPath($.nope).find.lessThan(1), can't compare nothing and 1"),
        (V::IsNull, "jsonPath($.nope).find.isNull, found nothing"),
    ] {
        assert_eq!(missing(validator), expected);
    }
    let count = |check| saved(JSON, at(check, Arity::Count));
    assert_eq!(count(json("$.nope", JsonType::String)), "0 (integer)");
    assert_eq!(count(regex("nope", Groups::First)), "0 (integer)");
    assert_eq!(
        count(spec(ExtractorSpec::Header { name: lit("nope") })),
        "header(nope).count.transform.exists, found nothing"
    );
    let check = with(at(regex("e", Groups::First), Arity::Count), V::Is(lit(3)));
    assert_eq!(message(&ok("eee"), check.clone()), "ok");
    assert_eq!(message(&ok("ee"), check), "regex(e).count.transform.is(3), found 2");
}

#[test]
fn json_path_types() {
    for (path, of, expected) in [
        ("$.s", JsonType::String, "text (string)"),
        ("$.n", JsonType::String, "1000.0 (string)"),
        ("$.tiny", JsonType::String, "1.2E-7 (string)"),
        ("$.a", JsonType::String, r#"{"b":[1,2.5,"x",null]} (string)"#),
        ("$.t", JsonType::String, "true (string)"),
        ("$.none", JsonType::String, "null (null)"),
        ("$.none", JsonType::Int, "0 (integer)"),
        ("$.a.b[1]", JsonType::Int, "2 (integer)"),
        ("$.big", JsonType::Int, "1 (integer)"),
        ("$.big", JsonType::Long, "4294967297 (integer)"),
        ("$.s", JsonType::Int, "jsonPath($.s).find.exists, found nothing"),
        ("$.a.b", JsonType::List, "[1, 2.5, x, null] (list)"),
        ("$.a", JsonType::Map, "{b=[1, 2.5, x, null]} (map)"),
        ("$.a", JsonType::List, "jsonPath($.a).find.exists, found nothing"),
        ("$.t", JsonType::Boolean, "true (boolean)"),
        ("$.n", JsonType::Double, "1000.0 (double)"),
        ("$.d", JsonType::Int, "2 (integer)"),
        ("$.list[1].my-key", JsonType::String, "v (string)"),
        ("$.list[?(@.id > 1 && @.id < 3)].id", JsonType::Int, "2 (integer)"),
        ("$.list[?(@.z == null)].id", JsonType::Int, "1 (integer)"),
        ("$..id", JsonType::Int, "1 (integer)"),
    ] {
        assert_eq!(saved(JSON, json(path, of)), expected, "{path}");
    }
    assert_eq!(saved(JSON, at(json("$..id", JsonType::Int), FIND_1)), "2 (integer)");
    assert_eq!(
        saved(JSON, at(json("$.a.b[*]", JsonType::Int), Arity::FindAll)),
        "[1, 2, 0] (list)"
    );
    // Whatever type they are of.
    assert_eq!(saved(JSON, at(json("$.a.b[*]", JsonType::Int), Arity::Count)), "4 (integer)");
    assert_eq!(message(&ok(JSON), with(json("$.none", JsonType::String), V::IsNull)), "ok");
    assert_eq!(
        message(&ok(JSON), with(json("$.none", JsonType::String), V::NotNull)),
        "jsonPath($.none).find.notNull, failed"
    );
    assert!(message(&ok("<p>"), json("$.a", JsonType::String)).starts_with(
        "jsonPath($.a).find.exists preparation crashed: could not parse response into a JSON"
    ));
    assert!(
        message(&ok(JSON), json("$.a[", JsonType::String))
            .starts_with("jsonPath($.a[).find.exists extraction crashed: Failed to parse jsonPath")
    );
}

/// Asked of Gatling 3.16.0.
#[test]
fn whole_numbers_are_exact() {
    let json_text = r#"{"x":9007199254740993,"y":9223372036854775808,"z":18446744073709551615,
        "h":123456789012345678901234567890,"e":1e400,"o":{"b":1,"a":{"d":1,"c":2}}}"#;
    for (path, of, expected) in [
        ("x", JsonType::String, "9007199254740993 (string)"),
        ("x", JsonType::Object, "9007199254740993 (integer)"),
        ("y", JsonType::Object, "9223372036854775808 (integer)"),
        ("y", JsonType::Int, "0 (integer)"),
        ("y", JsonType::Long, "-9223372036854775808 (integer)"),
        ("z", JsonType::String, "18446744073709551615 (string)"),
        ("z", JsonType::Int, "-1 (integer)"),
        ("h", JsonType::Object, "123456789012345678901234567890 (integer)"),
        ("h", JsonType::Int, "1312754386 (integer)"),
        ("h", JsonType::Long, "-4362896299872285998 (integer)"),
        ("h", JsonType::Double, "1.2345678901234568E29 (double)"),
        ("e", JsonType::String, "Infinity (string)"),
        ("e", JsonType::Int, "2147483647 (integer)"),
        // Objects are sorted maps, but a text as the document has it.
        ("o", JsonType::Map, "{a={c=2, d=1}, b=1} (map)"),
        ("o", JsonType::String, r#"{"b":1,"a":{"d":1,"c":2}} (string)"#),
    ] {
        assert_eq!(saved(json_text, json(&format!("$.{path}"), of)), expected, "{path}");
        assert_eq!(saved(json_text, jmes(path, of)), expected, "{path}");
    }
    let huge = with(json("$.z", JsonType::String), V::Is(lit("18446744073709551615")));
    assert_eq!(message(&ok(json_text), huge), "ok");
}

#[test]
fn jmes_path() {
    for (path, of, expected) in [
        ("a.b[0]", JsonType::String, "1 (string)"),
        ("a.b[0]", JsonType::Int, "1 (integer)"),
        ("none", JsonType::String, "jmesPath(none).find.exists, found nothing"),
        ("list[?id == `2`].\"my-key\" | [0]", JsonType::String, "v (string)"),
        ("length(list)", JsonType::Int, "3 (integer)"),
        ("sum(list[].id)", JsonType::Object, "6.0 (double)"),
        ("floor(n)", JsonType::Object, "1000.0 (double)"),
        ("list[].id", JsonType::List, "[1, 2, 3] (list)"),
    ] {
        assert_eq!(saved(JSON, jmes(path, of)), expected, "{path}");
    }
    assert!(
        message(&ok(JSON), jmes("a[", JsonType::String)).starts_with(
            "jmesPath(a[).find.exists extraction crashed: Failed to parse jmesPath a["
        )
    );
}

#[test]
fn a_fatal_failure_is_bare_and_nothing_is_saved() {
    let first = CheckSpec { save_as: Some("saved".to_owned()), ..jmes("s", JsonType::String) };
    let (result, session) = run_all(&ok(JSON), &[first, jmes("sum(s)", JsonType::Object)]);
    let message = result.unwrap_err();
    assert_eq!(
        message,
        "Invalid argument type calling \"sum\": expected array of number but was string"
    );
    assert!(!session.contains("saved"));
    let dynamic = spec(ExtractorSpec::Regex { pattern: el("(#{s}"), groups: Groups::First });
    let (result, _) = run_all(&ok(JSON), &[dynamic]);
    assert!(result.unwrap_err().starts_with("Failed to parse regex (text: unclosed group"));
}

#[test]
fn regex_groups() {
    let body = "a=1;b=22;c=";
    assert_eq!(saved(body, regex(r"\w=\d", Groups::First)), "a=1 (string)");
    assert_eq!(saved(body, regex(r"(x)?(\w)=", Groups::First)), "a (string)");
    assert_eq!(saved(body, at(regex(r"\w=(\d+)", Groups::First), FIND_1)), "22 (string)");
    assert_eq!(saved(body, regex(r"(x)?(\w)=", Groups::Count(2))), "[, a] (list)");
    assert_eq!(
        saved(body, at(regex(r"(\w)=(\d*)", Groups::All), Arity::FindAll)),
        "[[a, 1], [b, 22], [c, ]] (list)"
    );
    // As in Gatling 3.16.0, a group that the pattern does not have is empty.
    assert_eq!(saved(body, regex(r"(\w)", Groups::Count(2))), "[a, ] (list)");
    for _ in 0..3 {
        assert_eq!(saved(body, regex("#{code}|b=22", Groups::First)), "b=22 (string)");
    }
    let refused =
        |pattern| CompiledChecks::compile(&[regex(pattern, Groups::First)], &[]).unwrap_err();
    let many = CompiledChecks::compile(&[regex("a", Groups::Count(9))], &[]).unwrap_err();
    assert_eq!(many, "regex: captureGroups takes 2 to 8 groups, not 9");
    assert!(CompiledChecks::compile(&[regex("a", Groups::Count(1))], &[]).is_err());
    assert!(refused("(a").contains("unclosed group at index 0"), "{}", refused("(a"));
}

#[test]
fn a_regex_means_what_it_means_in_java() {
    let text = |text: &'static str, pattern| saved(text, regex(pattern, Groups::First));
    assert_eq!(text("a=1\r\nb=2", "a=(.*)"), "1 (string)");
    assert_eq!(text("noël", r"\w+"), "no (string)");
    assert_eq!(text("token=x1;", "(?<=token=)[^;]++"), "x1 (string)");
    assert_eq!(text("'a' \"b'\"", r#"(['"])b.\1"#), "\" (string)");
    let hopeless = text(&*"a".repeat(60).leak(), "(a|aa)+(?<=c)");
    assert_eq!(
        hopeless,
        "regex((a|aa)+(?<=c)).find.exists extraction crashed: matching (a|aa)+(?<=c) needed too many steps"
    );
}

#[test]
fn headers_location_and_time() {
    let header = |name| spec(ExtractorSpec::Header { name: lit(name) });
    assert_eq!(saved("", header("x-one")), "zzy (string)");
    assert_eq!(saved("", at(header("x-one"), Arity::FindAll)), "[zzy, b] (list)");
    let header_regex = |pattern| {
        let (name, pattern) = (lit("x-one"), lit(pattern));
        spec(ExtractorSpec::HeaderRegex { name, pattern, groups: Groups::First })
    };
    assert_eq!(saved("", header_regex("z(.)$")), "y (string)");
    assert_eq!(
        message(&ok(""), header_regex("qq")),
        "headerRegex((x-one,qq)).find.exists, found nothing"
    );
    assert_eq!(saved("", spec(ExtractorSpec::CurrentLocation)), "http://h/a/42?q=1 (string)");
    let pattern = lit("/(\\d+)");
    let location = ExtractorSpec::CurrentLocationRegex { pattern, groups: Groups::First };
    assert_eq!(saved("", spec(location)), "42 (string)");
    let time = with(spec(ExtractorSpec::ResponseTime), V::Lt(lit(100)));
    assert_eq!(
        message(&ok(""), time),
        "responseTimeInMillis.find.lessThan(100), 120 is not less than 100"
    );
}

#[test]
fn whole_bodies() {
    assert_eq!(saved("häuser", spec(ExtractorSpec::BodyString)), "häuser (string)");
    assert_eq!(saved("häuser", spec(ExtractorSpec::BodyLength)), "7 (integer)");
    assert_eq!(saved("abc", spec(ExtractorSpec::BodyBytes)), "abc (bytes)");
    assert_eq!(saved("abc", spec(ExtractorSpec::Md5)), "900150983cd24fb0d6963f7d28e17f72 (string)");
    assert_eq!(
        saved("abc", spec(ExtractorSpec::Sha1)),
        "a9993e364706816aba3e25717850c26c9cd0d89d (string)"
    );
    let is = with(spec(ExtractorSpec::BodyString), V::Is(lit("y")));
    assert_eq!(message(&ok("x"), is), "bodyString.find.is(y), failed");
    let bytes = Value::list(vec![Value::Int(97), Value::Int(98)]);
    let is = with(spec(ExtractorSpec::BodyBytes), V::Is(Expr::Lit(bytes)));
    assert_eq!(message(&ok("ab"), is), "ok");
    let substring = |pattern: &str| spec(ExtractorSpec::Substring { pattern: el(pattern) });
    assert_eq!(saved("äxbxx", at(substring("x"), FIND_1)), "3 (integer)");
    assert_eq!(saved("äxbxx", at(substring("x"), Arity::FindAll)), "[1, 3, 4] (list)");
    assert_eq!(message(&ok("a"), substring("x")), "substring(x).find.exists, found nothing");
}

#[test]
fn css() {
    let html = "<ul><li class=i> one <b>!</b></li><li class=i><a href=/x>two</a></li></ul>";
    let css = |selector: &str, attribute: Option<&str>| {
        let attribute = attribute.map(str::to_owned);
        spec(ExtractorSpec::Css { selector: el(selector), attribute })
    };
    assert_eq!(saved(html, css("li.i", None)), "one ! (string)");
    assert_eq!(saved(html, at(css("li", None), Arity::FindAll)), "[one !, two] (list)");
    assert_eq!(saved(html, css("li > a", Some("href"))), "/x (string)");
    assert_eq!(message(&ok(html), css("p", None)), "css((p,None)).find.exists, found nothing");
    assert_eq!(
        message(&ok(html), css("a", Some("id"))),
        "css((a,Some(id))).find.exists, found nothing"
    );
    assert_eq!(saved(html, css("a:contains(two):first", Some("HREF"))), "/x (string)");
    let refused = CompiledChecks::compile(&[css("a:foo", None)], &[]).unwrap_err();
    assert_eq!(refused, "Failed to parse css selector a:foo: there is no pseudo-class :foo");
}

#[test]
fn transforms() {
    let transformed = |check: CheckSpec, transforms: Vec<TransformSpec>, validator| {
        with(CheckSpec { transforms, ..check }, validator)
    };
    let name = || json("$.s", JsonType::String);
    let nope = || json("$.nope", JsonType::String);
    let function = |function| vec![TransformSpec::Function(function)];
    assert_eq!(saved(JSON, transformed(name(), function(0), V::Exists)), "texttext (string)");
    assert_eq!(
        saved(JSON, transformed(name(), function(0), V::Is(lit("x")))),
        "jsonPath($.s).find.transformOption.is(x), found texttext"
    );
    assert_eq!(
        saved(JSON, transformed(name(), function(2), V::Exists)),
        "jsonPath($.s).find.transformOption.exists extraction crashed: \
         Error: boom"
    );
    assert_eq!(saved(JSON, transformed(nope(), function(3), V::Exists)), "x (string)");
    assert_eq!(saved(JSON, transformed(name(), function(1), V::NotExists)), "nothing saved");
    let session = vec![TransformSpec::WithSession(4)];
    assert_eq!(saved(JSON, transformed(nope(), session, V::Exists)), "text (string)");
    let default = |expr| vec![TransformSpec::Default(expr)];
    assert_eq!(saved(JSON, transformed(nope(), default(lit("d")), V::Exists)), "d (string)");
    assert_eq!(saved(JSON, transformed(name(), default(lit("d")), V::Exists)), "text (string)");
    let null = json("$.none", JsonType::String);
    assert_eq!(saved(JSON, transformed(null, default(lit("d")), V::Exists)), "null (null)");
    assert_eq!(
        saved(JSON, transformed(nope(), default(el("#{x}")), V::Exists)),
        "jsonPath($.nope).find.transformOption.exists extraction crashed: \
         No attribute named 'x' is defined"
    );
}

#[test]
fn random_matches() {
    let random = |count, fail_if_less| {
        at(regex("[abc]", Groups::First), Arity::FindRandom { count, fail_if_less })
    };
    assert!(
        ["a (string)", "b (string)", "c (string)"].contains(&&*saved("abc", random(None, false)))
    );
    let two = saved("abc", random(Some(2), true));
    assert_eq!(two.len(), "[a, b] (list)".len(), "{two}");
    assert_eq!(
        saved("abc", random(Some(4), true)),
        "regex([abc]).findRandom(4, true).exists extraction crashed: Failed to collect 4 matches"
    );
    assert_eq!(saved("abc", random(Some(4), false)).len(), "[a, b, c] (list)".len());
    assert_eq!(saved("", random(None, false)), "regex([abc]).findRandom.exists, found nothing");
}

#[test]
fn all_run_in_order_of_scope_and_the_first_failure_is_told() {
    let save = |check: CheckSpec, key: &str| CheckSpec { save_as: Some(key.to_owned()), ..check };
    let checks = [
        save(with(jmes("s", JsonType::String), V::Is(el("#{etag}x"))), "body"),
        save(spec(ExtractorSpec::Header { name: lit("etag") }), "etag"),
        with(spec(ExtractorSpec::Status), V::Is(lit(201))),
        save(jmes("a.b[0]", JsonType::Int), "later"),
    ];
    let (result, session) = run_all(&ok(JSON), &checks);
    assert_eq!(result, Err("status.find.is(201), found 200".to_owned()));
    assert_eq!(session.get("etag"), Some(&"e".into()));
    assert_eq!(session.get("later"), Some(&Value::Int(1)));
    assert!(!session.contains("body"));
    // 304 skips what looks at the body.
    let response = Response { status: 304, ..ok("") };
    let (result, session) = run_all(&response, &checks);
    assert_eq!(result, Err("status.find.is(201), found 304".to_owned()));
    assert!(!session.contains("later") && session.contains("etag"));
    let missing = spec(ExtractorSpec::Regex { pattern: el("#{x}"), groups: Groups::First });
    assert_eq!(
        message(&ok(""), missing.clone()),
        "Check extractor resolution crashed: No attribute named 'x' is defined"
    );
    let conditional = CheckSpec { condition: Some(el("#{x}")), ..missing };
    assert_eq!(message(&ok(""), conditional), "No attribute named 'x' is defined");
}

#[test]
fn the_body_is_wanted_only_by_checks_of_the_body() {
    let needs = |check| CompiledChecks::compile(&[check], &[]).unwrap().needs_body();
    assert!(!needs(spec(ExtractorSpec::Status)));
    assert!(!needs(spec(ExtractorSpec::ResponseTime)));
    assert!(needs(spec(ExtractorSpec::BodyLength)));
    assert!(needs(json("$.a", JsonType::String)));
}

#[test]
fn threads_may_share_compiled_checks() {
    fn shared<T: Send + Sync>() {}
    shared::<CompiledChecks>();
}

//! Tests of `el`.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::expr::NoHooks;

fn session() -> Session {
    let mut session = Session::new("s".into(), 3);
    let json = r#"{"s":"str","n":null,"i":1,"d":1.5,"t":true,"list":["a","b","c"],"empty":[],
        "map":{"k":"v","nothing":null,"deep":{"n":[1,2]}},"html":"a &lt;b&gt; &eacute; <i>"}"#;
    let Value::Map(attributes) = serde_json::from_str(json).unwrap() else { unreachable!() };
    for (name, value) in attributes.iter() {
        session.set(&**name, value.clone());
    }
    session
}

fn eval(text: &str) -> Result<Value, String> {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut ctx = EvalCtx { hooks: &mut NoHooks, rng: &mut rng, unix_ms: 1_795_406_706_789 };
    let template = Template::parse(text)?;
    let value = template.eval(&session(), &mut ctx)?;
    let mut rng = SmallRng::seed_from_u64(7);
    let mut ctx = EvalCtx { hooks: &mut NoHooks, rng: &mut rng, unix_ms: 1_795_406_706_789 };
    let mut out = String::new();
    template.eval_into(&mut out, &session(), &mut ctx)?;
    assert_eq!(out, value.to_string(), "both ways of evaluating {text}");
    Ok(value)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(eval(text).map(|value| value.to_string()), Ok(expected.to_owned()), "{text}");
}

#[track_caller]
fn fails(text: &str, expected: &str) {
    assert_eq!(eval(text), Err(expected.to_owned()), "{text}");
}

#[test]
fn attributes_keep_their_type_alone_and_become_text_in_a_mix() {
    assert_eq!(eval("#{i}"), Ok(Value::Int(1)));
    assert_eq!(eval("#{t}"), Ok(Value::Bool(true)));
    check("a#{i}b#{s}", "a1bstr");
    check("#{list}", "[a, b, c]");
    check("#{map}", "{k=v, nothing=null, deep={n=[1, 2]}}");
    check("plain", "plain");
    check("", "");
    check("ü#{s}ü", "üstrü");
}

#[test]
fn accessors() {
    check("#{map.k}", "v");
    check("#{map.deep.n(1)}", "2");
    check("#{list(0)}", "a");
    check("#{list(-1)}", "c");
    check("#{list(i)}", "b");
    check("#{list._1}", "a");
    check("#{list.size()}", "3");
    check("#{map.size()}", "3");
    check("#{map.deep.n.size()}", "2");
    check("#{map.nothing}", "null");
    let random = eval("#{list.random()}").unwrap().to_string();
    assert!(["a", "b", "c"].contains(&&*random));
    check("#{map.jsonStringify()}", r#"{"k":"v","nothing":null,"deep":{"n":[1,2]}}"#);
    check("#{n.jsonStringify()}", "null");
    check("#{html.htmlUnescape()}", "a <b> é <i>");
}

#[test]
fn existence_never_fails() {
    check("#{s.exists()}", "true");
    check("#{x.exists()}", "false");
    check("#{x.isUndefined()}", "true");
    check("#{n.exists()}", "false");
    check("#{n.isUndefined()}", "true");
    check("#{map.nothing.exists()}", "true");
    check("#{map.x.exists()}", "false");
    check("#{list(7).isUndefined()}", "true");
    check("#{s.k.exists()}", "false");
}

#[test]
fn errors_are_those_of_gatling() {
    fails("#{x}", "No attribute named 'x' is defined");
    fails("a #{x} b", "No attribute named 'x' is defined");
    fails("#{list(x)}", "No attribute named 'x' is defined");
    fails("#{n}", "Attribute n's value is null");
    fails("#{n.k}", "Attribute n's value is null");
    fails("#{map.x}", "Map named 'map' does not contain key 'x'");
    fails("#{map.deep.x}", "Map named 'map.deep' does not contain key 'x'");
    fails("#{list(3)}", "Seq named 'list' is undefined for index 3");
    fails("#{list(-4)}", "Seq named 'list' is undefined for index -4");
    fails("#{empty.random()}", "Seq named 'empty' is undefined for index 0");
    fails("#{s.k}", "str named 's' does not support access by key");
    fails("#{s(0)}", "str named 's' does not support index access");
    fails("#{s.size()}", "str named 's' does not support .size function");
    fails("#{s.random()}", "str named 's' does not support .random function");
    fails("#{i.htmlUnescape()}", "1 named 'i' does not support .htmlUnescape function");
    fails("#{s._1}", "str named s do not support tuple access");
    fails("#{list._4}", "Product [a, b, c] has 3 elements, index is 4");
    fails("#{list(s)}", "Can't parse 'str' into int: For input string: \"str\"");
}

#[test]
fn syntax_errors_name_the_text() {
    fails("#{}", "Failed to parse #{} with error 'attribute name is missing'");
    fails("a#{.b}", "Failed to parse a#{.b} with error 'attribute name is missing'");
    fails(
        "#{a#{b}}",
        "Failed to parse #{a#{b}} with error \
        'nested attribute definition is not allowed'",
    );
    fails(
        "#{a.#{b}}",
        "Failed to parse #{a.#{b}} with error \
        'nested attribute definition is not allowed'",
    );
    fails("#{foo", "Failed to parse #{foo with error ''}' expected but end of source found'");
    fails("#{", "Failed to parse #{ with error ''}' expected but end of source found'");
    fails("#{a)}", "Failed to parse #{a)} with error ''}' expected but ')' found'");
    fails("#{a.nope()}", "Failed to parse #{a.nope()} with error 'unknown function '.nope()''");
    for bad in [
        "#{a.}",
        "#{a()}",
        "#{a(1}",
        "#{randomInt(2)}",
        "#{randomInt(5,1)}",
        "#{randomInt(0,3000000000)}",
        "#{randomDouble(1,2)}",
        "#{randomAlphanumeric(0)}",
        "#{currentDate()}",
        "#{currentDate(rrr)}",
        "#{randomUuid(1)}",
        "#{randomUuid()",
    ] {
        assert!(Template::parse(bad).unwrap_err().starts_with("Failed to parse "), "{bad}");
    }
}

#[test]
fn escapes_and_lookalikes_are_text() {
    check("\\#{s}", "#{s}");
    check("\\#{s} #{s}", "#{s} str");
    // Of the backslashes right before a #{ two stand for one.
    check("\\\\#{s}", "\\str");
    check("a\\\\\\#{s}", "a\\#{s}");
    check("\\\\\\\\#{s}", "\\\\str");
    check("\\#{\\\\#{s}", "#{\\str");
    check("a\\b \\\\ #{s}\\", "a\\b \\\\ str\\");
    check("##{s}#", "#str#");
    check("${s} # {s} }", "${s} # {s} }");
    assert_eq!(Template::parse("a\\#{b}").unwrap().as_literal(), Some("a#{b}"));
    assert_eq!(Template::parse("#{b}").unwrap().as_literal(), None);
}

#[test]
fn functions_without_attribute() {
    assert_eq!(eval("#{currentTimeMillis()}"), Ok(Value::Int(1_795_406_706_789)));
    check("#{currentDate(yyyy-MM-dd'T'HH:mm)}", "2026-11-23T04:05");
    let uuid = eval("#{randomUuid()}").unwrap().to_string();
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
    assert_eq!(eval("#{randomSecureUuid()}").unwrap().to_string().len(), 36);
    for _ in 0..20 {
        let Ok(Value::Int(number)) = eval("#{randomInt(-3,4)}") else { unreachable!() };
        assert!((-3..4).contains(&number));
    }
    check("#{randomInt(4,5)}", "4");
    check("#{randomLong(3000000000,3000000001)}", "3000000000");
    assert!(matches!(eval("#{randomInt()}"), Ok(Value::Int(n)) if i32::try_from(n).is_ok()));
    assert!(matches!(eval("#{randomLong()}"), Ok(Value::Int(_))));
    let Ok(Value::Double(number)) = eval("#{randomDouble(-1.0,1.0,2)}") else { unreachable!() };
    assert!((-1.0..=1.0).contains(&number) && number.to_string().len() <= 5);
    let text = eval("#{randomAlphanumeric(12)}").unwrap().to_string();
    assert!(text.len() == 12 && text.chars().all(|char| char.is_ascii_alphanumeric()));
    // Not a function: an attribute with an index.
    fails("#{randomThing(1)}", "No attribute named 'randomThing' is defined");
}

proptest! {
    #[test]
    fn nothing_panics(text in r"([a-z#{}().,_'\\\-0-9é ]|#\{|(list|map|s|i|n)|\.(size|k|exists)\(\)){0,12}") {
        let _ = eval(&text);
        let _ = eval(&format!("#{{{text}}}"));
        let _ = eval(&format!("#{{currentDate({text})}}"));
    }

    #[test]
    fn text_without_a_brace_is_itself(text in "[^{]*") {
        prop_assert_eq!(eval(&text), Ok(Value::from(text.as_str())));
    }
}

//! Against Java's own answers, and what holds for any pattern.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A pattern, a text, and each match of Java 25: where it begins, and its groups; null: no pattern.
const ANSWERS: &str = include_str!("answers.jsonl");
const ROWS: usize = 1540;

/// As the answers are written. A group's text is where it is in `text`, so the match's place is known.
fn matches(pattern: &str, text: &str) -> Result<Value, String> {
    let Ok(regex) = Regex::new(pattern) else { return Ok(Value::Null) };
    let mut found = Vec::new();
    let flow = regex.captures(text, |captures| {
        let all = captures.get(0).unwrap_or("no match");
        let begin = all.as_ptr() as usize - text.as_ptr() as usize;
        let groups = (0..=regex.groups()).map(|group| json!(captures.get(group)));
        let begin = json!(text[..begin].chars().count());
        found.push(Value::Array([begin].into_iter().chain(groups).collect()));
        ControlFlow::Continue(())
    })?;
    assert_eq!(flow, ControlFlow::Continue(()));
    let whole: Vec<&Value> = found.iter().filter_map(|groups| groups.get(1)).collect();
    let mut plain = Vec::new();
    let flow = regex.find(text, |found| {
        plain.push(json!(found));
        ControlFlow::Continue(())
    })?;
    assert_eq!(flow, ControlFlow::Continue(()));
    assert_eq!(plain.iter().collect::<Vec<_>>(), whole, "{pattern:?} on {text:?}");
    assert_eq!(regex.is_match(text), Ok(!whole.is_empty()), "{pattern:?} on {text:?}");
    Ok(Value::Array(found))
}

#[test]
fn the_same_pattern_takes_the_same_text_as_in_java() {
    let mut differ = Vec::new();
    for line in ANSWERS.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (pattern, text) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
        let ours = matches(pattern, text);
        if ours.as_ref() != Ok(&row[2]) {
            differ.push(format!("{pattern:?} on {text:?}: Java {}, here {ours:?}", row[2]));
        }
    }
    let count = ANSWERS.lines().count();
    assert!(differ.is_empty(), "{} of {count} differ:\n{}", differ.len(), differ.join("\n"));
    assert_eq!(count, ROWS);
}

/// Where a group may match nothing and is repeated, Java counts a last, empty time; and what a group
/// took in a try that failed can stay in it.
#[test]
fn groups_that_differ_are_these() {
    let groups = |pattern, text| matches(pattern, text).unwrap()[0].clone();
    assert_eq!(groups("(a*)*", "aaa"), json!([0, "aaa", "aaa"]), "Java: \"\"");
    assert_eq!(groups("(a|)+", "aaa"), json!([0, "aaa", "a"]), "Java: \"\"");
    assert_eq!(groups("(a|b*)*", "ab"), json!([0, "ab", "b"]), "Java: \"\"");
    assert_eq!(groups("(a|ab)?+c", "abc"), json!([2, "c", null]), "Java: \"a\"");
}

fn is_linear(pattern: &str, text: &str) -> bool {
    let regex = Regex::new(pattern).unwrap();
    !matches!(regex.engines.of(text).unwrap(), Engine::Backtracking(_))
}

#[test]
fn the_linear_engine_does_what_it_can() {
    for pattern in [
        r"(\w+)=(\d+)$",
        r"^\s*(.*?)\s*$",
        r"(?m)^Host: (.*)$",
        r"(?m)^.*$",
        r"\bid\b|\R|\Z",
        r"[a-z&&[^aeiou]]+\h*\v?",
        r"(?i)straße\Q.*\E",
        r#""[^"]*+""#,
        r"\d++\.(?>\d*)$",
        r"(.*?)\R*\w",
        r"\p{L}++ ",
    ] {
        for text in ["id=1", "id=1\n", "id=1\r\n", "id=1\u{85}x"] {
            let rare = text.contains('\u{85}') && pattern.contains("(?m)");
            assert_eq!(is_linear(pattern, text), !rare, "{pattern} on {text:?}");
        }
    }
    for pattern in [r"a(?=b)", r"(?<!a)b", r"(a)\1", r"(?>a|ab)c", r"a*+a", r"\Ga", r"\X", r"\R{2}"]
    {
        assert!(!is_linear(pattern, "ab"), "{pattern}");
    }
    // Of these it depends on the text.
    assert!(is_linear(r"a$\n?", "a") && !is_linear(r"a$\n?", "a\n"));
    assert!(is_linear(r"\bé", "é") && !is_linear(r"\bé", "e\u{301}"));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let refused = |pattern: &str| Regex::new(pattern).err().unwrap_or_default();
    for (pattern, reason) in [
        ("a(b", "unclosed group at index 1"),
        ("a)b", "unmatched closing ')' at index 1"),
        ("é*+*", "dangling meta character '*' at index 3"),
        ("[a", "unclosed character class at index 0"),
        ("x[z-a]", "illegal character range at index 2"),
        (r"a\", "unescaped trailing backslash at index 1"),
        (r"a\y", r"illegal or unsupported escape sequence \y at index 1"),
        (r"[\R]", r"illegal or unsupported escape sequence \R at index 1"),
        ("a{,2}", "illegal repetition at index 1"),
        ("a{2,1}", "illegal repetition range at index 1"),
        ("a{2", "unclosed counted closure at index 1"),
        (r"\p{Foo}", "unknown character property {Foo} at index 0"),
        (r"\k<a>", "named capturing group <a> does not exist at index 0"),
        ("(?<a>x)(?<a>y)", "named capturing group <a> is already defined at index 7"),
        ("(?q)", "unknown inline modifier or group type at index 2"),
        ("a(?c)", "canonical equivalence, (?c), is not supported at index 3"),
        (r"\b{g}", r"boundaries of grapheme clusters, \b{g}, are not supported at index 0"),
        ("((a{999}){999}){999}(?=b)", "its repetitions are too large"),
    ] {
        assert_eq!(refused(pattern), format!("Failed to parse regex {pattern}: {reason}"));
    }
    let deep = format!("{}a{}", "(".repeat(101), ")".repeat(101));
    assert!(refused(&deep).ends_with(": more than 100 groups inside each other at index 101"));
    assert!(Regex::new(&deep[1..202]).is_ok(), "{}", refused(&deep[1..202]));
    assert!(refused(r"\p{L}{9000}").contains("size limit"));
}

#[test]
fn a_match_that_needs_too_many_steps_is_given_up() {
    let regex = Regex::new(r"(?:a|aa)+(?<=c)").unwrap();
    let text = "a".repeat(60);
    let given_up = Err("matching (?:a|aa)+(?<=c) needed too many steps".to_owned());
    assert_eq!(regex.is_match(&text), given_up);
    assert_eq!(regex.is_match("aac"), Ok(false));
    // The linear engine knows no such pattern.
    assert_eq!(Regex::new("(a|aa)+$").unwrap().is_match(&format!("{text}b")), Ok(false));
}

/// Each match of itself takes less than a search may: all of them together take too many.
#[test]
fn many_matches_together_are_given_up_when_they_need_too_many_steps() {
    let regex = Regex::new(r"(?:a|aa)+(?<=c)|;(?!x)").unwrap();
    let all = |text: &str| {
        let mut count = 0;
        let flow = regex.find(text, |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        (flow.map(drop), count)
    };
    // Some tens of thousands of steps before each semicolon.
    let costly = format!("{};", "a".repeat(20)).repeat(2_000);
    let (result, count) = all(&costly);
    let given_up = "matching (?:a|aa)+(?<=c)|;(?!x) needed too many steps";
    assert_eq!(result, Err(given_up.to_owned()));
    assert!(count < 1_000, "{count}");
    // Those that take few are no matter.
    assert_eq!(all(&"b;".repeat(200_000)), (Ok(()), 200_000));
}

#[test]
fn a_text_of_some_megabytes_is_searched() {
    let text = format!("{}token=abc;", "x = 1, ".repeat(300_000));
    let regex = Regex::new(r"(?<=token=)\w+").unwrap();
    let mut found = Vec::new();
    let flow = regex.find(&text, |one| {
        found.push(one.to_owned());
        ControlFlow::Continue(())
    });
    assert_eq!((flow, found), (Ok(ControlFlow::Continue(())), vec!["abc".to_owned()]));
}

#[test]
fn a_whole_match_takes_all_of_the_text() {
    let whole = |pattern: &str, text: &str| Regex::whole(pattern).unwrap().is_match(text);
    assert_eq!(whole("a|ab", "ab"), Ok(true));
    assert_eq!(whole("a|ab", "abc"), Ok(false));
    assert_eq!(whole("(?x)a # all", "a"), Ok(true));
    // As in Java: `$` may stand before the terminator, but that is then not taken.
    assert_eq!(whole("a$", "a\n"), Ok(false));
    assert_eq!(whole("a$\n", "a\n"), Ok(true));
    assert_eq!(whole(".*\\.png(?!x)", "http://a/b.png"), Ok(true));
    assert_eq!(whole("(?!.*secret).*", "http://a/secret"), Ok(false));
}

/// What patterns are made of, and what breaks them.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "é", "😀", ".", "^", "$", "|", "(", ")", "(?:", "(?=", "(?!", "(?<=", "(?<!",
        "(?>", "(?<n>", "\\k<n>", "[", "]", "[^", "&&", "-", "*", "+", "?", "{2}", "{1,3}", "{",
        "}", ",", "\\", "\\1", "\\2", "\\w", "\\W", "\\d", "\\b", "\\B", "\\R", "\\X", "\\G",
        "\\h", "\\v", "\\Q", "\\E", "\\p{L}", "\\P{Lu}", "\\p{", "\\x{61}", "\\x", "\\u0061",
        "\\ud83d", "\\0", "\\c", "(?i)", "(?m)", "(?x)", "(?U)", "(?d-s:", "#", " ", "\n", "\r",
        "1", "\\Z", "\\z",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn texts() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "A", "é", "É", "e\u{301}", "😀", "1", " ", "-", "\n", "\r", "\r\n", "\u{85}",
        "\u{2028}",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_panics(pattern in "\\PC{0,12}", text in texts()) {
        let _ = matches(&pattern, &text);
        let _ = Regex::whole(&pattern);
    }

    #[test]
    fn nothing_that_looks_like_a_pattern_panics(pattern in pieces(), text in texts()) {
        let _ = matches(&pattern, &text);
        let _ = Regex::whole(&pattern).map(|regex| regex.is_match(&text));
    }

    /// Both know what the pattern means; the one that backtracks needs no look at the text.
    #[test]
    fn the_engines_agree(pattern in pieces(), text in texts()) {
        if let Ok(regex) = Regex::new(&pattern) {
            let exact = regex.exact(&pattern).unwrap();
            let spans = |regex: &Regex| {
                let mut spans = Vec::new();
                let ended = regex.captures(&text, |captures| {
                    let groups = 0..=regex.groups();
                    let at = |found: &str| found.as_ptr() as usize - text.as_ptr() as usize;
                    let span = |group| captures.get(group).map(|found| (at(found), found.len()));
                    spans.push(groups.map(span).collect::<Vec<_>>());
                    ControlFlow::Continue(())
                });
                ended.map(|_| spans)
            };
            prop_assert_eq!(spans(&regex), spans(&exact));
        }
    }
}

impl Regex {
    /// The same, without the linear engine.
    fn exact(&self, pattern: &str) -> Result<Self, String> {
        let (node, groups) = parse::parse(pattern).map_err(|fault| fault.reason)?;
        Ok(Self { engines: Engines::exact(pattern, &node, groups)?, ..*self })
    }
}

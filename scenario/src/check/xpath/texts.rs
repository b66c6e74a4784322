//! The functions of texts, and the patterns of some.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ast::Call;
use super::eval::{Evaluated, Evaluation, Focus, truth, whole};
use super::functions::{Arguments, first};
use super::item::{Atomic, Item, Sequence};
use crate::check::xml::Name;
use crate::java_regex::Regex;

/// What a URI keeps as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Texts together, of one function.
const TEXT_MAX: usize = 64 << 20;

fn text_of(text: &str) -> Sequence {
    vec![Item::Atomic(Atomic::text(text))]
}

pub(super) fn qualified(name: &Name) -> String {
    match name.prefix.is_empty() {
        true => name.local.to_string(),
        false => format!("{}:{}", name.prefix, name.local),
    }
}

pub(super) fn local(name: &Name) -> String {
    name.local.to_string()
}

pub(super) fn uri(name: &Name) -> String {
    name.uri.to_string()
}

impl Evaluation<'_> {
    pub(super) fn named(
        &mut self,
        all: Arguments,
        focus: &Focus,
        of: fn(&Name) -> String,
    ) -> Evaluated {
        let node = self.node(all, focus)?;
        Ok(text_of(&node.map_or_else(String::new, |node| of(self.tree.name(node)))))
    }

    fn made(&mut self, text: &str) -> Evaluated {
        self.spend_bytes(text.len())?;
        if text.len() > TEXT_MAX {
            return Err(format!("a text of more than {} MiB", TEXT_MAX >> 20));
        }
        Ok(text_of(text))
    }

    pub(super) fn mapped(&mut self, all: Arguments, map: fn(&str) -> String) -> Evaluated {
        let text = self.text(first(all))?;
        let made = map(&text);
        self.made(&made)
    }

    fn two(&mut self, mut all: Arguments) -> Evaluated<(Arc<str>, Arc<str>)> {
        let second = if all.len() > 1 { all.remove(1) } else { Sequence::new() };
        let (text, part) = (self.text(first(all))?, self.text(second)?);
        self.spend_bytes(text.len())?;
        Ok((text, part))
    }

    pub(super) fn parted(
        &mut self,
        all: Arguments,
        part: for<'x> fn(&'x str, &str) -> &'x str,
    ) -> Evaluated {
        let (text, wanted) = self.two(all)?;
        // What is empty stands before everything.
        self.made(part(&text, &wanted))
    }

    pub(super) fn asked(&mut self, all: Arguments, ask: fn(&str, &str) -> bool) -> Evaluated {
        let (text, part) = self.two(all)?;
        Ok(truth(ask(&text, &part)))
    }

    /// The pattern of a call, made ready before or now.
    fn regex_of(
        &mut self,
        call: &Call,
        pattern: Sequence,
        flags: Sequence,
    ) -> Evaluated<Arc<Regex>> {
        if let Some(regex) = &call.regex {
            return Ok(Arc::clone(regex));
        }
        let (pattern, flags) = (self.text(pattern)?, self.text(flags)?);
        let key = format!("{flags}/{pattern}");
        if let Some(known) = self.regexes.get(&key) {
            return Ok(Arc::clone(known));
        }
        // Making one costs more than most of what is done with it.
        self.spend(10_000)?;
        let made = Arc::new(regex(&pattern, &flags)?);
        self.regexes.insert(key, Arc::clone(&made));
        Ok(made)
    }
}

/// XPath's patterns are read as Java's, whose flags go in front.
///
/// # Errors
/// It is no pattern.
pub(super) fn regex(pattern: &str, flags: &str) -> Result<Regex, String> {
    if let Some(flag) = flags.chars().find(|flag| !"smixq".contains(*flag)) {
        return Err(format!("FORX0001: {flag} is no flag"));
    }
    let literal = flags.contains('q');
    let flags: String = flags.chars().filter(|flag| *flag != 'q').collect();
    let mut text = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
    match literal {
        true => pattern.chars().for_each(|char| {
            if char.is_ascii_punctuation() {
                text.push('\\');
            }
            text.push(char);
        }),
        false => text.push_str(pattern),
    }
    Regex::new(&text).map_err(|reason| format!("FORX0002: {reason}"))
}

pub(super) fn string(
    it: &mut Evaluation<'_>,
    _: &Call,
    all: Arguments,
    focus: &Focus,
) -> Evaluated {
    let value = it.or_focus(all, focus);
    let text = it.text(value)?;
    Ok(vec![Item::Atomic(Atomic::Text(text))])
}

pub(super) fn length(
    it: &mut Evaluation<'_>,
    _: &Call,
    all: Arguments,
    focus: &Focus,
) -> Evaluated {
    let value = it.or_focus(all, focus);
    let text = it.text(value)?;
    it.spend_bytes(text.len())?;
    Ok(whole(text.chars().count()))
}

pub(super) fn normalize_space(
    it: &mut Evaluation<'_>,
    _: &Call,
    all: Arguments,
    focus: &Focus,
) -> Evaluated {
    let value = it.or_focus(all, focus);
    let text = it.text(value)?;
    let words: Vec<&str> = words(&text).collect();
    it.made(&words.join(" "))
}

/// What blanks part: those of XML.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty())
}

pub(super) fn concat(it: &mut Evaluation<'_>, _: &Call, all: Arguments, _: &Focus) -> Evaluated {
    let mut text = String::new();
    for argument in all {
        let more = it.text(argument)?;
        it.spend_bytes(more.len())?;
        text.push_str(&more);
    }
    it.made(&text)
}

pub(super) fn join(it: &mut Evaluation<'_>, _: &Call, mut all: Arguments, _: &Focus) -> Evaluated {
    let between = if all.len() > 1 { all.remove(1) } else { Sequence::new() };
    let between = it.text(between)?;
    let mut text = String::new();
    for (at, item) in first(all).iter().enumerate() {
        let more = it.atom(item)?.string();
        it.spend_bytes(more.len() + between.len())?;
        if at > 0 {
            text.push_str(&between);
        }
        text.push_str(&more);
        if text.len() > TEXT_MAX {
            break;
        }
    }
    it.made(&text)
}

/// Characters whose place lies between two numbers, rounded.
pub(super) fn substring(
    it: &mut Evaluation<'_>,
    _: &Call,
    mut all: Arguments,
    _: &Focus,
) -> Evaluated {
    let round = |number: f64| (number + 0.5).floor();
    let length = if all.len() > 2 { Some(all.remove(2)) } else { None };
    let from = all.remove(1);
    let number = |it: &mut Evaluation<'_>, value: Sequence| {
        Ok::<f64, String>(it.number(value)?.map_or(f64::NAN, |value| value.number()))
    };
    let from = round(number(it, from)?);
    let end = match length {
        None => f64::INFINITY,
        Some(length) => from + round(number(it, length)?),
    };
    let text = it.text(first(all))?;
    it.spend_bytes(text.len())?;
    let places = text.chars().enumerate();
    let inside = places.filter(|(at, _)| {
        let place = (at + 1) as f64;
        place >= from && place < end
    });
    let part: String = inside.map(|(_, char)| char).collect();
    it.made(&part)
}

pub(super) fn contains_token(
    it: &mut Evaluation<'_>,
    _: &Call,
    mut all: Arguments,
    _: &Focus,
) -> Evaluated {
    let token = all.pop().unwrap_or_default();
    let token = it.text(token)?;
    for item in &first(all) {
        let text = it.atom(item)?.string();
        if words(&text).any(|word| word == token.trim()) {
            return Ok(truth(true));
        }
    }
    Ok(truth(false))
}

pub(super) fn translate(
    it: &mut Evaluation<'_>,
    _: &Call,
    mut all: Arguments,
    _: &Focus,
) -> Evaluated {
    let (to, from) = (all.pop().unwrap_or_default(), all.pop().unwrap_or_default());
    let (to, from) = (it.text(to)?, it.text(from)?);
    let text = it.text(first(all))?;
    let mut table = std::collections::HashMap::new();
    let mut others = to.chars();
    for char in from.chars() {
        it.spend(1)?;
        let other = others.next();
        table.entry(char).or_insert(other);
    }
    let made: String =
        text.chars().filter_map(|char| table.get(&char).copied().unwrap_or(Some(char))).collect();
    it.made(&made)
}

pub(super) fn compare(it: &mut Evaluation<'_>, _: &Call, all: Arguments, _: &Focus) -> Evaluated {
    if all.iter().any(Vec::is_empty) {
        return Ok(Sequence::new());
    }
    let (left, right) = it.two(all)?;
    Ok(vec![Item::Atomic(Atomic::Integer(left.cmp(&right) as i128))])
}

pub(super) fn of_code_points(
    it: &mut Evaluation<'_>,
    _: &Call,
    all: Arguments,
    _: &Focus,
) -> Evaluated {
    let mut text = String::new();
    for item in first(all) {
        it.spend(1)?;
        let code = it.number(vec![item])?.and_then(|value| match value {
            Atomic::Integer(code) => u32::try_from(code).ok().and_then(char::from_u32),
            _ => None,
        });
        text.push(code.ok_or_else(|| "FOCH0001: a number is no character".to_owned())?);
    }
    it.made(&text)
}

pub(super) fn code_points(
    it: &mut Evaluation<'_>,
    _: &Call,
    all: Arguments,
    _: &Focus,
) -> Evaluated {
    let text = it.text(first(all))?;
    it.spend(text.len())?;
    Ok(text.chars().flat_map(|char| whole(char as usize)).collect())
}

pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

pub(super) fn matches(
    it: &mut Evaluation<'_>,
    call: &Call,
    mut all: Arguments,
    _: &Focus,
) -> Evaluated {
    let flags = if all.len() > 2 { all.remove(2) } else { Sequence::new() };
    let pattern = all.remove(1);
    let regex = it.regex_of(call, pattern, flags)?;
    let text = it.text(first(all))?;
    it.spend_bytes(text.len())?;
    Ok(truth(regex.is_match(&text)?))
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr().addr() - text.as_ptr().addr()).min(text.len())
}

pub(super) fn replace(
    it: &mut Evaluation<'_>,
    call: &Call,
    mut all: Arguments,
    _: &Focus,
) -> Evaluated {
    let flags = if all.len() > 3 { all.remove(3) } else { Sequence::new() };
    let (with, pattern) = (all.remove(2), all.remove(1));
    let with = it.text(with)?;
    let regex = it.regex_of(call, pattern, flags)?;
    let text = it.text(first(all))?;
    let groups = regex.groups();
    let (mut made, mut done) = (String::new(), 0);
    it.matches(&regex, &text, |group| {
        let whole = group(0).unwrap_or_default();
        if whole.is_empty() {
            return Err("FORX0003: the pattern matches nothing at all".to_owned());
        }
        let from = offset(&text, whole);
        made.push_str(&text[done..from]);
        done = from + whole.len();
        put(&with, groups, group, &mut made)?;
        match made.len() > TEXT_MAX {
            true => Err(format!("a text of more than {} MiB", TEXT_MAX >> 20)),
            false => Ok(()),
        }
    })?;
    made.push_str(&text[done..]);
    it.made(&made)
}

/// `$1` is a group, `\$` and `\\` are characters.
fn put<'x>(
    with: &str,
    groups: usize,
    group: &dyn Fn(usize) -> Option<&'x str>,
    made: &mut String,
) -> Result<(), String> {
    let wrong = || format!("FORX0004: {with:?} is no replacement");
    let mut chars = with.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some(char @ ('\\' | '$')) => made.push(char),
                _ => return Err(wrong()),
            },
            '$' => {
                let digit = chars.next().and_then(|char| char.to_digit(10)).ok_or_else(wrong)?;
                let mut number = digit as usize;
                // More digits count as long as there is such a group.
                while let Some(digit) = chars.peek().and_then(|char| char.to_digit(10)) {
                    if number * 10 + digit as usize > groups {
                        break;
                    }
                    number = number * 10 + digit as usize;
                    chars.next();
                }
                if number <= groups {
                    made.push_str(group(number).unwrap_or_default());
                }
            }
            char => made.push(char),
        }
    }
    Ok(())
}

pub(super) fn tokenize(
    it: &mut Evaluation<'_>,
    call: &Call,
    mut all: Arguments,
    _: &Focus,
) -> Evaluated {
    if all.len() == 1 {
        let text = it.text(first(all))?;
        it.spend(text.len())?;
        return Ok(words(&text).flat_map(text_of).collect());
    }
    let flags = if all.len() > 2 { all.remove(2) } else { Sequence::new() };
    let pattern = all.remove(1);
    let regex = it.regex_of(call, pattern, flags)?;
    let text = it.text(first(all))?;
    if text.is_empty() {
        return Ok(Sequence::new());
    }
    let (mut parts, mut done) = (Sequence::new(), 0);
    it.matches(&regex, &text, |group| {
        let found = group(0).unwrap_or_default();
        if found.is_empty() {
            return Err("FORX0003: the pattern matches nothing at all".to_owned());
        }
        let from = offset(&text, found);
        parts.extend(text_of(&text[done..from]));
        done = from + found.len();
        Ok(())
    })?;
    parts.extend(text_of(&text[done..]));
    it.spend_bytes(text.len())?;
    Ok(parts)
}

/// Digits alone: `001`.
pub(super) fn format_integer(
    it: &mut Evaluation<'_>,
    _: &Call,
    mut all: Arguments,
    _: &Focus,
) -> Evaluated {
    let picture = all.pop().unwrap_or_default();
    let picture = it.text(picture)?;
    if picture.is_empty() || picture.len() > 40 || !picture.bytes().all(|b| b"01#".contains(&b)) {
        return Err(format!("FODF1310: {picture:?} is not of digits alone"));
    }
    let width = picture.trim_start_matches('#').len();
    match it.number(first(all))? {
        None => it.made(""),
        Some(Atomic::Integer(value)) => {
            let sign = if value < 0 { "-" } else { "" };
            it.made(&format!("{sign}{:0width$}", value.unsigned_abs()))
        }
        Some(value) => Err(format!("XPTY0004: {} is no whole number", value.string())),
    }
}

//! Sets of characters, and what of them `(?i)` adds.

use std::sync::LazyLock;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

pub(super) type Set = ClassUnicode;

/// The last code point of Unicode.
const LAST: u32 = 0x10_FFFF;
/// Beyond it no character has a case.
const LAST_CASED: u32 = 0x1_FFFF;

/// Which characters stand for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    None,
    /// `(?i)`
    Ascii,
    /// `(?iu)`
    Unicode,
}

pub(super) fn of(ranges: &[(char, char)]) -> Set {
    Set::new(ranges.iter().map(|&(first, last)| ClassUnicodeRange::new(first, last)))
}

pub(super) fn all() -> Set {
    range(0, LAST)
}

/// Halves of surrogate pairs stand in no text, so they are left out.
pub(super) fn range(first: u32, last: u32) -> Set {
    let part = |first: u32, last: u32| {
        let ends = (char::from_u32(first)?, char::from_u32(last.min(LAST))?);
        (first <= last).then(|| ClassUnicodeRange::new(ends.0, ends.1))
    };
    let parts = [part(first, last.min(0xD7FF)), part(first.max(0xE000), last)];
    Set::new(parts.into_iter().flatten())
}

pub(super) fn negated(mut set: Set) -> Set {
    set.negate();
    set
}

pub(super) fn union(sets: impl IntoIterator<Item = Set>) -> Set {
    let mut all = Set::empty();
    for set in sets {
        all.union(&set);
    }
    all
}

pub(super) fn without(mut set: Set, other: &Set) -> Set {
    set.difference(other);
    set
}

pub(super) fn is_disjoint(set: &Set, other: &Set) -> bool {
    let mut common = set.clone();
    common.intersect(other);
    common.ranges().is_empty()
}

pub(super) fn contains(set: &Set, c: char) -> bool {
    let ranges = set.ranges();
    let after = ranges.partition_point(|range| range.end() < c);
    ranges.get(after).is_some_and(|range| range.start() <= c)
}

/// What ends a line for `.`, `^` and `$`.
pub(super) fn line_terminators() -> Set {
    of(&[('\n', '\n'), ('\r', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')])
}

/// The vertical white space of `\v` and `\R`.
pub(super) fn vertical() -> Set {
    of(&[('\n', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')])
}

/// One character as it is matched.
pub(super) fn folded_one(c: u32, fold: Fold) -> Set {
    let Some(c) = char::from_u32(c) else { return Set::empty() };
    let mut set = of(&[(c, c)]);
    match fold {
        Fold::None => {}
        Fold::Ascii => add(&mut set, [c.to_ascii_lowercase(), c.to_ascii_uppercase()]),
        Fold::Unicode => {
            let base = lower(upper(c));
            let same = CASED.iter().filter(|cased| cased.base == base).map(|cased| cased.c);
            add(&mut set, same.chain([base]));
        }
    }
    set
}

pub(super) fn folded_range(first: u32, last: u32, fold: Fold) -> Set {
    let mut set = range(first, last);
    let inside = |c: char| (first..=last).contains(&u32::from(c));
    match fold {
        Fold::None => {}
        Fold::Ascii => {
            let letters = ('A'..='Z').chain('a'..='z');
            add(
                &mut set,
                letters
                    .filter(|c| inside(c.to_ascii_lowercase()) || inside(c.to_ascii_uppercase())),
            );
        }
        Fold::Unicode => {
            let found = CASED.iter().filter(|cased| inside(cased.upper) || inside(cased.base));
            add(&mut set, found.map(|cased| cased.c));
        }
    }
    set
}

fn add(set: &mut Set, chars: impl IntoIterator<Item = char>) {
    set.union(&Set::new(chars.into_iter().map(|c| ClassUnicodeRange::new(c, c))));
}

/// A character that another stands for.
struct Cased {
    c: char,
    upper: char,
    /// The small letter of `upper`: equal for all that stand for each other.
    base: char,
}

static CASED: LazyLock<Vec<Cased>> = LazyLock::new(|| {
    let all = (0..=LAST_CASED).filter_map(char::from_u32);
    let cased = all.map(|c| Cased { c, upper: upper(c), base: lower(upper(c)) });
    cased.filter(|cased| cased.upper != cased.c || cased.base != cased.c).collect()
});

/// To one character, as Java maps; the standard library maps some to several.
fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => {
            let to = match c {
                '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => 8,
                '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => 9,
                _ => 0,
            };
            char::from_u32(u32::from(c) + to).unwrap_or(c)
        }
    }
}

fn lower(c: char) -> char {
    // Of a dotted I it is two characters, of which Java has the first.
    c.to_lowercase().next().unwrap_or(c)
}

//! `\p{…}`: categories, scripts, blocks, binary properties, POSIX classes, the methods of
//! `java.lang.Character`.

use regex_syntax::Parser;
use regex_syntax::hir::{Class, HirKind};

use super::blocks;
use super::set::{self, Set};

/// How a name is read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// `(?i)`: a class of one case is of all cases.
    pub any_case: bool,
    /// `(?U)`: POSIX classes are Unicode's.
    pub unicode: bool,
}

/// The set of that name, where there is one.
pub(super) fn named(name: &str, reading: Reading) -> Option<Set> {
    let any_case = reading.any_case;
    if let Some((key, value)) = name.split_once('=') {
        return match key.to_ascii_lowercase().as_str() {
            "sc" | "script" => script(value),
            "blk" | "block" => block(value),
            "gc" | "general_category" => general(value, any_case),
            _ => None,
        };
    }
    if let Some(name) = name.strip_prefix("In") {
        return block(name);
    }
    if let Some(name) = name.strip_prefix("Is") {
        return binary(name, any_case)
            .or_else(|| posix(name, any_case))
            .or_else(|| general(name, any_case))
            .or_else(|| script(name));
    }
    let posix = reading.unicode.then(|| posix(name, any_case)).flatten();
    posix.or_else(|| general(name, any_case))
}

/// `\d` of `(?U)`.
pub(super) fn digit() -> Set {
    unicode("Nd")
}

/// `\s` of `(?U)`.
pub(super) fn white_space() -> Set {
    unicode("White_Space")
}

/// `\w` of `(?U)`.
pub(super) fn word() -> Set {
    set::union(["Alphabetic", "M", "Nd", "Pc", "Join_Control"].map(unicode))
}

pub(super) fn letter_or_digit() -> Set {
    set::union(["L", "Nd"].map(unicode))
}

pub(super) fn non_spacing_mark() -> Set {
    unicode("Mn")
}

/// By one of the names that stand in this module.
pub(super) fn unicode(name: &str) -> Set {
    query(name).unwrap_or_else(Set::empty)
}

fn query(name: &str) -> Option<Set> {
    let parsed = Parser::new().parse(&format!(r"\p{{{name}}}")).ok()?;
    match parsed.into_kind() {
        HirKind::Class(Class::Unicode(set)) => Some(set),
        // What a set of one character becomes.
        HirKind::Literal(one) => {
            let text = std::str::from_utf8(&one.0).ok()?;
            Some(set::union(text.chars().map(|c| set::of(&[(c, c)]))))
        }
        _ => None,
    }
}

fn script(name: &str) -> Option<Set> {
    let known = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if known { query(&format!("sc={name}")) } else { None }
}

fn block(name: &str) -> Option<Set> {
    blocks::named(name).map(|(first, last)| set::range(first, last))
}

fn cased() -> Set {
    set::union(["Lowercase", "Uppercase", "Lt"].map(unicode))
}

fn binary(name: &str, any_case: bool) -> Option<Set> {
    Some(match name.to_ascii_uppercase().as_str() {
        "LOWERCASE" | "UPPERCASE" | "TITLECASE" if any_case => cased(),
        "LOWERCASE" => unicode("Lowercase"),
        "UPPERCASE" => unicode("Uppercase"),
        "TITLECASE" => unicode("Lt"),
        "ALPHABETIC" => unicode("Alphabetic"),
        "ASSIGNED" => set::negated(unicode("Cn")),
        "CONTROL" => unicode("Cc"),
        "EMOJI" => unicode("Emoji"),
        "EMOJI_PRESENTATION" => unicode("Emoji_Presentation"),
        "EMOJI_MODIFIER" => unicode("Emoji_Modifier"),
        "EMOJI_MODIFIER_BASE" => unicode("Emoji_Modifier_Base"),
        "EMOJI_COMPONENT" => unicode("Emoji_Component"),
        "EXTENDED_PICTOGRAPHIC" => unicode("Extended_Pictographic"),
        "HEXDIGIT" | "HEX_DIGIT" => hex_digit(),
        "IDEOGRAPHIC" => unicode("Ideographic"),
        "JOINCONTROL" | "JOIN_CONTROL" => unicode("Join_Control"),
        "LETTER" => unicode("L"),
        "NONCHARACTERCODEPOINT" | "NONCHARACTER_CODE_POINT" => unicode("Noncharacter_Code_Point"),
        "PUNCTUATION" => unicode("P"),
        "WHITESPACE" | "WHITE_SPACE" => white_space(),
        "WORD" => word(),
        _ => return None,
    })
}

fn hex_digit() -> Set {
    set::union(["Nd", "Hex_Digit"].map(unicode))
}

/// The POSIX classes as Unicode has them.
fn posix(name: &str, any_case: bool) -> Option<Set> {
    let blank = || set::union([unicode("Zs"), set::of(&[('\t', '\t')])]);
    let graph = || set::negated(set::union(["Z", "Cc", "Cn"].map(unicode)));
    Some(match name.to_ascii_uppercase().as_str() {
        "LOWER" | "UPPER" if any_case => cased(),
        "LOWER" => unicode("Lowercase"),
        "UPPER" => unicode("Uppercase"),
        "ALPHA" => unicode("Alphabetic"),
        "SPACE" => white_space(),
        "PUNCT" => unicode("P"),
        "XDIGIT" => hex_digit(),
        "ALNUM" => set::union(["Alphabetic", "Nd"].map(unicode)),
        "CNTRL" => unicode("Cc"),
        "DIGIT" => digit(),
        "BLANK" => blank(),
        "GRAPH" => graph(),
        "PRINT" => set::without(set::union([graph(), blank()]), &unicode("Cc")),
        _ => return None,
    })
}

const CATEGORIES: [&str; 36] = [
    "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Me", "Mc", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc",
    "Cf", "Co", "Pd", "Ps", "Pe", "Pc", "Po", "Sm", "Sc", "Sk", "So", "Pi", "Pf", "L", "M", "N",
    "Z", "C", "P", "S",
];

/// Categories, POSIX classes of ASCII, methods of `Character`: here the case of a name counts.
fn general(name: &str, any_case: bool) -> Option<Set> {
    Some(match name {
        "Lu" | "Ll" | "Lt" if any_case => set::union(["Lu", "Ll", "Lt"].map(unicode)),
        category if CATEGORIES.contains(&category) => unicode(&format!("gc={category}")),
        // A half of a pair stands in no text.
        "Cs" => Set::empty(),
        "LC" => set::union(["Lu", "Ll", "Lt"].map(unicode)),
        "LD" => letter_or_digit(),
        "L1" => set::range(0, 0xFF),
        "all" => set::all(),
        _ => return ascii(name, any_case).or_else(|| method(name, any_case)),
    })
}

fn ascii(name: &str, any_case: bool) -> Option<Set> {
    Some(match name {
        "ASCII" => set::range(0, 0x7F),
        "Alpha" => set::of(&[('A', 'Z'), ('a', 'z')]),
        "Lower" | "Upper" if any_case => set::of(&[('A', 'Z'), ('a', 'z')]),
        "Lower" => set::of(&[('a', 'z')]),
        "Upper" => set::of(&[('A', 'Z')]),
        "Digit" => set::of(&[('0', '9')]),
        "Alnum" => set::of(&[('0', '9'), ('A', 'Z'), ('a', 'z')]),
        "Punct" => set::of(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        "Graph" => set::of(&[('!', '~')]),
        "Print" => set::of(&[(' ', '~')]),
        "Blank" => set::of(&[('\t', '\t'), (' ', ' ')]),
        "Cntrl" => set::of(&[('\0', '\x1F'), ('\x7F', '\x7F')]),
        "XDigit" => set::of(&[('0', '9'), ('A', 'F'), ('a', 'f')]),
        "Space" => set::of(&[('\t', '\r'), (' ', ' ')]),
        _ => return None,
    })
}

/// `javaLowerCase` is `Character.isLowerCase`, and so on.
fn method(name: &str, any_case: bool) -> Option<Set> {
    let ignorable = || {
        let controls = [('\0', '\x08'), ('\x0E', '\x1B'), ('\x7F', '\u{9F}')];
        set::union([set::of(&controls), unicode("Cf")])
    };
    Some(match name.strip_prefix("java")? {
        "LowerCase" | "UpperCase" | "TitleCase" if any_case => cased(),
        "LowerCase" => unicode("Lowercase"),
        "UpperCase" => unicode("Uppercase"),
        "TitleCase" => unicode("Lt"),
        "Alphabetic" => unicode("Alphabetic"),
        "Ideographic" => unicode("Ideographic"),
        "Digit" => digit(),
        "Defined" => set::negated(unicode("Cn")),
        "Letter" => unicode("L"),
        "LetterOrDigit" => letter_or_digit(),
        "JavaIdentifierStart" => set::union(["L", "Nl", "Sc", "Pc"].map(unicode)),
        "JavaIdentifierPart" => {
            let named = ["L", "Nl", "Sc", "Pc", "Nd", "Mc", "Mn"].map(unicode);
            set::union(named.into_iter().chain([ignorable()]))
        }
        "UnicodeIdentifierStart" => unicode("ID_Start"),
        "UnicodeIdentifierPart" => set::union([unicode("ID_Continue"), ignorable()]),
        "IdentifierIgnorable" => ignorable(),
        "SpaceChar" => unicode("Z"),
        "Whitespace" => {
            let unbreakable =
                [('\u{A0}', '\u{A0}'), ('\u{2007}', '\u{2007}'), ('\u{202F}', '\u{202F}')];
            let breakable = set::without(unicode("Z"), &set::of(&unbreakable));
            set::union([breakable, set::of(&[('\t', '\r'), ('\x1C', '\x1F')])])
        }
        "ISOControl" => set::of(&[('\0', '\x1F'), ('\x7F', '\u{9F}')]),
        "Mirrored" => unicode("Bidi_Mirrored"),
        _ => return None,
    })
}

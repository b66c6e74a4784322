//! The pseudo-classes that Gatling's engine has besides those of CSS, for the `selectors` crate.

use std::fmt;

use cssparser::{BasicParseErrorKind, CowRcStr, ParseError, ParseErrorKind, ToCss};
use scraper::selector::{CssLocalName, CssString, PseudoElement};
use selectors::parser::{self, ParseRelative, SelectorList, SelectorParseErrorKind};

use super::query::Steps;

/// The names and the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect;

impl parser::SelectorImpl for Dialect {
    type ExtraMatchingData<'a> = ();
    type AttrValue = CssString;
    type Identifier = CssLocalName;
    type LocalName = CssLocalName;
    type NamespacePrefix = CssLocalName;
    type NamespaceUrl = html5ever::Namespace;
    type BorrowedNamespaceUrl = html5ever::Namespace;
    type BorrowedLocalName = CssLocalName;
    type NonTSPseudoClass = Pseudo;
    type PseudoElement = PseudoElement;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pseudo {
    /// By the place among all elements that a step has found: no element alone can tell.
    Position(Position),
    /// `:contains(text)`, anywhere inside.
    Contains(Box<str>),
    /// `:has(selector)`: as steps, so that places count inside as well.
    Has(Box<[Steps]>),
    /// `:text`, `:submit` …: by the `type` attribute.
    Type(&'static str),
    /// `:checked`, `:selected`: by an attribute of that name.
    Flag(&'static str),
    Header,
    Input,
    Parent,
}

/// From 0, in the order in which a step finds elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    First,
    Last,
    Even,
    Odd,
    /// From the end where negative.
    Eq(i32),
    Gt(i32),
    Lt(i32),
}

impl Position {
    pub(super) fn holds(self, index: usize, count: usize) -> bool {
        let at = i64::try_from(index).unwrap_or(i64::MAX);
        match self {
            Self::First => index == 0,
            Self::Last => index + 1 == count,
            Self::Even => index.is_multiple_of(2),
            Self::Odd => !index.is_multiple_of(2),
            Self::Eq(wanted) if wanted < 0 => {
                at == i64::try_from(count).unwrap_or(i64::MAX) + i64::from(wanted)
            }
            Self::Eq(wanted) => at == i64::from(wanted),
            Self::Gt(wanted) => at > i64::from(wanted),
            Self::Lt(wanted) => at < i64::from(wanted),
        }
    }
}

impl parser::NonTSPseudoClass for Pseudo {
    fn is_active_or_hover(&self) -> bool {
        false
    }

    fn is_user_action_state(&self) -> bool {
        false
    }
}

/// For debugging alone: what was written is kept elsewhere.
impl ToCss for Pseudo {
    fn to_css<W: fmt::Write>(&self, dest: &mut W) -> fmt::Result {
        write!(dest, ":{self:?}")
    }
}

const TYPES: [&str; 9] =
    ["button", "checkbox", "file", "image", "password", "radio", "reset", "submit", "text"];
const FLAGS: [&str; 2] = ["checked", "selected"];

impl<'i> parser::Parser<'i> for Dialect {
    type Impl = Self;
    type Error = Wrong;

    fn parse_is_and_where(&self) -> bool {
        true
    }

    /// What is wrong inside `:is` is wrong.
    fn allow_forgiving_selectors(&self) -> bool {
        false
    }

    fn parse_non_ts_pseudo_class(&self, name: CowRcStr<'i>) -> Result<Pseudo, ParseError<Wrong>> {
        let known = |names: &[&'static str]| {
            names.iter().copied().find(|known| name.eq_ignore_ascii_case(known))
        };
        if let Some(name) = known(&TYPES) {
            return Ok(Pseudo::Type(name));
        }
        if let Some(name) = known(&FLAGS) {
            return Ok(Pseudo::Flag(name));
        }
        Ok(match name.to_ascii_lowercase().as_str() {
            "first" => Pseudo::Position(Position::First),
            "last" => Pseudo::Position(Position::Last),
            "even" => Pseudo::Position(Position::Even),
            "odd" => Pseudo::Position(Position::Odd),
            "header" => Pseudo::Header,
            "input" => Pseudo::Input,
            "parent" => Pseudo::Parent,
            _ => return Err(ParseError::custom(Wrong::Unknown(format!(":{name}")))),
        })
    }

    fn parse_non_ts_functional_pseudo_class(
        &self,
        name: CowRcStr<'i>,
        input: &mut cssparser::Parser<'i>,
        _after_part: bool,
    ) -> Result<Pseudo, ParseError<Wrong>> {
        let position: fn(i32) -> Position = match name.to_ascii_lowercase().as_str() {
            "contains" => return Ok(Pseudo::Contains(Box::from(&**input.expect_string()?))),
            "has" => {
                let list: SelectorList<Self> =
                    SelectorList::parse(self, input, ParseRelative::ForHas)?;
                return Ok(Pseudo::Has(list.slice().iter().map(Steps::inside).collect()));
            }
            "eq" => Position::Eq,
            "gt" => Position::Gt,
            "lt" => Position::Lt,
            _ => return Err(ParseError::custom(Wrong::Unknown(format!(":{name}()")))),
        };
        let number = input
            .expect_integer()
            .map_err(|_| ParseError::custom(Wrong::Number(format!(":{name}()"))))?;
        Ok(Pseudo::Position(position(number)))
    }

    fn parse_pseudo_element(&self, name: CowRcStr<'i>) -> Result<PseudoElement, ParseError<Wrong>> {
        Err(ParseError::custom(Wrong::Unknown(format!(":{name}"))))
    }

    fn parse_functional_pseudo_element(
        &self,
        name: CowRcStr<'i>,
        _arguments: &mut cssparser::Parser<'i>,
    ) -> Result<PseudoElement, ParseError<Wrong>> {
        Err(ParseError::custom(Wrong::Unknown(format!(":{name}()"))))
    }
}

/// Why a selector is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wrong {
    Unknown(String),
    Number(String),
    Grammar(SelectorParseErrorKind),
}

impl From<SelectorParseErrorKind> for Wrong {
    fn from(kind: SelectorParseErrorKind) -> Self {
        Self::Grammar(kind)
    }
}

/// In our words: those of a parser are for the people who write parsers.
pub(super) fn reason(error: &ParseError<Wrong>) -> String {
    use SelectorParseErrorKind as Kind;
    let text = match &error.kind {
        ParseErrorKind::Custom(Wrong::Unknown(name)) => {
            return format!("there is no pseudo-class {name}");
        }
        ParseErrorKind::Custom(Wrong::Number(name)) => {
            return format!("{name} takes a whole number");
        }
        ParseErrorKind::Basic(BasicParseErrorKind::EndOfInput) => "it ends too early",
        ParseErrorKind::Basic(BasicParseErrorKind::TooManyNestedBlocks) => {
            "too many parentheses in each other"
        }
        ParseErrorKind::Basic(_) => "it cannot go on like this",
        ParseErrorKind::Custom(Wrong::Grammar(kind)) => match kind {
            Kind::EmptySelector => "a selector is missing",
            Kind::DanglingCombinator => "a selector is missing after the combinator",
            Kind::ClassNeedsIdent => "a class is missing after the dot; it begins with no digit",
            Kind::NoQualifiedNameInAttributeSelector | Kind::InvalidQualNameInAttr => {
                "the name of an attribute is missing"
            }
            Kind::UnexpectedTokenInAttributeSelector | Kind::ExpectedBarInAttr => {
                "after the name of an attribute stands ], =, ~=, |=, ^=, $= or *="
            }
            Kind::BadValueInAttr => "the value of an attribute is a word or in quotes",
            Kind::PseudoElementExpectedColon
            | Kind::PseudoElementExpectedIdent
            | Kind::NoIdentForPseudo => "the name of a pseudo-class is missing after the colon",
            Kind::ExpectedNamespace | Kind::ExplicitNamespaceUnexpectedToken => {
                "there are no namespaces"
            }
            _ => "this cannot stand here",
        },
    };
    text.to_owned()
}

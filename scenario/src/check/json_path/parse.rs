//! Text → steps, by Gatling's grammar: the first form that fits counts, and blanks are passed over
//! between any two words, also before a name inside its quotes.

use crate::value::Value;

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// `$` inside a filter.
    Root,
    /// `@`: the node that is looked at.
    Current,
    Field(String),
    /// `['a', 'b']`
    Fields(Vec<String>),
    AnyField,
    /// `[0, -1]`
    Items(Vec<i32>),
    /// `[start:stop:step]`; `[*]` is all.
    Slice {
        start: Option<i32>,
        stop: Option<i32>,
        step: i32,
    },
    /// `..name`
    Below(String),
    /// `..*`
    AnyBelow,
    Filter(Filter),
    /// `..[?(…)]`
    FilterBelow(Filter),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    Has(Vec<Step>),
    Compare(Comparison, Operand, Operand),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Path(Vec<Step>),
    Value(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Filters inside each other.
const DEPTH_MAX: u32 = 64;

/// # Errors
/// What is wrong, and where.
pub(super) fn parse(path: &str) -> Result<Vec<Step>, String> {
    let mut parser = Parser { rest: path, furthest: path.len(), wanted: "'$'", depth: 0 };
    let steps = parser.word("$").then(|| parser.steps());
    parser.blanks();
    match steps {
        Some(steps) if parser.rest.is_empty() => Ok(steps),
        _ => {
            let at = path.len() - parser.furthest;
            let found = path[at..].chars().next();
            let found = found.map_or_else(|| "the end".to_owned(), |char| format!("'{char}'"));
            let character = path[..at].chars().count() + 1;
            Err(format!("{} expected at character {character}, found {found}", parser.wanted))
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// What was left where it got furthest, and what was wanted there.
    furthest: usize,
    wanted: &'static str,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(|char: char| {
            // The blanks of Java's patterns.
            matches!(char, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
        });
    }

    /// Remembers for the error text what did not fit.
    fn wants(&mut self, wanted: &'static str) {
        if self.rest.len() <= self.furthest {
            self.furthest = self.rest.len();
            self.wanted = wanted;
        }
    }

    /// Takes the word, blanks before it or none.
    fn word(&mut self, word: &'static str) -> bool {
        let before = self.rest;
        self.blanks();
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => {
                self.wants(match word {
                    "[?(" => "a step",
                    "]" => "']'",
                    ")]" => "')]'",
                    "$" => "'$'",
                    "'" | "\"" => "a name in quotes",
                    _ => "another word",
                });
                self.rest = before;
                false
            }
        }
    }

    /// All of `parse` or nothing.
    fn attempt<T>(&mut self, parse: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.rest;
        let parsed = parse(self);
        if parsed.is_none() {
            self.rest = before;
        }
        parsed
    }

    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = self.attempt(Self::step) {
            steps.push(step);
        }
        steps
    }

    fn step(&mut self) -> Option<Step> {
        self.attempt(|parser| parser.word(".").then(|| parser.name())?.map(Step::Field))
            .or_else(|| self.below())
            .or_else(|| {
                let any = self.word(".*") || self.word("['*']") || self.word("[\"*\"]");
                any.then_some(Step::AnyField)
            })
            .or_else(|| self.attempt(Self::fields))
            .or_else(|| self.attempt(Self::items))
            .or_else(|| self.attempt(Self::filter).map(Step::Filter))
    }

    fn below(&mut self) -> Option<Step> {
        for dots in ["..*", ".."] {
            let filter = self.attempt(|parser| parser.word(dots).then(|| parser.filter())?);
            if let Some(filter) = filter {
                return Some(Step::FilterBelow(filter));
            }
        }
        if self.word("..*") {
            return Some(Step::AnyBelow);
        }
        self.attempt(|parser| parser.word("..").then(|| parser.name())?.map(Step::Below))
    }

    /// After a dot.
    fn name(&mut self) -> Option<String> {
        self.blanks();
        let end = self.rest.find(|char: char| "*.[]()=!<> \t\n\u{b}\u{c}\r".contains(char));
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if name.is_empty() {
            self.wants("a name");
            return None;
        }
        self.rest = rest;
        Some(name.to_owned())
    }

    fn fields(&mut self) -> Option<Step> {
        if !self.word("[") {
            return None;
        }
        let mut names = vec![self.quoted(1)?];
        while let Some(name) = self.attempt(|parser| parser.word(",").then(|| parser.quoted(1))?) {
            names.push(name);
        }
        if !self.word("]") {
            return None;
        }
        Some(match names.len() {
            1 => Step::Field(names.remove(0)),
            _ => Step::Fields(names),
        })
    }

    /// In single or double quotes; at least so many characters.
    fn quoted(&mut self, least: usize) -> Option<String> {
        for (quote, escaped) in [("'", "\\'"), ("\"", "\\\"")] {
            let found = self.attempt(|parser| {
                if !parser.word(quote) {
                    return None;
                }
                parser.blanks();
                let end = closing(parser.rest, quote).filter(|end| *end >= least)?;
                let text = parser.rest[..end].replace(escaped, quote);
                parser.rest = &parser.rest[end + 1..];
                Some(text)
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn items(&mut self) -> Option<Step> {
        if !self.word("[") {
            return None;
        }
        let step = if self.word("*") {
            Step::Slice { start: None, stop: None, step: 1 }
        } else {
            let start = self.number();
            match self.attempt(|parser| parser.slice(start)) {
                Some(slice) => slice,
                None => {
                    let mut places = vec![start?];
                    while let Some(place) =
                        self.attempt(|parser| parser.word(",").then(|| parser.number())?)
                    {
                        places.push(place);
                    }
                    Step::Items(places)
                }
            }
        };
        self.word("]").then_some(step)
    }

    /// From the colon on.
    fn slice(&mut self, start: Option<i32>) -> Option<Step> {
        if !self.word(":") {
            return None;
        }
        let stop = self.number();
        let step = if self.word(":") { self.number().unwrap_or(1) } else { 1 };
        // Gatling has no step of 0 either, but finds out only when it is used.
        (step != 0).then_some(Step::Slice { start, stop, step })
    }

    fn digits(&mut self) -> Option<&'a str> {
        self.blanks();
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let end = digits.find(|char: char| !char.is_ascii_digit()).unwrap_or(digits.len());
        if end == 0 {
            self.wants("a number");
            return None;
        }
        let (number, rest) = self.rest.split_at(self.rest.len() - digits.len() + end);
        self.rest = rest;
        Some(number)
    }

    fn number(&mut self) -> Option<i32> {
        self.attempt(|parser| parser.digits()?.parse().ok())
    }

    fn filter(&mut self) -> Option<Filter> {
        if !self.word("[?(") || self.depth >= DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        let filter = self.any_of();
        self.depth -= 1;
        let filter = filter?;
        self.word(")]").then_some(filter)
    }

    /// `a && b || c`: and binds closer.
    fn any_of(&mut self) -> Option<Filter> {
        let mut any = self.all_of()?;
        while let Some(next) = self.attempt(|parser| parser.word("||").then(|| parser.all_of())?) {
            any = Filter::Or(Box::new(any), Box::new(next));
        }
        Some(any)
    }

    fn all_of(&mut self) -> Option<Filter> {
        let mut all = self.condition()?;
        while let Some(next) =
            self.attempt(|parser| parser.word("&&").then(|| parser.condition())?)
        {
            all = Filter::And(Box::new(all), Box::new(next));
        }
        Some(all)
    }

    fn condition(&mut self) -> Option<Filter> {
        if let Some(path) = self.attempt(Self::path) {
            let compared = self.attempt(|parser| {
                let comparison = parser.comparison()?;
                let right = parser.attempt(Self::path).map(Operand::Path);
                Some((comparison, right.or_else(|| parser.value().map(Operand::Value))?))
            });
            return Some(match compared {
                None => Filter::Has(path),
                Some((comparison, right)) => {
                    Filter::Compare(comparison, Operand::Path(path), right)
                }
            });
        }
        self.attempt(|parser| {
            let left = Operand::Value(parser.value()?);
            let comparison = parser.comparison()?;
            Some(Filter::Compare(comparison, left, Operand::Path(parser.path()?)))
        })
    }

    fn path(&mut self) -> Option<Vec<Step>> {
        let first = if self.word("@") {
            Step::Current
        } else if self.word("$") {
            Step::Root
        } else {
            return None;
        };
        let mut path = vec![first];
        path.extend(self.steps());
        Some(path)
    }

    fn comparison(&mut self) -> Option<Comparison> {
        for (sign, comparison) in [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            ("<", Comparison::Less),
            (">=", Comparison::GreaterOrEqual),
            (">", Comparison::Greater),
        ] {
            if self.word(sign) {
                return Some(comparison);
            }
        }
        self.wants("a comparison");
        None
    }

    fn value(&mut self) -> Option<Value> {
        for (word, value) in
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)]
        {
            if self.word(word) {
                return Some(value);
            }
        }
        self.attempt(|parser| {
            let whole = parser.digits()?;
            let Some(fraction) = parser.rest.strip_prefix('.') else {
                return whole.parse().ok().map(Value::Int);
            };
            let end = fraction.find(|char: char| !char.is_ascii_digit()).unwrap_or(fraction.len());
            let number = format!("{whole}.{}", &fraction[..end]).parse().ok()?;
            parser.rest = &fraction[end..];
            Some(Value::Double(number))
        })
        .or_else(|| self.quoted(0).map(Value::from))
    }
}

/// Where the quote is that ends the text; a backslash takes the character after it along.
fn closing(text: &str, quote: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            chars.next();
        } else if quote.starts_with(char) {
            return Some(at);
        }
    }
    None
}

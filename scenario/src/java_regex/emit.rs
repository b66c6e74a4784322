//! From a pattern's tree to the text of a pattern for an engine. Sets are written out, and assertions
//! that an engine knows otherwise, or not at all, are put in words of it.

use std::fmt::Write as _;

use super::node::{Assertion, Mode, Node};
use super::property;
use super::set::{self, Set};
use super::{Ending, escape};

/// For which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// For texts that end so.
    Linear(Ending),
    /// `marks`: for texts with non-spacing marks, which belong to the word before them.
    Backtracking { marks: bool },
}

pub(super) struct Emitted {
    pub text: String,
    /// The engine's number of each group; of the first, which is all of the match, too.
    pub groups: Vec<usize>,
    /// The engine's numbers of the empty groups that say where `$` held, before what was taken then.
    pub ends: Vec<usize>,
}

/// Nothing where the linear engine cannot.
pub(super) fn emit(node: &Node, target: Target, groups: u32) -> Option<Emitted> {
    let mut emitter = Emitter {
        target,
        written: Emitted { text: String::new(), groups: vec![0], ends: Vec::new() },
        last_group: 0,
        groups,
        lines_only: node.begins_a_line(),
    };
    emitter.inner(node, Place { last: true, first: true, after: 0 })?;
    Some(emitter.written)
}

struct Emitter {
    target: Target,
    written: Emitted,
    last_group: usize,
    /// Of the pattern.
    groups: u32,
    /// Every match begins a line: one at the text's end is dropped afterwards.
    lines_only: bool,
}

#[derive(Clone, Copy)]
struct Place {
    /// Nothing comes after it.
    last: bool,
    /// Nothing came before it.
    first: bool,
    /// The characters that have to follow, at least.
    after: usize,
}

const INSIDE: Place = Place { last: false, first: false, after: 0 };

impl Emitter {
    fn put(&mut self, text: &str) -> Option<()> {
        self.written.text.push_str(text);
        Some(())
    }

    /// Where brackets are around it already.
    fn inner(&mut self, node: &Node, place: Place) -> Option<()> {
        let Node::Alternation(branches) = node else { return self.node(node, place) };
        for (index, branch) in branches.iter().enumerate() {
            if index > 0 {
                self.put("|")?;
            }
            self.node(branch, place)?;
        }
        Some(())
    }

    fn bracketed(&mut self, open: &str, node: &Node, place: Place) -> Option<()> {
        self.put(open)?;
        self.inner(node, place)?;
        self.put(")")
    }

    fn node(&mut self, node: &Node, place: Place) -> Option<()> {
        let backtracks = matches!(self.target, Target::Backtracking { .. });
        match node {
            Node::Empty => Some(()),
            Node::Set(set) => self.set(set),
            Node::Concat(nodes) => self.concat(nodes, place),
            Node::Alternation(_) => self.bracketed("(?:", node, place),
            Node::Group(node) => {
                self.last_group += 1;
                self.written.groups.push(self.last_group);
                self.bracketed("(", node, place)
            }
            Node::Repeat { node, min, max, mode } => self.repeat(node, *min, *max, *mode),
            Node::Assertion(assertion) if backtracks => self.assertion(*assertion),
            Node::Assertion(assertion) => self.linear_assertion(*assertion, place),
            _ if !backtracks => None,
            Node::Atomic(node) => self.bracketed("(?>", node, INSIDE),
            Node::Look { behind, negated, node } => {
                let open = match (behind, negated) {
                    (false, false) => "(?=",
                    (false, true) => "(?!",
                    (true, false) => "(?<=",
                    (true, true) => "(?<!",
                };
                self.bracketed(open, node, INSIDE)
            }
            // One that never opens never matches.
            Node::BackReference { group, .. } if *group > self.groups => self.set(&Set::empty()),
            Node::BackReference { group, any_case } => {
                let flag = if *any_case { "i" } else { "" };
                self.put(&format!("(?{flag}:\\{group})"))
            }
            Node::Cluster => self.cluster(),
        }
    }

    fn concat(&mut self, nodes: &[Node], place: Place) -> Option<()> {
        let mut after: usize = nodes.iter().map(Node::min_chars).fold(0, usize::saturating_add);
        for (index, node) in nodes.iter().enumerate() {
            after = after.saturating_sub(node.min_chars());
            let place = Place {
                last: place.last && index + 1 == nodes.len(),
                first: place.first && index == 0,
                after: place.after.saturating_add(after),
            };
            self.node(node, place)?;
        }
        Some(())
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, mode: Mode) -> Option<()> {
        if mode == Mode::Possessive {
            if matches!(self.target, Target::Linear(_)) {
                return None;
            }
            // No repetition is gone back into, either.
            self.put("(?>")?;
            match node {
                Node::Set(set) => self.set(set),
                _ => self.bracketed("(?>", node, INSIDE),
            }?;
            self.quantifier(min, max)?;
            return self.put(")");
        }
        match node {
            Node::Set(set) => self.set(set),
            Node::Group(_) => self.node(node, INSIDE),
            _ => self.bracketed("(?:", node, INSIDE),
        }?;
        self.quantifier(min, max)?;
        self.put(if mode == Mode::Lazy { "?" } else { "" })
    }

    fn quantifier(&mut self, min: u32, max: Option<u32>) -> Option<()> {
        match (min, max) {
            (0, None) => self.put("*"),
            (1, None) => self.put("+"),
            (0, Some(1)) => self.put("?"),
            (_, None) => self.put(&format!("{{{min},}}")),
            (_, Some(max)) if max == min => self.put(&format!("{{{min}}}")),
            (_, Some(max)) => self.put(&format!("{{{min},{max}}}")),
        }
    }

    fn set(&mut self, set: &Set) -> Option<()> {
        match set.ranges() {
            // Written so, engines know it for an empty one.
            [] => self.put("[a&&b]"),
            [one] if one.start() == one.end() => self.char(one.start()),
            [one] if one.start() == '\0' && one.end() == char::MAX => self.put("(?s:.)"),
            ranges => {
                self.put("[")?;
                for range in ranges {
                    self.char(range.start())?;
                    if range.end() > range.start() {
                        self.put("-")?;
                        self.char(range.end())?;
                    }
                }
                self.put("]")
            }
        }
    }

    fn char(&mut self, c: char) -> Option<()> {
        if c.is_alphanumeric() {
            self.written.text.push(c);
            return Some(());
        }
        write!(self.written.text, "\\x{{{:X}}}", u32::from(c)).ok()
    }

    /// As the linear engine has it, where the text and the place allow.
    fn linear_assertion(&mut self, assertion: Assertion, place: Place) -> Option<()> {
        match assertion {
            Assertion::Start => self.put(r"\A"),
            Assertion::End => self.put(r"\z"),
            Assertion::TextEnd { unix } => self.linear_text_end(unix, place),
            Assertion::LineStart { unix } => {
                // It does not hold at the text's end, where the engine thinks it does.
                let apart = place.after > 0 || (place.first && self.lines_only);
                let text = if unix { "(?m:^)" } else { "(?mR:^)" };
                if apart { self.put(text) } else { None }
            }
            Assertion::LineEnd { unix: true } => self.put("(?m:$)"),
            Assertion::LineEnd { unix: false } => self.put("(?mR:$)"),
            Assertion::WordBoundary { negated, unicode } => self.put(match (negated, unicode) {
                (false, false) => r"(?-u:\b)",
                (true, false) => r"(?-u:\B)",
                (false, true) => r"\b",
                (true, true) => r"\B",
            }),
            Assertion::PreviousEnd => None,
        }
    }

    /// Without look-ahead, the terminator is taken into the match, behind an empty group that says
    /// where the match really ends. That can be done where nothing follows.
    fn linear_text_end(&mut self, unix: bool, place: Place) -> Option<()> {
        let Target::Linear(ending) = self.target else { return None };
        let taken = match ending {
            Ending::Plain => return self.put(r"\z"),
            _ if !place.last => return None,
            _ if unix => r"\n",
            Ending::CrLf => r"\r\n",
            Ending::Terminator => r"[\n\r\x{85}\x{2028}\x{2029}]",
        };
        self.last_group += 1;
        self.written.ends.push(self.last_group);
        self.put(&format!(r"(?:\z|(){taken}\z)"))
    }

    fn assertion(&mut self, assertion: Assertion) -> Option<()> {
        let Target::Backtracking { marks } = self.target else { return None };
        match assertion {
            Assertion::Start => self.put(r"\A"),
            Assertion::End => self.put(r"\z"),
            Assertion::TextEnd { unix: true } => self.put(r"(?:\z|(?=\n\z))"),
            Assertion::TextEnd { unix: false } => {
                self.put(r"(?:\z|(?=\r\n\z)|(?=[\r\x{85}\x{2028}\x{2029}]\z)|(?<!\r)(?=\n\z))")
            }
            Assertion::LineStart { unix: true } => self.put(r"(?:(?:\A|(?<=\n))(?!\z))"),
            Assertion::LineStart { unix: false } => {
                self.put(r"(?:(?:\A|(?<=[\n\x{85}\x{2028}\x{2029}])|(?<=\r)(?!\n))(?!\z))")
            }
            Assertion::LineEnd { unix: true } => self.put(r"(?:\z|(?=\n))"),
            Assertion::LineEnd { unix: false } => {
                self.put(r"(?:\z|(?=[\r\x{85}\x{2028}\x{2029}])|(?<!\r)(?=\n))")
            }
            Assertion::WordBoundary { negated, unicode: true } => {
                self.put(if negated { r"\B" } else { r"\b" })
            }
            Assertion::WordBoundary { negated, unicode: false } => {
                self.word_boundary(negated, marks)
            }
            Assertion::PreviousEnd => self.put(r"\G"),
        }
    }

    fn word_boundary(&mut self, negated: bool, marks: bool) -> Option<()> {
        let word = set_text(&escape::word());
        let (before, after) = if marks {
            let mark = set_text(&property::non_spacing_mark());
            let base = set_text(&property::letter_or_digit());
            (
                format!("(?:(?<={word})|(?<={base}{mark}{{1,64}}))"),
                format!("(?:(?={word})|(?={mark})(?<={base}{mark}{{0,64}}))"),
            )
        } else {
            (format!("(?<={word})"), format!("(?={word})"))
        };
        self.put(&if negated {
            format!("(?:{before}{after}|(?!{before})(?!{after}))")
        } else {
            format!("(?:{before}(?!{after})|(?!{before}){after})")
        })
    }

    /// A grapheme cluster, taken whole, by the rules of Unicode's annex 29.
    fn cluster(&mut self) -> Option<()> {
        let of = |name: &str| set_text(&property::unicode(&format!("gcb={name}")));
        let any = |names: &[&str]| {
            set::union(names.iter().map(|name| property::unicode(&format!("gcb={name}"))))
        };
        let control = any(&["Control", "CR", "LF"]);
        let other = set_text(&set::negated(control.clone()));
        let control = set_text(&control);
        let extend = set_text(&any(&["Extend", "ZWJ", "SpacingMark"]));
        let picture = set_text(&property::unicode("Extended_Pictographic"));
        let (prepend, flag) = (of("Prepend"), of("Regional_Indicator"));
        let (lead, vowel, trail) = (of("L"), of("V"), of("T"));
        let (open, closed) = (of("LV"), of("LVT"));
        let (joiner, more) = (of("ZWJ"), of("Extend"));
        let syllable =
            format!("(?:{lead}*(?:{vowel}+|{open}{vowel}*|{closed}){trail}*|{lead}+|{trail}+)");
        let pictures = format!("{picture}(?:{more}*{joiner}{picture})*");
        self.put(&format!(
            "(?>\\r\\n|{control}|{prepend}*(?:{flag}{flag}|{syllable}|{pictures}|{other}){extend}*)"
        ))
    }
}

fn set_text(set: &Set) -> String {
    let written = Emitted { text: String::new(), groups: Vec::new(), ends: Vec::new() };
    let target = Target::Backtracking { marks: false };
    let mut emitter = Emitter { target, written, last_group: 0, groups: 0, lines_only: false };
    let _ = emitter.set(set);
    emitter.written.text
}

//! The functions that paths may call: a table by name, and those of nodes, numbers and sequences.
//! <https://www.w3.org/TR/xpath-functions-31/>

use std::cmp::Ordering;
use std::sync::Arc;

use super::ast::{Arithmetic, Call, Expr};
use super::decimal::Decimal;
use super::eval::{Evaluated, Evaluation, Focus, truth, whole};
use super::item::{Atomic, Item, Sequence, Type};
use super::texts;
use super::values::{boolean, calculate};
use crate::check::xml::{Kind, NodeId};
use crate::java_regex::Regex;

pub(super) type Arguments = Vec<Sequence>;
type Run = fn(&mut Evaluation<'_>, &Call, Arguments, &Focus) -> Evaluated;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    Values,
    /// Yes or no.
    Truth,
    /// The place of the node, or their number.
    Place,
}

pub(super) struct Function {
    name: &'static str,
    least: usize,
    most: usize,
    gives: Gives,
    pub(super) run: Run,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Function {
    pub(super) fn is_truth(&self) -> bool {
        self.gives == Gives::Truth
    }

    pub(super) fn counts(&self) -> bool {
        self.gives == Gives::Place
    }
}

const ANY: usize = usize::MAX;

const fn values(name: &'static str, least: usize, most: usize, run: Run) -> Function {
    Function { name, least, most, gives: Gives::Values, run }
}

const fn says(name: &'static str, least: usize, most: usize, run: Run) -> Function {
    Function { name, least, most, gives: Gives::Truth, run }
}

const fn place(name: &'static str, run: Run) -> Function {
    Function { name, least: 0, most: 0, gives: Gives::Place, run }
}

static ALL: [Function; 73] = [
    place("position", |_, _, _, focus| Ok(whole(focus.position))),
    place("last", |_, _, _, focus| Ok(whole(focus.size))),
    // Nodes.
    values("name", 0, 1, |it, _, all, focus| it.named(all, focus, texts::qualified)),
    values("node-name", 0, 1, |it, _, all, focus| it.named(all, focus, texts::qualified)),
    values("local-name", 0, 1, |it, _, all, focus| it.named(all, focus, texts::local)),
    values("namespace-uri", 0, 1, |it, _, all, focus| it.named(all, focus, texts::uri)),
    values("root", 0, 1, |_, _, _, _| Ok(vec![Item::Node(0)])),
    values("path", 0, 1, node_path),
    says("has-children", 0, 1, has_children),
    says("lang", 1, 2, lang),
    // Truths.
    says("true", 0, 0, |_, _, _, _| Ok(truth(true))),
    says("false", 0, 0, |_, _, _, _| Ok(truth(false))),
    says("not", 1, 1, |_, _, all, _| Ok(truth(!boolean(&all[0])?))),
    says("boolean", 1, 1, |_, _, all, _| Ok(truth(boolean(&all[0])?))),
    says("exists", 1, 1, |_, _, all, _| Ok(truth(!all[0].is_empty()))),
    says("empty", 1, 1, |_, _, all, _| Ok(truth(all[0].is_empty()))),
    // Numbers.
    values("number", 0, 1, number),
    values("abs", 1, 1, |it, _, all, _| it.rounded(all, Decimal::abs, f64::abs)),
    values("ceiling", 1, 1, |it, _, all, _| {
        it.rounded(all, |value| Decimal::whole(value.ceil()), f64::ceil)
    }),
    values("floor", 1, 1, |it, _, all, _| {
        it.rounded(all, |value| Decimal::whole(value.floor()), f64::floor)
    }),
    values("round", 1, 2, |it, _, all, _| it.round(all, false)),
    values("round-half-to-even", 1, 2, |it, _, all, _| it.round(all, true)),
    values("count", 1, 1, |_, _, all, _| Ok(whole(all[0].len()))),
    values("sum", 1, 2, sum),
    values("avg", 1, 1, avg),
    values("max", 1, 1, |it, _, all, _| it.most(all, Ordering::Greater)),
    values("min", 1, 1, |it, _, all, _| it.most(all, Ordering::Less)),
    // Sequences.
    values("data", 0, 1, data),
    values("distinct-values", 1, 1, distinct_values),
    values("index-of", 2, 2, index_of),
    values("insert-before", 3, 3, insert_before),
    values("remove", 2, 2, remove),
    values("reverse", 1, 1, |_, _, all, _| Ok(first(all).into_iter().rev().collect())),
    values("subsequence", 2, 3, subsequence),
    values("head", 1, 1, |_, _, all, _| Ok(first(all).into_iter().take(1).collect())),
    values("tail", 1, 1, |_, _, all, _| Ok(first(all).into_iter().skip(1).collect())),
    values("unordered", 1, 1, |_, _, all, _| Ok(first(all))),
    values("trace", 1, 2, |_, _, all, _| Ok(first(all))),
    values("sort", 1, 1, sort),
    values("zero-or-one", 1, 1, |_, _, all, _| counted(all, 0, 1)),
    values("one-or-more", 1, 1, |_, _, all, _| counted(all, 1, ANY)),
    values("exactly-one", 1, 1, |_, _, all, _| counted(all, 1, 1)),
    values("error", 0, 3, |it, _, mut all, _| {
        let told = all.drain(..).nth(1).unwrap_or_default();
        Err(format!("FOER0000: {}", it.text(told)?))
    }),
    // Texts.
    values("string", 0, 1, texts::string),
    values("string-length", 0, 1, texts::length),
    values("normalize-space", 0, 1, texts::normalize_space),
    values("upper-case", 1, 1, |it, _, all, _| it.mapped(all, str::to_uppercase)),
    values("lower-case", 1, 1, |it, _, all, _| it.mapped(all, str::to_lowercase)),
    values("concat", 2, ANY, texts::concat),
    values("string-join", 1, 2, texts::join),
    values("substring", 2, 3, texts::substring),
    values("substring-before", 2, 2, |it, _, all, _| {
        it.parted(all, |text, part| text.split_once(part).map_or("", |(before, _)| before))
    }),
    values("substring-after", 2, 2, |it, _, all, _| {
        it.parted(all, |text, part| text.split_once(part).map_or("", |(_, after)| after))
    }),
    says("contains", 2, 2, |it, _, all, _| it.asked(all, |text, part| text.contains(part))),
    says("starts-with", 2, 2, |it, _, all, _| it.asked(all, |text, part| text.starts_with(part))),
    says("ends-with", 2, 2, |it, _, all, _| it.asked(all, |text, part| text.ends_with(part))),
    says("contains-token", 2, 2, texts::contains_token),
    values("translate", 3, 3, texts::translate),
    values("compare", 2, 2, texts::compare),
    says("codepoint-equal", 2, 2, |it, _, all, _| it.asked(all, |left, right| left == right)),
    values("codepoints-to-string", 1, 1, texts::of_code_points),
    values("string-to-codepoints", 1, 1, texts::code_points),
    values("encode-for-uri", 1, 1, |it, _, all, _| it.mapped(all, texts::encode)),
    says("matches", 2, 3, texts::matches),
    values("replace", 3, 4, texts::replace),
    values("tokenize", 1, 3, texts::tokenize),
    values("format-integer", 2, 2, texts::format_integer),
    values("current-dateTime", 0, 0, |_, _, _, _| no_clock()),
    values("current-date", 0, 0, |_, _, _, _| no_clock()),
    values("current-time", 0, 0, |_, _, _, _| no_clock()),
    values("doc", 1, 1, |_, _, _, _| Err("FODC0002: no other document is read".to_owned())),
    values("base-uri", 0, 1, |_, _, _, _| Ok(vec![Item::Atomic(Atomic::text(""))])),
    values("document-uri", 0, 1, |_, _, _, _| Ok(Sequence::new())),
];

fn no_clock() -> Evaluated {
    Err("a path knows no time".to_owned())
}

/// # Errors
/// It is not known, or takes another number of arguments.
pub(super) fn named(name: &str, count: usize) -> Result<&'static Function, String> {
    let Some(function) = ALL.iter().find(|function| function.name == name) else {
        return Err(format!("the function {name} is not known"));
    };
    match (function.least..=function.most).contains(&count) {
        true => Ok(function),
        false => Err(format!("{name} does not take {count} arguments")),
    }
}

/// The pattern of a call where it is written out, made ready once.
///
/// # Errors
/// It is no pattern.
pub(super) fn literal_regex(
    function: &Function,
    arguments: &[Expr],
) -> Result<Option<Arc<Regex>>, String> {
    if !["matches", "replace", "tokenize"].contains(&function.name) {
        return Ok(None);
    }
    let at = if function.name == "replace" { 3 } else { 2 };
    match (arguments.get(1), arguments.get(at)) {
        (Some(Expr::Literal(pattern)), None) => {
            texts::regex(&pattern.string(), "").map(Arc::new).map(Some)
        }
        (Some(Expr::Literal(pattern)), Some(Expr::Literal(flags))) => {
            texts::regex(&pattern.string(), &flags.string()).map(Arc::new).map(Some)
        }
        _ => Ok(None),
    }
}

pub(super) fn first(mut all: Arguments) -> Sequence {
    if all.is_empty() { Sequence::new() } else { all.swap_remove(0) }
}

fn counted(all: Arguments, least: usize, most: usize) -> Evaluated {
    let items = first(all);
    match (least..=most).contains(&items.len()) {
        true => Ok(items),
        false => Err(format!("FORG0003: {} values are not what is expected", items.len())),
    }
}

impl Evaluation<'_> {
    /// The argument, or where there is none what the path stands at.
    pub(super) fn or_focus(&self, all: Arguments, focus: &Focus) -> Sequence {
        if all.is_empty() { vec![focus.item.clone()] } else { first(all) }
    }

    pub(super) fn node(&self, all: Arguments, focus: &Focus) -> Evaluated<Option<NodeId>> {
        match &self.or_focus(all, focus)[..] {
            [] => Ok(None),
            [Item::Node(id)] => Ok(Some(*id)),
            _ => Err("XPTY0004: one node is expected".to_owned()),
        }
    }

    pub(super) fn atoms(&mut self, items: &[Item]) -> Evaluated<Vec<Atomic>> {
        items.iter().map(|item| self.atom(item)).collect()
    }

    /// The values of nodes as doubles, all others as they are.
    fn numbers(&mut self, items: &[Item]) -> Evaluated<Vec<Atomic>> {
        let number = |value: Atomic| match value {
            Atomic::Untyped(_) => value.cast(Type::Double),
            value => Ok(value),
        };
        self.atoms(items)?.into_iter().map(number).collect()
    }

    fn rounded(
        &mut self,
        all: Arguments,
        exact: fn(Decimal) -> Decimal,
        double: fn(f64) -> f64,
    ) -> Evaluated {
        let made = match self.number(first(all))? {
            None => return Ok(Sequence::new()),
            Some(Atomic::Integer(value)) => Atomic::Integer(exact(Decimal::whole(value)).trunc()),
            Some(Atomic::Decimal(value)) => Atomic::Decimal(exact(value)),
            Some(value) => Atomic::Double(double(value.number())),
        };
        Ok(vec![Item::Atomic(made)])
    }

    fn round(&mut self, mut all: Arguments, to_even: bool) -> Evaluated {
        let digits = if all.len() > 1 { all.remove(1) } else { Sequence::new() };
        let digits = self.number(digits)?.map_or(0.0, |value| value.number());
        // A cast of floats saturates.
        let digits = digits as i32;
        let too_large = || "FOAR0002: a number is too large".to_owned();
        let made = match self.number(first(all))? {
            None => return Ok(Sequence::new()),
            Some(Atomic::Integer(value)) => {
                let rounded = Decimal::whole(value).round(digits, to_even).ok_or_else(too_large)?;
                Atomic::Integer(rounded.trunc())
            }
            Some(Atomic::Decimal(value)) => {
                Atomic::Decimal(value.round(digits, to_even).ok_or_else(too_large)?)
            }
            Some(value) => {
                let number = value.number();
                let rounded = Decimal::of_double(number)
                    .and_then(|exact| exact.round(digits, to_even))
                    .map_or(number, Decimal::to_double);
                // Of -0.2 it is -0.
                Atomic::Double(if rounded == 0.0 { rounded.copysign(number) } else { rounded })
            }
        };
        Ok(vec![Item::Atomic(made)])
    }

    fn most(&mut self, all: Arguments, wanted: Ordering) -> Evaluated {
        let mut most: Option<Atomic> = None;
        for value in self.numbers(&first(all))? {
            self.spend(1)?;
            let better = match &most {
                None => true,
                // What is no number wins.
                Some(known) if known.is_numeric() && known.number().is_nan() => false,
                Some(known) => value.compare(known)?.is_none_or(|order| order == wanted),
            };
            if better {
                most = Some(value);
            }
        }
        Ok(most.map(Item::Atomic).into_iter().collect())
    }
}

fn node_path(it: &mut Evaluation<'_>, _: &Call, all: Arguments, focus: &Focus) -> Evaluated {
    let Some(node) = it.node(all, focus)? else { return Ok(Sequence::new()) };
    let tree = it.tree;
    let mut parts = Vec::new();
    let mut at = Some(node);
    while let Some(id) = at {
        at = tree.parent(id);
        let (name, kind) = (tree.name(id), tree.kind(id));
        let Some(above) = at else { break };
        let alike = |other: &NodeId| tree.kind(*other) == kind && tree.name(*other) == name;
        let mut before = 0;
        if kind != Kind::Attribute {
            for other in tree.children(above).take_while(|other| *other <= id) {
                it.spend(1)?;
                before += usize::from(alike(&other));
            }
        }
        parts.push(match kind {
            Kind::Attribute if name.uri.is_empty() => format!("/@{}", name.local),
            Kind::Attribute => format!("/@Q{{{}}}{}", name.uri, name.local),
            Kind::Text => format!("/text()[{before}]"),
            Kind::Comment => format!("/comment()[{before}]"),
            Kind::Instruction => format!("/processing-instruction({})[{before}]", name.local),
            Kind::Element | Kind::Document => {
                format!("/Q{{{}}}{}[{before}]", name.uri, name.local)
            }
        });
    }
    parts.reverse();
    let path = if parts.is_empty() { "/".to_owned() } else { parts.concat() };
    it.spend_bytes(path.len())?;
    Ok(vec![Item::Atomic(Atomic::text(&path))])
}

fn has_children(it: &mut Evaluation<'_>, _: &Call, all: Arguments, focus: &Focus) -> Evaluated {
    let node = it.node(all, focus)?;
    Ok(truth(node.is_some_and(|node| it.tree.children(node).next().is_some())))
}

fn lang(it: &mut Evaluation<'_>, _: &Call, mut all: Arguments, focus: &Focus) -> Evaluated {
    let wanted = it.text(all.remove(0))?.to_lowercase();
    let mut at = it.node(all, focus)?;
    while let Some(id) = at {
        it.spend(1)?;
        let is_lang = |id: &NodeId| {
            let name = it.tree.name(*id);
            &*name.local == "lang" && &*name.prefix == "xml"
        };
        if let Some(found) = it.tree.attributes(id).find(is_lang) {
            let lang = it.tree.string(found).to_lowercase();
            let rest = lang.strip_prefix(&wanted);
            return Ok(truth(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))));
        }
        at = it.tree.parent(id);
    }
    Ok(truth(false))
}

fn number(it: &mut Evaluation<'_>, _: &Call, all: Arguments, focus: &Focus) -> Evaluated {
    let value = it.or_focus(all, focus);
    let number = it.optional(value)?.map_or(f64::NAN, |value| value.number());
    Ok(vec![Item::Atomic(Atomic::Double(number))])
}

fn sum(it: &mut Evaluation<'_>, _: &Call, mut all: Arguments, _: &Focus) -> Evaluated {
    let zero = if all.len() > 1 { all.remove(1) } else { whole(0) };
    match added(it, &first(all))? {
        None => Ok(zero),
        Some(sum) => Ok(vec![Item::Atomic(sum)]),
    }
}

fn avg(it: &mut Evaluation<'_>, _: &Call, all: Arguments, _: &Focus) -> Evaluated {
    let items = first(all);
    let count = Atomic::Integer(items.len() as i128);
    match added(it, &items)? {
        None => Ok(Sequence::new()),
        Some(sum) => Ok(vec![Item::Atomic(calculate(Arithmetic::Divide, &sum, &count)?)]),
    }
}

fn added(it: &mut Evaluation<'_>, items: &[Item]) -> Evaluated<Option<Atomic>> {
    let mut sum: Option<Atomic> = None;
    for value in it.numbers(items)? {
        if !value.is_numeric() {
            return Err(format!("FORG0006: {:?} is not a number", &*value.string()));
        }
        sum = Some(match sum {
            None => value,
            Some(sum) => calculate(Arithmetic::Add, &sum, &value)?,
        });
    }
    Ok(sum)
}

fn data(it: &mut Evaluation<'_>, _: &Call, all: Arguments, focus: &Focus) -> Evaluated {
    let items = it.or_focus(all, focus);
    Ok(it.atoms(&items)?.into_iter().map(Item::Atomic).collect())
}

/// Equal ones count once; what does not compare is not equal.
fn distinct_values(it: &mut Evaluation<'_>, _: &Call, all: Arguments, _: &Focus) -> Evaluated {
    let mut seen = std::collections::HashSet::new();
    let mut kept = Sequence::new();
    for value in it.atoms(&first(all))? {
        it.spend(1)?;
        let exact = value.as_decimal().filter(|_| value.is_numeric());
        let key = match exact {
            Some(exact) => (true, Arc::from(exact.to_string())),
            None => (false, value.string()),
        };
        if seen.insert(key) {
            kept.push(Item::Atomic(value));
        }
    }
    Ok(kept)
}

fn index_of(it: &mut Evaluation<'_>, _: &Call, mut all: Arguments, _: &Focus) -> Evaluated {
    let wanted = all.pop().unwrap_or_default();
    let Some(wanted) = it.optional(wanted)? else { return Ok(Sequence::new()) };
    let values = it.atoms(&first(all))?;
    let is = |value: &Atomic| matches!(value.compare(&wanted), Ok(Some(Ordering::Equal)));
    let places = values.iter().enumerate().filter(|(_, value)| is(value));
    Ok(places.flat_map(|(at, _)| whole(at + 1)).collect())
}

/// A place as functions take it: a number, rounded.
fn place_of(it: &mut Evaluation<'_>, value: Sequence) -> Evaluated<f64> {
    let number = it.number(value)?.map_or(f64::NAN, |value| value.number());
    Ok((number + 0.5).floor())
}

fn insert_before(it: &mut Evaluation<'_>, _: &Call, mut all: Arguments, _: &Focus) -> Evaluated {
    let more = all.pop().unwrap_or_default();
    let place = all.pop().unwrap_or_default();
    let place = place_of(it, place)?;
    let mut items = first(all);
    let at = (1..=items.len()).find(|at| *at as f64 >= place).map_or(items.len(), |at| at - 1);
    drop(items.splice(at..at, more));
    Ok(items)
}

fn remove(it: &mut Evaluation<'_>, _: &Call, mut all: Arguments, _: &Focus) -> Evaluated {
    let place = all.pop().unwrap_or_default();
    let place = place_of(it, place)?;
    let items = first(all).into_iter().enumerate();
    Ok(items.filter(|(at, _)| (at + 1) as f64 != place).map(|(_, item)| item).collect())
}

fn subsequence(it: &mut Evaluation<'_>, _: &Call, mut all: Arguments, _: &Focus) -> Evaluated {
    let length = if all.len() > 2 { Some(all.remove(2)) } else { None };
    let from = all.remove(1);
    let from = place_of(it, from)?;
    let end = match length {
        None => f64::INFINITY,
        Some(length) => from + place_of(it, length)?,
    };
    let items = first(all).into_iter().enumerate();
    let inside = |at: usize| (at + 1) as f64 >= from && ((at + 1) as f64) < end;
    Ok(items.filter(|(at, _)| inside(*at)).map(|(_, item)| item).collect())
}

fn sort(it: &mut Evaluation<'_>, _: &Call, all: Arguments, _: &Focus) -> Evaluated {
    let items = first(all);
    let mut values: Vec<(Atomic, Item)> = Vec::with_capacity(items.len());
    for item in items {
        it.spend(8)?;
        values.push((it.atom(&item)?, item));
    }
    if let Some((first, rest)) = values.split_first() {
        for (value, _) in rest {
            first.0.compare(value)?;
        }
    }
    // All in one way: exact numbers and doubles together have no order that is the same for all.
    let doubles = values.iter().any(|(value, _)| matches!(value, Atomic::Double(_)));
    values.sort_by(|(left, _), (right, _)| match doubles {
        true => {
            let (left, right) = (left.number(), right.number());
            // What is no number comes first.
            left.partial_cmp(&right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
        }
        false => left.compare(right).ok().flatten().unwrap_or(Ordering::Equal),
    });
    Ok(values.into_iter().map(|(_, item)| item).collect())
}

//! A path's value in a document, in so many steps and no more: an answer may be made so that an
//! innocent path looks at all of it for each of its nodes.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::ast::{
    Arithmetic, Axis, Compared, Comparison, Expr, ItemType, Loop, NodeOrder, NodeTest, Path,
    SequenceType, Set, Start, Step,
};
use super::item::{Atomic, Item, Sequence, Type};
use super::values::{boolean, calculate, holds, in_order, nodes, only_nodes};
use crate::check::xml::{NodeId, Tree};
use crate::java_regex::Regex;

/// From node to node and value to value, for one path in one document: about a second's work.
const STEPS_MAX: u64 = 50_000_000;
/// Values of one sequence: a few dozen bytes each.
const ITEMS_MAX: usize = 2_000_000;
/// Bytes of text that one step stands for: so much is made of a document, and no more.
const STEP_BYTES: usize = 4;

pub(super) type Evaluated<T = Sequence> = Result<T, String>;

pub(super) struct Evaluation<'t> {
    pub(super) tree: &'t Tree,
    steps: u64,
    steps_max: u64,
    variables: Vec<Sequence>,
    /// Of patterns that are not written out in the path.
    pub(super) regexes: HashMap<String, Arc<Regex>>,
}

/// What `.`, `position()` and `last()` mean.
#[derive(Clone)]
pub(super) struct Focus {
    pub item: Item,
    pub position: usize,
    pub size: usize,
}

fn one(item: Atomic) -> Sequence {
    vec![Item::Atomic(item)]
}

pub(super) fn truth(value: bool) -> Sequence {
    one(Atomic::Boolean(value))
}

pub(super) fn whole(value: usize) -> Sequence {
    one(Atomic::Integer(value as i128))
}

impl<'t> Evaluation<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        Self::within(tree, STEPS_MAX)
    }

    pub(super) fn within(tree: &'t Tree, steps_max: u64) -> Self {
        Self { tree, steps: 0, steps_max, variables: Vec::new(), regexes: HashMap::new() }
    }

    /// How many steps it has taken.
    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// It has ended because it took too many.
    pub(super) fn is_exhausted(&self) -> bool {
        self.steps > self.steps_max
    }

    pub(super) fn spend(&mut self, steps: usize) -> Evaluated<()> {
        self.steps = self.steps.saturating_add(steps as u64);
        if self.steps > self.steps_max {
            return Err(format!("the document takes more than {} steps", self.steps_max));
        }
        Ok(())
    }

    pub(super) fn spend_bytes(&mut self, bytes: usize) -> Evaluated<()> {
        self.spend(1 + bytes / STEP_BYTES)
    }

    fn push(&mut self, all: &mut Sequence, items: Sequence) -> Evaluated<()> {
        self.spend(items.len())?;
        if all.len() + items.len() > ITEMS_MAX {
            return Err(format!("a sequence of more than {ITEMS_MAX} values"));
        }
        all.extend(items);
        Ok(())
    }

    /// Of the whole document.
    pub(super) fn run(&mut self, expr: &Expr) -> Evaluated {
        let focus = Focus { item: Item::Node(0), position: 1, size: 1 };
        self.eval(expr, &focus)
    }

    pub(super) fn eval(&mut self, expr: &Expr, focus: &Focus) -> Evaluated {
        self.spend(1)?;
        match expr {
            Expr::Literal(atomic) => Ok(one(atomic.clone())),
            Expr::Variable(place) => {
                let value = self.variables.get(*place).cloned().unwrap_or_default();
                self.spend(value.len())?;
                Ok(value)
            }
            Expr::Context => Ok(vec![focus.item.clone()]),
            Expr::Sequence(all) => {
                let mut sequence = Sequence::new();
                for expr in all {
                    let items = self.eval(expr, focus)?;
                    self.push(&mut sequence, items)?;
                }
                Ok(sequence)
            }
            Expr::Path(path) => self.path(path, focus),
            Expr::Filter(of, predicates) => {
                let items = self.eval(of, focus)?;
                self.filter(items, predicates)
            }
            Expr::Loop(kind, over, body) => self.looping(*kind, over, body, focus),
            Expr::Let(value, body) => {
                let value = self.eval(value, focus)?;
                self.variables.push(value);
                let result = self.eval(body, focus);
                self.variables.pop();
                result
            }
            Expr::If(parts) => {
                let [test, then, otherwise] = &**parts;
                let chosen = if self.truth_of(test, focus)? { then } else { otherwise };
                self.eval(chosen, focus)
            }
            Expr::Call(call) => {
                let mut arguments = Vec::with_capacity(call.arguments.len());
                for argument in &call.arguments {
                    arguments.push(self.eval(argument, focus)?);
                }
                (call.function.run)(self, call, arguments, focus)
            }
            expr => self.operator(expr, focus),
        }
    }

    fn operator(&mut self, expr: &Expr, focus: &Focus) -> Evaluated {
        match expr {
            Expr::Or(all) => {
                for expr in all {
                    if self.truth_of(expr, focus)? {
                        return Ok(truth(true));
                    }
                }
                Ok(truth(false))
            }
            Expr::And(all) => {
                for expr in all {
                    if !self.truth_of(expr, focus)? {
                        return Ok(truth(false));
                    }
                }
                Ok(truth(true))
            }
            Expr::Compare(compared, comparison, both) => {
                let (left, right) = self.both(both, focus)?;
                match compared {
                    Compared::General => self.compare(&left, *comparison, &right),
                    Compared::Value => self.compare_values(left, *comparison, right),
                }
            }
            Expr::NodeOrder(order, both) => self.node_order(*order, both, focus),
            Expr::Arithmetic(kind, both) => {
                let (left, right) = self.both(both, focus)?;
                self.arithmetic(*kind, left, right)
            }
            Expr::Negate(of) => {
                let value = self.eval(of, focus)?;
                match self.number(value)? {
                    None => Ok(Sequence::new()),
                    Some(Atomic::Integer(value)) => Ok(one(Atomic::Integer(-value))),
                    Some(Atomic::Decimal(value)) => Ok(one(Atomic::Decimal(value.neg()))),
                    Some(value) => Ok(one(Atomic::Double(-value.number()))),
                }
            }
            Expr::Range(both) => self.range(both, focus),
            Expr::Concat(all) => {
                let mut text = String::new();
                for expr in all {
                    let value = self.eval(expr, focus)?;
                    text.push_str(&self.text(value)?);
                }
                self.spend_bytes(text.len())?;
                Ok(one(Atomic::text(&text)))
            }
            Expr::Set(set, both) => self.set(*set, both, focus),
            Expr::Each(both) => {
                let items = self.eval(&both[0], focus)?;
                self.each(items, &both[1])
            }
            expr => self.typed(expr, focus),
        }
    }

    fn typed(&mut self, expr: &Expr, focus: &Focus) -> Evaluated {
        match expr {
            Expr::Cast(of, to, optional) => {
                let value = self.eval(of, focus)?;
                match self.optional(value)? {
                    None if optional.0 => Ok(Sequence::new()),
                    None => Err("XPTY0004: nothing to cast".to_owned()),
                    Some(value) => Ok(one(value.cast(*to)?)),
                }
            }
            Expr::Castable(of, to, optional) => {
                let value = self.eval(of, focus)?;
                Ok(truth(match self.optional(value) {
                    Ok(Some(value)) => value.cast(*to).is_ok(),
                    Ok(None) => optional.0,
                    Err(_) => false,
                }))
            }
            Expr::InstanceOf(of, kind) => {
                let value = self.eval(of, focus)?;
                self.spend(value.len())?;
                Ok(truth(self.is_of(&value, kind)))
            }
            Expr::Treat(of, kind) => {
                let value = self.eval(of, focus)?;
                match self.is_of(&value, kind) {
                    true => Ok(value),
                    false => Err("XPDY0050: the value is not of that type".to_owned()),
                }
            }
            // All others are evaluated above.
            _ => Ok(Sequence::new()),
        }
    }

    fn both(&mut self, both: &[Expr; 2], focus: &Focus) -> Evaluated<(Sequence, Sequence)> {
        Ok((self.eval(&both[0], focus)?, self.eval(&both[1], focus)?))
    }

    pub(super) fn each(&mut self, items: Sequence, expr: &Expr) -> Evaluated {
        let size = items.len();
        let mut all = Sequence::new();
        for (at, item) in items.into_iter().enumerate() {
            let found = self.eval(expr, &Focus { item, position: at + 1, size })?;
            self.push(&mut all, found)?;
        }
        Ok(all)
    }

    fn looping(&mut self, kind: Loop, over: &Expr, body: &Expr, focus: &Focus) -> Evaluated {
        let items = self.eval(over, focus)?;
        let mut all = Sequence::new();
        for item in items {
            self.variables.push(vec![item]);
            let found = self.eval(body, focus);
            self.variables.pop();
            let found = found?;
            match kind {
                Loop::For => self.push(&mut all, found)?,
                Loop::Some if boolean(&found)? => return Ok(truth(true)),
                Loop::Every if !boolean(&found)? => return Ok(truth(false)),
                Loop::Some | Loop::Every => {}
            }
        }
        Ok(match kind {
            Loop::For => all,
            Loop::Some => truth(false),
            Loop::Every => truth(true),
        })
    }

    fn path(&mut self, path: &Path, focus: &Focus) -> Evaluated {
        let mut items = match &path.start {
            Start::Root => vec![Item::Node(0)],
            Start::Context => vec![focus.item.clone()],
            Start::Expr(expr) => self.eval(expr, focus)?,
        };
        for step in &path.steps {
            items = match step {
                Step::Axis { axis, test, predicates } => {
                    self.axis_step(items, *axis, test, predicates)?
                }
                Step::Expr(expr) => {
                    only_nodes(&items)?;
                    let found = self.each(items, expr)?;
                    in_order(found)?
                }
            };
        }
        Ok(items)
    }

    fn axis_step(
        &mut self,
        items: Sequence,
        axis: Axis,
        test: &NodeTest,
        predicates: &[Expr],
    ) -> Evaluated {
        let tree = self.tree;
        let principal = axis.principal();
        let mut all = Sequence::new();
        for from in nodes(&items)? {
            let mut found = Sequence::new();
            self.spend(match axis {
                Axis::Descendant | Axis::DescendantOrSelf => (tree.end(from) - from) as usize,
                Axis::Following => (tree.len() - tree.end(from)) as usize,
                Axis::Preceding => from as usize,
                _ => 1,
            })?;
            axis.walk(tree, from, &mut |id| {
                if test.takes(tree, id, principal) {
                    found.push(Item::Node(id));
                }
                self.spend(1)
            })?;
            let found = self.filter(found, predicates)?;
            self.push(&mut all, found)?;
        }
        in_order(all)
    }

    fn filter(&mut self, mut items: Sequence, predicates: &[Expr]) -> Evaluated {
        for predicate in predicates {
            // A place that is written out needs no look at the others.
            if let Expr::Literal(Atomic::Integer(place)) = predicate {
                let place = usize::try_from(*place).ok().and_then(|place| place.checked_sub(1));
                items = place.and_then(|at| items.get(at).cloned()).into_iter().collect();
                continue;
            }
            let size = items.len();
            let mut kept = Sequence::new();
            for (at, item) in items.into_iter().enumerate() {
                let focus = Focus { item, position: at + 1, size };
                let value = self.eval(predicate, &focus)?;
                let keeps = match &value[..] {
                    [Item::Atomic(number)] if number.is_numeric() => {
                        number.compare(&Atomic::Integer(at as i128 + 1))? == Some(Ordering::Equal)
                    }
                    value => boolean(value)?,
                };
                if keeps {
                    kept.push(focus.item);
                }
            }
            items = kept;
        }
        Ok(items)
    }

    pub(super) fn truth_of(&mut self, expr: &Expr, focus: &Focus) -> Evaluated<bool> {
        boolean(&self.eval(expr, focus)?)
    }

    /// The value of a node is not known to be of a type.
    pub(super) fn atom(&mut self, item: &Item) -> Evaluated<Atomic> {
        match item {
            Item::Atomic(atomic) => Ok(atomic.clone()),
            Item::Node(id) => {
                let text = self.tree.string(*id);
                self.spend_bytes(text.len())?;
                Ok(Atomic::Untyped(text.into()))
            }
        }
    }

    /// # Errors
    /// There are several.
    pub(super) fn optional(&mut self, value: Sequence) -> Evaluated<Option<Atomic>> {
        match &value[..] {
            [] => Ok(None),
            [item] => self.atom(item).map(Some),
            all => Err(format!("XPTY0004: {} values where one is expected", all.len())),
        }
    }

    /// Nothing is the empty text.
    pub(super) fn text(&mut self, value: Sequence) -> Evaluated<Arc<str>> {
        Ok(self.optional(value)?.map_or_else(|| "".into(), |value| value.string()))
    }

    /// What arithmetic takes: a node's value becomes a double.
    pub(super) fn number(&mut self, value: Sequence) -> Evaluated<Option<Atomic>> {
        match self.optional(value)? {
            None => Ok(None),
            Some(value @ Atomic::Untyped(_)) => value.cast(Type::Double).map(Some),
            Some(value) if value.is_numeric() => Ok(Some(value)),
            Some(value) => Err(format!("XPTY0004: {:?} is not a number", &*value.string())),
        }
    }

    fn compare(&mut self, left: &[Item], comparison: Comparison, right: &[Item]) -> Evaluated {
        let mut against = Vec::with_capacity(right.len());
        for item in right {
            against.push(self.atom(item)?);
        }
        for item in left {
            let value = self.atom(item)?;
            for other in &against {
                self.spend(1)?;
                let (left, right) = match (&value, other) {
                    (Atomic::Untyped(_), other) if other.is_numeric() => {
                        (value.cast(Type::Double)?, other.clone())
                    }
                    (_, Atomic::Untyped(_)) if value.is_numeric() => {
                        (value.clone(), other.cast(Type::Double)?)
                    }
                    (Atomic::Untyped(_), Atomic::Boolean(_)) => {
                        (value.cast(Type::Boolean)?, other.clone())
                    }
                    (Atomic::Boolean(_), Atomic::Untyped(_)) => {
                        (value.clone(), other.cast(Type::Boolean)?)
                    }
                    _ => (value.clone(), other.clone()),
                };
                if holds(comparison, left.compare(&right)?) {
                    return Ok(truth(true));
                }
            }
        }
        Ok(truth(false))
    }

    fn compare_values(
        &mut self,
        left: Sequence,
        comparison: Comparison,
        right: Sequence,
    ) -> Evaluated {
        let (left, right) = (self.optional(left)?, self.optional(right)?);
        match left.zip(right) {
            None => Ok(Sequence::new()),
            Some((left, right)) => Ok(truth(holds(comparison, left.compare(&right)?))),
        }
    }

    fn node_order(&mut self, order: NodeOrder, both: &[Expr; 2], focus: &Focus) -> Evaluated {
        let (left, right) = self.both(both, focus)?;
        match (&left[..], &right[..]) {
            ([], _) | (_, []) => Ok(Sequence::new()),
            ([Item::Node(left)], [Item::Node(right)]) => Ok(truth(match order {
                NodeOrder::Is => left == right,
                NodeOrder::Before => left < right,
                NodeOrder::After => left > right,
            })),
            _ => Err("XPTY0004: one node is expected on either side".to_owned()),
        }
    }

    fn arithmetic(&mut self, kind: Arithmetic, left: Sequence, right: Sequence) -> Evaluated {
        let (left, right) = (self.number(left)?, self.number(right)?);
        match left.zip(right) {
            None => Ok(Sequence::new()),
            Some((left, right)) => calculate(kind, &left, &right).map(one),
        }
    }

    fn range(&mut self, both: &[Expr; 2], focus: &Focus) -> Evaluated {
        let (from, to) = self.both(both, focus)?;
        let whole = |it: &mut Self, value: Sequence| match it.optional(value)? {
            Some(value @ Atomic::Untyped(_)) => value.cast(Type::Integer).map(Some),
            value => Ok(value),
        };
        match (whole(self, from)?, whole(self, to)?) {
            (Some(Atomic::Integer(from)), Some(Atomic::Integer(to))) => {
                let count = to.saturating_sub(from).saturating_add(1).max(0);
                if count > ITEMS_MAX as i128 {
                    return Err(format!("a sequence of more than {ITEMS_MAX} values"));
                }
                self.spend(usize::try_from(count).unwrap_or(usize::MAX))?;
                Ok((from..=to).map(|value| Item::Atomic(Atomic::Integer(value))).collect())
            }
            (None, _) | (_, None) => Ok(Sequence::new()),
            _ => Err("XPTY0004: a range is of whole numbers".to_owned()),
        }
    }

    fn set(&mut self, set: Set, both: &[Expr; 2], focus: &Focus) -> Evaluated {
        let (mut left, mut right) = self.both(both, focus)?;
        self.spend(left.len() + right.len())?;
        if set == Set::Union {
            self.push(&mut left, right)?;
            only_nodes(&left)?;
            return in_order(left);
        }
        right = in_order(right)?;
        let right: Vec<NodeId> = nodes(&right)?.collect();
        only_nodes(&left)?;
        left.retain(|item| {
            let Item::Node(id) = item else { return false };
            right.binary_search(id).is_ok() == (set == Set::Intersect)
        });
        in_order(left)
    }

    fn is_of(&self, value: &[Item], kind: &SequenceType) -> bool {
        let fits = |item: &Item| match (&kind.item, item) {
            (Some(ItemType::Any), _) | (Some(ItemType::AnyAtomic), Item::Atomic(_)) => true,
            (Some(ItemType::Atomic(Type::Decimal)), Item::Atomic(Atomic::Integer(_))) => true,
            (Some(ItemType::Atomic(kind)), Item::Atomic(atomic)) => atomic.kind() == *kind,
            (Some(ItemType::Node(test)), Item::Node(id)) => {
                test.takes(self.tree, *id, Axis::Child.principal())
            }
            _ => false,
        };
        (kind.least..=kind.most).contains(&value.len()) && value.iter().all(fits)
    }

    /// Of each match where it lies in `text`, until told to stop.
    pub(super) fn matches<'x>(
        &mut self,
        regex: &Regex,
        text: &'x str,
        mut each: impl FnMut(&dyn Fn(usize) -> Option<&'x str>) -> Evaluated<()>,
    ) -> Evaluated<()> {
        self.spend_bytes(text.len())?;
        let mut result = Ok(());
        let _flow = regex.captures(text, |captures| {
            result = self.spend(1).and_then(|()| each(&|group| captures.get(group)));
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        result
    }
}

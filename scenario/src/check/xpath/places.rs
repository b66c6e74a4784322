//! Paths put together: which of their steps look at all that is inside, and which count places.

use super::ast::{Axis, Expr, Loop, NodeTest, Path, Start, Step};
use super::item::Atomic;

/// `//`
pub(super) fn anywhere() -> Step {
    Step::Axis { axis: Axis::DescendantOrSelf, test: NodeTest::Any, predicates: Vec::new() }
}

pub(super) fn made_of(start: Start, mut steps: Vec<Step>) -> Expr {
    if let Start::Context = start
        && matches!(steps.first(), Some(Step::Expr(_)))
    {
        let Step::Expr(first) = steps.remove(0) else { return Expr::Sequence(Vec::new()) };
        if steps.is_empty() {
            return first;
        }
        return Expr::Path(Path { start: Start::Expr(Box::new(first)), steps: shorter(steps) });
    }
    Expr::Path(Path { start, steps: shorter(steps) })
}

/// `//name` is one look at what is inside, unless a predicate counts places.
fn shorter(steps: Vec<Step>) -> Vec<Step> {
    let mut made: Vec<Step> = Vec::with_capacity(steps.len());
    for step in steps {
        let after_anywhere = matches!(
            made.last(),
            Some(Step::Axis { axis: Axis::DescendantOrSelf, test: NodeTest::Any, predicates })
                if predicates.is_empty()
        );
        match step {
            Step::Axis { axis: Axis::Child, test, predicates }
                if after_anywhere && predicates.iter().all(is_truth) =>
            {
                made.pop();
                made.push(Step::Axis { axis: Axis::Descendant, test, predicates });
            }
            step => made.push(step),
        }
    }
    made
}

/// Whether a predicate can say only yes or no of a node, whatever its place.
fn is_truth(expr: &Expr) -> bool {
    let truth = match expr {
        Expr::Path(path) => {
            matches!(path.steps.last(), Some(Step::Axis { .. }))
        }
        Expr::Compare(..)
        | Expr::NodeOrder(..)
        | Expr::Or(_)
        | Expr::And(_)
        | Expr::Loop(Loop::Some | Loop::Every, ..)
        | Expr::Literal(Atomic::Text(_)) => true,
        Expr::Call(call) => call.function.is_truth(),
        _ => false,
    };
    truth && !counts(expr)
}

/// Whether it asks for the place of the node itself; what a step inside asks is of that step's.
fn counts(expr: &Expr) -> bool {
    let any = |all: &[Expr]| all.iter().any(counts);
    match expr {
        Expr::Call(call) => call.function.counts() || any(&call.arguments),
        Expr::Path(Path { start, .. }) => match start {
            Start::Expr(expr) => counts(expr),
            Start::Root | Start::Context => false,
        },
        Expr::Literal(_) | Expr::Variable(_) | Expr::Context => false,
        Expr::Sequence(all) | Expr::Or(all) | Expr::And(all) | Expr::Concat(all) => any(all),
        Expr::Filter(of, _) | Expr::Negate(of) => counts(of),
        Expr::Cast(of, ..) | Expr::Castable(of, ..) => counts(of),
        Expr::InstanceOf(of, _) | Expr::Treat(of, _) => counts(of),
        Expr::Loop(_, left, right) | Expr::Let(left, right) => counts(left) || counts(right),
        Expr::If(all) => any(&all[..]),
        Expr::Compare(_, _, both) => any(&both[..]),
        Expr::NodeOrder(_, both) => any(&both[..]),
        Expr::Arithmetic(_, both) => any(&both[..]),
        Expr::Range(both) => any(&both[..]),
        Expr::Set(_, both) => any(&both[..]),
        Expr::Each(both) => counts(&both[0]),
    }
}

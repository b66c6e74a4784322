//! Is a history of one register linearizable? The search of Wing and Gong, with Lowe's memory of the
//! configurations that led nowhere. A write whose outcome is unknown may take effect at any time
//! after it began, or never. Pure.

use std::collections::HashSet;

/// What was asked, and for a read what was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The value; 0 is what a register holds before any write.
    Write(u64),
    Read(u64),
}

/// One operation of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub client: usize,
    pub action: Action,
    /// When it began and ended, by one clock, in microseconds; no end: it is unknown whether it was
    /// carried out.
    pub began: u64,
    pub ended: Option<u64>,
}

/// Configurations that are looked at before the search gives up.
const CONFIGURATIONS_MAX: usize = 2_000_000;

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// No order explains the history; the operation that no order gets past, where most were explained.
    Violation(Operation),
    /// Too many configurations: neither shown nor refuted.
    Unknown,
}

/// Which operations have taken effect: a bit each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl Done {
    fn has(&self, at: usize) -> bool {
        self.0[at / 64] & (1 << (at % 64)) != 0
    }

    fn with(&self, at: usize) -> Self {
        let mut next = self.clone();
        next.0[at / 64] |= 1 << (at % 64);
        next
    }
}

/// Judges the history of one register.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let answer = |op: &Operation| match op.action {
        Action::Read(found) => op.ended.map(|_| found),
        Action::Write(_) => None,
    };
    let found: HashSet<u64> = history.iter().filter_map(answer).collect();
    // A read without an answer says nothing, and a write without one whose value nobody found need
    // not have taken effect: where any order explains the history, so does that one without it.
    let says = |op: &&Operation| match op.action {
        Action::Write(value) => op.ended.is_some() || found.contains(&value),
        Action::Read(_) => op.ended.is_some(),
    };
    let mut all: Vec<Operation> = history.iter().filter(says).copied().collect();
    all.sort_by_key(|op| op.began);
    let start = (Done(vec![0; all.len().div_ceil(64)]), 0_u64);
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    let mut best = (0, None);
    while let Some((done, value)) = open.pop() {
        let left = || all.iter().enumerate().filter(|(at, _)| !done.has(*at));
        // The first that must have taken effect before anything that begins after it.
        let Some(first) =
            left().filter_map(|(_, op)| op.ended.map(|end| (end, *op))).min_by_key(|it| it.0)
        else {
            return Verdict::Linearizable;
        };
        let explained = all.len() - left().count();
        if best.1.is_none() || explained > best.0 {
            best = (explained, Some(first.1));
        }
        for (at, op) in left().take_while(|(_, op)| op.began <= first.0) {
            let next = match op.action {
                Action::Write(new) => new,
                Action::Read(found) if found == value => value,
                Action::Read(_) => continue,
            };
            let next = (done.with(at), next);
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
        if seen.len() > CONFIGURATIONS_MAX {
            return Verdict::Unknown;
        }
    }
    best.1.map_or(Verdict::Linearizable, Verdict::Violation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn op(client: usize, action: Action, began: u64, ended: u64) -> Operation {
        Operation { client, action, began, ended: (ended > 0).then_some(ended) }
    }

    fn write(client: usize, value: u64, began: u64, ended: u64) -> Operation {
        op(client, Action::Write(value), began, ended)
    }

    fn read(client: usize, value: u64, began: u64, ended: u64) -> Operation {
        op(client, Action::Read(value), began, ended)
    }

    #[test]
    fn what_one_register_could_do_is_accepted() {
        assert_eq!(check(&[]), Verdict::Linearizable);
        assert_eq!(check(&[write(1, 1, 1, 2), read(2, 1, 3, 4)]), Verdict::Linearizable);
        // While a write is under way, either value may be read, in the order that fits.
        let overlapping = [write(1, 1, 1, 10), read(2, 0, 2, 3), read(2, 1, 4, 5)];
        assert_eq!(check(&overlapping), Verdict::Linearizable);
        // Two writes at once: the last one to take effect may be either.
        for last in [1, 2] {
            let history = [write(1, 1, 1, 10), write(2, 2, 1, 10), read(3, last, 11, 12)];
            assert_eq!(check(&history), Verdict::Linearizable, "{last}");
        }
        // A write of unknown outcome may take effect long after, or never.
        let late = [write(1, 1, 1, 2), write(2, 9, 3, 0), read(1, 1, 4, 5), read(1, 9, 6, 7)];
        assert_eq!(check(&late), Verdict::Linearizable);
        assert_eq!(check(&late[..3]), Verdict::Linearizable);
    }

    /// Once a hundred refused writes took minutes, and then nothing was shown.
    #[test]
    fn any_number_of_writes_without_an_answer_is_judged() {
        let mut history: Vec<Operation> = (2..200).map(|value| write(1, value, value, 0)).collect();
        history.extend([write(2, 1, 1, 2), read(3, 1, 300, 301), read(3, 150, 302, 303)]);
        assert_eq!(check(&history), Verdict::Linearizable);
        let back = read(3, 1, 304, 305);
        history.push(back);
        assert_eq!(check(&history), Verdict::Violation(back));
    }

    #[test]
    fn a_stale_read_is_a_violation() {
        let stale = read(2, 0, 3, 4);
        assert_eq!(check(&[write(1, 1, 1, 2), stale]), Verdict::Violation(stale));
    }

    #[test]
    fn a_lost_write_is_a_violation() {
        let lost = read(1, 1, 5, 6);
        let history = [write(1, 1, 1, 2), write(2, 2, 3, 4), lost];
        assert_eq!(check(&history), Verdict::Violation(lost));
    }

    #[test]
    fn a_value_that_comes_back_is_a_violation() {
        let back = read(2, 1, 7, 8);
        let history = [write(1, 1, 1, 2), write(1, 2, 3, 4), read(2, 2, 5, 6), back];
        assert_eq!(check(&history), Verdict::Violation(back));
    }

    #[test]
    fn a_value_that_nobody_wrote_is_a_violation() {
        let invented = read(2, 5, 3, 4);
        assert_eq!(check(&[write(1, 1, 1, 2), invented]), Verdict::Violation(invented));
    }

    #[test]
    fn two_readers_that_see_two_orders_are_a_violation() {
        let history = [
            write(1, 1, 1, 20),
            write(2, 2, 1, 20),
            read(3, 1, 2, 3),
            read(3, 2, 4, 5),
            read(4, 1, 6, 7),
        ];
        assert!(matches!(check(&history), Verdict::Violation(_)));
    }

    /// Clients of a true register, whose answers come late by a random time: always linearizable. The
    /// same with one read made wrong: always found.
    #[test]
    fn random_histories_of_a_true_register_pass_and_broken_ones_do_not() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut value, mut history) = (0, Vec::new());
            for step in 1..=120_u64 {
                let at = step * 10;
                let (began, ended) = (at - random.below(40).min(at), at + 1 + random.below(40));
                let client = usize::try_from(step % 5).unwrap();
                history.push(match random.below(4) {
                    0 => {
                        value = step;
                        let unknown = random.below(4) == 0;
                        write(client, step, began, if unknown { 0 } else { ended })
                    }
                    _ => read(client, value, began, ended),
                });
            }
            assert_eq!(check(&history), Verdict::Linearizable, "seed {seed}");
            let end = 10_000;
            history.push(read(1, value, end, end + 1));
            assert_eq!(check(&history), Verdict::Linearizable, "seed {seed}");
            history.push(read(2, 7_777, end + 2, end + 3));
            assert!(matches!(check(&history), Verdict::Violation(_)), "seed {seed}");
        }
    }
}

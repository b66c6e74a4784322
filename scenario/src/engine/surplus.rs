//! What a shard says of the users that it still has of segments that it gave away. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::shard::Surplus;
use crate::time::Micros;

/// Between two words about one hand-over; that nobody is left is said at once.
pub(super) const SURPLUS_EVERY_US: Micros = 200_000;

/// The latest words, by taker.
#[derive(Default)]
pub(super) struct Words(BTreeMap<u32, (Micros, Vec<u64>)>);

impl Words {
    /// What is to be said now; none where it has been said, or was a moment ago.
    pub(super) fn next(&mut self, to: u32, mut users: Vec<u64>, now: Micros) -> Option<Surplus> {
        while users.last() == Some(&0) {
            users.pop();
        }
        let is_new = self.0.get(&to).is_none_or(|(at, said)| {
            let is_time = users.is_empty() || now >= at.saturating_add(SURPLUS_EVERY_US);
            *said != users && is_time
        });
        is_new.then(|| {
            self.0.insert(to, (now, users.clone()));
            Surplus { to, users }
        })
    }
}

/// What the processes of a shard say, by taker and process. None: not yet.
#[derive(Default)]
pub(super) struct Processes(BTreeMap<u32, BTreeMap<usize, Option<Vec<u64>>>>);

impl Processes {
    /// `of`: the processes that hold some of the segments.
    pub(super) fn asked(&mut self, to: u32, of: impl Iterator<Item = usize>) {
        self.0.entry(to).or_insert_with(|| of.map(|process| (process, None)).collect());
    }

    pub(super) fn heard(&mut self, process: usize, said: Surplus) {
        let known = self.0.get_mut(&said.to).and_then(|it| it.get_mut(&process));
        if let Some(known) = known {
            *known = Some(said.users);
        }
    }

    /// With it, its users are gone.
    pub(super) fn ended(&mut self, process: usize) {
        for known in self.0.values_mut().filter_map(|it| it.get_mut(&process)) {
            *known = Some(Vec::new());
        }
    }

    /// Of each taker of which all processes have spoken: their users together.
    pub(super) fn sums(&self) -> impl Iterator<Item = (u32, Vec<u64>)> {
        self.0.iter().filter_map(|(to, known)| {
            let all = known.values().map(Option::as_ref).collect::<Option<Vec<_>>>()?;
            let populations = all.iter().map(|it| it.len()).max().unwrap_or(0);
            let of = |population: usize| {
                let users = all.iter().filter_map(|it| it.get(population));
                users.fold(0, |sum: u64, it| sum.saturating_add(*it))
            };
            Some((*to, (0..populations).map(of).collect()))
        })
    }
}

/// What is left when some are given away.
pub(super) fn without(held: &[u32], given: &[u32]) -> Vec<u32> {
    let given: BTreeSet<u32> = given.iter().copied().collect();
    held.iter().copied().filter(|it| !given.contains(it)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(to: u32, users: &[u64]) -> Surplus {
        Surplus { to, users: users.to_vec() }
    }

    #[test]
    fn a_word_is_said_when_it_is_new_and_a_few_times_a_second() {
        let mut words = Words::default();
        assert_eq!(words.next(7, vec![0, 9], 0), Some(word(7, &[0, 9])));
        assert_eq!(words.next(7, vec![0, 9], 900_000), None);
        assert_eq!(words.next(7, vec![0, 8], 900_000), Some(word(7, &[0, 8])));
        assert_eq!(words.next(7, vec![0, 7], 1_000_000), None);
        assert_eq!(words.next(8, vec![3, 0], 1_000_000), Some(word(8, &[3])));
        assert_eq!(words.next(7, vec![0, 6], 1_100_000), Some(word(7, &[0, 6])));
        // The last one's end is not waited for.
        assert_eq!(words.next(7, vec![0, 0], 1_110_000), Some(word(7, &[])));
        assert_eq!(words.next(7, vec![0, 0], 9_000_000), None);
        // That there never were any is a word, too.
        assert_eq!(words.next(9, vec![0], 0), Some(word(9, &[])));
    }

    #[test]
    fn processes_are_summed_once_all_have_spoken() {
        let mut all = Processes::default();
        all.asked(7, [0, 2].into_iter());
        all.heard(0, word(7, &[5]));
        all.heard(1, word(7, &[100]));
        assert_eq!(all.sums().count(), 0);
        all.heard(2, word(7, &[1, 2]));
        assert_eq!(all.sums().collect::<Vec<_>>(), [(7, vec![6, 2])]);
        all.ended(2);
        assert_eq!(all.sums().collect::<Vec<_>>(), [(7, vec![5])]);
        all.asked(8, std::iter::empty());
        assert_eq!(all.sums().collect::<Vec<_>>(), [(7, vec![5]), (8, vec![])]);
    }
}

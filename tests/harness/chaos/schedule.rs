//! Which faults strike when, drawn from a seed: the same seed is the same schedule. Pure: whom "the
//! master" means is found out when it strikes.

use crate::random::Random;

/// What the schedule must know of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    /// How many nodes it takes away at once.
    pub takes: Takes,
    /// It lasts one of these, in milliseconds.
    pub lasts_ms: &'static [u64],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing that a majority needs.
    Nothing,
    Nodes(usize),
    /// As many as a cluster can lose.
    Minority,
    /// More than a cluster can lose, or it wants no other fault beside it.
    Alone,
}

impl Takes {
    fn of(self, nodes: usize) -> usize {
        let minority = nodes.saturating_sub(1) / 2;
        match self {
            Self::Nothing => 0,
            Self::Nodes(count) => count,
            Self::Minority | Self::Alone => minority.max(1),
        }
    }
}

/// One fault at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    pub fault: &'static str,
    pub at_ms: u64,
    pub heals_at_ms: u64,
    /// Chooses the nodes, and whatever else the fault may choose.
    pub pick: u64,
}

impl Strike {
    #[must_use]
    pub fn lasts_ms(&self) -> u64 {
        self.heals_at_ms - self.at_ms
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.at_ms < other.heals_at_ms + SETTLE_MS && other.at_ms < self.heals_at_ms + SETTLE_MS
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub seed: u64,
    /// The faults' times count from the submission, not from the start of the load.
    pub from_submission: bool,
    /// In the order of their beginning.
    pub strikes: Vec<Strike>,
}

/// Between the healing of one fault and the next one that needs the same majority.
const SETTLE_MS: u64 = 1_500;
/// Faults in one run.
const STRIKES_MAX: u64 = 3;
/// Draws for a fault that finds no room beside those that are there.
const TRIES: usize = 20;
/// Of a hundred runs, so many begin their faults while the job is prepared.
const FROM_SUBMISSION_PERCENT: u64 = 15;

/// The schedule of one run on `nodes` nodes whose load lasts `load_ms`.
///
/// # Panics
/// When there is no fault to choose from.
#[must_use]
pub fn draw(seed: u64, kinds: &[Kind], nodes: usize, load_ms: u64) -> Schedule {
    let mut random = Random::new(seed);
    let from_submission = random.below(100) < FROM_SUBMISSION_PERCENT;
    let wanted = random.between(1, STRIKES_MAX);
    let mut strikes: Vec<Strike> = Vec::new();
    for _ in 0..TRIES {
        if strikes.len() as u64 == wanted {
            break;
        }
        let kind = random.pick(kinds);
        // The first one of those that come in preparation comes at once.
        let at_ms = match from_submission && strikes.is_empty() {
            true => random.below(800),
            false => random.between(500, load_ms.saturating_sub(500).max(501)),
        };
        let heals_at_ms = at_ms + *random.pick(kind.lasts_ms);
        let strike = Strike { fault: kind.name, at_ms, heals_at_ms, pick: random.draw() };
        if fits(&strike, &strikes, kinds, nodes) {
            strikes.push(strike);
        }
    }
    strikes.sort_by_key(|strike| strike.at_ms);
    Schedule { seed, from_submission, strikes }
}

/// A majority is left at every moment, and who wants to be alone is.
fn fits(strike: &Strike, others: &[Strike], kinds: &[Kind], nodes: usize) -> bool {
    let takes = |it: &Strike| {
        let kind = kinds.iter().find(|kind| kind.name == it.fault);
        kind.map_or(Takes::Nothing, |kind| kind.takes)
    };
    let beside: Vec<&Strike> = others.iter().filter(|other| other.overlaps(strike)).collect();
    let all = || beside.iter().copied().chain([strike]);
    let alone = all().any(|it| takes(it) == Takes::Alone);
    let taken: usize = all().map(|it| takes(it).of(nodes)).sum();
    // What one healed the other would not have any more.
    let again = beside.iter().any(|other| other.fault == strike.fault);
    beside.is_empty() || (!alone && !again && taken <= nodes.saturating_sub(1) / 2)
}

/// The seeds of an hour's runs: the first is the given one, so that each run can be repeated alone.
#[must_use]
pub fn seed_of_run(seed: u64, run: u64) -> u64 {
    match run {
        0 => seed,
        // Short enough to be typed.
        _ => Random::new(seed.wrapping_add(run.wrapping_mul(0x9e37_79b9))).draw() >> 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 4] = [
        Kind { name: "kill", takes: Takes::Nodes(1), lasts_ms: &[1_000, 4_000] },
        Kind { name: "split", takes: Takes::Minority, lasts_ms: &[2_000, 20_000] },
        Kind { name: "kill-all", takes: Takes::Alone, lasts_ms: &[500] },
        Kind { name: "upload", takes: Takes::Nothing, lasts_ms: &[1_000] },
    ];

    #[test]
    fn one_seed_is_one_schedule() {
        for seed in 0..100 {
            assert_eq!(draw(seed, &KINDS, 5, 20_000), draw(seed, &KINDS, 5, 20_000));
        }
        assert_ne!(draw(1, &KINDS, 5, 20_000), draw(2, &KINDS, 5, 20_000));
    }

    #[test]
    fn a_majority_is_left_at_every_moment() {
        for seed in 0..5_000 {
            let nodes = if seed % 2 == 0 { 3 } else { 5 };
            let Schedule { strikes, .. } = draw(seed, &KINDS, nodes, 20_000);
            assert!((1..=STRIKES_MAX).contains(&(strikes.len() as u64)), "seed {seed}");
            for strike in &strikes {
                assert!(strike.at_ms < 20_000 && strike.lasts_ms() > 0, "seed {seed}");
                let takes = |it: &Strike| KINDS.iter().find(|k| k.name == it.fault).unwrap().takes;
                let now = strikes
                    .iter()
                    .filter(|it| it.at_ms <= strike.at_ms && strike.at_ms < it.heals_at_ms);
                let now: Vec<Takes> = now.map(takes).collect();
                let taken: usize = now.iter().map(|takes| takes.of(nodes)).sum();
                assert!(now.len() == 1 || !now.contains(&Takes::Alone), "seed {seed}");
                assert!(taken <= (nodes - 1) / 2, "seed {seed}: {strikes:?}");
                let same = |it: &&Strike| it.fault == strike.fault && it.overlaps(strike);
                assert_eq!(strikes.iter().filter(same).count(), 1, "seed {seed}: {strikes:?}");
            }
        }
    }

    #[test]
    fn all_faults_have_their_turn() {
        let drawn: Vec<Schedule> = (0..200).map(|seed| draw(seed, &KINDS, 5, 20_000)).collect();
        for kind in KINDS {
            let times = drawn.iter().flat_map(|it| &it.strikes).filter(|it| it.fault == kind.name);
            assert!(times.count() >= 30, "{}", kind.name);
        }
        assert!(
            drawn.iter().any(|it| it.from_submission) && drawn.iter().any(|it| !it.from_submission)
        );
    }

    #[test]
    fn each_run_can_be_repeated_alone() {
        assert_eq!(seed_of_run(7, 0), 7);
        let seeds: std::collections::BTreeSet<u64> =
            (0..1_000).map(|run| seed_of_run(7, run)).collect();
        assert_eq!(seeds.len(), 1_000);
        assert_eq!(seed_of_run(seed_of_run(7, 3), 0), seed_of_run(7, 3));
    }
}

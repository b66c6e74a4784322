//! What nodes remember of each other's logs, and what follows from it: a node whose data directory
//! went back in time (an older copy, a disk that lost writes) has forgotten votes and entries that
//! others counted on. It is found out before it votes or acknowledges anything again. Pure.
//!
//! Three facts can show it: a vote that it was bound by and does not know (W1); an entry that it
//! acknowledged to a leader that it still follows, or that is committed, and does not have (W2); a
//! committed entry that too few of the voters have, itself among those that miss it (W3).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::records::{LogIdRec, VoteRec};
use crate::types::RaftId;

/// What a node was seen to have durably.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The highest vote that bound it.
    vote: Option<VoteRec>,
    /// The last entry that it acknowledged, and under which leader's vote.
    acknowledged: Option<(VoteRec, LogIdRec)>,
    /// The last entry that it acknowledged and that is committed: never taken back by any leader.
    committed: Option<LogIdRec>,
}

/// What a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) vote: Option<VoteRec>,
    pub(super) last: Option<LogIdRec>,
    pub(super) committed: Option<LogIdRec>,
    /// Log index of the membership in force.
    pub(super) membership: u64,
}

/// What a node says of the one that asks, and of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Testimony {
    pub(super) of_you: Seen,
    pub(super) mine: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Too few of the voters have answered.
    Wait,
    Fine,
    /// It must not take part any more, for this reason.
    WentBack(String),
}

/// Who leads a term: whether the vote is committed is of no matter here.
fn leader(vote: VoteRec) -> (u64, RaftId) {
    (vote.term, vote.node)
}

fn entry(id: Option<LogIdRec>) -> String {
    id.map_or_else(|| "nothing".to_owned(), |id| id.to_string())
}

impl Seen {
    pub(super) fn bound_by(&mut self, vote: VoteRec) {
        if self.vote.is_none_or(|known| leader(known) < leader(vote)) {
            self.vote = Some(vote);
        }
    }

    /// It has everything up to `last`, under the leader of `vote`, who knows that `commit` is
    /// committed.
    pub(super) fn acknowledge(&mut self, vote: VoteRec, last: LogIdRec, commit: Option<LogIdRec>) {
        self.bound_by(vote);
        let newer = |(by, id): (VoteRec, LogIdRec)| (leader(by), id) < (leader(vote), last);
        if self.acknowledged.is_none_or(newer) {
            self.acknowledged = Some((vote, last));
        }
        self.committed = self.committed.max(commit.min(Some(last)));
    }

    /// Whether a node that lacks the entry at `index`, under the leader of `vote`, once had it.
    pub(super) fn had(&self, vote: VoteRec, index: u64) -> bool {
        let under = self.acknowledged.filter(|(by, _)| leader(*by) == leader(vote));
        under.is_some_and(|(_, last)| last.index >= index)
            || self.committed.is_some_and(|last| last.index >= index)
    }

    /// W1 and W2: what a node with this standing has lost.
    pub(super) fn lost_by(&self, standing: &Standing) -> Option<String> {
        let bound = standing.vote.map(leader);
        if let Some(vote) = self.vote.filter(|vote| Some(leader(*vote)) > bound) {
            let known = standing.vote.map_or(0, |vote| vote.term);
            return Some(format!("it took part in term {}, and knows of term {known}", vote.term));
        }
        let under = self.acknowledged.filter(|(by, _)| Some(leader(*by)) == bound);
        let held = self.committed.max(under.map(|(_, last)| last));
        (held > standing.last)
            .then(|| format!("it acknowledged {}, and has {}", entry(held), entry(standing.last)))
    }
}

/// May `me`, which has `own`, take part again? `floor` was known to be committed before the answers
/// were asked for.
pub(super) fn judge(
    me: RaftId,
    own: &Standing,
    voter_sets: &[BTreeSet<RaftId>],
    floor: Option<LogIdRec>,
    answers: &BTreeMap<RaftId, Testimony>,
) -> Verdict {
    for (id, answer) in answers {
        if let Some(lost) = answer.of_you.lost_by(own) {
            return Verdict::WentBack(format!("node {id} knows that {lost}"));
        }
    }
    let answered = |id: &RaftId| *id == me || answers.contains_key(id);
    let majority =
        |set: &BTreeSet<RaftId>| set.iter().filter(|id| answered(id)).count() > set.len() / 2;
    if !voter_sets.iter().all(majority) {
        return Verdict::Wait;
    }
    if floor <= own.last {
        return Verdict::Fine;
    }
    let lacks =
        |id: &RaftId| *id == me || answers.get(id).is_some_and(|answer| answer.mine.last < floor);
    for set in voter_sets {
        let lacking: Vec<RaftId> = set.iter().copied().filter(lacks).collect();
        if set.contains(&me) && set.len() - lacking.len() <= set.len() / 2 {
            return Verdict::WentBack(format!(
                "{} is committed, and {lacking:?} of the voters {set:?} do not have it",
                entry(floor)
            ));
        }
    }
    Verdict::Fine
}

/// The newest entry that one of the answers knows to be committed, by the same membership.
pub(super) fn floor(own: &Standing, answers: &BTreeMap<RaftId, Testimony>) -> Option<LogIdRec> {
    let same = answers.values().filter(|answer| answer.mine.membership == own.membership);
    same.filter_map(|answer| answer.mine.committed).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(term: u64, node: RaftId) -> VoteRec {
        VoteRec { term, node, committed: true }
    }

    fn at(term: u64, index: u64) -> LogIdRec {
        LogIdRec { term, node: 1, index }
    }

    fn standing(term: u64, last: u64, committed: u64) -> Standing {
        Standing {
            vote: Some(vote(term, 1)),
            last: Some(at(term, last)),
            committed: Some(at(term, committed)),
            membership: 3,
        }
    }

    fn answer(of_you: Seen, mine: Standing) -> Testimony {
        Testimony { of_you, mine }
    }

    fn voters() -> Vec<BTreeSet<RaftId>> {
        vec![BTreeSet::from([1, 2, 3])]
    }

    #[test]
    fn an_acknowledged_entry_that_is_gone_shows() {
        let mut seen = Seen::default();
        seen.acknowledge(vote(4, 1), at(4, 50), Some(at(4, 49)));
        assert_eq!(seen.lost_by(&standing(4, 50, 40)), None);
        let lost = seen.lost_by(&standing(4, 40, 40)).unwrap();
        assert_eq!(
            lost,
            "it acknowledged index 50 of term 4 by node 1, and has index 40 of term 4 by node 1"
        );
        assert!(seen.had(vote(4, 1), 50) && !seen.had(vote(4, 1), 51));
        // What was not committed may have been taken back by the next leader, what was may not.
        let next = Standing { last: Some(at(4, 49)), ..standing(5, 0, 0) };
        assert_eq!(seen.lost_by(&next), None);
        assert!(seen.had(vote(5, 2), 49) && !seen.had(vote(5, 2), 50));
        let next = Standing { last: Some(at(4, 48)), ..standing(5, 0, 0) };
        assert!(seen.lost_by(&next).is_some());
    }

    #[test]
    fn a_vote_that_is_forgotten_shows() {
        let mut seen = Seen::default();
        seen.bound_by(VoteRec { committed: false, ..vote(7, 2) });
        seen.bound_by(vote(6, 3));
        let lost = seen.lost_by(&standing(6, 40, 40)).unwrap();
        assert_eq!(lost, "it took part in term 7, and knows of term 6");
        assert_eq!(seen.lost_by(&standing(8, 40, 40)), None);
        let lost = seen.lost_by(&Standing::default()).unwrap();
        assert_eq!(lost, "it took part in term 7, and knows of term 0");
    }

    #[test]
    fn a_majority_must_answer_first() {
        let own = standing(4, 50, 50);
        let nobody = BTreeMap::new();
        assert_eq!(judge(2, &own, &voters(), None, &nobody), Verdict::Wait);
        let one = BTreeMap::from([(1, answer(Seen::default(), own))]);
        assert_eq!(judge(2, &own, &voters(), floor(&own, &one), &one), Verdict::Fine);
        let joint = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 4, 5])];
        assert_eq!(judge(2, &own, &joint, None, &one), Verdict::Wait);
        assert_eq!(judge(1, &own, &[BTreeSet::from([1])], None, &nobody), Verdict::Fine);
    }

    /// After a stop of all nodes nobody remembers what the others acknowledged, but what is committed
    /// must be on a majority: two of three with an older copy cannot outvote the third.
    #[test]
    fn two_of_three_that_went_back_show_by_what_the_third_knows() {
        let (ahead, behind) = (standing(4, 50, 50), standing(4, 40, 38));
        let answers = BTreeMap::from([
            (1, answer(Seen::default(), ahead)),
            (3, answer(Seen::default(), behind)),
        ]);
        let floor_2 = floor(&behind, &answers);
        let Verdict::WentBack(why) = judge(2, &behind, &voters(), floor_2, &answers) else {
            unreachable!("it may not take part");
        };
        assert!(why.contains("index 50 of term 4"), "{why}");
        assert!(why.contains("[2, 3] of the voters {1, 2, 3}"), "{why}");
        // The third has nothing to fear.
        let answers = BTreeMap::from([
            (2, answer(Seen::default(), behind)),
            (3, answer(Seen::default(), behind)),
        ]);
        assert_eq!(judge(1, &ahead, &voters(), floor(&ahead, &answers), &answers), Verdict::Fine);
        // One that only trails has nothing to fear either.
        let answers = BTreeMap::from([
            (1, answer(Seen::default(), ahead)),
            (3, answer(Seen::default(), ahead)),
        ]);
        assert_eq!(judge(2, &behind, &voters(), floor_2, &answers), Verdict::Fine);
    }

    /// What others have committed by another membership says nothing of these voters.
    #[test]
    fn another_membership_is_not_judged_by() {
        let other = Standing { membership: 9, ..standing(4, 50, 50) };
        let own = standing(4, 40, 38);
        let answers = BTreeMap::from([(1, answer(Seen::default(), other))]);
        assert_eq!(floor(&own, &answers), None);
    }
}

//! Which membership change, if any: the leader asks every second and carries out the answer,
//! guarded by the membership's index.
//!
//! Pure; it remembers only since when each node has been well or silent, so a new leader starts
//! with a new one and its timers run anew (A6). Invariants: uniform voter sets are odd (A1); a
//! change is proposed only if those heard from are a majority of the old and of the new voters
//! (A2); one change at a time (A3); never below three voters once three were reached (A4); only
//! nodes that have caught up with log and blobs are promoted (A5).
//!
//! Every member gets the log, as a learner at least, so that each of them answers from its own
//! state. A few of them are *standbys*: they keep the files as well, so that one may take a seat at
//! once. The others are *workers*.

use std::collections::{BTreeMap, BTreeSet};

use crate::consensus::Membership;
use crate::types::RaftId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A node whose last acknowledgement is older is not well: twice the leader's lease.
    pub ack_age_ms_max: u64,
    pub lag_max: u64,
    /// How long a node must be well before it is promoted.
    pub stable_ms: u64,
    /// The same while the cluster forms, where nothing can be lost yet.
    pub stable_forming_ms: u64,
    /// A voter silent for longer is replaced by a standby.
    pub dead_voter_ms: u64,
    /// Two of five voters silent for longer, without standby: shrink to the other three.
    pub two_dead_ms: u64,
    /// A learner silent for longer is removed.
    pub dead_learner_ms: u64,
    /// Standbys beyond those about to be promoted.
    pub standby: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack_age_ms_max: 1_500,
            lag_max: 200,
            stable_ms: 10_000,
            stable_forming_ms: 500,
            dead_voter_ms: 120_000,
            two_dead_ms: 600_000,
            dead_learner_ms: 24 * 60 * 60 * 1_000,
            standby: 2,
        }
    }
}

/// One bound member of the cluster, as the leader sees it; the leader itself is among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// There is a live connection to it.
    pub connected: bool,
    /// Age of its last Raft acknowledgement, milliseconds; absent before the first and for nodes
    /// that Raft does not replicate to. 0 for the leader.
    pub ack_age_ms: Option<u64>,
    /// Log entries behind the leader.
    pub lag: Option<u64>,
    pub blob_synced: bool,
    /// Speaks a version that may vote, and its disk is fine.
    pub compatible: bool,
    /// It is to keep the files, by the ledger.
    pub standby: bool,
    /// Host or zone label: voters are spread over different ones where possible.
    pub zone: String,
}

#[derive(Clone, Debug, Default)]
pub struct Input {
    /// A clock that never goes back, milliseconds.
    pub now_ms: u64,
    /// This node, the leader.
    pub me: RaftId,
    /// The cluster is not open yet.
    pub forming: bool,
    pub membership: Membership,
    /// Age of the last acknowledgement by a quorum; absent before the first.
    pub quorum_ack_ms: Option<u64>,
    pub nodes: BTreeMap<RaftId, NodeView>,
    pub settings: Settings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `Consensus::change_voters` with the precondition of the input's membership.
    Voters { voters: BTreeSet<RaftId>, why: String },
    /// `Consensus::add_learners`.
    AddLearners { ids: BTreeSet<RaftId> },
    /// `MemberCommand::Standbys`.
    Standbys { ids: BTreeSet<RaftId> },
    /// `Consensus::remove_node`.
    RemoveNode { id: RaftId, why: String },
}

/// Voters wanted for `n` nodes that are alive and eligible.
#[must_use]
pub fn target(n: usize) -> usize {
    match n {
        0..=2 => 1,
        3..=4 => 3,
        _ => 5,
    }
}

/// Since when, by the leader's clock, each node is well or silent.
#[derive(Clone, Debug, Default)]
pub struct Autopilot {
    well_since: BTreeMap<RaftId, u64>,
    silent_since: BTreeMap<RaftId, u64>,
}

impl Autopilot {
    /// At most one change. To be asked every second with fresh metrics.
    pub fn decide(&mut self, input: &Input) -> Option<Change> {
        self.observe(input);
        let round = Round { pilot: self, input };
        let membership = &input.membership;
        let ack_fresh = |age: u64| age <= input.settings.ack_age_ms_max;
        if !membership.committed || !input.quorum_ack_ms.is_some_and(ack_fresh) {
            return None;
        }
        if membership.voter_sets.len() > 1 {
            return round.finish_joint();
        }
        let voters = membership.voter_sets.first()?;
        round
            .replace_voter(voters)
            .or_else(|| round.promote(voters))
            .or_else(|| round.shrink(voters))
            .or_else(|| round.add_learners(voters))
            .or_else(|| round.choose_standbys(voters))
            .or_else(|| round.spread(voters))
            .or_else(|| round.remove_learner())
    }

    fn observe(&mut self, input: &Input) {
        let known = |id: &RaftId| input.nodes.contains_key(id);
        self.well_since.retain(|id, _| known(id));
        self.silent_since.retain(|id, _| known(id));
        for (&id, node) in &input.nodes {
            let heard = id == input.me || node.is_heard(&input.settings);
            if heard {
                self.silent_since.remove(&id);
            } else {
                self.silent_since.entry(id).or_insert(input.now_ms);
            }
            let caught_up = node.lag.is_some_and(|lag| lag <= input.settings.lag_max);
            if heard && caught_up && node.compatible && node.blob_synced {
                self.well_since.entry(id).or_insert(input.now_ms);
            } else {
                self.well_since.remove(&id);
            }
        }
    }
}

impl NodeView {
    fn is_heard(&self, settings: &Settings) -> bool {
        self.ack_age_ms.is_some_and(|age| age <= settings.ack_age_ms_max)
    }
}

struct Round<'a> {
    pilot: &'a Autopilot,
    input: &'a Input,
}

impl Round<'_> {
    fn is_heard(&self, id: RaftId) -> bool {
        let heard = |node: &NodeView| node.is_heard(&self.input.settings);
        id == self.input.me || self.input.nodes.get(&id).is_some_and(heard)
    }

    fn silent_for(&self, id: RaftId) -> u64 {
        let since = self.pilot.silent_since.get(&id);
        since.map_or(0, |since| self.input.now_ms.saturating_sub(*since))
    }

    fn is_stable(&self, id: RaftId) -> bool {
        let settings = &self.input.settings;
        let need = if self.input.forming { settings.stable_forming_ms } else { settings.stable_ms };
        let since = self.pilot.well_since.get(&id);
        since.is_some_and(|since| self.input.now_ms.saturating_sub(*since) >= need)
    }

    /// Up to so many learners that may be promoted now, beside `voters`: the best first.
    fn promotable(&self, voters: &BTreeSet<RaftId>, count: usize) -> Vec<RaftId> {
        let learners = self.input.membership.learners.iter().copied();
        self.spread_out(voters, learners.filter(|id| self.is_stable(*id)).collect(), count)
    }

    /// Up to so many of the candidates, each in the zone that has the fewest of `taken` and of those
    /// before it; nodes without a zone are in none that is shared. The oldest id first among equals.
    fn spread_out(
        &self,
        taken: &BTreeSet<RaftId>,
        candidates: BTreeSet<RaftId>,
        count: usize,
    ) -> Vec<RaftId> {
        let mut crowd: BTreeMap<&str, usize> = BTreeMap::new();
        for zone in taken.iter().filter_map(|id| self.zone(*id)) {
            *crowd.entry(zone).or_default() += 1;
        }
        let (mut rest, mut ordered) = (candidates, Vec::new());
        while ordered.len() < count {
            let best = rest.iter().copied().min_by_key(|id| {
                let there = self.zone(*id).map_or(0, |zone| crowd.get(zone).copied().unwrap_or(0));
                (there, *id)
            });
            let Some(best) = best else { break };
            rest.remove(&best);
            ordered.push(best);
            if let Some(zone) = self.zone(best) {
                *crowd.entry(zone).or_default() += 1;
            }
        }
        ordered
    }

    fn zone(&self, id: RaftId) -> Option<&str> {
        self.input.nodes.get(&id).map(|node| node.zone.as_str()).filter(|zone| !zone.is_empty())
    }

    /// A2: those heard from are a majority of each set in force and of the wanted one.
    fn is_safe(&self, wanted: &BTreeSet<RaftId>) -> bool {
        let majority = |set: &BTreeSet<RaftId>| {
            set.iter().filter(|id| self.is_heard(**id)).count() > set.len() / 2
        };
        majority(wanted) && self.input.membership.voter_sets.iter().all(majority)
    }

    fn voters(&self, voters: BTreeSet<RaftId>, why: String) -> Option<Change> {
        self.is_safe(&voters).then_some(Change::Voters { voters, why })
    }

    /// Rule 0: a joint configuration that a crash left over.
    fn finish_joint(&self) -> Option<Change> {
        let newest = self.input.membership.voter_sets.last()?.clone();
        self.voters(newest, "finish the change that was begun".to_owned())
    }

    /// Rule 1: a voter that is dead for long gives its seat to a standby.
    fn replace_voter(&self, voters: &BTreeSet<RaftId>) -> Option<Change> {
        let dead_ms = self.input.settings.dead_voter_ms;
        // One that is no member any more has given its id up: nobody will ever answer for it.
        let left = |id: &RaftId| *id != self.input.me && !self.input.nodes.contains_key(id);
        let dead = *voters.iter().find(|id| left(id) || self.silent_for(**id) >= dead_ms)?;
        let rest: BTreeSet<RaftId> = voters.iter().copied().filter(|id| *id != dead).collect();
        let standby = *self.promotable(&rest, 1).first()?;
        let wanted = rest.iter().copied().chain([standby]).collect();
        self.voters(wanted, format!("voter {dead} is dead; {standby} takes its seat"))
    }

    /// Rule 2: two more voters, or one where the number is even.
    fn promote(&self, voters: &BTreeSet<RaftId>) -> Option<Change> {
        let more = if voters.len() % 2 == 1 { 2 } else { 1 };
        let promotable = self.promotable(voters, more);
        if voters.len() + more > self.target() || promotable.len() < more {
            return None;
        }
        let new = &promotable[..more];
        let wanted = voters.iter().chain(new).copied().collect();
        self.voters(wanted, format!("promote {new:?}"))
    }

    /// Rule 3: two of five are dead for good, and nobody can take their seats.
    fn shrink(&self, voters: &BTreeSet<RaftId>) -> Option<Change> {
        let long = |id: &&RaftId| self.silent_for(**id) >= self.input.settings.two_dead_ms;
        let dead: BTreeSet<RaftId> = voters.iter().filter(long).copied().collect();
        if voters.len() != 5 || dead.len() != 2 || !self.promotable(voters, 1).is_empty() {
            return None;
        }
        let rest = voters.difference(&dead).copied().collect();
        self.voters(rest, format!("voters {dead:?} are dead and there is no standby"))
    }

    /// Rule 4: every member that is there gets the log; all at once, as each change is an entry.
    fn add_learners(&self, voters: &BTreeSet<RaftId>) -> Option<Change> {
        let learners = &self.input.membership.learners;
        let new = |(id, node): &(&RaftId, &NodeView)| {
            let has_log = voters.contains(id) || learners.contains(id);
            !has_log && node.connected && node.compatible
        };
        let ids: BTreeSet<RaftId> =
            self.input.nodes.iter().filter(new).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then_some(Change::AddLearners { ids })
    }

    /// Rule 5: enough standbys to fill all seats and some more. Those that are stay, as they have the
    /// files; one that is away for as long as makes a voter dead gives its place to another.
    fn choose_standbys(&self, voters: &BTreeSet<RaftId>) -> Option<Change> {
        if self.input.forming {
            // There are no files yet: whoever has the log may vote.
            return None;
        }
        let wanted = self.target().saturating_sub(voters.len()) + self.input.settings.standby;
        let dead_ms = self.input.settings.dead_voter_ms;
        let able = |id: &RaftId| {
            let node = self.input.nodes.get(id);
            node.is_some_and(|node| node.compatible) && self.silent_for(*id) < dead_ms
        };
        let learners = &self.input.membership.learners;
        let is_standby = |id: &RaftId| self.input.nodes.get(id).is_some_and(|node| node.standby);
        let (stay, others): (BTreeSet<RaftId>, BTreeSet<RaftId>) =
            learners.iter().copied().filter(able).partition(is_standby);
        let taken = voters | &stay;
        let there = |id: &RaftId| self.is_heard(*id);
        let new = self.spread_out(&taken, others.into_iter().filter(there).collect(), wanted);
        let stay = self.spread_out(voters, stay, wanted);
        let ids: BTreeSet<RaftId> = stay.into_iter().chain(new).take(wanted).collect();
        let known = self.input.nodes.iter().filter(|(_, node)| node.standby);
        let known: BTreeSet<RaftId> = known.map(|(id, _)| *id).collect();
        (ids != known).then_some(Change::Standbys { ids })
    }

    /// Rule 6: a zone that has two voters more than the zone of a standby gives it a seat; not that of
    /// the leader.
    fn spread(&self, voters: &BTreeSet<RaftId>) -> Option<Change> {
        let crowd = |zone: &str| voters.iter().filter(|id| self.zone(**id) == Some(zone)).count();
        let movable = voters.iter().copied().filter(|id| *id != self.input.me);
        let from = movable.max_by_key(|id| self.zone(*id).map_or(0, crowd))?;
        let most = crowd(self.zone(from)?);
        let learners = self.input.membership.learners.iter().copied();
        let is_better = |id: &RaftId| self.zone(*id).is_some_and(|zone| crowd(zone) + 2 <= most);
        let better = learners.filter(|id| is_better(id) && self.is_stable(*id)).collect();
        let to = *self.spread_out(voters, better, 1).first()?;
        let rest = voters.iter().copied().filter(|id| *id != from);
        let why = format!("voter {from} shares its zone with others; {to} takes its seat");
        self.voters(rest.chain([to]).collect(), why)
    }

    /// Rule 7: learners that are gone.
    fn remove_learner(&self) -> Option<Change> {
        let dead_ms = self.input.settings.dead_learner_ms;
        for &id in &self.input.membership.learners {
            let gone = if !self.input.nodes.contains_key(&id) {
                Some("it was removed from the cluster")
            } else if self.silent_for(id) >= dead_ms {
                Some("it is dead")
            } else {
                None
            };
            if let Some(why) = gone {
                return Some(Change::RemoveNode { id, why: why.to_owned() });
            }
        }
        None
    }

    /// By the nodes that are there and may vote.
    fn target(&self) -> usize {
        let able = |(id, node): &(&RaftId, &NodeView)| {
            let there = node.connected || self.is_heard(**id);
            there && node.compatible
        };
        target(self.input.nodes.iter().filter(able).count())
    }
}

#[cfg(test)]
mod tests;

//! Users of the closed model when segments change hands: what each taker is to hold back, because
//! its giver still has users of these segments. Pure, as [`super::reconcile`] whose part it is.
//!
//! A giver says of each taker how many those are, once the moment of the hand-over has come: they
//! only become fewer. Its own holding back is in that figure, so that the word of the nearest giver
//! that lives is all that counts, over however many hands. With a giver's process its users are
//! gone; then those count that it held back itself. A taker that was not told yet starts nobody, one
//! whose giver is not heard goes on with what it was told: what is late, lost or repeated, or a new
//! master, makes it wait, and never start too many.

use onrush_raft::ledger::job::{Assignment, Job};

use super::reconcile::{Intent, View, key, report};
use crate::control_wire::{Phase, ShardReport, ToWorker};

/// Tells a shard what it does not follow yet: before its start, where it is known by then.
pub(super) fn tell(
    view: &View<'_>,
    job: &Job,
    shard: &Assignment,
    report: &ShardReport,
    intents: &mut Vec<Intent>,
) {
    let listens = matches!(report.phase, Phase::Ready { .. } | Phase::Running);
    if !listens || job.abort.is_some() || shard.takes_over.is_none() {
        return;
    }
    let Some(users) = to_hold_back(view, job, shard) else { return };
    if report.closed.held_back.as_ref() != Some(&users) {
        let order = ToWorker::HoldBack { key: key(job, shard), users };
        intents.push(Intent::Order { peer: shard.node.clone(), order });
    }
}

/// By population; none: not known now.
fn to_hold_back(view: &View<'_>, job: &Job, taker: &Assignment) -> Option<Vec<u64>> {
    let mut taker = taker;
    // Each has taken over from an earlier one.
    for _ in 0..job.assignments.len() {
        let Some(giver) = taker.takes_over.and_then(|shard| job.shard(shard)) else { break };
        let said = report(view, job, giver);
        // Several that take over from one that is gone hold back the same users each: too many for
        // a while, where it died while its own giver still had some.
        if giver.is_over() || said.is_some_and(|report| !report.phase.is_live()) {
            taker = giver;
            continue;
        }
        let word = said?.closed.surplus.iter().find(|word| word.to == taker.shard)?;
        return Some(word.users.clone());
    }
    Some(Vec::new())
}

#[cfg(test)]
#[path = "closed_tests.rs"]
mod tests;
